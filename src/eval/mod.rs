//! How good a rendering is: metrics that compare it with the recording it should be.

mod mel_distance;
mod pesq_wb;
pub mod pitch;
pub mod polyphase;
mod stft_distance;

pub use mel_distance::{mel_l1, multi_resolution_mel};
pub use pesq_wb::pesq_wb;
pub use stft_distance::{StftDistance, stft_distance};
