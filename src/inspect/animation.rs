//! The steps one after another, as a GIF.

use super::{Inspection, pictures::Pictures};
use crate::{Error, Result};
use image::{
    Delay, Frame, Rgba, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use std::{io, time::Duration};

/// ms that a frame is shown, and the last one, which is the result.
const SHOWN_MS: u64 = 700;
const LAST_MS: u64 = 2500;

/// What each step was shown, what the network said and what the projection made of it: the file's bytes.
///
/// # Errors
/// Those of the pictures.
pub(super) fn animation(inspection: &Inspection, pictures: &Pictures) -> Result<Vec<u8>> {
    let failed = |error: image::ImageError| Error::io("cannot draw", "steps.gif")(io::Error::other(error.to_string()));
    let mut bytes = Vec::new();
    let mut gif = GifEncoder::new_with_speed(&mut bytes, 10);
    gif.set_repeat(Repeat::Infinite).map_err(failed)?;
    for step in &inspection.steps {
        let is_last = inspection.steps.last().is_some_and(|last| last.numbers.step == step.numbers.step);
        let shown = [pictures.noisy(step), pictures.estimate(step), pictures.projected(step)];
        for (i, named) in shown.iter().enumerate() {
            let (pixels, _) = named.picture.rgb()?;
            let (width, height) = named.picture.size;
            let at = |x: u32, y: u32| {
                let start = ((y * width + x) * 3) as usize;
                Rgba([pixels[start], pixels[start + 1], pixels[start + 2], 255])
            };
            let ms = if is_last && i == 2 { LAST_MS } else { SHOWN_MS };
            let delay = Delay::from_saturating_duration(Duration::from_millis(ms));
            gif.encode_frame(Frame::from_parts(RgbaImage::from_fn(width, height, at), 0, 0, delay)).map_err(failed)?;
        }
    }
    drop(gif);
    Ok(bytes)
}
