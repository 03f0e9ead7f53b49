//! What is compared: models that render the recordings anew, and folders that other programs filled.

use super::Sound;
use crate::{
    Error, Fault, Result, audio,
    batch::{AUDIO_EXTENSIONS, Inputs},
    diffusion::{ChunkLayout, Network, Renderer, SamplerSettings, WholeMel},
    mel,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

/// The recordings below a folder by name: their path in it without the extension, so that `a/x.flac` and `a/x.wav` are one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folder {
    pub files: BTreeMap<String, PathBuf>,
}

impl Folder {
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read, [`Error::Data`] where it holds no recordings, or two of one name.
    pub fn open(path: &Path) -> Result<Self> {
        let mut inputs = Inputs::default();
        inputs.add(path, None);
        if let Some(error) = inputs.unreadable.into_iter().next() {
            return Err(error);
        }
        let is_recording = |path: &Path| {
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            AUDIO_EXTENSIONS.contains(&extension.as_str())
        };
        let mut files = BTreeMap::new();
        for found in inputs.found.into_iter().filter(|found| is_recording(&found.input)) {
            let name = found.name.with_extension("").to_string_lossy().replace('\\', "/");
            if let Some(other) = files.insert(name.clone(), found.input.clone()) {
                let fault = Fault::new(
                    path.display(),
                    format!("{} and {} are one name", other.display(), found.input.display()),
                );
                return Err(Error::Data(fault.remedy(format!("move one of the two {name} away"))));
            }
        }
        if files.is_empty() {
            return Err(Error::Data(
                Fault::new(path.display(), "no recordings").expected("WAV, FLAC, MP3, OGG or AIFF files"),
            ));
        }
        Ok(Self { files })
    }
}

/// A rendering, and the seconds that it took where they were measured.
pub struct Rendering {
    pub sound: Sound,
    pub compute_s: Option<f64>,
}

/// Something that makes a sound out of a recording, or has made it.
pub trait System {
    /// # Errors
    /// Whatever stands in the way of this one file.
    fn render(&mut self, name: &str, reference: &Sound) -> Result<Rendering>;
}

/// What another program rendered.
pub struct RenderedFolder(pub Folder);

impl System for RenderedFolder {
    fn render(&mut self, name: &str, _: &Sound) -> Result<Rendering> {
        let missing = || Error::Data(Fault::new(name, "was not rendered"));
        let path = self.0.files.get(name).ok_or_else(missing)?;
        let recording = audio::read(path)?;
        Ok(Rendering {
            sound: Sound { samples: recording.samples, sample_rate: recording.sample_rate },
            compute_s: None,
        })
    }
}

/// Copy synthesis: the recording's mel, rendered back.
pub struct CopySynthesis<N> {
    pub network: N,
    pub settings: SamplerSettings,
}

impl<N: Network> System for CopySynthesis<N> {
    fn render(&mut self, _: &str, reference: &Sound) -> Result<Rendering> {
        let convention = self.network.convention();
        let audio = audio::resample(&reference.samples, reference.sample_rate, convention.sample_rate)?;
        let mel = mel::extract(&audio, convention)?;
        let start = Instant::now();
        let source = WholeMel::new(mel);
        let renderer = Renderer::new(&self.network, source, self.settings, ChunkLayout::default())?;
        let mut samples = Vec::with_capacity(audio.len());
        for chunk in renderer {
            samples.extend(chunk?);
        }
        Ok(Rendering {
            sound: Sound { samples, sample_rate: convention.sample_rate },
            compute_s: Some(start.elapsed().as_secs_f64()),
        })
    }
}
