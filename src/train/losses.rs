//! Flow matching with prediction of the clean end, and the encoder's error: what a model is trained on first.
//!
//! A point of the path x_t = (1 - t) x0 + t x1 is shown to the network, which is to say x1 (Lipman et al. 2022). Its error is
//! taken as power in linear bands, relative to the square root of the band's own power: an error of the same audibility
//! costs the same in loud and in quiet places.

use super::acoustics::Acoustics;
use crate::model::VocoderNetwork;
use tch::{Kind, Tensor};

/// Weight of the encoder's error beside the flow's.
pub const MAGNITUDE_WEIGHT: f64 = 0.1;

/// Scalars.
#[derive(Debug)]
pub struct Losses {
    /// Relative power of the estimate's error.
    pub flow: Tensor,
    /// Mean error of the encoder's log magnitude plus its spectral convergence.
    pub magnitude: Tensor,
}

impl Losses {
    /// What is minimised.
    pub fn total(&self) -> Tensor {
        &self.flow + &self.magnitude * MAGNITUDE_WEIGHT
    }
}

/// `x1` `[B, n]`, `t` `[B]`, `noise` `[B, T', K, 2]` standard normal; products are in `kind`.
pub fn flow_matching(
    network: &VocoderNetwork,
    acoustics: &Acoustics,
    x1: &Tensor,
    t: &Tensor,
    noise: &Tensor,
    kind: Kind,
) -> Losses {
    let (magnitude, mel, envelope, x_t) = tch::no_grad(|| {
        let magnitude = acoustics.mel_stft.forward(x1).abs();
        let mel = acoustics.log_mel(&magnitude);
        let envelope = acoustics.envelope(&mel);
        let time = t.unsqueeze(1);
        let x_t = (1.0 - &time) * acoustics.prior(&envelope, noise) + &time * x1;
        (magnitude, mel, envelope, x_t)
    });
    let (conditions, log_magnitude) = network.encode(&mel, acoustics.up, kind);
    let whitened = network.denoise(&acoustics.whiten(&x_t, &envelope), &conditions, t, kind);
    let estimate = acoustics.colour(&whitened, &envelope);
    Losses { flow: relative_error(acoustics, &estimate, x1), magnitude: magnitude_error(&log_magnitude, &magnitude) }
}

fn relative_error(acoustics: &Acoustics, estimate: &Tensor, x1: &Tensor) -> Tensor {
    let weight = tch::no_grad(|| (acoustics.band_power(x1) + 1e-7).rsqrt().clamp(1e-2, 1e2));
    (acoustics.band_power(&(estimate - x1)) * weight).mean(Kind::Float)
}

/// `log_magnitude` and `magnitude` `[B, T, F]`.
pub fn magnitude_error(log_magnitude: &Tensor, magnitude: &Tensor) -> Tensor {
    let estimate = log_magnitude.exp() + 1e-4;
    let log_error = ((magnitude + 1e-4).log() - estimate.log()).abs().mean(Kind::Float);
    let sum = |x: Tensor| x.square().sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Float);
    let convergence = (sum(&estimate - magnitude) / sum(magnitude.shallow_clone()).clamp_min(1e-4)).sqrt();
    log_error + convergence.mean(Kind::Float)
}
