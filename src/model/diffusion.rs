//! A model ready to render.

use super::{
    card::ModelCard,
    cpu::{CpuNetwork, compute_alone},
    file::{Builtin, ModelFile},
    network::VocoderNetwork,
    refiner::Refiner,
    runtime::{Precision, RuntimeOptions},
};
use crate::{
    Error, Result,
    card::{self, Effort},
    diffusion::{Encoded, Grid, Network, SamplerSettings, Start, ladder, rendering},
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram, refinement::Refinement},
    source::MelSource,
    vocoder::{Identity, MelRefiner, RenderOptions, Rendering, Vocoder},
};
use std::{path::Path, sync::Arc};
use tch::{Device, Kind, Tensor};

/// Encoder and denoiser with trained weights, on one device, in one number type.
pub struct Diffusion {
    network: VocoderNetwork,
    /// The same weights for the CPU's passes; `None` on other devices.
    cpu: Option<CpuNetwork>,
    card: ModelCard,
    /// Its file.
    subject: String,
    /// The card as models of every family have it.
    common: card::ModelCard,
    identity: Identity,
    device: Device,
    kind: Kind,
    /// Shared by the projection, which is computed here on every device, and the CPU's passes.
    threads: Arc<Threads>,
}

// SAFETY: libtorch allows any number of threads to read a tensor at once; the weights are never written after loading,
// and the only other state that changes lies behind a mutex.
unsafe impl Sync for Diffusion {}

/// A window's conditioning, ready for each block.
pub struct Condition(Blocks);

enum Blocks {
    /// `[T', C]` a block.
    Cpu(Vec<Vec<f32>>),
    /// `[1, T', C]` a block.
    Torch(Vec<Tensor>),
}

impl Diffusion {
    /// The 24 kHz model that lies in the program.
    ///
    /// # Errors
    /// [`Error::Settings`] where the device is not there.
    pub fn builtin(options: &RuntimeOptions) -> Result<Self> {
        Self::of_builtin(Builtin::Default, options)
    }

    /// # Errors
    /// As [`Self::builtin`].
    pub fn of_builtin(model: Builtin, options: &RuntimeOptions) -> Result<Self> {
        Self::from_bytes(model.bytes()?, model.name(), options)
    }

    /// # Errors
    /// [`Error::Io`] or [`Error::Model`] where the file cannot be used, [`Error::Settings`] where the device is not there.
    pub fn load(path: &Path, options: &RuntimeOptions) -> Result<Self> {
        Self::from_bytes(&ModelFile::read(path)?, &path.display().to_string(), options)
    }

    pub(crate) fn from_bytes(bytes: &[u8], subject: &str, options: &RuntimeOptions) -> Result<Self> {
        let model = ModelFile::parse(bytes, subject)?;
        let device = options.device.resolve()?;
        compute_alone();
        let (mut store, network) = model.network(device)?;
        store.freeze();
        let kind = match options.precision.resolve(device) {
            Precision::Bf16 => Kind::BFloat16,
            _ => Kind::Float,
        };
        let threads = Arc::new(Threads::new(options.threads));
        let cpu = match device {
            Device::Cpu => Some(CpuNetwork::new(&network, kind, threads.clone())?),
            _ => None,
        };
        if cpu.is_none() && kind == Kind::BFloat16 {
            store.bfloat16();
        }
        let precision = if kind == Kind::Float { Precision::F32 } else { Precision::Bf16 };
        let identity = Identity {
            weights: format!("{}-{}", model.card.name, &blake3::hash(bytes).to_hex()[..16]),
            arithmetic: format!("{precision} on {}", if device.is_cuda() { "cuda" } else { "cpu" }),
        };
        Ok(Self {
            network,
            cpu,
            subject: subject.into(),
            common: model.card.common(),
            card: model.card,
            identity,
            device,
            kind,
            threads,
        })
    }

    /// With the family's own numbers.
    pub fn diffusion_card(&self) -> &ModelCard {
        &self.card
    }

    /// `F32` or `Bf16`.
    pub fn precision(&self) -> Precision {
        if self.kind == Kind::Float { Precision::F32 } else { Precision::Bf16 }
    }
}

impl Network for Diffusion {
    type Condition = Condition;

    fn convention(&self) -> &MelConvention {
        &self.card.mel
    }

    fn grid(&self) -> Grid {
        Grid { n_fft: self.card.denoiser.n_fft, hop: self.card.denoiser.hop }
    }

