//! Files of models that other programs trained: safetensors with the original's tensor names, and a card of version 2 whose
//! `architecture` has the keys of the original's configuration.

use crate::{
    Error, Fault, Result,
    card::{Channels, Efforts, ModelCard},
    diffusion::ChunkLayout,
    mel::MelConvention,
    model::{Licenses, Provenance, WeightFile},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the card that names a family.
pub const FAMILY_CARD_VERSION: u32 = 2;

/// What can be read of every version.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct FileCard {
    version: u32,
    family: String,
    name: String,
    mel: MelConvention,
    architecture: Value,
    #[serde(default)]
    streaming: ChunkLayout,
    #[serde(default)]
    training: Provenance,
    #[serde(default)]
    licenses: Licenses,
}

/// The card in `file`, whatever its family is. The efforts are empty: these a family knows by itself.
///
/// # Errors
/// [`Error::Model`] names the field that is wrong.
pub fn card(file: &WeightFile) -> Result<ModelCard> {
    let subject = file.subject();
    let bad = |error: serde_json::Error| {
        Error::Model(
            Fault::new(subject, format!("its `audiodiff` metadata cannot be read: {error}"))
                .expected(format!("a model card of version {FAMILY_CARD_VERSION}")),
        )
    };
    let Version { version } = Version::deserialize(file.card_json()).map_err(bad)?;
    if version != FAMILY_CARD_VERSION {
        return Err(Error::Model(
            Fault::new(subject, format!("model card version {version}"))
                .expected(format!("version {FAMILY_CARD_VERSION}"))
                .remedy("get an audiodiff as new as the model"),
        ));
    }
    let FileCard { family, name, mel, architecture, streaming, training, licenses, .. } =
        FileCard::deserialize(file.card_json()).map_err(bad)?;
    if let Err(error) = mel.validate() {
        return Err(Error::Model(Fault::new(subject, format!("field `mel`: {error}"))));
    }
    streaming.in_card(subject, mel.hop).map_err(Error::Model)?;
    Ok(ModelCard {
        name,
        family,
        mel,
        channels: Channels::Mono,
        efforts: Efforts::default(),
        streaming,
        architecture,
        training,
        licenses,
    })
}
