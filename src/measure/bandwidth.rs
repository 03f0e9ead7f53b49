//! Up to where a recording has anything: a file of 48 kHz may hold what was recorded, or coded, at 16 kHz.
//!
//! Sound that was resampled or coded ends at a cliff, with nothing above; sound that is dull by itself fades. So a cliff
//! is looked for in the levels that the loud moments reach.

use super::spectral_frames::SpectralFrames;

/// Sample rates that recordings are made at, Hz, with the ones of telephones and old sound cards.
const RATES: [u32; 7] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000];
/// dB that a cliff falls at least. Speech and music fade by up to 12 dB over the same stretch.
const CLIFF_DB: f32 = 18.0;
/// Bins are averaged to bands of this width, Hz.
const BAND: f64 = 100.0;
/// The lowest cliff: below it lie voices' own gaps.
const LOWEST: f64 = 1_500.0;
/// A cliff above this share of half the rate is the converter's own filter.
const OWN_FILTER: f64 = 0.93;

/// The frequency, in Hz, above which there is nothing; half the rate where there is something up to the end. `loud` has
/// the level in dB of each bin from 0 to `sample_rate` / 2 in the loud moments.
pub(super) fn bandwidth(loud: &[f32], sample_rate: u32) -> f64 {
    let nyquist = f64::from(sample_rate) / 2.0;
    let bin_hz = nyquist / (loud.len().max(2) - 1) as f64;
    let bins = (BAND / bin_hz).round().max(1.0) as usize;
    let band_hz = bins as f64 * bin_hz;
    let bands: Vec<f32> = loud.chunks_exact(bins).map(|bins| bins.iter().sum::<f32>() / bins.len() as f32).collect();
    // Indices of the bands between two frequencies.
    let between = |low: f64, high: f64| {
        let index = |hz: f64| ((hz / band_hz).round() as usize).min(bands.len());
        // Nothing where they cross, as just below half of a low rate.
        index(low)..index(high).max(index(low))
    };
    // The last band is half the filter's edge.
    let top = nyquist - band_hz;
    let mut best: Option<(f32, f32, usize)> = None;
    for candidate in between(LOWEST, OWN_FILTER * nyquist) {
        let hz = candidate as f64 * band_hz;
        let (below, above) = (&bands[between(0.84 * hz, 0.97 * hz)], &bands[between(1.03 * hz + band_hz, top)]);
        if below.is_empty() || above.is_empty() {
            continue;
        }
        let plateau = below.iter().sum::<f32>() / below.len() as f32;
        let rest = above.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if plateau - rest > best.map_or(CLIFF_DB, |(step, ..)| step) {
            best = Some((plateau - rest, rest, candidate));
        }
    }
    let Some((step, rest, candidate)) = best else { return nyquist };
    // Down the slope to where half of the fall is over.
    let edge = (candidate.saturating_sub(3)..bands.len()).find(|&band| bands[band] < rest + step / 2.0);
    let edge = edge.unwrap_or(candidate) as f64 * band_hz;
    if edge < OWN_FILTER * nyquist { edge } else { nyquist }
}

/// The rate that material with this bandwidth was once sampled at, where that is lower than its file's; `None` where no
/// usual rate fits.
pub fn material_rate(bandwidth_hz: f64, sample_rate: u32) -> Option<u32> {
    // Resamplers begin to fall at 88 to 97 % of half the lower rate, and are down a little above it.
    let fits = |rate: &&u32| **rate < sample_rate && (0.9..1.035).contains(&(bandwidth_hz / (f64::from(**rate) / 2.0)));
    let distance = |rate: &&u32| (bandwidth_hz / (f64::from(**rate) / 2.0) - 0.97).abs();
    RATES.iter().filter(fits).min_by(|a, b| distance(a).total_cmp(&distance(b))).copied()
}

/// Up to where a recording has anything, and nothing else of it: quick enough to ask of every file of a training.
pub struct BandMeter {
    sample_rate: u32,
    frames: SpectralFrames,
}

impl BandMeter {
    /// For mono samples at `sample_rate` Hz.
    pub fn new(sample_rate: u32) -> Self {
        Self { sample_rate, frames: SpectralFrames::new(sample_rate) }
    }

    pub fn push(&mut self, samples: &[f32]) {
        self.frames.push(samples, |_| ());
    }

    /// Hz; `None` where nothing is missing at the top.
    pub fn finish(mut self) -> Option<f64> {
        self.frames.finish(|_| ());
        let hz = bandwidth(&self.frames.loud(), self.sample_rate);
        (hz < f64::from(self.sample_rate) / 2.0).then_some(hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels that fall by 30 dB over the whole range, and to `floor` above `edge`.
    fn levels(rate: u32, edge: f64, floor: f32) -> Vec<f32> {
        let hz = |i: usize| i as f64 * f64::from(rate) / 2.0 / 1024.0;
        (0..1025).map(|i| if hz(i) < edge { -40.0 - 30.0 * i as f32 / 1024.0 } else { floor }).collect()
    }

    #[test]
    fn a_cliff_is_found_and_a_slope_is_none() {
        for (rate, edge) in [(24_000, 7_800.0), (48_000, 7_800.0), (24_000, 3_900.0), (44_100, 16_000.0)] {
            let found = bandwidth(&levels(rate, edge, -110.0), rate);
            assert!((found - edge).abs() <= 200.0, "{edge} at {rate}: {found}");
        }
        assert_eq!(bandwidth(&levels(24_000, 12_000.0, 0.0), 24_000), 12_000.0);
        // A step of 10 dB is timbre.
        assert_eq!(bandwidth(&levels(24_000, 6_000.0, -65.0), 24_000), 12_000.0);
        assert_eq!(bandwidth(&[], 24_000), 12_000.0);
    }

    #[test]
    fn rates_are_named() {
        assert_eq!(material_rate(7_700.0, 24_000), Some(16_000));
        assert_eq!(material_rate(8_000.0, 48_000), Some(16_000));
        assert_eq!(material_rate(3_800.0, 24_000), Some(8_000));
        assert_eq!(material_rate(10_900.0, 48_000), Some(22_050));
        assert_eq!(material_rate(11_800.0, 48_000), Some(24_000));
        assert_eq!(material_rate(12_000.0, 24_000), None);
        assert_eq!(material_rate(9_300.0, 24_000), None);
    }
}
