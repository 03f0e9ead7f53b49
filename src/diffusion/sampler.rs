//! The steps from noise to waveform, for one window.

use super::{Envelope, Grid, Network, Noise, Projection, Start};
use crate::{
    Error, Fault, Result,
    dsp::{
        stft::{Edge, FRAMES_A_SHARE, Stft},
        threads::Threads,
    },
};
use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

/// How much work goes into a second of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SamplerSettings {
    /// Projection iterations of the start, the first waveform that is made before the network is asked; see [`Start`]. 0: no
    /// start, the network begins with the noise itself.
    pub start_iterations: usize,
    /// Network evaluations, 1 to 64, at the times that [`SamplerSettings::time`] gives; 0 after a start, whose waveform is the
    /// sound then, once it was projected. Of several channels each takes one step all the same.
    pub steps: usize,
    /// Projection iterations in each step but the last.
    pub iterations: usize,
    /// Projection iterations in the last step, or of a start that no step follows.
    pub final_iterations: usize,
    pub seed: u64,
}

impl SamplerSettings {
    pub const MAX_STEPS: usize = 64;
    pub const MAX_ITERATIONS: usize = 1000;

    /// The start, where there is one, and the steps.
    pub fn turns(&self) -> usize {
        usize::from(self.start_iterations > 0) + self.steps
    }

    /// Whether `turn`, counted from 0, is a step and not the start.
    pub fn asks_network(&self, turn: usize) -> bool {
        turn > 0 || self.start_iterations == 0
    }

    /// Whether `turn` is a start whose phases are integrated.
    pub fn integrates(&self, turn: usize, start: Start) -> bool {
        !self.asks_network(turn) && start == Start::PhaseGradient
    }

    /// The time of `turn`. From noise the path has equal parts: 0, 1/steps, 2/steps and so on. The waveform that a start makes
    /// knows more than noise: from it the steps stand in the middles of equal parts of what is left after `entry`.
    pub fn time(&self, turn: usize, entry: f32) -> f32 {
        let steps = self.steps as f32;
        if self.start_iterations == 0 {
            turn as f32 / steps
        } else if turn == 0 {
            0.0
        } else {
            entry + (1.0 - entry) * (turn as f32 - 0.5) / steps
        }
    }

    /// Projection iterations in `turn`.
    pub fn iterations_of(&self, turn: usize) -> usize {
        if !self.asks_network(turn) {
            self.start_iterations
        } else if turn + 1 == self.turns() {
            self.final_iterations
        } else {
            self.iterations
        }
    }

    /// Projection iterations of the whole path.
    pub fn total_iterations(&self) -> usize {
        let after_start = if self.steps == 0 { self.final_iterations } else { 0 };
        (0..self.turns()).map(|turn| self.iterations_of(turn)).sum::<usize>() + after_start
    }

    /// # Errors
    /// [`Error::Settings`] names the setting that is out of range.
    pub fn validated(self) -> Result<Self> {
        let fault = |name: &str, found: usize, range: String| {
            Err(Error::Settings(Fault::new(name, found.to_string()).expected(range)))
        };
        if self.steps > Self::MAX_STEPS {
            return fault("steps", self.steps, format!("0 to {}", Self::MAX_STEPS));
        }
        if self.steps == 0 && self.start_iterations == 0 {
            return fault(
                "steps",
                0,
                format!("1 to {}, for without start iterations there is no sound yet", Self::MAX_STEPS),
            );
        }
        for (name, found) in [
            ("start iterations", self.start_iterations),
            ("iterations", self.iterations),
            ("final iterations", self.final_iterations),
        ] {
            if found > Self::MAX_ITERATIONS {
                return fault(name, found, format!("0 to {}", Self::MAX_ITERATIONS));
            }
        }
        Ok(self)
    }
}

