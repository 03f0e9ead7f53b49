//! Model files: safetensors with one metadata entry, `audiodiff`, that holds the model's card as JSON.

use super::{
    card::ModelCard,
    network::{VocoderNetwork, weight_shapes},
};
use crate::{Error, Fault, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::HashMap, fs::File, io::Read, ops::Deref, path::Path};
use tch::{Device, Kind, Tensor, nn};

/// The metadata key under which the card lies.
pub const CARD_KEY: &str = "audiodiff";

/// The name by which the built-in model is asked for and spoken of.
pub const BUILTIN_NAME: &str = "builtin";

/// A model that lies in the program itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// 24 kHz, for speech and what else ends at 12 kHz.
    Default,
    /// 44.1 kHz, for music.
    FullBand,
}

impl Builtin {
    pub const ALL: [Self; 2] = [Self::Default, Self::FullBand];

    /// The name by which it is asked for and spoken of.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => BUILTIN_NAME,
            Self::FullBand => "builtin-44k",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// Of its model file.
    ///
    /// # Errors
    /// [`Error::Model`] where the library was built without the feature `builtin`.
    #[cfg(feature = "builtin")]
    pub fn bytes(self) -> Result<&'static [u8]> {
        Ok(match self {
            Self::Default => include_bytes!("../../models/default.safetensors"),
            Self::FullBand => include_bytes!("../../models/full-band.safetensors"),
        })
    }

    /// Of its model file.
    ///
    /// # Errors
    /// [`Error::Model`] where the library was built without the feature `builtin`.
    #[cfg(not(feature = "builtin"))]
    pub fn bytes(self) -> Result<&'static [u8]> {
        let fault = Fault::new(self.name(), "is not in this build of the library");
        Err(Error::Model(
            fault.remedy("build audiodiff from its repository with the feature `builtin`, or open a model file"),
        ))
    }

    /// # Errors
    /// [`Error::Model`] where it is not in this build, or the program itself was damaged.
    pub fn file(self) -> Result<ModelFile<'static>> {
        ModelFile::parse(self.bytes()?, self.name())
    }
}

/// A model of any family as it lies in a file, before any number is touched.
pub struct WeightFile<'a> {
    /// Path, or `builtin`, for messages.
    subject: String,
    /// The card, as JSON.
    card: serde_json::Value,
    tensors: SafeTensors<'a>,
}

/// The file of a diffusion model.
pub struct ModelFile<'a> {
    file: WeightFile<'a>,
    pub card: ModelCard,
}

impl<'a> Deref for ModelFile<'a> {
    type Target = WeightFile<'a>;

    fn deref(&self) -> &WeightFile<'a> {
        &self.file
    }
}

impl<'a> WeightFile<'a> {
    /// `bytes` of the whole file; `subject` names it in messages.
    ///
    /// # Errors
    /// [`Error::Model`] where it is no safetensors file or has no card.
    pub fn parse(bytes: &'a [u8], subject: &str) -> Result<Self> {
        let not_safetensors = |error: safetensors::SafeTensorError| {
            Error::Model(
                Fault::new(subject, format!("cannot be read as safetensors ({error})"))
                    .expected("a whole model file of audiodiff")
                    .remedy("copy or download it again"),
            )
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
        let card = header.metadata().as_ref().and_then(|entries| entries.get(CARD_KEY)).ok_or_else(|| {
            Error::Model(
                Fault::new(subject, format!("has no metadata entry `{CARD_KEY}`"))
                    .expected("a model file of audiodiff")
                    .remedy("`python -m audiodiff.convert` makes one of weights of other programs"),
            )
        })?;
        let card = serde_json::from_str(card).map_err(|error| {
            Error::Model(
                Fault::new(subject, format!("its `{CARD_KEY}` metadata cannot be read: {error}"))
                    .expected("a model card"),
            )
        })?;
        Ok(Self { subject: subject.into(), card, tensors })
    }

    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The card, as JSON.
    pub fn card_json(&self) -> &serde_json::Value {
        &self.card
    }

    /// The name of the family; cards of version 1 are all of the same.
    pub fn family(&self) -> &str {
        self.card.get("family").and_then(serde_json::Value::as_str).unwrap_or(ModelCard::FAMILY)
    }

    /// Names, shapes and number types of all tensors, by name.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, String)> {
        let row = |(name, view): (String, TensorView)| (name, view.shape().to_vec(), format!("{:?}", view.dtype()));
        let mut rows: Vec<_> = self.tensors.tensors().into_iter().map(row).collect();
        rows.sort();
        rows
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        self.tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum()
    }

