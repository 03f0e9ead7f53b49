//! Nothing but presets and tests knows 24 kHz, a hop of 256 or 100 bands: a tiny model of other sizes goes through everything that
//! the built-in one does.

mod program;
#[path = "../../tests/sound_server/mod.rs"]
mod sound_server;

use audiodiff::{
    mel::{self, Framing, MelConvention, presets},
    model::{DenoiserSize, EncoderSize, ModelCard, Storage, VocoderNetwork, serialize},
};
use program::{Program, sample};
use sound_server::SoundServer;
use std::fs;
use tch::{Device, nn};

const RATE: u32 = 44_100;

/// 44.1 kHz, 128 bands, a hop of 512; random weights.
fn tiny_full_band() -> Vec<u8> {
    tch::manual_seed(1);
    let mut card = ModelCard::new("tiny-44k");
    let convention = presets::named("bigvgan-44k-128").unwrap().clone();
    card.mel =
        MelConvention { name: "tiny-44k".into(), framing: Framing::Centred, magnitude_epsilon: 0.0, ..convention };
    card.encoder = EncoderSize { channels: 8, layers: 1, mlp: 1 };
    card.denoiser = DenoiserSize {
        channels: 8,
        layers: 1,
        cond_channels: 8,
        time_channels: 8,
        n_fft: 1024,
        hop: 256,
        mlp: 1,
        skip: true,
    };
    let store = nn::VarStore::new(Device::Cpu);
    VocoderNetwork::new(&store, &card);
    serialize(&store, &card, Storage::Half).unwrap()
}

fn program() -> Program {
    let program = Program::new();
    program.write("tiny.safetensors", tiny_full_band());
    fs::create_dir(program.path("data")).unwrap();
    fs::copy(sample("speech-en.wav"), program.path("data/speech-en.wav")).unwrap();
    program
}

const MODEL: [&str; 4] = ["-m", "tiny.safetensors", "--quality", "draft"];

#[test]
fn a_model_of_other_sizes_renders_recordings_and_mels_of_other_rates() {
    let program = program();
    program.run(&[&["render", "data/speech-en.wav", "-o", "a.wav"], &MODEL[..]].concat()).code(0);
    let (format, samples) = program.wav("a.wav");
    let (_, given) = program.wav("data/speech-en.wav");
    // The recording's own length at the model's rate.
    let wanted = (given.len() as f64 * f64::from(RATE) / 24_000.0).round() as usize;
    assert_eq!((format.sample_rate, samples.len()), (RATE, wanted));
    assert!(samples.iter().any(|sample| sample.abs() > 300), "silence");

    // A mel of 24 kHz is converted for it and keeps its own rate.
    let convention = presets::named("f5-tts").unwrap();
    let mel = mel::extract(&audiodiff::audio::read(sample("speech-en.wav")).unwrap().samples, convention).unwrap();
    mel::file::write(&program.path("m.npy"), &mel, convention).unwrap();
    program.run(&[&["render", "m.npy", "--convention", "f5-tts", "-o", "m.wav"], &MODEL[..]].concat()).code(0);
    let (format, samples) = program.wav("m.wav");
    assert_eq!((format.sample_rate, samples.len()), (24_000, (mel.frames() - 1) * 256));
    assert!(samples.iter().any(|sample| sample.abs() > 300), "silence");
}

#[test]
fn it_is_played() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let model = server.folder().join("tiny.safetensors");
    fs::write(&model, tiny_full_band()).unwrap();
    let recording = server.record();
    let output = server
        .command(env!("CARGO_BIN_EXE_audiodiff"))
        .args(["play", "--quality", "draft"])
        .arg(sample("speech-synthetic.wav"))
        .arg("-m")
        .arg(&model)
        .output()
        .unwrap();
    let (left, _) = recording.stop();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let loud = left.iter().filter(|sample| sample.abs() > 0.01).count();
    assert!(loud > 5000, "{loud} loud samples");
}

