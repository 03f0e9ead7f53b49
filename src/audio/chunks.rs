//! Walks the chunks of WAV and AIFF files (and, with [`headers`](super::headers), of W64 and AU) without believing what they say about sizes.
//!
//! Programs that stream write a size of 0, 0xFFFFFFFF or another huge number, programs that are killed leave 0, copies
//! that break off leave a size that the file no longer has. The decoder gets a fresh header that tells the truth, so
//! that neither a false size nor a metadata chunk of four gigabytes reaches it.

use std::io::{self, Read, Seek, SeekFrom};

use super::headers::{scan_au, scan_w64};

/// Far above every known `fmt ` or `COMM` chunk (MS ADPCM's has 50 bytes).
pub(super) const LONGEST_FORMAT: u32 = 4096;

/// Far above what a metadata chunk of ours or of an audio editor holds.
const LONGEST_INFO: u32 = 1 << 20;

/// Real files have a handful; a crafted one could make us walk through millions of empty ones.
pub(super) const MOST_CHUNKS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Wave,
    /// AIFF or, where true, AIFF-C.
    Aiff {
        compressed: bool,
    },
}

/// What a chunk file holds, and how much of it is there.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    pub container: Container,
    /// Body of `fmt ` or `COMM`.
    pub format: Vec<u8>,
    /// Number of frames of all channels by WAV's `fact` or AIFF's `COMM`.
    pub frames: Option<u64>,
    /// Where the samples start, in bytes from the file's start.
    pub data_start: u64,
    /// Bytes of samples that the header promises; `None` where it leaves that open.
    pub promised: Option<u64>,
    /// Bytes of samples that the file holds.
    pub present: u64,
    /// Body of a `LIST` chunk of type `INFO`.
    pub info: Option<Vec<u8>>,
}

/// Why a chunk file cannot be used; a phrase that goes into a `Fault`.
#[derive(Debug)]
pub(crate) enum ChunkFault {
    Io(io::Error),
    Broken(String),
}

impl From<io::Error> for ChunkFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Walker<R> {
    file: R,
    file_len: u64,
    big_endian: bool,
}

impl<R: Read + Seek> Walker<R> {
    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Tag and size at `position`, or `None` where fewer than eight bytes are left.
    fn header(&mut self, position: u64) -> io::Result<Option<([u8; 4], u32)>> {
        if position.saturating_add(8) > self.file_len {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(position))?;
        let (mut tag, mut size) = ([0; 4], [0; 4]);
        self.file.read_exact(&mut tag)?;
        self.file.read_exact(&mut size)?;
        Ok(Some((tag, self.u32(size))))
    }

    /// The next `size` bytes, which are at most what the file still has.
    fn body(&mut self, position: u64, size: u32, what: &str) -> Result<Vec<u8>, ChunkFault> {
        let left = self.file_len.saturating_sub(position);
        if u64::from(size) > left {
            return Err(ChunkFault::Broken(format!(
                "its {what} chunk promises {size} bytes and the file has {left} more"
            )));
        }
        let mut body = vec![0; size as usize];
        self.file.seek(SeekFrom::Start(position))?;
        self.file.read_exact(&mut body)?;
        Ok(body)
    }
}

