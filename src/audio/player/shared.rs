//! What the rendering thread, the device's callback and the keys share.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
    },
    time::Instant,
};

/// What both sides and the keys share. Plain counters and flags; no value depends on the order of two of them, except
/// `ended`, which is set after the last sample is in the ring.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) epoch: Instant,
    pub(super) rate: u32,
    pub(super) volume: AtomicU32,
    pub(super) paused: AtomicBool,
    pub(super) stopping: AtomicBool,
    pub(super) flush: AtomicBool,
    pub(super) ended: AtomicBool,
    pub(super) waiting_for_input: AtomicBool,
    /// Set by the feeder: nothing of the sound is left to give.
    pub(super) drained: AtomicBool,
    /// Set by the feeder: the fade of a stop is done.
    pub(super) silent: AtomicBool,
    pub(super) callbacks: AtomicU64,
    /// Samples given to the device, in all and since the last restart.
    pub(super) played: AtomicU64,
    pub(super) played_here: AtomicU64,
    /// Bits of an f64: where in the sound the last restart began, in seconds.
    pub(super) base_s: AtomicU64,
    pub(super) underruns: AtomicU64,
    pub(super) input_gaps: AtomicU64,
    pub(super) device_xruns: AtomicU64,
    pub(super) clipped: AtomicU64,
    /// Nanoseconds from `epoch` to the callback that took the first sample, plus one; 0 before.
    pub(super) first_sound_ns: AtomicU64,
    /// Nanoseconds from a callback to the moment when what it gave is heard.
    pub(super) latency_ns: AtomicU64,
    /// Bits of an f32: largest magnitude since the meter was read.
    pub(super) peak: AtomicU32,
    pub(super) filled: AtomicUsize,
    /// The device reported an error and has not asked for sound since.
    pub(super) troubled: AtomicBool,
    /// The callback counter when it did.
    pub(super) troubled_at: AtomicU64,
    /// The stream is broken for good.
    pub(super) failed: AtomicBool,
    /// Written by the device's error callback, where no sound is made.
    pub(super) reason: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(rate: u32, volume: f32) -> Self {
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

    pub(super) fn seconds(&self, samples: u64) -> f64 {
        samples as f64 / f64::from(self.rate)
    }
}
