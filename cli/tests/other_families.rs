//! Models of other programs: the sound is the original's, pieces are the whole, every command takes them or says in a sentence
//! why not, and damage is named. `scripts/family_fixtures.py` made the models and the sounds, by the originals' own code.

mod program;

use audiodiff::{
    Error,
    audio::player::{Player, PlayerSettings},
    batch::SourceSettings,
    families,
    live::{Event, Session, SessionInput, SessionSettings},
    mel::{MelSpectrogram, user_convention},
    model::{DeviceChoice, Precision, RuntimeOptions},
    render::Renderer,
    source::{MelSource, WholeMel},
    vocoder::{Refining, RenderOptions, Vocoder},
};
use program::{Outcome, Program};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const MODELS: [&str; 8] =
    ["hifigan-v1", "hifigan-v3", "hifigan-odd", "bigvgan-v1", "bigvgan-v2", "vocos-center", "vocos-same", "diffwave"];

/// Of full scale: what rounding leaves where sums are taken in another order.
const ROUNDING: f32 = 2e-6;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("tests/fixtures/families").join(name)
}

fn model(name: &str) -> String {
    fixture(&format!("{name}.safetensors")).to_str().unwrap().to_owned()
}

fn opened(name: &str, threads: usize) -> Arc<dyn Vocoder> {
    let options = RuntimeOptions { device: DeviceChoice::Cpu, precision: Precision::Auto, threads };
    families::open(Path::new(&model(name)), &options).unwrap()
}

fn numbers(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture(name)).unwrap();
    npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
}

fn mel(name: &str, vocoder: &dyn Vocoder) -> MelSpectrogram {
    MelSpectrogram::from_band_major(&numbers(&format!("{name}-mel.npy")), vocoder.card().mel.n_mels)
}

/// Three times the fixture's mel, or what is more than 100 frames: several pieces.
fn long_mel(name: &str, vocoder: &dyn Vocoder) -> MelSpectrogram {
    let mel = mel(name, vocoder);
    MelSpectrogram::new(mel.values().repeat(120 / mel.frames()), mel.n_mels())
}

fn rendered(vocoder: Arc<dyn Vocoder>, source: impl MelSource + 'static, options: &RenderOptions) -> Vec<f32> {
    let convention = vocoder.card().mel.clone();
    let renderer = Renderer::new(vocoder, Box::new(source), &convention, options).unwrap();
    renderer.flat_map(|sound| sound.unwrap().into_mono()).collect()
}

fn of_chunk(chunk: usize) -> RenderOptions {
    RenderOptions { chunk: Some(chunk), ..RenderOptions::default() }
}

/// The largest difference of two sounds of one length.
fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

