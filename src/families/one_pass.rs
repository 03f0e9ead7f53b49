//! Models that make sound of a mel without a state, in one pass over it: the base of all families whose weights come from
//! elsewhere.
//!
//! A network's output depends on no more frames than its receptive field has, so a mel is rendered in pieces, each with as many
//! frames around it as its samples depend on, and what these frames would have added is cut off. The pieces together are the
//! samples of the whole but for the rounding of floats.

use super::layers::Span;
use crate::{
    Error, Fault, Remedy, Result, Setting,
    card::{Effort, ModelCard},
    dsp::threads::Threads,
    mel::MelSpectrogram,
    model::{DeviceChoice, Precision, RuntimeOptions, compute_alone},
    sound::Sound,
    source::MelSource,
    vocoder::{Identity, RenderOptions, Rendering, Vocoder},
};
use std::{ops::Range, sync::Arc};
use tch::{Device, Kind, Tensor};

/// New frames of a piece: the unit of work for a thread. Its size is no matter of threads, so that the same samples come out of
/// any number of them.
const PIECE: usize = 48;

/// Frames of a chunk where none are asked for.
const CHUNK: usize = 96;

/// The most frames to either side that a network may look at: ten times what any published one does.
const LONGEST_REACH: i64 = 512;

/// A network, which is only read after loading.
pub trait Network: Send {
    /// The frames that the samples `outputs` depend on.
    fn span(&self, outputs: Span) -> Span;

    /// `[1, M, T]` -> [.., n]: the samples `outputs`, counted from the beginning of frame 0, as far as there are some.
    fn forward(&self, mel: &Tensor, outputs: Span, place: Place) -> Tensor;
}

/// What noise a window has, where a network takes some: that of its place in the whole.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Absolute frame of the window's first.
    pub frame: u64,
    pub seed: u64,
}

/// SAFETY of `Sync`: libtorch allows any number of threads to read a tensor at once, and a network is never written after
/// loading.
struct Shared<N>(N);
unsafe impl<N: Network> Sync for Shared<N> {}

/// A [`Vocoder`] of a [`Network`].
pub struct OnePass<N> {
    card: ModelCard,
    subject: String,
    identity: Identity,
    network: Shared<N>,
    device: Device,
    threads: Threads,
}

/// The device to compute on.
///
/// # Errors
/// [`Error::Settings`] where it is not there, or where another number type than f32 is asked for.
pub fn device(options: &RuntimeOptions) -> Result<Device> {
    if options.precision == Precision::Bf16 {
        let fault = Fault::new("precision bf16", "this family's models compute in f32");
        return Err(Error::Settings(fault.remedy(Remedy::give(Setting::Precision, ["f32", "auto"]))));
    }
    DeviceChoice::resolve(options.device)
}

impl<N: Network> OnePass<N> {
    /// `hash` is that of the file, `subject` its name.
    ///
    /// # Errors
    /// [`Error::Model`] where the network looks further than any that is known.
    pub fn new(
        mut card: ModelCard,
        subject: &str,
        hash: &str,
        network: N,
        device: Device,
        threads: usize,
    ) -> Result<Self> {
        let Span { first, last } = network.span(Span::of_frames(0..1, card.mel.hop));
        let (past, ahead) = ((-first).max(0), last.max(0));
        if past.max(ahead) > LONGEST_REACH {
            let fault = Fault::new(subject, format!("its network looks {} frames around", past.max(ahead)));
            return Err(Error::Model(fault.expected(format!("at most {LONGEST_REACH}"))));
        }
        card.streaming = card.streaming.of_chunk(Some(CHUNK));
        (card.streaming.past, card.streaming.ahead, card.streaming.fade) = (past as usize, ahead as usize, 0);
        let identity = Identity {
            weights: format!("{}-{hash}", card.name),
            arithmetic: format!("f32 on {}", if device.is_cuda() { "cuda" } else { "cpu" }),
        };
        let threads = Threads::new(threads);
        Ok(Self { card, subject: subject.into(), identity, network: Shared(network), device, threads })
    }

    /// The samples of frames `new` of the window `mel` `[T, M]`, which lies at `place`.
    fn piece(&self, mel: &MelSpectrogram, new: Range<usize>, place: Place) -> Result<Vec<f32>> {
        compute_alone();
        let _guard = tch::no_grad_guard();
        let shape = [1, mel.frames() as i64, mel.n_mels() as i64];
        let mel = Tensor::from_slice(mel.values()).view(shape).transpose(1, 2).contiguous().to_device(self.device);
        let sound = self.network.0.forward(&mel, Span::of_frames(new, self.card.mel.hop), place);
        let flat = sound.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
        Vec::try_from(&flat).map_err(Error::torch("reading the network's output"))
    }
}

