//! The network on libtorch: plain tensor code, the same for training and for rendering, on every device.
//!
//! Blocks are ConvNeXt's (Liu et al. 2022) in the arrangement of Vocos (Siuzdak 2023), with the time embedding as scale and
//! shift. Tensors are `[B, T, C]`; weight paths spell the checkpoint's own tensor names.

use super::{
    card::{DenoiserSize, EncoderSize, ModelCard},
    refiner::Refiner,
};
use crate::mel::{MelConvention, filterbank::filterbank};
use std::{cell::RefCell, collections::BTreeMap};
use tch::{Device, Kind, Tensor, nn};

const LAYER_NORM_EPSILON: f64 = 1e-5;

/// What the refiner's weights' names begin with.
pub const REFINER: &str = "refiner";

/// Frames that a block's convolution spans.
pub(super) const KERNEL: usize = 7;

/// Where the parts of a network find their weights.
pub(super) trait WeightPath {
    /// The part `name` below this one.
    fn part(&self, name: impl ToString) -> Self;
    fn var(&self, name: &str, shape: &[i64], init: nn::Init) -> Tensor;
}

/// A store, under the checkpoint's names.
impl WeightPath for nn::Path<'_> {
    fn part(&self, name: impl ToString) -> Self {
        self / name
    }

    fn var(&self, name: &str, shape: &[i64], init: nn::Init) -> Tensor {
        nn::Path::var(self, name, shape, init)
    }
}

/// A mere list: the weights that a card asks for, before memory is taken for any.
struct Listed<'a> {
    prefix: String,
    shapes: &'a RefCell<BTreeMap<String, Vec<usize>>>,
}

impl WeightPath for Listed<'_> {
    fn part(&self, name: impl ToString) -> Self {
        Self { prefix: format!("{}{}.", self.prefix, name.to_string()), shapes: self.shapes }
    }

    fn var(&self, name: &str, shape: &[i64], _init: nn::Init) -> Tensor {
        let shape = shape.iter().map(|&n| n as usize).collect();
        self.shapes.borrow_mut().insert(format!("{}{name}", self.prefix), shape);
        Tensor::new()
    }
}

/// Names and shapes of all weights of the network that `card` describes.
pub(super) fn weight_shapes(card: &ModelCard) -> BTreeMap<String, Vec<usize>> {
    let shapes = RefCell::default();
    VocoderNetwork::build(&Listed { prefix: String::new(), shapes: &shapes }, card, Tensor::new());
    shapes.into_inner()
}

/// `x W^T + b`.
#[derive(Debug)]
pub(super) struct Linear {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Linear {
    pub(super) fn new(path: impl WeightPath, input: usize, output: usize) -> Self {
        Self { weight: weight(&path, &[output as i64, input as i64]), bias: zeros(&path, "bias", output) }
    }

    /// The product in `kind`, and so its result.
    pub(super) fn forward(&self, x: &Tensor, kind: Kind) -> Tensor {
        x.to_kind(kind).linear(&self.weight.to_kind(kind), Some(self.bias.to_kind(kind)))
    }
}

#[derive(Debug)]
pub(super) struct LayerNorm {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl LayerNorm {
    pub(super) fn new(path: impl WeightPath, channels: usize) -> Self {
        let weight = path.var("weight", &[channels as i64], nn::Init::Const(1.0));
        Self { weight, bias: zeros(&path, "bias", channels) }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        let (weight, bias) = (self.weight.to_kind(kind), self.bias.to_kind(kind));
        x.layer_norm(self.weight.size(), Some(weight), Some(bias), LAYER_NORM_EPSILON, true)
    }
}

/// A convolution along frames, `[B, T, C]` -> `[B, T, C']`, padded with zeros to keep T.
#[derive(Debug)]
pub(super) struct FrameConv {
    pub weight: Tensor,
    pub bias: Tensor,
    groups: i64,
}

impl FrameConv {
    fn new(path: impl WeightPath, input: usize, output: usize, kernel: usize, groups: usize) -> Self {
        let shape = [output as i64, (input / groups) as i64, kernel as i64];
        Self { weight: weight(&path, &shape), bias: zeros(&path, "bias", output), groups: groups as i64 }
    }

