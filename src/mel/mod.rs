//! Mel spectrograms: what their numbers mean, how they are made from audio, and how they are kept in files.

mod bank_evidence;
mod convention;
pub mod extract;
pub mod filterbank;
pub mod presets;
pub mod recognise;
mod spectrogram;
pub mod user_convention;

pub use convention::{Affine, BandStatistics, Framing, Layout, LogBase, MelConvention, MelScale};
pub use extract::extract;
pub use spectrogram::{DeclaredMel, MelSpectrogram};
