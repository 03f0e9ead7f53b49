//! What the numbers of a mel are like, counted frame by frame.
//!
//! An hour is counted before its first sample is heard. So every band has its own figures, and none waits for another's: a frame
//! is added in a few passes over numbers that lie side by side.

use super::{bounds::Bounds, check::nats};
use multiversion::multiversion;
use std::ops::Range;

/// Zero bits at the end of a single-precision number that a half-precision one fits into.
const HALF_BITS: u32 = 13;

/// The figures of all frames. Levels are natural logarithms of magnitudes, whatever is stored.
pub struct Figures {
    pub frames: usize,
    pub values: usize,
    /// Lowest and highest stored value, and the sum of all.
    pub min: f32,
    pub max: f32,
    pub sum: f64,
    /// Values as good as 0 on a plain logarithm's scale, or below it.
    pub at_zero: usize,
    /// How many values are the lowest one, and in how many bands.
    pub at_min: usize,
    pub bands_at_min: usize,
    /// All are 16-bit floats.
    pub is_half: bool,
    /// [M]: the loudest level of each band, without the first and last frames: where the audio is reflected it has an edge,
    /// and an edge has all frequencies.
    pub loudest: Vec<f32>,
    pub lowest_level: f64,
    /// Values below the floor, by more than rounding and by far, and above full scale.
    pub below: usize,
    pub far_below: usize,
    pub above: usize,
    /// How far the worst value lies below its floor and above its highest.
    pub deepest: f64,
    pub excess: f64,
    pub all_at_floor: bool,
    /// How far values that are no silence lie from the mean of their neighbours in the next bands, in the mean; `None` where they
    /// are few, as a tone's are, which fade smoothly to both sides.
    pub roughness: Option<f64>,
}

/// Counts the frames of one mel.
pub struct Tally<'a> {
    bounds: &'a Bounds,
    frames: usize,
    /// Those between the edges.
    inner: Range<usize>,
    added: usize,
    // [M] all, of the numbers as they are stored ...
    lowest: Vec<f32>,
    at_lowest: Vec<u32>,
    highest: Vec<f32>,
    sums: Vec<f64>,
    at_zero: Counter,
    /// Bits that are set in any.
    bits: Vec<u32>,
    // ... and of their levels.
    levels: Vec<f32>,
    lowest_level: Vec<f32>,
    highest_level: Vec<f32>,
    /// Between the edges.
    loudest: Vec<f32>,
    below: Counter,
    far_below: Counter,
    not_above: Counter,
    silent: Vec<f32>,
    roughness: Vec<f64>,
    rough: Vec<u32>,
}

/// How many values of each band lie under a limit.
struct Counter {
    /// [M]
    limits: Vec<f32>,
    counts: Vec<u32>,
}

impl Counter {
    fn new(limits: impl Iterator<Item = f64>) -> Self {
        let limits: Vec<f32> = limits.map(|limit| limit as f32).collect();
        Self { counts: vec![0; limits.len()], limits }
    }

    fn add(&mut self, values: &[f32]) {
        count_below(values, &self.limits, &mut self.counts);
    }

    fn total(&self) -> usize {
        total(&self.counts)
    }
}

impl<'a> Tally<'a> {
    /// Of `frames` frames, all to be added; the edges are `edge` at either end. As good as 0 is what lies below `zero`.
    pub fn new(bounds: &'a Bounds, frames: usize, edge: usize, zero: f32) -> Self {
        let (low, high) = (|| bounds.low().iter(), bounds.high().iter());
        let bands = low().len();
        Self {
            bounds,
            frames,
            inner: edge..frames.saturating_sub(edge),
            added: 0,
            lowest: vec![f32::INFINITY; bands],
            at_lowest: vec![0; bands],
            highest: vec![f32::NEG_INFINITY; bands],
            sums: vec![0.0; bands],
            at_zero: Counter::new(low().map(|_| f64::from(zero))),
            bits: vec![0; bands],
            levels: vec![0.0; bands],
            lowest_level: vec![f32::INFINITY; bands],
            highest_level: vec![f32::NEG_INFINITY; bands],
            loudest: vec![f32::NEG_INFINITY; bands],
            below: Counter::new(low().map(|low| low - nats::ROUNDING)),
            far_below: Counter::new(low().map(|low| low - nats::FAR_BELOW)),
            not_above: Counter::new(high.map(|high| high + nats::ROUNDING)),
            silent: low().map(|low| (low + nats::NEAR_FLOOR) as f32).collect(),
            roughness: vec![0.0; bands],
            rough: vec![0; bands],
        }
    }

