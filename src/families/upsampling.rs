//! What HiFi-GAN and BigVGAN have in common: transposed convolutions from frames to samples, each followed by residual blocks of
//! several receptive fields, whose mean goes on.

use super::{
    layers::{Conv, Excerpt, Span, Upsampling},
    weights::Weights,
};
use crate::{Result, card::ModelCard};
use serde::Deserialize;
use std::ops::RangeInclusive;
use tch::Tensor;

/// Of the first and the last convolution.
const KERNEL: usize = 7;

/// The keys of the originals' `config.json` that say what the network is.
#[derive(Deserialize)]
pub struct Config {
    /// "1" or "2"
    pub resblock: String,
    pub upsample_rates: Vec<usize>,
    pub upsample_kernel_sizes: Vec<usize>,
    pub upsample_initial_channel: usize,
    pub resblock_kernel_sizes: Vec<usize>,
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
}

impl Config {
    /// Whether a block's dilated convolutions are each followed by one without dilation.
    pub fn has_pairs(&self) -> bool {
        self.resblock == "1"
    }

    /// `dilations` is how many a block may have.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) where a number makes no network, or none for the card's mel.
    pub fn check(&self, weights: &Weights, card: &ModelCard, dilations: RangeInclusive<usize>) -> Result<()> {
        if !["1", "2"].contains(&self.resblock.as_str()) {
            return Err(weights.fault(format!("`resblock` is {:?}, expected \"1\" or \"2\"", self.resblock)));
        }
        let stages = self.upsample_rates.len();
        weights.within("upsample_rates (their number)", stages, 1..=16)?;
        weights.within("upsample_kernel_sizes (their number)", self.upsample_kernel_sizes.len(), stages..=stages)?;
        for (&rate, &kernel) in self.upsample_rates.iter().zip(&self.upsample_kernel_sizes) {
            weights.within("upsample_rates", rate, 1..=1024)?;
            weights.within("upsample_kernel_sizes", kernel, rate..=8 * rate)?;
        }
        // Each stage has half of the channels of the one before.
        weights.within("upsample_initial_channel", self.upsample_initial_channel, 1 << stages..=1 << 16)?;
        let blocks = self.resblock_kernel_sizes.len();
        weights.within("resblock_kernel_sizes (their number)", blocks, 1..=16)?;
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
            weights.within("resblock_dilation_sizes (numbers for a block)", sizes.len(), dilations.clone())?;
            sizes.iter().try_for_each(|&size| weights.within("resblock_dilation_sizes", size, 1..=1024))?;
        }
        let hop = self.upsample_rates.iter().fold(1usize, |hop, &rate| hop.saturating_mul(rate));
        weights.equal("upsample_rates", hop, "hop", card.mel.hop)
    }

    /// Channels after `stages` of upsampling.
    pub fn channels(&self, stages: usize) -> usize {
        self.upsample_initial_channel >> stages
    }

    /// Values to either side that the blocks of a stage depend on, where an activation before a convolution looks at
    /// `activation` of them.
    pub fn block_reach(&self, activation: usize) -> usize {
        let of_block = |(&kernel, dilations): (&usize, &Vec<usize>)| {
            let second = if self.has_pairs() { activation + Conv::reach(kernel, 1) } else { 0 };
            dilations.iter().map(|&dilation| activation + Conv::reach(kernel, dilation) + second).sum()
        };
        self.resblock_kernel_sizes.iter().zip(&self.resblock_dilation_sizes).map(of_block).max().unwrap_or(0)
    }
}

/// A block's sizes and where its weights are.
pub struct BlockSize<'a> {
    pub name: String,
    pub channels: usize,
    pub kernel: usize,
    pub dilations: &'a [usize],
}

impl BlockSize<'_> {
    /// Its convolutions, one dilation after another: those of `convs`, or pairs of `convs1` and `convs2`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn convs(&self, weights: &Weights, pairs: bool) -> Result<Vec<(Conv, Option<Conv>)>> {
        let conv = |list: &str, i: usize, dilation| {
            let name = format!("{}.{list}.{i}", self.name);
            Conv::new(weights, &name, [self.channels, self.channels], self.kernel, dilation)
        };
        let layer = |(i, &dilation): (usize, &usize)| match pairs {
            true => Ok((conv("convs1", i, dilation)?, Some(conv("convs2", i, 1)?))),
            false => Ok((conv("convs", i, dilation)?, None)),
        };
        self.dilations.iter().enumerate().map(layer).collect()
    }
}

