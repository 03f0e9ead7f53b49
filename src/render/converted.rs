//! Renders mels of other conventions than the model's.
//!
//! The given mel is converted to the model's ([`Conversion`]), refined by the network where it has learned to, rendered,
//! brought to the rate that the mel was made at, and then projected on the mel **that was given**. So
//! the result agrees with the user's mel and not with our conversion. What the bands leave open is the model's; bins that no
//! band covers are emptied. Bands above what the model can hear start from noise.
//!
//! All of it runs chunk by chunk, in windows with emitted past and look-ahead like the model's, so memory is flat.

use super::{
    converted_source::{ConvertedSource, Given},
    finite::finite_sound,
    given_mel::GivenMelPlan,
};
use crate::{
    Result,
    card::Effort,
    dsp::{griffin_lim::Past, resample::StreamResampler},
    mel::{
        MelConvention, MelSpectrogram,
        convert::{Conversion, mapped},
    },
    sound::Sound,
    source::{MelSource, WholeMel},
    vocoder::{RenderOptions, Rendering, Vocoder},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A whole mel of `convention` as `vocoder` is given it: [T, M] -> [T', M'].
///
/// # Errors
/// [`Error::Convention`](crate::Error::Convention) where the model cannot hear it.
pub fn model_mel(
    vocoder: Arc<dyn Vocoder>,
    mel: &MelSpectrogram,
    convention: &MelConvention,
) -> Result<MelSpectrogram> {
    let own = &vocoder.card().mel;
    if let Some(mel) = mapped(mel, convention, own) {
        return Ok(mel);
    }
    let conversion = Conversion::new(convention, own)?;
    let frames = conversion.model_frames(mel.frames());
    let source = Box::new(WholeMel::new(mel.clone()));
    ConvertedSource::new(vocoder, source, conversion, Arc::default()).read(frames)
}

/// Fewer frames in a chunk would mostly be past and look-ahead.
const SHORTEST_CHUNK: usize = 16;

/// An iterator over pieces of waveform at the given convention's rate, `convention.samples(T)` in all. After an error it
/// ends.
pub struct Converted {
    vocoder: Arc<dyn Vocoder>,
    rendering: Box<dyn Rendering>,
    given: Arc<Mutex<Given>>,
    /// Of the projection on what was given.
    iterations: usize,
    resampler: StreamResampler,
    plan: GivenMelPlan,
    /// Model samples still to be dropped before the recording begins.
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

impl Converted {
    /// `source` gives the stored numbers of `convention`; a chunk counts the model's frames, and the projection takes each as
    /// it comes. The mel is rendered as if the source began its file, whatever `options.start` says.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) or [`Error::Convention`](crate::Error::Convention) where one is
    /// impossible.
    pub fn new(
        vocoder: Arc<dyn Vocoder>,
        source: Box<dyn MelSource>,
        convention: &MelConvention,
        options: &RenderOptions,
    ) -> Result<Self> {
        let conversion = Conversion::new(convention, &vocoder.card().mel)?;
        let (clock, lead, rate) = (conversion.clock(), conversion.lead(), convention.sample_rate);
        let given = Arc::<Mutex<Given>>::default();
        let converted = ConvertedSource::new(vocoder.clone(), source, conversion, given.clone());
        let options = RenderOptions { start: 0, ..options.clone() };
        Ok(Self {
            rendering: vocoder.clone().render(Box::new(converted), &options)?,
            resampler: StreamResampler::new(clock, rate)?,
            plan: GivenMelPlan::new(convention, clock, options.seed),
            iterations: vocoder.projection_iterations(options.effort(vocoder.card())),
            vocoder,
            given,
            lead,
            rendered: vec![],
            first: 0,
            rendered_all: false,
            known: vec![],
            next: 0,
            finished: false,
        })
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
        self.plan.project(&mut x, self.first, frames, past, self.iterations, self.vocoder.threads());
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

impl Rendering for Converted {
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
        self.iterations = self.vocoder.projection_iterations(effort);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audio,
        mel::{self, convert::REACH, presets},
        model::GriffinLim,
    };
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn speech(rate: u32) -> Vec<f32> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-synthetic.wav");
        audio::read_at(&path, rate).unwrap().samples
    }

    fn converted(source: Box<dyn MelSource>, c: &MelConvention, chunk: Option<usize>) -> Converted {
        let effort = Some(Effort::new([("final_iterations", 16)]));
        let options = RenderOptions { effort, chunk, ..RenderOptions::default() };
        Converted::new(Arc::new(GriffinLim::new(1).unwrap()), source, c, &options).unwrap()
    }

    fn all(mut rendering: Converted) -> Vec<f32> {
        let mut audio = vec![];
        while let Some(sound) = rendering.next().unwrap() {
            audio.extend(sound.into_mono());
        }
        audio
    }

    /// A source that gives no more than `at_once` frames a call.
    struct Slowly(WholeMel, usize);

    impl MelSource for Slowly {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            self.0.read(frames.min(self.1))
        }
    }

    fn render(mel: &MelSpectrogram, c: &MelConvention, at_once: usize) -> Vec<f32> {
        all(converted(Box::new(Slowly(WholeMel::new(mel.clone()), at_once)), c, None))
    }

    #[test]
    fn the_length_is_the_conventions_own_and_the_mel_is_the_given_one() {
        for name in ["hifigan-22k", "tacotron2", "bigvgan-44k-128-256x", "wavegrad-24k", "bigvgan-24k-100", "magenta"] {
            let c = presets::named(name).unwrap();
            let mel = mel::extract(&speech(c.sample_rate), c).unwrap();
            let audio = render(&mel, c, usize::MAX);
            assert_eq!(audio.len(), c.samples(mel.frames()), "{name}");
            assert!(audio.iter().all(|v| v.is_finite()), "{name}");
            let again = mel::extract(&audio, c).unwrap();
            let count = mel.values().len().min(again.values().len());
            let pairs = mel.values().iter().zip(again.values());
            let error = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / count as f64;
            let nats = error / c.stored_slope().abs();
            println!("{name}: {nats:.3} nats");
            // Griffin-Lim alone leaves 0.1 on its own grid; a mel read by a wrong convention is several nats away.
            assert!(nats < 0.35, "{name}: {nats}");
        }
    }

    #[test]
    fn how_the_source_gives_its_frames_changes_no_sample() {
        let c = presets::named("hifigan-22k").unwrap();
        let mel = mel::extract(&speech(c.sample_rate), c).unwrap();
        let whole = render(&mel, c, usize::MAX);
        assert!(whole == render(&mel, c, 7));
    }

    /// A source that counts what was taken.
    struct Counted(WholeMel, Arc<AtomicUsize>);

    impl MelSource for Counted {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            let mel = self.0.read(frames)?;
            self.1.fetch_add(mel.frames(), Ordering::Relaxed);
            Ok(mel)
        }
    }

    #[test]
    fn sound_waits_for_a_chunk_and_what_is_looked_ahead_at_and_no_longer() {
        let c = presets::named("hifigan-22k").unwrap();
        let mel = mel::extract(&speech(c.sample_rate).repeat(4), c).unwrap();
        let (chunk, ahead) = (48, 12);
        let taken = Arc::<AtomicUsize>::default();
        let mut rendering = converted(Box::new(Counted(WholeMel::new(mel), taken.clone())), c, Some(chunk));
        let model_frames = (chunk + ahead) as f64 * 256.0 / 24_000.0;
        let context = rendering.plan.context();
        // And some for the fade, for frames that lie half inside, and for the delay of the resampler; a piece more would be 44.
        let longest = model_frames * f64::from(c.sample_rate) / c.hop as f64 + (context + REACH + 10) as f64;
        let (mut emitted, mut most) = (0, 0.0f64);
        while let Some(piece) = rendering.next().unwrap() {
            // The oldest sample of the piece waited longest.
            most = most.max(taken.load(Ordering::Relaxed) as f64 - emitted as f64 / c.hop as f64);
            emitted += piece.len();
        }
        println!("{most:.1} frames, at most {longest:.1}");
        assert!(most <= longest, "{most} frames, {longest} expected");
    }

    #[test]
    fn nothing_gives_nothing() {
        let c = presets::named("hifigan-22k").unwrap();
        assert!(render(&MelSpectrogram::new(vec![], 80), c, 1).is_empty());
    }
}
