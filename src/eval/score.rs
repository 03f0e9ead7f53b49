//! All metrics of one rendering, or the reason why it has none.
//!
//! Spectra and loudness are compared over the whole band of the rate, channel by channel where both sides have two, and the
//! mean is given. PESQ and pitch are models of one voice that one ear hears: they get the mix. Two channels that are alike
//! score exactly what one of them does.

use super::{
    StftDistance, alignment, mel_in_nats, mel_l1, mel_of_rate, multi_resolution_mel, pesq_wb, pitch,
    polyphase::resample_sound, stft_distance,
};
use crate::{
    Result,
    audio::level::LevelMeter,
    mel::{MelConvention, MelSpectrogram, extract},
    sound::Sound,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

/// A number for each file. Its name in JSON and CSV is its key in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// P.862.2 listening quality, 1 to 4.64; speech only.
    PesqWb,
    /// Mean difference of one log-mel, given against rendered, nats: the scored model's own, or that of [`mel_of_rate`].
    MelL1,
    /// The same over seven resolutions, nats.
    MrMel,
    /// Spectral convergence over three resolutions.
    StftSc,
    /// Mean difference of the log magnitude over three resolutions, nats.
    StftLog,
    /// F1 of voiced frames, 0 to 1.
    VuvF1,
    /// Root mean square pitch error where both are voiced, cents.
    F0Cents,
    /// Root mean square error of the periodicity, 0 to 1.
    Periodicity,
    /// Integrated loudness (EBU R 128) less the recording's, dB.
    LoudnessDb,
    /// Seconds of sound for each second of rendering.
    XRealTime,
}

/// What a good value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
    NearZero,
}

impl Metric {
    pub const ALL: [Self; 10] = [
        Self::PesqWb,
        Self::MelL1,
        Self::MrMel,
        Self::StftSc,
        Self::StftLog,
        Self::VuvF1,
        Self::F0Cents,
        Self::Periodicity,
        Self::LoudnessDb,
        Self::XRealTime,
    ];

    /// Those that read thousands of clips in minutes: all but PESQ and pitch.
    pub const CHEAP: [Self; 6] =
        [Self::MelL1, Self::MrMel, Self::StftSc, Self::StftLog, Self::LoudnessDb, Self::XRealTime];

    pub fn key(self) -> &'static str {
        match self {
            Self::PesqWb => "pesq_wb",
            Self::MelL1 => "mel_l1",
            Self::MrMel => "mr_mel",
            Self::StftSc => "stft_sc",
            Self::StftLog => "stft_log",
            Self::VuvF1 => "vuv_f1",
            Self::F0Cents => "f0_cents",
            Self::Periodicity => "periodicity",
            Self::LoudnessDb => "loudness_db",
            Self::XRealTime => "x_real_time",
        }
    }

    /// What it measures, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Self::PesqWb => "listening quality of speech by ITU-T P.862.2, 1 to 4.64",
            Self::MelL1 => "mean difference of the model's own log-mel, or of a preset for the rate, nats",
            Self::MrMel => "mean difference of log-mels up to half the rate at seven resolutions, nats",
            Self::StftSc => "spectral convergence at three resolutions",
            Self::StftLog => "mean difference of log magnitudes at three resolutions, nats",
            Self::VuvF1 => "agreement on which frames are voiced (pYIN), 0 to 1",
            Self::F0Cents => "root mean square pitch error where both are voiced (pYIN), cents",
            Self::Periodicity => "root mean square error of the probability of voicing (pYIN)",
            Self::LoudnessDb => "integrated loudness (EBU R 128) less the recording's, dB",
            Self::XRealTime => "seconds of sound for each second of rendering",
        }
    }

    /// A heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::PesqWb => "PESQ-wb",
            Self::MelL1 => "mel L1",
            Self::MrMel => "multi-res. mel",
            Self::StftSc => "STFT conv.",
            Self::StftLog => "STFT log",
            Self::VuvF1 => "V/UV F1",
            Self::F0Cents => "F0, cents",
            Self::Periodicity => "periodicity",
            Self::LoudnessDb => "loudness, dB",
            Self::XRealTime => "x real time",
        }
    }

    pub fn better(self) -> Better {
        match self {
            Self::PesqWb | Self::VuvF1 | Self::XRealTime => Better::Higher,
            Self::LoudnessDb => Better::NearZero,
            _ => Better::Lower,
        }
    }

    /// Digits after the point that mean something.
    pub fn digits(self) -> usize {
        match self {
            Self::MelL1 | Self::MrMel | Self::StftSc | Self::StftLog | Self::VuvF1 | Self::Periodicity => 4,
            Self::PesqWb => 3,
            Self::LoudnessDb => 2,
            Self::F0Cents | Self::XRealTime => 1,
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    /// From its key.
    fn from_str(key: &str) -> std::result::Result<Self, String> {
        let keys = || Self::ALL.map(Self::key).join(", ");
        Self::ALL.into_iter().find(|metric| metric.key() == key).ok_or_else(|| format!("expected one of {}", keys()))
    }
}

impl Better {
    pub fn word(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::NearZero => "near 0",
        }
    }

    /// How far a value is from the best, so that less is better whatever the metric.
    pub fn badness(self, value: f64) -> f64 {
        match self {
            Self::Higher => -value,
            Self::Lower => value,
            Self::NearZero => value.abs(),
        }
    }
}

