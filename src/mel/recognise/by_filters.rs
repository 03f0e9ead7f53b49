//! What a candidate's filters cannot give, and what they foretell.

use super::{
    Candidate, Verdict,
    bank_evidence::{BankEvidence, Bounds},
    limits::silence,
    view::{Rounding, View},
};
use crate::mel::{Layout, LogBase, MelConvention, filterbank::Filterbank};
use std::collections::HashMap;

/// What the bank's bounds allow for rounding, relative: single precision in a quiet band of a loud frame stays below 1e-3.
const BANK_TOLERANCE: f64 = 0.01;

/// As `BANK_TOLERANCE` where proof is asked for: relative to the value, and to the loudest band of its frame.
const SHARP_TOLERANCE: (f64, f64) = (1e-4, 1e-6);

/// Bands that the filters have to foretell before they are proven.
const FORETOLD: usize = 40;

/// The tests that need the filters, on the candidates that are left.
pub(super) fn compare_filters(candidates: &mut [Candidate], views: &HashMap<Layout, View>) {
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
pub(super) fn proven(c: &MelConvention, view: &View) -> Option<bool> {
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
