//! Systems side by side: means with their intervals, differences from the first system, what stood in the way.

use super::{
    FileScore, Metric,
    statistics::{Difference, Interval, bootstrap, paired_difference},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The seed of the bootstrap: the same scores give the same intervals.
const SEED: u64 = 0;

/// Delays below this come from filters and rounding, not from padding.
const NOTABLE_DELAY_MS: f64 = 0.5;
/// Files whose lengths differ by no more are of one length: a hop or two.
const NOTABLE_LENGTH_S: f64 = 0.1;

/// All systems of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Recordings.
    pub files: usize,
    /// Seconds of the recordings.
    pub seconds: f64,
    /// In the order of the report; differences are from the first.
    pub systems: Vec<SystemSummary>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemSummary {
    pub name: String,
    /// Files of which nothing could be measured.
    pub failed: usize,
    /// Mean share of the recordings that the scored files cover, 0 to 1; absent where none was scored.
    pub coverage: Option<f64>,
    /// Over the files that have the metric; absent where none has.
    pub means: BTreeMap<Metric, Interval>,
    /// This system less the first one, over the files that both have. Of the loudness, how far it is off counts, whichever
    /// way. Pairs that were not measured alike ([`FileScore::is_comparable`]) are left out. Absent for the first system.
    pub differences: BTreeMap<Metric, Difference>,
    /// What was taken out or brought together before the comparison, in sentences.
    pub notes: Vec<String>,
}

impl Summary {
    /// `systems` in the order of the report. Metrics are those that the scores have.
    pub fn new(systems: &[String], scores: &[FileScore]) -> Self {
        let mut lengths: HashMap<&str, f64> = HashMap::new();
        for score in scores {
            let seconds = lengths.entry(&score.file).or_default();
            *seconds = seconds.max(score.seconds);
        }
        let of = |system: &String| -> Vec<&FileScore> { scores.iter().filter(|s| s.system == *system).collect() };
        let first = systems.first().map(of).unwrap_or_default();
        let systems = systems.iter().enumerate().map(|(i, name)| SystemSummary::new(name, &of(name), &first, i == 0));
        Self { files: lengths.len(), seconds: lengths.values().sum(), systems: systems.collect() }
    }

    /// The systems' notes, what is said of all of them once.
    pub fn notes(&self) -> Vec<String> {
        let everywhere = |note: &String| self.systems.iter().all(|system| system.notes.contains(note));
        let mut all = vec![];
        for (i, system) in self.systems.iter().enumerate() {
            for note in &system.notes {
                match everywhere(note) {
                    true if i > 0 => {}
                    true => all.push(note.clone()),
                    false => all.push(format!("{}: {note}", system.name)),
                }
            }
        }
        all
    }

    /// How much was scored: "16 recordings, 93.2 s".
    pub fn extent(&self) -> String {
        let recordings = if self.files == 1 { "recording" } else { "recordings" };
        format!("{} {recordings}, {:.1} s", self.files, self.seconds)
    }

    /// The metrics that any system has, in their order.
    pub fn metrics(&self) -> impl Iterator<Item = Metric> {
        Metric::ALL.into_iter().filter(|m| self.systems.iter().any(|system| system.means.contains_key(m)))
    }
}

impl SystemSummary {
    fn new(name: &str, scores: &[&FileScore], first: &[&FileScore], is_first: bool) -> Self {
        let values = |metric| scores.iter().filter_map(move |score| score.value(metric));
        let means = Metric::ALL.into_iter().filter_map(|m| Some((m, bootstrap(&values(m).collect::<Vec<_>>(), SEED)?)));
        let by_file: HashMap<&str, &FileScore> = first.iter().map(|score| (score.file.as_str(), *score)).collect();
        let difference = |metric: Metric| {
            let worth = |value: f64| match metric.better() {
                super::Better::NearZero => value.abs(),
                _ => value,
            };
            let pair = |score: &&FileScore| {
                let other = by_file.get(score.file.as_str()).filter(|other| score.is_comparable(other, metric))?;
                Some((worth(score.value(metric)?), worth(other.value(metric)?)))
            };
            paired_difference(&scores.iter().filter_map(pair).collect::<Vec<_>>(), SEED)
        };
        let differences = match is_first {
            true => BTreeMap::new(),
            false => Metric::ALL.into_iter().filter_map(|m| Some((m, difference(m)?))).collect(),
        };
        let failed = scores.iter().filter(|score| score.failed()).count();
        let coverage = coverage(&scored(scores));
        Self { name: name.into(), failed, coverage, means: means.collect(), differences, notes: notes(scores) }
    }
}

/// Those of which anything could be measured.
fn scored<'a>(scores: &[&'a FileScore]) -> Vec<&'a FileScore> {
    scores.iter().copied().filter(|score| !score.failed()).collect()
}

