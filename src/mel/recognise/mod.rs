//! Which convention a bare array of numbers was made by.
//!
//! Two kinds of evidence, kept apart. What a convention cannot have stored (a value under its floor, above what full scale
//! gives, a floor that is not its own, a frame that its filters cannot make, a number of frames that the recording does not
//! have) rules it out. What is merely odd (too smooth in time for its logarithm, hardly any range) makes it unlikely.
//! That the others are ruled out proves nothing, for most conventions are nobody's preset. An answer is certain only where
//! the numbers speak for it, too: where the recording is at hand and its own mel agrees value by value, where the filters
//! foretell bands from their neighbours (as narrow bands that share their bins do) and are right frame after frame, or where
//! an epsilon under the root makes digital silence show each filter's area. Other filters hardly ever are. What nothing
//! contradicts and nothing proves stays open.

mod bank_evidence;
mod by_filters;
mod by_recording;
mod excerpt;
mod limits;
mod verdict;
mod view;

use super::{
    Layout, MelConvention,
    file::{RawArray, squeezed},
    presets::{self, Preset},
};
use crate::Result;
use by_filters::compare_filters;
use by_recording::{Comparison, compare_recording};
use excerpt::Excerpt;
use limits::examine;
use std::collections::HashMap;
use verdict::certain_count;
use view::View;

/// The recording that a mel was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// `[n]`, mono
    pub samples: Vec<f32>,
    /// Hz
    pub sample_rate: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The convention cannot have stored these numbers.
    Impossible,
    /// It can have, but hardly from a recording of speech or music.
    Unlikely,
    Fits,
}

/// A preset against the numbers.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub convention: &'static MelConvention,
    /// The order that the array would be in.
    pub layout: Layout,
    pub verdict: Verdict,
    /// Why, the weightiest first; each a clause.
    pub reasons: Vec<String>,
    /// Its lowest value was found as a floor.
    pub floor_found: bool,
    /// Among equal verdicts, the higher the likelier.
    score: f64,
}

/// What the numbers themselves look like.
#[derive(Debug, Clone)]
pub struct Summary {
    pub shape: Vec<usize>,
    pub lowest: f32,
    pub highest: f32,
    /// Value and count, where the lowest value is a floor: what silence is stored as.
    pub silence: Option<(f32, usize)>,
    /// Mean of each eighth of the bands, from the lowest up, in the likeliest layout.
    pub profile: Vec<f32>,
}

/// All presets that an array can be, the likeliest first.
#[derive(Debug, Clone)]
pub struct Ranking {
    pub summary: Summary,
    pub candidates: Vec<Candidate>,
    /// How many of the first candidates are certain: 0, or those that give the same rendering of these numbers.
    certain: usize,
    /// How many are left of which nothing is contradicted, though nothing proves them: 0 where some are certain.
    left: usize,
    /// The certain one's mel of the recording agrees with the numbers.
    by_recording: bool,
    /// What keeps the answer from being certain, or what has to be known about the array.
    pub notes: Vec<String>,
}

impl Ranking {
    /// The convention, where it is certain.
    pub fn certain(&self) -> Option<&Candidate> {
        self.candidates[..self.certain].first()
    }

    /// The convention `own`, or one that is rendered like it, where it alone is left and nothing contradicts it, but nothing
    /// proves it either: what whoever takes that convention may take for granted.
    pub fn not_contradicted(&self, own: &MelConvention) -> Option<&Candidate> {
        self.candidates[..self.left].iter().find(|c| rendered_alike(c.convention, own))
    }

    /// Whether the certain one's hop is only what its program has: filters leave their trace in every frame, the hop in none.
    pub fn takes_hop_for_granted(&self) -> bool {
        self.certain > 0 && !self.by_recording
    }

    /// Others that give the same rendering as the certain one.
    pub fn equivalent(&self) -> &[Candidate] {
        self.candidates[..self.certain].get(1..).unwrap_or_default()
    }

    /// The candidates that are not ruled out.
    pub fn possible(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|c| c.verdict > Verdict::Impossible)
    }
}

/// Ranks the presets for an array in C order. Axes of length 1 are no matter; of a batch every item is looked at.
///
/// Never fails: an array that no preset can have made gives candidates that are all impossible, or none.
pub fn recognise(shape: &[usize], values: &[f32], recording: Option<&Recording>) -> Ranking {
    recognise_in(shape, values, None, recording)
}

/// As [`recognise`], where the order of the axes is known.
pub fn recognise_in(shape: &[usize], values: &[f32], known: Option<Layout>, recording: Option<&Recording>) -> Ranking {
    recognise_among(presets::all(), shape, values, known, recording)
}

