//! `audiodiff render` on single inputs, as a user runs it.

mod program;

use std::{fs, process::Stdio, time::Duration};

use program::{CHEAP, DEAR, Program, sample};

/// The bytes of a little-endian C-order float32 .npy of shape [rows, columns].
fn npy(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(padded.as_bytes());
    let at = |i: usize| value(i / columns, i % columns);
    bytes.extend((0..rows * columns).flat_map(|i| at(i).to_le_bytes()));
    bytes
}

#[test]
fn a_mel_becomes_a_wav_of_its_length() {
    let program = Program::new();
    program.mel("hello.npy", 20);
    program.render(&["hello.npy"]).code(0).says(&["1 rendered", "x real time"]);
    let (spec, samples) = program.wav("hello.wav");
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 24_000, 16));
    assert_eq!(samples.len(), 19 * 256);
    assert!(samples.iter().any(|sample| sample.abs() > 300), "silence");
    let made_of = audiodiff::audio::read_metadata(program.path("hello.wav")).unwrap().unwrap();
    assert_eq!((&made_of.settings["seed"], &made_of.settings["settings"]["steps"]), (&0.into(), &1.into()));
    assert_eq!(program.files("."), ["hello.npy", "hello.wav"]);
}

#[test]
fn mels_of_every_kind_and_order_sound_the_same() {
    let program = Program::new();
    let mel = program::speech(40, 12);
    let (frames, bands) = (mel.frames(), mel.n_mels());
    let at = |m: usize, t: usize| mel.frame(t)[m];
    program.write("bands.npy", npy(bands, frames, at));
    program.write("frames.npy", npy(frames, bands, |t, m| at(m, t)));
    audiodiff::mel::file::write(&program.path("s.safetensors"), &mel, &audiodiff::mel::MelConvention::native())
        .unwrap();
    program.render(&["bands.npy", "frames.npy", "s.safetensors", "-o", "out", "-q"]).code(0);
    let (_, bands) = program.wav("out/bands.wav");
    assert_eq!(bands, program.wav("out/frames.wav").1);
    assert_eq!(bands, program.wav("out/s.wav").1);
}

