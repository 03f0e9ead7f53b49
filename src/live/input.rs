//! A mel that another process is still writing, as the renderer takes it.

use std::{
    io::{Cursor, ErrorKind, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    Error, Fault, Result,
    diffusion::MelSource,
    mel::{
        Layout, MelConvention, MelSpectrogram,
        bounds::Bounds,
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
    bounds: Bounds,
    subject: String,
    status: LiveStatus,
    /// A value below the floor, or a frame of padding, was said.
    said_below: bool,
    said_padding: bool,
    /// Told while there is nothing to read.
    waiting: Option<Waiting>,
}

type Waiting = Box<dyn Fn(bool) + Send>;

enum Frames {
    /// Nothing has been read yet.
    Unopened {
        source: Box<dyn Read + Send>,
        format: LiveFormat,
        layout: Option<Layout>,
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
    notes: Vec<String>,
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

    /// What was assumed or looked odd since the last call, a sentence each. The same is said once in a stream.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().notes)
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
        Self {
            frames: Frames::Unopened { source: Box::new(source), format, layout },
            convention: convention.clone(),
            bounds: Bounds::new(convention),
            subject: subject.into(),
            status: LiveStatus::default(),
            said_below: false,
            said_padding: false,
            waiting: None,
        }
    }

    pub fn status(&self) -> LiveStatus {
        self.status.clone()
    }

    pub fn convention(&self) -> &MelConvention {
        &self.convention
    }

    /// `told` is called with true whenever a read begins and false when it ends, so that a player counts a gap as the input's.
    pub fn tell_waiting(&mut self, told: impl Fn(bool) + Send + 'static) {
        self.waiting = Some(Box::new(told));
    }

    fn more(&mut self, most: usize) -> Result<MelSpectrogram> {
        if let Frames::Unopened { .. } = self.frames {
            self.open()?;
        }
        match &mut self.frames {
            Frames::Open(reader) => {
                let mel = reader.read_frames(most)?;
                let notes = reader.take_notes();
                self.status.lock().notes.extend(notes);
                self.admit(if self.convention.falling_bands { mel.turned() } else { mel })
            }
            Frames::Broken(_) => match std::mem::replace(&mut self.frames, Frames::Ended) {
                Frames::Broken(error) => Err(error),
                _ => Ok(MelSpectrogram::new(Vec::new(), self.convention.n_mels)),
            },
            _ => Ok(MelSpectrogram::new(Vec::new(), self.convention.n_mels)),
        }
    }

    /// The frames as the renderer may have them, up to the first with a value that no sound has: rendered, it would be noise.
    /// Padding becomes silence; values below the floor are rendered as the floor.
    fn admit(&mut self, mel: MelSpectrogram) -> Result<MelSpectrogram> {
        let (first, n_mels) = (self.status.frames(), mel.n_mels());
        let mut values = Vec::with_capacity(mel.values().len());
        for (t, frame) in mel.values().chunks_exact(n_mels).enumerate() {
            let number = first + t as u64;
            if self.bounds.is_padding(frame) {
                let found = format!("frame {number} is {} throughout", frame[0]);
                let said = std::mem::replace(&mut self.said_padding, true);
                self.note(said, format!("{found}; padding, rendered as silence, like all such frames"));
                values.extend(self.bounds.silence());
                continue;
            }
            if let Some(band) = self.bounds.impossible(frame) {
                let fault =
                    Fault::new("live mel", format!("the value {:.3} at frame {number}, band {band}", frame[band]));
                let ((lowest, highest), name) = (self.bounds.stored(band), &self.convention.name);
                let expected = format!("{lowest:.2} to {highest:.2}, as mels of the convention {name} have");
                let error = Error::Convention(fault.expected(expected));
                if t == 0 {
                    return Err(error);
                }
                self.frames = Frames::Broken(error);
                break;
            }
            if let Some(band) = self.bounds.below(frame) {
                let found = format!("the value {:.3} at frame {number}, band {band}", frame[band]);
                let said = std::mem::replace(&mut self.said_below, true);
                let floor = format!("the floor of {} ({:.2})", self.convention.name, self.bounds.stored(band).0);
                self.note(
                    said,
                    format!("{found} lies below {floor} and is rendered as the floor, like all such values"),
                );
            }
            values.extend_from_slice(frame);
        }
        Ok(MelSpectrogram::new(values, n_mels))
    }

    fn note(&self, said: bool, text: String) {
        if !said {
            self.status.lock().notes.push(format!("{}: {text}", self.subject));
        }
    }

    fn open(&mut self) -> Result<()> {
        let Frames::Unopened { mut source, format, layout } = std::mem::replace(&mut self.frames, Frames::Ended) else {
            return Ok(());
        };
        let (n_mels, subject) = (self.convention.n_mels, self.subject.clone());
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
            if let Some(told) = &self.waiting {
                told(true);
            }
            let more = self.more(frames - values.len() / n_mels);
            if let Some(told) = &self.waiting {
                told(false);
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

    fn stream(frames: &[Vec<f32>]) -> Vec<u8> {
        frames.concat().iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn speech(frames: usize) -> Vec<Vec<f32>> {
        (0..frames).map(|t| (0..100).map(|m| -5.0 - ((t * 7 + m * 3) % 11) as f32 / 2.0).collect()).collect()
    }

    /// A network's guess misses the floor here and there; a file with such values is rendered as well.
    #[test]
    fn stray_values_below_the_floor_are_said_once() {
        let mut frames = speech(30);
        for (t, value) in [(4, -11.813), (9, -12.5), (20, -18.0), (25, -11.52)] {
            frames[t][50] = value;
        }
        let mut mel = live(stream(&frames), LiveFormat::F32le);
        let read = mel.read(100).unwrap();
        assert_eq!((read.frames(), mel.status().take_error().is_none()), (30, true));
        let notes = mel.status().take_notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("standard input: the value -11.813 at frame 4, band 50"), "{notes:?}");
        // The same values in a file.
        let whole = MelSpectrogram::new(frames.concat(), 100);
        assert!(crate::mel::check("d1.npy", &whole, &convention()).is_ok());
    }

    #[test]
    fn padding_is_silence_and_said_once() {
        let mut frames = speech(10);
        frames[8..].fill(vec![0.0; 100]);
        let mut mel = live(stream(&frames), LiveFormat::F32le);
        let read = mel.read(100).unwrap();
        assert!(read.frame(7) == frames[7] && read.frame(8) == vec![1e-5f64.ln() as f32; 100]);
        assert_eq!(read.frame(8), read.frame(9));
        let notes = mel.status().take_notes();
        assert_eq!(
            notes,
            ["standard input: frame 8 is 0 throughout; padding, rendered as silence, like all such frames"]
        );
    }

    /// Powers go twice as far up as magnitudes, in files and here.
    #[test]
    fn the_upper_bound_is_the_files() {
        let powers = MelConvention { power: 2.0, floor: 1e-10, ..convention() };
        let loud: Vec<f32> = (0..24_000).map(|i| ((i * i) as f32 * 0.7).sin().signum()).collect();
        for convention in [convention(), powers] {
            let mel = crate::mel::extract(&loud, &convention).unwrap();
            let highest = mel.values().iter().copied().fold(f32::MIN, f32::max);
            let by = |added: f32| {
                let values: Vec<f32> = mel.values().iter().map(|v| v + added).collect();
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
                let mut live = LiveMel::new(Cursor::new(bytes), LiveFormat::F32le, None, &convention, "standard input");
                let file = crate::mel::check("x.npy", &MelSpectrogram::new(values, 100), &convention);
                (live.read(1000).unwrap().frames() == mel.frames(), file.is_ok())
            };
            assert_eq!(by(0.0), (true, true), "{highest}");
            assert_eq!(by(20.0), (false, false), "{highest}");
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
