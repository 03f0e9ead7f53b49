//! A model of one's own: whoever implements `Vocoder` is rendered at any rate, to any length, from mels of any convention.
//!
//!     cargo run --release --example own_vocoder

use audiodiff::{
    Result,
    card::{Channels, Effort, Efforts, ModelCard},
    mel::{MelSpectrogram, presets},
    model::{Licenses, Provenance},
    render::Renderer,
    sound::Sound,
    source::{MelSource, WholeMel},
    vocoder::{Identity, RenderOptions, Rendering, Vocoder},
};
use std::sync::Arc;

/// Whistles: a sine at the loudest band of each frame.
struct Whistle {
    card: ModelCard,
    identity: Identity,
}

impl Whistle {
    fn load() -> Result<Arc<dyn Vocoder>> {
        let only = Effort::default();
        let card = ModelCard {
            name: "whistle".into(),
            family: "whistle".into(),
            mel: presets::named("f5-tts")?.clone(),
            channels: Channels::Mono,
            efforts: Efforts { draft: only.clone(), standard: only.clone(), best: only },
            streaming: Default::default(),
            architecture: serde_json::Value::Null,
            training: Provenance::default(),
            licenses: Licenses::default(),
        };
        let identity = Identity { weights: "whistle-1".into(), arithmetic: "f32 on cpu".into() };
        Ok(Arc::new(Self { card, identity }))
    }
}

impl Vocoder for Whistle {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn render(self: Arc<Self>, source: Box<dyn MelSource>, options: &RenderOptions) -> Result<Box<dyn Rendering>> {
        let chunk = options.chunk.unwrap_or(self.card.streaming.chunk);
        Ok(Box::new(Tune { whistle: self, source, chunk, phase: 0.0, begun: false }))
    }
}

struct Tune {
    whistle: Arc<Whistle>,
    source: Box<dyn MelSource>,
    chunk: usize,
    phase: f64,
    begun: bool,
}

impl Rendering for Tune {
    fn next(&mut self) -> Result<Option<Sound>> {
        let c = &self.whistle.card.mel;
        let mel = self.source.read(self.chunk)?;
        let mut samples = vec![];
        // Centred frames: T of them are T - 1 hops of sound.
        for t in usize::from(!self.begun)..mel.frames() {
            let frame = mel.frame(t);
            let (band, level) =
                frame.iter().enumerate().fold((0, f32::MIN), |best, (m, &v)| if v > best.1 { (m, v) } else { best });
            let hz = 60.0 * 2f64.powf(band as f64 / 15.0);
            for _ in 0..c.hop {
                self.phase += hz / f64::from(c.sample_rate);
                samples
                    .push((level.exp() / c.n_fft as f32).min(0.5) * (self.phase * std::f64::consts::TAU).sin() as f32);
            }
        }
        self.begun |= mel.frames() > 0;
        Ok((mel.frames() > 0).then(|| Sound::mono(samples, c.sample_rate)))
    }

    fn set_effort(&mut self, _: &Effort) -> Result<()> {
        Ok(())
    }
}

fn main() -> Result<()> {
    // Forty frames of another program: they are converted for it, and rendered at their own rate.
    let theirs = presets::named("hifigan-22k")?;
    let mel = MelSpectrogram::new(vec![-4.0; 40 * theirs.n_mels], theirs.n_mels);
    let renderer = Renderer::new(Whistle::load()?, Box::new(WholeMel::new(mel)), theirs, &RenderOptions::default())?;
    let rate = renderer.rate();
    let mut count = 0;
    for sound in renderer {
        count += sound?.len();
    }
    println!("{count} samples at {rate} Hz");
    Ok(())
}
