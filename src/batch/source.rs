//! From an input file to a mel of a known convention: mel files are read and checked, recordings analysed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::MEL_EXTENSIONS;
use crate::{
    Error, Fault, Result,
    audio::{self, AudioReader, Downmix, format, reader::SourceInfo},
    data,
    mel::{self, KnownMel, Layout, MelConvention, MelSpectrogram, Said, file, interpret, recognise::Recording},
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

/// An input, ready to be rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// By `convention`; of two channels the bands lie side by side, [T, 2 M].
    pub mel: Arc<MelSpectrogram>,
    pub channels: usize,
    /// The model's for recordings.
    pub convention: MelConvention,
    /// How long the sound is to be, in samples of each channel at `rate`: a recording's own length, for a mel what its convention's framing
    /// says.
    pub samples: u64,
    /// Hz, of `samples`.
    pub rate: u32,
    /// What was assumed or looks odd, for the user.
    pub notes: Vec<String>,
}

impl Source {
    /// Reads `path`; recordings are analysed by `wanted`, the model's.
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
        let (mut sound, source) = AudioReader::open(path)?.mixed(downmix).into_sound(wanted.sample_rate)?;
        let channels = sound.channels.len();
        let sample_rate = sound.rate;
        // A recording of one channel is lent, not copied: it may be long.
        let samples = if channels == 1 { sound.channels.remove(0) } else { sound.clone().into_mono() };
        let recording = audio::Recording { samples, sample_rate, source };
        let notes = data::explanations(&recording, channels == 1)?;
        if channels == 1 {
            sound.channels.push(recording.samples);
        }
        // A frame at the end of the last hop, so that the sound is covered to its end, and at least a sample of silence before
        // it: where the last frame lies on the sound's last sample, half of what it sees is reflected, nothing beyond it holds
        // the phases apart, and a tone may end in a spike.
        let length = (sound.len() + 1).next_multiple_of(wanted.hop);
        let of_channel = |mut samples: Vec<f32>| {
            samples.resize(length, 0.0);
            mel::extract(&samples, wanted)
        };
        let mels = sound.channels.into_iter().map(of_channel).collect::<Result<Vec<_>>>()?;
        let mel = one_or_side_by_side(mels).into();
        let SourceInfo { sample_rate, samples, .. } = source;
        Ok(Self { mel, channels, convention: wanted.clone(), samples, rate: sample_rate, notes })
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
        let samples = convention.samples(mels[0].frames()) as u64;
        // Who shows a note says for itself which file it is of.
        let name = format!("{}: ", path.display());
        let notes = notes.into_iter().map(|note| note.strip_prefix(&name).map(str::to_owned).unwrap_or(note)).collect();
        let (mel, rate) = (one_or_side_by_side(mels).into(), convention.sample_rate);
        Ok(Self { mel, channels, samples, rate, convention, notes })
    }
}

fn one_or_side_by_side(mut mels: Vec<MelSpectrogram>) -> MelSpectrogram {
    if mels.len() == 1 { mels.remove(0) } else { MelSpectrogram::side_by_side(&mels) }
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
