//! The network on the CPU: libtorch multiplies the matrices, everything between two products is one pass over the rows.
//!
//! The same function as [`super::network`], which stays the plain form for training and for other devices. There, two
//! thirds of the time went into small tensor operations (transposes, normalisation, casts) on a few hundred rows.
//! Here a block is: depth-wise convolution, LayerNorm, conditioning and modulation fused in one pass; a product; SiLU; a
//! product. Rows are shared between threads, block by block.

use super::{
    network::{self, Block, Denoiser, KERNEL, LayerNorm, Linear, VocoderNetwork},
    refiner::Refiner,
};
use crate::{Error, Result, diffusion::upsample, dsp::threads::Threads};
use multiversion::multiversion;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tch::{Kind, Tensor};

const LAYER_NORM_EPSILON: f32 = 1e-5;

/// Rows are shared in multiples of so many, and no share has fewer: products of less than 8 rows are added up in another
/// order, and the samples would depend on the number of threads.
const ROWS: usize = 16;

/// A product with its weights in the number type of the computation.
struct Product {
    weight: Tensor,
    bias: Tensor,
}

/// `[M, F]`, see [`network::coarse`].
struct PseudoInverse(Tensor);

// SAFETY: libtorch allows any number of threads to read a tensor at once, and nobody writes these after `new`.
unsafe impl Sync for Product {}
unsafe impl Sync for PseudoInverse {}

impl Product {
    fn new(linear: &Linear, kind: Kind) -> Self {
        Self { weight: linear.weight.detach().to_kind(kind), bias: linear.bias.detach().to_kind(kind) }
    }

    /// With each output scaled: `scale * (x W^T + b)`.
    fn scaled(linear: &Linear, scale: &Tensor, kind: Kind) -> Self {
        let (weight, bias) = (linear.weight.detach(), linear.bias.detach());
        Self {
            weight: (weight * scale.detach().unsqueeze(1)).to_kind(kind),
            bias: (bias * scale.detach()).to_kind(kind),
        }
    }

    /// Of rows one after another, in the number type of the weights.
    fn apply_rows(&self, rows: &[f32]) -> std::result::Result<Tensor, tch::TchError> {
        self.apply(&Tensor::f_from_slice(rows)?.f_view([-1, self.weight.size()[1]])?.f_to_kind(self.weight.kind())?)
    }

    fn apply(&self, x: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn new(norm: &LayerNorm) -> Result<Self> {
        Ok(Self { weight: floats(&norm.weight)?, bias: floats(&norm.bias)? })
    }
}

struct CpuBlock {
    /// `[7, C]`
    taps: Vec<f32>,
    tap_bias: Vec<f32>,
    norm: Norm,
    expand: Product,
    /// The layer scale is multiplied in.
    contract: Product,
    condition: Option<Product>,
}

impl CpuBlock {
    fn new(block: &Block, kind: Kind) -> Result<Self> {
        Ok(Self {
            taps: floats(&block.depthwise.weight.squeeze_dim(1).transpose(0, 1))?,
            tap_bias: floats(&block.depthwise.bias)?,
            norm: Norm::new(&block.norm)?,
            expand: Product::new(&block.expand, kind),
            contract: Product::scaled(&block.contract, &block.layer_scale, kind),
            condition: block.condition.as_ref().map(|c| Product::new(c, kind)),
        })
    }
}

/// What a block adds between normalisation and MLP.
#[derive(Clone, Copy)]
struct Conditioning<'a> {
    /// `[T, C]`
    rows: &'a [f32],
    /// `[C]`, 1 + scale and shift of the time embedding.
    scale: &'a [f32],
    shift: &'a [f32],
}

/// What the time decides.
struct Modulations {
    /// Each block's (1 + scale, shift), `[C]` each.
    blocks: Vec<(Vec<f32>, Vec<f32>)>,
    /// [2K]: see [`Denoiser::skipped`].
    skipped: Option<Vec<f32>>,
}

