//! Mel files as other programs write them and as audiodiff does (tests/fixtures/mel/make.py), through the public functions.

use audiodiff::{
    Error,
    mel::{
        Layout, MelConvention, MelSpectrogram,
        file::{self, MelFile, ReadOptions},
    },
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

const BANDS: usize = 10;
const FRAMES: usize = 7;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mel").join(name)
}

/// The formula in make.py.
fn expected() -> MelSpectrogram {
    let value = |t: usize, m: usize| -11.5 + 0.25 * ((3 * t + 5 * m) % 47) as f32;
    MelSpectrogram::new((0..FRAMES).flat_map(|t| (0..BANDS).map(move |m| value(t, m))).collect(), BANDS)
}

fn options() -> ReadOptions {
    ReadOptions { n_mels: Some(BANDS), ..Default::default() }
}

fn read(name: &str) -> MelFile {
    file::read(&fixture(name), &options()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn message(path: &Path) -> String {
    let message = file::read(path, &options()).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "the message does not begin with the file: {message}");
    message
}

#[test]
fn every_writers_file_gives_the_same_mel() {
    for (name, dtype, layout, shape, tensor) in [
        ("plain.npy", "float32", Layout::BandsFirst, &[10, 7][..], None),
        ("frames_first.npy", "float32", Layout::FramesFirst, &[7, 10], None),
        ("fortran_frames_first.npy", "float32", Layout::FramesFirst, &[7, 10], None),
        ("fortran.npy", "float32", Layout::BandsFirst, &[10, 7], None),
        ("fortran_batch.npy", "float32", Layout::BandsFirst, &[1, 10, 7], None),
        ("batch.npy", "float32", Layout::BandsFirst, &[1, 10, 7], None),
        ("batch_frames_first.npy", "float32", Layout::FramesFirst, &[1, 7, 10], None),
        ("little_f2.npy", "float16", Layout::BandsFirst, &[10, 7], None),
        ("little_f8.npy", "float64", Layout::BandsFirst, &[10, 7], None),
        ("big_f2.npy", "float16 (big-endian)", Layout::BandsFirst, &[10, 7], None),
        ("big_f4.npy", "float32 (big-endian)", Layout::BandsFirst, &[10, 7], None),
        ("big_f8.npy", "float64 (big-endian)", Layout::BandsFirst, &[10, 7], None),
        ("version_2.npy", "float32", Layout::BandsFirst, &[10, 7], None),
        ("version_3.npy", "float32", Layout::BandsFirst, &[10, 7], None),
        ("only.npz", "float32", Layout::BandsFirst, &[10, 7], Some("arr_0")),
        ("several.npz", "float32", Layout::BandsFirst, &[10, 7], Some("mel")),
        ("compressed.npz", "float32", Layout::FramesFirst, &[7, 10], Some("mel")),
        ("float32.safetensors", "float32", Layout::BandsFirst, &[10, 7], Some("mel")),
        ("float16.safetensors", "float16", Layout::FramesFirst, &[7, 10], Some("mel")),
        ("bfloat16.safetensors", "bfloat16", Layout::BandsFirst, &[10, 7], Some("only")),
    ] {
        let got = read(name);
        assert_eq!(got.declared.mel, expected(), "{name}");
        assert_eq!(
            (got.dtype.as_str(), got.layout, &got.shape[..], got.tensor.as_deref()),
            (dtype, layout, shape, tensor)
        );
        assert_eq!((got.declared.convention, got.notes.len()), (None, 0), "{name}");
    }
}

#[test]
fn the_kind_is_told_by_the_content() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["plain.npy", "compressed.npz", "float32.safetensors"] {
        for other in ["x", "x.wav", "x.npy", "x.npz", "x.NPY", "x.safetensors"] {
            let path = folder.path().join(other);
            fs::copy(fixture(name), &path).unwrap();
            let got = file::read(&path, &options()).unwrap_or_else(|e| panic!("{name} as {other}: {e}"));
            assert_eq!(got.declared.mel, expected());
        }
    }
}

#[test]
fn a_tensor_is_chosen_by_name() {
    let named = |tensor: &str| ReadOptions { tensor: Some(tensor.into()), ..options() };
    assert_eq!(file::read(&fixture("nameless.npz"), &named("a")).unwrap().declared.mel, expected());
    assert_eq!(file::read(&fixture("float16.safetensors"), &named("x")).unwrap().dtype, "float64");
    assert!(message(&fixture("nameless.npz")).ends_with("none of them named mel: a, b; choose one with `tensor` NAME"));
    let missing = file::read(&fixture("several.npz"), &named("mels")).unwrap_err().to_string();
    assert!(missing.ends_with("holds no array mels, expected one of pitch, mel, energy"), "{missing}");
    let unnamed = file::read(&fixture("plain.npy"), &named("mel")).unwrap_err().to_string();
    assert!(unnamed.ends_with("leave `tensor` out"), "{unnamed}");
}

