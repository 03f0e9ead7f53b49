//! Everything about a model that is not weights.

use crate::{Error, Fault, Result, mel::MelConvention};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a model says of itself, whatever its family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub name: String,
    /// `diffusion`, `griffin-lim` …: who reads `architecture` and the weights.
    pub family: String,
    /// The mel that the model takes.
    pub mel: MelConvention,
    pub channels: Channels,
    pub efforts: Efforts,
    /// How the mel is cut.
    pub streaming: ChunkLayout,
    /// Sizes and tuned numbers, for the family alone.
    pub architecture: serde_json::Value,
    pub training: Provenance,
    pub licenses: Licenses,
}

/// What the channels of a model's mel mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// One; each channel of a stereo mel is rendered for itself.
    #[default]
    Mono,
    LeftRight,
    MidSide,
}

/// How the mel is cut. Chunks of 12 frames or hundreds sound alike; longer ones cost less, shorter ones answer sooner: a rendering
/// begins with short ones, and each is twice as long as the one before until they are as long as they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkLayout {
    /// Mel frames of new audio in the first window.
    pub chunk: usize,
    /// Those that it grows to in the following ones; where it is no more than `chunk`, all are alike.
    #[serde(default)]
    pub longest: usize,
    /// Mel frames of emitted audio before it.
    pub past: usize,
    /// Mel frames of look-ahead after it.
    pub ahead: usize,
    /// Audio samples of cross-fade between chunks.
    pub fade: usize,
}

impl Default for ChunkLayout {
    fn default() -> Self {
        Self { chunk: 96, longest: 192, past: 16, ahead: 12, fade: 256 }
    }
}

impl ChunkLayout {
    /// With chunks of `chunk` frames, all of them, where another length is wanted.
    pub fn of_chunk(self, chunk: Option<usize>) -> Self {
        chunk.map_or(self, |chunk| Self { chunk, longest: chunk, ..self })
    }

    /// The layout of the chunk after one of this.
    pub(crate) fn grown(self) -> Self {
        Self { chunk: self.chunk.max(self.longest.min(2 * self.chunk)), ..self }
    }

    /// As [`Self::validated`], for the layout in a card of `subject`, whose mel has this hop.
    pub(crate) fn in_card(self, subject: &str, hop: usize) -> Result<(), Fault> {
        match self.validated(hop) {
            Err(Error::Settings(fault)) => Err(Fault { subject: format!("{subject}: field `streaming`"), ..fault }),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// [`Error::Settings`] where a chunk could not be told from its seams.
    pub fn validated(self, hop: usize) -> Result<Self> {
        let fault =
            |found: String, expected: &str| Err(Error::Settings(Fault::new("chunk layout", found).expected(expected)));
        if !(2..=4096).contains(&self.chunk) || self.longest > 4096 || self.past > 1024 || self.ahead > 1024 {
            return fault(format!("{self:?}"), "2 to 4096 frames a chunk, at most 1024 of past and of look-ahead");
        }
        if self.fade > hop * (self.chunk - 1) || (self.fade > 0 && self.past == 0) {
            return fault(format!("{self:?}"), "a fade shorter than the chunk, and some past to fade from");
        }
        Ok(self)
    }
}

/// How much work a second of sound is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    Draft,
    Standard,
    Best,
}

/// The work behind each quality.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Efforts {
    pub draft: Effort,
    pub standard: Effort,
    pub best: Effort,
}

impl Efforts {
    pub fn of(&self, quality: Quality) -> &Effort {
        match quality {
            Quality::Draft => &self.draft,
            Quality::Standard => &self.standard,
            Quality::Best => &self.best,
        }
    }
}

/// Where the weights come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub recipe: String,
    pub hours_of_audio: f64,
    pub data: Vec<String>,
    /// Minutes and optimiser steps spent on it, where they are known.
    #[serde(default)]
    pub minutes: f64,
    #[serde(default)]
    pub steps: u64,
    /// The machine that it was trained on.
    #[serde(default)]
    pub machine: String,
    /// Name and value of what was measured on held-out clips.
    #[serde(default)]
    pub scores: std::collections::BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licenses {
    pub code: String,
    pub weights: String,
    pub data: String,
}

/// How much work goes into a second of sound: whole numbers that a family has names for, such as `steps`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Effort(pub BTreeMap<String, usize>);

impl Effort {
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, usize)>) -> Self {
        Self(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Those entries that have a value.
    pub fn given<'a>(entries: impl IntoIterator<Item = (&'a str, Option<usize>)>) -> Self {
        Self::new(entries.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    pub fn get(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }

    /// These entries in place of those of the same names.
    pub fn with(&self, entries: &Self) -> Self {
        let mut changed = self.clone();
        changed.0.extend(entries.0.iter().map(|(name, value)| (name.clone(), *value)));
        changed
    }

    /// # Errors
    /// [`Error::Settings`] names the first entry that is not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let expected =
                    if known.is_empty() { "none: there is nothing to choose".into() } else { known.join(", ") };
                Err(Error::Settings(
                    Fault::new(name.replace('_', " "), "means nothing to this model").expected(expected),
                ))
            }
        }
    }
}

impl std::fmt::Display for Effort {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let entries: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect();
        f.write_str(&entries.join(", "))
    }
}