fn coverage(scored: &[&FileScore]) -> Option<f64> {
    (!scored.is_empty()).then(|| scored.iter().map(|score| score.coverage).sum::<f64>() / scored.len() as f64)
}

/// What would surprise who compares the numbers with others.
fn notes(scores: &[&FileScore]) -> Vec<String> {
    let scored = scored(scores);
    let mut notes = vec![];
    let delays: Vec<f64> = scored.iter().map(|s| s.delay_ms).filter(|ms| ms.abs() >= NOTABLE_DELAY_MS).collect();
    if !delays.is_empty() {
        let (low, high) = ends(&delays);
        let range = if high - low < 0.1 { format!("{low:.1} ms") } else { format!("{low:.1} to {high:.1} ms") };
        let of = scored.len();
        notes.push(format!("a delay of {range} was found and taken out of {} of {of} files", delays.len()));
    }
    let mut rates: Vec<u32> = scored.iter().map(|s| s.sample_rate).collect();
    rates.sort_unstable();
    rates.dedup();
    if let [one] = rates[..] {
        notes.push(format!("compared at {one} Hz, the lowest rate concerned"));
    } else if !rates.is_empty() {
        let rates: Vec<String> = rates.iter().map(u32::to_string).collect();
        notes.push(format!("compared at {} Hz, for each file the lowest rate concerned", rates.join(", ")));
    }
    notes.extend(note_of_channels(&scored));
    notes.extend(note_of_mels(&scored));
    let lengths: Vec<f64> = scored.iter().map(|s| s.longer_s).filter(|s| s.abs() >= NOTABLE_LENGTH_S).collect();
    if !lengths.is_empty() {
        let (low, high) = ends(&lengths);
        notes.push(format!(
            "{} of {} files are not as long as the recording ({low:+.2} to {high:+.2} s)",
            lengths.len(),
            scored.len()
        ));
    }
    let partial: Vec<_> = scored.iter().filter(|s| s.coverage < 1.0).collect();
    if let Some(least) = partial.iter().min_by(|a, b| a.coverage.total_cmp(&b.coverage)) {
        notes.push(format!(
            "{} of {} files lack a part of the recording, which counts as silence: {:.1} % are covered in the mean, {:.1} % \
             of {}",
            partial.len(),
            scored.len(),
            100.0 * coverage(&scored).unwrap_or(1.0),
            100.0 * least.coverage,
            least.file
        ));
    }
    notes
}

fn note_of_channels(scored: &[&FileScore]) -> Vec<String> {
    let count = |wanted: fn(&FileScore) -> bool| scored.iter().filter(|score| wanted(score)).count();
    let (both, mixed, of) = (count(|score| score.channels == 2), count(|score| score.mixed), scored.len());
    let mut notes = vec![];
    if both > 0 {
        notes.push(format!(
            "each of the two channels of {both} of {of} files was scored and the mean is given; PESQ and pitch are of their mix"
        ));
    }
    if mixed > 0 {
        notes.push(format!(
            "{mixed} of {of} files were mixed to one channel, as not everything that is compared has two"
        ));
    }
    notes
}

fn note_of_mels(scored: &[&FileScore]) -> Option<String> {
    let mels: BTreeSet<&str> = scored.iter().filter_map(|score| score.mel_convention.as_deref()).collect();
    let mels: Vec<&str> = mels.into_iter().collect();
    (!mels.is_empty()).then(|| format!("mel_l1 is by {}", mels.join(" or ")))
}

