//! The options that every command that renders takes: the network, the device, the work put into a second of sound.

use std::{fmt, path::PathBuf, str::FromStr};

use audiodiff::{Error, Fault, Result};
use clap::{Args, ValueEnum};

/// Which network, and where it runs.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Model")]
pub struct ModelFlags {
    /// builtin, griffin-lim (no network, for comparison), or the path of a model file
    #[arg(short, long, default_value = "builtin", env = "AUDIODIFF_MODEL")]
    pub model: ModelChoice,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", env = "AUDIODIFF_DEVICE")]
    pub device: Device,
    /// Number type of the network; auto takes bf16 where the processor computes in it
    #[arg(long, value_enum, default_value = "auto", env = "AUDIODIFF_PRECISION")]
    pub precision: PrecisionChoice,
}

/// How much work goes into a second of sound.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Quality")]
pub struct QualityFlags {
    /// A named set of --steps, --iterations and --final-iterations, which win over it
    #[arg(long, value_enum, default_value = "standard", env = "AUDIODIFF_QUALITY")]
    pub quality: Quality,
    /// Denoising steps, 1 to 64
    #[arg(long, env = "AUDIODIFF_STEPS", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub steps: Option<u64>,
    /// Projection iterations in each step but the last
    #[arg(long, env = "AUDIODIFF_ITERATIONS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub iterations: Option<u64>,
    /// Projection iterations in the last step
    #[arg(long, env = "AUDIODIFF_FINAL_ITERATIONS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub final_iterations: Option<u64>,
    /// Seed of the noise, a number or "random"; the same seed gives the same sound
    #[arg(long, default_value = "0", env = "AUDIODIFF_SEED")]
    pub seed: SeedChoice,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    Builtin,
    GriffinLim,
    File(PathBuf),
}

impl FromStr for ModelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty name".into()),
            "builtin" => Ok(Self::Builtin),
            "griffin-lim" | "griffin_lim" | "griffinlim" => Ok(Self::GriffinLim),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::GriffinLim => f.write_str("griffin-lim"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Auto,
    Cpu,
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda or cuda:N".into()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
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
pub enum Quality {
    /// 2 steps, 8 iterations, 16 in the last
    Draft,
    /// 4 steps, 8 iterations, 16 in the last
    Standard,
    /// 8 steps, 8 iterations, 16 in the last
    Best,
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
pub fn wrong(option: &str, found: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::Settings(Fault::new(option, found).remedy(remedy))
}
