//! Makes a waveform agree with a mel spectrogram.
//!
//! Target magnitude: geometric mean of the waveform's own and of the encoder's, each first corrected band by band so that
//! it has the given mel. Then fast Griffin-Lim from the waveform's own phase. It is the cheap half of a sampling step, and
//! worth more than a whole point of PESQ.

use crate::{
    dsp::{
        band_correction::{BandCorrection, BandScratch},
        banded::BandedMatrix,
        griffin_lim::{FastGriffinLim, Magnitudes, Past, Phases},
        phase_gradient::PhaseGradient,
        stft::{Edge, Stft},
        threads::Threads,
    },
    mel::{Framing, MelConvention, MelSpectrogram, filterbank::filterbank},
};
use rustfft::num_complex::Complex32;

/// The constants of the projection for one convention.
pub struct ProjectionPlan {
    stft: Stft,
    bands: BandCorrection,
    gradient: PhaseGradient,
}

impl ProjectionPlan {
    pub fn new(convention: &MelConvention) -> Self {
        debug_assert_eq!(convention.framing, Framing::Centred);
        let MelConvention { n_fft, win_length, hop, .. } = *convention;
        Self {
            stft: Stft::with_window(n_fft, win_length, hop),
            gradient: PhaseGradient::new(n_fft, win_length, hop),
            bands: BandCorrection::new(BandedMatrix::new(&filterbank(convention), convention.bins())),
        }
    }
}

/// The projection of one window.
pub struct Projection<'a> {
    griffin_lim: FastGriffinLim<'a>,
    gradient: &'a PhaseGradient,
    target: Target<'a>,
}

struct Target<'a> {
    bands: &'a BandCorrection,
    /// `[T, M]`, linear.
    mel: Vec<f32>,
    n_mels: usize,
    /// [T, F]: the encoder's magnitude, corrected.
    magnitude: Vec<f32>,
}

/// The target of one step.
struct Blended<'t> {
    target: &'t Target<'t>,
    blend: f32,
}

impl<'a> Projection<'a> {
    /// `mel` `[T, M]` in natural log, `log_magnitude` `[T, F]`. Waveforms have (T - 1) hop samples.
    pub fn new(
        plan: &'a ProjectionPlan,
        mel: &MelSpectrogram,
        log_magnitude: &[f32],
        momentum: f32,
        past: Past<'a>,
    ) -> Self {
        let (stft, n_mels) = (&plan.stft, mel.n_mels());
        let linear: Vec<f32> = mel.values().iter().map(|m| m.exp()).collect();
        let mut magnitude: Vec<f32> = log_magnitude.iter().map(|m| m.exp()).collect();
        let mut scratch = plan.bands.scratch();
        for (magnitude, mel) in magnitude.chunks_exact_mut(stft.bins()).zip(linear.chunks_exact(n_mels)) {
            plan.bands.correct(magnitude, |m, _| mel[m], &mut scratch);
        }
        let frames = mel.frames();
        let (start, n) = (stft.centred_start(0), (frames - 1) * stft.hop());
        Self {
            griffin_lim: FastGriffinLim::new(stft, Edge::Reflect, start, frames, n, momentum, past),
            gradient: &plan.gradient,
            target: Target { bands: &plan.bands, mel: linear, n_mels, magnitude },
        }
    }

    /// Overwrites `x` `[n]` with the waveform nearest to it (in this method's sense) that has the mel. `blend` is the weight of
    /// the waveform's own magnitude.
    pub fn project(&self, x: &mut [f32], blend: f32, iterations: usize, threads: &Threads) {
        self.griffin_lim.run(x, &Blended { target: &self.target, blend }, Phases::Own, iterations, threads);
    }

    /// Overwrites `x` `[n]` with a waveform of the encoder's magnitude and the phases that go with it, which keeps of `x` only
    /// what those leave open.
    pub fn start(&self, x: &mut [f32], iterations: usize, threads: &Threads) {
        let phases = Phases::Integrated(self.gradient);
        self.griffin_lim.run(x, &Blended { target: &self.target, blend: 0.0 }, phases, iterations, threads);
    }
}

impl Magnitudes for Blended<'_> {
    type Scratch = BandScratch;

    fn scratch(&self) -> BandScratch {
        self.target.bands.scratch()
    }

    fn set(&self, i: usize, spectrum: &mut [Complex32], magnitude: &mut [f32], scratch: &mut BandScratch) {
        for (m, s) in magnitude.iter_mut().zip(spectrum) {
            *m = (s.norm_sqr() + 1e-10).sqrt() + 1e-6;
        }
        let Target { bands, mel, n_mels, magnitude: guess } = self.target;
        let mel = &mel[i * n_mels..(i + 1) * n_mels];
        bands.correct(magnitude, |m, _| mel[m], scratch);
        let bins = magnitude.len();
        for (own, target) in magnitude.iter_mut().zip(&guess[i * bins..(i + 1) * bins]) {
            *own = if self.blend == 0.5 {
                (*own * target).sqrt()
            } else {
                own.powf(self.blend) * target.powf(1.0 - self.blend)
            };
        }
    }
}
