//! How good a rendering is: metrics that compare it with the recording it should be, and what they say together.
//!
//! An [`Evaluation`] has several [`System`]s render the same recordings, takes out delays and differences of rate
//! ([`alignment`], [`polyphase`]) and gives a [`FileScore`] each, which [`Results`] keep on the disk. A [`Summary`] lays the
//! systems side by side; [`statistics`] says what the means are worth.

pub mod alignment;
pub mod colour_map;
mod evaluate;
mod mel_distance;
mod pesq_wb;
pub mod picture;
pub mod pitch;
pub mod polyphase;
mod results;
mod score;
pub mod statistics;
mod stft_distance;
mod summary;
mod system;

pub use crate::sound::Sound;
pub use evaluate::{Comparison, Evaluation, Event};
pub use mel_distance::{mel_in_nats, mel_l1, mel_of_rate, multi_resolution_mel};
pub use pesq_wb::pesq_wb;
pub use results::Results;
pub use score::{Better, FileScore, Metric, Reference};
pub use stft_distance::{StftDistance, stft_distance};
pub use summary::{Summary, SystemSummary};
pub(crate) use system::name_below;
pub use system::{Folder, ModelSystem, RenderedFolder, Rendering, System};
