//! One renderer for mels of every convention.

use super::{ChunkLayout, ForeignRenderer, MelSource, Network, Renderer, SamplerSettings};
use crate::{
    Result,
    mel::{MelConvention, MelSpectrogram, convert::exact, recognise::rendered_alike},
};

/// An iterator over pieces of waveform at the rate of the mel's own convention, `convention.samples(T)` in all. A mel that
/// holds the model's numbers, if in another logarithm or scaling, goes straight to the model; every other one is
/// converted, rendered and projected on what was given ([`ForeignRenderer`]). After an error it ends.
pub struct AnyMelRenderer<'n, N: Network, S>(Way<'n, N, S>);

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
        Ok(Self(if exact(&nothing, convention, own).is_some() {
            let source = Mapped { source, from: convention.clone(), to: own.clone() };
            Way::Own(Box::new(Renderer::new(network, source, settings, layout)?))
        } else {
            Way::Foreign(Box::new(ForeignRenderer::new(network, source, convention, settings, layout)?))
        }))
    }

    /// Settings for the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where one is out of range.
    pub fn set_settings(&mut self, settings: SamplerSettings) -> Result<()> {
        match &mut self.0 {
            Way::Own(renderer) => renderer.set_settings(settings),
            Way::Foreign(renderer) => renderer.set_settings(settings),
        }
    }

    /// Starts at absolute mel frame `frame` of a source that begins there. See [`Renderer::starting_at`]; a converted mel
    /// is rendered as if the source began its file, with other noise than in the whole.
    pub fn starting_at(self, frame: usize) -> Self {
        match self.0 {
            Way::Own(renderer) => Self(Way::Own(Box::new(renderer.starting_at(frame)))),
            foreign @ Way::Foreign(_) => Self(foreign),
        }
    }
}

impl<N: Network, S: MelSource> Iterator for AnyMelRenderer<'_, N, S> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Way::Own(renderer) => renderer.next(),
            Way::Foreign(renderer) => renderer.next(),
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
        // To and fro through the logarithm would cost the last digits.
        if !rendered_alike(&self.from, &self.to)
            && let Some(mapped) = exact(&mel, &self.from, &self.to)
        {
            return Ok(mapped);
        }
        // What another program's lower floor let through is silence to the model, too.
        let (n_mels, floor) = (mel.n_mels(), self.to.stored(0, 0.0) as f32);
        Ok(MelSpectrogram::new(mel.into_values().into_iter().map(|v| v.max(floor)).collect(), n_mels))
    }
}
