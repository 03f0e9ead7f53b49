//! What numbers a convention can hold: one rule for mels from files and for those that come live.

use super::{
    LogBase, MelConvention,
    check::{loudest_possible, nats},
    filterbank::silence,
};
use std::ops::Range;

/// Frames of fewer bands may hold one number by chance.
const FEWEST_BANDS: usize = 8;

/// A convention with its bounds. Levels are natural logarithms of magnitudes, whatever is stored.
#[derive(Debug, Clone)]
pub struct Bounds {
    convention: MelConvention,
    /// [M]: the level that is stored for silence, and the loudest that a band can have for audio within ±1.
    low: Vec<f64>,
    high: Vec<f64>,
    /// [M]: what silence is stored as.
    silence: Vec<f32>,
    /// A stored value is its level.
    stores_levels: bool,
}

impl Bounds {
    pub fn new(convention: &MelConvention) -> Self {
        let held = |m: usize, value: f64| level(convention, m, convention.stored(m, value));
        // An epsilon under the square root may lie above the floor: silence then is what that gives.
        let silence = silence(convention);
        let low = silence.iter().enumerate().map(|(m, &v)| held(m, v)).collect();
        let high = loudest_possible(convention).into_iter().enumerate().map(|(m, v)| held(m, v)).collect();
        let silence = silence.into_iter().enumerate().map(|(m, v)| convention.stored(m, v) as f32).collect();
        let MelConvention { log, power, affine, statistics, added_floor, .. } = convention;
        let is_plain = *log == LogBase::Natural && *power == 1.0 && *added_floor == 0.0;
        let stores_levels = is_plain && affine.is_none() && statistics.is_none();
        Self { convention: convention.clone(), low, high, silence, stores_levels }
    }

    /// `[M]`
    pub fn low(&self) -> &[f64] {
        &self.low
    }

    /// `[M]`
    pub fn high(&self) -> &[f64] {
        &self.high
    }

    /// The level of a value that is stored in band `m`.
    pub fn level(&self, m: usize, stored: f32) -> f64 {
        if self.stores_levels { f64::from(stored) } else { level(&self.convention, m, f64::from(stored)) }
    }

    /// The levels of a stored frame `[M]`.
    pub(super) fn levels(&self, frame: &[f32], levels: &mut [f32]) {
        if self.stores_levels {
            return levels.copy_from_slice(frame);
        }
        for (m, (level, v)) in levels.iter_mut().zip(frame).enumerate() {
            *level = self.level(m, *v) as f32;
        }
    }

    /// Lowest and highest value that is stored in band `m`.
    pub fn stored(&self, m: usize) -> (f64, f64) {
        let c = &self.convention;
        (f64::from(self.silence[m]), c.stored(m, (self.high[m] * c.power).exp()))
    }

    /// The first band whose value neither sound nor a network's guess at sound has.
    pub fn impossible(&self, frame: &[f32]) -> Option<usize> {
        self.position(frame, |under, over| under > nats::TOO_FAR_BELOW || over > nats::HEADROOM)
    }

    /// The first band whose value lies under the floor, by more than rounding; it is taken for the floor.
    pub fn below(&self, frame: &[f32]) -> Option<usize> {
        self.position(frame, |under, _| under > nats::ROUNDING)
    }

    fn position(&self, frame: &[f32], is: impl Fn(f64, f64) -> bool) -> Option<usize> {
        let levels = frame.iter().enumerate().map(|(m, &stored)| self.level(m, stored));
        let mut distances = levels.zip(self.low.iter().zip(&self.high));
        distances.position(|(level, (low, high))| is(low - level, level - high))
    }

    /// Whether no sound gives `frame`: all its bands hold one and the same number, which is not what silence or clipping is
    /// stored as. A mask or a batch's padding gives such frames, after the logarithm. Not even a flat spectrum has one
    /// number in bands of different widths, and no two bands of a network's guess agree to the last digit.
    pub fn is_padding(&self, frame: &[f32]) -> bool {
        let Some((&first, rest)) = frame.split_first() else { return false };
        if frame.len() < FEWEST_BANDS || rest.iter().any(|&value| value != first) {
            return false;
        }
        let is_silence = (0..frame.len()).all(|m| {
            let by_level = (self.level(m, first) - self.low[m]).abs() <= nats::NEAR_FLOOR;
            // Of a floor that is added, silence has no level.
            by_level || (first - self.silence[m]).abs() <= 1e-3
        });
        let is_clipped = self.convention.affine.and_then(|affine| affine.clip).is_some_and(|[low, high]| {
            let first = f64::from(first);
            self.convention.statistics.is_none() && (first <= low + 1e-6 || first >= high - 1e-6)
        });
        !is_silence && !is_clipped
    }

    /// `[M]`: a frame of silence.
    pub fn silence(&self) -> &[f32] {
        &self.silence
    }

    /// Which of the `runs` of frames that hold one number are padding: no sound gives them, by value too. What silence was stored
    /// as by another floor is the lowest number that its mel has; padding is not, or lies far below the convention's floor.
    /// `lowest` is that of all other frames, `None` where there are none.
    pub fn padding(&self, runs: Vec<Run>, lowest: Option<f32>) -> Vec<Run> {
        let Some(lowest) = lowest else { return vec![] };
        let floor = |stored: f32| (0..self.low.len()).map(move |m| self.level(m, stored) - self.low[m]);
        let is_below = |stored: f32, by: f64| floor(stored).all(|over| over < -by);
        let is_padding = |run: &Run| {
            run.value > lowest || is_below(run.value, nats::TOO_FAR_BELOW) && !is_below(lowest, nats::FAR_BELOW)
        };
        runs.into_iter().filter(is_padding).collect()
    }
}

