//! What training takes of a recording, and why it drops one.

use super::Concern;
use crate::{audio::resampled_len, mel::MelConvention};
use serde::Serialize;

/// Samples at the model's 24 kHz that a recording needs: training cuts windows of 16,384, each somewhere else.
pub const SHORTEST_SAMPLES: u64 = 26_000;
/// The same in seconds.
pub const SHORTEST_S: f64 = SHORTEST_SAMPLES as f64 / 24_000.0;

/// Why a recording is not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// It cannot be read to its end, or holds values that are no numbers.
    Broken,
    TooShort,
    /// No sample of 16 bits is further from 0 than 3.
    Silent,
    /// Another file has the same samples.
    Duplicate,
}

impl DropReason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Broken => Concern::Broken.name(),
            Self::TooShort => Concern::TooShort.name(),
            Self::Silent => Concern::Silent.name(),
            Self::Duplicate => Concern::Duplicate.name(),
        }
    }
}

/// Why training drops a recording: mono samples at `sample_rate` Hz. Empty where it takes it. Duplicates show only where
/// several recordings are compared.
pub fn drop_reasons(samples: &[f32], sample_rate: u32) -> Vec<DropReason> {
    let mut reasons = Vec::new();
    if samples.iter().any(|sample| !sample.is_finite()) {
        reasons.push(DropReason::Broken);
    }
    if is_too_short(samples.len() as u64, sample_rate) {
        reasons.push(DropReason::TooShort);
    }
    let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    if is_silent(f64::from(peak)) {
        reasons.push(DropReason::Silent);
    }
    reasons
}

pub(super) fn is_silent(peak: f64) -> bool {
    peak < 3.5 / 32_768.0
}

pub(super) fn is_too_short(samples: u64, sample_rate: u32) -> bool {
    resampled_len(samples, sample_rate.max(1), MelConvention::native().sample_rate) < SHORTEST_SAMPLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_given_at_every_rate() {
        use DropReason::*;
        for (rate, just_enough) in [(24_000, 26_000), (48_000, 52_000), (16_000, 17_334)] {
            let tone = |n: usize| (0..n).map(|i| 0.1 * (i as f32 * 0.1).sin()).collect::<Vec<_>>();
            assert_eq!(drop_reasons(&tone(just_enough), rate), []);
            assert_eq!(drop_reasons(&tone(just_enough - 2), rate), [TooShort]);
            assert_eq!(drop_reasons(&vec![0.0; just_enough], rate), [Silent]);
            assert_eq!(drop_reasons(&[], rate), [TooShort, Silent]);
        }
        let mut broken = vec![0.1; 30_000];
        broken[17] = f32::NAN;
        assert!(drop_reasons(&broken, 24_000).contains(&Broken));
    }
}
