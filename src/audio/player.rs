//! Sound to a device while it is still being rendered.
//!
//! Two halves with a lock-free ring between them. The [`Feed`] belongs to the rendering thread: it resamples to the
//! device's rate and waits while the ring is full. The [`Feeder`] belongs to the device's callback, which never
//! allocates, locks, logs or blocks: it takes samples from a ring that was allocated beforehand and counts in atomics.
//! The [`Player`] belongs to whoever holds the keys: volume, pause, stop, what was played.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rtrb::{Consumer, Producer, RingBuffer};

use super::{
    device::{OpenStream, OutputDevice},
    resample::StreamResampler,
};
use crate::{Error, Fault, Result, sound::Sound};

/// Seconds of sound that may lie between rendering and device. Two chunks of the default layout, when they are long, and a half.
const RING_S: f64 = 5.2;

/// Seconds of the fade where playing stops, pauses, or starts again.
const FADE_S: f64 = 0.010;

/// Seconds of the fade at an underrun, and of the sound that is held back in the ring to have something to fade.
const UNDERRUN_FADE_S: f64 = 0.005;

/// Silence after an underrun, so that the next late chunk is not heard as well.
const CUSHION_AFTER_UNDERRUN_S: f64 = 0.050;

/// A device that asks for nothing for this long is gone, whatever its driver says.
const STALLED: Duration = Duration::from_secs(3);

/// One that reports errors and asks for nothing has this long to recover.
const TROUBLED: Duration = Duration::from_millis(700);

/// How often the halves look at each other's atomics. A fraction of a device's period.
const POLL: Duration = Duration::from_millis(3);

/// How sound is to be played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlayerSettings {
    /// Hz of what is pushed, until [`Feed::set_sample_rate`] says otherwise.
    pub sample_rate: u32,
    /// Of the ring; what is pushed with others is mixed to one, or is in each.
    pub channels: usize,
    /// Amplitude factor.
    pub volume: f32,
    /// Seconds of silence before the first sound. A live source that writes in real time has no chunk ahead of the device:
    /// this is the room for one that comes late.
    pub cushion_s: f64,
}

/// What both sides and the keys share. Plain counters and flags; no value depends on the order of two of them, except
/// `ended`, which is set after the last sample is in the ring.
#[derive(Debug)]
struct Shared {
    epoch: Instant,
    rate: u32,
    volume: AtomicU32,
    paused: AtomicBool,
    stopping: AtomicBool,
    flush: AtomicBool,
    ended: AtomicBool,
    waiting_for_input: AtomicBool,
    /// Set by the feeder: nothing of the sound is left to give.
    drained: AtomicBool,
    /// Set by the feeder: the fade of a stop is done.
    silent: AtomicBool,
    callbacks: AtomicU64,
    /// Samples given to the device, in all and since the last restart.
    played: AtomicU64,
    played_here: AtomicU64,
    /// Bits of an f64: where in the sound the last restart began, in seconds.
    base_s: AtomicU64,
    underruns: AtomicU64,
    input_gaps: AtomicU64,
    device_xruns: AtomicU64,
    clipped: AtomicU64,
    /// Nanoseconds from `epoch` to the callback that took the first sample, plus one; 0 before.
    first_sound_ns: AtomicU64,
    /// Nanoseconds from a callback to the moment when what it gave is heard.
    latency_ns: AtomicU64,
    /// Bits of an f32: largest magnitude since the meter was read.
    peak: AtomicU32,
    filled: AtomicUsize,
    /// The device reported an error and has not asked for sound since.
    troubled: AtomicBool,
    /// The callback counter when it did.
    troubled_at: AtomicU64,
    /// The stream is broken for good.
    failed: AtomicBool,
    /// Written by the device's error callback, where no sound is made.
    reason: Mutex<Option<String>>,
}

impl Shared {
    fn new(rate: u32, volume: f32) -> Self {
        Self {
            epoch: Instant::now(),
            rate,
            volume: AtomicU32::new(volume.to_bits()),
            paused: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            flush: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            waiting_for_input: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            callbacks: AtomicU64::new(0),
            played: AtomicU64::new(0),
            played_here: AtomicU64::new(0),
            base_s: AtomicU64::new(0f64.to_bits()),
            underruns: AtomicU64::new(0),
            input_gaps: AtomicU64::new(0),
            device_xruns: AtomicU64::new(0),
            clipped: AtomicU64::new(0),
            first_sound_ns: AtomicU64::new(0),
            latency_ns: AtomicU64::new(0),
            peak: AtomicU32::new(0),
            filled: AtomicUsize::new(0),
            troubled: AtomicBool::new(false),
            troubled_at: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            reason: Mutex::new(None),
        }
    }

    fn seconds(&self, samples: u64) -> f64 {
        samples as f64 / f64::from(self.rate)
    }
}

/// The device's half.
pub struct Feeder {
    /// Samples of all channels, interleaved; all counts are of each channel.
    ring: Consumer<f32>,
    channels: usize,
    shared: Arc<Shared>,
    state: State,
    /// The volume as it is heard.
    glide: Glide,
    /// Samples of the fade at an underrun.
    fade: usize,
    /// An underrun has begun: the ring is played to what was its end.
    fade_out: Option<FadeOut>,
    /// Samples of the fade-in that are still to come.
    fade_in: usize,
    /// The last sound ended in an underrun: the next one is faded in.
    after_gap: bool,
    /// Samples of silence before the sound starts again.
    cushion: usize,
}

