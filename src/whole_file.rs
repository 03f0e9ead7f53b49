//! A file that appears whole or not at all: written under a temporary name beside its own, synced, then renamed.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A file in the making. Dropped before [`finish`](Self::finish) it leaves nothing behind; a process that is killed
/// leaves the temporary file, which the next attempt at the same name takes over.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    finished: bool,
}

impl WholeFile {
    /// Opens `.<name>.part` beside `path`; `path` itself is touched by `finish` only, which replaces what was there.
    ///
    /// # Errors
    /// [`Error::Io`]; of kind `ResourceBusy` while another process makes the same file.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let part = part_name(&path);
        let file = open_locked(&part).map_err(Error::io("cannot create", &path))?;
        Ok(Self { path, part, file, finished: false })
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the file and puts it in its place.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io("cannot write", &self.path))?;
        fs::rename(&self.part, &self.path).map_err(Error::io("cannot create", &self.path))?;
        self.finished = true;
        // The name itself is in the folder's data. Some file systems cannot sync a folder; the file is whole anyway.
        if let Some(folder) = self.path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about a failure; the next attempt takes the file over.
            let _ = fs::remove_file(&self.part);
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for WholeFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for WholeFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// The temporary name: always the same for a file, so that nothing piles up where processes are killed.
fn part_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

/// An empty file that this process alone holds. The lock goes with the process, however it ends.
fn open_locked(part: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another run is writing it"));
            }
            // A file system without locks: as good as it gets.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between opening and locking, the other process may have renamed the file to its final name.
        if is_still_named(&file, part)? {
            file.set_len(0)?;
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_still_named(file: &File, part: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let held = file.metadata()?;
    match fs::metadata(part) {
        Ok(named) => Ok((held.dev(), held.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_still_named(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn appears_only_when_finished_and_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        fs::write(&path, "old").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["x.wav"]);
    }

    #[test]
    fn leaves_nothing_when_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = WholeFile::create(folder.path().join("x.wav")).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn takes_over_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".x.wav.part"), "half of a longer file").unwrap();
        let mut file = WholeFile::create(folder.path().join("x.wav")).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(folder.path().join("x.wav")).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["x.wav"]);
    }

    #[test]
    fn two_writers_of_one_file_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let first = WholeFile::create(folder.path().join("x.wav")).unwrap();
        let second = WholeFile::create(folder.path().join("x.wav"));
        assert!(second.unwrap_err().to_string().contains("another run is writing it"));
        first.finish().unwrap();
        WholeFile::create(folder.path().join("x.wav")).unwrap();
    }
}
