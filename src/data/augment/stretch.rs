//! Pitch and tempo, each without the other.

use crate::dsp::{time_stretch::time_stretch, varispeed::read_at_speed};

/// `clip` `[n]` at `rate` Hz, `tempo` times as fast and `cents` hundredths of a semitone higher: [round(n / tempo)].
///
/// Stretched to the length at which reading it `2^(cents / 1200)` times as fast gives the pitch and the tempo.
pub(super) fn stretch(clip: &[f32], rate: u32, tempo: f32, cents: f32) -> Vec<f32> {
    let speed = 2f64.powf(f64::from(cents) / 1200.0);
    let length = stretched_len(clip.len(), tempo);
    let stretched = (length as f64 * speed).round() as usize;
    let mut out = read_at_speed(&time_stretch(clip, rate, stretched), speed);
    out.resize(length, 0.0);
    out
}

/// Samples of `n` at another tempo.
pub(super) fn stretched_len(n: usize, tempo: f32) -> usize {
    (n as f64 / f64::from(tempo)).round() as usize
}
