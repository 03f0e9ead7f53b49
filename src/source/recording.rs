//! The mel of a recording, made while it is read.

use super::MelSource;
use crate::{
    Result,
    audio::{AudioReader, Downmix, StreamResampler},
    mel::{MelConvention, MelSpectrogram, extract::StreamExtractor},
    sound::Sound,
};
use std::path::{Path, PathBuf};

/// Is shown the sound as it passes, at the convention's rate; nothing more comes after `None`.
pub type Listener = Box<dyn FnMut(Option<&Sound>, &AudioReader) -> Result<()> + Send>;

/// Reads a recording, resamples it and analyses it, frame after frame.
pub struct RecordingSource {
    path: PathBuf,
    reader: AudioReader,
    /// Of each channel.
    planes: Vec<Plane>,
    convention: MelConvention,
    listener: Listener,
    /// Samples of each channel that were analysed.
    samples: usize,
    ended: bool,
}

struct Plane {
    resampler: StreamResampler,
    extractor: StreamExtractor,
}

impl RecordingSource {
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Audio`](crate::Error::Audio) where it cannot be read.
    pub fn open(path: &Path, downmix: Downmix, convention: &MelConvention, listener: Listener) -> Result<Self> {
        let mut source = Self {
            path: path.into(),
            reader: AudioReader::open(path)?.mixed(downmix),
            planes: vec![],
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
        let count = chunk.as_ref().map_or(self.planes.len(), |sound| sound.channels.len()).max(1);
        while self.planes.len() < count {
            self.planes.push(Plane {
                resampler: StreamResampler::new(own_rate, self.convention.sample_rate)?,
                extractor: StreamExtractor::new(&self.convention)?,
            });
        }
        let mut sound = Sound::empty(count, self.convention.sample_rate);
        for (i, (Plane { resampler, .. }, samples)) in self.planes.iter_mut().zip(&mut sound.channels).enumerate() {
            match &chunk {
                Some(chunk) => resampler.push(&chunk.channels[i], samples)?,
                None => resampler.finish(samples)?,
            }
        }
        self.samples += sound.len();
        (self.listener)(Some(&sound), &self.reader)?;
        let ended = chunk.is_none();
        let silence = if ended { self.silence_after(self.samples) } else { 0 };
        for (Plane { extractor, .. }, samples) in self.planes.iter_mut().zip(&mut sound.channels) {
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
        let (mut mels, mut taken) = (vec![vec![]; self.planes.len()], 0);
        loop {
            let ready = self.planes.iter().map(|plane| plane.extractor.ready()).min().unwrap_or(0).min(frames - taken);
            for (plane, values) in self.planes.iter_mut().zip(&mut mels) {
                plane.extractor.take(ready, values);
            }
            taken += ready;
            if taken == frames || self.ended {
                break;
            }
            self.advance()?;
        }
        let mut mels: Vec<_> = mels.into_iter().map(|values| MelSpectrogram::new(values, n_mels)).collect();
        Ok(if mels.len() == 1 { mels.remove(0) } else { MelSpectrogram::side_by_side(&mels) })
    }

    fn channels(&self) -> usize {
        self.planes.len()
    }
}

impl std::fmt::Debug for RecordingSource {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "the mel of {} by {}", self.path.display(), self.convention.name)
    }
}
