//! DiffWave (Kong et al. 2021, <https://arxiv.org/abs/2009.09761>), as LMNT trained it: a waveform of noise that gated
//! convolutions, told the mel, clean in the few steps of the fast schedule.

use super::{
    layers::{Conv, Excerpt, Linear, Span},
    one_pass::{Network, Place},
    weights::Weights,
};
use crate::{
    Result,
    card::ModelCard,
    dsp::noise::{Noise, SeededNoise},
};
use serde::Deserialize;
use std::f64::consts::SQRT_2;
use tch::{Device, Kind, Tensor};

/// Sines, and as many cosines, that tell the step.
const STEP_WAVES: usize = 64;

/// Each of the two layers that bring the mel to the rate of the samples: [bands, time].
const UPSAMPLING_KERNEL: [usize; 2] = [3, 32];
const UPSAMPLING_RATE: usize = 16;
const UPSAMPLING_SLOPE: f64 = 0.4;

/// Of the dilated convolutions.
const KERNEL: usize = 3;

/// The original's `params.py`.
#[derive(Deserialize)]
struct Config {
    residual_layers: usize,
    residual_channels: usize,
    dilation_cycle_length: usize,
    noise_schedule: Vec<f64>,
    inference_noise_schedule: Vec<f64>,
}

impl Config {
    fn check(&self, weights: &Weights, card: &ModelCard) -> Result<()> {
        weights.within("residual_layers", self.residual_layers, 1..=256)?;
        weights.within("dilation_cycle_length", self.dilation_cycle_length, 1..=16)?;
        weights.within("noise_schedule (its numbers)", self.noise_schedule.len(), 2..=10_000)?;
        weights.within("inference_noise_schedule (its numbers)", self.inference_noise_schedule.len(), 1..=100)?;
        if self.noise_schedule.iter().chain(&self.inference_noise_schedule).any(|beta| !(1e-8..1.0).contains(beta)) {
            return Err(weights.fault("a noise schedule has a number that does not lie between 0 and 1"));
        }
        weights.equal("the two upsampling layers", UPSAMPLING_RATE * UPSAMPLING_RATE, "hop", card.mel.hop)
    }
}

/// What is done with the estimate of the noise in one step.
struct Step {
    /// Where it lies among the steps of training.
    time: f64,
    /// `x <- scale (x - share estimate) + deviation noise`
    scale: f64,
    share: f64,
    deviation: f64,
}

/// The steps of the fast schedule, in the order of use: appendix C of the paper. A noise level that lies between two of training
/// is told the network as a time between them.
fn steps(training: &[f64], inference: &[f64]) -> Vec<Step> {
    let kept = |betas: &[f64]| -> Vec<f64> {
        let mut product = 1.0;
        betas.iter().map(|beta| (product *= 1.0 - beta, product).1).collect()
    };
    let (known, kept) = (kept(training), kept(inference));
    let time = |level: f64| {
        let between = known.windows(2).position(|pair| pair[1] <= level && level <= pair[0]);
        between.map_or_else(
            // Beyond either end there is no other than the end.
            || if level > known[0] { 0.0 } else { (known.len() - 1) as f64 },
            |t| t as f64 + (known[t].sqrt() - level.sqrt()) / (known[t].sqrt() - known[t + 1].sqrt()),
        )
    };
    let step = |n: usize| Step {
        time: time(kept[n]),
        scale: 1.0 / (1.0 - inference[n]).sqrt(),
        share: inference[n] / (1.0 - kept[n]).sqrt(),
        deviation: if n > 0 { ((1.0 - kept[n - 1]) / (1.0 - kept[n]) * inference[n]).sqrt() } else { 0.0 },
    };
    (0..inference.len()).rev().map(step).collect()
}

struct Layer {
    dilated: Conv,
    reach: usize,
    step: Linear,
    condition: Conv,
    output: Conv,
}

impl Layer {
    fn new(weights: &Weights, i: usize, config: &Config, [bands, step]: [usize; 2]) -> Result<Self> {
        let (channels, dilation) = (config.residual_channels, 1 << (i % config.dilation_cycle_length));
        let name = |part: &str| format!("residual_layers.{i}.{part}");
        Ok(Self {
            dilated: Conv::new(weights, &name("dilated_conv"), [channels, 2 * channels], KERNEL, dilation)?,
            reach: Conv::reach(KERNEL, dilation),
            step: Linear::new(weights, &name("diffusion_projection"), [step, channels])?,
            condition: Conv::new(weights, &name("conditioner_projection"), [bands, 2 * channels], 1, 1)?,
            output: Conv::new(weights, &name("output_projection"), [channels, 2 * channels], 1, 1)?,
        })
    }

