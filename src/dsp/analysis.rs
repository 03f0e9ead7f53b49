//! The forward transform of one frame in double precision, for mel analysis.
//!
//! A single-precision FFT of a loud frame has an error of 1e-7 of its largest bin, which is 1e-4 in the logarithm of a
//! quiet band: as much as two programs may differ. Analysis is the cheap end of the way, so it is exact instead.

use super::stft::{Edge, sample_at};
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex64;
use std::sync::Arc;

/// A plan, its Hann window of `win_length` samples in the middle of `n_fft`, and its buffers.
pub struct Analysis {
    window: Vec<f64>,
    plan: Arc<dyn RealToComplex<f64>>,
    samples: Vec<f64>,
    spectrum: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

impl Analysis {
    /// The window is periodic, or `symmetric`: then its last sample is its first.
    pub fn new(n_fft: usize, win_length: usize, symmetric: bool) -> Self {
        let plan = RealFftPlanner::new().plan_fft_forward(n_fft);
        let mut window = vec![0.0; n_fft];
        let left = (n_fft - win_length) / 2;
        let period = if symmetric { win_length - 1 } else { win_length };
        for (i, w) in window[left..left + win_length].iter_mut().enumerate() {
            *w = 0.5 - 0.5 * (2.0 * std::f64::consts::PI * i as f64 / period as f64).cos();
        }
        Self {
            window,
            samples: plan.make_input_vec(),
            spectrum: plan.make_output_vec(),
            scratch: plan.make_scratch_vec(),
            plan,
        }
    }

    /// The window's Euclidean norm.
    pub fn window_norm(&self) -> f64 {
        self.window.iter().map(|w| w * w).sum::<f64>().sqrt()
    }

    /// The transform of the samples from `start` (which may lie before the signal) on: `[n]` -> `[F]`.
    pub fn frame(&mut self, audio: &[f32], start: isize, edge: Edge) -> &[Complex64] {
        for ((x, w), i) in self.samples.iter_mut().zip(&self.window).zip(start..) {
            *x = w * f64::from(sample_at(audio, i, edge));
        }
        self.plan
            .process_with_scratch(&mut self.samples, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers are of the plan's sizes");
        &self.spectrum
    }
}
