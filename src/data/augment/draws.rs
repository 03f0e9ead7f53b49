//! Numbers that a seed draws. Each augmentation has a stream of its own: turning one on leaves what the others draw alone.

use super::settings::Interval;
use crate::dsp::noise::normal_pair;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

pub(super) struct Draws(ChaCha8Rng);

/// Who draws. The numbers are part of what a seed means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Tempo = 1,
    Pitch,
    Mix,
    Reverb,
    Noise,
    Bandwidth,
    Gain,
    ReverbTail,
    NoiseSpectrum,
}

impl Draws {
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream as u64);
        Self(generator)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    pub fn within(&mut self, interval: Interval) -> f32 {
        interval.low + (interval.high - interval.low) * self.unit()
    }

    /// True with this probability.
    pub fn happens(&mut self, chance: f32) -> bool {
        self.unit() < chance
    }

    /// Below `count`.
    pub fn index(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// Two independent standard normal numbers.
    pub fn normals(&mut self) -> (f32, f32) {
        normal_pair(self.0.next_u32(), self.0.next_u32())
    }
}
