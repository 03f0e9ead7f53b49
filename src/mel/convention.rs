//! Everything that changes a number in a mel spectrogram.
//!
//! Programs agree on the words "log mel" and on little else: the field's most reported failure is a mel computed by one
//! convention and rendered by another. A convention is therefore data, stored with every model and every mel that
//! audiodiff writes, and compared before anything is rendered.

use crate::{Error, Fault, Result, dsp::stft::Edge};
use serde::{Deserialize, Serialize};

/// Samples of the longest transform, and the most bands: four times what any program is known to use. They bound what a
/// convention of a few hundred bytes can ask for: 34 MB of filter bank.
const LONGEST_TRANSFORM: usize = 1 << 15;
const MOST_BANDS: usize = 512;

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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogBase {
    Natural,
    /// log10
    Ten,
    /// 20 log10
    Decibel,
    /// No logarithm but a power, below 1: a fourth root is `power_law = 0.25`.
    PowerLaw(f64),
}

/// Where frame 0 lies, and how many frames there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// n_fft/2 samples of padding at both ends: frame k is centred on sample k hop, 1 + n/hop frames.
    Centred,
    /// As `Centred`, without the last frame: n/hop frames.
    CentredCut,
    /// (n_fft - hop)/2 samples of padding at both ends: frame k is centred on sample (k + 1/2) hop, n/hop frames.
    HalfHop,
    /// No padding before, zeros after: frame k begins at sample k hop, ceil(n/hop) frames.
    PadEnd,
}

/// The order in which the array is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[M, T]`
    BandsFirst,
    /// `[T, M]`
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
    /// Hz of the waveform that the program's own vocoder gives, where it is not `sample_rate`: the rate of the rendering
    /// where none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_rate: Option<u32>,
    pub n_fft: usize,
    /// Samples of the Hann window, centred in `n_fft`.
    pub win_length: usize,
    /// The window is symmetric, its first sample equal to its last, not periodic.
    #[serde(default, skip_serializing_if = "is_default")]
    pub symmetric_window: bool,
    pub hop: usize,
    pub n_mels: usize,
    /// Hz, lower edge of the lowest band.
    pub f_min: f64,
    /// Hz, upper edge of the highest band.
    pub f_max: f64,
    /// Hz of the audio that the filters were built for, where it is not `sample_rate`: they are used bin by bin, so that
    /// all their frequencies lie `sample_rate / filter_rate` times as high. `f_min` and `f_max` are where they lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_rate: Option<u32>,
    pub scale: MelScale,
    /// Each triangle divided by half its width in Hz, so that all have the same area (Slaney's normalisation).
    pub area_norm: bool,
    /// 1 for magnitudes, 2 for powers.
    pub power: f64,
    /// Added to re² + im² under the square root.
    #[serde(default)]
    pub magnitude_epsilon: f64,
    /// re² + im² below it are raised to it before the square root.
    #[serde(default)]
    pub power_floor: f64,
    /// The STFT divided by the window's Euclidean norm (torchaudio's `normalized=True`).
    pub window_norm: bool,
    pub log: LogBase,
    /// Band values below it are raised to it before the logarithm.
    pub floor: f64,
    /// Added to the band values before the logarithm (`ln(x + a)`); `floor` may be 0 then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub added_floor: f64,
    pub framing: Framing,
    /// What lies beyond the ends is silence, not the signal reflected.
    #[serde(default, skip_serializing_if = "is_default")]
    pub zero_padding: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affine: Option<Affine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<BandStatistics>,
    pub layout: Layout,
    /// Stored from the highest band to the lowest, as a picture's rows are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub falling_bands: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What can be told of a band value under an added floor: float32 keeps a ten-thousandth of it, a network's guess less.
const ADDED_FLOOR_REACH: f64 = 1e-3;

impl MelConvention {
    /// The convention of the built-in model: F5-TTS's, and Vocos' but for the floor.
    pub fn native() -> Self {
        Self::full_band("f5-tts", 24_000, 1024, 256, 100)
    }

    /// Natural logarithms of magnitudes, in `n_mels` bands on HTK's scale from 0 Hz to half of `sample_rate`; frames of
    /// `n_fft` samples, centred, `hop` apart.
    pub fn full_band(name: impl Into<String>, sample_rate: u32, n_fft: usize, hop: usize, n_mels: usize) -> Self {
        Self {
            name: name.into(),
            sample_rate,
            output_rate: None,
            n_fft,
            win_length: n_fft,
            symmetric_window: false,
            hop,
            n_mels,
            f_min: 0.0,
            f_max: f64::from(sample_rate) / 2.0,
            filter_rate: None,
            scale: MelScale::Htk,
            area_norm: false,
            power: 1.0,
            magnitude_epsilon: 0.0,
            power_floor: 0.0,
            window_norm: false,
            log: LogBase::Natural,
            floor: 1e-5,
            added_floor: 0.0,
            framing: Framing::Centred,
            zero_padding: false,
            affine: None,
            statistics: None,
            layout: Layout::BandsFirst,
            falling_bands: false,
        }
    }

