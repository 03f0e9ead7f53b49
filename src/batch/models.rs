//! Which model renders an input: the one that was asked for, or of the two in the program the one whose band fits.

use super::{Source, SourceSettings, is_recording, source::LOOKED_AT_S};
use crate::{
    Result,
    audio::AudioReader,
    dsp::stft::{Edge, Stft},
    families,
    measure::measure,
    mel::MelConvention,
    model::{Builtin, RuntimeOptions},
    vocoder::Vocoder,
};
use rustfft::num_complex::Complex32;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Hz. Mels of this rate on hold more than the 24 kHz model can render; those of 24 kHz and below are whole in it.
const FULL_BAND_RATE: u32 = 32_000;

/// Hz. Recordings of a lower rate have nothing for the full-band model that the other one lacks.
const FULL_BAND_RECORDING: u32 = 44_100;

/// Hz. A recording with sound above it loses some in the 24 kHz model; one that was made of 24 kHz ends at 12.
const HALF_BAND: f64 = 12_500.0;

/// One model for everything, or the two built-in ones. Clones share them.
#[derive(Clone)]
pub struct Models {
    first: Arc<dyn Vocoder>,
    full_band: Option<Arc<FullBand>>,
}

/// Loaded when something needs it.
struct FullBand {
    options: RuntimeOptions,
    model: Mutex<Option<Arc<dyn Vocoder>>>,
    /// Whether an input is for it.
    decided: Mutex<HashMap<PathBuf, bool>>,
}

impl From<Arc<dyn Vocoder>> for Models {
    fn from(first: Arc<dyn Vocoder>) -> Self {
        Self { first, full_band: None }
    }
}

impl Models {
    /// The two built-in ones; the 24 kHz one is loaded at once.
    ///
    /// # Errors
    /// As [`families::builtin`].
    pub fn auto(options: RuntimeOptions) -> Result<Self> {
        let first = families::builtin(Builtin::Default, &options)?;
        let full_band = FullBand { options, model: Mutex::default(), decided: Mutex::default() };
        Ok(Self { first, full_band: Some(Arc::new(full_band)) })
    }

    /// The one that was asked for, or the 24 kHz one.
    pub fn first(&self) -> &Arc<dyn Vocoder> {
        &self.first
    }

    /// Whether the full-band one was needed.
    pub fn used_full_band(&self) -> bool {
        let loaded = |full: &FullBand| full.model.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.full_band.as_deref().is_some_and(loaded)
    }

    /// The one for mels of `convention`.
    ///
    /// # Errors
    /// As [`families::builtin`].
    pub fn for_mel(&self, convention: &MelConvention) -> Result<Arc<dyn Vocoder>> {
        self.chosen(convention.sample_rate >= FULL_BAND_RATE)
    }

    /// Opens `path` for the model that it is for.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open(&self, path: &Path, settings: &SourceSettings) -> Result<(Source, Arc<dyn Vocoder>)> {
        // The mel of a recording is made for its model; that of a file says which model it is for.
        if is_recording(path)? {
            let vocoder = self.for_input(path, settings)?;
            return Ok((Source::open(path, settings, &vocoder.card().mel)?, vocoder));
        }
        let source = Source::open(path, settings, &self.first.card().mel)?;
        let vocoder = self.for_mel(&source.convention)?;
        Ok((source, vocoder))
    }

    /// The model that [`Self::open`] would take.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn for_input(&self, path: &Path, settings: &SourceSettings) -> Result<Arc<dyn Vocoder>> {
        let Some(full) = &self.full_band else { return Ok(self.first.clone()) };
        let known = full.decided.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied();
        let is_full = match known {
            Some(known) => known,
            None => {
                let is_full = match &settings.convention {
                    _ if is_recording(path)? => reaches_full_band(path)?,
                    Some(convention) => convention.sample_rate >= FULL_BAND_RATE,
                    None => {
                        let source = Source::open(path, settings, &self.first.card().mel)?;
                        source.convention.sample_rate >= FULL_BAND_RATE
                    }
                };
                full.decided.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), is_full);
                is_full
            }
        };
        self.chosen(is_full)
    }

    fn chosen(&self, is_full: bool) -> Result<Arc<dyn Vocoder>> {
        let Some(full) = self.full_band.as_ref().filter(|_| is_full) else { return Ok(self.first.clone()) };
        let mut model = full.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*model {
            return Ok(model.clone());
        }
        let loaded = families::builtin(Builtin::FullBand, &full.options)?;
        *model = Some(loaded.clone());
        Ok(loaded)
    }
}

/// Whether the beginning of a recording has sound that only the full-band model renders.
fn reaches_full_band(path: &Path) -> Result<bool> {
    let mut reader = AudioReader::open(path)?;
    let rate = reader.source().sample_rate;
    if rate < FULL_BAND_RECORDING {
        return Ok(false);
    }
    let mut samples = vec![];
    while samples.len() < LOOKED_AT_S as usize * rate as usize
        && let Some(chunk) = reader.next().transpose()?
    {
        samples.extend(chunk);
    }
    let measures = measure(&samples, rate)?;
    Ok(!measures.silent && measures.bandwidth_hz > HALF_BAND && share_above(&samples, rate) > LEAST_SHARE)
}

/// The part of the power that lies above [`HALF_BAND`].
fn share_above(samples: &[f32], rate: u32) -> f64 {
    const N_FFT: usize = 2048;
    let stft = Stft::new(N_FFT, N_FFT / 2);
    let mut buffers = stft.buffers();
    let first = (HALF_BAND / f64::from(rate) * N_FFT as f64).ceil() as usize;
    let (mut above, mut all) = (0.0, 0.0);
    // Whole frames only: where a sound is cut off, it has all frequencies.
    for frame in samples.chunks_exact(N_FFT) {
        stft.analyse(frame, 0, Edge::Zero, &mut buffers);
        let power = |bins: &[Complex32]| bins.iter().map(|bin| f64::from(bin.norm_sqr())).sum::<f64>();
        above += power(&buffers.spectrum[first.min(stft.bins())..]);
        all += power(&buffers.spectrum);
    }
    if all > 0.0 { above / all } else { 0.0 }
}

/// Of the power: -70 dB. The rounding of 16 bits lies lower where something is loud, and music's treble higher.
const LEAST_SHARE: f64 = 1e-7;
