//! The diffusion: from noise to a waveform that has the given mel.
//!
//! The clock runs from t = 0 (noise) to t = 1 (clean): `x_t = (1 - t) x0 + t x1`, with x0 Gaussian noise shaped like the mel
//! and x1 the waveform. A network predicts x1 from x_t; a [`Projection`] makes the prediction agree with the mel; fresh
//! noise takes it to the next t. (Flow matching, Lipman et al. 2022, with prediction of the clean end; other code runs
//! the clock backwards.)

mod effort;
mod envelope;
mod network;
mod projection;
mod renderer;
mod sampler;

pub use crate::{
    card::ChunkLayout,
    dsp::{
        griffin_lim::Past,
        noise::{Noise, SeededNoise},
    },
};
pub(crate) use effort::{ladder, rendering};
pub use envelope::Envelope;
#[cfg(feature = "lab")]
pub(crate) use envelope::envelope_weights;
pub(crate) use envelope::upsample;
pub use network::{Encoded, Grid, Network, Start};
#[cfg(feature = "lab")]
pub(crate) use projection::EMPHASIS;
pub use projection::{Projection, ProjectionPlan};

pub use crate::source::{MelSource, WholeMel};
pub use renderer::Renderer;
#[cfg(feature = "lab")]
pub(crate) use sampler::PRIOR_GAIN;
pub use sampler::{Observer, SamplerSettings, Silent, Stage};
