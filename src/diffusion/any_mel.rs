//! One renderer for mels of every convention.

use super::{ChunkLayout, ForeignRenderer, MelSource, Network, Renderer, SamplerSettings};
use crate::{
    Result,
    dsp::resample::StreamResampler,
    mel::{MelConvention, MelSpectrogram, convert::mapped},
};

/// An iterator over pieces of waveform at the rate of the mel's own convention, `convention.samples(T)` in all. A mel that
/// holds the model's numbers, if in another logarithm or scaling, goes straight to the model; every other one is
/// converted, rendered and projected on what was given ([`ForeignRenderer`]). After an error it ends.
pub struct AnyMelRenderer<'n, N: Network, S> {
    way: Way<'n, N, S>,
    resampler: StreamResampler,
    /// Hz, of what `way` gives and of what leaves.
    own_rate: u32,
    sample_rate: u32,
    finished: bool,
}

enum Way<'n, N: Network, S> {
    Own(Box<Renderer<'n, N, Mapped<S>>>),
    Foreign(Box<ForeignRenderer<'n, N, S>>),
}

impl<'n, N: Network, S: MelSource> AnyMelRenderer<'n, N, S> {
    /// `source` gives the stored numbers of `convention`; `layout` counts the model's frames.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) or [`Error::Convention`](crate::Error::Convention) where one is
    /// impossible.
    pub fn new(
        network: &'n N,
        source: S,
        convention: &MelConvention,
        settings: SamplerSettings,
        layout: ChunkLayout,
    ) -> Result<Self> {
        let own = network.convention();
        let nothing = MelSpectrogram::new(vec![], convention.n_mels);
        let way = if mapped(&nothing, convention, own).is_some() {
            let source = Mapped { source, from: convention.clone(), to: own.clone() };
            Way::Own(Box::new(Renderer::new(network, source, settings, layout)?))
        } else {
            Way::Foreign(Box::new(ForeignRenderer::new(network, source, convention, settings, layout)?))
        };
        let rate = convention.sample_rate;
        let resampler = StreamResampler::new(rate, rate)?;
        Ok(Self { way, resampler, own_rate: rate, sample_rate: rate, finished: false })
    }

    /// The same at another rate, in Hz: `resampled_len` of the samples.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) for a rate that nothing has.
    pub fn at_rate(self, sample_rate: u32) -> Result<Self> {
        Ok(Self { resampler: StreamResampler::new(self.own_rate, sample_rate)?, sample_rate, ..self })
    }

    /// Hz
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Settings for the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where one is out of range.
    pub fn set_settings(&mut self, settings: SamplerSettings) -> Result<()> {
        match &mut self.way {
            Way::Own(renderer) => renderer.set_settings(settings),
            Way::Foreign(renderer) => renderer.set_settings(settings),
        }
    }

    /// Starts at absolute mel frame `frame` of a source that begins there. See [`Renderer::starting_at`]; a converted mel
    /// is rendered as if the source began its file, with other noise than in the whole.
    pub fn starting_at(self, frame: usize) -> Self {
        let way = match self.way {
            Way::Own(renderer) => Way::Own(Box::new(renderer.starting_at(frame))),
            foreign @ Way::Foreign(_) => foreign,
        };
        Self { way, ..self }
    }

    /// The next piece; empty at the end.
    fn piece(&mut self) -> Result<Vec<f32>> {
        let mut piece = Vec::new();
        while piece.is_empty() && !self.finished {
            let rendered = match &mut self.way {
                Way::Own(renderer) => renderer.next(),
                Way::Foreign(renderer) => renderer.next(),
            };
            match rendered {
                Some(rendered) => self.resampler.push(&rendered?, &mut piece)?,
                None => {
                    self.finished = true;
                    self.resampler.finish(&mut piece)?;
                }
            }
        }
        Ok(piece)
    }
}

impl<N: Network, S: MelSource> Iterator for AnyMelRenderer<'_, N, S> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
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

/// The numbers of one convention as another one stores them.
struct Mapped<S> {
    source: S,
    from: MelConvention,
    to: MelConvention,
}

impl<S: MelSource> MelSource for Mapped<S> {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mel = self.source.read(frames)?;
        Ok(mapped(&mel, &self.from, &self.to).unwrap_or(mel))
    }
}
