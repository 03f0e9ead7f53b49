//! Recordings as data: what to do with them before a model hears them.

pub mod augment;
mod copies;

pub use copies::{Copies, CopySettings, Variation};
