//! What a model's card fixes of the signal path, as tensors: mel, envelope, prior, whitening. Each is the batched form of
//! what `mel` and `diffusion` compute for one waveform.

use super::spectra::{TensorStft, power};
use crate::{
    diffusion::{Grid, PRIOR_GAIN, envelope_weights},
    dsp::phase_gradient::PhaseGradient,
    mel::filterbank::filterbank,
    model::ModelCard,
};
use tch::{Device, Kind, Tensor};

/// Bands of equal width in which the flow-matching error is measured.
const LINEAR_BANDS: usize = 256;

#[derive(Debug)]
pub struct Acoustics {
    /// The mel's STFT, and the one in which the denoiser sees the waveform.
    pub mel_stft: TensorStft,
    pub grid_stft: TensorStft,
    /// Of the mel's STFT.
    pub gradient: PhaseGradient,
    /// `[F, M]`
    pub bank: Tensor,
    /// `[F]`: sum of the bands' weights at each bin.
    pub area: Tensor,
    /// [F, 256]: triangles equally spaced from 0 Hz to half the rate.
    pub linear_bands: Tensor,
    /// Hz of the bins of the mel's STFT, `[F]`, and of the upper ends of those triangles.
    pub bins_hz: Vec<f64>,
    pub linear_tops_hz: Vec<f64>,
    /// `[M, K]`
    envelope: Tensor,
    /// Denoiser frames a mel frame.
    pub up: i64,
    log_floor: f64,
    device: Device,
}

// SAFETY: all tensors are read only, which libtorch allows to any number of threads.
unsafe impl Sync for Acoustics {}

impl Acoustics {
    pub fn new(card: &ModelCard, device: Device) -> Self {
        let (mel, denoiser) = (&card.mel, &card.denoiser);
        let matrix = |values: &[f32], rows: usize| Tensor::from_slice(values).view([rows as i64, -1]).to_device(device);
        let bank = matrix(&filterbank(mel), mel.n_mels).transpose(0, 1).contiguous();
        let grid = Grid { n_fft: denoiser.n_fft, hop: denoiser.hop };
        let envelope = matrix(&envelope_weights(mel, grid), denoiser.n_fft / 2 + 1).transpose(0, 1).contiguous();
        let nyquist = f64::from(mel.sample_rate) / 2.0;
        let bins_hz = (0..mel.bins()).map(|f| nyquist * f as f64 / (mel.bins() - 1) as f64).collect();
        let top_hz = |band: usize| nyquist * (band + 2) as f64 / (LINEAR_BANDS + 1) as f64;
        Self {
            bins_hz,
            linear_tops_hz: (0..LINEAR_BANDS).map(top_hz).collect(),
            mel_stft: TensorStft::new(mel.n_fft, mel.hop, device),
            grid_stft: TensorStft::new(denoiser.n_fft, denoiser.hop, device),
            gradient: PhaseGradient::new(mel.n_fft, mel.win_length, mel.hop),
            area: bank.sum_dim_intlist([1i64].as_slice(), false, Kind::Float),
            bank,
            linear_bands: matrix(&linear_bands(mel.bins(), LINEAR_BANDS), mel.bins()),
            envelope,
            up: (mel.hop / denoiser.hop) as i64,
            log_floor: mel.floor,
            device,
        }
    }

    pub fn device(&self) -> Device {
        self.device
    }

    /// Standard normal noise for waveforms [B, n]: `[B, T', K, 2]`, from libtorch's generator.
    pub fn noise(&self, batch: i64, n: i64) -> Tensor {
        let frames = n / self.grid_stft.hop() + 1;
        Tensor::randn([batch, frames, self.grid_stft.bins(), 2], (Kind::Float, self.device))
    }

    /// Magnitude `[B, T, F]` -> natural log mel `[B, T, M]`.
    pub fn log_mel(&self, magnitude: &Tensor) -> Tensor {
        magnitude.matmul(&self.bank).clamp_min(self.log_floor).log()
    }

    /// Log mel `[B, T, M]` -> envelope `[B, T', K]`, T' = (T - 1) up + 1.
    pub fn envelope(&self, mel: &Tensor) -> Tensor {
        let coarse = mel.exp().matmul(&self.envelope) + 2e-5;
        let frames = (coarse.size()[1] - 1) * self.up + 1;
        coarse.transpose(1, 2).upsample_linear1d([frames], true, None::<f64>).transpose(1, 2)
    }

    /// Envelope `[B, T', K]` and standard normal noise `[B, T', K, 2]` (real, imaginary) -> x0 `[B, n]`.
    pub fn prior(&self, envelope: &Tensor, noise: &Tensor) -> Tensor {
        let shaped = noise * (envelope * f64::from(PRIOR_GAIN)).unsqueeze(-1);
        self.grid_stft.inverse(&shaped.view_as_complex())
    }

    /// `[B, n]` -> `[B, T', 2K]`, K real parts, then K imaginary parts, divided by the envelope.
    pub fn whiten(&self, x: &Tensor, envelope: &Tensor) -> Tensor {
        let parts = self.grid_stft.forward(x).view_as_real();
        Tensor::cat(&[parts.select(-1, 0) / envelope, parts.select(-1, 1) / envelope], 2)
    }

    /// `[B, T', 2K]` -> `[B, n]`
    pub fn colour(&self, whitened: &Tensor, envelope: &Tensor) -> Tensor {
        let parts = whitened.chunk(2, 2);
        self.grid_stft.inverse(&Tensor::complex(&(&parts[0] * envelope), &(&parts[1] * envelope)))
    }

    /// |STFT|^2 of `[B, n]` in linear bands: [B, T, 256].
    pub fn band_power(&self, x: &Tensor) -> Tensor {
        power(&self.mel_stft.forward(x)).matmul(&self.linear_bands)
    }
}

/// Triangles from 0 Hz to half the rate on `bins` bins, in units of bins: [F, bands].
fn linear_bands(bins: usize, bands: usize) -> Vec<f32> {
    let width = (bins - 1) as f64 / (bands + 1) as f64;
    let weight = |f: usize, b: usize| (1.0 - (f as f64 / width - (b + 1) as f64).abs()).max(0.0) as f32;
    (0..bins).flat_map(|f| (0..bands).map(move |b| weight(f, b))).collect()
}
