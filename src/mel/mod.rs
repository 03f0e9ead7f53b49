//! Mel spectrograms: what their numbers mean, how they are made from audio, and how they are kept in files.

pub mod bounds;
pub mod check;
mod convention;
pub mod convert;
pub mod extract;
pub mod file;
pub mod filterbank;
mod held;
mod interpret;
pub mod presets;
mod program_config;
pub mod recognise;
pub mod refinement;
mod spectrogram;
pub mod stream;
mod survey;
mod tally;
pub mod user_convention;

pub use check::{Concern, Finding, Origin, check, check_as};
pub use convention::{Affine, BandStatistics, Framing, Layout, LogBase, MelConvention, MelScale};
pub use extract::extract;
pub use held::{Frames, HeldMel};
pub use interpret::{KnownMel, Said, interpret};
pub use program_config::Described;
pub use spectrogram::{DeclaredMel, MelSpectrogram};