#[test]
fn the_sound_is_the_originals() {
    // What draws noise is compared where it can be given the original's.
    for name in MODELS.into_iter().filter(|&name| name != "diffwave") {
        let vocoder = opened(name, 1);
        let mel = mel(name, vocoder.as_ref());
        let samples = vocoder.card().mel.samples(mel.frames());
        let sound = rendered(vocoder, WholeMel::new(mel), &RenderOptions::default());
        // What a network makes beyond the last frame belongs to no frame.
        let worst = worst(&sound, &numbers(&format!("{name}-sound.npy"))[..samples]);
        println!("{name}: {worst:e}");
        // Its deviation is 0.2; f32 leaves 1e-6.
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

/// A source that gives no more than five frames a call.
struct Slowly(WholeMel);

impl MelSource for Slowly {
    fn read(&mut self, frames: usize) -> audiodiff::Result<MelSpectrogram> {
        self.0.read(frames.min(5))
    }
}

#[test]
fn pieces_are_the_whole() {
    for name in MODELS {
        let vocoder = opened(name, 1);
        let mel = long_mel(name, vocoder.as_ref());
        let whole = rendered(vocoder.clone(), WholeMel::new(mel.clone()), &of_chunk(4096));
        for chunk in [2, 7, 33, mel.frames() / 3] {
            let pieces = rendered(vocoder.clone(), Slowly(WholeMel::new(mel.clone())), &of_chunk(chunk));
            assert!(worst(&pieces, &whole) < ROUNDING, "{name}, chunks of {chunk}: {}", worst(&pieces, &whole));
        }
        assert_eq!(rendered(opened(name, 3), WholeMel::new(mel), &of_chunk(4096)), whole, "{name}, 3 threads");
    }
}

#[test]
fn a_seek_goes_on_as_the_whole_does() {
    for name in MODELS {
        let vocoder = opened(name, 1);
        let mel = long_mel(name, vocoder.as_ref());
        let (hop, past) = (vocoder.card().mel.hop, vocoder.card().streaming.past);
        let whole = rendered(vocoder.clone(), WholeMel::new(mel.clone()), &RenderOptions::default());
        let start = 50;
        let options = RenderOptions { start, ..of_chunk(20) };
        let tail = rendered(vocoder.clone(), WholeMel::new(mel).from_frame(start), &options);
        let same = worst(&tail[past * hop..], &whole[(start + past) * hop..]);
        assert!(same < ROUNDING, "{name}: {same}");
    }
}

#[test]
fn nothing_and_one_frame_are_rendered() {
    for name in MODELS {
        let vocoder = opened(name, 1);
        let mel = mel(name, vocoder.as_ref());
        for frames in [0, 1, 2] {
            let sound = rendered(vocoder.clone(), WholeMel::new(mel.slice(0..frames)), &RenderOptions::default());
            assert_eq!(sound.len(), vocoder.card().mel.samples(frames), "{name}, {frames}");
        }
    }
}

/// The convention in the card, which `convert.py` made of the configuration, is the one that the program makes of it.
#[test]
fn the_mel_is_that_of_the_originals_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    for name in MODELS.iter().filter(|name| name.starts_with("hifigan") || name.starts_with("bigvgan")) {
        let vocoder = opened(name, 1);
        std::fs::write(&path, vocoder.card().architecture.to_string()).unwrap();
        let described = user_convention::load(&path).unwrap().convention;
        assert_eq!(described.difference(&vocoder.card().mel), None, "{name}");
    }
}

/// The model with `from` in its card replaced by `to`.
fn changed(name: &str, from: &str, to: &str) -> Vec<u8> {
    let bytes = std::fs::read(model(name)).unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let text = std::str::from_utf8(&bytes[8..end]).unwrap();
    let (from, to) = (from.replace('"', "\\\""), to.replace('"', "\\\""));
    assert!(text.contains(&from), "{from} is not in {text}");
    let text = text.replacen(&from, &to, 1);
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &bytes[end..]].concat()
}

#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, bytes).unwrap();
    match families::open(&path, &RuntimeOptions::default()) {
        Err(error @ Error::Model(_)) => {
            let text = error.to_string();
            assert!(
                text.contains("m.safetensors") && words.iter().all(|word| text.contains(word)),
                "{text}: {words:?}"
            );
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("was taken: {words:?}"),
    }
}

