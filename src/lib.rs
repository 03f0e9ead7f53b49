//! audiodiff: a diffusion vocoder.

pub mod dsp;
pub mod error;
pub mod eval;
pub mod mel;

pub use error::{Error, Fault, Result};
