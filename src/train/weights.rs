//! A network in training: its weights, their moving average and the optimiser's moments, each one long vector.
//!
//! All variables of the network are views into one vector, so that an optimiser step, a checkpoint or a roll-back is a
//! few operations on four vectors and none on two hundred small ones.

use crate::{
    Error, Fault, Result,
    model::{EncoderSize, ModelCard, ModelFile, REFINER, Storage, VocoderNetwork, serialize},
};
use std::path::Path;
use tch::{Device, Kind, Tensor, nn};

/// Weights that an optimiser step takes at a time: few enough that all vectors' pieces stay in the processor's cache.
const PIECE: i64 = 1 << 16;

/// AdamW (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    pub betas: (f64, f64),
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// What is trained at a time.
#[derive(PartialEq)]
enum Part {
    Diffusion,
    Refiner,
}

pub struct Weights {
    pub network: VocoderNetwork,
    store: nn::VarStore,
    /// Those that are trained, sorted by name; views into `current` (or, while validating, into `average`).
    variables: Vec<(String, Tensor)>,
    pub vectors: Vectors,
}

/// `[N]` each, in the order of the variables' names.
#[derive(Debug)]
pub struct Vectors {
    pub current: Tensor,
    pub average: Tensor,
    pub first_moment: Tensor,
    pub second_moment: Tensor,
}

impl Vectors {
    pub const NAMES: [&'static str; 4] = ["current", "average", "first_moment", "second_moment"];

    pub fn all(&self) -> [&Tensor; 4] {
        [&self.current, &self.average, &self.first_moment, &self.second_moment]
    }
}

// SAFETY: while threads share the weights they read them only; they are written between two batches, by one thread.
unsafe impl Sync for Weights {}

impl Weights {
    /// Weights drawn anew.
    pub fn new(card: &ModelCard, seed: u64, device: Device) -> Self {
        let store = nn::VarStore::new(device);
        tch::manual_seed(seed as i64);
        let network = VocoderNetwork::new(&store, card);
        Self::of(store, network, Part::Diffusion)
    }

    /// # Errors
    /// [`Error::Model`] where the file's tensors are not what its card describes.
    pub fn load(model: &ModelFile, device: Device) -> Result<Self> {
        let (store, network) = model.network(device)?;
        Ok(Self::of(store, network, Part::Diffusion))
    }

    /// Weights drawn anew for `card`, with those of `model` in their place as far as their shapes go. Of the spectra's bins
    /// the lowest are taken over, bin by bin: where both grids have the same overlap, they rotate by the same phases.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn begun_with(card: &ModelCard, model: &ModelFile, seed: u64, device: Device) -> Result<Self> {
        let mut weights = Self::new(card, seed, device);
        let (source, _) = model.network(device)?;
        let source = source.variables();
        let _guard = tch::no_grad_guard();
        for (name, variable) in &weights.variables {
            let Some(known) = source.get(name).filter(|known| known.dim() == variable.dim()) else { continue };
            // The bands of two conventions have nothing to do with each other.
            let other_bands = name == "encoder.mel_in.weight" && card.mel != model.card.mel;
            // Real parts, then imaginary ones.
            let halves = match name.as_str() {
                "denoiser.stft_in.weight" => Some(1),
                "denoiser.stft_out.weight" | "denoiser.stft_out.bias" => Some(0),
                _ => None,
            };
            match halves {
                _ if other_bands => {}
                Some(dim) => {
                    (0..2).for_each(|half| copy_common(&variable.chunk(2, dim)[half], &known.chunk(2, dim)[half]))
                }
                None => copy_common(variable, known),
            }
        }
        let Vectors { current, average, .. } = &mut weights.vectors;
        average.copy_(current);
        Ok(weights)
    }

