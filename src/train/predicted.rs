//! Mels as acoustic models write them, made of recordings': what a network is not sure of comes out as its mean, so
//! neighbours in time and across the bands run into each other, and what is left over is noise.

use super::windows::uniform;
use crate::mel::{MelConvention, MelSpectrogram};
use rand_chacha::ChaCha8Rng;

/// The most that a value is drawn towards its neighbours, in bands and in frames on either side.
const REACH: usize = 2;

/// Standard deviation of the noise, in nats.
const NOISE: (f64, f64) = (0.02, 0.3);

/// `mel` of `convention`, blurred and with noise, as far as `random` says.
pub(super) fn predicted(mel: &MelSpectrogram, convention: &MelConvention, random: &mut ChaCha8Rng) -> MelSpectrogram {
    let (bands, frames) = (mel.n_mels(), mel.frames());
    let share = if uniform(random) < 0.5 { 1.0 } else { 0.4 + 0.6 * uniform(random) } as f32;
    let kernels = [kernel(random), kernel(random)];
    let mut values = mel.values().to_vec();
    let blurred = blur(&values, bands, &kernels);
    values.iter_mut().zip(&blurred).for_each(|(v, b)| *v += share * (b - *v));
    if uniform(random) < 0.5 {
        let deviation = NOISE.0 * (NOISE.1 / NOISE.0).powf(uniform(random)) * convention.stored_slope();
        // Three sums of four uniform numbers are near enough to a normal one.
        let mut noise: Vec<f32> = (0..bands * frames)
            .map(|_| ((0..4).map(|_| uniform(random)).sum::<f64>() - 2.0) as f32 * 3f32.sqrt())
            .collect();
        if uniform(random) < 0.5 {
            noise = blur(&noise, bands, &kernels);
        }
        for (i, (v, n)) in values.iter_mut().zip(noise).enumerate() {
            let of_band = convention.statistics.as_ref().map_or(1.0, |s| s.std[i % bands]);
            *v += n * (deviation / of_band) as f32;
        }
    }
    let floors: Vec<f32> = (0..bands).map(|m| convention.stored(m, 0.0) as f32).collect();
    // Falling maps have their floor on top.
    let floored = |(i, v): (usize, f32)| match convention.stored_slope() {
        slope if slope < 0.0 => v.min(floors[i % bands]),
        _ => v.max(floors[i % bands]),
    };
    MelSpectrogram::new(values.into_iter().enumerate().map(floored).collect(), bands)
}

/// Weights of the neighbours up to [`REACH`] away, the value's own in the middle: none, a box or a triangle.
fn kernel(random: &mut ChaCha8Rng) -> Vec<f32> {
    let reach = (uniform(random) * (REACH + 1) as f64) as usize;
    let pointed = uniform(random) < 0.5;
    let weight = |k: usize| if pointed { (reach + 1 - k.abs_diff(reach)) as f32 } else { 1.0 };
    let weights: Vec<f32> = (0..=2 * reach).map(weight).collect();
    let sum: f32 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// `values` `[T, M]`, weighted means over bands and frames by the kernels of each; at the edges the last value goes on.
fn blur(values: &[f32], bands: usize, [across, along]: &[Vec<f32>; 2]) -> Vec<f32> {
    let frames = values.len() / bands;
    let near = |at: usize, k: usize, reach: usize, count: usize| (at + k).saturating_sub(reach).min(count - 1);
    let mut of_bands = vec![0.0; values.len()];
    for (i, out) in of_bands.iter_mut().enumerate() {
        let (t, m) = (i / bands, i % bands);
        let value = |(k, w): (usize, &f32)| w * values[t * bands + near(m, k, across.len() / 2, bands)];
        *out = across.iter().enumerate().map(value).sum();
    }
    let mut out = vec![0.0; values.len()];
    for (i, out) in out.iter_mut().enumerate() {
        let (t, m) = (i / bands, i % bands);
        let value = |(k, w): (usize, &f32)| w * of_bands[near(t, k, along.len() / 2, frames) * bands + m];
        *out = along.iter().enumerate().map(value).sum();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mel::presets, train::windows::generator};

    /// Mean absolute difference from frame to frame.
    fn liveliness(mel: &MelSpectrogram) -> f32 {
        let steps = (1..mel.frames()).flat_map(|t| (0..mel.n_mels()).map(move |m| (t, m)));
        let total: f32 = steps.map(|(t, m)| (mel.frame(t)[m] - mel.frame(t - 1)[m]).abs()).sum();
        total / ((mel.frames() - 1) * mel.n_mels()) as f32
    }

    #[test]
    fn what_a_network_writes_is_smoother_and_keeps_its_level() {
        let convention = presets::named("f5-tts").unwrap();
        let values = (0..64 * 100).map(|i| -4.0 + ((i * i) as f32 * 0.37).sin()).collect();
        let (mel, mut smoother) = (MelSpectrogram::new(values, 100), 0);
        for item in 0..40 {
            let out = predicted(&mel, convention, &mut generator(1, 1, item));
            let mean = |mel: &MelSpectrogram| mel.values().iter().sum::<f32>() / mel.values().len() as f32;
            assert!((mean(&out) - mean(&mel)).abs() < 0.05, "{item}");
            smoother += usize::from(liveliness(&out) < 0.8 * liveliness(&mel));
        }
        assert!((20..40).contains(&smoother), "{smoother}");
    }

    #[test]
    fn silence_stays_where_the_convention_ends() {
        for name in ["f5-tts", "tacotron2", "wavegrad-24k", "audioldm-16k"] {
            let convention = presets::named(name).unwrap();
            let silence = (0..20 * convention.n_mels).map(|i| convention.stored(i % convention.n_mels, 0.0) as f32);
            let silence = MelSpectrogram::new(silence.collect(), convention.n_mels);
            for item in 0..10 {
                let out = predicted(&silence, convention, &mut generator(2, 1, item));
                assert!(out.values().iter().zip(silence.values()).all(|(a, b)| a >= b), "{name} {item}");
            }
        }
    }
}
