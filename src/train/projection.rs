//! `diffusion::Projection` for batches, with gradients: what few-step training unrolls.

use super::{acoustics::Acoustics, spectra::power};
use tch::Tensor;

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
}

impl<'a> BatchProjection<'a> {
    /// `mel` `[B, T, M]` and `log_magnitude` `[B, T, F]` in natural log.
    pub fn new(acoustics: &'a Acoustics, mel: &Tensor, log_magnitude: &Tensor, momentum: f32) -> Self {
        let momentum = f64::from(momentum);
        let mel = mel.exp();
        let target = corrected(acoustics, &mel, &log_magnitude.exp());
        Self { acoustics, mel, target, inertia: momentum / (1.0 + momentum) }
    }

    /// `[B, n]` -> `[B, n]` with the magnitudes that the mel asks for. With `softened` phases near zero magnitude are shortened,
    /// so that the result is meant for a gradient and not to be heard.
    pub fn project(&self, x: &Tensor, blend: f32, iterations: usize, softened: bool) -> Tensor {
        let stft = &self.acoustics.mel_stft;
        let spectrum = stft.forward(x);
        let own = corrected(self.acoustics, &self.mel, &((power(&spectrum) + 1e-10).sqrt() + 1e-6));
        let magnitude = (own.log() * f64::from(blend) + self.target.log() * f64::from(1.0 - blend)).exp();
        let floor = if softened { (magnitude.detach() * SOFTNESS).square() + 1e-10 } else { Tensor::from(1e-10f32) };
        let with_phase_of = |s: &Tensor| {
            let scale = &magnitude * (power(s) + &floor).rsqrt();
            (s.view_as_real() * scale.unsqueeze(-1)).view_as_complex()
        };
        let mut unit = with_phase_of(&spectrum);
        let mut previous: Option<Tensor> = None;
        for _ in 0..iterations {
            let s = stft.forward(&stft.inverse(&unit));
            unit = match &previous {
                Some(previous) => with_phase_of(&(&s - previous * self.inertia)),
                None => with_phase_of(&s),
            };
            previous = Some(s);
        }
        stft.inverse(&unit)
    }
}

/// Scales `magnitude` `[B, T, F]` so that its mel is `mel` `[B, T, M]` (linear).
fn corrected(acoustics: &Acoustics, mel: &Tensor, magnitude: &Tensor) -> Tensor {
    let ratio = (mel / magnitude.matmul(&acoustics.bank).clamp_min(1e-6)).clamp(1e-3, 1e3);
    magnitude * (ratio.matmul(&acoustics.bank.transpose(0, 1)) / (&acoustics.area + 1e-6) + 1e-8)
}
