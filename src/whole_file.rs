//! A file that appears whole or not at all: written under a temporary name beside its own, synced, then renamed.
//!
//! The temporary name always is the same for a file, so that nothing piles up where processes are killed, and can therefore
//! be known to others. It is only ever made anew: a link, pipe or file that lies there is not opened for writing. What a
//! killed process left is removed, where it is this user's alone and nobody holds its lock.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    output::{is_stream, open_in_place, open_stream, target},
    scratch::Scratch,
};

/// A file in the making. Dropped before [`finish`](Self::finish) it leaves nothing behind; a process that is killed
/// leaves the temporary file, which the next attempt at the same name removes.
///
/// A symbolic link stays one: the file that it leads to is replaced. What is no regular file is written to by `finish`.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    file: File,
    /// None for what is no regular file; the content then waits in a file without a name.
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    /// The temporary name; none once it has its own.
    scratch: Option<Scratch>,
    /// The name that it will have.
    target: PathBuf,
    /// Those of the file that it replaces.
    permissions: Option<Permissions>,
}

impl WholeFile {
    /// Opens a temporary file beside `path`; `path` itself is touched by `finish` only, which replaces what was there and
    /// keeps its permissions.
    ///
    /// # Errors
    /// [`Error::Io`]; of kind `ResourceBusy` while another process makes the same file.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let failed = || Error::io("cannot create", &path);
        if is_stream(&path) {
            let file = tempfile::tempfile().map_err(failed())?;
            return Ok(Self { path, file, part: None });
        }
        let target = target(&path).map_err(failed())?;
        let permissions = fs::metadata(&target).ok().map(|metadata| metadata.permissions());
        let (part, file) = match create_part(part_name(&target), permissions.is_some()) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                create_part(short_part_name(&target), permissions.is_some())
            }
            created => created,
        }
        .map_err(failed())?;
        Ok(Self { path, file, part: Some(Part { scratch: Some(Scratch::new(part)), target, permissions }) })
    }

    /// The name that the file was asked for by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where there is room for a file of its size.
    pub(crate) fn folder(&self) -> PathBuf {
        self.part.as_ref().map_or_else(std::env::temp_dir, |part| folder_of(&part.target).to_owned())
    }

    /// Syncs the file and puts it in its place.
    pub fn finish(mut self) -> Result<()> {
        let Some(part) = &mut self.part else {
            return send(&mut self.file, &self.path).map_err(Error::io("cannot write", &self.path));
        };
        if let Some(permissions) = part.permissions.take() {
            set_permissions(&self.file, permissions).map_err(Error::io("cannot write", &self.path))?;
        }
        self.file.sync_all().map_err(Error::io("cannot write", &self.path))?;
        part.put_in_place(&self.file).map_err(Error::io("cannot create", &self.path))
    }
}

impl Part {
    fn put_in_place(&mut self, file: &File) -> io::Result<()> {
        let Some(scratch) = &self.scratch else { return Ok(()) };
        if !is_still_named(file, scratch.path())? {
            return Err(io::Error::other("its temporary file was taken away"));
        }
        fs::rename(scratch.path(), &self.target)?;
        if let Some(scratch) = self.scratch.take() {
            scratch.keep();
        }
        // The name itself is in the folder's data. Some file systems cannot sync a folder; the file is whole anyway.
        let _ = File::open(folder_of(&self.target)).and_then(|folder| folder.sync_all());
        Ok(())
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `.NAME.audiodiff.part`. It says whose it is: other programs leave `.NAME.part`, which are not ours to remove.
pub(crate) fn part_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".audiodiff.part");
    path.with_file_name(name)
}

/// For a name that leaves no room for more: 255 bytes are the most that usual file systems take.
pub(crate) fn short_part_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let hash = blake3::hash(name.as_encoded_bytes()).to_hex();
    path.with_file_name(format!(".{}.audiodiff.part", &hash[..16]))
}

/// A new, empty file that this process alone holds. The lock goes with the process, however it ends. `private`: for nobody
/// else to read, as what it replaces may not be for everybody.
fn create_part(part: PathBuf, private: bool) -> io::Result<(PathBuf, File)> {
    let mut new = OpenOptions::new();
    new.read(true).write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt as _;
        new.mode(0o600);
    }
    loop {
        match new.open(&part) {
            Ok(file) => {
                lock(&file)?;
                // Between opening and locking, another process may have taken it for a leftover.
                if is_still_named(&file, &part)? {
                    return Ok((part, file));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove_leftover(&part)?,
            Err(error) => return Err(error),
        }
    }
}

fn remove_leftover(part: &Path) -> io::Result<()> {
    let file = match open_in_place(part, OpenOptions::new().read(true)) {
        Ok(file) if is_own(&file)? => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => {
            let name = part.file_name().unwrap_or_default().display();
            let reason = format!("{name} is there, and is no temporary file of this user; remove it");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
        }
    };
    lock(&file)?;
    // Before the lock was ours, its holder may have given it its final name and another begun anew.
    if is_still_named(&file, part)? { fs::remove_file(part) } else { Ok(()) }
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another run is writing it")),
        // A file system without locks: as good as it gets.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Hands everything to a pipe, a device or a descriptor.
fn send(file: &mut File, path: &Path) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut stream = open_stream(path)?;
    io::copy(file, &mut stream)?;
    stream.flush()
}

#[cfg(unix)]
fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    // Who may read, write and run it; not whom it runs as.
    file.set_permissions(Permissions::from_mode(permissions.mode() & 0o777))
}

