//! BigVGAN (Lee et al. 2023, <https://arxiv.org/abs/2206.04658>), v1 and v2: the layers of HiFi-GAN with periodic activations
//! (Snake: Liu, Hartwig and Ueda 2020) at twice the rate, so that the harmonics that they make do not fold back.

use super::{
    layers::{Conv, Span},
    one_pass::{Network, Place},
    upsampling::{Between, BlockSize, Config, Generator},
    weights::Weights,
};
use crate::{Result, card::ModelCard, dsp::kaiser::kaiser};
use serde::Deserialize;
use std::f64::consts::PI;
use tch::{Device, Tensor};

/// Taps of the low-pass filters around an activation.
const TAPS: usize = 12;

/// Values to either side that an activation looks at, through both of its filters.
const REACH: usize = 5;

/// Added to what is divided by.
const EPSILON: f64 = 1e-9;

#[derive(Deserialize)]
struct BigVganConfig {
    #[serde(flatten)]
    network: Config,
    /// "snake" or "snakebeta"
    activation: String,
    snake_logscale: bool,
    /// v1 has no such keys.
    #[serde(default = "yes")]
    use_tanh_at_final: bool,
    #[serde(default = "yes")]
    use_bias_at_final: bool,
}

fn yes() -> bool {
    true
}

/// `x + sin²(alpha x) / beta`, where Snake's beta is its alpha.
struct Snake {
    /// `[1, C, 1]`
    alpha: Tensor,
    one_by_beta: Tensor,
}

impl Snake {
    fn new(weights: &Weights, name: &str, channels: usize, config: &BigVganConfig) -> Result<Self> {
        let take = |letter: &str| -> Result<Tensor> {
            let values = weights.take(&format!("{name}.act.{letter}"), &[channels])?.view([1, -1, 1]);
            Ok(if config.snake_logscale { values.exp() } else { values })
        };
        let alpha = take("alpha")?;
        let beta = if config.activation == "snakebeta" { take("beta")? } else { alpha.shallow_clone() };
        Ok(Self { alpha, one_by_beta: (beta + EPSILON).reciprocal() })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x + (x * &self.alpha).sin().square() * &self.one_by_beta
    }
}

/// A low-pass filter at half of the band, [1, 1, 12]: a sinc under a Kaiser window.
fn low_pass(device: Device) -> Tensor {
    let half = TAPS as f64 / 2.0;
    // A transition band of 0.3 of the rate, by Kaiser's rule for the attenuation, and for the window's shape above 50 dB.
    let attenuation = 2.285 * (half - 1.0) * PI * 4.0 * 0.3 + 7.95;
    let beta = 0.1102 * (attenuation - 8.7);
    let tap = |i: usize| {
        let t = i as f64 - half + 0.5;
        kaiser(t / (half - 0.5), beta) * (0.5 * PI * t).sin() / (0.5 * PI * t)
    };
    let taps: Vec<f64> = (0..TAPS).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    let taps: Vec<f32> = taps.into_iter().map(|tap| (tap / sum) as f32).collect();
    Tensor::from_slice(&taps).view([1, 1, -1]).to_device(device)
}

/// The dilated convolutions, and an activation before each of them.
struct Block {
    layers: Vec<(Conv, Option<Conv>)>,
    activations: Vec<Snake>,
}

impl Block {
    fn new(weights: &Weights, size: &BlockSize, config: &BigVganConfig) -> Result<Self> {
        let layers = size.convs(weights, config.network.has_pairs())?;
        let count = layers.iter().map(|(_, second)| 1 + usize::from(second.is_some())).sum();
        let activation =
            |i: usize| Snake::new(weights, &format!("{}.activations.{i}", size.name), size.channels, config);
        Ok(Self { layers, activations: (0..count).map(activation).collect::<Result<_>>()? })
    }
}

pub struct BigVgan {
    generator: Generator<Block>,
    activations: Activations,
    tanh: bool,
}

struct Activations {
    filter: Tensor,
    last: Snake,
}

impl BigVgan {
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) names the key or tensor that is wrong.
    pub fn new(weights: &Weights, card: &ModelCard, device: Device) -> Result<Self> {
        let config: BigVganConfig = weights.config(&card.architecture)?;
        if !["snake", "snakebeta"].contains(&config.activation.as_str()) {
            let found = format!("`activation` is {:?}, expected snake or snakebeta", config.activation);
            return Err(weights.fault(found));
        }
        config.network.check(weights, card, 1..=16)?;
        let last = |channels| Generator::<Block>::last(weights, channels, config.use_bias_at_final);
        let generator = Generator::new(weights, card, &config.network, (".0", REACH), last, |size| {
            Block::new(weights, size, &config)
        })?;
        let channels = config.network.channels(config.network.upsample_rates.len());
        let last = Snake::new(weights, "activation_post", channels, &config)?;
        let activations = Activations { filter: low_pass(device), last };
        Ok(Self { generator, activations, tanh: config.use_tanh_at_final })
    }
}

impl Activations {
    /// `snake` at twice the rate, `[1, C, n]` -> `[1, C, n]`; the ends are taken to go on as they are.
    fn apply(&self, snake: &Snake, x: &Tensor) -> Tensor {
        let (channels, n) = (x.size()[1], x.size()[2]);
        // Every channel through the one filter: channels as a batch.
        let wide = x.reshape([channels, 1, n]).replication_pad1d([5, 5]);
        let up = wide.conv_transpose1d(&self.filter, None::<Tensor>, 2, 0, 0, 1, 1) * 2.0;
        let activated = snake.forward(&up.slice(2, 15, up.size()[2] - 15, 1).reshape([1, channels, 2 * n]));
        let padded = activated.view([channels, 1, 2 * n]).replication_pad1d([5, 6]);
        padded.conv1d(&self.filter, None::<Tensor>, 2, 0, 1, 1).view([1, channels, n])
    }
}

impl Between<Block> for Activations {
    fn before_upsampling(&self, x: &Tensor) -> Tensor {
        x.shallow_clone()
    }

    fn block(&self, block: &Block, x: &Tensor) -> Tensor {
        let mut x = x.shallow_clone();
        let mut activations = block.activations.iter();
        // There is one for each convolution.
        let mut activated =
            |x: &Tensor| activations.next().map_or_else(|| x.shallow_clone(), |snake| self.apply(snake, x));
        for (first, second) in &block.layers {
            let mut change = first.forward(&activated(&x));
            if let Some(second) = second {
                change = second.forward(&activated(&change));
            }
            x = change + x;
        }
        x
    }

    fn before_last(&self, x: &Tensor) -> Tensor {
        self.apply(&self.last, x)
    }
}

impl Network for BigVgan {
    fn span(&self, outputs: Span) -> Span {
        self.generator.span(outputs)
    }

    fn forward(&self, mel: &Tensor, outputs: Span, _: Place) -> Tensor {
        let sound = self.generator.forward(mel, outputs, &self.activations);
        if self.tanh { sound.tanh() } else { sound.clamp(-1.0, 1.0) }
    }
}
