//! NumPy's .npy format, versions 1.0 to 3.0 (NEP 1; `numpy.lib.format`).
//!
//! The header is a Python dict in text. It is read here and not by a library because it is hostile ground: the crates at
//! hand allocate the length that a file claims, overflow on absurd dimensions and backtrack without end on nested braces.

use super::{
    array::{Size, elements},
    encoding::{Encoding, Float, read_up_to},
};
use crate::{Error, Fault, Result};
use std::io::{self, Read, Write};

pub(in crate::mel) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy itself refuses longer ones (`max_header_size`), for the same reason.
const LONGEST_HEADER: usize = 10_000;
/// NumPy's own limit of an array's axes.
const MOST_AXES: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::mel) struct Header {
    pub encoding: Encoding,
    pub fortran_order: bool,
    pub shape: Vec<usize>,
    pub size: Size,
    /// Bytes from the start of the file to the first value.
    pub length: u64,
}

/// The header at the start of `reader`, which then stands at the first value. `subject` names the source in errors.
pub(in crate::mel) fn read_header(reader: &mut impl Read, subject: &str) -> Result<Header> {
    let (text, length) = read_text(reader, subject)?;
    let Fields { descr, fortran_order, shape } = Fields::read(&text, subject)?;
    let encoding = encoding(descr, subject)?;
    let size = elements(&shape, encoding, subject)?;
    Ok(Header { encoding, fortran_order, shape, size, length })
}

/// Shape and values of a whole .npy in memory, of floating-point or whole numbers, in C order or with a single axis.
pub(in crate::mel) fn read_numbers(mut bytes: &[u8], subject: &str) -> Result<(Vec<usize>, Vec<f64>)> {
    let wrong = |found: String, expected: String| Error::Mel(Fault::new(subject, found).expected(expected));
    let (text, _) = read_text(&mut bytes, subject)?;
    let Fields { descr, fortran_order, shape } = Fields::read(&text, subject)?;
    if fortran_order && shape.iter().filter(|n| **n != 1).count() > 1 {
        return Err(wrong("is in Fortran order".into(), "C order".into()));
    }
    let found = match descr {
        Descr::Plain(text) => format!("holds values of type '{text}'"),
        Descr::Structured => "is a structured array (it has named fields)".into(),
    };
    let number = match descr {
        Descr::Plain(text) => number(text),
        Descr::Structured => None,
    };
    let (bytes_each, decode) = number.ok_or_else(|| wrong(found, "floating-point or whole numbers".into()))?;
    let promised = shape.iter().try_fold(bytes_each, |bytes, n| bytes.checked_mul(*n));
    if promised != Some(bytes.len()) {
        let expected = format!("{} by its .npy header", promised.map_or("more".into(), |n| n.to_string()));
        return Err(wrong(format!("holds {} bytes of values", bytes.len()), expected));
    }
    Ok((shape, bytes.chunks_exact(bytes_each).map(decode).collect()))
}

/// Bytes of a number of NumPy's type `text`, and how they become one; `None` where it is no real number.
fn number(text: &str) -> Option<(usize, impl Fn(&[u8]) -> f64)> {
    let (order, kind) = text.split_at_checked(1)?;
    let size: usize = kind.get(1..)?.parse().ok()?;
    let value: fn([u8; 8]) -> f64 = match kind {
        "f2" => |b| half::f16::from_le_bytes([b[0], b[1]]).to_f64(),
        "f4" => |b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        "f8" => f64::from_le_bytes,
        "i4" => |b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        "i8" => |b| i64::from_le_bytes(b) as f64,
        "u4" | "u8" => |b| u64::from_le_bytes(b) as f64,
        _ => return None,
    };
    let big_endian = match order {
        "<" => false,
        ">" => true,
        _ => return None,
    };
    let decode = move |stored: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(stored);
        if big_endian {
            bytes[..size].reverse();
        }
        value(bytes)
    };
    Some((size, decode))
}

