//! audiodiff: a diffusion vocoder.

pub mod audio;
pub mod dsp;
pub mod error;
pub mod mel;

pub use error::{Error, Fault, Result};
