//! From an input file to a mel of a known convention: mel files are checked, recordings analysed, both piece by piece.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::MEL_EXTENSIONS;
use crate::{
    Error, Fault, Result,
    audio::{self, AudioReader, Downmix, format, resampled_len},
    dsp::stft::{Edge, Stft},
    measure::{Meter, explanations},
    mel::{Frames as _, HeldMel, KnownMel, Layout, MelConvention, Said, file, interpret, recognise::Recording},
    sound::Sound,
    source::{HeldSource, Listener, MelSource, RecordingSource, Spool},
};

/// What the user says of the input beyond its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceSettings {
    /// Order of a mel array's axes.
    pub layout: Option<Layout>,
    /// Array or tensor of a file that holds several.
    pub tensor: Option<String>,
    /// The convention of mel files; `None` finds out, or refuses.
    pub convention: Option<MelConvention>,
    /// The recording that a mel was made of, or a folder that holds one of each mel's name: its own mel tells conventions
    /// apart.
    pub recordings: Option<PathBuf>,
    /// What becomes of the channels. Two of a mel file stay two here: mels cannot be mixed, their sound can.
    pub downmix: Downmix,
}

/// An input, ready to be rendered: checked as far as it can be before its sound is made.
#[derive(Debug)]
pub struct Source {
    pub mel: SourceMel,
    pub channels: usize,
    /// The model's for recordings.
    pub convention: MelConvention,
    pub frames: usize,
    /// How long the sound is to be, in samples of each channel at `rate`: a recording's own length, for a mel what its convention's framing
    /// says.
    pub samples: u64,
    /// Hz, of `samples`.
    pub rate: u32,
    /// What was assumed or looks odd, for the user.
    pub notes: Vec<String>,
    /// What the end of a recording will tell.
    pub heard: Heard,
}

/// By the source's convention; of two channels the bands lie side by side, `[T, 2 M]`.
#[derive(Debug)]
pub enum SourceMel {
    /// One a channel.
    Held(Arc<[HeldMel]>),
    /// Is made while it is read.
    Recording(Box<RecordingSource>),
}

impl SourceMel {
    /// From the first frame on.
    pub fn into_source(self) -> Box<dyn MelSource> {
        match self {
            Self::Held(channels) => Box::new(HeldSource::new(channels, 0)),
            Self::Recording(source) => source,
        }
    }

    /// For whoever goes back and forth in it.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no room for what was read.
    pub fn into_seekable(self) -> Result<SeekableMel> {
        Ok(match self {
            Self::Held(channels) => SeekableMel::Held(channels),
            Self::Recording(source) => SeekableMel::Spooled(Spool::new(source)?),
        })
    }
}

/// A mel that can be read from any frame on.
pub enum SeekableMel {
    Held(Arc<[HeldMel]>),
    Spooled(Spool),
}

impl SeekableMel {
    pub fn from_frame(&self, frame: usize) -> Box<dyn MelSource> {
        match self {
            Self::Held(channels) => Box::new(HeldSource::new(channels.clone(), frame)),
            Self::Spooled(spool) => Box::new(spool.from_frame(frame)),
        }
    }
}

/// What explains how a recording sounds, known once all of it was read.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// A sentence each; nothing before the end, nor a second time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Measures the mix of a recording at `rate` Hz as it passes.
    fn listener(&self, rate: u32) -> Result<Listener> {
        let (heard, mut meter, mut channels) = (self.clone(), Some(Meter::new(rate)?), 1);
        Ok(Box::new(move |sound, reader| {
            let Some(sound) = sound else {
                if let Some(meter) = meter.take() {
                    let explained = explanations(&meter.finish(), &reader.source(), channels == 1);
                    *heard.0.lock().unwrap_or_else(PoisonError::into_inner) = explained;
                }
                return Ok(());
            };
            channels = sound.channels.len();
            let meter = meter.as_mut();
            meter.map_or(Ok(()), |meter| match &sound.channels[..] {
                [one] => meter.push(one),
                _ => meter.push(&sound.clone().into_mono()),
            })
        }))
    }
}

