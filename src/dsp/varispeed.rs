//! Reading a signal at another speed, as a tape would be: pitch and tempo move together, by any factor.
//!
//! Band-limited interpolation with a windowed sinc from a table (Smith and Gossett 1984). Unlike the resampler between two
//! fixed rates it takes factors such as 1.0173.

use super::kaiser::kaiser;
use multiversion::multiversion;
use std::{f64::consts::PI, sync::LazyLock};

/// Zero crossings of the sinc on either side.
const CROSSINGS: usize = 24;
/// Places between two samples for which the kernel is tabulated; between them it is interpolated.
const PHASES: usize = 256;
/// The Kaiser window's shape: 80 dB of stop band.
const BETA: f64 = 8.0;
/// The part of the band that is kept, so that the filter's slope ends at Nyquist.
const PASS: f64 = 0.95;
const LANES: usize = 16;

/// One half of the windowed sinc, `FINE` values from one zero crossing to the next.
static PROTOTYPE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let value = |i: usize| {
        let x = i as f64 / FINE as f64;
        let sinc = if i == 0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        (sinc * kaiser(x / CROSSINGS as f64, BETA)) as f32
    };
    (0..=CROSSINGS * FINE + 1).map(value).collect()
});
const FINE: usize = 512;

/// `audio` `[n]` read `speed` times as fast: [round(n / speed)]. Silence lies beyond its ends; a speed of 1 gives the same
/// samples.
pub fn read_at_speed(audio: &[f32], speed: f64) -> Vec<f32> {
    if speed == 1.0 || audio.is_empty() {
        return audio.to_vec();
    }
    // Above a speed of 1 the top of the band would fold back.
    let kernel = Kernel::new(PASS * (1.0 / speed).min(1.0));
    let mut padded = vec![0.0; kernel.reach];
    padded.extend_from_slice(audio);
    padded.resize(audio.len() + kernel.taps + LANES, 0.0);
    let mut out = vec![0.0; (audio.len() as f64 / speed).round() as usize];
    interpolate(&padded, &kernel, speed, audio.len() as f64, &mut out);
    out
}

/// The signal at every multiple of `speed` up to `end`, where the last one may lie half a sample beyond the last input.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn interpolate(padded: &[f32], kernel: &Kernel, speed: f64, end: f64, out: &mut [f32]) {
    for (j, y) in out.iter_mut().enumerate() {
        let at = (j as f64 * speed).min(end);
        *y = kernel.at(&padded[at as usize..], at.fract());
    }
}

struct Kernel {
    /// [PHASES + 1, taps]: for a place `phase / PHASES` after sample `reach - 1` of a window.
    table: Vec<f32>,
    taps: usize,
    /// Samples of a window before the one that a place follows.
    reach: usize,
}

impl Kernel {
    /// Passes the part `cutoff` of the band.
    fn new(cutoff: f64) -> Self {
        let reach = (CROSSINGS as f64 / cutoff).ceil() as usize;
        let taps = (2 * reach + 2).next_multiple_of(LANES);
        let value = |phase: usize, tap: usize| {
            let x = tap as f64 - reach as f64 - phase as f64 / PHASES as f64;
            let place = (x.abs() * cutoff).min(CROSSINGS as f64) * FINE as f64;
            let (entry, between) = (place as usize, place.fract() as f32);
            let [a, b] = [PROTOTYPE[entry], PROTOTYPE[entry + 1]];
            cutoff as f32 * (a + (b - a) * between)
        };
        let table = (0..=PHASES).flat_map(|phase| (0..taps).map(move |tap| value(phase, tap))).collect();
        Self { table, taps, reach }
    }

    /// The signal `fraction` of a sample after sample `reach` of `window`.
    #[inline(always)]
    fn at(&self, window: &[f32], fraction: f64) -> f32 {
        let place = (fraction * PHASES as f64) as f32;
        let (phase, between) = (place as usize, place.fract());
        let rows = &self.table[phase * self.taps..(phase + 2) * self.taps];
        let (a, b) = rows.split_at(self.taps);
        let mut sums = [0.0f32; LANES];
        let lanes = a.chunks_exact(LANES).zip(b.chunks_exact(LANES)).zip(window.chunks_exact(LANES));
        for ((a, b), x) in lanes {
            for lane in 0..LANES {
                sums[lane] += x[lane] * (a[lane] + (b[lane] - a[lane]) * between);
            }
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, n: usize) -> Vec<f32> {
        (0..n).map(|i| (std::f64::consts::TAU * hz / 24_000.0 * i as f64).sin() as f32).collect()
    }

    #[test]
    fn a_tone_moves_by_the_factor_and_stays_one() {
        for speed in [0.5, 0.8, 0.99, 1.0173, 1.5] {
            let got = read_at_speed(&tone(1000.0, 12_000), speed);
            assert_eq!(got.len(), (12_000.0 / speed).round() as usize);
            let want = tone(1000.0 * speed, got.len());
            let inside = 200..got.len() - 200;
            let worst = inside.map(|i| (got[i] - want[i]).abs()).fold(0.0, f32::max);
            assert!(worst < 5e-4, "{speed}: {worst}");
        }
    }

    #[test]
    fn nothing_folds_back() {
        // 9 kHz at 1.5 times the speed would be 13.5 kHz, and come back as 10.5.
        let got = read_at_speed(&tone(9000.0, 12_000), 1.5);
        let loudest = got[200..got.len() - 200].iter().fold(0.0f32, |a, x| a.max(x.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }

    #[test]
    fn the_ends_are_safe() {
        for n in [1, 2, 50] {
            for speed in [0.5, 1.0, 1.9] {
                assert_eq!(read_at_speed(&vec![0.5; n], speed).len(), (n as f64 / speed).round() as usize);
            }
        }
        assert!(read_at_speed(&[], 1.2).is_empty());
    }
}
