//! A look-ahead limiter: peaks over a ceiling are taken back around themselves alone, so that the level of the whole stays.
//!
//! For each sample the gain that its true peak needs (the largest over all channels, between samples too: ITU-R BS.1770-4,
//! annex 2) is held over the look-ahead, recovers slowly, and is smoothed by a window as long as the look-ahead. Every gain
//! that enters the smoothing at a peak is at most what the peak needs, so their mean is as well.

use std::collections::VecDeque;

use super::true_peak::{DELAY, TruePeak};
use crate::sound::Sound;

/// Seconds over which the gain goes down before a peak: long enough to be no click, short enough not to be heard.
const LOOK_AHEAD_S: f64 = 0.005;

/// Seconds in which the gain recovers by the better part of the way: shorter distorts the bass, longer costs level.
const RELEASE_S: f64 = 0.030;

/// What a limiter did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limited {
    /// The most that a sample was lowered by, in dB.
    pub most_db: f64,
    /// The part of all samples that was lowered by more than 0.1 dB, 0 to 1.
    pub share: f64,
}

/// dB by which a peak is taken back without a word: nobody hears it, and many a loud file has it between its samples.
const UNHEARD_DB: f64 = 0.1;

impl Limited {
    /// What the user should be told, of a sound whose largest magnitude was `peak`.
    pub fn warning(&self, peak: f64) -> Option<String> {
        let Self { most_db, share } = *self;
        let percent = 100.0 * share;
        (most_db > UNHEARD_DB).then(|| {
            format!("peaks over full scale ({peak:.2}) were limited, by {most_db:.1} dB at most and in {percent:.1} % of the sound")
        })
    }
}

/// Takes interleaved samples in pieces and gives as many, [`Limiter::finish`] the last of them.
#[derive(Debug, Clone)]
pub struct Limiter {
    channels: usize,
    ceiling: f32,
    /// Samples of the look-ahead.
    ahead: usize,
    /// What the gain recovers by, a sample, of the way that is left.
    recovery: f32,
    peaks: TruePeak,
    /// Samples of all channels that wait for their gain.
    waiting: VecDeque<f32>,
    /// Gains that samples need, with their index, rising: the least of the look-ahead is the first.
    needed: VecDeque<(u64, f32)>,
    /// Samples whose need is known.
    seen: u64,
    /// The gain before smoothing, and the last `ahead` of them with their sum.
    released: f32,
    window: VecDeque<f32>,
    sum: f64,
    /// How many of them are below 1.
    touched: usize,
    least: f32,
    given: u64,
    lowered: u64,
}

impl Limiter {
    /// `ceiling` is the largest magnitude that may leave.
    pub fn new(sample_rate: u32, channels: usize, ceiling: f32) -> Self {
        let ahead = ((LOOK_AHEAD_S * f64::from(sample_rate)) as usize).max(1);
        Self {
            channels,
            ceiling,
            ahead,
            recovery: (1.0 - (-1.0 / (RELEASE_S * f64::from(sample_rate))).exp()) as f32,
            peaks: TruePeak::new(channels),
            waiting: VecDeque::new(),
            needed: VecDeque::new(),
            seen: 0,
            released: 1.0,
            window: std::iter::repeat_n(1.0, ahead).collect(),
            sum: ahead as f64,
            touched: 0,
            least: 1.0,
            given: 0,
            lowered: 0,
        }
    }

    /// Appends to `output` what has a gain by now.
    pub fn push(&mut self, interleaved: &[f32], output: &mut Vec<f32>) {
        for all in interleaved.chunks_exact(self.channels) {
            self.waiting.extend(all);
            let peak = self.peaks.next(all);
            self.need(peak, output);
        }
    }

    /// [`Self::push`] of planes.
    pub fn limited(&mut self, sound: &Sound) -> Sound {
        let mut output = vec![];
        self.push(&sound.interleaved(), &mut output);
        Sound::of_interleaved(&output, self.channels, sound.rate)
    }

    /// [`Self::finish`] in planes, of a sound at `rate` Hz.
    pub fn rest(self, rate: u32) -> Sound {
        let (channels, mut output) = (self.channels, vec![]);
        self.finish(&mut output);
        Sound::of_interleaved(&output, channels, rate)
    }

    /// The rest, and what was done to all of it.
    pub fn finish(mut self, output: &mut Vec<f32>) -> Limited {
        // As if silence followed.
        let silence = vec![0.0; self.channels];
        while !self.waiting.is_empty() {
            let peak = self.peaks.next(&silence);
            self.need(peak, output);
        }
        let share = self.lowered as f64 / self.given.max(1) as f64;
        // Adding zero turns -0 into 0.
        Limited { most_db: -20.0 * f64::from(self.least).log10() + 0.0, share }
    }

