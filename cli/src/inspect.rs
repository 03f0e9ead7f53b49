//! `audiodiff inspect`: the diffusion step by step, or a model file.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use audiodiff::{
    Error, Fault, Result,
    audio::{self, Downmix},
    batch::{Source, SourceSettings, is_recording},
    diffusion::{Network, SamplerSettings, SeededNoise},
    eval::picture::FrequencyScale,
    inspect::{self, About, FolderOptions, Inspection, ModelReport, PictureFormat},
    mel::{MelScale, MelSpectrogram},
    model::{Builtin, Diffusion, GriffinLim, ModelFile},
    render::model_mel,
    vocoder::Vocoder,
};
use clap::{Args, ValueEnum};

use crate::{
    Outcome, interrupt,
    progress::Progress,
    render::InputFlags,
    settings::{ModelChoice, ModelFlags, QualityFlags, SeedChoice, wrong},
    terminal::{Terminal, print},
};

/// Show what happens in each step of a rendering, or what is in a model file
#[derive(Args, Debug)]
#[command(after_help = "\
The folder gets index.html (a page that stands alone, with the sound after each step), inspect.json (the numbers), a picture \
and a sound of each step, over the whole band of the model. A recording is shown beside what is rendered from its mel: of two \
channels the mix, which the model renders first; of a mel of two channels the left one.")]
pub struct InspectFlags {
    /// A mel file, a recording, or a model: builtin or the path of a model file
    #[arg(value_name = "INPUT|MODEL")]
    input: PathBuf,
    /// The folder for page, pictures, sounds and numbers
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    window: WindowFlags,
    #[command(flatten)]
    look: LookFlags,
    #[command(flatten)]
    quality: QualityFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    mel: InputFlags,
    /// Threads that the network uses; the processor's cores where not given
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_THREADS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Replace what an inspection left in the folder before
    #[arg(short = 'y', long)]
    overwrite: bool,
}

