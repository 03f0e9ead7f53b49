//! audiodiff: a diffusion vocoder.

pub mod diffusion;
pub mod dsp;
pub mod error;
pub mod eval;
pub mod mel;
pub mod model;

pub use error::{Error, Fault, Result};
