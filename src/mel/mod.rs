//! Mel spectrograms: what their numbers mean, how they are made from audio, and how they are kept in files.

pub mod check;
mod bank_evidence;
mod convention;
pub mod convert;
pub mod extract;
pub mod file;
pub mod filterbank;
pub mod presets;
pub mod recognise;
mod spectrogram;
pub mod stream;
pub mod user_convention;

pub use check::{Concern, Finding, check};
pub use convention::{Affine, BandStatistics, Framing, Layout, LogBase, MelConvention, MelScale};
pub use extract::extract;
pub use spectrogram::{DeclaredMel, MelSpectrogram};
