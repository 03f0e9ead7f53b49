//! All metrics of one rendering, or the reason why it has none.

use super::{alignment, mel_l1, multi_resolution_mel, pesq_wb, pitch, polyphase, stft_distance};
use crate::{
    Result,
    audio::level::LevelMeter,
    mel::{MelConvention, MelSpectrogram, extract},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A number for each file. Its name in JSON and CSV is its key in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// P.862.2 listening quality, 1 to 4.64; speech only.
    PesqWb,
    /// Mean difference of the model's own log-mel, given against rendered, nats.
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
            Self::MelL1 => "mean difference of the model's own log-mel, nats",
            Self::MrMel => "mean difference of log-mels at seven resolutions, nats",
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

/// Mono samples at a rate in Hz.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    pub samples: Vec<f32>,
    pub sample_rate: u32,
}

impl Sound {
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }

    /// At another rate, by the metrics' own resampler.
    pub fn at(&self, sample_rate: u32) -> Vec<f32> {
        polyphase::resample(&self.samples, self.sample_rate, sample_rate)
    }
}

/// What is known of one rendering of one file; a line of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileScore {
    pub file: String,
    pub system: String,
    /// Of the recording.
    pub seconds: f64,
    /// Hz at which the two were compared, the lowest of all rates concerned; `mel_l1` is always taken at the model's.
    pub sample_rate: u32,
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

impl FileScore {
    /// A rendering that cannot be scored.
    pub fn unscored(file: &str, system: &str, metrics: &BTreeSet<Metric>, problem: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            system: system.into(),
            seconds: 0.0,
            sample_rate: 0,
            delay_ms: 0.0,
            longer_s: 0.0,
            coverage: 0.0,
            problem: Some(problem.into()),
            values: metrics.iter().map(|&m| (m, None)).collect(),
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
    sample_rate: u32,
    samples: Vec<f32>,
    /// At the model's rate.
    native: Option<(Vec<f32>, MelSpectrogram)>,
    track: Option<pitch::PitchTrack>,
    loudness: Option<f64>,
    metrics: &'a BTreeSet<Metric>,
}

impl<'a> Reference<'a> {
    /// Prepares `sound` for comparison at `sample_rate`, which is not above its own.
    ///
    /// # Errors
    /// [`crate::Error::Settings`] or [`crate::Error::Convention`] where the rate is none that sound is stored at.
    pub fn new(file: &'a str, sound: &Sound, sample_rate: u32, metrics: &'a BTreeSet<Metric>) -> Result<Self> {
        let samples = sound.at(sample_rate);
        let wants = |metric| metrics.contains(&metric) && !samples.is_empty();
        let native = wants(Metric::MelL1).then(|| native(sound)).transpose()?;
        let pitched = [Metric::VuvF1, Metric::F0Cents, Metric::Periodicity].into_iter().any(wants);
        Ok(Self {
            file,
            seconds: sound.seconds(),
            sample_rate,
            native,
            track: pitched.then(|| pitch::track(&samples, sample_rate)),
            loudness: if wants(Metric::LoudnessDb) { loudness(&samples, sample_rate)? } else { None },
            samples,
            metrics,
        })
    }