    fn forward(&self, x: &Tensor, kind: Kind) -> Tensor {
        let padding = self.weight.size()[2] / 2;
        let (weight, bias) = (self.weight.to_kind(kind), self.bias.to_kind(kind));
        x.to_kind(kind).transpose(1, 2).conv1d(&weight, Some(bias), 1, padding, 1, self.groups).transpose(1, 2)
    }
}

/// Zeros until they are drawn or read from a file: drawing six million numbers takes tens of milliseconds, which nobody
/// who renders should wait for.
fn weight(path: &impl WeightPath, shape: &[i64]) -> Tensor {
    path.var("weight", shape, nn::Init::Const(0.0))
}

fn zeros(path: &impl WeightPath, name: &str, size: usize) -> Tensor {
    path.var(name, &[size as i64], nn::Init::Const(0.0))
}

/// Depth-wise convolution, LayerNorm, + projected conditioning, x (1 + scale) + shift from the time embedding, MLP with
/// SiLU, layer scale, residual: `[B, T, C]` -> `[B, T, C]`.
#[derive(Debug)]
pub(super) struct Block {
    pub depthwise: FrameConv,
    pub norm: LayerNorm,
    pub condition: Option<Linear>,
    pub time: Option<Linear>,
    pub expand: Linear,
    pub contract: Linear,
    pub layer_scale: Tensor,
}

impl Block {
    pub(super) fn new(
        path: impl WeightPath,
        channels: usize,
        mlp: usize,
        condition: Option<usize>,
        time: Option<usize>,
    ) -> Self {
        Self {
            depthwise: FrameConv::new(path.part("dwconv"), channels, channels, KERNEL, channels),
            norm: LayerNorm::new(path.part("norm"), channels),
            condition: condition.map(|c| Linear::new(path.part("cond"), c, channels)),
            time: time.map(|c| Linear::new(path.part("time"), c, 2 * channels)),
            expand: Linear::new(path.part("pwconv1"), channels, channels * mlp),
            contract: Linear::new(path.part("pwconv2"), channels * mlp, channels),
            layer_scale: path.var("gamma", &[channels as i64], nn::Init::Const(0.1)),
        }
    }

    /// `condition` `[B, T, C]` is projected already; `modulation` is (1 + scale, shift), `[B, 1, C]` each. Products are in
    /// `kind`; the residual sum stays in f32, where small layers' contributions would else be rounded away.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        condition: Option<&Tensor>,
        modulation: Option<&(Tensor, Tensor)>,
        kind: Kind,
    ) -> Tensor {
        let mut h = self.norm.forward(&self.depthwise.forward(x, kind));
        if let Some(condition) = condition {
            h += condition;
        }
        if let Some((scale, shift)) = modulation {
            h = h * scale + shift;
        }
        let change = self.contract.forward(&self.expand.forward(&h, kind).silu(), kind);
        x + change.to_kind(Kind::Float) * self.layer_scale.to_kind(Kind::Float)
    }
}

/// Log mel `[B, T, M]` -> features `[B, T, C]` and log magnitude of the mel's STFT `[B, T, F]`.
#[derive(Debug)]
pub(super) struct Encoder {
    pub mel_in: FrameConv,
    pub magnitude_in: Linear,
    pub norm_in: LayerNorm,
    pub norm_out: LayerNorm,
    pub blocks: Vec<Block>,
    pub magnitude_out: Linear,
    /// `[M, F]`
    pub pseudo_inverse: Tensor,
}

impl Encoder {
    /// `pseudo_inverse` `[M, F]` is the filter bank's.
    fn new(path: impl WeightPath, size: EncoderSize, card: &ModelCard, pseudo_inverse: Tensor) -> Self {
        let (bins, blocks) = (card.mel.bins(), path.part("blocks"));
        Self {
            mel_in: FrameConv::new(path.part("mel_in"), card.mel.n_mels, size.channels, 3, 1),
            magnitude_in: Linear::new(path.part("mag_in"), bins, size.channels),
            norm_in: LayerNorm::new(path.part("norm_in"), size.channels),
            norm_out: LayerNorm::new(path.part("norm_out"), size.channels),
            blocks: (0..size.layers).map(|i| Block::new(blocks.part(i), size.channels, size.mlp, None, None)).collect(),
            magnitude_out: Linear::new(path.part("mag_out"), size.channels, bins),
            pseudo_inverse,
        }
    }

