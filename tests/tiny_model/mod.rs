//! A model of the smallest size, with every part that a model may have: it loads at once, and sounds like nothing.

#![allow(dead_code)] // each test binary uses a part of it

use audiodiff::model::{DenoiserSize, EncoderSize, ModelCard, Storage, VocoderNetwork, serialize};
use tch::{Device, nn};

pub fn tiny_model() -> Vec<u8> {
    changed(Storage::Half, |_| None)
}

/// The same file each time, with all weights of a tensor set to the number that `change` has for its name.
pub fn changed(storage: Storage, change: impl Fn(&str) -> Option<f64>) -> Vec<u8> {
    tch::manual_seed(1);
    let mut card = ModelCard::new("tiny");
    card.encoder = EncoderSize { channels: 8, layers: 1, mlp: 1 };
    card.refiner = Some(card.encoder);
    card.denoiser =
        DenoiserSize { channels: 8, layers: 1, cond_channels: 8, time_channels: 8, mlp: 1, ..DenoiserSize::default() };
    let store = nn::VarStore::new(Device::Cpu);
    VocoderNetwork::new(&store, &card);
    for (name, mut tensor) in store.variables() {
        if let Some(number) = change(&name) {
            tch::no_grad(|| drop(tensor.fill_(number)));
        }
    }
    serialize(&store, &card, storage).unwrap()
}
