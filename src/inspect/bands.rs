//! Mel bands, and regions of them: where in the spectrum something happens.

use crate::mel::{
    MelConvention, MelScale,
    filterbank::{edge_hz, filterbank, to_mel},
};
use serde::Serialize;
use std::ops::Range;

/// Hz, edges of the regions that people speak of.
const REGION_EDGES: [f64; 8] = [0.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 12_000.0, f64::INFINITY];

/// The bands of a convention.
#[derive(Debug, Clone, PartialEq)]
pub struct Bands {
    /// Hz, of each band.
    pub centres: Vec<f64>,
    /// `[M, F]`, each row of sum 1: what a band has of the spectrum's bins.
    weights: Vec<f32>,
    bins: usize,
}

/// Some neighbouring bands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// Hz
    pub from_hz: f64,
    pub to_hz: f64,
    #[serde(skip)]
    pub bands: Range<usize>,
}

impl Bands {
    pub fn of(convention: &MelConvention) -> Self {
        let centres: Vec<f64> = (1..=convention.n_mels).map(|i| edge_hz(convention, i)).collect();
        let bins = convention.bins();
        let mut weights = filterbank(convention);
        for (row, centre) in weights.chunks_exact_mut(bins).zip(&centres) {
            let sum: f32 = row.iter().sum();
            if sum > 0.0 {
                row.iter_mut().for_each(|w| *w /= sum);
            } else {
                // Narrower than a bin: the nearest one.
                let nearest = centre * convention.n_fft as f64 / f64::from(convention.sample_rate);
                row[(nearest.round() as usize).min(bins - 1)] = 1.0;
            }
        }
        Self { centres, weights, bins }
    }

    pub fn count(&self) -> usize {
        self.centres.len()
    }

    /// Means over time, band by band: of `values` `[T, F]` where `counts` `[T, F]` says so, F the bins of the convention's
    /// transform. `None` for bands in which nothing counts.
    pub fn means(&self, values: &[f32], counts: impl Fn(usize) -> bool) -> Vec<Option<f32>> {
        let (mut sums, mut amounts) = (vec![0.0f64; self.bins], vec![0u32; self.bins]);
        for (i, value) in values.iter().enumerate().filter(|(i, _)| counts(*i)) {
            sums[i % self.bins] += f64::from(*value);
            amounts[i % self.bins] += 1;
        }
        let mean = |row: &[f32]| {
            let (mut sum, mut weight) = (0.0, 0.0);
            for ((w, total), amount) in row.iter().zip(&sums).zip(&amounts) {
                sum += f64::from(*w) * total;
                weight += f64::from(*w) * f64::from(*amount);
            }
            (weight > 0.0).then(|| (sum / weight) as f32)
        };
        self.weights.chunks_exact(self.bins).map(mean).collect()
    }

    /// The bands between two round frequencies, those that have any.
    pub fn regions(&self) -> Vec<Region> {
        let top = self.centres.last().copied().unwrap_or(0.0);
        let region = |edges: &[f64]| {
            let index = |hz: f64| self.centres.partition_point(|centre| *centre < hz);
            let to_hz = edges[1].min(1000.0 * (top / 1000.0).ceil());
            Region { from_hz: edges[0], to_hz, bands: index(edges[0])..index(edges[1]) }
        };
        REGION_EDGES.windows(2).map(region).filter(|region| !region.bands.is_empty()).collect()
    }
}

impl Region {
    /// The mean over its bands; `None` where none has a value.
    pub fn mean(&self, bands: impl Fn(usize) -> Option<f32>) -> Option<f64> {
        let values: Vec<f64> = self.bands.clone().filter_map(|band| bands(band).map(f64::from)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// `0.5 to 1 kHz`
    pub fn name(&self) -> String {
        format!("{} to {} kHz", self.from_hz / 1000.0, self.to_hz / 1000.0)
    }
}

/// The position of `hz` on HTK's mel scale, for axes.
pub(super) fn mel_position(hz: f64) -> f64 {
    to_mel(MelScale::Htk, hz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_in_its_bands() {
        let convention = MelConvention::native();
        let bands = Bands::of(&convention);
        assert_eq!(bands.count(), 100);
        assert!(bands.centres.windows(2).all(|pair| pair[0] < pair[1]) && bands.centres[99] < 12_000.0);
        // Two frames; 1 above 6 kHz (bin 256), 0 below; the second frame does not count.
        let values: Vec<f32> = (0..2 * 513).map(|i| if i % 513 >= 256 { 1.0 } else { 0.0 }).collect();
        let means = bands.means(&values, |i| i < 513);
        for (centre, mean) in bands.centres.iter().zip(&means) {
            let mean = mean.unwrap();
            let expected = if *centre > 6_000.0 { 1.0 } else { 0.0 };
            assert!((mean - expected).abs() < 1e-5 || (centre - 6_000.0).abs() < 300.0, "{centre}: {mean}");
        }
        assert!(bands.means(&values, |_| false).iter().all(Option::is_none));
    }

    #[test]
    fn regions_hold_every_band_once() {
        let bands = Bands::of(&MelConvention::native());
        let regions = bands.regions();
        assert_eq!(regions.len(), 6);
        assert_eq!(regions.iter().map(|region| region.bands.len()).sum::<usize>(), 100);
        assert_eq!((regions[1].name(), regions[5].name()), ("0.5 to 1 kHz".into(), "8 to 12 kHz".into()));
        let wide = Bands::of(&MelConvention::full_band("wide", 44_100, 2048, 512, 128)).regions();
        assert_eq!(wide.iter().map(|region| region.bands.len()).sum::<usize>(), 128);
        assert_eq!((wide[5].name(), wide[6].name()), ("8 to 12 kHz".into(), "12 to 22 kHz".into()));
        assert_eq!(regions[0].mean(|_| Some(2.0)), Some(2.0));
        assert_eq!(regions[0].mean(|_| None), None);
    }
}