/// What part of the input is looked at.
#[derive(Args, Debug)]
#[command(next_help_heading = "Window")]
struct WindowFlags {
    /// Where the window begins, in seconds
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    start: f64,
    /// How long it is at most, in seconds, up to 40
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Pictures")]
struct LookFlags {
    /// Renderings with seeds one after another, whose spread is shown; 1 shows none
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u64).range(1..=64))]
    seeds: u64,
    /// Format of the pictures that are files of their own
    #[arg(long, value_enum, default_value = "png")]
    picture_format: PictureFormatChoice,
    /// The upright axis of spectrograms
    #[arg(long, value_enum, default_value = "mel")]
    axis: AxisChoice,
    /// Write steps.gif too, the steps one after another
    #[arg(long)]
    gif: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PictureFormatChoice {
    Png,
    Svg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AxisChoice {
    /// As wide as it is heard
    Mel,
    /// Every kHz as wide as the next
    Linear,
}

/// Seconds of the longest window, and of all steps together: each keeps its spectra in memory, about 2 MB a second.
const LONGEST_S: f64 = 40.0;
const MOST_STEP_SECONDS: f64 = 320.0;

pub fn run(flags: &InspectFlags, terminal: &Terminal) -> Result<Outcome> {
    if let Some(bytes) = model_bytes(&flags.input)? {
        if flags.output.is_some() {
            return Err(wrong("--output", "is for mels and recordings", "what a model holds is printed"));
        }
        return model(flags, &bytes);
    }
    let Some(folder) = flags.output.clone() else {
        return Err(wrong("--output", "is missing", "name a folder with -o"));
    };
    let mut inputs = flags.mel.files();
    inputs.push(flags.input.clone());
    inputs.extend(flags.model.model.file().map(Path::to_owned));
    inspect::check_place(&folder, flags.overwrite, &inputs)?;
    let WindowFlags { start, seconds } = flags.window;
    if !(seconds > 0.0 && seconds <= LONGEST_S) {
        return Err(wrong("--seconds", format!("{seconds}"), format!("give more than 0 and at most {LONGEST_S}")));
    }
    if !(start >= 0.0 && start.is_finite()) {
        return Err(wrong("--start", format!("{start}"), "give 0 or more seconds"));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = flags.threads.map_or(cores, |threads| usize::try_from(threads).unwrap_or(usize::MAX));
    let options = flags.model.runtime.options(threads);
    match &flags.model.model {
        ModelChoice::Auto => look_into(flags, folder, Arc::new(Diffusion::builtin(&options)?), terminal),
        ModelChoice::Builtin(model) => {
            look_into(flags, folder, Arc::new(Diffusion::of_builtin(*model, &options)?), terminal)
        }
        ModelChoice::File(path) => look_into(flags, folder, Arc::new(Diffusion::load(path, &options)?), terminal),
        ModelChoice::GriffinLim => look_into(flags, folder, Arc::new(GriffinLim::new(threads)?), terminal),
    }
}

/// The steps of one rendering. Only models that have steps can show them: their network is asked for itself.
fn look_into<N: Network + Vocoder + 'static>(
    flags: &InspectFlags,
    folder: PathBuf,
    vocoder: Arc<N>,
    terminal: &Terminal,
) -> Result<Outcome> {
    let seconds = flags.window.seconds;
    let window = Window::open(flags, vocoder.clone(), terminal)?;
    let seed = flags.quality.seed.number();
    if flags.quality.seed == SeedChoice::Random {
        terminal.note(format_args!("seed {seed}"));
    }
    let settings = SamplerSettings::of_effort(&flags.quality.effort(vocoder.as_ref())?, seed)?;
    let longest = MOST_STEP_SECONDS / settings.turns() as f64;
    if window.seconds > longest {
        let found = format!("{seconds}, with {} steps", settings.steps);
        return Err(wrong("--seconds", found, format!("give at most {longest:.1} for so many steps")));
    }
    let seeds: Vec<u64> = (0..flags.look.seeds).map(|i| seed.wrapping_add(i)).collect();
    let about = About {
        input: flags.input.display().to_string(),
        model: vocoder.identity().weights.clone(),
        convention: vocoder.card().mel.name.clone(),
        start_s: window.start_s,
        seconds: window.seconds,
        input_seconds: window.input_seconds,
        settings: Some(settings),
        seeds,
        notes: window.notes.clone(),
    };
    window.notes.iter().for_each(|note| terminal.warn(format_args!("{}: {note}", about.input)));
    if window.seconds < window.input_seconds {
        let (from, to) = (window.start_s, window.start_s + window.seconds);
        let all = window.input_seconds;
        terminal.note(format_args!("{from:.2} to {to:.2} s of {all:.2} s; --start and --seconds choose another part"));
    }
    let inspection = look(vocoder.as_ref(), window, settings, &about, terminal)?;
    let options = FolderOptions {
        format: match flags.look.picture_format {
            PictureFormatChoice::Png => PictureFormat::Png,
            PictureFormatChoice::Svg => PictureFormat::Svg,
        },
        axis: match flags.look.axis {
            AxisChoice::Mel => FrequencyScale::Mel(MelScale::Htk),
            AxisChoice::Linear => FrequencyScale::Linear,
        },
        gif: flags.look.gif,
        overwrite: flags.overwrite,
    };
    let json = inspect::write(&inspection, &about, &folder, &options)?;
    if flags.json {
        print(&format!("{json}\n"))?;
    }
    terminal.note(format_args!("{}", folder.join("index.html").display()));
    Ok(Outcome::Done)
}

/// Renders with every seed, with progress.
fn look<N: Network>(
    network: &N,
    window: Window,
    settings: SamplerSettings,
    about: &About,
    terminal: &Terminal,
) -> Result<Inspection> {
    let mut progress = Progress::new(terminal, about.seeds.len());
    let stop = interrupt::stop_flag();
    let noises = about.seeds.iter().map(|&seed| SeededNoise { seed });
    Inspection::run(network, window.mel, window.recording, settings, noises, |_| {
        progress.advanced(about.seconds);
        progress.finished_one();
        if stop.load(Ordering::SeqCst) { Err(Error::Interrupted) } else { Ok(()) }
    })
}

/// The part of the input that is looked at.
struct Window {
    mel: MelSpectrogram,
    /// [n], (T - 1) hop, where the input is one.
    recording: Option<Vec<f32>>,
    start_s: f64,
    seconds: f64,
    input_seconds: f64,
    notes: Vec<String>,
}

impl Window {
    fn open(flags: &InspectFlags, vocoder: Arc<dyn Vocoder>, terminal: &Terminal) -> Result<Self> {
        let wanted = &vocoder.card().mel;
        let settings = SourceSettings { downmix: Downmix::Mono, ..flags.mel.source(terminal)? };
        let source = Source::open(&flags.input, &settings, wanted)?;
        let mut notes = source.notes;
        let mut given = source.mel.into_source().read(usize::MAX)?;
        notes.extend(source.heard.take());
        if source.channels > 1 {
            given = given.channel(0, source.channels);
            notes.push("shows the left one of its channels".into());
        }
        let mel = model_mel(vocoder.clone(), &given, &source.convention)?;
        let (hop, rate) = (wanted.hop, f64::from(wanted.sample_rate));
        let frame = |seconds: f64| (seconds * rate / hop as f64).round() as usize;
        let first = frame(flags.window.start);
        let frames = mel.frames();
        if first + 2 > frames {
            let found = format!(
                "{} s, but the input is {:.2} s long",
                flags.window.start,
                source.samples as f64 / f64::from(source.rate)
            );
            return Err(Error::Settings(Fault::new("--start", found)));
        }
        let end = frames.min(first + frame(flags.window.seconds).max(1) + 1);
        let mel = mel.slice(first..end);
        let samples = (end - first - 1) * hop;
        let recording = match is_recording(&flags.input)? {
            false => None,
            true => {
                let recording = audio::read_at(&flags.input, wanted.sample_rate)?;
                if recording.source.channels > 1 {
                    notes.push(format!("shows the mix of its {} channels", recording.source.channels));
                }
                let mut all = recording.samples;
                all.resize((end - 1) * hop, 0.0);
                Some(all[first * hop..].to_vec())
            }
        };
        Ok(Self {
            mel,
            recording,
            start_s: (first * hop) as f64 / rate,
            seconds: samples as f64 / rate,
            input_seconds: ((frames - 1) * hop) as f64 / rate,
            notes,
        })
    }
}

/// The content of a model file, or of one in the program; `None` where the input is no model.
fn model_bytes(input: &Path) -> Result<Option<Cow<'static, [u8]>>> {
    if let Some(model) = input.to_str().and_then(Builtin::named) {
        return Ok(Some(model.bytes()?.into()));
    }
    if !input.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors")) || !input.is_file() {
        return Ok(None);
    }
    let bytes = ModelFile::read(input)?;
    Ok(ModelFile::is_one(&bytes).then_some(bytes.into()))
}

