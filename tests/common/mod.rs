//! The clips in `samples/`, and recipes that make them worse in ways that NumPy can repeat.

#![allow(dead_code)] // each test binary uses a part of it

use std::path::Path;

/// Samples [n] and rate of a WAV file in `samples/`.
pub fn sample(name: &str) -> (Vec<f32>, u32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Of the library, and of the program beside it.
    let samples = ["samples", "../samples"].map(|folder| root.join(folder)).into_iter().find(|folder| folder.is_dir());
    let path = samples.expect("samples of the repository").join(name);
    let mut reader = hound::WavReader::open(&path).unwrap();
    let audio = reader.samples::<i16>().map(|x| f32::from(x.unwrap()) / 32_768.0).collect();
    (audio, reader.spec().sample_rate)
}

/// `noise`: uniform noise of 0.02; `coarse`: 7 bits; `dull`: y[i] = 0.7 y[i-1] + 0.3 x[i]; `late`: `dull` at half the
/// level after 1,000 zeros.
pub fn degraded(audio: &[f32], recipe: &str) -> Vec<f32> {
    match recipe {
        "noise" => audio.iter().zip(uniform()).map(|(x, z)| (f64::from(*x) + 0.02 * z) as f32).collect(),
        "coarse" => audio.iter().map(|x| (x * 64.0).round_ties_even() / 64.0).collect(),
        "dull" => {
            let mut y = 0.0;
            audio
                .iter()
                .map(|x| {
                    y = 0.7 * y + 0.3 * f64::from(*x);
                    y as f32
                })
                .collect()
        }
        "late" => [0.0; 1000].into_iter().chain(degraded(audio, "dull").into_iter().map(|x| 0.5 * x)).collect(),
        _ => panic!("no recipe {recipe}"),
    }
}

/// A linear congruential generator from seed 1: 24 bits in [-1, 1).
pub fn uniform() -> impl Iterator<Item = f64> {
    let mut state = 1u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 23) - 1.0
    })
}
