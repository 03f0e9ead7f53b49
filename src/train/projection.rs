//! `diffusion::Projection` for batches, with gradients: what few-step training unrolls.

use super::{acoustics::Acoustics, spectra::power};
use crate::{
    Error, Result,
    diffusion::EMPHASIS,
    dsp::{griffin_lim::renews, threads::Threads},
};
use tch::{Device, Tensor};

/// Share of the target magnitude below which a bin's phase no longer steers the gradient. A phase is a division by the
/// bin's own magnitude: without a limit a few bins near zero make gradients hundreds of times too large.
const SOFTNESS: f64 = 0.03;

pub struct BatchProjection<'a> {
    acoustics: &'a Acoustics,
    /// `[B, T, M]`, linear.
    mel: Tensor,
    /// [B, T, F]: the encoder's magnitude, corrected.
    target: Tensor,
    /// momentum / (1 + momentum) of fast Griffin-Lim.
    inertia: f64,
    /// Iterations after which the magnitudes are set anew; 0: they stay.
    renewal: usize,
}

impl<'a> BatchProjection<'a> {
    /// `mel` `[B, T, M]` and `log_magnitude` `[B, T, F]` in natural log.
    pub fn new(acoustics: &'a Acoustics, mel: &Tensor, log_magnitude: &Tensor, momentum: f32, renewal: usize) -> Self {
        let momentum = f64::from(momentum);
        let mel = mel.exp();
        let target = corrected(acoustics, &mel, &log_magnitude.exp(), 1.0);
        Self { acoustics, mel, target, inertia: momentum / (1.0 + momentum), renewal }
    }

    /// `[B, n]` -> `[B, n]` with the magnitudes that the mel asks for. With `softened` phases near zero magnitude are shortened,
    /// so that the result is meant for a gradient and not to be heard.
    pub fn project(&self, x: &Tensor, blend: f32, iterations: usize, softened: bool) -> Tensor {
        let stft = &self.acoustics.mel_stft;
        let spectrum = stft.forward(x);
        let own = corrected(self.acoustics, &self.mel, &own_magnitude(&spectrum), 1.0);
        let magnitude = (own.log() * f64::from(blend) + self.target.log() * f64::from(1.0 - blend)).exp();
        self.iterated(&spectrum, magnitude, iterations, self.renewal, softened)
    }

    /// `[B, n]` -> `[B, n]` of the encoder's magnitude with phases by integration, as the sampler starts; without gradients.
    ///
    /// # Errors
    /// [`Error::Backend`] where libtorch cannot compute it.
    pub fn start(&self, x: &Tensor, iterations: usize) -> Result<Tensor> {
        let stft = &self.acoustics.mel_stft;
        let (phase, size) = (stft.forward(x).angle(), self.target.size());
        let numbers = |x: &Tensor| {
            let flat = x.to_device(Device::Cpu).contiguous().view(-1);
            Vec::<f32>::try_from(&flat).map_err(Error::torch("reading spectra"))
        };
        let (magnitude, mut phase) = (numbers(&self.target)?, numbers(&phase)?);
        let window = (size[1] * size[2]) as usize;
        for (magnitude, phase) in magnitude.chunks_exact(window).zip(phase.chunks_exact_mut(window)) {
            self.acoustics.gradient.integrate(magnitude, phase, 0, &Threads::CALLER);
        }
        let phase = Tensor::from_slice(&phase).view(size.as_slice()).to_device(x.device());
        let spectrum = Tensor::polar(&self.target, &phase);
        Ok(self.iterated(&spectrum, self.target.shallow_clone(), iterations, 0, false))
    }

