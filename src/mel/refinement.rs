//! What a network is told of a converted mel, so that it can say what arithmetic could not know: what lies below the lowest
//! band, how sharp harmonics are that wide bands have blurred, what happens between two frames.
//!
//! One row a frame of the model: the converted mel and the nearest given frames on either side in the model's bands, all
//! relative to the frame's level, so that quiet is treated as loud is; the level; where between the two the frame lies; how
//! densely the given bands stand in each of the model's; hop, window and power.

use super::convert::Conversion;

/// Share of the bands, from the lowest on, whose mean is a frame's level. Those above may be empty.
const LEVEL_BANDS: f32 = 0.6;

/// ln of the density that counts as none.
const UNCOVERED: f32 = -4.8;

/// Bands below the end of a convention's range that are left to arithmetic: they hold its edge, and a recording's own may lie
/// near it.
const EDGE_BANDS: usize = 2;

/// Shares of its difference from its two neighbours, across the bands and along time, by which a refined value is moved away
/// from them. What is likeliest is smoother than what was: where the network can't know, harmonics and onsets are levelled,
/// and a levelled harmonic sounds like noise. Of longer windows or hops than the model's more is levelled, and more is given back,
/// up to [`MOST_SHARPER`] times as much.
const SHARPER: (f32, f32) = (0.2, 0.2);
const MOST_SHARPER: f64 = 1.5;

/// What a row knows of a convention beside the density of its bands.
const KNOWN_BESIDE: usize = 3;

/// The constants of one [`Conversion`].
pub struct Refinement {
    /// [M + 3]
    known: Vec<f32>,
    /// Bands, from the lowest on, that the network may change: above the highest given band nothing is invented.
    open: usize,
    floor: f32,
    /// [`SHARPER`], for this convention.
    sharper: (f32, f32),
}

impl Refinement {
    /// The same where the network may say what lies above the highest given band, too.
    pub fn extended(self) -> Self {
        Self { open: self.known.len() - KNOWN_BESIDE, ..self }
    }

    /// Width of a row for a model of `n_mels` bands.
    pub fn width(n_mels: usize) -> usize {
        4 * n_mels + 5
    }

    pub fn new(conversion: &Conversion) -> Self {
        let (from, to) = (conversion.from(), conversion.to());
        let density: Vec<f32> = conversion.band_density().iter().map(|d| (d + 1e-3).ln()).collect();
        let covered = density.iter().rposition(|d| *d > UNCOVERED).map_or(0, |last| last + 1);
        let reaches_all = covered + EDGE_BANDS > to.n_mels;
        let open = if reaches_all { to.n_mels } else { covered.saturating_sub(EDGE_BANDS) };
        let seconds = |samples: usize, rate: u32| samples as f64 / f64::from(rate);
        let hop = seconds(from.hop, from.sample_rate) / seconds(to.hop, conversion.clock());
        let window = seconds(from.win_length, from.sample_rate) / seconds(to.win_length, conversion.clock());
        let mut known: Vec<f32> = density.iter().map(|d| 0.25 * d).collect();
        known.extend([hop.ln() as f32, 2.0 * window.ln() as f32, from.power as f32 - 1.5]);
        let more = hop.max(window).clamp(1.0, MOST_SHARPER) as f32;
        let sharper = (more * SHARPER.0, more * SHARPER.1);
        Self { known, open, floor: to.stored(0, 0.0) as f32, sharper }
    }

    /// The model's frame `j` as far as arithmetic takes it, `[M]`; its row is added to `rows`. Of `frames` given frames,
    /// `spectrum(t)` is frame `t`'s log spectrum and `mel(t)` the model's mel of it.
    pub fn convert<'a>(
        &self,
        conversion: &Conversion,
        j: usize,
        frames: usize,
        spectrum: impl Fn(usize) -> &'a [f32],
        mel: impl Fn(usize) -> &'a [f32],
        rows: &mut Vec<f32>,
    ) -> Vec<f32> {
        let (before, part) = conversion.neighbour(j, frames);
        let converted = match conversion.is_identity() {
            true => mel(before).to_vec(),
            false => conversion.model_mel(&conversion.interpolated(conversion.position(j), frames, spectrum)),
        };
        let neighbours = [before, (before + 1).min(frames - 1)].map(mel);
        self.push_row(rows, &converted, neighbours, part);
        converted
    }

    /// Adds the row of one frame to `rows`: the converted mel `[M]`, its neighbours' `[M]`, and `part` of the way from the one
    /// before to the one after.
    fn push_row(&self, rows: &mut Vec<f32>, converted: &[f32], [before, after]: [&[f32]; 2], part: f32) {
        let count = (LEVEL_BANDS * converted.len() as f32) as usize;
        let level = converted[..count].iter().sum::<f32>() / count as f32;
        rows.extend(converted.iter().map(|v| 0.25 * (v - level)));
        rows.push(0.1 * level);
        for neighbour in [before, after] {
            rows.extend(neighbour.iter().zip(converted).map(|(n, v)| 0.5 * (n - v)));
        }
        rows.push(part);
        rows.extend(&self.known);
    }

    /// Bands, from the lowest on, that the network may change.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Adds the network's correction `[M]` to a converted frame `[M]`.
    pub fn apply(&self, converted: &mut [f32], correction: &[f32]) {
        for (v, c) in converted.iter_mut().zip(correction).take(self.open) {
            *v = (*v + c).max(self.floor);
        }
    }

    /// A refined frame `[M]` with its contrast restored, from itself and those before and after it. The lowest and the highest
    /// band lack a neighbour and stay as they are.
    pub fn sharpened(&self, [before, frame, after]: [&[f32]; 3]) -> Vec<f32> {
        let (across, along) = self.sharper;
        let mut out = frame.to_vec();
        for m in 1..self.open.saturating_sub(1) {
            let of_bands = frame[m] - 0.5 * (frame[m - 1] + frame[m + 1]);
            let of_time = frame[m] - 0.5 * (before[m] + after[m]);
            out[m] = (frame[m] + across * of_bands + along * of_time).max(self.floor);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::{MelConvention, presets};

    #[test]
    fn a_harmonic_and_an_onset_stand_out_and_level_sound_stays_as_it_is() {
        let native = MelConvention::native();
        let refinement = Refinement::new(&Conversion::new(presets::named("hifigan-22k").unwrap(), &native).unwrap());
        let level = vec![1.0f32; native.n_mels];
        assert_eq!(refinement.sharpened([&level, &level, &level]), level);
        let mut harmonic = level.clone();
        harmonic[20] = 2.0;
        let sharp = refinement.sharpened([&harmonic, &harmonic, &harmonic]);
        assert!(sharp[20] > 2.1 && sharp[19] < 0.95 && sharp[21] < 0.95 && sharp[22] == 1.0, "{:?}", &sharp[18..23]);
        let louder = vec![2.0f32; native.n_mels];
        let onset = refinement.sharpened([&level, &louder, &louder]);
        assert!(onset[20] > 2.05, "{}", onset[20]);
        // Above what the convention holds nothing is touched.
        assert_eq!(onset[refinement.open()..], louder[refinement.open()..]);
    }

    #[test]
    fn silence_stays_silence() {
        let native = MelConvention::native();
        let refinement = Refinement::new(&Conversion::new(presets::named("hifigan-22k").unwrap(), &native).unwrap());
        let floor = native.stored(0, 0.0) as f32;
        let silence = vec![floor; native.n_mels];
        let loud = vec![0.0; native.n_mels];
        assert_eq!(refinement.sharpened([&silence, &silence, &loud]), silence);
    }
}
