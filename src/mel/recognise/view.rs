//! An array in one of its two orders, and what does not depend on a convention.

use crate::mel::Layout;
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hasher},
};

/// How many times a lowest value has to occur to be a floor and no accident.
const FLOOR_COUNT: usize = 8;

/// Bands that it has to occur in: a steady tone repeats one band's value, a floor many.
pub(super) const FLOOR_BANDS: usize = 3;

/// Frames that are held against every candidate's filters, spread over the whole mel: of twenty minutes no more than of one.
const MOST_FRAMES: usize = 4000;

/// The numbers in one of the two orders, and what does not depend on a convention.
pub(super) struct View {
    pub(super) layout: Layout,
    pub(super) n_mels: usize,
    /// `[T, M]`
    pub(super) values: Vec<f32>,
    pub(super) rounding: Rounding,
    /// Each band's lowest, highest and mean value.
    pub(super) bands: Vec<BandRange>,
    /// Each band's lowest value, where it occurs [`FLOOR_COUNT`] times.
    pub(super) repeated: Vec<Option<f32>>,
    /// The lowest value of all, and how many times it occurs.
    pub(super) lowest: (f32, usize),
    /// The lowest value occurs often enough, in bands enough.
    pub(super) has_floor: bool,
    /// Bands that never leave the lowest value, between two that do.
    pub(super) silent_between: Vec<usize>,
    /// The frames that the filters are tried on: all, or [`MOST_FRAMES`] of them, evenly spread.
    pub(super) tried: Vec<usize>,
    /// Between the lowest and the highest hundredth of the values of these.
    pub(super) span: f32,
}

/// The numbers that a file's values are among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
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
pub(super) struct BandRange {
    pub(super) low: f32,
    pub(super) high: f32,
    pub(super) mean: f64,
}

impl View {
    pub(super) fn new(values: &[f32], rows: usize, columns: usize, layout: Layout) -> Self {
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

    pub(super) fn frames(&self) -> usize {
        self.values.len() / self.n_mels
    }

    pub(super) fn frame(&self, t: usize) -> &[f32] {
        &self.values[t * self.n_mels..(t + 1) * self.n_mels]
    }

    /// How far a stored number may lie from the exact one by rounding alone.
    pub(super) fn tolerance(&self, value: f32) -> f32 {
        match self.rounding {
            Rounding::Single => value.abs() * 2e-6 + 2e-5,
            Rounding::Half => value.abs() * 5e-4 + 1e-4,
            Rounding::Bfloat => value.abs() * 4e-3 + 1e-4,
        }
    }

    pub(super) fn highest(&self) -> f32 {
        self.bands.iter().map(|band| band.high).fold(f32::NEG_INFINITY, f32::max)
    }

    pub(super) fn floor(&self) -> Option<(f32, usize)> {
        self.has_floor.then_some(self.lowest)
    }

    pub(super) fn profile(&self) -> Vec<f32> {
        let eighth = |i: usize| {
            let bands = &self.bands[i * self.n_mels / 8..(i + 1) * self.n_mels / 8];
            (bands.iter().map(|band| band.mean).sum::<f64>() / bands.len() as f64) as f32
        };
        if self.n_mels < 8 { vec![] } else { (0..8).map(eighth).collect() }
    }

    /// The range is one that a normalisation gives: nothing can be concluded from it.
    pub(super) fn is_generic(&self) -> bool {
        let (lowest, highest) = (self.lowest.0, self.highest());
        let at = |v: f32, edges: &[f32]| edges.iter().any(|e| (v - e).abs() < 1e-3);
        at(lowest, &[0.0, -1.0, -4.0])
            || at(highest, &[0.0, 1.0, 4.0])
            || (!self.has_floor && lowest > -4.0 && highest < 4.0)
    }
}
