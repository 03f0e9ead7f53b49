//! `audiodiff play`: renders and plays while it renders; keys, a line of status, a summary.

use std::{
    io::{self, IsTerminal as _},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use audiodiff::{
    Result,
    audio::{
        Downmix, FileSink, FileSinkSettings, Peaks, SampleFormat, StreamResampler, WavMetadata,
        device::{DeviceRequest, OutputDevice},
        player::{Player, PlayerSettings, PlayerStatus},
    },
    batch::{
        FileRenderer, Fingerprint, Inputs, Overrides, Recipe, RenderItem as _, RenderSettings, Source, hash_file,
        streamed,
    },
    card::{Effort, ModelCard},
    live::{Event, LiveFormat, LiveMel, LiveStatus, Session, SessionInput, SessionSettings},
    mel::MelConvention,
    number_range::NumberRange,
    output::Existing,
    sound::Sound,
    vocoder::Vocoder,
};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    Outcome, interrupt,
    keys::{Key, Keys},
    render::{FormatChoice, InputFlags},
    settings::{ModelFlags, QualityFlags, SeedChoice, wrong},
    terminal::{Terminal, print},
};

/// Render mel spectrograms, or the mels of recordings, and play them while they are rendered
///
/// Keys: space pauses, left and right seek by 2 s, up and down change the volume, q stops.
#[derive(Args, Debug)]
pub struct PlayFlags {
    /// Mel files (.npy .npz .safetensors), recordings (WAV FLAC MP3 Opus M4A ...), folders of these, or - for mel frames on standard
    /// input as they come
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    #[command(flatten)]
    quality: QualityFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    input: InputFlags,
    #[command(flatten)]
    live: LiveFlags,
    #[command(flatten)]
    device: DeviceFlags,

