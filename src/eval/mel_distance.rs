//! Differences of log-mel: did the vocoder say what it was told, on the model's own scale and on others?

use crate::Result;
use crate::mel::{Framing, LogBase, MelConvention, MelScale, MelSpectrogram, extract, presets};

/// The mean absolute difference, in nats, between the mel that was given (of `convention`, `[T, M]`) and the mel of what
/// was rendered from it (`[n]` at the convention's rate), over the frames that both have; `None` where they have none in
/// common. A convention of another logarithm or scaling than the natural one gives its own units: see [`mel_in_nats`].
pub fn mel_l1(given: &MelSpectrogram, rendered: &[f32], convention: &MelConvention) -> Option<f32> {
    let again = extract(rendered, convention).ok()?;
    mean_difference(given, &again)
}

/// The bands of `convention` as natural logarithms, so that differences are nats whatever is stored: without its affine
/// map and statistics, its floor that of what is stored. One that stores nothing else is given back as it is.
pub fn mel_in_nats(convention: &MelConvention) -> MelConvention {
    if convention.log == LogBase::Natural && convention.affine.is_none() && convention.statistics.is_none() {
        return convention.clone();
    }
    MelConvention {
        log: LogBase::Natural,
        floor: convention.linear(0, convention.stored(0, 0.0)).max(LOWEST_FLOOR),
        added_floor: 0.0,
        affine: None,
        statistics: None,
        ..convention.clone()
    }
}

/// Of magnitudes. What lies below is rounding, which would be compared where nothing is stored.
const LOWEST_FLOOR: f64 = 1e-8;

/// The convention of [`mel_l1`] where no model names one, for sounds that are compared at `sample_rate` Hz: F5-TTS's up to
/// 24 kHz, and above it that of BigVGAN v2 at 44.1 kHz, its frames centred, whose bands reach as far as anybody hears.
///
/// # Errors
/// None as long as the two presets are there.
pub fn mel_of_rate(sample_rate: u32) -> Result<MelConvention> {
    if sample_rate <= 24_000 {
        return presets::named("f5-tts").cloned();
    }
    let wide = presets::named("bigvgan-44k-128")?.clone();
    Ok(MelConvention { name: "bigvgan-44k-128, centred".into(), framing: Framing::Centred, ..wide })
}

/// The mean of [`mel_l1`] over windows of 32, 64 … 2048 samples (hop a quarter) with 5, 10 … 320 bands from 0 Hz to half the
/// rate, Slaney's scale and area: the multi-scale mel distance of the Descript codec and BigVGAN v2 (Kumar et al. 2023,
/// their sum of log10 values is this one times 7 / ln 10). Both `[n]` at `sample_rate` Hz.
pub fn multi_resolution_mel(reference: &[f32], rendered: &[f32], sample_rate: u32) -> Result<Option<f32>> {
    let mut sum = 0.0;
    for scale in 0..7 {
        let name = format!("multi-resolution {scale}");
        let convention = MelConvention {
            scale: MelScale::Slaney,
            area_norm: true,
            ..MelConvention::full_band(name, sample_rate, 32 << scale, 8 << scale, 5 << scale)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_nats_every_preset_measures_a_gain() {
        let mut state = 1u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.2 * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        });
        let noise: Vec<f32> = noise.take(24_000).collect();
        let louder: Vec<f32> = noise.iter().map(|x| 2.0 * x).collect();
        for preset in presets::all() {
            let nats = mel_in_nats(&preset.convention);
            nats.validate().unwrap_or_else(|error| panic!("{error}"));
            let given = extract(&noise, &nats).unwrap();
            let distance = f64::from(mel_l1(&given, &louder, &nats).unwrap());
            // Twice the magnitude is ln 2 in every band, and twice that of powers. Triangles narrower than a bin stay empty,
            // and what is added before the logarithm takes its share.
            let gain = 2f64.ln() * nats.power;
            let least = if nats.added_floor > 0.0 { 0.0 } else { 0.85 * gain };
            assert!(distance > least && distance < gain + 1e-3, "{}: {distance} of {gain}", preset.name());
        }
    }

    #[test]
    fn without_a_model_the_rate_tells_the_mel() {
        for rate in [16_000, 22_050, 24_000] {
            assert_eq!(mel_of_rate(rate).unwrap(), MelConvention::native());
        }
        for rate in [32_000, 44_100, 48_000, 96_000] {
            let wide = mel_of_rate(rate).unwrap();
            assert_eq!((wide.sample_rate, wide.n_mels, wide.f_max), (44_100, 128, 22_050.0));
        }
    }
}
