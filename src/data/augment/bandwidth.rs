//! Bandwidth loss: a low-pass that leaves nothing above its cut, as a telephone or a low sample rate does.

use crate::dsp::{convolution::Convolver, kaiser::kaiser};
use std::f64::consts::PI;

/// Hz from the last frequency that passes whole to the first that is gone.
const SLOPE_HZ: f64 = 400.0;
/// The Kaiser window for a stop band 80 dB down (Kaiser and Schafer 1980).
const BETA: f64 = 7.857;
const STOP_DB: f64 = 80.0;

/// `clip` `[n]` at `rate` Hz without what lies above `cut_hz`; nothing moves in time.
pub(super) fn low_pass(clip: &[f32], rate: u32, cut_hz: f32, convolver: &Convolver) -> Vec<f32> {
    let rate = f64::from(rate);
    if f64::from(cut_hz) >= rate / 2.0 {
        return clip.to_vec();
    }
    let half = ((STOP_DB - 7.95) / (2.285 * 2.0 * PI * SLOPE_HZ / rate) / 2.0).ceil() as usize;
    // Half-way down the slope.
    let cutoff = 2.0 * (f64::from(cut_hz) - SLOPE_HZ / 2.0).max(1.0) / rate;
    let tap = |i: usize| {
        let x = i as f64 - half as f64;
        let sinc = if x == 0.0 { 1.0 } else { (PI * cutoff * x).sin() / (PI * cutoff * x) };
        (cutoff * sinc * kaiser(x / half as f64, BETA)) as f32
    };
    let kernel: Vec<f32> = (0..=2 * half).map(tap).collect();
    convolver.convolve(clip, &kernel, half)
}
