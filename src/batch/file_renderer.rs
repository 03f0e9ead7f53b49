//! From an input file to a WAV file or a stream: source, renderer and sink, put together.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{Fingerprint, Item, Recipe, RenderItem, Rendered, Source, SourceSettings, Ticket, Work};
use crate::{
    Error, Result,
    audio::{
        FileReport, FileSink, FileSinkSettings, SampleFormat, StreamReport, StreamSink, StreamSinkSettings,
        WavMetadata, read_metadata, resampled_len,
    },
    diffusion::{AnyMelRenderer, ChunkLayout, Network, SamplerSettings, WholeMel},
    mel::{MelConvention, presets},
    model::{GriffinLim, Vocoder},
    number_range::{GAIN_DB, LOUDNESS_LUFS},
};

/// What turns mels into sound.
pub enum Engine {
    Diffusion(Box<Vocoder>),
    GriffinLim(Box<GriffinLim>),
}

impl Engine {
    /// Name and hash of the weights.
    pub fn id(&self) -> &str {
        match self {
            Self::Diffusion(vocoder) => vocoder.id(),
            Self::GriffinLim(_) => GriffinLim::ID,
        }
    }

    /// The mel that it takes.
    pub fn convention(&self) -> &MelConvention {
        match self {
            Self::Diffusion(vocoder) => vocoder.convention(),
            Self::GriffinLim(baseline) => baseline.convention(),
        }
    }

    /// Where and in which numbers it computes: other samples on another device.
    pub fn arithmetic(&self) -> String {
        match self {
            Self::Diffusion(vocoder) if vocoder.device().is_cuda() => format!("{} on cuda", vocoder.precision()),
            Self::Diffusion(vocoder) => format!("{} on cpu", vocoder.precision()),
            Self::GriffinLim(_) => "f32 on cpu".into(),
        }
    }
}

/// How everything in a run is rendered; an item's overrides win.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderSettings {
    pub sampler: SamplerSettings,
    pub chunks: ChunkLayout,
    pub source: SourceSettings,
    pub format: SampleFormat,
    /// dB
    pub gain: f64,
    /// LUFS
    pub loudness: Option<f64>,
    /// Hz; that of the mel's convention where `None`, the model's for recordings.
    pub rate: Option<u32>,
}

impl RenderSettings {
    /// # Errors
    /// [`Error::Settings`] names the setting that is out of range.
    pub fn validated(self) -> Result<Self> {
        self.sampler.validated()?;
        GAIN_DB.check("gain", self.gain)?;
        self.loudness.map(|loudness| LOUDNESS_LUFS.check("loudness", loudness)).transpose()?;
        Ok(self)
    }
}

/// Renders files with one model.
pub struct FileRenderer {
    pub engine: Engine,
    pub settings: RenderSettings,
}

impl FileRenderer {
    /// The run's settings with the item's own.
    fn settings_of(&self, item: &Item) -> Result<RenderSettings> {
        let (own, run) = (&item.overrides, &self.settings);
        let work = Work {
            start_iterations: own.start_iterations,
            steps: own.steps,
            iterations: own.iterations,
            final_iterations: own.final_iterations,
        };
        let set = SamplerSettings { seed: own.seed.unwrap_or(run.sampler.seed), ..run.sampler };
        let mut source = run.source.clone();
        source.convention = own.convention.clone().or(source.convention);
        let settings = RenderSettings {
            source,
            sampler: self.engine.with_work(set, work)?,
            gain: own.gain.unwrap_or(run.gain),
            loudness: own.loudness.or(run.loudness),
            ..run.clone()
        };
        settings.validated()
    }

    /// Hz, of the output that `source` becomes.
    pub fn rate_of(&self, source: &Source) -> u32 {
        self.settings.rate.unwrap_or(source.convention.sample_rate)
    }

    /// Reads an item's input.
    ///
    /// # Errors
    /// Those of [`Source::open`].
    pub fn open(&self, item: &Item) -> Result<Source> {
        Source::open(&item.input, &self.settings_of(item)?.source, self.engine.convention())
    }

    /// Renders `source`, which is `item`'s, into something that takes samples as they come. What leaves first leaves before the end is rendered.
    ///
    /// # Errors
    /// Those of the input, of `output`, and [`Error::Interrupted`].
    pub fn stream(
        &self,
        item: &Item,
        source: Source,
        output: impl Write,
        raw: bool,
        ticket: &Ticket,
    ) -> Result<Rendered> {
        let settings = self.settings_of(item)?;
        let (rate, convention) = (self.rate_of(&source), source.convention.name.clone());
        let sink = StreamSinkSettings {
            format: settings.format,
            sample_rate: rate,
            raw,
            gain_db: settings.gain,
            seed: settings.sampler.seed,
            samples: Some(resampled_len(source.samples, source.rate, rate)),
        };
        let mut sink = StreamSink::new(output, &item.output, sink);
        let mut warnings = source.notes.clone();
        self.render_source(source, &settings, ticket, |samples| sink.write(samples))?;
        let StreamReport { samples, peak, clipped } = sink.finish()?;
        if clipped > 0 {
            warnings.push(format!(
                "{clipped} samples were over full scale (peak {peak:.2}) and were held there; give --gain -{:.0}",
                (20.0 * peak.log10()).ceil()
            ));
        }
        let audio_s = samples as f64 / f64::from(rate);
        Ok(Rendered { audio_s, peak: f64::from(peak), convention: Some(convention), rate, warnings })
    }

