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

/// Why training drops a recording of `samples` mono samples at `sample_rate` Hz whose highest magnitude is `peak`, full
/// scale 1. Empty where it takes it. Duplicates show only where several recordings are compared.
pub fn drop_reasons(samples: u64, peak: f64, sample_rate: u32) -> Vec<DropReason> {
    let mut reasons = Vec::new();
    if is_too_short(samples, sample_rate) {
        reasons.push(DropReason::TooShort);
    }
    if peak < 3.5 / 32_768.0 {
        reasons.push(DropReason::Silent);
    }
    reasons
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
            assert_eq!(drop_reasons(just_enough, 0.1, rate), []);
            assert_eq!(drop_reasons(just_enough - 2, 0.1, rate), [TooShort]);
            assert_eq!(drop_reasons(just_enough, 0.0, rate), [Silent]);
            assert_eq!(drop_reasons(0, 0.0, rate), [TooShort, Silent]);
        }
    }
}
