//! The loss and the gradient of one batch, shared between threads.
//!
//! Each thread takes some of the windows through the network and back by itself; the gradients are summed. libtorch's own
//! threads would split every small operation instead, and wait for each other after each.

use super::{
    conversion::{ConversionPair, refiner},
    excerpts::Excerpts,
    few_step::Unrolling,
    losses::MAGNITUDE_WEIGHT,
    objective::Objective,
    settings::{Phase, TrainSettings},
    weights::Weights,
    windows::{generator, uniform},
};
use crate::{Error, Result, dsp::threads::Threads, mel::MelConvention, model::compute_alone};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// What one batch says.
#[derive(Debug)]
pub struct Batch {
    /// What is minimised.
    pub loss: f64,
    /// Its parts by name.
    pub parts: BTreeMap<&'static str, f64>,
    /// `[N]`
    pub gradient: Tensor,
}

/// Windows for one thread.
struct Share {
    /// Of [b, n].
    excerpts: Excerpts,
    /// [b]
    t: Tensor,
    /// [r b, T', K, 2] each: for the unrolled path first, the last one for flow matching.
    noises: Vec<Tensor>,
    /// For mels of other conventions: the generator of each window.
    generators: Vec<ChaCha8Rng>,
    /// Of the whole batch.
    weight: f64,
    result: Result<Batch>,
}

/// `excerpts` of `[B, n]` of `step` -> means over the batch. All that is random comes from the seed and the step.
///
/// # Errors
/// [`Error::Backend`] where libtorch cannot compute it.
pub fn batch(
    weights: &Weights,
    objective: &Objective,
    excerpts: &Excerpts,
    step: u64,
    threads: &Threads,
) -> Result<Batch> {
    let plan = unrolling(&objective.settings, step);
    let mut shares = shares(objective, excerpts, step, &plan, threads.count() as i64);
    let on_cpu = excerpts.audio.device() == Device::Cpu;
    threads.for_each(&mut shares, |share| {
        if on_cpu {
            compute_alone();
        }
        share.result = share.compute(weights, objective, &plan);
    });
    let mut sum: Option<Batch> = None;
    for Share { weight, result, .. } in shares {
        let Batch { loss, parts, mut gradient } = result?;
        let _ = gradient.g_mul_scalar_(weight);
        let sum =
            sum.get_or_insert_with(|| Batch { loss: 0.0, parts: BTreeMap::new(), gradient: gradient.zeros_like() });
        sum.loss += weight * loss;
        sum.gradient += gradient;
        for (name, value) in parts {
            *sum.parts.entry(name).or_default() += weight * value;
        }
    }
    sum.ok_or_else(|| Error::Data(crate::Fault::new("training", "a batch without windows")))
}

/// How far the batch of `step` is unrolled.
fn unrolling(settings: &TrainSettings, step: u64) -> Unrolling {
    let few = &settings.few_step;
    // A generator of its own, beyond those of the batch's windows.
    let mut random = generator(settings.seed, step, settings.batch);
    let mut pick = |count: usize| ((uniform(&mut random) * count as f64) as usize).min(count - 1);
    let path = few.path(few.steps[pick(few.steps.len())]);
    Unrolling {
        path,
        turn: path.turns() - path.steps + pick(path.steps),
        gradient_iterations: few.gradient_iterations,
        renderings: few.renderings,
    }
}

fn shares(objective: &Objective, excerpts: &Excerpts, step: u64, plan: &Unrolling, threads: i64) -> Vec<Share> {
    let Objective { settings, acoustics, .. } = objective;
    let x1 = &excerpts.audio;
    let (batch, n) = (x1.size()[0], x1.size()[1]);
    tch::manual_seed((settings.seed ^ step.wrapping_mul(0x9E37_79B9_7F4A_7C15)) as i64);
    let t = Tensor::rand([batch], (Kind::Float, x1.device()));
    let pieces = threads.clamp(1, batch);
    let ends: Vec<i64> = (0..=pieces).map(|i| i * batch / pieces).collect();
    let share = |range: &[i64]| {
        let (start, rows) = (range[0], range[1] - range[0]);
        // Drawn share by share, in this thread: the generator is libtorch's, and there is one.
        let noises = match settings.phase {
            Phase::Flow => vec![acoustics.noise(rows, n)],
            Phase::Conversion => vec![],
            Phase::FewStep => {
                let renderings = plan.renderings as i64;
                let mut noises: Vec<_> = (0..plan.noises()).map(|_| acoustics.noise(rows * renderings, n)).collect();
                if settings.few_step.flow_weight > 0.0 {
                    noises.push(acoustics.noise(rows, n));
                }
                noises
            }
        };
        // Beyond those of the windows, and of the path.
        let generator = |item: i64| generator(settings.seed, step, settings.batch + 1 + item as usize);
        Share {
            generators: (start..start + rows).map(generator).collect(),
            excerpts: excerpts.narrow(start, rows),
            t: t.narrow(0, start, rows),
            noises,
            weight: rows as f64 / batch as f64,
            result: Err(Error::Interrupted),
        }
    };
    ends.windows(2).map(share).collect()
}

/// A pair of each of the windows `x1` `[B, n]`.
pub(super) fn conversion_pairs(
    x1: &Tensor,
    native: &MelConvention,
    generators: Vec<ChaCha8Rng>,
) -> Result<Vec<ConversionPair>> {
    let windows = x1.to_device(Device::Cpu);
    let pair = |(i, mut random): (usize, ChaCha8Rng)| {
        let audio = Vec::<f32>::try_from(windows.get(i as i64)).map_err(Error::torch("reading a window"))?;
        ConversionPair::draw(&audio, native, &mut random)
    };
    generators.into_iter().enumerate().map(pair).collect()
}

impl Share {
    fn compute(&self, weights: &Weights, objective: &Objective, plan: &Unrolling) -> Result<Batch> {
        let network = &weights.network;
        let mut parts: Vec<(&'static str, f64, Tensor)> = vec![];
        match objective.settings.phase {
            Phase::Flow => {
                let losses = objective.flow(network, &self.excerpts, &self.t, &self.noises[0]);
                parts.push(("flow", 1.0, losses.flow));
                parts.push(("magnitude", MAGNITUDE_WEIGHT, losses.magnitude));
            }
            Phase::Conversion => {
                let pairs = conversion_pairs(&self.excerpts.audio, objective.native(), self.generators.clone())?;
                parts.push(("mel", 1.0, objective.conversion(refiner(network)?, &pairs)));
            }
            Phase::FewStep => {
                let few = &objective.settings.few_step;
                let losses = objective.few_step(network, &self.excerpts, &self.noises, plan)?;
                parts.push(("spectral", 1.0, losses.spectral));
                parts.push(("magnitude", few.magnitude_weight, losses.magnitude));
                if let (true, Some(noise)) = (few.flow_weight > 0.0, self.noises.get(plan.noises())) {
                    let flow = objective.flow(network, &self.excerpts, &self.t, noise).flow;
                    parts.push(("flow", few.flow_weight, flow));
                }
            }
        }
        let total = parts.iter().map(|(_, weight, part)| part * *weight).reduce(|a, b| a + b).unwrap_or_default();
        let number = |x: &Tensor| f64::try_from(x.detach()).map_err(Error::torch("reading a loss"));
        Ok(Batch {
            loss: number(&total)?,
            parts: parts.iter().map(|(name, _, part)| Ok((*name, number(part)?))).collect::<Result<_>>()?,
            gradient: weights.gradient(&total)?,
        })
    }
}