/// The text of the header, and the bytes up to the first value.
fn read_text(reader: &mut impl Read, subject: &str) -> Result<(Vec<u8>, u64)> {
    let io_error = |action| Error::io(action, subject);
    let broken = |found: String| Error::Mel(Fault::new(subject, found));
    let cut_off = || broken("ends within its .npy header".into());
    let mut start = [0; 8];
    let got = read_up_to(reader, &mut start).map_err(io_error("cannot read"))?;
    if got < MAGIC.len() || start[..6] != *MAGIC {
        return Err(broken(r"does not begin with \x93NUMPY as .npy data does".into()));
    }
    if got < start.len() {
        return Err(cut_off());
    }
    let mut length = [0; 4];
    let length = match start[6] {
        1 => &mut length[..2],
        2 | 3 => &mut length[..],
        version => {
            let found = format!("is .npy version {version}.{}", start[7]);
            return Err(Error::Mel(Fault::new(subject, found).expected("version 1.0, 2.0 or 3.0")));
        }
    };
    let preamble = start.len() + length.len();
    if read_up_to(reader, length).map_err(io_error("cannot read"))? < length.len() {
        return Err(cut_off());
    }
    let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if length > LONGEST_HEADER {
        let found = format!("claims a .npy header of {length} bytes");
        return Err(Error::Mel(Fault::new(subject, found).expected(format!("at most {LONGEST_HEADER}"))));
    }
    let mut text = vec![0; length];
    if read_up_to(reader, &mut text).map_err(io_error("cannot read"))? < length {
        return Err(cut_off());
    }
    Ok((text, (preamble + length) as u64))
}

/// NumPy's type string: byte order, kind, bytes.
fn encoding(descr: Descr, subject: &str) -> Result<Encoding> {
    let wrong = |found: String, remedy: &str| {
        let fault = Fault::new(subject, found).expected("float16, float32 or float64");
        Err(Error::Mel(fault.remedy(remedy)))
    };
    let convert = "save it with .astype(numpy.float32)";
    let Descr::Plain(text) = descr else {
        return wrong("is a structured array (it has named fields)".into(), "save the field that holds the mel");
    };
    let (order, kind) = text.split_at_checked(1).unwrap_or((text, ""));
    let (kind, bytes) = kind.split_at_checked(1).unwrap_or((kind, ""));
    let bits = bytes.parse::<u32>().ok().and_then(|bytes| bytes.checked_mul(8));
    let big_endian = match order {
        "<" => false,
        ">" => true,
        // Byte order means nothing for single bytes, objects and strings; no float has it.
        "|" if !matches!(kind, "f") => false,
        _ => return wrong(format!("has an unknown type '{}'", text.escape_debug()), ""),
    };
    let float = match (kind, bits) {
        ("f", Some(16)) => Float::F16,
        ("f", Some(32)) => Float::F32,
        ("f", Some(64)) => Float::F64,
        ("f", Some(bits)) => return wrong(format!("holds {bits}-bit floats"), convert),
        ("i" | "u", Some(bits)) => {
            let sign = if kind == "u" { "u" } else { "" };
            return wrong(
                format!("holds integers ({sign}int{bits})"),
                "a mel's values are fractions; save them as float32",
            );
        }
        ("b", _) => return wrong("holds truth values (bool)".into(), convert),
        ("c", _) => {
            return wrong("holds complex numbers".into(), "save the mel, not the spectrum that it was made from");
        }
        ("O", _) => {
            return wrong(
                "holds pickled Python objects".into(),
                "save a plain array: numpy.save(path, mel.astype('float32'))",
            );
        }
        ("S" | "U" | "a", _) => return wrong("holds text".into(), ""),
        ("V", Some(16)) => return wrong("holds raw 2-byte values (bfloat16 is stored so)".into(), convert),
        ("V", _) => return wrong("holds raw bytes".into(), convert),
        _ => return wrong(format!("has an unknown type '{}'", text.escape_debug()), ""),
    };
    Ok(Encoding { float, big_endian })
}

#[derive(Debug, PartialEq)]
enum Descr<'a> {
    Plain(&'a str),
    Structured,
}