/// Sizes that the file does not hold, or that no file of this size can ask for, are refused before anything is made of them.
#[test]
fn damage_is_named() {
    let v1 = |from: &str, to: &str, words: &[&str]| refused(&changed("hifigan-v1", from, to), words);
    v1("\"family\": \"hifigan\"", "\"family\": \"wavenet\"", &["family wavenet", "diffusion, hifigan, bigvgan"]);
    v1("\"family\": \"hifigan\"", "\"family\": \"bigvgan\"", &["missing field `activation`"]);
    v1("\"family\": \"hifigan\"", "\"family\": \"vocos\"", &["missing field `backbone`"]);
    v1("\"family\": \"hifigan\"", "\"family\": \"diffwave\"", &["missing field `residual_layers`"]);
    v1("\"version\": 2", "\"version\": 3", &["version 3", "expected version 2"]);
    v1("\"resblock\": \"1\"", "\"resblock\": \"9\"", &["`resblock` is \"9\""]);
    v1("\"resblock\": \"1\"", "\"resblock\": \"2\"", &["resblock_dilation_sizes", "3, expected 2 to 2"]);
    v1("\"resblock\": \"1\", ", "", &["missing field `resblock`"]);
    v1("\"upsample_rates\": [4, 2, 2]", "\"upsample_rates\": [4, 4, 2]", &["`upsample_rates` gives 32, expected 16"]);
    v1("\"upsample_rates\": [4, 2, 2]", "\"upsample_rates\": [4, 0, 2]", &["`upsample_rates` has 0"]);
    v1("\"upsample_rates\": [4, 2, 2]", "\"upsample_rates\": [4, 4]", &["upsample_kernel_sizes"]);
    v1("[8, 4, 4]", "[8, 4, 1]", &["`upsample_kernel_sizes` has 1, expected 2"]);
    v1("[8, 4, 4]", "[8, 4, 6]", &["tensor ups.2.weight: has shape [4, 2, 4], expected [4, 2, 6]"]);
    v1("\"upsample_initial_channel\": 16", "\"upsample_initial_channel\": 65536", &["tensor conv_pre.", "65536"]);
    v1("\"upsample_initial_channel\": 16", "\"upsample_initial_channel\": 1000000000", &["has 1000000000"]);
    v1("\"upsample_initial_channel\": 16", "\"upsample_initial_channel\": -1", &["invalid value"]);
    v1("\"resblock_kernel_sizes\": [3, 7]", "\"resblock_kernel_sizes\": [3, 8]", &["has 8, expected odd"]);
    v1("[1, 3, 5], [1, 3, 5]", "[1, 3, 5], [1, 3, 9999]", &["resblock_dilation_sizes", "9999"]);
    v1("[1, 3, 5], [1, 3, 5]", "[1, 3, 5], [1, 1024, 1024]", &["looks", "frames around"]);
    v1("\"n_mels\": 10", "\"n_mels\": 12", &["tensor conv_pre.weight: has shape [16, 10, 7], expected [16, 12, 7]"]);
    v1("\"hop\": 16", "\"hop\": 0", &["field `mel`", "hop"]);

    let of = |name: &str, from: &str, to: &str, words: &[&str]| refused(&changed(name, from, to), words);
    of("bigvgan-v1", "\"activation\": \"snake\"", "\"activation\": \"relu\"", &["`activation` is \"relu\""]);
    of("bigvgan-v1", "\"activation\": \"snake\"", "\"activation\": \"snakebeta\"", &["act.beta: is missing"]);
    of("bigvgan-v2", "\"use_bias_at_final\": false", "\"use_bias_at_final\": true", &["conv_post.bias: is missing"]);
    of("bigvgan-v2", "\"activation\": \"snakebeta\"", "\"activation\": \"snake\"", &["act.beta: is none of"]);
    of("vocos-same", "\"num_layers\": 2", "\"num_layers\": 3", &["backbone.convnext.2.dwconv.weight: is missing"]);
    of("vocos-same", "\"num_layers\": 2", "\"num_layers\": 9999999", &["`num_layers` has 9999999"]);
    of("vocos-same", "\"dim\": 12, \"inter", "\"dim\": 9999999, \"inter", &["tensor backbone.embed.", "9999999"]);
    of("vocos-same", "\"framing\": \"half_hop\"", "\"framing\": \"centred\"", &["`head.padding`"]);
    of("vocos-same", "ISTFTHead", "IMDCTCosHead", &["`head.class_path`", "IMDCTCosHead"]);
    of("diffwave", "\"residual_layers\": 4", "\"residual_layers\": 3", &["residual_layers.3.", "is none of"]);
    of(
        "diffwave",
        "\"dilation_cycle_length\": 3",
        "\"dilation_cycle_length\": 60",
        &["`dilation_cycle_length` has 60"],
    );
    of("diffwave", "[0.001, 0.1, 0.6]", "[0.001, 0.1, 1.6]", &["noise schedule", "between 0 and 1"]);

    let whole = std::fs::read(model("hifigan-v1")).unwrap();
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&nan, &["tensor ", "NaN", "finite"]);
    refused(&whole[..whole.len() - 9], &["again"]);
    let mut renamed = whole.clone();
    let at = whole.windows(14).position(|name| name == b"conv_post.bias").unwrap();
    renamed[at..at + 14].copy_from_slice(b"conv_xxxx.bias");
    refused(&renamed, &["tensor conv_post.bias: is missing"]);
}