    /// Loudness as a factor, 0 to 4: 1 plays as rendered
    #[arg(long, default_value = "1", value_parser = |text: &str| VOLUME.parse(text), env = "AUDIODIFF_VOLUME", help_heading = "Playing")]
    volume: f64,
    /// Start again after the last input, until stopped
    #[arg(long = "loop", help_heading = "Playing")]
    repeat: bool,
    /// Keep what was played in this file; it equals that of render with the same seed and settings where nothing adapted
    #[arg(long, value_name = "FILE.wav", help_heading = "Playing")]
    also_write: Option<PathBuf>,
    /// Overwrite the file of --also-write
    #[arg(short = 'y', long, requires = "also_write", help_heading = "Playing")]
    overwrite: bool,
    /// Sample format of that file; pcm16 is dithered
    #[arg(long, value_enum, default_value = "pcm16", env = "AUDIODIFF_FORMAT", help_heading = "Playing")]
    format: FormatChoice,
    /// Keep the settings where the machine cannot keep up, and let it stutter
    #[arg(long, help_heading = "Playing")]
    no_adapt: bool,
    /// Threads that the network uses
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_THREADS", help_heading = "Playing", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Print the summary as a JSON object on standard output
    #[arg(long, help_heading = "Playing")]
    json: bool,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Live input")]
pub struct LiveFlags {
    /// How frames come on standard input
    #[arg(long, value_enum, default_value = "auto", env = "AUDIODIFF_INPUT_FORMAT")]
    pub input_format: InputFormatChoice,
    /// Milliseconds from a frame's arrival to its sound, less the time to compute; decides the length of a chunk. Short
    /// chunks cost more. Live input takes 500 where nothing is given, files are cut as render cuts them
    #[arg(long, value_name = "MS", env = "AUDIODIFF_LATENCY_MS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub latency_ms: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormatChoice {
    /// By the first bytes
    Auto,
    /// Little-endian float32, one value a band, frame after frame
    F32le,
    /// .npy blocks, one after the other
    Npy,
}

impl From<InputFormatChoice> for LiveFormat {
    fn from(choice: InputFormatChoice) -> Self {
        match choice {
            InputFormatChoice::Auto => Self::Auto,
            InputFormatChoice::F32le => Self::F32le,
            InputFormatChoice::Npy => Self::Npy,
        }
    }
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Sound device")]
struct DeviceFlags {
    /// The sound system, as audiodiff devices lists them
    #[arg(long, value_name = "HOST", env = "AUDIODIFF_HOST")]
    host: Option<String>,
    /// Name or id of the device, or a part of it that no other has
    #[arg(long, value_name = "NAME", env = "AUDIODIFF_OUTPUT_DEVICE")]
    output_device: Option<String>,
    /// Ask the device for this sample rate in Hz; its own where not given
    #[arg(long, value_name = "HZ", env = "AUDIODIFF_DEVICE_RATE")]
    device_rate: Option<u32>,
    /// Ask the device for this sample format: i16, i32, f32 …; its own where not given
    #[arg(long, value_name = "FORMAT", env = "AUDIODIFF_DEVICE_FORMAT")]
    device_format: Option<String>,
}

const MOST_VOLUME: f32 = 4.0;
const VOLUME: NumberRange = NumberRange::new(0.0, MOST_VOLUME as f64);
const VOLUME_STEP: f32 = 0.1;
const SEEK_S: f64 = 2.0;

/// Chunks of fewer mel frames would mostly be past and look-ahead.
const SHORTEST_CHUNK: usize = 12;

/// What live input gets where nothing is asked for.
pub const LIVE_LATENCY_MS: u32 = 500;

/// How often the keys, the device and the line are looked after.
const TICK: Duration = Duration::from_millis(25);

/// How long the renderer may take to end after the last sound.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn run(flags: PlayFlags, terminal: &Terminal) -> Result<Outcome> {
    let live = flags.is_live()?;
    let files = if live { Vec::new() } else { flags.find_files(terminal)? };
    if let Some(path) = &flags.also_write {
        let beside = flags.input.files();
        let inputs = files.iter().chain(&beside).map(PathBuf::as_path).chain(flags.model.model.file());
        Existing::overwritten(flags.overwrite).admits(path, inputs)?;
    }
    // Both take a while, the device most of it in waiting for the sound server.
    let (device, renderer) = thread::scope(|scope| {
        let loading = scope.spawn(|| flags.renderer(live, terminal));
        let device = OutputDevice::find(&flags.device_request());
        (device, loading.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // Without a device, nothing else is worth a word.
    let (device, renderer) = (device?, renderer?);
    let kept = flags.also_write.as_ref().map(|path| Kept::create(path, &renderer, &files, flags.format)).transpose()?;
    let convention = renderer.models.first().card().mel.clone();
    let chunk_s = renderer.chunk_s();
    let RenderSettings { effort, seed, chunk, source, refining, .. } = renderer.settings;

    let stop = interrupt::saving_stop_flag();
    let cushion_s = if live { cushion_s(chunk_s) } else { 0.0 };
    // Frames on standard input have one channel; files may have two.
    let channels = if live || source.downmix == Downmix::Mono { 1 } else { 2 };
    let volume = flags.volume as f32;
    let settings = PlayerSettings { sample_rate: convention.sample_rate, channels, volume, cushion_s };
    let (mut player, feed) = Player::start(&device, settings)?;
    terminal.detail(format_args!(
        "{:?} at {} Hz, {} channels, {}",
        device.name(),
        device.sample_rate(),
        device.channels(),
        device.format()
    ));
    let (input, live_status, many) = if live {
        let format = flags.live.input_format.into();
        // Frames that are still to come prove nothing: what is not said is the model's.
        let given = source.convention.as_ref().unwrap_or(&convention);
        let mel = LiveMel::new(io::stdin(), format, source.layout, given, "standard input");
        let status = mel.status();
        (SessionInput::Live(Box::new(mel)), Some(status), false)
    } else {
        let many = files.len() > 1;
        (SessionInput::Files(files), None, many)
    };
    let mut playing = Playing {
        terminal,
        line: Line::new(terminal),
        seekable: !live && kept.is_none(),
        live: live_status.clone(),
        kept,
        volume: flags.volume as f32,
        ends_s: Vec::new(),
        opened: 0,
        errors: Vec::new(),
        speed: 0.0,
        rendered_all: false,
        wanted: effort.clone(),
        present: effort.clone(),
        vocoder: renderer.models.first().clone(),
        adapted: 0,
    };
    let (adapt, repeat, keep_sound) = (!flags.no_adapt, flags.repeat, playing.kept.is_some());
    let settings = SessionSettings { effort, seed, chunk, source, adapt, repeat, keep_sound, refining };
    let session = Session::start(renderer.models, input, settings, feed)?;

    let keys = Keys::start();
    let ended = playing.until_the_end(&mut player, &session, keys.as_ref(), stop);
    drop(keys);
    playing.line.clear();
    let (status, epoch) = (player.status(), player.epoch());
    match &ended {
        // The device is gone: there is nothing to wait for.
        Err(_) => drop(player),
        Ok(_) => player.close(),
    }
    session.finish(PATIENCE);
    let ended = ended?;
    playing.keep(&status, ended)?;
    let first_sound = match &live_status {
        // From the first frame's arrival; the model may have waited for it.
        Some(live) => {
            let heard = status.first_sound.map(|after| epoch + after);
            heard.zip(live.first_frame()).map(|(heard, arrived)| heard.saturating_duration_since(arrived))
        }
        None => status.first_sound,
    };
    if live && ended == Ending::Played && status.played_s == 0.0 && playing.errors.is_empty() {
        terminal.warn("standard input: ended before there was a mel frame");
    }
    let summary = Summary { status, first_sound, playing: &playing, ended, device: &device };
    if flags.json {
        let mut text = summary.as_json().to_string();
        text.push('\n');
        print(&text)?;
    } else if status.played_s > 0.0 || playing.errors.is_empty() {
        terminal.note(summary.as_text());
    }
    Ok(match (ended, playing.errors.is_empty()) {
        (Ending::Interrupted, _) => Outcome::Interrupted,
        (_, true) => Outcome::Done,
        _ if many && playing.opened > 0 => Outcome::SomeFailed,
        _ => Outcome::Failed,
    })
}

impl PlayFlags {
    /// Whether mel frames come on standard input.
    fn is_live(&self) -> Result<bool> {
        let live = self.inputs.iter().any(|input| input.as_os_str() == "-");
        if !live {
            return Ok(false);
        }
        if self.inputs.len() > 1 {
            return Err(wrong("INPUT", "standard input and files together", "play one after the other"));
        }
        if io::stdin().is_terminal() {
            let remedy = "pipe mel frames in: python tts.py | audiodiff play -";
            return Err(wrong("INPUT -", "standard input is a terminal", remedy));
        }
        if self.repeat {
            return Err(wrong("--loop", "standard input comes only once", "keep it with --also-write and play that"));
        }
        Ok(true)
    }

    /// The files to be played. What cannot be found is said; the others are played.
    fn find_files(&self, terminal: &Terminal) -> Result<Vec<PathBuf>> {
        let mut inputs = Inputs::default();
        self.inputs.iter().for_each(|input| inputs.add(input, None));
        terminal.left_out(&inputs.left_out);
        let mut unreadable = inputs.unreadable.into_iter();
        if inputs.found.is_empty() {
            return Err(unreadable.next().unwrap_or_else(|| {
                wrong("INPUT", "there is nothing to play", "name mel files or recordings, or a folder of these")
            }));
        }
        unreadable.for_each(|error| terminal.error(error));
        Ok(inputs.found.into_iter().map(|found| found.input).collect())
    }

    fn device_request(&self) -> DeviceRequest {
        let DeviceFlags { host, output_device, device_rate, device_format } = self.device.clone();
        DeviceRequest { host, device: output_device, sample_rate: device_rate, format: device_format }
    }

    /// Loads the model; the settings are those that render takes from the same options.
    fn renderer(&self, live: bool, terminal: &Terminal) -> Result<FileRenderer> {
        let source = self.input.source(terminal)?;
        let seed = self.quality.seed.number();
        if self.quality.seed == SeedChoice::Random {
            terminal.note(format_args!("seed {seed}"));
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.and_then(|threads| usize::try_from(threads).ok()).unwrap_or(cores);
        let models = self.model.models(threads)?;
        let vocoder = models.first();
        let latency_ms = self.live.latency_ms.or(live.then_some(LIVE_LATENCY_MS));
        let settings = RenderSettings {
            effort: self.quality.effort(vocoder.as_ref())?,
            seed,
            chunk: latency_ms.map(|latency_ms| chunk_for(latency_ms, vocoder.card())).transpose()?,
            source,
            format: self.format.into(),
            raw: false,
            peaks: Peaks::Limit,
            gain: 0.0,
            loudness: None,
            rate: None,
            refining: self.input.refining(),
        };
        terminal.detail(format_args!("model {}, {settings:?}", vocoder.identity().weights));
        Ok(FileRenderer { models, settings })
    }
}

/// The longest chunk that is complete, with its look-ahead, `latency_ms` after its first frame.
pub fn chunk_for(latency_ms: u32, card: &ModelCard) -> Result<usize> {
    let (convention, usual) = (&card.mel, card.streaming);
    let frame_ms = 1000.0 * convention.hop as f64 / f64::from(convention.sample_rate);
    // One frame more tells the renderer that the mel goes on.
    let beyond = usual.ahead + 1;
    let frames = (f64::from(latency_ms) / frame_ms) as usize;
    if frames < SHORTEST_CHUNK + beyond {
        let least = ((SHORTEST_CHUNK + beyond) as f64 * frame_ms).ceil();
        let found = format!("{latency_ms} ms are {frames} frames");
        let remedy = format!("give {least} or more: {SHORTEST_CHUNK} frames and {beyond} of look-ahead");
        return Err(wrong("--latency-ms", found, remedy));
    }
    Ok(frames - beyond)
}

/// Seconds by which the first sound is held back, so that later chunks, which come no earlier than the sound before them
/// ends, may each be so late.
fn cushion_s(chunk_s: f64) -> f64 {
    (chunk_s / 4.0).clamp(0.03, 0.15)
}

/// How playing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Played,
    Stopped,
    Interrupted,
}

/// What goes on while it plays.
struct Playing<'t> {
    terminal: &'t Terminal,
    line: Line,
    seekable: bool,
    /// Of mel frames that come on standard input.
    live: Option<LiveStatus>,
    kept: Option<Kept>,
    volume: f32,
    /// Where the inputs that were opened so far end, in seconds; none for live ones.
    ends_s: Vec<f64>,
    opened: usize,
    errors: Vec<String>,
    speed: f64,
    rendered_all: bool,
    wanted: Effort,
    present: Effort,
    vocoder: Arc<dyn Vocoder>,
    /// Times that cheaper settings were taken.
    adapted: usize,
}

impl Playing<'_> {
    fn until_the_end(
        &mut self,
        player: &mut Player,
        session: &Session,
        keys: Option<&Keys>,
        stop: &AtomicBool,
    ) -> Result<Ending> {
        let mut stopped: Option<(Ending, Instant)> = None;
        loop {
            while let Ok(event) = session.events.try_recv() {
                self.hear(event)?;
            }
            for note in self.live.iter().flat_map(LiveStatus::take_notes) {
                self.terminal.warn(note);
            }
            player.check()?;
            let status = player.status();
            if let Some(kept) = &mut self.kept {
                kept.write_played(status.played_s)?;
            }
            match stopped {
                Some((ending, since)) if status.done || since.elapsed() > PATIENCE => return Ok(ending),
                None if self.rendered_all && status.done => return Ok(Ending::Played),
                _ => {}
            }
            let ends_s = self.ends_s.iter().copied().find(|&ends_s| ends_s > status.position_s);
            self.line.show(&status, player, ends_s, self.speed);
            let key = match keys {
                Some(keys) => keys.wait(TICK),
                None => {
                    thread::sleep(TICK);
                    None
                }
            };
            let ending = match key {
                Some(Key::Quit) => Some(Ending::Stopped),
                Some(Key::Interrupt) => Some(Ending::Interrupted),
                Some(key) => {
                    self.obey(key, player, session, &status);
                    None
                }
                None => stop.load(Ordering::Relaxed).then_some(Ending::Interrupted),
            };
            if let (Some(ending), None) = (ending, stopped) {
                player.stop();
                stopped = Some((ending, Instant::now()));
            }
        }
    }

    fn hear(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Opened { input, ends_s, notes } => {
                self.opened += 1;
                // After a step back, what follows is opened anew; what is long past is not shown again.
                self.ends_s.retain(|&other| other < ends_s && other > ends_s - 3600.0);
                self.ends_s.push(ends_s);
                self.warn(&input, &notes);
            }
            Event::Heard { input, notes } => self.warn(&input, &notes),
            Event::Rendered { sound, speed } => {
                self.speed = speed;
                if let (Some(kept), Some(sound)) = (&mut self.kept, sound) {
                    kept.push(sound)?;
                }
            }
            Event::Adapted { effort, cheaper } => self.say_adapted(effort, cheaper),
            Event::Failed { error, .. } => {
                self.terminal.error(&error);
                self.errors.push(error.to_string());
            }
            Event::Ended => self.rendered_all = true,
        }
        Ok(())
    }

