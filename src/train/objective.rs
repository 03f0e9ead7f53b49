//! What a training minimises, and all constants that it takes to compute it.

use super::{
    acoustics::Acoustics,
    excerpts::Excerpts,
    losses::{Losses, flow_matching},
    multi_mel::MultiMel,
    settings::TrainSettings,
};
use crate::{
    mel::MelConvention,
    model::{ModelCard, SamplerDefaults, VocoderNetwork},
};
use tch::{Device, Kind, Tensor};

#[derive(Debug)]
pub struct Objective {
    pub settings: TrainSettings,
    pub acoustics: Acoustics,
    pub(super) multi_mel: MultiMel,
    pub(super) sampler: SamplerDefaults,
    /// The mel that the model takes.
    native: MelConvention,
    /// Number type of the network's products.
    kind: Kind,
}

impl Objective {
    pub fn new(card: &ModelCard, settings: TrainSettings, device: Device, kind: Kind) -> Self {
        Self {
            acoustics: Acoustics::new(card, device),
            multi_mel: MultiMel::new(card.mel.sample_rate, device),
            sampler: card.sampler,
            native: card.mel.clone(),
            settings,
            kind,
        }
    }

    pub fn device(&self) -> Device {
        self.acoustics.device()
    }

    pub(super) fn native(&self) -> &MelConvention {
        &self.native
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// [`flow_matching`] with these constants.
    pub fn flow(&self, network: &VocoderNetwork, excerpts: &Excerpts, t: &Tensor, noise: &Tensor) -> Losses {
        flow_matching(network, &self.acoustics, excerpts, t, noise, self.kind)
    }
}
