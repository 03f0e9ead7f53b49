//! The distance of two waveforms as they are heard: mean difference of log-mels at several resolutions (the multi-scale mel
//! distance of the Descript codec, Kumar et al. 2023), as a loss.

use super::spectra::{TensorStft, power};
use crate::mel::{LogBase, MelConvention, MelScale, filterbank::filterbank};
use tch::{Device, Kind, Tensor};

/// Window lengths in samples, and bands.
const RESOLUTIONS: [(usize, usize); 5] = [(128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320)];

/// Below this, power of a band is taken for silence: 1e-5 in magnitude.
const FLOOR: f64 = 1e-10;

#[derive(Debug)]
pub struct MultiMel {
    /// Transform and bank `[F, M]` of each resolution.
    resolutions: Vec<(TensorStft, Tensor)>,
}

// SAFETY: all tensors are read only, which libtorch allows to any number of threads.
unsafe impl Sync for MultiMel {}

impl MultiMel {
    pub fn new(sample_rate: u32, device: Device) -> Self {
        let resolution = |(n_fft, n_mels): (usize, usize)| {
            let convention = MelConvention {
                sample_rate,
                n_fft,
                win_length: n_fft,
                hop: n_fft / 4,
                n_mels,
                f_max: f64::from(sample_rate) / 2.0,
                scale: MelScale::Slaney,
                area_norm: true,
                log: LogBase::Natural,
                ..MelConvention::native()
            };
            let bank = Tensor::from_slice(&filterbank(&convention)).view([n_mels as i64, -1]).transpose(0, 1);
            (TensorStft::new(n_fft, n_fft / 4, device), bank.contiguous().to_device(device))
        };
        Self { resolutions: RESOLUTIONS.map(resolution).into() }
    }

    /// `[B, n]` -> log-mels `[B, T, M]`, one for each resolution. n is a multiple of 512.
    pub fn spectra(&self, x: &Tensor) -> Vec<Tensor> {
        let spectrum = |(stft, bank): &(TensorStft, Tensor)| {
            let magnitude = (power(&stft.forward(x)) + FLOOR).sqrt();
            (magnitude.matmul(bank) + FLOOR.sqrt()).log()
        };
        self.resolutions.iter().map(spectrum).collect()
    }

    /// Mean over resolutions of the mean absolute difference, nats.
    pub fn between(a: &[Tensor], b: &[Tensor]) -> Tensor {
        let count = a.len() as f64;
        let sum = a.iter().zip(b).map(|(a, b)| (a - b).abs().mean(Kind::Float)).reduce(|a, b| a + b);
        sum.unwrap_or_default() / count
    }
}
