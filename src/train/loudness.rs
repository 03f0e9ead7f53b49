//! The distance of two waveforms as hearing weighs it: differences of specific loudness beyond what is masked, in frames of
//! 32 ms. The perceptual model is that of PESQ (ITU-T P.862) without its alignment and equalisation, with formulas for its
//! tables: Zwicker's loudness (Zwicker and Fastl 1990), Terhardt's threshold in quiet (1979), Traunmüller's Bark scale
//! (1990). As a loss for speech enhancement: Martín-Doñas et al. 2018.

use super::spectra::{TensorStft, power};
use tch::{Device, Kind, Tensor};

/// Level of a full-scale sine, dB SPL.
const FULL_SCALE_DB: f64 = 105.0;
/// Bands, half a Bark wide each.
const BARKS_A_BAND: f64 = 0.5;
/// Above it P.862 hears nothing.
const TOP_HZ: f64 = 8_000.0;
/// Exponent and scale of Zwicker's loudness, sone a Bark.
const EXPONENT: f64 = 0.23;
const SCALE: f64 = 0.08;
/// A difference below this share of the softer one is masked.
const MASKED: f64 = 0.25;
/// What was added disturbs more than what is missing: exponent, offset in power, and range of the factor (P.862).
const ASYMMETRY: f64 = 1.2;
const ASYMMETRY_OFFSET: f64 = 50.0;
const ASYMMETRY_RANGE: (f64, f64) = (3.0, 12.0);
/// Weight of the asymmetric disturbance beside the symmetric one.
const ASYMMETRIC_WEIGHT: f64 = 0.3;
/// A listener judges a second by its worst moments: the norm over frames.
const WORST: f64 = 4.0;

#[derive(Debug)]
pub struct Loudness {
    stft: TensorStft,
    /// [F, bands]
    bank: Tensor,
    /// [bands]: power at the threshold in quiet.
    threshold: Tensor,
}

/// Of one waveform: [B, T, bands] each.
#[derive(Debug)]
pub struct LoudnessSpectrum {
    power: Tensor,
    /// Sone a Bark.
    loudness: Tensor,
}

// SAFETY: all tensors are read only, which libtorch allows to any number of threads.
unsafe impl Sync for Loudness {}

impl Loudness {
    pub fn new(sample_rate: u32, device: Device) -> Self {
        // 32 ms in quarters, as a whole number of samples.
        let hop = sample_rate as usize / 125;
        let n_fft = 4 * hop;
        let hz = |bin: usize| bin as f64 * f64::from(sample_rate) / n_fft as f64;
        let bands = (bark(TOP_HZ) / BARKS_A_BAND) as usize;
        // Mean power of a periodic Hann window's frame, so that a full-scale sine has its level.
        let scale = 10f64.powf(FULL_SCALE_DB / 10.0) * 4.0 / (0.375 * (n_fft * n_fft) as f64);
        let mut bank = vec![0.0f32; (n_fft / 2 + 1) * bands];
        for (bin, row) in bank.chunks_exact_mut(bands).enumerate().skip(1) {
            // Triangles overlap by a half: rectangles would let a harmonic jump from band to band.
            let place = bark(hz(bin)) / BARKS_A_BAND - 0.5;
            for (band, weight) in row.iter_mut().enumerate() {
                *weight = ((1.0 - (place - band as f64).abs()).max(0.0) * scale) as f32;
            }
        }
        let threshold: Vec<f32> =
            (0..bands).map(|b| 10f64.powf(quiet_db(hertz((b as f64 + 0.5) * BARKS_A_BAND)) / 10.0) as f32).collect();
        Self {
            stft: TensorStft::new(n_fft, hop, device),
            bank: Tensor::from_slice(&bank).view([-1, bands as i64]).to_device(device),
            threshold: Tensor::from_slice(&threshold).to_device(device),
        }
    }

    /// [B, n]; n need not be a multiple of the hop, what is left over is not heard.
    pub fn spectrum(&self, x: &Tensor) -> LoudnessSpectrum {
        let whole = x.size()[1] / self.stft.hop() * self.stft.hop();
        let power = power(&self.stft.forward(&x.narrow(1, 0, whole))).matmul(&self.bank);
        let excitation = &power / &self.threshold * 0.5 + 0.5;
        let loudness = (excitation.pow_tensor_scalar(EXPONENT) - 1.0).clamp_min(0.0);
        let loudness = loudness * (self.threshold.pow_tensor_scalar(EXPONENT) * SCALE);
        LoudnessSpectrum { power, loudness }
    }

