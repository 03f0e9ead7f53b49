//! HiFi-GAN (Kong, Kim and Bae 2020, <https://arxiv.org/abs/2010.05646>): transposed convolutions from frames to samples, each
//! followed by residual blocks of several receptive fields, whose mean goes on.

use super::{
    layers::{Conv, Excerpt, LeakyRelu, Span, Upsampling},
    one_pass::Network,
    weights::Weights,
};
use crate::{Result, card::ModelCard};
use serde::Deserialize;
use tch::{Device, Tensor};

/// Of all activations but the last.
const SLOPE: f32 = 0.1;
const LAST_SLOPE: f32 = 0.01;

/// Of the first and the last convolution.
pub const KERNEL: usize = 7;

/// The keys of the original's `config.json` that say what the network is.
#[derive(Deserialize)]
pub struct Config {
    /// "1" (V1, V2) or "2" (V3)
    pub resblock: String,
    pub upsample_rates: Vec<usize>,
    pub upsample_kernel_sizes: Vec<usize>,
    pub upsample_initial_channel: usize,
    pub resblock_kernel_sizes: Vec<usize>,
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
}

impl Config {
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) where a number makes no network, or none for the card's mel.
    pub fn validated(self, weights: &Weights, card: &ModelCard) -> Result<Self> {
        if !["1", "2"].contains(&self.resblock.as_str()) {
            return Err(weights.fault(format!("`resblock` is {:?}, expected \"1\" or \"2\"", self.resblock)));
        }
        let dilations = if self.resblock == "1" { 3 } else { 2 };
        weights.within("upsample_rates (their number)", self.upsample_rates.len(), 1..=16)?;
        let kernels = self.upsample_rates.len();
        weights.within("upsample_kernel_sizes (their number)", self.upsample_kernel_sizes.len(), kernels..=kernels)?;
        for (&rate, &kernel) in self.upsample_rates.iter().zip(&self.upsample_kernel_sizes) {
            weights.within("upsample_rates", rate, 1..=1024)?;
            weights.within("upsample_kernel_sizes", kernel, rate..=8 * rate)?;
        }
        // Each stage has half of the channels of the one before.
        weights.within("upsample_initial_channel", self.upsample_initial_channel, 1 << kernels..=1 << 16)?;
        weights.within("resblock_kernel_sizes (their number)", self.resblock_kernel_sizes.len(), 1..=16)?;
        let blocks = self.resblock_kernel_sizes.len();
        weights.within(
            "resblock_dilation_sizes (their number)",
            self.resblock_dilation_sizes.len(),
            blocks..=blocks,
        )?;
        for &kernel in &self.resblock_kernel_sizes {
            weights.within("resblock_kernel_sizes", kernel, 1..=255)?;
            if kernel % 2 == 0 {
                return Err(weights.fault(format!("`resblock_kernel_sizes` has {kernel}, expected odd numbers")));
            }
        }
        for sizes in &self.resblock_dilation_sizes {
            weights.within("resblock_dilation_sizes (numbers for a block)", sizes.len(), dilations..=dilations)?;
            sizes.iter().try_for_each(|&size| weights.within("resblock_dilation_sizes", size, 1..=1024))?;
        }
        let hop = self.upsample_rates.iter().fold(1usize, |hop, &rate| hop.saturating_mul(rate));
        weights.equal("upsample_rates", hop, "hop", card.mel.hop)?;
        Ok(self)
    }

    /// Channels after `stages` of upsampling.
    pub fn channels(&self, stages: usize) -> usize {
        self.upsample_initial_channel >> stages
    }

    /// Values to either side that the blocks of a stage depend on.
    pub fn block_reach(&self) -> usize {
        let of_block = |(&kernel, dilations): (&usize, &Vec<usize>)| {
            let second = if self.resblock == "1" { Conv::reach(kernel, 1) } else { 0 };
            dilations.iter().map(|&dilation| Conv::reach(kernel, dilation) + second).sum()
        };
        self.resblock_kernel_sizes.iter().zip(&self.resblock_dilation_sizes).map(of_block).max().unwrap_or(0)
    }
}

/// `x + conv(activation(x))`, with one or two convolutions, one dilation after another.
struct ResidualBlock {
    layers: Vec<(Conv, Option<Conv>)>,
}

