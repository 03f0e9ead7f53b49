//! A mel that is still being written, rendered as it comes, without a player.

use std::sync::Arc;

use super::LiveMel;
use crate::{
    Result,
    render::Renderer,
    sound::Sound,
    vocoder::{RenderOptions, Vocoder},
};

/// Renders a live mel into `write`, chunk by chunk, in the calling thread. A broken mel is an error after the sound
/// before it. `rate` is that of the samples, in Hz.
pub fn render(
    vocoder: Arc<dyn Vocoder>,
    mel: LiveMel,
    options: &RenderOptions,
    rate: u32,
    mut write: impl FnMut(Sound) -> Result<()>,
) -> Result<()> {
    let (status, convention) = (mel.status(), mel.convention().clone());
    let mut renderer = Renderer::new(vocoder, Box::new(mel), &convention, options)?.at_rate(rate)?;
    renderer.try_for_each(|chunk| write(chunk?))?;
    status.take_error().map_or(Ok(()), Err)
}
