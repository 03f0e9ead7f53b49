//! A source that can be gone back in: what was read once lies in a nameless file, which no mel's length makes large in memory.

use super::MelSource;
use crate::{Error, Result, mel::MelSpectrogram};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Frames that are read at once on the way to one that is far ahead.
const BLOCK: usize = 1024;

/// Keeps what it reads. Clones share it; one reads at a time.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Mutex<Shared>>,
    channels: usize,
    has_mid_side: bool,
}

struct Shared {
    source: Box<dyn MelSource>,
    file: File,
    /// Values a frame; known with the first one.
    width: usize,
    /// Frames in the file.
    kept: usize,
}

impl Spool {
    /// # Errors
    /// [`Error::Io`] where no file can be made.
    pub fn new(source: Box<dyn MelSource>) -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        let (channels, has_mid_side) = (source.channels(), source.has_mid_side());
        Ok(Self { shared: Arc::new(Mutex::new(Shared { source, file, width: 0, kept: 0 })), channels, has_mid_side })
    }

    /// The source from `frame` on.
    pub fn from_frame(&self, frame: usize) -> Spooled {
        Spooled { spool: self.clone(), next: frame }
    }
}

impl Shared {
    /// Up to `frames` frames from `first` on.
    fn read(&mut self, first: usize, frames: usize) -> Result<MelSpectrogram> {
        while self.kept < first && self.advance(BLOCK.min(first - self.kept))?.frames() > 0 {}
        if first >= self.kept {
            return self.advance(frames);
        }
        let count = frames.min(self.kept - first);
        let mut bytes = vec![0; count * self.width * 4];
        let at = (first * self.width * 4) as u64;
        self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut bytes)).map_err(failed)?;
        let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes));
        Ok(MelSpectrogram::new(values.collect(), self.width))
    }

    /// The source's next frames.
    fn advance(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mel = self.source.read(frames)?;
        self.width = mel.n_mels();
        let bytes: Vec<u8> = mel.values().iter().flat_map(|value| value.to_ne_bytes()).collect();
        self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(&bytes)).map_err(failed)?;
        self.kept += mel.frames();
        Ok(mel)
    }
}

fn failed(source: std::io::Error) -> Error {
    Error::Io { path: std::env::temp_dir(), action: "cannot keep the mel in", source }
}

/// What [`Spool::from_frame`] gives.
pub struct Spooled {
    spool: Spool,
    next: usize,
}

impl MelSource for Spooled {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mel = self.spool.shared.lock().unwrap_or_else(PoisonError::into_inner).read(self.next, frames)?;
        self.next += mel.frames();
        Ok(mel)
    }

    fn channels(&self) -> usize {
        self.spool.channels
    }

    fn has_mid_side(&self) -> bool {
        self.spool.has_mid_side
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::WholeMel;

    #[test]
    fn any_frame_is_had_again() {
        let mel = MelSpectrogram::new((0..6000).map(|v| v as f32).collect(), 2);
        let spool = Spool::new(Box::new(WholeMel::new(mel.clone()))).unwrap();
        let all = |mut source: Spooled, at_once| {
            let mut values = vec![];
            loop {
                let mel = source.read(at_once).unwrap();
                if mel.frames() == 0 {
                    return values;
                }
                values.extend(mel.into_values());
            }
        };
        assert_eq!(spool.from_frame(3).read(4).unwrap(), mel.slice(3..7));
        // Back, far ahead, and beyond the end.
        assert_eq!(spool.from_frame(1).read(2).unwrap(), mel.slice(1..3));
        assert_eq!(spool.from_frame(2500).read(4).unwrap(), mel.slice(2500..2504));
        assert_eq!(spool.from_frame(4000).read(4).unwrap().frames(), 0);
        assert_eq!(all(spool.from_frame(0), 7), mel.values());
        assert_eq!(all(spool.from_frame(2000), 5000), mel.slice(2000..3000).values());
    }
}
