//! NumPy's .npz: a zip archive with one .npy for each array.

use super::{RawArray, array, npy, numbers::Numbers};
use crate::{Error, Fault, Result};
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
};
use zip::{CompressionMethod, ZipArchive, result::ZipError};

pub(super) const MAGIC: &[u8; 4] = b"PK\x03\x04";
pub(super) const EMPTY_MAGIC: &[u8; 4] = b"PK\x05\x06";

/// An array of this size is taken whatever its compression; longer ones only at ratios that a mel can have. A mel of
/// digital silence shrinks a thousandfold, and this is 45 minutes of it.
const ALWAYS_INFLATED: u64 = 64 << 20;
const HIGHEST_RATIO: u64 = 64;

/// Bytes: a minute or two. What is longer is unpacked into a nameless file beside the system's other temporary ones.
const INFLATED_IN_MEMORY: u64 = 4 << 20;

/// The only array, or the one named `tensor`, or `mel`.
pub(super) fn read(mut file: File, path: &str, tensor: Option<&str>) -> Result<RawArray> {
    let length = refuse_decoys(&mut file, path)?;
    let archived = file.try_clone().map_err(Error::io("cannot read", path))?;
    let mut archive = ZipArchive::new(BufReader::new(archived)).map_err(zip_error(path))?;
    let names: Vec<&str> = archive.file_names().filter_map(|name| name.strip_suffix(".npy")).collect();
    if names.is_empty() {
        let is_torch = archive.file_names().any(|name| name.ends_with("data.pkl"));
        let (found, remedy) = if is_torch {
            ("is a PyTorch file", super::torch_remedy(path))
        } else {
            ("is a zip archive without .npy arrays", "save the mel with numpy.savez or as .safetensors".into())
        };
        return Err(Error::Mel(Fault::new(path, found).remedy(remedy)));
    }
    let name = array::choose(&names, tensor, path)?.to_string();
    let subject = format!("{path}: {name}");
    let broken = |found: String, expected: String| Error::Mel(Fault::new(&subject, found).expected(expected));

    let member = archive.by_name(&format!("{name}.npy")).map_err(zip_error(&subject))?;
    let (size, compressed) = (member.size(), member.compressed_size());
    if compressed > length {
        return Err(broken(format!("claims {compressed} compressed bytes"), format!("at most the file's {length}")));
    }
    if size > ALWAYS_INFLATED.max(compressed.saturating_mul(HIGHEST_RATIO)) {
        return Err(Error::Mel(
            Fault::new(&subject, format!("{compressed} compressed bytes claim to be {size}, which no mel's do"))
                .remedy("save it with numpy.savez, uncompressed"),
        ));
    }
    let stored_at = member.data_start().filter(|_| member.compression() == CompressionMethod::Stored);
    // One byte more than claimed, so that a member that goes on is noticed.
    let mut member = member.take(size.saturating_add(1));
    let header = npy::read_header(&mut member, &subject)?;
    let promised = header.size.bytes.saturating_add(header.length);
    if promised != size {
        let kind = if promised > size { "fewer" } else { "more" };
        let shape = array::describe(&header.shape, header.encoding);
        return Err(broken(
            format!("has {size} bytes, {kind} than its .npy header promises"),
            format!("{promised} ({shape})"),
        ));
    }
    // At the end of the data the checksum is compared too, so all of it is read once, wherever it is to lie.
    let mut all_of = |out: &mut dyn Write| -> Result<()> {
        let copied = io::copy(&mut member, out).map_err(member_error(&subject))?;
        if copied != header.size.bytes {
            let kind = if copied > header.size.bytes { "more" } else { "fewer" };
            return Err(broken(format!("inflates to {kind} bytes than it claims"), size.to_string()));
        }
        Ok(())
    };
    let numbers = if let Some(start) = stored_at {
        all_of(&mut io::sink())?;
        Numbers::in_file(file, start + header.length, header.encoding)
    } else if header.size.bytes <= INFLATED_IN_MEMORY {
        let (mut bytes, mut values) = (vec![], vec![]);
        all_of(&mut bytes)?;
        header.encoding.decode(&bytes, &mut values);
        Numbers::Memory(values)
    } else {
        let mut inflated = tempfile::tempfile().map_err(Error::io("cannot unpack", &subject))?;
        all_of(&mut inflated)?;
        Numbers::in_file(inflated, 0, header.encoding)
    };
    let mut array = RawArray::new(subject, header.shape, numbers, header.encoding, header.fortran_order);
    array.tensor = Some(name);
    Ok(array)
}

/// Refuses a file that has many end-of-archive marks, and returns its length: the zip crate tries them one after the other,
/// each with a search through the file, so that a few megabytes of marks would keep it busy for minutes.
pub(in crate::mel) fn refuse_decoys(file: &mut (impl Read + Seek), path: &str) -> Result<u64> {
    // Real archives have one; its four bytes may turn up in the values by chance.
    const MOST: usize = 16;
    let (mut marks, mut length, mut seen) = (0, 0, [0u8; 4]);
    let mut piece = vec![0; 1 << 16];
    loop {
        let got = file.read(&mut piece).map_err(Error::io("cannot read", path))?;
        if got == 0 {
            break;
        }
        length += got as u64;
        for &byte in &piece[..got] {
            seen = [seen[1], seen[2], seen[3], byte];
            marks += usize::from(seen == *EMPTY_MAGIC);
        }
    }
    if marks > MOST {
        let found = format!("is a zip archive with {marks} end marks");
        return Err(Error::Mel(Fault::new(path, found).expected("one")));
    }
    file.seek(SeekFrom::Start(0)).map_err(Error::io("cannot read", path))?;
    Ok(length)
}

fn zip_error(subject: &str) -> impl FnOnce(ZipError) -> Error {
    move |error| match error {
        ZipError::Io(source) if !is_data_error(&source) => {
            Error::Io { path: subject.into(), action: "cannot read", source }
        }
        error => {
            let remedy = "save it again with numpy.savez";
            Error::Mel(Fault::new(subject, format!("is no zip archive that can be read ({error})")).remedy(remedy))
        }
    }
}

/// What goes wrong within a member is nearly always the data's fault.
fn member_error(subject: &str) -> impl FnOnce(io::Error) -> Error {
    move |source| {
        if is_data_error(&source) {
            return Error::Mel(Fault::new(subject, format!("its compressed data is damaged ({source})")));
        }
        Error::Io { path: subject.into(), action: "cannot read", source }
    }
}

fn is_data_error(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Other)
}
