//! Mel spectrograms from audio, by any convention.

use super::{MelConvention, MelSpectrogram, filterbank::Filterbank};
use crate::{Error, Fault, Result, dsp::analysis::Analysis};

/// The mel of a recording at the convention's rate: [n] -> [T, M], T = `convention.frames(n)`, in the convention's own
/// numbers (log, affine map and statistics applied). The layout concerns files alone and changes nothing here.
///
/// # Errors
/// `Error::Convention` where a field is impossible, `Error::Audio` where the recording gives no frame.
pub fn extract(audio: &[f32], convention: &MelConvention) -> Result<MelSpectrogram> {
    Extractor::new(convention)?.extract(audio)
}

/// A convention with its transform and filters planned, for one recording after another.
pub struct Extractor {
    convention: MelConvention,
    analysis: Analysis,
    bank: Filterbank,
    /// [F], of one frame
    magnitude: Vec<f32>,
    /// [M], of one frame
    bands: Vec<f32>,
}

impl Extractor {
    pub fn new(convention: &MelConvention) -> Result<Self> {
        convention.validate()?;
        Ok(Self {
            analysis: Analysis::new(convention.n_fft, convention.win_length, convention.symmetric_window),
            bank: Filterbank::new(convention),
            magnitude: vec![0.0; convention.bins()],
            bands: vec![0.0; convention.n_mels],
            convention: convention.clone(),
        })
    }

    /// See [`extract`].
    pub fn extract(&mut self, audio: &[f32]) -> Result<MelSpectrogram> {
        let frames = self.convention.frames(audio.len());
        if frames == 0 || audio.is_empty() {
            let enough = format!("at least {}, the hop of {}", self.convention.hop, self.convention.name);
            return Err(Error::Audio(Fault::new("the recording", format!("{} samples", audio.len())).expected(enough)));
        }
        let mut values = Vec::with_capacity(frames * self.convention.n_mels);
        for t in 0..frames {
            self.analyse(audio, t);
            let stored = |(m, &v): (usize, &f32)| self.convention.stored(m, f64::from(v)) as f32;
            values.extend(self.bands.iter().enumerate().map(stored));
        }
        Ok(MelSpectrogram::new(values, self.convention.n_mels))
    }

    /// Frame `t` into `magnitude` and `bands`, before floor and logarithm.
    fn analyse(&mut self, audio: &[f32], t: usize) {
        let c = &self.convention;
        let edge = c.edge();
        let norm = if c.window_norm { self.analysis.window_norm().powi(2) } else { 1.0 };
        let spectrum = self.analysis.frame(audio, c.frame_start(t), edge);
        for (out, s) in self.magnitude.iter_mut().zip(spectrum) {
            let power = (s.norm_sqr() / norm + c.magnitude_epsilon).max(c.power_floor);
            // The two powers in use, many times faster than the general one.
            *out = match c.power {
                1.0 => power.sqrt(),
                2.0 => power,
                other => power.powf(other / 2.0),
            } as f32;
        }
        self.bank.bands(&self.magnitude, &mut self.bands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Little-endian float32 in C order, which is all that the golden files hold.
    fn golden(path: &str) -> Vec<f32> {
        let bytes = std::fs::read(format!("{}/tests/golden/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
    }

    #[test]
    fn native_mel_is_the_reference() {
        let got = extract(&golden("mel/audio.npy"), &MelConvention::native()).unwrap();
        let want = golden("mel/mel.npy");
        assert_eq!(got.frames() * 100, want.len());
        for (i, (g, w)) in got.band_major().iter().zip(&want).enumerate() {
            assert!((g - w).abs() < 1e-4, "value {i}: {g} instead of {w}"); // the reference's own tolerance
        }
    }

    #[test]
    fn silence_is_the_floor() {
        let got = extract(&[0.0; 4096], &MelConvention::native()).unwrap();
        assert!(got.values().iter().all(|&v| v == 1e-5f64.ln() as f32));
    }

    #[test]
    fn nothing_gives_an_error() {
        assert!(matches!(extract(&[], &MelConvention::native()), Err(Error::Audio(_))));
        let half = MelConvention { framing: crate::mel::Framing::HalfHop, ..MelConvention::native() };
        assert!(matches!(extract(&[0.1; 255], &half), Err(Error::Audio(_))));
    }
}