/// What is known of one rendering of one file; a line of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileScore {
    pub file: String,
    pub system: String,
    /// Of the recording.
    pub seconds: f64,
    /// Hz at which the two were compared, the lowest of all rates concerned; `mel_l1` is taken at its convention's.
    pub sample_rate: u32,
    /// Channels that were compared: 2, each for itself, or 1.
    #[serde(default = "one")]
    pub channels: usize,
    /// Two channels were mixed to one because not all that was compared has two.
    #[serde(default)]
    pub mixed: bool,
    /// What `mel_l1` was computed by, name, rate and bands; `None` where it was not.
    #[serde(default)]
    pub mel_convention: Option<String>,
    /// By which the rendering came after the recording; it was taken out.
    pub delay_ms: f64,
    /// Rendering less recording, in seconds, before the delay was taken out.
    pub longer_s: f64,
    /// The share of the recording that the rendering has a sound for, 0 to 1. What is missing counts as silence in every
    /// metric, but for the tenth of a second that framing and trimming may cost: that much is left out and no share.
    #[serde(default = "whole")]
    pub coverage: f64,
    /// Why there are no scores, or why some are missing.
    pub problem: Option<String>,
    #[serde(flatten)]
    pub values: BTreeMap<Metric, Option<f64>>,
}

/// Of scores that were kept before there was a coverage.
fn whole() -> f64 {
    1.0
}

fn one() -> usize {
    1
}

impl FileScore {
    /// A rendering that cannot be scored.
    pub fn unscored(file: &str, system: &str, metrics: &BTreeSet<Metric>, problem: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            system: system.into(),
            seconds: 0.0,
            sample_rate: 0,
            channels: 1,
            mixed: false,
            mel_convention: None,
            delay_ms: 0.0,
            longer_s: 0.0,
            coverage: 0.0,
            problem: Some(problem.into()),
            values: metrics.iter().map(|&m| (m, None)).collect(),
        }
    }

    /// Keeps a metric that is wanted; what is no number is none.
    fn set(&mut self, metric: Metric, value: Option<f64>) {
        if let Some(slot) = self.values.get_mut(&metric) {
            *slot = value.filter(|v| v.is_finite());
        }
    }

    /// Whether a value of `metric` here can be laid beside that of `other`: both were measured over the same band, of as many
    /// channels, by the same mel. PESQ and pitch are always taken of the mix at 16 kHz.
    pub fn is_comparable(&self, other: &Self, metric: Metric) -> bool {
        match metric {
            Metric::MelL1 => self.mel_convention == other.mel_convention && self.channels == other.channels,
            Metric::MrMel | Metric::StftSc | Metric::StftLog => {
                (self.sample_rate, self.channels) == (other.sample_rate, other.channels)
            }
            _ => true,
        }
    }

    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.values.get(&metric).copied().flatten()
    }

    /// Nothing at all could be measured.
    pub fn failed(&self) -> bool {
        self.problem.is_some() && self.values.iter().all(|(m, v)| *m == Metric::XRealTime || v.is_none())
    }
}

