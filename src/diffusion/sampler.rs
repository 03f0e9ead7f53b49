//! The steps from noise to waveform, for one window.

use super::{Envelope, Grid, Network, Noise, Projection};
use crate::{Error, Fault, Result, dsp::stft::Stft};
use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

/// How much work goes into a second of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SamplerSettings {
    /// Network evaluations, 1 to 64. The times are t = 0, 1/steps, 2/steps ...
    pub steps: usize,
    /// Projection iterations in each step but the last.
    pub iterations: usize,
    /// Projection iterations in the last step.
    pub final_iterations: usize,
    pub seed: u64,
}

impl SamplerSettings {
    pub const MAX_STEPS: usize = 64;
    pub const MAX_ITERATIONS: usize = 1000;

    /// # Errors
    /// [`Error::Settings`] names the setting that is out of range.
    pub fn validated(self) -> Result<Self> {
        let fault = |name: &str, found: usize, range: String| {
            Err(Error::Settings(Fault::new(name, found.to_string()).expected(range)))
        };
        if !(1..=Self::MAX_STEPS).contains(&self.steps) {
            return fault("steps", self.steps, format!("1 to {}", Self::MAX_STEPS));
        }
        for (name, found) in [("iterations", self.iterations), ("final iterations", self.final_iterations)] {
            if found > Self::MAX_ITERATIONS {
                return fault(name, found, format!("0 to {}", Self::MAX_ITERATIONS));
            }
        }
        Ok(self)
    }
}

/// Where a waveform stands in its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The point of the path that the network was shown, x_t.
    Noisy,
    /// The network's estimate of x1.
    Estimate,
    /// The estimate after the projection.
    Projected,
}

/// Looks at the trajectory while it is made.
pub trait Observer {
    /// `step` counts from 0, `t` is the time that the network was told, `x` is [n].
    fn see(&mut self, step: usize, t: f32, stage: Stage, x: &[f32]);
}

/// Nobody looks.
pub struct Silent;

impl Observer for Silent {
    fn see(&mut self, _: usize, _: f32, _: Stage, _: &[f32]) {}
}

/// The noise end of the path is this much quieter than the envelope says; the network was trained so.
const PRIOR_GAIN: f32 = 0.9;

/// The constants of sampling on one grid.
pub(super) struct Sampler {
    pub envelope: Envelope,
    stft: Stft,
}

/// What is known of one window before the first step.
pub(super) struct Window<'a, C> {
    pub condition: C,
    /// [T', K]
    pub envelope: Vec<f32>,
    pub projection: Projection<'a>,
    /// Absolute denoiser frame of the window's first.
    pub first_frame: u64,
    /// Audio samples.
    pub n: usize,
}

impl Sampler {
    pub fn new(envelope: Envelope, grid: Grid) -> Self {
        Self { envelope, stft: Stft::new(grid.n_fft, grid.hop) }
    }

    /// -> [n]
    pub fn sample<N: Network>(
        &self,
        network: &N,
        window: &Window<N::Condition>,
        noise: &impl Noise,
        settings: &SamplerSettings,
        observer: &mut impl Observer,
    ) -> Result<Vec<f32>> {
        let time = |step: usize| step as f32 / settings.steps as f32;
        let mut x = self.prior(window, noise, 0);
        for step in 0..settings.steps {
            let t = time(step);
            observer.see(step, t, Stage::Noisy, &x);
            let whitened = self.whiten(&x, &window.envelope);
            let estimate = network.denoise(&whitened, &window.condition, t)?;
            x = self.colour(&estimate, &window.envelope, window.n);
            observer.see(step, t, Stage::Estimate, &x);
            let last = step + 1 == settings.steps;
            let iterations = if last { settings.final_iterations } else { settings.iterations };
            window.projection.project(&mut x, network.blend(t), iterations, network.threads());
            observer.see(step, t, Stage::Projected, &x);
            if !last {
                let next = time(step + 1);
                for (x, z) in x.iter_mut().zip(self.prior(window, noise, step + 1)) {
                    *x = (1.0 - next) * z + next * *x;
                }
            }
        }
        Ok(x)
    }

    /// Gaussian noise shaped by the envelope: [n].
    fn prior<C>(&self, window: &Window<C>, noise: &impl Noise, step: usize) -> Vec<f32> {
        let bins = self.stft.bins();
        let mut spectrum = vec![Complex32::ZERO; window.envelope.len()];
        let mut row = vec![0.0; 2 * bins];
        for (t, (s, e)) in spectrum.chunks_exact_mut(bins).zip(window.envelope.chunks_exact(bins)).enumerate() {
            noise.fill(step, window.first_frame + t as u64, &mut row);
            for ((s, e), z) in s.iter_mut().zip(e).zip(row.chunks_exact(2)) {
                *s = Complex32::new(z[0], z[1]) * (e * PRIOR_GAIN);
            }
        }
        self.stft.inverse(&spectrum, window.n)
    }

    /// [n] -> [T', 2K]
    fn whiten(&self, x: &[f32], envelope: &[f32]) -> Vec<f32> {
        let bins = self.stft.bins();
        let mut out = vec![0.0; 2 * envelope.len()];
        let mut buffers = self.stft.buffers();
        for (t, (row, e)) in out.chunks_exact_mut(2 * bins).zip(envelope.chunks_exact(bins)).enumerate() {
            self.stft.analyse(x, self.stft.centred_start(t), crate::dsp::stft::Edge::Reflect, &mut buffers);
            let (re, im) = row.split_at_mut(bins);
            for (((re, im), s), e) in re.iter_mut().zip(im).zip(&buffers.spectrum).zip(e) {
                let scale = 1.0 / e;
                *re = s.re * scale;
                *im = s.im * scale;
            }
        }
        out
    }

    /// [T', 2K] -> [n]
    fn colour(&self, whitened: &[f32], envelope: &[f32], n: usize) -> Vec<f32> {
        let bins = self.stft.bins();
        let mut spectrum = Vec::with_capacity(envelope.len());
        for (row, e) in whitened.chunks_exact(2 * bins).zip(envelope.chunks_exact(bins)) {
            let (re, im) = row.split_at(bins);
            spectrum.extend(re.iter().zip(im).zip(e).map(|((re, im), e)| Complex32::new(re * e, im * e)));
        }
        self.stft.inverse(&spectrum, n)
    }
}
