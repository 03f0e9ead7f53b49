//! What the bands of a frame, compared with each other, say about the filters that made them.
//!
//! A band value is a sum of non-negative magnitudes, and each bin lies under two neighbouring triangles at most: the bins
//! between two centres give to both bands in ratios that the triangles bound. A frame that no spectrum can have given
//! disproves the filters. The second witness is how much neighbouring bands fluctuate against each other in time: its
//! size tells the logarithm's base.

use crate::dsp::{analysis::Analysis, stft::Edge};
use crate::mel::{MelConvention, filterbank::Filterbank};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Frames of white noise that the expectations are taken from: enough for two digits.
const NOISE_FRAMES: usize = 200;

/// Relative to the value: within that, a band is foretold.
const TIGHT: f64 = 0.1;

/// The filters of one convention, prepared for both tests.
pub struct BankEvidence {
    bank: Filterbank,
    /// [M + 1]: what the bins between the centres of bands `j - 1` and `j` give.
    intervals: Vec<Interval>,
    /// [M]: the band has a bin that no other band sees.
    alone: Vec<bool>,
    noise: Arc<Noise>,
}

/// [NOISE_FRAMES][F]: magnitudes of windowed white noise.
type Noise = Vec<Vec<f32>>;

/// Bounds of what goes to the upper band for 1 that goes to the lower; `None` where no bin lies under both.
type Interval = Option<(f64, f64)>;

/// A band value as far as it is known: what was raised to the floor lies somewhere below it.
pub type Bounds = (f64, f64);

impl BankEvidence {
    pub fn new(convention: &MelConvention) -> Self {
        let bank = Filterbank::new(convention);
        let (n_mels, bins) = (bank.n_mels(), bank.bins());
        let weight = |m: usize, f: usize| {
            let (first, weights) = bank.row(m);
            f.checked_sub(first).and_then(|i| weights.get(i)).map_or(0.0, |&w| f64::from(w))
        };
        let (mut intervals, mut alone) = (vec![None; n_mels + 1], vec![false; n_mels]);
        for f in 0..bins {
            let bands: Vec<usize> = (0..n_mels).filter(|&m| weight(m, f) > 0.0).collect();
            match bands[..] {
                [m] => alone[m] = true,
                [low, high] if high == low + 1 => {
                    let ratio = weight(high, f) / weight(low, f);
                    let (least, most) = intervals[high].unwrap_or((ratio, ratio));
                    intervals[high] = Some((ratio.min(least), ratio.max(most)));
                }
                _ => {}
            }
        }
        Self { intervals, alone, noise: white_noise(convention), bank }
    }

    /// Whether some spectrum gives these band values.
    pub fn allows(&self, bands: impl Iterator<Item = Bounds>) -> bool {
        self.foretold(bands).is_some()
    }

    /// How many of these bands have the value that those below them leave for them, where that is all but one value. `None`
    /// where no spectrum gives them.
    pub fn foretold(&self, bands: impl Iterator<Item = Bounds>) -> Option<usize> {
        let mut foretold = 0;
        // What the bins shared with the band below give to the current one.
        let mut given: Bounds = (0.0, 0.0);
        for (m, (least, most)) in bands.enumerate() {
            if given.0 > most {
                return None;
            }
            // What is left for the bins shared with the band above.
            let left = (if self.alone[m] { 0.0 } else { (least - given.1).max(0.0) }, most - given.0);
            given = match self.intervals[m + 1] {
                Some((low, high)) => (low * left.0, high * left.1),
                None if left.0 > 0.0 => return None,
                None => {
                    // All of its bins lie under the band below, too.
                    let widest = TIGHT * least;
                    foretold += usize::from(!self.alone[m] && given.1 - given.0 < widest && most - least < widest);
                    (0.0, 0.0)
                }
            };
        }
        Some(foretold)
    }

    /// [M - 1]: standard deviation of the difference of neighbouring bands' natural logarithms in white noise; `None`
    /// where a band has no bin.
    pub fn noise_fluctuation(&self) -> Vec<Option<f64>> {
        let n_mels = self.bank.n_mels();
        let (mut bands, mut rows) = (vec![0.0; n_mels], vec![Vec::with_capacity(NOISE_FRAMES); n_mels - 1]);
        for magnitude in self.noise.iter() {
            self.bank.bands(magnitude, &mut bands);
            for (row, pair) in rows.iter_mut().zip(bands.windows(2)) {
                if pair[0] > 0.0 && pair[1] > 0.0 {
                    row.push(f64::from(pair[1] / pair[0]).ln());
                }
            }
        }
        let deviation = |row: Vec<f64>| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64).sqrt()
        };
        rows.into_iter().map(|row| (row.len() == NOISE_FRAMES).then(|| deviation(row))).collect()
    }

    /// Band values that noise with the envelope of `bands` `[M]` would have had under these filters; `turn` picks the noise.
    pub fn imagined(&self, bands: &[f64], turn: usize) -> Vec<f64> {
        let (bins, n_mels) = (self.bank.bins(), self.bank.n_mels());
        let (mut envelope, mut total) = (vec![0.0; bins], vec![0.0; bins]);
        for (m, band) in bands.iter().enumerate() {
            let (first, weights) = self.bank.row(m);
            let area: f32 = weights.iter().sum();
            for (i, &w) in weights.iter().enumerate() {
                envelope[first + i] += w * (*band as f32) / area;
                total[first + i] += w;
            }
        }
        let noise = &self.noise[turn % NOISE_FRAMES];
        let magnitude: Vec<f32> =
            (0..bins).map(|f| if total[f] > 0.0 { noise[f] * envelope[f] / total[f] } else { 0.0 }).collect();
        let mut out = vec![0.0; n_mels];
        self.bank.bands(&magnitude, &mut out);
        out.into_iter().map(f64::from).collect()
    }
}

/// White noise of mean magnitude about 1. The presets share a few windows.
fn white_noise(c: &MelConvention) -> Arc<Noise> {
    type ByWindow = HashMap<(usize, usize, bool), Arc<Noise>>;
    static MADE: LazyLock<Mutex<ByWindow>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let window = (c.n_fft, c.win_length, c.symmetric_window);
    made.entry(window).or_insert_with(|| Arc::new(make_white_noise(c))).clone()
}

fn make_white_noise(c: &MelConvention) -> Noise {
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let mut analysis = Analysis::new(c.n_fft, c.win_length, c.symmetric_window);
    let scale = 1.7 / analysis.window_norm();
    (0..NOISE_FRAMES)
        .map(|_| {
            let audio: Vec<f32> =
                (0..c.n_fft).map(|_| generator.next_u32() as f32 / (1u32 << 31) as f32 - 1.0).collect();
            analysis.frame(&audio, 0, Edge::Zero).iter().map(|s| (s.norm() * scale) as f32).collect()
        })
        .collect()
}