/// Reads the layout of a WAV (RIFF, RF64), AIFF, W64 or AU file; `None` for every other kind.
pub(crate) fn scan(mut file: impl Read + Seek) -> Result<Option<ChunkFile>, ChunkFault> {
    let file_len = file.seek(SeekFrom::End(0))?;
    if file_len < 12 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut start = [0; 12];
    file.read_exact(&mut start)?;
    let container = match (&start[..4], &start[8..]) {
        (b"RIFF" | b"RF64" | b"BW64", b"WAVE") => Container::Wave,
        (b"FORM", b"AIFF") => Container::Aiff { compressed: false },
        (b"FORM", b"AIFC") => Container::Aiff { compressed: true },
        (b"riff", _) => return scan_w64(file, file_len),
        (b".snd", _) => return scan_au(file, file_len),
        _ => return Ok(None),
    };
    let mut walker = Walker { file, file_len, big_endian: container != Container::Wave };
    let outer = u64::from(walker.u32([start[4], start[5], start[6], start[7]]));

    let (mut format, mut frames, mut long_size, mut info) = (None, None, None, None);
    let mut data: Option<(u64, Option<u64>)> = None;
    let mut position = 12;
    for _ in 0..MOST_CHUNKS {
        let Some((tag, size)) = walker.header(position)? else { break };
        let body = position + 8;
        match &tag {
            b"fmt " | b"COMM" if format.is_none() => {
                if size > LONGEST_FORMAT {
                    return Err(ChunkFault::Broken(format!("its format chunk claims {size} bytes")));
                }
                let bytes = walker.body(body, size, "format")?;
                if container != Container::Wave && bytes.len() >= 6 {
                    frames = Some(u64::from(walker.u32([bytes[2], bytes[3], bytes[4], bytes[5]])));
                }
                format = Some(bytes);
            }
            b"fact" if (4..=LONGEST_FORMAT).contains(&size) => {
                let bytes = walker.body(body, size, "fact")?;
                // Streamed files say 0 or 0xFFFFFFFF here too.
                let count = walker.u32([bytes[0], bytes[1], bytes[2], bytes[3]]);
                frames = Some(u64::from(count)).filter(|&count| count != 0 && count != u64::from(u32::MAX));
            }
            b"ds64" if (24..=LONGEST_FORMAT).contains(&size) => {
                let bytes = walker.body(body, size, "ds64")?;
                let mut long = [0; 8];
                long.copy_from_slice(&bytes[8..16]);
                long_size = Some(u64::from_le_bytes(long));
            }
            b"LIST" if info.is_none() && (4..=LONGEST_INFO).contains(&size) && body + u64::from(size) <= file_len => {
                let bytes = walker.body(body, size, "LIST")?;
                if bytes.starts_with(b"INFO") {
                    info = Some(bytes);
                }
            }
            b"data" if container == Container::Wave && data.is_none() => {
                let promised = match (long_size, size) {
                    (Some(long), u32::MAX) => Some(long),
                    _ => wave_data_size(size, outer, body, file_len),
                };
                data = Some((body, promised));
                if promised.is_none() {
                    break;
                }
            }
            b"SSND" if container != Container::Wave && data.is_none() => {
                if size < 8 {
                    return Err(ChunkFault::Broken(format!("its sound chunk has {size} bytes")));
                }
                let head = walker.body(body, 8, "sound")?;
                let offset = walker.u32([head[0], head[1], head[2], head[3]]);
                if offset > size - 8 {
                    return Err(ChunkFault::Broken(format!("its sound starts {offset} bytes into a chunk of {size}")));
                }
                data = Some((body + 8 + u64::from(offset), Some(u64::from(size - 8 - offset))));
            }
            _ => {}
        }
        // Chunks start at even positions. Only the samples of an RF64 are longer than their chunk's header can say.
        let size = data.filter(|_| &tag == b"data").and_then(|(_, promised)| promised).unwrap_or(u64::from(size));
        position = body.saturating_add(size).saturating_add(size % 2);
    }

    let Some(format) = format else {
        return Err(ChunkFault::Broken("it has no format chunk".into()));
    };
    let Some((data_start, promised)) = data else {
        return Err(ChunkFault::Broken("it has no sound data".into()));
    };
    let left = file_len.saturating_sub(data_start);
    let present = promised.map_or(left, |promised| promised.min(left));
    Ok(Some(ChunkFile { container, format, frames, data_start, promised, present, info }))
}

/// Bytes that a WAV's data chunk promises, or `None` where its writer did not know or did not get to say.
fn wave_data_size(size: u32, outer: u64, body: u64, file_len: u64) -> Option<u64> {
    let size_of_file_unknown = outer == 0 || outer == u64::from(u32::MAX) || outer + 8 <= body;
    let ends_behind_the_file = body + u64::from(size) > file_len;
    match size {
        u32::MAX => None,
        0 if size_of_file_unknown && file_len > body => None,
        // 2 or 4 GiB, less what a header and whole samples take: SoX, arecord and others write it into a pipe, and leave it
        // where they are stopped.
        0x7FFF_0000..=0x8000_0000 | 0xFFFF_0000.. if ends_behind_the_file => None,
        size => Some(u64::from(size)),
    }
}

