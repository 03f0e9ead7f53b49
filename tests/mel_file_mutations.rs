//! Mel files and streams with every kind of damage: whatever the bytes, an error or a mel, within the memory that the bytes
//! themselves justify. Run with --nocapture to see the number of inputs.

use audiodiff::mel::{
    MelConvention, check,
    file::{self, ReadOptions},
    stream::{F32leFrames, FrameReader, NpyBlocks},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    io::{Seek, SeekFrom, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Counts what is allocated, and the most that was at a time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The inputs are a few kilobytes. Reading takes a 64 KiB piece, the zip crate's inflater some tens more; what a header
/// claims would be megabytes at the least.
const MOST_MEMORY: usize = 2 << 20;

struct Trial {
    path: PathBuf,
    /// The same file each time: to make and remove a hundred thousand would take most of the test's time.
    file: fs::File,
    inputs: usize,
    read: usize,
    peak: usize,
}

impl Trial {
    /// Gives `bytes` to every reader.
    fn give(&mut self, what: impl Fn() -> String, bytes: &[u8]) {
        self.file.set_len(bytes.len() as u64).unwrap();
        self.file.seek(SeekFrom::Start(0)).unwrap();
        self.file.write_all(bytes).unwrap();
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| try_all(&self.path, bytes)));
        let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        let Ok(read) = outcome else { panic!("{}: panicked; the input is {}", what(), self.path.display()) };
        assert!(used < MOST_MEMORY, "{}: took {used} bytes; the input is {}", what(), self.path.display());
        self.inputs += 1;
        self.read += usize::from(read);
        self.peak = self.peak.max(used);
    }
}

/// Whether the file reader took it.
fn try_all(path: &Path, bytes: &[u8]) -> bool {
    let convention = MelConvention { n_mels: 10, ..MelConvention::native() };
    let options = ReadOptions { n_mels: Some(10), ..Default::default() };
    let read = file::read(path, &options);
    match &read {
        Ok(got) => {
            assert!(got.declared.mel.frames() > 0 && got.declared.mel.values().iter().all(|v| v.is_finite()));
            let convention = got.declared.convention.clone().unwrap_or(convention);
            let _either_way = check("x", &got.declared.mel, &convention);
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 4096, "{} bytes of message", message.len());
            assert!(message.starts_with(&path.display().to_string()), "the file is not named: {message}");
            assert!(!message.contains('\n'), "more than one line: {message}");
        }
    }
    drop_all(&mut NpyBlocks::new(bytes, 10, None, "standard input"));
    drop_all(&mut F32leFrames::new(bytes, 10, "standard input"));
    read.is_ok()
}

/// Reads a stream to its end or first error.
fn drop_all(source: &mut impl FrameReader) {
    while source.read_frames(64).is_ok_and(|mel| mel.frames() > 0) {}
}

fn npy(version: u8, descr: &str, fortran: &str, shape: &str, values: usize) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((text.len() as u16).to_le_bytes()),
        _ => bytes.extend((text.len() as u32).to_le_bytes()),
    }
    bytes.extend(text.bytes());
    bytes.extend((0..values).flat_map(|i| (i as f32 / -9.0).to_le_bytes()));
    bytes
}

