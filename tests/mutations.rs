//! Files and streams with every kind of damage, given to every reader: whatever the bytes, an answer or an error of one
//! line, within a bound of time and memory. Run with --nocapture to see the number of inputs.
//!
//! Every reader gets a share of 10,000 mutations of valid files; `MUTATIONS=1000000 cargo test --release --test mutations
//! every_reader -- --nocapture` tries as many as are asked for, the same ones each time.

mod counting;
mod tiny_model;

use audiodiff::{
    Error, Result, audio,
    batch::{Manifest, read_list},
    card::Effort,
    eval::{FileScore, Metric, Results},
    families,
    inspect::ModelReport,
    mel::{
        MelConvention, MelSpectrogram, check, extract,
        file::{self, ReadOptions},
        filterbank::Filterbank,
        presets,
        recognise::recognise_array,
        stream::{F32leFrames, FrameReader, NpyBlocks},
        user_convention,
    },
    model::{ModelCard, ModelDifference, ModelFile, RuntimeOptions},
    render::Renderer,
    source::WholeMel,
    train::{Header, Origin, Phase, Progress, TrainSettings, Vectors, load_checkpoint},
    vocoder::{RenderOptions, Vocoder},
};
use counting::{NOW, PEAK};
use safetensors::{Dtype, tensor::TensorView};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{Cursor, Seek, SeekFrom, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, atomic::Ordering},
};
use tiny_model::tiny_model;

/// The allocator counts for all threads: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

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
            // What a header declares may be named in it, escaped.
            assert!(message.len() < 60_000, "{} bytes of message", message.len());
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
    let _alone = ALONE.lock().unwrap();
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

