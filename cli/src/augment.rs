//! `audiodiff data augment`: a larger data set of the recordings that are there.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use audiodiff::{
    Error, Fault, Result,
    batch::{Existing, Inputs},
    data::{
        Copies, CopySettings, Variation,
        augment::{
            AddedNoise, AugmentSettings, Augmenter, Bandwidth, Gain, Interval, Mix, NoiseColour, Pitch, Pool, Reverb,
            Tempo,
        },
    },
    number_range::NumberRange,
};
use clap::{Args, ValueEnum};

use crate::{
    Outcome, interrupt,
    items::ItemsRun,
    render::{FormatChoice, share_cores},
    settings::{ModelFlags, QualityFlags, SeedChoice, wrong},
    terminal::Terminal,
};

/// Write augmented copies of recordings, and what the model makes of them
///
/// Nothing is done that is not asked for. The copies are mono WAV files under the recordings' names; the manifest keeps what
/// was drawn for each, and a run that was interrupted goes on where it stopped. An amount is a number, or LOW:HIGH, of which
/// each copy draws one.
#[derive(Args, Debug)]
pub struct AugmentFlags {
    /// Folders, searched in every depth, or recordings
    #[arg(required = true, value_name = "DIR")]
    inputs: Vec<PathBuf>,
    /// The folder for the copies; what was found in a folder keeps its place below it
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Copies of each recording; a single one keeps its name, several are numbered: x-1.wav, x-2.wav
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    copies: u64,
    /// A TOML file with the augmentations, as train takes them; options given here win
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,

    #[command(flatten)]
    what: WhatFlags,

    /// Render S variants of each copy with the model instead of keeping the copy itself: the same mel, other noise
    #[arg(long, value_name = "S", help_heading = "Variants", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    vary: Option<u64>,
    #[command(flatten)]
    quality: QualityFlags,
    #[command(flatten)]
    model: ModelFlags,