    /// What goes on to the next layer, and this one's part of the sum of all: `[1, C, n]` each.
    fn forward(&self, x: &Tensor, step: &Tensor, mel: &Tensor) -> (Tensor, Tensor) {
        let y = self.dilated.forward(&(x + self.step.forward(step).unsqueeze(-1))) + self.condition.forward(mel);
        let gated = y.chunk(2, 1);
        let y = self.output.forward(&(gated[0].sigmoid() * gated[1].tanh()));
        let both = y.chunk(2, 1);
        ((x + &both[0]) / SQRT_2, both[1].shallow_clone())
    }
}

/// What tells each of `times` apart, [times, 128]. In single precision, as the network has learned them: the fastest waves' angles
/// are ten thousand times the time, whose last digits are part of what they are.
fn waves(times: usize, device: Device) -> Tensor {
    let options = (Kind::Float, Device::Cpu);
    let exponents = Tensor::arange(STEP_WAVES as i64, options) * 4.0 / (STEP_WAVES - 1) as f64;
    let angles = Tensor::arange(times as i64, options).unsqueeze(1) * Tensor::pow_scalar(10.0, &exponents);
    Tensor::cat(&[angles.sin(), angles.cos()], 1).to_device(device)
}

pub struct DiffWave {
    steps: Vec<Step>,
    waves: Tensor,
    step_layers: [Linear; 2],
    /// Weight [1, 1, 3, 32] and bias of each.
    upsampling: [(Tensor, Tensor); 2],
    input: Conv,
    layers: Vec<Layer>,
    skip: Conv,
    output: Conv,
    hop: usize,
}

impl DiffWave {
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) names the key or tensor that is wrong.
    pub fn new(weights: &Weights, card: &ModelCard, device: Device) -> Result<Self> {
        let config: Config = weights.config(&card.architecture)?;
        config.check(weights, card)?;
        let channels = config.residual_channels;
        // The original's is 512, whatever its configuration.
        let wide = weights.rows("diffusion_embedding.projection1.weight")?;
        let step_layer = |name: &str, input| Linear::new(weights, name, [input, wide]);
        let upsampling = |name: &str| -> Result<_> {
            let [bands, time] = UPSAMPLING_KERNEL;
            let weight = weights.take(&format!("{name}.weight"), &[1, 1, bands, time])?;
            Ok((weight, weights.take(&format!("{name}.bias"), &[1])?))
        };
        let layer = |i| Layer::new(weights, i, &config, [card.mel.n_mels, wide]);
        Ok(Self {
            steps: steps(&config.noise_schedule, &config.inference_noise_schedule),
            waves: waves(config.noise_schedule.len(), device),
            step_layers: [
                step_layer("diffusion_embedding.projection1", 2 * STEP_WAVES)?,
                step_layer("diffusion_embedding.projection2", wide)?,
            ],
            upsampling: [upsampling("spectrogram_upsampler.conv1")?, upsampling("spectrogram_upsampler.conv2")?],
            input: Conv::new(weights, "input_projection", [1, channels], 1, 1)?,
            layers: (0..config.residual_layers).map(layer).collect::<Result<_>>()?,
            skip: Conv::new(weights, "skip_projection", [channels, channels], 1, 1)?,
            output: Conv::new(weights, "output_projection", [channels, 1], 1, 1)?,
            hop: card.mel.hop,
        })
    }

    /// Samples to either side that one step looks at.
    fn reach(&self) -> usize {
        self.layers.iter().map(|layer| layer.reach).sum()
    }

    /// Between two whole times the sines and cosines are a mixture of both's: -> `[1, C]`.
    fn embedded(&self, time: f64) -> Tensor {
        let at = |time: f64| self.waves.slice(0, time as i64, time as i64 + 1, 1);
        let (low, high) = (at(time.floor()), at(time.ceil()));
        let mixed = &low + (high - &low) * time.fract();
        self.step_layers.iter().fold(mixed, |x, layer| layer.forward(&x).silu())
    }

    /// The mel at the rate of the samples: `[1, M, T]` -> `[1, M, n]`.
    fn upsampled(&self, mel: &Tensor) -> Tensor {
        let [bands, time] = UPSAMPLING_KERNEL.map(|size| size as i64);
        let rate = UPSAMPLING_RATE as i64;
        let padding = [bands / 2, (time - rate) / 2];
        let layer = |x: Tensor, (weight, bias): &(Tensor, Tensor)| {
            let x = x.conv_transpose2d(weight, Some(bias), [1, rate], padding, [0, 0], 1, [1, 1]);
            x.maximum(&(&x * UPSAMPLING_SLOPE))
        };
        self.upsampling.iter().fold(mel.unsqueeze(1), layer).squeeze_dim(1)
    }

    /// The estimate of the noise in `x` `[1, 1, n]`.
    fn estimate(&self, x: &Tensor, step: &Tensor, mel: &Tensor) -> Tensor {
        let mut x = self.input.forward(x).relu();
        let mut sum: Option<Tensor> = None;
        for layer in &self.layers {
            let (next, part) = layer.forward(&x, step, mel);
            x = next;
            sum = Some(match sum {
                Some(sum) => sum + part,
                None => part,
            });
        }
        let sum = sum.unwrap_or(x) / (self.layers.len() as f64).sqrt();
        self.output.forward(&self.skip.forward(&sum).relu())
    }

    /// `noise(step)` is `[n]` of the whole window.
    fn cleaned(&self, mel: &Tensor, outputs: Span, noise: impl Fn(usize) -> Tensor) -> Tensor {
        let device = mel.device();
        let condition = Excerpt { values: self.upsampled(mel), first: 0 };
        let drawn = |step: usize| Excerpt { values: noise(step).view([1, 1, -1]).to_device(device), first: 0 };
        let mut x = drawn(0);
        for (i, Step { time, scale, share, deviation }) in self.steps.iter().enumerate() {
            // What the steps to come will look at, and this one around that.
            let kept = outputs.widened((self.steps.len() - 1 - i) * self.reach());
            let seen = kept.widened(self.reach());
            x = x.cut(seen);
            let condition = condition.values.slice(2, x.first, x.first + x.values.size()[2], 1);
            let estimate = self.estimate(&x.values, &self.embedded(*time), &condition);
            x = x.through(|x| (x - estimate * *share) * *scale);
            if *deviation > 0.0 {
                let noise = drawn(i + 1).cut(Span { first: x.first, last: x.first + x.values.size()[2] - 1 });
                x = x.through(|x| x + noise.values * *deviation);
            }
            x = x.through(|x| x.clamp(-1.0, 1.0)).cut(kept);
        }
        x.cut(outputs).values
    }
}