#[test]
fn a_declared_convention_comes_with_the_mel_and_before_the_wanted_bands() {
    let other = ReadOptions { n_mels: Some(100), ..Default::default() };
    let got = file::read(&fixture("declared.safetensors"), &other).unwrap();
    assert_eq!(got.declared.mel, expected());
    let convention = got.declared.convention.unwrap();
    assert_eq!((convention.name.as_str(), convention.n_mels, convention.layout), ("ten", 10, Layout::FramesFirst));
}

#[test]
fn arrays_that_are_no_mel_are_refused_with_the_reason() {
    for (name, reason) in [
        ("bad_int16.npy", "holds integers (int16), expected float16, float32 or float64"),
        ("bad_uint8.npy", "holds integers (uint8)"),
        ("bad_bool.npy", "holds truth values"),
        ("bad_complex.npy", "holds complex numbers"),
        ("bad_long_double.npy", "holds 128-bit floats"),
        ("bad_text.npy", "holds text"),
        ("bad_object.npy", "holds pickled Python objects"),
        ("bad_structured.npy", "is a structured array"),
        ("bad_raw.npy", "holds raw 2-byte values (bfloat16 is stored so)"),
        ("bad_vector.npy", "shape [7], expected [10, frames]"),
        ("bad_batch.npy", "shape [4, 10, 7] is a batch of 4"),
        ("bad_no_frames.npy", "shape [10, 0] holds no frame"),
        ("bad_nan.npy", "the value of band 4 in frame 5 is NaN"),
        ("bad_overflow.npy", "the value of band 4 in frame 5 is inf"),
        ("bad_object.npz", ": mel: holds pickled Python objects"),
        ("bad_int32.safetensors", ": mel: holds values of type I32"),
        ("bad_convention.safetensors", ": mel: metadata entry convention: cannot be read"),
        ("bad_declared_bands.safetensors", ": mel: its metadata declares the convention ten of 80 bands"),
    ] {
        let message = message(&fixture(name));
        assert!(message.contains(reason), "{name}: {message}");
    }
}

#[test]
fn a_raw_array_has_its_shape_and_values_in_c_order() {
    let array = file::read_array(&fixture("fortran_frames_first.npy"), None).unwrap();
    assert_eq!((&array.shape[..], array.values().unwrap()), (&[7, 10][..], expected().into_values()));
    let array = file::read_array(&fixture("bad_batch.npy"), None).unwrap();
    assert_eq!((array.shape.len(), array.values().unwrap().len()), (3, 280));
    let array = file::read_array(&fixture("declared.safetensors"), None).unwrap();
    assert!(array.metadata["convention"].contains("\"ten\""));
}

#[test]
fn what_is_no_mel_file_is_refused_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        message(&path)
    };
    let whole = fs::read(fixture("plain.npy")).unwrap();
    assert!(file("empty.npy", b"").ends_with("is empty"));
    assert!(file("short.npy", &whole[..3]).contains("does not begin with"));
    assert!(file("short.npz", b"PK").contains("does not begin with PK"));
    assert!(file("short.safetensors", b"\x08\0\0").contains("has 3 bytes"));
    assert!(file("x.pkl", b"\x80\x04\x95").contains("is a Python pickle"));
    assert!(file("x.wav", b"RIFF").contains("is none of the kinds"));
    assert!(file("x.npz", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").contains("without .npy arrays"));
    assert!(message(folder.path()).contains("is a folder"));
    let missing = folder.path().join("missing.npy");
    assert!(matches!(file::read(&missing, &options()), Err(Error::Io { .. })));
    #[cfg(unix)]
    assert!(message(Path::new("/dev/zero")).contains("is no regular file"));
}

#[test]
fn files_that_hold_less_or_more_than_they_say_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cut = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(fixture(name)).unwrap();
        change(&mut bytes);
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        message(&path)
    };
    let shorter = cut("plain.npy", &|bytes| bytes.truncate(bytes.len() - 4));
    assert!(
        shorter.contains("holds 276 bytes of values, fewer than its header promises, expected 280 ([10, 7] float32)")
    );
    let longer = cut("plain.npy", &|bytes| bytes.push(0));
    assert!(longer.contains("holds 281 bytes of values, more than its header promises"), "{longer}");
    let cut_header = cut("plain.npy", &|bytes| bytes.truncate(60));
    assert!(cut_header.contains("ends within its .npy header"), "{cut_header}");
    let shorter = cut("float32.safetensors", &|bytes| bytes.truncate(bytes.len() - 4));
    assert!(
        shorter.contains(": mel: its values end at byte 280 of the data, of which the file holds 276"),
        "{shorter}"
    );
    let longer = cut("float32.safetensors", &|bytes| bytes.push(0));
    assert!(longer.contains("holds 281 bytes of data, expected 280"), "{longer}");
    let claim = cut("float32.safetensors", &|bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()));
    assert!(claim.contains("claims a .safetensors header of 18446744073709551615 bytes"), "{claim}");
    let cut_zip = cut("only.npz", &|bytes| bytes.truncate(300));
    assert!(cut_zip.contains("is no zip archive that can be read"), "{cut_zip}");
    let flipped = cut("only.npz", &|bytes| {
        let at = bytes.windows(2).position(|w| w == b"}\x20").unwrap();
        bytes[at + 140] ^= 1; // in the values
    });
    assert!(flipped.contains(": arr_0: its compressed data is damaged"), "{flipped}");
}