/// Encoder and denoiser with their weights laid out for the passes over rows.
pub(super) struct CpuNetwork {
    threads: Arc<Threads>,
    pseudo_inverse: PseudoInverse,
    mel_in: Product,
    magnitude_in: Product,
    encoder_norms: [Norm; 2],
    encoder_blocks: Vec<CpuBlock>,
    magnitude_out: Product,
    spectrum_in: Product,
    denoiser_norms: [Norm; 2],
    denoiser_blocks: Vec<CpuBlock>,
    spectrum_out: Product,
    refiner: Option<CpuRefiner>,
    /// By the bits of t: a rendering asks for the same few times again and again.
    modulations: Mutex<HashMap<u32, Arc<Modulations>>>,
}

struct CpuRefiner {
    rows_in: Product,
    norms: [Norm; 2],
    blocks: Vec<CpuBlock>,
    mel_out: Product,
    rows_out: Product,
}

impl CpuRefiner {
    /// In single precision: 0.33 GFLOP a second of sound are little, and what bf16 rounds off of a mel is heard.
    fn new(refiner: &Refiner) -> Result<Self> {
        let kind = Kind::Float;
        Ok(Self {
            rows_in: Product::new(&refiner.rows_in, kind),
            norms: [Norm::new(&refiner.norm_in)?, Norm::new(&refiner.norm_out)?],
            blocks: cpu_blocks(&refiner.blocks, kind)?,
            mel_out: Product::new(&refiner.mel_out, kind),
            rows_out: Product::new(&refiner.rows_out, kind),
        })
    }
}

fn cpu_blocks(blocks: &[Block], kind: Kind) -> Result<Vec<CpuBlock>> {
    blocks.iter().map(|block| CpuBlock::new(block, kind)).collect()
}

/// A share of the rows: from `first` on, [rows, C].
struct Share<'a> {
    first: usize,
    rows: &'a mut [f32],
    failed: Option<tch::TchError>,
}

impl CpuNetwork {
    /// `network`'s weights must be in f32.
    pub fn new(network: &VocoderNetwork, kind: Kind, threads: Arc<Threads>) -> Result<Self> {
        let VocoderNetwork { encoder, denoiser, refiner } = network;
        // The first convolution as a product: its three taps see three neighbouring rows side by side.
        let mel_in = Linear {
            weight: encoder.mel_in.weight.permute([0, 2, 1]).reshape([encoder.mel_in.weight.size()[0], -1]),
            bias: encoder.mel_in.bias.shallow_clone(),
        };
        Ok(Self {
            threads,
            pseudo_inverse: PseudoInverse(encoder.pseudo_inverse.shallow_clone()),
            mel_in: Product::new(&mel_in, kind),
            magnitude_in: Product::new(&encoder.magnitude_in, kind),
            encoder_norms: [Norm::new(&encoder.norm_in)?, Norm::new(&encoder.norm_out)?],
            encoder_blocks: cpu_blocks(&encoder.blocks, kind)?,
            magnitude_out: Product::new(&encoder.magnitude_out, kind),
            spectrum_in: Product::new(&denoiser.spectrum_in, kind),
            denoiser_norms: [Norm::new(&denoiser.norm_in)?, Norm::new(&denoiser.norm_out)?],
            denoiser_blocks: cpu_blocks(&denoiser.blocks, kind)?,
            spectrum_out: Product::new(&denoiser.spectrum_out, kind),
            refiner: refiner.as_ref().map(CpuRefiner::new).transpose()?,
            modulations: Mutex::default(),
        })
    }

