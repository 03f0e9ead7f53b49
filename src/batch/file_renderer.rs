//! From an input file to a WAV file or a stream: source, renderer and sink, put together.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{Fingerprint, Item, Recipe, RenderItem, Rendered, Source, SourceSettings, Ticket};
use crate::{
    Error, Result,
    audio::{
        FileReport, FileSink, FileSinkSettings, SampleFormat, StreamReport, StreamResampler, StreamSink,
        StreamSinkSettings, WavMetadata, read_metadata, resampled_len,
    },
    diffusion::{ChunkLayout, Network, Renderer, SamplerSettings, WholeMel},
    mel::MelConvention,
    model::{GriffinLim, Vocoder},
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
    /// Hz; the model's where `None`.
    pub rate: Option<u32>,
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
        let sampler = SamplerSettings {
            steps: own.steps.unwrap_or(run.sampler.steps),
            iterations: own.iterations.unwrap_or(run.sampler.iterations),
            final_iterations: own.final_iterations.unwrap_or(run.sampler.final_iterations),
            seed: own.seed.unwrap_or(run.sampler.seed),
        };
        Ok(RenderSettings {
            sampler: sampler.validated()?,
            gain: own.gain.unwrap_or(run.gain),
            loudness: own.loudness.or(run.loudness),
            ..run.clone()
        })
    }

    fn rate(&self) -> u32 {
        self.settings.rate.unwrap_or(self.engine.convention().sample_rate)
    }

    /// Renders into something that takes samples as they come. What leaves first leaves before the end is rendered.
    ///
    /// # Errors
    /// Those of the input, of `output`, and [`Error::Interrupted`].
    pub fn stream(&self, item: &Item, output: impl Write, raw: bool, ticket: &Ticket) -> Result<Rendered> {
        let settings = self.settings_of(item)?;
        let source = Source::open(&item.input, &settings.source, self.engine.convention())?;
        let rate = self.rate();
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
        Ok(Rendered { audio_s: samples as f64 / f64::from(rate), peak: f64::from(peak), warnings })
    }

    /// Gives `write` exactly the samples that the source's length makes at the output's rate.
    fn render_source(
        &self,
        source: Source,
        settings: &RenderSettings,
        ticket: &Ticket,
        write: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let rate = self.rate();
        ticket.expect(source.samples as f64 / f64::from(source.rate));
        let wanted = resampled_len(source.samples, source.rate, rate);
        let resampler = StreamResampler::new(self.engine.convention().sample_rate, rate)?;
        let exact = ExactLength { left: wanted, resampler, buffer: Vec::new(), write };
        match &self.engine {
            Engine::Diffusion(vocoder) => pull(vocoder.as_ref(), source, settings, ticket, exact),
            Engine::GriffinLim(baseline) => pull(baseline.as_ref(), source, settings, ticket, exact),
        }
    }
}

fn pull<N: Network>(
    network: &N,
    source: Source,
    settings: &RenderSettings,
    ticket: &Ticket,
    mut output: ExactLength<impl FnMut(&[f32]) -> Result<()>>,
) -> Result<()> {
    let rate = f64::from(network.convention().sample_rate);
    let mel = WholeMel::new(source.mel);
    for chunk in Renderer::new(network, mel, settings.sampler, settings.chunks)? {
        let chunk = chunk?;
        output.write(&chunk)?;
        ticket.advance(chunk.len() as f64 / rate)?;
    }
    output.finish()
}

/// Resamples on the way to `write`, and ends after exactly `left` samples.
struct ExactLength<W> {
    left: u64,
    resampler: StreamResampler,
    buffer: Vec<f32>,
    write: W,
}

impl<W: FnMut(&[f32]) -> Result<()>> ExactLength<W> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.buffer.clear();
        self.resampler.push(samples, &mut self.buffer)?;
        self.pass_on()
    }

    fn finish(mut self) -> Result<()> {
        self.buffer.clear();
        self.resampler.finish(&mut self.buffer)?;
        self.pass_on()?;
        // Rounding twice, there and back again, may lose a sample.
        self.buffer.clear();
        self.buffer.resize(usize::try_from(self.left).unwrap_or(0), 0.0);
        self.pass_on()
    }

    fn pass_on(&mut self) -> Result<()> {
        let taken = self.buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= taken as u64;
        if taken > 0 { (self.write)(&self.buffer[..taken]) } else { Ok(()) }
    }
}

impl RenderItem for FileRenderer {
    fn recipe(&self, item: &Item) -> Result<Recipe> {
        let RenderSettings { sampler, chunks, source, format, gain, loudness, .. } = self.settings_of(item)?;
        let convention = source.convention.map(|convention| convention.name);
        let settings = json!({
            "steps": sampler.steps,
            "iterations": sampler.iterations,
            "final_iterations": sampler.final_iterations,
            "arithmetic": self.engine.arithmetic(),
            "chunks": chunks,
            "layout": source.layout,
            "tensor": source.tensor,
            "convention": convention,
            "format": format.raw_name(),
            "gain_db": gain,
            "loudness_lufs": loudness,
            "rate": self.rate(),
        });
        Ok(Recipe { model: self.engine.id().into(), settings, seed: sampler.seed })
    }

    fn render(&self, item: &Item, fingerprint: &Fingerprint, ticket: &Ticket) -> Result<Rendered> {
        let settings = self.settings_of(item)?;
        let source = Source::open(&item.input, &settings.source, self.engine.convention())?;
        let made_of = serde_json::to_value(fingerprint)
            .map_err(|error| Error::io("cannot write", &item.output)(std::io::Error::other(error)))?;
        if let Some(folder) = item.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        }
        let sink = FileSinkSettings {
            format: settings.format,
            sample_rate: self.rate(),
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
        Ok(Rendered { audio_s: samples as f64 / f64::from(self.rate()), peak: f64::from(peak), warnings })
    }

    fn made_of(&self, output: &Path) -> Option<Fingerprint> {
        serde_json::from_value(read_metadata(output).ok()??.settings).ok()
    }
}

/// An item for [`FileRenderer::stream`]: `output` is only a name for messages.
pub fn streamed(input: PathBuf, output: impl Into<PathBuf>, overrides: super::Overrides) -> Item {
    Item { input, output: output.into(), overrides, key: String::new() }
}