    /// What the sample [`DELAY`] before the last one needs is known: the gain of the one a look-ahead before that can be
    /// told.
    fn need(&mut self, peak: f32, output: &mut Vec<f32>) {
        let gain = if peak > self.ceiling { self.ceiling / peak } else { 1.0 };
        while self.needed.back().is_some_and(|&(_, other)| other >= gain) {
            self.needed.pop_back();
        }
        self.needed.push_back((self.seen, gain));
        // The window of the smoothing reaches back by as much as the hold reaches ahead.
        while self.needed.front().is_some_and(|&(index, _)| index + (self.ahead as u64) < self.seen + 1) {
            self.needed.pop_front();
        }
        let held = self.needed.front().map_or(1.0, |&(_, gain)| gain);
        self.released = held.min(self.released + (1.0 - self.released) * self.recovery);
        // A hundredth of a decibel is no step that anybody hears: from there on every sample is bit for bit what it was.
        if self.released > 1.0 - 1e-3 && held == 1.0 {
            self.released = 1.0;
        }
        let oldest = self.window.pop_front().unwrap_or(1.0);
        self.window.push_back(self.released);
        self.sum += f64::from(self.released) - f64::from(oldest);
        self.touched += usize::from(self.released < 1.0);
        self.touched -= usize::from(oldest < 1.0);
        self.seen += 1;
        if self.seen < (self.ahead + DELAY) as u64 {
            return;
        }
        if self.touched == 0 {
            // Sums of many differences drift.
            self.sum = self.ahead as f64;
        }
        let gain = if self.touched == 0 { 1.0 } else { (self.sum / self.ahead as f64) as f32 };
        let count = self.channels.min(self.waiting.len());
        // The product may round upwards.
        output.extend(self.waiting.drain(..count).map(|sample| (sample * gain).clamp(-self.ceiling, self.ceiling)));
        if count > 0 {
            self.given += 1;
            self.least = self.least.min(gain);
            self.lowered += u64::from(gain < 0.9886);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn limited(samples: &[f32], channels: usize, block: usize) -> (Vec<f32>, Limited) {
        let mut limiter = Limiter::new(RATE, channels, 0.99);
        let mut output = vec![];
        samples.chunks(block * channels).for_each(|piece| limiter.push(piece, &mut output));
        let report = limiter.finish(&mut output);
        (output, report)
    }

    /// A second of noise at half scale, with a burst of three samples at twice full scale at a quarter of it.
    fn burst() -> Vec<f32> {
        let mut state = 7u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.5
        };
        let mut samples: Vec<f32> = (0..48_000).map(|_| noise()).collect();
        samples[12_000..12_003].copy_from_slice(&[2.0, -2.0, 1.9]);
        samples
    }

    #[test]
    fn nothing_is_over_and_what_is_far_from_a_peak_stays_bit_for_bit() {
        let samples = burst();
        let (output, report) = limited(&samples, 1, 480);
        assert_eq!(output.len(), samples.len());
        assert!(output.iter().all(|sample| sample.abs() <= 0.99));
        assert!(output[..12_000 - 250] == samples[..12_000 - 250]);
        // Seven times the release later: the way back from a third to 0.999.
        let recovered = 12_000 + 7 * 1440;
        assert!(output[recovered..] == samples[recovered..] && output[13_000..14_000] != samples[13_000..14_000]);
        let power = |samples: &[f32]| samples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        // The level of the whole, peak and all, within 0.3 dB.
        assert!(10.0 * (power(&samples) / power(&output)).log10() < 0.3);
        assert!(report.most_db > 6.1 && report.most_db < 9.0 && report.share < 0.5, "{report:?}");
    }

    /// A sine whose samples all lie beside its crests: it is over full scale between them.
    #[test]
    fn peaks_between_samples_are_seen() {
        let sine: Vec<f32> = (0..4800)
            .map(|i| 1.3 * (std::f32::consts::FRAC_PI_2 * i as f32 + std::f32::consts::FRAC_PI_4).sin())
            .collect();
        let sampled = sine.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!(sampled < 0.93);
        let (output, report) = limited(&sine, 1, 100);
        // 2.4 dB over the ceiling; the interpolation of the standard is exact to 0.6 dB there.
        assert!((report.most_db - 20.0 * (1.3f64 / 0.99).log10()).abs() < 0.6, "{report:?}");
        assert!(output.len() == sine.len() && output[2000].abs() < sampled * 0.8);
    }

    #[test]
    fn both_channels_have_one_gain_and_pieces_do_not_matter() {
        let left = burst();
        let both: Vec<f32> = left.iter().flat_map(|&x| [x, 0.25]).collect();
        let (output, report) = limited(&both, 2, 480);
        assert_eq!((&output, report), (&limited(&both, 2, 7).0, limited(&both, 2, 48_000).1));
        let (alone, _) = limited(&left, 1, 480);
        assert!(output.iter().step_by(2).eq(&alone));
        assert!(output[2 * 12_000 + 1] < 0.13, "the quiet channel goes down with the loud one");
    }

    #[test]
    fn a_short_sound_comes_out_whole() {
        for length in [0, 1, 5, 100] {
            let samples = vec![1.5; length];
            let (output, _) = limited(&samples, 1, 3);
            assert!(output.len() == length && output.iter().all(|x| (0.0..=0.99).contains(x)), "{length}");
        }
    }
}
