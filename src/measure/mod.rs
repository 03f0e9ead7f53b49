//! What can be said of a recording by its samples alone: [`measure`] takes them and knows nothing of files, [`findings`] turns its
//! numbers into sentences, [`drop_reasons`] is the rule by which training leaves recordings out.

mod bandwidth;
mod clipping;
mod finding;
mod fingerprint;
mod frame_cutter;
mod hum;
mod level_histogram;
mod loudness_frames;
mod meter;
mod spectral_frames;
mod training_use;

pub use bandwidth::{BandMeter, material_rate};
pub use clipping::Clipping;
pub use finding::{Concern, Finding, explanations, findings};
pub use fingerprint::{Fingerprint, duplicates};
pub use hum::Hum;
pub use meter::{Measures, Meter, measure};
use training_use::is_too_short;
pub use training_use::{DropReason, SHORTEST_S, SHORTEST_SAMPLES, drop_reasons};
