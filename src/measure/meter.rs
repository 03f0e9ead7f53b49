//! What can be measured of one recording, sample by sample, in memory that hardly grows with its length.

use super::{
    bandwidth::{bandwidth, material_rate},
    clipping::{Clipping, ClippingDetector},
    fingerprint::{Fingerprint, Fingerprinter},
    hum::{Hum, HumDetector},
    loudness_frames::LoudnessFrames,
    spectral_frames::SpectralFrames,
};
use crate::{
    Error, Fault, Result,
    audio::level::{LevelMeter, from_db, to_db},
    dsp::resample::SAMPLE_RATES,
};
use serde::Serialize;

/// What a recording is like. Levels are dB against full scale; of a root mean square, a full-scale sine has -3 dB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    /// Hz
    pub sample_rate: u32,
    /// Samples of the mono mix.
    pub samples: u64,
    pub seconds: f64,
    /// Highest magnitude; `None` for digital silence.
    pub peak_dbfs: Option<f64>,
    pub clipping: Clipping,
    /// No 20 ms are louder than -60 dB.
    pub silent: bool,
    /// Share of the time 45 dB below the loud parts, or below -75 dB.
    pub silence_share: f64,
    pub leading_silence_s: f64,
    pub trailing_silence_s: f64,
    /// The mean of all samples, full scale 1.
    pub dc_offset: f64,
    /// The mean of their squares.
    pub mean_square: f64,
    /// Hz up to which there is anything; half the rate where nothing is missing, and for silence.
    pub bandwidth_hz: f64,
    /// Hz, the lower rate that the material was once sampled at.
    pub material_rate: Option<u32>,
    pub hum: Option<Hum>,
    /// The level of the noise that never stops; `None` where pauses are digital silence.
    pub noise_floor_dbfs: Option<f64>,
    /// The level that 95 % of the 20 ms frames lie below.
    pub loud_dbfs: f64,
    /// The level that 5 % of them lie below.
    pub quiet_dbfs: f64,
    /// Integrated loudness by EBU R 128; `None` for what is too short or too quiet to have one.
    pub loudness_lufs: Option<f64>,
    /// What it sounds like, to find copies.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
}

impl Measures {
    /// Highest magnitude, full scale 1.
    pub fn peak(&self) -> f64 {
        self.peak_dbfs.map_or(0.0, from_db)
    }
}

/// Measures samples as they pass.
pub struct Meter {
    sample_rate: u32,
    samples: u64,
    sum: f64,
    energy: f64,
    level: LevelMeter,
    clipping: ClippingDetector,
    frames: LoudnessFrames,
    spectrum: SpectrumMeter,
    hum: HumDetector,
}

struct SpectrumMeter {
    frames: SpectralFrames,
    fingerprinter: Fingerprinter,
    /// Frames in which every sample is 0.
    empty: u32,
}

/// Share of the moments whose level tells what never stops, and dB from there to the mean of noise: the power in a bin of
/// Gaussian noise is distributed exponentially, and a tenth of it lies below -ln 0.9 of its mean.
const QUIET_MOMENTS: f64 = 0.1;
const QUIET_TO_MEAN_DB: f64 = 9.77;
/// dB in a bin that even 16 bits without dither do not have.
const DIGITAL_SILENCE_DB: f64 = -120.0;

impl Meter {
    /// # Errors
    /// [`Error::Settings`] for a rate outside of [`SAMPLE_RATES`].
    pub fn new(sample_rate: u32) -> Result<Self> {
        if !SAMPLE_RATES.contains(&sample_rate) {
            let expected = format!("{} to {} Hz", SAMPLE_RATES.start(), SAMPLE_RATES.end());
            let fault = Fault::new("sample rate", format!("{sample_rate} Hz"));
            return Err(Error::Settings(fault.expected(expected)));
        }
        Ok(Self {
            sample_rate,
            samples: 0,
            sum: 0.0,
            energy: 0.0,
            level: LevelMeter::new(sample_rate, 1, true)?,
            clipping: ClippingDetector::default(),
            frames: LoudnessFrames::new(sample_rate),
            spectrum: SpectrumMeter::new(sample_rate),
            hum: HumDetector::new(sample_rate),
        })
    }