    fn warn(&self, input: &Path, notes: &[String]) {
        notes.iter().for_each(|note| self.terminal.warn(format_args!("{}: {note}", input.display())));
    }

    /// Once; later changes are details.
    fn say_adapted(&mut self, effort: Effort, cheaper: bool) {
        let settings = self.vocoder.describe(&effort);
        self.present = effort;
        if cheaper && self.adapted == 0 {
            self.terminal.warn(format_args!("the machine does not keep up; going on with {settings} until it does"));
        } else {
            self.terminal.detail(format_args!("now {settings}"));
        }
        self.adapted += usize::from(cheaper);
    }

    fn obey(&mut self, key: Key, player: &Player, session: &Session, status: &PlayerStatus) {
        match key {
            Key::Pause => player.set_paused(!status.paused),
            Key::Back if self.seekable => session.seek(status.position_s - SEEK_S),
            Key::Forward if self.seekable => session.seek(status.position_s + SEEK_S),
            Key::Louder | Key::Quieter => {
                let step = if key == Key::Louder { VOLUME_STEP } else { -VOLUME_STEP };
                self.volume = (self.volume + step).clamp(0.0, MOST_VOLUME);
                player.set_volume(self.volume);
            }
            _ => {}
        }
    }

    /// Finishes the file of --also-write.
    fn keep(&mut self, status: &PlayerStatus, ended: Ending) -> Result<()> {
        let Some(mut kept) = self.kept.take() else { return Ok(()) };
        match ended {
            Ending::Played => kept.write_all()?,
            Ending::Stopped | Ending::Interrupted => kept.write_played(status.played_s)?,
        }
        let whole = ended == Ending::Played && self.adapted == 0 && self.errors.is_empty();
        let report = kept.finish(whole)?;
        for warning in report.warnings() {
            self.terminal.warn(format_args!("the file of --also-write: {warning}"));
        }
        Ok(())
    }
}

/// The file of --also-write. What is rendered waits here until it was played, so that a stop leaves no more than that.
struct Kept {
    sink: FileSink,
    /// To the file's rate, from that of the input that is heard; one a channel.
    resamplers: Vec<StreamResampler>,
    from: u32,
    pending: Sound,
    written: u64,
    rate: u32,
    /// What it is made of, for a file that is not all of its inputs as render would make it.
    recipe: Recipe,
}

impl Kept {
    fn create(path: &Path, renderer: &FileRenderer, files: &[PathBuf], format: FormatChoice) -> Result<Self> {
        let input = files.first().cloned().unwrap_or_else(|| "-".into());
        let recipe = renderer.recipe(&streamed(input.clone(), path, Overrides::default()))?;
        let made_of = match files {
            // Then the file is render's, and render takes it for done.
            [_] => {
                let input_blake3 = hash_file(&input)?;
                as_value(&Fingerprint { input_blake3, recipe: recipe.clone() })
            }
            _ => as_value(&recipe),
        };
        let (rate, channels) = Self::form(renderer, files, path);
        let settings = FileSinkSettings {
            channels: channels as u16,
            seed: renderer.settings.seed,
            metadata: Some(WavMetadata::new(made_of)),
            ..FileSinkSettings::new(SampleFormat::from(format), rate)
        };
        let sink = FileSink::create(path, settings)?;
        let resamplers = (0..channels).map(|_| StreamResampler::new(rate, rate)).collect::<Result<_>>()?;
        let pending = Sound::empty(channels, rate);
        Ok(Self { sink, resamplers, from: rate, pending, written: 0, rate, recipe })
    }

