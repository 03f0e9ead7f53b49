//! Mel spectrograms that a program keeps as pictures: a row a band, the highest at the top, a column a frame.

use super::{RawArray, encoding::Encoding, numbers::Numbers};
use crate::{Error, Fault, Result};
use image::{ImageDecoder, Limits, codecs::png::PngDecoder};
use std::{fs::File, io::BufReader};

pub(super) const MAGIC: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// Rows are bands, of which no program has more; columns are frames, here of over an hour.
const MOST_ROWS: u32 = 512;
const MOST_COLUMNS: u32 = 1 << 19;

/// [rows, columns], 0 for black to 1 for white. A picture of two channels (Riffusion's stereo: red is empty, green and blue
/// are left and right) gives their mean.
pub(super) fn read(file: File, path: &str) -> Result<RawArray> {
    let broken = |e: image::ImageError| Error::Mel(Fault::new(path, e.to_string()).expected("a PNG picture"));
    let decoder = PngDecoder::with_limits(BufReader::new(file), limits()).map_err(broken)?;
    let (columns, rows) = decoder.dimensions();
    if rows > MOST_ROWS || columns > MOST_COLUMNS {
        let fault = Fault::new(path, format!("a picture of {columns} x {rows}"));
        let expected = format!("a spectrogram of at most {MOST_ROWS} rows (bands) and {MOST_COLUMNS} columns (frames)");
        return Err(Error::Mel(fault.expected(expected)));
    }
    let picture = image::DynamicImage::from_decoder(decoder).map_err(broken)?.into_rgb16();
    let is_stereo = picture.pixels().all(|p| p[0] == 0) && picture.pixels().any(|p| p[1] > 0 || p[2] > 0);
    let grey = |p: &image::Rgb<u16>| {
        let sum = if is_stereo { (u32::from(p[1]) + u32::from(p[2])) as f32 / 2.0 } else { f32::from(p[0]) };
        sum / f32::from(u16::MAX)
    };
    let values = picture.pixels().map(grey).collect();
    let shape = vec![rows as usize, columns as usize];
    let mut array = RawArray::new(path.to_string(), shape, Numbers::Memory(values), Encoding::F32LE, false);
    array.dtype = "PNG picture".into();
    array.is_picture = true;
    Ok(array)
}

/// The decoder's own memory.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(1 << 30);
    limits
}
