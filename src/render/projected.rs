//! A rendering that is brought to the rate of the mel that was given, and then projected on that mel, chunk by chunk: in windows
//! with emitted past and look-ahead like the model's, so memory is flat.

use super::{converted_source::Given, finite::finite_sound, given_mel::GivenMelPlan};
use crate::{
    Result,
    card::Effort,
    dsp::{griffin_lim::Past, resample::StreamResampler},
    sound::Sound,
    vocoder::{Rendering, Vocoder},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fewer frames in a chunk would mostly be past and look-ahead.
const SHORTEST_CHUNK: usize = 16;

/// How many iterations bring a rendering to the given mel.
#[derive(Debug, Clone, Copy)]
pub enum Iterations {
    Exactly(usize),
    /// As many as the model takes for them, by its effort.
    OfEffort(usize),
}

/// Pieces of waveform at the given convention's rate, `convention.samples(T)` in all. After an error it ends.
pub struct Projected {
    vocoder: Arc<dyn Vocoder>,
    rendering: Box<dyn Rendering>,
    given: Arc<Mutex<Given>>,
    iterations: Iterations,
    resampler: StreamResampler,
    plan: GivenMelPlan,
    /// Samples of the rendering still to be dropped before the recording begins.
    lead: usize,
    /// Rendered audio at the given rate, from absolute sample `first` on.
    rendered: Vec<f32>,
    first: usize,
    /// The renderer has given its last.
    rendered_all: bool,
    /// Projected audio, from `first` on, to the end of the last chunk.
    known: Vec<f32>,
    /// The next chunk's first frame.
    next: usize,
    finished: bool,
}

impl Projected {
    /// `rendering` is of one channel, and `clock` a second before it comes to the plan's rate; its first `lead` samples lie
    /// before the sound's beginning. Whoever makes it puts the frames that it was made of into `given`.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) for a rate that nothing has.
    pub fn new(
        vocoder: Arc<dyn Vocoder>,
        rendering: Box<dyn Rendering>,
        given: Arc<Mutex<Given>>,
        plan: GivenMelPlan,
        (clock, lead): (u32, usize),
        iterations: Iterations,
    ) -> Result<Self> {
        Ok(Self {
            resampler: StreamResampler::new(clock, plan.convention().sample_rate)?,
            vocoder,
            rendering,
            given,
            iterations,
            plan,
            lead,
            rendered: vec![],
            first: 0,
            rendered_all: false,
            known: vec![],
            next: 0,
            finished: false,
        })
    }

    /// Frames beyond a chunk that it waits for.
    #[cfg(test)]
    pub fn context(&self) -> usize {
        self.plan.context()
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders until audio up to absolute sample `end` is there, or all.
    fn fill(&mut self, end: usize) -> Result<()> {
        while !self.rendered_all && self.first + self.rendered.len() < end {
            match self.rendering.next()? {
                Some(sound) => {
                    // The projection on what was given would turn some of it into numbers.
                    let audio = finite_sound(sound, self.vocoder.as_ref())?.into_mono();
                    let skipped = self.lead.min(audio.len());
                    self.lead -= skipped;
                    self.resampler.push(&audio[skipped..], &mut self.rendered)?;
                }
                None => {
                    self.resampler.finish(&mut self.rendered)?;
                    self.rendered_all = true;
                    let total = self.given().total.unwrap_or(0);
                    // The last hop may lack a sample by rounding, or have some too many.
                    self.rendered.resize(self.plan.convention().samples(total).saturating_sub(self.first), 0.0);
                }
            }
        }
        Ok(())
    }

    /// The next piece; empty where there is none.
    fn chunk(&mut self) -> Result<Vec<f32>> {
        let (hop, n_fft, context) = (self.plan.convention().hop, self.plan.convention().n_fft, self.plan.context());
        // One more, which tells whether this is the last chunk.
        self.fill((self.next + SHORTEST_CHUNK + context) * hop + 1)?;
        let (available, is_last) = (self.first + self.rendered.len(), self.rendered_all);
        // All but the context, which the next chunk projects: a listener must not wait for a whole piece more.
        let end = if is_last { available } else { ((available - 1) / hop - context) * hop };
        let stop = if is_last { available } else { end + context * hop };
        if stop == self.first {
            self.finished = true;
            return Ok(vec![]);
        }

        let mut x = self.rendered[..stop - self.first].to_vec();
        let fade = hop.min(self.known.len());
        let given = self.given();
        // Frames that lie in the window, and those that the file's own ends are reflected for.
        let inside = |t: &usize| {
            let start = self.plan.convention().frame_start(*t);
            let ends = start + n_fft as isize <= stop as isize || is_last;
            (start >= self.first as isize || self.first == 0) && ends
        };
        let mut frames = given.frames.range().filter(inside).peekable();
        let first_frame = frames.peek().copied().unwrap_or(0);
        let frames = (first_frame, frames.map(|t| given.frames.frame(t)));
        let past = Past { audio: &self.known, fade };
        let (Iterations::Exactly(iterations) | Iterations::OfEffort(iterations)) = self.iterations;
        self.plan.project(&mut x, self.first, frames, past, iterations, self.vocoder.threads());
        drop(given);

        let begin = self.known.len() - fade;
        if is_last {
            self.finished = true;
            return Ok(x[begin..].to_vec());
        }
        let held_from = end - hop - self.first;
        let emitted = x[begin..held_from].to_vec();
        self.known.truncate(begin);
        self.known.extend_from_slice(&x[begin..end - self.first]);
        self.next = end / hop;
        self.forget();
        Ok(emitted)
    }

    /// Drops what no later window needs.
    fn forget(&mut self) {
        let convention = self.plan.convention();
        let keep_from = self.next.saturating_sub(self.plan.context()) * convention.hop;
        let old = keep_from.saturating_sub(self.first);
        self.rendered.drain(..old);
        self.known.drain(..old);
        self.first += old;
        let frames = &mut self.given.lock().unwrap_or_else(PoisonError::into_inner).frames;
        let needed = frames.range().find(|&t| convention.frame_start(t) >= self.first as isize - 1);
        frames.forget(needed.unwrap_or(frames.end()));
    }
}

impl Rendering for Projected {
    /// At the given convention's rate.
    fn next(&mut self) -> Result<Option<Sound>> {
        if self.finished {
            return Ok(None);
        }
        let audio = self.chunk()?;
        Ok((!audio.is_empty()).then(|| Sound::mono(audio, self.plan.convention().sample_rate)))
    }

    fn set_effort(&mut self, effort: &Effort) -> Result<()> {
        self.rendering.set_effort(effort)?;
        if let Iterations::OfEffort(iterations) = &mut self.iterations {
            *iterations = self.vocoder.projection_iterations(effort);
        }
        Ok(())
    }
}
