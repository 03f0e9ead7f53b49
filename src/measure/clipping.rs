//! Waves that were cut off, at full scale or at whatever level the recording was brought to afterwards.
//!
//! A cut wave stays at its highest value for several samples and gets there by a jump; a wave that turns by itself slows
//! down first. Only runs at the recording's own extreme count, of either sign for itself: two equal values in a row
//! happen everywhere.

use serde::Serialize;

/// Where a recording was clipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Clipping {
    /// Stretches of three or more samples at the highest or lowest level.
    pub runs: u64,
    /// Samples in them.
    pub samples: u64,
}

impl Clipping {
    /// One or two such places come about by chance, or by a brick-wall limiter that did its work.
    pub const FEWEST_RUNS: u64 = 3;

    pub fn is_heard(&self) -> bool {
        self.runs >= Self::FEWEST_RUNS
    }
}

/// Samples of a run.
const SHORTEST: u64 = 3;
/// Two values that are equal but for the dither of 16 bits.
const SAME: f32 = 2.1 / 32_768.0;
/// A wave that arrives by less than this share of its level may have turned by itself …
const JUMP: f32 = 0.004;
/// … unless it then stays for so many samples.
const CERTAIN: u64 = 100;
/// Below it nothing is cut off: the noise of a quiet recording repeats values all the time.
const QUIETEST: f32 = 0.05;

/// Looks at samples as they pass.
#[derive(Default)]
pub(super) struct ClippingDetector {
    /// Positive and negative side.
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    /// Value before the run and at its start, and its length.
    before: f32,
    level: f32,
    length: u64,
    /// Highest level with a run, and what was found there.
    highest: f32,
    found: Clipping,
    peak: f32,
}

impl ClippingDetector {
    pub fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.sides[0].push(sample);
            self.sides[1].push(-sample);
        }
    }

    pub fn finish(mut self) -> Clipping {
        let mut all = Clipping::default();
        for side in &mut self.sides {
            side.push(0.0);
            if side.highest >= side.peak - SAME {
                all.runs += side.found.runs;
                all.samples += side.found.samples;
            }
        }
        all
    }
}

impl Side {
    fn push(&mut self, sample: f32) {
        self.peak = self.peak.max(sample);
        if self.length > 0 && (sample - self.level).abs() <= SAME {
            self.length += 1;
            return;
        }
        let last = if self.length > 0 { self.level } else { 0.0 };
        self.end_run(sample);
        (self.before, self.level, self.length) = (last, sample, 1);
    }

    fn end_run(&mut self, after: f32) {
        let (level, length) = (self.level, self.length);
        if length < SHORTEST || level < QUIETEST || level < self.highest - SAME {
            return;
        }
        let jump = (level - self.before).max(level - after);
        if length < CERTAIN && jump < JUMP * level {
            return;
        }
        if level > self.highest + SAME {
            self.found = Clipping::default();
        }
        self.highest = self.highest.max(level);
        self.found.runs += 1;
        self.found.samples += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipping(samples: &[f32]) -> Clipping {
        let mut detector = ClippingDetector::default();
        samples.chunks(777).for_each(|chunk| detector.push(chunk));
        detector.finish()
    }

    fn sine(hz: f64, rate: f64, amplitude: f64) -> Vec<f32> {
        (0..rate as usize).map(|i| (amplitude * (std::f64::consts::TAU * hz * i as f64 / rate).sin()) as f32).collect()
    }

    #[test]
    fn a_cut_wave_is_found_at_every_level_and_on_one_side() {
        let tone = sine(200.0, 24_000.0, 1.3);
        for level in [1.0, 0.3] {
            let cut: Vec<f32> = tone.iter().map(|x| x.clamp(-1.0, 1.0) * level).collect();
            let found = clipping(&cut);
            // Two in each of 200 periods, the last of which may end early.
            assert!((399..=400).contains(&found.runs) && found.is_heard(), "{level}: {found:?}");
            // acos(1 / 1.3) = 0.69 of pi / 2 each side: 44 % of the time.
            assert!((found.samples as f64 / 24_000.0 - 0.44).abs() < 0.02, "{found:?}");
        }
        let above: Vec<f32> = tone.iter().map(|x| x.min(0.8)).collect();
        assert!((199..=200).contains(&clipping(&above).runs));
        // In 16 bits with dither of one step.
        let dithered: Vec<f32> = tone
            .iter()
            .enumerate()
            .map(|(i, x)| (x.clamp(-1.0, 1.0) * 26_000.0).round() / 32_768.0 + [0.0, 1.0, -1.0][i % 3] / 32_768.0)
            .collect();
        assert!(clipping(&dithered).is_heard());
    }

    #[test]
    fn a_bass_tone_turns_by_itself() {
        for hz in [20.0, 50.0, 440.0, 3000.0] {
            for rate in [24_000.0, 48_000.0, 192_000.0] {
                let tone: Vec<f32> = sine(hz, rate, 0.9).iter().map(|x| (x * 32_768.0).round() / 32_768.0).collect();
                assert!(!clipping(&tone).is_heard(), "{hz} Hz at {rate}: {:?}", clipping(&tone));
            }
        }
        assert_eq!(clipping(&[0.0; 1000]), Clipping::default());
        assert_eq!(clipping(&[0.01; 1000]), Clipping::default());
        assert_eq!(clipping(&[]), Clipping::default());
    }
}