fn written(program: &Program, path: &str, name: &str, long: bool) {
    let vocoder = opened(name, 1);
    let mel = if long { long_mel(name, vocoder.as_ref()) } else { mel(name, vocoder.as_ref()) };
    let path = program.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    audiodiff::mel::file::write(&path, &mel, &vocoder.card().mel).unwrap();
}

/// A number of samples that sounds.
fn sounds(program: &Program, wav: &str) -> usize {
    let (_, samples) = program.wav(wav);
    assert!(samples.iter().any(|sample| sample.abs() > 100), "{wav} is silent");
    samples.len()
}

#[test]
fn files_pipes_and_batches_are_rendered() {
    let (program, model) = (Program::new(), model("hifigan-v1"));
    let run = |arguments: &[&str]| -> Outcome {
        program.run(&[&["render"], arguments, &["--model", &model, "--convention", "auto", "-t", "1"]].concat())
    };
    for name in ["in/a.safetensors", "in/b.safetensors"] {
        written(&program, name, "hifigan-v1", name.contains('b'));
    }
    run(&["in/a.safetensors", "-o", "a.wav", "--format", "pcm24"]).code(0);
    assert_eq!(sounds(&program, "a.wav"), 40 * 16);
    run(&["in", "-o", "out", "--manifest", "m.jsonl"]).code(0);
    assert_eq!([sounds(&program, "out/a.wav"), sounds(&program, "out/b.wav")], [40 * 16, 120 * 16]);
    // There is one quality, which every name of a quality means.
    run(&["in/a.safetensors", "-o", "best.wav", "--format", "pcm24", "--quality", "best"]).code(0);
    assert_eq!(program.wav("a.wav").1, program.wav("best.wav").1);
    run(&["in/a.safetensors", "-o", "x.wav", "--steps", "3"]).code(2).says(&["steps", "means nothing to this model"]);
    run(&["in/a.safetensors", "-o", "x.wav", "--precision", "bf16"]).code(2).says(&["bf16", "f32"]);

    let frames = opened("hifigan-v1", 1);
    let bytes: Vec<u8> = mel("hifigan-v1", frames.as_ref()).values().iter().flat_map(|v| v.to_le_bytes()).collect();
    program.write("frames", bytes);
    let arguments = ["render", "-", "-o", "-", "--input-format", "f32le", "--model", &model, "-q"];
    let input = std::fs::File::open(program.path("frames")).unwrap();
    let piped = Outcome::of(program.command().env_remove("AUDIODIFF_CONVENTION").args(arguments).stdin(input)).code(0);
    assert_eq!(piped.stdout.len(), 44 + 2 * 40 * 16);
}

#[test]
fn mels_of_other_conventions_and_recordings_are_rendered() {
    let (program, model) = (Program::new(), model("hifigan-v1"));
    program.mel("speech.safetensors", 60);
    program.run(&["render", "speech.safetensors", "-o", "a.wav", "--model", &model, "-t", "1"]).code(0);
    assert_eq!(sounds(&program, "a.wav"), 59 * 256);
    let recording = program::sample("speech-synthetic.wav");
    let arguments = ["render", recording.to_str().unwrap(), "-o", "b.wav", "--model", &model, "-t", "1"];
    Outcome::of(program.command().env_remove("AUDIODIFF_CONVENTION").args(arguments)).code(0);
    sounds(&program, "b.wav");
}

