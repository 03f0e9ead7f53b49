//! Mel spectrograms in files: .npy, .npz, .safetensors and, of programs that draw them, .png.
//!
//! What a file is, its first bytes tell; its name only decides what to call it where they don't. Nothing that a header
//! claims is believed before it is compared with the file's own length, and no memory is taken for it.

mod array;
mod encoding;
mod npy;
mod npz;
mod numbers;
mod picture;
mod safetensors;

use numbers::Numbers;

pub use array::RawArray;
pub(super) use array::{Axes, Finite, FoundAxes, StoredFrames, not_finite, squeezed};
pub(super) use encoding::{Encoding, read_up_to};
pub(super) use npy::{Header as NpyHeader, read_header as read_npy_header, read_numbers as read_npy_numbers};
pub(super) use npz::refuse_decoys;

use super::{DeclaredMel, Layout, MelConvention, MelSpectrogram};
use crate::{Error, Fault, Remedy, Result, Setting, whole_file::WholeFile};
use std::{
    fs::{self, File},
    io::{BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

/// What the reader of a mel file knows beforehand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// The bands to look for among the axes. A file that declares its convention is read by that.
    pub n_mels: Option<usize>,
    /// The order of the axes; found by the band count where `None`.
    pub layout: Option<Layout>,
    /// The array to read in an .npz or .safetensors that holds several.
    pub tensor: Option<String>,
}

/// A mel, and how the file held it.
#[derive(Debug, Clone, PartialEq)]
pub struct MelFile {
    pub declared: DeclaredMel,
    pub layout: Layout,
    pub shape: Vec<usize>,
    /// As stored: `float16`, `float32 (big-endian)`.
    pub dtype: String,
    /// Its name in an .npz or .safetensors.
    pub tensor: Option<String>,
    /// What was assumed where the file left it open; a sentence each, for the user.
    pub notes: Vec<String>,
}

/// Reads a mel of any of the three kinds: float16, float32 or float64 (bfloat16 in .safetensors), either byte order, C or
/// Fortran order, `[M, T]`, `[T, M]` or either as a batch of one.
///
/// # Errors
/// `Error::Io` where the file cannot be read; `Error::Mel` where it is broken, of another type or shape, or has a value that
/// is not finite; `Error::Convention` where it declares an impossible one.
pub fn read(path: &Path, options: &ReadOptions) -> Result<MelFile> {
    read_array(path, options.tensor.as_deref())?.into_mel(options)
}

/// Whether a file that begins with `start` is one of the three kinds.
pub fn is_start(start: &[u8]) -> bool {
    let magics: [&[u8]; 3] = [npy::MAGIC, npz::MAGIC, npz::EMPTY_MAGIC];
    // No header comes near 16 MB; more than text would say begins with.
    let claims_header = start.get(..8).is_some_and(|length| length[3..] == [0; 5]) && start.get(8) == Some(&b'{');
    magics.iter().any(|magic| start.starts_with(magic)) || claims_header
}

/// An array that no file holds; `subject` names it in errors. As of a file's, nothing of it is checked yet.
///
/// # Panics
/// If `values` are not as many as `shape` says.
pub fn array_in_memory(subject: &str, shape: Vec<usize>, values: Vec<f32>) -> RawArray {
    assert_eq!(shape.iter().product::<usize>(), values.len(), "values of an array of shape {shape:?}");
    RawArray::new(subject.into(), shape, Numbers::Memory(values), Encoding::F32LE, false)
}

/// Opens one array, whatever its shape and values: `tensor`, or the only one, or the one named `mel`. Of a file whose values lie
/// in it as they are, none is read yet.
///
/// # Errors
/// As [`read`], but for shape and values.
pub fn read_array(path: &Path, tensor: Option<&str>) -> Result<RawArray> {
    let name = path.display().to_string();
    let fault = |found: &str| Fault::new(&name, found);
    let metadata = fs::metadata(path).map_err(Error::io("cannot open", path))?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its writer.
        let what = if metadata.is_dir() { "is a folder" } else { "is no regular file" };
        return Err(Error::Mel(fault(what).expected("a .npy, .npz or .safetensors file")));
    }
    let mut file = File::open(path).map_err(Error::io("cannot open", path))?;
    let length = metadata.len();
    if length == 0 {
        return Err(Error::Mel(fault("is empty")));
    }
    let mut start = [0; 16];
    let got = read_up_to(&mut file, &mut start).map_err(Error::io("cannot read", path))?;
    let start = &start[..got];
    file.seek(SeekFrom::Start(0)).map_err(Error::io("cannot read", path))?;

    let extension = extension(path);
    if start.starts_with(npy::MAGIC) {
        read_npy(file, length, &name, tensor)
    } else if start.starts_with(npz::MAGIC) || start.starts_with(npz::EMPTY_MAGIC) {
        npz::read(file, &name, tensor)
    } else if start.starts_with(picture::MAGIC) {
        picture::read(file, &name)
    } else if safetensors::is_one(start, length) || extension == "safetensors" {
        // Where only the name says so, the reader says what is wrong.
        safetensors::read(file, &name, tensor)
    } else {
        let found = match extension.as_str() {
            "npy" => r"does not begin with \x93NUMPY as an .npy file does",
            "npz" => "does not begin with PK as an .npz file does",
            _ if start.starts_with(&[0x80]) => "is a Python pickle",
            _ => "is none of the kinds of mel file",
        };
        let remedy = if start.starts_with(&[0x80]) { torch_remedy(&name) } else { "save it with numpy.save".into() };
        Err(Error::Mel(fault(found).expected("a .npy, .npz or .safetensors file").remedy(remedy)))
    }
}

