//! Files rendered to files, with the record that the program keeps.

use crate::{
    background::in_background,
    convention::Convention,
    exception::no_such,
    given::layout,
    vocoder::{Effort, Vocoder},
};
use audiodiff::{
    Error, Fault, Result,
    audio::{Downmix, Peaks, SampleFormat},
    batch::{
        Entry, Event, Existing, FileRenderer, Inputs, Manifest, Plan, RenderSettings, SourceSettings, Target, resume,
        run,
    },
    mel::MelConvention,
};
use pyo3::prelude::*;
use std::{path::PathBuf, thread::available_parallelism};

/// The program's settings by their names in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Request {
    paths: Vec<PathBuf>,
    out_dir: PathBuf,
    manifest: Option<PathBuf>,
    existing: String,
    layout: String,
    tensor: Option<String>,
    recordings: Option<PathBuf>,
    seed: u64,
    channels: String,
    sample_format: String,
    peaks: String,
    gain_db: f64,
    loudness_lufs: Option<f64>,
    rate: Option<u32>,
    jobs: Option<usize>,
}

/// A JSON object for each item, and what is to be said of the inputs.
#[pyfunction]
pub fn render_files(
    py: Python,
    vocoder: &Vocoder,
    request: Request,
    convention: Option<&Convention>,
    effort: Effort,
) -> PyResult<(Vec<String>, Vec<String>)> {
    in_background(py, |stop| {
        let convention = convention.map(|convention| convention.0.clone());
        let settings = settings(vocoder, &request, convention, effort)?;
        let Request { paths, out_dir, manifest, existing, jobs, .. } = request;
        let existing = match existing.as_str() {
            "refuse" => Existing::Refuse,
            "skip" => Existing::Skip,
            "overwrite" => Existing::Overwrite,
            _ => return Err(no_such("existing", &existing, "\"refuse\", \"skip\" or \"overwrite\"")),
        };
        let mut inputs = Inputs::default();
        paths.iter().for_each(|path| inputs.add(path, Some(&out_dir)));
        let plan = Plan::new(&inputs, &Target::Folder(out_dir), "wav")?;
        if let Some(manifest) = manifest.as_ref().filter(|manifest| plan.names(manifest)) {
            let fault = Fault::new(manifest.display(), "is an input or an output");
            return Err(Error::Settings(fault.remedy("name another file with manifest=")));
        }
        let mut manifest = manifest.as_deref().map(Manifest::open).transpose()?;
        let renderer = FileRenderer { models: vocoder.models.clone(), settings };
        let remaining = resume(plan, manifest.as_mut(), existing, &renderer)?;

        let mut entries: Vec<Entry> = remaining.done.iter().chain(&remaining.skipped).map(Entry::skipped).collect();
        let cores = available_parallelism().map_or(1, usize::from);
        let jobs = jobs.unwrap_or((cores / vocoder.threads).max(1));
        run(&renderer, &remaining.items, jobs, stop, |event| {
            let Event::Finished(entry) = event else { return Ok(()) };
            if let Some(manifest) = &mut manifest {
                manifest.append(&entry)?;
            }
            entries.push(*entry);
            Ok(())
        })?;
        let notes = inputs.unreadable.iter().map(Error::to_string).chain(inputs.left_out.sentences()).collect();
        Ok((entries.iter().map(Entry::to_line).collect::<Result<_>>()?, notes))
    })
}

fn settings(
    vocoder: &Vocoder,
    request: &Request,
    convention: Option<MelConvention>,
    effort: Effort,
) -> Result<RenderSettings> {
    let options = vocoder.options(effort)?;
    RenderSettings {
        effort: options.effort.unwrap_or_default(),
        seed: request.seed,
        chunk: options.chunk,
        source: SourceSettings {
            layout: layout(&request.layout)?,
            tensor: request.tensor.clone(),
            convention,
            recordings: request.recordings.clone(),
            downmix: match request.channels.as_str() {
                "keep" => Downmix::Stereo,
                "mono" => Downmix::Mono,
                other => return Err(no_such("channels", other, "\"keep\" or \"mono\"")),
            },
        },
        format: match request.sample_format.as_str() {
            "pcm16" => SampleFormat::Pcm16,
            "pcm24" => SampleFormat::Pcm24,
            "float32" => SampleFormat::Float32,
            other => return Err(no_such("sample_format", other, "\"pcm16\", \"pcm24\" or \"float32\"")),
        },
        raw: false,
        peaks: match request.peaks.as_str() {
            "limit" => Peaks::Limit,
            "lower" => Peaks::Lower,
            "clip" => Peaks::Clip,
            other => return Err(no_such("peaks", other, "\"limit\", \"lower\" or \"clip\"")),
        },
        gain: request.gain_db,
        loudness: request.loudness_lufs,
        rate: request.rate,
        refining: options.refining,
    }
    .validated()
}