impl<N: Network + 'static> Vocoder for OnePass<N> {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn subject(&self) -> &str {
        &self.subject
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn render(self: Arc<Self>, source: Box<dyn MelSource>, options: &RenderOptions) -> Result<Box<dyn Rendering>> {
        let layout = self.card.streaming.of_chunk(options.chunk).validated(self.card.mel.hop)?;
        self.adjusted(options.effort(&self.card), &Effort::default())?;
        Ok(Box::new(Pieces {
            chunk: layout.chunk,
            seed: options.seed,
            source,
            ended: false,
            known: vec![],
            first: options.start,
            origin: options.start,
            next: options.start,
            vocoder: self,
        }))
    }

    fn threads(&self) -> &Threads {
        &self.threads
    }
}

/// Chunk by chunk.
struct Pieces<N> {
    vocoder: Arc<OnePass<N>>,
    source: Box<dyn MelSource>,
    /// Frames of new sound.
    chunk: usize,
    seed: u64,
    /// The source has given its last frame.
    ended: bool,
    /// Frames that a later sample depends on, `[T, M]`, from absolute frame `first` on.
    known: Vec<f32>,
    first: usize,
    /// Absolute frame that the source began with.
    origin: usize,
    /// The first whose samples are still to come.
    next: usize,
}

struct Piece {
    window: Range<usize>,
    new: Range<usize>,
    sound: Result<Vec<f32>>,
}

impl<N: Network> Pieces<N> {
    /// Reads until frame `end` is there, or all: the frame after the last.
    fn fill(&mut self, end: usize) -> Result<usize> {
        let n_mels = self.vocoder.card.mel.n_mels;
        while !self.ended && self.first + self.known.len() / n_mels < end {
            let more = self.source.read(end - self.first - self.known.len() / n_mels)?;
            more.require_bands_of(&self.vocoder.card.mel, 1)?;
            self.ended = more.frames() == 0;
            self.known.extend_from_slice(more.values());
        }
        Ok(self.first + self.known.len() / n_mels)
    }
}

impl<N: Network + 'static> Rendering for Pieces<N> {
    fn next(&mut self) -> Result<Option<Sound>> {
        let (past, ahead) = (self.vocoder.card.streaming.past, self.vocoder.card.streaming.ahead);
        let n_mels = self.vocoder.card.mel.n_mels;
        let stop = self.fill(self.next + self.chunk + ahead)?;
        let end = stop.min(self.next + self.chunk);
        let piece = |start: usize| {
            let new = start..end.min(start + PIECE);
            let window = new.start.saturating_sub(past).max(self.first)..stop.min(new.end + ahead);
            Piece { window, new, sound: Ok(vec![]) }
        };
        let mut pieces: Vec<Piece> = (self.next..end).step_by(PIECE).map(piece).collect();
        let (vocoder, known, first, seed) = (&self.vocoder, &self.known, self.first, self.seed);
        vocoder.threads.for_each(&mut pieces, |Piece { window, new, sound }| {
            let values = known[(window.start - first) * n_mels..(window.end - first) * n_mels].to_vec();
            let new = new.start - window.start..new.end - window.start;
            *sound =
                vocoder.piece(&MelSpectrogram::new(values, n_mels), new, Place { frame: window.start as u64, seed });
        });
        let mut samples = vec![];
        for piece in pieces {
            samples.extend(piece.sound?);
        }
        // Where frames are centred, the last one stands for no sample of its own.
        let mel = &self.vocoder.card.mel;
        if self.ended {
            let whole = mel.samples(stop - self.origin);
            samples.truncate(whole.saturating_sub((self.next - self.origin) * mel.hop));
        }
        let rate = mel.sample_rate;
        self.next = end;
        let kept = end.saturating_sub(past).max(self.first);
        self.known.drain(..(kept - self.first) * n_mels);
        self.first = kept;
        Ok((!samples.is_empty()).then(|| Sound::mono(samples, rate)))
    }

    fn set_effort(&mut self, effort: &Effort) -> Result<()> {
        self.vocoder.adjusted(effort, &Effort::default()).map(drop)
    }
}