    /// The first field in which `other` has other numbers, and its value in both; names don't count.
    pub fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let fields = |c: &Self| match serde_json::to_value(c) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (own, others) = (fields(self), fields(other));
        let shown = |value: Option<&serde_json::Value>| value.map_or("none".into(), ToString::to_string);
        let names = own.keys().chain(others.keys().filter(|name| !own.contains_key(*name)));
        let mut differing = names.filter(|name| *name != "name" && own.get(*name) != others.get(*name));
        differing.next().map(|name| (name.clone(), shown(own.get(name)), shown(others.get(name))))
    }

    /// Bins of the STFT.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Frames that `samples` audio samples give.
    pub fn frames(&self, samples: usize) -> usize {
        match self.framing {
            Framing::Centred => 1 + samples / self.hop,
            Framing::CentredCut | Framing::HalfHop => samples / self.hop,
            Framing::PadEnd => samples.div_ceil(self.hop),
        }
    }

    /// Audio samples that `frames` frames stand for, where nothing else is known.
    pub fn samples(&self, frames: usize) -> usize {
        match self.framing {
            Framing::Centred => frames.saturating_sub(1) * self.hop,
            Framing::CentredCut | Framing::HalfHop | Framing::PadEnd => frames * self.hop,
        }
    }

    /// What lies before the first and after the last sample.
    pub fn edge(&self) -> Edge {
        if self.zero_padding || self.framing == Framing::PadEnd { Edge::Zero } else { Edge::Reflect }
    }

    /// Hz, of a rendering for which no rate is asked.
    pub fn rendered_rate(&self) -> u32 {
        self.output_rate.unwrap_or(self.sample_rate)
    }

    /// The lowest band value that the stored numbers tell from nothing.
    pub fn lowest_band_value(&self) -> f64 {
        self.floor.max(self.added_floor * ADDED_FLOOR_REACH)
    }

    /// The first sample of frame `t`'s `n_fft` samples; the window lies in their middle.
    pub fn frame_start(&self, t: usize) -> isize {
        let begin = (t * self.hop) as isize;
        match self.framing {
            Framing::Centred | Framing::CentredCut => begin - (self.n_fft / 2) as isize,
            Framing::HalfHop => begin - ((self.n_fft - self.hop) / 2) as isize,
            // The window, not the transform, begins with the hop; where the zeros around it lie changes the phase alone.
            Framing::PadEnd => begin - ((self.n_fft - self.win_length) / 2) as isize,
        }
    }

    /// The band value `value` as it is stored in band `m`: floored, its logarithm, mapped, clipped, standardised.
    pub fn stored(&self, m: usize, value: f64) -> f64 {
        let mut v = self.log.of((value + self.added_floor).max(self.floor));
        if let Some(affine) = &self.affine {
            v = affine.scale * v + affine.offset;
            if let Some([low, high]) = affine.clip {
                v = v.clamp(low, high);
            }
        }
        match &self.statistics {
            Some(s) => (v - s.mean[m]) / s.std[m],
            None => v,
        }
    }

    /// The band value that stands stored as `stored` in band `m`; where it was floored or clipped, the edge.
    pub fn linear(&self, m: usize, stored: f64) -> f64 {
        let mut v = stored;
        if let Some(s) = &self.statistics {
            v = v * s.std[m] + s.mean[m];
        }
        if let Some(affine) = &self.affine {
            v = (v - affine.offset) / affine.scale;
        }
        let value = self.log.inverse(v);
        if self.added_floor == 0.0 {
            return value;
        }
        // A network's guess may lie below what is added; there it goes on falling, so that how far it is can be seen.
        (value - self.added_floor).max(value * ADDED_FLOOR_REACH)
    }

    /// How much a stored value grows when the natural logarithm of the band value grows by 1 (before statistics).
    pub fn stored_slope(&self) -> f64 {
        self.log.per_nat() * self.affine.map_or(1.0, |a| a.scale)
    }

    /// Whether a mel can be computed by it at all.
    ///
    /// # Errors
    /// `Error::Convention` with the field that is impossible or contradicts another.
    pub fn validate(&self) -> Result<()> {
        let fault = |field: &str, found: String, expected: &str| {
            Err(Error::Convention(Fault::new(format!("convention {}: {field}", self.name), found).expected(expected)))
        };
        let nyquist = f64::from(self.sample_rate) / 2.0;
        if !(1000..=384_000).contains(&self.sample_rate) {
            return fault("sample_rate", format!("{} Hz", self.sample_rate), "1000 to 384000 Hz");
        }
        if !(16..=LONGEST_TRANSFORM).contains(&self.n_fft) || !self.n_fft.is_multiple_of(2) {
            let range = format!("an even number from 16 to {LONGEST_TRANSFORM}");
            return fault("n_fft", self.n_fft.to_string(), &range);
        }
        if let Some(rate) = self.output_rate
            && !(1000..=384_000).contains(&rate)
        {
            return fault("output_rate", format!("{rate} Hz"), "1000 to 384000 Hz");
        }
        if let Some(rate) = self.filter_rate
            && !(1000..=384_000).contains(&rate)
        {
            return fault("filter_rate", format!("{rate} Hz"), "1000 to 384000 Hz");
        }
        if self.win_length < 2 || self.win_length > self.n_fft {
            return fault("win_length", self.win_length.to_string(), &format!("2 to n_fft ({})", self.n_fft));
        }
        // No program overlaps its frames by more than a few dozen times; each costs a transform.
        let least = self.n_fft.div_ceil(256).max(1);
        if self.hop < least || self.hop > self.win_length {
            return fault("hop", self.hop.to_string(), &format!("{least} to win_length ({})", self.win_length));
        }
        if self.n_mels == 0 || self.n_mels > self.bins() {
            return fault("n_mels", self.n_mels.to_string(), &format!("1 to the STFT's bins ({})", self.bins()));
        }
        if self.n_mels > MOST_BANDS {
            return fault("n_mels", self.n_mels.to_string(), &format!("1 to {MOST_BANDS}"));
        }
        if !(self.f_min >= 0.0 && self.f_min < nyquist) {
            return fault("f_min", format!("{} Hz", self.f_min), &format!("0 to below half the rate ({nyquist} Hz)"));
        }
        if !(self.f_max > self.f_min && self.f_max <= nyquist) {
            let range = format!("above f_min ({} Hz), up to half the rate ({nyquist} Hz)", self.f_min);
            return fault("f_max", format!("{} Hz", self.f_max), &range);
        }
        if !(self.power > 0.0 && self.power <= 4.0) {
            return fault("power", self.power.to_string(), "1 (magnitudes) or 2 (powers)");
        }
        for (field, value) in [("magnitude_epsilon", self.magnitude_epsilon), ("power_floor", self.power_floor)] {
            if !(0.0..=1.0).contains(&value) {
                return fault(field, value.to_string(), "0 to 1");
            }
        }
        if let LogBase::PowerLaw(exponent) = self.log
            && !(0.05..=1.0).contains(&exponent)
        {
            return fault("log.power_law", exponent.to_string(), "an exponent from 0.05 to 1");
        }
        if !(0.0..=1.0).contains(&self.added_floor) {
            return fault("added_floor", self.added_floor.to_string(), "0 to 1");
        }
        let may_be_0 = self.added_floor > 0.0 || matches!(self.log, LogBase::PowerLaw(_));
        if !(self.floor > 0.0 && self.floor < 1.0 || self.floor == 0.0 && may_be_0) {
            return fault("floor", self.floor.to_string(), "above 0 (the logarithm of 0 is not finite) and below 1");
        }
        if let Some(Affine { scale, offset, clip }) = self.affine {
            if !scale.is_finite() || scale == 0.0 {
                return fault("affine.scale", scale.to_string(), "a finite number other than 0");
            }
            if !offset.is_finite() {
                return fault("affine.offset", offset.to_string(), "a finite number");
            }
            if let Some([low, high]) = clip
                && !(low < high && low.is_finite() && high.is_finite())
            {
                return fault("affine.clip", format!("{low} to {high}"), "a lower and a higher finite number");
            }
        }
        if let Some(BandStatistics { mean, std }) = &self.statistics {
            for (field, values) in [("statistics.mean", mean), ("statistics.std", std)] {
                if values.len() != self.n_mels {
                    let expected = format!("one for each of the {} bands", self.n_mels);
                    return fault(field, format!("{} values", values.len()), &expected);
                }
            }
            if let Some(v) = mean.iter().find(|v| !v.is_finite()) {
                return fault("statistics.mean", v.to_string(), "finite numbers");
            }
            if let Some(v) = std.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
                return fault("statistics.std", v.to_string(), "finite numbers above 0");
            }
        }
        Ok(())
    }
}

impl LogBase {
    /// The logarithm of a band value.
    pub fn of(self, value: f64) -> f64 {
        match self {
            Self::Natural => value.ln(),
            Self::Ten => value.log10(),
            Self::Decibel => 20.0 * value.log10(),
            Self::PowerLaw(exponent) => value.powf(exponent),
        }
    }

    /// The band value of a logarithm.
    pub fn inverse(self, log: f64) -> f64 {
        match self {
            Self::Natural => log.exp(),
            Self::Ten => 10f64.powf(log),
            Self::Decibel => 10f64.powf(log / 20.0),
            // What lies at or below 0 is a value too small to be stored.
            Self::PowerLaw(exponent) => log.max(1e-3).powf(1.0 / exponent),
        }
    }

    /// How much it grows when the natural logarithm of the band value grows by 1; of a power, at a band value of 1.
    pub fn per_nat(self) -> f64 {
        match self {
            Self::Natural => 1.0,
            Self::Ten => std::f64::consts::LOG10_E,
            Self::Decibel => 20.0 * std::f64::consts::LOG10_E,
            Self::PowerLaw(exponent) => exponent,
        }
    }
}
