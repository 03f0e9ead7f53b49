//! From an input file to the mel that the model takes: mel files are read and checked, recordings analysed.

use std::path::Path;

use super::AUDIO_EXTENSIONS;
use crate::{
    Error, Fault, Result, audio, data,
    mel::{
        self, Layout, MelConvention, MelSpectrogram,
        file::{self, ReadOptions},
        recognise::{recognise, rendered_alike},
    },
};

/// What the user says of the input beyond its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceSettings {
    /// Order of a mel array's axes.
    pub layout: Option<Layout>,
    /// Array or tensor of a file that holds several.
    pub tensor: Option<String>,
    /// The convention of a mel file; `None` finds out, or refuses.
    pub convention: Option<MelConvention>,
}

/// An input, ready to be rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// By the model's convention.
    pub mel: MelSpectrogram,
    /// How long the sound is to be, in samples at `rate`: a recording's own length, (T - 1) hop for a mel.
    pub samples: u64,
    /// Hz, of `samples`.
    pub rate: u32,
    /// What was assumed or looks odd, for the user.
    pub notes: Vec<String>,
}

impl Source {
    /// Reads `path` for a model that takes `wanted`.
    ///
    /// # Errors
    /// [`Error::Mel`], [`Error::Audio`] or [`Error::Convention`] for what is broken or does not fit.
    pub fn open(path: &Path, settings: &SourceSettings, wanted: &MelConvention) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if AUDIO_EXTENSIONS.contains(&extension.as_str()) {
            Self::of_recording(path, wanted)
        } else {
            Self::of_mel_file(path, settings, wanted)
        }
    }

    fn of_recording(path: &Path, wanted: &MelConvention) -> Result<Self> {
        let mut recording = audio::read_at(path, wanted.sample_rate)?;
        let notes = data::explanations(&recording)?;
        // A frame at the end of the last hop, so that the sound is covered to its end.
        let length = recording.samples.len().next_multiple_of(wanted.hop).max(wanted.hop);
        recording.samples.resize(length, 0.0);
        let mel = mel::extract(&recording.samples, wanted)?;
        let audio::reader::SourceInfo { sample_rate, samples, .. } = recording.source;
        Ok(Self { mel, samples, rate: sample_rate, notes })
    }

    fn of_mel_file(path: &Path, settings: &SourceSettings, wanted: &MelConvention) -> Result<Self> {
        let SourceSettings { layout, tensor, convention } = settings;
        let array = file::read_array(path, tensor.as_deref())?;
        let convention = match convention.clone().or(array.convention()?) {
            Some(declared) => declared,
            None => {
                let ranking = recognise(&array.shape, &array.values, None);
                // What is not certain is tried as the model's own, and refused by `check` where it cannot be.
                ranking.certain().map_or_else(|| wanted.clone(), |candidate| candidate.convention.clone())
            }
        };
        if !rendered_alike(&convention, wanted) {
            let found = format!("a mel of the convention {}", convention.name);
            let fault = Fault::new(path.display(), found).expected(format!("{}, the model's", wanted.name));
            let remedy = "compute the mel that way (audiodiff mel shows how), for this version converts none";
            return Err(Error::Convention(fault.remedy(remedy)));
        }
        let options = ReadOptions { n_mels: Some(convention.n_mels), layout: *layout, tensor: tensor.clone() };
        let file = array.into_mel(&options)?;
        let mel = file.declared.mel;
        if mel.frames() < 2 {
            let fault = Fault::new(path.display(), format!("a mel of {} frames", mel.frames()));
            return Err(Error::Mel(fault.expected("2 or more, the two ends of a hop of sound")));
        }
        let findings = mel::check(path.display(), &mel, &convention)?;
        let notes = file.notes.into_iter().chain(findings.into_iter().map(|finding| finding.message));
        // Who shows a note says for itself which file it is of.
        let name = format!("{}: ", path.display());
        let notes = notes.map(|note| note.strip_prefix(&name).map(str::to_owned).unwrap_or(note)).collect();
        let samples = wanted.samples(mel.frames()) as u64;
        Ok(Self { mel: at_floor(mel, wanted), samples, rate: wanted.sample_rate, notes })
    }
}

/// What another program's lower floor let through is silence to the model, too.
fn at_floor(mel: MelSpectrogram, wanted: &MelConvention) -> MelSpectrogram {
    let (n_mels, floor) = (mel.n_mels(), wanted.stored(0, 0.0) as f32);
    MelSpectrogram::new(mel.into_values().into_iter().map(|v| v.max(floor)).collect(), n_mels)
}
