//! Signal processing that knows nothing of mels or models.

pub mod analysis;
pub mod banded;
pub mod stft;
pub mod threads;
