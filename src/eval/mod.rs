//! How good a rendering is: metrics that compare it with the recording it should be.

mod mel_distance;
mod pesq_wb;
pub mod polyphase;

pub use mel_distance::{mel_l1, native_mel};
pub use pesq_wb::pesq_wb;
