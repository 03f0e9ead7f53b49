//! The mean of two models' weights. Of a model and what it was refined to, it often renders better than either: the
//! refinement's gain without all of its side effects (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").

use super::{ModelFile, file::LoadedModel};
use crate::{Error, Fault, Result};

/// (1 - `weight`) `first` + `weight` `second`, tensor by tensor, in single precision. The card is the second one's; its recipe
/// says what was done.
///
/// # Errors
/// [`Error::Settings`] for a weight outside 0 to 1, [`Error::Model`] where one is broken or they are not of one size.
pub fn average(first: &ModelFile, second: &ModelFile, weight: f64) -> Result<LoadedModel> {
    if !(0.0..=1.0).contains(&weight) {
        return Err(Error::Settings(Fault::new("weight", weight.to_string()).expected("0 to 1")));
    }
    let (a, b) = (&first.card, &second.card);
    if (a.encoder, a.denoiser, a.refiner, &a.mel) != (b.encoder, b.denoiser, b.refiner, &b.mel) {
        let found = format!("has other sizes, or another mel, than {}", first.subject());
        let expected = "two models of which one was trained from the other";
        return Err(Error::Model(Fault::new(second.subject(), found).expected(expected)));
    }
    let mut mean = first.loaded()?;
    let others = second.loaded()?.store.variables();
    for (name, mut tensor) in mean.store.variables() {
        if let Some(other) = others.get(&name) {
            tch::no_grad(|| tensor.copy_(&(&tensor * (1.0 - weight) + other * weight)));
        }
    }
    mean.card = b.clone();
    mean.card.training.recipe += &format!("; averaged, {weight} of it and {} of {}", 1.0 - weight, a.name);
    // They were measured on neither.
    mean.card.training.scores.clear();
    Ok(mean)
}
