//! Formats of recordings: by the names and the first bytes of their files.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Extensions of files that are recordings and can be read.
pub const EXTENSIONS: &[&str] = &[
    "wav", "wave", "flac", "mp3", "ogg", "oga", "aif", "aiff", "aifc", "opus", "m4a", "m4b", "aac", "caf", "w64",
    "rf64", "bwf", "au", "snd", "mka", "mp2",
];

/// What is read, in words.
pub const NAMES: &str = "WAV, AIFF, FLAC, MP3, Ogg Vorbis, Opus, AAC or ALAC in M4A, CAF, W64 or AU";

/// What is known of a format by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One that is read from its start to its end.
    Stream,
    /// One whose tables may lie at its end, so that the file has to be sought in.
    Indexed,
    /// One that is not read, by its name.
    Foreign(&'static str),
}

/// Whether a file's name says that it is a recording which can be read.
pub fn is_recording(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

/// Bytes that [`of_start`] wants to see.
pub const START: u64 = 64;

/// The first bytes of a file; none of what is no regular file, which would be used up.
pub fn start_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    if std::fs::metadata(path)?.is_file() {
        File::open(path)?.take(START).read_to_end(&mut start)?;
    }
    Ok(start)
}

/// The format of a file that begins with `start`; `None` for what no recording begins with.
pub fn of_start(start: &[u8]) -> Option<Format> {
    use Format::{Foreign, Indexed, Stream};
    let at = |position: usize, bytes: &[u8]| start.get(position..).is_some_and(|rest| rest.starts_with(bytes));
    Some(match start {
        _ if (at(0, b"RIFF") || at(0, b"RF64") || at(0, b"BW64")) && at(8, b"WAVE") => Stream,
        _ if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => Stream,
        _ if at(0, b"riff\x2e\x91\xcf\x11") || at(0, b".snd") => Stream,
        _ if at(0, b"fLaC") || at(0, b"OggS") || at(0, b"ID3") => Stream,
        _ if at(0, b"caff") => Indexed,
        // An ISO media file begins with a box, whose length comes first.
        _ if at(4, b"ftyp") || at(4, b"moov") || at(4, b"mdat") => Indexed,
        _ if at(0, b"\x1a\x45\xdf\xa3") => Indexed,
        _ if at(0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11") => Foreign("WMA"),
        _ if at(0, b"#!AMR") => Foreign("AMR"),
        _ if at(0, b"wvpk") => Foreign("WavPack"),
        _ if at(0, b"MAC ") => Foreign("Monkey's Audio"),
        _ if at(0, b"MPCK") || at(0, b"MP+") => Foreign("Musepack"),
        _ if at(0, b"TTA1") => Foreign("True Audio"),
        _ if at(0, b"DSD ") || (at(0, b"FRM8") && at(12, b"DSD ")) => Foreign("DSD"),
        _ if at(0, b"NIST_1A") => Foreign("NIST SPHERE"),
        _ if at(0, b"Creative Voice File") => Foreign("Creative VOC"),
        _ if at(0, b".RMF") || at(0, b".ra\xfd") => Foreign("RealAudio"),
        _ if at(0, b"\x0b\x77") => Foreign("AC-3"),
        _ if at(0, b"MThd") => Foreign("MIDI"),
        // MPEG audio without a tag: eleven bits set, then a version, layer, bit rate and sample rate that exist. Layer 0
        // is AAC in ADTS; layer I is found in no file today, and looks like the byte order mark of a text in UTF-16.
        [0xFF, second, third, ..] if second & 0xE0 == 0xE0 && second & 0x18 != 0x08 => {
            let is_adts = second & 0xF6 == 0xF0 && third & 0x3C <= 0x30;
            let is_mpeg = matches!(second & 0x06, 0x02 | 0x04) && third & 0xF0 != 0xF0 && third & 0x0C != 0x0C;
            return (is_adts || is_mpeg).then_some(Stream);
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let of = |name: &str| {
            let bytes = std::fs::read(format!("{}/tests/audio/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            of_start(&bytes[..START as usize])
        };
        for name in ["tone.aiff", "tone.flac", "tone.mp3", "tone.ogg", "speech.opus", "tone-ima.wav"] {
            assert_eq!(of(name), Some(Format::Stream), "{name}");
        }
        assert_eq!(of("speech.m4a"), Some(Format::Indexed));
        assert_eq!(of_start(b"#!AMR\n\x3c"), Some(Format::Foreign("AMR")));
        for other in
            [&b"\x93NUMPY\x01\0"[..], b"PK\x03\x04", b"{\"a\": 1}", b"in/a.wav\n", b"\xff\xfea\0", b"\xff", b""]
        {
            assert_eq!(of_start(other), None, "{other:?}");
        }
    }
}
