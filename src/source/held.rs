//! Frames of mels that lie in memory or in a file.

use super::{MelSource, one_or_side_by_side};
use crate::{
    Result,
    mel::{Frames, HeldMel, MelSpectrogram},
};
use std::sync::Arc;

/// The mels of one or two channels, of equal length.
pub struct HeldSource {
    channels: Arc<[HeldMel]>,
    next: usize,
}

impl HeldSource {
    /// Without the frames before `frame`.
    pub fn new(channels: Arc<[HeldMel]>, frame: usize) -> Self {
        Self { channels, next: frame }
    }
}

impl MelSource for HeldSource {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let there = self.channels[0].frames();
        let range = self.next.min(there)..self.next.saturating_add(frames).min(there);
        self.next = range.end;
        let mut read = vec![];
        for channel in self.channels.iter() {
            read.push(channel.read(range.clone())?.into_owned());
        }
        Ok(one_or_side_by_side(read))
    }

    fn channels(&self) -> usize {
        self.channels.len()
    }
}
