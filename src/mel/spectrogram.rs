//! A mel spectrogram in memory: the values, and the convention by which they were made.

use super::MelConvention;
use crate::{Error, Fault, Result};

/// Log-mel values, frame after frame: `values[t * n_mels + m]`. In the native convention, natural logarithms of
/// mel magnitudes.
#[derive(Debug, Clone, PartialEq)]
pub struct MelSpectrogram {
    values: Vec<f32>,
    n_mels: usize,
}

impl MelSpectrogram {
    /// `values` is `[T, M]`, frame-major.
    ///
    /// # Panics
    /// If the length is no multiple of `n_mels`; that is the caller's slip, files are checked where they are read.
    pub fn new(values: Vec<f32>, n_mels: usize) -> Self {
        assert!(n_mels > 0 && values.len().is_multiple_of(n_mels), "{} values in rows of {n_mels}", values.len());
        Self { values, n_mels }
    }

    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    pub fn frames(&self) -> usize {
        self.values.len() / self.n_mels
    }

    /// # Errors
    /// [`Error::Mel`] where it has other bands than `channels` mels of `convention`; without a frame it fits any.
    pub fn require_bands_of(&self, convention: &MelConvention, channels: usize) -> Result<()> {
        let MelConvention { n_mels, name, .. } = convention;
        if self.values.is_empty() || self.n_mels == n_mels * channels {
            return Ok(());
        }
        let fault = Fault::new("mel", format!("{} bands", self.n_mels));
        Err(Error::Mel(fault.expected(format!("{n_mels} by the convention {name} (its n_mels)"))))
    }

    /// Mels of equal shape as one whose frames have their bands side by side: `[T, C M]`.
    ///
    /// # Panics
    /// If they are of different lengths.
    pub fn side_by_side(channels: &[Self]) -> Self {
        let (frames, width) = channels.first().map_or((0, 1), |first| (first.frames(), first.n_mels));
        assert!(channels.iter().all(|channel| channel.frames() == frames && channel.n_mels == width));
        let values = (0..frames).flat_map(|t| channels.iter().flat_map(move |channel| channel.frame(t)).copied());
        Self::new(values.collect(), width * channels.len().max(1))
    }

    /// The mel of one of `count` channels that lie side by side.
    pub fn channel(&self, channel: usize, count: usize) -> Self {
        let width = self.n_mels / count;
        let of = |frame: &[f32]| frame[channel * width..(channel + 1) * width].to_vec();
        Self::new(self.values.chunks_exact(self.n_mels).flat_map(of).collect(), width)
    }

    /// `[M]` of frame `t`.
    pub fn frame(&self, t: usize) -> &[f32] {
        &self.values[t * self.n_mels..(t + 1) * self.n_mels]
    }

    /// As [`Self::frame`], to be changed.
    pub(super) fn frame_mut(&mut self, t: usize) -> &mut [f32] {
        &mut self.values[t * self.n_mels..(t + 1) * self.n_mels]
    }

    /// `[T, M]`, frame-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Frames `range` as a spectrogram of their own.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self { values: self.values[range.start * self.n_mels..range.end * self.n_mels].to_vec(), n_mels: self.n_mels }
    }

    /// With the highest band first, or back.
    pub fn turned(mut self) -> Self {
        self.values.chunks_exact_mut(self.n_mels).for_each(<[f32]>::reverse);
        self
    }

    /// `[M, T]`, the order that most Python programs store.
    pub fn band_major(&self) -> Vec<f32> {
        let frames = self.frames();
        (0..self.n_mels)
            .flat_map(|m| (0..frames).map(move |t| (t, m)))
            .map(|(t, m)| self.values[t * self.n_mels + m])
            .collect()
    }

    /// From `[M, T]` values.
    pub fn from_band_major(values: &[f32], n_mels: usize) -> Self {
        assert!(n_mels > 0 && values.len().is_multiple_of(n_mels), "{} values in {n_mels} bands", values.len());
        let frames = values.len() / n_mels;
        let ordered = (0..frames).flat_map(|t| (0..n_mels).map(move |m| (t, m))).map(|(t, m)| values[m * frames + t]);
        Self::new(ordered.collect(), n_mels)
    }
}

/// A spectrogram and what its numbers mean, where that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredMel {
    pub mel: MelSpectrogram,
    /// What the file itself declares (audiodiff's own .safetensors do); `None` for a bare array.
    pub convention: Option<MelConvention>,
}
