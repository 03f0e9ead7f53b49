//! What a training is given, and what it tells.

use super::{
    clips::Dropped,
    history::{TrainFigures, ValidationFigures},
    settings::TrainSettings,
};
use crate::{
    mel::MelConvention,
    model::{DeviceChoice, Precision},
};
use std::path::{Path, PathBuf};

/// When a training ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    Minutes(f64),
    Steps(u64),
}

/// Everything that a training is given.
#[derive(Debug, Clone)]
pub struct TrainJob {
    pub data: Vec<PathBuf>,
    /// Recordings that never train; a share of `data` where not given.
    pub validation_data: Vec<PathBuf>,
    /// The folder of checkpoints, models and figures.
    pub out: PathBuf,
    /// Begin anew over the models of a training in `out` that has no state to go on from.
    pub overwrite: bool,
    /// The bytes of the model file to begin with, and what it is called; new weights where not given.
    pub init: Option<(Vec<u8>, String)>,
    /// The mel of a new model; the one of `init` or else the native one where not given.
    pub mel: Option<MelConvention>,
    pub settings: TrainSettings,
    pub length: Length,
    pub device: DeviceChoice,
    pub precision: Precision,
    /// Threads that compute.
    pub threads: usize,
    /// The name of the model, and what its card says of data and licence.
    pub name: Option<String>,
    pub data_license: Option<String>,
}

/// What a training tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// Files read so far, and all.
    Reading {
        done: usize,
        files: usize,
    },
    /// Before the first step.
    Ready {
        hours: f64,
        files: usize,
        kept_apart: usize,
        /// Those of the files that train whose sound ends below the model's.
        narrow: Narrow,
        dropped: &'a [Dropped],
        step: u64,
        parameters: usize,
        /// Where the recordings lie decoded, and the bytes that they take.
        decoded: (&'a Path, u64),
    },
    /// After each step; `spent` of the whole training is done, 0 to 1.
    Step {
        figures: &'a TrainFigures,
        spent: f64,
    },
    Validated(&'a ValidationFigures),
    /// Something that the user should know.
    Warning(String),
}

/// Recordings of which nothing is learned above some frequency, as they have nothing there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Narrow {
    pub files: usize,
    /// Hz up to which the dullest and the brightest of them are learned from.
    pub reach_hz: (u32, u32),
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    pub step: u64,
    pub minutes: f64,
    pub best: Option<(f64, u64)>,
    /// By patience, before its length was spent.
    pub early: bool,
    /// By the user, to go on another time.
    pub interrupted: bool,
    /// Share of the time spent waiting for data.
    pub waiting: f64,
}
