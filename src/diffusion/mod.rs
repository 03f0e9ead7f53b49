//! The diffusion: from noise to a waveform that has the given mel.
//!
//! The clock runs from t = 0 (noise) to t = 1 (clean): `x_t = (1 - t) x0 + t x1`, with x0 Gaussian noise shaped like the mel
//! and x1 the waveform. A network predicts x1 from x_t; a [`Projection`] makes the prediction agree with the mel; fresh
//! noise takes it to the next t. (Flow matching, Lipman et al. 2022, with prediction of the clean end; other code runs
//! the clock backwards.)

mod any_mel;
mod band_correction;
mod envelope;
mod foreign;
mod network;
mod noise;
mod projection;
mod renderer;
mod sampler;

pub use crate::dsp::griffin_lim::Past;
pub use any_mel::AnyMelRenderer;
pub use envelope::Envelope;
pub(crate) use envelope::{envelope_weights, upsample};
pub use foreign::{ForeignRenderer, model_mel};
pub use network::{Encoded, Grid, Network};
pub(crate) use noise::normal_pair;
pub use noise::{Noise, SeededNoise};
pub use projection::{Projection, ProjectionPlan};

pub use renderer::{ChunkLayout, MelSource, Renderer, WholeMel};
pub(crate) use sampler::PRIOR_GAIN;
pub use sampler::{Observer, SamplerSettings, Silent, Stage};
