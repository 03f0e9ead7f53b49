//! Sound to a device while it is still being rendered.
//!
//! Two halves with a lock-free ring between them. The [`Feed`] belongs to the rendering thread: it resamples to the
//! device's rate and waits while the ring is full. The [`Feeder`] belongs to the device's callback, which never
//! allocates, locks, logs or blocks: it takes samples from a ring that was allocated beforehand and counts in atomics.
//! The [`Player`] belongs to whoever holds the keys: volume, pause, stop, what was played.

mod feed;
mod feeder;
mod shared;

pub use feed::{Feed, Pushed, WaitingFlag};
pub use feeder::{Feeder, Reporter};

use super::device::{OpenStream, OutputDevice};
use crate::{Error, Fault, Result};
use rtrb::RingBuffer;
use shared::Shared;
use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

/// Seconds of sound that may lie between rendering and device. Two chunks of the default layout, when they are long, and a half.
const RING_S: f64 = 5.2;

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
    use crate::sound::Sound;

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