    /// Hz and channels: those of render for a single input. Several may have different rates, and get the model's; one of two
    /// channels among them makes two of the file's.
    fn form(renderer: &FileRenderer, files: &[PathBuf], path: &Path) -> (u32, usize) {
        let (model, source) = (renderer.models.first().card().mel.sample_rate, &renderer.settings.source);
        match files {
            [] => (source.convention.as_ref().map_or(model, MelConvention::rendered_rate), 1),
            // One that cannot be opened is said when its turn comes.
            [file] => {
                let item = streamed(file.clone(), path, Overrides::default());
                let form = |(source, _): (Source, _)| (renderer.rate_of(&source), renderer.channels_of(&source));
                renderer.open(&item).map_or((model, 1), form)
            }
            _ if source.downmix == Downmix::Mono => (model, 1),
            _ => {
                let is_stereo = |file: &PathBuf| Source::channels_of(file, source).is_ok_and(|channels| channels == 2);
                (model, if files.iter().any(is_stereo) { 2 } else { 1 })
            }
        }
    }

    fn push(&mut self, sound: Sound) -> Result<()> {
        let sound = sound.of_channels(self.resamplers.len());
        if sound.rate != self.from {
            self.flush()?;
            for resampler in &mut self.resamplers {
                *resampler = StreamResampler::new(sound.rate, self.rate)?;
            }
            self.from = sound.rate;
        }
        let planes = self.resamplers.iter_mut().zip(&mut self.pending.channels).zip(&sound.channels);
        planes.into_iter().try_for_each(|((resampler, pending), samples)| resampler.push(samples, pending))
    }