    /// Log mel `[T, M]` -> each denoiser block's conditioning `[T', C]` and the log magnitude `[T, F]`.
    pub fn encode(&self, mel: &[f32], n_mels: usize, up: usize) -> Result<(Vec<Vec<f32>>, Vec<f32>)> {
        let frames = mel.len() / n_mels;
        let bins = self.magnitude_out.bias.size()[0] as usize;
        let mut coarse = vec![0.0; frames * bins];
        self.share(&mut coarse, bins, |share| {
            let (from, rows) = (share.first * n_mels, share.rows.len() / bins);
            let mel = Tensor::f_from_slice(&mel[from..from + rows * n_mels])?.f_view([1, -1, n_mels as i64])?;
            copy(&network::coarse(&mel, &self.pseudo_inverse.0), share.rows)
        })?;
        let channels = self.encoder_norms[0].weight.len();
        let mut x = vec![0.0; frames * channels];
        self.share(&mut x, channels, |share| {
            let rows = share.first..share.first + share.rows.len() / channels;
            let near = rows.clone().flat_map(|t| (t as isize - 1)..(t as isize + 2));
            let quarter_mel: Vec<f32> = near
                .flat_map(|t| {
                    let frame = usize::try_from(t).ok().and_then(|t| mel.get(t * n_mels..(t + 1) * n_mels));
                    (0..n_mels).map(move |m| frame.map_or(0.0, |frame| 0.25 * frame[m]))
                })
                .collect();
            let quarter_coarse: Vec<f32> =
                coarse[rows.start * bins..rows.end * bins].iter().map(|c| 0.25 * c).collect();
            let mel_part = self.mel_in.apply_rows(&quarter_mel)?;
            let h = mel_part + self.magnitude_in.apply_rows(&quarter_coarse)?;
            copy(&h, share.rows)?;
            normalise(share.rows, &self.encoder_norms[0].weight, &self.encoder_norms[0].bias);
            Ok(())
        })?;
        for block in &self.encoder_blocks {
            x = self.block(block, &x, channels, None)?;
        }
        let mut log_magnitude = coarse;
        self.share(&mut log_magnitude, bins, |share| {
            let from = share.first * channels;
            let mut rows = x[from..from + share.rows.len() / bins * channels].to_vec();
            normalise(&mut rows, &self.encoder_norms[1].weight, &self.encoder_norms[1].bias);
            let mut correction = vec![0.0; share.rows.len()];
            copy(&self.magnitude_out.apply_rows(&rows)?, &mut correction)?;
            share.rows.iter_mut().zip(correction).for_each(|(m, c)| *m += c);
            Ok(())
        })?;
        normalise(&mut x, &self.encoder_norms[1].weight, &self.encoder_norms[1].bias);
        let features = upsample(&x, channels, up);
        let rows = features.len() / channels;
        let conditions = self.denoiser_blocks.iter().map(|block| {
            let Some(product) = &block.condition else { return Ok(vec![]) };
            let width = block.norm.weight.len();
            let mut out = vec![0.0; rows * width];
            self.share(&mut out, width, |share| {
                let (from, rows) = (share.first * channels, share.rows.len() / width);
                let part = &features[from..from + rows * channels];
                copy(&product.apply_rows(part)?, share.rows)
            })?;
            Ok(out)
        });
        Ok((conditions.collect::<Result<_>>()?, log_magnitude))
    }

