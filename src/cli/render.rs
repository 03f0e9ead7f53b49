//! `audiodiff render`: mel spectrograms and recordings to WAV files.

use std::path::PathBuf;

use audiodiff::Result;
use clap::{Args, ValueEnum};

use super::{
    Outcome,
    settings::{ModelFlags, QualityFlags, ShardChoice, wrong},
    terminal::Terminal,
};

/// Render mel spectrograms, or the mels of recordings, to WAV files
#[derive(Args, Debug)]
pub struct RenderFlags {
    /// Mel files (.npy .npz .safetensors), recordings (WAV FLAC MP3 OGG), folders of these, or - for a list on standard input
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The WAV file, a folder for <input's name>.wav, or - for standard output; beside the input where not given
    #[arg(short, long, value_name = "FILE|DIR|-")]
    output: Option<PathBuf>,

    #[command(flatten)]
    quality: QualityFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    input: InputFlags,
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
    /// The mel convention: auto, a name (see audiodiff mel conventions) or a file that describes one
    #[arg(long, default_value = "auto", env = "AUDIODIFF_CONVENTION", value_name = "NAME|FILE")]
    pub convention: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// [bands, frames]
    BandsFirst,
    /// [frames, bands]
    FramesFirst,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Sound")]
pub struct SoundFlags {
    /// Sample format of the WAV file; pcm16 is dithered
    #[arg(long, value_enum, default_value = "pcm16", env = "AUDIODIFF_FORMAT")]
    pub format: FormatChoice,
    /// Make the sound louder (quieter where negative) by this many decibels
    #[arg(long, value_name = "DB", allow_negative_numbers = true, conflicts_with = "loudness", env = "AUDIODIFF_GAIN")]
    pub gain: Option<f32>,
    /// Bring each file to this integrated loudness (EBU R 128), for instance -16
    #[arg(long, value_name = "LUFS", allow_negative_numbers = true, env = "AUDIODIFF_LOUDNESS")]
    pub loudness: Option<f32>,
    /// Sample rate of the output in Hz; that of the mel's convention where not given
    #[arg(long, value_name = "HZ", env = "AUDIODIFF_RATE", value_parser = clap::value_parser!(u32).range(4_000..=384_000))]
    pub rate: Option<u32>,
    /// Bare samples without a header
    #[arg(long, visible_alias = "raw")]
    pub output_raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatChoice {
    Pcm16,
    Pcm24,
    Float32,
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

pub fn run(_flags: RenderFlags, _terminal: &Terminal) -> Result<Outcome> {
    Err(wrong("render", "is not connected to the model yet", "wait for it"))
}