    /// What the resamplers still hold.
    fn flush(&mut self) -> Result<()> {
        let planes = self.resamplers.iter_mut().zip(&mut self.pending.channels);
        planes.into_iter().try_for_each(|(resampler, pending)| resampler.finish(pending))
    }

    fn write_played(&mut self, played_s: f64) -> Result<()> {
        let played = (played_s * f64::from(self.rate)).round() as u64;
        let due = played.saturating_sub(self.written);
        self.write(usize::try_from(due).unwrap_or(usize::MAX).min(self.pending.len()))
    }

    fn write_all(&mut self) -> Result<()> {
        self.flush()?;
        self.write(self.pending.len())
    }

    fn write(&mut self, count: usize) -> Result<()> {
        let mut due = self.pending.clone();
        due.keep(0..count);
        self.sink.write(&due.interleaved())?;
        self.pending.keep(count..usize::MAX);
        self.written += count as u64;
        Ok(())
    }

    fn finish(mut self, whole: bool) -> Result<audiodiff::audio::FileReport> {
        if !whole {
            // Without the input's hash, nobody takes it for a finished rendering.
            self.sink.set_metadata(WavMetadata::new(as_value(&self.recipe)));
        }
        self.sink.finish()
    }
}

fn as_value(value: &impl serde::Serialize) -> serde_json::Value {
    // Numbers and strings only: cannot fail.
    serde_json::to_value(value).unwrap_or_default()
}

/// The line on the terminal: place, level, speed, how much is rendered ahead.
struct Line {
    bar: ProgressBar,
    shown: Instant,
    peak: f32,
}

/// dB below full scale at which the meter begins, and its width in characters.
const METER_DB: f32 = 48.0;
const METER_WIDTH: usize = 16;

/// How often the line is drawn anew.
const REDRAWN: Duration = Duration::from_millis(100);

impl Line {
    fn new(terminal: &Terminal) -> Self {
        // The template is a constant; the plain style is better than none.
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = terminal.bars().add(ProgressBar::no_length().with_style(style));
        Self { bar, shown: Instant::now(), peak: 0.0 }
    }

