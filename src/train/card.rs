//! The card of the model that is trained: what it is, and where it comes from.

use super::{clips::Clips, job::TrainJob, settings::ModelSizes};
use crate::{
    Result,
    model::{DenoiserSize, EncoderSize, ModelCard, ModelFile},
};
use std::fs;

/// The card of what is trained: that of `init`, unless another mel or other sizes are asked for.
pub fn new_card(job: &TrainJob, init: Option<&ModelFile>) -> Result<ModelCard> {
    let mut card = match (&job.mel, init) {
        (Some(mel), _) => ModelCard::of_convention("audiodiff", mel)?,
        (None, Some(model)) => model.card.clone(),
        (None, None) => ModelCard::new("audiodiff"),
    };
    if let (Some(_), Some(model)) = (&job.mel, init) {
        card.training = model.card.training.clone();
        card.licenses = model.card.licenses.clone();
    }
    if let Some(ModelSizes { encoder, denoiser }) = job.settings.model {
        (card.encoder, card.denoiser) = (encoder, denoiser);
    }
    // A refiner ends in the bands of the mel that it was made for.
    if init.is_some_and(|model| model.card.mel != card.mel) {
        (card.refiner, card.extends, card.restores) = (None, false, false);
    }
    card.validated()
}

/// What decides the shapes of the weights, but for the mel.
pub fn sizes(card: &ModelCard) -> (EncoderSize, DenoiserSize, Option<EncoderSize>) {
    (card.encoder, card.denoiser, card.refiner)
}

/// What it was trained on: `2 threads of an AMD EPYC`, where the system tells.
fn machine(job: &TrainJob) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split(':').nth(1));
    let name = name.map_or_else(|| std::env::consts::ARCH.into(), |name| name.trim().to_string());
    match job.device.resolve() {
        Ok(device) if device.is_cuda() => format!("{device:?} beside {name}"),
        _ => format!("{} threads of {name}", job.threads),
    }
}

/// What the card of the trained model says of its origin.
pub fn describe(card: &mut ModelCard, job: &TrainJob, clips: &Clips, train: &[usize], init: Option<&ModelFile>) {
    let origin = match init {
        Some(model) => format!(" from {}", model.card.name),
        None => String::new(),
    };
    let recipe = format!("audiodiff train --phase {}{origin}", job.settings.phase);
    let training = &mut card.training;
    training.recipe = match init {
        Some(_) if !training.recipe.is_empty() => format!("{}; then {recipe}", training.recipe),
        _ => recipe,
    };
    let hours = clips.hours(train);
    training.hours_of_audio += hours;
    let names = job.data.iter().filter_map(|folder| folder.file_name()).map(|name| name.to_string_lossy());
    training.data.push(format!("{hours:.2} h: {}", names.collect::<Vec<_>>().join(", ")));
    training.machine = machine(job);
    training.scores.clear();
    let license = job.data_license.clone().unwrap_or_else(|| "not stated".into());
    let mut licences: Vec<&str> = card.licenses.data.split(", ").filter(|known| !known.is_empty()).collect();
    for new in license.split(',').map(str::trim).filter(|new| !new.is_empty()) {
        if !licences.contains(&new) {
            licences.push(new);
        }
    }
    card.licenses.data = licences.join(", ");
    if card.licenses.weights.is_empty() {
        card.licenses.weights = "not stated".into();
    }
}
