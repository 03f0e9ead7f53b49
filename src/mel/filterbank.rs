//! The triangles of every mel convention, from one function.

use super::{MelConvention, MelScale};
use crate::dsp::banded::BandedMatrix;

/// The weights of a convention's bands: `[M, F]`, band-major: band `m` weighs bin `f` by `weights[m * bins + f]`.
///
/// Sources: HTK book (scale), Slaney's Auditory Toolbox as in librosa (scale and area normalisation), torchaudio
/// (`melscale_fbanks`: triangles in Hz, peak 1), TensorFlow (`linear_to_mel_weight_matrix`: triangles in mel, no weight
/// at 0 Hz).
pub fn filterbank(c: &MelConvention) -> Vec<f32> {
    let mut weights = Vec::with_capacity(c.n_mels * c.bins());
    each_band(c, |band| weights.extend_from_slice(band));
    weights
}

/// Gives each band's weights `[F]` to `take`, one band after the other: all of them at once are mostly zeros.
fn each_band(c: &MelConvention, take: impl FnMut(&[f32])) {
    let c = &as_built(c);
    match c.scale {
        MelScale::Htk => htk_single_precision(c, take),
        MelScale::Slaney | MelScale::HtkMelTriangles => exact(c, take),
    }
}

fn exact(c: &MelConvention, mut take: impl FnMut(&[f32])) {
    let bins = c.bins();
    let hz: Vec<f64> = (0..bins).map(|f| f as f64 * f64::from(c.sample_rate) / c.n_fft as f64).collect();
    let (low, high) = (to_mel(c.scale, c.f_min), to_mel(c.scale, c.f_max));
    let edges: Vec<f64> = (0..c.n_mels + 2).map(|i| low + (high - low) * i as f64 / (c.n_mels + 1) as f64).collect();
    // The axis on which the triangles are straight.
    let (axis, corners): (Vec<f64>, Vec<f64>) = match c.scale {
        MelScale::HtkMelTriangles => (hz.iter().map(|&f| to_mel(c.scale, f)).collect(), edges.clone()),
        _ => (hz, edges.iter().map(|&m| to_hz(c.scale, m)).collect()),
    };
    let mut row = vec![0.0f32; bins];
    for m in 0..c.n_mels {
        let (left, centre, right) = (corners[m], corners[m + 1], corners[m + 2]);
        let norm = if c.area_norm { 2.0 / (to_hz(c.scale, edges[m + 2]) - to_hz(c.scale, edges[m])) } else { 1.0 };
        for (f, w) in row.iter_mut().enumerate() {
            let rising = (axis[f] - left) / (centre - left);
            let falling = (right - axis[f]) / (right - centre);
            *w = (rising.min(falling).max(0.0) * norm) as f32;
        }
        if c.scale == MelScale::HtkMelTriangles {
            row[0] = 0.0;
        }
        take(&row);
    }
}

/// The convention whose filters, bin by bin, are `c`'s: at the rate that they were built for.
fn as_built(c: &MelConvention) -> MelConvention {
    let rate = c.filter_rate.unwrap_or(c.sample_rate);
    let ratio = f64::from(rate) / f64::from(c.sample_rate);
    MelConvention { sample_rate: rate, filter_rate: None, f_min: c.f_min * ratio, f_max: c.f_max * ratio, ..c.clone() }
}

/// Hz of edge `i` of the bands: band `m` rises from edge `m`, peaks at `m + 1` and ends at `m + 2`.
pub fn edge_hz(c: &MelConvention, i: usize) -> f64 {
    let built = as_built(c);
    let (low, high) = (to_mel(c.scale, built.f_min), to_mel(c.scale, built.f_max));
    let hz = to_hz(c.scale, low + (high - low) * i as f64 / (c.n_mels + 1) as f64);
    hz * f64::from(c.sample_rate) / f64::from(built.sample_rate)
}

