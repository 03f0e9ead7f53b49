//! audiodiff: a diffusion vocoder.

pub mod audio;
pub mod batch;
pub mod diffusion;
pub mod dsp;
pub mod error;
pub mod eval;
pub mod live;
pub mod mel;
pub mod model;
pub mod whole_file;

pub use error::{Error, Fault, Result};
