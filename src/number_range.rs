//! The range that a number of the user's must lie in, wherever it comes from: an option, the environment, a list, a library
//! call. What is not a finite number lies in none.

use crate::{Error, Fault, Result};
use std::fmt;

/// From `low` to `high`, both included and finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberRange {
    low: f64,
    high: f64,
}

/// Gains in dB: by more, nothing is left of a sound, or everything is over full scale.
pub const GAIN_DB: NumberRange = NumberRange::new(-100.0, 100.0);

/// Loudnesses in LUFS: from the gate of EBU R 128, below which nothing has one, to full scale.
pub const LOUDNESS_LUFS: NumberRange = NumberRange::new(-70.0, 0.0);

impl NumberRange {
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// `value`, where it lies in the range.
    ///
    /// # Errors
    /// [`Error::Settings`] with `subject`, the option or field that is meant.
    pub fn check(&self, subject: &str, value: f64) -> Result<f64> {
        if (self.low..=self.high).contains(&value) {
            Ok(value)
        } else {
            Err(Error::Settings(Fault::new(subject, value.to_string()).expected(self.to_string())))
        }
    }

    /// The number that `text` is, where it lies in the range.
    ///
    /// # Errors
    /// What was expected: `expected -100 to 100`.
    pub fn parse(&self, text: &str) -> Result<f64, String> {
        let number = text.trim().parse().ok().and_then(|value| self.check("", value).ok());
        number.ok_or_else(|| format!("expected {self}"))
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} to {}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_within_the_bounds_pass() {
        for text in ["-100", "100", "1e2", " 0.5 ", "-0"] {
            assert!(GAIN_DB.parse(text).is_ok(), "{text}");
        }
        for text in ["nan", "inf", "-inf", "infinity", "1e300", "100.001", "-1e9", "", "6dB", "0x10"] {
            assert_eq!(GAIN_DB.parse(text), Err("expected -100 to 100".into()), "{text}");
        }
        let refused = LOUDNESS_LUFS.check("loudness", f64::NAN).unwrap_err().to_string();
        assert_eq!(refused, "loudness: NaN, expected -70 to 0");
    }
}