    /// Scores what `system` made of the recording; `compute_s` is how long it took, where that is known.
    ///
    /// # Errors
    /// Those of [`Reference::new`]. What is wrong with the rendering is no error but the score's `problem`.
    pub fn score(&self, system: &str, rendering: &Sound, compute_s: Option<f64>) -> Result<FileScore> {
        let mut score = FileScore {
            seconds: self.seconds,
            sample_rate: self.sample_rate,
            longer_s: rendering.seconds() - self.seconds,
            problem: None,
            ..FileScore::unscored(self.file, system, self.metrics, "")
        };
        let mut set = |metric, value: Option<f64>| {
            if let Some(slot) = score.values.get_mut(&metric) {
                *slot = value.filter(|v| v.is_finite());
            }
        };
        set(Metric::XRealTime, compute_s.filter(|s| *s > 0.0).map(|s| rendering.seconds() / s));
        if let Some(problem) =
            unfit("the recording", &self.samples).or_else(|| unfit("the rendering", &rendering.samples))
        {
            score.problem = Some(problem);
            return Ok(score);
        }
        let rendered = rendering.at(self.sample_rate);
        let delay = alignment::delay(&self.samples, &rendered, self.sample_rate)?;
        let (mut reference, mut aligned) = alignment::overlap(&self.samples, &rendered, delay);
        let missing_s = (self.samples.len() - reference.len()) as f64 / f64::from(self.sample_rate);
        let is_partial = missing_s > TRIMMED_S;
        let placed;
        score.coverage = 1.0;
        if is_partial {
            score.coverage = reference.len() as f64 / self.samples.len() as f64;
            placed = alignment::in_place(&rendered, delay, self.samples.len());
            (reference, aligned) = (&self.samples, &placed);
        }

        let mut problem = None;
        if self.metrics.contains(&Metric::PesqWb) {
            match pesq_wb(reference, aligned, self.sample_rate) {
                Ok(value) => set(Metric::PesqWb, Some(f64::from(value))),
                Err(error) => problem = Some(error.to_string()),
            }
        }
        if let Some((audio, given)) = &self.native {
            let again = rendering.at(native_rate());
            let delay = (delay as f64 * f64::from(native_rate()) / f64::from(self.sample_rate)).round() as isize;
            // Where sound is missing at the rendering's start, the mel has to begin later as well.
            let native = MelConvention::native();
            let distance = if is_partial {
                mel_l1(given, &alignment::in_place(&again, delay, audio.len()), &native)
            } else {
                let (reference, again) = alignment::overlap(audio, &again, delay);
                match delay {
                    0.. => mel_l1(given, again, &native),
                    _ => mel_l1(&extract(reference, &native)?, again, &native),
                }
            };
            set(Metric::MelL1, distance.map(f64::from));
        }
        if self.metrics.contains(&Metric::MrMel) {
            set(Metric::MrMel, multi_resolution_mel(reference, aligned, self.sample_rate)?.map(f64::from));
        }
        if self.metrics.contains(&Metric::StftSc) || self.metrics.contains(&Metric::StftLog) {
            let distance = stft_distance(reference, aligned);
            set(Metric::StftSc, distance.map(|d| f64::from(d.spectral_convergence)));
            set(Metric::StftLog, distance.map(|d| f64::from(d.log_magnitude)));
        }
        if let Some(track) = &self.track {
            let again;
            let track = if delay < 0 && !is_partial {
                again = pitch::track(reference, self.sample_rate);
                &again
            } else {
                track
            };
            let difference = pitch::compare(track, &pitch::track(aligned, self.sample_rate));
            set(Metric::VuvF1, difference.vuv_f1);
            set(Metric::F0Cents, difference.pitch_cents);
            set(Metric::Periodicity, difference.periodicity);
        }
        if let Some(loudness_of_reference) = self.loudness {
            set(Metric::LoudnessDb, loudness(aligned, self.sample_rate)?.map(|l| l - loudness_of_reference));
        }
        score.delay_ms = 1000.0 * delay as f64 / f64::from(self.sample_rate);
        score.problem = problem;
        Ok(score)
    }
}

/// Seconds of the recording that a rendering may lack without a loss: a hop, a filter's delay, a trimmed pause.
const TRIMMED_S: f64 = 0.1;

/// Below this peak a file is silent: three bits of 16.
const SILENCE: f32 = 1e-4;

/// Why nothing can be measured on it.
fn unfit(what: &str, samples: &[f32]) -> Option<String> {
    if samples.is_empty() {
        return Some(format!("{what} is empty"));
    }
    if samples.iter().any(|x| !x.is_finite()) {
        return Some(format!("{what} has values that are not finite"));
    }
    let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    (peak < SILENCE).then(|| match peak {
        0.0 => format!("{what} is silent"),
        _ => format!("{what} is silent (its peak is {:.0} dB below full scale)", -20.0 * peak.log10()),
    })
}

fn native_rate() -> u32 {
    MelConvention::native().sample_rate
}

fn native(sound: &Sound) -> Result<(Vec<f32>, MelSpectrogram)> {
    let audio = sound.at(native_rate());
    let mel = extract(&audio, &MelConvention::native())?;
    Ok((audio, mel))
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
