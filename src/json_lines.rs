//! A file that grows by a line of JSON: what a run has done so far, for the run that goes on with it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{Error, Fault, Result, Setting, output::open_in_place};

/// Longest line that is read.
const LONGEST_LINE: u64 = 1 << 20;

/// Held by this process alone until it is dropped.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens the file, or makes it, and hands each line that is there to `each`. The beginning of a line at the end, as a
    /// killed process leaves it, is taken off. `option` is where another file could be named: `--manifest`.
    ///
    /// # Errors
    /// [`Error::Manifest`] names the line that is none of these; [`Error::Io`] of kind `ResourceBusy` while another run
    /// writes, and for a symbolic link, pipe or device. The file is then as it was.
    pub fn open<T: DeserializeOwned>(
        path: impl Into<PathBuf>,
        setting: Setting,
        mut each: impl FnMut(T),
    ) -> Result<Self> {
        let path = path.into();
        let mut file = open_in_place(&path, OpenOptions::new().read(true).append(true).create(true))
            .map_err(Error::io("cannot open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let busy = io::Error::new(io::ErrorKind::ResourceBusy, "another run writes to it; each needs its own");
                return Err(Error::Io { path, action: "cannot use", source: busy });
            }
            // A file system without locks: as good as it gets.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, action: "cannot lock", source }),
        }
        let mut reader = BufReader::new(&file);
        let (mut whole, mut line) = (0, Vec::new());
        for number in 1.. {
            line.clear();
            let taken = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line);
            let length = taken.map_err(Error::io("cannot read", &path))? as u64;
            let ended = line.last() == Some(&b'\n');
            let text = line.trim_ascii();
            if length == 0 || (!ended && length < LONGEST_LINE && is_torn::<T>(text)) {
                break;
            }
            if !text.is_empty() {
                each(serde_json::from_slice(text).map_err(|error| {
                    let fault = Fault::new(format!("{}: line {number}", path.display()), format!("no entry ({error})"));
                    Error::Manifest(fault.remedy(format!("take the line out, or name another file with {setting}")))
                })?);
            }
            whole += length;
        }
        if file.seek(SeekFrom::End(0)).map_err(Error::io("cannot read", &path))? != whole {
            file.set_len(whole).map_err(Error::io("cannot mend", &path))?;
            file.seek(SeekFrom::End(0)).map_err(Error::io("cannot read", &path))?;
        }
        Ok(Self { path, file })
    }

    /// Appends a line, which a process that is killed cannot take back any more.
    pub fn append(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io("cannot write", &self.path))
    }

    /// Waits until everything is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("cannot write", &self.path))
    }
}

/// Whether `text`, which no line feed ends, is an entry or the beginning of one. Another file that happens to have a single
/// line must not be taken for it and emptied.
fn is_torn<T: DeserializeOwned>(text: &[u8]) -> bool {
    if text.is_empty() {
        return true;
    }
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => serde_json::from_slice::<T>(text).is_ok(),
        // An object with nothing wrong before its end.
        Err(error) => text[0] == b'{' && (error.is_eof() || error.column() >= text.len()),
    }
}
