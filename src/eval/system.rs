//! What is compared: models that render the recordings anew, and folders that other programs filled.

use super::Sound;
use crate::{
    Error, Fault, Result,
    audio::{AudioReader, Downmix, resample},
    batch::{Inputs, has_a_middle, hash_file},
    card::Channels,
    mel::MelConvention,
    path_text,
    render::Renderer,
    source::WholeMel,
    vocoder::{Identity, RenderOptions, Vocoder},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The recordings below a folder by name: their path in it without the extension, so that a rendering `a/x.wav` is that of
/// `a/x.flac`. Of several in one folder that differ in the extension alone that one is taken which is rendered of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folder {
    pub files: BTreeMap<String, PathBuf>,
}

impl Folder {
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read, [`Error::Data`] where it holds no recordings.
    pub fn open(path: &Path) -> Result<Self> {
        let mut inputs = Inputs::default();
        inputs.add_recordings(path, None);
        if let Some(error) = inputs.unreadable.pop() {
            return Err(error);
        }
        inputs.keep_one_of_each_name(0);
        let files = inputs.found.into_iter().map(|found| (name_below(&found.name), found.input));
        Ok(Self { files: files.collect() })
    }

    /// These files by the names that their namesakes in `references` have, and the names of those that have none. One that
    /// lies in another subfolder will do where both sides have a single file that is called so.
    pub fn paired_with(&self, references: &Self) -> (Self, Vec<String>) {
        let by_last = |folder: &Self| {
            let mut names: HashMap<String, Vec<String>> = HashMap::new();
            for name in folder.files.keys() {
                names.entry(last_part(name).into()).or_default().push(name.clone());
            }
            names
        };
        let (ours, theirs) = (by_last(self), by_last(references));
        let mut paired = Self::default();
        let mut alone = vec![];
        for (name, path) in &self.files {
            let last = last_part(name);
            let namesake = match (ours[last].as_slice(), theirs.get(last).map(Vec::as_slice)) {
                _ if references.files.contains_key(name) => name,
                ([_], Some([only])) => only,
                _ => {
                    alone.push(name.clone());
                    continue;
                }
            };
            paired.files.insert(namesake.clone(), path.clone());
        }
        (paired, alone)
    }
}

/// The name of what lies at `path` in a folder: without its extension, with slashes on every system.
pub(crate) fn name_below(path: &Path) -> String {
    path_text::to_text(&path.with_extension("")).replace(std::path::MAIN_SEPARATOR, "/")
}

/// The file's own name, without the folders before it.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
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

    /// Everything besides the recording that the rendering of this file depends on.
    fn identity(&self, _name: &str) -> String {
        String::new()
    }

    /// The mel that it renders from, where it is a model.
    fn mel(&self) -> Option<&MelConvention> {
        None
    }
}

/// A recording of one channel or two; more are mixed to one.
pub(super) fn read(path: &Path) -> Result<Sound> {
    let reader = AudioReader::open(path)?.mixed(Downmix::Stereo);
    let rate = reader.source().sample_rate;
    Ok(reader.into_sound(rate)?.0)
}

/// What another program rendered.
pub struct RenderedFolder(pub Folder);

impl System for RenderedFolder {
    fn render(&mut self, name: &str, _: &Sound) -> Result<Rendering> {
        let missing = || Error::Data(Fault::new(name, "was not rendered"));
        let path = self.0.files.get(name).ok_or_else(missing)?;
        Ok(Rendering { sound: read(path)?, compute_s: None })
    }

    fn identity(&self, name: &str) -> String {
        self.0.files.get(name).and_then(|path| hash_file(path).ok()).unwrap_or_default()
    }
}

/// Copy synthesis: the recording's mels, rendered back, of two channels as `audiodiff render` does it; given up between chunks
/// once `stop` is true.
pub struct ModelSystem<'a> {
    vocoder: Arc<dyn Vocoder>,
    options: RenderOptions,
    stop: &'a AtomicBool,
    identity: String,
    warm: bool,
}