/// As [`recognise_in`] of an array where it lies. Of a long one, pieces all over it are looked at, unless it is to be compared
/// with its recording.
///
/// # Errors
/// Those of reading it.
pub fn recognise_array(array: &RawArray, known: Option<Layout>, recording: Option<&Recording>) -> Result<Ranking> {
    let excerpt = if recording.is_none() { Excerpt::of(array)? } else { None };
    let Some(Excerpt { shape, values, lowest, highest }) = excerpt else {
        return Ok(recognise_in(&array.shape, &array.values()?, known, recording));
    };
    let mut ranking = recognise_in(&shape, &values, known, None);
    let summary = ranking.summary;
    ranking.summary = Summary { shape: array.shape.clone(), lowest, highest, ..summary };
    let (looked_at, whole) = (format!("{shape:?}"), format!("{:?}", array.shape));
    ranking.notes.iter_mut().for_each(|note| *note = note.replace(&looked_at, &whole));
    Ok(ranking)
}

/// As [`recognise_in`], with these conventions as all that there are.
pub fn recognise_among(
    presets: impl IntoIterator<Item = &'static Preset>,
    shape: &[usize],
    values: &[f32],
    known: Option<Layout>,
    recording: Option<&Recording>,
) -> Ranking {
    let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut summary = Summary { shape: shape.to_vec(), lowest, highest, silence: None, profile: vec![] };
    let mut notes = Vec::new();
    let sized = shape.len() >= 2 && !values.is_empty() && shape.iter().product::<usize>() == values.len();
    if !sized || !lowest.is_finite() || !highest.is_finite() {
        notes.push("this is no array of two axes with finite numbers".into());
        return Ranking { summary, candidates: vec![], certain: 0, left: 0, by_recording: false, notes };
    }
    let axes = squeezed(shape);
    let [rows, columns] = [axes[axes.len() - 2], axes[axes.len() - 1]];
    let items = values.len() / (rows * columns);
    let recording = recording.filter(|_| items == 1);
    if items > 1 {
        notes.push(format!("the array holds {items} items of [{rows}, {columns}]; render takes one at a time"));
    }

    let mut candidates = Vec::new();
    let mut views: HashMap<Layout, View> = HashMap::new();
    // A picture is no array of numbers that anybody would not name.
    for preset in presets.into_iter().filter(|p| !p.convention.falling_bands) {
        for (layout, n_mels) in [(Layout::BandsFirst, rows), (Layout::FramesFirst, columns)] {
            if preset.convention.n_mels == n_mels && known.is_none_or(|known| known == layout) {
                let view = views.entry(layout).or_insert_with(|| View::new(values, rows, columns, layout));
                candidates.push(examine(&preset.convention, view, recording));
            }
        }
    }
    let compared = recording.and_then(|recording| compare_recording(&mut candidates, &views, recording, &mut notes));
    let agrees = compared == Some(Comparison::Agrees);
    if !agrees {
        compare_filters(&mut candidates, &views);
    }
    candidates.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(b.score.total_cmp(&a.score)));
    if let Some(view) = candidates.first().and_then(|c| views.get(&c.layout)) {
        summary.silence = view.floor();
        summary.profile = view.profile();
    } else {
        let counts: Vec<String> = band_counts().iter().map(usize::to_string).collect();
        notes.push(format!("no axis of {shape:?} has a preset's number of bands ({})", counts.join(", ")));
    }
    let (certain, left) = match compared {
        // Whatever its numbers may prove, the recording speaks against.
        Some(Comparison::Disagrees) => (0, 0),
        _ => certain_count(&mut candidates, &views, agrees, &mut notes),
    };
    Ranking { summary, candidates, certain, left, by_recording: agrees, notes }
}

fn band_counts() -> Vec<usize> {
    let mut counts: Vec<usize> = presets::all().iter().map(|p| p.convention.n_mels).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Whether the same numbers, read as `a` or as `b`, are rendered alike: all but floors (which then were not reached, or
/// they would have told the two apart) and the order in the file.
pub fn rendered_alike(a: &MelConvention, b: &MelConvention) -> bool {
    let plain = |c: &MelConvention| MelConvention {
        name: String::new(),
        floor: 1e-5,
        magnitude_epsilon: 0.0,
        power_floor: 0.0,
        layout: Layout::BandsFirst,
        falling_bands: false,
        ..c.clone()
    };
    plain(a) == plain(b)
}
