//! PESQ, wide band (ITU-T P.862.2): the listening quality of speech at 16 kHz, from 1 to 4.64.
//!
//! The model itself is the crate `pesq`; here is what surrounds it in the Python package of the same name, so that the
//! figures can be laid side by side: resampling to 16 kHz, and samples that are not rounded to 16 bits. (Rounded ones move
//! the score by up to 0.04 where a clip has digital silence in it.)

use super::polyphase;
use crate::{Error, Fault, Result};
use pesq::{PesqError, disturbance, input, psychoacoustic, score, types};

/// How close `rendered` comes to `reference`: both `[n]` mono at `sample_rate` Hz, their lengths may differ. PESQ finds and
/// removes delays by itself. It knows nothing but speech: for music it gives a number that means nothing.
///
/// # Errors
/// [`Error::Data`] where one of them is silent, not finite or shorter than 0.25 s, or where the reference has nothing in
/// it that PESQ takes for speech.
pub fn pesq_wb(reference: &[f32], rendered: &[f32], sample_rate: u32) -> Result<f32> {
    let reference = signal("reference", reference, sample_rate)?;
    let rendered = signal("rendering", rendered, sample_rate)?;
    let longer = reference.nominal_len.max(rendered.nominal_len);
    let pair = input::process_pair_wideband(reference, rendered).map_err(|e| undefined("reference", e))?;
    let disturbances = disturbance::frame_disturbances(&pair.reference, &pair.degraded, &pair.utterances);
    let first = psychoacoustic::frame_range(&pair.reference, longer).start;
    let indicators = disturbance::aggregate(&disturbances, first);
    Ok(score::mos_lqo_wb(f64::from(score::raw_score(indicators.symmetric, indicators.asymmetric))))
}

/// The signal at 16 kHz in the crate's layout: a margin of zeros, the samples, a margin and padding of zeros.
fn signal(name: &str, audio: &[f32], sample_rate: u32) -> Result<types::SignalBuffer> {
    let rate = types::RATE_16K;
    let audio = polyphase::resample(audio, sample_rate, rate.sample_rate() as u32);
    if audio.iter().any(|x| !x.is_finite()) {
        return Err(fault(name, "values that are not finite"));
    }
    if audio.iter().all(|&x| x == 0.0) {
        return Err(fault(name, "silence"));
    }
    // The crate lays out whole numbers only: it is given zeros and the samples are put in their place.
    let zeros = vec![0; audio.len()];
    let mut buffer = types::SignalBuffer::from_pcm_at(&zeros, rate).map_err(|e| undefined(name, e))?;
    let (start, end) = (buffer.signal_start(), buffer.signal_end());
    buffer.samples[start..end].copy_from_slice(&audio);
    Ok(buffer)
}

fn undefined(name: &str, error: PesqError) -> Error {
    match error {
        PesqError::SignalTooShort { samples } => {
            let seconds = samples as f64 / types::RATE_16K.sample_rate() as f64;
            fault(name, format!("{seconds:.3} s of sound"))
        }
        PesqError::NoUtterancesFound => fault(name, "nothing that PESQ takes for speech"),
    }
}

fn fault(subject: &str, found: impl Into<String>) -> Error {
    Error::Data(Fault::new(subject, found).expected("at least 0.25 s of speech for PESQ"))
}
