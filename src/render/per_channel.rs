//! A mono model on a mel of several channels: each is a source of its own, however unevenly they are read.

use crate::{Result, mel::MelSpectrogram, source::MelSource};
use std::sync::{Arc, Mutex, PoisonError};

/// One source a channel of `source`, whose frames are [C M].
pub fn split(source: Box<dyn MelSource>, n_mels: usize) -> Vec<Box<dyn MelSource>> {
    let channels = source.channels();
    let shared = Arc::new(Mutex::new(Shared { source, pending: vec![vec![]; channels] }));
    (0..channels).map(|channel| Box::new(Channel { shared: shared.clone(), channel, n_mels }) as _).collect()
}

struct Shared {
    source: Box<dyn MelSource>,
    /// Of each channel, the values [T M] that were read for another one.
    pending: Vec<Vec<f32>>,
}

struct Channel {
    shared: Arc<Mutex<Shared>>,
    channel: usize,
    n_mels: usize,
}

impl MelSource for Channel {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let Shared { source, pending } = &mut *self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if pending[self.channel].is_empty() {
            let width = pending.len() * self.n_mels;
            for frame in source.read(frames)?.values().chunks_exact(width) {
                for (pending, values) in pending.iter_mut().zip(frame.chunks_exact(self.n_mels)) {
                    pending.extend_from_slice(values);
                }
            }
        }
        let pending = &mut pending[self.channel];
        let count = pending.len().min(frames.saturating_mul(self.n_mels));
        Ok(MelSpectrogram::new(pending.drain(..count).collect(), self.n_mels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::WholeMel;

    #[test]
    fn every_channel_gets_its_own_frames_however_it_reads() {
        // Frame t of channel c is [10 t + c, 10 t + c + 0.5].
        let values = (0..5).flat_map(|t| [0, 1].map(|c| (10 * t + c) as f32)).flat_map(|v| [v, v + 0.5]).collect();
        let source = WholeMel::new(MelSpectrogram::new(values, 4)).of_channels(2);
        let mut channels = split(Box::new(source), 2);
        let mut read = |c: usize, frames: usize| channels[c].read(frames).unwrap().into_values();
        assert_eq!(read(0, 2), [0.0, 0.5, 10.0, 10.5]);
        assert_eq!(read(1, 1), [1.0, 1.5]);
        assert_eq!(read(1, 9), [11.0, 11.5]);
        assert_eq!(read(1, 9), [21.0, 21.5, 31.0, 31.5, 41.0, 41.5]);
        assert_eq!(read(0, 9), [20.0, 20.5, 30.0, 30.5, 40.0, 40.5]);
        assert_eq!(read(0, 9), [0.0; 0]);
        assert_eq!(read(1, 9), [0.0; 0]);
    }
}