impl Source {
    /// Opens `path`; recordings are analysed by `wanted`, the model's.
    ///
    /// # Errors
    /// [`Error::Mel`], [`Error::Audio`] or [`Error::Convention`] for what is broken or does not fit.
    pub fn open(path: &Path, settings: &SourceSettings, wanted: &MelConvention) -> Result<Self> {
        if is_recording(path)? {
            Self::of_recording(path, settings.downmix, wanted)
        } else {
            Self::of_mel_file(path, settings)
        }
    }

    /// How many channels [`Self::open`] would find, from a recording's header or a mel's shape.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn channels_of(path: &Path, settings: &SourceSettings) -> Result<usize> {
        if !is_recording(path)? {
            return Ok(file::read_array(path, settings.tensor.as_deref())?.into_channels().len());
        }
        let reader = AudioReader::open(path)?.mixed(settings.downmix);
        let first = { reader }.next_sound().transpose()?;
        Ok(first.map_or(1, |sound| sound.channels.len()))
    }

    fn of_recording(path: &Path, downmix: Downmix, wanted: &MelConvention) -> Result<Self> {
        let (samples, rate) = length_of(path)?;
        let heard = Heard::default();
        let mid_side = downmix == Downmix::Stereo && {
            let mut reader = AudioReader::open(path)?.mixed(Downmix::Stereo);
            has_a_middle(|| reader.next_sound().transpose())?
        };
        let listener = heard.listener(wanted.sample_rate)?;
        let mel = RecordingSource::open(path, (downmix, mid_side), wanted, listener)?;
        Ok(Self {
            channels: if mel.has_mid_side() { 2 } else { mel.channels() },
            frames: mel.frames_of(resampled_len(samples, rate, wanted.sample_rate)),
            mel: SourceMel::Recording(Box::new(mel)),
            convention: wanted.clone(),
            samples,
            rate,
            notes: vec![],
            heard,
        })
    }

    fn of_mel_file(path: &Path, settings: &SourceSettings) -> Result<Self> {
        let SourceSettings { layout, tensor, convention, recordings, .. } = settings;
        let mut arrays = file::read_array(path, tensor.as_deref())?.into_channels();
        let channels = arrays.len();
        let array = arrays.remove(0);
        let recording = recordings.as_ref().map(|recordings| recording_of(recordings, path, channels)).transpose()?;
        let said = Said { convention: convention.as_ref(), layout: *layout, recording: recording.as_ref() };
        let KnownMel { mel, convention, layout, mut notes } = interpret(path.display(), array, &said)?;
        let mut mels = vec![mel];
        for array in arrays {
            // What the first channel is, the others are.
            let said = Said { convention: Some(&convention), layout: Some(layout), recording: None };
            let other = interpret(path.display(), array, &said)?;
            notes.extend(other.notes.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
            mels.push(other.mel);
        }
        let frames = mels[0].frames();
        // Who shows a note says for itself which file it is of.
        let name = format!("{}: ", path.display());
        let notes = notes.into_iter().map(|note| note.strip_prefix(&name).map(str::to_owned).unwrap_or(note)).collect();
        Ok(Self {
            mel: SourceMel::Held(mels.into()),
            channels,
            frames,
            samples: convention.samples(frames) as u64,
            rate: convention.sample_rate,
            convention,
            notes,
            heard: Heard::default(),
        })
    }
}

