//! HiFi-GAN (Kong, Kim and Bae 2020, <https://arxiv.org/abs/2010.05646>): its generator V1, V2 or V3.

use super::{
    layers::{Conv, LeakyRelu, Span},
    one_pass::{Network, Place},
    upsampling::{Between, Config, Generator},
    weights::Weights,
};
use crate::{Result, card::ModelCard};
use tch::{Device, Tensor};

/// Of all activations but the last.
const SLOPE: f32 = 0.1;
const LAST_SLOPE: f32 = 0.01;

/// `x + conv(activation(x))`, with one or two convolutions, one dilation after another.
type Block = Vec<(Conv, Option<Conv>)>;

pub struct HifiGan {
    generator: Generator<Block>,
    activations: Activations,
}

struct Activations {
    all: LeakyRelu,
    last: LeakyRelu,
}

impl HifiGan {
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) names the key or tensor that is wrong.
    pub fn new(weights: &Weights, card: &ModelCard, device: Device) -> Result<Self> {
        let config: Config = weights.config(&card.architecture)?;
        // As many as the original has layers, whatever a file says.
        let dilations = if config.has_pairs() { 3 } else { 2 };
        config.check(weights, card, dilations..=dilations)?;
        let last = |channels| Generator::<Block>::last(weights, channels, true);
        let generator =
            Generator::new(weights, card, &config, ("", 0), last, |size| size.convs(weights, config.has_pairs()))?;
        let activations = Activations { all: LeakyRelu::new(SLOPE, device), last: LeakyRelu::new(LAST_SLOPE, device) };
        Ok(Self { generator, activations })
    }
}

impl Between<Block> for Activations {
    fn before_upsampling(&self, x: &Tensor) -> Tensor {
        self.all.forward(x)
    }

    fn block(&self, block: &Block, x: &Tensor) -> Tensor {
        let mut x = x.shallow_clone();
        for (first, second) in block {
            let mut change = first.forward(&self.all.forward(&x));
            if let Some(second) = second {
                change = second.forward(&self.all.forward(&change));
            }
            x = change + x;
        }
        x
    }

    fn before_last(&self, x: &Tensor) -> Tensor {
        self.last.forward(x)
    }
}

impl Network for HifiGan {
    fn span(&self, outputs: Span) -> Span {
        self.generator.span(outputs)
    }

    fn forward(&self, mel: &Tensor, outputs: Span, _: Place) -> Tensor {
        self.generator.forward(mel, outputs, &self.activations).tanh()
    }
}
