//! From an input file to a WAV file or a stream: source, renderer and sink, put together.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::{Fingerprint, Item, Models, Recipe, RenderItem, Rendered, Source, SourceSettings, Ticket};
use crate::{
    Error, Result,
    audio::{
        Downmix, FileReport, FileSink, FileSinkSettings, Peaks, SampleFormat, StreamReport, StreamSink,
        StreamSinkSettings, WavMetadata, read_metadata, resampled_len,
    },
    card::Effort,
    mel::{MelConvention, presets},
    number_range::{GAIN_DB, LOUDNESS_LUFS},
    render::Renderer,
    vocoder::{Refining, RenderOptions, Vocoder},
};

/// How everything in a run is rendered; an item's overrides win.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderSettings {
    pub effort: Effort,
    pub seed: u64,
    /// Mel frames of new sound in a chunk; the model's own where `None`.
    pub chunk: Option<usize>,
    pub source: SourceSettings,
    pub format: SampleFormat,
    /// Bare samples, without a header.
    pub raw: bool,
    /// What becomes of what is over full scale.
    pub peaks: Peaks,
    /// dB
    pub gain: f64,
    /// LUFS
    pub loudness: Option<f64>,
    /// Hz; that of the mel's convention where `None`, the model's for recordings.
    pub rate: Option<u32>,
    pub refining: Refining,
}

impl RenderSettings {
    pub fn options(&self) -> RenderOptions {
        let Self { effort, seed, chunk, refining, .. } = self;
        RenderOptions {
            effort: Some(effort.clone()),
            seed: *seed,
            chunk: *chunk,
            refining: *refining,
            ..RenderOptions::default()
        }
    }

    /// # Errors
    /// [`Error::Settings`] names the setting that is out of range.
    pub fn validated(self) -> Result<Self> {
        GAIN_DB.check("gain", self.gain)?;
        self.loudness.map(|loudness| LOUDNESS_LUFS.check("loudness", loudness)).transpose()?;
        Ok(self)
    }
}

/// Renders files, each with the model that it is for.
pub struct FileRenderer {
    pub models: Models,
    pub settings: RenderSettings,
}

impl FileRenderer {
    /// The run's settings with the item's own.
    fn settings_of(&self, item: &Item) -> Result<RenderSettings> {
        let (own, run) = (&item.overrides, &self.settings);
        let mut source = run.source.clone();
        source.convention = own.convention.clone().or(source.convention);
        let settings = RenderSettings {
            source,
            effort: self.models.first().adjusted(&run.effort, &own.effort)?,
            seed: own.seed.unwrap_or(run.seed),
            gain: own.gain.unwrap_or(run.gain),
            loudness: own.loudness.or(run.loudness),
            ..run.clone()
        };
        settings.validated()
    }

    /// Seconds of new sound in a chunk of the model's.
    pub fn chunk_s(&self) -> f64 {
        let card = self.models.first().card();
        let frames = card.streaming.of_chunk(self.settings.chunk).chunk;
        (frames * card.mel.hop) as f64 / f64::from(card.mel.sample_rate)
    }

    /// Hz, of the output that `source` becomes.
    pub fn rate_of(&self, source: &Source) -> u32 {
        self.settings.rate.unwrap_or(source.convention.rendered_rate())
    }

    /// Channels of the output that `source` becomes.
    pub fn channels_of(&self, source: &Source) -> usize {
        if self.settings.source.downmix == Downmix::Mono { 1 } else { source.channels }
    }

    /// Reads an item's input, for the model that goes with it.
    ///
    /// # Errors
    /// Those of [`Source::open`].
    pub fn open(&self, item: &Item) -> Result<(Source, Arc<dyn Vocoder>)> {
        self.models.open(&item.input, &self.settings_of(item)?.source)
    }

    /// Renders `source`, which is `item`'s, into something that takes samples as they come. What leaves first leaves before the end is rendered.
    ///
    /// # Errors
    /// Those of the input, of `output`, and [`Error::Interrupted`].
    pub fn stream(
        &self,
        item: &Item,
        (source, vocoder): (Source, Arc<dyn Vocoder>),
        output: impl Write,
        ticket: &Ticket,
    ) -> Result<Rendered> {
        let settings = self.settings_of(item)?;
        let (rate, channels) = (self.rate_of(&source), self.channels_of(&source));
        let convention = Some(source.convention.name.clone());
        let sink = StreamSinkSettings {
            format: settings.format,
            sample_rate: rate,
            channels: channels as u16,
            raw: settings.raw,
            gain_db: settings.gain,
            peaks: settings.peaks,
            seed: settings.seed,
            samples: Some(resampled_len(source.samples, source.rate, rate)),
        };
        let mut sink = StreamSink::new(output, &item.output, sink);
        let (mut warnings, heard) = (source.notes.clone(), source.heard.clone());
        self.render_source(source, vocoder, &settings, ticket, |samples| sink.write(samples))?;
        warnings.extend(heard.take());
        let report = sink.finish()?;
        warnings.extend(report.warning());
        let StreamReport { samples, peak, .. } = report;
        let audio_s = samples as f64 / f64::from(rate);
        Ok(Rendered { audio_s, peak: f64::from(peak), convention, rate, channels, warnings })
    }