    /// How much `rendered` disturbs one who expects `wanted`, in sone; a scalar.
    pub fn between(rendered: &LoudnessSpectrum, wanted: &LoudnessSpectrum) -> Tensor {
        let (a, b) = (&rendered.loudness, &wanted.loudness);
        let heard = ((a - b).abs() - a.minimum(b) * MASKED).clamp_min(0.0);
        let added = tch::no_grad(|| {
            let ratio = (&rendered.power + ASYMMETRY_OFFSET) / (&wanted.power + ASYMMETRY_OFFSET);
            let factor = ratio.pow_tensor_scalar(ASYMMETRY).clamp_max(ASYMMETRY_RANGE.1);
            &factor * factor.ge(ASYMMETRY_RANGE.0).to_kind(Kind::Float)
        });
        let last = [-1i64];
        let bands = heard.size()[2] as f64;
        let symmetric = (heard.square().sum_dim_intlist(last.as_slice(), false, Kind::Float) * bands + 1e-8).sqrt();
        let asymmetric = (&heard * added).sum_dim_intlist(last.as_slice(), false, Kind::Float);
        // [B, T] -> [B] -> scalar
        let frames = (symmetric + asymmetric * ASYMMETRIC_WEIGHT) * BARKS_A_BAND;
        let windows = frames.pow_tensor_scalar(WORST).mean_dim(last.as_slice(), false, Kind::Float);
        windows.pow_tensor_scalar(1.0 / WORST).mean(Kind::Float)
    }
}

/// Traunmüller's approximation, from 0 at 0 Hz.
fn bark(hz: f64) -> f64 {
    26.81 * hz / (1960.0 + hz)
}

fn hertz(bark: f64) -> f64 {
    1960.0 * bark / (26.81 - bark)
}

/// Terhardt's threshold in quiet, dB SPL.
fn quiet_db(hz: f64) -> f64 {
    let khz = (hz / 1000.0).max(0.03);
    3.64 * khz.powf(-0.8) - 6.5 * (-0.6 * (khz - 3.3).powi(2)).exp() + 1e-3 * khz.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, amplitude: f64) -> Tensor {
        let samples: Vec<f32> = (0..24_000)
            .map(|i| (amplitude * (std::f64::consts::TAU * hz * f64::from(i) / 24_000.0).sin()) as f32)
            .collect();
        Tensor::from_slice(&samples).view([1, -1])
    }

    /// Sone of a tone in its steady part.
    fn sone(loudness: &Loudness, hz: f64, amplitude: f64) -> f64 {
        let spectrum = loudness.spectrum(&tone(hz, amplitude)).loudness.select(1, 60);
        f64::try_from(spectrum.sum(Kind::Float)).unwrap() * BARKS_A_BAND
    }

    #[test]
    fn ten_decibels_are_about_twice_as_loud() {
        let loudness = Loudness::new(24_000, Device::Cpu);
        let ratio = sone(&loudness, 1000.0, 0.1) / sone(&loudness, 1000.0, 0.0316);
        assert!((1.6..2.1).contains(&ratio), "{ratio}");
        // Far below the threshold nothing is heard, nor above 8 kHz.
        assert!(sone(&loudness, 50.0, 1e-5) < 1e-3);
        assert!(sone(&loudness, 10_500.0, 0.1) < 0.05 * sone(&loudness, 1000.0, 0.1));
    }

    #[test]
    fn the_masked_costs_nothing_and_the_added_more_than_the_missing() {
        let loudness = Loudness::new(24_000, Device::Cpu);
        let between = |a: &Tensor, b: &Tensor| {
            f64::try_from(Loudness::between(&loudness.spectrum(a), &loudness.spectrum(b))).unwrap()
        };
        let (one, soft, both) = (tone(1000.0, 0.1), tone(1000.0, 0.09), tone(1000.0, 0.1) + tone(3000.0, 0.05));
        assert!(between(&one, &one) < 0.01);
        assert!(between(&one, &soft) < 0.05, "1 dB is masked");
        assert!(between(&both, &one) > 1.5 * between(&one, &both));
    }
}
