//! Training: from recordings to a model file.
//!
//! [`train`] reads [`Clips`], which lie decoded on the disk, cuts them into [`Windows`] in the background, and makes optimiser steps on [`Weights`] against the
//! losses of its [`Phase`]: [`flow_matching`] first, then, for fewer steps, the sampler itself ([`Objective::few_step`]),
//! and apart from both what refines mels of other conventions ([`Objective::conversion`]). [`Acoustics`],
//! spectra and projection are those of `mel` and `diffusion` as tensor operations with gradients.

mod acoustics;
mod averages;
mod card;
mod checkpoint;
mod clips;
mod conversion;
mod curves;
mod decoded;
mod few_step;
mod history;
mod job;
mod losses;
mod multi_mel;
mod objective;
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

pub use acoustics::Acoustics;
pub use checkpoint::{Header, Origin, Progress, load as load_checkpoint};
pub use clips::{Clip, Clips, Dropped, Folders};
pub use conversion::ConversionPair;
pub use few_step::{FewStepLosses, Unrolling};
pub use history::{History, Line, TrainFigures, ValidationFigures};
pub use job::{Event, Length, TrainJob, Trained};
pub use losses::{Losses, MAGNITUDE_WEIGHT, flow_matching, magnitude_error};
pub use multi_mel::MultiMel;
pub use objective::Objective;
pub use projection::BatchProjection;
pub use settings::{FewStepSettings, ModelSizes, Phase, Selection, TrainSettings, ValidationSettings};
pub use step::{Batch, batch};
pub use trainer::train;
pub use validation::Validation;
pub use weights::{AdamW, Vectors, Weights};
pub use windows::{Loader, Windows};