/// An .npz with one deflated member of these bytes.
fn archive(path: &Path, member: impl Iterator<Item = Vec<u8>>) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let deflated = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("mel.npy", deflated).unwrap();
    member.for_each(|piece| zip.write_all(&piece).unwrap());
    zip.finish().unwrap();
}

fn header(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

#[test]
fn a_zip_bomb_is_refused_and_a_long_silence_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (bomb, silence) = (folder.path().join("bomb.npz"), folder.path().join("silence.npz"));
    let zeros = |bytes: usize| (0..bytes / 1_000_000).map(|_| vec![0u8; 1_000_000]);
    archive(&bomb, std::iter::once(header("(10, 2500000)")).chain(zeros(100_000_000)));
    assert!(fs::metadata(&bomb).unwrap().len() < 200_000);
    let message = message(&bomb);
    assert!(message.contains("compressed bytes claim to be 100000077, which no mel's do"), "{message}");

    // Ten minutes of the native convention.
    archive(&silence, std::iter::once(header("(10, 562500)")).chain(zeros(22_000_000)).chain([vec![0; 500_000]]));
    assert_eq!(file::read(&silence, &options()).unwrap().declared.mel.frames(), 562_500);
}

#[test]
fn decoys_in_a_zip_do_not_keep_it_busy() {
    // A megabyte of end marks: the zip crate would search the file once for each of them.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let mut mark = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0".repeat(50_000);
    mark.splice(0..0, *b"PK\x03\x04");
    fs::write(&path, mark).unwrap();
    assert!(message(&path).contains("is a zip archive with 50000 end marks"));
}

#[test]
fn what_is_written_reads_back_and_is_numpys_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let convention = MelConvention { n_mels: BANDS, ..MelConvention::native() };
    let npy = folder.path().join("x.npy");
    file::write(&npy, &expected(), &convention).unwrap();
    assert_eq!(fs::read(&npy).unwrap(), fs::read(fixture("plain.npy")).unwrap());

    let tensors = folder.path().join("x.safetensors");
    file::write(&tensors, &expected(), &convention).unwrap();
    let got = file::read(&tensors, &ReadOptions::default()).unwrap();
    assert_eq!((got.declared.mel, got.declared.convention), (expected(), Some(convention.clone())));
    assert_eq!((got.tensor.as_deref(), &got.shape[..]), (Some("mel"), &[10, 7][..]));

    let turned = MelConvention { layout: Layout::FramesFirst, ..convention };
    file::write(&npy, &expected(), &turned).unwrap();
    assert_eq!(fs::read(&npy).unwrap(), fs::read(fixture("frames_first.npy")).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a temporary file was left");
}

#[test]
fn what_cannot_be_written_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, mel: &MelSpectrogram| {
        file::write(&folder.path().join(name), mel, &MelConvention { n_mels: BANDS, ..MelConvention::native() })
    };
    assert!(matches!(write("x.npz", &expected()), Err(Error::Settings(_))));
    assert!(matches!(write("x", &expected()), Err(Error::Settings(_))));
    assert!(matches!(write("x.npy", &MelSpectrogram::new(vec![f32::NAN; 10], 10)), Err(Error::Mel(_))));
    assert!(matches!(write("x.npy", &MelSpectrogram::new(vec![0.0; 8], 8)), Err(Error::Convention(_))));
    assert!(matches!(write("missing/x.npy", &expected()), Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