impl ChunkFile {
    pub fn channels(&self) -> usize {
        match (self.container, self.format.get(..4)) {
            (Container::Wave, Some(&[_, _, low, high])) => usize::from(u16::from_le_bytes([low, high])),
            (Container::Aiff { .. }, Some(&[high, low, _, _])) => usize::from(u16::from_be_bytes([high, low])),
            (_, _) => 0,
        }
    }

    /// Samples of each channel where the header's count is worth more than the bytes: ADPCM fills its last block up,
    /// and AIFF's count is not optional. The `fact` of a PCM file is often a leftover of an edit.
    pub fn exact_frames(&self) -> Option<u64> {
        const MS_ADPCM: [u8; 2] = [0x02, 0x00];
        const IMA_ADPCM: [u8; 2] = [0x11, 0x00];
        let exact = match self.container {
            Container::Wave => self.format.starts_with(&MS_ADPCM) || self.format.starts_with(&IMA_ADPCM),
            Container::Aiff { .. } => true,
        };
        self.frames.filter(|&frames| exact && frames > 0)
    }

    /// Samples of each channel where every one has the same number of bytes: PCM, floats, A-law and mu-law.
    pub fn counted_frames(&self) -> Option<u64> {
        const OF_EQUAL_BYTES: [u16; 4] = [1, 3, 6, 7];
        const EXTENSIBLE: u16 = 0xfffe;
        let number = |at: usize| Some(u16::from_le_bytes([*self.format.get(at)?, *self.format.get(at + 1)?]));
        let (tag, channels, block, bits) = (number(0)?, number(2)?, number(12)?, number(14)?);
        // The kind of an extensible header is the start of its GUID.
        let tag = if tag == EXTENSIBLE { number(24)? } else { tag };
        let is_counted = matches!(self.container, Container::Wave)
            && OF_EQUAL_BYTES.contains(&tag)
            && block > 0
            && u32::from(block) * 8 == u32::from(channels) * u32::from(bits.next_multiple_of(8));
        is_counted.then(|| self.present / u64::from(block))
    }

    /// Samples of each channel that the bytes stand for at the least: compressed ones are more.
    pub fn least_frames(&self) -> u64 {
        let number = |at: usize| self.format.get(at..at + 2).map_or([0; 2], |bytes| [bytes[0], bytes[1]]);
        let bytes = match self.container {
            Container::Wave => u64::from(u16::from_le_bytes(number(12))),
            Container::Aiff { .. } => self.channels() as u64 * u64::from(u16::from_be_bytes(number(6)).div_ceil(8)),
        };
        self.present / bytes.max(1)
    }

    /// A header of the same kind, with nothing but format and sound, for `data_len` bytes.
    pub fn fresh_header(&self, data_len: u64) -> Vec<u8> {
        let format_len = self.format.len() as u32;
        let mut header = Vec::with_capacity(64 + self.format.len());
        // Too long for a 32-bit field: as a stream, which ends where the file ends.
        let size = |extra: u64| u32::try_from(data_len + extra).unwrap_or(u32::MAX);
        let padded = u64::from(format_len + format_len % 2);
        match self.container {
            Container::Wave => {
                header.extend_from_slice(b"RIFF");
                header.extend_from_slice(&size(4 + 8 + padded + 8).to_le_bytes());
                header.extend_from_slice(b"WAVEfmt ");
                header.extend_from_slice(&format_len.to_le_bytes());
                header.extend_from_slice(&self.format);
                header.resize(20 + padded as usize, 0);
                header.extend_from_slice(b"data");
                header.extend_from_slice(&size(0).to_le_bytes());
            }
            Container::Aiff { compressed } => {
                header.extend_from_slice(b"FORM");
                header.extend_from_slice(&size(4 + 8 + padded + 16).to_be_bytes());
                header.extend_from_slice(if compressed { b"AIFC" } else { b"AIFF" });
                header.extend_from_slice(b"COMM");
                header.extend_from_slice(&format_len.to_be_bytes());
                header.extend_from_slice(&self.format);
                header.resize(20 + padded as usize, 0);
                header.extend_from_slice(b"SSND");
                header.extend_from_slice(&size(8).to_be_bytes());
                header.extend_from_slice(&[0; 8]);
            }
        }
        header
    }
}
