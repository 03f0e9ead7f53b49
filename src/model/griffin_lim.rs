//! A vocoder without a network, for comparison: fast Griffin-Lim on the pseudo-inverse of the mel, from random phase.
//!
//! It takes the same path as a diffusion model: one step, whose "estimate" is the noise itself (random phase under the
//! mel's envelope), and a projection whose magnitude is the mel's least-squares spectrum alone.

use super::{
    Licenses, Provenance, Quality, SamplerDefaults,
    card::{DenoiserSize, Effort},
    network::pseudo_inverse,
};
use crate::{
    Error, Fault, Remedy, Result, Setting,
    card::{self, Channels, Efforts},
    diffusion::{ChunkLayout, Encoded, Grid, Network, SamplerSettings, ladder, rendering},
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram},
    source::MelSource,
    vocoder::{Identity, RenderOptions, Rendering, Vocoder},
};
use std::sync::Arc;

/// Least magnitude of the pseudo-inverse, which is negative in places.
const MAGNITUDE_FLOOR: f64 = 1e-5;

/// Fast Griffin-Lim as a network that knows nothing.
pub struct GriffinLim {
    card: card::ModelCard,
    identity: Identity,
    /// `[M, F]`
    pseudo_inverse: Vec<f64>,
    threads: Threads,
}

impl GriffinLim {
    /// Iterations by quality. The standard is what the comparisons of the field give it.
    pub const fn effort(quality: Quality) -> Effort {
        let final_iterations = match quality {
            Quality::Draft => 30,
            Quality::Standard => 60,
            Quality::Best => 120,
        };
        Effort { start_iterations: 0, steps: 1, iterations: 0, final_iterations }
    }

    pub const ID: &str = "griffin-lim";

    /// For the native convention; `threads` share the work on one window.
    ///
    /// # Errors
    /// [`Error::Backend`] where libtorch cannot invert the filter bank.
    pub fn new(threads: usize) -> Result<Self> {
        let convention = MelConvention::native();
        let inverse = pseudo_inverse(&convention).contiguous().view(-1);
        let pseudo_inverse = Vec::try_from(&inverse).map_err(Error::torch("reading the filter bank's inverse"))?;
        let effort = |quality| Self::effort(quality).settings(0).effort();
        let card = card::ModelCard {
            name: Self::ID.into(),
            family: Self::ID.into(),
            mel: convention,
            channels: Channels::Mono,
            efforts: Efforts {
                draft: effort(Quality::Draft),
                standard: effort(Quality::Standard),
                best: effort(Quality::Best),
            },
            streaming: ChunkLayout::default(),
            architecture: serde_json::Value::Null,
            training: Provenance::default(),
            licenses: Licenses::default(),
        };
        let identity = Identity { weights: Self::ID.into(), arithmetic: "f32 on cpu".into() };
        Ok(Self { card, identity, pseudo_inverse, threads: Threads::new(threads) })
    }
}

impl Network for GriffinLim {
    type Condition = ();

    fn convention(&self) -> &MelConvention {
        &self.card.mel
    }

    fn grid(&self) -> Grid {
        let DenoiserSize { n_fft, hop, .. } = DenoiserSize::default();
        Grid { n_fft, hop }
    }

    fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Nothing of the noise's own magnitude.
    fn blend(&self, _t: f32) -> f32 {
        0.0
    }

