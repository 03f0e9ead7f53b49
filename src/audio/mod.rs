//! Sound in and out: recordings in, WAV files, pipes and the sound device out. cpal, hound, symphonia and ebur128 have their
//! home here; what they call a frame (one sample of every channel) is never called so outside.

mod chunks;
#[cfg(feature = "play")]
pub mod device;
pub mod format;
mod headers;
pub mod level;
pub mod limiter;
mod mix;
mod opus;
#[cfg(feature = "play")]
pub mod player;
pub mod reader;
pub mod sink;
mod true_peak;
pub mod wav;

pub use crate::dsp::resample::{self, StreamResampler, resample, resampled_len};
pub use level::{LevelReport, Peaks};
pub use reader::{AudioReader, Downmix, Recording, read, read_at};
pub use sink::{FileReport, FileSink, FileSinkSettings, StreamReport, StreamSink, StreamSinkSettings, is_broken_pipe};
pub use wav::{SampleFormat, StreamHeader, WavMetadata, read_metadata};
