//! Levels: one gain for a whole file, from its peak, a wanted loudness and a wanted gain, so that nothing clips.

use ebur128::{EbuR128, Mode};

use super::{SampleFormat, limiter::Limited, true_peak::TruePeak};
use crate::{Error, Fault, Result};

/// Loudness by EBU R 128 gates everything below -70 LUFS out; a file without a louder block of 0.4 s has none.
const GATE_LUFS: f64 = -70.0;

/// What becomes of a sound that is over full scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Peaks {
    /// The peaks alone are taken back, see [`Limiter`](super::limiter::Limiter): the level of the rest stays.
    #[default]
    Limit,
    /// The whole file is lowered, so that nothing of its shape is lost.
    Lower,
    /// What is over is cut off.
    Clip,
}

/// What was measured of a file and what was done to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelReport {
    /// Largest magnitude before any gain; above 1 is over full scale.
    pub peak_before: f32,
    /// Gain of the whole file in dB: the wanted one, less `lowered_db`.
    pub gain_applied_db: f64,
    /// What had to be taken back so that the peak stays below full scale; 0 where it did by itself.
    pub lowered_db: f64,
    /// What a limiter did, where there was something to limit.
    pub limited: Option<Limited>,
    /// Integrated loudness before any gain, in LUFS. `None` where it was not asked for, or where the file has none:
    /// silence, or less than 0.4 s of sound. Such a file keeps its level.
    pub loudness: Option<f64>,
    /// A loudness was asked for and the file has none to change.
    pub loudness_unmeasurable: bool,
}

/// Measures samples as they pass.
pub struct LevelMeter {
    channels: usize,
    peak: f32,
    between: TruePeak,
    true_peak: f32,
    loudness: Option<EbuR128>,
}

impl LevelMeter {
    /// Measures loudness only where it is wanted: it costs two filters a sample.
    pub fn new(sample_rate: u32, channels: usize, with_loudness: bool) -> Result<Self> {
        let loudness = match with_loudness {
            true => Some(EbuR128::new(channels as u32, sample_rate, Mode::I).map_err(|error| {
                Error::Settings(Fault::new("loudness", format!("cannot be measured at {sample_rate} Hz: {error}")))
            })?),
            false => None,
        };
        Ok(Self { channels, peak: 0.0, between: TruePeak::new(channels), true_peak: 0.0, loudness })
    }

    /// `samples` of all channels, interleaved.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.peak = samples.iter().fold(self.peak, |peak, sample| peak.max(sample.abs()));
        for all in samples.chunks_exact(self.channels) {
            self.true_peak = self.true_peak.max(self.between.next(all));
        }
        if let Some(loudness) = &mut self.loudness {
            loudness
                .add_frames_f32(samples)
                .map_err(|error| Error::Settings(Fault::new("loudness", format!("cannot be measured: {error}"))))?;
        }
        Ok(())
    }

    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// LUFS of everything so far, over all channels (a mono file on two speakers is 3 dB louder than it says).
    pub fn loudness(&self) -> Option<f64> {
        let loudness = self.loudness.as_ref()?.loudness_global().ok()?;
        (loudness.is_finite() && loudness > GATE_LUFS).then_some(loudness)
    }

    /// Whether anything is over `format`'s ceiling after `gain`, between the samples too.
    pub fn is_over(&self, gain: f32, format: SampleFormat) -> bool {
        self.true_peak.max(self.peak) * gain > format.ceiling()
    }

    /// The gain for the whole file, as a factor, and its report.
    ///
    /// `gain_db` comes on top of what `loudness_lufs` wants; a peak above what `format` holds lowers both, where `peaks` wants
    /// that.
    pub fn decide(
        &self,
        gain_db: f64,
        loudness_lufs: Option<f64>,
        format: SampleFormat,
        peaks: Peaks,
    ) -> (f32, LevelReport) {
        let loudness = self.loudness();
        let wanted_db = gain_db
            + match (loudness_lufs, loudness) {
                (Some(target), Some(measured)) => target - measured,
                _ => 0.0,
            };
        let wanted = from_db(wanted_db);
        let peak = f64::from(self.peak) * wanted;
        let is_lowered = peaks == Peaks::Lower && peak > f64::from(format.ceiling());
        let lowered = if is_lowered { just_below(format) / peak } else { 1.0 };
        let lowered_db = if lowered == 1.0 { 0.0 } else { -to_db(lowered) };
        let report = LevelReport {
            peak_before: self.peak,
            gain_applied_db: wanted_db - lowered_db,
            lowered_db,
            limited: None,
            loudness,
            loudness_unmeasurable: loudness_lufs.is_some() && loudness.is_none(),
        };
        ((wanted * lowered) as f32, report)
    }
}

