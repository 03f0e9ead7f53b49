//! The short-time transforms as tensor operations through which gradients flow, for batches on any device.
//!
//! The same numbers as `dsp::stft`, which renders one waveform without gradients. A frame is put together from blocks
//! of one hop, so that framing and overlap-add are a few copies of whole batches; torch's own stft and istft spend more
//! on index arithmetic than on the transform.

use tch::{Device, Kind, Tensor};

/// Centred, reflect padding, periodic Hann window; n_fft is a multiple of hop.
#[derive(Debug)]
pub struct TensorStft {
    n_fft: i64,
    hop: i64,
    window: Tensor,
}

// SAFETY: the window is read only, which libtorch allows to any number of threads.
unsafe impl Sync for TensorStft {}

impl TensorStft {
    pub fn new(n_fft: usize, hop: usize, device: Device) -> Self {
        debug_assert_eq!(n_fft % hop, 0);
        let n_fft = n_fft as i64;
        let window = Tensor::hann_window_periodic(n_fft, true, (Kind::Float, device));
        Self { n_fft, hop: hop as i64, window }
    }

    pub fn hop(&self) -> i64 {
        self.hop
    }

    pub fn bins(&self) -> i64 {
        self.n_fft / 2 + 1
    }

    /// `[B, n]` -> complex `[B, T, F]`, T = 1 + n / hop; n is a multiple of hop.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let margin = self.n_fft / 2;
        let padded = x.unsqueeze(1).reflection_pad1d([margin, margin]).squeeze_dim(1);
        let frames = 1 + x.size()[1] / self.hop;
        let blocks = padded.view([x.size()[0], -1, self.hop]);
        let shifted: Vec<_> = (0..self.n_fft / self.hop).map(|k| blocks.narrow(1, k, frames)).collect();
        (Tensor::cat(&shifted, 2) * &self.window).fft_rfft(None::<i64>, -1, "backward")
    }

    /// Complex `[B, T, F]` -> `[B, n]`, n = (T - 1) hop, each sample divided by the sum of the squared windows over it.
    pub fn inverse(&self, spectrum: &Tensor) -> Tensor {
        let (batch, frames) = (spectrum.size()[0], spectrum.size()[1]);
        let pieces = spectrum.fft_irfft(self.n_fft, -1, "backward") * &self.window;
        let window_power = self.window.square().view([1, 1, -1]).expand([1, frames, self.n_fft], false);
        let margin = self.n_fft / 2;
        let n = (frames - 1) * self.hop;
        let trimmed = |x: Tensor| x.narrow(1, margin, n);
        trimmed(self.overlap_add(&pieces, batch)) / trimmed(self.overlap_add(&window_power, 1))
    }

    /// `[B, T, n_fft]` -> [B, (T - 1) hop + n_fft]
    fn overlap_add(&self, pieces: &Tensor, batch: i64) -> Tensor {
        let overlap = self.n_fft / self.hop;
        let blocks = pieces.reshape([batch, -1, overlap, self.hop]);
        let shifted = (0..overlap).map(|k| {
            blocks.select(2, k).constant_pad_nd([0, 0, k, overlap - 1 - k]) // [B, T + overlap - 1, hop]
        });
        shifted.reduce(|sum, piece| sum + piece).map(|sum| sum.reshape([batch, -1])).unwrap_or_default()
    }
}

/// |s|^2 of complex [..] -> [..].
pub fn power(spectrum: &Tensor) -> Tensor {
    spectrum.view_as_real().square().sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::stft::Stft;

    #[test]
    fn transforms_as_the_renderers_do_and_back() {
        for (n_fft, hop) in [(1024, 256), (512, 128), (128, 32)] {
            let n = 20 * hop;
            let audio: Vec<f32> = (0..n).map(|i| ((i * i) as f32 * 0.001).sin()).collect();
            let stft = TensorStft::new(n_fft, hop, Device::Cpu);
            let x = Tensor::from_slice(&audio).view([1, -1]);
            let spectrum = stft.forward(&x);
            let want: Vec<f32> = Stft::new(n_fft, hop).forward(&audio).iter().flat_map(|s| [s.re, s.im]).collect();
            let got = Vec::<f32>::try_from(spectrum.view_as_real().contiguous().view(-1)).unwrap();
            assert_eq!(got.len(), want.len());
            let worst = got.iter().zip(&want).fold(0.0f32, |a, (g, w)| a.max((g - w).abs()));
            assert!(worst < 2e-4, "{n_fft}: {worst}");
            let error = f64::try_from((stft.inverse(&spectrum) - x).abs().max()).unwrap();
            assert!(error < 1e-5, "{n_fft}: {error}");
        }
    }
}