impl<'a> ModelSystem<'a> {
    pub fn new(vocoder: Arc<dyn Vocoder>, options: RenderOptions, stop: &'a AtomicBool) -> Self {
        let Identity { weights, arithmetic } = vocoder.identity();
        let effort = options.effort(vocoder.card());
        let identity = format!("{weights} {arithmetic} {effort}, seed {}", options.seed);
        Self { vocoder, options, stop, identity, warm: false }
    }

    fn render_now(&self, reference: &Sound) -> Result<Rendering> {
        let convention = &self.vocoder.card().mel;
        let source = Box::new(self.mel_of(reference)?);
        let start = Instant::now();
        let renderer = Renderer::new(self.vocoder.clone(), source, convention, &self.options)?;
        let mut sound = Sound::empty(renderer.channels(), renderer.rate());
        for piece in renderer {
            for (samples, more) in sound.channels.iter_mut().zip(piece?.channels) {
                samples.extend(more);
            }
            if self.stop.load(Ordering::SeqCst) {
                return Err(Error::Interrupted);
            }
        }
        Ok(Rendering { sound, compute_s: Some(start.elapsed().as_secs_f64()) })
    }

    fn mel_of(&self, reference: &Sound) -> Result<WholeMel> {
        let card = self.vocoder.card();
        let at_rate = |samples: &Vec<f32>| resample(samples, reference.rate, card.mel.sample_rate);
        let channels = reference.channels.iter().map(at_rate).collect::<Result<Vec<_>>>()?;
        let mut pieces = pieces(reference);
        let mid_side = card.channels == Channels::Mono && has_a_middle(|| Ok(pieces.next()))?;
        WholeMel::of_sound(channels, mid_side, &card.mel)
    }
}

/// The sound again, a second at a time.
fn pieces(sound: &Sound) -> impl Iterator<Item = Sound> {
    let second = sound.rate.max(1) as usize;
    (0..sound.len()).step_by(second).map(move |start| {
        let range = start..(start + second).min(sound.len());
        Sound { rate: sound.rate, channels: sound.channels.iter().map(|plane| plane[range.clone()].to_vec()).collect() }
    })
}

impl System for ModelSystem<'_> {
    fn render(&mut self, _: &str, reference: &Sound) -> Result<Rendering> {
        if !self.warm {
            // libtorch plans and allocates in its first window, which would be counted as the first file's.
            let mut start = reference.clone();
            start.keep(0..reference.rate as usize / 2);
            self.warm = self.render_now(&start).is_ok();
        }
        self.render_now(reference)
    }

    fn identity(&self, _: &str) -> String {
        self.identity.clone()
    }

    fn mel(&self) -> Option<&MelConvention> {
        Some(&self.vocoder.card().mel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> Folder {
        Folder { files: names.iter().map(|name| (name.to_string(), format!("{name}.wav").into())).collect() }
    }

    #[test]
    fn files_of_one_name_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["u.flac", "u.wav", "sub/u.wav", "u.v.wav", "u.v.x.wav"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        #[cfg(unix)]
        std::fs::write(folder.path().join("sub\\u.wav"), "").unwrap();
        let found = Folder::open(folder.path()).unwrap().files;
        let mut wanted = vec!["sub/u", "u", "u.v", "u.v.x"];
        if cfg!(unix) {
            wanted.insert(1, "sub\\u");
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), wanted);
        // That of the two which render takes.
        assert_eq!(found["u"], folder.path().join("u.wav"));
    }

    #[test]
    fn files_are_paired_by_name_and_never_twice() {
        let references = folder(&["a/x", "b/x", "c/y", "z"]);
        let (paired, alone) = folder(&["a/x", "x", "y", "deep/z", "w"]).paired_with(&references);
        let pairs: Vec<_> = paired.files.iter().map(|(name, path)| (name.as_str(), path.to_str().unwrap())).collect();
        assert_eq!(pairs, [("a/x", "a/x.wav"), ("c/y", "y.wav"), ("z", "deep/z.wav")]);
        // Which of the two x it is nobody can say.
        assert_eq!(alone, ["w", "x"]);
    }
}
