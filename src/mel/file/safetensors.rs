//! Hugging Face's .safetensors: a length, a JSON header, the tensors' bytes.
//!
//! The crate checks a file that lies in memory as a whole. Here only the header and one tensor are read, so that a mel in a
//! file of many gigabytes costs its own size.

use super::{
    RawArray,
    array::{self, elements},
    encoding::{Encoding, Float, read_up_to},
    numbers::Numbers,
};
use crate::{Error, Fault, Result};
use ::safetensors::{
    Dtype,
    tensor::{TensorInfo, TensorView},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Write},
};

/// The tensor that audiodiff writes, and the metadata entry that declares its convention.
pub(super) const TENSOR: &str = "mel";
pub(super) const CONVENTION_KEY: &str = "convention";

/// Room for a hundred thousand tensors; the format's own limit is 100 MB.
const LONGEST_HEADER: u64 = 16 << 20;

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

/// Whether a file of `length` bytes that begins with `start` can be one.
pub(super) fn is_one(start: &[u8], length: u64) -> bool {
    let header = start.first_chunk::<8>().map(|n| u64::from_le_bytes(*n));
    start.get(8) == Some(&b'{') && header.is_some_and(|n| n <= length)
}

/// The only tensor, or the one named `tensor`, or `mel`.
pub(super) fn read(mut file: File, path: &str, tensor: Option<&str>) -> Result<RawArray> {
    let broken = |found: String, expected: String| Error::Mel(Fault::new(path, found).expected(expected));
    let length = file.metadata().map_err(Error::io("cannot read", path))?.len();
    let mut size = [0; 8];
    if read_up_to(&mut file, &mut size).map_err(Error::io("cannot read", path))? < size.len() {
        return Err(broken(format!("has {length} bytes"), "at least 8 of a .safetensors file".into()));
    }
    let size = u64::from_le_bytes(size);
    let room = length.saturating_sub(8);
    if size > room.min(LONGEST_HEADER) {
        let most = room.min(LONGEST_HEADER);
        return Err(broken(format!("claims a .safetensors header of {size} bytes"), format!("at most {most}")));
    }
    let mut text = vec![0; size as usize]; // at most LONGEST_HEADER
    if read_up_to(&mut file, &mut text).map_err(Error::io("cannot read", path))? < text.len() {
        return Err(broken("ends within its .safetensors header".into(), String::new()));
    }
    let header: Header = serde_json::from_slice(&text).map_err(|error| {
        let found = format!("its .safetensors header cannot be read ({error})");
        broken(found, "JSON with dtype, shape and data_offsets of each tensor".into())
    })?;

    let names: Vec<&str> = header.tensors.keys().map(String::as_str).collect();
    if names.is_empty() {
        return Err(broken("holds no tensor".into(), format!("one named {TENSOR}")));
    }
    let name = array::choose(&names, tensor, path)?;
    let subject = format!("{path}: {name}");
    let broken = |found: String, expected: String| Error::Mel(Fault::new(&subject, found).expected(expected));
    let TensorInfo { dtype, ref shape, data_offsets: (begin, end) } = header.tensors[name];
    let encoding = encoding(dtype, &subject)?;
    let promised = elements(shape, encoding, &subject)?.bytes;
    if end.checked_sub(begin).map(|bytes| bytes as u64) != Some(promised) {
        let shape = array::describe(shape, encoding);
        return Err(broken(format!("lies at bytes {begin} to {end}"), format!("{promised} bytes for {shape}")));
    }
    let data = room - size;
    let last = header.tensors.values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    if end as u64 > data {
        let found = format!("its values end at byte {end} of the data, of which the file holds {data}");
        return Err(Error::Mel(Fault::new(&subject, found).remedy("the file was cut off: copy or write it again")));
    }
    if last != data {
        let found = format!("holds {data} bytes of data");
        return Err(Error::Mel(Fault::new(path, found).expected(format!("{last} by its header"))));
    }
    let numbers = Numbers::in_file(file, 8 + size + begin as u64, encoding);
    let mut array = RawArray::new(subject.clone(), shape.clone(), numbers, encoding, false);
    array.tensor = Some(name.to_string());
    array.metadata = header.metadata;
    Ok(array)
}

fn encoding(dtype: Dtype, subject: &str) -> Result<Encoding> {
    let float = match dtype {
        Dtype::F16 => Float::F16,
        Dtype::BF16 => Float::Bf16,
        Dtype::F32 => Float::F32,
        Dtype::F64 => Float::F64,
        other => {
            let fault = Fault::new(subject, format!("holds values of type {other}"));
            let fault = fault.expected("F16, BF16, F32 or F64").remedy("save the mel as float32");
            return Err(Error::Mel(fault));
        }
    };
    Ok(Encoding { float, big_endian: false })
}

/// The tensor `mel`, float32 values as bytes in the order of `shape`, with `convention` (JSON) in the metadata.
pub(super) fn write(out: &mut impl Write, shape: [usize; 2], bytes: &[u8], convention: String) -> io::Result<()> {
    let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).map_err(io::Error::other)?;
    let metadata = HashMap::from([(CONVENTION_KEY.to_string(), convention)]);
    out.write_all(&::safetensors::serialize([(TENSOR, view)], Some(metadata)).map_err(io::Error::other)?)
}
