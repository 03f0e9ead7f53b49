//! The same sound in another file: at another gain, rate or in another format.
//!
//! A recording is described by how its energy moves in a few bands that every format keeps, relative to its own mean and
//! around its own middle: the centre of gravity of its energy does not care for silence that was added or cut off. Two
//! copies differ by tenths of a decibel, two readings of one sentence by several.

use super::level_histogram::NOTHING_DB;

/// Hz, edges of the bands. The top is what a telephone keeps.
const EDGES: [f64; 6] = [150.0, 400.0, 800.0, 1_400.0, 2_200.0, 3_400.0];
const BANDS: usize = EDGES.len() - 1;
/// Pieces that the time is cut into.
const PIECES: usize = 16;
/// Standard deviations of the energy's times on either side of their mean. Evenly loud sound ends at the root of 3.
const REACH: f64 = 1.7;
/// dB below the loudest piece where levels stop to count: noise floors differ between formats.
const DEPTH_DB: f32 = 25.0;
/// dB (root mean square over all pieces and bands) that copies differ by at most: 1.2 were seen, and 4.2 between sentences of
/// one speaker.
const SAME_DB: f32 = 2.2;
/// dB that a recording has to move for its movement to tell it from others: hiss is like hiss.
const LIVELY_DB: f32 = 1.5;

/// What a recording sounds like, whatever its gain and format.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Standard deviation of the energy's times.
    seconds: f64,
    /// [PIECES, BANDS], dB around 0.
    levels: Vec<f32>,
}

/// Gathers band energies frame by frame.
pub(super) struct Fingerprinter {
    /// Bins of each band.
    bins: [std::ops::Range<usize>; BANDS],
    frame_s: f64,
    /// [frames, BANDS], power
    frames: Vec<[f32; BANDS]>,
}

impl Fingerprinter {
    /// For spectra whose bins lie `bin_hz` and whose frames `frame_s` apart.
    pub fn new(bin_hz: f64, frame_s: f64) -> Self {
        let index = |hz: f64| (hz / bin_hz).round() as usize;
        let bins = std::array::from_fn(|band| index(EDGES[band])..index(EDGES[band + 1]));
        Self { bins, frame_s, frames: vec![] }
    }

    /// The powers of one frame's bins.
    pub fn push(&mut self, powers: &[f32]) {
        let sum = |band: &std::ops::Range<usize>| powers.get(band.clone()).map_or(0.0, |bins| bins.iter().sum());
        self.frames.push(std::array::from_fn(|band| sum(&self.bins[band])));
    }

    /// `None` for what has no shape of its own: silence, hiss, a steady tone.
    pub fn finish(self) -> Option<Fingerprint> {
        let power = |frame: &[f32; BANDS]| f64::from(frame.iter().sum::<f32>());
        let moment = |of: &dyn Fn(f64) -> f64| -> f64 {
            self.frames.iter().enumerate().map(|(i, frame)| power(frame) * of(i as f64)).sum()
        };
        let total = moment(&|_| 1.0);
        if total <= 0.0 {
            return None;
        }
        let middle = moment(&|at| at) / total;
        let deviation = (moment(&|at| (at - middle).powi(2)) / total).sqrt();
        if deviation * 2.0 * REACH < PIECES as f64 / 2.0 {
            return None;
        }
        let mut levels = Vec::with_capacity(PIECES * BANDS);
        let width = 2.0 * REACH * deviation / PIECES as f64;
        for piece in 0..PIECES {
            let centre = middle + width * (piece as f64 + 0.5 - PIECES as f64 / 2.0);
            let mean = mean_around(&self.frames, centre, width);
            levels.extend(mean.map(|power| 10.0 * (power + 1e-16).log10().max(NOTHING_DB)));
        }
        let highest = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        levels.iter_mut().for_each(|level| *level = level.max(highest - DEPTH_DB));
        let mean = levels.iter().sum::<f32>() / levels.len() as f32;
        levels.iter_mut().for_each(|level| *level -= mean);
        (movement(&levels) > LIVELY_DB).then_some(Fingerprint { seconds: deviation * self.frame_s, levels })
    }
}

