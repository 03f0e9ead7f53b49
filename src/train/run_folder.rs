//! The folder of a training: one at a time in it, nothing lost that is there, and the same training that goes on.

use super::{
    card::sizes,
    checkpoint::{Header, Origin},
    clips::Clips,
    settings::TrainSettings,
};
use crate::{
    Error, Fault, Result,
    model::ModelCard,
    output::{Existing, open_in_place},
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder, made where it is not there. What it holds of a training without a state to go on from is replaced only
    /// where that is wanted.
    ///
    /// # Errors
    /// [`Error::Exists`] names a model or history that stays, [`Error::Io`].
    pub fn open(path: &Path, overwrite: bool) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io("cannot create", path))?;
        let folder = Self(path.into());
        if !folder.state().exists() {
            for path in [Self::BEST, Self::LAST, Self::HISTORY, Self::CURVES].map(|name| folder.file(name)) {
                // A run that was cut off before its first checkpoint leaves a history of nothing.
                if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
                    Existing::overwritten(overwrite).admits(&path, [] as [&Path; 0])?;
                }
            }
        }
        Ok(folder)
    }

    pub const BEST: &str = "best.safetensors";
    pub const LAST: &str = "last.safetensors";
    pub const HISTORY: &str = "metrics.jsonl";
    pub const CURVES: &str = "curves.svg";

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.file("state.safetensors")
    }

    /// One training at a time in a folder. The lock goes with the process, however it ends.
    pub fn lock(&self) -> Result<File> {
        let path = self.file(".lock");
        let options = &mut File::options();
        let file = open_in_place(&path, options.read(true).write(true).create(true))
            .map_err(Error::io("cannot create", &path))?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(Error::Data(
                Fault::new(self.0.display(), "another process trains here")
                    .remedy("wait for it, or give another `out`"),
            )),
            // A file system without locks: as good as it gets.
            _ => Ok(file),
        }
    }
}

fn begun_otherwise(path: &Path, found: String, expected: String) -> Error {
    Error::Settings(
        Fault::new(path.display(), found)
            .expected(expected)
            .remedy("give the same command to go on, or another `out` to start anew"),
    )
}

/// Whether the training that is saved has this recipe and network.
///
/// # Errors
/// [`Error::Settings`] names what differs.
pub fn check_same(header: &Header, settings: &TrainSettings, card: &ModelCard, path: &Path) -> Result<()> {
    if let Some((field, was, is)) = header.settings.difference(settings) {
        let expected = format!("{is}, as this command says");
        return Err(begun_otherwise(path, format!("was made with `{field}` = {was}"), expected));
    }
    if sizes(&header.card) != sizes(card) || header.card.mel != card.mel {
        let expected = "those of the model to begin with".into();
        return Err(begun_otherwise(path, "is of a network of other sizes".into(), expected));
    }
    Ok(())
}

/// Whether it was begun with these recordings and this model.
///
/// # Errors
/// [`Error::Settings`] names what differs.
pub fn check_origin(header: &Header, origin: &Origin, clips: &Clips, path: &Path) -> Result<()> {
    // Trainings of earlier versions know names and lengths alone, and not what they were begun from.
    if header.data != origin.data && header.data != clips.fingerprint_of_lengths() {
        let expected = "the same `data` and `validation`, sample by sample, and the same `validation.share`".into();
        return Err(begun_otherwise(path, "was made with other recordings".into(), expected));
    }
    if header.init.as_ref().is_some_and(|init| *init != origin.init) {
        let expected = "the same `init`, byte by byte".into();
        return Err(begun_otherwise(path, "was begun with another model".into(), expected));
    }
    Ok(())
}