/// The three fields of a header; others are not allowed (NEP 1).
#[derive(Debug, PartialEq)]
struct Fields<'a> {
    descr: Descr<'a>,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a [u8], subject: &str) -> Result<Self> {
        std::str::from_utf8(text).ok().and_then(Self::parse).ok_or_else(|| {
            let expected = "a dict of descr, fortran_order and shape";
            Error::Mel(Fault::new(subject, "its .npy header cannot be read").expected(expected))
        })
    }

    /// `None` where the text is not such a dict. Reads each character once, whatever the text.
    fn parse(text: &'a str) -> Option<Self> {
        let mut text = Text(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        text.take("{")?;
        while text.take("}").is_none() {
            let key = text.quoted()?;
            text.take(":")?;
            match key {
                "descr" => descr = Some(text.descr()?),
                "fortran_order" => fortran_order = Some(text.boolean()?),
                "shape" => shape = Some(text.shape()?),
                _ => return None,
            }
            if text.take(",").is_none() {
                text.take("}")?;
                break;
            }
        }
        text.is_at_end().then_some(())?;
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// What is left of a header's text.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn take(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn is_at_end(&self) -> bool {
        self.0.trim_matches(|c: char| c.is_whitespace() || c == '\0').is_empty()
    }

    /// Up to the next of the same quotes. The strings that matter here have no escapes.
    fn quoted(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (inside, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(inside)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.take("True").map(|()| true).or_else(|| self.take("False").map(|()| false))
    }

    fn descr(&mut self) -> Option<Descr<'a>> {
        if let Some(plain) = self.quoted() {
            return Some(Descr::Plain(plain));
        }
        // A list of fields, or a pair of a type and its shape. What is in it doesn't matter, only where it ends.
        let mut depth = 0usize;
        self.0 = self.0.trim_start();
        loop {
            match self.0.chars().next()? {
                '\'' | '"' => {
                    self.quoted()?;
                    continue;
                }
                '[' | '(' => depth += 1,
                ']' | ')' => depth = depth.checked_sub(1)?,
                _ if depth == 0 => return None,
                _ => {}
            }
            let mut rest = self.0.chars();
            rest.next();
            self.0 = rest.as_str();
            if depth == 0 {
                return Some(Descr::Structured);
            }
        }
    }

    /// A tuple of numbers; Python 2 wrote them with an L.
    fn shape(&mut self) -> Option<Vec<usize>> {
        let mut shape = Vec::new();
        self.take("(")?;
        while self.take(")").is_none() {
            let text = self.0.trim_start();
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            // More than u64 holds is as impossible as the largest u64, and is refused with it.
            shape.push(match text[..digits].parse::<u64>() {
                Ok(dimension) => usize::try_from(dimension).unwrap_or(usize::MAX),
                Err(_) if digits > 0 => usize::MAX,
                Err(_) => return None,
            });
            if shape.len() > MOST_AXES {
                return None;
            }
            self.0 = &text[digits..];
            let _python_2 = self.take("L");
            if self.take(",").is_none() {
                self.take(")")?;
                break;
            }
        }
        Some(shape)
    }
}

/// The header of a float32 array in C order, byte for byte as NumPy 2 writes it.
pub(super) fn write_header(out: &mut impl Write, shape: [usize; 2]) -> io::Result<()> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", shape[0], shape[1]);
    // NumPy leaves room for the first dimension to grow to 21 digits, then pads to a multiple of 64 bytes.
    let room = 21usize.saturating_sub(shape[0].to_string().len());
    text.push_str(&" ".repeat(room));
    let preamble = MAGIC.len() + 4;
    let padding = 63 - (preamble + text.len()) % 64;
    text.push_str(&" ".repeat(padding));
    text.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    // 128 bytes for every pair of numbers that fits a usize.
    out.write_all(&(text.len() as u16).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(bool, Vec<usize>)> {
        Fields::parse(text).map(|f| (f.fortran_order, f.shape))
    }

    #[test]
    fn headers_of_all_writers_are_understood() {
        let numpy = "{'descr': '<f4', 'fortran_order': False, 'shape': (100, 65), }          \n";
        assert_eq!(parse(numpy), Some((false, vec![100, 65])));
        // Python 2's long numbers; a tuple of one; none; other writers' quotes and order.
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': True, 'shape': (7L, 65L)}"), Some((true, vec![7, 65])));
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }"), Some((false, vec![7])));
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (), }"), Some((false, vec![])));
        assert_eq!(parse("{\"shape\":(1,2),\"fortran_order\":True,\"descr\":\"<f4\"}\n"), Some((true, vec![1, 2])));
    }

    #[test]
    fn other_texts_are_refused() {
        let nested = "{".repeat(9000);
        let list = format!("{{'descr': {}", "[".repeat(9000));
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), 'more': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} x",
            "{'descr': '<f4, 'fortran_order': False, 'shape': (1, 2)}",
            &nested,
            &list,
        ] {
            assert_eq!(Fields::parse(text), None, "{:.60}", text);
        }
    }

    #[test]
    fn a_structured_type_is_recognised_as_such() {
        let text = "{'descr': [('a[(', '<f4'), ('b', '<i4', (2,))], 'fortran_order': False, 'shape': (3,), }";
        assert_eq!(Fields::parse(text).unwrap().descr, Descr::Structured);
    }

    #[test]
    fn the_header_is_numpys() {
        // numpy 2.4: numpy.save of zeros((100, 5), float32)
        let mut bytes = Vec::new();
        write_header(&mut bytes, [100, 5]).unwrap();
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (100, 5), }";
        let mut want = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        want.extend(format!("{text:<117}\n").bytes());
        assert_eq!(bytes, want);
    }
}
