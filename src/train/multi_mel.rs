//! The distance of two waveforms as they are heard: mean difference of log-mels at several resolutions (the multi-scale mel
//! distance of the Descript codec, Kumar et al. 2023), as a loss.

use super::{
    excerpts::{Excerpts, Known},
    spectra::{TensorStft, power},
};
use crate::mel::{
    LogBase, MelConvention, MelScale,
    filterbank::{edge_hz, filterbank},
};
use tch::{Device, Tensor};

/// Window lengths in samples, and bands.
const RESOLUTIONS: [(usize, usize); 5] = [(128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320)];

/// Below this, power of a band is taken for silence: 1e-5 in magnitude.
const FLOOR: f64 = 1e-10;

#[derive(Debug)]
pub struct MultiMel {
    resolutions: Vec<Resolution>,
}

#[derive(Debug)]
struct Resolution {
    stft: TensorStft,
    /// `[F, M]`
    bank: Tensor,
    /// Hz of the bands' upper ends, `[M]`.
    tops_hz: Vec<f64>,
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
            Resolution {
                stft: TensorStft::new(n_fft, n_fft / 4, device),
                bank: bank.contiguous().to_device(device),
                tops_hz: (0..n_mels).map(|m| edge_hz(&convention, m + 2)).collect(),
            }
        };
        Self { resolutions: RESOLUTIONS.map(resolution).into() }
    }

    /// `[B, n]` -> log-mels `[B, T, M]`, one for each resolution. n is a multiple of 512.
    pub fn spectra(&self, x: &Tensor) -> Vec<Tensor> {
        let spectrum = |Resolution { stft, bank, .. }: &Resolution| {
            let magnitude = (power(&stft.forward(x)) + FLOOR).sqrt();
            (magnitude.matmul(bank) + FLOOR.sqrt()).log()
        };
        self.resolutions.iter().map(spectrum).collect()
    }

    /// What `excerpts` tell of at each resolution.
    pub fn known(&self, excerpts: &Excerpts) -> Vec<Known> {
        self.resolutions.iter().map(|resolution| excerpts.known(&resolution.tops_hz)).collect()
    }

    /// Mean over resolutions of the mean absolute difference in what is known, nats.
    pub fn between(a: &[Tensor], b: &[Tensor], known: &[Known]) -> Tensor {
        let count = a.len() as f64;
        let pairs = a.iter().zip(b).zip(known);
        let sum = pairs.map(|((a, b), known)| known.mean(&(a - b).abs())).reduce(|a, b| a + b);
        sum.unwrap_or_default() / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::excerpts::Cut;

    #[test]
    fn bands_that_reach_beyond_the_recording_are_not_compared() {
        let tone = |i: usize, hz: f64| (std::f64::consts::TAU * hz * i as f64 / 24_000.0).sin() as f32;
        let samples: Vec<f32> = (0..8192).map(|i| 0.3 * tone(i, 700.0)).collect();
        let more: Vec<f32> = (0..8192).map(|i| samples[i] + 0.1 * tone(i, 10_000.0)).collect();
        let multi_mel = MultiMel::new(24_000, Device::Cpu);
        let distance = |reach_hz| {
            let excerpts = Cut { samples: samples.clone(), reach_hz: vec![reach_hz] }.to_device(8192, Device::Cpu);
            let spectra = [&excerpts.audio, &Tensor::from_slice(&more).view([1, -1])].map(|x| multi_mel.spectra(x));
            f64::try_from(MultiMel::between(&spectra[0], &spectra[1], &multi_mel.known(&excerpts))).unwrap()
        };
        let (whole, low) = (distance(None), distance(Some(4000.0)));
        assert!(whole > 0.2 && low < 0.05 * whole, "{whole} {low}");
    }
}