impl std::fmt::Display for SamplerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { start_iterations, steps, iterations, final_iterations, .. } = self;
        if *start_iterations > 0 {
            write!(f, "a start of {start_iterations} iterations, ")?;
        }
        match steps {
            0 => write!(f, "no step, {final_iterations} more iterations"),
            1 => write!(f, "1 step with {final_iterations} iterations"),
            _ => write!(f, "{steps} steps with {iterations} iterations, {final_iterations} in the last"),
        }
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
pub trait Observer: Send {
    /// `turn` counts from 0, the start included; `t` is the time that the network was told, `x` is `[n]`. The estimate of a
    /// start is the noise itself.
    fn see(&mut self, turn: usize, t: f32, stage: Stage, x: &[f32]);
}

/// Nobody looks.
pub struct Silent;

impl Observer for Silent {
    fn see(&mut self, _: usize, _: f32, _: Stage, _: &[f32]) {}
}

/// The noise end of the path is this much quieter than the envelope says; the network was trained so.
pub(crate) const PRIOR_GAIN: f32 = 0.9;

/// The constants of sampling on one grid.
pub(super) struct Sampler {
    pub envelope: Envelope,
    stft: Stft,
}

/// What is known of one window before the first step.
pub(super) struct Window<'a, C> {
    pub condition: C,
    /// `[T', K]`
    pub envelope: Vec<f32>,
    pub projection: Projection<'a>,
    /// Absolute denoiser frame of the window's first.
    pub first_frame: u64,
    /// Audio samples.
    pub n: usize,
    /// Of the waveform that a start makes.
    pub first_phases: Start,
}

impl Sampler {
    pub fn new(envelope: Envelope, grid: Grid) -> Self {
        Self { envelope, stft: Stft::new(grid.n_fft, grid.hop) }
    }

    /// -> `[n]`
    pub fn sample<N: Network>(
        &self,
        network: &N,
        window: &Window<N::Condition>,
        noise: &impl Noise,
        settings: &SamplerSettings,
        observer: &mut impl Observer,
    ) -> Result<Vec<f32>> {
        let time = |turn: usize| settings.time(turn, network.entry());
        let threads = network.threads();
        let mut x = self.prior(window, noise, 0, threads);
        for turn in 0..settings.turns() {
            let t = time(turn);
            observer.see(turn, t, Stage::Noisy, &x);
            if settings.asks_network(turn) {
                let whitened = self.whiten(&x, &window.envelope, threads);
                let estimate = network.denoise(&whitened, &window.condition, t)?;
                x = self.colour(&estimate, &window.envelope, window.n, threads);
            }
            observer.see(turn, t, Stage::Estimate, &x);
            if settings.integrates(turn, window.first_phases) {
                window.projection.start(&mut x, settings.iterations_of(turn), threads);
            } else {
                window.projection.project(&mut x, network.blend(t), settings.iterations_of(turn), threads);
            }
            if settings.steps == 0 {
                window.projection.project(&mut x, network.blend(1.0), settings.final_iterations, threads);
            }
            observer.see(turn, t, Stage::Projected, &x);
            let next = turn + 1;
            if next < settings.turns() {
                let t = time(next);
                for (x, z) in x.iter_mut().zip(self.prior(window, noise, next, threads)) {
                    *x = (1.0 - t) * z + t * *x;
                }
            }
        }
        Ok(x)
    }

    /// Gaussian noise shaped by the envelope: `[n]`.
    fn prior<C>(&self, window: &Window<C>, noise: &impl Noise, step: usize, threads: &Threads) -> Vec<f32> {
        let (bins, first_frame) = (self.stft.bins(), window.first_frame);
        let mut spectrum = vec![Complex32::ZERO; window.envelope.len()];
        let shares = spectrum.chunks_mut(FRAMES_A_SHARE * bins).zip(window.envelope.chunks(FRAMES_A_SHARE * bins));
        threads.for_each(&mut shares.enumerate().collect::<Vec<_>>(), |(i, (spectrum, envelope))| {
            let first = first_frame + (*i * FRAMES_A_SHARE) as u64;
            let mut row = vec![0.0; 2 * bins];
            for ((frame, s), e) in (first..).zip(spectrum.chunks_exact_mut(bins)).zip(envelope.chunks_exact(bins)) {
                noise.fill(step, frame, &mut row);
                for ((s, e), z) in s.iter_mut().zip(e).zip(row.chunks_exact(2)) {
                    *s = Complex32::new(z[0], z[1]) * (e * PRIOR_GAIN);
                }
            }
        });
        self.stft.inverse_by(&spectrum, window.n, threads)
    }

