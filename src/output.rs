//! The rules that every output keeps, whichever command makes it: what is there is replaced only where that is wanted, an
//! input is never written over, and what is no regular file is written to, not replaced.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use crate::{Error, Fault, Result, Setting};

/// What to do with outputs that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to start.
    Refuse,
    Overwrite,
    Skip,
}

impl Existing {
    /// For commands that cannot skip: `-y` or nothing.
    pub fn overwritten(overwrite: bool) -> Self {
        if overwrite { Self::Overwrite } else { Self::Refuse }
    }

    /// Whether `output` is to be made; false where it is there and to be skipped.
    ///
    /// # Errors
    /// [`Error::Exists`] where it is there and stays, [`Error::Settings`] where it is one of `inputs` or a folder.
    pub fn admits<P: AsRef<Path>>(self, output: &Path, inputs: impl IntoIterator<Item = P>) -> Result<bool> {
        if is_stream(output) || !output.exists() {
            return Ok(true);
        }
        keep_off_inputs(output, inputs)?;
        if output.is_dir() {
            return Err(Error::Settings(Fault::new(output.display(), "is a folder").expected("the name of a file")));
        }
        match self {
            Self::Overwrite => Ok(true),
            Self::Skip => Ok(false),
            Self::Refuse => Err(Error::Exists(output.to_owned())),
        }
    }
}

/// Refuses an output that is one of `inputs`, by whatever name or link.
///
/// # Errors
/// [`Error::Settings`] names it.
pub fn keep_off_inputs<P: AsRef<Path>>(output: &Path, inputs: impl IntoIterator<Item = P>) -> Result<()> {
    let Some(id) = FileId::of(output) else { return Ok(()) };
    match inputs.into_iter().any(|input| FileId::of(input.as_ref()).as_ref() == Some(&id)) {
        true => Err(overwrites_input(output)),
        false => Ok(()),
    }
}

pub(crate) fn overwrites_input(output: &Path) -> Error {
    let fault = Fault::new(output.display(), "would be overwritten, and is an input");
    Error::Settings(fault.remedy(format!("name another file or folder with {}", Setting::Output)))
}

/// A regular file by what it is, not by its name: all links to it are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileId {
    /// `None` where `path` leads to no regular file.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    pub fn of(path: &Path) -> Option<Self> {
        path.is_file().then(|| path.canonicalize().ok().map(Self)).flatten()
    }
}

/// Whether an output of this name is written to as it is: a pipe, a device, a descriptor of this process such as
/// /dev/stdout. Renaming a file over one would replace it.
pub fn is_stream(path: &Path) -> bool {
    descriptor(path).is_some() || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Opens an output for which [`is_stream`] is true. A descriptor goes on where the shell has opened it, at the end of a file
/// to be appended to for instance.
///
/// # Errors
/// The system's.
pub fn open_stream(path: &Path) -> io::Result<File> {
    match descriptor(path) {
        Some(number) => duplicate(number),
        None => OpenOptions::new().write(true).open(path),
    }
}

/// Links that are followed from a name; the system's own limit.
const MOST_LINKS: usize = 40;

/// Where a name leads: the last of its symbolic links is followed, to a file that is there or not.
///
/// # Errors
/// Links that lead in a circle.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("")).join(link),
            // No link, or nothing of this name.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The number of this process's descriptor that a name like /dev/stdout or /dev/fd/63 stands for.
#[cfg(unix)]
pub fn descriptor(path: &Path) -> Option<i32> {
    let own = Path::new("/proc/self/fd").canonicalize().ok();
    let mut path = std::path::absolute(path).ok()?;
    for _ in 0..MOST_LINKS {
        let folder = path.parent()?.canonicalize().ok()?;
        let name = path.file_name()?;
        if folder == Path::new("/dev/fd") || Some(&folder) == own.as_ref() {
            return name.to_str()?.parse().ok();
        }
        path = folder.join(fs::read_link(folder.join(name)).ok()?);
    }
    None
}

#[cfg(not(unix))]
pub fn descriptor(_: &Path) -> Option<i32> {
    None
}

#[cfg(unix)]
fn duplicate(descriptor: i32) -> io::Result<File> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: takes any number, and fails for one that is not open.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    match copy {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the copy was made for us alone.
        copy => Ok(unsafe { File::from_raw_fd(copy) }),
    }
}

#[cfg(not(unix))]
fn duplicate(_: i32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens a file that is kept under its own name, as `options` say: never through a symbolic link that lies in its place,
/// and never a pipe or device.
///
/// # Errors
/// The system's, and those of what is no regular file.
pub(crate) fn open_in_place(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe without a writer would be waited for.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path).map_err(|error| match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => io::Error::other("it is a symbolic link; name the file itself"),
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_output_is_refused_overwritten_or_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let (there, new) = (folder.path().join("there"), folder.path().join("new"));
        fs::write(&there, "old").unwrap();
        let admits = |existing: Existing, path: &Path| existing.admits(path, [] as [&Path; 0]);
        for existing in [Existing::Refuse, Existing::Overwrite, Existing::Skip] {
            assert!(admits(existing, &new).unwrap());
            assert!(admits(existing, Path::new("/dev/null")).unwrap(), "nothing of a device is lost");
            assert!(matches!(admits(existing, folder.path()), Err(Error::Settings(_))));
        }
        assert!(matches!(admits(Existing::Refuse, &there), Err(Error::Exists(path)) if path == there));
        assert!(admits(Existing::Overwrite, &there).unwrap());
        assert!(!admits(Existing::Skip, &there).unwrap());
    }

    #[test]
    fn an_input_is_known_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("input"), "").unwrap();
        fs::write(at("other"), "").unwrap();
        fs::hard_link(at("input"), at("hard")).unwrap();
        symlink("input", at("soft")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        for name in ["input", "hard", "soft", "sub/../input"] {
            for existing in [Existing::Refuse, Existing::Overwrite, Existing::Skip] {
                let error = existing.admits(&at(name), [at("other"), at("input")]).unwrap_err().to_string();
                assert!(error.contains("is an input"), "{name}: {error}");
            }
        }
        assert!(Existing::Overwrite.admits(&at("other"), [at("input"), at("missing")]).unwrap());
    }

    #[test]
    fn descriptors_have_names() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/dev/stdout", folder.path().join("out")).unwrap();
        symlink("out", folder.path().join("again")).unwrap();
        for (name, number) in [("/dev/stdout", 1), ("/dev/stderr", 2), ("/dev/fd/63", 63), ("/proc/self/fd/1", 1)] {
            assert_eq!(descriptor(Path::new(name)), Some(number), "{name}");
        }
        assert_eq!(descriptor(&folder.path().join("again")), Some(1));
        for name in ["/dev/null", "x.wav", "/proc/self/fd", "/dev/fd/x"] {
            assert_eq!(descriptor(Path::new(name)), None, "{name}");
        }
        assert!(is_stream(Path::new("/dev/null")) && !is_stream(folder.path()) && !is_stream(Path::new("no/such")));
        assert!(duplicate(999_999).is_err());
    }
}