    /// Products are in `kind`; the results come in f32.
    pub fn forward(&self, mel: &Tensor, kind: Kind) -> (Tensor, Tensor) {
        let coarse = coarse(mel, &self.pseudo_inverse);
        let h = self.mel_in.forward(&(mel * 0.25), kind) + self.magnitude_in.forward(&(&coarse * 0.25), kind);
        let mut h = self.norm_in.forward(&h.to_kind(Kind::Float));
        for block in &self.blocks {
            h = block.forward(&h, None, None, kind);
        }
        let h = self.norm_out.forward(&h);
        let log_magnitude = coarse + self.magnitude_out.forward(&h, kind).to_kind(Kind::Float);
        (h, log_magnitude)
    }
}

/// Natural log of the least-squares magnitude under the filter bank: `[.., M]` -> `[.., F]`. The sums cancel almost to nothing
/// beside loud bins, hence double precision.
pub(super) fn coarse(mel: &Tensor, pseudo_inverse: &Tensor) -> Tensor {
    mel.to_kind(Kind::Double).exp().matmul(pseudo_inverse).clamp_min(1e-5).log().to_kind(Kind::Float)
}

/// The Moore-Penrose inverse of the filter bank, `[M, F]`, in double precision: its products cancel almost to nothing
/// between loud bands.
pub(super) fn pseudo_inverse(convention: &MelConvention) -> Tensor {
    let bank = Tensor::from_slice(&filterbank(convention)).view([convention.n_mels as i64, convention.bins() as i64]);
    let inverse = bank.to_kind(Kind::Double).linalg_pinv(f64::from(f32::EPSILON) * convention.bins() as f64, false);
    inverse.transpose(0, 1).contiguous()
}

/// Whitened spectrum of x_t `[B, T', 2K]` -> whitened spectrum of x1 `[B, T', 2K]`.
#[derive(Debug)]
pub(super) struct Denoiser {
    pub spectrum_in: Linear,
    pub norm_in: LayerNorm,
    pub blocks: Vec<Block>,
    pub norm_out: LayerNorm,
    pub spectrum_out: Linear,
    pub time_in: Linear,
    pub time_out: Linear,
    /// Of the time: a weight for each bin, [2 K].
    pub skip: Option<Linear>,
    size: DenoiserSize,
}

impl Denoiser {
    fn new(path: impl WeightPath, size: DenoiserSize) -> Self {
        let DenoiserSize { channels, cond_channels, time_channels, mlp, .. } = size;
        let (width, blocks, time) = (size.n_fft + 2, path.part("blocks"), path.part("time_mlp"));
        let block = |i| Block::new(blocks.part(i), channels, mlp, Some(cond_channels), Some(time_channels));
        Self {
            spectrum_in: Linear::new(path.part("stft_in"), width, channels),
            norm_in: LayerNorm::new(path.part("norm_in"), channels),
            blocks: (0..size.layers).map(block).collect(),
            norm_out: LayerNorm::new(path.part("norm_out"), channels),
            spectrum_out: Linear::new(path.part("stft_out"), channels, width),
            time_in: Linear::new(time.part(0), time_channels, 2 * time_channels),
            time_out: Linear::new(time.part(2), 2 * time_channels, time_channels),
            skip: size.skip.then(|| Linear::new(path.part("stft_skip"), time_channels, width)),
            size,
        }
    }