fn safetensors(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn npz(member: &[u8], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("mel.npy", zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
    zip.write_all(member).unwrap();
    zip.finish().unwrap().into_inner()
}

const SEEDS: [&str; 14] = [
    "plain.npy",
    "fortran_frames_first.npy",
    "batch.npy",
    "big_f2.npy",
    "version_2.npy",
    "bad_structured.npy",
    "bad_object.npy",
    "only.npz",
    "several.npz",
    "compressed.npz",
    "float32.safetensors",
    "bfloat16.safetensors",
    "float16.safetensors",
    "declared.safetensors",
];

fn seed(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mel").join(name)).unwrap()
}

/// Every byte changed, every length, and numbers that overflow wherever a number may stand.
fn damage_everywhere(trial: &mut Trial) {
    for name in SEEDS {
        let whole = seed(name);
        for at in 0..whole.len() {
            for byte in [0, 0xff, whole[at] ^ 1, whole[at] ^ 0x80, b'9'] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                trial.give(|| format!("{name}: byte {at} = {byte}"), &bytes);
            }
            for number in [u32::MAX as u64, i32::MAX as u64, u64::MAX, i64::MAX as u64, 1 << 62] {
                let width = if number > u64::from(u32::MAX) { 8 } else { 4 };
                let mut bytes = whole.clone();
                let end = whole.len().min(at + width);
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
                trial.give(|| format!("{name}: {number} at {at}"), &bytes);
            }
            trial.give(|| format!("{name}: cut at {at}"), &whole[..at]);
        }
    }
}

/// Several bytes at once, pieces lost, doubled and moved, and files glued together.
fn damage_at_random(trial: &mut Trial) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    for round in 0..6000 {
        let name = SEEDS[below(SEEDS.len())];
        let mut bytes = seed(name);
        for _ in 0..=below(4) {
            let (a, b) = (below(bytes.len()), below(bytes.len()));
            let (a, b) = (a.min(b), a.max(b));
            match below(5) {
                0 => bytes[a] = below(256) as u8,
                1 => drop(bytes.drain(a..b)),
                2 => bytes.splice(a..a, bytes[a..b].to_vec()).for_each(drop),
                3 => bytes[a..b].reverse(),
                _ => bytes.extend(&seed(SEEDS[below(SEEDS.len())])[..]),
            }
        }
        trial.give(|| format!("{name}: round {round}"), &bytes);
    }
}