    /// Takes the next samples of a mono recording.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.samples += samples.len() as u64;
        self.sum += samples.iter().map(|&sample| f64::from(sample)).sum::<f64>();
        self.energy += samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum::<f64>();
        self.level.push(samples)?;
        self.clipping.push(samples);
        self.frames.push(samples);
        self.spectrum.push(samples);
        self.hum.push(samples);
        Ok(())
    }

    pub fn finish(self) -> Measures {
        let silence = self.frames.finish();
        let nyquist = f64::from(self.sample_rate) / 2.0;
        let spectrum = self.spectrum.finish();
        let bandwidth_hz = if silence.whole { nyquist } else { bandwidth(&spectrum.loud, self.sample_rate) };
        let peak = f64::from(self.level.peak());
        Measures {
            sample_rate: self.sample_rate,
            samples: self.samples,
            seconds: self.samples as f64 / f64::from(self.sample_rate),
            peak_dbfs: (peak > 0.0).then(|| to_db(peak)),
            clipping: self.clipping.finish(),
            silent: silence.whole,
            silence_share: silence.share,
            leading_silence_s: silence.leading_s,
            trailing_silence_s: silence.trailing_s,
            dc_offset: self.sum / self.samples.max(1) as f64,
            mean_square: self.energy / self.samples.max(1) as f64,
            bandwidth_hz,
            material_rate: if bandwidth_hz < nyquist { material_rate(bandwidth_hz, self.sample_rate) } else { None },
            hum: self.hum.finish(),
            noise_floor_dbfs: spectrum.noise_floor_dbfs,
            loud_dbfs: f64::from(silence.loud_db),
            quiet_dbfs: f64::from(silence.quiet_db),
            loudness_lufs: self.level.loudness(),
            fingerprint: if silence.whole { None } else { spectrum.fingerprint },
        }
    }
}

/// Measures a whole recording: mono samples, full scale 1, at `sample_rate` Hz.
///
/// # Errors
/// As [`Meter::new`].
pub fn measure(samples: &[f32], sample_rate: u32) -> Result<Measures> {
    let mut meter = Meter::new(sample_rate)?;
    meter.push(samples)?;
    Ok(meter.finish())
}

struct Spectrum {
    /// dB of each bin in the loud moments.
    loud: Vec<f32>,
    noise_floor_dbfs: Option<f64>,
    fingerprint: Option<Fingerprint>,
}

impl SpectrumMeter {
    fn new(sample_rate: u32) -> Self {
        let frames = SpectralFrames::new(sample_rate);
        Self { fingerprinter: Fingerprinter::new(frames.bin_hz, 0.5 / frames.bin_hz), empty: 0, frames }
    }

    fn push(&mut self, samples: &[f32]) {
        let Self { frames, fingerprinter, empty } = self;
        frames.push(samples, |powers| see(powers, fingerprinter, empty));
    }

    fn finish(self) -> Spectrum {
        let Self { mut frames, mut fingerprinter, mut empty } = self;
        frames.finish(|powers| see(powers, &mut fingerprinter, &mut empty));
        let levels = &frames.levels;
        let quiet = levels.percentile(QUIET_MOMENTS);
        let noise: f64 =
            smooth(&quiet).iter().map(|level| 10f64.powf((f64::from(*level) + QUIET_TO_MEAN_DB) / 10.0)).sum();
        // White noise of power 1 has 3/8 n in a bin under a Hann window, so 3 in all bins on this scale.
        let noise = noise / 3.0;
        let noise_db = 10.0 * (noise + 1e-20).log10();
        let digital = f64::from(empty) > QUIET_MOMENTS * f64::from(levels.moments());
        Spectrum {
            loud: frames.loud(),
            noise_floor_dbfs: (!digital && noise_db > DIGITAL_SILENCE_DB).then_some(noise_db),
            fingerprint: fingerprinter.finish(),
        }
    }
}

fn see(powers: &[f32], fingerprinter: &mut Fingerprinter, empty: &mut u32) {
    *empty += u32::from(powers.iter().all(|power| *power == 0.0));
    fingerprinter.push(powers);
}

