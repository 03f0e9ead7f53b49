//! Resampling by a ratio of whole numbers, with the filter that the field's published scores were made with.
//!
//! PESQ hears 16 kHz, and what the resampler before it does to the top of the band moves the score by more than 0.02. So
//! metrics use the filter of `scipy.signal.resample_poly` (a Kaiser-windowed sinc of 20 max(up, down) + 1 taps, beta 5,
//! zeros beyond the ends), and their figures can be laid beside the Python ones.

use crate::{dsp::kaiser::kaiser, sound::Sound};
use std::f64::consts::PI;

/// `audio` at `from` Hz brought to `to` Hz: `[n]` -> [ceil(n to / from)]. Without delay: output sample k lies at input
/// sample k from / to.
pub fn resample(audio: &[f32], from: u32, to: u32) -> Vec<f32> {
    let divisor = gcd(from.max(1), to.max(1));
    let (up, down) = ((to.max(1) / divisor) as usize, (from.max(1) / divisor) as usize);
    if up == down {
        return audio.to_vec();
    }
    let taps = low_pass(up, down);
    let half = taps.len() / 2;
    let outputs = (audio.len() * up).div_ceil(down);
    (0..outputs)
        .map(|k| {
            // On the grid of the common multiple of both rates, input i lies at i up and output k at k down.
            let centre = k * down;
            let first = centre.saturating_sub(half).div_ceil(up);
            let last = ((centre + half) / up).min(audio.len() - 1);
            audio[first.min(last)..=last]
                .iter()
                .zip(first.min(last)..)
                .map(|(&x, i)| match (half + i * up).checked_sub(centre) {
                    Some(at) if at < taps.len() => f64::from(x) * taps[at],
                    _ => 0.0,
                })
                .sum::<f64>() as f32
        })
        .collect()
}

/// Each channel of `sound` brought to `rate` Hz by [`resample`].
pub fn resample_sound(sound: &Sound, rate: u32) -> Sound {
    Sound { rate, channels: sound.channels.iter().map(|samples| resample(samples, sound.rate, rate)).collect() }
}

/// A windowed sinc that cuts at the lower of the two Nyquist frequencies, on the grid of both rates' common multiple.
fn low_pass(up: usize, down: usize) -> Vec<f64> {
    const BETA: f64 = 5.0;
    let slower = up.max(down);
    let half = 10 * slower;
    let cutoff = 1.0 / slower as f64;
    let mut taps: Vec<f64> = (0..=2 * half)
        .map(|i| {
            let x = i as f64 - half as f64;
            let sinc = if x == 0.0 { 1.0 } else { (PI * cutoff * x).sin() / (PI * cutoff * x) };
            let window = kaiser(x / half as f64, BETA);
            cutoff * sinc * window
        })
        .collect();
    // Unit gain at 0 Hz, then made good for the zeros between the input's samples.
    let sum: f64 = taps.iter().sum();
    for tap in &mut taps {
        *tap *= up as f64 / sum;
    }
    taps
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_scipys() {
        // scipy.signal.resample_poly(np.sin(np.arange(10.0) ** 2), up, down), scipy 1.17.1
        let x: Vec<f32> = (0..10).map(|i| (f64::from(i * i)).sin() as f32).collect();
        let cases: [(u32, u32, &[f32]); 4] = [
            (2, 3, &[0.2802868, 0.1274998, -0.1996979, 0.0687910, -1.1223815, 0.0259863, -0.0705345]),
            (
                3,
                2,
                &[
                    0.0, 0.9000063, 0.3059917, -0.7572613, -0.0670931, 0.493_26, -0.2880778, -0.3917617, -0.0680696,
                    -0.992_38, -1.5154568, -0.0603100, 0.9205838, -0.1108916, -0.7189129,
                ],
            ),
            (160, 441, &[0.1265052, 0.0411990, -0.5583068, -0.159_492]),
            (1, 2, &[0.2364614, 0.0006726, -0.0789167, -0.7716127, -0.0340411]),
        ];
        for (up, down, expected) in cases {
            let got = resample(&x, down * 1000, up * 1000);
            assert_eq!(got.len(), expected.len());
            for (g, e) in got.iter().zip(expected) {
                assert!((g - e).abs() < 1e-6, "{up}/{down}: {got:?}");
            }
        }
    }
}
