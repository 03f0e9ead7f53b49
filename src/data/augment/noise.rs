//! Noise at a signal-to-noise ratio.

use super::{draws::Draws, settings::NoiseColour};
use crate::dsp::convolution::{Convolver, Transform, fast_size};
use realfft::num_complex::Complex32;

/// Samples after which coloured noise repeats, seamlessly; 44 s at 24 kHz.
const PERIOD: usize = 1 << 20;

/// Nothing is heard below, Hz; brown noise has most of its power there.
const LOWEST_HZ: f32 = 20.0;

/// `length` samples of noise at `rate` Hz, of any level.
pub(super) fn coloured(
    colour: NoiseColour,
    length: usize,
    rate: u32,
    convolver: &Convolver,
    draws: &mut Draws,
) -> Vec<f32> {
    let size = fast_size(length.min(PERIOD));
    let Transform { inverse, .. } = convolver.transform(size);
    let mut spectrum = vec![Complex32::ZERO; size / 2 + 1];
    let per_bin = rate as f32 / size as f32;
    for (bin, value) in spectrum.iter_mut().enumerate().take(size / 2).skip(1) {
        let (re, im) = draws.normals();
        let hz = bin as f32 * per_bin;
        let gain = match colour {
            _ if hz < LOWEST_HZ => 0.0,
            NoiseColour::White => 1.0,
            NoiseColour::Pink => (LOWEST_HZ / hz).sqrt(),
            NoiseColour::Brown => LOWEST_HZ / hz,
        };
        *value = Complex32::new(re * gain, im * gain);
    }
    let mut noise = vec![0.0; size];
    inverse.process(&mut spectrum, &mut noise).expect("the buffers are of the plan's sizes");
    looped(&noise, 0.0, length)
}

/// `length` samples of `noise` from `start`, a part of its length, on, again and again.
pub(super) fn looped(noise: &[f32], start: f32, length: usize) -> Vec<f32> {
    let first = (start * noise.len() as f32) as usize;
    noise.iter().cycle().skip(first).take(length).copied().collect()
}

/// `length` samples of `sound`, once: a part of it, or all of it with silence around. `start` is the place of what is
/// shorter in what is longer, 0 to 1.
pub(super) fn placed(sound: &[f32], start: f32, length: usize) -> Vec<f32> {
    let place = |room: usize| (start * room as f32) as usize;
    if sound.len() >= length {
        return sound[place(sound.len() - length)..][..length].to_vec();
    }
    let mut out = vec![0.0; length];
    out[place(length - sound.len())..][..sound.len()].copy_from_slice(sound);
    out
}

/// Adds `other` to `clip` with `ratio_db` of the clip's power over its own. Silence gets no company: it has no ratio.
pub(super) fn add_at_ratio(clip: &mut [f32], other: &[f32], ratio_db: f32) {
    let power = |samples: &[f32]| samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let (own, others) = (power(clip), power(other));
    if others == 0.0 {
        return;
    }
    let gain = (own / others * 10f64.powf(f64::from(-ratio_db) / 10.0)).sqrt() as f32;
    clip.iter_mut().zip(other).for_each(|(x, y)| *x += gain * y);
}