    /// `[n]` -> `[T', 2K]`
    fn whiten(&self, x: &[f32], envelope: &[f32], threads: &Threads) -> Vec<f32> {
        let bins = self.stft.bins();
        let mut out = vec![0.0; 2 * envelope.len()];
        let shares = out.chunks_mut(FRAMES_A_SHARE * 2 * bins).zip(envelope.chunks(FRAMES_A_SHARE * bins));
        threads.for_each(&mut shares.enumerate().collect::<Vec<_>>(), |(i, (rows, envelope))| {
            let mut buffers = self.stft.buffers();
            let rows = rows.chunks_exact_mut(2 * bins).zip(envelope.chunks_exact(bins));
            for (t, (row, e)) in (*i * FRAMES_A_SHARE..).zip(rows) {
                self.stft.analyse(x, self.stft.centred_start(t), Edge::Reflect, &mut buffers);
                let (re, im) = row.split_at_mut(bins);
                for (((re, im), s), e) in re.iter_mut().zip(im).zip(&buffers.spectrum).zip(e) {
                    let scale = 1.0 / e;
                    *re = s.re * scale;
                    *im = s.im * scale;
                }
            }
        });
        out
    }

    /// `[T', 2K]` -> `[n]`
    fn colour(&self, whitened: &[f32], envelope: &[f32], n: usize, threads: &Threads) -> Vec<f32> {
        let bins = self.stft.bins();
        let mut spectrum = Vec::with_capacity(envelope.len());
        for (row, e) in whitened.chunks_exact(2 * bins).zip(envelope.chunks_exact(bins)) {
            let (re, im) = row.split_at(bins);
            spectrum.extend(re.iter().zip(im).zip(e).map(|((re, im), e)| Complex32::new(re * e, im * e)));
        }
        self.stft.inverse_by(&spectrum, n, threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: SamplerSettings =
        SamplerSettings { start_iterations: 0, steps: 4, iterations: 8, final_iterations: 16, seed: 0 };

    fn times(settings: SamplerSettings) -> Vec<f32> {
        (0..settings.turns()).map(|turn| settings.time(turn, 0.6)).collect()
    }

    #[test]
    fn from_noise_the_parts_are_equal() {
        assert_eq!(times(STEPS), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!((0..4).map(|turn| STEPS.iterations_of(turn)).collect::<Vec<_>>(), [8, 8, 8, 16]);
        assert!((0..4).all(|turn| STEPS.asks_network(turn)));
    }

    #[test]
    fn a_start_goes_before_the_steps_and_shortens_the_path() {
        let started = SamplerSettings { start_iterations: 32, ..STEPS };
        let near = |found: &[f32], wanted: &[f32]| {
            assert!(
                found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-6),
                "{found:?}"
            );
        };
        near(&times(started), &[0.0, 0.65, 0.75, 0.85, 0.95]);
        near(&times(SamplerSettings { steps: 1, ..started }), &[0.0, 0.8]);
        assert_eq!((0..5).map(|turn| started.iterations_of(turn)).collect::<Vec<_>>(), [32, 8, 8, 8, 16]);
        assert_eq!((0..5).map(|turn| started.asks_network(turn)).collect::<Vec<_>>(), [false, true, true, true, true]);
        assert_eq!(started.total_iterations(), 72);
    }

    #[test]
    fn a_start_may_be_all_there_is_but_nothing_may_not() {
        let alone = SamplerSettings { start_iterations: 16, steps: 0, final_iterations: 32, ..STEPS };
        assert_eq!((alone.validated().unwrap().turns(), alone.total_iterations()), (1, 48));
        assert_eq!(alone.to_string(), "a start of 16 iterations, no step, 32 more iterations");
        let nothing = SamplerSettings { steps: 0, ..STEPS }.validated().unwrap_err().to_string();
        assert!(nothing.contains("steps: 0, expected 1 to 64"), "{nothing}");
    }
}