    #[command(flatten)]
    writing: WritingFlags,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Augmentations, in this order")]
struct WhatFlags {
    /// How many times as fast, at the same pitch: 0.9:1.1
    #[arg(long, value_name = "FACTOR")]
    tempo: Option<Interval>,
    /// Hundredths of a semitone higher or lower, at the same tempo: -200:200
    #[arg(long, value_name = "CENTS", allow_hyphen_values = true)]
    pitch: Option<Interval>,
    /// Another recording at the same time, at this level relative to the first: -15:-5
    #[arg(long, value_name = "DB", allow_hyphen_values = true)]
    mix: Option<Interval>,
    /// Where the others are taken from; from the recordings themselves where not given
    #[arg(long, value_name = "DIR", requires = "mix")]
    mix_from: Option<PathBuf>,
    /// A synthetic room, by the seconds in which its sound falls by 60 dB [0.2:0.8 where no number is given]
    #[arg(long, value_name = "RT60", num_args = 0..=1, default_missing_value = "0.2:0.8")]
    reverb: Option<Interval>,
    /// Rooms from a folder of impulse responses
    #[arg(long, value_name = "DIR", conflicts_with = "reverb")]
    reverb_from: Option<PathBuf>,
    /// Noise at this signal-to-noise ratio: 10:30
    #[arg(long, value_name = "DB", allow_hyphen_values = true)]
    noise: Option<Interval>,
    /// How the noise's power falls with frequency [default: pink]
    #[arg(long, value_enum, requires = "noise")]
    noise_colour: Option<ColourChoice>,
    /// Where noise is taken from, in place of coloured noise
    #[arg(long, value_name = "DIR", requires = "noise", conflicts_with = "noise_colour")]
    noise_from: Option<PathBuf>,
    /// A low-pass that leaves nothing above this frequency: 3400:8000
    #[arg(long, value_name = "HZ")]
    bandwidth: Option<Interval>,
    /// Louder or quieter: -12:3
    #[arg(long, value_name = "DB", allow_hyphen_values = true)]
    gain: Option<Interval>,
    /// The chance of each augmentation that is asked for here
    #[arg(long, value_name = "0..1", default_value = "1", value_parser = |text: &str| NumberRange::new(0.0, 1.0).parse(text))]
    chance: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColourChoice {
    /// The same in every hertz
    White,
    /// 3 dB less an octave
    Pink,
    /// 6 dB less an octave
    Brown,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Writing")]
struct WritingFlags {
    /// Sample rate of the copies in Hz
    #[arg(long, value_name = "HZ", default_value = "24000", value_parser = clap::value_parser!(u32).range(4_000..=384_000))]
    rate: u32,
    /// Sample format of the copies; pcm16 is dithered
    #[arg(long, value_enum, default_value = "pcm16", env = "AUDIODIFF_FORMAT")]
    format: FormatChoice,
    /// A line of JSON for each copy, with what was done; OUT/augment.jsonl where not given
    #[arg(long, value_name = "FILE.jsonl")]
    manifest: Option<PathBuf>,
    /// Overwrite copies that are there already and were made otherwise
    #[arg(short = 'y', long, conflicts_with = "no_clobber")]
    overwrite: bool,
    /// Skip them
    #[arg(short = 'n', long)]
    no_clobber: bool,
    /// Copies made at the same time
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_JOBS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Print a JSON object for each copy on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(flags: AugmentFlags, terminal: &Terminal) -> Result<Outcome> {
    let settings = flags.augmentations()?.validated(flags.writing.rate)?;
    if settings.is_off() && flags.vary.is_none() {
        let remedy = "ask for one, --gain -12:3 for instance, or for --vary; see audiodiff data augment --help";
        return Err(wrong("data augment", "no augmentation is asked for", remedy));
    }
    let mut inputs = Inputs::default();
    let mut unreadable = Vec::new();
    for input in &flags.inputs {
        match fs::metadata(input) {
            Ok(_) => inputs.add_recordings(input, Some(&flags.output)),
            Err(error) => unreadable.push(Error::io("cannot open", input)(error)),
        }
    }
    unreadable.append(&mut inputs.unreadable);
    inputs.keep_one_of_each_name(0);
    terminal.left_out(&inputs.left_out);
    let found = inputs.found;
    if found.is_empty() {
        let nothing = || wrong("DIR", "no recording there", "name recordings, or folders of these");
        return Err(unreadable.into_iter().next().unwrap_or_else(nothing));
    }
    fs::create_dir_all(&flags.output).map_err(Error::io("cannot create", &flags.output))?;

    let stop = interrupt::stop_flag();
    let own = match &settings.mix {
        Some(Mix { from: None, .. }) => Some(Arc::new(Pool::of_files(&found, flags.writing.rate, stop)?)),
        _ => None,
    };
    let augmenter = Augmenter::new(&settings, flags.writing.rate, own, stop)?;
    let count = |given: u64| usize::try_from(given).unwrap_or(usize::MAX);
    let (copies, variants) = (count(flags.copies), flags.vary.map_or(0, count));
    let (jobs, threads) = share_cores(flags.writing.jobs, None, found.len() * copies * variants.max(1));
    let variation = flags.vary.map(|_| flags.variation(threads)).transpose()?;
    // All draws follow from it: the augmentations', and the noise of the variants.
    let seed = flags.quality.seed.number();
    if flags.quality.seed == SeedChoice::Random {
        terminal.note(format_args!("seed {seed}"));
    }
    let settings =
        CopySettings { copies, variants, seed, sample_rate: flags.writing.rate, format: flags.writing.format.into() };
    let (plan, maker) = Copies::plan(&found, &flags.output, settings, augmenter, variation)?;
    plan.keep_off(flags.files_beside().iter().map(PathBuf::as_path))?;
    let manifest = flags.writing.manifest.clone().unwrap_or_else(|| flags.output.join("augment.jsonl"));
    let existing = match flags.writing {
        WritingFlags { overwrite: true, .. } => Existing::Overwrite,
        WritingFlags { no_clobber: true, .. } => Existing::Skip,
        _ => Existing::Refuse,
    };
    let run =
        ItemsRun { verb: "written", jobs, existing, manifest: Some(&manifest), json: flags.writing.json, raw: None };
    run.make(&maker, plan, &unreadable, terminal)
}

impl AugmentFlags {
    /// All files that are read but for the recordings themselves.
    fn files_beside(&self) -> Vec<PathBuf> {
        let WhatFlags { mix_from, noise_from, reverb_from, .. } = &self.what;
        let mut inputs = Inputs::default();
        [mix_from, noise_from, reverb_from].into_iter().flatten().for_each(|from| inputs.add(from, None));
        inputs.found.into_iter().map(|found| found.input).collect()
    }

    /// Those of the file, with the options' in their place.
    fn augmentations(&self) -> Result<AugmentSettings> {
        let mut settings = self.config.as_deref().map_or_else(|| Ok(AugmentSettings::default()), from_toml)?;
        let WhatFlags { chance, mix_from, noise_from, noise_colour, .. } = &self.what;
        let chance = *chance as f32;
        if let Some(factor) = self.what.tempo {
            settings.tempo = Some(Tempo { factor, chance });
        }
        if let Some(cents) = self.what.pitch {
            settings.pitch = Some(Pitch { cents, chance });
        }
        if let Some(level_db) = self.what.mix {
            settings.mix = Some(Mix { level_db, from: mix_from.clone(), chance });
        }
        if let Some(rt60_s) = self.what.reverb {
            settings.reverb = Some(Reverb { rt60_s, chance, ..Reverb::default() });
        }
        if let Some(from) = &self.what.reverb_from {
            settings.reverb = Some(Reverb { from: Some(from.clone()), chance, ..Reverb::default() });
        }
        if let Some(snr_db) = self.what.noise {
            let colour = match noise_colour {
                Some(ColourChoice::White) => NoiseColour::White,
                Some(ColourChoice::Brown) => NoiseColour::Brown,
                Some(ColourChoice::Pink) | None => NoiseColour::Pink,
            };
            settings.noise = Some(AddedNoise { snr_db, colour, from: noise_from.clone(), chance });
        }
        if let Some(cut_hz) = self.what.bandwidth {
            settings.bandwidth = Some(Bandwidth { cut_hz, chance });
        }
        if let Some(db) = self.what.gain {
            settings.gain = Some(Gain { db, chance });
        }
        Ok(settings)
    }

    fn variation(&self, threads: usize) -> Result<Variation> {
        let vocoder = self.model.vocoder(threads)?;
        let wanted = vocoder.card().mel.sample_rate;
        if self.writing.rate != wanted {
            let remedy = format!("leave --rate away, or give {wanted}");
            return Err(wrong("--rate", format!("the model renders {wanted} Hz"), remedy));
        }
        let effort = self.quality.effort(vocoder.as_ref())?;
        Ok(Variation { vocoder, effort })
    }
}

fn from_toml(path: &Path) -> Result<AugmentSettings> {
    let text = fs::read_to_string(path).map_err(Error::io("cannot read", path))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let subject = format!("{}: line {line}", path.display());
        Error::Settings(Fault::new(subject, error.message().lines().collect::<Vec<_>>().join("; ")))
    })
}
