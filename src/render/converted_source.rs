//! Reads another convention's mel and gives the model's.

use super::finite::require_finite;
use crate::{
    Result,
    mel::{
        MelSpectrogram,
        convert::{Conversion, REACH},
        refinement::Refinement,
    },
    source::MelSource,
    vocoder::{MelRefiner, Vocoder},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

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

    pub fn push(&mut self, frame: Vec<f32>) {
        self.frames.push_back(frame);
    }

    /// Drops the frames before `t`.
    pub fn forget(&mut self, t: usize) {
        let old = t.saturating_sub(self.first).min(self.frames.len());
        self.frames.drain(..old);
        self.first += old;
    }
}

/// What the source was given, for the projection on it.
#[derive(Default)]
pub struct Given {
    /// Stored values as they were read; whoever projects on them drops them.
    pub frames: Frames,
    /// How many there are in all, once the source has ended.
    pub total: Option<usize>,
}

/// A source of the model's mel that reads another convention's, and keeps what was given.
pub struct ConvertedSource {
    vocoder: Arc<dyn Vocoder>,
    source: Box<dyn MelSource>,
    conversion: Conversion,
    refinement: Refinement,
    given: Arc<Mutex<Given>>,
    /// Of given frames, once the source has ended.
    total: Option<usize>,
    /// Log spectra of the given frames, and their mel in the model's bands.
    spectra: Frames,
    mels: Frames,
    /// The model's frames as far as arithmetic takes them, and what the network is told of them.
    converted: Frames,
    rows: Frames,
    /// The next frame that leaves.
    next: usize,
    n_mels: usize,
}

impl ConvertedSource {
    /// Whose model goes on above the highest given band where `extend` is set.
    pub fn new(
        vocoder: Arc<dyn Vocoder>,
        source: Box<dyn MelSource>,
        conversion: Conversion,
        given: Arc<Mutex<Given>>,
        extend: bool,
    ) -> Self {
        let refinement = Refinement::new(&conversion);
        Self {
            n_mels: vocoder.card().mel.n_mels,
            vocoder,
            source,
            refinement: if extend { refinement.extended() } else { refinement },
            conversion,
            given,
            total: None,
            spectra: Frames::default(),
            mels: Frames::default(),
            converted: Frames::default(),
            rows: Frames::default(),
            next: 0,
        }
    }

    /// Reads until given frame `wanted` is there, or the source ends: how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        while self.spectra.end() <= wanted && self.total.is_none() {
            let more = self.source.read(wanted + 1 - self.spectra.end())?;
            more.require_bands_of(self.conversion.from(), self.source.channels())?;
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            if more.frames() == 0 {
                self.total = Some(self.spectra.end());
                given.total = self.total;
            }
            for t in 0..more.frames() {
                let (spectrum, mel) = self.conversion.heard(more.frame(t));
                given.frames.push(more.frame(t).to_vec());
                self.mels.push(mel);
                self.spectra.push(spectrum);
            }
        }
        Ok(self.spectra.end())
    }

    /// Converts the next frame, where there is one.
    fn convert(&mut self) -> Result<bool> {
        let next = self.converted.end();
        let before = self.conversion.position(next).max(0.0).floor() as usize;
        let there = self.fill(before + REACH)?;
        let is_there = |total| total > 0 && next < self.conversion.model_frames(total);
        if !self.total.is_none_or(is_there) {
            return Ok(false);
        }
        let oldest = self.spectra.range().start;
        // Only frames that are older than any that is looked at were dropped.
        let spectrum = |t: usize| self.spectra.frame(t.max(oldest));
        let mel = |t: usize| self.mels.frame(t);
        let mut row = Vec::new();
        let converted = self.refinement.convert(&self.conversion, next, there, spectrum, mel, &mut row);
        self.converted.push(converted);
        self.rows.push(row);
        // Beyond the last frame the last ones are looked at again.
        let old = before.saturating_sub(REACH).min(there.saturating_sub(2 * REACH));
        self.spectra.forget(old);
        self.mels.forget(old);
        Ok(true)
    }
}

impl MelSource for ConvertedSource {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        // Of the network, and a frame more whose refined values are compared with.
        let reach = self.vocoder.refiner().map_or(0, MelRefiner::reach) + 1;
        while self.converted.end() < self.next + frames + reach && self.convert()? {}
        let read = self.next..(self.next + frames).min(self.converted.end());
        if read.is_empty() {
            return Ok(MelSpectrogram::new(vec![], self.n_mels));
        }
        let seen = read.start.saturating_sub(reach)..(read.end + reach).min(self.converted.end());
        let rows: Vec<f32> = seen.clone().flat_map(|t| self.rows.frame(t)).copied().collect();
        let mut known: Vec<Vec<f32>> = seen.clone().map(|t| self.converted.frame(t).to_vec()).collect();
        let values = match self.vocoder.refiner() {
            Some(refiner) => {
                let correction = refiner.refine(&rows)?;
                require_finite(&correction, "a mel", self.vocoder.as_ref())?;
                for (frame, correction) in known.iter_mut().zip(correction.chunks_exact(self.n_mels)) {
                    self.refinement.apply(frame, correction);
                }
                let frame = |t: usize| &known[t.min(seen.end - 1) - seen.start][..];
                let sharpened =
                    |t: usize| self.refinement.sharpened([frame(t.saturating_sub(1)), frame(t), frame(t + 1)]);
                read.clone().flat_map(sharpened).collect()
            }
            None => known[read.start - seen.start..read.end - seen.start].concat(),
        };
        self.next = read.end;
        self.converted.forget(read.end.saturating_sub(reach));
        self.rows.forget(read.end.saturating_sub(reach));
        Ok(MelSpectrogram::new(values, self.n_mels))
    }
}