    /// `[M]`
    pub fn add(&mut self, frame: &[f32]) {
        find_lowest(frame, &mut self.lowest, &mut self.at_lowest);
        raise(frame, &mut self.highest);
        sum(frame, &mut self.sums);
        self.at_zero.add(frame);
        set_bits(frame, &mut self.bits);

        self.bounds.levels(frame, &mut self.levels);
        lower(&self.levels, &mut self.lowest_level);
        raise(&self.levels, &mut self.highest_level);
        for counter in [&mut self.below, &mut self.far_below, &mut self.not_above] {
            counter.add(&self.levels);
        }
        if self.inner.contains(&self.added) {
            raise(&self.levels, &mut self.loudest);
        }
        add_roughness(&self.levels, &self.silent, &mut self.roughness, &mut self.rough);
        self.added += 1;
    }

    pub fn finish(self) -> Figures {
        let values = self.frames * self.lowest.len();
        let min = self.lowest.iter().copied().fold(f32::INFINITY, f32::min);
        let at_min = || self.lowest.iter().zip(&self.at_lowest).filter(|(lowest, _)| **lowest == min);
        let of = |levels: &[f32]| levels.iter().map(|level| f64::from(*level)).collect::<Vec<f64>>();
        let (lowest, highest) = (of(&self.lowest_level), of(&self.highest_level));
        let under = || self.bounds.low().iter().zip(&lowest).map(|(low, level)| low - level);
        let over = |bounds: &'a [f64]| highest.iter().zip(bounds).map(|(level, bound)| level - bound);
        Figures {
            frames: self.frames,
            values,
            min,
            max: self.highest.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            sum: self.sums.iter().sum(),
            at_zero: self.at_zero.total(),
            at_min: at_min().map(|(_, count)| *count as usize).sum(),
            bands_at_min: at_min().count(),
            is_half: self.bits.iter().fold(0, |all, bits| all | bits).trailing_zeros() >= HALF_BITS,
            lowest_level: lowest.iter().copied().fold(f64::INFINITY, f64::min),
            below: self.below.total(),
            far_below: self.far_below.total(),
            above: values - self.not_above.total(),
            deepest: under().fold(0.0, f64::max),
            excess: over(self.bounds.high()).fold(0.0, f64::max),
            all_at_floor: under().chain(over(self.bounds.low())).all(|apart| apart <= nats::ROUNDING),
            roughness: Some(total(&self.rough))
                .filter(|count| *count > values / 3)
                .map(|count| self.roughness.iter().sum::<f64>() / count as f64),
            loudest: self.loudest,
        }
    }
}

fn total(counts: &[u32]) -> usize {
    counts.iter().map(|count| *count as usize).sum()
}

// Slices that cannot overlap, and no branch: eight bands at once.

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn find_lowest(values: &[f32], lowest: &mut [f32], at_lowest: &mut [u32]) {
    for ((&v, lowest), count) in values.iter().zip(lowest).zip(at_lowest) {
        let kept = if v < *lowest { 0 } else { u32::MAX };
        *lowest = if v < *lowest { v } else { *lowest };
        *count = (*count & kept) + u32::from(v == *lowest);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn lower(values: &[f32], lowest: &mut [f32]) {
    for (&v, lowest) in values.iter().zip(lowest) {
        *lowest = if v < *lowest { v } else { *lowest };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn raise(values: &[f32], highest: &mut [f32]) {
    for (&v, highest) in values.iter().zip(highest) {
        *highest = if v > *highest { v } else { *highest };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn sum(values: &[f32], sums: &mut [f64]) {
    for (&v, sum) in values.iter().zip(sums) {
        *sum += f64::from(v);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn count_below(values: &[f32], limits: &[f32], counts: &mut [u32]) {
    for ((&v, &limit), count) in values.iter().zip(limits).zip(counts) {
        *count += u32::from(v < limit);
    }
}

/// A tone stands far out of its neighbours, and says no more than a little one.
const ROUGHEST: f32 = 1.0;

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn add_roughness(levels: &[f32], silent: &[f32], sums: &mut [f64], counts: &mut [u32]) {
    let neighbours = levels.iter().zip(levels.iter().skip(1)).zip(levels.iter().skip(2));
    for ((((&below, &level), &above), &silent), (sum, count)) in neighbours.zip(silent).zip(sums.iter_mut().zip(counts))
    {
        let apart = (level - 0.5 * (below + above)).abs().min(ROUGHEST);
        let is_sound = below.min(level).min(above) > silent;
        *sum += f64::from(if is_sound { apart } else { 0.0 });
        *count += u32::from(is_sound);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn set_bits(values: &[f32], bits: &mut [u32]) {
    for (&v, bits) in values.iter().zip(bits) {
        *bits |= v.to_bits();
    }
}
