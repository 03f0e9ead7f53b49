//! Vocos (Siuzdak 2023, <https://arxiv.org/abs/2306.00814>): ConvNeXt blocks at the rate of the mel (Liu et al. 2022), magnitudes
//! and phases of an STFT from their output, and its inverse.

use super::{
    layers::{Conv, Linear, Span},
    one_pass::{Network, Place},
    weights::Weights,
};
use crate::{Result, card::ModelCard, mel::Framing};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// Frames that a convolution spans.
const KERNEL: usize = 7;

const NORM_EPSILON: f64 = 1e-6;

/// The largest magnitude: exponentials of a network's output may be anything.
const LOUDEST: f64 = 100.0;

/// The parts of the original's `config.yaml` that say what the network is.
#[derive(Deserialize)]
struct Config {
    backbone: Part<Backbone>,
    head: Part<Head>,
}

#[derive(Deserialize)]
struct Part<T> {
    class_path: String,
    init_args: T,
}

#[derive(Deserialize)]
struct Backbone {
    input_channels: usize,
    dim: usize,
    intermediate_dim: usize,
    num_layers: usize,
    /// Of models that are told a bit rate besides the mel.
    adanorm_num_embeddings: Option<usize>,
}

#[derive(Deserialize)]
struct Head {
    n_fft: usize,
    hop_length: usize,
    padding: Padding,
}

/// Where frame 0 lies.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Padding {
    /// Centred on sample 0: (T - 1) hops.
    Center,
    /// Centred in the first hop: T hops.
    Same,
}

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    fn new(weights: &Weights, name: &str, channels: usize) -> Result<Self> {
        let take = |part: &str| weights.take(&format!("{name}.{part}"), &[channels]);
        Ok(Self { weight: take("weight")?, bias: take("bias")? })
    }

    /// Over the last axis.
    fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), NORM_EPSILON, true)
    }
}

/// `[1, C, T]` -> `[1, C, T]`
struct Block {
    depthwise: Tensor,
    depthwise_bias: Tensor,
    norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    layer_scale: Tensor,
}

impl Block {
    fn new(weights: &Weights, name: &str, config: &Backbone) -> Result<Self> {
        let (dim, wide) = (config.dim, config.intermediate_dim);
        Ok(Self {
            depthwise: weights.take(&format!("{name}.dwconv.weight"), &[dim, 1, KERNEL])?,
            depthwise_bias: weights.take(&format!("{name}.dwconv.bias"), &[dim])?,
            norm: LayerNorm::new(weights, &format!("{name}.norm"), dim)?,
            expand: Linear::new(weights, &format!("{name}.pwconv1"), [dim, wide])?,
            contract: Linear::new(weights, &format!("{name}.pwconv2"), [wide, dim])?,
            layer_scale: weights.take(&format!("{name}.gamma"), &[dim])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (padding, channels) = (KERNEL as i64 / 2, self.depthwise.size()[0]);
        let h = x.conv1d(&self.depthwise, Some(&self.depthwise_bias), 1, padding, 1, channels);
        let h = self.norm.forward(&h.transpose(1, 2));
        let change = self.contract.forward(&self.expand.forward(&h).gelu("none")) * &self.layer_scale;
        x + change.transpose(1, 2)
    }
}

pub struct Vocos {
    embed: Conv,
    norm: LayerNorm,
    blocks: Vec<Block>,
    last_norm: LayerNorm,
    out: Linear,
    inverse: InverseStft,
}

impl Vocos {
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) names the key or tensor that is wrong.
    pub fn new(weights: &Weights, card: &ModelCard, device: Device) -> Result<Self> {
        let Config { backbone, head } = weights.config(&card.architecture)?;
        for (part, class_path, known) in [
            ("backbone", &backbone.class_path, "vocos.models.VocosBackbone"),
            ("head", &head.class_path, "vocos.heads.ISTFTHead"),
        ] {
            if class_path != known {
                return Err(weights.fault(format!("`{part}.class_path` is {class_path:?}, expected {known}")));
            }
        }
        let (backbone, head) = (backbone.init_args, head.init_args);
        if backbone.adanorm_num_embeddings.is_some() {
            return Err(
                weights.fault("`adanorm_num_embeddings` is set, expected a model that is told nothing but a mel")
            );
        }
        weights.equal("input_channels", backbone.input_channels, "bands", card.mel.n_mels)?;
        weights.equal("hop_length", head.hop_length, "hop", card.mel.hop)?;
        weights.within("num_layers", backbone.num_layers, 1..=128)?;
        weights.within("head.n_fft", head.n_fft, head.hop_length..=1 << 15)?;
        if head.n_fft % 2 != 0 || head.padding == Padding::Same && (head.n_fft - head.hop_length) % 2 != 0 {
            return Err(weights.fault("`head.n_fft` is odd, or not as even as `hop_length`"));
        }
        let centred = card.mel.framing == Framing::Centred;
        if centred != (head.padding == Padding::Center) {
            return Err(weights.fault("`head.padding` is not the framing of the card's mel"));
        }
        let dim = backbone.dim;
        let block = |i| Block::new(weights, &format!("backbone.convnext.{i}"), &backbone);
        Ok(Self {
            embed: Conv::new(weights, "backbone.embed", [card.mel.n_mels, dim], KERNEL, 1)?,
            norm: LayerNorm::new(weights, "backbone.norm", dim)?,
            blocks: (0..backbone.num_layers).map(block).collect::<Result<_>>()?,
            last_norm: LayerNorm::new(weights, "backbone.final_layer_norm", dim)?,
            out: Linear::new(weights, "head.out", [dim, head.n_fft + 2])?,
            inverse: InverseStft::new(&head, device),
        })
    }
}

impl Network for Vocos {
    fn span(&self, outputs: Span) -> Span {
        let layers = 1 + self.blocks.len();
        self.inverse.span(outputs).widened(layers * Conv::reach(KERNEL, 1))
    }

