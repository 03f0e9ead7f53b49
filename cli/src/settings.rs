//! The options that every command that renders takes: the network, the device, the work put into a second of sound.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use audiodiff::{
    Error, Fault, Remedy, Result,
    batch::Models,
    card::Effort,
    families,
    model::{Builtin, DeviceChoice, Precision, Quality, RuntimeOptions},
    vocoder::Vocoder,
};
use clap::{Args, ValueEnum};

/// Which network, and where it runs.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Model")]
pub struct ModelFlags {
    /// auto (builtin-44k for mels of 32 kHz and above and for recordings with sound over 12 kHz, builtin for all else), one of
    /// these, griffin-lim (no network, for comparison), or the path of a model file
    #[arg(short, long, default_value = "auto", env = "AUDIODIFF_MODEL")]
    pub model: ModelChoice,
    #[command(flatten)]
    pub runtime: RuntimeFlags,
}

/// Where networks run.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Model")]
pub struct RuntimeFlags {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", env = "AUDIODIFF_DEVICE")]
    pub device: DeviceChoice,
    /// Number type of the network; auto takes bf16 where the processor computes in it
    #[arg(long, value_enum, default_value = "auto", env = "AUDIODIFF_PRECISION")]
    pub precision: PrecisionChoice,
}

/// How much work goes into a second of sound.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Quality")]
pub struct QualityFlags {
    /// A named set of the four settings below, which win over it (speech, 2 cores without bf16); griffin-lim takes 30, 60
    /// or 120 iterations
    #[arg(long, value_enum, default_value = "standard", env = "AUDIODIFF_QUALITY")]
    pub quality: QualityChoice,
    /// Projection iterations of the first waveform, before the network is asked; 0: it begins with the noise
    #[arg(long, env = "AUDIODIFF_START_ITERATIONS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub start_iterations: Option<u64>,
    /// Denoising steps, 0 to 64; 0: the first waveform is the sound
    #[arg(long, env = "AUDIODIFF_STEPS", value_parser = clap::value_parser!(u64).range(0..=64))]
    pub steps: Option<u64>,
    /// Projection iterations in each step but the last
    #[arg(long, env = "AUDIODIFF_ITERATIONS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub iterations: Option<u64>,
    /// Projection iterations in the last step, or after a start that no step follows
    #[arg(long, env = "AUDIODIFF_FINAL_ITERATIONS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub final_iterations: Option<u64>,
    /// Seed of the noise, a number or "random"; the same seed gives the same sound
    #[arg(long, default_value = "0", env = "AUDIODIFF_SEED")]
    pub seed: SeedChoice,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    Auto,
    Builtin(Builtin),
    GriffinLim,
    File(PathBuf),
}

impl ModelChoice {
    /// The model file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Auto | Self::Builtin(_) | Self::GriffinLim => None,
        }
    }
}

impl FromStr for ModelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty name".into()),
            "auto" => Ok(Self::Auto),
            "griffin-lim" | "griffin_lim" | "griffinlim" => Ok(Self::GriffinLim),
            name => Ok(Builtin::named(name).map_or_else(|| Self::File(name.into()), Self::Builtin)),
        }
    }
}

impl fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Builtin(model) => f.write_str(model.name()),
            Self::GriffinLim => f.write_str("griffin-lim"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionChoice {
    Auto,
    F32,
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QualityChoice {
    /// A start of 16 iterations, no step, 32 more: PESQ 4.18, 41 x real time on two cores
    Draft,
    /// A start of 32 iterations, 1 step with 96: PESQ 4.29, 20 x real time on two cores
    Standard,
    /// A start of 32 iterations, 2 steps with 16, 256 in the last: PESQ 4.32, 10 x real time on two cores
    Best,
}

impl From<QualityChoice> for Quality {
    fn from(choice: QualityChoice) -> Self {
        match choice {
            QualityChoice::Draft => Self::Draft,
            QualityChoice::Standard => Self::Standard,
            QualityChoice::Best => Self::Best,
        }
    }
}

impl From<PrecisionChoice> for Precision {
    fn from(choice: PrecisionChoice) -> Self {
        match choice {
            PrecisionChoice::Auto => Self::Auto,
            PrecisionChoice::F32 => Self::F32,
            PrecisionChoice::Bf16 => Self::Bf16,
        }
    }
}

impl ModelFlags {
    /// Loads what was chosen, one or two; `threads` share the work on one window.
    pub fn models(&self, threads: usize) -> Result<Models> {
        match self.model {
            ModelChoice::Auto => Models::auto(self.runtime.options(threads)),
            _ => Ok(self.vocoder(threads)?.into()),
        }
    }

    /// Loads what was chosen, the 24 kHz model for auto; `threads` share the work on one window.
    pub fn vocoder(&self, threads: usize) -> Result<Arc<dyn Vocoder>> {
        self.model.vocoder(&self.runtime, threads)
    }
}

impl RuntimeFlags {
    pub fn options(&self, threads: usize) -> RuntimeOptions {
        RuntimeOptions { device: self.device, precision: self.precision.into(), threads }
    }
}

impl ModelChoice {
    /// Loads it; `threads` share the work on one window.
    pub fn vocoder(&self, runtime: &RuntimeFlags, threads: usize) -> Result<Arc<dyn Vocoder>> {
        match self {
            Self::Auto => families::builtin(Builtin::Default, &runtime.options(threads)),
            Self::Builtin(model) => families::builtin(*model, &runtime.options(threads)),
            Self::File(path) => families::open(path, &runtime.options(threads)),
            Self::GriffinLim => families::griffin_lim(threads),
        }
    }
}

impl QualityFlags {
    /// The named effort of the model with what was given explicitly in its place.
    ///
    /// # Errors
    /// [`Error::Settings`] for a number that the model has no use for.
    pub fn effort(&self, vocoder: &dyn Vocoder) -> Result<Effort> {
        let count = |given: Option<u64>| given.and_then(|given| usize::try_from(given).ok());
        let given = Effort::given([
            ("start_iterations", count(self.start_iterations)),
            ("steps", count(self.steps)),
            ("iterations", count(self.iterations)),
            ("final_iterations", count(self.final_iterations)),
        ]);
        vocoder.adjusted(vocoder.card().efforts.of(self.quality.into()), &given)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedChoice {
    Fixed(u64),
    Random,
}

impl FromStr for SeedChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            _ => text
                .parse()
                .map(Self::Fixed)
                .map_err(|_| "expected a whole number from 0 to 2^64 - 1, or random".into()),
        }
    }
}

impl SeedChoice {
    /// The number, drawn from the system's clock and addresses where "random" was asked for.
    pub fn number(self) -> u64 {
        use std::hash::{BuildHasher as _, RandomState};
        match self {
            Self::Fixed(seed) => seed,
            // RandomState is keyed by the operating system's random generator. 32 bits: short enough to type again.
            Self::Random => RandomState::new().hash_one(std::time::SystemTime::now()) >> 32,
        }
    }
}

/// `I/N`: part I of N, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardChoice {
    pub index: usize,
    pub count: usize,
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err("expected I/N with I from 1 to N, for instance 2/8".into()),
        }
    }
}

/// A settings error that names the option as it is typed.
pub fn wrong(option: &str, found: impl Into<String>, remedy: impl Into<Remedy>) -> Error {
    Error::Settings(Fault::new(option, found).remedy(remedy))
}