    /// Whitened spectra `[T', 2K]` -> `[T', 2K]`.
    pub fn denoise(&self, denoiser: &Denoiser, whitened: &[f32], conditions: &[Vec<f32>], t: f32) -> Result<Vec<f32>> {
        let modulations = self.modulations(denoiser, t)?;
        let width = self.spectrum_out.bias.size()[0] as usize;
        let channels = self.denoiser_norms[0].weight.len();
        let mut x = vec![0.0; whitened.len() / width * channels];
        self.share(&mut x, channels, |share| {
            let (from, rows) = (share.first * width, share.rows.len() / channels);
            let mut clipped = whitened[from..from + rows * width].to_vec();
            soft_clip(&mut clipped);
            copy(&self.spectrum_in.apply_rows(&clipped)?, share.rows)?;
            normalise(share.rows, &self.denoiser_norms[0].weight, &self.denoiser_norms[0].bias);
            Ok(())
        })?;
        for ((block, rows), (scale, shift)) in self.denoiser_blocks.iter().zip(conditions).zip(&modulations.blocks) {
            x = self.block(block, &x, channels, Some(Conditioning { rows, scale, shift }))?;
        }
        let mut out = vec![0.0; whitened.len()];
        self.share(&mut out, width, |share| {
            let (from, rows) = (share.first * channels, share.rows.len() / width);
            let mut rows = x[from..from + rows * channels].to_vec();
            normalise(&mut rows, &self.denoiser_norms[1].weight, &self.denoiser_norms[1].bias);
            copy(&self.spectrum_out.apply_rows(&rows)?, share.rows)?;
            if let Some(skipped) = &modulations.skipped {
                let shown = whitened[share.first * width..].chunks_exact(width);
                for (row, shown) in share.rows.chunks_exact_mut(width).zip(shown) {
                    row.iter_mut().zip(shown).zip(skipped).for_each(|((y, x), share)| *y += x * share);
                }
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Rows of a converted mel `[T, W]` -> what is to be added to it `[T, M]`; `None` without a refiner.
    pub fn refine(&self, rows: &[f32]) -> Result<Option<Vec<f32>>> {
        let Some(CpuRefiner { rows_in, norms, blocks, mel_out, rows_out }) = &self.refiner else { return Ok(None) };
        // On the pool as a window's work is: its threads would else fall asleep between any two blocks.
        self.threads.within(|| {
            let width = rows_in.weight.size()[1] as usize;
            let (channels, n_mels) = (norms[0].weight.len(), mel_out.bias.size()[0] as usize);
            let frames = rows.len() / width;
            let mut x = vec![0.0; frames * channels];
            self.share(&mut x, channels, |share| {
                let (from, count) = (share.first * width, share.rows.len() / channels);
                copy(&rows_in.apply_rows(&rows[from..from + count * width])?, share.rows)?;
                normalise(share.rows, &norms[0].weight, &norms[0].bias);
                Ok(())
            })?;
            for block in blocks {
                x = self.block(block, &x, channels, None)?;
            }
            let mut out = vec![0.0; frames * n_mels];
            self.share(&mut out, n_mels, |share| {
                let (first, count) = (share.first, share.rows.len() / n_mels);
                let mut h = x[first * channels..(first + count) * channels].to_vec();
                normalise(&mut h, &norms[1].weight, &norms[1].bias);
                let straight = rows_out.apply_rows(&rows[first * width..(first + count) * width])?;
                copy(&(mel_out.apply_rows(&h)? + straight), share.rows)
            })?;
            Ok(Some(out))
        })
    }

    fn block(
        &self,
        block: &CpuBlock,
        x: &[f32],
        channels: usize,
        conditioning: Option<Conditioning>,
    ) -> Result<Vec<f32>> {
        let mut next = vec![0.0; x.len()];
        self.share(&mut next, channels, |share| {
            let from = share.first * channels;
            mix(x, from, block, conditioning, share.rows);
            let hidden = block.expand.apply_rows(share.rows)?.f_silu_()?;
            copy(&block.contract.apply(&hidden)?, share.rows)?;
            let residual = &x[from..from + share.rows.len()];
            share.rows.iter_mut().zip(residual).for_each(|(y, x)| *y += x);
            Ok(())
        })?;
        Ok(next)
    }

    /// `work` on a share of the rows of `out` for each thread.
    fn share(
        &self,
        out: &mut [f32],
        width: usize,
        work: impl Fn(&mut Share) -> std::result::Result<(), tch::TchError> + Sync + Send,
    ) -> Result<()> {
        let mut shares = shares(out, width, self.threads.count());
        self.threads.for_each(&mut shares, |share| {
            compute_alone();
            let _guard = tch::no_grad_guard();
            share.failed = work(share).err();
        });
        match shares.into_iter().find_map(|share| share.failed) {
            Some(source) => Err(Error::torch("computing the network")(source)),
            None => Ok(()),
        }
    }

    fn modulations(&self, denoiser: &Denoiser, t: f32) -> Result<Arc<Modulations>> {
        let mut known = self.modulations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&t.to_bits()) {
            return Ok(found.clone());
        }
        let _guard = tch::no_grad_guard();
        let time = Tensor::from_slice(&[t]);
        let tensors = denoiser.modulations(&time, Kind::Float);
        let blocks: Result<Vec<_>> =
            tensors.iter().map(|(scale, shift)| Ok((floats(scale)?, floats(shift)?))).collect();
        let skipped = denoiser.skipped(&time, Kind::Float).as_ref().map(floats).transpose()?;
        let made = Arc::new(Modulations { blocks: blocks?, skipped });
        known.insert(t.to_bits(), made.clone());
        Ok(made)
    }
}

/// The rows of `out`, each `width` wide, in at most `threads` shares.
fn shares(out: &mut [f32], width: usize, threads: usize) -> Vec<Share<'_>> {
    let size = (out.len() / width).div_ceil(threads).next_multiple_of(ROWS);
    let (mut shares, mut first, mut rest) = (Vec::with_capacity(threads), 0, out);
    while !rest.is_empty() {
        let left = rest.len() / width;
        let count = if left < size + ROWS { left } else { size };
        let (rows, after) = rest.split_at_mut(count * width);
        shares.push(Share { first, rows, failed: None });
        (first, rest) = (first + count, after);
    }
    shares
}

/// Keeps libtorch from starting threads of its own below the calling one; it keeps that number for each thread.
pub(crate) fn compute_alone() {
    thread_local!(static SET: () = tch::set_num_threads(1));
    SET.with(|()| ());
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.detach().to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).map_err(Error::torch("reading a tensor"))
}

fn copy(tensor: &Tensor, out: &mut [f32]) -> std::result::Result<(), tch::TchError> {
    tensor.f_to_kind(Kind::Float)?.f_copy_data(out, out.len())
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn soft_clip(x: &mut [f32]) {
    for x in x {
        *x /= 1.0 + 0.1 * x.abs();
    }
}

/// LayerNorm of each row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn normalise(rows: &mut [f32], weight: &[f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(weight.len()) {
        let (mean, scale) = moments(row);
        for ((x, w), b) in row.iter_mut().zip(weight).zip(bias) {
            *x = (*x - mean) * scale * w + b;
        }
    }
}