/// Whether mid and side are what a recording of two channels is made of, by its beginning, of which `next` gives piece after
/// piece. They are of music that is mixed, however wide; of two voices, each on a side of its own, they are not.
pub(crate) fn has_a_middle(mut next: impl FnMut() -> Result<Option<Sound>>) -> Result<bool> {
    let (mut looked_at, mut most) = (0, u64::MAX);
    let stft = Stft::new(LOOKED_AT_FFT, LOOKED_AT_FFT / 2);
    let (mut buffers, mut pending, mut powers) = (stft.buffers(), [vec![], vec![]], [vec![], vec![]]);
    let (mut apart, mut all) = (0.0, 0.0);
    while looked_at < most
        && let Some(sound) = next()?
    {
        let [left, right] = &sound.channels[..] else { return Ok(false) };
        (looked_at, most) = (looked_at + sound.len() as u64, LOOKED_AT_S * u64::from(sound.rate));
        pending[0].extend_from_slice(left);
        pending[1].extend_from_slice(right);
        while pending[0].len() >= LOOKED_AT_FFT {
            for (pending, powers) in pending.iter_mut().zip(&mut powers) {
                stft.analyse(&pending[..LOOKED_AT_FFT], 0, Edge::Zero, &mut buffers);
                let bands = buffers.spectrum.chunks(LOOKED_AT_BINS);
                *powers = bands.map(|bins| bins.iter().map(|bin| f64::from(bin.norm_sqr())).sum::<f64>()).collect();
                pending.drain(..LOOKED_AT_FFT);
            }
            for (left, right) in powers[0].iter().zip(&powers[1]) {
                (apart, all) = (apart + (left - right).abs(), all + left + right);
            }
        }
    }
    Ok(apart < ONE_SIDED * all)
}

/// Share of the power by which two channels differ, moment by moment and band by band, from which on each has its own sound. A
/// source that is twice as strong on one side as on the other comes to .6, one on one side alone to 1.
const ONE_SIDED: f64 = 0.75;

const LOOKED_AT_FFT: usize = 2048;
/// In a band: 170 Hz of 44.1 kHz.
const LOOKED_AT_BINS: usize = 8;

/// Seconds of a recording that tell what it is.
pub(super) const LOOKED_AT_S: u64 = 30;

/// Samples of each channel of a recording, and their rate in Hz.
fn length_of(path: &Path) -> Result<(u64, u32)> {
    let reader = AudioReader::open(path)?;
    let rate = reader.source().sample_rate;
    Ok((reader.into_length()?, rate))
}

/// By its name; by its first bytes where that says nothing.
pub fn is_recording(path: &Path) -> Result<bool> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if format::is_recording(path) || MEL_EXTENSIONS.contains(&extension.as_str()) {
        return Ok(format::is_recording(path));
    }
    let start = format::start_of(path).map_err(Error::io("cannot open", path))?;
    Ok(format::of_start(&start).is_some())
}

/// The recording that the mel at `mel` was made of: `recordings` itself, or the file of the mel's name in it. Of two channels
/// where the mel has as many, the left one.
fn recording_of(recordings: &Path, mel: &Path, channels: usize) -> Result<Recording> {
    let recording = if recordings.is_dir() {
        let stem = mel.file_stem().unwrap_or_default();
        let named = |extension: &&str| {
            let mut name = stem.to_owned();
            name.push(format!(".{extension}"));
            recordings.join(name)
        };
        let found = format::EXTENSIONS.iter().map(named).find(|path| path.is_file());
        found.ok_or_else(|| {
            let fault = Fault::new(recordings.display(), format!("holds no recording named {}", stem.display()));
            Error::Data(fault.expected(format!("one of the name of {}", mel.display())))
        })?
    } else {
        recordings.to_owned()
    };
    if channels == 1 {
        return read_recording(&recording);
    }
    let reader = AudioReader::open(recording)?.mixed(Downmix::Stereo);
    let sample_rate = reader.source().sample_rate;
    let (mut sound, _) = reader.into_sound(sample_rate)?;
    Ok(Recording { samples: sound.channels.swap_remove(0), sample_rate })
}

/// A recording, to be compared with a mel.
///
/// # Errors
/// Those of [`audio::read`].
pub fn read_recording(path: &Path) -> Result<Recording> {
    let audio::Recording { samples, sample_rate, .. } = audio::read(path)?;
    Ok(Recording { samples, sample_rate })
}
