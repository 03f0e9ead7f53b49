//! Conventions from files: a user's own TOML, YAML or JSON, a program's configuration as it is, per-band statistics.

use super::{
    BandStatistics, MelConvention, file, presets,
    program_config::{self, Described},
};
use crate::{Error, Fault, Result};
use serde_json::{Map, Value};
use std::{
    fmt::Display,
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

/// A convention file is a page of text; what is longer is something else.
const LONGEST_TEXT: u64 = 1 << 20;
/// Two numbers a band, or ESPnet's three arrays.
const LONGEST_STATISTICS: u64 = 16 << 20;

/// A preset's name or, where no preset has it, the path of a convention file; with what of a program's configuration was not
/// understood.
///
/// # Errors
/// `Error::Convention` where it is neither, or where the file names no valid convention.
pub fn describe(name: &str) -> Result<Described> {
    if let Some(preset) = presets::find(name) {
        return Ok(preset.convention.clone().into());
    }
    let path = Path::new(name);
    if path.is_file() { load(path) } else { presets::named(name).cloned().map(Described::from) }
}

/// The convention in a TOML, YAML or JSON file.
///
/// The fields are those of [`MelConvention`]. With `base = "PRESET"` only what differs from the preset has to be there;
/// `name` falls back on the file's own, and `statistics` may be the path of an array file, relative to this one. A program's
/// configuration is taken as it is: HiFi-GAN's, BigVGAN's, OpenUtau's, that of a `SpeechT5HifiGan`.
///
/// # Errors
/// `Error::Io`, or `Error::Convention` naming file and field.
pub fn load(path: &Path) -> Result<Described> {
    let text = String::from_utf8(read_at_most(path, LONGEST_TEXT)?)
        .map_err(|_| fault(path.display(), "no text", "a TOML, YAML or JSON file with the fields of a convention"))?;
    let is = |extension: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
    let yaml = is("yaml") || is("yml");
    let mut fields: Map<String, Value> = if yaml {
        read_yaml(&text, path)?
    } else if is("json") || text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|e| fault(path.display(), &e.to_string(), "a JSON object"))?
    } else {
        toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(0, |s| text[..s.start.min(text.len())].lines().count().max(1));
            fault(format!("{}: line {line}", path.display()), e.message(), "valid TOML")
        })?
    };
    let stem = path.file_stem().map_or_else(|| "convention".into(), |s| s.to_string_lossy().into_owned());
    let described = match program_config::read(&fields, yaml, &stem, path)? {
        Some(described) => described,
        None => {
            load_statistics_field(&mut fields, path)?;
            from_fields(fields, stem, path)?.into()
        }
    };
    described.convention.validate().map_err(|e| in_file(path, e))?;
    Ok(described)
}

fn read_yaml(text: &str, path: &Path) -> Result<Map<String, Value>> {
    // A page of text, whatever its anchors and aliases say.
    let budget = serde_saphyr::budget! { max_nodes: 10_000, max_events: 20_000, max_depth: 64, max_aliases: 100 };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| fault(path.display(), &error.to_string(), "a YAML mapping"))
}

fn from_fields(mut fields: Map<String, Value>, stem: String, path: &Path) -> Result<MelConvention> {
    let mut all = match fields.remove("base") {
        Some(Value::String(base)) => {
            let base = presets::named(&base).map_err(|e| in_file(path, e))?;
            match serde_json::to_value(base) {
                Ok(Value::Object(map)) => map,
                _ => Map::new(),
            }
        }
        Some(other) => return Err(fault(format!("{}: base", path.display()), &other.to_string(), "a preset's name")),
        None => Map::new(),
    };
    all.insert("name".into(), stem.into());
    all.extend(fields);
    serde_json::from_value(Value::Object(all)).map_err(|e| {
        Error::Convention(
            Fault::new(path.display(), e.to_string()).remedy(
                "`audiodiff mel conventions` with `json` prints complete ones; base = \"PRESET\" fills the rest",
            ),
        )
    })
}

/// `statistics = "stats.npy"` becomes the numbers in that file.
fn load_statistics_field(fields: &mut Map<String, Value>, path: &Path) -> Result<()> {
    if let Some(Value::String(file)) = fields.get("statistics") {
        let statistics = read_statistics(&path.parent().unwrap_or(Path::new("")).join(file))?;
        let value =
            serde_json::to_value(statistics).map_err(|e| fault(path.display(), &e.to_string(), "statistics"))?;
        fields.insert("statistics".into(), value);
    }
    Ok(())
}