    fn threads(&self) -> &Threads {
        &self.threads
    }

    fn blend(&self, t: f32) -> f32 {
        self.card.sampler.blend_at(t)
    }

    fn entry(&self) -> f32 {
        self.card.sampler.entry
    }

    fn start(&self) -> Start {
        self.card.sampler.start
    }

    fn momentum(&self) -> f32 {
        self.card.sampler.momentum
    }

    fn renewal(&self) -> usize {
        self.card.sampler.renewal
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<Condition>> {
        let _guard = tch::no_grad_guard();
        mel.require_bands_of(&self.card.mel, 1)?;
        let up = self.card.mel.hop / self.card.denoiser.hop;
        if let Some(cpu) = &self.cpu {
            let (blocks, log_magnitude) = cpu.encode(mel.values(), mel.n_mels(), up)?;
            return Ok(Encoded { condition: Condition(Blocks::Cpu(blocks)), log_magnitude });
        }
        let shape = [1, mel.frames() as i64, mel.n_mels() as i64];
        let mel = Tensor::from_slice(mel.values()).view(shape).to_device(self.device);
        let (blocks, log_magnitude) = self.network.encode(&mel, up as i64, self.kind);
        Ok(Encoded { condition: Condition(Blocks::Torch(blocks)), log_magnitude: flat(&log_magnitude)? })
    }

    fn denoise(&self, whitened: &[f32], condition: &Condition, t: f32) -> Result<Vec<f32>> {
        let _guard = tch::no_grad_guard();
        match (&condition.0, &self.cpu) {
            (Blocks::Cpu(blocks), Some(cpu)) => cpu.denoise(&self.network.denoiser, whitened, blocks, t),
            (Blocks::Torch(blocks), _) => {
                let width = self.card.denoiser.n_fft as i64 + 2;
                let spectrum = Tensor::from_slice(whitened).view([1, -1, width]).to_device(self.device);
                let t = Tensor::from_slice(&[t]).to_device(self.device);
                flat(&self.network.denoise(&spectrum, blocks, &t, self.kind))
            }
            (Blocks::Cpu(_), None) => unreachable!("a condition is used by the vocoder that made it"),
        }
    }
}

impl Vocoder for Diffusion {
    fn card(&self) -> &card::ModelCard {
        &self.common
    }

    fn subject(&self) -> &str {
        &self.subject
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn render(self: Arc<Self>, source: Box<dyn MelSource>, options: &RenderOptions) -> Result<Box<dyn Rendering>> {
        rendering(self, source, options)
    }

    fn adjusted(&self, effort: &Effort, given: &Effort) -> Result<Effort> {
        Ok(SamplerSettings::of_effort(&effort.with(given), 0)?.effort())
    }

    fn describe(&self, effort: &Effort) -> String {
        SamplerSettings::of_effort(effort, 0).map_or_else(|_| effort.to_string(), |settings| settings.to_string())
    }

    fn ladder(&self, from: &Effort) -> Vec<(Effort, f64)> {
        ladder(from, self.card.sampler.starts_well())
    }

    fn refiner(&self) -> Option<&dyn MelRefiner> {
        self.network.refiner.is_some().then_some(self)
    }

    /// The rendering is near already: half of what the last step is given.
    fn projection_iterations(&self, effort: &Effort) -> usize {
        effort.get("final_iterations").unwrap_or(0) / 2
    }

    fn threads(&self) -> &Threads {
        Network::threads(self)
    }
}

impl MelRefiner for Diffusion {
    fn reach(&self) -> usize {
        self.network.refiner.as_ref().map_or(0, Refiner::reach)
    }

    fn extends(&self) -> bool {
        self.card.extends
    }

    fn restores(&self) -> bool {
        self.card.restores
    }

    fn refine(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let _guard = tch::no_grad_guard();
        match (&self.cpu, &self.network.refiner) {
            // A model without a refiner has nothing to add.
            (Some(cpu), _) => Ok(cpu.refine(rows)?.unwrap_or_default()),
            (None, Some(refiner)) => {
                let shape = [1, -1, Refinement::width(self.card.mel.n_mels) as i64];
                let rows = Tensor::from_slice(rows).view(shape).to_device(self.device);
                // In single precision as on the CPU: what it corrects is finer than bf16.
                flat(&refiner.forward(&rows, Kind::Float))
            }
            (None, None) => Ok(vec![]),
        }
    }
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).map_err(Error::torch("reading the network's output"))
}
