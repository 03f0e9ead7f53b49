//! The rendering thread of a player: opens one input after the other, renders ahead of the device, adapts, seeks.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{LiveMel, LiveStatus};
use crate::{
    Error, Result,
    audio::{
        Downmix,
        limiter::Limiter,
        player::{Feed, Pushed},
        resampled_len,
    },
    batch::{Heard, Models, SeekableMel, Source, SourceSettings},
    card::Effort,
    diffusion::ChunkLayout,
    mel::{MelConvention, MelSpectrogram},
    render::{
        Renderer,
        ladder::{Adapter, Change, Measured},
    },
    sound::Sound,
    source::{MelSource, WholeMel},
    vocoder::{Refining, RenderOptions, Vocoder},
};

/// How to render.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSettings {
    pub effort: Effort,
    pub seed: u64,
    /// Mel frames of new sound in a chunk; the model's own where `None`.
    pub chunk: Option<usize>,
    pub source: SourceSettings,
    /// Take cheaper settings rather than stutter.
    pub adapt: bool,
    /// From the first input again after the last.
    pub repeat: bool,
    /// Hand every chunk out with its event.
    pub keep_sound: bool,
    pub refining: Refining,
}

/// What is to be played.
pub enum SessionInput {
    /// Mel files and recordings, in this order.
    Files(Vec<PathBuf>),
    Live(Box<LiveMel>),
}

/// What the rendering thread tells.
#[derive(Debug)]
pub enum Event {
    /// An input was read and is next. `ends_s` counts from the start of the first.
    Opened { input: PathBuf, ends_s: f64, notes: Vec<String> },
    /// What the end of an input told of it.
    Heard { input: PathBuf, notes: Vec<String> },
    /// A chunk was rendered, `speed` times faster than it plays. Its sound is there where it is to be kept.
    Rendered { sound: Option<Sound>, speed: f64 },
    /// The settings for the chunks to come changed.
    Adapted { effort: Effort, cheaper: bool },
    /// An input cannot be rendered, or not further; the others are.
    Failed { input: PathBuf, error: Error },
    /// Nothing more will come.
    Ended,
}

/// The rendering thread, seen from outside.
pub struct Session {
    pub events: Receiver<Event>,
    control: Arc<Control>,
    seekable: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Control {
    stop: AtomicBool,
    finished: AtomicBool,
    /// Seconds from the start of the first input.
    seek: Mutex<Option<f64>>,
    seeking: AtomicBool,
}

impl Control {
    fn undisturbed(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && !self.seeking.load(Ordering::Relaxed)
    }

    fn take_seek(&self) -> Option<f64> {
        let target = self.seek.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.seeking.store(false, Ordering::Relaxed);
        target
    }
}

impl Session {
    /// Starts to render `input` into `feed`.
    ///
    /// # Errors
    /// `Error::Io` where the system has no thread left; `Error::Settings` for settings out of range.
    pub fn start(
        models: impl Into<Models>,
        input: SessionInput,
        settings: SessionSettings,
        feed: Feed,
    ) -> Result<Self> {
        let models = models.into();
        models.first().adjusted(&settings.effort, &Effort::default())?;
        let card = models.first().card();
        card.streaming.of_chunk(settings.chunk).validated(card.mel.hop)?;
        let (sender, events) = mpsc::channel();
        let control = Arc::new(Control::default());
        let seekable = matches!(input, SessionInput::Files(_));
        let work = Work { settings, feed, control: control.clone(), events: sender };
        let thread = thread::Builder::new()
            .name("rendering".into())
            .spawn(move || work.run(&models, input))
            .map_err(Error::io("cannot start", "rendering thread"))?;
        Ok(Self { events, control, seekable, thread: Some(thread) })
    }

    /// Goes on at `position_s` from the start of the first input; live input has no other place than now.
    pub fn seek(&self, position_s: f64) {
        if !self.seekable {
            return;
        }
        *self.control.seek.lock().unwrap_or_else(PoisonError::into_inner) = Some(position_s.max(0.0));
        self.control.seeking.store(true, Ordering::Relaxed);
    }