/// A recording, with what every rendering of it is compared to.
pub struct Reference<'a> {
    file: &'a str,
    seconds: f64,
    /// At the rate of the comparison.
    sound: Sound,
    /// At its own rate, where `mel_l1` is wanted.
    original: Option<Sound>,
    /// Of the first convention that was asked for, which mostly is that of all systems.
    given: OnceLock<Given>,
    /// Of the mix.
    track: Option<pitch::PitchTrack>,
    metrics: &'a BTreeSet<Metric>,
}

impl<'a> Reference<'a> {
    /// Prepares `sound`, of one or two channels, for comparison at `sample_rate`, which is not above its own.
    ///
    /// # Errors
    /// [`crate::Error::Settings`] or [`crate::Error::Convention`] where the rate is none that sound is stored at.
    pub fn new(file: &'a str, sound: &Sound, sample_rate: u32, metrics: &'a BTreeSet<Metric>) -> Result<Self> {
        let compared = resample_sound(sound, sample_rate);
        let wants = |metric| metrics.contains(&metric) && !compared.is_empty();
        let pitched = [Metric::VuvF1, Metric::F0Cents, Metric::Periodicity].into_iter().any(wants);
        Ok(Self {
            file,
            seconds: sound.seconds(),
            original: wants(Metric::MelL1).then(|| sound.clone()),
            given: OnceLock::new(),
            track: pitched.then(|| pitch::track(&mix(&compared), sample_rate)),
            sound: compared,
            metrics,
        })
    }

    /// Scores what `system` made of the recording; `compute_s` is how long it took, where that is known. `mel_l1` is by
    /// [`mel_of_rate`].
    ///
    /// # Errors
    /// Those of [`Reference::new`]. What is wrong with the rendering is no error but the score's `problem`.
    pub fn score(&self, system: &str, rendering: &Sound, compute_s: Option<f64>) -> Result<FileScore> {
        self.score_by(&mel_of_rate(self.sound.rate)?, system, rendering, compute_s)
    }

