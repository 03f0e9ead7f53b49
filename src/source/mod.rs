//! Where a mel comes from: frames in order, from memory, a file, a recording, or another process that is still writing.

mod held;
mod recording;
mod spool;

pub use held::HeldSource;
use recording::mid_and_side;
pub use recording::{Listener, RecordingSource};
pub use spool::{Spool, Spooled};

use crate::{
    Result,
    mel::{MelConvention, MelSpectrogram, extract},
};
use std::sync::Arc;

/// Frames of one convention, in order.
pub trait MelSource: Send {
    /// Up to `frames` more frames, fewer only at the end; nothing when there are no more. Blocks while a live source has
    /// not yet written them. Other bands than the convention has end a rendering with an error.
    ///
    /// # Errors
    /// Those of reading.
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram>;

    /// Channels whose bands lie side by side in a frame: `[T, C M]`.
    fn channels(&self) -> usize {
        1
    }

    /// The channels are left and right, their mean (mid) and half their difference (side).
    fn has_mid_side(&self) -> bool {
        false
    }
}

impl<S: MelSource + ?Sized> MelSource for Box<S> {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        (**self).read(frames)
    }

    fn channels(&self) -> usize {
        (**self).channels()
    }

    fn has_mid_side(&self) -> bool {
        (**self).has_mid_side()
    }
}

/// The frames of each channel as those of a source of all; a single one is not copied.
fn one_or_side_by_side(mut channels: Vec<MelSpectrogram>) -> MelSpectrogram {
    if channels.len() == 1 { channels.remove(0) } else { MelSpectrogram::side_by_side(&channels) }
}

/// A mel that is there as a whole.
pub struct WholeMel {
    mel: Arc<MelSpectrogram>,
    next: usize,
    channels: usize,
    mid_side: bool,
}

impl WholeMel {
    pub fn new(mel: impl Into<Arc<MelSpectrogram>>) -> Self {
        Self { mel: mel.into(), next: 0, channels: 1, mid_side: false }
    }

    /// Of the channels of a sound, `[n]` each at the convention's rate; of two also mid and side where `mid_side` is wanted.
    ///
    /// # Errors
    /// Those of [`extract()`].
    pub fn of_sound(mut channels: Vec<Vec<f32>>, mid_side: bool, convention: &MelConvention) -> Result<Self> {
        let mid_side = mid_side && channels.len() == 2;
        if mid_side {
            let added = mid_and_side(&channels[0], &channels[1]);
            channels.extend(added);
        }
        let mels = channels.iter().map(|samples| extract(samples, convention)).collect::<Result<Vec<_>>>()?;
        Ok(Self { mid_side, channels: mels.len(), ..Self::new(one_or_side_by_side(mels)) })
    }

    /// Without the frames before `frame`.
    pub fn from_frame(self, frame: usize) -> Self {
        Self { next: frame, ..self }
    }

    /// Of a mel whose frames hold the bands of `channels` channels.
    pub fn of_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }
}

impl MelSource for WholeMel {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let end = self.next.saturating_add(frames).min(self.mel.frames());
        let out = self.mel.slice(self.next.min(end)..end);
        self.next = end;
        Ok(out)
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn has_mid_side(&self) -> bool {
        self.mid_side
    }
}
