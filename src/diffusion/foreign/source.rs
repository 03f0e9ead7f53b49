//! Reads another convention's mel and gives the model's.

use crate::{
    Result,
    diffusion::MelSource,
    mel::{
        MelSpectrogram,
        convert::{Conversion, REACH},
    },
};
use std::collections::VecDeque;

/// Frames from absolute frame `first` on; older ones were dropped.
#[derive(Default)]
pub struct Frames {
    frames: VecDeque<Vec<f32>>,
    first: usize,
}

impl Frames {
    pub fn end(&self) -> usize {
        self.first + self.frames.len()
    }

    /// The absolute frames that are there.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.first..self.end()
    }

    pub fn frame(&self, t: usize) -> &[f32] {
        &self.frames[t - self.first]
    }

    fn push(&mut self, frame: Vec<f32>) {
        self.frames.push_back(frame);
    }

    /// Drops the frames before `t`.
    pub fn forget(&mut self, t: usize) {
        let old = t.saturating_sub(self.first).min(self.frames.len());
        self.frames.drain(..old);
        self.first += old;
    }
}

/// A source of the model's mel that reads another convention's, and keeps what was given for the projection.
pub struct ConvertedSource<S> {
    source: S,
    conversion: Conversion,
    /// Stored values as they were read; whoever projects on them drops them.
    pub given: Frames,
    /// How many there are in all, once the source has ended.
    pub total: Option<usize>,
    /// Log spectra of the given frames.
    spectra: Frames,
    /// The next model frame.
    next: usize,
    n_mels: usize,
}

impl<S: MelSource> ConvertedSource<S> {
    /// `n_mels` is the model's.
    pub fn new(source: S, conversion: Conversion, n_mels: usize) -> Self {
        let (given, spectra) = (Frames::default(), Frames::default());
        Self { source, conversion, given, total: None, spectra, next: 0, n_mels }
    }

    /// Reads until given frame `wanted` is there, or the source ends: how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        while self.spectra.end() <= wanted && self.total.is_none() {
            let more = self.source.read(wanted + 1 - self.spectra.end())?;
            if more.frames() == 0 {
                self.total = Some(self.spectra.end());
            }
            for t in 0..more.frames() {
                self.given.push(more.frame(t).to_vec());
                self.spectra.push(self.conversion.log_spectrum(more.frame(t)));
            }
        }
        Ok(self.spectra.end())
    }
}

impl<S: MelSource> MelSource for ConvertedSource<S> {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mut values = Vec::new();
        for _ in 0..frames {
            let position = self.conversion.position(self.next);
            let before = position.max(0.0).floor() as usize;
            let there = self.fill(before + REACH)?;
            let is_there = |total| total > 0 && self.next < self.conversion.model_frames(total);
            if !self.total.is_none_or(is_there) {
                break;
            }
            let oldest = self.spectra.range().start;
            // Only frames that are older than any that is looked at were dropped.
            let spectrum = |t: usize| self.spectra.frame(t.max(oldest));
            let spectrum = self.conversion.interpolated(position, there, spectrum);
            values.extend(self.conversion.model_mel(&spectrum));
            self.next += 1;
            // Beyond the last frame the last ones are looked at again.
            self.spectra.forget(before.saturating_sub(REACH).min(there.saturating_sub(2 * REACH)));
        }
        Ok(MelSpectrogram::new(values, self.n_mels))
    }
}
