//! Paths as text that can be read back: in JSON, in a manifest, as a name in a table.
//!
//! A path that is Unicode stands as it is. One that is not, as old archives have them, stands as `bytes:` and its bytes, of
//! which `%` and what is no UTF-8 are percent-encoded: `bytes:caf%E9.wav` (in Python,
//! `urllib.parse.unquote_to_bytes(text.removeprefix("bytes:"))`). A Unicode path that begins with `bytes:` itself is written
//! so as well, and two paths never have one text.
//!
//! For serde: `#[serde(with = "path_text")]`, and `path_text::option` for one that may be missing.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use serde::{Deserialize as _, Deserializer, Serializer};

const MARK: &str = "bytes:";

/// The text of a path.
pub fn to_text(path: &Path) -> Cow<'_, str> {
    match path.to_str() {
        Some(text) if !text.starts_with(MARK) => text.into(),
        _ => (MARK.to_owned() + &percent_encoded(&bytes_of(path))).into(),
    }
}

/// The path of a text that [`to_text`] wrote.
pub fn from_text(text: &str) -> PathBuf {
    text.strip_prefix(MARK).map_or_else(|| text.into(), |encoded| path_of(decoded(encoded.as_bytes())))
}

fn percent_encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text += &chunk.valid().replace('%', "%25");
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

/// A `%` without two hexadecimal digits stands for itself.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut bytes, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((16 * high + low) as u8);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

#[cfg(unix)]
fn bytes_of(path: &Path) -> Cow<'_, [u8]> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().into()
}

#[cfg(not(unix))]
fn bytes_of(path: &Path) -> Cow<'_, [u8]> {
    path.to_string_lossy().into_owned().into_bytes().into()
}

/// A path of the bytes that the system keeps for it.
#[cfg(unix)]
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(path))
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    String::deserialize(deserializer).map(|text| from_text(&text))
}

/// For a path that may be missing.
pub mod option {
    use super::{Deserializer, PathBuf, Serializer, from_text, to_text};
    use serde::{Deserialize as _, Serialize as _};

    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(to_text).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(|text| from_text(&text)))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for (bytes, text) in [
            (&b"a/b c.wav"[..], "a/b c.wav"),
            ("caf\u{e9}.wav".as_bytes(), "caf\u{e9}.wav"),
            (b"100%.wav", "100%.wav"),
            (b"a%E9.wav", "a%E9.wav"),
            (b"caf\xe9.wav", "bytes:caf%E9.wav"),
            (b"\xff\xfe%E9 \xc3", "bytes:%FF%FE%25E9 %C3"),
            // Half of a character, the rest of it whole.
            (b"\xe2\x82/\xe2\x82\xac", "bytes:%E2%82/\u{20ac}"),
            (b"bytes:a", "bytes:bytes:a"),
            (b"", ""),
        ] {
            let path = path_of(bytes.to_vec());
            assert_eq!(to_text(&path), text);
            assert_eq!(from_text(text), path, "{text}");
        }
        assert_eq!(from_text("bytes:5%"), Path::new("5%"), "as somebody may write it");
    }
}
