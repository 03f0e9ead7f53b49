//! Everything that changes a number in a mel spectrogram.
//!
//! Programs agree on the words "log mel" and on little else: the field's most reported failure is a mel computed by one
//! convention and rendered by another. A convention is therefore data, stored with every model and every mel that
//! audiodiff writes, and compared before anything is rendered.

use serde::{Deserialize, Serialize};

/// The scale on which the bands are equally wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// 2595 log10(1 + f / 700), triangles straight in Hz (torchaudio's default).
    Htk,
    /// Linear below 1 kHz, logarithmic above (Auditory Toolbox, librosa's default).
    Slaney,
    /// The HTK scale with triangles that are straight in mel, not in Hz (TensorFlow's `linear_to_mel_weight_matrix`).
    HtkMelTriangles,
}

/// What the band values pass through before they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogBase {
    Natural,
    /// log10
    Ten,
    /// 20 log10
    Decibel,
}

/// Where frame 0 lies, and how many frames there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// n_fft/2 samples reflected at both ends: frame k is centred on sample k hop, 1 + n/hop frames.
    Centred,
    /// (n_fft - hop)/2 samples reflected at both ends: frame k is centred on sample (k + 1/2) hop, n/hop frames.
    HalfHop,
    /// No padding before, zeros after: frame k begins at sample k hop, ceil(n/hop) frames.
    PadEnd,
}

/// The order in which the array is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// [M, T]
    BandsFirst,
    /// [T, M]
    FramesFirst,
}

/// `stored = clip(scale * log + offset)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    pub scale: f64,
    pub offset: f64,
    /// Lowest and highest value that is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
}

/// `stored = (value - mean) / std` in each band, after the affine map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandStatistics {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

/// A mel convention. `serde` keeps the field names in model files, mel files and users' own TOML or JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConvention {
    pub name: String,
    /// Hz
    pub sample_rate: u32,
    pub n_fft: usize,
    /// Samples of the periodic Hann window, centred in `n_fft`.
    pub win_length: usize,
    pub hop: usize,
    pub n_mels: usize,
    /// Hz, lower edge of the lowest band.
    pub f_min: f64,
    /// Hz, upper edge of the highest band.
    pub f_max: f64,
    pub scale: MelScale,
    /// Each triangle divided by half its width in Hz, so that all have the same area (Slaney's normalisation).
    pub area_norm: bool,
    /// 1 for magnitudes, 2 for powers.
    pub power: f64,
    /// Added to re² + im² under the square root.
    pub magnitude_epsilon: f64,
    /// The STFT divided by the window's Euclidean norm (torchaudio's `normalized=True`).
    pub window_norm: bool,
    pub log: LogBase,
    /// Band values below it are raised to it before the logarithm.
    pub floor: f64,
    pub framing: Framing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affine: Option<Affine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<BandStatistics>,
    pub layout: Layout,
}

impl MelConvention {
    /// The convention of the built-in model: F5-TTS's, and Vocos' but for the floor.
    pub fn native() -> Self {
        Self {
            name: "f5-tts".into(),
            sample_rate: 24_000,
            n_fft: 1024,
            win_length: 1024,
            hop: 256,
            n_mels: 100,
            f_min: 0.0,
            f_max: 12_000.0,
            scale: MelScale::Htk,
            area_norm: false,
            power: 1.0,
            magnitude_epsilon: 0.0,
            window_norm: false,
            log: LogBase::Natural,
            floor: 1e-5,
            framing: Framing::Centred,
            affine: None,
            statistics: None,
            layout: Layout::BandsFirst,
        }
    }

    /// Bins of the STFT.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Frames that `samples` audio samples give.
    pub fn frames(&self, samples: usize) -> usize {
        match self.framing {
            Framing::Centred => 1 + samples / self.hop,
            Framing::HalfHop => samples / self.hop,
            Framing::PadEnd => samples.div_ceil(self.hop),
        }
    }

    /// Audio samples that `frames` frames stand for, where nothing else is known.
    pub fn samples(&self, frames: usize) -> usize {
        match self.framing {
            Framing::Centred => frames.saturating_sub(1) * self.hop,
            Framing::HalfHop | Framing::PadEnd => frames * self.hop,
        }
    }
}
