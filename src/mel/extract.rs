//! Mel spectrograms from audio, by any convention.

use super::{MelConvention, MelSpectrogram, filterbank::Filterbank};
use crate::{Error, Fault, Result, dsp::analysis::Analysis};

/// The mel of a recording at the convention's rate: `[n]` -> `[T, M]`, T = `convention.frames(n)`, in the convention's own
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
    /// `[F]`, of one frame
    magnitude: Vec<f32>,
    /// `[M]`, of one frame
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
            self.analyse(audio, self.convention.frame_start(t), &mut values);
        }
        Ok(MelSpectrogram::new(values, self.convention.n_mels))
    }

    /// Appends the frame whose window begins at sample `start` of `audio`.
    fn analyse(&mut self, audio: &[f32], start: isize, values: &mut Vec<f32>) {
        let c = &self.convention;
        let norm = if c.window_norm { self.analysis.window_norm().powi(2) } else { 1.0 };
        let spectrum = self.analysis.frame(audio, start, c.edge());
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
        let stored = |(m, &v): (usize, &f32)| self.convention.stored(m, f64::from(v)) as f32;
        values.extend(self.bands.iter().enumerate().map(stored));
    }
}

/// The mel of a recording that comes in pieces, in memory that does not grow with it: frame for frame what [`extract`] gives.
pub struct StreamExtractor {
    extractor: Extractor,
    /// Samples from absolute sample `first` on; older ones were dropped.
    samples: Vec<f32>,
    first: usize,
    /// The next frame.
    next: usize,
    ended: bool,
}

/// Samples that are dropped at once, so that what stays is seldom moved.
const DROPPED_AT_ONCE: usize = 1 << 15;

impl StreamExtractor {
    /// # Errors
    /// As [`Extractor::new`].
    pub fn new(convention: &MelConvention) -> Result<Self> {
        Ok(Self { extractor: Extractor::new(convention)?, samples: vec![], first: 0, next: 0, ended: false })
    }

    /// Takes the next samples, at the convention's rate.
    pub fn push(&mut self, samples: &[f32]) {
        self.samples.extend_from_slice(samples);
    }

    /// There are no more.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// Frames that can be had now.
    pub fn ready(&self) -> usize {
        let (c, there) = (&self.extractor.convention, self.first + self.samples.len());
        if self.ended {
            return c.frames(there).saturating_sub(self.next);
        }
        // A window that reaches beyond the end is reflected there, which is known at the end.
        let beyond = there as isize - c.n_fft as isize - c.frame_start(self.next);
        if beyond < 0 { 0 } else { beyond as usize / c.hop + 1 }
    }

    /// Appends the next `frames` of those that are ready.
    pub fn take(&mut self, frames: usize, values: &mut Vec<f32>) {
        for _ in 0..frames.min(self.ready()) {
            let start = self.extractor.convention.frame_start(self.next) - self.first as isize;
            self.extractor.analyse(&self.samples, start, values);
            self.next += 1;
        }
        // The end is reflected by less than a window.
        let c = &self.extractor.convention;
        let needed = (c.frame_start(self.next) - c.n_fft as isize).max(0) as usize;
        let old = needed.saturating_sub(self.first).min(self.samples.len());
        if old >= DROPPED_AT_ONCE {
            self.samples.drain(..old);
            self.first += old;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::presets;

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

    #[test]
    fn a_recording_in_pieces_has_the_mel_of_the_whole() {
        let noise: Vec<f32> = (0..120_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e8).collect();
        for c in presets::all().iter().map(|preset| &preset.convention) {
            // Shorter than half a window, a few frames, and long enough for old samples to go.
            for length in [c.n_fft / 3, 3 * c.n_fft + 17, noise.len()] {
                let whole = extract(&noise[..length], c);
                for piece in [97, 4096, length] {
                    let mut stream = StreamExtractor::new(c).unwrap();
                    let mut values = vec![];
                    for samples in noise[..length].chunks(piece) {
                        stream.push(samples);
                        stream.take(usize::MAX, &mut values);
                    }
                    assert!(stream.samples.len() < DROPPED_AT_ONCE + 3 * c.n_fft + piece, "{}", stream.samples.len());
                    stream.finish();
                    while stream.ready() > 0 {
                        stream.take(1, &mut values);
                    }
                    let Ok(whole) = &whole else { continue };
                    assert!(values == whole.values(), "{}: {length} in pieces of {piece}", c.name);
                }
            }
        }
    }
}
