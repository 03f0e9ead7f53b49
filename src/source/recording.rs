//! The mel of a recording, made while it is read.

use super::{MelSource, one_or_side_by_side};
use crate::{
    Result,
    audio::{AudioReader, Downmix, StreamResampler},
    mel::{MelConvention, MelSpectrogram, extract::StreamExtractor},
    sound::Sound,
};
use std::path::Path;

/// Is shown the sound as it passes, at the convention's rate; nothing more comes after `None`.
pub type Listener = Box<dyn FnMut(Option<&Sound>, &AudioReader) -> Result<()> + Send>;

/// Reads a recording, resamples it and analyses it, frame after frame.
pub struct RecordingSource {
    reader: AudioReader,
    /// Of each channel.
    resamplers: Vec<StreamResampler>,
    /// Of each channel, and of mid and side where they are wanted.
    extractors: Vec<StreamExtractor>,
    mid_side: bool,
    convention: MelConvention,
    listener: Listener,
    /// Samples of each channel that were analysed.
    samples: usize,
    ended: bool,
}

impl RecordingSource {
    /// With the mels of mid and side beside those of left and right where `mid_side` is wanted, and there are two channels.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Audio`](crate::Error::Audio) where it cannot be read.
    pub fn open(
        path: &Path,
        (downmix, mid_side): (Downmix, bool),
        convention: &MelConvention,
        listener: Listener,
    ) -> Result<Self> {
        let mut source = Self {
            reader: AudioReader::open(path)?.mixed(downmix),
            resamplers: vec![],
            extractors: vec![],
            mid_side,
            convention: convention.clone(),
            listener,
            samples: 0,
            ended: false,
        };
        // How many channels there are, some formats say with the first sound.
        source.advance()?;
        Ok(source)
    }

    /// The frames of a recording of `samples` samples at the convention's rate.
    pub fn frames_of(&self, samples: u64) -> usize {
        let samples = usize::try_from(samples).unwrap_or(usize::MAX);
        self.convention.frames(samples + self.silence_after(samples))
    }

    /// A frame at the end of the last hop, so that the sound is covered to its end, and at least a sample of silence before
    /// it: where the last frame lies on the sound's last sample, half of what it sees is reflected, nothing beyond it holds
    /// the phases apart, and a tone may end in a spike.
    fn silence_after(&self, samples: usize) -> usize {
        (samples + 1).next_multiple_of(self.convention.hop) - samples
    }

    /// Takes the next piece of the recording.
    fn advance(&mut self) -> Result<()> {
        let chunk = self.reader.next_sound().transpose()?;
        let own_rate = self.reader.source().sample_rate;
        let count = chunk.as_ref().map_or(self.resamplers.len(), |sound| sound.channels.len()).max(1);
        if self.resamplers.is_empty() {
            self.mid_side &= count == 2;
            for _ in 0..count {
                self.resamplers.push(StreamResampler::new(own_rate, self.convention.sample_rate)?);
            }
            for _ in 0..if self.mid_side { 4 } else { count } {
                self.extractors.push(StreamExtractor::new(&self.convention)?);
            }
        }
        let mut sound = Sound::empty(count, self.convention.sample_rate);
        for (i, (resampler, samples)) in self.resamplers.iter_mut().zip(&mut sound.channels).enumerate() {
            match &chunk {
                Some(chunk) => resampler.push(&chunk.channels[i], samples)?,
                None => resampler.finish(samples)?,
            }
        }
        self.samples += sound.len();
        (self.listener)(Some(&sound), &self.reader)?;
        let ended = chunk.is_none();
        let silence = if ended { self.silence_after(self.samples) } else { 0 };
        if self.mid_side {
            let [mid, side] = mid_and_side(&sound.channels[0], &sound.channels[1]);
            sound.channels.extend([mid, side]);
        }
        for (extractor, samples) in self.extractors.iter_mut().zip(&mut sound.channels) {
            samples.resize(samples.len() + silence, 0.0);
            extractor.push(samples);
            if ended {
                extractor.finish();
            }
        }
        if ended {
            self.ended = true;
            (self.listener)(None, &self.reader)?;
        }
        Ok(())
    }
}

impl MelSource for RecordingSource {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let n_mels = self.convention.n_mels;
        let (mut mels, mut taken) = (vec![vec![]; self.extractors.len()], 0);
        loop {
            let ready = self.extractors.iter().map(StreamExtractor::ready).min().unwrap_or(0).min(frames - taken);
            for (extractor, values) in self.extractors.iter_mut().zip(&mut mels) {
                extractor.take(ready, values);
            }
            taken += ready;
            if taken == frames || self.ended {
                break;
            }
            self.advance()?;
        }
        let mels = mels.into_iter().map(|values| MelSpectrogram::new(values, n_mels)).collect();
        Ok(one_or_side_by_side(mels))
    }

    fn channels(&self) -> usize {
        self.extractors.len()
    }

    fn has_mid_side(&self) -> bool {
        self.mid_side
    }
}

/// Half the sum and half the difference.
pub(super) fn mid_and_side(left: &[f32], right: &[f32]) -> [Vec<f32>; 2] {
    let pairs = || left.iter().zip(right);
    [pairs().map(|(l, r)| (l + r) / 2.0).collect(), pairs().map(|(l, r)| (l - r) / 2.0).collect()]
}

impl std::fmt::Debug for RecordingSource {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "a recording's mel by {}", self.convention.name)
    }
}
