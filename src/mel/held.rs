//! A mel where it lies, in memory or in a file, of which any frames can be had: an hour of it takes no more memory than a
//! second does.

use super::MelSpectrogram;
use crate::Result;
use std::{borrow::Cow, ops::Range, sync::Arc};

/// Frames that are looked at together.
const BLOCK: usize = 2048;

/// A mel of which any frames can be had.
pub trait Frames: Send + Sync {
    fn n_mels(&self) -> usize;

    fn frames(&self) -> usize;

    /// # Errors
    /// Those of reading.
    fn read(&self, frames: Range<usize>) -> Result<Cow<'_, MelSpectrogram>>;
}

impl dyn Frames + '_ {
    /// All of it, block by block; each with the number of its first frame.
    pub fn blocks(&self) -> impl Iterator<Item = Result<(usize, Cow<'_, MelSpectrogram>)>> {
        let frames = self.frames();
        (0..frames).step_by(BLOCK).map(move |t| Ok((t, self.read(t..frames.min(t + BLOCK))?)))
    }
}

impl Frames for MelSpectrogram {
    fn n_mels(&self) -> usize {
        self.n_mels()
    }

    fn frames(&self) -> usize {
        self.frames()
    }

    fn read(&self, frames: Range<usize>) -> Result<Cow<'_, MelSpectrogram>> {
        Ok(if frames == (0..self.frames()) { Cow::Borrowed(self) } else { Cow::Owned(self.slice(frames)) })
    }
}

/// A mel in its convention's own numbers and order of bands, without the padding of a batch. Clones share the numbers.
#[derive(Clone)]
pub struct HeldMel {
    numbers: Arc<dyn Frames>,
    /// The highest band comes first in `numbers`.
    turned: bool,
    /// Frames that are silence, whatever `numbers` say; in order.
    silent: Vec<Range<usize>>,
    /// `[M]`
    silence: Vec<f32>,
}

impl HeldMel {
    pub(super) fn new(numbers: Arc<dyn Frames>, turned: bool) -> Self {
        Self { numbers, turned, silent: vec![], silence: vec![] }
    }

    /// With the frame `silence` in place of those in `ranges`.
    pub(super) fn silenced(self, ranges: Vec<Range<usize>>, silence: &[f32]) -> Self {
        Self { silent: ranges, silence: silence.to_vec(), ..self }
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// Those of reading.
    pub fn whole(&self) -> Result<MelSpectrogram> {
        Ok(self.read(0..self.frames())?.into_owned())
    }
}

impl Frames for HeldMel {
    fn n_mels(&self) -> usize {
        self.numbers.n_mels()
    }

    fn frames(&self) -> usize {
        self.numbers.frames()
    }

    fn read(&self, frames: Range<usize>) -> Result<Cow<'_, MelSpectrogram>> {
        let mut mel = self.numbers.read(frames.clone())?;
        if self.turned {
            mel = Cow::Owned(mel.into_owned().turned());
        }
        let silent = self.silent.iter().flat_map(|range| range.start.max(frames.start)..range.end.min(frames.end));
        for t in silent {
            mel.to_mut().frame_mut(t - frames.start).copy_from_slice(&self.silence);
        }
        Ok(mel)
    }
}

impl std::fmt::Debug for HeldMel {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "a mel of {} frames in {} bands", self.frames(), self.n_mels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_frames_are_had_turned_and_without_padding() {
        let mel = MelSpectrogram::new((0..12).map(|v| v as f32).collect(), 2);
        let held = HeldMel::new(Arc::new(mel), true).silenced(vec![0..1, 3..5], &[-1.0, -2.0]);
        assert_eq!(
            held.whole().unwrap().values(),
            [-1.0, -2.0, 3.0, 2.0, 5.0, 4.0, -1.0, -2.0, -1.0, -2.0, 11.0, 10.0]
        );
        for range in [0..1, 1..4, 4..6, 2..2] {
            let whole = held.whole().unwrap();
            assert_eq!(*held.read(range.clone()).unwrap(), whole.slice(range));
        }
    }

    #[test]
    fn blocks_are_the_whole_in_order() {
        let mel = MelSpectrogram::new((0..2 * BLOCK + 3).map(|v| v as f32).collect(), 1);
        let blocks: Vec<_> = (&mel as &dyn Frames).blocks().map(|block| block.unwrap()).collect();
        assert_eq!(
            blocks.iter().map(|(first, block)| (*first, block.frames())).collect::<Vec<_>>(),
            [(0, BLOCK), (BLOCK, BLOCK), (2 * BLOCK, 3)]
        );
        assert_eq!(blocks.iter().flat_map(|(_, block)| block.values()).copied().collect::<Vec<_>>(), mel.values());
    }
}
