//! Few-step training: the sampler itself is unrolled for the steps that it will use, with the projection in the loop, and
//! what comes out is compared with the recording as it is heard, by its spectra at several resolutions.
//!
//! Flow matching teaches the mean of all waveforms that a noisy one can come from. With few steps that mean is heard.
//! Here the network answers for the sound after its estimate was projected: up to a random step without gradients (the
//! start is one too), then one step and a few iterations with them. With `repulsion` above 0 two renderings of a mel are pushed
//! apart by that share of their distance (the energy distance at 1: Székely and Rizzo 2013; for vocoders Gritsenko et al.
//! 2020), which keeps what the mel leaves open from being averaged away.

use super::{
    excerpts::Excerpts, losses::magnitude_error, multi_mel::MultiMel, objective::Objective, projection::BatchProjection,
};
use crate::{
    Result,
    diffusion::SamplerSettings,
    model::{SamplerDefaults, VocoderNetwork},
};
use tch::{Kind, Tensor};

/// How far a batch is unrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrolling {
    /// The whole path.
    pub path: SamplerSettings,
    /// The turn of it, the start counted, through which the gradient goes.
    pub turn: usize,
    /// Projection iterations after it, with gradients.
    pub gradient_iterations: usize,
    /// Renderings of each recording.
    pub renderings: usize,
}

impl Unrolling {
    /// Whole batches of noise that it takes.
    pub fn noises(&self) -> usize {
        self.turn + 1
    }
}

/// Scalars.
#[derive(Debug)]
pub struct FewStepLosses {
    /// Distance of the renderings from the recording, less their own where they repel.
    pub spectral: Tensor,
    /// The encoder's error, as in flow matching.
    pub magnitude: Tensor,
}

impl Objective {
    /// `excerpts` of `[B, n]`; each of `noises` [R B, T', K, 2], R renderings after one another.
    pub fn few_step(
        &self,
        network: &VocoderNetwork,
        excerpts: &Excerpts,
        noises: &[Tensor],
        plan: &Unrolling,
    ) -> Result<FewStepLosses> {
        let x1 = &excerpts.audio;
        let (magnitude, mel, envelope) = tch::no_grad(|| {
            let magnitude = self.acoustics.mel_stft.forward(x1).abs();
            let mel = self.acoustics.log_mel(&magnitude);
            let envelope = self.acoustics.envelope(&mel);
            (magnitude, mel, envelope)
        });
        let (conditions, log_magnitude) = network.encode(&mel, self.acoustics.up, self.kind());
        let again = |x: &Tensor| x.repeat([plan.renderings as i64, 1, 1]);
        let conditions: Vec<_> = conditions.iter().map(again).collect();
        let (mels, envelopes, log_magnitudes) = (again(&mel), again(&envelope), again(&log_magnitude));
        let SamplerDefaults { momentum, renewal, .. } = self.sampler;
        let projection = BatchProjection::new(&self.acoustics, &mels, &log_magnitudes, momentum, renewal);

        let time = |turn: usize| f64::from(plan.path.time(turn, self.sampler.entry));
        let blend = |turn: usize| self.sampler.blend_at(time(turn) as f32);
        let estimate = |x: &Tensor, turn: usize, conditions: &[Tensor]| {
            if !plan.path.asks_network(turn) {
                return x.shallow_clone();
            }
            let t = Tensor::full([x.size()[0]], time(turn), (Kind::Float, x.device()));
            let whitened = self.acoustics.whiten(x, &envelopes);
            self.acoustics.colour(&network.denoise(&whitened, conditions, &t, self.kind()), &envelopes)
        };
        let x = tch::no_grad(|| {
            let mut x = self.acoustics.prior(&envelopes, &noises[0]);
            for turn in 0..plan.turn {
                let iterations = plan.path.iterations_of(turn);
                let projected = if plan.path.integrates(turn, self.sampler.start) {
                    projection.start(&x, iterations)?
                } else {
                    projection.project(&estimate(&x, turn, &conditions), blend(turn), iterations, false)
                };
                let next = time(turn + 1);
                x = self.acoustics.prior(&envelopes, &noises[turn + 1]) * (1.0 - next) + projected * next;
            }
            Ok::<_, crate::Error>(x)
        })?;
        let rendered =
            projection.project(&estimate(&x, plan.turn, &conditions), blend(plan.turn), plan.gradient_iterations, true);
        Ok(FewStepLosses {
            spectral: self.compare(&rendered, excerpts, plan.renderings as i64),
            magnitude: magnitude_error(&log_magnitude, &magnitude, &excerpts.known(&self.acoustics.bins_hz)),
        })
    }

    fn compare(&self, rendered: &Tensor, excerpts: &Excerpts, renderings: i64) -> Tensor {
        let wanted = tch::no_grad(|| self.multi_mel.spectra(&excerpts.audio));
        let known = self.multi_mel.known(excerpts);
        let spectra: Vec<_> = rendered.chunk(renderings, 0).iter().map(|r| self.multi_mel.spectra(r)).collect();
        let attraction = spectra.iter().map(|s| MultiMel::between(s, &wanted, &known)).reduce(|a, b| a + b);
        let mut loss = attraction.unwrap_or_default() / renderings as f64;
        if let (true, [first, second, ..]) = (self.settings.few_step.repulsion > 0.0, spectra.as_slice()) {
            loss -= MultiMel::between(first, second, &known) * (0.5 * self.settings.few_step.repulsion);
        }
        loss
    }

    /// The distance of the rendering from the recording after the whole path, without gradients: `excerpts` of `[B, n]`, a noise
    /// `[B, T', K, 2]` for each turn.
    pub fn whole_path(
        &self,
        network: &VocoderNetwork,
        excerpts: &Excerpts,
        noises: &[Tensor],
        path: SamplerSettings,
    ) -> Result<Tensor> {
        let plan =
            Unrolling { path, turn: path.turns() - 1, gradient_iterations: path.final_iterations, renderings: 1 };
        Ok(tch::no_grad(|| self.few_step(network, excerpts, noises, &plan))?.spectral)
    }
}