    /// Gives `write` exactly the samples that the source's length makes at the output's rate.
    fn render_source(
        &self,
        source: Source,
        settings: &RenderSettings,
        ticket: &Ticket,
        write: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let rate = self.rate_of(&source);
        ticket.expect(source.samples as f64 / f64::from(source.rate));
        let exact = ExactLength { left: resampled_len(source.samples, source.rate, rate), write };
        match &self.engine {
            Engine::Diffusion(vocoder) => pull(vocoder.as_ref(), source, settings, rate, ticket, exact),
            Engine::GriffinLim(baseline) => pull(baseline.as_ref(), source, settings, rate, ticket, exact),
        }
    }
}

fn pull<N: Network>(
    network: &N,
    source: Source,
    settings: &RenderSettings,
    rate: u32,
    ticket: &Ticket,
    mut output: ExactLength<impl FnMut(&[f32]) -> Result<()>>,
) -> Result<()> {
    let Source { mel, convention, .. } = source;
    let RenderSettings { sampler, chunks, .. } = *settings;
    for chunk in AnyMelRenderer::new(network, WholeMel::new(mel), &convention, sampler, chunks)?.at_rate(rate)? {
        let chunk = chunk?;
        output.write(&chunk)?;
        ticket.advance(chunk.len() as f64 / f64::from(rate))?;
    }
    output.finish()
}

/// Passes exactly `left` samples on to `write`.
struct ExactLength<W> {
    left: u64,
    write: W,
}

impl<W: FnMut(&[f32]) -> Result<()>> ExactLength<W> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        let taken = samples.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= taken as u64;
        if taken > 0 { (self.write)(&samples[..taken]) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<()> {
        // Rounding twice, there and back again, may lose a sample.
        let missing = vec![0.0; usize::try_from(self.left).unwrap_or(0)];
        self.write(&missing)
    }
}

/// A stated convention by name where that says all.
fn stated(convention: Option<&MelConvention>) -> serde_json::Value {
    match convention {
        None => "auto".into(),
        Some(convention) if presets::named(&convention.name).is_ok_and(|preset| preset == convention) => {
            convention.name.clone().into()
        }
        Some(convention) => json!(convention),
    }
}

impl RenderItem for FileRenderer {
    fn recipe(&self, item: &Item) -> Result<Recipe> {
        let RenderSettings { sampler, chunks, source, format, gain, loudness, rate } = self.settings_of(item)?;
        let settings = json!({
            "start_iterations": sampler.start_iterations,
            "steps": sampler.steps,
            "iterations": sampler.iterations,
            "final_iterations": sampler.final_iterations,
            "arithmetic": self.engine.arithmetic(),
            "chunks": chunks,
            "layout": source.layout,
            "tensor": source.tensor,
            "convention": stated(source.convention.as_ref()),
            "recordings": source.recordings,
            "format": format.raw_name(),
            "gain_db": gain,
            "loudness_lufs": loudness,
            "rate": rate,
        });
        Ok(Recipe { model: self.engine.id().into(), settings, seed: sampler.seed })
    }

    fn render(&self, item: &Item, fingerprint: &Fingerprint, ticket: &Ticket) -> Result<Rendered> {
        let settings = self.settings_of(item)?;
        let source = self.open(item)?;
        let (rate, convention) = (self.rate_of(&source), source.convention.name.clone());
        let made_of = serde_json::to_value(fingerprint)
            .map_err(|error| Error::io("cannot write", &item.output)(std::io::Error::other(error)))?;
        if let Some(folder) = item.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        }
        let sink = FileSinkSettings {
            format: settings.format,
            sample_rate: rate,
            gain_db: settings.gain,
            loudness: settings.loudness,
            seed: settings.sampler.seed,
            metadata: Some(WavMetadata::new(made_of)),
        };
        let mut sink = FileSink::create(&item.output, sink)?;
        let mut warnings = source.notes.clone();
        self.render_source(source, &settings, ticket, |samples| sink.write(samples))?;
        let FileReport { samples, peak, level, .. } = sink.finish()?;
        if level.lowered_db > 0.0 {
            warnings.push(format!(
                "the peak of {:.2} is over full scale, so the whole file was lowered by {:.1} dB",
                f64::from(level.peak_before) * 10f64.powf((level.gain_applied_db + level.lowered_db) / 20.0),
                level.lowered_db
            ));
        }
        if level.loudness_unmeasurable {
            warnings.push("too short or too quiet to have a loudness, so its level was kept".into());
        }
        let audio_s = samples as f64 / f64::from(rate);
        Ok(Rendered { audio_s, peak: f64::from(peak), convention: Some(convention), rate, warnings })
    }

    fn made_of(&self, output: &Path) -> Option<Fingerprint> {
        serde_json::from_value(read_metadata(output).ok()??.settings).ok()
    }
}

/// An item for [`FileRenderer::stream`]: `output` is only a name for messages.
pub fn streamed(input: PathBuf, output: impl Into<PathBuf>, overrides: super::Overrides) -> Item {
    Item { input, output: output.into(), overrides, key: String::new() }
}
