//! Models by family. The only place that names all of them.

use crate::{
    Result,
    model::{Builtin, Diffusion, GriffinLim, RuntimeOptions},
    vocoder::Vocoder,
};
use std::{path::Path, sync::Arc};

/// A model that lies in the program.
///
/// # Errors
/// [`Error::Settings`](crate::Error::Settings) where the device is not there.
pub fn builtin(model: Builtin, options: &RuntimeOptions) -> Result<Arc<dyn Vocoder>> {
    Ok(Arc::new(Diffusion::of_builtin(model, options)?))
}

/// A model file.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) or [`Error::Model`](crate::Error::Model) where the file cannot be used,
/// [`Error::Settings`](crate::Error::Settings) where the device is not there.
pub fn open(path: &Path, options: &RuntimeOptions) -> Result<Arc<dyn Vocoder>> {
    Ok(Arc::new(Diffusion::load(path, options)?))
}

/// The baseline without a network; `threads` share the work on one window.
///
/// # Errors
/// [`Error::Torch`](crate::Error::Torch) where libtorch cannot invert the filter bank.
pub fn griffin_lim(threads: usize) -> Result<Arc<dyn Vocoder>> {
    Ok(Arc::new(GriffinLim::new(threads)?))
}
