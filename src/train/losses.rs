//! Flow matching with prediction of the clean end, and the encoder's error: what a model is trained on first.
//!
//! A point of the path x_t = (1 - t) x0 + t x1 is shown to the network, which is to say x1 (Lipman et al. 2022). Its error is
//! taken as power in linear bands, relative to the square root of the band's own power: an error of the same audibility
//! costs the same in loud and in quiet places.

use super::{
    acoustics::Acoustics,
    excerpts::{Excerpts, Known},
};
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

/// `excerpts` of `[B, n]`, `t` `[B]`, `noise` `[B, T', K, 2]` standard normal; products are in `kind`.
pub fn flow_matching(
    network: &VocoderNetwork,
    acoustics: &Acoustics,
    excerpts: &Excerpts,
    t: &Tensor,
    noise: &Tensor,
    kind: Kind,
) -> Losses {
    let x1 = &excerpts.audio;
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
    let known = excerpts.known(&acoustics.bins_hz);
    Losses {
        flow: relative_error(acoustics, &estimate, excerpts),
        magnitude: magnitude_error(&log_magnitude, &magnitude, &known),
    }
}

fn relative_error(acoustics: &Acoustics, estimate: &Tensor, excerpts: &Excerpts) -> Tensor {
    let x1 = &excerpts.audio;
    let weight = tch::no_grad(|| (acoustics.band_power(x1) + 1e-7).rsqrt().clamp(1e-2, 1e2));
    excerpts.known(&acoustics.linear_tops_hz).mean(&(acoustics.band_power(&(estimate - x1)) * weight))
}

/// `log_magnitude` and `magnitude` `[B, T, F]`, compared where they are `known`.
pub fn magnitude_error(log_magnitude: &Tensor, magnitude: &Tensor, known: &Known) -> Tensor {
    let estimate = log_magnitude.exp() + 1e-4;
    let log_error = known.mean(&((magnitude + 1e-4).log() - estimate.log()).abs());
    let sum = |x: Tensor| x.square().sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Float);
    let convergence = (sum(known.of(&(&estimate - magnitude))) / sum(known.of(magnitude)).clamp_min(1e-4)).sqrt();
    log_error + convergence.mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ModelCard, train::excerpts::Cut};
    use tch::Device;

    /// A recording that ends at 4 kHz, and an estimate that goes on to 9 kHz.
    #[test]
    fn what_a_recording_does_not_tell_of_is_no_error() {
        let tone = |i: usize, hz: f64| (std::f64::consts::TAU * hz * i as f64 / 24_000.0).sin() as f32;
        let samples: Vec<f32> = (0..8192).map(|i| 0.3 * tone(i, 1000.0)).collect();
        let more: Vec<f32> = (0..8192).map(|i| samples[i] + 0.1 * tone(i, 9000.0)).collect();
        let more = Tensor::from_slice(&more).view([1, -1]);
        let acoustics = Acoustics::new(&ModelCard::new("x"), Device::Cpu);
        let losses = |reach_hz| {
            let excerpts = Cut { samples: samples.clone(), reach_hz: vec![reach_hz] }.to_device(8192, Device::Cpu);
            let magnitude = |x: &Tensor| acoustics.mel_stft.forward(x).abs();
            let known = excerpts.known(&acoustics.bins_hz);
            let log = (magnitude(&more) + 1e-4).log();
            let losses = [
                relative_error(&acoustics, &more, &excerpts),
                magnitude_error(&log, &magnitude(&excerpts.audio), &known),
            ];
            losses.map(|loss| f64::try_from(loss).unwrap())
        };
        // At its two ends, where the window is reflected, a tone is not quite one.
        let (whole, low) = (losses(None), losses(Some(4000.0)));
        assert!(low[0] < 0.01 * whole[0] && low[1] < 0.4 * whole[1], "{whole:?} {low:?}");
    }
}
