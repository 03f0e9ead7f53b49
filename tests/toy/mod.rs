//! A family of thirty lines, and how it is asked to render files.

use audiodiff::{
    Result,
    audio::SampleFormat,
    batch::{RenderSettings, SourceSettings},
    card::{Channels, Effort, Efforts, ModelCard},
    mel::presets,
    model::{Licenses, Provenance},
    sound::Sound,
    source::MelSource,
    vocoder::{Identity, Refining, RenderOptions, Rendering, Vocoder},
};
use std::sync::Arc;

/// Says each frame's first value a hop long: what it is given can be read in what it makes.
pub struct Toy {
    card: ModelCard,
    identity: Identity,
}

impl Toy {
    pub fn load() -> Arc<dyn Vocoder> {
        let once = Effort::new([("loudness", 1)]);
        let card = ModelCard {
            name: "toy".into(),
            family: "toy".into(),
            mel: presets::named("f5-tts").unwrap().clone(),
            channels: Channels::Mono,
            efforts: Efforts { draft: once.clone(), standard: once.clone(), best: once },
            streaming: Default::default(),
            architecture: serde_json::Value::Null,
            training: Provenance::default(),
            licenses: Licenses::default(),
        };
        Arc::new(Self { card, identity: Identity { weights: "toy-1".into(), arithmetic: "f32 on cpu".into() } })
    }
}

impl Vocoder for Toy {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn render(self: Arc<Self>, source: Box<dyn MelSource>, options: &RenderOptions) -> Result<Box<dyn Rendering>> {
        Ok(Box::new(Steps { chunk: options.chunk.unwrap_or(self.card.streaming.chunk), toy: self, source, last: None }))
    }
}

struct Steps {
    toy: Arc<Toy>,
    source: Box<dyn MelSource>,
    chunk: usize,
    last: Option<f32>,
}

impl Rendering for Steps {
    fn next(&mut self) -> Result<Option<Sound>> {
        let mel = self.source.read(self.chunk)?;
        let mut samples = vec![];
        for t in 0..mel.frames() {
            // (T - 1) hops, as centred frames have them.
            if let Some(value) = self.last.replace(mel.frame(t)[0].exp()) {
                samples.resize(samples.len() + self.toy.card.mel.hop, value);
            }
        }
        Ok((mel.frames() > 0).then(|| Sound::mono(samples, self.toy.card.mel.sample_rate)))
    }

    fn set_effort(&mut self, _: &Effort) -> Result<()> {
        Ok(())
    }
}

/// Float samples at the mel's own rate, of mels by the toy's convention.
pub fn settings(toy: &dyn Vocoder) -> RenderSettings {
    RenderSettings {
        effort: toy.card().efforts.standard.clone(),
        seed: 0,
        chunk: None,
        source: SourceSettings { convention: Some(toy.card().mel.clone()), ..SourceSettings::default() },
        format: SampleFormat::Float32,
        raw: false,
        peaks: Default::default(),
        gain: 0.0,
        loudness: None,
        rate: None,
        refining: Refining::default(),
    }
}
