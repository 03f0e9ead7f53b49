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

use super::{
    Layout, LogBase, MelConvention,
    bank_evidence::{BankEvidence, Bounds},
    excerpt::Excerpt,
    extract::extract,
    file::{RawArray, squeezed},
    filterbank::Filterbank,
    presets::{self, Preset},
};
use crate::{Result, dsp::resample::resample};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{DefaultHasher, Hasher},
};

/// How many times a lowest value has to occur to be a floor and no accident.
const FLOOR_COUNT: usize = 8;
/// Bands that it has to occur in: a steady tone repeats one band's value, a floor many.
const FLOOR_BANDS: usize = 3;
/// What the bank's bounds allow for rounding, relative: single precision in a quiet band of a loud frame stays below 1e-3.
const BANK_TOLERANCE: f64 = 0.01;

/// As `BANK_TOLERANCE` where proof is asked for: relative to the value, and to the loudest band of its frame.
const SHARP_TOLERANCE: (f64, f64) = (1e-4, 1e-6);

/// Mean distance in natural logarithm up to which a mel is its recording's own by a convention. The same numbers lie 1e-5
/// apart, after resampling 0.03, those of another convention 0.2 and more.
const AGREES: f64 = 0.1;

/// Of a recording, this much is compared.
const COMPARED_S: usize = 20;

/// Bands that the filters have to foretell before they are proven.
const FORETOLD: usize = 40;

/// Frames that are held against every candidate's filters, spread over the whole mel: of twenty minutes no more than of one.
const MOST_FRAMES: usize = 4000;

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

/// The numbers in one of the two orders, and what does not depend on a convention.
struct View {
    layout: Layout,
    n_mels: usize,
    /// `[T, M]`
    values: Vec<f32>,
    rounding: Rounding,
    /// Each band's lowest, highest and mean value.
    bands: Vec<BandRange>,
    /// Each band's lowest value, where it occurs [`FLOOR_COUNT`] times.
    repeated: Vec<Option<f32>>,
    /// The lowest value of all, and how many times it occurs.
    lowest: (f32, usize),
    /// The lowest value occurs often enough, in bands enough.
    has_floor: bool,
    /// Bands that never leave the lowest value, between two that do.
    silent_between: Vec<usize>,
    /// The frames that the filters are tried on: all, or [`MOST_FRAMES`] of them, evenly spread.
    tried: Vec<usize>,
    /// Between the lowest and the highest hundredth of the values of these.
    span: f32,
}

/// The numbers that a file's values are among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Single,
    Half,
    Bfloat,
}