/// What reads files of one kind.
struct Reader {
    name: &'static str,
    /// The name of a file, and what is right in it.
    seeds: Vec<(&'static str, Vec<u8>)>,
    /// Reads `path`, which holds the bytes, and does with the answer what the program would.
    read: fn(&Path, &[u8]) -> Result<()>,
}

/// Processor seconds for one input, and memory. A convention may ask for half of it: a filter bank and its products.
const MOST_SECONDS: f64 = 2.0;
const MOST_MEMORY_OF_ANY: usize = 300 << 20;

fn readers() -> Vec<Reader> {
    let mels = SEEDS.iter().map(|name| (*name, seed(name))).collect();
    let npy_of = |shape: &str, values: &[f64]| {
        let mut bytes = npy(1, "'<f8'", "False", shape, 0);
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    };
    let statistics = npy_of("(2, 8)", &[1.0; 16]);
    let convention = presets::named("pwg-lj").unwrap();
    let hifigan = br#"{"num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 22050, "fmin": 0, "fmax": 8000}"#;
    let openutau = b"name: v\nsample_rate: 24000\nhop_size: 256\nwin_size: 1024\nfft_size: 1024\nnum_mel_bins: 80\nmel_fmin: 40\nmel_fmax: 8000.5\nmel_base: 'e'\nmel_scale: htk\nspeakers: [&a one, *a]\n";
    let list = "a.npy\n{\"input\": \"b.npy\", \"output\": \"c.wav\", \"seed\": 7, \"gain\": -3.5, \"convention\": \"hifigan-22k\"}\nd\0";
    let manifest = concat!(
        r#"{"status":"done","input":"a.npy","output":"a.wav","input_blake3":"00ff","model":"m","settings":{"steps":2},"#,
        r#""seed":1,"audio_s":0.5,"took_s":0.1,"peak":0.5,"convention":"f5-tts","rate":24000}"#,
        "\n"
    );
    let score = FileScore::unscored("a", "builtin", &BTreeSet::from(Metric::ALL), "the rendering is silent");
    let mut results = serde_json::to_value(score).unwrap();
    results["made_of"] = "00ff".into();
    vec![
        Reader {
            name: "mel",
            seeds: mels,
            read: |path, bytes| {
                try_all(path, bytes);
                let array = file::read_array(path, None)?;
                recognise_array(&array, None, None)?;
                Ok(())
            },
        },
        Reader {
            name: "statistics",
            seeds: vec![
                ("s.npy", statistics.clone()),
                ("s.npz", npz_of(&[("mean", npy_of("(4,)", &[1.0; 4])), ("scale", npy_of("(4,)", &[1.0; 4]))])),
                (
                    "espnet.npz",
                    npz_of(&[
                        ("count", npy_of("()", &[9.0])),
                        ("sum", npy_of("(3,)", &[1.0; 3])),
                        ("sum_square", npy_of("(3,)", &[4.0; 3])),
                    ]),
                ),
            ],
            read: |path, _| user_convention::read_statistics(path).map(drop),
        },
        Reader { name: "model", seeds: vec![("m.safetensors", tiny_model())], read: read_model },
        Reader {
            name: "model of another family",
            seeds: ["hifigan-v3", "bigvgan-v2", "vocos-same", "diffwave"].map(|name| (name, family(name))).into(),
            read: read_family,
        },
        Reader {
            name: "convention",
            seeds: vec![
                ("c.toml", toml::to_string(convention).unwrap().into()),
                ("c.json", serde_json::to_vec(&presets::named("matcha-lj-scaled").unwrap()).unwrap()),
                ("base.toml", b"base = \"hifigan-22k\"\nhop = 300\nn_mels = 64\nf_max = 7000.5\n".to_vec()),
                ("config.json", hifigan.to_vec()),
                ("vocoder.yaml", openutau.to_vec()),
            ],
            read: read_convention,
        },
        Reader { name: "list", seeds: vec![("l", list.into())], read: |_, bytes| read_list(bytes, "list").map(drop) },
        Reader {
            name: "manifest",
            seeds: vec![("m.jsonl", manifest.repeat(2).into())],
            read: |path, _| Manifest::open(path).map(drop),
        },
        Reader {
            name: "results",
            seeds: vec![("r.jsonl", (results.to_string() + "\n").into())],
            read: |path, _| Results::open(path).map(drop),
        },
        Reader {
            name: "recording",
            seeds: vec![
                ("pcm16.wav", wav(1, 16)),
                ("stereo.wav", wav(2, 24)),
                ("float.wav", wav(1, 32)),
                ("rendering.wav", rendering()),
            ],
            read: |path, _| {
                let metadata = audio::read_metadata(path).map(drop);
                audio::read_at(path, 24_000)?;
                metadata
            },
        },
        Reader {
            name: "checkpoint",
            seeds: vec![("last.safetensors", checkpoint())],
            read: |path, _| load_checkpoint(path).map(drop),
        },
        Reader {
            name: "settings of a training",
            seeds: vec![("t.toml", TrainSettings::of(Phase::FewStep).to_toml().unwrap().into())],
            read: |path, _| TrainSettings::read(path, None, Phase::Flow, TrainSettings::of).map(drop),
        },
    ]
}

fn npz_of(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn wav(channels: u16, bits_per_sample: u16) -> Vec<u8> {
    let sample_format = if bits_per_sample == 32 { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    let spec = hound::WavSpec { channels, sample_rate: 16_000, bits_per_sample, sample_format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for i in 0..600 * i32::from(channels) {
        match bits_per_sample {
            32 => writer.write_sample((i as f32).sin()).unwrap(),
            _ => writer.write_sample(i % 100 - 50).unwrap(),
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

/// A rendering, with what it was made of.
fn rendering() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let metadata = Some(audio::WavMetadata::new(serde_json::json!({ "seed": 1, "steps": 2 })));
    let settings =
        audio::FileSinkSettings { metadata, ..audio::FileSinkSettings::new(audio::SampleFormat::Pcm16, 24_000) };
    let mut sink = audio::FileSink::create(&path, settings).unwrap();
    sink.write(&(0..600).map(|i| (i as f32).sin() * 0.5).collect::<Vec<_>>()).unwrap();
    sink.finish().unwrap();
    fs::read(path).unwrap()
}

fn read_model(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.display().to_string();
    let file = ModelFile::parse(&ModelFile::read(path)?, &name).map(|file| {
        ModelDifference::between(&file, &file);
        drop(ModelReport::of(&file));
    });
    file?;
    assert!(ModelFile::is_one(bytes));
    // All that the card leaves free is put to use, its numbers of steps aside.
    let vocoder = families::open(path, &RuntimeOptions { threads: 1, ..RuntimeOptions::default() })?;
    render(vocoder, &MelConvention::native())
}

fn family(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/fixtures/families/{name}.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read_family(path: &Path, _: &[u8]) -> Result<()> {
    let vocoder = families::open(path, &RuntimeOptions { threads: 1, ..RuntimeOptions::default() })?;
    let convention = vocoder.card().mel.clone();
    let frame = (0..convention.n_mels).map(|m| convention.stored(m, 0.01) as f32);
    let mel = MelSpectrogram::new(frame.collect::<Vec<f32>>().repeat(4), convention.n_mels);
    for sound in Renderer::new(vocoder, Box::new(WholeMel::new(mel)), &convention, &RenderOptions::default())? {
        assert!(sound?.into_mono().iter().all(|x| x.is_finite()), "{convention:?} gives sound that is not finite");
    }
    Ok(())
}

/// Renders some frames of `convention`.
fn render(vocoder: Arc<dyn Vocoder>, convention: &MelConvention) -> Result<()> {
    let noise: Vec<f32> = (0..4 * convention.n_fft).map(|i| ((i * i) as f32).sin() * 0.1).collect();
    let mel = extract(&noise, convention)?;
    let mel = mel.slice(0..mel.frames().min(4));
    let effort = Effort::new([("start_iterations", 1), ("steps", 1), ("iterations", 0), ("final_iterations", 1)]);
    let options = RenderOptions { effort: Some(effort), seed: 1, ..RenderOptions::default() };
    for sound in Renderer::new(vocoder, Box::new(WholeMel::new(mel)), convention, &options)? {
        let samples = sound?.into_mono();
        assert!(samples.iter().all(|x| x.is_finite()), "{convention:?} gives sound that is not finite");
    }
    Ok(())
}

fn read_convention(path: &Path, _: &[u8]) -> Result<()> {
    static VOCODER: LazyLock<Arc<dyn Vocoder>> = LazyLock::new(|| families::griffin_lim(1).unwrap());
    let convention = user_convention::load(path)?.convention;
    Filterbank::new(&convention);
    render(VOCODER.clone(), &convention)
}

fn checkpoint() -> Vec<u8> {
    let settings = TrainSettings::of(Phase::Flow);
    let origin = Origin { data: "00ff".into(), init: "00ff".into() };
    let header = Header::new(settings, ModelCard::new("x"), &origin, Progress::default());
    let metadata = HashMap::from([("audiodiff-training".to_string(), serde_json::to_string(&header).unwrap())]);
    let vector = [0u8; 400];
    let views = Vectors::NAMES.map(|name| (name, TensorView::new(Dtype::F32, vec![100], &vector).unwrap()));
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// `whole` with one to three changes; where it begins with a text of stated length, often that text alone, and its
    /// new length stated.
    fn mutated(&mut self, whole: &[u8]) -> Vec<u8> {
        let (at, width) = if whole.starts_with(b"\x93NUMPY") { (8, 2) } else { (0, 8) };
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let length = whole.get(at..at + width).map_or(0, number);
        let begin = at + width;
        if length == 0 || begin.saturating_add(length) > whole.len() || self.below(3) == 0 {
            return self.changed(whole.to_vec());
        }
        let text = self.changed(whole[begin..begin + length].to_vec());
        let stated = (text.len() as u64).to_le_bytes();
        [&whole[..at], &stated[..width], &text, &whole[begin + length..]].concat()
    }

    fn changed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        #[rustfmt::skip]
        const NUMBERS: [&str; 22] = [
            "0", "-1", "1", "2", "3", "7", "16", "255", "257", "4096", "32768", "65536", "768000", "2147483648", "4294967296",
            "9223372036854775808", "18446744073709551616", "1e308", "1e-320", "-0.0", "nan", "",
        ];
        const SIZES: [u64; 8] = [0, 1, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 62, u64::MAX];
        for _ in 0..=self.below(3) {
            let (a, b) = (self.below(bytes.len()), self.below(bytes.len()));
            let (a, b) = (a.min(b), a.max(b));
            match self.below(10) {
                0 => bytes.iter_mut().skip(a).take(1).for_each(|byte| *byte = self.below(256) as u8),
                1 => drop(bytes.drain(a..b)),
                2 => bytes.splice(a..a, bytes[a..b].to_vec()).for_each(drop),
                3 => bytes[a..b].reverse(),
                4 => bytes.truncate(b),
                5 => {
                    let size = self.of(&SIZES).to_le_bytes();
                    let width = *self.of(&[2, 4, 8]);
                    let end = bytes.len().min(a + width);
                    bytes[a..end].copy_from_slice(&size[..end - a]);
                }
                6 => {
                    let piece = [*self.of(b"{[('\"\\\x1b\n0 \xff")].repeat(self.below(4000));
                    bytes.splice(a..a, piece).for_each(drop);
                }
                // The next number that is written in digits.
                _ => {
                    let is_digit = |byte: &u8| byte.is_ascii_digit();
                    let Some(from) = bytes[a..].iter().position(is_digit).map(|at| a + at) else { continue };
                    let digits = bytes[from..].iter().take_while(|byte| is_digit(byte)).count();
                    bytes.splice(from..from + digits, self.of(&NUMBERS).bytes()).for_each(drop);
                }
            }
        }
        bytes
    }
}

/// Seconds that this thread was given by a processor, so that a machine's other work counts for nothing.
fn processor_s() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory that the process ever held, in bytes: libtorch does not ask Rust's allocator.
fn most_resident() -> usize {
    // SAFETY: a struct of numbers, which the call fills.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    usage.ru_maxrss as usize * if cfg!(target_os = "macos") { 1 } else { 1024 }
}

#[test]
fn every_reader_answers_whatever_the_bytes() {
    let _alone = ALONE.lock().unwrap();
    let count: usize = std::env::var("MUTATIONS").map_or(10_000, |n| n.parse().expect("MUTATIONS is a number"));
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let readers = readers();
    for reader in &readers {
        for (name, bytes) in &reader.seeds {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let read = (reader.read)(&path, bytes);
            let is_bad = name.starts_with("bad_");
            assert_eq!(read.is_err(), is_bad, "{}, {name}, unchanged: {read:?}", reader.name);
        }
    }
    let (mut random, mut tally) = (Random(0x9e37_79b9_7f4a_7c15), vec![(0, 0, 0.0f64, 0); readers.len()]);
    let resident = most_resident();
    for round in 0..count {
        let which = round % readers.len();
        let reader = &readers[which];
        let (name, whole) = random.of(&reader.seeds);
        let bytes = random.mutated(whole);
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let what = || format!("{}, {name}, round {round}; the input is {}", reader.name, path.display());
        let (before, started) = (NOW.load(Ordering::Relaxed), processor_s());
        PEAK.store(before, Ordering::Relaxed);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (reader.read)(&path, &bytes)));
        let took_s = processor_s() - started;
        let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        if outcome.is_err() || used > MOST_MEMORY_OF_ANY || took_s > MOST_SECONDS {
            // For a look at it afterwards.
            let _folder = folder.keep();
            panic!("{}: {}, {used} bytes, {took_s:.1} s", what(), if outcome.is_err() { "panicked" } else { "read" });
        }
        let (given, read, longest, most) = &mut tally[which];
        match outcome {
            Ok(Err(error)) => look_at(&error, &what()),
            Ok(Ok(())) => *read += 1,
            Err(_) => unreachable!("looked at above"),
        }
        (*given, *longest, *most) = (*given + 1, longest.max(took_s), used.max(*most));
    }
    for (reader, (given, read, longest, most)) in readers.iter().zip(&tally) {
        println!("{}: {given} inputs, {read} still read, at most {longest:.3} s and {most} bytes", reader.name);
        assert!(*read > 0 && read < given, "{}: damage is never or always noticed", reader.name);
    }
    let grown = most_resident() - resident;
    println!("{count} inputs; the process grew by {} MB", grown >> 20);
    assert!(grown < MOST_MEMORY_OF_ANY, "the process grew by {grown} bytes");
}

/// One line that a terminal may be given.
fn look_at(error: &Error, what: &str) {
    let message = error.to_string();
    // The longest name in a file is 4000 characters or twice as many, each of which may be escaped as six.
    let is_fit = !message.chars().any(char::is_control) && message.len() < 60_000;
    assert!(is_fit, "{what}: {} bytes: {}", message.len(), message.chars().take(500).collect::<String>());
}