/// Mean and 1 / deviation.
#[inline(always)]
fn moments(row: &[f32]) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = lane_sum(row, |x| x) / n;
    let variance = lane_sum(row, |x| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (variance + LAYER_NORM_EPSILON).sqrt())
}

/// The sum of `of` over a row, in 16 lanes that the compiler keeps in vector registers.
#[inline(always)]
fn lane_sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (whole, rest) = row.as_chunks::<16>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += of(*x);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| of(x)).sum::<f32>()
}

/// Depth-wise convolution over the rows of `x` (zeros beyond its ends), LayerNorm, conditioning, modulation: the rows from
/// offset `from` on, into `out`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn mix(x: &[f32], from: usize, block: &CpuBlock, conditioning: Option<Conditioning>, out: &mut [f32]) {
    let channels = block.tap_bias.len();
    let rows = x.len() / channels;
    for (i, out) in out.chunks_exact_mut(channels).enumerate() {
        let t = from / channels + i;
        out.copy_from_slice(&block.tap_bias);
        for (k, taps) in block.taps.chunks_exact(channels).enumerate() {
            let Some(source) = (t + k).checked_sub(KERNEL / 2).filter(|&s| s < rows) else { continue };
            for ((o, w), x) in out.iter_mut().zip(taps).zip(&x[source * channels..(source + 1) * channels]) {
                *o += w * x;
            }
        }
        let (mean, deviation) = moments(out);
        let (weight, bias) = (&block.norm.weight[..channels], &block.norm.bias[..channels]);
        match conditioning {
            Some(Conditioning { rows, scale, shift }) => {
                let (row, scale, shift) =
                    (&rows[t * channels..(t + 1) * channels], &scale[..channels], &shift[..channels]);
                for c in 0..channels {
                    let h = (out[c] - mean) * deviation * weight[c] + bias[c] + row[c];
                    out[c] = h * scale[c] + shift[c];
                }
            }
            None => {
                for c in 0..channels {
                    out[c] = (out[c] - mean) * deviation * weight[c] + bias[c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mel::refinement::Refinement,
        model::{DenoiserSize, EncoderSize, ModelCard},
    };
    use tch::{Device, nn};

    #[test]
    fn the_refiner_is_the_plain_ones() {
        let store = nn::VarStore::new(Device::Cpu);
        let size = EncoderSize { channels: 32, layers: 2, mlp: 2 };
        let card = ModelCard { refiner: Some(size), ..ModelCard::new("refined") };
        tch::manual_seed(1);
        let network = VocoderNetwork::new(&store, &card);
        let rows = Tensor::randn([1, 50, Refinement::width(100) as i64], (Kind::Float, Device::Cpu));
        let _guard = tch::no_grad_guard();
        let want = floats(&network.refiner.as_ref().unwrap().forward(&rows, Kind::Float)).unwrap();
        for threads in [1, 3] {
            let cpu = CpuNetwork::new(&network, Kind::Float, Threads::new(threads).into()).unwrap();
            let got = cpu.refine(&floats(&rows).unwrap()).unwrap().unwrap();
            assert_eq!(got.len(), 50 * 100);
            let largest = want.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            let worst = got.iter().zip(&want).fold(0.0f32, |a, (g, w)| a.max((g - w).abs()));
            assert!(largest > 0.1 && worst < 1e-4 * largest, "{worst} of {largest}");
        }
    }

    #[test]
    fn what_is_skipped_is_the_plain_networks() {
        let store = nn::VarStore::new(Device::Cpu);
        let mut card = ModelCard::new("skips");
        card.encoder = EncoderSize { channels: 16, layers: 1, mlp: 1 };
        let size =
            DenoiserSize { channels: 16, layers: 1, cond_channels: 16, time_channels: 16, mlp: 1, ..card.denoiser };
        card.denoiser = DenoiserSize { skip: true, ..size };
        tch::manual_seed(1);
        let network = VocoderNetwork::new(&store, &card);
        let _guard = tch::no_grad_guard();
        let (mel, shown) = (
            Tensor::zeros([1, 9, 100], (Kind::Float, Device::Cpu)),
            Tensor::randn([1, 17, 514], (Kind::Float, Device::Cpu)),
        );
        let time = Tensor::from_slice(&[0.7f32]);
        let (conditions, _) = network.encode(&mel, 2, Kind::Float);
        // Small beside what goes by: told apart from it.
        let skipped = floats(&(&shown * network.denoiser.skipped(&time, Kind::Float).unwrap())).unwrap();
        assert!(skipped.iter().any(|x| x.abs() > 1e-3));
        let want = floats(&network.denoise(&shown, &conditions, &time, Kind::Float)).unwrap();
        for threads in [1, 3] {
            let cpu = CpuNetwork::new(&network, Kind::Float, Threads::new(threads).into()).unwrap();
            let (conditions, _) = cpu.encode(&floats(&mel).unwrap(), 100, 2).unwrap();
            let got = cpu.denoise(&network.denoiser, &floats(&shown).unwrap(), &conditions, 0.7).unwrap();
            let worst = got.iter().zip(&want).fold(0.0f32, |a, (g, w)| a.max((g - w).abs()));
            assert!(got.len() == want.len() && worst < 1e-5, "{worst}");
        }
    }

    #[test]
    fn no_share_is_so_small_that_its_sums_would_be_others() {
        for rows in 0..200 {
            for threads in [1, 2, 3, 7, 64] {
                let mut out = vec![0.0; rows * 3];
                let shares = shares(&mut out, 3, threads);
                assert!(shares.len() <= threads, "{rows} rows for {threads} threads");
                let mut next = 0;
                for share in &shares {
                    let count = share.rows.len() / 3;
                    assert_eq!(share.first, next);
                    assert!(count >= ROWS.min(rows), "{count} of {rows} rows for {threads} threads");
                    next += count;
                }
                assert_eq!(next, rows);
            }
        }
    }
}
