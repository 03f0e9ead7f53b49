//! Where a training stands, in one file that is replaced as a whole: all four vectors and everything else that decides
//! how it goes on.

use super::{settings::TrainSettings, weights::Vectors};
use crate::{Error, Fault, Result, model::ModelCard, whole_file::WholeFile};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, io::Write as _, path::Path};
use tch::{Device, Kind, Tensor};

const KEY: &str = "audiodiff-training";
const VERSION: u32 = 1;

/// Counts and running figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps made.
    pub step: u64,
    /// Seconds spent on them, over all sessions.
    pub elapsed_s: f64,
    /// What roll-backs have left of the learning rate.
    pub rate_factor: f64,
    pub rollbacks: u32,
    /// Running mean of the loss.
    pub loss: Option<f64>,
    pub last_validation_s: f64,
    /// Figure by which the best was chosen, lower is better, and its step.
    pub best: Option<(f64, u64)>,
    /// Validations since the best.
    pub stale: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            step: 0,
            elapsed_s: 0.0,
            rate_factor: 1.0,
            rollbacks: 0,
            loss: None,
            last_validation_s: 0.0,
            best: None,
            stale: 0,
        }
    }
}

/// Everything of a checkpoint but the vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    version: u32,
    pub settings: TrainSettings,
    pub card: ModelCard,
    /// [`super::Clips::fingerprint`]
    pub data: String,
    /// Hash of the model file that it was begun with, `none` for new weights; unknown of older trainings.
    #[serde(default)]
    pub init: Option<String>,
    pub progress: Progress,
}

/// What a training was begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub data: String,
    pub init: String,
}

impl Header {
    pub fn new(settings: TrainSettings, card: ModelCard, origin: &Origin, progress: Progress) -> Self {
        let Origin { data, init } = origin.clone();
        Self { version: VERSION, settings, card, data, init: Some(init), progress }
    }
}

/// Writes the checkpoint, or leaves the old one as it is.
///
/// # Errors
/// [`Error::Io`] where the disk is full or cannot be written.
pub fn save(path: &Path, header: &Header, vectors: &Vectors) -> Result<()> {
    let mut parts = vec![];
    for (name, vector) in Vectors::NAMES.into_iter().zip(vectors.all()) {
        let flat = vector.detach().to_device(Device::Cpu).to_kind(Kind::Float);
        let values = Vec::<f32>::try_from(&flat).map_err(Error::torch("reading the weights"))?;
        parts.push((name, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()));
    }
    let broken = |error: &dyn std::fmt::Display| Error::Model(Fault::new(path.display(), error.to_string()));
    let text = serde_json::to_string(header).map_err(|e| broken(&e))?;
    let views =
        parts.iter().map(|(name, bytes)| Ok((*name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>().map_err(|e| broken(&e))?;
    let bytes =
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)]))).map_err(|e| broken(&e))?;
    write(path, &bytes)
}

/// Writes `bytes` to `path`, or leaves what is there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes).map_err(Error::io("cannot write", path))?;
    file.finish()
}

/// What `save` wrote.
///
/// # Errors
/// [`Error::Io`], or [`Error::Model`] where the file is none of these.
pub fn load(path: &Path) -> Result<(Header, [Tensor; 4])> {
    let bytes = std::fs::read(path).map_err(Error::io("cannot read the checkpoint", path))?;
    let fault = |found: String| {
        Error::Model(
            Fault::new(path.display(), found)
                .expected("a checkpoint of audiodiff train")
                .remedy("give another `out`, or remove the file to start anew"),
        )
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| fault(format!("cannot be read ({e})")))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| fault(format!("cannot be read ({e})")))?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let text = text.ok_or_else(|| fault(format!("has no metadata entry `{KEY}`")))?;
    let header: Header = serde_json::from_str(text).map_err(|e| fault(format!("entry `{KEY}`: {e}")))?;
    if header.version != VERSION {
        return Err(fault(format!("is of version {}", header.version)));
    }
    let vector = |name: &str| {
        let view = tensors.tensor(name).map_err(|_| fault(format!("has no tensor `{name}`")))?;
        if view.dtype() != Dtype::F32 {
            return Err(fault(format!("tensor `{name}` holds {:?}", view.dtype())));
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Tensor::from_slice(&values))
    };
    let [a, b, c, d] = Vectors::NAMES;
    Ok((header, [vector(a)?, vector(b)?, vector(c)?, vector(d)?]))
}
