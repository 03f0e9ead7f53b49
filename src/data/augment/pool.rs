//! Recordings that are added to clips: other sources, noises, impulse responses. Kept in memory, so that a training that
//! augments while it runs never waits for a disk.

use crate::{
    Error, Result,
    audio::{AudioReader, StreamResampler},
    batch::{Found, Inputs},
    path_text,
};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Clips by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pool {
    clips: Vec<(String, Vec<f32>)>,
}

impl Pool {
    /// Seconds that a pool holds at most, 350 MB at 24 kHz; of more, an even share of each file, from its start.
    pub(crate) const MOST_S: f64 = 3600.0;

    /// Clips that are in memory already. Empty ones are left out.
    pub fn of_clips(clips: impl IntoIterator<Item = (String, Vec<f32>)>) -> Self {
        Self { clips: clips.into_iter().filter(|(_, clip)| !clip.is_empty()).collect() }
    }

    /// All recordings of a folder, in every depth, resampled to `sample_rate`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Audio`] for the first that cannot be read, [`Error::Data`] where there is none,
    /// [`Error::Interrupted`] once `stop` is set.
    pub fn of_folder(folder: &Path, sample_rate: u32, stop: &AtomicBool) -> Result<Self> {
        let mut inputs = Inputs::default();
        inputs.add_recordings(folder, None);
        match inputs.unreadable.pop() {
            Some(error) => Err(error),
            None => Self::of_files(&inputs.found, sample_rate, stop),
        }
    }

    /// These recordings, by their names.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Audio`] for the first that cannot be read, [`Error::Interrupted`] once `stop` is set.
    pub fn of_files(files: &[Found], sample_rate: u32, stop: &AtomicBool) -> Result<Self> {
        let share = (Self::MOST_S * f64::from(sample_rate) / files.len().max(1) as f64) as usize;
        let read = |found: &Found| {
            let samples = start_of(&found.input, sample_rate, share.max(1), stop)?;
            Ok((path_text::to_text(&found.name).into_owned(), samples))
        };
        Ok(Self::of_clips(files.iter().map(read).collect::<Result<Vec<_>>>()?))
    }

    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    pub fn len(&self) -> usize {
        self.clips.len()
    }

    pub fn name(&self, index: usize) -> &str {
        &self.clips[index].0
    }

    pub fn clip(&self, index: usize) -> &[f32] {
        &self.clips[index].1
    }

    /// Changes every clip.
    pub(super) fn map(self, change: impl Fn(Vec<f32>) -> Vec<f32>) -> Self {
        Self::of_clips(self.clips.into_iter().map(|(name, clip)| (name, change(clip))))
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.clips.iter().position(|(other, _)| other == name)
    }
}

/// At most the first `most` samples of a recording at `sample_rate`; what comes after them is not read.
fn start_of(path: &Path, sample_rate: u32, most: usize, stop: &AtomicBool) -> Result<Vec<f32>> {
    let mut reader = AudioReader::open(path)?;
    let mut resampler = StreamResampler::new(reader.source().sample_rate, sample_rate)?;
    let mut samples = Vec::new();
    while samples.len() < most {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let Some(chunk) = reader.next() else {
            resampler.finish(&mut samples)?;
            break;
        };
        resampler.push(&chunk?, &mut samples)?;
    }
    samples.truncate(most);
    samples.shrink_to_fit();
    Ok(samples)
}
