//! The diffusion opened: what the network says at each step, what the projection makes of it, and where it only guesses.
//!
//! An [`Inspection`] renders one window with several seeds and keeps the first one's [`Trajectory`] and the spread of all.
//! Numbers are in [`StepNumbers`]; [`write()`] makes pictures, sounds, JSON and a page of it. [`ModelReport`] does the same for
//! a model file: sizes, cost, weights.

mod animation;
mod band_chart;
mod bands;
mod folder;
mod inspection;
mod model_report;
mod page;
mod pictures;
mod spread;
mod trajectory;

pub use bands::{Bands, Region};
pub use folder::{FolderOptions, PictureFormat, check_place, write};
pub use inspection::{About, InspectedStep, Inspection, StageNumbers, StepNumbers};
pub use model_report::{ModelReport, Part, QualityCost, TensorReport};
pub use spread::Spread;
pub use trajectory::{Trajectory, TrajectoryStep, trajectory};
