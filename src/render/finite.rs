//! What a model makes must be numbers. Weights that are damaged but finite overflow on the way, and what follows would turn
//! that into silence or noise as often as into an error.

use crate::{Error, Fault, Result, sound::Sound, vocoder::Vocoder};

/// Refuses `sound` where a sample is infinite or not a number.
///
/// # Errors
/// [`Error::Model`] names the model.
pub fn finite_sound(sound: Sound, vocoder: &dyn Vocoder) -> Result<Sound> {
    sound.channels.iter().try_for_each(|plane| require_finite(plane, "sound", vocoder))?;
    Ok(sound)
}

/// `what` the `values` are is for the message.
///
/// # Errors
/// [`Error::Model`] names the model.
pub fn require_finite(values: &[f32], what: &str, vocoder: &dyn Vocoder) -> Result<()> {
    let Some(value) = values.iter().find(|value| !value.is_finite()) else { return Ok(()) };
    let fault = Fault::new(vocoder.subject(), format!("the model makes {what} that is not finite ({value})"));
    Err(Error::Model(
        fault.expected("finite numbers").remedy(
            "its weights are damaged or the mel is far too loud; copy the model again, or give another `model`",
        ),
    ))
}
