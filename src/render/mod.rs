//! The one path from mel to sound: any model, any convention, any rate, exactly the samples that the input stands for.

mod converted;
mod converted_source;
mod finite;
mod given_mel;
pub mod ladder;
mod mid_side;
mod per_channel;
mod projected;

pub use converted::model_mel;

use self::{
    converted::{converted, restored},
    finite::finite_sound,
    mid_side::left_and_right,
    per_channel::split,
};
use crate::{
    Error, Fault, Result,
    card::{Channels, Effort},
    dsp::resample::StreamResampler,
    mel::{MelConvention, MelSpectrogram, convert::mapped},
    sound::Sound,
    source::MelSource,
    vocoder::{RenderOptions, Rendering, Vocoder},
};
use std::sync::Arc;

/// An iterator over pieces of sound. A mel that holds the model's numbers, if in another logarithm or scaling, goes straight
/// to the model; every other one is converted, rendered and projected on what was given. Each channel of a mel is rendered for
/// itself, with the same noise, where the model is mono; of a recording whose mid and side are at hand, those. Every sample is finite: a model that makes others is an error. After an
/// error it ends.
///
/// Unless told otherwise the sound has the rate of the mel's own convention and `convention.samples(T)` samples.
pub struct Renderer {
    vocoder: Arc<dyn Vocoder>,
    /// One, or one a channel.
    renderings: Vec<Box<dyn Rendering>>,
    /// One a channel of the sound.
    resamplers: Vec<StreamResampler>,
    /// Of each channel, what has no counterpart in the others yet.
    pending: Vec<Vec<f32>>,
    /// Hz, of what `renderings` give and of what leaves.
    own_rate: u32,
    rate: u32,
    /// Samples still to come, where the number was asked for.
    left: Option<u64>,
    finished: bool,
}

impl Renderer {
    /// `source` gives the stored numbers of `convention`; a chunk counts the model's frames.
    ///
    /// # Errors
    /// [`Error::Settings`] or [`Error::Convention`] where one is impossible.
    pub fn new(
        vocoder: Arc<dyn Vocoder>,
        source: Box<dyn MelSource>,
        convention: &MelConvention,
        options: &RenderOptions,
    ) -> Result<Self> {
        let model_channels = if vocoder.card().channels == Channels::Mono { 1 } else { 2 };
        let channels = source.channels();
        let rate = convention.sample_rate;
        if source.has_mid_side() && model_channels == 1 {
            let renderings = left_and_right(&vocoder, source, options)?;
            return Self::of(vocoder, renderings, 2, rate);
        }
        let sources = match (channels, model_channels) {
            (given, own) if given == own => vec![source],
            (_, 1) => split(source, convention.n_mels),
            (given, own) => {
                let fault = Fault::new("the mel", format!("{given} channels"));
                return Err(Error::Mel(fault.expected(format!("{own}, as the model {} has", vocoder.card().name))));
            }
        };
        let options = RenderOptions { one_of_several: sources.len() > 1, ..options.clone() };
        let rendering = |source| rendering(vocoder.clone(), source, convention, &options);
        let channels = sources.len() * model_channels;
        let renderings = sources.into_iter().map(rendering).collect::<Result<_>>()?;
        Self::of(vocoder, renderings, channels, rate)
    }

    fn of(vocoder: Arc<dyn Vocoder>, renderings: Vec<Box<dyn Rendering>>, channels: usize, rate: u32) -> Result<Self> {
        Ok(Self {
            renderings,
            resamplers: resamplers(channels, rate, rate)?,
            pending: vec![vec![]; channels],
            own_rate: rate,
            rate,
            left: None,
            finished: false,
            vocoder,
        })
    }

    /// The same at another rate, in Hz: `resampled_len` of the samples.
    ///
    /// # Errors
    /// [`Error::Settings`] for a rate that nothing has.
    pub fn at_rate(self, rate: u32) -> Result<Self> {
        Ok(Self { resamplers: resamplers(self.pending.len(), self.own_rate, rate)?, rate, ..self })
    }

    /// Exactly `samples` of each channel: what is too much is cut, and what rounding took, there and back again, is silence.
    pub fn of_length(self, samples: u64) -> Self {
        Self { left: Some(samples), ..self }
    }

    /// Hz
    pub fn rate(&self) -> u32 {
        self.rate
    }

    pub fn channels(&self) -> usize {
        self.pending.len()
    }

    /// For the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`] where it is out of range.
    pub fn set_effort(&mut self, effort: &Effort) -> Result<()> {
        self.renderings.iter_mut().try_for_each(|rendering| rendering.set_effort(effort))
    }

    /// The next piece; empty at the end.
    fn piece(&mut self) -> Result<Sound> {
        let mut ready = 0;
        while ready == 0 && !self.finished {
            let mut ended = true;
            let planes = self.pending.len() / self.renderings.len();
            for (i, rendering) in self.renderings.iter_mut().enumerate() {
                let Some(sound) = rendering.next()? else { continue };
                let sound = finite_sound(sound, self.vocoder.as_ref())?;
                ended = false;
                for (samples, plane) in sound.channels.iter().zip(i * planes..) {
                    self.resamplers[plane].push(samples, &mut self.pending[plane])?;
                }
            }
            if ended {
                self.finished = true;
                for (resampler, pending) in self.resamplers.iter_mut().zip(&mut self.pending) {
                    resampler.finish(pending)?;
                }
            }
            ready = self.pending.iter().map(Vec::len).min().unwrap_or(0);
        }
        if let Some(left) = self.left {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            if self.finished && ready < left {
                self.pending.iter_mut().for_each(|plane| plane.resize(left, 0.0));
                ready = left;
            }
            ready = ready.min(left);
            self.left = Some((left - ready) as u64);
            self.finished |= left == ready;
        }
        let channels = self.pending.iter_mut().map(|plane| plane.drain(..ready).collect()).collect();
        Ok(Sound { rate: self.rate, channels })
    }
}

impl Iterator for Renderer {
    type Item = Result<Sound>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.piece() {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => Some(Ok(piece)),
            Err(error) => {
                self.finished = true;
                Some(Err(error))
            }
        }
    }
}

/// The way of one source through the model.
fn rendering(
    vocoder: Arc<dyn Vocoder>,
    source: Box<dyn MelSource>,
    convention: &MelConvention,
    options: &RenderOptions,
) -> Result<Box<dyn Rendering>> {
    let own = &vocoder.card().mel;
    let nothing = MelSpectrogram::new(vec![], convention.n_mels);
    if mapped(&nothing, convention, own).is_some() {
        let source = Box::new(Mapped { source, from: convention.clone(), to: own.clone() });
        return if options.refining.predicted {
            restored(vocoder, source, options)
        } else {
            vocoder.render(source, options)
        };
    }
    Ok(Box::new(converted(vocoder, source, convention, options)?))
}

fn resamplers(channels: usize, from: u32, to: u32) -> Result<Vec<StreamResampler>> {
    (0..channels).map(|_| StreamResampler::new(from, to)).collect()
}

/// The numbers of one convention as another one stores them.
struct Mapped {
    source: Box<dyn MelSource>,
    from: MelConvention,
    to: MelConvention,
}

impl MelSource for Mapped {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mel = self.source.read(frames)?;
        mel.require_bands_of(&self.from, self.source.channels())?;
        Ok(mapped(&mel, &self.from, &self.to).unwrap_or(mel))
    }
}