    /// Each block's view of the features `[B, T', C]`; none of it depends on t.
    pub fn project(&self, features: &Tensor, kind: Kind) -> Vec<Tensor> {
        let features = features.to_kind(kind);
        self.blocks.iter().filter_map(|b| b.condition.as_ref()).map(|c| c.forward(&features, kind)).collect()
    }

    /// Each block's (1 + scale, shift), `[B, 1, C]`, for times `t` `[B]`.
    pub fn modulations(&self, t: &Tensor, kind: Kind) -> Vec<(Tensor, Tensor)> {
        let embedding = self.embedding(t, kind);
        let of_block = |time: &Linear| {
            let both = time.forward(&embedding, kind).unsqueeze(1).chunk(2, -1);
            (&both[0] + 1.0, both[1].shallow_clone())
        };
        self.blocks.iter().filter_map(|b| b.time.as_ref()).map(of_block).collect()
    }

    /// The share of what is shown that goes on to the answer at times `t` [B]: `[B, 1, 2K]` in f32.
    pub fn skipped(&self, t: &Tensor, kind: Kind) -> Option<Tensor> {
        let skip = self.skip.as_ref()?;
        Some(skip.forward(&self.embedding(t, kind), kind).unsqueeze(1).to_kind(Kind::Float))
    }

    fn embedding(&self, t: &Tensor, kind: Kind) -> Tensor {
        let half = self.size.time_channels as i64 / 2;
        let exponent = Tensor::arange(half, (Kind::Float, t.device())) * (-(10_000f64.ln()) / (half - 1) as f64);
        let angle = t.unsqueeze(1) * 1000.0 * exponent.exp().unsqueeze(0);
        let embedding = Tensor::cat(&[angle.sin(), angle.cos()], 1);
        self.time_out.forward(&self.time_in.forward(&embedding, kind).silu(), kind)
    }

    /// `spectrum` `[B, T', 2K]` in f32; the result too.
    pub fn forward(
        &self,
        spectrum: &Tensor,
        conditions: &[Tensor],
        modulations: &[(Tensor, Tensor)],
        kind: Kind,
    ) -> Tensor {
        // Soft clip: the whitened spectrum has heavy tails.
        let clipped = spectrum / (spectrum.abs() * 0.1 + 1.0);
        let mut h = self.norm_in.forward(&self.spectrum_in.forward(&clipped, kind).to_kind(Kind::Float));
        for ((block, condition), modulation) in self.blocks.iter().zip(conditions).zip(modulations) {
            h = block.forward(&h, Some(condition), Some(modulation), kind);
        }
        self.spectrum_out.forward(&self.norm_out.forward(&h), kind).to_kind(Kind::Float)
    }
}

/// Encoder, denoiser and what refines mels of other conventions, their weights in a `VarStore` under the checkpoint's names.
#[derive(Debug)]
pub struct VocoderNetwork {
    pub(super) encoder: Encoder,
    pub(super) denoiser: Denoiser,
    pub refiner: Option<Refiner>,
}

impl VocoderNetwork {
    /// New weights in `store`, to be trained: those of linear layers and convolutions normal with a deviation of 0.02, from
    /// libtorch's generator.
    pub fn new(store: &nn::VarStore, card: &ModelCard) -> Self {
        let network = Self::blank(store, card);
        draw(store, "");
        network
    }

    /// Gives the network a new refiner, with weights drawn as in [`Self::new`].
    pub fn add_refiner(&mut self, store: &nn::VarStore, size: EncoderSize, convention: &MelConvention) {
        self.refiner = Some(Refiner::blank(store.root() / REFINER, size, convention));
        draw(store, REFINER);
    }

    /// The network with zeros for weights, to be read from a file.
    pub(super) fn blank(store: &nn::VarStore, card: &ModelCard) -> Self {
        Self::build(&store.root(), card, pseudo_inverse(&card.mel).to_device(store.device()))
    }

