//! What a network takes out of its file, layer by layer.

use crate::{Error, Fault, Result, model::WeightFile};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{cell::RefCell, collections::BTreeSet, ops::RangeInclusive};
use tch::{Device, Tensor};

/// The tensors of a file, each of which belongs to a layer. A layer's sizes are compared with the file's before memory is taken,
/// so a card can ask for no more than the file holds.
pub struct Weights<'a> {
    file: &'a WeightFile<'a>,
    device: Device,
    taken: RefCell<BTreeSet<String>>,
}

impl<'a> Weights<'a> {
    pub fn new(file: &'a WeightFile<'a>, device: Device) -> Self {
        Self { file, device, taken: RefCell::default() }
    }

    /// The tensor `name` in f32, on the device.
    ///
    /// # Errors
    /// [`Error::Model`] where it is missing, misshapen or not finite.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.file.tensor(name, shape)?;
        self.taken.borrow_mut().insert(name.to_owned());
        Ok(tensor.to_device(self.device))
    }

    /// The first size of the tensor `name`, for a layer whose width the architecture does not say.
    ///
    /// # Errors
    /// [`Error::Model`] where there is no such tensor.
    pub fn rows(&self, name: &str) -> Result<usize> {
        let shapes = self.file.tensors();
        let shape = shapes.iter().find(|(known, ..)| known == name).and_then(|(_, shape, _)| shape.first());
        shape.copied().ok_or_else(|| self.fault(format!("has no tensor {name}")))
    }

    /// # Errors
    /// [`Error::Model`] names a tensor that no layer has taken.
    pub fn all_taken(&self) -> Result<()> {
        let taken = self.taken.borrow();
        self.file.only(|name| taken.contains(name))
    }

    /// `architecture` as the family reads it; keys that it does not know are the training's.
    ///
    /// # Errors
    /// [`Error::Model`] names the key that is missing or of another type.
    pub fn config<T: DeserializeOwned>(&self, architecture: &Value) -> Result<T> {
        T::deserialize(architecture).map_err(|error| self.fault(format!("cannot be read: {error}")))
    }

    /// What is wrong with the architecture.
    pub fn fault(&self, found: impl Into<String>) -> Error {
        Error::Model(self.bare_fault(found))
    }

    fn bare_fault(&self, found: impl Into<String>) -> Fault {
        Fault::new(format!("{}: architecture", self.file.subject()), found)
    }

    /// # Errors
    /// [`Error::Model`] where `found` is no such number as `key` can be.
    pub fn within(&self, key: &str, found: usize, range: RangeInclusive<usize>) -> Result<()> {
        if range.contains(&found) {
            return Ok(());
        }
        let expected = format!("{} to {}", range.start(), range.end());
        Err(Error::Model(self.bare_fault(format!("`{key}` has {found}")).expected(expected)))
    }

    /// # Errors
    /// [`Error::Model`] where the mel of the card and the architecture do not agree.
    pub fn equal(&self, key: &str, found: usize, mel: &str, wanted: usize) -> Result<()> {
        if found == wanted {
            return Ok(());
        }
        Err(Error::Model(
            self.bare_fault(format!("`{key}` gives {found}")).expected(format!("{wanted}, the mel's {mel}")),
        ))
    }
}
