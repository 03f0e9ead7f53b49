//! Training as a user runs it: from scratch, killed, interrupted, on a full disk, on broken recordings.

mod program;

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use audiodiff::{
    model::ModelFile,
    train::{History, Line, load_checkpoint},
};
use program::{Outcome, Program};

/// Small windows, and validations that cost next to nothing.
const SETTINGS: &str = "
batch = 2
window = 4096
warmup_steps = 10
[validation]
every_minutes = 1000
windows = 2
clips = 0
";

/// A folder `data` with two voices.
fn two_clips() -> Program {
    let program = Program::new();
    let samples = format!("{}/../samples", env!("CARGO_MANIFEST_DIR"));
    fs::create_dir(program.path("data")).unwrap();
    for name in ["speech-en.wav", "speech-de.flac"] {
        fs::copy(format!("{samples}/{name}"), program.path("data").join(name)).unwrap();
    }
    program.write("recipe.toml", SETTINGS);
    program
}

const TRAIN: &[&str] = &["train", "--data", "data", "--config", "recipe.toml", "--precision", "f32", "-t", "1", "-o"];

fn train(program: &Program, out: &str, more: &[&str]) -> Outcome {
    program.run(&[TRAIN, &[out], more].concat())
}

/// All weights of a model file by name.
fn weights(program: &Program, name: &str) -> Vec<(String, Vec<f32>)> {
    let bytes = program.read(name);
    let model = ModelFile::parse(&bytes, name).unwrap();
    model.tensors().into_iter().map(|(name, ..)| (name.clone(), model.values(&name).unwrap())).collect()
}

#[test]
fn a_training_from_scratch_learns() {
    let program = two_clips();
    let recipe = SETTINGS.replace("batch = 2", "batch = 4").replace("warmup_steps = 10", "warmup_steps = 20");
    program.write("recipe.toml", recipe);
    train(&program, "run", &["--steps", "120"]).code(0).says(&["trained 120 steps", "best.safetensors"]);
    let history = History::open(&program.path("run/metrics.jsonl"), u64::MAX).unwrap();
    let validations: Vec<_> = history.validations().collect();
    let (first, last) = (validations[0], validations[validations.len() - 1]);
    assert!(last.loss_on_trained < first.loss_on_trained * 0.8, "{first:?} {last:?}");
    assert!(last.loss < first.loss * 0.7, "on recordings kept apart too: {first:?} {last:?}");
    let waited = history.lines.iter().any(|line| matches!(line, Line::Train(figures) if figures.waiting > 0.5));
    assert!(!waited, "the network waits for data");
    assert!(program.text("run/curves.svg").starts_with("<svg"));
    // The result is a model like any other.
    program.mel("x.npy", 20);
    program.run(&["render", "x.npy", "-m", "run/best.safetensors", "--quality", "draft"]).code(0);
    program.run(&["models", "show", "run/last.safetensors"]).code(0);
}

#[test]
fn models_without_a_state_to_go_on_from_are_not_trained_over() {
    let program = two_clips();
    train(&program, "run", &["--steps", "1"]).code(0);
    let best = program.read("run/best.safetensors");
    // It takes twice the room of the models, and is removed for that.
    fs::remove_file(program.path("run/state.safetensors")).unwrap();
    let other = ["--steps", "1", "--seed", "9"];
    train(&program, "run", &other).code(1).says(&["run/best.safetensors: is there already", "-y"]);
    assert_eq!(program.read("run/best.safetensors"), best);
    for name in ["last.safetensors", "metrics.jsonl", "curves.svg"] {
        let path = format!("{name}.run/{name}");
        program.write(&path, "somebody's");
        train(&program, &format!("{name}.run"), &other).code(1).says(&[&path, "is there already"]);
        assert_eq!(program.text(&path), "somebody's");
    }
    train(&program, "run", &[&other[..], &["-y"]].concat()).code(0).says(&["trained 1 steps"]);
    assert_ne!(program.read("run/best.safetensors"), best);
}

/// PESQ has nothing to say of noise: the loss stands in for it, and the figure can be read again.
#[test]
fn a_training_to_be_chosen_by_pesq_goes_on_without_speech() {
    let program = two_clips();
    program.write("recipe.toml", SETTINGS.to_owned() + "select = \"pesq\"\n");
    train(&program, "run", &["--steps", "1"]).code(0);
    train(&program, "run", &["--steps", "2"]).code(0).says(&["going on at step 1"]);
}

