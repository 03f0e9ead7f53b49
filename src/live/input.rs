//! A mel that another process is still writing, as the renderer takes it.

use std::{
    io::{Cursor, ErrorKind, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    Error, Fault, Result,
    audio::player::WaitingFlag,
    diffusion::MelSource,
    mel::{
        Layout, MelConvention, MelSpectrogram,
        stream::{F32leFrames, FrameReader, NpyBlocks},
    },
};

/// How the frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveFormat {
    /// By the first bytes: .npy blocks start with a magic number that no log mel has for its first value.
    #[default]
    Auto,
    /// Bare little-endian float32, the model's number of bands to a frame.
    F32le,
    /// .npy blocks one after the other.
    Npy,
}

const NPY_MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Frames as they come. A broken one ends the mel before it; the sound up to there is rendered, and
/// [`LiveStatus::take_error`] says why it ended.
pub struct LiveMel {
    frames: Frames,
    convention: MelConvention,
    status: LiveStatus,
    /// Told while there is nothing to read.
    waiting: Option<WaitingFlag>,
}

enum Frames {
    /// Nothing has been read yet.
    Unopened {
        source: Box<dyn Read + Send>,
        format: LiveFormat,
        layout: Option<Layout>,
        subject: String,
    },
    Open(Box<dyn FrameReader + Send>),
    /// The good frames before the fault have been given.
    Broken(Error),
    Ended,
}

/// What has arrived so far, to be looked at from another thread than the renderer's.
#[derive(Clone, Default)]
pub struct LiveStatus(Arc<Mutex<Arrived>>);

#[derive(Default)]
struct Arrived {
    frames: u64,
    first: Option<Instant>,
    waited: Duration,
    error: Option<Error>,
}

impl LiveStatus {
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn frames(&self) -> u64 {
        self.lock().frames
    }

    /// When the first frame was there.
    pub fn first_frame(&self) -> Option<Instant> {
        self.lock().first
    }

    /// How long the renderer has waited for frames in all.
    pub fn waited(&self) -> Duration {
        self.lock().waited
    }

    /// Why the mel ended before its source did.
    pub fn take_error(&self) -> Option<Error> {
        self.lock().error.take()
    }
}

impl LiveMel {
    /// Frames of `convention` from `source`, which `subject` names in messages: `standard input`. Nothing is read yet.
    pub fn new(
        source: impl Read + Send + 'static,
        format: LiveFormat,
        layout: Option<Layout>,
        convention: &MelConvention,
        subject: impl Into<String>,
    ) -> Self {
        let frames = Frames::Unopened { source: Box::new(source), format, layout, subject: subject.into() };
        Self { frames, convention: convention.clone(), status: LiveStatus::default(), waiting: None }
    }

    pub fn status(&self) -> LiveStatus {
        self.status.clone()
    }

    pub fn convention(&self) -> &MelConvention {
        &self.convention
    }

    /// Has the player told while there is nothing to read, so that it counts a gap as the input's.
    pub fn set_waiting_flag(&mut self, flag: WaitingFlag) {
        self.waiting = Some(flag);
    }

    fn more(&mut self, most: usize) -> Result<MelSpectrogram> {
        if let Frames::Unopened { .. } = self.frames {
            self.open()?;
        }
        match &mut self.frames {
            Frames::Open(reader) => {
                let mel = reader.read_frames(most)?;
                match check_range(&mel, &self.convention, self.status.frames()) {
                    Ok(()) => Ok(mel),
                    Err((0, error)) => Err(error),
                    Err((good, error)) => {
                        self.frames = Frames::Broken(error);
                        Ok(mel.slice(0..good))
                    }
                }
            }
            Frames::Broken(_) => match std::mem::replace(&mut self.frames, Frames::Ended) {
                Frames::Broken(error) => Err(error),
                _ => Ok(MelSpectrogram::new(Vec::new(), self.convention.n_mels)),
            },
            _ => Ok(MelSpectrogram::new(Vec::new(), self.convention.n_mels)),
        }
    }

    fn open(&mut self) -> Result<()> {
        let Frames::Unopened { mut source, format, layout, subject } =
            std::mem::replace(&mut self.frames, Frames::Ended)
        else {
            return Ok(());
        };
        let n_mels = self.convention.n_mels;
        let mut start = [0; NPY_MAGIC.len()];
        let read = if format == LiveFormat::Auto { read_start(&mut source, &mut start, &subject)? } else { 0 };
        let npy = format == LiveFormat::Npy || start == *NPY_MAGIC;
        let source = Cursor::new(start[..read].to_vec()).chain(source);
        self.frames = Frames::Open(match npy {
            true => Box::new(NpyBlocks::new(source, n_mels, layout, subject)),
            false => Box::new(F32leFrames::new(source, n_mels, subject)),
        });
        Ok(())
    }
}

/// Fills `start`, less at the source's end.
fn read_start(source: &mut impl Read, start: &mut [u8], subject: &str) -> Result<usize> {
    let mut filled = 0;
    while filled < start.len() {
        match source.read(&mut start[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("cannot read", subject)(error)),
        }
    }
    Ok(filled)
}