    /// Gives `write` exactly the samples that the source's length makes at the output's rate, of all channels interleaved.
    fn render_source(
        &self,
        source: Source,
        vocoder: Arc<dyn Vocoder>,
        settings: &RenderSettings,
        ticket: &Ticket,
        mut write: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let rate = self.rate_of(&source);
        ticket.expect(source.samples as f64 / f64::from(source.rate));
        let length = resampled_len(source.samples, source.rate, rate);
        let channels = self.channels_of(&source);
        let Source { mel, convention, .. } = source;
        let renderer = Renderer::new(vocoder, mel.into_source(), &convention, &settings.options())?;
        for sound in renderer.at_rate(rate)?.of_length(length) {
            let sound = sound?;
            let seconds = sound.seconds();
            write(&sound.of_channels(channels).interleaved())?;
            ticket.advance(seconds)?;
        }
        Ok(())
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
        let RenderSettings { effort, seed, chunk, source, format, raw: _, peaks, gain, loudness, rate, refining } =
            self.settings_of(item)?;
        // What cannot be opened is said when it is to be rendered.
        let vocoder = self.models.for_input(&item.input, &source).unwrap_or_else(|_| self.models.first().clone());
        let mut settings = json!({
            "arithmetic": vocoder.identity().arithmetic,
            "chunks": vocoder.card().streaming.of_chunk(chunk),
            "layout": source.layout,
            "tensor": source.tensor,
            "convention": stated(source.convention.as_ref()),
            "recordings": source.recordings,
            "format": format.raw_name(),
            "gain_db": gain,
            "loudness_lufs": loudness,
            "rate": rate,
        });
        // Without it, two channels stay two.
        if source.downmix == Downmix::Mono {
            settings["channels"] = "mono".into();
        }
        // Without them, nothing is above the mel's highest band, and its numbers are taken for a recording's.
        if refining.extend {
            settings["extend"] = true.into();
        }
        if refining.predicted {
            settings["predicted"] = true.into();
        }
        // Without it, peaks are limited.
        match peaks {
            Peaks::Limit => {}
            Peaks::Lower => settings["peaks"] = "lower".into(),
            Peaks::Clip => settings["peaks"] = "clip".into(),
        }
        for (entry, value) in effort.0 {
            settings[entry] = value.into();
        }
        Ok(Recipe { model: vocoder.identity().weights.clone(), settings, seed })
    }

    fn render(&self, item: &Item, fingerprint: &Fingerprint, ticket: &Ticket) -> Result<Rendered> {
        let settings = self.settings_of(item)?;
        let (source, vocoder) = self.open(item)?;
        let (rate, channels) = (self.rate_of(&source), self.channels_of(&source));
        let convention = Some(source.convention.name.clone());
        let made_of = serde_json::to_value(fingerprint)
            .map_err(|error| Error::io("cannot write", &item.output)(std::io::Error::other(error)))?;
        if let Some(folder) = item.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        }
        let sink = FileSinkSettings {
            format: settings.format,
            sample_rate: rate,
            channels: channels as u16,
            gain_db: settings.gain,
            peaks: settings.peaks,
            loudness: settings.loudness,
            seed: settings.seed,
            metadata: Some(WavMetadata::new(made_of)),
            raw: settings.raw,
        };
        let mut sink = FileSink::create(&item.output, sink)?;
        let (mut warnings, heard) = (source.notes.clone(), source.heard.clone());
        self.render_source(source, vocoder, &settings, ticket, |samples| sink.write(samples))?;
        warnings.extend(heard.take());
        let report = sink.finish()?;
        warnings.extend(report.warnings());
        let FileReport { samples, peak, .. } = report;
        let audio_s = samples as f64 / f64::from(rate);
        Ok(Rendered { audio_s, peak: f64::from(peak), convention, rate, channels, warnings })
    }

    fn made_of(&self, output: &Path) -> Option<Fingerprint> {
        serde_json::from_value(read_metadata(output).ok()??.settings).ok()
    }
}

/// An item for [`FileRenderer::stream`]: `output` is only a name for messages.
pub fn streamed(input: PathBuf, output: impl Into<PathBuf>, overrides: super::Overrides) -> Item {
    Item { input, output: output.into(), overrides, key: String::new() }
}
