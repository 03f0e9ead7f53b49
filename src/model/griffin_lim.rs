//! The baseline without a network: fast Griffin-Lim from random phase, on the magnitude that the filter bank's
//! pseudo-inverse gives.

use super::network::pseudo_inverse;
use crate::{
    Error, Result,
    diffusion::{Encoded, Grid, Network, SamplerSettings},
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram},
};
use tch::{Kind, Tensor};

/// The name by which the baseline is asked for.
pub const GRIFFIN_LIM_NAME: &str = "griffin-lim";

/// In the sampler's terms: the only step's estimate is its noise, whose phase is random and whose magnitude nobody looks
/// at; all the work is the projection's.
pub struct GriffinLim {
    convention: MelConvention,
    /// [M, F]
    pseudo_inverse: Tensor,
    threads: Threads,
}

// SAFETY: libtorch allows any number of threads to read a tensor at once, and nobody writes this one after `new`.
unsafe impl Sync for GriffinLim {}

impl GriffinLim {
    /// 60 iterations, as the field's comparisons have it.
    pub fn settings(seed: u64) -> SamplerSettings {
        SamplerSettings { steps: 1, iterations: 0, final_iterations: 60, seed }
    }

    /// `threads` share the work on one window.
    pub fn new(threads: usize) -> Self {
        let convention = MelConvention::native();
        Self { pseudo_inverse: pseudo_inverse(&convention), convention, threads: Threads::new(threads) }
    }
}

impl Network for GriffinLim {
    type Condition = ();

    fn convention(&self) -> &MelConvention {
        &self.convention
    }

    fn grid(&self) -> Grid {
        Grid { n_fft: 512, hop: 128 }
    }

    fn threads(&self) -> &Threads {
        &self.threads
    }

    fn blend(&self) -> f32 {
        0.0
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<()>> {
        let _guard = tch::no_grad_guard();
        let linear = Tensor::from_slice(mel.values()).view([-1, mel.n_mels() as i64]).to_kind(Kind::Double).exp();
        let log = linear.matmul(&self.pseudo_inverse).clamp_min(1e-5).log().to_kind(Kind::Float);
        let log_magnitude = Vec::try_from(&log.view(-1)).map_err(Error::torch("inverting the filter bank"))?;
        Ok(Encoded { condition: (), log_magnitude })
    }

    fn denoise(&self, whitened: &[f32], (): &(), _: f32) -> Result<Vec<f32>> {
        Ok(whitened.to_vec())
    }
}
