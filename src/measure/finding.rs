//! From measures to sentences: what is wrong with a recording, and what must be mended before a model is trained on it.

use super::Measures;
use crate::{audio::reader::SourceInfo, mel::MelConvention};
use serde::Serialize;

/// What may be the matter with a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// It cannot be read to its end.
    Broken,
    /// Nothing is louder than -60 dB.
    Silent,
    /// Another file holds the same sound.
    Duplicate,
    Clipped,
    /// The mix to mono loses most of the sound: one channel is the other upside down.
    ChannelsCancel,
    /// Above some frequency there is nothing, though the model has bands there.
    BandLimited,
    DcOffset,
    Hum,
    /// Shorter than the windows that training cuts.
    TooShort,
    /// What is heard in the quiet moments is noise, not far below the loud ones.
    Noisy,
    LongSilence,
    Quiet,
    /// Far from the loudness of the others.
    LoudnessOutlier,
    /// Its header does not say where the sound ends.
    NoLength,
    /// A low-pass at or above the end of the model's bands, as lossy formats have.
    LowPass,
}

impl Concern {
    /// A model that is trained on it learns the fault. The rest is dropped by itself, or only worth knowing.
    pub fn must_be_fixed(self) -> bool {
        use Concern::*;
        matches!(self, Broken | Silent | Duplicate | Clipped | ChannelsCancel | BandLimited | DcOffset | Hum)
    }

    /// In two or three words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::Duplicate => "duplicate",
            Self::Clipped => "clipped",
            Self::ChannelsCancel => "channels cancel",
            Self::BandLimited => "band-limited",
            Self::DcOffset => "DC offset",
            Self::Hum => "hum",
            Self::TooShort => "too short",
            Self::Noisy => "noisy",
            Self::LongSilence => "long silence",
            Self::Quiet => "quiet",
            Self::LoudnessOutlier => "loudness outlier",
            Self::NoLength => "no length stated",
            Self::LowPass => "low-passed",
        }
    }
}

/// Something that was found in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub concern: Concern,
    pub must_be_fixed: bool,
    /// A sentence, the file before it.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(concern: Concern, message: impl Into<String>) -> Self {
        Self { concern, must_be_fixed: concern.must_be_fixed(), message: message.into() }
    }
}

/// Of full scale: 40 dB below it.
const DC_OFFSET: f64 = 0.003;
/// dB between the loud moments and the noise: less is heard as noise.
const SIGNAL_TO_NOISE_DB: f64 = 25.0;
/// dB that the quiet moments may be above their noise and be nothing else. In music without pauses something sounds there.
const NOTHING_ELSE_DB: f64 = 4.0;
/// s: what sounds for less time may never pause.
const LONG_ENOUGH_S: f64 = 2.0;
/// dB from the loud parts to a hum that is learned with them.
const SIGNAL_TO_HUM_DB: f64 = 40.0;
/// s at either end.
const SILENCE_AT_AN_END_S: f64 = 1.5;
const SILENT_SHARE: f64 = 0.6;
const QUIET_LUFS: f64 = -42.0;
/// Of the mean square over the channels: what is left when they cancel.
const CANCELLED: f64 = 0.02;
/// Of the model's highest frequency: nobody misses the tenth octave from here up, and 22.05 kHz recordings pass.
const FULL_BAND: f64 = 0.85;

