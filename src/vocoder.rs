//! What every model is to the rest of the program, whatever its family: something that makes sound of a mel.
//!
//! Implement [`Vocoder`] for a network of your own: rendering to files, batches, pipes and devices, scoring and conversion of
//! other programs' mels ask for no more.

use crate::{
    Result,
    card::{Effort, ModelCard},
    dsp::threads::Threads,
    sound::Sound,
    source::MelSource,
};
use std::sync::Arc;

/// A model ready to render: shared, immutable, of any family.
pub trait Vocoder: Send + Sync {
    fn card(&self) -> &ModelCard;

    /// What messages call it: the path of its file, or its name where it has none.
    fn subject(&self) -> &str {
        &self.card().name
    }

    /// Whatever changes a sample besides mel, effort and seed. Goes into every recipe.
    fn identity(&self) -> &Identity;

    /// Renders what `source` gives, which is of the card's convention. The rendering owns what it needs.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where an option is out of range.
    fn render(self: Arc<Self>, source: Box<dyn MelSource>, options: &RenderOptions) -> Result<Box<dyn Rendering>>;

    /// `effort` with the entries of `given` in place of its own.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) names an entry that is out of range or means nothing to the family.
    fn adjusted(&self, effort: &Effort, given: &Effort) -> Result<Effort> {
        given.only(&effort.0.keys().map(String::as_str).collect::<Vec<_>>())?;
        Ok(effort.with(given))
    }

    /// An effort in words: `2 steps with 16 iterations`.
    fn describe(&self, effort: &Effort) -> String {
        effort.to_string()
    }

    /// Cheaper efforts with their share of `from`'s cost, dearest first; empty where there is nothing to give up.
    fn ladder(&self, _from: &Effort) -> Vec<(Effort, f64)> {
        vec![]
    }

    /// Corrects converted mels, where the model has learned that.
    fn refiner(&self) -> Option<&dyn MelRefiner> {
        None
    }

    /// Iterations by which a rendering of a converted mel is then brought to the mel that was given.
    fn projection_iterations(&self, _effort: &Effort) -> usize {
        16
    }

    /// The threads that share the work on one window.
    fn threads(&self) -> &Threads {
        &Threads::CALLER
    }
}

/// Sound in the making, chunk by chunk.
pub trait Rendering: Send {
    /// The next chunk, at the card's rate; `None` at the end.
    ///
    /// # Errors
    /// Those of the source and of the model.
    fn next(&mut self) -> Result<Option<Sound>>;

    /// For the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where it is out of range.
    fn set_effort(&mut self, effort: &Effort) -> Result<()>;
}

/// What a model has learned of mels that were made otherwise than its own.
pub trait MelRefiner {
    /// Frames on either side that it looks at.
    fn reach(&self) -> usize;

    /// Whether it has learned what is likely above a mel's highest band.
    fn extends(&self) -> bool {
        false
    }

    /// Whether it has learned how mels that a network predicted differ from those of recordings, in the model's own convention too.
    fn restores(&self) -> bool {
        false
    }

    /// What is to be added to a converted mel, from the rows of a [`Refinement`](crate::mel::refinement::Refinement):
    /// `[T, W]` -> `[T, M]`.
    ///
    /// # Errors
    /// Those of the model.
    fn refine(&self, rows: &[f32]) -> Result<Vec<f32>>;
}

/// The weights, and the numbers that they are computed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name and hash of the weights: `audiodiff-24k-0123456789abcdef`.
    pub weights: String,
    /// Where and in which numbers: `bf16 on cpu`.
    pub arithmetic: String,
}

/// How a mel is rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RenderOptions {
    /// The card's standard where `None`.
    pub effort: Option<Effort>,
    pub seed: u64,
    /// Mel frames of new sound in every chunk; those of the card where `None`, which may grow. A mel that comes no faster than it
    /// plays needs them alike.
    pub chunk: Option<usize>,
    /// Absolute frame that the source begins with. The noise is the one that the frame has in the whole.
    pub start: usize,
    pub refining: Refining,
    /// The mel is one of several channels that are rendered each for itself. Their first phases are the noise's then, which all of
    /// them share: those that each finds for itself have little in common.
    pub one_of_several: bool,
    /// The sound is half of a sum, mid or side. What is lost of each for want of a step adds up: 2 dB of a channel's treble.
    pub one_of_a_sum: bool,
}

/// What the model adds of its own to the mel that it is given, where it has learned to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refining {
    /// Goes on above the mel's highest band, up to the rate's end, with what it takes for likely; else there is nothing.
    pub extend: bool,
    /// The mel was predicted by a network, which levels what it is not sure of: what it blurred is made sharp again.
    pub predicted: bool,
}

impl RenderOptions {
    /// `effort`, or the standard one of `card`.
    pub fn effort<'a>(&'a self, card: &'a ModelCard) -> &'a Effort {
        self.effort.as_ref().unwrap_or(&card.efforts.standard)
    }
}