/// Per-band mean and standard deviation from an array file: .npy with `[2, M]` (means, then deviations; what
/// ParallelWaveGAN's `stats.npy` holds), .npz with `mean` and `scale` or `std`, or ESPnet's `feats_stats.npz` (`count`,
/// `sum`, `sum_square`).
///
/// # Errors
/// `Error::Io`, or `Error::Convention` naming the file and the array; HDF5 is not read, the error says how to convert.
pub fn read_statistics(path: &Path) -> Result<BandStatistics> {
    let bytes = read_at_most(path, LONGEST_STATISTICS)?;
    let wanted = "a .npy of [2, bands], or a .npz with mean and scale";
    if bytes.starts_with(b"\x89HDF") {
        let name = path.display();
        return Err(Error::Convention(Fault::new(&name, "an HDF5 file").expected(wanted).remedy(format!(
            "convert it: python3 -c \"import h5py, numpy; f = h5py.File('{name}'); \
             numpy.save('stats.npy', numpy.stack([f['mean'][:], f['scale'][:]]))\""
        ))));
    }
    if bytes.starts_with(b"PK") {
        return from_npz(bytes, path, wanted);
    }
    let (shape, values) = array(&bytes, &path.display().to_string())?;
    match shape[..] {
        [2, bands] if bands > 0 => Ok(BandStatistics { mean: values[..bands].to_vec(), std: values[bands..].to_vec() }),
        _ => Err(fault(path.display(), &format!("an array of {shape:?}"), wanted)),
    }
}

fn from_npz(bytes: Vec<u8>, path: &Path, wanted: &str) -> Result<BandStatistics> {
    let broken = |e: zip::result::ZipError| fault(path.display(), &e.to_string(), wanted);
    let mut bytes = Cursor::new(bytes);
    file::refuse_decoys(&mut bytes, &path.display().to_string())?;
    let mut archive = zip::ZipArchive::new(bytes).map_err(broken)?;
    let mut get = |names: &[&str]| -> Result<Option<Vec<f64>>> {
        for name in names {
            let Ok(entry) = archive.by_name(&format!("{name}.npy")) else { continue };
            let mut inner = Vec::new();
            let at = format!("{}: {name}", path.display());
            entry.take(LONGEST_STATISTICS).read_to_end(&mut inner).map_err(|e| fault(&at, &e.to_string(), wanted))?;
            return Ok(Some(array(&inner, &at)?.1));
        }
        Ok(None)
    };
    if let (Some(mean), Some(std)) = (get(&["mean", "mean_"])?, get(&["scale", "std", "scale_"])?) {
        return Ok(BandStatistics { mean, std });
    }
    match (get(&["count"])?.as_deref(), get(&["sum"])?, get(&["sum_square"])?) {
        (Some(&[count]), Some(sum), Some(square)) if sum.len() == square.len() => {
            let mean: Vec<f64> = sum.iter().map(|s| s / count).collect();
            // The variance that ESPnet's GlobalMVN never goes below.
            let std = square.iter().zip(&mean).map(|(s, m)| (s / count - m * m).max(1e-20).sqrt()).collect();
            Ok(BandStatistics { mean, std })
        }
        _ => Err(fault(path.display(), "no such arrays in it", "mean and scale, or count, sum and sum_square")),
    }
}

/// Shape and values of a .npy.
fn array(bytes: &[u8], at: &str) -> Result<(Vec<usize>, Vec<f64>)> {
    file::read_npy_numbers(bytes, at).map_err(|error| match error {
        Error::Mel(fault) => Error::Convention(fault),
        other => other,
    })
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(limit + 1).read_to_end(&mut bytes)).map_err(Error::io("cannot read", path))?;
    if bytes.len() as u64 > limit {
        return Err(fault(path.display(), &format!("more than {} KiB", limit >> 10), "a convention or its statistics"));
    }
    Ok(bytes)
}

fn fault(subject: impl Display, found: &str, expected: &str) -> Error {
    Error::Convention(Fault::new(subject, found).expected(expected))
}

