//! Differences of log-mel: did the vocoder say what it was told, on the model's own scale and on others?

use crate::Result;
use crate::mel::{LogBase, MelConvention, MelScale, MelSpectrogram, extract};

/// The mean absolute difference, in nats, between the mel that was given (of `convention`, `[T, M]`) and the mel of what
/// was rendered from it (`[n]` at the convention's rate), over the frames that both have; `None` where they have none in common.
pub fn mel_l1(given: &MelSpectrogram, rendered: &[f32], convention: &MelConvention) -> Option<f32> {
    let again = extract(rendered, convention).ok()?;
    mean_difference(given, &again)
}

/// The mean of [`mel_l1`] over windows of 32, 64 … 2048 samples (hop a quarter) with 5, 10 … 320 bands, Slaney's scale and
/// area: the multi-scale mel distance of the Descript codec and BigVGAN v2 (Kumar et al. 2023, their sum of log10 values
/// is this one times 7 / ln 10). Both `[n]` at `sample_rate` Hz.
pub fn multi_resolution_mel(reference: &[f32], rendered: &[f32], sample_rate: u32) -> Result<Option<f32>> {
    let mut sum = 0.0;
    for scale in 0..7 {
        let convention = MelConvention {
            name: format!("multi-resolution {scale}"),
            sample_rate,
            n_fft: 32 << scale,
            win_length: 32 << scale,
            hop: 8 << scale,
            n_mels: 5 << scale,
            f_max: f64::from(sample_rate) / 2.0,
            scale: MelScale::Slaney,
            area_norm: true,
            log: LogBase::Natural,
            ..MelConvention::native()
        };
        let (a, b) = (extract(reference, &convention)?, extract(rendered, &convention)?);
        let Some(distance) = mean_difference(&a, &b) else { return Ok(None) };
        sum += distance;
    }
    Ok(Some(sum / 7.0))
}

/// Over the frames that both have.
fn mean_difference(a: &MelSpectrogram, b: &MelSpectrogram) -> Option<f32> {
    let values = a.frames().min(b.frames()) * a.n_mels();
    if values == 0 || a.n_mels() != b.n_mels() {
        return None;
    }
    let pairs = a.values()[..values].iter().zip(&b.values()[..values]);
    let sum: f64 = pairs.map(|(a, b)| f64::from((a - b).abs())).sum();
    Some((sum / values as f64) as f32)
}