    /// Has the thread end after the chunk that it is at, and waits for that. One that waits for live input cannot be
    /// woken; it is left behind after `patience` and goes with the process.
    pub fn finish(mut self, patience: Duration) {
        self.control.stop.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        while !self.control.finished.load(Ordering::Acquire) && begun.elapsed() < patience {
            thread::sleep(Duration::from_millis(2));
        }
        if self.control.finished.load(Ordering::Acquire)
            && let Some(thread) = self.thread.take()
        {
            // It caught its own panics; nothing is left to be told.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Work {
    settings: SessionSettings,
    feed: Feed,
    control: Arc<Control>,
    events: Sender<Event>,
}

/// An input that is played.
struct Opened {
    vocoder: Arc<dyn Vocoder>,
    mel: SeekableMel,
    convention: MelConvention,
    frames: usize,
    /// Of each channel, at `rate` Hz.
    samples: u64,
    rate: u32,
    notes: Vec<String>,
    heard: Heard,
}

impl Opened {
    fn new(models: &Models, path: &Path, settings: &SourceSettings) -> Result<Self> {
        let (source, vocoder) = models.open(path, settings)?;
        let Source { mel, convention, frames, samples, rate, notes, heard, .. } = source;
        Ok(Self { vocoder, mel: mel.into_seekable()?, convention, frames, samples, rate, notes, heard })
    }
}

/// Where an input lies in what is played.
#[derive(Debug, Clone, Copy)]
struct Span {
    input: usize,
    start_s: f64,
    ends_s: f64,
}

/// What of an input is wanted.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Absolute frame that the mel begins with.
    begin: usize,
    /// Samples to be played, after `skipped` that are dropped.
    left: u64,
    skipped: usize,
}

/// Why rendering an input ended.
enum Outcome {
    Done,
    Stopped,
    /// To these seconds from the start of the first input.
    Seek(f64),
}

impl Work {
    fn run(mut self, models: &Models, input: SessionInput) {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.play(models, input)));
        // libtorch panics through tch where its tensors do not fit; the player must hear of it and end.
        let result = caught.unwrap_or_else(|panic| Err(Error::bug("rendering", &*panic)));
        if let Err(error) = result {
            self.tell(Event::Failed { input: "rendering".into(), error });
        }
        let _ = self.feed.end(|| false);
        self.tell(Event::Ended);
        self.control.finished.store(true, Ordering::Release);
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more: the player is closing.
        let _ = self.events.send(event);
    }

    fn play(&mut self, models: &Models, input: SessionInput) -> Result<()> {
        let mut adapter = self.settings.adapt.then(|| Adapter::new(models.first().as_ref(), &self.settings.effort));
        match input {
            SessionInput::Live(mut mel) => {
                let status = mel.status();
                let flag = self.feed.waiting_flag();
                mel.tell_waiting(move |waiting| flag.set(waiting));
                let convention = mel.convention().clone();
                let vocoder = &models.for_mel(&convention)?;
                self.warm_up(vocoder)?;
                let place = Place { begin: 0, left: u64::MAX, skipped: 0 };
                let rendered = self.render(vocoder, mel, &convention, place, &mut adapter, Some(&status));
                if let Some(error) = status.take_error() {
                    self.tell(Event::Failed { input: "standard input".into(), error });
                }
                rendered.map(|_| ())
            }
            SessionInput::Files(files) => self.play_files(models, &files, &mut adapter),
        }
    }

    fn play_files(&mut self, models: &Models, files: &[PathBuf], adapter: &mut Option<Adapter>) -> Result<()> {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0;
        let mut sounded = false;
        let mut start: Option<(Span, f64)> = None;
        let mut opened: Option<(usize, Opened)> = None;
        loop {
            if self.control.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let index = start.map_or(next, |(span, _)| span.input);
            if index == files.len() {
                if self.settings.repeat && sounded {
                    (next, sounded) = (0, false);
                    continue;
                }
                match self.wait_for_the_end()? {
                    Some(target) => {
                        start = self.span_at(&mut spans, target)?;
                        next = start.map_or(files.len(), |(span, _)| span.input);
                        continue;
                    }
                    None => return Ok(()),
                }
            }
            let source = match opened.take() {
                Some((kept, source)) if kept == index => Ok(source),
                _ => Opened::new(models, &files[index], &self.settings.source),
            };
            next = index + 1;
            let source = match source {
                Ok(source) => source,
                Err(error) => {
                    self.tell(Event::Failed { input: files[index].clone(), error });
                    start = None;
                    continue;
                }
            };
            let (outcome, span) = self.play_source(&files[index], index, &source, start.take(), &mut spans, adapter)?;
            let notes = source.heard.take();
            if !notes.is_empty() {
                self.tell(Event::Heard { input: files[index].clone(), notes });
            }
            sounded = true;
            opened = Some((index, source));
            match outcome {
                Outcome::Done => {}
                Outcome::Stopped => return Ok(()),
                Outcome::Seek(target) if target >= span.ends_s => self.feed.restart(span.ends_s)?,
                Outcome::Seek(target) => start = self.span_at(&mut spans, target)?,
            }
        }
    }