/// A gain that goes to its target in a straight line and in the same time, wherever the device's blocks end.
#[derive(Debug, Clone, Copy)]
struct Glide {
    gain: f32,
    target: f32,
    /// What a sample adds, and for how many more.
    step: f32,
    left: usize,
    /// Samples of the whole way.
    length: usize,
}

impl Glide {
    fn resting_at(gain: f32, length: usize) -> Self {
        Self { gain, target: gain, step: 0.0, left: 0, length }
    }

    fn go_to(&mut self, target: f32) {
        if target != self.target {
            let step = (target - self.gain) / self.length as f32;
            *self = Self { target, step, left: self.length, ..*self };
        }
    }

    /// The gain of the next sample.
    fn next(&mut self) -> f32 {
        if self.left > 0 {
            self.left -= 1;
            self.gain = self.target - self.step * self.left as f32;
        }
        self.gain
    }
}

/// The last samples of a ring that runs empty.
#[derive(Debug, Clone, Copy)]
struct FadeOut {
    /// Samples that are still to be given; the last `length` of them are faded.
    left: usize,
    length: usize,
}

impl FadeOut {
    /// The gain of the next sample.
    fn next(&mut self) -> f32 {
        self.left -= 1;
        if self.left < self.length { self.left as f32 / self.length as f32 } else { 1.0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for sound: at the start, after an underrun or a restart.
    Waiting,
    Playing,
}

impl Feeder {
    fn new(ring: Consumer<f32>, channels: usize, shared: Arc<Shared>, cushion_s: f64) -> Self {
        let samples = |seconds: f64| (seconds * f64::from(shared.rate)).round() as usize;
        let (fade, cushion) = (samples(UNDERRUN_FADE_S).max(1), samples(cushion_s));
        let volume = f32::from_bits(shared.volume.load(Ordering::Relaxed));
        let glide = Glide::resting_at(volume, samples(FADE_S).max(1));
        let state = State::Waiting;
        Self { ring, channels, shared, state, glide, fade, fade_out: None, fade_in: 0, after_gap: false, cushion }
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Samples of each channel in the ring.
    fn available(&self) -> usize {
        self.ring.slots() / self.channels
    }

    /// Fills a buffer of interleaved channels. Everything that the callback does, but for the conversion to the device's
    /// format.
    pub fn fill(&mut self, output: &mut [f32]) {
        let (channels, length) = (self.channels, output.len() / self.channels);
        let shared = &self.shared;
        shared.callbacks.fetch_add(1, Ordering::Relaxed);
        // Before the ring is looked at: once this is true, all that will ever come is in it.
        let ended = shared.ended.load(Ordering::Acquire);
        let stopping = shared.stopping.load(Ordering::Relaxed);
        let flush = shared.flush.load(Ordering::Acquire);
        let quiet = stopping || flush || shared.paused.load(Ordering::Relaxed);
        let target = if quiet { 0.0 } else { f32::from_bits(shared.volume.load(Ordering::Relaxed)) };
        let available = self.available();

        if self.state == State::Playing {
            self.glide.go_to(target);
        }
        if quiet && (self.glide.left == 0 || self.state == State::Waiting) {
            output.fill(0.0);
            if stopping || flush {
                self.glide = Glide::resting_at(0.0, self.glide.length);
            }
            if flush {
                self.discard(available);
                self.shared.played_here.store(0, Ordering::Relaxed);
                self.state = State::Waiting;
                (self.fade_out, self.fade_in, self.after_gap) = (None, 0, false);
                self.shared.flush.store(false, Ordering::Release);
            }
            if stopping {
                self.shared.silent.store(true, Ordering::Release);
            }
            self.shared.filled.store(available, Ordering::Relaxed);
            return;
        }
        if self.state == State::Waiting && !self.starts(length, available, ended) {
            output.fill(0.0);
            self.shared.filled.store(available, Ordering::Relaxed);
            return;
        }
        self.glide.go_to(target);
        // What comes after the fade is for later.
        let wanted = if quiet { length.min(self.glide.left) } else { length };
        let taken = self.take(&mut output[..wanted * channels], available, ended, !quiet);
        self.shape(&mut output[..taken * channels]);
        output[taken * channels..].fill(0.0);
        self.account(&output[..taken * channels]);
    }

    /// Whether waiting is over; takes the time of the cushion first.
    fn starts(&mut self, wanted: usize, available: usize, ended: bool) -> bool {
        if ended && available == 0 {
            self.shared.drained.store(true, Ordering::Release);
            return false;
        }
        if !ended && available < wanted + self.fade {
            return false;
        }
        if self.cushion > 0 {
            self.cushion = self.cushion.saturating_sub(wanted);
            return false;
        }
        self.state = State::Playing;
        if std::mem::take(&mut self.after_gap) {
            self.fade_in = self.fade;
        }
        true
    }

    /// Moves samples from the ring; fewer than asked for at the end and at an underrun, which it fades and counts.
    fn take(&mut self, output: &mut [f32], available: usize, ended: bool, audible: bool) -> usize {
        let (channels, wanted) = (self.channels, output.len() / self.channels);
        // As long as more is to come, a fade's worth stays in the ring: what is needed to end without a click.
        if self.fade_out.is_none() && !ended && available < wanted + self.fade {
            self.fade_out = Some(FadeOut { left: available, length: self.fade.min(available) });
            let waiting = self.shared.waiting_for_input.load(Ordering::Relaxed);
            let counter = if waiting { &self.shared.input_gaps } else { &self.shared.underruns };
            // In the fade of a stop or a seek, nobody hears the difference.
            counter.fetch_add(u64::from(audible), Ordering::Relaxed);
        }
        let count = wanted.min(self.fade_out.map_or(available, |fade_out| fade_out.left));
        let (taken, _) = self.ring.pop_partial_slice(&mut output[..count * channels]);
        let taken = taken.len() / channels;
        let Some(fade_out) = &mut self.fade_out else {
            if ended && available <= wanted {
                self.shared.drained.store(true, Ordering::Release);
            }
            return taken;
        };
        for all in output[..taken * channels].chunks_exact_mut(channels) {
            let gain = fade_out.next();
            all.iter_mut().for_each(|sample| *sample *= gain);
        }
        if fade_out.left == 0 {
            self.fade_out = None;
            self.state = State::Waiting;
            self.after_gap = true;
            self.cushion = (CUSHION_AFTER_UNDERRUN_S * f64::from(self.shared.rate)) as usize;
        }
        taken
    }

    /// The volume, and the fade after an underrun.
    fn shape(&mut self, samples: &mut [f32]) {
        for all in samples.chunks_exact_mut(self.channels) {
            let gain = self.glide.next();
            all.iter_mut().for_each(|sample| *sample *= gain);
            if self.fade_in > 0 {
                let gain = 1.0 - self.fade_in as f32 / self.fade as f32;
                all.iter_mut().for_each(|sample| *sample *= gain);
                self.fade_in -= 1;
            }
        }
    }

    fn account(&self, samples: &[f32]) {
        let shared = &self.shared;
        if samples.is_empty() {
            return;
        }
        if shared.first_sound_ns.load(Ordering::Relaxed) == 0 {
            let elapsed = shared.epoch.elapsed().as_nanos() as u64;
            shared.first_sound_ns.store(elapsed + 1, Ordering::Relaxed);
        }
        let length = (samples.len() / self.channels) as u64;
        shared.played.fetch_add(length, Ordering::Relaxed);
        shared.played_here.fetch_add(length, Ordering::Relaxed);
        let peak = samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
        if peak > 1.0 {
            let clipped = samples.iter().filter(|sample| sample.abs() > 1.0).count();
            shared.clipped.fetch_add(clipped as u64, Ordering::Relaxed);
        }
        // Bits of floats that are not negative are ordered as the floats are.
        shared.peak.fetch_max(peak.to_bits(), Ordering::Relaxed);
        shared.filled.store(self.available(), Ordering::Relaxed);
    }

    fn discard(&mut self, count: usize) {
        if let Ok(chunk) = self.ring.read_chunk(count * self.channels) {
            chunk.commit_all();
        }
    }

    /// The device says how long it takes until what it is given is heard.
    pub fn note_latency(&self, latency: Duration) {
        self.shared.latency_ns.store(latency.as_nanos() as u64, Ordering::Relaxed);
    }

    /// For the device's error callback.
    pub fn reporter(&self) -> Reporter {
        Reporter { shared: self.shared.clone() }
    }
}

/// Where the device's errors go.
#[derive(Clone)]
pub struct Reporter {
    shared: Arc<Shared>,
}

impl Reporter {
    /// The device ran dry: its driver was late, not the ring.
    pub fn xrun(&self) {
        self.shared.device_xruns.fetch_add(1, Ordering::Relaxed);
    }

    /// The device is gone.
    pub fn gone(&self, reason: impl FnOnce() -> String) {
        self.note(reason);
        self.shared.failed.store(true, Ordering::Release);
    }

    /// Something went wrong, which may pass: ALSA's PulseAudio plugin reports an I/O error until the server has told the
    /// time for the first time (alsa-plugins issue 65). It counts once the device asks for no more sound.
    pub fn trouble(&self, reason: impl FnOnce() -> String) {
        if !self.shared.troubled.swap(true, Ordering::AcqRel) {
            self.shared.troubled_at.store(self.shared.callbacks.load(Ordering::Relaxed), Ordering::Relaxed);
            self.note(reason);
        }
    }

    fn note(&self, reason: impl FnOnce() -> String) {
        if let Ok(mut noted) = self.shared.reason.lock() {
            *noted = Some(reason());
        }
    }
}

/// The rendering thread's half.
pub struct Feed {
    ring: Producer<f32>,
    shared: Arc<Shared>,
    /// One a channel.
    resamplers: Vec<StreamResampler>,
    /// Hz of what is pushed.
    sample_rate: u32,
    /// A plane a channel.
    resampled: Vec<Vec<f32>>,
    interleaved: Vec<f32>,
}

/// Why `Feed::push` came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// All is in the ring.
    All,
    /// The player was stopped, the device failed, or the caller's `go_on` said no; the rest was dropped.
    Interrupted,
}

impl Feed {
    fn new(ring: Producer<f32>, settings: &PlayerSettings, shared: Arc<Shared>) -> Result<Self> {
        let PlayerSettings { sample_rate, channels, .. } = *settings;
        let resamplers = (0..channels).map(|_| StreamResampler::new(sample_rate, shared.rate));
        Ok(Self {
            ring,
            resamplers: resamplers.collect::<Result<_>>()?,
            shared,
            sample_rate,
            resampled: vec![vec![]; channels],
            interleaved: vec![],
        })
    }

    /// Puts `sound` on its way; waits while the ring is full, and meanwhile asks `go_on`.
    ///
    /// # Errors
    /// Those of resampling.
    pub fn push(&mut self, sound: &Sound, go_on: impl Fn() -> bool) -> Result<Pushed> {
        let mixed;
        let sound = match sound.channels.len() == self.resamplers.len() {
            true => sound,
            false => {
                mixed = sound.clone().of_channels(self.resamplers.len());
                &mixed
            }
        };
        for ((resampler, resampled), plane) in self.resamplers.iter_mut().zip(&mut self.resampled).zip(&sound.channels)
        {
            resampler.push(plane, resampled)?;
        }
        Ok(self.put(go_on))
    }

    /// What the resamplers still hold.
    fn put_rest(&mut self, go_on: impl Fn() -> bool) -> Result<Pushed> {
        for (resampler, resampled) in self.resamplers.iter_mut().zip(&mut self.resampled) {
            resampler.finish(resampled)?;
        }
        Ok(self.put(go_on))
    }

    /// What is pushed from here on has this rate, in Hz.
    ///
    /// # Errors
    /// `Error::Settings` for a rate that nothing has.
    pub fn set_sample_rate(&mut self, sample_rate: u32, go_on: impl Fn() -> bool) -> Result<()> {
        if sample_rate != self.sample_rate {
            // Where this is interrupted, so is all that follows.
            self.put_rest(go_on)?;
            for resampler in &mut self.resamplers {
                *resampler = StreamResampler::new(sample_rate, self.shared.rate)?;
            }
            self.sample_rate = sample_rate;
        }
        Ok(())
    }

    /// Nothing more will come. The resampler's rest goes out, then the device may run dry.
    pub fn end(&mut self, go_on: impl Fn() -> bool) -> Result<Pushed> {
        let pushed = self.put_rest(go_on)?;
        self.shared.ended.store(true, Ordering::Release);
        Ok(pushed)
    }

    /// Moves what is resampled into the ring, all channels of a sample or none.
    fn put(&mut self, go_on: impl Fn() -> bool) -> Pushed {
        let (channels, length) = (self.resampled.len(), self.resampled.iter().map(Vec::len).min().unwrap_or(0));
        self.interleaved.clear();
        self.interleaved.extend((0..length).flat_map(|i| self.resampled.iter().map(move |plane| plane[i])));
        self.resampled.iter_mut().for_each(|plane| drop(plane.drain(..length)));
        let mut left = &self.interleaved[..];
        loop {
            let room = self.ring.slots() / channels * channels;
            let (now, later) = left.split_at(left.len().min(room));
            // As much as there is room for: all of it.
            let _ = self.ring.push_partial_slice(now);
            left = later;
            if left.is_empty() {
                return Pushed::All;
            }
            if self.shared.stopping.load(Ordering::Relaxed) || self.shared.failed.load(Ordering::Relaxed) || !go_on() {
                return Pushed::Interrupted;
            }
            thread::sleep(POLL);
        }
    }

    /// Drops what is not yet played, with a fade, and starts anew: what comes next is at `position_s` of the sound.
    pub fn restart(&mut self, position_s: f64) -> Result<()> {
        // First, so that the feeder cannot find the old end once the ring is empty.
        self.shared.ended.store(false, Ordering::Release);
        self.shared.flush.store(true, Ordering::Release);
        let begun = Instant::now();
        while self.shared.flush.load(Ordering::Acquire) {
            if self.shared.stopping.load(Ordering::Relaxed)
                || self.shared.failed.load(Ordering::Relaxed)
                || begun.elapsed() > STALLED
            {
                break;
            }
            thread::sleep(POLL);
        }
        for (resampler, resampled) in self.resamplers.iter_mut().zip(&mut self.resampled) {
            resampler.finish(resampled)?;
            resampled.clear();
        }
        self.shared.base_s.store(position_s.to_bits(), Ordering::Relaxed);
        self.shared.drained.store(false, Ordering::Release);
        Ok(())
    }

    /// Seconds of sound in the ring.
    pub fn buffered_s(&self) -> f64 {
        let free = self.ring.slots();
        self.shared.seconds(((self.ring.buffer().capacity() - free) / self.resamplers.len()) as u64)
    }

    /// The device was given everything.
    pub fn drained(&self) -> bool {
        self.shared.drained.load(Ordering::Acquire)
            || self.shared.failed.load(Ordering::Relaxed)
            || self.shared.stopping.load(Ordering::Relaxed)
    }

    /// While true, a gap is the source's, not the renderer's.
    pub fn waiting_flag(&self) -> WaitingFlag {
        WaitingFlag { shared: self.shared.clone() }
    }
}

/// Tells the player that the renderer waits for its live input.
#[derive(Clone)]
pub struct WaitingFlag {
    shared: Arc<Shared>,
}

impl WaitingFlag {
    pub fn set(&self, waiting: bool) {
        self.shared.waiting_for_input.store(waiting, Ordering::Relaxed);
    }
}

/// What was played so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlayerStatus {
    /// Seconds of sound given to the device, in all.
    pub played_s: f64,
    /// Seconds from the sound's start to what is heard now.
    pub position_s: f64,
    /// From the player's start to the callback that took the first sample.
    pub first_sound: Option<Duration>,
    /// Times that the ring ran empty while rendering was behind.
    pub underruns: u64,
    /// Times that it ran empty because the live input paused.
    pub input_gaps: u64,
    /// Times that the device itself ran dry.
    pub device_xruns: u64,
    /// Samples over full scale, which the device holds there.
    pub clipped: u64,
    /// Filled part of the ring, 0 to 1.
    pub buffer_fill: f64,
    /// From a callback to the moment when what it gave is heard, as the device says.
    pub latency: Duration,
    pub paused: bool,
    /// All of the sound has been given to the device, or the fade of a stop.
    pub done: bool,
}

/// The keys' half.
pub struct Player {
    shared: Arc<Shared>,
    stream: Option<OpenStream>,
    device: String,
    capacity: usize,
    /// The callback counter when it last moved, for the watchdog.
    seen: (u64, Instant),
}

impl Player {
    /// Opens the device's stream, silent until something is pushed.
    pub fn start(device: &OutputDevice, settings: PlayerSettings) -> Result<(Self, Feed)> {
        let rate = device.sample_rate();
        let channels = settings.channels.clamp(1, usize::from(device.channels()).max(1));
        let settings = PlayerSettings { channels, ..settings };
        let capacity = (RING_S * f64::from(rate)) as usize;
        let shared = Arc::new(Shared::new(rate, settings.volume));
        let (stream, ring) = device.start(|| {
            let (producer, consumer) = RingBuffer::new(capacity * channels);
            (Feeder::new(consumer, channels, shared.clone(), settings.cushion_s), producer)
        })?;
        let feed = Feed::new(ring, &settings, shared.clone())?;
        let seen = (0, Instant::now());
        Ok((Self { shared, stream: Some(stream), device: device.name().to_owned(), capacity, seen }, feed))
    }