#[test]
fn they_are_scored() {
    let (program, model) = (Program::new(), model("hifigan-v3"));
    let recordings = program.path("recordings");
    std::fs::create_dir(&recordings).unwrap();
    std::fs::copy(program::sample("speech-synthetic.wav"), recordings.join("a.wav")).unwrap();
    let arguments = ["eval", "--audio", "recordings", "--model", &model, "--metrics", "mel_l1", "--json"];
    let scores = Outcome::of(program.command().env_remove("AUDIODIFF_CONVENTION").args(arguments)).code(0).objects();
    assert!(scores.iter().any(|line| line["mel_l1"].as_f64().is_some_and(|distance| distance > 0.1)), "{scores:?}");
}

#[test]
fn they_are_played_as_they_are_rendered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let vocoder = opened("hifigan-v1", 1);
    let mel = long_mel("hifigan-v1", vocoder.as_ref());
    audiodiff::mel::file::write(&path, &mel, &vocoder.card().mel).unwrap();
    let whole = rendered(vocoder.clone(), WholeMel::new(mel), &RenderOptions::default());
    let playing = PlayerSettings { sample_rate: 8000, channels: 1, volume: 1.0, cushion_s: 0.0 };
    let (_player, feed, _feeder) = Player::detached(48_000, playing).unwrap();
    let settings = SessionSettings {
        effort: vocoder.card().efforts.standard.clone(),
        seed: 0,
        chunk: Some(12),
        source: SourceSettings::default(),
        adapt: true,
        repeat: false,
        keep_sound: true,
        refining: Refining::default(),
    };
    let session = Session::start(vocoder, SessionInput::Files(vec![path]), settings, feed).unwrap();
    let mut heard = vec![];
    while heard.len() < whole.len() {
        match session.events.recv_timeout(Duration::from_secs(20)).unwrap() {
            Event::Rendered { sound, .. } => heard.extend(sound.unwrap().into_mono()),
            Event::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
    session.finish(Duration::from_secs(2));
    assert!(worst(&heard, &whole) < ROUNDING);
}

#[test]
fn what_only_diffusion_models_do_is_refused_in_a_sentence() {
    let (program, model) = (Program::new(), model("hifigan-v1"));
    let recording = program::sample("speech-synthetic.wav");
    let recording = recording.to_str().unwrap();
    let folder = Path::new(recording).parent().unwrap().to_str().unwrap();
    let commands: [&[&str]; 5] = [
        &["inspect", &model],
        &["inspect", recording, "--model", &model, "-o", "inspected"],
        &["models", "export", &model, "-o", "x.safetensors"],
        &["models", "average", "builtin", &model, "-o", "x.safetensors"],
        &["train", "--data", folder, "--init", &model, "-o", "trained", "--minutes", "1"],
    ];
    for arguments in commands {
        let outcome = program.run(arguments).says(&["family hifigan", "a diffusion model"]);
        assert!(matches!(outcome.code, Some(1 | 2)), "{arguments:?}: {:?}", outcome.code);
        assert_eq!(program.files("x.safetensors").len() + program.files("inspected").len(), 0, "{arguments:?}");
    }
}

#[test]
fn their_cards_are_shown_and_compared() {
    let (program, v1, v3) = (Program::new(), model("hifigan-v1"), model("hifigan-v3"));
    let shown = program.run(&["models", "show", &v1]).code(0);
    for line in
        ["family         hifigan", "upsample_rates [4,2,2]", "8000 Hz, window 64, hop 16", "draft, standard and best"]
    {
        assert!(shown.out().contains(line), "{line} is not in\n{}", shown.out());
    }
    let json = &program.run(&["models", "show", &v1, "--json"]).code(0).objects()[0];
    assert_eq!((&json["family"], &json["architecture"]["resblock"]), (&"hifigan".into(), &"1".into()));
    program.run(&["models", "diff", &v1, &v1]).code(0);
    let different = program.run(&["models", "diff", &v1, &v3]).code(1);
    assert!(different.out().contains("architecture.resblock"), "{}", different.out());
}
