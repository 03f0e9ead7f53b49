//! The mel spread back over the bins of the denoiser's STFT: a smooth envelope by which everything that the denoiser sees
//! and says is divided, so that it works on a white spectrum whatever the voice and the loudness.

use super::Grid;
use crate::{
    dsp::banded::BandedMatrix,
    mel::{MelConvention, MelSpectrogram, filterbank::filterbank},
};

/// The constants of the envelope for one convention and one grid.
pub struct Envelope {
    weights: BandedMatrix,
    grid: Grid,
    /// Denoiser frames a mel frame.
    up: usize,
}

impl Envelope {
    pub fn new(convention: &MelConvention, grid: Grid) -> Self {
        let weights = BandedMatrix::new(&envelope_weights(convention, grid), convention.n_mels);
        Self { weights, grid, up: convention.hop / grid.hop }
    }

    /// K, the bins of the grid.
    pub fn bins(&self) -> usize {
        self.grid.n_fft / 2 + 1
    }

    /// Natural log mel `[T, M]` -> envelope `[T', K]`, T' = (T - 1) up + 1.
    pub fn of(&self, mel: &MelSpectrogram) -> Vec<f32> {
        let bins = self.bins();
        let mut coarse = vec![0.0; mel.frames() * bins];
        let mut linear = vec![0.0; mel.n_mels()];
        for (t, row) in coarse.chunks_exact_mut(bins).enumerate() {
            for (l, m) in linear.iter_mut().zip(mel.frame(t)) {
                *l = m.exp();
            }
            self.weights.apply(&linear, row);
            for v in row {
                *v += 2e-5; // keeps the division finite in digital silence
            }
        }
        upsample(&coarse, bins, self.up)
    }
}

/// Linear interpolation between frames with the end points aligned: `[T, C]` -> [(T - 1) up + 1, C].
pub(crate) fn upsample(rows: &[f32], channels: usize, up: usize) -> Vec<f32> {
    let frames = rows.len() / channels;
    let mut out = Vec::with_capacity((frames.saturating_sub(1) * up + 1) * channels);
    for (a, b) in rows.chunks_exact(channels).zip(rows.chunks_exact(channels).skip(1)) {
        for j in 0..up {
            let w = j as f32 / up as f32;
            out.extend(a.iter().zip(b).map(|(a, b)| a * (1.0 - w) + b * w));
        }
    }
    out.extend_from_slice(&rows[(frames - 1) * channels..]);
    out
}

/// [K, M]: band magnitudes -> magnitude at each bin, the triangle-weighted mean of the bands that cover it.
pub(crate) fn envelope_weights(convention: &MelConvention, grid: Grid) -> Vec<f32> {
    let (bank, bins, bands) = (filterbank(convention), convention.bins(), convention.n_mels);
    let area: Vec<f32> = bank.chunks_exact(bins).map(|row| row.iter().sum()).collect();
    let total: Vec<f32> = (0..bins).map(|f| (0..bands).map(|m| bank[m * bins + f]).sum()).collect();
    let covered: Vec<usize> = (0..bins).filter(|&f| total[f] > 1e-6).collect();
    let stride = convention.n_fft / grid.n_fft;
    let mut out = Vec::with_capacity((grid.n_fft / 2 + 1) * bands);
    for f in (0..bins).step_by(stride) {
        // Bins that no triangle covers (0 Hz and Nyquist) take their nearest neighbour's row.
        let source = covered.iter().copied().min_by_key(|c| c.abs_diff(f)).unwrap_or(f);
        let level = grid.n_fft as f32 / convention.n_fft as f32;
        out.extend((0..bands).map(|m| bank[m * bins + source] / total[source].max(1e-8) / area[m].max(1e-8) * level));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upsampling_keeps_the_frames_and_draws_lines_between_them() {
        assert_eq!(
            upsample(&[0.0, 10.0, 4.0, 20.0, 8.0, 0.0], 2, 2),
            [0.0, 10.0, 2.0, 15.0, 4.0, 20.0, 6.0, 10.0, 8.0, 0.0]
        );
        assert_eq!(upsample(&[3.0, 5.0], 2, 2), [3.0, 5.0]);
    }
}
