//! A model, and what it makes of mels.

use crate::{
    background::in_background,
    convention::Convention,
    exception::{exception, no_such},
    given::{Given, Known, Statement, layout},
    stream::Stream,
};
use audiodiff::{
    Error, Result,
    audio::resampled_len,
    batch::Models,
    families,
    model::{Builtin, Precision, Quality, RuntimeOptions},
    render::Renderer,
    vocoder::{Refining, RenderOptions},
};
use numpy::{PyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

/// A model ready to render, or the two built-in ones; any number of threads may use it at once.
#[pyclass(frozen, module = "audiodiff._audiodiff")]
pub struct Vocoder {
    pub models: Models,
    pub threads: usize,
}

/// Work and noise, as the caller names them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Effort {
    quality: String,
    /// Entries in place of the quality's.
    effort: BTreeMap<String, usize>,
    /// Mel frames of new sound in a chunk.
    chunk: Option<usize>,
    extend: bool,
    predicted: bool,
}

#[pymethods]
impl Vocoder {
    /// `model` is "auto", the name of a built-in one, "griffin-lim" or a path.
    #[new]
    fn new(py: Python, model: PathBuf, device: &str, precision: &str, threads: usize) -> PyResult<Self> {
        let load = |_: &AtomicBool| {
            let expected = "\"auto\", \"cpu\", \"cuda\" or \"cuda:N\"";
            let options = RuntimeOptions {
                device: device.parse().map_err(|_| no_such("device", device, expected))?,
                precision: match precision {
                    "auto" => Precision::Auto,
                    "f32" => Precision::F32,
                    "bf16" => Precision::Bf16,
                    _ => return Err(no_such("precision", precision, "\"auto\", \"f32\" or \"bf16\"")),
                },
                threads,
            };
            let name = model.to_str().unwrap_or_default();
            match (name, Builtin::named(name)) {
                ("auto", _) => Models::auto(options),
                ("griffin-lim", _) => families::griffin_lim(threads).map(Models::from),
                (_, Some(builtin)) => families::builtin(builtin, &options).map(Models::from),
                (_, None) => families::open(&model, &options).map(Models::from),
            }
        };
        in_background(py, load).map(|models| Self { models, threads })
    }

    /// Samples for each mel, channel after channel; their channels, their rate in Hz, and what was assumed. A mel is
    /// [M, T], [2, M, T] where `stereo`.
    #[expect(clippy::too_many_arguments, clippy::type_complexity, reason = "keywords and a tuple of Python's")]
    fn render<'py>(
        &self,
        py: Python<'py>,
        mels: Vec<(String, PyReadonlyArrayDyn<'py, f32>)>,
        stereo: bool,
        convention: Option<&Convention>,
        axes: &str,
        seeds: Vec<u64>,
        effort: Effort,
        rate: Option<u32>,
    ) -> PyResult<(Vec<Bound<'py, PyArray1<f32>>>, u32, Vec<String>)> {
        let given: Vec<Given> = mels.into_iter().map(|(subject, array)| Given::new(subject, &array)).collect();
        let (sounds, rate, notes) = in_background(py, |stop| {
            let convention = convention.map(|convention| &convention.0);
            let statement = Statement { convention, layout: layout(axes)?, stereo };
            let options = self.options(effort)?;
            let known = given.into_iter().map(|given| Known::new(given, &statement)).collect::<Result<Vec<_>>>()?;
            let rate = rate.unwrap_or_else(|| known.first().map_or(0, |known| known.convention.rendered_rate()));
            let notes = known.iter().flat_map(|known| known.notes.clone()).collect();
            agree(&known)?;
            let sounds = known.into_iter().zip(seeds).map(|(known, seed)| {
                let options = RenderOptions { seed, ..options.clone() };
                self.rendered(known, &options, rate, stop)
            });
            Ok((sounds.collect::<Result<Vec<_>>>()?, rate, notes))
        })?;
        let arrays = sounds.into_iter().map(|samples| PyArray1::from_vec(py, samples)).collect();
        Ok((arrays, rate, notes))
    }

    /// Sound of the blocks that `blocks` gives, float32 [t, M] of the convention; the model's own where `None`.
    fn stream(
        &self,
        py: Python,
        blocks: Py<PyAny>,
        convention: Option<&Convention>,
        seed: u64,
        effort: Effort,
        rate: Option<u32>,
    ) -> PyResult<Stream> {
        let first = self.models.first();
        let convention = convention.map_or_else(|| first.card().mel.clone(), |convention| convention.0.clone());
        let vocoder = in_background(py, |_| self.models.for_mel(&convention))?;
        let options = self.options(effort).map_err(exception)?;
        let rate = rate.unwrap_or(convention.rendered_rate());
        Ok(Stream::new(blocks, vocoder, &convention, RenderOptions { seed, ..options }, rate))
    }

    /// What the model says of itself, as JSON.
    fn card(&self) -> String {
        serde_json::json!(self.models.first().card()).to_string()
    }

    /// Name and hash of the weights; where and in which numbers.
    fn identity(&self) -> (&str, &str) {
        let identity = self.models.first().identity();
        (&identity.weights, &identity.arithmetic)
    }

    fn convention(&self) -> Convention {
        Convention(self.models.first().card().mel.clone())
    }

    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }
}

impl Vocoder {
    pub fn options(&self, Effort { quality, effort, chunk, extend, predicted }: Effort) -> Result<RenderOptions> {
        let named = match quality.as_str() {
            "draft" => Quality::Draft,
            "standard" => Quality::Standard,
            "best" => Quality::Best,
            _ => return Err(no_such("quality", &quality, "\"draft\", \"standard\" or \"best\"")),
        };
        let first = self.models.first();
        let named = first.card().efforts.of(named);
        let effort = first.adjusted(named, &audiodiff::card::Effort(effort))?;
        let refining = Refining { extend, predicted };
        Ok(RenderOptions { effort: Some(effort), chunk, refining, ..RenderOptions::default() })
    }

    /// The samples, channel after channel.
    fn rendered(&self, known: Known, options: &RenderOptions, rate: u32, stop: &AtomicBool) -> Result<Vec<f32>> {
        let convention = known.convention.clone();
        let length = resampled_len(known.samples(), convention.sample_rate, rate);
        let mut planes = vec![Vec::with_capacity(usize::try_from(length).unwrap_or(0)); known.channels];
        let vocoder = self.models.for_mel(&convention)?;
        let renderer = Renderer::new(vocoder, Box::new(known.source()), &convention, options)?;
        for sound in renderer.at_rate(rate)?.of_length(length) {
            for (plane, samples) in planes.iter_mut().zip(&sound?.channels) {
                plane.extend_from_slice(samples);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
        }
        Ok(planes.into_iter().reduce(|all, plane| [all, plane].concat()).unwrap_or_default())
    }
}

/// Fails where a batch has mels of several conventions: none was stated, and one model made them all.
fn agree(known: &[Known]) -> Result<()> {
    let [first, others @ ..] = known else { return Ok(()) };
    match others.iter().find(|other| other.convention != first.convention) {
        None => Ok(()),
        Some(other) => {
            let (one, other) = (&first.convention.name, &other.convention.name);
            let fault = audiodiff::Fault::new("the batch", format!("its mels look like {one} and like {other}"));
            Err(Error::Convention(fault.remedy("say which it is with convention=")))
        }
    }
}