    /// Those of the refiner alone; all others stay as the file has them. A model without one is given a new one of `size`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn refiner(model: &ModelFile, size: EncoderSize, seed: u64, device: Device) -> Result<Self> {
        let (store, mut network) = model.network(device)?;
        if network.refiner.is_none() {
            tch::manual_seed(seed as i64);
            network.add_refiner(&store, size, &model.card.mel);
        }
        Ok(Self::of(store, network, Part::Refiner))
    }

    fn of(store: nn::VarStore, network: VocoderNetwork, trained: Part) -> Self {
        let is_trained = |name: &str| name.starts_with(REFINER) == (trained == Part::Refiner);
        let mut variables: Vec<_> = store.variables().into_iter().filter(|(name, _)| is_trained(name)).collect();
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        let current = tch::no_grad(|| flattened(variables.iter().map(|(_, variable)| variable)));
        let vectors = Vectors {
            average: current.copy(),
            first_moment: current.zeros_like(),
            second_moment: current.zeros_like(),
            current,
        };
        let mut weights = Self { network, store, variables, vectors };
        weights.show(false);
        weights
    }

    /// Number of weights that are trained.
    pub fn len(&self) -> usize {
        self.vectors.current.numel()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the network compute with the moving average, or with the current weights.
    fn show(&mut self, average: bool) {
        let vector = if average { &self.vectors.average } else { &self.vectors.current };
        let mut at = 0;
        for (_, variable) in &mut self.variables {
            let (size, count) = (variable.size(), variable.numel() as i64);
            variable.set_data(&vector.narrow(0, at, count).view(size.as_slice()));
            at += count;
        }
    }

    /// What `work` makes of the network with the moving average in it.
    pub fn with_average<R>(&mut self, work: impl FnOnce(&Self) -> R) -> R {
        self.show(true);
        let result = work(self);
        self.show(false);
        result
    }

    /// d `loss` / d weights, `[N]`.
    ///
    /// # Errors
    /// [`Error::Backend`] where libtorch cannot compute it.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor> {
        let variables: Vec<_> = self.variables.iter().map(|(_, variable)| variable).collect();
        let gradients = Tensor::f_run_backward(&[loss], &variables, false, false)
            .map_err(Error::torch("computing the gradient"))?;
        Ok(flattened(gradients.iter()))
    }

    /// What `vector` `[N]` holds for the variable of this name, in its shape.
    pub fn part(&self, vector: &Tensor, name: &str) -> Option<Tensor> {
        let mut at = 0;
        for (own, variable) in &self.variables {
            let count = variable.numel() as i64;
            if own == name {
                return Some(vector.narrow(0, at, count).view(variable.size().as_slice()));
            }
            at += count;
        }
        None
    }

    /// One step against `gradient` `[N]`, and the moving average's step after it. `step` counts from 1.
    pub fn advance(&mut self, gradient: &Tensor, rate: f64, adamw: &AdamW, step: u64, average_decay: f64) {
        let _guard = tch::no_grad_guard();
        let (beta1, beta2) = adamw.betas;
        let exponent = step.min(1 << 20) as i32;
        let (bias1, bias2) = (1.0 - beta1.powi(exponent), 1.0 - beta2.powi(exponent));
        let (total, mut at) = (self.len() as i64, 0);
        let piece = if gradient.device() == Device::Cpu { PIECE } else { total };
        while at < total {
            let count = piece.min(total - at);
            let part = |vector: &Tensor| vector.narrow(0, at, count);
            let (g, mut w, mut average) = (part(gradient), part(&self.vectors.current), part(&self.vectors.average));
            let (mut m, mut v) = (part(&self.vectors.first_moment), part(&self.vectors.second_moment));
            let _ = m.lerp_(&g, 1.0 - beta1);
            let _ = v.g_mul_scalar_(beta2);
            v += g.square() * (1.0 - beta2);
            let denominator = (&v / bias2).sqrt() + adamw.epsilon;
            let _ = w.g_mul_scalar_(1.0 - rate * adamw.weight_decay);
            w -= (&m / denominator) * (rate / bias1);
            let _ = average.lerp_(&w, 1.0 - average_decay);
            at += count;
        }
    }

    /// Takes over all vectors of the checkpoint `path`.
    ///
    /// # Errors
    /// [`Error::Model`] where one of them has another length; then nothing is taken over.
    pub fn restore(&mut self, vectors: &[Tensor; 4], path: &Path) -> Result<()> {
        let _guard = tch::no_grad_guard();
        if let Some((name, vector)) = Vectors::NAMES.iter().zip(vectors).find(|(_, v)| v.numel() != self.len()) {
            return Err(Error::Model(
                Fault::new(path.display(), format!("tensor `{name}` holds {} numbers", vector.numel()))
                    .expected(format!("{}, one for each weight", self.len()))
                    .remedy("give another `out`, or remove the file to start anew"),
            ));
        }
        let Vectors { current, average, first_moment, second_moment } = &mut self.vectors;
        for (own, saved) in [current, average, first_moment, second_moment].into_iter().zip(vectors) {
            own.copy_(saved);
        }
        Ok(())
    }

    /// The bytes of a model file with the moving average.
    ///
    /// # Errors
    /// [`Error::Model`] where a weight is not finite.
    pub fn model_file(&mut self, card: &ModelCard, storage: Storage) -> Result<Vec<u8>> {
        self.with_average(|weights| serialize(&weights.store, card, storage))
    }
}

/// Overwrites the part of `variable` that `known` has too, from the first row and column on.
fn copy_common(variable: &Tensor, known: &Tensor) {
    let (mut to, mut from) = (variable.shallow_clone(), known.shallow_clone());
    for (dim, (own, other)) in variable.size().into_iter().zip(known.size()).enumerate() {
        let common = own.min(other);
        (to, from) = (to.narrow(dim as i64, 0, common), from.narrow(dim as i64, 0, common));
    }
    to.copy_(&from);
}

fn flattened<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Tensor {
    let flat: Vec<_> = tensors.map(|t| t.detach().reshape(-1)).collect();
    Tensor::cat(&flat, 0).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_of_another_length_is_refused_whichever_it_is() {
        let mut weights = Weights::new(&ModelCard::new("x"), 0, Device::Cpu);
        let before = weights.vectors.current.copy();
        for (at, name) in Vectors::NAMES.iter().enumerate() {
            let whole = || before.ones_like();
            let mut vectors = [whole(), whole(), whole(), whole()];
            vectors[at] = whole().narrow(0, 0, before.numel() as i64 - 100);
            let told = weights.restore(&vectors, Path::new("state")).unwrap_err().to_string();
            assert!(told.contains(&format!("state: tensor `{name}` holds")), "{told}");
        }
        assert!(weights.vectors.current.equal(&before), "nothing is taken over");
    }
}
