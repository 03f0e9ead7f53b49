//! Mains hum: thin, steady lines at 50 or 60 Hz and their multiples.
//!
//! A line is told from a low voice or a bass by what it does not do: it never stops and never moves. So the levels that
//! the bins keep even in the quieter fifth of the time are looked at, at a resolution of about 1.5 Hz.

use super::{frame_cutter::FrameCutter, level_histogram::LevelHistogram};
use crate::dsp::stft::{Edge, FrameBuffers, Stft};
use serde::Serialize;

/// Hum, where there is some.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hum {
    /// 50 or 60.
    pub hz: u32,
    /// Of all lines together, the root mean square in dB against full scale.
    pub level_dbfs: f32,
}

/// Multiples that are looked at.
const HARMONICS: u32 = 8;
/// dB that a line stands out from its surroundings.
const PROMINENCE_DB: f32 = 12.0;
/// dB between a line's level in quieter and in louder moments, more than which comes and goes. A voice that speaks over it
/// may add some.
const STEADY_DB: f32 = 15.0;
/// dB of a line below which nobody hears it.
const FAINTEST_DB: f32 = -84.0;
/// Moments that say what stays: about two seconds.
const FEWEST_MOMENTS: u32 = 4;

/// Follows the low end of the spectrum.
pub(super) struct HumDetector {
    stft: Stft,
    buffers: FrameBuffers,
    bin_hz: f64,
    bins: usize,
    levels: LevelHistogram,
    cutter: FrameCutter,
}

impl HumDetector {
    pub fn new(sample_rate: u32) -> Self {
        // A window of 0.5 to 1 s.
        let n_fft = (sample_rate as usize / 2).next_power_of_two();
        let stft = Stft::new(n_fft, n_fft / 2);
        let bin_hz = f64::from(sample_rate) / n_fft as f64;
        let bins = (f64::from(60 * HARMONICS + 40) / bin_hz) as usize;
        let bins = bins.min(stft.bins());
        let cutter = FrameCutter::new(n_fft, n_fft / 2);
        Self { buffers: stft.buffers(), stft, bin_hz, bins, levels: LevelHistogram::new(bins), cutter }
    }

    pub fn push(&mut self, mut samples: &[f32]) {
        while self.cutter.fill(&mut samples) {
            self.stft.analyse(self.cutter.frame(), 0, Edge::Zero, &mut self.buffers);
            let full = self.stft.n_fft() as f32 / 4.0;
            let level = |s: &rustfft::num_complex::Complex32| 20.0 * (s.norm() / full + 1e-9).log10();
            self.levels.push(self.buffers.spectrum[..self.bins].iter().map(level));
            self.cutter.advance();
        }
    }

    pub fn finish(self) -> Option<Hum> {
        if self.levels.moments() < FEWEST_MOMENTS {
            return None;
        }
        let (quieter, middle) = (self.levels.percentile(0.2), self.levels.percentile(0.5));
        let of = |base| self.lines(&quieter, &middle, base).map(|level_dbfs| Hum { hz: base, level_dbfs });
        let louder = |a: &Hum, b: &Hum| a.level_dbfs.total_cmp(&b.level_dbfs);
        [of(50), of(60)].into_iter().flatten().max_by(louder)
    }

    /// The level of the lines at the multiples of `base`, where there are two or more, one of them among the first three.
    /// `quieter` and `middle` are what each bin has in a fifth and in half of the moments.
    fn lines(&self, quieter: &[f32], middle: &[f32], base: u32) -> Option<f32> {
        let near = |from: f64, to: f64| {
            let index = |hz: f64| ((hz / self.bin_hz).round().max(0.0) as usize).min(quieter.len());
            index(from)..index(to)
        };
        let (mut power, mut count, mut has_low) = (0.0, 0, false);
        for harmonic in 1..=HARMONICS {
            let centre = f64::from(base * harmonic);
            let bins = near(centre - 1.5, centre + 1.5 + self.bin_hz);
            let Some(bin) = bins.max_by(|a, b| quieter[*a].total_cmp(&quieter[*b])) else { continue };
            let line = quieter[bin];
            let mut around =
                [&quieter[near(centre - 20.0, centre - 6.0)], &quieter[near(centre + 6.0, centre + 20.0)]].concat();
            around.sort_by(f32::total_cmp);
            let Some(&median) = around.get(around.len() / 2) else { continue };
            if line - median >= PROMINENCE_DB && line > FAINTEST_DB && middle[bin] - line < STEADY_DB {
                power += 10f32.powf(line / 10.0) / 2.0;
                count += 1;
                has_low |= harmonic <= 3;
            }
        }
        (count >= 2 && has_low).then(|| 10.0 * power.log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hum(samples: &[f32], rate: u32) -> Option<Hum> {
        let mut detector = HumDetector::new(rate);
        samples.chunks(1000).for_each(|chunk| detector.push(chunk));
        detector.finish()
    }

    fn tones(rate: u32, seconds: u32, parts: &[(f64, f64)]) -> Vec<f32> {
        let at = |i: u32, (hz, a): &(f64, f64)| a * (std::f64::consts::TAU * hz * f64::from(i) / f64::from(rate)).sin();
        (0..rate * seconds).map(|i| parts.iter().map(|part| at(i, part)).sum::<f64>() as f32).collect()
    }

    #[test]
    fn fifty_and_sixty_are_told_apart_with_their_level() {
        for rate in [8_000, 24_000, 44_100, 48_000] {
            for base in [50, 60] {
                let base_hz = f64::from(base);
                let found =
                    hum(&tones(rate, 4, &[(base_hz, 0.01), (2.0 * base_hz, 0.004), (3.0 * base_hz, 0.004)]), rate);
                let found = found.unwrap_or_else(|| panic!("{base} at {rate}"));
                // 0.01² / 2 + 2 · 0.004² / 2; the bins may lie 0.7 Hz beside the lines, which costs up to 1.4 dB.
                assert!(found.hz == base && (found.level_dbfs + 41.8).abs() < 1.6, "{rate}: {found:?}");
            }
        }
    }

    #[test]
    fn tones_beside_the_mains_are_none() {
        // A bass note with its overtones, a single line, and 50 Hz that comes and goes.
        assert_eq!(hum(&tones(24_000, 4, &[(55.0, 0.1), (110.0, 0.1), (165.0, 0.05)]), 24_000), None);
        assert_eq!(hum(&tones(24_000, 4, &[(100.0, 0.1)]), 24_000), None);
        let mut bursts = tones(24_000, 6, &[(50.0, 0.1), (100.0, 0.1), (150.0, 0.1)]);
        bursts.chunks_mut(24_000).skip(1).step_by(2).for_each(|second| second.fill(0.0));
        assert_eq!(hum(&bursts, 24_000), None);
        assert_eq!(hum(&tones(24_000, 1, &[(50.0, 0.1), (100.0, 0.1)]), 24_000), None, "too short to say");
    }
}