fn ends(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` scores whose files differ much and whose systems differ by `by`.
    fn scores(system: &str, n: usize, metric: Metric, value: impl Fn(usize) -> f64) -> Vec<FileScore> {
        let score = |i: usize| {
            let mut score = FileScore::unscored(&format!("file {i}"), system, &BTreeSet::from([metric]), "");
            (score.problem, score.seconds, score.sample_rate, score.coverage) = (None, 2.0, 24_000, 1.0);
            score.values.insert(metric, Some(value(i)));
            score
        };
        (0..n).map(score).collect()
    }

    #[test]
    fn pairs_are_made_by_file_whatever_the_order() {
        let systems = ["a".to_string(), "b".to_string()];
        let mut all = scores("a", 8, Metric::PesqWb, |i| 1.0 + i as f64 * 0.4);
        let mut better = scores("b", 8, Metric::PesqWb, |i| 1.1 + i as f64 * 0.4 + 0.001 * (i % 2) as f64);
        better.reverse();
        all.extend(better);
        let summary = Summary::new(&systems, &all);
        assert_eq!((summary.files, summary.seconds), (8, 16.0));
        assert!(summary.systems[0].differences.is_empty());
        let difference = summary.systems[1].differences[&Metric::PesqWb];
        assert_eq!(difference.significant, Some(true));
        assert!((difference.interval.mean - 0.1005).abs() < 1e-9);
        assert_eq!(summary.metrics().collect::<Vec<_>>(), [Metric::PesqWb]);
    }

    #[test]
    fn loudness_counts_by_how_far_it_is_off() {
        let systems = ["a".to_string(), "b".to_string()];
        // One is 1 dB too loud here and too quiet there, the other always 0.5 dB too quiet.
        let mut all = scores("a", 8, Metric::LoudnessDb, |i| if i % 2 == 0 { 1.0 } else { -1.0 });
        all.extend(scores("b", 8, Metric::LoudnessDb, |_| -0.5));
        let summary = Summary::new(&systems, &all);
        assert_eq!(summary.systems[0].means[&Metric::LoudnessDb].mean, 0.0);
        assert_eq!(summary.systems[1].differences[&Metric::LoudnessDb].interval.mean, -0.5);
    }

    #[test]
    fn what_was_taken_out_is_said() {
        let mut all = scores("a", 3, Metric::MelL1, |_| 0.1);
        all[1].delay_ms = 41.68;
        (all[2].delay_ms, all[2].longer_s, all[2].coverage) = (0.02, -0.5, 0.75);
        let notes = &Summary::new(&["a".into()], &all).systems[0].notes;
        assert_eq!(notes[0], "a delay of 41.7 ms was found and taken out of 1 of 3 files");
        assert_eq!(notes[1], "compared at 24000 Hz, the lowest rate concerned");
        assert_eq!(notes[2], "1 of 3 files are not as long as the recording (-0.50 to -0.50 s)");
        let partial = "1 of 3 files lack a part of the recording, which counts as silence: 91.7 % are covered in the mean, 75.0 % of file 2";
        assert_eq!(notes[3..], [partial]);
    }

    #[test]
    fn what_was_not_measured_alike_has_no_difference() {
        let systems = ["a".to_string(), "b".to_string()];
        for metric in [Metric::MelL1, Metric::MrMel, Metric::PesqWb] {
            let difference = |change: fn(&mut FileScore)| {
                let mut all = scores("a", 8, metric, |i| i as f64);
                let mut others = scores("b", 8, metric, |i| i as f64 + 1.0);
                others.iter_mut().for_each(change);
                all.extend(others);
                Summary::new(&systems, &all).systems[1].differences.get(&metric).map(|d| d.interval.n)
            };
            let expect = |is_there: bool| is_there.then_some(8);
            assert_eq!(difference(|_| ()), Some(8));
            assert_eq!(difference(|score| score.sample_rate = 16_000), expect(metric != Metric::MrMel), "{metric:?}");
            assert_eq!(difference(|score| score.channels = 2), expect(metric == Metric::PesqWb), "{metric:?}");
            let other_mel = difference(|score| score.mel_convention = Some("another".into()));
            assert_eq!(other_mel, expect(metric != Metric::MelL1), "{metric:?}");
        }
    }

    #[test]
    fn channels_and_mels_are_said() {
        let mut all = scores("a", 3, Metric::MelL1, |_| 0.1);
        (all[0].channels, all[1].mixed) = (2, true);
        all[2].mel_convention = Some("f5-tts (24000 Hz, 100 bands)".into());
        let notes = &Summary::new(&["a".into()], &all).systems[0].notes;
        assert!(notes[1].starts_with("each of the two channels of 1 of 3 files was scored"), "{notes:?}");
        assert!(notes[2].starts_with("1 of 3 files were mixed to one channel"), "{notes:?}");
        assert_eq!(notes[3], "mel_l1 is by f5-tts (24000 Hz, 100 bands)");
    }

    #[test]
    fn what_failed_is_counted_and_left_out() {
        let mut all = scores("a", 2, Metric::MelL1, |_| 0.1);
        all.push(FileScore::unscored("file 2", "a", &BTreeSet::from([Metric::MelL1]), "the rendering is silent"));
        let summary = Summary::new(&["a".into()], &all);
        assert_eq!((summary.files, summary.systems[0].failed), (3, 1));
        assert!(summary.extent().starts_with("3 recordings, "));
        let mean = summary.systems[0].means[&Metric::MelL1];
        assert_eq!((mean.mean, mean.n), (0.1, 2));
    }
}
