//! Models by family. The only place that names all of them.

mod bigvgan;
mod diffwave;
mod family_file;
mod hifigan;
mod layers;
mod one_pass;
mod upsampling;
mod vocos;
mod weights;

pub use family_file::FAMILY_CARD_VERSION;

use self::{
    bigvgan::BigVgan,
    diffwave::DiffWave,
    hifigan::HifiGan,
    one_pass::{Network, OnePass},
    vocos::Vocos,
    weights::Weights,
};
use crate::{
    Error, Fault, Result,
    card::ModelCard,
    model::{self, Builtin, Diffusion, GriffinLim, ModelFile, RuntimeOptions, WeightFile, compute_alone},
    vocoder::Vocoder,
};
use std::{path::Path, sync::Arc};
use tch::Device;

/// A model that lies in the program.
///
/// # Errors
/// [`Error::Settings`] where the device is not there.
pub fn builtin(model: Builtin, options: &RuntimeOptions) -> Result<Arc<dyn Vocoder>> {
    Ok(Arc::new(Diffusion::of_builtin(model, options)?))
}

/// A model file of any family.
///
/// # Errors
/// [`Error::Io`] or [`Error::Model`] where the file cannot be used, [`Error::Settings`] where the device is not there or the
/// number type not the family's.
pub fn open(path: &Path, options: &RuntimeOptions) -> Result<Arc<dyn Vocoder>> {
    let (bytes, subject) = (ModelFile::read(path)?, path.display().to_string());
    let file = WeightFile::parse(&bytes, &subject)?;
    match file.family() {
        model::ModelCard::FAMILY => Ok(Arc::new(Diffusion::from_bytes(&bytes, &subject, options)?)),
        "hifigan" => one_pass(&bytes, &file, options, HifiGan::new),
        "bigvgan" => one_pass(&bytes, &file, options, BigVgan::new),
        "vocos" => one_pass(&bytes, &file, options, Vocos::new),
        "diffwave" => one_pass(&bytes, &file, options, DiffWave::new),
        _ => Err(unknown(&file)),
    }
}

/// What the file of a model says of itself, whatever its family. Only the family itself can tell whether its weights are whole.
///
/// # Errors
/// [`Error::Model`] names the field that is wrong.
pub fn card(file: &WeightFile) -> Result<ModelCard> {
    match file.family() {
        model::ModelCard::FAMILY => model::ModelCard::of_file(file).map(|card| card.common()),
        family if FAMILIES.contains(&family) => family_file::card(file),
        _ => Err(unknown(file)),
    }
}

/// Whose weights come from other programs.
const FAMILIES: [&str; 4] = ["hifigan", "bigvgan", "vocos", "diffwave"];

fn unknown(file: &WeightFile) -> Error {
    let fault = Fault::new(file.subject(), format!("is a model of the family {}", file.family()));
    let known = format!("{}, {}", model::ModelCard::FAMILY, FAMILIES.join(", "));
    Error::Model(fault.expected(known).remedy("get an audiodiff as new as the model"))
}

fn one_pass<N: Network + 'static>(
    bytes: &[u8],
    file: &WeightFile,
    options: &RuntimeOptions,
    network: impl Fn(&Weights, &ModelCard, Device) -> Result<N>,
) -> Result<Arc<dyn Vocoder>> {
    let card = family_file::card(file)?;
    let device = one_pass::device(options)?;
    compute_alone();
    let weights = Weights::new(file, device);
    let network = network(&weights, &card, device)?;
    weights.all_taken()?;
    let hash = &blake3::hash(bytes).to_hex()[..16];
    Ok(Arc::new(OnePass::new(card, file.subject(), hash, network, device, options.threads)?))
}

/// The baseline without a network; `threads` share the work on one window.
///
/// # Errors
/// [`Error::Backend`] where libtorch cannot invert the filter bank.
pub fn griffin_lim(threads: usize) -> Result<Arc<dyn Vocoder>> {
    Ok(Arc::new(GriffinLim::new(threads)?))
}