/// What the measures of a recording say. `source` is what its file said, where there is one.
pub fn findings(measures: &Measures, source: Option<&SourceInfo>) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut add = |concern, message: String| all.push(Finding::new(concern, message));
    if source.is_some_and(|source| !source.states_length) {
        let found = "its header does not say how long it is, as after a pipe or a recording that was stopped";
        add(Concern::NoLength, format!("{found}; what the file holds is taken"));
    }
    if let Some(left) = cancelled(measures, source) {
        add(
            Concern::ChannelsCancel,
            format!("its channels cancel in the mix to mono, which keeps {left:.1} % of the sound; one is upside down"),
        );
    } else if measures.silent {
        let peak = measures.peak_dbfs.map_or("digital silence".into(), |peak| format!("its peak is {peak:.0} dBFS"));
        add(Concern::Silent, format!("silent ({peak})"));
    }
    if super::is_too_short(measures.samples, measures.sample_rate) {
        add(
            Concern::TooShort,
            format!("only {:.2} s long; training takes {:.2} s and more", measures.seconds, super::SHORTEST_S),
        );
    }
    if measures.silent {
        return all;
    }
    let clipped = source.map_or(0, |source| source.clipped_samples);
    if measures.clipping.is_heard() {
        let at = measures.peak_dbfs.unwrap_or(0.0);
        let (runs, ms) =
            (measures.clipping.runs, 1000.0 * measures.clipping.samples as f64 / f64::from(measures.sample_rate));
        add(Concern::Clipped, format!("clipped in {runs} places, {ms:.1} ms in all, at {at:.1} dBFS"));
    } else if clipped >= 3 * super::clipping::Clipping::FEWEST_RUNS {
        add(Concern::Clipped, format!("clipped in a channel, {clipped} samples at full scale"));
    }
    let stored_rate = source.map_or(measures.sample_rate, |source| source.sample_rate);
    all.extend(band_limit(measures, stored_rate));
    let mut add = |concern, message: String| all.push(Finding::new(concern, message));
    if measures.dc_offset.abs() >= DC_OFFSET {
        add(Concern::DcOffset, format!("a DC offset of {:+.4} of full scale", measures.dc_offset));
    }
    let heard = |level: f64, distance: f64| measures.loud_dbfs - level < distance;
    if let Some(hum) = measures.hum.filter(|hum| heard(f64::from(hum.level_dbfs), SIGNAL_TO_HUM_DB)) {
        add(Concern::Hum, format!("hum of {} Hz and its multiples at {:.0} dBFS", hum.hz, hum.level_dbfs));
    }
    let can_tell = measures.hum.is_none() && measures.seconds >= LONG_ENOUGH_S;
    let is_all = |noise: &f64| can_tell && measures.quiet_dbfs - noise < NOTHING_ELSE_DB;
    let noise = measures.noise_floor_dbfs.filter(|noise| heard(*noise, SIGNAL_TO_NOISE_DB));
    if let Some(noise) = noise.filter(is_all) {
        let distance = measures.loud_dbfs - noise;
        add(Concern::Noisy, format!("noise of {noise:.0} dBFS, only {distance:.0} dB below the loud parts"));
    }
    let (leading, trailing) = (measures.leading_silence_s, measures.trailing_silence_s);
    if leading > SILENCE_AT_AN_END_S || trailing > SILENCE_AT_AN_END_S || measures.silence_share > SILENT_SHARE {
        let share = 100.0 * measures.silence_share;
        add(
            Concern::LongSilence,
            format!("{share:.0} % silence, {leading:.1} s before and {trailing:.1} s after the sound"),
        );
    }
    if let Some(lufs) = measures.loudness_lufs.filter(|lufs| *lufs < QUIET_LUFS) {
        add(Concern::Quiet, format!("very quiet ({lufs:.0} LUFS)"));
    }
    all
}

/// The share in percent that is left of the sound, where the channels cancel.
fn cancelled(measures: &Measures, source: Option<&SourceInfo>) -> Option<f64> {
    let source = source.filter(|source| source.channels > 1 && source.mean_square > 1e-6)?;
    let left = measures.mean_square / source.mean_square;
    (left < CANCELLED).then_some(100.0 * left)
}

/// What is missing at the top, of what the model renders or of what the rate could hold. A recording that was resampled on
/// the way had another `stored_rate` in its file.
fn band_limit(measures: &Measures, stored_rate: u32) -> Option<Finding> {
    let (top, half_rate) = (MelConvention::native().f_max, f64::from(stored_rate.min(measures.sample_rate)) / 2.0);
    let bandwidth = measures.bandwidth_hz.min(half_rate);
    let material = measures.material_rate.filter(|material| *material < stored_rate);
    let stored = kilohertz(stored_rate);
    let named = material.map(|material| format!("{} kHz material stored at {stored} kHz", kilohertz(material)));
    if bandwidth >= FULL_BAND * top {
        let message = match named {
            Some(named) => named,
            None if bandwidth >= FULL_BAND * half_rate => return None,
            None => format!("nothing above {:.1} kHz, as after MP3 or AAC at a low bit rate", bandwidth / 1000.0),
        };
        return Some(Finding::new(Concern::LowPass, message));
    }
    let missing = format!("the model's bands from {:.1} to {:.0} kHz are empty", bandwidth / 1000.0, top / 1000.0);
    let message = match named {
        Some(named) => format!("{named}; {missing}"),
        None if bandwidth >= FULL_BAND * half_rate => format!("a recording of {stored} kHz; {missing}"),
        None => format!("nothing above {:.1} kHz, though stored at {stored} kHz; {missing}", bandwidth / 1000.0),
    };
    Some(Finding::new(Concern::BandLimited, message))
}

/// `24`, `44.1`, `11.025`.
fn kilohertz(hz: u32) -> String {
    format!("{}", f64::from(hz) / 1000.0)
}

/// What explains a rendering that sounds bad, of a recording whose mel is rendered: it is as clipped, dull or humming as
/// the recording was.
pub fn explanations(measures: &Measures, source: &SourceInfo, mixed: bool) -> Vec<String> {
    use Concern::{BandLimited, ChannelsCancel, Clipped, DcOffset, Hum, NoLength, Silent};
    let explains = [BandLimited, ChannelsCancel, Clipped, DcOffset, Hum, NoLength, Silent];
    let told = |concern| explains.contains(&concern) && (mixed || concern != ChannelsCancel);
    let found = findings(measures, Some(source)).into_iter();
    found.filter(|finding| told(finding.concern)).map(|finding| finding.message).collect()
}