#[test]
fn a_killed_training_goes_on_as_if_it_had_not_been() {
    let program = two_clips();
    program.write("recipe.toml", SETTINGS.replace("[validation]", "checkpoint_minutes = 0.01\n[validation]"));
    train(&program, "whole", &["--steps", "40"]).code(0);
    for kill in 0..10u64 {
        let mut command = program.command();
        command.args([TRAIN, &["killed", "--steps", "40"]].concat()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // From the reading of the data to some steps after a checkpoint.
        sleep(Duration::from_millis(300 + kill * 7919 % 1900));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    train(&program, "killed", &["--steps", "40"]).code(0);
    assert_eq!(weights(&program, "killed/last.safetensors"), weights(&program, "whole/last.safetensors"));
    let steps = |run: &str| {
        let history = History::open(&program.path(run).join("metrics.jsonl"), u64::MAX).unwrap();
        history.lines.iter().map(Line::step).collect::<Vec<_>>()
    };
    assert_eq!(steps("killed"), steps("whole"));
    train(&program, "killed", &["--steps", "40"]).code(0).says(&["trained 40 steps"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_says_how_to_go_on() {
    let program = two_clips();
    let mut command = program.command();
    command.args([TRAIN, &["run", "--steps", "100000"]].concat()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while !program.exists("run/last.safetensors") {
        sleep(Duration::from_millis(50));
    }
    // SAFETY: a plain system call on a child that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("interrupted; the same command goes on"), "{stderr}");
    let _ = load_checkpoint(&program.path("run/state.safetensors")).unwrap();
    // Another recipe is not what this training was begun with.
    let other = train(&program, "run", &["--steps", "100000", "--batch", "3"]);
    other.code(2).says(&["run/state.safetensors", "`batch` = 2", "expected 3", "another --out"]);
}

/// Noise of `seconds`, other noise for each seed, as a WAV file at the model's rate.
fn noise(program: &Program, name: &str, samples: u32, seed: u32) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let path = program.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let mut state = seed;
    for _ in 0..samples {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writer.write_sample((state >> 18) as i16 - 8192).unwrap();
    }
    writer.finalize().unwrap();
}

#[test]
fn a_training_goes_on_with_its_own_recordings_and_model_alone() {
    let program = two_clips();
    // Shorter than the window: heard with silence behind it.
    noise(&program, "apart/short.wav", 26_500, 1);
    program.write("recipe.toml", SETTINGS.replace("window = 4096", "window = 32768"));
    let run = |out: &str, more: &[&str]| train(&program, out, &[&["--validation", "apart"], more].concat());
    run("run", &["--steps", "1"]).code(0).says(&["in 2 recordings train, 1 are kept apart"]);

    // More steps end as they would have in one go.
    run("run", &["--steps", "2"]).code(0).says(&["trained 2 steps"]);
    let history = History::open(&program.path("run/metrics.jsonl"), u64::MAX).unwrap();
    assert_eq!(history.validations().map(|v| v.step).collect::<Vec<_>>(), [0, 1, 2]);
    let (header, _) = load_checkpoint(&program.path("run/state.safetensors")).unwrap();
    assert!(header.progress.best.is_some_and(|(_, step)| step > 0), "{:?}", header.progress);

    // A checkpoint of an earlier version, which knows names and lengths, and not what it was begun with.
    let mut hash = blake3::Hasher::new();
    for name in ["data/speech-de.flac", "data/speech-en.wav", "apart/short.wav"] {
        let path = program.path(name);
        let samples = audiodiff::audio::read_at(&path, 24_000).unwrap().samples.len();
        hash.update(path.file_stem().unwrap().as_encoded_bytes()).update(&samples.to_le_bytes());
    }
    let bytes = program.read("run/state.safetensors");
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let text = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let init = format!(",\\\"init\\\":\\\"{}\\\"", header.init.unwrap());
    assert!(text.contains(&header.data) && text.contains(&init));
    let old = text.replace(&header.data, &hash.finalize().to_hex()[..16]).replace(&init, "");
    let old = [&bytes[..8], format!("{old:length$}").as_bytes(), &bytes[8 + length..]].concat();
    program.write("run/state.safetensors", old);
    run("run", &["--steps", "3"]).code(0).says(&["going on at step 2"]);

    // Another sound under the name and length of a recording.
    let speech = program.read("data/speech-en.wav");
    program.write("data/speech-en.wav", [&speech[..2000], &[1; 1000], &speech[3000..]].concat());
    run("run", &["--steps", "4"]).code(2).says(&["run/state.safetensors: was made with other recordings"]);
    program.write("data/speech-en.wav", speech);
    // What was put back is as good as what was never touched.
    let init = |out: &str, model: &str| run(out, &["--steps", "1", "--phase", "flow", "--init", model]);
    init("on", "run/last.safetensors").code(0);
    init("on", "run/best.safetensors").code(0);
    program.write("other.safetensors", program.read("run/last.safetensors"));
    init("on", "other.safetensors").code(0);
    train(&program, "one", &["--steps", "1"]).code(0);
    init("on", "one/last.safetensors").code(2).says(&["on/state.safetensors: was begun with another model"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_heard_while_a_recording_is_decoded_and_while_the_model_is_validated() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let program = two_clips();
    program.write("recipe.toml", SETTINGS.replace("windows = 2", "windows = 5000"));
    let mut child = program.command();
    child.args([TRAIN, &["run", "--steps", "100"]].concat()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // What comes after this is the first validation, of minutes.
    while !line.contains("are kept apart") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended");
    }
    // SAFETY: a plain system call on a child that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(!program.text("run/metrics.jsonl").contains("validation"), "it was not waited for");
    assert!(program.files("run").iter().all(|name| !name.contains(".part")), "{:?}", program.files("run"));
}

/// The most memory that the program took, in bytes.
#[cfg(target_os = "linux")]
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn peak_memory(command: &mut Command) -> u64 {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // SAFETY: all zeros are a valid value, and the call writes to these two variables only.
    let (status, usage) = unsafe {
        let (mut status, mut usage) = (0, std::mem::zeroed::<libc::rusage>());
        libc::wait4(child.id() as i32, &mut status, 0, &mut usage);
        (status, usage)
    };
    assert_eq!(status, 0);
    usage.ru_maxrss as u64 * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_recordings() {
    let program = two_clips();
    for minute in 0..22 {
        noise(&program, &format!("{}/{minute}.wav", if minute < 2 { "few" } else { "many" }), 60 * 24_000, minute + 7);
    }
    let peak = |data: &str, out: &str| {
        let mut command = program.command();
        let arguments = ["train", "--data", data, "--config", "recipe.toml", "--precision", "f32", "-t", "1"];
        peak_memory(command.args(arguments).args(["--steps", "1", "-o", out]))
    };
    let (few, many) = (peak("few", "a"), peak("many", "b"));
    // 18 minutes are 52 MB as 16 bits; two runs of the same training differ by some megabytes.
    assert!(many < few + 25_000_000, "2 minutes: {few}, 20 minutes: {many}");
}

#[cfg(unix)]
#[test]
fn a_disk_too_small_for_the_decoded_recordings_is_told_in_a_sentence() {
    let program = two_clips();
    let mut limited = Command::new("bash");
    limited.current_dir(program.path("")).args(["-c", "trap '' XFSZ; ulimit -f 300; exec \"$@\"", "bash"]);
    limited.arg(env!("CARGO_BIN_EXE_audiodiff")).args([TRAIN, &["run", "--steps", "1"]].concat());
    let outcome = Outcome::of(&mut limited).code(1);
    outcome.says(&["run/decoded/", "cannot write the decoded recordings", "173 MB an hour", "--out on another disk"]);
    train(&program, "run", &["--steps", "1"]).code(0);
}

#[test]
fn a_single_recording_trains_and_none_is_said_to_be_kept_apart() {
    let program = two_clips();
    fs::remove_file(program.path("data/speech-de.flac")).unwrap();
    let outcome = train(&program, "run", &["--steps", "1"]).code(0);
    let outcome = outcome.says(&["1 recordings train, 0 are kept apart"]).says(&["for none are kept apart"]);
    assert!(!outcome.stderr.contains("on recordings kept apart"), "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn a_full_disk_costs_no_checkpoint() {
    let program = two_clips();
    train(&program, "run", &["--steps", "4"]).code(0);
    let before = program.read("run/state.safetensors");
    // A limit on the size of files stands for a disk without room for a hundred megabytes.
    let mut limited = Command::new("bash");
    limited.current_dir(program.path("")).args(["-c", "trap '' XFSZ; ulimit -f 20000; exec \"$@\"", "bash"]);
    limited.arg(env!("CARGO_BIN_EXE_audiodiff")).args([TRAIN, &["run", "--steps", "12"]].concat());
    Outcome::of(&mut limited).code(1).says(&["state.safetensors", "cannot write"]);
    assert!(program.read("run/state.safetensors") == before, "the checkpoint is the one from before");
    train(&program, "run", &["--steps", "12"]).code(0);
}

#[test]
fn a_learning_rate_far_too_high_is_lowered_and_costs_no_model() {
    let program = two_clips();
    program.write("recipe.toml", SETTINGS.replace("warmup_steps = 10", "warmup_steps = 0\nlearning_rate = 0.9"));
    let outcome = train(&program, "run", &["--steps", "60", "--init", "builtin"]);
    outcome.says(&["the loss exploded at step"]);
    for (name, values) in weights(&program, "run/best.safetensors") {
        assert!(values.iter().all(|v| v.is_finite() && v.abs() < 100.0), "{name}");
    }
}

#[test]
fn recordings_that_cannot_train_are_named_and_left_out() {
    let program = two_clips();
    program.write("data/broken.wav", "RIFF and nothing else");
    fs::copy(program.path("data/speech-en.wav"), program.path("data/twin.wav")).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (name, samples) in [("silent.wav", 40_000), ("short.wav", 4_000)] {
        let mut writer = hound::WavWriter::create(program.path("data").join(name), spec).unwrap();
        (0..samples).for_each(|_| writer.write_sample(0i16).unwrap());
        writer.finalize().unwrap();
    }
    let mut outcome = train(&program, "run", &["--steps", "2"]).code(0);
    for line in [
        "broken.wav: dropped",
        "twin.wav: dropped: holds the same sound as",
        "silent.wav: dropped: is silent",
        "short.wav: dropped: is 0.25 s long, shorter than",
        "in 1 recordings train, 1 are kept apart",
    ] {
        outcome = outcome.says(&[line]);
    }
    fs::remove_file(program.path("data/speech-en.wav")).unwrap();
    fs::remove_file(program.path("data/speech-de.flac")).unwrap();
    fs::remove_file(program.path("data/twin.wav")).unwrap();
    train(&program, "none", &["--steps", "2"]).code(1).says(&["data", "no recording here can train", "dropped"]);
    train(&program, "none", &["--steps", "2", "--phase", "few-step"]).code(2).says(&["--init"]);
    // What was refined for few steps is refined on; what is new has to flow first.
    let phase = |more: &[&str]| program.run(&[&["train", "--print-config"], more].concat()).code(0).out().to_owned();
    assert!(phase(&[]).starts_with("phase = \"flow\""));
    assert!(phase(&["--init", "builtin"]).starts_with("phase = \"few-step\""));
    assert!(phase(&["--init", "builtin", "--phase", "flow"]).starts_with("phase = \"flow\""));
}

#[test]
fn few_steps_are_refined_with_the_projection_in_the_loop() {
    let program = two_clips();
    program.write("recipe.toml", format!("phase = \"few-step\"\n{SETTINGS}"));
    let run = ["--steps", "12", "--init", "builtin", "--name", "mine", "--data-license", "CC0"];
    train(&program, "run", &run).code(0);
    let history = History::open(&program.path("run/metrics.jsonl"), u64::MAX).unwrap();
    let validations: Vec<_> = history.validations().collect();
    assert!(validations.iter().all(|v| v.loss > 0.05 && v.loss < 1.0), "{validations:?}");
    let shown = program.run(&["models", "show", "run/last.safetensors", "--json"]).code(0);
    for part in ["\"mine\"", "few-step from audiodiff-24k", "CC0"] {
        assert!(shown.out().contains(part), "{part}: {}", shown.out());
    }
    let before = ModelFile::builtin().unwrap().card.training.steps;
    assert_eq!(shown.objects()[0]["training"]["steps"], before + 12);
}

/// A model without a refiner, from new weights.
fn plain_model(program: &Program) {
    train(program, "plain", &["--steps", "1"]).code(0);
}

#[test]
fn mels_of_other_conventions_are_learned_beside_a_model_that_stays_as_it_is() {
    let program = two_clips();
    plain_model(&program);
    let init = ["--init", "plain/last.safetensors", "--phase", "conversion"];
    let recipe = SETTINGS.replace("batch = 2", "batch = 8").replace("window = 4096", "window = 8192");
    program.write("recipe.toml", recipe.replace("windows = 2", "windows = 16"));
    train(&program, "refined", &[&init[..], &["--steps", "60"]].concat()).code(0).says(&["trained 60 steps"]);
    let history = History::open(&program.path("refined/metrics.jsonl"), u64::MAX).unwrap();
    let validations: Vec<_> = history.validations().collect();
    let (first, last) = (validations[0], validations[validations.len() - 1]);
    assert!(last.loss < first.loss * 0.9, "{first:?} {last:?}");

    let (before, after) = (weights(&program, "plain/last.safetensors"), weights(&program, "refined/last.safetensors"));
    let (refiner, others): (Vec<_>, Vec<_>) = after.into_iter().partition(|(name, _)| name.starts_with("refiner."));
    assert!(!refiner.is_empty());
    assert!(others == before, "the vocoder's own weights are as they were");

    // Whoever trains the vocoder on leaves the refiner alone in turn.
    program.write("recipe.toml", SETTINGS);
    train(&program, "on", &["--init", "refined/last.safetensors", "--phase", "flow", "--steps", "2"]).code(0);
    let on: Vec<_> = weights(&program, "on/last.safetensors");
    assert!(refiner.iter().all(|weight| on.contains(weight)));
    assert!(!others.iter().all(|weight| on.contains(weight)));

    // Their mels are heard otherwise now, the model's own as before.
    assert!(program.run(&["models", "show", "refined/last.safetensors"]).code(0).out().contains("refiner"));
    for convention in ["hifigan-22k", "f5-tts"] {
        program.run(&["mel", "data/speech-en.wav", "--convention", convention, "-o", "x.npy", "-y"]).code(0);
        let render = |model: &str, out: &str| {
            let model = format!("{model}/last.safetensors");
            program.run(&["render", "x.npy", "--convention", convention, "-m", &model, "-o", out, "-y"]).code(0);
            program.wav(out).1
        };
        let same = render("plain", "a.wav") == render("refined", "b.wav");
        assert_eq!(same, convention == "f5-tts", "{convention}");
    }
}

/// The values of BigVGAN at 44.1 kHz, in a model small enough for a test.
#[test]
fn a_full_band_model_begins_with_the_built_in_ones_weights_trains_and_renders() {
    let program = two_clips();
    let recipe = "
[model.encoder]
channels = 16
layers = 1
mlp = 1
[model.denoiser]
channels = 16
layers = 2
cond_channels = 16
time_channels = 16
n_fft = 1024
hop = 256
mlp = 1
skip = true
";
    program.write("recipe.toml", format!("{}{recipe}", SETTINGS.replace("clips = 0", "clips = 1")));
    let begin = ["--init", "builtin", "--mel", "bigvgan-44k-128", "--steps", "2"];
    train(&program, "full", &begin).code(0).says(&["trained 2 steps"]).says(&["1 of them has nothing above", "kHz"]);

    let model = program.run(&["models", "show", "full/last.safetensors", "--json"]).code(0);
    let mel = &model.objects()[0]["mel"];
    assert_eq!((&mel["sample_rate"], &mel["framing"]), (&44_100.into(), &"centred".into()));
    // What both networks have is the built-in one's: of 513 bins the first 257, their imaginary parts after all real ones.
    // Files hold half precision: two steps at the beginning of the warm-up may move a number to its neighbour there.
    let of = |model: &ModelFile, name: &str| model.values(name).unwrap();
    let bytes = program.read("full/last.safetensors");
    let (full, builtin) = (ModelFile::parse(&bytes, "full").unwrap(), ModelFile::builtin().unwrap());
    let (own, known) = (of(&full, "denoiser.stft_out.bias"), of(&builtin, "denoiser.stft_out.bias"));
    assert_eq!((own.len(), known.len()), (1026, 514));
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 + 1e-3 * b.abs());
    assert!(near(&own[..257], &known[..257]) && near(&own[513..770], &known[257..]));
    assert!(known.iter().any(|old| old.abs() > 1e-2));
    assert!(own[257..513].iter().all(|new| new.abs() < 1e-3));
    assert_eq!(of(&full, "denoiser.stft_skip.bias").len(), 1026);

    program.run(&["render", "data/speech-en.wav", "-m", "full/last.safetensors", "-o", "full.wav"]).code(0);
    let (format, samples) = program.wav("full.wav");
    assert_eq!(format.sample_rate, 44_100);
    let seconds = samples.len() as f64 / 44_100.0;
    let (format, given) = program.wav("data/speech-en.wav");
    assert!((seconds - given.len() as f64 / f64::from(format.sample_rate)).abs() < 0.1, "{seconds} s");

    // Refined, it stays what it is; and a mel that no diffusion model takes is refused.
    program.write("few.toml", SETTINGS.replace("window = 4096", "window = 8192"));
    let refine = ["train", "--data", "data", "--config", "few.toml", "-o", "few", "--init", "full/last.safetensors"];
    program.run(&[&refine[..], &["--steps", "1", "--precision", "f32", "-t", "1"]].concat()).code(0);
    train(&program, "other", &["--mel", "pwg-lj", "--steps", "1"]).code(1).says(&["diffusion models"]);
}

#[test]
fn a_refiner_needs_a_model() {
    let program = two_clips();
    train(&program, "run", &["--phase", "conversion", "--steps", "1"])
        .code(2)
        .says(&["--phase conversion", "--init builtin"]);
}
