//! What a mean over a handful of files is worth: bootstrap intervals, and differences file by file.
//!
//! Two systems are compared on the same files, so the question is not whether their intervals overlap but whether the
//! differences of the pairs are away from zero (Efron and Tibshirani 1993, chapters 13 and 16).

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde::Serialize;

/// Resamples an interval is made of: its ends then move by less than a fiftieth of its width from seed to seed.
const RESAMPLES: usize = 10_000;

/// With fewer pairs, differences of one sign come about by chance in more than one case of twenty: 2 / 2^5 = 0.06.
pub const FEWEST_PAIRS: usize = 6;

/// A mean and the 95 % interval in which it would lie on other files of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    /// Files.
    pub n: usize,
}

/// The mean of `values` with its percentile bootstrap interval; `None` where there are no values. One value has an
/// interval of no width, which says nothing: look at `n`.
pub fn bootstrap(values: &[f64], seed: u64) -> Option<Interval> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    // The high half of a 64-bit product: uniform but for 2^-32.
    let mut draw = || values[((u64::from(generator.next_u32()) * n as u64) >> 32) as usize];
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| (0..n).map(|_| draw()).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    let quantile = |q: f64| means[(q * (RESAMPLES - 1) as f64).round() as usize];
    Some(Interval { mean: values.iter().sum::<f64>() / n as f64, low: quantile(0.025), high: quantile(0.975), n })
}

/// One system less another, over the files that both have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    #[serde(flatten)]
    pub interval: Interval,
    /// The interval leaves out 0; `None` where there are too few pairs to say.
    pub significant: Option<bool>,
}

/// Over pairs of (this system, the other one); `None` where there are none.
pub fn paired_difference(pairs: &[(f64, f64)], seed: u64) -> Option<Difference> {
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let interval = bootstrap(&differences, seed)?;
    let significant = (interval.n >= FEWEST_PAIRS).then_some(interval.low > 0.0 || interval.high < 0.0);
    Some(Difference { interval, significant })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the standard normal distribution at (i + 1/2) / n, in an order that is none.
    fn normal(n: usize) -> Vec<f64> {
        // Sums of twelve uniform numbers, of variance 1.
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        (0..n).map(|_| (0..12).map(|_| f64::from(generator.next_u32()) / 4_294_967_296.0).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn the_interval_is_that_of_the_standard_error() {
        let values = normal(400);
        let interval = bootstrap(&values, 7).unwrap();
        let variance = values.iter().map(|x| (x - interval.mean).powi(2)).sum::<f64>() / 400.0;
        let half_width = 1.96 * (variance / 400.0).sqrt();
        // The ends of 10,000 resamples scatter by 2 % of the half width.
        assert!((interval.high - interval.mean - half_width).abs() < 0.08 * half_width, "{interval:?}");
        assert!((interval.mean - interval.low - half_width).abs() < 0.08 * half_width, "{interval:?}");
    }

    #[test]
    fn the_seed_decides() {
        let values = normal(10);
        assert_eq!(bootstrap(&values, 3), bootstrap(&values, 3));
        assert_ne!(bootstrap(&values, 3), bootstrap(&values, 4));
        assert_eq!(bootstrap(&[], 3), None);
        assert_eq!(bootstrap(&[2.5], 3), Some(Interval { mean: 2.5, low: 2.5, high: 2.5, n: 1 }));
    }

    #[test]
    fn pairs_show_what_means_hide() {
        // Files differ by whole points, systems by a tenth: only the pairs tell.
        let better: Vec<(f64, f64)> = normal(20).iter().map(|x| (x + 0.1 + 0.02 * x.sin(), *x)).collect();
        let difference = paired_difference(&better, 1).unwrap();
        assert_eq!(difference.significant, Some(true));
        assert!((difference.interval.mean - 0.1).abs() < 0.01);
        let (ours, theirs): (Vec<f64>, Vec<f64>) = better.iter().copied().unzip();
        let (ours, theirs) = (bootstrap(&ours, 1).unwrap(), bootstrap(&theirs, 1).unwrap());
        assert!(ours.low < theirs.high, "the intervals of the means overlap: {ours:?} {theirs:?}");
        let same: Vec<(f64, f64)> = normal(40).chunks(2).map(|x| (x[0], x[1])).collect();
        assert_eq!(paired_difference(&same, 1).unwrap().significant, Some(false));
    }

    #[test]
    fn few_pairs_prove_nothing() {
        assert_eq!(paired_difference(&[(2.0, 1.0); 5], 1).unwrap().significant, None);
        assert_eq!(paired_difference(&[(2.0, 1.0); 6], 1).unwrap().significant, Some(true));
    }
}
