//! A vocoder without a network, for comparison: fast Griffin-Lim on the pseudo-inverse of the mel, from random phase.
//!
//! It takes the same path as a diffusion model: one step, whose "estimate" is the noise itself (random phase under the
//! mel's envelope), and a projection whose magnitude is the mel's least-squares spectrum alone.

use super::{
    Quality, SamplerDefaults,
    card::{DenoiserSize, Effort},
    network::pseudo_inverse,
};
use crate::{
    Error, Result,
    diffusion::{Encoded, Grid, Network},
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram},
};

/// Least magnitude of the pseudo-inverse, which is negative in places.
const MAGNITUDE_FLOOR: f64 = 1e-5;

/// Fast Griffin-Lim as a network that knows nothing.
pub struct GriffinLim {
    convention: MelConvention,
    /// [M, F]
    pseudo_inverse: Vec<f64>,
    threads: Threads,
}

impl GriffinLim {
    /// Iterations by quality. The standard is what the comparisons of the field give it.
    pub const fn effort(quality: Quality) -> Effort {
        let final_iterations = match quality {
            Quality::Draft => 30,
            Quality::Standard => 60,
            Quality::Best => 120,
        };
        Effort { start_iterations: 0, steps: 1, iterations: 0, final_iterations }
    }

    pub const ID: &str = "griffin-lim";

    /// For the native convention; `threads` share the work on one window.
    ///
    /// # Errors
    /// [`Error::Torch`] where libtorch cannot invert the filter bank.
    pub fn new(threads: usize) -> Result<Self> {
        let convention = MelConvention::native();
        let inverse = pseudo_inverse(&convention).contiguous().view(-1);
        let pseudo_inverse = Vec::try_from(&inverse).map_err(Error::torch("reading the filter bank's inverse"))?;
        Ok(Self { convention, pseudo_inverse, threads: Threads::new(threads) })
    }
}

impl Network for GriffinLim {
    type Condition = ();

    fn convention(&self) -> &MelConvention {
        &self.convention
    }

    fn grid(&self) -> Grid {
        let DenoiserSize { n_fft, hop, .. } = DenoiserSize::default();
        Grid { n_fft, hop }
    }

    fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Nothing of the noise's own magnitude.
    fn blend(&self, _t: f32) -> f32 {
        0.0
    }

    fn momentum(&self) -> f32 {
        SamplerDefaults::default().momentum
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<()>> {
        let bins = self.convention.bins();
        let mut log_magnitude = Vec::with_capacity(mel.frames() * bins);
        // In double precision: between loud bands the products cancel almost to nothing.
        let mut magnitude = vec![0.0; bins];
        for t in 0..mel.frames() {
            magnitude.fill(0.0);
            for (m, weights) in mel.frame(t).iter().zip(self.pseudo_inverse.chunks_exact(bins)) {
                let linear = f64::from(*m).exp();
                for (out, weight) in magnitude.iter_mut().zip(weights) {
                    *out += linear * weight;
                }
            }
            log_magnitude.extend(magnitude.iter().map(|m| m.max(MAGNITUDE_FLOOR).ln() as f32));
        }
        Ok(Encoded { condition: (), log_magnitude })
    }

    fn denoise(&self, whitened: &[f32], (): &(), _t: f32) -> Result<Vec<f32>> {
        Ok(whitened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diffusion::{ChunkLayout, Renderer, SamplerSettings, WholeMel},
        mel,
    };

    /// Mean absolute difference of the log mels of a tone rich in partials and of its rendering.
    fn mel_error(iterations: usize) -> f32 {
        let audio: Vec<f32> = (0..24_000)
            .map(|i| {
                let phase = std::f32::consts::TAU * 150.0 * i as f32 / 24_000.0;
                (1..40).map(|k| (phase * k as f32).sin() * 0.1 / k as f32).sum()
            })
            .collect();
        let network = GriffinLim::new(1).unwrap();
        let mel = mel::extract(&audio, network.convention()).unwrap();
        let settings =
            SamplerSettings { final_iterations: iterations, ..GriffinLim::effort(Quality::Standard).settings(0) };
        let renderer = Renderer::new(&network, WholeMel::new(mel.clone()), settings, ChunkLayout::default()).unwrap();
        let rendered: Vec<f32> = renderer.map(Result::unwrap).collect::<Vec<_>>().concat();
        assert_eq!(rendered.len(), (mel.frames() - 1) * 256);
        let again = mel::extract(&rendered, network.convention()).unwrap();
        let pairs = mel.values().iter().zip(again.values());
        pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / mel.values().len() as f32
    }

    #[test]
    fn iterations_bring_the_sound_nearer_to_the_mel() {
        let (few, many) = (mel_error(2), mel_error(60));
        assert!(many < 0.7 * few, "{few} after 2, {many} after 60");
    }
}