struct Stage<B> {
    upsampling: Upsampling,
    blocks: Vec<B>,
}

/// The layers, with blocks `B`.
pub struct Generator<B> {
    first: Conv,
    stages: Vec<Stage<B>>,
    last: Conv,
    block_reach: usize,
    last_reach: usize,
}

/// What families have between the convolutions.
pub trait Between<B> {
    fn before_upsampling(&self, x: &Tensor) -> Tensor;
    fn block(&self, block: &B, x: &Tensor) -> Tensor;
    fn before_last(&self, x: &Tensor) -> Tensor;
}

impl<B> Generator<B> {
    /// `upsampling` is in which part of `ups.i` the weights are, `activation` how far an activation looks.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn new(
        weights: &Weights,
        card: &ModelCard,
        config: &Config,
        (upsampling, activation): (&str, usize),
        last: impl Fn(usize) -> Result<Conv>,
        block: impl Fn(&BlockSize) -> Result<B>,
    ) -> Result<Self> {
        let first = Conv::new(weights, "conv_pre", [card.mel.n_mels, config.channels(0)], KERNEL, 1)?;
        let mut stages = vec![];
        for (i, (&rate, &kernel)) in config.upsample_rates.iter().zip(&config.upsample_kernel_sizes).enumerate() {
            let (input, channels) = (config.channels(i), config.channels(i + 1));
            let upsampling =
                Upsampling::new(weights, &format!("ups.{i}{upsampling}"), [input, channels], rate, kernel)?;
            let sizes = config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes);
            let sized = |(j, (&kernel, dilations)): (usize, (&usize, &Vec<usize>))| {
                let name = format!("resblocks.{}", i * config.resblock_kernel_sizes.len() + j);
                block(&BlockSize { name, channels, kernel, dilations })
            };
            stages.push(Stage { upsampling, blocks: sizes.enumerate().map(sized).collect::<Result<_>>()? });
        }
        let last = last(config.channels(stages.len()))?;
        let last_reach = activation + Conv::reach(KERNEL, 1);
        Ok(Self { first, stages, last, block_reach: config.block_reach(activation), last_reach })
    }

    /// The last convolution, of weight [1, `channels`, 7], with or without a bias.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn last(weights: &Weights, channels: usize, bias: bool) -> Result<Conv> {
        let new = if bias { Conv::new } else { Conv::without_bias };
        new(weights, "conv_post", [channels, 1], KERNEL, 1)
    }

    /// What each stage has to be given for `outputs`, and the last convolution at the end.
    fn spans(&self, outputs: Span) -> Vec<Span> {
        let mut spans = vec![outputs.widened(self.last_reach)];
        for stage in self.stages.iter().rev() {
            spans.push(stage.upsampling.span(spans[spans.len() - 1].widened(self.block_reach)));
        }
        spans.reverse();
        spans
    }

    /// The frames that `outputs` depend on.
    pub fn span(&self, outputs: Span) -> Span {
        self.spans(outputs)[0].widened(Conv::reach(KERNEL, 1))
    }

    /// `[1, M, T]` -> `[1, 1, n]`, the samples `outputs` of the last convolution.
    pub fn forward(&self, mel: &Tensor, outputs: Span, between: &impl Between<B>) -> Tensor {
        let mut x = Excerpt { values: self.first.forward(mel), first: 0 };
        // The stages differ in how far they look: most of the cost lies where few values more than the outputs' are needed.
        let spans = self.spans(outputs);
        for (Stage { upsampling, blocks }, &span) in self.stages.iter().zip(&spans) {
            x = upsampling.forward(&x.cut(span).through(|x| between.before_upsampling(x)));
            x = x.through(|x| {
                let sum: Tensor = blocks.iter().map(|block| between.block(block, x)).sum();
                sum / blocks.len() as f64
            });
        }
        let last = |x: &Tensor| self.last.forward(&between.before_last(x));
        x.cut(spans[self.stages.len()]).through(last).cut(outputs).values
    }
}