    /// As [`Reference::score`], `mel_l1` by the bands of `convention`, a model's.
    ///
    /// # Errors
    /// As [`Reference::score`].
    pub fn score_by(
        &self,
        convention: &MelConvention,
        system: &str,
        rendering: &Sound,
        compute_s: Option<f64>,
    ) -> Result<FileScore> {
        let rate = self.sound.rate;
        let mut score = FileScore {
            seconds: self.seconds,
            sample_rate: rate,
            longer_s: rendering.seconds() - self.seconds,
            problem: None,
            ..FileScore::unscored(self.file, system, self.metrics, "")
        };
        score.set(Metric::XRealTime, compute_s.filter(|s| *s > 0.0).map(|s| rendering.seconds() / s));
        score.problem = unfit("the recording", &self.sound).or_else(|| unfit("the rendering", rendering));
        if score.problem.is_some() {
            return Ok(score);
        }
        let rendered = resample_sound(rendering, rate);
        let shift = Shift::between(&self.sound, &rendered)?;
        let (reference, again) = alike(&self.sound, &rendered);
        score.channels = reference.channels.len();
        score.mixed = self.sound.channels.len() != rendering.channels.len();
        score.coverage = shift.coverage;
        score.delay_ms = 1000.0 * shift.delay as f64 / f64::from(rate);

        self.score_mix(&mut score, &mix(&reference), &mix(&again), &shift)?;
        self.score_mel(&mut score, convention, rendering, &shift)?;
        let channels: Vec<_> = planes(&reference, &again).map(|(a, b)| (a, shift.aligned(a, b))).collect();
        if self.metrics.contains(&Metric::MrMel) {
            let distance = |(a, b): (&[f32], &[f32])| multi_resolution_mel(a, b, rate);
            let distances: Vec<_> = channels.iter().map(|(_, pair)| distance(pair.both())).collect::<Result<_>>()?;
            score.set(Metric::MrMel, mean(distances.into_iter().map(|d| d.map(f64::from))));
        }
        if self.metrics.contains(&Metric::StftSc) || self.metrics.contains(&Metric::StftLog) {
            score_stft(&mut score, &channels);
        }
        if self.metrics.contains(&Metric::LoudnessDb) {
            let mut differences = vec![];
            for (whole, pair) in &channels {
                // A channel that the recording left empty has no loudness to be off from.
                if let Some(wanted) = loudness(whole, rate)? {
                    differences.push(loudness(pair.both().1, rate)?.map(|found| found - wanted));
                }
            }
            score.set(Metric::LoudnessDb, mean(differences.into_iter()));
        }
        Ok(score)
    }

    /// PESQ and pitch, of the mixes `[n]`.
    fn score_mix(&self, score: &mut FileScore, reference: &[f32], rendered: &[f32], shift: &Shift) -> Result<()> {
        let rate = self.sound.rate;
        let pair = shift.aligned(reference, rendered);
        let (given, again) = pair.both();
        if self.metrics.contains(&Metric::PesqWb) {
            match pesq_wb(given, again, rate) {
                Ok(value) => score.set(Metric::PesqWb, Some(f64::from(value))),
                Err(error) => score.problem = Some(error.to_string()),
            }
        }
        let Some(track) = &self.track else { return Ok(()) };
        let later;
        let track = if shift.delay < 0 && !shift.is_partial {
            later = pitch::track(given, rate);
            &later
        } else {
            track
        };
        let difference = pitch::compare(track, &pitch::track(again, rate));
        score.set(Metric::VuvF1, difference.vuv_f1);
        score.set(Metric::F0Cents, difference.pitch_cents);
        score.set(Metric::Periodicity, difference.periodicity);
        Ok(())
    }

    /// `mel_l1`, at the rate of `convention`.
    fn score_mel(
        &self,
        score: &mut FileScore,
        convention: &MelConvention,
        rendering: &Sound,
        shift: &Shift,
    ) -> Result<()> {
        let Some(original) = &self.original else { return Ok(()) };
        let (own_rate, convention) = (f64::from(self.sound.rate), mel_in_nats(convention));
        let rate = convention.sample_rate;
        let of_original = || Given::new(resample_sound(original, rate), &convention);
        if self.given.get().is_none() {
            let _ = self.given.set(of_original()?);
        }
        let given = match self.given.get() {
            Some(given) if given.convention == convention => Cow::Borrowed(given),
            _ => Cow::Owned(of_original()?),
        };
        let rendering = resample_sound(rendering, rate);
        let (given, rendering) = match given.sound.channels.len() == rendering.channels.len() {
            true => (given, rendering),
            false => {
                let mixed = given.sound.clone().of_channels(1);
                (Cow::Owned(Given::new(mixed, &convention)?), rendering.of_channels(1))
            }
        };
        let delay = (shift.delay as f64 * f64::from(rate) / own_rate).round() as isize;
        let shift = Shift { delay, ..*shift };
        let distance = |((whole, again), mel): ((&[f32], &[f32]), &MelSpectrogram)| -> Result<Option<f64>> {
            let pair = shift.aligned(whole, again);
            let (overlapping, again) = pair.both();
            let distance = match delay {
                0.. => mel_l1(mel, again, &convention),
                // Where sound is missing at the rendering's start, the mel has to begin later as well.
                _ => mel_l1(&extract(overlapping, &convention)?, again, &convention),
            };
            Ok(distance.map(f64::from))
        };
        let distances = planes(&given.sound, &rendering).zip(&given.mels).map(distance).collect::<Result<Vec<_>>>()?;
        score.set(Metric::MelL1, mean(distances.into_iter()));
        score.mel_convention = Some(format!("{} ({rate} Hz, {} bands)", convention.name, convention.n_mels));
        Ok(())
    }
}

