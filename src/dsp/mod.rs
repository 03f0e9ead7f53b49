//! Signal processing that knows nothing of mels or models.

pub mod analysis;
pub mod band_correction;
pub mod banded;
pub mod convolution;
pub mod folded_fft;
pub mod griffin_lim;
pub mod kaiser;
pub mod noise;
pub mod phase_gradient;
pub mod resample;
pub mod stft;
pub mod threads;
pub mod time_stretch;
pub mod varispeed;