    /// A tensor's numbers as f32, in C order; `None` where it has none of that name.
    pub fn values(&self, name: &str) -> Option<Vec<f32>> {
        self.tensors.tensor(name).ok().and_then(|view| values(&view))
    }

    /// The tensor `name`, on the CPU in f32. Its name, shape and number type are compared with what is wanted before memory is
    /// taken.
    ///
    /// # Errors
    /// [`Error::Model`] where it is missing, misshapen or not finite.
    pub(crate) fn tensor(&self, name: &str, wanted: &[usize]) -> Result<Tensor> {
        self.require(name, wanted)?;
        let values = self.finite_values(name)?;
        let shape: Vec<i64> = wanted.iter().map(|&n| n as i64).collect();
        Ok(Tensor::from_slice(&values).view(shape.as_slice()))
    }

    fn fault(&self, name: &str, found: String) -> Fault {
        Fault::new(format!("{}: tensor {name}", self.subject), found)
    }

    /// # Errors
    /// [`Error::Model`] where the tensor `name` is missing or of another shape or number type.
    fn require(&self, name: &str, wanted: &[usize]) -> Result<()> {
        let view = self.tensors.tensor(name).map_err(|_| Error::Model(self.fault(name, "is missing".into())))?;
        if view.shape() != wanted {
            let expected = format!("{wanted:?}, as the card describes");
            let found = format!("has shape {:?}", view.shape());
            return Err(Error::Model(self.fault(name, found).expected(expected)));
        }
        if !matches!(view.dtype(), Dtype::F16 | Dtype::BF16 | Dtype::F32) {
            let found = format!("holds {:?}", view.dtype());
            return Err(Error::Model(self.fault(name, found).expected("F16, BF16 or F32")));
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Model`] names the first tensor that is not among those which `wanted` knows.
    pub(crate) fn only(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        // The list is in no order that a second run would repeat.
        match self.tensors.names().into_iter().filter(|name| !wanted(name)).min() {
            None => Ok(()),
            Some(name) => Err(Error::Model(
                self.fault(name, "is none of this network's".into()).expected("what the card describes"),
            )),
        }
    }

    fn finite_values(&self, name: &str) -> Result<Vec<f32>> {
        let missing = || Error::Model(self.fault(name, "is missing".into()));
        let values = self.values(name).ok_or_else(missing)?;
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => {
                Err(Error::Model(self.fault(name, format!("number {at} is {}", values[at])).expected("finite numbers")))
            }
        }
    }
}

impl ModelFile<'static> {
    /// # Errors
    /// As [`Builtin::file`].
    pub fn builtin() -> Result<Self> {
        Builtin::Default.file()
    }
}

impl<'a> ModelFile<'a> {
    /// Whether `bytes` claim to be a model of audiodiff: only then are they worth more words than that they are none.
    pub fn is_one(bytes: &[u8]) -> bool {
        let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, header)| header.metadata().clone());
        metadata.is_some_and(|entries| entries.contains_key(CARD_KEY))
    }

    /// All bytes of `path`, for [`ModelFile::parse`]. Of what is no safetensors file only the first are read: it may be a
    /// device without end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(path: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut read = || {
            let mut file = File::open(path)?;
            // The length of the header and its first character.
            file.by_ref().take(9).read_to_end(&mut bytes)?;
            if bytes.get(8) == Some(&b'{') { file.read_to_end(&mut bytes) } else { Ok(0) }
        };
        read().map_err(Error::io("cannot read the model", path))?;
        Ok(bytes)
    }

    /// `bytes` of the whole file; `subject` names it in messages.
    ///
    /// # Errors
    /// [`Error::Model`] names the tensor or field that is wrong, or the family where it is another.
    pub fn parse(bytes: &'a [u8], subject: &str) -> Result<Self> {
        let mut file = WeightFile::parse(bytes, subject)?;
        let family = file.family();
        if family != ModelCard::FAMILY {
            return Err(Error::Model(
                Fault::new(subject, format!("is a model of the family {family}"))
                    .expected("a diffusion model, the only one that is trained, exported, averaged or looked into")
                    .remedy("the others are rendered, played and scored with"),
            ));
        }
        let card = ModelCard::of_file(&file)?;
        // With the entries that the file leaves to the program.
        file.card = serde_json::to_value(&card).unwrap_or_default();
        Ok(Self { file, card })
    }

    /// Its weights in single precision, to be written again.
    ///
    /// # Errors
    /// [`Error::Model`] names the tensor that is missing, superfluous, misshapen or not finite.
    pub fn loaded(&self) -> Result<LoadedModel> {
        let (store, _) = self.network(Device::Cpu)?;
        Ok(LoadedModel { store, card: self.card.clone() })
    }

    /// The network with these weights in f32 on `device`, and the store that owns them.
    ///
    /// # Errors
    /// [`Error::Model`] names the tensor that is missing, superfluous, misshapen or not finite.
    #[doc(hidden)]
    pub fn network(&self, device: Device) -> Result<(nn::VarStore, VocoderNetwork)> {
        // A card can ask for a thousand times what its file holds: the names and shapes are compared before memory is taken.
        let wanted = weight_shapes(&self.card);
        self.only(|name| wanted.contains_key(name))?;
        wanted.iter().try_for_each(|(name, shape)| self.require(name, shape))?;
        let store = nn::VarStore::new(device);
        let network = VocoderNetwork::blank(&store, &self.card);
        for (name, mut variable) in store.variables() {
            let values = self.finite_values(&name)?;
            let shape = variable.size();
            tch::no_grad(|| variable.copy_(&Tensor::from_slice(&values).view(shape.as_slice())));
        }
        Ok((store, network))
    }
}

fn values(view: &TensorView) -> Option<Vec<f32>> {
    let data = view.data();
    let halves = || data.chunks_exact(2).map(|b| [b[0], b[1]]);
    Some(match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => halves().map(|b| half::f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => halves().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}

/// The number type in which weights are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    Single,
    Half,
}

/// Weights in single precision, and the card that they are to be written with.
pub struct LoadedModel {
    pub(super) store: nn::VarStore,
    pub card: ModelCard,
}

impl LoadedModel {
    /// Of its model file.
    ///
    /// # Errors
    /// [`Error::Model`] where a weight is not finite or too large for the number type.
    pub fn bytes(&self, storage: Storage) -> Result<Vec<u8>> {
        serialize(&self.store, &self.card, storage)
    }
}

/// The bytes of a model file with the weights of `store`.
///
/// # Errors
/// [`Error::Model`] where a weight is not finite or too large for the number type.
pub fn serialize(store: &nn::VarStore, card: &ModelCard, storage: Storage) -> Result<Vec<u8>> {
    let mut buffers: Vec<(String, Vec<usize>, Vec<u8>)> = vec![];
    for (name, tensor) in store.variables() {
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
        let values = Vec::<f32>::try_from(&flat).map_err(Error::torch(format!("reading tensor {name}")))?;
        let limit = if storage == Storage::Half { half::f16::MAX.to_f32() } else { f32::MAX };
        if let Some(v) = values.iter().find(|v| !v.is_finite() || v.abs() > limit) {
            return Err(Error::Model(
                Fault::new(format!("tensor {name}"), format!("holds {v}")).expected("finite weights"),
            ));
        }
        let bytes = match storage {
            Storage::Single => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Storage::Half => values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
        };
        buffers.push((name, shape, bytes));
    }
    buffers.sort();
    let dtype = if storage == Storage::Half { Dtype::F16 } else { Dtype::F32 };
    let fault = |error: safetensors::SafeTensorError| Error::Model(Fault::new("model file", error.to_string()));
    let views = buffers.iter().map(|(name, shape, bytes)| Ok((name, TensorView::new(dtype, shape.clone(), bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>().map_err(fault)?;
    let text = serde_json::to_string(card).map_err(|e| Error::Model(Fault::new("model card", e.to_string())))?;
    safetensors::serialize(views, Some(HashMap::from([(CARD_KEY.to_string(), text)]))).map_err(fault)
}