/// `[M]`: the band values of digital silence, before floor and logarithm: what the epsilon under the square root gives.
pub fn silence(c: &MelConvention) -> Vec<f64> {
    let bin = c.magnitude_epsilon.max(c.power_floor).powf(c.power / 2.0);
    let bank = Filterbank::new(c);
    (0..c.n_mels).map(|m| bin * bank.row(m).1.iter().map(|&w| f64::from(w)).sum::<f64>()).collect()
}

/// torchaudio's `melscale_fbanks` in its own single precision. The difference to exact triangles is below 1e-5, but the
/// projection divides by what is left in almost empty bands, and tens of iterations amplify it.
fn htk_single_precision(c: &MelConvention, mut take: impl FnMut(&[f32])) {
    let (low, high) = (to_mel(c.scale, c.f_min) as f32, to_mel(c.scale, c.f_max) as f32);
    let step = (high - low) / (c.n_mels + 1) as f32;
    let half = (c.n_mels + 2) / 2;
    let edge = |i: usize| {
        // Counted from the nearer end and rounded once, as torch.linspace does.
        let mel = if i < half { step.mul_add(i as f32, low) } else { step.mul_add(-((c.n_mels + 1 - i) as f32), high) };
        700.0 * (10f32.powf(mel / 2595.0) - 1.0)
    };
    let edges: Vec<f32> = (0..c.n_mels + 2).map(edge).collect();
    let mut row = vec![0.0f32; c.bins()];
    for m in 0..c.n_mels {
        let [left, centre, right] = [edges[m], edges[m + 1], edges[m + 2]];
        let norm = if c.area_norm { 2.0 / (right - left) } else { 1.0 };
        for (f, w) in row.iter_mut().enumerate() {
            let hz = f as f32 * c.sample_rate as f32 / c.n_fft as f32;
            *w = ((hz - left) / (centre - left)).min((right - hz) / (right - centre)).max(0.0) * norm;
        }
        take(&row);
    }
}

/// A convention's bands without the zeros: a triangle is a short run of bins.
#[derive(Debug, Clone)]
pub struct Filterbank(BandedMatrix);

impl Filterbank {
    pub fn new(convention: &MelConvention) -> Self {
        let mut rows = BandedMatrix::empty(convention.bins());
        each_band(convention, |band| rows.push(band));
        Self(rows)
    }

    pub fn bins(&self) -> usize {
        self.0.columns()
    }

    pub fn n_mels(&self) -> usize {
        self.0.rows()
    }

    /// First bin and weights of band `m`; no weights where the triangle falls between two bins.
    pub fn row(&self, m: usize) -> (usize, &[f32]) {
        self.0.row(m)
    }

    /// A frame's band values: `[F]` -> `[M]`.
    pub fn bands(&self, spectrum: &[f32], out: &mut [f32]) {
        self.0.apply(spectrum, out);
    }
}

/// Hz to mel.
pub fn to_mel(scale: MelScale, hz: f64) -> f64 {
    match scale {
        MelScale::Htk | MelScale::HtkMelTriangles => 2595.0 * (1.0 + hz / 700.0).log10(),
        MelScale::Slaney if hz < 1000.0 => hz * 3.0 / 200.0,
        MelScale::Slaney => 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4f64.ln(),
    }
}

/// Mel to Hz.
pub fn to_hz(scale: MelScale, mel: f64) -> f64 {
    match scale {
        MelScale::Htk | MelScale::HtkMelTriangles => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
        MelScale::Slaney if mel < 15.0 => mel * 200.0 / 3.0,
        MelScale::Slaney => 1000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_filters_are_the_reference() {
        let path = format!("{}/tests/golden/filters/filterbank.npy", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let want: Vec<f32> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap(); // [F, M]
        let got = filterbank(&MelConvention::native()); // [M, F]
        for (i, w) in want.iter().enumerate() {
            let g = got[i % 100 * 513 + i / 100];
            assert!((g - w).abs() < 1e-5, "bin {} band {}: {g} instead of {w}", i / 100, i % 100);
        }
    }
}