impl Rounding {
    fn of(values: &[f32]) -> Self {
        if values.iter().all(|v| half::bf16::from_f32(*v).to_f32() == *v) {
            Self::Bfloat
        } else if values.iter().all(|v| half::f16::from_f32(*v).to_f32() == *v) {
            Self::Half
        } else {
            Self::Single
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct BandRange {
    low: f32,
    high: f32,
    mean: f64,
}

impl View {
    fn new(values: &[f32], rows: usize, columns: usize, layout: Layout) -> Self {
        let values: Vec<f32> = match layout {
            Layout::FramesFirst => values.to_vec(),
            Layout::BandsFirst => values
                .chunks_exact(rows * columns)
                .flat_map(|item| (0..columns).flat_map(move |t| (0..rows).map(move |m| item[m * columns + t])))
                .collect(),
        };
        let n_mels = if layout == Layout::BandsFirst { rows } else { columns };
        let rounding = Rounding::of(&values);
        let frames = values.len() / n_mels;
        let mut bands = vec![BandRange { low: f32::INFINITY, high: f32::NEG_INFINITY, mean: 0.0 }; n_mels];
        for frame in values.chunks_exact(n_mels) {
            for (band, &v) in bands.iter_mut().zip(frame) {
                (band.low, band.high) = (band.low.min(v), band.high.max(v));
                band.mean += f64::from(v) / frames as f64;
            }
        }
        let lowest = bands.iter().map(|band| band.low).fold(f32::INFINITY, f32::min);
        let most = frames.min(MOST_FRAMES);
        let mut view = Self {
            layout,
            n_mels,
            values,
            rounding,
            bands,
            repeated: vec![],
            lowest: (lowest, 0),
            has_floor: false,
            silent_between: vec![],
            tried: (0..most).map(|i| i * frames / most).collect(),
            span: 0.0,
        };
        let counts = view.counts_of_lowest();
        let is_lowest = |v: f32| v <= lowest + view.tolerance(lowest);
        let bands_at_lowest: Vec<usize> = (0..n_mels).filter(|&m| is_lowest(view.bands[m].low)).collect();
        let count = bands_at_lowest.iter().map(|&m| counts[m]).sum();
        let silent: Vec<bool> = view.bands.iter().map(|band| is_lowest(band.high)).collect();
        let between = |m: usize| silent[m] && silent[..m].contains(&false) && silent[m..].contains(&false);
        view.silent_between = (0..n_mels).filter(|&m| between(m)).collect();
        view.repeated =
            view.bands.iter().zip(&counts).map(|(band, &n)| (n >= FLOOR_COUNT).then_some(band.low)).collect();
        view.lowest.1 = count;
        view.has_floor = count >= FLOOR_COUNT && bands_at_lowest.len() >= FLOOR_BANDS;
        view.span = view.span_of_tried();
        view
    }

    /// [M]: how many times each band's lowest value occurs. Looped sound comes back with all its values, the lowest among them,
    /// which for that is no floor: a frame that was there before counts only where it goes on with the one before it, as
    /// silence does.
    fn counts_of_lowest(&self) -> Vec<usize> {
        let limits: Vec<f32> = self.bands.iter().map(|band| band.low + self.tolerance(band.low)).collect();
        let (mut counts, mut seen) = (vec![0; self.n_mels], HashSet::new());
        for t in 0..self.frames() {
            let mut hasher = DefaultHasher::new();
            self.frame(t).iter().for_each(|v| hasher.write_u32(v.to_bits()));
            if seen.insert(hasher.finish()) || t > 0 && self.frame(t) == self.frame(t - 1) {
                for ((count, v), limit) in counts.iter_mut().zip(self.frame(t)).zip(&limits) {
                    *count += usize::from(v <= limit);
                }
            }
        }
        counts
    }

    fn span_of_tried(&self) -> f32 {
        let mut values: Vec<f32> = self.tried.iter().flat_map(|&t| self.frame(t).iter().copied()).collect();
        let (low, high) = (values.len() / 100, values.len() - 1 - values.len() / 100);
        let low = *values.select_nth_unstable_by(low, f32::total_cmp).1;
        let high = *values.select_nth_unstable_by(high, f32::total_cmp).1;
        high - low
    }

    fn frames(&self) -> usize {
        self.values.len() / self.n_mels
    }

    fn frame(&self, t: usize) -> &[f32] {
        &self.values[t * self.n_mels..(t + 1) * self.n_mels]
    }

    /// How far a stored number may lie from the exact one by rounding alone.
    fn tolerance(&self, value: f32) -> f32 {
        match self.rounding {
            Rounding::Single => value.abs() * 2e-6 + 2e-5,
            Rounding::Half => value.abs() * 5e-4 + 1e-4,
            Rounding::Bfloat => value.abs() * 4e-3 + 1e-4,
        }
    }

    fn highest(&self) -> f32 {
        self.bands.iter().map(|band| band.high).fold(f32::NEG_INFINITY, f32::max)
    }

    fn floor(&self) -> Option<(f32, usize)> {
        self.has_floor.then_some(self.lowest)
    }

    fn profile(&self) -> Vec<f32> {
        let eighth = |i: usize| {
            let bands = &self.bands[i * self.n_mels / 8..(i + 1) * self.n_mels / 8];
            (bands.iter().map(|band| band.mean).sum::<f64>() / bands.len() as f64) as f32
        };
        if self.n_mels < 8 { vec![] } else { (0..8).map(eighth).collect() }
    }

    /// The range is one that a normalisation gives: nothing can be concluded from it.
    fn is_generic(&self) -> bool {
        let (lowest, highest) = (self.lowest.0, self.highest());
        let at = |v: f32, edges: &[f32]| edges.iter().any(|e| (v - e).abs() < 1e-3);
        at(lowest, &[0.0, -1.0, -4.0])
            || at(highest, &[0.0, 1.0, 4.0])
            || (!self.has_floor && lowest > -4.0 && highest < 4.0)
    }
}

/// All that one convention has to say for itself.
fn examine(c: &'static MelConvention, view: &View, recording: Option<&Recording>) -> Candidate {
    let mut impossible = Vec::new();
    let mut odd = Vec::new();
    let mut support = Vec::new();
    let bank = Filterbank::new(c);
    let floors = silence(c, &bank);
    let roofs = loudest(c, &bank);
    let near = |v: f32, w: f32| (v - w).abs() <= view.tolerance(w);

    let lowest_floor = floors.iter().copied().fold(f32::INFINITY, f32::min);
    let ranges = || view.bands.iter().enumerate();
    if let Some((m, BandRange { low: v, .. })) = ranges().find(|(m, b)| b.low < floors[*m] - view.tolerance(floors[*m]))
    {
        impossible.push(format!("{v:.3} in band {m} lies below its floor {:.3}", floors[m]));
    }
    if let Some((m, BandRange { high: v, .. })) = ranges().find(|(m, b)| b.high > roofs[*m] + view.tolerance(roofs[*m]))
    {
        impossible.push(format!("{v:.3} in band {m} is more than full scale gives ({:.3})", roofs[m]));
    }
    let repeated: Vec<(usize, f32)> = view.repeated.iter().enumerate().filter_map(|(m, v)| v.map(|v| (m, v))).collect();
    // Where something is added to sound, under the root or before the logarithm, what is nearly silent lies just above silence.
    let settles = |m: usize| c.added_floor > 0.0 || floors[m] > c.stored(m, 0.0) as f32 + view.tolerance(floors[m]);
    let above = 0.1 * c.stored_slope().abs() as f32;
    let is_own = |m: usize, v: f32| near(v, floors[m]) || settles(m) && (0.0..above).contains(&(v - floors[m]));
    let own = repeated.iter().filter(|&&(m, v)| is_own(m, v)).count();
    let floor_found = own >= FLOOR_BANDS;
    if repeated.len() >= FLOOR_BANDS && (own as f64) < 0.9 * repeated.len() as f64 {
        let (value, count) = view.lowest;
        impossible.push(format!(
            "the lowest value {value:.3} ({count} times) is a floor that is not its own ({lowest_floor:.3})"
        ));
    } else if floor_found {
        support.push(format!("its floor {lowest_floor:.3} occurs {} times", view.lowest.1));
    }
    let empty = (0..c.n_mels).filter(|&m| bank.row(m).1.is_empty()).count();
    if let (true, Some(m)) = (empty == 0, view.silent_between.first()) {
        let count = view.silent_between.len();
        impossible.push(format!(
            "band {m} ({count} in all) is silent throughout between others; none of its filters is empty"
        ));
    } else if empty > 0 && !view.silent_between.is_empty() {
        support.push(format!(
            "{} bands are silent throughout, as its {empty} filters without a bin",
            view.silent_between.len()
        ));
    }
    if let Some(Recording { samples, sample_rate }) = recording {
        let (samples, sample_rate) = (samples.len(), *sample_rate);
        let own = samples as f64 * f64::from(c.sample_rate) / f64::from(sample_rate);
        // Where the rate is not its own, resampling may have rounded either way.
        let slack = if sample_rate == c.sample_rate { 0.0 } else { 1.0 };
        let frames = c.frames((own - slack).max(0.0).floor() as usize)..=c.frames((own + slack).ceil() as usize);
        if frames.contains(&view.frames()) {
            support.push(format!("{samples} samples give {} frames", view.frames()));
        } else {
            impossible.push(format!(
                "{samples} samples at {sample_rate} Hz would give {} frames, not {}",
                frames.end(),
                view.frames()
            ));
        }
    }
    // Natural logarithm.
    let span = f64::from(view.span) / c.stored_slope().abs();
    if span < 2.5 {
        odd.push(format!("all its values would lie within {:.0} dB", span * 8.686));
    }

    let verdict = match (impossible.is_empty(), odd.is_empty()) {
        (false, _) => Verdict::Impossible,
        (true, false) => Verdict::Unlikely,
        (true, true) => Verdict::Fits,
    };
    support.push(format!("{} bands", c.n_mels));
    let stored_so = if c.layout == view.layout { 0.5 } else { 0.0 };
    let score = if floor_found { 3.0 } else { 0.0 } + stored_so + f64::from(recording.is_some());
    let reasons = [impossible, odd, support].concat();
    Candidate { convention: c, layout: view.layout, verdict, reasons, floor_found, score }
}

/// [M]: what digital silence is stored as.
fn silence(c: &MelConvention, bank: &Filterbank) -> Vec<f32> {
    let bin = c.magnitude_epsilon.max(c.power_floor).powf(c.power / 2.0);
    let area = |m: usize| bank.row(m).1.iter().map(|&w| f64::from(w)).sum::<f64>();
    (0..c.n_mels).map(|m| c.stored(m, area(m) * bin) as f32).collect()
}

/// [M]: more than audio of twice full scale can give. The window's energy bounds the spectrum's (Parseval), and that
/// bounds a band (Cauchy and Schwarz).
fn loudest(c: &MelConvention, bank: &Filterbank) -> Vec<f32> {
    let window_energy = 0.375 * c.win_length as f64;
    let magnitude = 2.0 * (c.n_fft as f64 * window_energy / 2.0).sqrt();
    let norm = if c.window_norm { window_energy.sqrt() } else { 1.0 };
    let weight = |m: usize| bank.row(m).1.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    let power = (magnitude / norm).powf(c.power);
    (0..c.n_mels).map(|m| c.stored(m, weight(m) * power + 1e-3 * c.lowest_band_value()) as f32).collect()
}

/// What a recording says of the mel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// It is the recording's own by a candidate.
    Agrees,
    /// By none of them: it was not computed from this recording, or by no preset.
    Disagrees,
}

/// Compares the mel with the recording's own by each candidate, value by value. Where it agrees with one, all that are not
/// rendered like it are ruled out. `None` where nothing could be compared.
fn compare_recording(
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

/// The tests that need the filters, on the candidates that are left.
fn compare_filters(candidates: &mut [Candidate], views: &HashMap<Layout, View>) {
    let mut evidence: HashMap<&str, BankEvidence> = HashMap::new();
    for candidate in candidates.iter_mut().filter(|c| c.verdict > Verdict::Impossible) {
        let view = &views[&candidate.layout];
        let bank =
            evidence.entry(&candidate.convention.name).or_insert_with(|| BankEvidence::new(candidate.convention));
        if let Some(excess) = fluctuation_excess(candidate.convention, view, bank) {
            candidate.score -= (excess - 0.4).abs();
            if !(-0.25..1.1).contains(&excess) {
                let how = if excess < 0.0 { "less" } else { "more" };
                candidate.verdict = Verdict::Unlikely;
                candidate
                    .reasons
                    .insert(0, format!("neighbouring bands move {how} against each other than sound does"));
            }
        }
        let frames = view.tried.len();
        let bad = view.tried.iter().filter(|&&t| !bank.allows(bounds(candidate.convention, view, t, rounded))).count();
        let share = bad as f64 / frames as f64;
        // A predicted mel obeys no filters; one with exact floors was computed, and computed ones obey exactly.
        if view.has_floor && bad >= 4 && share > 0.01 {
            candidate.verdict = Verdict::Impossible;
            candidate.reasons.insert(0, format!("its filters cannot give {bad} of the {frames} frames"));
        } else if share > 0.2 {
            candidate.verdict = Verdict::Unlikely;
            candidate.reasons.insert(0, format!("its filters cannot give {bad} of the {frames} frames"));
        }
        candidate.score -= share;
    }
    // Filters that allow nearly everything cannot be disproved by a frame, but by what they would have given: a mel of
    // theirs would contradict the tighter candidate's filters now and then, and this one never does.
    let found: Vec<usize> = (0..candidates.len())
        .filter(|&i| candidates[i].floor_found && candidates[i].verdict == Verdict::Fits)
        .collect();
    for &winner in &found {
        let view = &views[&candidates[winner].layout];
        let (name, c) = (candidates[winner].convention.name.clone(), candidates[winner].convention);
        let frames = view.tried.len();
        let allowed = view.tried.iter().all(|&t| evidence[name.as_str()].allows(bounds(c, view, t, rounded)));
        if !allowed || frames < 100 {
            continue;
        }
        for other in candidates.iter_mut() {
            let d = other.convention;
            if other.verdict == Verdict::Impossible || other.layout != view.layout || same_filters(c, d) {
                continue;
            }
            let share = imagined_contradictions(c, &evidence[name.as_str()], d, &evidence[d.name.as_str()], view);
            // Neighbouring frames share samples, so that an eighth of them counts; the imagined share is taken at a
            // quarter, because real spectra are smoother than noise.
            if share >= 0.1 && (1.0 - share / 4.0).powf(frames as f64 / 8.0) < 1e-4 {
                other.verdict = Verdict::Impossible;
                let why = format!(
                    "made by it, {:.0} % of the frames would contradict the filters of {name}; none does",
                    100.0 * share
                );
                other.reasons.insert(0, why);
            }
        }
    }
}

/// How much more than in white noise the difference of neighbouring bands moves, in natural logarithm: the median over
/// the bands of robust deviations. Speech and music lie between 0.1 and 0.7.
fn fluctuation_excess(c: &MelConvention, view: &View, bank: &BankEvidence) -> Option<f64> {
    // Of these, equal steps are no equal ratios.
    if c.added_floor > 0.0 || matches!(c.log, LogBase::PowerLaw(_)) {
        return None;
    }
    let slope = c.stored_slope().abs();
    let floors = silence(c, &Filterbank::new(c));
    let mut excess = Vec::new();
    for (m, expected) in bank.noise_fluctuation().into_iter().enumerate() {
        let above = |m: usize, v: f32| v > floors[m] + view.tolerance(floors[m]);
        let mut moves: Vec<f64> = (view.tried.iter().map(|&t| (view.frame(t)[m], view.frame(t)[m + 1])))
            .filter(|&(a, b)| above(m, a) && above(m + 1, b))
            .map(|(a, b)| f64::from(b - a) / slope)
            .collect();
        if moves.len() < 12 {
            continue;
        }
        let mut quartile = |i: usize| {
            let place = moves.len() * i / 4;
            *moves.select_nth_unstable_by(place, f64::total_cmp).1
        };
        // The quartiles of a normal distribution lie 1.349 deviations apart.
        let deviation = (quartile(3) - quartile(1)) / 1.349;
        if let Some(expected) = expected.filter(|e| *e > 1e-3) {
            excess.push((deviation.max(1e-6) / expected).ln());
        }
    }
    excess.sort_by(f64::total_cmp);
    (excess.len() >= 16).then(|| excess[excess.len() / 2])
}

/// What a value may be off by, relative: roughly ...
fn rounded(_linear: f64, _loudest: f64) -> f64 {
    BANK_TOLERANCE
}

/// ... and as a program in single precision computes it.
fn sharp(linear: f64, loudest: f64) -> f64 {
    (SHARP_TOLERANCE.0 + SHARP_TOLERANCE.1 * loudest / linear.max(1e-30)).min(1.0)
}

/// The band values of frame `t` as far as they are known.
fn bounds<'a>(
    c: &'a MelConvention,
    view: &'a View,
    t: usize,
    tolerance: fn(f64, f64) -> f64,
) -> impl Iterator<Item = Bounds> + 'a {
    let linear = |(m, &v): (usize, &f32)| c.linear(m, f64::from(v));
    let loudest = view.frame(t).iter().enumerate().map(linear).fold(0.0, f64::max);
    let clip = c.affine.and_then(|a| a.clip);
    let lowest = view.lowest.0;
    view.frame(t).iter().enumerate().map(move |(m, &v)| {
        let linear = c.linear(m, f64::from(v));
        // Of a small value that something was added to, few digits are left.
        let lost = 2e-6 * c.added_floor / linear.max(1e-30);
        let tolerance = match view.rounding {
            Rounding::Single => (tolerance(linear, loudest) + lost).min(1.0),
            // The stored number's own rounding, in natural logarithms.
            _ => (3.0 * BANK_TOLERANCE).max(f64::from(view.tolerance(v)) / c.stored_slope().abs()),
        };
        let (mut low, mut high) = (linear * (1.0 - tolerance), linear * (1.0 + tolerance));
        if v <= lowest + view.tolerance(lowest) || linear <= c.lowest_band_value() * (1.0 + tolerance) {
            low = 0.0;
        }
        if clip.is_some_and(|[_, top]| f64::from(v) >= top - 1e-4) {
            high = f64::INFINITY;
        }
        (low, high)
    })
}

/// The share of frames that would contradict `c`'s filters if noise of their envelope had been seen through `d`'s.
fn imagined_contradictions(
    c: &MelConvention,
    tight: &BankEvidence,
    d: &MelConvention,
    loose: &BankEvidence,
    view: &View,
) -> f64 {
    let step = (view.frames() / 64).max(1);
    let turns: Vec<usize> = (0..view.frames()).step_by(step).collect();
    let bad = turns.iter().filter(|&&t| {
        let bands: Vec<f64> = view.frame(t).iter().enumerate().map(|(m, &v)| d.linear(m, f64::from(v))).collect();
        let imagined = loose.imagined(&bands, t);
        // As the file would hold it, read as `c`.
        let read = imagined.iter().enumerate().map(|(m, &v)| {
            let linear = c.linear(m, d.stored(m, v));
            let low = if v <= d.lowest_band_value() { 0.0 } else { linear * (1.0 - BANK_TOLERANCE) };
            (low, linear * (1.0 + BANK_TOLERANCE))
        });
        !tight.allows(read)
    });
    bad.count() as f64 / turns.len() as f64
}

/// Whether the numbers speak for a convention's filters: [`FORETOLD`] bands are what the bands below them foretell, and no
/// frame contradicts them. `None` where some do.
fn proven(c: &MelConvention, view: &View) -> Option<bool> {
    let bank = BankEvidence::new(c);
    let foretold: Option<Vec<usize>> = view.tried.iter().map(|&t| bank.foretold(bounds(c, view, t, sharp))).collect();
    foretold.map(|counts| counts.iter().sum::<usize>() >= FORETOLD || silent_bands(c, view) >= FORETOLD)
}

/// How many bands' silence is the area of their filter, which no two banks have alike, and not what all bands are raised to.
fn silent_bands(c: &MelConvention, view: &View) -> usize {
    let is_area = |m: usize, silence: f32| {
        let raised = c.stored(m, 0.0) as f32;
        // Four digits of the area, of which neighbouring filters share two.
        silence > raised + 1e3 * view.tolerance(raised)
            && view.repeated[m].is_some_and(|v| (v - silence).abs() <= view.tolerance(v))
    };
    let silence = silence(c, &Filterbank::new(c));
    silence.into_iter().enumerate().filter(|&(m, silence)| is_area(m, silence)).count()
}

fn same_filters(a: &MelConvention, b: &MelConvention) -> bool {
    let filters = |c: &MelConvention| {
        (c.sample_rate, c.n_fft, c.win_length, c.n_mels, c.f_min.to_bits(), c.f_max.to_bits(), c.scale, c.area_norm)
    };
    filters(a) == filters(b)
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

/// How many candidates at the head are certain, and how many are left without being proven. `agrees`: the recording's own mel
/// has decided.
fn certain_count(
    candidates: &mut [Candidate],
    views: &HashMap<Layout, View>,
    agrees: bool,
    notes: &mut Vec<String>,
) -> (usize, usize) {
    let possible = candidates.iter().filter(|c| c.verdict > Verdict::Impossible).count();
    if possible == 0 {
        if !candidates.is_empty() {
            notes.push(
                "no preset can have made these numbers; describe the convention in a file (`convention` FILE)".into(),
            );
        }
        return (0, 0);
    }
    let head = candidates[0].clone();
    let alike = |c: &Candidate| c.layout == head.layout && rendered_alike(c.convention, head.convention);
    let names = |list: &[&Candidate]| list.iter().map(|c| c.convention.name.as_str()).collect::<Vec<_>>().join(", ");
    let possible = &candidates[..possible];
    let twins: Vec<&Candidate> = possible.iter().filter(|c| alike(c)).collect();
    if twins.len() > 1 {
        notes.push(format!("{} cannot be told apart here and are rendered alike", names(&twins)));
    }
    if agrees {
        return (twins.len(), 0);
    }
    for other in possible.iter().filter(|c| !alike(c)) {
        if let Some(why) = confusion(head.convention, other.convention) {
            notes.push(format!(
                "{} and {} cannot be told apart by the numbers: {why}",
                head.convention.name, other.convention.name
            ));
        }
    }
    if candidates.iter().any(|c| c.layout != head.layout && c.verdict > Verdict::Impossible) {
        notes.push("both axes have a preset's number of bands; `layout` says which is which".into());
    }
    let view = &views[&head.layout];
    let certain = twins.len() == possible.len()
        && head.verdict == Verdict::Fits
        && view.frames() >= 16
        && !candidates.iter().any(|c| c.verdict == Verdict::Unlikely);
    if certain && view.is_generic() {
        notes.push(format!(
            "{:.3} to {:.3} is a range that many programs normalise to, so that nothing follows from it",
            view.lowest.0,
            view.highest()
        ));
        return (0, 0);
    }
    if !certain {
        return (0, 0);
    }
    match proven(head.convention, view) {
        Some(true) => {
            let (name, hop) = (&head.convention.name, head.convention.hop);
            notes.push(format!("its frames prove the filters of {name}; the hop, {hop}, leaves no trace in them"));
            (twins.len(), 0)
        }
        Some(false) => {
            notes.push(format!(
                "nothing contradicts {}, but other bands, rates and hops may give numbers like these",
                head.convention.name
            ));
            (0, twins.len())
        }
        None => {
            notes.push(format!("the filters of {} cannot give some of the frames", head.convention.name));
            (0, 0)
        }
    }
}

/// Why two conventions look alike.
fn confusion(a: &MelConvention, b: &MelConvention) -> Option<&'static str> {
    let at_same_grid = MelConvention { framing: b.framing, ..a.clone() };
    if rendered_alike(&at_same_grid, b) {
        return Some("their frames lie half a hop apart and one has a frame more; the recording's length would tell");
    }
    let same_bands = a.f_min == b.f_min && a.f_max == b.f_max && a.scale == b.scale && a.log == b.log;
    if same_bands && a.affine == b.affine && a.sample_rate != b.sample_rate {
        return Some("their bands lie at the same frequencies, but the frames are not equally far apart");
    }
    (a.log == LogBase::Decibel && a.log == b.log && a.affine == b.affine && a.n_mels == b.n_mels)
        .then_some("the range is the same, and the filters differ by the rate alone")
}
