//! `audiodiff render`: mel spectrograms and recordings to WAV files.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use audiodiff::{
    Error, Result,
    audio::{Downmix, Peaks, SampleFormat},
    batch::{Existing, FileRenderer, Inputs, Plan, RenderSettings, SourceSettings, Target, run_alone, streamed},
    mel::{self, Layout},
    model::Builtin,
    number_range::{GAIN_DB, LOUDNESS_LUFS},
    output,
    vocoder::Refining,
};
use clap::{Args, ValueEnum, builder::BoolishValueParser};

use crate::{
    Outcome, interrupt,
    items::{ItemsRun, raw_format, show},
    mel::named_convention,
    play::{InputFormatChoice, LIVE_LATENCY_MS, chunk_for},
    progress::Progress,
    render_live,
    settings::{ModelFlags, QualityFlags, SeedChoice, ShardChoice, wrong},
    terminal::Terminal,
};

/// Render mel spectrograms, or the mels of recordings, to WAV files
#[derive(Args, Debug)]
pub struct RenderFlags {
    /// Mel files (.npy .npz .safetensors), recordings (WAV FLAC MP3 Opus M4A ...), folders of these, or - for a list on standard input
    /// (with --input-format: for mel frames)
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The WAV file, a folder for <input's name>.wav, or - for standard output; <input's name>.wav in the
    /// current folder where not given
    #[arg(short, long, value_name = "FILE|DIR|-")]
    output: Option<PathBuf>,

    #[command(flatten)]
    quality: QualityFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    input: InputFlags,
    #[command(flatten)]
    live: LiveFlags,
    #[command(flatten)]
    sound: SoundFlags,
    #[command(flatten)]
    batch: BatchFlags,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Input")]
pub struct InputFlags {
    /// The order of a mel array's axes; found by the number of bands where not given
    #[arg(long, value_enum, env = "AUDIODIFF_LAYOUT")]
    pub layout: Option<LayoutChoice>,
    /// The tensor or array of this name in a .safetensors or .npz file
    #[arg(long, value_name = "NAME")]
    pub tensor: Option<String>,
    /// What made the mel: auto (as the file declares, or its numbers prove), a name of audiodiff mel conventions, or a file
    /// that describes it (TOML, JSON, HiFi-GAN's config.json). Of frames on standard input, auto is the model's own
    #[arg(long, default_value = "auto", env = "AUDIODIFF_CONVENTION", value_name = "auto|NAME|FILE")]
    pub convention: String,
    /// Mean and deviation of each band by which the mel was standardised: .npy, .npz
    #[arg(long, value_name = "FILE", env = "AUDIODIFF_STATS")]
    pub stats: Option<PathBuf>,
    /// The recording that the mel was made of, or a folder with one of each mel's name: its length tells conventions apart
    #[arg(long, value_name = "FILE|DIR", env = "AUDIODIFF_RECORDING")]
    pub recording: Option<PathBuf>,
    /// Two channels of a recording or a mel stay two (keep), or are mixed to one (mono)
    #[arg(long, value_enum, default_value = "keep", env = "AUDIODIFF_CHANNELS")]
    pub channels: ChannelsChoice,
    /// Go on above the mel's highest band, up to the rate's end, with what the model takes for likely; else there is nothing
    #[arg(long, env = "AUDIODIFF_EXTEND", value_parser = BoolishValueParser::new())]
    pub extend: bool,
    /// The mel was predicted by a network: the model makes what that has blurred sharp again, as far as it knows
    #[arg(long, env = "AUDIODIFF_PREDICTED", value_parser = BoolishValueParser::new())]
    pub predicted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChannelsChoice {
    /// Two stay two; surround is mixed to one
    Keep,
    /// Mixed to one
    Mono,
}

impl From<ChannelsChoice> for Downmix {
    fn from(choice: ChannelsChoice) -> Self {
        match choice {
            ChannelsChoice::Keep => Self::Stereo,
            ChannelsChoice::Mono => Self::Mono,
        }
    }
}

impl InputFlags {
    pub fn refining(&self) -> Refining {
        Refining { extend: self.extend, predicted: self.predicted }
    }