/// How to convert what `torch.save` wrote.
fn torch_remedy(path: &str) -> String {
    let to = Path::new(path).with_extension("npy");
    format!(
        "convert it: python3 -c \"import numpy, torch; x = torch.load('{path}', map_location='cpu'); \
         numpy.save('{}', x.float().numpy())\" (of a dictionary, x is one of its entries)",
        to.display()
    )
}

fn read_npy(mut file: File, length: u64, path: &str, tensor: Option<&str>) -> Result<RawArray> {
    if let Some(tensor) = tensor {
        let found = format!("is an .npy file, whose one array has no name, so not {tensor}");
        return Err(Error::Mel(Fault::new(path, found).remedy(Remedy::LeaveOut(Setting::Tensor))));
    }
    let header = npy::read_header(&mut file, path)?;
    let (has, promised) = (length.saturating_sub(header.length), header.size.bytes);
    if has != promised {
        let (kind, remedy) = if has < promised {
            ("fewer", "the file was cut off: copy or write it again")
        } else {
            ("more", "arrays one after the other are a stream: give them on standard input")
        };
        let found = format!("holds {has} bytes of values, {kind} than its header promises");
        let expected = format!("{promised} ({})", array::describe(&header.shape, header.encoding));
        return Err(Error::Mel(Fault::new(path, found).expected(expected).remedy(remedy)));
    }
    let numbers = Numbers::in_file(file, header.length, header.encoding);
    Ok(RawArray::new(path.to_string(), header.shape, numbers, header.encoding, header.fortran_order))
}

/// Writes a mel by its convention's layout as float32 in C order: .npy with the header that NumPy writes, or .safetensors
/// with the tensor `mel` and the convention as JSON in the metadata. The file appears whole or not at all.
///
/// # Errors
/// `Error::Settings` for another extension; `Error::Mel` where a value is not finite; `Error::Convention` where the band
/// counts differ; `Error::Io`.
pub fn write(path: &Path, mel: &MelSpectrogram, convention: &MelConvention) -> Result<()> {
    let subject = path.display().to_string();
    if mel.n_mels() != convention.n_mels {
        let fault = Fault::new(&subject, format!("the mel has {} bands", mel.n_mels()));
        let expected = format!("{} by the convention {}", convention.n_mels, convention.name);
        return Err(Error::Convention(fault.expected(expected)));
    }
    if let Some(i) = mel.values().iter().position(|v| !v.is_finite()) {
        return Err(not_finite(&subject, (i / mel.n_mels(), i % mel.n_mels()), mel.values()[i], 1));
    }
    let extension = extension(path);
    if !matches!(extension.as_str(), "npy" | "safetensors") {
        let fault = Fault::new(&subject, "is no name that a mel file is written under");
        return Err(Error::Settings(fault.expected(".npy or .safetensors")));
    }

    let turned = convention.falling_bands.then(|| mel.clone().turned());
    let (shape, bytes) = stored(turned.as_ref().unwrap_or(mel), convention.layout);
    let mut file = WholeFile::create(path)?;
    let written = if extension == "npy" {
        let mut out = BufWriter::new(&mut file);
        npy::write_header(&mut out, shape).and_then(|()| out.write_all(&bytes)).and_then(|()| out.flush())
    } else {
        let json = serde_json::to_string(convention).map_err(std::io::Error::other);
        json.and_then(|json| safetensors::write(&mut file, shape, &bytes, json))
    };
    written.map_err(Error::io("cannot write", path))?;
    file.finish()
}

/// Shape and little-endian float32 bytes of a mel in a layout.
fn stored(mel: &MelSpectrogram, layout: Layout) -> ([usize; 2], Vec<u8>) {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    match layout {
        Layout::BandsFirst => ([mel.n_mels(), mel.frames()], bytes(&mel.band_major())),
        Layout::FramesFirst => ([mel.frames(), mel.n_mels()], bytes(mel.values())),
    }
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}