#[cfg(not(unix))]
fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    file.set_permissions(permissions)
}

/// This user's, and under no other name.
#[cfg(unix)]
fn is_own(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata()?;
    // SAFETY: cannot fail and touches no memory.
    let user = unsafe { libc::geteuid() };
    Ok(metadata.is_file() && metadata.uid() == user && metadata.nlink() == 1)
}

#[cfg(not(unix))]
fn is_own(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.is_file())
}

#[cfg(unix)]
fn is_still_named(file: &File, part: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let held = file.metadata()?;
    match fs::symlink_metadata(part) {
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
    fn removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".x.wav.audiodiff.part"), "half of a longer file").unwrap();
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

    /// None of what may be planted under the temporary name is followed, written to or removed.
    #[cfg(unix)]
    #[test]
    fn what_is_not_ours_is_left_alone() {
        use std::os::unix::fs::symlink;
        type Plant = fn(&Path, &Path);
        let plants: [(&str, Plant); 4] = [
            ("link", |victim, part| symlink(victim, part).unwrap()),
            ("dangling link", |_, part| symlink("nowhere", part).unwrap()),
            ("hard link", |victim, part| fs::hard_link(victim, part).unwrap()),
            ("folder", |_, part| fs::create_dir(part).unwrap()),
        ];
        for (name, plant) in plants {
            let folder = tempfile::tempdir().unwrap();
            let (victim, part) = (folder.path().join("victim"), folder.path().join(".x.wav.audiodiff.part"));
            fs::write(&victim, "precious").unwrap();
            plant(&victim, &part);
            let text = WholeFile::create(folder.path().join("x.wav")).unwrap_err().to_string();
            assert!(text.contains(".x.wav.audiodiff.part is there") && text.ends_with("; remove it"), "{name}: {text}");
            assert_eq!(fs::read(&victim).unwrap(), b"precious", "{name}");
            assert!(fs::symlink_metadata(&part).is_ok(), "{name}");
            assert!(!folder.path().join("nowhere").exists() && !folder.path().join("x.wav").exists(), "{name}");
        }
    }

    #[test]
    fn every_name_that_the_file_system_takes_will_do() {
        let folder = tempfile::tempdir().unwrap();
        for length in [230, 239, 240, 250, 255] {
            let path = folder.path().join("x".repeat(length));
            let mut file = WholeFile::create(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
            file.write_all(b"whole").unwrap();
            file.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"whole");
        }
        assert_eq!(names(folder.path()).len(), 5);
        let error = WholeFile::create(folder.path().join("x".repeat(256))).and_then(WholeFile::finish).unwrap_err();
        assert!(matches!(error, Error::Io { .. }));
        assert_eq!(names(folder.path()).len(), 5);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| {
            let mut file = WholeFile::create(at(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.finish().unwrap();
        };
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/x"), "old").unwrap();
        fs::set_permissions(at("sub/x"), Permissions::from_mode(0o640)).unwrap();
        symlink("sub/x", at("first")).unwrap();
        symlink("first", at("second")).unwrap();
        write("second", "new");
        assert_eq!(fs::read(at("sub/x")).unwrap(), b"new");
        assert_eq!(fs::metadata(at("sub/x")).unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(at("first").is_symlink() && at("second").is_symlink());
        // A link to what is not there yet says where it is to be.
        symlink("sub/y", at("third")).unwrap();
        write("third", "made");
        assert_eq!(fs::read(at("sub/y")).unwrap(), b"made");
        assert!(at("third").is_symlink());
        symlink("circle", at("circle")).unwrap();
        assert!(WholeFile::create(at("circle")).unwrap_err().to_string().contains("symbolic links"));
        assert_eq!(names(&at("sub")), ["x", "y"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_stays_one() {
        use std::os::unix::fs::FileTypeExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the name is a string with its end.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"..ole").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(b"wh").unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        file.finish().unwrap();
        assert_eq!(reader.join().unwrap(), b"whole");
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    }
}
