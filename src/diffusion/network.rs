//! What the sampler asks of a network. Another network, or a test double with a known answer, drops in here.

use crate::{
    Result,
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram},
};
use serde::{Deserialize, Serialize};

/// The STFT in which a network sees the waveform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub n_fft: usize,
    pub hop: usize,
}

/// What the first waveform, before the network is asked, has for phases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Those of the noise.
    #[default]
    Noise,
    /// Those that the encoder's magnitude asks for; see [`crate::dsp::phase_gradient`].
    PhaseGradient,
}

/// What a network knows of a window of mel before the first step; none of it depends on t.
pub struct Encoded<C> {
    /// Whatever the network wants to see again at each step.
    pub condition: C,
    /// [T, F]: natural log magnitude of the STFT of the mel's convention, the network's guess.
    pub log_magnitude: Vec<f32>,
}

pub trait Network: Send + Sync {
    type Condition;

    /// The mel that the network takes.
    fn convention(&self) -> &MelConvention;

    fn grid(&self) -> Grid;

    /// The threads that share the work on one window, the projection's too.
    fn threads(&self) -> &Threads {
        &Threads::CALLER
    }

    /// Weight of the estimate's own magnitude (against the encoder's) in the projection after the step at time `t`, 0 to 1.
    fn blend(&self, _t: f32) -> f32 {
        0.5
    }

    /// Where on the path, 0 to 1, the waveform of a start is at home; see [`super::SamplerSettings::time`].
    fn entry(&self) -> f32 {
        0.0
    }

    /// What the first waveform is made from, where the settings ask for one.
    fn start(&self) -> Start {
        Start::Noise
    }

    /// Momentum of the projection's fast Griffin-Lim iterations.
    fn momentum(&self) -> f32 {
        0.99
    }

    /// Iterations of the projection after which its target is set anew; 0: it stays.
    fn renewal(&self) -> usize {
        0
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<Self::Condition>>;

    /// Predicts the clean waveform's spectrum from the spectrum of a point of the path, both divided by the envelope:
    /// `[T', 2K]` -> `[T', 2K]`, in each row K real parts, then K imaginary parts. `t` in [0, 1).
    fn denoise(&self, whitened: &[f32], condition: &Self::Condition, t: f32) -> Result<Vec<f32>>;
}

/// A network that somebody else owns, or several share, is one.
macro_rules! network_behind {
    ($pointer:ty) => {
        impl<N: Network> Network for $pointer {
            type Condition = N::Condition;

            fn convention(&self) -> &MelConvention {
                (**self).convention()
            }

            fn grid(&self) -> Grid {
                (**self).grid()
            }

            fn threads(&self) -> &Threads {
                (**self).threads()
            }

            fn blend(&self, t: f32) -> f32 {
                (**self).blend(t)
            }

            fn entry(&self) -> f32 {
                (**self).entry()
            }

            fn start(&self) -> Start {
                (**self).start()
            }

            fn momentum(&self) -> f32 {
                (**self).momentum()
            }

            fn renewal(&self) -> usize {
                (**self).renewal()
            }

            fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<N::Condition>> {
                (**self).encode(mel)
            }

            fn denoise(&self, whitened: &[f32], condition: &N::Condition, t: f32) -> Result<Vec<f32>> {
                (**self).denoise(whitened, condition, t)
            }
        }
    };
}

network_behind!(&N);
network_behind!(std::sync::Arc<N>);