/// The mean of the frames under a triangle that falls to 0 at `width` on either side of `centre`; nothing lies outside. Frame
/// `i` reaches from `i` - 1/2 to `i` + 1/2, and its part is exact: frames of another rate lie elsewhere.
fn mean_around(frames: &[[f32; BANDS]], centre: f64, width: f64) -> [f32; BANDS] {
    // The triangle's area up to `u`, of 1.
    let area = |u: f64| match u.clamp(-1.0, 1.0) {
        u if u < 0.0 => (1.0 + u).powi(2) / 2.0,
        u => 1.0 - (1.0 - u).powi(2) / 2.0,
    };
    let mut sum = [0.0; BANDS];
    let first = (centre - width).floor().max(0.0) as usize;
    for (i, frame) in frames.iter().enumerate().skip(first).take_while(|(i, _)| *i as f64 - 0.5 < centre + width) {
        let share = area((i as f64 + 0.5 - centre) / width) - area((i as f64 - 0.5 - centre) / width);
        sum.iter_mut().zip(frame).for_each(|(sum, power)| *sum += share as f32 * power);
    }
    sum
}

/// Standard deviation over time, the mean of the bands, in dB.
fn movement(levels: &[f32]) -> f32 {
    let of = |band: usize| {
        let values = || levels.iter().skip(band).step_by(BANDS);
        let mean = values().sum::<f32>() / PIECES as f32;
        (values().map(|v| (v - mean).powi(2)).sum::<f32>() / PIECES as f32).sqrt()
    };
    (0..BANDS).map(of).sum::<f32>() / BANDS as f32
}

impl Fingerprint {
    fn is_like(&self, other: &Self) -> bool {
        let limit = SAME_DB * SAME_DB * self.levels.len() as f32;
        let mut sum = 0.0;
        self.levels.chunks(BANDS).zip(other.levels.chunks(BANDS)).all(|(a, b)| {
            sum += a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            sum < limit
        })
    }
}

/// For each recording, an earlier one of which it is a copy. Only what spreads over the same time within a fiftieth is compared, so
/// that many recordings take little more than the time to sort them.
pub fn duplicates(fingerprints: &[Option<Fingerprint>]) -> Vec<Option<usize>> {
    let known = fingerprints.iter().enumerate().filter_map(|(i, print)| Some((i, print.as_ref()?)));
    let mut by_length: Vec<(usize, &Fingerprint)> = known.collect();
    by_length.sort_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds));
    let mut original: Vec<Option<usize>> = vec![None; fingerprints.len()];
    for (at, (i, print)) in by_length.iter().enumerate() {
        let longest = print.seconds * 1.02;
        for (j, other) in by_length[at + 1..].iter().take_while(|(_, other)| other.seconds <= longest) {
            if print.is_like(other) {
                let (first, second) = (*i.min(j), *i.max(j));
                original[second] = Some(original[second].map_or(first, |known| known.min(first)));
            }
        }
    }
    original
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audio, data::measure};

    fn distance(a: &Fingerprint, b: &Fingerprint) -> f32 {
        let sum: f32 = a.levels.iter().zip(&b.levels).map(|(a, b)| (a - b).powi(2)).sum();
        (sum / a.levels.len() as f32).sqrt()
    }

    fn print(samples: &[f32], rate: u32) -> Fingerprint {
        measure(samples, rate).unwrap().fingerprint.unwrap()
    }

    #[test]
    fn copies_are_near_and_others_far() {
        let read = |name: &str| audio::read(format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap().samples;
        let clips = ["speech-synthetic.wav", "speech-en.wav", "speech-de.flac", "music.wav"].map(read);
        for (i, clip) in clips.iter().enumerate() {
            let original = print(clip, 24_000);
            for rate in [8_000, 16_000, 44_100] {
                let other: Vec<f32> = audio::resample(clip, 24_000, rate).unwrap().iter().map(|x| 0.3 * x).collect();
                for late in [0, 100, 1600] {
                    let late = [vec![0.0; late], other.clone()].concat();
                    let d = distance(&original, &print(&late, rate));
                    assert!(d < 0.8 * SAME_DB, "clip {i} at {rate}: {d} dB");
                }
            }
            // The same length of something else.
            for (j, other) in clips.iter().enumerate().filter(|(j, _)| *j != i) {
                let length = clip.len().min(other.len());
                let d = distance(&print(&clip[..length], 24_000), &print(&other[..length], 24_000));
                assert!(d > 2.0 * SAME_DB, "clips {i} and {j}: {d} dB");
            }
        }
    }

    #[test]
    fn each_copy_names_the_first() {
        let make = |seconds: f64, shape: f32| {
            let levels = (0..PIECES * BANDS).map(|i| shape * (i as f32 * 0.7).sin()).collect();
            Some(Fingerprint { seconds, levels })
        };
        let prints = [make(2.0, 10.0), None, make(2.02, 10.0), make(2.0, -10.0), make(9.0, 10.0), make(1.99, 10.1)];
        assert_eq!(duplicates(&prints), [None, None, Some(0), None, None, Some(0)]);
    }
}