#[test]
fn a_recording_keeps_its_exact_length() {
    let program = Program::new();
    // Neither a multiple of the hop nor of the rate that it is rendered at.
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(program.path("stereo.wav"), spec).unwrap();
    for i in 0..10_007 {
        let sample = (8000.0 * (i as f32 * 0.05).sin()) as i16;
        writer.write_sample(sample).unwrap();
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    program.render(&["stereo.wav", "-o", "own-rate.wav", "--rate", "44100"]).code(0);
    // Of each of the two channels.
    assert_eq!(program.wav("own-rate.wav").1.len(), 2 * 10_007);
    program.render(&["stereo.wav", "-o", "model-rate.wav"]).code(0);
    // 10007 * 24000 / 44100 = 5446.0
    assert_eq!(program.wav("model-rate.wav").1.len(), 2 * 5446);
    let flac = sample("speech-de.flac");
    let length = audiodiff::audio::read(&flac).unwrap().samples.len();
    program.render(&[flac.to_str().unwrap(), "-o", "flac.wav"]).code(0);
    assert_eq!(program.wav("flac.wav").1.len(), length);
}

#[test]
fn an_input_is_not_overwritten_by_its_own_rendering() {
    let program = Program::new();
    fs::copy(sample("speech-synthetic.wav"), program.path("a.wav")).unwrap();
    let before = program.read("a.wav");
    program.render(&["a.wav"]).code(2).says(&["a.wav", "is an input", "-o"]);
    program.render(&["a.wav", "-o", "a.wav", "-y"]).code(2).says(&["is an input"]);
    assert_eq!(program.read("a.wav"), before);
}

#[test]
fn a_seed_is_repeatable_and_a_drawn_one_is_told() {
    let program = Program::new();
    program.mel("a.npy", 12);
    let render = |seed: &str, output: &str| program.render(&["a.npy", "--seed", seed, "-o", output]).code(0);
    render("7", "seven.wav");
    render("7", "again.wav");
    render("8", "eight.wav");
    assert_eq!(program.read("seven.wav"), program.read("again.wav"));
    assert_ne!(program.wav("seven.wav").1, program.wav("eight.wav").1);
    let drawn = render("random", "random.wav");
    let seed = drawn.stderr.lines().find_map(|line| line.strip_prefix("seed ")).unwrap();
    render(seed, "repeated.wav");
    assert_eq!(program.read("random.wav"), program.read("repeated.wav"));
}

#[test]
fn a_stream_is_the_file_with_exact_sizes_and_raw_is_its_samples() {
    let program = Program::new();
    program.mel("a.npy", 120); // more than a chunk
    program.render(&["a.npy"]).code(0);
    let (_, samples) = program.wav("a.wav");
    let stream = program.render(&["a.npy", "-o", "-", "-q"]).code(0).stdout;
    program.write("stream.wav", &stream);
    assert_eq!(program.wav("stream.wav").1, samples);
    assert_eq!(stream.len(), 44 + 2 * samples.len());
    let raw = program.render(&["a.npy", "-o", "-", "--raw"]).code(0).says(&["s16le 24000 1"]).stdout;
    assert_eq!(raw, stream[44..]);
    program.render(&["a.npy", "-o", "a.pcm", "--output-raw", "-q"]).code(0);
    assert_eq!(program.read("a.pcm"), raw);
    // A device is written to, not replaced.
    program.render(&["a.npy", "-o", "/dev/null", "-q"]).code(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn the_first_sound_leaves_before_the_end_is_rendered() {
    use std::io::Read as _;
    let program = Program::new();
    program.mel("a.npy", 160);
    let mut child = program
        .command()
        .args([&["render", "a.npy", "-o", "-", "-q"], DEAR].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = vec![0; 44 + 2 * 4096];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    // With so much work a chunk, the next one cannot be there yet.
    assert_eq!(child.try_wait().unwrap(), None, "all was rendered before the first byte came");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn formats_have_their_sizes() {
    let program = Program::new();
    program.mel("a.npy", 9);
    for (format, bits) in [("pcm16", 16), ("pcm24", 24), ("float32", 32)] {
        program.render(&["a.npy", "-o", "x.wav", "-y", "--format", format]).code(0);
        let reader = hound::WavReader::open(program.path("x.wav")).unwrap();
        assert_eq!((reader.spec().bits_per_sample, reader.len()), (bits, 8 * 256));
    }
}

#[test]
fn nothing_clips_without_a_word() {
    let program = Program::new();
    program.mel("a.npy", 40);
    program.render(&["a.npy", "--gain", "40", "-o", "limited.wav"]).code(0).says(&["warning", "a.npy", "limited, by"]);
    program.render(&["a.npy", "--gain", "40", "--peaks", "lower"]).code(0).says(&["warning", "a.npy", "lowered by"]);
    let (_, samples) = program.wav("a.wav");
    let peak = samples.iter().map(|sample| sample.abs()).max().unwrap();
    // Full scale less the dither's room, and not wrapped around.
    assert!((32_700..=32_767).contains(&peak), "{peak}");
    let clipped = ["a.npy", "--gain", "40", "--peaks", "clip"];
    program.render(&[&clipped[..], &["-o", "-", "--raw"]].concat()).code(0).says(&["warning", "held", "--gain"]);
    program.render(&[&clipped[..], &["-o", "clipped.wav"]].concat()).code(0).says(&["warning", "held there"]);
    program.render(&["a.npy", "-o", "-", "--peaks", "lower"]).code(2).says(&["--peaks lower", "--peaks limit"]);
    program.render(&["a.npy", "-o", "quiet.wav", "--gain", "-20"]).code(0);
    program.render(&["a.npy", "-o", "plain.wav"]).code(0);
    let energy = |name| program.wav(name).1.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
    let ratio_db = 10.0 * (energy("quiet.wav") / energy("plain.wav")).log10();
    // The rest is dither: half a step against a peak of some thousands.
    assert!((ratio_db + 20.0).abs() < 0.3, "{ratio_db}");
}

#[test]
fn griffin_lim_renders_without_the_network() {
    let program = Program::new();
    program.mel("a.npy", 20);
    let entry = &program.run(&["render", "a.npy", "-m", "griffin-lim", "--json", "-q"]).code(0).objects()[0];
    assert_eq!((&entry["model"], &entry["settings"]["final_iterations"]), (&"griffin-lim".into(), &60.into()));
    assert_eq!(program.wav("a.wav").1.len(), 19 * 256);
}

#[test]
fn without_a_step_the_start_is_the_sound() {
    let program = Program::new();
    program.mel("a.npy", 20);
    let entry = &program.run(&["render", "a.npy", "--quality", "draft", "--json", "-q"]).code(0).objects()[0];
    assert_eq!((&entry["settings"]["steps"], &entry["settings"]["final_iterations"]), (&0.into(), &32.into()));
    assert_eq!(program.wav("a.wav").1.len(), 19 * 256);
    program
        .run(&["render", "a.npy", "-o", "b.wav", "--steps", "0", "--start-iterations", "0"])
        .code(2)
        .says(&["steps: 0, expected 1 to 64", "without start iterations"]);
}

#[test]
fn bad_mels_are_one_clear_line() {
    let program = Program::new();
    let around = |level: f32| move |m: usize, t: usize| level + (m * 7 + t * 3) as f32 % 10.0 * 0.1;
    let quiet = around(-5.0);
    program.write("nan.npy", npy(100, 20, |m, t| if (m, t) == (3, 7) { f32::NAN } else { quiet(m, t) }));
    program.write("eighty.npy", npy(80, 20, quiet));
    program.write("loud.npy", npy(100, 20, around(40.0)));
    program.write("deep.npy", npy(100, 20, around(-18.0)));
    program.write("one-frame.npy", npy(100, 1, quiet));
    program.write("empty.npy", "");
    program.write("cut.npy", &npy(100, 20, quiet)[..4000]);
    program.write("text.npy", "hello");
    program.write("empty.wav", "");
    for (file, parts) in [
        ("nan.npy", &["NaN", "frame 7", "band 3"][..]),
        ("eighty.npy", &["80", "100"]),
        ("loud.npy", &["40", "--convention"]),
        ("deep.npy", &["-18", "--convention"]),
        ("one-frame.npy", &["a single frame"]),
        ("empty.npy", &["empty"]),
        ("cut.npy", &["fewer"]),
        ("text.npy", &["NUMPY"]),
        ("empty.wav", &["empty"]),
        ("missing.npy", &["cannot open"]),
    ] {
        let refused = program.render(&[file, "-o", "x.wav"]).code(1).says(&[&["audiodiff: ", file], parts].concat());
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    assert!(!program.exists("x.wav"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_130_and_leaves_nothing() {
    let program = Program::new();
    program.mel("a.npy", 160);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let child =
            program.command().args([&["render", "a.npy"], DEAR].concat()).stderr(Stdio::piped()).spawn().unwrap();
        // The temporary file is there while it renders.
        while !program.exists(".a.wav.audiodiff.part") {
            std::thread::sleep(Duration::from_millis(5));
        }
        // SAFETY: the child has not been waited for, so the id is still its own.
        unsafe { libc::kill(child.id() as i32, signal) };
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert!(String::from_utf8_lossy(&output.stderr).contains("audiodiff: interrupted"));
        assert_eq!(program.files("."), ["a.npy"]);
    }
}

#[test]
fn settings_that_the_program_cannot_have_are_said() {
    let program = Program::new();
    program.mel("a.npy", 9);
    if tch::Cuda::device_count() == 0 {
        program.render(&["a.npy", "--device", "cuda:0"]).code(2).says(&["cuda:0", "--device cpu"]);
    }
    program.render(&["a.npy", "--convention", "hifi-gan-23"]).code(1).says(&["hifi-gan-23", "conventions"]);
    let quiet = program.run(&[&["render", "a.npy", "-q"], CHEAP].concat()).code(0);
    assert_eq!(quiet.stderr, "");
}

/// Renders `frames` frames of a made-up mel and gives the most memory that the program had, in bytes.
#[cfg(target_os = "linux")]
fn memory_of(program: &Program, frames: usize) -> i64 {
    let name = format!("{frames}.npy");
    program.write(&name, npy(100, frames, |m, t| -11.5 + (m + t) as f32 % 7.0));
    // One iteration, so that the projection's memory counts.
    let arguments = ["render", &name, "-o", "out.wav", "-y", "--steps", "1", "--final-iterations", "1", "-t", "1"];
    // `wait4` waits for it, and has its memory.
    #[allow(clippy::zombie_processes)]
    let child = program.command().args(arguments).stderr(Stdio::null()).spawn().unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: the child is ours and nobody else waits for it; both places are writable, and zeros are a valid rusage.
    let usage = unsafe {
        libc::wait4(child.id() as i32, &mut status, 0, usage.as_mut_ptr());
        usage.assume_init()
    };
    assert_eq!(status, 0);
    usage.ru_maxrss * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat_in_the_length_of_the_input() {
    let program = Program::new();
    let frames = |seconds: usize| seconds * 24_000 / 256 + 1;
    let (short, long) = (memory_of(&program, frames(10)), memory_of(&program, frames(600)));
    // What the README promises; the mel alone is 22 MB of it.
    assert!(long - short < 150_000_000, "{short} bytes for 10 s, {long} for 10 minutes");
    assert_eq!(program.wav("out.wav").1.len(), (frames(600) - 1) * 256);
}

/// Where the last frame lay on the last sample of a tone, half of that frame was the tone reflected, and the phases of its
/// partials could meet in a spike that was louder than the tone ever is.
#[test]
fn a_tone_that_ends_with_a_hop_ends_as_loud_as_it_is() {
    let program = Program::new();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(program.path("tone.wav"), spec).unwrap();
    for i in 0..277 * 256 {
        let partial =
            |amplitude: f64, hz: f64| amplitude * (std::f64::consts::TAU * hz * f64::from(i) / 24_000.0).sin();
        let sample = partial(0.4, 220.0) + partial(0.2, 331.7) + partial(0.1, 1234.5);
        writer.write_sample((32_767.0 * sample).round() as i16).unwrap();
    }
    writer.finalize().unwrap();
    program
        .run(&["render", "tone.wav", "-o", "out.wav", "--precision", "f32", "-t", "1", "--format", "float32"])
        .code(0);
    let rendered = audiodiff::audio::read(program.path("out.wav")).unwrap().samples;
    assert_eq!(rendered.len(), 277 * 256);
    let peak = |samples: &[f32]| samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
    // The partials add up to 0.7, their phases drift; a spike had 1.0.
    let (steady, end) = (peak(&rendered[4096..rendered.len() - 4096]), peak(&rendered[rendered.len() - 1024..]));
    assert!(end < 1.1 * steady, "{end} at the end, {steady} before");
}

#[test]
fn levels_that_are_no_finite_numbers_are_wrong_usage() {
    let program = Program::new();
    program.mel("a.npy", 8);
    for (option, value, range) in [
        ("--gain", "nan", "-100 to 100"),
        ("--gain", "inf", "-100 to 100"),
        ("--gain", "-inf", "-100 to 100"),
        ("--gain", "1e300", "-100 to 100"),
        ("--loudness", "nan", "-70 to 0"),
        ("--loudness", "-inf", "-70 to 0"),
        ("--loudness", "1e9", "-70 to 0"),
    ] {
        program.render(&["a.npy", option, value]).code(2).says(&[option, value, range]);
        let variable = format!("AUDIODIFF_{}", option[2..].to_uppercase());
        let by_variable = program.command().args(["render", "a.npy"]).env(variable, value).output().unwrap();
        assert_eq!(by_variable.status.code(), Some(2), "{option} {value} in the environment");
    }
    let list = "{\"input\": \"a.npy\", \"gain\": 1e308}\n";
    program.run_with_input(&["render", "-", "-o", "out"], list).code(1).says(&["line 1", "gain", "-100 to 100"]);
    program.run(&["play", "a.npy", "--volume", "nan"]).code(2).says(&["--volume", "0 to 4"]);
    program.run(&["models", "average", "a", "b", "-o", "c", "--weight", "nan"]).code(2).says(&["--weight", "0 to 1"]);
    let augment = ["data", "augment", ".", "-o", "out", "--chance", "nan"];
    program.run(&augment).code(2).says(&["--chance", "0 to 1"]);
    program
        .run(&["train", "--data", ".", "-o", "r", "--minutes", "inf"])
        .code(2)
        .says(&["--minutes", "0.001 to 525600"]);
    assert_eq!(program.files("."), ["a.npy", "standard-input"]);
}

#[test]
fn griffin_lim_takes_quality_and_columns_or_says_why_not() {
    let program = Program::new();
    program.mel("a.npy", 8);
    let list = "{\"input\": \"a.npy\", \"output\": \"few.wav\", \"final_iterations\": 2}\n\
                {\"input\": \"a.npy\", \"output\": \"set.wav\"}\n\
                {\"input\": \"a.npy\", \"output\": \"steps.wav\", \"steps\": 3}\n";
    let baseline = ["render", "-", "-o", "out", "-m", "griffin-lim", "--quality", "draft", "--json"];
    let outcome = program.run_with_input(&baseline, list).code(3).says(&["--steps: has no meaning for griffin-lim"]);
    let iterations: Vec<Option<u64>> =
        outcome.objects().iter().map(|entry| entry["settings"]["final_iterations"].as_u64()).collect();
    assert!(iterations.contains(&Some(2)) && iterations.contains(&Some(30)), "{iterations:?}");
    program
        .run(&["render", "a.npy", "-m", "griffin-lim", "--start-iterations", "8"])
        .code(2)
        .says(&["--start-iterations"]);
}