/// Headers that are well formed and claim what is not there.
fn false_claims(trial: &mut Trial) {
    #[rustfmt::skip]
    let shapes = [
        "()", "(0,)", "(10,)", "(10, 7)", "(7, 10)", "(10, 0)", "(0, 10)", "(10, 1000000)", "(10, 99999999)",
        "(10, 4294967296)", "(10, 9223372036854775807)", "(10, 18446744073709551615)", "(10, 18446744073709551616)",
        "(10, 99999999999999999999999999)", "(4294967296, 4294967296)", "(0, 18446744073709551615, 18446744073709551615)",
        "(1, 10, 7)", "(2, 10, 7)", "(10, 7, 1, 1, 1, 1, 1, 1, 1)", "(10L, 7L)", "(-10, 7)", "(10.0, 7)", "(10 7)", "[10, 7]",
        "(10, 7", "10", "((10, 7))", "(1e3, 10)", "(+10, 7)", "(,)", "(10,,7)", "(0x0a, 7)", "(True, 10)",
    ];
    #[rustfmt::skip]
    let types = [
        "'<f4'", "'>f4'", "'<f2'", "'<f8'", "'<f16'", "'|f4'", "'=f4'", "'f4'", "'<f'", "'<f5'", "'<f99999999999'", "'<f0'",
        "'<i4'", "'|u1'", "'|b1'", "'<c8'", "'|O'", "'<U4'", "'|S9'", "'|V2'", "'<M8[ns]'", "''", "'<'", "'é4'", "'<é'",
        "[('a', '<f4')]", "[]", "()", "4", "None", "('<f4', (2, 2))", "[('a', [('b', '<f4')])]",
    ];
    for descr in types {
        for shape in shapes {
            for fortran in ["False", "True", "0"] {
                for (version, values) in [(1, 0), (1, 70), (2, 70)] {
                    let what = || format!("version {version}, {descr}, {fortran}, {shape}, {values} values");
                    trial.give(what, &npy(version, descr, fortran, shape, values));
                }
            }
        }
    }
    for shape in shapes {
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            trial.give(|| format!("in an npz: {shape}"), &npz(&npy(1, "'<f4'", "False", shape, 70), method));
        }
    }
    // The archive itself lies about the member, in step with the member's header: 60 MB, less than a mel may have.
    for shape in ["(10, 1500000)", "(10, 15000)"] {
        let member = npy(1, "'<f4'", "False", shape, 70);
        let frames: u32 = shape[5..shape.len() - 1].parse().unwrap();
        let claimed = member.len() as u32 - 280 + 40 * frames;
        let mut bytes = npz(&member, zip::CompressionMethod::Deflated);
        // The uncompressed size in the central directory (APPNOTE 4.3.12).
        let central = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[central + 24..central + 28].copy_from_slice(&claimed.to_le_bytes());
        trial.give(|| format!("an archive that claims {shape}"), &bytes);
    }
    for opening in ["{", "[", "(", "'", "{'a':", "{'descr': [", "{'descr': (", "{'shape': (", "{'shape': ((", "{{'"] {
        for version in [1, 2] {
            let text = opening.repeat(9_990 / opening.len());
            let mut bytes = b"\x93NUMPY".to_vec();
            bytes.extend([version, 0]);
            bytes.extend(&(text.len() as u32).to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
            bytes.extend(text.bytes());
            trial.give(|| format!("a header of {opening}"), &bytes);
        }
    }

    let numbers =
        ["0", "1", "7", "10", "280", "-1", "1.5", "4294967296", "18446744073709551615", "18446744073709551616", "1e30"];
    for dtype in ["F32", "F64", "BF16", "F4", "F6_E2M3", "I64", "C64", "Q8", ""] {
        for a in numbers {
            for b in numbers {
                let shape =
                    format!("{{\"mel\":{{\"dtype\":\"{dtype}\",\"shape\":[10,{a},{b}],\"data_offsets\":[0,280]}}}}");
                trial.give(|| shape.clone(), &safetensors(&shape, 280));
                let lies = format!("{{\"mel\":{{\"dtype\":\"{dtype}\",\"shape\":[10,7],\"data_offsets\":[{a},{b}]}}}}");
                trial.give(|| lies.clone(), &safetensors(&lies, 280));
            }
        }
    }
    let declared = |convention: &str| {
        let text = serde_json::to_string(convention).unwrap();
        let tensor = "\"mel\":{\"dtype\":\"F32\",\"shape\":[10,7],\"data_offsets\":[0,280]}";
        safetensors(&format!("{{\"__metadata__\":{{\"convention\":{text}}},{tensor}}}"), 280)
    };
    let native = serde_json::to_value(MelConvention { n_mels: 10, ..MelConvention::native() }).unwrap();
    for field in native.as_object().unwrap().keys() {
        for value in ["0", "-1", "1e308", "1e-320", "18446744073709551615", "\"\"", "null", "[]", "{}", "7"] {
            let mut changed = native.clone();
            changed[field] = serde_json::from_str(value).unwrap();
            trial.give(|| format!("convention with {field} = {value}"), &declared(&changed.to_string()));
        }
    }
    for text in ["", "{", "[", "null", "\u{0}", &"[".repeat(3000), &"{\"a\":".repeat(800)] {
        trial.give(|| format!("convention {text:.20}"), &declared(text));
        trial.give(|| format!("json {text:.20}"), &safetensors(text, 280));
        trial.give(|| format!("json {{{text:.20}"), &safetensors(&format!("{{{text}"), 280));
    }
}

#[test]
fn no_damage_panics_or_takes_memory() {
    // In memory where there is such a folder.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("x.npy");
    let mut trial = Trial { file: fs::File::create(&path).unwrap(), path, inputs: 0, read: 0, peak: 0 };
    let hook = panic::take_hook();
    damage_everywhere(&mut trial);
    damage_at_random(&mut trial);
    false_claims(&mut trial);
    panic::set_hook(hook);
    let Trial { inputs, read, peak, .. } = trial;
    println!("{inputs} damaged mel files and streams: {read} still read, the rest refused; at most {peak} bytes taken");
    assert!(inputs > 90_000, "only {inputs} inputs");
    assert!(read > 1000, "only {read} read: the damage goes no further than the header");
}
