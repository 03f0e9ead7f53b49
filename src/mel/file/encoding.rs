//! How a file stores a number, and how it becomes an f32.

use half::{bf16, f16};
use std::{
    fmt,
    io::{self, Read},
};

/// A floating-point type and its byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mel) struct Encoding {
    pub float: Float,
    pub big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mel) enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Encoding {
    pub const F32LE: Self = Self { float: Float::F32, big_endian: false };

    /// Bytes a value.
    pub fn size(self) -> usize {
        match self.float {
            Float::F16 | Float::Bf16 => 2,
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }

    /// Appends the values that `bytes` holds; a last, incomplete one is left out.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self.float {
            Float::F16 => self.each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            Float::Bf16 => self.each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            Float::F32 => self.each(bytes, out, f32::from_le_bytes),
            // What is too large for an f32 becomes infinite and is reported as such.
            Float::F64 => self.each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        }
    }

    fn each<const N: usize>(self, bytes: &[u8], out: &mut Vec<f32>, value: impl Fn([u8; N]) -> f32) {
        let (values, _) = bytes.as_chunks::<N>();
        if self.big_endian {
            out.extend(values.iter().map(|b| {
                let mut b = *b;
                b.reverse();
                value(b)
            }));
        } else {
            out.extend(values.iter().map(|b| value(*b)));
        }
    }

    /// `count` values from `reader`, fewer where it ends before. Memory is taken as values arrive, so that a source that
    /// promised more than it has costs nothing.
    pub fn read(self, reader: &mut impl Read, count: usize) -> io::Result<Vec<f32>> {
        const PIECE: usize = 1 << 16;
        let mut bytes = vec![0; (count.saturating_mul(self.size())).min(PIECE)];
        let mut values = Vec::new();
        while values.len() < count {
            let wanted = ((count - values.len()).saturating_mul(self.size())).min(bytes.len());
            let got = read_up_to(reader, &mut bytes[..wanted])?;
            // The last doubling must not overshoot: a mel of hours would take half its size again for nothing.
            if values.capacity() - values.len() < got / self.size() {
                values.reserve_exact(values.len().max(PIECE).min(count - values.len()));
            }
            self.decode(&bytes[..got], &mut values);
            if got < wanted {
                break;
            }
        }
        Ok(values)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self.float {
            Float::F16 => "float16",
            Float::Bf16 => "bfloat16",
            Float::F32 => "float32",
            Float::F64 => "float64",
        })?;
        f.write_str(if self.big_endian { " (big-endian)" } else { "" })
    }
}

/// Fills `bytes` as far as `reader` goes.
pub(in crate::mel) fn read_up_to(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match reader.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_in_both_orders_gives_its_value() {
        // -11.5 is exact in all four types; the bytes are what NumPy's tobytes() prints for it.
        for (float, little) in [
            (Float::F16, &[0xc0, 0xc9][..]),
            (Float::Bf16, &[0x38, 0xc1]),
            (Float::F32, &[0x00, 0x00, 0x38, 0xc1]),
            (Float::F64, &[0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x27, 0xc0]),
        ] {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            for (big_endian, bytes) in [(false, little), (true, &big)] {
                let encoding = Encoding { float, big_endian };
                assert_eq!(encoding.read(&mut &bytes.repeat(3)[..], 3).unwrap(), [-11.5; 3], "{encoding}");
            }
        }
    }

    #[test]
    fn a_source_that_ends_early_gives_what_it_has() {
        let encoding = Encoding::F32LE;
        let bytes = [0u8; 4 * 40_000 + 3];
        assert_eq!(encoding.read(&mut &bytes[..], usize::MAX).unwrap().len(), 40_000);
    }
}