impl Network for DiffWave {
    fn span(&self, outputs: Span) -> Span {
        let [_, kernel] = UPSAMPLING_KERNEL;
        let upsampling = |span: Span| span.before_upsampling(UPSAMPLING_RATE, kernel, (kernel - UPSAMPLING_RATE) / 2);
        upsampling(upsampling(outputs.widened(self.steps.len() * self.reach())))
    }

    fn forward(&self, mel: &Tensor, outputs: Span, place: Place) -> Tensor {
        let frames = mel.size()[2] as usize;
        let noise = |step: usize| {
            let mut noise = vec![0.0; frames * self.hop];
            let noises = SeededNoise { seed: place.seed };
            for (frame, samples) in (place.frame..).zip(noise.chunks_exact_mut(self.hop)) {
                noises.fill(step, frame, samples);
            }
            Tensor::from_slice(&noise).to_kind(Kind::Float)
        };
        self.cleaned(mel, outputs, noise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        families::family_file,
        model::{ModelFile, WeightFile},
    };
    use std::path::Path;

    fn numbers(name: &str) -> Vec<f32> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families").join(name);
        npyz::NpyFile::new(&std::fs::read(path).unwrap()[..]).unwrap().into_vec().unwrap()
    }

    /// With the noise that the original drew.
    #[test]
    fn the_sound_is_the_originals() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/diffwave.safetensors");
        let bytes = ModelFile::read(&path).unwrap();
        let file = WeightFile::parse(&bytes, "diffwave").unwrap();
        let card = family_file::card(&file).unwrap();
        let weights = Weights::new(&file, Device::Cpu);
        let network = DiffWave::new(&weights, &card, Device::Cpu).unwrap();
        weights.all_taken().unwrap();
        let mel = Tensor::from_slice(&numbers("diffwave-mel.npy")).view([1, card.mel.n_mels as i64, -1]);
        let (noise, wanted) = (numbers("diffwave-noise.npy"), numbers("diffwave-sound.npy"));
        let drawn = |step: usize| Tensor::from_slice(&noise[step * wanted.len()..(step + 1) * wanted.len()]);
        let outputs = Span { first: 0, last: wanted.len() as i64 - 1 };
        let sound = Vec::<f32>::try_from(&network.cleaned(&mel, outputs, drawn).contiguous().view(-1)).unwrap();
        let worst = sound.iter().zip(&wanted).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        println!("{worst:e}");
        assert_eq!(sound.len(), wanted.len());
        assert!(worst < 1e-4, "{worst}");
    }
}
