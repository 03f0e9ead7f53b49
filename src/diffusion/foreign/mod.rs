//! Renders mels of other conventions than the model's.
//!
//! The given mel is converted to the model's ([`Conversion`]), refined by the network where it has learned to, rendered by
//! the one [`Renderer`], brought to the rate that the mel was made at, and then projected on the mel **that was given**. So
//! the result agrees with the user's mel and not with our conversion. What the bands leave open is the model's; bins that no
//! band covers are emptied. Bands above what the model can hear start from noise.
//!
//! All of it runs chunk by chunk, in windows with emitted past and look-ahead like the renderer's, so memory is flat.

mod projection;
mod source;

use self::{projection::ForeignPlan, source::ConvertedSource};
use super::{ChunkLayout, MelSource, Network, Past, Renderer, SamplerSettings, WholeMel};
use crate::{
    Result,
    dsp::resample::StreamResampler,
    mel::{
        MelConvention, MelSpectrogram,
        convert::{Conversion, mapped},
    },
};

/// A whole mel of `convention` as `network` is given it: [T, M] -> [T', M'].
///
/// # Errors
/// [`Error::Convention`](crate::Error::Convention) where the network cannot hear it.
pub fn model_mel<N: Network>(network: &N, mel: &MelSpectrogram, convention: &MelConvention) -> Result<MelSpectrogram> {
    let own = network.convention();
    if let Some(mel) = mapped(mel, convention, own) {
        return Ok(mel);
    }
    let conversion = Conversion::new(convention, own)?;
    let frames = conversion.model_frames(mel.frames());
    ConvertedSource::new(network, WholeMel::new(mel.clone()), conversion).read(frames)
}

/// Fewer frames in a chunk would mostly be past and look-ahead.
const SHORTEST_CHUNK: usize = 16;

/// An iterator over pieces of waveform at the given convention's rate, `convention.samples(T)` in all. After an error it
/// ends.
pub struct ForeignRenderer<'n, N: Network, S> {
    network: &'n N,
    renderer: Renderer<'n, N, ConvertedSource<'n, N, S>>,
    resampler: StreamResampler,
    plan: ForeignPlan,
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

impl<'n, N: Network, S: MelSource> ForeignRenderer<'n, N, S> {
    /// `source` gives the stored numbers of `convention`; `layout` is that of the model's chunks, and the projection takes
    /// each as it comes.
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
        let native = network.convention();
        let conversion = Conversion::new(convention, native)?;
        let (clock, lead, rate) = (conversion.clock(), conversion.lead(), convention.sample_rate);
        let converted = ConvertedSource::new(network, source, conversion);
        Ok(Self {
            network,
            renderer: Renderer::new(network, converted, settings, layout)?,
            resampler: StreamResampler::new(clock, rate)?,
            plan: ForeignPlan::new(convention, clock, network.momentum(), settings.seed),
            lead,
            rendered: vec![],
            first: 0,
            rendered_all: false,
            known: vec![],
            next: 0,
            finished: false,
        })
    }

    /// Settings for the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where one is out of range.
    pub fn set_settings(&mut self, settings: SamplerSettings) -> Result<()> {
        self.renderer.set_settings(settings)
    }

    /// Hz
    pub fn sample_rate(&self) -> u32 {
        self.plan.convention().sample_rate
    }

    /// Renders until audio up to absolute sample `end` is there, or all.
    fn fill(&mut self, end: usize) -> Result<()> {
        while !self.rendered_all && self.first + self.rendered.len() < end {
            match self.renderer.next() {
                Some(audio) => {
                    let audio = audio?;
                    let skipped = self.lead.min(audio.len());
                    self.lead -= skipped;
                    self.resampler.push(&audio[skipped..], &mut self.rendered)?;
                }
                None => {
                    self.resampler.finish(&mut self.rendered)?;
                    self.rendered_all = true;
                    let total = self.renderer.source().total.unwrap_or(0);
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
        // The rendering is near already: half of what the model's own projection is given at last.
        let iterations = self.renderer.settings().final_iterations / 2;
        let given = &self.renderer.source().given;
        // Frames that lie in the window, and those that the file's own ends are reflected for.
        let inside = |t: &usize| {
            let start = self.plan.convention().frame_start(*t);
            let ends = start + n_fft as isize <= stop as isize || is_last;
            (start >= self.first as isize || self.first == 0) && ends
        };
        let mut frames = given.range().filter(inside).peekable();
        let first_frame = frames.peek().copied().unwrap_or(0);
        let frames = (first_frame, frames.map(|t| given.frame(t)));
        let past = Past { audio: &self.known, fade };
        self.plan.project(&mut x, self.first, frames, past, iterations, self.network.threads());

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
        let given = &mut self.renderer.source().given;
        let needed = given.range().find(|&t| convention.frame_start(t) >= self.first as isize - 1);
        given.forget(needed.unwrap_or(given.end()));
    }
}

impl<N: Network, S: MelSource> Iterator for ForeignRenderer<'_, N, S> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.chunk() {
            Ok(audio) if audio.is_empty() => None,
            Ok(audio) => Some(Ok(audio)),
            Err(error) => {
                self.finished = true;
                Some(Err(error))
            }
        }
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
    use std::cell::Cell;

    fn speech(rate: u32) -> Vec<f32> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-synthetic.wav");
        audio::read_at(&path, rate).unwrap().samples
    }

    fn settings() -> SamplerSettings {
        SamplerSettings { start_iterations: 0, steps: 1, iterations: 8, final_iterations: 16, seed: 0 }
    }

    /// A source that gives no more than `at_once` frames a call.
    struct Slowly(WholeMel, usize);

    impl MelSource for Slowly {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            self.0.read(frames.min(self.1))
        }
    }

    fn render(mel: &MelSpectrogram, c: &MelConvention, at_once: usize) -> Vec<f32> {
        let network = GriffinLim::new(1).unwrap();
        let source = Slowly(WholeMel::new(mel.clone()), at_once);
        let renderer = ForeignRenderer::new(&network, source, c, settings(), ChunkLayout::default()).unwrap();
        renderer.map(Result::unwrap).collect::<Vec<_>>().concat()
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
    struct Counted<'a>(WholeMel, &'a Cell<usize>);

    impl MelSource for Counted<'_> {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            let mel = self.0.read(frames)?;
            self.1.set(self.1.get() + mel.frames());
            Ok(mel)
        }
    }

    #[test]
    fn sound_waits_for_a_chunk_and_what_is_looked_ahead_at_and_no_longer() {
        let c = presets::named("hifigan-22k").unwrap();
        let mel = mel::extract(&speech(c.sample_rate).repeat(4), c).unwrap();
        let (network, taken) = (GriffinLim::new(1).unwrap(), Cell::new(0));
        let layout = ChunkLayout { chunk: 48, ..ChunkLayout::default() };
        let renderer =
            ForeignRenderer::new(&network, Counted(WholeMel::new(mel), &taken), c, settings(), layout).unwrap();
        let model_frames = (layout.chunk + layout.ahead) as f64 * 256.0 / 24_000.0;
        let context = renderer.plan.context();
        // And some for the fade, for frames that lie half inside, and for the delay of the resampler; a piece more would be 44.
        let longest = model_frames * f64::from(c.sample_rate) / c.hop as f64 + (context + REACH + 10) as f64;
        let (mut emitted, mut most) = (0, 0.0f64);
        for piece in renderer {
            // The oldest sample of the piece waited longest.
            most = most.max(taken.get() as f64 - emitted as f64 / c.hop as f64);
            emitted += piece.unwrap().len();
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