    /// The files that are read beside the inputs themselves.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![PathBuf::from(&self.convention)];
        files.extend(self.stats.clone());
        match &self.recording {
            Some(folder) if folder.is_dir() => {
                let entries = std::fs::read_dir(folder).into_iter().flatten();
                files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
            }
            file => files.extend(file.clone()),
        }
        files
    }

    pub fn source(&self, terminal: &Terminal) -> Result<SourceSettings> {
        let mut convention = match self.convention.as_str() {
            "auto" => None,
            name => Some(named_convention(name, terminal)?),
        };
        if let Some(file) = &self.stats {
            let Some(convention) = &mut convention else {
                let found = "standardised numbers tell nothing of their convention";
                return Err(wrong("--stats", found, "name it with --convention"));
            };
            convention.statistics = Some(mel::user_convention::read_statistics(file)?);
            convention.validate()?;
        }
        Ok(SourceSettings {
            layout: self.layout.map(Layout::from),
            tensor: self.tensor.clone(),
            convention,
            recordings: self.recording.clone(),
            downmix: self.channels.into(),
        })
    }
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Live input")]
struct LiveFlags {
    /// Mel frames come on standard input, in this form, and are rendered while they come
    #[arg(long, value_enum)]
    input_format: Option<InputFormatChoice>,
    /// Milliseconds from a frame's arrival to its sound, less the time to compute; decides the length of a chunk [default: 500]
    #[arg(long, value_name = "MS", requires = "input_format", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    latency_ms: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// [bands, frames]
    BandsFirst,
    /// [frames, bands]
    FramesFirst,
}

impl From<LayoutChoice> for Layout {
    fn from(choice: LayoutChoice) -> Self {
        match choice {
            LayoutChoice::BandsFirst => Self::BandsFirst,
            LayoutChoice::FramesFirst => Self::FramesFirst,
        }
    }
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Sound")]
pub struct SoundFlags {
    /// Sample format of the WAV file; pcm16 is dithered
    #[arg(long, value_enum, default_value = "pcm16", env = "AUDIODIFF_FORMAT")]
    pub format: FormatChoice,
    /// Make the sound louder (quieter where negative) by this many decibels, -100 to 100
    #[arg(long, value_name = "DB", allow_hyphen_values = true, conflicts_with = "loudness", env = "AUDIODIFF_GAIN", value_parser = |text: &str| GAIN_DB.parse(text))]
    pub gain: Option<f64>,
    /// What is over full scale: limit takes the peaks alone back, lower the whole file, clip cuts them off
    #[arg(long, value_enum, default_value = "limit", env = "AUDIODIFF_PEAKS")]
    pub peaks: PeaksChoice,
    /// Bring each file to this integrated loudness (EBU R 128), -70 to 0, for instance -16
    #[arg(long, value_name = "LUFS", allow_hyphen_values = true, env = "AUDIODIFF_LOUDNESS", value_parser = |text: &str| LOUDNESS_LUFS.parse(text))]
    pub loudness: Option<f64>,
    /// Sample rate of the output in Hz; that of the mel's convention where not given
    #[arg(long, value_name = "HZ", env = "AUDIODIFF_RATE", value_parser = clap::value_parser!(u32).range(4_000..=384_000))]
    pub rate: Option<u32>,
    /// Bare samples without a header
    #[arg(long, visible_alias = "raw")]
    pub output_raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PeaksChoice {
    /// The peaks alone are taken back, over 5 ms before them: the level of the rest stays
    Limit,
    /// The whole file is lowered, which a stream cannot be
    Lower,
    /// What is over is cut off
    Clip,
}

impl From<PeaksChoice> for Peaks {
    fn from(choice: PeaksChoice) -> Self {
        match choice {
            PeaksChoice::Limit => Self::Limit,
            PeaksChoice::Lower => Self::Lower,
            PeaksChoice::Clip => Self::Clip,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatChoice {
    Pcm16,
    Pcm24,
    Float32,
}

impl From<FormatChoice> for SampleFormat {
    fn from(choice: FormatChoice) -> Self {
        match choice {
            FormatChoice::Pcm16 => Self::Pcm16,
            FormatChoice::Pcm24 => Self::Pcm24,
            FormatChoice::Float32 => Self::Float32,
        }
    }
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Batches")]
pub struct BatchFlags {
    /// Overwrite outputs that are there already
    #[arg(short = 'y', long, conflicts_with = "no_clobber")]
    pub overwrite: bool,
    /// Skip inputs whose outputs are there already
    #[arg(short = 'n', long, visible_alias = "skip-existing")]
    pub no_clobber: bool,
    /// Append a line of JSON for each item; a run with the same manifest does only what is missing
    #[arg(long, value_name = "FILE.jsonl", env = "AUDIODIFF_MANIFEST")]
    pub manifest: Option<PathBuf>,
    /// Render only part I of N of the inputs; N machines share a batch this way
    #[arg(long, value_name = "I/N", env = "AUDIODIFF_SHARD")]
    pub shard: Option<ShardChoice>,
    /// Items rendered at the same time
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_JOBS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub jobs: Option<u64>,
    /// Threads that the network uses for each item
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_THREADS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Print a JSON object for each item on standard output
    #[arg(long)]
    pub json: bool,
}

impl BatchFlags {
    fn existing(&self) -> Existing {
        match self {
            Self { overwrite: true, .. } => Existing::Overwrite,
            Self { no_clobber: true, .. } => Existing::Skip,
            _ => Existing::Refuse,
        }
    }
}

/// What is to be done with the results.
enum Destination {
    Files(Target),
    /// Standard output, or a device or pipe of that name.
    Stream(PathBuf),
}

pub fn run(flags: RenderFlags, terminal: &Terminal) -> Result<Outcome> {
    let destination = flags.destination()?;
    if let Some(format) = flags.live.input_format {
        return live(&flags, format, destination, terminal);
    }
    let inputs = flags.find_inputs(&destination)?;
    terminal.left_out(&inputs.left_out);
    inputs.notes.iter().for_each(|note| terminal.warn(note));
    match destination {
        Destination::Stream(name) => stream(&flags, inputs, name, terminal),
        Destination::Files(target) => files(&flags, &inputs, &target, terminal),
    }
}

impl RenderFlags {
    fn destination(&self) -> Result<Destination> {
        let raw = self.sound.output_raw;
        let destination = match &self.output {
            None => Destination::Files(Target::Folder(".".into())),
            Some(path) if path.as_os_str() == "-" || output::descriptor(path) == Some(1) => {
                Destination::Stream("-".into())
            }
            Some(path) if path.is_dir() || ends_with_separator(path) => {
                Destination::Files(Target::Folder(path.clone()))
            }
            Some(path) if output::is_stream(path) => Destination::Stream(path.clone()),
            Some(path) => match path.extension() {
                None => Destination::Files(Target::Folder(path.clone())),
                Some(extension) if is_wav(extension) => Destination::Files(Target::File(path.clone())),
                Some(_) if raw => Destination::Files(Target::File(path.clone())),
                Some(extension) => {
                    let found =
                        format!("{}: files are written as WAV, not as .{}", path.display(), extension.display());
                    return Err(wrong("--output", found, "name a .wav file or a folder"));
                }
            },
        };
        match &destination {
            Destination::Files(target) if raw && !is_raw_file(target) => Err(wrong(
                "--output-raw",
                "needs a single output",
                "give -o - or -o and a name that does not end in .wav",
            )),
            Destination::Stream(_) if self.sound.loudness.is_some() => {
                let found = "needs the whole sound before the first sample can leave";
                Err(wrong("--loudness", found, "name a .wav file with -o, or give --gain"))
            }
            Destination::Stream(_) if self.sound.peaks == PeaksChoice::Lower => {
                let found = "needs the whole sound before the first sample can leave";
                Err(wrong("--peaks lower", found, "name a .wav file with -o, or give --peaks limit"))
            }
            Destination::Stream(_) if self.batch.manifest.is_some() => {
                Err(wrong("--manifest", "keeps a record of files", "name a .wav file or a folder with -o"))
            }
            Destination::Stream(path) if path.as_os_str() == "-" && self.batch.json => {
                Err(wrong("--json", "and the sound would both go to standard output", "name a file with -o"))
            }
            _ => Ok(destination),
        }
    }

    fn find_inputs(&self, destination: &Destination) -> Result<Inputs> {
        let excluded = match destination {
            Destination::Files(Target::Folder(folder)) if self.output.is_some() => Some(folder.as_path()),
            _ => None,
        };
        let mut inputs = Inputs::default();
        let mut lists = 0;
        for input in &self.inputs {
            if input.as_os_str() != "-" {
                inputs.add(input, excluded);
                continue;
            }
            lists += 1;
            if lists > 1 {
                return Err(wrong("INPUT", "standard input can be read once only", "give - once"));
            }
            inputs.add_standard_input(io::stdin().lock(), excluded)?;
        }
        if self.output.is_none() && inputs.many && inputs.found.iter().any(|found| found.output.is_none()) {
            return Err(wrong("--output", "is missing, and there are many inputs", "name a folder with -o"));
        }
        Ok(inputs)
    }

    /// All files that are read but for the inputs themselves.
    fn files_beside(&self) -> Vec<PathBuf> {
        let mut files = self.input.files();
        files.extend(self.model.model.file().map(Path::to_owned));
        files
    }

    /// Loads the model and puts everything that it renders with together.
    fn renderer(&self, items: usize, terminal: &Terminal) -> Result<(FileRenderer, usize)> {
        let source = self.input.source(terminal)?;
        let (jobs, threads) = share_cores(self.batch.jobs, self.batch.threads, items);
        let seed = self.quality.seed.number();
        if self.quality.seed == SeedChoice::Random {
            terminal.note(format_args!("seed {seed}"));
        }
        let models = self.model.models(threads)?;
        let vocoder = models.first();
        let settings = RenderSettings {
            effort: self.quality.effort(vocoder.as_ref())?,
            seed,
            chunk: None,
            source,
            format: self.sound.format.into(),
            raw: self.sound.output_raw,
            peaks: self.sound.peaks.into(),
            gain: self.sound.gain.unwrap_or(0.0),
            loudness: self.sound.loudness,
            rate: self.sound.rate,
            refining: self.input.refining(),
        };
        let weights = &vocoder.identity().weights;
        terminal.detail(format_args!("model {weights}, {jobs} jobs of {threads} threads, {settings:?}"));
        Ok((FileRenderer { models, settings }, jobs))
    }
}

/// A single file that is not called like a WAV.
fn is_raw_file(target: &Target) -> bool {
    matches!(target, Target::File(path) if !path.extension().is_some_and(is_wav))
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// Refuses to show sound as text.
pub fn keep_off_terminal(name: &Path) -> Result<()> {
    if name.as_os_str() == "-" && io::stdout().is_terminal() {
        let remedy = "name a file with -o, or let a pipe take it: | aplay";
        return Err(wrong("--output -", "standard output is a terminal, which cannot show sound", remedy));
    }
    Ok(())
}

/// Standard output (`-`), or the device or pipe of that name.
pub fn open_stream(name: &Path) -> Result<Box<dyn Write + Send>> {
    if name.as_os_str() == "-" {
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(output::open_stream(name).map_err(Error::io("cannot open", name))?))
}

/// What a stream is called in messages.
pub fn stream_name(name: &Path) -> &Path {
    if name.as_os_str() == "-" { Path::new("standard output") } else { name }
}

fn is_wav(extension: &OsStr) -> bool {
    extension.eq_ignore_ascii_case("wav") || extension.eq_ignore_ascii_case("wave")
}

/// Jobs and threads of each. One item has all cores to itself; of many, each has a core of its own, which wastes none on
/// waiting for one another.
pub fn share_cores(jobs: Option<u64>, threads: Option<u64>, items: usize) -> (usize, usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let given = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let jobs = match (jobs, threads) {
        (Some(jobs), _) => given(jobs),
        (None, Some(threads)) => cores / given(threads).max(1),
        (None, None) => cores,
    };
    let jobs = jobs.clamp(1, items.max(1));
    (jobs, threads.map_or(cores / jobs, given).max(1))
}

/// Mel frames from standard input.
fn live(
    flags: &RenderFlags,
    format: InputFormatChoice,
    destination: Destination,
    terminal: &Terminal,
) -> Result<Outcome> {
    if flags.inputs.len() != 1 || flags.inputs[0].as_os_str() != "-" {
        return Err(wrong("--input-format", "is for mel frames on standard input", "give - as the only input"));
    }
    let output = match destination {
        Destination::Stream(name) => render_live::Output::Stream(name),
        Destination::Files(Target::File(path)) => match flags.batch.existing().admits(&path, flags.files_beside())? {
            true => render_live::Output::File(path),
            false => return Ok(Outcome::Done),
        },
        Destination::Files(Target::Folder(_)) => {
            return Err(wrong("--output", "live input has no name to take", "name a .wav file with -o, or give -o -"));
        }
    };
    if flags.batch.manifest.is_some() || flags.batch.json {
        let remedy = "keep the frames in a file and render that";
        return Err(wrong("--manifest, --json", "keep a record of files, which live input is not", remedy));
    }
    let (mut renderer, _) = flags.renderer(1, terminal)?;
    let latency_ms = flags.live.latency_ms.unwrap_or(LIVE_LATENCY_MS);
    renderer.settings.chunk = Some(chunk_for(latency_ms, renderer.models.first().card())?);
    render_live::run(&renderer, format, &output, terminal)
}

/// One input to standard output or another stream.
fn stream(flags: &RenderFlags, mut inputs: Inputs, name: PathBuf, terminal: &Terminal) -> Result<Outcome> {
    if let Some(error) = inputs.unreadable.pop() {
        return Err(error);
    }
    let found = match inputs.found.as_slice() {
        [one] => one.clone(),
        many => {
            return Err(wrong("--output", format!("{} inputs for one stream", many.len()), "name a folder with -o"));
        }
    };
    if let Some(named) = found.output {
        let found = format!("{} is where the list wants {}", named.display(), found.input.display());
        return Err(wrong("--output", found, "name a folder with -o, or take the output out of the list"));
    }
    keep_off_terminal(&name)?;
    let (renderer, _) = flags.renderer(1, terminal)?;
    let item = streamed(found.input, stream_name(&name), found.overrides);
    let opened = renderer.open(&item)?;
    let source = &opened.0;
    let output = open_stream(&name)?;
    if flags.sound.output_raw {
        terminal.note(raw_format(renderer.settings.format, renderer.rate_of(source), renderer.channels_of(source)));
    }
    let mut progress = Progress::new(terminal, 1);
    let shown = |event| show(&mut progress, &event);
    let rendered = run_alone(interrupt::stop_flag(), shown, |ticket| renderer.stream(&item, opened, output, ticket))?;
    for warning in rendered.warnings {
        terminal.warn(format_args!("{}: {warning}", item.input.display()));
    }
    let (took_s, speed) = (progress.took_s(), progress.speed());
    drop(progress);
    say_full_band(&renderer, terminal);
    terminal.note(format_args!("{:.2} s of sound in {took_s:.2} s ({speed:.1} x real time)", rendered.audio_s));
    Ok(Outcome::Done)
}

/// Any number of inputs to files.
fn files(flags: &RenderFlags, inputs: &Inputs, target: &Target, terminal: &Terminal) -> Result<Outcome> {
    let mut plan = Plan::new(inputs, target, "wav")?;
    let planned = plan.items.len();
    if let Some(ShardChoice { index, count }) = flags.batch.shard {
        plan = plan.shard(index, count);
        terminal.detail(format_args!("shard {index}/{count}: {} of {planned} items", plan.items.len()));
    }
    let beside = flags.files_beside();
    plan.keep_off(beside.iter().map(PathBuf::as_path))?;
    let (renderer, jobs) = flags.renderer(plan.items.len(), terminal)?;
    let run = ItemsRun {
        verb: "rendered",
        jobs,
        existing: flags.batch.existing(),
        manifest: flags.batch.manifest.as_ref(),
        json: flags.batch.json,
        raw: renderer.settings.raw.then_some(renderer.settings.format),
    };
    let outcome = run.make(&renderer, plan, &inputs.unreadable, terminal);
    say_full_band(&renderer, terminal);
    outcome
}

/// Once, where a model was chosen that nobody named.
fn say_full_band(renderer: &FileRenderer, terminal: &Terminal) {
    if renderer.models.used_full_band() {
        let name = Builtin::FullBand.name();
        terminal
            .note(format_args!("what reaches above 12 kHz was rendered by {name}; --model builtin keeps to 24 kHz"));
    }
}
