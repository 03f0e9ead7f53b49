//! The power spectra of a recording at a resolution of about 23 Hz, and the levels that each bin reaches.

use super::{frame_cutter::FrameCutter, level_histogram::LevelHistogram};
use crate::dsp::stft::{Edge, FrameBuffers, Stft};

/// Share of the moments below the level that the loud ones reach.
const LOUD_MOMENTS: f64 = 0.95;

pub(super) struct SpectralFrames {
    stft: Stft,
    buffers: FrameBuffers,
    cutter: FrameCutter,
    powers: Vec<f32>,
    pub levels: LevelHistogram,
    pub bin_hz: f64,
}

impl SpectralFrames {
    pub fn new(sample_rate: u32) -> Self {
        let n_fft = (f64::from(sample_rate) / 23.5).ceil() as usize;
        let n_fft = n_fft.next_power_of_two();
        let stft = Stft::new(n_fft, n_fft / 2);
        Self {
            buffers: stft.buffers(),
            cutter: FrameCutter::new(n_fft, n_fft / 2),
            powers: vec![0.0; stft.bins()],
            levels: LevelHistogram::new(stft.bins()),
            bin_hz: f64::from(sample_rate) / n_fft as f64,
            stft,
        }
    }

    /// Takes the next samples; `seen` is shown the powers `[F]` of each frame that they complete.
    pub fn push(&mut self, mut samples: &[f32], mut seen: impl FnMut(&[f32])) {
        while self.cutter.fill(&mut samples) {
            self.frame(&mut seen);
            self.cutter.advance();
        }
    }

    /// Takes what is left as a frame, where there was none.
    pub fn finish(&mut self, mut seen: impl FnMut(&[f32])) {
        if self.levels.moments() == 0 {
            self.frame(&mut seen);
        }
    }

    fn frame(&mut self, seen: &mut impl FnMut(&[f32])) {
        self.stft.analyse(self.cutter.frame(), 0, Edge::Zero, &mut self.buffers);
        // A full-scale sine comes to n_fft / 4.
        let scale = (4.0 / self.stft.n_fft() as f32).powi(2);
        for (power, s) in self.powers.iter_mut().zip(&self.buffers.spectrum) {
            *power = s.norm_sqr() * scale;
        }
        self.levels.push(self.powers.iter().map(|power| 10.0 * (power + 1e-18).log10()));
        seen(&self.powers);
    }

    /// dB of each bin in the loud moments.
    pub fn loud(&self) -> Vec<f32> {
        self.levels.percentile(LOUD_MOMENTS)
    }
}