/// Where a peak comes to lie that was too high: a millionth below the ceiling, so that rounding the gain and the product
/// to 32-bit floats cannot lift it over.
pub(super) fn just_below(format: SampleFormat) -> f64 {
    f64::from(format.ceiling()) * (1.0 - 1e-6)
}

/// Amplitude factor of a gain in dB.
pub fn from_db(db: f64) -> f64 {
    // Exactly 1 for 0, so that an unchanged file stays bit for bit.
    if db == 0.0 { 1.0 } else { 10f64.powf(db / 20.0) }
}

/// Gain in dB of an amplitude factor.
pub fn to_db(factor: f64) -> f64 {
    20.0 * factor.log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(samples: &[f32]) -> LevelMeter {
        let mut meter = LevelMeter::new(48_000, 1, true).unwrap();
        for chunk in samples.chunks(1000) {
            meter.push(chunk).unwrap();
        }
        meter
    }

    /// EBU Tech 3341, case 1: a 1 kHz sine at -23 dBFS a channel in stereo has -23.0 LUFS (±0.1); one channel of it has
    /// half the power.
    #[test]
    fn loudness_of_the_reference_tone() {
        let amplitude = 10f64.powf(-23.0 / 20.0);
        let tone: Vec<f32> = (0..48_000 * 5)
            .map(|n| (amplitude * (std::f64::consts::TAU * 1000.0 * f64::from(n) / 48_000.0).sin()) as f32)
            .collect();
        let meter = metered(&tone);
        assert!((meter.loudness().unwrap() - (-23.0 - to_db(2.0) / 2.0)).abs() < 0.1, "{:?}", meter.loudness());
        let (gain, report) = meter.decide(0.0, Some(-20.0), SampleFormat::Pcm16, Peaks::Lower);
        let louder: Vec<f32> = tone.iter().map(|sample| sample * gain).collect();
        assert!((metered(&louder).loudness().unwrap() + 20.0).abs() < 0.01);
        assert!((report.gain_applied_db - to_db(f64::from(gain))).abs() < 1e-5);
    }

    #[test]
    fn only_lowering_changes_the_level_of_the_whole() {
        for peaks in [Peaks::Limit, Peaks::Clip] {
            let meter = metered(&[1.7, -1.7]);
            let (gain, report) = meter.decide(3.0, None, SampleFormat::Pcm16, peaks);
            assert!((to_db(f64::from(gain)) - 3.0).abs() < 1e-6 && report.lowered_db == 0.0, "{peaks:?}");
            assert!(meter.is_over(gain, SampleFormat::Pcm16) && !meter.is_over(0.4, SampleFormat::Pcm16));
        }
    }

    /// The same tone in both channels has the loudness that the standard says.
    #[test]
    fn loudness_is_that_of_all_channels() {
        let amplitude = 10f64.powf(-23.0 / 20.0);
        let tone = |n: i32| (amplitude * (std::f64::consts::TAU * 1000.0 * f64::from(n) / 48_000.0).sin()) as f32;
        let mut meter = LevelMeter::new(48_000, 2, true).unwrap();
        meter.push(&(0..48_000 * 5).flat_map(|n| [tone(n), tone(n)]).collect::<Vec<_>>()).unwrap();
        assert!((meter.loudness().unwrap() + 23.0).abs() < 0.1, "{:?}", meter.loudness());
    }

    #[test]
    fn silence_is_left_alone_and_said() {
        for samples in [vec![0.0; 96_000], vec![0.5; 100], Vec::new()] {
            let (gain, report) = metered(&samples).decide(0.0, Some(-16.0), SampleFormat::Pcm16, Peaks::Lower);
            assert_eq!((gain, report.loudness, report.loudness_unmeasurable), (1.0, None, true), "{}", samples.len());
        }
    }

    #[test]
    fn peaks_are_lowered_to_just_below_full_scale() {
        for format in [SampleFormat::Pcm16, SampleFormat::Pcm24, SampleFormat::Float32] {
            for (peak, gain_db) in [(1.7f32, 0.0), (0.9, 6.0), (1.0001, 0.0), (123.0, -3.0)] {
                let (gain, report) = metered(&[peak, -peak]).decide(gain_db, None, format, Peaks::Lower);
                let after = peak * gain;
                assert!(after <= format.ceiling() && after > format.ceiling() * 0.99999, "{format:?} {peak}: {after}");
                assert!(report.lowered_db > 0.0 && report.gain_applied_db < gain_db);
            }
            let (gain, report) = metered(&[0.9]).decide(0.0, None, format, Peaks::Lower);
            assert_eq!((gain, report.lowered_db, report.gain_applied_db), (1.0, 0.0, 0.0));
        }
    }
}
