//! Recordings as data: are they fit to train on, or to judge by, and what to do with them before a model hears them.
//!
//! A [`FolderCheck`] measures folders ([`crate::measure`]), on all cores, and sums up. [`augment`] makes more recordings of those
//! that are there, [`Copies`] writes them.

pub mod augment;
mod copies;
mod folder_check;
mod summary;

pub use crate::measure::{
    Clipping, Concern, DropReason, Finding, Fingerprint, Hum, Measures, Meter, SHORTEST_S, SHORTEST_SAMPLES,
    drop_reasons, duplicates, explanations, findings, material_rate, measure,
};
pub use copies::{Copies, CopySettings, Variation};
pub use folder_check::{FileReport, FolderCheck, Recordings};
pub use summary::{Amount, Spread, Summary};
