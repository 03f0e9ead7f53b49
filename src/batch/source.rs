//! From an input file to a mel of a known convention: mel files are read and checked, recordings analysed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::MEL_EXTENSIONS;
use crate::{
    Error, Fault, Result,
    audio::{self, format, reader::SourceInfo},
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
}

/// An input, ready to be rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// By `convention`.
    pub mel: Arc<MelSpectrogram>,
    /// The model's for recordings.
    pub convention: MelConvention,
    /// How long the sound is to be, in samples at `rate`: a recording's own length, for a mel what its convention's framing
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
        if is_recording(path)? { Self::of_recording(path, wanted) } else { Self::of_mel_file(path, settings) }
    }

    fn of_recording(path: &Path, wanted: &MelConvention) -> Result<Self> {
        let mut recording = audio::read_at(path, wanted.sample_rate)?;
        let notes = data::explanations(&recording)?;
        // A frame at the end of the last hop, so that the sound is covered to its end, and at least a sample of silence before
        // it: where the last frame lies on the sound's last sample, half of what it sees is reflected, nothing beyond it holds
        // the phases apart, and a tone may end in a spike.
        let length = (recording.samples.len() + 1).next_multiple_of(wanted.hop);
        recording.samples.resize(length, 0.0);
        let mel = mel::extract(&recording.samples, wanted)?;
        let SourceInfo { sample_rate, samples, .. } = recording.source;
        Ok(Self { mel: mel.into(), convention: wanted.clone(), samples, rate: sample_rate, notes })
    }

    fn of_mel_file(path: &Path, settings: &SourceSettings) -> Result<Self> {
        let SourceSettings { layout, tensor, convention, recordings } = settings;
        let array = file::read_array(path, tensor.as_deref())?;
        let recording = recordings.as_ref().map(|recordings| recording_of(recordings, path)).transpose()?;
        let said = Said { convention: convention.as_ref(), layout: *layout, recording: recording.as_ref() };
        let KnownMel { mel, convention, notes } = interpret(path.display(), array, &said)?;
        let samples = convention.samples(mel.frames()) as u64;
        // Who shows a note says for itself which file it is of.
        let name = format!("{}: ", path.display());
        let notes = notes.into_iter().map(|note| note.strip_prefix(&name).map(str::to_owned).unwrap_or(note)).collect();
        Ok(Self { mel: mel.into(), samples, rate: convention.sample_rate, convention, notes })
    }
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

/// The recording that the mel at `mel` was made of: `recordings` itself, or the file of the mel's name in it.
fn recording_of(recordings: &Path, mel: &Path) -> Result<Recording> {
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
    read_recording(&recording)
}

/// A recording, to be compared with a mel.
///
/// # Errors
/// Those of [`audio::read`].
pub fn read_recording(path: &Path) -> Result<Recording> {
    let audio::Recording { samples, sample_rate, .. } = audio::read(path)?;
    Ok(Recording { samples, sample_rate })
}
