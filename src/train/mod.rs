//! Training: from recordings to a model file.

mod acoustics;
mod few_step;
mod losses;
mod multi_mel;
mod projection;
mod spectra;
mod weights;

pub use acoustics::Acoustics;
pub use few_step::{FewStep, FewStepLosses, Unrolling};
pub use losses::{Losses, MAGNITUDE_WEIGHT, flow_matching};
pub use multi_mel::MultiMel;
pub use weights::{AdamW, Vectors, Weights};