/// Frames one after the other that hold one number throughout.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub frames: Range<usize>,
    pub value: f32,
}

fn level(convention: &MelConvention, m: usize, stored: f64) -> f64 {
    convention.linear(m, stored).ln() / convention.power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::{MelSpectrogram, extract, file, held::HeldMel, presets, survey::Surveyor};
    use std::sync::Arc;

    /// The same mel with silence in place of its padding; `None` where it has none.
    fn without_padding(mel: &MelSpectrogram, convention: &MelConvention) -> Option<MelSpectrogram> {
        let bounds = Bounds::new(convention);
        let mut surveyor = Surveyor::new(&bounds);
        (0..mel.frames()).for_each(|t| surveyor.add(mel.frame(t)));
        let padding = surveyor.finish().padding;
        let ranges: Vec<_> = padding.into_iter().map(|run| run.frames).collect();
        let held = HeldMel::new(Arc::new(mel.clone()), false);
        (!ranges.is_empty()).then(|| held.silenced(ranges, bounds.silence()).whole().unwrap())
    }

    fn sample(name: &str) -> MelSpectrogram {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/mels").join(name);
        let options = file::ReadOptions { n_mels: Some(100), layout: None, tensor: None };
        file::read_array(&path, None).unwrap().into_mel(&options).unwrap().declared.mel
    }

    fn noise(n: usize, amplitude: f32) -> Vec<f32> {
        let mut state = 1u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * amplitude
        })
        .take(n)
        .collect()
    }

    /// As a network trained on the mean error makes mels: smooth in time and over the bands.
    fn blurred(mel: &MelSpectrogram) -> MelSpectrogram {
        let (frames, bands) = (mel.frames() as isize, mel.n_mels() as isize);
        let at = |t: isize, m: isize| mel.frame(t.clamp(0, frames - 1) as usize)[m.clamp(0, bands - 1) as usize];
        let mean = |t, m| {
            let near = (-4..=4).flat_map(|dt| (-4..=4).map(move |dm| (dt, dm)));
            near.map(|(dt, dm)| at(t + dt, m + dm)).sum::<f32>() / 81.0
        };
        let values = (0..frames).flat_map(|t| (0..bands).map(move |m| (t, m))).map(|(t, m)| mean(t, m));
        MelSpectrogram::new(values.collect(), mel.n_mels())
    }

    #[test]
    fn nothing_that_is_sound_or_silence_or_a_guess_at_sound_is_taken_for_padding() {
        for preset in presets::all() {
            let c = &preset.convention;
            let bounds = Bounds::new(c);
            let sounds =
                [vec![0.0; 4 * c.n_fft], vec![1.0; 4 * c.n_fft], noise(8 * c.n_fft, 1.0), noise(8 * c.n_fft, 1e-4)];
            for (i, sound) in sounds.iter().enumerate() {
                let mel = extract(sound, c).unwrap();
                let padding = (0..mel.frames()).filter(|&t| bounds.is_padding(mel.frame(t))).count();
                assert_eq!(padding, 0, "{}: sound {i}", c.name);
            }
        }
        let bounds = Bounds::new(&MelConvention::native());
        for name in ["speech-en.npy", "speech-synthetic.npy", "music.npy"] {
            let mel = sample(name);
            for mel in [blurred(&mel), mel] {
                assert!((0..mel.frames()).all(|t| !bounds.is_padding(mel.frame(t))), "{name}");
            }
        }
    }

    #[test]
    fn padding_is_found_wherever_it_lies_and_becomes_silence() {
        let native = MelConvention::native();
        let silence = Bounds::new(&native).silence().to_vec();
        let speech = sample("speech-en.npy").slice(0..60);
        for value in [0.0, -4.0, 3.0, -100.0] {
            let padding = vec![value; 300];
            let (head, tail) = speech.values().split_at(4000);
            for values in [[speech.values(), &padding[..]].concat(), [head, &padding, tail].concat()] {
                let mel = without_padding(&MelSpectrogram::new(values.clone(), 100), &native).unwrap();
                let replaced: Vec<usize> =
                    (0..63).filter(|&t| mel.frame(t) != &values[t * 100..(t + 1) * 100]).collect();
                assert_eq!(replaced.len(), 3, "{value}: {replaced:?}");
                assert!(replaced.iter().all(|&t| mel.frame(t) == silence), "{value}");
            }
        }
        assert_eq!(without_padding(&speech, &native), None);
        // Standardised mels are padded with 0, which is each band's mean.
        let statistics = crate::mel::BandStatistics {
            mean: (0..100).map(|m| -4.0 - f64::from(m) / 50.0).collect(),
            std: vec![2.0; 100],
        };
        let standardised = MelConvention { statistics: Some(statistics), ..native };
        assert!(Bounds::new(&standardised).is_padding(&[0.0; 100]));
    }

    /// Silence that another program cut off at -5 is no padding.
    #[test]
    fn a_floor_of_another_program_is_no_padding() {
        let speech = sample("speech-en.npy").slice(0..60);
        let mut values: Vec<f32> = speech.values().iter().map(|v| v.max(-5.0)).collect();
        values.extend([-5.0; 300]);
        assert_eq!(without_padding(&MelSpectrogram::new(values, 100), &MelConvention::native()), None);
    }
}
