//! Networks on libtorch, the files they come from, and the device they run on.

mod average;
mod card;
mod cpu;
mod difference;
mod diffusion;
mod file;
mod griffin_lim;
mod library;
mod network;
mod refiner;
mod runtime;

pub use crate::card::{Licenses, Provenance, Quality};
pub use average::average;
pub use card::{CARD_VERSION, DenoiserSize, Effort, EncoderSize, ModelCard, SamplerDefaults};
pub(crate) use cpu::compute_alone;
pub use difference::{CardDifference, Change, ModelDifference, TensorDifference};
pub use diffusion::{Condition, Diffusion};
#[doc(hidden)]
pub use file::serialize;
pub use file::{BUILTIN_NAME, Builtin, CARD_KEY, LoadedModel, ModelFile, Storage, WeightFile};
pub use griffin_lim::GriffinLim;
pub use library::{LIBTORCH_VERSION, Library};
#[cfg(feature = "lab")]
pub(crate) use network::REFINER;
#[doc(hidden)]
pub use network::VocoderNetwork;
#[cfg(feature = "lab")]
pub(crate) use refiner::Refiner;
pub use runtime::{DeviceChoice, Precision, RuntimeOptions, cpu_gains_by_bf16};