    /// The span that `target_s` lies in, and the seconds into it; later spans are forgotten, as they will be played anew.
    fn span_at(&mut self, spans: &mut Vec<Span>, target_s: f64) -> Result<Option<(Span, f64)>> {
        while spans.len() > 1 && spans[spans.len() - 1].start_s > target_s {
            spans.pop();
        }
        let Some(span) = spans.pop() else { return Ok(None) };
        let into_s = (target_s - span.start_s).clamp(0.0, span.ends_s - span.start_s);
        self.feed.restart(span.start_s + into_s)?;
        Ok(Some((span, into_s)))
    }

    fn play_source(
        &mut self,
        path: &Path,
        input: usize,
        source: &Opened,
        start: Option<(Span, f64)>,
        spans: &mut Vec<Span>,
        adapter: &mut Option<Adapter>,
    ) -> Result<(Outcome, Span)> {
        let MelConvention { sample_rate: own_rate, hop, .. } = source.convention;
        let rate = source.convention.rendered_rate();
        let total = resampled_len(source.samples, source.rate, rate);
        let seconds = |samples: u64| samples as f64 / f64::from(rate);
        let (span, into_s) = start.unwrap_or_else(|| {
            let start_s = spans.last().map_or(0.0, |span| span.ends_s);
            (Span { input, start_s, ends_s: start_s + seconds(total) }, 0.0)
        });
        spans.push(span);
        if start.is_none() {
            let notes = source.notes.clone();
            self.tell(Event::Opened { input: path.into(), ends_s: span.ends_s, notes });
        }
        // A seek begins a little earlier, so that its first chunk grows out of a past as every other does.
        let frame = ((into_s * f64::from(own_rate) / hop as f64) as usize).min(source.frames.saturating_sub(2));
        let begin = frame.saturating_sub(source.vocoder.card().streaming.past);
        let mel = source.mel.from_frame(begin);
        let at = |frames: usize| resampled_len((frames * hop) as u64, own_rate, rate);
        let place = Place { begin, left: total.saturating_sub(at(frame)), skipped: at(frame - begin) as usize };
        let outcome = self.render(&source.vocoder, mel, &source.convention, place, adapter, None)?;
        Ok((outcome, span))
    }

