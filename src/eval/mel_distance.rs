//! The mean difference of log-mel: did the vocoder say what it was told?

use crate::dsp::stft::Stft;
use crate::mel::{MelConvention, MelSpectrogram, filterbank::filterbank};

/// The mean absolute difference, in nats, between the mel that was given (native convention, [T, M]) and the mel of what
/// was rendered from it ([n] at 24 kHz), over the frames that both have; `None` where they have none in common.
pub fn mel_l1(given: &MelSpectrogram, rendered: &[f32]) -> Option<f32> {
    let again = native_mel(rendered);
    let values = given.frames().min(again.frames()) * given.n_mels();
    if values == 0 || given.n_mels() != again.n_mels() {
        return None;
    }
    let pairs = given.values()[..values].iter().zip(&again.values()[..values]);
    let sum: f64 = pairs.map(|(a, b)| f64::from((a - b).abs())).sum();
    Some((sum / values as f64) as f32)
}

/// [n] at 24 kHz -> [T, M].
pub fn native_mel(audio: &[f32]) -> MelSpectrogram {
    let convention = MelConvention::native();
    let (weights, stft) = (filterbank(&convention), Stft::new(convention.n_fft, convention.hop));
    let magnitudes: Vec<f32> = stft.forward(audio).iter().map(|s| s.norm()).collect();
    let mut values = Vec::with_capacity(magnitudes.len() / stft.bins() * convention.n_mels);
    for frame in magnitudes.chunks_exact(stft.bins()) {
        for band in weights.chunks_exact(stft.bins()) {
            let sum: f32 = band.iter().zip(frame).map(|(w, m)| w * m).sum();
            values.push(sum.max(convention.floor as f32).ln());
        }
    }
    MelSpectrogram::new(values, convention.n_mels)
}