/// Medians over some 400 Hz: noise has no lines, and what has lines (hum, a note that is held) is no noise.
fn smooth(levels: &[f32]) -> Vec<f32> {
    const REACH: usize = 8;
    let median = |at: usize| {
        let mut near = levels[at.saturating_sub(REACH)..(at + REACH + 1).min(levels.len())].to_vec();
        near.sort_by(f32::total_cmp);
        near[near.len() / 2]
    };
    (0..levels.len()).map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(n: usize) -> Vec<f32> {
        let mut state = 1u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(n)
        .collect()
    }

    #[test]
    fn white_noise_is_its_own_floor() {
        for rate in [8_000, 24_000, 44_100] {
            // Uniform noise within ±0.1 has a root mean square of 0.1 / √3: -24.8 dB.
            let noise: Vec<f32> = uniform(rate as usize * 5).iter().map(|x| 0.1 * x).collect();
            let measures = measure(&noise, rate).unwrap();
            let floor = measures.noise_floor_dbfs.unwrap();
            assert!((floor + 24.8).abs() < 0.5, "{rate}: {floor}");
            // Frames of 160 samples scatter by a third of a decibel.
            assert!((measures.loud_dbfs + 24.8).abs() < 0.8, "{}", measures.loud_dbfs);
            assert_eq!(measures.bandwidth_hz, f64::from(rate) / 2.0);
            assert_eq!((measures.hum, measures.fingerprint), (None, None));
            assert!((measures.peak_dbfs.unwrap() + 20.0).abs() < 0.01 && measures.dc_offset.abs() < 1e-3);
        }
    }

    #[test]
    fn how_the_samples_come_changes_nothing() {
        let noise = uniform(50_000);
        let mut meter = Meter::new(24_000).unwrap();
        noise.chunks(1234).for_each(|chunk| meter.push(chunk).unwrap());
        let (whole, pieces) = (measure(&noise, 24_000).unwrap(), meter.finish());
        // The sums' rounding depends on the pieces.
        let Measures { dc_offset, mean_square, .. } = whole;
        assert!((pieces.dc_offset - dc_offset).abs() < 1e-12 && (pieces.mean_square - mean_square).abs() < 1e-12);
        assert_eq!(Measures { dc_offset, mean_square, ..pieces }, whole);
    }

    #[test]
    fn nothing_is_measured_without_a_panic() {
        for samples in [&[][..], &[0.5][..], &[0.0; 100_000][..]] {
            let measures = measure(samples, 24_000).unwrap();
            assert_eq!((measures.samples, measures.noise_floor_dbfs), (samples.len() as u64, None));
            assert_eq!((measures.hum, measures.loudness_lufs), (None, None));
        }
        let silence = measure(&[0.0; 100_000], 24_000).unwrap();
        assert!(silence.silent && silence.silence_share == 1.0 && silence.noise_floor_dbfs.is_none());
        for rate in [0, 1, 20, 999, 768_001] {
            let text = measure(&[0.0; 10], rate).unwrap_err().to_string();
            assert!(text.contains(&format!("{rate} Hz, expected 1000 to 768000 Hz")), "{text}");
        }
    }

    /// Bands, frames and filters depend on the rate; heart sounds are kept at 4 kHz, bats' at 384.
    #[test]
    fn every_rate_is_measured() {
        let noise = uniform(20_000);
        // Every hertz where a band more or less lies between the lowest cliff and the end, and then in steps of 3 %.
        let usual = [1_000, 2_000, 11_025, 44_100, 48_000, 96_000, 192_000, 384_000, 768_000];
        let geometric = std::iter::successors(Some(1_000), |rate| Some(rate + rate / 33)).take_while(|r| *r < 768_000);
        for rate in (3_900..4_700).step_by(3).chain(geometric).chain(usual) {
            let measures = measure(&noise, rate).unwrap();
            assert!(measures.bandwidth_hz <= f64::from(rate) / 2.0 && measures.bandwidth_hz > 0.0, "{rate}");
        }
    }
}