/// A recording as a convention has it.
#[derive(Clone)]
struct Given {
    convention: MelConvention,
    /// At the convention's rate.
    sound: Sound,
    /// Of each channel.
    mels: Vec<MelSpectrogram>,
}

impl Given {
    fn new(sound: Sound, convention: &MelConvention) -> Result<Self> {
        let mels = sound.channels.iter().map(|samples| extract(samples, convention)).collect::<Result<_>>()?;
        Ok(Self { convention: convention.clone(), sound, mels })
    }
}

/// The mean over the two channels that both have.
fn score_stft(score: &mut FileScore, channels: &[(&[f32], Aligned)]) {
    let distances: Vec<Option<StftDistance>> =
        channels.iter().map(|(_, pair)| stft_distance(pair.both().0, pair.both().1)).collect();
    score.set(Metric::StftLog, mean(distances.iter().map(|d| Some(f64::from((*d)?.log_magnitude)))));
    // Relative to a channel that the recording left empty, every error is without bounds.
    let sounds = |(whole, _): &(&[f32], Aligned)| peak(whole) >= SILENCE;
    let sounding = channels.iter().zip(&distances).filter(|(channel, _)| channels.len() == 1 || sounds(channel));
    score.set(Metric::StftSc, mean(sounding.map(|(_, d)| Some(f64::from((*d)?.spectral_convergence)))));
}

/// How a rendering lies against the recording; the same for all channels, whose image would break otherwise.
#[derive(Debug, Clone, Copy)]
struct Shift {
    /// Samples by which the rendering comes later.
    delay: isize,
    /// More of the recording is missing than framing and trimming cost: all of it is compared.
    is_partial: bool,
    coverage: f64,
}

impl Shift {
    /// Both at one rate.
    fn between(reference: &Sound, rendered: &Sound) -> Result<Self> {
        let (a, b) = telling(reference, rendered);
        let delay = alignment::delay(&a, &b, reference.rate)?;
        let shared = alignment::overlap(&a, &b, delay).0.len();
        let missing_s = (a.len() - shared) as f64 / f64::from(reference.rate);
        let is_partial = missing_s > TRIMMED_S;
        Ok(Self { delay, is_partial, coverage: if is_partial { shared as f64 / a.len() as f64 } else { 1.0 } })
    }

    /// A channel of the recording and of the rendering, `[n]` each, as they are compared.
    fn aligned<'s>(&self, reference: &'s [f32], rendered: &'s [f32]) -> Aligned<'s> {
        if self.is_partial {
            let placed = alignment::in_place(rendered, self.delay, reference.len());
            return Aligned { reference, rendered: placed.into() };
        }
        let (reference, rendered) = alignment::overlap(reference, rendered, self.delay);
        Aligned { reference, rendered: rendered.into() }
    }
}

/// A channel of both, in step.
struct Aligned<'s> {
    reference: &'s [f32],
    rendered: Cow<'s, [f32]>,
}

impl Aligned<'_> {
    fn both(&self) -> (&[f32], &[f32]) {
        (self.reference, &self.rendered)
    }
}

