//! Rendering while it plays: inputs one after the other into a [`Player`](crate::audio::player::Player), with seeking and
//! adaptation, and mels that another process is still writing.

mod input;
mod render;
#[cfg(feature = "play")]
mod session;

pub use input::{LiveFormat, LiveMel, LiveStatus};
pub use render::render;
#[cfg(feature = "play")]
pub use session::{Event, Session, SessionInput, SessionSettings};