    /// Renders `mel`, which is of `convention`, at that one's rate as render does, and gives it to the player.
    fn render(
        &mut self,
        vocoder: &Arc<dyn Vocoder>,
        mel: Box<dyn MelSource>,
        convention: &MelConvention,
        Place { begin, mut left, mut skipped }: Place,
        adapter: &mut Option<Adapter>,
        live: Option<&LiveStatus>,
    ) -> Result<Outcome> {
        let SessionSettings { effort, seed, chunk, refining, .. } = &self.settings;
        let effort = adapter.as_ref().map_or(effort, Adapter::effort).clone();
        let options = RenderOptions {
            effort: Some(effort),
            seed: *seed,
            chunk: *chunk,
            start: begin,
            refining: *refining,
            ..RenderOptions::default()
        };
        let sample_rate = convention.rendered_rate();
        let mut renderer = Renderer::new(vocoder.clone(), mel, convention, &options)?.at_rate(sample_rate)?;
        let control = self.control.clone();
        self.feed.set_sample_rate(sample_rate, || control.undisturbed())?;
        // Of the device nobody can ask the level back: peaks are limited on their way there.
        let channels = if self.settings.source.downmix == Downmix::Mono { 1 } else { renderer.channels() };
        let mut limiter = Limiter::new(sample_rate, channels, 1.0);
        let waited = || live.map_or(Duration::ZERO, LiveStatus::waited);
        loop {
            let (begun, waited_before) = (Instant::now(), waited());
            let Some(chunk) = renderer.next() else { break };
            let mut chunk = chunk?.of_channels(channels);
            let compute_s = begun.elapsed().saturating_sub(waited() - waited_before).as_secs_f64();
            let audio_s = chunk.seconds();
            let dropped = skipped.min(chunk.len());
            skipped -= dropped;
            chunk.keep(dropped..dropped.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
            left -= chunk.len() as u64;

            let pushed = self.feed.push(&limiter.limited(&chunk), || control.undisturbed())?;
            let sound = self.settings.keep_sound.then_some(chunk);
            self.tell(Event::Rendered { sound, speed: audio_s / compute_s.max(1e-9) });
            if let Some(target) = control.take_seek() {
                return Ok(Outcome::Seek(target));
            }
            if pushed == Pushed::Interrupted || control.stop.load(Ordering::Relaxed) {
                return Ok(Outcome::Stopped);
            }
            if let Some(adapter) = adapter {
                let measured = Measured { compute_s, audio_s, buffered_s: self.feed.buffered_s() };
                match adapter.after_chunk(measured) {
                    Change::Keep => {}
                    Change::Cheaper(effort) => {
                        renderer.set_effort(&effort)?;
                        self.tell(Event::Adapted { effort, cheaper: true });
                    }
                    Change::Dearer(effort) => {
                        renderer.set_effort(&effort)?;
                        self.tell(Event::Adapted { effort, cheaper: false });
                    }
                }
            }
            if left == 0 {
                break;
            }
        }
        let rest = limiter.rest(sample_rate);
        self.feed.push(&rest, || control.undisturbed())?;
        Ok(Outcome::Done)
    }

    /// All is rendered: lets the device run dry, unless somebody wants to hear a place again.
    fn wait_for_the_end(&mut self) -> Result<Option<f64>> {
        let control = self.control.clone();
        self.feed.end(|| control.undisturbed())?;
        while !self.feed.drained() && control.undisturbed() {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(control.take_seek())
    }

    /// A first run of a network is slower than the rest: libtorch plans and allocates. It would be taken for load.
    fn warm_up(&self, vocoder: &Arc<dyn Vocoder>) -> Result<()> {
        let convention = &vocoder.card().mel;
        let ChunkLayout { chunk, past, ahead, .. } = vocoder.card().streaming.of_chunk(self.settings.chunk);
        let floor = convention.stored(0, 0.0) as f32;
        let mel = MelSpectrogram::new(vec![floor; (chunk + past + ahead + 2) * convention.n_mels], convention.n_mels);
        let cheapest = vocoder.ladder(&self.settings.effort).pop().map(|(effort, _)| effort);
        let options = RenderOptions { effort: cheapest, chunk: self.settings.chunk, ..RenderOptions::default() };
        let mut rendering = vocoder.clone().render(Box::new(WholeMel::new(mel)), &options)?;
        while rendering.next()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audio::player::{Player, PlayerSettings},
        mel::{self, presets},
        model::GriffinLim,
    };

    /// Plays `file` on no device and gives the pieces that are kept, with their rates.
    fn kept(vocoder: &Arc<dyn Vocoder>, file: PathBuf, settings: SessionSettings) -> Vec<(u32, Vec<f32>)> {
        let playing = PlayerSettings { sample_rate: 24_000, channels: 1, volume: 1.0, cushion_s: 0.0 };
        let (_player, feed, mut feeder) = Player::detached(48_000, playing).unwrap();
        let session = Session::start(vocoder.clone(), SessionInput::Files(vec![file]), settings, feed).unwrap();
        let mut pieces: Vec<(u32, Vec<f32>)> = Vec::new();
        loop {
            feeder.fill(&mut [0.0; 480]);
            match session.events.try_recv() {
                Ok(Event::Rendered { sound, .. }) => {
                    let Sound { rate, channels } = sound.unwrap();
                    match pieces.last_mut() {
                        Some((last, piece)) if *last == rate => piece.extend(&channels[0]),
                        _ => pieces.push((rate, channels[0].clone())),
                    }
                }
                Ok(Event::Failed { error, .. }) => panic!("{error}"),
                Ok(Event::Ended) => break,
                _ => thread::sleep(Duration::from_micros(200)),
            }
        }
        session.finish(Duration::from_secs(10));
        pieces
    }

    /// Sample for sample what a rendering gives that nobody listens to, whatever rate the mel was made at.
    #[test]
    fn what_is_kept_is_the_rendering_at_the_mels_own_rate() {
        let folder = tempfile::tempdir().unwrap();
        let vocoder: Arc<dyn Vocoder> = Arc::new(GriffinLim::new(1).unwrap());
        let few = Effort::new([("final_iterations", 2)]);
        let effort = vocoder.adjusted(&vocoder.card().efforts.draft, &few).unwrap();
        for name in ["hifigan-22k", "bigvgan-44k-128", "f5-tts"] {
            let convention = presets::named(name).unwrap();
            let tone: Vec<f32> = (0..convention.sample_rate).map(|i| (i as f32 * 0.05).sin() * 0.3).collect();
            let mel = mel::extract(&tone, convention).unwrap();
            let file = folder.path().join(format!("{name}.npy"));
            mel::file::write(&file, &mel, convention).unwrap();
            let settings = SessionSettings {
                effort: effort.clone(),
                seed: 3,
                chunk: Some(24),
                source: SourceSettings { convention: Some(convention.clone()), ..SourceSettings::default() },
                adapt: false,
                repeat: false,
                keep_sound: true,
                refining: Refining::default(),
            };
            let pieces = kept(&vocoder, file, settings);
            let options =
                RenderOptions { effort: Some(effort.clone()), seed: 3, chunk: Some(24), ..RenderOptions::default() };
            let source = Box::new(WholeMel::new(mel));
            let renderer = Renderer::new(vocoder.clone(), source, convention, &options).unwrap();
            let rendered: Vec<f32> = renderer.flat_map(|sound| sound.unwrap().into_mono()).collect();
            assert!(pieces == [(convention.sample_rate, rendered)], "{name}");
        }
    }
}
