//! Sound as it goes from part to part: a plane of samples for each channel.

/// Planes of equal length, full scale at ±1. Samples are interleaved only in files, on pipes and in the device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sound {
    /// Hz
    pub rate: u32,
    /// One plane is mono; of two the first is left.
    pub channels: Vec<Vec<f32>>,
}

impl Sound {
    pub fn mono(samples: Vec<f32>, rate: u32) -> Self {
        Self { rate, channels: vec![samples] }
    }

    /// `channels` planes without a sample.
    pub fn empty(channels: usize, rate: u32) -> Self {
        Self { rate, channels: vec![vec![]; channels] }
    }

    /// Planes of what [`Self::interleaved`] gives.
    pub fn of_interleaved(samples: &[f32], channels: usize, rate: u32) -> Self {
        let plane = |channel| samples.iter().skip(channel).step_by(channels).copied().collect();
        Self { rate, channels: (0..channels).map(plane).collect() }
    }

    /// Samples of each channel.
    pub fn len(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn seconds(&self) -> f64 {
        self.len() as f64 / f64::from(self.rate.max(1))
    }

    /// Drops what lies outside of `range`, in samples of a channel.
    pub fn keep(&mut self, range: std::ops::Range<usize>) {
        for plane in &mut self.channels {
            plane.truncate(range.end);
            plane.drain(..range.start.min(plane.len()));
        }
    }

    /// Sample after sample, in each the channels in their order.
    pub fn interleaved(&self) -> Vec<f32> {
        (0..self.len()).flat_map(|i| self.channels.iter().map(move |plane| plane[i])).collect()
    }

    /// With `count` channels: mixed to one, or the one in each. Two of them stay two.
    pub fn of_channels(self, count: usize) -> Self {
        let rate = self.rate;
        match count {
            _ if count == self.channels.len() => self,
            1 => Self::mono(self.into_mono(), rate),
            _ => {
                let plane = self.into_mono();
                Self { rate, channels: vec![plane; count] }
            }
        }
    }

    /// The mean of the channels.
    pub fn into_mono(mut self) -> Vec<f32> {
        match self.channels.len() {
            0 => vec![],
            1 => self.channels.remove(0),
            count => (0..self.len())
                .map(|i| self.channels.iter().map(|plane| plane[i]).sum::<f32>() / count as f32)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_interleaved_kept_and_mixed() {
        let mut sound = Sound { rate: 8000, channels: vec![vec![1.0, 2.0, 3.0], vec![-1.0, 0.0, 1.0]] };
        assert_eq!(sound.interleaved(), [1.0, -1.0, 2.0, 0.0, 3.0, 1.0]);
        assert_eq!(Sound::of_interleaved(&sound.interleaved(), 2, 8000), sound);
        sound.keep(1..9);
        assert_eq!(sound.channels, [[2.0, 3.0], [0.0, 1.0]]);
        assert_eq!(sound.clone().of_channels(2), sound);
        let mono = sound.clone().of_channels(1);
        assert_eq!(mono.channels, [[1.0, 2.0]]);
        assert_eq!(mono.of_channels(2).channels, [[1.0, 2.0], [1.0, 2.0]]);
        assert_eq!(sound.into_mono(), [1.0, 2.0]);
    }
}