fn model(flags: &InspectFlags, bytes: &[u8]) -> Result<Outcome> {
    let model = &ModelFile::parse(bytes, &flags.input.display().to_string())?;
    let report = ModelReport::of(model);
    let text = match flags.json {
        true => {
            serde_json::to_string(&report)
                .map_err(|error| Error::io("cannot write", "standard output")(io::Error::other(error)))?
                + "\n"
        }
        false => crate::models::show(model, false) + &text(&report),
    };
    print(&text)?;
    Ok(Outcome::Done)
}

/// What the card does not say: cost and weights.
fn text(report: &ModelReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<14} {:.1} MB of numbers\n", "size", report.bytes as f64 / 1e6);
    let _ = writeln!(text, "{:<24} {:>9}  {:>22}", "part", "weights", "GFLOP a second of sound");
    for part in &report.parts {
        let _ = writeln!(text, "{:<24} {:>9}  {:>10.4} {}", part.name, part.parameters, part.gflop, part.runs);
    }
    for quality in &report.qualities {
        let _ = writeln!(text, "{:<24} {:>9}  {:>10.4} in all", quality.quality, "", quality.gflop);
    }
    let width = report.tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    let _ = writeln!(
        text,
        "\n{:<width$} {:<16} {:<5} {:>10} {:>10} {:>10} {:>10}",
        "tensor", "shape", "type", "mean", "std", "lowest", "highest"
    );
    for tensor in &report.tensors {
        let odd = if tensor.odd.is_empty() { String::new() } else { format!("  ! {}", tensor.odd) };
        let _ = writeln!(
            text,
            "{:<width$} {:<16} {:<5} {:>10.5} {:>10.5} {:>10.4} {:>10.4}{odd}",
            tensor.name,
            format!("{:?}", tensor.shape),
            tensor.dtype,
            tensor.mean,
            tensor.std,
            tensor.lowest,
            tensor.highest
        );
    }
    let odd = report.odd().count();
    let _ = writeln!(text, "\n{} tensors, {odd} of them odd", report.tensors.len());
    text
}