    fn forward(&self, mel: &Tensor, outputs: Span, _: Place) -> Tensor {
        let x = self.norm.forward(&self.embed.forward(mel).transpose(1, 2)).transpose(1, 2);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        let spectrum = self.out.forward(&self.last_norm.forward(&x.transpose(1, 2))).transpose(1, 2);
        let halves = spectrum.chunk(2, 1);
        let magnitude = halves[0].exp().clamp_max(LOUDEST);
        let complex = Tensor::complex(&(&magnitude * halves[1].cos()), &(&magnitude * halves[1].sin()));
        self.inverse.forward(&complex, outputs)
    }
}

/// Frames under a Hann window, added where they overlap and divided by what the windows add up to.
struct InverseStft {
    /// `[n_fft]`
    window: Tensor,
    n_fft: usize,
    hop: usize,
    padding: Padding,
}

impl InverseStft {
    fn new(head: &Head, device: Device) -> Self {
        let window = Tensor::hann_window(head.n_fft as i64, (Kind::Float, device));
        Self { window, n_fft: head.n_fft, hop: head.hop_length, padding: head.padding }
    }

    /// Samples of the first frame that lie before sample 0.
    fn before(&self) -> usize {
        match self.padding {
            Padding::Center => self.n_fft / 2,
            Padding::Same => (self.n_fft - self.hop) / 2,
        }
    }

    fn span(&self, outputs: Span) -> Span {
        outputs.before_upsampling(self.hop, self.n_fft, self.before())
    }

    /// `[1, F, T]` -> [n]: the samples `outputs`, as far as there are some.
    fn forward(&self, spectrum: &Tensor, outputs: Span) -> Tensor {
        let (n_fft, hop, before, frames) =
            (self.n_fft as i64, self.hop as i64, self.before() as i64, spectrum.size()[2]);
        let added = |frames_of: &Tensor| {
            let length = (frames - 1) * hop + n_fft;
            frames_of.col2im([1, length], [1, n_fft], [1, 1], [0, 0], [1, hop]).view(-1)
        };
        let window = self.window.view([1, n_fft, 1]);
        let sound = added(&(spectrum.fft_irfft(n_fft, 1, "backward") * &window));
        let weight = added(&window.square().expand([1, n_fft, frames], false).contiguous());
        let samples = if self.padding == Padding::Center { (frames - 1) * hop } else { frames * hop };
        let (first, stop) = (outputs.first.clamp(0, samples), (outputs.last + 1).clamp(0, samples));
        let part = |values: Tensor| values.slice(0, before + first, before + stop, 1);
        part(sound) / part(weight)
    }
}
