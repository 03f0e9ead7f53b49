//! What to do to clips, as a configuration file says it. Nothing is done that is not asked for.

use crate::{Error, Fault, Result};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, str::FromStr};

/// One entry an augmentation; an absent one is off. In TOML:
///
/// ```
/// let text = r#"
///     [gain]
///     db = [-12, 3]
///     [noise]
///     snr_db = [10, 30]
///     colour = "pink"
///     chance = 0.5
/// "#;
/// let settings: audiodiff::data::augment::AugmentSettings = toml::from_str(text).unwrap();
/// assert!(settings.gain.is_some() && settings.reverb.is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tempo: Option<Tempo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pitch: Option<Pitch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverb: Option<Reverb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<AddedNoise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
}

/// Faster or slower at the same pitch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tempo {
    /// 2 is twice as fast and half as long.
    pub factor: Interval,
    #[serde(default = "always")]
    pub chance: f32,
}

/// Higher or lower at the same tempo; formants move too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pitch {
    /// Hundredths of a semitone.
    pub cents: Interval,
    #[serde(default = "always")]
    pub chance: f32,
}

/// Another clip at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Its power relative to the clip's.
    pub level_db: Interval,
    /// A folder of recordings; the other clips of the data set where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    #[serde(default = "always")]
    pub chance: f32,
}

/// A room, by convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reverb {
    /// Seconds until a synthetic room's sound has fallen by 60 dB.
    #[serde(default = "Reverb::usual_rt60_s")]
    pub rt60_s: Interval,
    /// A synthetic room's direct sound over its reverberation, in energy.
    #[serde(default = "Reverb::usual_direct_db")]
    pub direct_db: Interval,
    /// A folder of impulse responses, in place of synthetic ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    #[serde(default = "always")]
    pub chance: f32,
}

impl Reverb {
    fn usual_rt60_s() -> Interval {
        Interval::new(0.2, 0.8)
    }

    fn usual_direct_db() -> Interval {
        Interval::new(0.0, 12.0)
    }
}

impl Default for Reverb {
    fn default() -> Self {
        let (rt60_s, direct_db) = (Self::usual_rt60_s(), Self::usual_direct_db());
        Self { rt60_s, direct_db, from: None, chance: always() }
    }
}

/// Noise at a signal-to-noise ratio, over the whole clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedNoise {
    pub snr_db: Interval,
    #[serde(default)]
    pub colour: NoiseColour,
    /// A folder of noises, in place of coloured noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    #[serde(default = "always")]
    pub chance: f32,
}

/// How the power falls with frequency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseColour {
    /// Not at all.
    White,
    /// By 3 dB an octave.
    #[default]
    Pink,
    /// By 6 dB an octave.
    Brown,
}

impl std::fmt::Display for NoiseColour {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::White => "white",
            Self::Pink => "pink",
            Self::Brown => "brown",
        })
    }
}

/// What a telephone or a low sample rate leaves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// Above this frequency in Hz nothing is left.
    pub cut_hz: Interval,
    #[serde(default = "always")]
    pub chance: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    pub db: Interval,
    #[serde(default = "always")]
    pub chance: f32,
}

fn always() -> f32 {
    1.0
}

/// Numbers from `low` to `high`, of which each clip draws one. Written `[low, high]` in files and `low:high` on the command
/// line, where a single number stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct Interval {
    pub low: f32,
    pub high: f32,
}

impl Interval {
    pub const fn new(low: f32, high: f32) -> Self {
        Self { low, high }
    }
}

impl From<[f32; 2]> for Interval {
    fn from([low, high]: [f32; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f32; 2] {
    fn from(interval: Interval) -> Self {
        [interval.low, interval.high]
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
        let (low, high) = text.split_once(':').unwrap_or((text, text));
        match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => Ok(Self { low, high }),
            _ => Err("expected a number, or LOW:HIGH".into()),
        }
    }
}

impl AugmentSettings {
    /// Whether nothing is asked for.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// The settings themselves, where sound can come of them at `sample_rate`.
    ///
    /// # Errors
    /// [`Error::Settings`] names the entry that is out of range.
    pub fn validated(self, sample_rate: u32) -> Result<Self> {
        let nyquist = sample_rate as f32 / 2.0;
        let mut checks: Vec<(&str, Interval, f32, f32, f32)> = Vec::new();
        let mut check = |name, value, low, high, chance| checks.push((name, value, low, high, chance));
        if let Some(Tempo { factor, chance }) = self.tempo {
            check("tempo factor", factor, 0.25, 4.0, chance);
        }
        if let Some(Pitch { cents, chance }) = self.pitch {
            check("pitch cents", cents, -2400.0, 2400.0, chance);
        }
        if let Some(Mix { level_db, chance, .. }) = self.mix {
            check("mix level_db", level_db, -100.0, 100.0, chance);
        }
        if let Some(Reverb { rt60_s, direct_db, chance, .. }) = self.reverb {
            check("reverb rt60_s", rt60_s, 0.01, 10.0, chance);
            check("reverb direct_db", direct_db, -60.0, 60.0, chance);
        }
        if let Some(AddedNoise { snr_db, chance, .. }) = self.noise {
            check("noise snr_db", snr_db, -100.0, 100.0, chance);
        }
        if let Some(Bandwidth { cut_hz, chance }) = self.bandwidth {
            check("bandwidth cut_hz", cut_hz, 200.0, nyquist, chance);
        }
        if let Some(Gain { db, chance }) = self.gain {
            check("gain db", db, -100.0, 100.0, chance);
        }
        for (name, Interval { low, high }, least, most, chance) in checks {
            let fault = |found: String, expected: String| {
                Err(Error::Settings(Fault::new(format!("augmentation: {name}"), found).expected(expected)))
            };
            if !(least <= low && low <= high && high <= most) {
                return fault(format!("[{low}, {high}]"), format!("[low, high] within {least} and {most}"));
            }
            if !(0.0..=1.0).contains(&chance) {
                return fault(format!("a chance of {chance}"), "0 to 1".into());
            }
        }
        Ok(self)
    }
}