/// The same fault, with the file that it lies in.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Convention(f) => Error::Convention(Fault { subject: format!("{}: {}", path.display(), f.subject), ..f }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder;

    fn write(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn npy(shape: &[u64], values: &[f64]) -> Vec<u8> {
        let mut out = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut out);
        let mut writer = options.begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        out
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for preset in presets::all() {
            let (_a, json) = write("c.json", serde_json::to_string(&preset.convention).unwrap());
            assert_eq!(load(&json).unwrap(), preset.convention.clone().into());
            let (_b, toml) = write("c.toml", toml::to_string(&preset.convention).unwrap());
            assert_eq!(load(&toml).unwrap(), preset.convention.clone().into());
        }
    }

    #[test]
    fn a_base_leaves_only_the_difference_to_be_said() {
        let (_dir, path) = write("mine.toml", "base = \"vocos-24k\"\nfloor = 1e-6\n");
        let want = MelConvention { name: "mine".into(), floor: 1e-6, ..presets::named("vocos-24k").unwrap().clone() };
        assert_eq!(load(&path).unwrap(), want.into());
    }

    #[test]
    fn hifigan_and_bigvgan_configurations_are_taken_as_they_are() {
        let (_a, hifigan) = write(
            "config_v1.json",
            r#"{"resblock": "1", "num_gpus": 0, "upsample_rates": [8,8,2,2], "segment_size": 8192, "num_mels": 80,
                "num_freq": 1025, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 22050, "fmin": 0,
                "fmax": 8000, "fmax_for_loss": null, "num_workers": 4}"#,
        );
        let want = presets::named("hifigan-22k").unwrap().clone();
        assert_eq!(load(&hifigan).unwrap(), MelConvention { name: "config_v1".into(), ..want }.into());
        let (_b, bigvgan) = write(
            "config.json",
            r#"{"num_mels": 128, "n_fft": 2048, "hop_size": 512, "win_size": 2048, "sampling_rate": 44100, "fmin": 0,
                "fmax": null, "activation": "snakebeta"}"#,
        );
        let want = presets::named("bigvgan-44k-128").unwrap().clone();
        assert_eq!(load(&bigvgan).unwrap(), MelConvention { name: "config".into(), ..want }.into());
    }

    #[test]
    fn yaml_is_read_as_openutau_and_people_write_it() {
        let (_a, vocoder) = write(
            "vocoder.yaml",
            "# a vocoder\nname: 'mine'\nmodel: mine.onnx\nsample_rate: 44100\nhop_size: 512\nwin_size: 2048\nfft_size: 2048\n\
             num_mel_bins: 128\nmel_fmin: 40\nmel_fmax: 16000.0\nmel_base: e\nmel_scale: slaney\npitch_controllable: true\n",
        );
        let want = MelConvention { name: "vocoder".into(), ..presets::named("nsf-hifigan-44k").unwrap().clone() };
        assert_eq!(load(&vocoder).unwrap(), want.into());
        let (_b, singer) = write(
            "dsconfig.yaml",
            "acoustic: a.onnx\nspeakers:\n  - one\n  - two\naugmentation_args:\n  random_pitch_shifting:\n    range: [-5.0, 5.0]\n\
             use_energy_embed: false\nmel_base: '10'\ndepth_of_colour: 3\n",
        );
        let Described { convention, notes } = load(&singer).unwrap();
        let want =
            MelConvention { name: "dsconfig".into(), ..presets::named("nsf-hifigan-44k-log10").unwrap().clone() };
        assert_eq!(convention, want);
        assert!(notes.len() == 1 && notes[0].ends_with("left out: depth_of_colour"), "{notes:?}");
        let (_c, own) = write("own.yml", "base: vocos-24k\nfloor: 1e-6\nlog: {power_law: 0.25}\n");
        let base = presets::named("vocos-24k").unwrap().clone();
        let log = crate::mel::LogBase::PowerLaw(0.25);
        assert_eq!(load(&own).unwrap(), MelConvention { name: "own".into(), floor: 1e-6, log, ..base }.into());
    }

    #[test]
    fn broken_yaml_is_a_fault_of_one_line() {
        let bomb = (0..9).fold("a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n".to_string(), |text, i| {
            text + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{i}"); 9].join(", "), n = i + 1)
        });
        for text in ["base: [", "- 1\n- 2", "a: 1\na: 2", "a: 'open", "a: *nobody", &"[".repeat(9000), &bomb] {
            let (_dir, path) = write("c.yaml", text);
            let error = load(&path).unwrap_err().to_string();
            assert!(error.contains("c.yaml") && error.contains("a YAML mapping"), "{error}");
            assert!(!error.contains('\n') && error.len() < 500, "{error}");
        }
    }

    #[test]
    fn a_fault_names_file_and_field() {
        for (text, parts) in [
            ("base = \"f5-tts\"\nf_max = 13000", &["c.toml", "f_max", "13000", "12000"][..]),
            ("base = \"f5-tts\"\nhopp = 3", &["c.toml", "hopp"]),
            ("hop = 3", &["c.toml", "missing field", "base"]),
            ("base = \"nothing\"", &["c.toml", "nothing"]),
            ("base = \"f5-tts\"\nfloor = 0.0", &["floor", "0"]),
            ("base = \"f5-tts\"\nhop = = 3", &["c.toml: line 2"]),
            ("base = \"f5-tts\"\nstatistics = { mean = [1.0], std = [1.0] }", &["statistics.mean", "100"]),
        ] {
            let (_dir, path) = write("c.toml", text);
            let error = load(&path).unwrap_err().to_string();
            assert!(parts.iter().all(|p| error.contains(p)), "{text:?} gives {error}");
        }
    }

    #[test]
    fn statistics_come_from_the_files_that_recipes_write() {
        let mean: Vec<f64> = (0..80).map(|m| -1.0 - f64::from(m) / 80.0).collect();
        let std: Vec<f64> = (0..80).map(|m| 0.5 + f64::from(m) / 160.0).collect();
        let want = BandStatistics { mean: mean.clone(), std: std.clone() };
        let (_a, path) = write("stats.npy", npy(&[2, 80], &[mean.clone(), std.clone()].concat()));
        assert_eq!(read_statistics(&path).unwrap(), want);

        let npz = |entries: &[(&str, Vec<u8>)]| {
            let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
            for (name, bytes) in entries {
                zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
                std::io::Write::write_all(&mut zip, bytes).unwrap();
            }
            zip.finish().unwrap().into_inner()
        };
        let (_b, path) = write("stats.npz", npz(&[("mean", npy(&[80], &mean)), ("scale", npy(&[80], &std))]));
        assert_eq!(read_statistics(&path).unwrap(), want);

        let sum: Vec<f64> = mean.iter().map(|m| m * 100.0).collect();
        let square: Vec<f64> = mean.iter().zip(&std).map(|(m, s)| (s * s + m * m) * 100.0).collect();
        let espnet = [("count", npy(&[], &[100.0])), ("sum", npy(&[80], &sum)), ("sum_square", npy(&[80], &square))];
        let (_c, path) = write("feats_stats.npz", npz(&espnet));
        let got = read_statistics(&path).unwrap();
        assert!(got.std.iter().zip(&std).all(|(g, w)| (g - w).abs() < 1e-12)); // rounding of f64

        // In the convention file, by a path beside it.
        std::fs::write(path.with_file_name("c.toml"), "base = \"pwg-lj\"\nstatistics = \"feats_stats.npz\"").unwrap();
        assert_eq!(load(&path.with_file_name("c.toml")).unwrap().convention.statistics.unwrap(), got);
    }

    #[test]
    fn statistics_that_cannot_be_read_say_what_to_do() {
        let (_a, path) = write("stats.h5", b"\x89HDF\r\n\x1a\n0000");
        assert!(read_statistics(&path).unwrap_err().to_string().contains("h5py"));
        let (_b, path) = write("stats.npy", npy(&[3, 80], &[0.0; 240]));
        assert!(read_statistics(&path).unwrap_err().to_string().contains("[3, 80]"));
        let mut lie = npy(&[2, 80], &[0.0; 160]);
        lie.truncate(200);
        let (_c, path) = write("stats.npy", lie);
        assert!(read_statistics(&path).unwrap_err().to_string().contains("1280 by its .npy header"));
        // Texts that a parser which tries again and again would spend minutes on, and paint the terminal with.
        let header = |text: &str| {
            let length = (text.len() as u16).to_le_bytes();
            [&b"\x93NUMPY\x01\x00"[..], &length, text.as_bytes()].concat()
        };
        let axes = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}), }}", "1, ".repeat(3000));
        for text in [&"{".repeat(9000), &"{'a':".repeat(1800), &axes, "{'descr': '\x1b[2J', 'shape': \x1b]0;x\x07}"] {
            let (_d, path) = write("stats.npy", header(text));
            let message = read_statistics(&path).unwrap_err().to_string();
            assert!(message.contains("header cannot be read") && message.len() < 300, "{message}");
        }
    }

    #[test]
    fn statistics_are_read_in_the_types_that_recipes_save_them_in() {
        let values = [1.5f64, -2.0, 300.0, 4.0];
        let of = |descr: &str, bytes: Vec<u8>| {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 2), }}");
            let head = [&b"\x93NUMPY\x01\x00"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat();
            let (_dir, path) = write("stats.npy", [head, bytes].concat());
            read_statistics(&path)
        };
        let want = BandStatistics { mean: values[..2].to_vec(), std: values[2..].to_vec() };
        assert_eq!(of("<f8", values.iter().flat_map(|v| v.to_le_bytes()).collect()).unwrap(), want);
        assert_eq!(of(">f4", values.iter().flat_map(|v| (*v as f32).to_be_bytes()).collect()).unwrap(), want);
        let halves = values.iter().flat_map(|v| half::f16::from_f64(*v).to_le_bytes()).collect();
        assert_eq!(of("<f2", halves).unwrap(), want);
        let whole = BandStatistics { mean: vec![1.0, -2.0], std: want.std.clone() };
        assert_eq!(of("<i8", values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect()).unwrap(), whole);
        assert_eq!(of(">i4", values.iter().flat_map(|v| (*v as i32).to_be_bytes()).collect()).unwrap(), whole);
        assert!(of("|O", vec![0; 32]).unwrap_err().to_string().contains("type '|O'"));
    }
}
