//! Many inputs in one run: what is to be made, by whom, what is done already, and a record of it.
//!
//! A [`Plan`] says which input becomes which output, before anything is rendered. [`resume`] takes off what is there
//! already, [`run`] has the rest made by a few threads, each item for itself, and a [`Manifest`] keeps a line an item.
//! What an item is rendered with is a [`RenderItem`]'s affair, so all of that works without a network; [`FileRenderer`]
//! is the one that renders a [`Source`] with a model.

mod file_renderer;
mod inputs;
mod manifest;
mod models;
mod plan;
mod resume;
mod schedule;
mod source;

pub use crate::output::Existing;
pub use file_renderer::{FileRenderer, RenderSettings, streamed};
pub use inputs::{Found, Inputs, LeftOut, MEL_EXTENSIONS, Overrides, left_out, read_list};
pub use manifest::{Entry, Fingerprint, Manifest, Recipe, Status, Written};
pub use models::Models;
pub use plan::{Item, Plan, Target};
pub use resume::{Remaining, resume};
pub use schedule::{Event, RenderItem, Rendered, Ticket, hash_file, run, run_alone};
#[cfg(feature = "lab")]
pub(crate) use source::has_a_middle;
pub use source::{Heard, SeekableMel, Source, SourceMel, SourceSettings, is_recording, read_recording};