impl MelSource for LiveMel {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let n_mels = self.convention.n_mels;
        let mut values = Vec::new();
        while values.len() < frames * n_mels {
            let begun = Instant::now();
            if let Some(flag) = &self.waiting {
                flag.set(true);
            }
            let more = self.more(frames - values.len() / n_mels);
            if let Some(flag) = &self.waiting {
                flag.set(false);
            }
            let mut arrived = self.status.lock();
            arrived.waited += begun.elapsed();
            match more {
                Ok(mel) if mel.frames() == 0 => break,
                Ok(mel) => {
                    arrived.first.get_or_insert_with(Instant::now);
                    arrived.frames += mel.frames() as u64;
                    values.extend_from_slice(mel.values());
                }
                Err(error) => {
                    arrived.error = Some(error);
                    drop(arrived);
                    self.frames = Frames::Ended;
                    break;
                }
            }
        }
        Ok(MelSpectrogram::new(values, n_mels))
    }
}

/// Refuses values that no sound has in this convention: rendered, they would be noise. The bounds are those for files.
/// With the error comes the number of good frames before it.
fn check_range(mel: &MelSpectrogram, convention: &MelConvention, first: u64) -> Result<(), (usize, Error)> {
    // Statistics give each band bounds of its own.
    let bounds =
        |band: usize| (convention.stored(band, 0.0) - 0.01, convention.stored(band, 4.0 * convention.n_fft as f64));
    let bounds: Vec<(f64, f64)> = (0..mel.n_mels()).map(bounds).collect();
    let fits = |(i, &value): (usize, &f32)| {
        let (lowest, highest) = bounds[i % mel.n_mels()];
        (lowest..=highest).contains(&f64::from(value))
    };
    match mel.values().iter().enumerate().position(|value| !fits(value)) {
        None => Ok(()),
        Some(at) => {
            let (frame, band) = (at / mel.n_mels(), at % mel.n_mels());
            let (lowest, highest) = bounds[band];
            let found = format!("the value {:.3} at frame {}, band {band}", mel.values()[at], first + frame as u64);
            let expected = format!("{lowest:.2} to {highest:.2}, as mels of the convention {} have", convention.name);
            Err((frame, Error::Convention(Fault::new("live mel", found).expected(expected))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convention() -> MelConvention {
        MelConvention::native()
    }

    fn bytes(frames: usize) -> Vec<u8> {
        (0..frames * 100).flat_map(|i| (-5.0 - (i % 7) as f32).to_le_bytes()).collect()
    }

    fn live(bytes: Vec<u8>, format: LiveFormat) -> LiveMel {
        LiveMel::new(Cursor::new(bytes), format, None, &convention(), "standard input")
    }

    #[test]
    fn bare_floats_come_in_the_wanted_portions() {
        for format in [LiveFormat::Auto, LiveFormat::F32le] {
            let mut mel = live(bytes(10), format);
            assert_eq!(mel.status().first_frame(), None);
            assert_eq!(mel.read(4).unwrap().frames(), 4);
            assert!(mel.status().first_frame().is_some());
            let rest = mel.read(100).unwrap();
            assert_eq!((rest.frames(), rest.frame(0)[0]), (6, -5.0 - (400 % 7) as f32));
            assert_eq!(mel.read(1).unwrap().frames(), 0);
            assert_eq!(mel.status().frames(), 10);
            assert!(mel.status().take_error().is_none());
        }
    }

    #[test]
    fn npy_blocks_are_recognised() {
        let mut stream = Vec::new();
        for frames in [3usize, 5] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({frames}, 100), }}");
            // The header ends at a multiple of 64 bytes; ten come before its text, a line feed behind it.
            let padded = (header.len() + 11).next_multiple_of(64) - 10;
            stream.extend_from_slice(b"\x93NUMPY\x01\0");
            stream.extend_from_slice(&(padded as u16).to_le_bytes());
            stream.extend_from_slice(format!("{header:width$}\n", width = padded - 1).as_bytes());
            stream.extend(bytes(frames));
        }
        for format in [LiveFormat::Auto, LiveFormat::Npy] {
            let mut mel = live(stream.clone(), format);
            let frames = mel.read(100).unwrap().frames();
            assert_eq!((frames, mel.status().take_error().map(|error| error.to_string())), (8, None));
        }
    }

    /// What came before the fault is still rendered.
    #[test]
    fn a_fault_ends_the_mel_before_it() {
        let mut nan = bytes(6);
        nan[4 * 420..4 * 421].copy_from_slice(&f32::NAN.to_le_bytes());
        let mut loud = bytes(6);
        loud[4 * 420..4 * 421].copy_from_slice(&60f32.to_le_bytes());
        let cut = bytes(5)[..4 * 100 * 4 + 10].to_vec();
        for (stream, said) in [(nan, "frame 4"), (loud, "60.000 at frame 4, band 20"), (cut, "within frame 4")] {
            let mut mel = live(stream, LiveFormat::F32le);
            let frames = mel.read(2).unwrap().frames() + mel.read(100).unwrap().frames();
            let error = mel.status().take_error().unwrap().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(frames, 4, "{said}");
            assert_eq!(mel.read(1).unwrap().frames(), 0);
        }
    }
}