impl ResidualBlock {
    fn new(
        weights: &Weights,
        name: &str,
        two: bool,
        channels: usize,
        kernel: usize,
        dilations: &[usize],
    ) -> Result<Self> {
        let conv = |list: &str, i: usize, dilation| {
            Conv::new(weights, &format!("{name}.{list}.{i}"), [channels, channels], kernel, dilation)
        };
        let layer = |(i, &dilation): (usize, &usize)| match two {
            true => Ok((conv("convs1", i, dilation)?, Some(conv("convs2", i, 1)?))),
            false => Ok((conv("convs", i, dilation)?, None)),
        };
        Ok(Self { layers: dilations.iter().enumerate().map(layer).collect::<Result<_>>()? })
    }

    fn forward(&self, x: &Tensor, activation: &LeakyRelu) -> Tensor {
        let mut x = x.shallow_clone();
        for (first, second) in &self.layers {
            let mut change = first.forward(&activation.forward(&x));
            if let Some(second) = second {
                change = second.forward(&activation.forward(&change));
            }
            x = change + x;
        }
        x
    }
}

struct Stage {
    upsampling: Upsampling,
    blocks: Vec<ResidualBlock>,
}

pub struct HifiGan {
    first: Conv,
    stages: Vec<Stage>,
    last: Conv,
    activation: LeakyRelu,
    last_activation: LeakyRelu,
    block_reach: usize,
}

impl HifiGan {
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) names the key or tensor that is wrong.
    pub fn new(weights: &Weights, card: &ModelCard, device: Device) -> Result<Self> {
        let config: Config = weights.config(&card.architecture)?;
        let config = config.validated(weights, card)?;
        let first = Conv::new(weights, "conv_pre", [card.mel.n_mels, config.channels(0)], KERNEL, 1)?;
        let mut stages = vec![];
        for (i, (&rate, &kernel)) in config.upsample_rates.iter().zip(&config.upsample_kernel_sizes).enumerate() {
            let (input, channels) = (config.channels(i), config.channels(i + 1));
            let upsampling = Upsampling::new(weights, &format!("ups.{i}"), [input, channels], rate, kernel)?;
            let sizes = config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes);
            let block = |(j, (&kernel, dilations)): (usize, (&usize, &Vec<usize>))| {
                let name = format!("resblocks.{}", i * config.resblock_kernel_sizes.len() + j);
                ResidualBlock::new(weights, &name, config.resblock == "1", channels, kernel, dilations)
            };
            stages.push(Stage { upsampling, blocks: sizes.enumerate().map(block).collect::<Result<_>>()? });
        }
        let last = Conv::new(weights, "conv_post", [config.channels(stages.len()), 1], KERNEL, 1)?;
        Ok(Self {
            first,
            stages,
            last,
            activation: LeakyRelu::new(SLOPE, device),
            last_activation: LeakyRelu::new(LAST_SLOPE, device),
            block_reach: config.block_reach(),
        })
    }
}

impl HifiGan {
    /// What each stage has to be given for `outputs`, and the last convolution at the end.
    fn spans(&self, outputs: Span) -> Vec<Span> {
        let mut spans = vec![outputs.widened(Conv::reach(KERNEL, 1))];
        for stage in self.stages.iter().rev() {
            spans.push(stage.upsampling.span(spans[spans.len() - 1].widened(self.block_reach)));
        }
        spans.reverse();
        spans
    }
}

impl Network for HifiGan {
    fn span(&self, outputs: Span) -> Span {
        self.spans(outputs)[0].widened(Conv::reach(KERNEL, 1))
    }

    fn forward(&self, mel: &Tensor, outputs: Span) -> Tensor {
        let mut x = Excerpt { values: self.first.forward(mel), first: 0 };
        // The stages differ in how far they look: most of the cost lies where few values more than the outputs' are needed.
        let spans = self.spans(outputs);
        for (Stage { upsampling, blocks }, &span) in self.stages.iter().zip(&spans) {
            x = upsampling.forward(&x.cut(span).through(|x| self.activation.forward(x)));
            x = x.through(|x| {
                let sum: Tensor = blocks.iter().map(|block| block.forward(x, &self.activation)).sum();
                sum / blocks.len() as f64
            });
        }
        let last = |x: &Tensor| self.last.forward(&self.last_activation.forward(x)).tanh();
        x.cut(spans[self.stages.len()]).through(last).cut(outputs).values
    }
}
