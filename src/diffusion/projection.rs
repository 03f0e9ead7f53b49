//! Makes a waveform agree with a mel spectrogram.
//!
//! Target magnitude: geometric mean of the waveform's own and of the encoder's, each first corrected band by band so that
//! it has the given mel. Then fast Griffin-Lim from the waveform's own phase. It is the cheap half of a sampling step, and
//! worth more than a whole point of PESQ.
//!
//! The encoder's magnitude is a guess that no waveform has. So, every few iterations, the target is set anew: the magnitude
//! of the waveform as it has become, corrected to the mel, which alone is certain. The momentum carries magnitude and phase on,
//! and the more iterations, the nearer the waveform comes to one that has just this mel.

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

/// Power of a band's correction where the target is set anew. A bin lies under two bands, which share what is amiss: a
/// little more than the whole brings the mel nearer in fewer turns, at twice as much it diverges.
pub(crate) const EMPHASIS: f64 = 1.5;

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
    /// Iterations after which the target is set anew; 0: it stays.
    renewal: usize,
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
    /// As that of the projection; 0 in a start, which has the encoder's magnitude to the end.
    renewal: usize,
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
            plan.bands.correct(magnitude, 1.0, |m, _| mel[m], &mut scratch);
        }
        let frames = mel.frames();
        let (start, n) = (stft.centred_start(0), (frames - 1) * stft.hop());
        Self {
            griffin_lim: FastGriffinLim::new(stft, Edge::Reflect, start, frames, n, momentum, past),
            gradient: &plan.gradient,
            target: Target { bands: &plan.bands, mel: linear, n_mels, magnitude },
            renewal: 0,
        }
    }

    /// With a target that is set anew after so many iterations each.
    pub fn renewing(self, renewal: usize) -> Self {
        Self { renewal, ..self }
    }

    /// Overwrites `x` `[n]` with the waveform nearest to it (in this method's sense) that has the mel. `blend` is the weight of
    /// the waveform's own magnitude.
    pub fn project(&self, x: &mut [f32], blend: f32, iterations: usize, threads: &Threads) {
        let blended = Blended { target: &self.target, blend, renewal: self.renewal };
        self.griffin_lim.run(x, &blended, Phases::Own, iterations, threads);
    }

    /// Overwrites `x` `[n]` with a waveform of the encoder's magnitude and the phases that go with it, which keeps of `x` only
    /// what those leave open.
    pub fn start(&self, x: &mut [f32], iterations: usize, threads: &Threads) {
        let phases = Phases::Integrated(self.gradient);
        let blended = Blended { target: &self.target, blend: 0.0, renewal: 0 };
        self.griffin_lim.run(x, &blended, phases, iterations, threads);
    }
}

impl Magnitudes for Blended<'_> {
    type Scratch = BandScratch;

    fn scratch(&self) -> BandScratch {
        self.target.bands.scratch()
    }

    fn renewal(&self) -> usize {
        self.renewal
    }

    fn set(&self, i: usize, spectrum: &mut [Complex32], magnitude: &mut [f32], again: bool, scratch: &mut BandScratch) {
        for (m, s) in magnitude.iter_mut().zip(spectrum) {
            *m = (s.norm_sqr() + 1e-10).sqrt() + 1e-6;
        }
        let Target { bands, mel, n_mels, magnitude: guess } = self.target;
        let mel = &mel[i * n_mels..(i + 1) * n_mels];
        if again {
            return bands.correct(magnitude, EMPHASIS as f32, |m, _| mel[m], scratch);
        }
        bands.correct(magnitude, 1.0, |m, _| mel[m], scratch);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::extract;

    /// What a mel of a gliding tone with overtones and some noise becomes: the mean distance of the rendering's own mel from it.
    fn mel_error(renewal: usize, iterations: usize) -> f32 {
        let (convention, n) = (MelConvention::native(), 64 * 256);
        let noise = |i: usize| ((i * i % 7919) as f32 / 7919.0 - 0.5) * 0.02;
        let tone = |i: usize, k: f32| (i as f32 * 0.04 * k * (1.0 + i as f32 / 2e5)).sin() / k;
        let sound: Vec<f32> = (0..n).map(|i| 0.2 * (1..9).map(|k| tone(i, k as f32)).sum::<f32>() + noise(i)).collect();
        let mel = extract(&sound, &convention).unwrap();
        let plan = ProjectionPlan::new(&convention);
        // The guess knows nothing but the mel.
        let flat = vec![-2.0; mel.frames() * convention.bins()];
        let projection = Projection::new(&plan, &mel, &flat, 0.99, Past::default()).renewing(renewal);
        let mut x: Vec<f32> = (0..n).map(|i| noise(3 * i + 1)).collect();
        projection.start(&mut x, 16, &Threads::CALLER);
        projection.project(&mut x, 1.0, iterations, &Threads::CALLER);
        let again = extract(&x, &convention).unwrap();
        let pairs = mel.values().iter().zip(again.values());
        pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / mel.values().len() as f32
    }

    #[test]
    fn a_target_that_is_set_anew_comes_nearer_to_the_mel() {
        let (kept, renewed, longer) = (mel_error(0, 32), mel_error(4, 32), mel_error(4, 128));
        assert!(renewed < 0.7 * kept, "{renewed} renewed, {kept} kept");
        assert!(longer < 0.8 * renewed, "{longer} after 128 iterations, {renewed} after 32");
        assert!(mel_error(0, 128) > renewed, "more iterations alone do not make up for it");
    }
}
