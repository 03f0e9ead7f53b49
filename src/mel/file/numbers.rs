//! The values of an array where they lie: in memory, or in an open file that is read piece by piece.

use super::encoding::{Encoding, read_up_to};
use std::{
    fmt,
    fs::File,
    io::{self, Seek, SeekFrom},
    sync::{Mutex, PoisonError},
};

pub(super) enum Numbers {
    Memory(Vec<f32>),
    File(FileNumbers),
}

/// Values one after the other, from byte `start` of a file on.
pub(super) struct FileNumbers {
    encoding: Encoding,
    start: u64,
    reading: Mutex<Reading>,
}

struct Reading {
    file: File,
    bytes: Vec<u8>,
}

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

impl Numbers {
    /// The file stays open: what happens to its name changes nothing.
    pub fn in_file(file: File, start: u64, encoding: Encoding) -> Self {
        Self::File(FileNumbers { encoding, start, reading: Mutex::new(Reading { file, bytes: vec![] }) })
    }

    /// Appends `count` values from the `first` on.
    ///
    /// # Errors
    /// Where they cannot be read, or are not there any more ([`io::ErrorKind::UnexpectedEof`]).
    pub fn read(&self, first: usize, count: usize, out: &mut Vec<f32>) -> io::Result<()> {
        match self {
            Self::Memory(values) => out.extend_from_slice(&values[first..first + count]),
            Self::File(numbers) => numbers.read(first, count, out)?,
        }
        Ok(())
    }
}

impl FileNumbers {
    fn read(&self, first: usize, count: usize, out: &mut Vec<f32>) -> io::Result<()> {
        let Reading { file, bytes } = &mut *self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.encoding.size();
        file.seek(SeekFrom::Start(self.start + (first * size) as u64))?;
        out.reserve(count);
        let mut left = count * size;
        while left > 0 {
            bytes.resize(left.min(PIECE), 0);
            if read_up_to(file, bytes)? < bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.encoding.decode(bytes, out);
            left -= bytes.len();
        }
        Ok(())
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "values in memory",
            Self::File(_) => "values in a file",
        })
    }
}
