//! The triangles of every mel convention, from one function.

use super::{MelConvention, MelScale};

/// The weights of a convention's bands: [M, F], band-major: band `m` weighs bin `f` by `weights[m * bins + f]`.
///
/// Sources: HTK book (scale), Slaney's Auditory Toolbox as in librosa (scale and area normalisation), torchaudio
/// (`melscale_fbanks`: triangles in Hz, peak 1), TensorFlow (`linear_to_mel_weight_matrix`: triangles in mel, no weight
/// at 0 Hz).
pub fn filterbank(c: &MelConvention) -> Vec<f32> {
    let bins = c.bins();
    let hz: Vec<f64> = (0..bins).map(|f| f as f64 * f64::from(c.sample_rate) / c.n_fft as f64).collect();
    let (low, high) = (to_mel(c.scale, c.f_min), to_mel(c.scale, c.f_max));
    let edges: Vec<f64> = (0..c.n_mels + 2).map(|i| low + (high - low) * i as f64 / (c.n_mels + 1) as f64).collect();
    // The axis on which the triangles are straight.
    let (axis, corners): (Vec<f64>, Vec<f64>) = match c.scale {
        MelScale::HtkMelTriangles => (hz.iter().map(|&f| to_mel(c.scale, f)).collect(), edges.clone()),
        _ => (hz.clone(), edges.iter().map(|&m| to_hz(c.scale, m)).collect()),
    };
    let mut weights = vec![0.0f32; c.n_mels * bins];
    for (m, row) in weights.chunks_exact_mut(bins).enumerate() {
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
    }
    weights
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