    fn show(&mut self, status: &PlayerStatus, player: &Player, ends_s: Option<f64>, speed: f64) {
        if self.bar.is_hidden() || self.shown.elapsed() < REDRAWN {
            return;
        }
        self.shown = Instant::now();
        // Falls by 3 dB a redraw, so that the eye can follow.
        self.peak = player.take_peak().max(self.peak * 0.7);
        let mark = if status.paused { "paused" } else { "playing" };
        let place = match ends_s {
            Some(ends_s) => format!("{} / {}", clock(status.position_s), clock(ends_s)),
            None => clock(status.position_s),
        };
        let fill = (status.buffer_fill * 100.0).round();
        self.bar.set_message(format!(
            "{mark} {place}  {}  {speed:.1} x real time  {fill:.0} % ahead  {} underruns",
            meter(self.peak),
            status.underruns
        ));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn meter(peak: f32) -> String {
    let db = 20.0 * peak.max(1e-9).log10();
    let lit = ((1.0 + db / METER_DB) * METER_WIDTH as f32).round().clamp(0.0, METER_WIDTH as f32) as usize;
    format!("[{}{}]", "=".repeat(lit), " ".repeat(METER_WIDTH - lit))
}

/// `1:02.5`
fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0) as u64;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

/// What is said at the end.
struct Summary<'s> {
    status: PlayerStatus,
    first_sound: Option<Duration>,
    playing: &'s Playing<'s>,
    ended: Ending,
    device: &'s OutputDevice,
}

impl Summary<'_> {
    fn as_text(&self) -> String {
        let PlayerStatus { played_s, underruns, input_gaps, device_xruns, clipped, .. } = self.status;
        let mut text = format!("played {played_s:.1} s");
        if let Some(first) = self.first_sound {
            text += &format!(", first sound after {:.0} ms", first.as_secs_f64() * 1000.0);
        }
        text += &format!(", {underruns} underruns");
        if input_gaps > 0 {
            text += &format!(", {input_gaps} pauses of the input");
        }
        if device_xruns > 0 {
            text += &format!(", the device ran dry {device_xruns} times");
        }
        if self.playing.adapted > 0 {
            text += &format!(", cheaper settings taken {} times", self.playing.adapted);
        }
        if clipped > 0 {
            text += &format!(", {clipped} samples over full scale (give a lower --volume)");
        }
        text
    }