    fn momentum(&self) -> f32 {
        SamplerDefaults::default().momentum
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<()>> {
        mel.require_bands_of(&self.card.mel, 1)?;
        let bins = self.card.mel.bins();
        let mut log_magnitude = Vec::with_capacity(mel.frames() * bins);
        // In double precision: between loud bands the products cancel almost to nothing.
        let mut magnitude = vec![0.0; bins];
        for t in 0..mel.frames() {
            magnitude.fill(0.0);
            for (m, weights) in mel.frame(t).iter().zip(self.pseudo_inverse.chunks_exact(bins)) {
                let linear = f64::from(*m).exp();
                for (out, weight) in magnitude.iter_mut().zip(weights) {
                    *out += linear * weight;
                }
            }
            log_magnitude.extend(magnitude.iter().map(|m| m.max(MAGNITUDE_FLOOR).ln() as f32));
        }
        Ok(Encoded { condition: (), log_magnitude })
    }

    fn denoise(&self, whitened: &[f32], (): &(), _t: f32) -> Result<Vec<f32>> {
        Ok(whitened.to_vec())
    }
}

impl Vocoder for GriffinLim {
    fn card(&self) -> &card::ModelCard {
        &self.card
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn render(self: Arc<Self>, source: Box<dyn MelSource>, options: &RenderOptions) -> Result<Box<dyn Rendering>> {
        rendering(self, source, options)
    }

    /// It has one kind of work only: iterations.
    fn adjusted(&self, effort: &card::Effort, given: &card::Effort) -> Result<card::Effort> {
        let set = SamplerSettings::of_effort(effort, 0)?;
        for (setting, own) in [(Setting::StartIterations, set.start_iterations), (Setting::Steps, set.steps)] {
            if given.get(setting.name()).is_some_and(|given| given != own) {
                let fault = Fault::new(setting, "has no meaning for griffin-lim");
                return Err(Error::Settings(fault.remedy(Remedy::Give(Setting::Iterations, vec![]))));
            }
        }
        let (iterations, last) = (given.get("iterations"), given.get("final_iterations"));
        if let (Some(iterations), Some(last)) = (iterations, last)
            && iterations != last
        {
            let both = format!("{} and {}", Setting::Iterations, Setting::FinalIterations);
            let fault = Fault::new(both, format!("{iterations} and {last}")).expected("one number for griffin-lim");
            return Err(Error::Settings(fault.remedy(format!("give {} alone", Setting::Iterations))));
        }
        let final_iterations = last.or(iterations).unwrap_or(set.final_iterations);
        Ok(SamplerSettings { final_iterations, ..set }.validated()?.effort())
    }

    fn describe(&self, effort: &card::Effort) -> String {
        SamplerSettings::of_effort(effort, 0).map_or_else(|_| effort.to_string(), |settings| settings.to_string())
    }

    fn ladder(&self, from: &card::Effort) -> Vec<(card::Effort, f64)> {
        ladder(from, false)
    }

    fn projection_iterations(&self, effort: &card::Effort) -> usize {
        effort.get("final_iterations").unwrap_or(0) / 2
    }

    fn threads(&self) -> &Threads {
        &self.threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diffusion::{ChunkLayout, Renderer, SamplerSettings, WholeMel},
        mel,
    };

    /// Mean absolute difference of the log mels of a tone rich in partials and of its rendering.
    fn mel_error(iterations: usize) -> f32 {
        let audio: Vec<f32> = (0..24_000)
            .map(|i| {
                let phase = std::f32::consts::TAU * 150.0 * i as f32 / 24_000.0;
                (1..40).map(|k| (phase * k as f32).sin() * 0.1 / k as f32).sum()
            })
            .collect();
        let network = GriffinLim::new(1).unwrap();
        let mel = mel::extract(&audio, network.convention()).unwrap();
        let settings =
            SamplerSettings { final_iterations: iterations, ..GriffinLim::effort(Quality::Standard).settings(0) };
        let renderer = Renderer::new(&network, WholeMel::new(mel.clone()), settings, ChunkLayout::default()).unwrap();
        let rendered: Vec<f32> = renderer.map(Result::unwrap).collect::<Vec<_>>().concat();
        assert_eq!(rendered.len(), (mel.frames() - 1) * 256);
        let again = mel::extract(&rendered, network.convention()).unwrap();
        let pairs = mel.values().iter().zip(again.values());
        pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / mel.values().len() as f32
    }

    #[test]
    fn iterations_bring_the_sound_nearer_to_the_mel() {
        let (few, many) = (mel_error(2), mel_error(60));
        assert!(many < 0.7 * few, "{few} after 2, {many} after 60");
    }

    #[test]
    fn its_iterations_come_from_the_quality_or_by_number() {
        let vocoder = GriffinLim::new(1).unwrap();
        let card::Efforts { draft, standard, best } = &Vocoder::card(&vocoder).efforts;
        assert_eq!([draft, standard, best].map(|effort| effort.get("final_iterations")), [30, 60, 120].map(Some));
        let seven = standard.with(&card::Effort::new([("final_iterations", 7)]));
        for given in [
            vec![("iterations", 7)],
            vec![("final_iterations", 7)],
            vec![("iterations", 7), ("final_iterations", 7), ("steps", 1), ("start_iterations", 0)],
        ] {
            assert_eq!(vocoder.adjusted(standard, &card::Effort::new(given)).unwrap(), seven);
        }
    }

    #[test]
    fn it_refuses_what_it_has_no_use_for() {
        let vocoder = GriffinLim::new(1).unwrap();
        let draft = &Vocoder::card(&vocoder).efforts.draft;
        let refusal = |given: &[(&str, usize)]| {
            vocoder.adjusted(draft, &card::Effort::new(given.iter().copied())).unwrap_err().to_string()
        };
        assert_eq!(refusal(&[("steps", 2)]), "`steps`: has no meaning for griffin-lim; give `iterations`");
        let start = refusal(&[("start_iterations", 64)]);
        assert!(start.starts_with("`start_iterations`: has no meaning for griffin-lim"), "{start}");
        let two = refusal(&[("iterations", 1), ("final_iterations", 2)]);
        assert!(two.contains("1 and 2, expected one number"), "{two}");
        let many = refusal(&[("iterations", 1001)]);
        assert!(many.contains("1001, expected 0 to 1000"), "{many}");
    }
}