    /// Fast Griffin-Lim from the phases of `spectrum` `[B, T, F]`, its magnitudes set anew after `renewal` iterations each.
    fn iterated(
        &self,
        spectrum: &Tensor,
        mut magnitude: Tensor,
        iterations: usize,
        renewal: usize,
        softened: bool,
    ) -> Tensor {
        let stft = &self.acoustics.mel_stft;
        let with_phase_of = |s: &Tensor, magnitude: &Tensor| {
            let floor =
                if softened { (magnitude.detach() * SOFTNESS).square() + 1e-10 } else { Tensor::from(1e-10f32) };
            let scale = magnitude * (power(s) + floor).rsqrt();
            (s.view_as_real() * scale.unsqueeze(-1)).view_as_complex()
        };
        let mut unit = with_phase_of(spectrum, &magnitude);
        let mut previous: Option<Tensor> = None;
        for iteration in 0..iterations {
            let s = stft.forward(&stft.inverse(&unit));
            let ahead = match &previous {
                Some(previous) => &s - previous * self.inertia,
                None => s.shallow_clone(),
            };
            if renews(renewal, iteration) {
                let own = own_magnitude(&(&ahead / (1.0 - self.inertia)));
                magnitude = corrected(self.acoustics, &self.mel, &own, EMPHASIS);
            }
            unit = with_phase_of(&ahead, &magnitude);
            previous = Some(s);
        }
        stft.inverse(&unit)
    }
}

/// Complex `[B, T, F]` -> `[B, T, F]`, nowhere zero.
fn own_magnitude(spectrum: &Tensor) -> Tensor {
    (power(spectrum) + 1e-10).sqrt() + 1e-6
}

/// Scales `magnitude` `[B, T, F]` so that its mel is `mel` `[B, T, M]` (linear); with an `emphasis` other than 1, by the
/// bands' ratio to this power.
fn corrected(acoustics: &Acoustics, mel: &Tensor, magnitude: &Tensor, emphasis: f64) -> Tensor {
    let mut ratio = (mel / magnitude.matmul(&acoustics.bank).clamp_min(1e-6)).clamp(1e-3, 1e3);
    if emphasis != 1.0 {
        ratio = ratio.pow_tensor_scalar(emphasis);
    }
    magnitude * (ratio.matmul(&acoustics.bank.transpose(0, 1)) / (&acoustics.area + 1e-6) + 1e-8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diffusion::{Past, Projection, ProjectionPlan},
        mel::{MelSpectrogram, extract},
        model::ModelCard,
    };

    /// What training unrolls is what rendering does.
    #[test]
    fn a_batch_is_projected_as_the_sampler_does_it() {
        let card = ModelCard::new("x");
        let n = 16_384;
        let tone = |i: usize| 0.3 * (i as f32 * 0.05 * (1.0 + i as f32 / 1e5)).sin() + 0.1 * (i as f32 * 0.31).sin();
        let sound: Vec<f32> = (0..n).map(tone).collect();
        let x: Vec<f32> = (0..n).map(|i| sound[i] + 0.05 * ((i * i) as f32 * 0.7).sin()).collect();
        let mel: MelSpectrogram = extract(&sound, &card.mel).unwrap();
        let acoustics = Acoustics::new(&card, Device::Cpu);
        let log_magnitude = (acoustics.mel_stft.forward(&Tensor::from_slice(&x).view([1, -1])).abs() + 1e-3).log();
        let frames: Vec<f32> = Vec::try_from(&log_magnitude.contiguous().view(-1)).unwrap();

        let momentum = card.sampler.momentum;
        let plan = ProjectionPlan::new(&card.mel);
        let one = Projection::new(&plan, &mel, &frames, momentum, Past::default()).renewing(2);
        let mels = Tensor::from_slice(mel.values()).view([1, mel.frames() as i64, -1]);
        let batch = BatchProjection::new(&acoustics, &mels, &log_magnitude, momentum, 2);
        let apart = |wanted: &[f32], got: Tensor| {
            let got: Vec<f32> = Vec::try_from(&got.contiguous().view(-1)).unwrap();
            let energy = |x: &mut dyn Iterator<Item = f32>| x.map(|v| v * v).sum::<f32>();
            let error = energy(&mut got.iter().zip(wanted).map(|(g, w)| g - w));
            (error / energy(&mut wanted.iter().copied())).sqrt()
        };
        let given = Tensor::from_slice(&x).view([1, -1]);

        let mut projected = x.clone();
        one.project(&mut projected, 0.5, 3, &Threads::CALLER);
        let off = apart(&projected, batch.project(&given, 0.5, 3, false));
        assert!(off < 2e-3, "projected {off} apart");

        let mut started = x.clone();
        one.start(&mut started, 3, &Threads::CALLER);
        let off = apart(&started, batch.start(&given, 3).unwrap());
        assert!(off < 2e-2, "started {off} apart");
        assert!(apart(&started, Tensor::from_slice(&projected)) > 0.05, "a start has phases of its own");
    }
}
