//! The rendering thread's half: to the device's rate, and into the ring as there is room.

use super::{POLL, PlayerSettings, STALLED, shared::Shared};
use crate::{Result, audio::resample::StreamResampler, sound::Sound};
use rtrb::Producer;
use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Instant,
};

/// Takes sound of any rate on its way to the device.
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
    pub(super) fn new(ring: Producer<f32>, settings: &PlayerSettings, shared: Arc<Shared>) -> Result<Self> {
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
