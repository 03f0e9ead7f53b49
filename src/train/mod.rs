//! Training: from recordings to a model file.
//!
//! [`train`] reads [`Clips`], which lie decoded on the disk, cuts them into windows in the background, and makes optimiser steps
//! on the weights against the losses of its [`Phase`]: flow matching first, then, for fewer steps, the sampler itself, and apart
//! from both what refines mels of other conventions. Spectra and projection are those of `mel` and `diffusion` as tensor
//! operations with gradients.

mod acoustics;
mod averages;
mod card;
mod checkpoint;
mod clips;
mod conversion;
mod curves;
mod decoded;
mod excerpts;
mod few_step;
mod history;
mod job;
mod losses;
mod multi_mel;
mod objective;
mod predicted;
mod projection;
mod run;
mod run_folder;
mod settings;
mod spectra;
mod step;
mod trainer;
mod validation;
mod weights;
mod windows;

pub use clips::{Clip, Clips, Dropped, Folders};
pub use history::{History, Line, TrainFigures, ValidationFigures};
pub use job::{Event, Length, Narrow, TrainJob, Trained};
pub use settings::{FewStepSettings, ModelSizes, Phase, Selection, TrainSettings, ValidationSettings};
pub use trainer::train;

// For benches and parity tests: they know libtorch's types, which nobody else should have to.
#[doc(hidden)]
pub use {
    acoustics::Acoustics,
    checkpoint::{Header, Origin, Progress, load as load_checkpoint},
    excerpts::Excerpts,
    losses::flow_matching,
    objective::Objective,
    step::batch,
    weights::{AdamW, Vectors, Weights},
};