    fn as_json(&self) -> serde_json::Value {
        let PlayerStatus { played_s, underruns, input_gaps, device_xruns, clipped, latency, .. } = self.status;
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        let ended = match self.ended {
            Ending::Played => "played",
            Ending::Stopped => "stopped",
            Ending::Interrupted => "interrupted",
        };
        json!({
            "ended": ended,
            "played_s": (played_s * 1e6).round() / 1e6,
            "first_sound_ms": self.first_sound.map(ms),
            "underruns": underruns,
            "input_gaps": input_gaps,
            "device_xruns": device_xruns,
            "clipped_samples": clipped,
            "times_adapted": self.playing.adapted,
            "wanted": self.playing.wanted,
            "at_the_end": self.playing.present,
            "live": self.playing.live.is_some(),
            "errors": self.playing.errors,
            "device": {
                "name": self.device.name(),
                "sample_rate": self.device.sample_rate(),
                "channels": self.device.channels(),
                "format": self.device.format(),
                "latency_ms": ms(latency),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_decides_the_chunk() {
        let card = audiodiff::model::ModelCard::new("any").common();
        // 46 frames of 10.67 ms, 13 of them beyond the chunk.
        assert_eq!(chunk_for(500, &card).unwrap(), 33);
        assert_eq!(chunk_for(267, &card).unwrap(), 12);
        let text = chunk_for(266, &card).unwrap_err().to_string();
        assert!(text.contains("give 267 or more"), "{text}");
    }

    #[test]
    fn meter_and_clock() {
        assert_eq!(meter(1.0), format!("[{}]", "=".repeat(16)));
        assert_eq!(meter(0.0), format!("[{}]", " ".repeat(16)));
        assert_eq!(meter(0.0631).matches('=').count(), 8, "-24 dB is half of 48");
        assert_eq!((clock(0.0).as_str(), clock(62.55).as_str()), ("0:00.0", "1:02.5"));
    }
}
