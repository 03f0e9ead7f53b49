//! Mels of waveforms, and how near one waveform is to another.

use crate::{background::in_background, convention::Convention, exception::exception};
use audiodiff::{
    Error, Fault, Result,
    audio::resample,
    eval::{Metric, Reference, Sound},
    mel::extract,
};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use std::collections::BTreeSet;

/// [T M] values, frame after frame, and M.
#[pyfunction]
pub fn mel<'py>(
    py: Python<'py>,
    wave: PyReadonlyArray1<f32>,
    rate: u32,
    convention: &Convention,
) -> PyResult<(Bound<'py, PyArray1<f32>>, usize)> {
    let wave = sound("the wave", &wave, rate).map_err(exception)?;
    let mel = in_background(py, |_| {
        let convention = &convention.0;
        extract(&resample(&wave.channels[0], wave.rate, convention.sample_rate)?, convention)
    })?;
    let n_mels = mel.n_mels();
    Ok((PyArray1::from_vec(py, mel.into_values()), n_mels))
}

/// A score as JSON; all metrics but the speed where none is named.
#[pyfunction]
pub fn score(
    py: Python,
    recording: PyReadonlyArray1<f32>,
    rendering: PyReadonlyArray1<f32>,
    rates: (u32, u32),
    metrics: Vec<String>,
) -> PyResult<String> {
    let sounds = sound("the recording", &recording, rates.0)
        .and_then(|recording| Ok((recording, sound("the rendering", &rendering, rates.1)?)));
    let (recording, rendering) = sounds.map_err(exception)?;
    in_background(py, |_| {
        let named = metrics.iter().map(|key| {
            key.parse::<Metric>()
                .map_err(|expected| Error::Settings(Fault::new("metrics", format!("{key:?} is none")).remedy(expected)))
        });
        let named = named.collect::<Result<BTreeSet<Metric>>>()?;
        let all = Metric::ALL.into_iter().filter(|metric| *metric != Metric::XRealTime).collect();
        let metrics = if named.is_empty() { all } else { named };
        let rate = recording.rate.min(rendering.rate);
        let score = Reference::new("recording", &recording, rate, &metrics)?.score("rendering", &rendering, None)?;
        Ok(serde_json::json!(score).to_string())
    })
}

fn sound(subject: &str, samples: &PyReadonlyArray1<f32>, sample_rate: u32) -> Result<Sound> {
    let samples: Vec<f32> = samples.as_array().iter().copied().collect();
    match samples.iter().position(|sample| !sample.is_finite()) {
        None => Ok(Sound::mono(samples, sample_rate)),
        Some(i) => {
            let fault = Fault::new(subject, format!("sample {i} is {}", samples[i]));
            Err(Error::Audio(fault.expected("finite numbers")))
        }
    }
}