#[test]
fn it_trains_and_is_scored() {
    let program = program();
    let settings = "batch = 2\nwindow = 8192\n[validation]\nclips = 1\nwindows = 2\nevery_minutes = 60\n";
    program.write("train.toml", settings);
    let training = ["train", "--data", "data", "--config", "train.toml", "-o", "run", "--init", "tiny.safetensors"];
    let steps = ["--steps", "2", "--precision", "f32", "-t", "1", "--seed", "1"];
    fs::copy(sample("music.wav"), program.path("data/music.wav")).unwrap();
    program.run(&[&training[..], &steps].concat()).code(0).says(&["trained 2 steps"]);
    let shown = program.run(&["models", "show", "run/last.safetensors", "--json"]).code(0);
    let mel = &shown.objects()[0]["mel"];
    assert_eq!((&mel["sample_rate"], &mel["hop"], &mel["n_mels"]), (&RATE.into(), &512.into(), &128.into()));
    let before = fs::read(program.path("tiny.safetensors")).unwrap();
    assert!(before != fs::read(program.path("run/last.safetensors")).unwrap(), "nothing was learned");

    let scored = ["eval", "--audio", "data/speech-en.wav", "--model", "run/last.safetensors", "--quality", "draft"];
    let scores = program.run(&[&scored[..], &["--json", "--metrics", "mel_l1,mr_mel"]].concat()).code(0);
    let line = &scores.objects()[0];
    assert!(line["mel_l1"].as_f64().is_some_and(|distance| distance > 0.0), "{line}");
    assert_eq!(line["mel_convention"], "tiny-44k (44100 Hz, 128 bands)");
}

/// A second of two channels at 44.1 kHz: rising tones up to 20 kHz.
fn full_band_recording(program: &Program) {
    let tone = |i: usize, from: f64| {
        let t = i as f64 / f64::from(RATE);
        (0.3 * (std::f64::consts::TAU * (from * t + 9_500.0 * t * t)).sin()) as f32
    };
    let channels = [100.0, 1000.0].map(|from| (0..RATE as usize).map(|i| tone(i, from)).collect());
    let sound = audiodiff::sound::Sound { rate: RATE, channels: channels.into() };
    let bytes = audiodiff::audio::wav::encode(&sound, audiodiff::audio::SampleFormat::Float32);
    fs::create_dir(program.path("wide")).unwrap();
    fs::write(program.path("wide/tones.wav"), bytes).unwrap();
}

#[test]
fn eval_hears_its_whole_band_and_both_channels() {
    let program = program();
    full_band_recording(&program);
    fs::create_dir(program.path("same")).unwrap();
    fs::copy(program.path("wide/tones.wav"), program.path("same/tones.wav")).unwrap();
    let scored = ["eval", "same", "-r", "wide", "--metrics", "cheap", "--json"];
    let scores = program.run(&[&scored[..], &MODEL].concat()).code(0).says(&["compared at 44100 Hz"]);
    let scores = scores.says(&["mel_l1 is by tiny-44k (44100 Hz, 128 bands)"]).objects();
    assert_eq!(scores.len(), 2);
    for line in &scores {
        // The folder too is measured by the mel of the model beside it.
        assert_eq!(line["mel_convention"], "tiny-44k (44100 Hz, 128 bands)");
        assert_eq!((&line["sample_rate"], &line["channels"]), (&RATE.into(), &2.into()), "{line}");
        assert_eq!(line["mel_l1"] == 0.0, line["system"] == "same", "{line}");
    }
    let alone = program.run(&scored).code(0).says(&["mel_l1 is by bigvgan-44k-128, centred (44100 Hz, 128 bands)"]);
    assert_eq!(alone.objects()[0]["mr_mel"], 0.0);
}

#[test]
fn inspect_shows_its_whole_band() {
    let program = program();
    full_band_recording(&program);
    let inspected = ["inspect", "wide/tones.wav", "-o", "seen", "--seeds", "2", "--json"];
    let seen = program.run(&[&inspected[..], &MODEL].concat()).code(0).says(&["shows the mix of its 2 channels"]);
    let numbers = &seen.objects()[0];
    let bands = |value: &serde_json::Value| value.as_array().unwrap().iter().filter(|band| !band.is_null()).count();
    assert_eq!(bands(&numbers["bands_hz"]), 128);
    let regions = numbers["regions"].as_array().unwrap();
    assert_eq!((&regions[6]["from_hz"], &regions[6]["to_hz"]), (&12_000.0.into(), &22_000.0.into()));
    let step = &numbers["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(bands(&step["projected"]["mel_error_bands"]), 128);
    let (format, samples) = program.wav("seen/recording.wav");
    // A second and the rest of its last hop of 512.
    assert_eq!((format.sample_rate, samples.len()), (RATE, 87 * 512));
    assert!(program.text("seen/index.html").contains("12 to 22 kHz"));
}