/// What tells the delay, `[n]` of each: the mixes, or the louder channel of the recording where its two cancel each other.
fn telling<'s>(reference: &'s Sound, rendered: &'s Sound) -> (Cow<'s, [f32]>, Cow<'s, [f32]>) {
    const CANCELLED: f64 = 0.05;
    let energy = |samples: &[f32]| samples.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let mixes = (mix(reference), mix(rendered));
    if let ([left, right], [_, _]) = (&reference.channels[..], &rendered.channels[..]) {
        let (left, right) = (energy(left), energy(right));
        if energy(&mixes.0) < CANCELLED * (left + right) / 2.0 {
            let louder = usize::from(right > left);
            return (Cow::Borrowed(&reference.channels[louder]), Cow::Borrowed(&rendered.channels[louder]));
        }
    }
    mixes
}

/// The mean of the channels, `[n]`.
fn mix(sound: &Sound) -> Cow<'_, [f32]> {
    match &sound.channels[..] {
        [one] => Cow::Borrowed(one),
        _ => Cow::Owned(sound.clone().into_mono()),
    }
}

/// Both with as many channels: as they are, or mixed where only one of them has two.
fn alike<'s>(a: &'s Sound, b: &'s Sound) -> (Cow<'s, Sound>, Cow<'s, Sound>) {
    if a.channels.len() == b.channels.len() {
        return (Cow::Borrowed(a), Cow::Borrowed(b));
    }
    let mono = |sound: &'s Sound| match sound.channels.len() {
        1 => Cow::Borrowed(sound),
        _ => Cow::Owned(sound.clone().of_channels(1)),
    };
    (mono(a), mono(b))
}

/// The channels of both side by side, `[n]` each.
fn planes<'s>(a: &'s Sound, b: &'s Sound) -> impl Iterator<Item = (&'s [f32], &'s [f32])> {
    a.channels.iter().map(Vec::as_slice).zip(b.channels.iter().map(Vec::as_slice))
}

/// `None` where one of the values is, or where there are none.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values = values.collect::<Option<Vec<f64>>>().filter(|values| !values.is_empty())?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// Seconds of the recording that a rendering may lack without a loss: a hop, a filter's delay, a trimmed pause.
const TRIMMED_S: f64 = 0.1;

/// Below this peak a file is silent: three bits of 16.
const SILENCE: f32 = 1e-4;

fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, x| peak.max(x.abs()))
}

/// Why nothing can be measured on it.
fn unfit(what: &str, sound: &Sound) -> Option<String> {
    if sound.is_empty() {
        return Some(format!("{what} is empty"));
    }
    if sound.channels.iter().flatten().any(|x| !x.is_finite()) {
        return Some(format!("{what} has values that are not finite"));
    }
    let peak = sound.channels.iter().map(|samples| peak(samples)).fold(0.0, f32::max);
    (peak < SILENCE).then(|| match peak {
        0.0 => format!("{what} is silent"),
        _ => format!("{what} is silent (its peak is {:.0} dB below full scale)", -20.0 * peak.log10()),
    })
}

/// LUFS; `None` for what is shorter than 0.4 s or too quiet.
fn loudness(samples: &[f32], sample_rate: u32) -> Result<Option<f64>> {
    let mut meter = LevelMeter::new(sample_rate, 1, true)?;
    meter.push(samples)?;
    Ok(meter.loudness())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_survives_json() {
        let metrics = BTreeSet::from([Metric::PesqWb, Metric::MelL1]);
        let mut score = FileScore::unscored("a/b.wav", "builtin", &metrics, "the rendering is silent");
        score.values.insert(Metric::PesqWb, Some(4.25));
        let line = serde_json::to_string(&score).unwrap();
        assert!(line.contains(r#""pesq_wb":4.25"#) && line.contains(r#""mel_l1":null"#), "{line}");
        assert_eq!(serde_json::from_str::<FileScore>(&line).unwrap(), score);
    }

    #[test]
    fn keys_are_what_serde_writes() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.key());
            assert_eq!(metric.key().parse(), Ok(metric));
        }
    }
}
