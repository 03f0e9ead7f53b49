//! Recordings as data: are they fit to train on, or to judge by, and what to do with them before a model hears them.
//!
//! [`measure`] takes samples and knows nothing of files, [`findings`] turns its numbers into sentences, [`drop_reasons`] is
//! the rule by which training leaves recordings out. A [`FolderCheck`] does it for folders, on all cores, and sums up.
//! [`augment`] makes more recordings of those that are there, [`Copies`] writes them.

pub mod augment;
mod bandwidth;
mod clipping;
mod copies;
mod finding;
mod fingerprint;
mod folder_check;
mod frame_cutter;
mod hum;
mod level_histogram;
mod loudness_frames;
mod measure;
mod summary;
mod training_use;

pub use bandwidth::material_rate;
pub use clipping::Clipping;
pub use copies::{Copies, CopySettings, Variation};
pub use finding::{Concern, Finding, explanations, findings};
pub use fingerprint::{Fingerprint, duplicates};
pub use folder_check::{FileReport, FolderCheck, Recordings};
pub use hum::Hum;
pub use measure::{Measures, Meter, measure};
pub use summary::{Amount, Spread, Summary};
use training_use::is_too_short;
pub use training_use::{DropReason, SHORTEST_S, SHORTEST_SAMPLES, drop_reasons};
