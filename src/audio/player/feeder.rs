//! The device's half: what its callback does. It never allocates, locks, logs or blocks.

use super::shared::Shared;
use rtrb::Consumer;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Seconds of the fade where playing stops, pauses, or starts again.
const FADE_S: f64 = 0.010;

/// Seconds of the fade at an underrun, and of the sound that is held back in the ring to have something to fade.
const UNDERRUN_FADE_S: f64 = 0.005;

/// Silence after an underrun, so that the next late chunk is not heard as well.
const CUSHION_AFTER_UNDERRUN_S: f64 = 0.050;

/// Fills the device's buffers from the ring.
pub struct Feeder {
    /// Samples of all channels, interleaved; all counts are of each channel.
    pub(super) ring: Consumer<f32>,
    channels: usize,
    pub(super) shared: Arc<Shared>,
    state: State,
    /// The volume as it is heard.
    glide: Glide,
    /// Samples of the fade at an underrun.
    pub(super) fade: usize,
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
    pub(super) fn new(ring: Consumer<f32>, channels: usize, shared: Arc<Shared>, cushion_s: f64) -> Self {
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