    fn build(root: &impl WeightPath, card: &ModelCard, pseudo_inverse: Tensor) -> Self {
        Self {
            encoder: Encoder::new(root.part("encoder"), card.encoder, card, pseudo_inverse),
            denoiser: Denoiser::new(root.part("denoiser"), card.denoiser),
            refiner: card.refiner.map(|size| Refiner::blank(root.part(REFINER), size, &card.mel)),
        }
    }

    /// Features at the mel's frames `[B, T, C]` -> at the denoiser's `[B, T', C]`, linear with end points aligned.
    pub(super) fn upsampled(features: &Tensor, up: i64) -> Tensor {
        let frames = features.size()[1];
        let size = (frames - 1) * up + 1;
        features.transpose(1, 2).to_kind(Kind::Float).upsample_linear1d([size], true, None::<f64>).transpose(1, 2)
    }

    /// Log mel `[B, T, M]` -> each block's conditioning `[B, T', C]`, T' = (T - 1) `up` + 1, and the log magnitude of the mel's
    /// STFT `[B, T, F]`.
    pub fn encode(&self, mel: &Tensor, up: i64, kind: Kind) -> (Vec<Tensor>, Tensor) {
        let (features, log_magnitude) = self.encoder.forward(mel, kind);
        (self.denoiser.project(&Self::upsampled(&features, up), kind), log_magnitude)
    }

    /// Whitened spectrum of x_t `[B, T', 2K]`, at times `t` `[B]` -> whitened spectrum of x1 `[B, T', 2K]`, both f32.
    pub fn denoise(&self, whitened: &Tensor, conditions: &[Tensor], t: &Tensor, kind: Kind) -> Tensor {
        let answer = self.denoiser.forward(whitened, conditions, &self.denoiser.modulations(t, kind), kind);
        match self.denoiser.skipped(t, kind) {
            Some(share) => answer + whitened * share,
            None => answer,
        }
    }

    pub fn device(&self) -> Device {
        self.encoder.pseudo_inverse.device()
    }
}

/// Draws the weights of linear layers and convolutions whose names begin with `prefix`.
fn draw(store: &nn::VarStore, prefix: &str) {
    // The store has them in no order that a second run would repeat.
    let mut variables: Vec<_> = store.variables().into_iter().collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    let drawn = variables.iter_mut().filter(|(name, variable)| name.starts_with(prefix) && variable.dim() > 1);
    tch::no_grad(|| drawn.for_each(|(_, variable)| drop(variable.normal_(0.0, 0.02))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_weights_is_the_stores() {
        let mut card = ModelCard::new("x");
        card.encoder = EncoderSize { channels: 16, layers: 2, mlp: 3 };
        card.refiner = Some(EncoderSize { channels: 24, layers: 1, mlp: 2 });
        card.denoiser =
            DenoiserSize { channels: 40, layers: 3, cond_channels: 16, time_channels: 12, mlp: 1, ..card.denoiser };
        let store = nn::VarStore::new(Device::Cpu);
        VocoderNetwork::blank(&store, &card);
        let shape = |tensor: Tensor| tensor.size().iter().map(|&n| n as usize).collect();
        let stored: BTreeMap<String, Vec<usize>> =
            store.variables().into_iter().map(|(name, tensor)| (name, shape(tensor))).collect();
        assert_eq!(weight_shapes(&card), stored);
    }

    #[test]
    fn the_pseudo_inverse_is_the_references() {
        let path = format!("{}/tests/golden/filters/pseudo_inverse.npy", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let want: Vec<f32> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap(); // [F, M]
        let inverse = pseudo_inverse(&MelConvention::native()).transpose(0, 1).contiguous().view(-1);
        let got: Vec<f64> = Vec::try_from(&inverse).unwrap();
        let largest = want.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        let worst = got.iter().zip(&want).fold(0.0f32, |a, (g, w)| a.max((*g as f32 - w).abs()));
        assert_eq!(got.len(), want.len());
        assert!(worst / largest <= 1e-3, "{}", worst / largest);
    }
}
