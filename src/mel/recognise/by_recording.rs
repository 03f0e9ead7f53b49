//! The recording's own mel by each candidate, held against the numbers.

use super::{Candidate, Recording, Verdict, limits::silence, rendered_alike, view::View};
use crate::{
    dsp::resample::resample,
    mel::{Layout, extract::extract, filterbank::Filterbank},
};
use std::collections::{HashMap, hash_map::Entry};

/// Mean distance in natural logarithm up to which a mel is its recording's own by a convention. The same numbers lie 1e-5
/// apart, after resampling 0.03, those of another convention 0.2 and more.
const AGREES: f64 = 0.1;

/// Of a recording, this much is compared.
const COMPARED_S: usize = 20;

/// What a recording says of the mel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// It is the recording's own by a candidate.
    Agrees,
    /// By none of them: it was not computed from this recording, or by no preset.
    Disagrees,
}

/// Compares the mel with the recording's own by each candidate, value by value. Where it agrees with one, all that are not
/// rendered like it are ruled out. `None` where nothing could be compared.
pub(super) fn compare_recording(
    candidates: &mut [Candidate],
    views: &HashMap<Layout, View>,
    recording: &Recording,
    notes: &mut Vec<String>,
) -> Option<Comparison> {
    let own = &recording.samples[..recording.samples.len().min(COMPARED_S * recording.sample_rate as usize)];
    let mut at_rate: HashMap<u32, Vec<f32>> = HashMap::new();
    let mut distance = |candidate: &Candidate| {
        let (c, view) = (candidate.convention, &views[&candidate.layout]);
        let whole = recording.samples.len() as f64 * f64::from(c.sample_rate) / f64::from(recording.sample_rate);
        // Programs cut or add a frame or two.
        if (c.frames(whole.round() as usize) as f64 - view.frames() as f64).abs() > 2.0 {
            return None;
        }
        let samples = match at_rate.entry(c.sample_rate) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => place.insert(resample(own, recording.sample_rate, c.sample_rate).ok()?),
        };
        let mel = extract(samples, c).ok()?;
        // Where the recording was cut, or a program masked its last frame, nothing is compared.
        let frames = mel.frames().min(view.frames()).saturating_sub(if view.frames() > 16 { 2 } else { 0 });
        let own = &mel.values()[..frames * c.n_mels];
        // Silence is alike by all that have its floor.
        let floors = silence(c, &Filterbank::new(c));
        let sounds = |i: usize, v: f32| (v - floors[i % c.n_mels]).abs() > view.tolerance(v);
        let pairs = own.iter().zip(&view.values).enumerate().filter(|(i, (a, b))| sounds(*i, **a) || sounds(*i, **b));
        let (count, apart) =
            pairs.fold((0, 0.0), |(count, sum), (_, (a, b))| (count + 1, sum + f64::from((a - b).abs())));
        (count > 0).then(|| apart / f64::from(count) / c.stored_slope().abs())
    };
    let distances: Vec<Option<f64>> = candidates.iter().map(&mut distance).collect();
    let nearest = (0..candidates.len())
        .filter_map(|i| distances[i].map(|d| (d, i)))
        .min_by(|a, b| a.0.total_cmp(&b.0).then(candidates[b.1].score.total_cmp(&candidates[a.1].score)));
    let (least, best) = nearest?;
    let name = candidates[best].convention.name.clone();
    if least > AGREES {
        notes.push(format!(
            "the recording's own mel is {least:.2} nats away by the nearest preset ({name}): it was computed by none of \
             them, or from another recording"
        ));
        return Some(Comparison::Disagrees);
    }
    let (convention, layout) = (candidates[best].convention, candidates[best].layout);
    for (candidate, distance) in candidates.iter_mut().zip(&distances) {
        let alike = candidate.layout == layout && rendered_alike(candidate.convention, convention);
        let (verdict, reason) = match *distance {
            Some(d) if alike && d <= AGREES => {
                (Verdict::Fits, format!("the recording's own mel by it is {d:.4} nats away"))
            }
            Some(d) => (Verdict::Impossible, format!("the recording's own mel by it is {d:.2} nats away")),
            None => continue,
        };
        candidate.verdict = verdict;
        candidate.reasons.insert(0, reason);
    }
    let others = |(c, d): &(&mut Candidate, &Option<f64>)| d.is_none() && c.verdict > Verdict::Impossible;
    for (other, _) in candidates.iter_mut().zip(&distances).filter(others) {
        other.verdict = Verdict::Impossible;
        other.reasons.insert(0, format!("the recording's own mel is that of {name}"));
    }
    Some(Comparison::Agrees)
}