    /// A player without a device: its feeder is to be driven by hand, in tests and benches.
    pub fn detached(rate: u32, settings: PlayerSettings) -> Result<(Self, Feed, Feeder)> {
        let capacity = (RING_S * f64::from(rate)) as usize;
        let shared = Arc::new(Shared::new(rate, settings.volume));
        let (ring, consumer) = RingBuffer::new(capacity * settings.channels);
        let feeder = Feeder::new(consumer, settings.channels, shared.clone(), settings.cushion_s);
        let feed = Feed::new(ring, &settings, shared.clone())?;
        let seen = (0, Instant::now());
        Ok((Self { shared, stream: None, device: "no device".into(), capacity, seen }, feed, feeder))
    }

    /// Amplitude factor; reached within 10 ms.
    pub fn set_volume(&self, volume: f32) {
        self.shared.volume.store(volume.to_bits(), Ordering::Relaxed);
    }

    /// Silence after a fade of 10 ms; what is in the ring stays there.
    pub fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
    }

    /// Ends after a fade of 10 ms; `Feed::push` comes back.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
    }

    pub fn status(&self) -> PlayerStatus {
        let shared = &self.shared;
        let first = shared.first_sound_ns.load(Ordering::Relaxed);
        let here_s = shared.seconds(shared.played_here.load(Ordering::Relaxed)) - self.latency().as_secs_f64();
        let base_s = f64::from_bits(shared.base_s.load(Ordering::Relaxed));
        let stopping = shared.stopping.load(Ordering::Relaxed);
        let done = if stopping { &shared.silent } else { &shared.drained };
        PlayerStatus {
            played_s: shared.seconds(shared.played.load(Ordering::Relaxed)),
            position_s: base_s + here_s.max(0.0),
            first_sound: first.checked_sub(1).map(Duration::from_nanos),
            underruns: shared.underruns.load(Ordering::Relaxed),
            input_gaps: shared.input_gaps.load(Ordering::Relaxed),
            device_xruns: shared.device_xruns.load(Ordering::Relaxed),
            clipped: shared.clipped.load(Ordering::Relaxed),
            buffer_fill: shared.filled.load(Ordering::Relaxed) as f64 / self.capacity as f64,
            latency: self.latency(),
            paused: shared.paused.load(Ordering::Relaxed),
            done: done.load(Ordering::Acquire),
        }
    }

    /// Largest magnitude given to the device since the last call.
    pub fn take_peak(&self) -> f32 {
        f32::from_bits(self.shared.peak.swap(0, Ordering::Relaxed))
    }

    /// When the stream was started: what `first_sound` counts from.
    pub fn epoch(&self) -> Instant {
        self.shared.epoch
    }

    fn latency(&self) -> Duration {
        Duration::from_nanos(self.shared.latency_ns.load(Ordering::Relaxed))
    }

    /// Looks after the device; to be called several times a second.
    ///
    /// # Errors
    /// `Error::Device` once it has failed, or has asked for nothing for 3 seconds.
    pub fn check(&mut self) -> Result<()> {
        let gone = |found: String| {
            let fault = Fault::new(format!("sound device {:?}", self.device), found);
            Err(Error::Device(fault.remedy("see `audiodiff devices` for what is there")))
        };
        let callbacks = self.shared.callbacks.load(Ordering::Relaxed);
        if self.shared.troubled.load(Ordering::Acquire) {
            if callbacks > self.shared.troubled_at.load(Ordering::Relaxed) {
                self.shared.troubled.store(false, Ordering::Release);
            } else if self.seen.1.elapsed() > TROUBLED {
                self.shared.failed.store(true, Ordering::Release);
            }
        }
        if self.shared.failed.load(Ordering::Acquire) {
            let reason = self.shared.reason.lock().ok().and_then(|reason| reason.clone());
            return gone(format!("failed while playing: {}", reason.as_deref().unwrap_or("no reason given")));
        }
        if callbacks != self.seen.0 {
            self.seen = (callbacks, Instant::now());
        } else if self.stream.is_some() && self.seen.1.elapsed() > STALLED {
            self.shared.failed.store(true, Ordering::Release);
            return gone(format!("has asked for no sound for {} s", STALLED.as_secs()));
        }
        Ok(())
    }

    /// Waits until what was given to the device has been heard, then closes it. To be called once `done` is true.
    pub fn close(mut self) {
        // A driver that reports nonsense must not keep us here.
        thread::sleep(self.latency().min(Duration::from_secs(3)));
        if let Some(stream) = self.stream.take() {
            stream.close();
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(stream) = self.stream.take() {
            stream.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;
    const SETTINGS: PlayerSettings = PlayerSettings { channels: 1, sample_rate: RATE, volume: 1.0, cushion_s: 0.0 };
    const PERIOD: usize = 480;

    fn detached(settings: PlayerSettings) -> (Player, Feed, Feeder) {
        Player::detached(RATE, settings).unwrap()
    }

    fn pull(feeder: &mut Feeder, periods: usize) -> Vec<f32> {
        let mut all = Vec::new();
        for _ in 0..periods {
            let mut output = [f32::NAN; PERIOD];
            feeder.fill(&mut output);
            all.extend(output);
        }
        all
    }

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|n| (n % 1000) as f32 / 2000.0 + 0.1).collect()
    }

    /// The largest jump between neighbours, and from and to silence.
    fn largest_jump(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    fn mono(samples: impl AsRef<[f32]>) -> Sound {
        Sound::mono(samples.as_ref().to_vec(), RATE)
    }

    #[test]
    fn sound_goes_through_whole_and_in_order() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        assert!(pull(&mut feeder, 3).iter().all(|&sample| sample == 0.0), "silent before the first chunk");
        let sound = ramp(10_001);
        assert_eq!(feed.push(&mono(&sound), || true).unwrap(), Pushed::All);
        feed.end(|| true).unwrap();
        let heard = pull(&mut feeder, 22);
        assert_eq!(heard[..sound.len()], sound);
        assert!(heard[sound.len()..].iter().all(|&sample| sample == 0.0));
        let status = player.status();
        assert_eq!((status.underruns, status.done), (0, true));
        assert!((status.played_s - 10_001.0 / 48_000.0).abs() < 1e-9);
        assert!(status.first_sound.is_some());
    }

    #[test]
    fn it_is_resampled_to_the_devices_rate() {
        let (_player, mut feed, mut feeder) = detached(PlayerSettings { channels: 1, sample_rate: 24_000, ..SETTINGS });
        let sound = ramp(6000);
        for chunk in sound.chunks(777) {
            feed.push(&mono(chunk), || true).unwrap();
        }
        feed.end(|| true).unwrap();
        let heard = pull(&mut feeder, 26);
        assert_eq!(heard[..12_000], super::super::resample(&sound, 24_000, RATE).unwrap());
    }

    /// The heart of it: a chunk that comes late is a gap with soft edges, counted once, and nothing is lost.
    #[test]
    fn an_underrun_is_counted_and_faded() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        let sound = vec![0.5; 4800];
        feed.push(&mono(&sound), || true).unwrap();
        let first = pull(&mut feeder, 20);
        assert_eq!(player.status().underruns, 1);
        feed.push(&mono(&sound), || true).unwrap();
        feed.end(|| true).unwrap();
        let second = pull(&mut feeder, 40);
        assert_eq!(player.status().underruns, 1);
        // 5 ms from 0.5 to 0 in 240 steps.
        let whole: Vec<f32> = first.iter().chain(&second).copied().collect();
        let start = whole.iter().position(|&sample| sample != 0.0).unwrap();
        let end = whole.iter().rposition(|&sample| sample != 0.0).unwrap();
        assert!(largest_jump(&whole[start..=end]) <= 0.5 / 240.0 + 1e-6);
        assert_eq!(player.status().played_s, 9600.0 / 48_000.0);
        let loud = whole.iter().filter(|&&sample| sample == 0.5).count();
        // All but the two fades.
        assert!((9600 - 481..=9600).contains(&loud), "{loud}");
    }

    #[test]
    fn a_gap_of_the_input_is_not_our_underrun() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        feed.waiting_flag().set(true);
        feed.push(&mono([0.5; 4800]), || true).unwrap();
        pull(&mut feeder, 20);
        assert_eq!((player.status().underruns, player.status().input_gaps), (0, 1));
    }

    #[test]
    fn pause_fades_and_keeps_the_place() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        feed.push(&mono(vec![0.5; 48_000]), || true).unwrap();
        let mut heard = pull(&mut feeder, 5);
        player.set_paused(true);
        heard.extend(pull(&mut feeder, 50));
        assert!(heard[heard.len() - PERIOD..].iter().all(|&sample| sample == 0.0));
        let paused_at = player.status().played_s;
        player.set_paused(false);
        heard.extend(pull(&mut feeder, 5));
        assert!(largest_jump(&heard) <= 0.5 / 480.0 + 1e-6, "10 ms of 48 kHz are 480 steps");
        assert!((player.status().played_s - paused_at - 5.0 * 480.0 / 48_000.0).abs() < 1e-9);
        assert_eq!(player.status().underruns, 0);
    }

    #[test]
    fn stop_fades_within_ten_milliseconds() {
        let (player, mut feed, mut feeder) = detached(PlayerSettings { volume: 0.8, ..SETTINGS });
        feed.push(&mono(vec![0.5; 48_000]), || true).unwrap();
        pull(&mut feeder, 5);
        player.stop();
        let last = pull(&mut feeder, 3);
        assert!((last[0] - 0.4).abs() < 0.01 && largest_jump(&last) <= 0.4 / 480.0 + 1e-6);
        assert!(last[481..].iter().all(|&sample| sample == 0.0));
        assert!(player.status().done);
        // A renderer that waits for room comes back.
        assert_eq!(feed.push(&mono(vec![0.5; 480_000]), || true).unwrap(), Pushed::Interrupted);
    }

    /// Devices ask for blocks of any size.
    const BLOCKS: [usize; 7] = [64, 128, 256, 441, 480, 1024, 2048];

    fn pull_blocks(feeder: &mut Feeder, block: usize, samples: usize) -> Vec<f32> {
        let mut all = Vec::new();
        while all.len() < samples {
            let mut output = vec![f32::NAN; block];
            feeder.fill(&mut output);
            all.extend(output);
        }
        all
    }

    #[test]
    fn pause_takes_ten_milliseconds_and_loses_nothing_in_blocks_of_any_size() {
        for block in BLOCKS {
            let (player, mut feed, mut feeder) = detached(SETTINGS);
            // Each sample tells its number.
            let sound: Vec<f32> = (0..96_000).map(|n| 0.25 + n as f32 / 524_288.0).collect();
            feed.push(&mono(&sound), || true).unwrap();
            let before = pull_blocks(&mut feeder, block, 4800);
            player.set_paused(true);
            let pause = pull_blocks(&mut feeder, block, 9600);
            assert_eq!(pause.iter().rposition(|&sample| sample != 0.0), Some(478), "blocks of {block}: 480 steps to 0");
            assert!(largest_jump(&pause) < 0.3 / 480.0 * 1.1, "blocks of {block}");
            player.set_paused(false);
            let after = pull_blocks(&mut feeder, block, 4800);
            let resumed = before.len() + 480;
            assert_eq!(after[479..], sound[resumed + 479..resumed + after.len()], "blocks of {block}");
            assert!((after[0] - sound[resumed] / 480.0).abs() < 1e-6, "blocks of {block}");
        }
    }

    #[test]
    fn volume_changes_and_stops_take_ten_milliseconds_in_blocks_of_any_size() {
        for block in BLOCKS {
            let (player, mut feed, mut feeder) = detached(SETTINGS);
            feed.push(&mono(vec![0.5; 96_000]), || true).unwrap();
            pull_blocks(&mut feeder, block, 4800);
            player.set_volume(0.2);
            let quieter = pull_blocks(&mut feeder, block, 4800);
            assert_eq!(quieter.iter().position(|&sample| sample == 0.1), Some(479), "blocks of {block}");
            player.stop();
            let stopped = pull_blocks(&mut feeder, block, 4800);
            assert_eq!(stopped.iter().position(|&sample| sample == 0.0), Some(479), "blocks of {block}");
            assert!(player.status().done);
        }
    }

    /// A ring that runs empty is faded over the whole 5 ms, however short the device's blocks are.
    #[test]
    fn an_underrun_is_faded_in_blocks_of_any_size() {
        for block in BLOCKS {
            let (player, mut feed, mut feeder) = detached(SETTINGS);
            feed.push(&mono([0.5; 4800]), || true).unwrap();
            let heard = pull_blocks(&mut feeder, block, 9600);
            assert_eq!(heard.iter().filter(|&&sample| sample == 0.5).count(), 4800 - 240, "blocks of {block}");
            let fade = &heard[heard.iter().position(|&sample| sample == 0.5).unwrap()..];
            assert!(largest_jump(fade) <= 0.5 / 240.0 + 1e-6, "blocks of {block}");
            assert_eq!((player.status().underruns, player.status().played_s), (1, 0.1), "blocks of {block}");
        }
    }

    #[test]
    fn what_is_pushed_may_change_its_rate() {
        let (_player, mut feed, mut feeder) = detached(SETTINGS);
        let sound = ramp(4800);
        feed.push(&mono(&sound), || true).unwrap();
        feed.set_sample_rate(24_000, || true).unwrap();
        feed.push(&mono(&sound), || true).unwrap();
        feed.set_sample_rate(RATE, || true).unwrap();
        feed.push(&mono(&sound), || true).unwrap();
        feed.end(|| true).unwrap();
        let heard = pull(&mut feeder, 41);
        let slower = super::super::resample(&sound, 24_000, RATE).unwrap();
        assert_eq!(heard[..19_200], [&sound[..], &slower, &sound].concat());
    }

    #[test]
    fn stop_before_the_first_sound_is_done_at_once() {
        let (player, _feed, mut feeder) = detached(SETTINGS);
        player.stop();
        pull(&mut feeder, 1);
        assert!(player.status().done);
    }

    #[test]
    fn volume_glides() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        feed.push(&mono(vec![0.5; 48_000]), || true).unwrap();
        let mut heard = pull(&mut feeder, 2);
        player.set_volume(0.25);
        heard.extend(pull(&mut feeder, 3));
        assert_eq!(*heard.last().unwrap(), 0.125);
        assert!(largest_jump(&heard) <= 0.5 / 480.0 + 1e-6);
        assert_eq!(player.take_peak(), 0.5);
        assert_eq!(player.take_peak(), 0.0);
    }

    #[test]
    fn restart_drops_what_was_ahead() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        feed.push(&mono(vec![0.5; 48_000]), || true).unwrap();
        pull(&mut feeder, 5);
        // The callback runs on another thread while the feed waits for it.
        let callback = thread::spawn(move || {
            let mut heard = Vec::new();
            while heard.last().is_none_or(|&sample| sample >= 0.0) {
                heard.extend(pull(&mut feeder, 1));
                thread::sleep(Duration::from_millis(1));
            }
            heard
        });
        feed.restart(12.5).unwrap();
        feed.push(&mono(vec![-0.25; 4800]), || true).unwrap();
        let heard = callback.join().unwrap();
        let turn = heard.iter().position(|&sample| sample < 0.0).unwrap();
        assert!(heard[turn..].iter().all(|&sample| sample <= 0.0), "nothing of the old sound after the new began");
        assert_eq!(*heard.last().unwrap(), -0.25);
        assert_eq!(player.status().position_s, 12.5 + 480.0 / 48_000.0, "one period of the new sound");
        assert_eq!(player.status().underruns, 0);
    }

    #[test]
    fn the_cushion_comes_first() {
        let (_player, mut feed, mut feeder) = detached(PlayerSettings { cushion_s: 0.05, ..SETTINGS });
        feed.push(&mono(vec![0.5; 48_000]), || true).unwrap();
        let heard = pull(&mut feeder, 10);
        assert_eq!(heard.iter().position(|&sample| sample != 0.0), Some(2400));
    }

    #[test]
    fn a_failed_device_is_an_error_and_frees_the_renderer() {
        let (mut player, mut feed, feeder) = detached(SETTINGS);
        assert!(player.check().is_ok());
        feeder.reporter().gone(|| "unplugged".into());
        let text = player.check().unwrap_err().to_string();
        assert!(text.contains("unplugged"), "{text}");
        assert_eq!(feed.push(&mono(vec![0.0; 480_000]), || true).unwrap(), Pushed::Interrupted);
    }

    /// An error that is followed by a request for sound was none.
    #[test]
    fn trouble_may_pass() {
        let (mut player, _feed, mut feeder) = detached(SETTINGS);
        feeder.reporter().trouble(|| "no time yet".into());
        assert!(player.check().is_ok());
        pull(&mut feeder, 1);
        thread::sleep(TROUBLED + Duration::from_millis(20));
        assert!(player.check().is_ok(), "it asked for sound");
        feeder.reporter().trouble(|| "connection lost".into());
        assert!(player.check().is_ok());
        thread::sleep(TROUBLED + Duration::from_millis(20));
        assert!(player.check().unwrap_err().to_string().contains("connection lost"));
    }

    #[test]
    fn the_ring_blocks_until_there_is_room() {
        let (player, mut feed, mut feeder) = detached(SETTINGS);
        let sound = ramp(RATE as usize * 4);
        let expected = sound.clone();
        let renderer = thread::spawn(move || {
            feed.push(&mono(&sound), || true).unwrap();
            feed.end(|| true).unwrap();
        });
        let mut heard = Vec::new();
        while !player.status().done {
            // A device at a hundred times its speed: the ring is refilled every 3 ms.
            let mut output = [0.0; PERIOD];
            if feeder.ring.slots() >= PERIOD + feeder.fade || feeder.shared.ended.load(Ordering::Acquire) {
                feeder.fill(&mut output);
                heard.extend(output);
            }
        }
        renderer.join().unwrap();
        assert!(heard[..expected.len()] == expected);
        assert_eq!(player.status().underruns, 0);
    }

    /// Both channels come through together, a mono file is in both, and nothing moves from one to the other.
    #[test]
    fn two_channels_stay_two() {
        let settings = PlayerSettings { channels: 2, ..SETTINGS };
        let (player, mut feed, mut feeder) = Player::detached(RATE, settings).unwrap();
        let ramp = |n: usize, scale: f32| (0..n).map(|i| scale * i as f32 / n as f32).collect::<Vec<_>>();
        let stereo = Sound { rate: RATE, channels: vec![ramp(999, 0.5), ramp(999, -0.25)] };
        feed.push(&stereo, || true).unwrap();
        feed.push(&mono(ramp(501, 0.125)), || true).unwrap();
        feed.end(|| true).unwrap();
        let mut heard = vec![];
        while heard.len() < 2 * 1500 {
            // Blocks that are no part of what was pushed.
            let mut block = [9.0; 2 * 250];
            feeder.fill(&mut block);
            heard.extend(block);
        }
        let plane = |channel: usize| heard.iter().skip(channel).step_by(2).copied().collect::<Vec<f32>>();
        let expected = |channel: usize| [&stereo.channels[channel][..], &ramp(501, 0.125)].concat();
        assert!(plane(0) == expected(0) && plane(1) == expected(1));
        assert!((player.status().played_s - 1500.0 / f64::from(RATE)).abs() < 1e-9);
    }
}
