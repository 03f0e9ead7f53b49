//! W64 and AU: headers of their own before samples as WAV and AIFF hold them, brought to a [`ChunkFile`].

use std::io::{Read, Seek, SeekFrom};

use super::chunks::{ChunkFault, ChunkFile, Container, LONGEST_FORMAT, MOST_CHUNKS};

/// First four bytes, and the rest of the identifiers that W64 has in place of RIFF's tags.
const RIFF_REST: [u8; 12] = *b"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";
const CHUNK_REST: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";

/// A W64 file: chunks of 64-bit sizes, each with its header counted, at multiples of 8 bytes. `None` for other files.
pub(super) fn scan_w64(mut file: impl Read + Seek, file_len: u64) -> Result<Option<ChunkFile>, ChunkFault> {
    let mut start = [0; 40];
    if file_len < 40 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut start)?;
    let is_w64 = start.starts_with(b"riff") && start[4..16] == RIFF_REST && &start[24..28] == b"wave";
    if !is_w64 || start[28..] != CHUNK_REST {
        return Ok(None);
    }
    let (mut format, mut position) = (None, 40);
    for _ in 0..MOST_CHUNKS {
        if position + 24 > file_len {
            break;
        }
        let mut header = [0; 24];
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut header)?;
        let [.., a, b, c, d, e, f, g, h] = header;
        let size = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let (tag, left) = (&header[..4], file_len - position - 24);
        let body = size.checked_sub(24).ok_or_else(|| ChunkFault::Broken(format!("it has a chunk of {size} bytes")))?;
        match tag {
            _ if header[4..16] != CHUNK_REST => {}
            b"fmt " => {
                if body > u64::from(LONGEST_FORMAT) || body > left {
                    return Err(ChunkFault::Broken(format!("its format chunk claims {body} bytes")));
                }
                let mut bytes = vec![0; body as usize];
                file.read_exact(&mut bytes)?;
                format = Some(bytes);
            }
            b"data" => {
                let format = format.ok_or_else(|| ChunkFault::Broken("it has no format chunk".into()))?;
                // Writers into a pipe leave 0 or all bits set.
                let promised = Some(body).filter(|&body| body <= 1 << 62 && (body > 0 || left == 0));
                return Ok(Some(ChunkFile {
                    container: Container::Wave,
                    format,
                    frames: None,
                    data_start: position + 24,
                    promised,
                    present: promised.unwrap_or(left).min(left),
                    info: None,
                }));
            }
            _ => {}
        }
        position = position.saturating_add(size).saturating_add(7) & !7;
    }
    Err(ChunkFault::Broken("it has no sound data".into()))
}

/// An AU file: six big-endian numbers, then the samples. `None` for other files.
pub(super) fn scan_au(mut file: impl Read + Seek, file_len: u64) -> Result<Option<ChunkFile>, ChunkFault> {
    let mut start = [0; 24];
    if file_len < 24 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut start)?;
    if !start.starts_with(b".snd") {
        return Ok(None);
    }
    let number = |i: usize| u32::from_be_bytes([start[4 * i], start[4 * i + 1], start[4 * i + 2], start[4 * i + 3]]);
    let (data_start, size, encoding, rate, channels) = (number(1), number(2), number(3), number(4), number(5));
    // By number: AIFF-C's name of the samples, and their bits.
    let (kind, bits) = match encoding {
        1 => (b"ulaw", 8),
        2 => (b"NONE", 8),
        3 => (b"NONE", 16),
        4 => (b"NONE", 24),
        5 => (b"NONE", 32),
        6 => (b"fl32", 32),
        7 => (b"fl64", 64),
        27 => (b"alaw", 8),
        other => return Err(ChunkFault::Broken(format!("an AU file of encoding {other} cannot be read"))),
    };
    let left = file_len.saturating_sub(u64::from(data_start));
    let promised = Some(u64::from(size)).filter(|_| size != u32::MAX);
    let present = promised.unwrap_or(left).min(left);
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    let frames = present / (u64::from(channels) * bits / 8).max(1);
    let mut format = channels.to_be_bytes().to_vec();
    format.extend_from_slice(&u32::try_from(frames).unwrap_or(u32::MAX).to_be_bytes());
    format.extend_from_slice(&(bits as u16).to_be_bytes());
    format.extend_from_slice(&extended(rate));
    format.extend_from_slice(kind);
    // The name of the compression, a string of no length, padded.
    format.extend_from_slice(&[0, 0]);
    Ok(Some(ChunkFile {
        container: Container::Aiff { compressed: true },
        format,
        frames: promised.map(|_| frames),
        data_start: u64::from(data_start),
        promised,
        present,
        info: None,
    }))
}

/// A whole number as AIFF writes rates: 80 bits of floating point.
fn extended(value: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    if value > 0 {
        let shift = value.leading_zeros();
        bytes[..2].copy_from_slice(&(0x3FFF + 31 - shift as u16).to_be_bytes());
        bytes[2..6].copy_from_slice(&(value << shift).to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_aiff_has_them() {
        // As Apple's and SoX's files have 44100 and 8000.
        assert_eq!(extended(44_100), [0x40, 0x0E, 0xAC, 0x44, 0, 0, 0, 0, 0, 0]);
        assert_eq!(extended(8_000), [0x40, 0x0B, 0xFA, 0, 0, 0, 0, 0, 0, 0]);
    }
}
