//! `audiodiff play` on a real sound device: PulseAudio's null sink, whose monitor is recorded and compared with what
//! should have been heard.

#[path = "../../tests/sound_server/mod.rs"]
mod sound_server;

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use audiodiff::{
    audio,
    mel::{self, extract, presets},
};
use npyz::WriterBuilder as _;
use rustfft::{FftPlanner, num_complex::Complex32};
use serde_json::Value;
use sound_server::SoundServer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_audiodiff");

/// 1.75 s of speech.
const SHORT: &str = "speech-synthetic.wav";
/// 6 s of speech.
const LONG: &str = "speech-en.wav";

fn sample(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("samples").join(name)
}

/// Two steps: these tests are about the way of the sound, not about its quality.
fn play(server: &SoundServer) -> Command {
    let mut command = server.command(PROGRAM);
    command.args(["play", "--quality", "draft"]);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn summary(output: &Output) -> Value {
    let value = serde_json::from_slice(&output.stdout);
    value.unwrap_or_else(|error| panic!("{error}: {} {}", text(&output.stdout), text(&output.stderr)))
}

fn assert_one_sentence(stderr: &str) {
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(stderr.starts_with("audiodiff: ") && !stderr.trim_end().ends_with('.'), "{stderr}");
}

/// Where `reference` lies in `recorded`: the largest correlation over all places.
fn find(recorded: &[f32], reference: &[f32]) -> usize {
    let size = (recorded.len() + reference.len()).next_power_of_two();
    let mut planner = FftPlanner::new();
    let spectrum = |samples: &[f32], planner: &mut FftPlanner<f32>| {
        let mut values: Vec<Complex32> = samples.iter().map(|&sample| Complex32::new(sample, 0.0)).collect();
        values.resize(size, Complex32::default());
        planner.plan_fft_forward(size).process(&mut values);
        values
    };
    let (a, b) = (spectrum(recorded, &mut planner), spectrum(reference, &mut planner));
    let mut product: Vec<Complex32> = a.iter().zip(&b).map(|(a, b)| a * b.conj()).collect();
    planner.plan_fft_inverse(size).process(&mut product);
    (0..recorded.len()).max_by(|&i, &j| product[i].re.total_cmp(&product[j].re)).unwrap()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The whole of `wanted`, in order, without a gap, at its pitch and level, and silence before and after.
fn assert_heard(recorded: &[f32], wanted: &[f32], rate: u32, least_correlation: f64) {
    assert!(recorded.len() >= wanted.len(), "{} samples recorded, {} wanted", recorded.len(), wanted.len());
    let at = find(recorded, wanted);
    assert!(at + wanted.len() <= recorded.len(), "the end is missing: found at {at} of {}", recorded.len());
    let heard = &recorded[at..at + wanted.len()];
    let whole = correlation(heard, wanted);
    assert!(whole > least_correlation, "correlation {whole} at {:.3} s", at as f64 / f64::from(rate));
    let level = dot(heard, wanted) / dot(wanted, wanted);
    assert!((level - 1.0).abs() < 0.01, "level {level}");
    // Tenths of a second: a gap, a repetition or another pitch anywhere shows in its own place. Quiet ones are left out,
    // where the 16 bits of the sink's own rounding are not far below.
    let (size, loudest) = (rate as usize / 10, dot(wanted, wanted) / wanted.len() as f64);
    for (n, (heard, wanted)) in heard.chunks(size).zip(wanted.chunks(size)).enumerate() {
        if dot(wanted, wanted) / wanted.len() as f64 > loudest * 1e-3 {
            let part = correlation(heard, wanted);
            assert!(part > least_correlation - 0.01, "correlation {part} at {:.1} s of the sound", n as f64 / 10.0);
        }
    }
    for (place, rest) in [("before", &recorded[..at]), ("after", &recorded[at + wanted.len()..])] {
        // Resampling filters ring for a few milliseconds.
        let ringing = rate as usize / 100;
        let rest = if place == "before" {
            &rest[..rest.len().saturating_sub(ringing)]
        } else {
            &rest[ringing.min(rest.len())..]
        };
        let loudest = rest.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
        assert!(loudest < 1e-3, "{loudest} {place} the sound");
    }
}

/// Plays `name` with `arguments`, and compares the recording with the file that --also-write keeps.
fn check_playing(rate: u32, sink_format: &str, arguments: &[&str], least_correlation: f64) {
    let Some(server) = SoundServer::start(rate, sink_format) else { return };
    let kept = server.folder().join("kept.wav");
    let recording = server.record();
    let output = play(&server)
        .arg(sample(SHORT))
        .args(["--json", "--format", "float32", "--also-write"])
        .arg(&kept)
        .args(arguments)
        .output()
        .unwrap();
    let (left, right) = recording.stop();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = summary(&output);
    assert_eq!(
        (&summary["underruns"], &summary["input_gaps"], &summary["ended"]),
        (&0.into(), &0.into(), &"played".into())
    );
    assert!((summary["played_s"].as_f64().unwrap() - 1.75).abs() < 0.001, "{summary}");
    assert!(summary["first_sound_ms"].as_f64().unwrap() > 0.0);
    let kept = audio::read(kept).unwrap();
    let wanted = audio::resample(&kept.samples, 24_000, rate).unwrap();
    assert_heard(&left, &wanted, rate, least_correlation);
    assert_eq!(left, right, "both speakers");
}

#[test]
fn sound_arrives_whole_at_48_khz() {
    // Floats all the way, at the device's own rate: only our resampler lies between.
    check_playing(48_000, "float32le", &[], 0.9999);
}

#[test]
fn sound_arrives_whole_at_44100_hz_in_16_bits() {
    check_playing(44_100, "s16le", &["--device-rate", "44100", "--device-format", "i16"], 0.999);
}

#[test]
fn sound_arrives_whole_where_the_server_resamples() {
    // A device of 44.1 kHz behind a stream of 48 kHz: the server's own resampler is not of studio quality.
    check_playing(44_100, "s16le", &["--device-rate", "48000", "--device-format", "i32"], 0.99);
}

#[test]
fn volume_is_a_factor() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let kept = server.folder().join("kept.wav");
    let recording = server.record();
    let status =
        play(&server).arg(sample(SHORT)).args(["--volume", "0.25", "--also-write"]).arg(&kept).status().unwrap();
    let (left, _) = recording.stop();
    assert!(status.success());
    let quieter: Vec<f32> = audio::read(kept).unwrap().samples.iter().map(|sample| sample * 0.25).collect();
    assert_heard(&left, &audio::resample(&quieter, 24_000, 48_000).unwrap(), 48_000, 0.999);
}

/// The file of --also-write is render's, byte for byte; the two inputs are heard without a gap between them.
#[test]
fn several_inputs_are_played_in_order_and_kept_as_rendered() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let (kept, rendered) = (server.folder().join("kept.wav"), server.folder().join("rendered.wav"));
    let output = play(&server).arg(sample(SHORT)).arg("--also-write").arg(&kept).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let status = server
        .command(PROGRAM)
        .args(["render", "--quality", "draft"])
        .arg(sample(SHORT))
        .arg("-o")
        .arg(&rendered)
        .output();
    assert!(status.unwrap().status.success());
    assert!(fs::read(&kept).unwrap() == fs::read(&rendered).unwrap());

    let recording = server.record();
    let output =
        play(&server).args([sample(SHORT), "not/there.npy".into(), sample(SHORT)]).args(["--json"]).output().unwrap();
    let (left, _) = recording.stop();
    // What is missing is said, the rest is played.
    assert!(text(&output.stderr).contains("not/there.npy"), "{}", text(&output.stderr));
    let once = audio::read(&rendered).unwrap().samples;
    let twice = audio::resample(&[once.clone(), once].concat(), 24_000, 48_000).unwrap();
    assert_heard(&left, &twice, 48_000, 0.999);
    // There is a file already.
    let again = play(&server).arg(sample(SHORT)).arg("--also-write").arg(&kept).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert_one_sentence(&text(&again.stderr));
}

/// Left is left and right is right, and a file of one channel beside it is heard in both.
#[test]
fn two_channels_are_heard_as_two() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let stereo = server.folder().join("stereo.wav");
    let (one, mut other) = (audio::read(sample(SHORT)).unwrap(), audio::read(sample(LONG)).unwrap().samples);
    other.truncate(one.samples.len());
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: one.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&stereo, spec).unwrap();
    for (left, right) in one.samples.iter().zip(&other) {
        [left, right].into_iter().for_each(|sample| writer.write_sample((sample * 32_767.0) as i16).unwrap());
    }
    writer.finalize().unwrap();
    let kept = server.folder().join("kept.wav");
    let recording = server.record();
    let output = play(&server).arg(&stereo).arg(sample(SHORT)).arg("--also-write").arg(&kept).output().unwrap();
    let (left, right) = recording.stop();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (sound, _) = audio::AudioReader::open(&kept).unwrap().mixed(audio::Downmix::Stereo).into_sound(48_000).unwrap();
    let [wanted_left, wanted_right] = &sound.channels[..] else { panic!("{} channels", sound.channels.len()) };
    assert_heard(&left, wanted_left, 48_000, 0.999);
    assert_heard(&right, wanted_right, 48_000, 0.999);
    let second = wanted_left.len() / 2 + 4800;
    assert!(wanted_left[..second - 9600] != wanted_right[..second - 9600], "the first file has two channels");
    assert!(wanted_left[second..] == wanted_right[second..], "the second file has one");
}

/// A mel of two channels, mixed: a loud one, so that the limiter has work. It is heard and kept as it is rendered.
#[test]
fn a_stereo_mel_that_is_mixed_is_kept_as_rendered() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let native = presets::named("f5-tts").unwrap();
    let mel = extract(&audio::read(sample(SHORT)).unwrap().samples, native).unwrap();
    // Seven times as loud: beyond full scale.
    let louder: Vec<f32> = mel.band_major().iter().map(|value| value + 2.0).collect();
    let path = server.folder().join("stereo.npy");
    let shape = [2, mel.n_mels() as u64, mel.frames() as u64];
    let file = fs::File::create(&path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd().unwrap();
    writer.extend([louder.clone(), louder].concat()).unwrap();
    writer.finish().unwrap();
    let (kept, rendered) = (server.folder().join("kept.wav"), server.folder().join("rendered.wav"));
    let said = ["--channels", "mono", "--convention", "f5-tts"];
    let recording = server.record();
    let output = play(&server).arg(&path).args(said).arg("--also-write").arg(&kept).output().unwrap();
    let (left, right) = recording.stop();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = server
        .command(PROGRAM)
        .args(["render", "--quality", "draft"])
        .arg(&path)
        .args(said)
        .arg("-o")
        .arg(&rendered)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let sound = audio::read(&rendered).unwrap();
    assert!(sound.samples.iter().any(|sample| sample.abs() > 0.8), "no peaks for the limiter");
    assert!(fs::read(&kept).unwrap() == fs::read(&rendered).unwrap());
    let wanted = audio::resample(&sound.samples, 24_000, 48_000).unwrap();
    assert_heard(&left, &wanted, 48_000, 0.999);
    assert!(left == right);
}

/// What is kept is render's file byte for byte, at the rate of the mel's own convention; the device's resampler comes after.
#[test]
fn a_mel_of_another_program_is_heard_as_it_is_rendered() {
    for name in ["hifigan-22k", "bigvgan-44k-128", "vocos-24k"] {
        let Some(server) = SoundServer::start(48_000, "float32le") else { return };
        let [mel_file, kept, rendered] = ["mel.npy", "kept.wav", "rendered.wav"].map(|name| server.folder().join(name));
        let convention = mel::presets::named(name).unwrap();
        let rate = convention.sample_rate;
        let recorded = audio::read_at(sample(SHORT), rate).unwrap().samples;
        mel::file::write(&mel_file, &mel::extract(&recorded, convention).unwrap(), convention).unwrap();
        let settings = ["--convention", name, "--format", "float32"];
        let recording = server.record();
        let output =
            play(&server).arg(&mel_file).args(settings).args(["--json", "--also-write"]).arg(&kept).output().unwrap();
        let (left, _) = recording.stop();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(summary(&output)["times_adapted"], 0, "{name}: the machine is too slow to compare anything");
        let mut render = server.command(PROGRAM);
        render.args(["render", "--quality", "draft", "-o"]).arg(&rendered).arg(&mel_file).args(settings);
        assert!(render.status().unwrap().success());
        assert!(
            fs::read(&kept).unwrap() == fs::read(&rendered).unwrap(),
            "{name}: the file kept is what render writes"
        );
        let kept = audio::read(kept).unwrap();
        assert_eq!(kept.sample_rate, rate);
        assert_heard(&left, &audio::resample(&kept.samples, rate, 48_000).unwrap(), 48_000, 0.9999);
    }
}

/// Bare frames of a sample's mel.
fn frames(name: &str) -> Vec<u8> {
    let recording = audio::read(sample(name)).unwrap();
    let mel = mel::extract(&recording.samples, &mel::MelConvention::native()).unwrap();
    mel.values().iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Plays frames that are written at `speed` times real time, then `tail`.
fn play_live(server: &SoundServer, frames: &[u8], speed: f64, arguments: &[&str]) -> Output {
    let mut player = play(server)
        .args(["-", "--json"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = player.stdin.take().unwrap();
    for portion in frames.chunks(400 * 8) {
        if pipe.write_all(portion).is_err() {
            break;
        }
        thread::sleep(Duration::from_secs_f64(8.0 * 256.0 / 24_000.0 / speed));
    }
    drop(pipe);
    player.wait_with_output().unwrap()
}

#[test]
fn live_frames_are_heard_as_they_come() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let kept = server.folder().join("kept.wav");
    let recording = server.record();
    let arguments = ["--input-format", "f32le", "--latency-ms", "400", "--format", "float32", "--also-write"];
    let output = play_live(&server, &frames(SHORT), 4.0, &[&arguments[..], &[kept.to_str().unwrap()]].concat());
    let (left, _) = recording.stop();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = summary(&output);
    assert_eq!((&summary["live"], &summary["underruns"]), (&true.into(), &0.into()), "{summary}");
    let kept = audio::read(kept).unwrap().samples;
    // 165 frames: 164 hops.
    assert_eq!(kept.len(), 164 * 256);
    if summary["input_gaps"] == 0 {
        assert_heard(&left, &audio::resample(&kept, 24_000, 48_000).unwrap(), 48_000, 0.9999);
    }
}

/// Sound comes out while the writer has most of its frames still to write.
#[test]
fn live_sound_starts_before_the_input_ends() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let frames = frames(SHORT);
    let recording = server.record();
    let mut player =
        play(&server).args(["-", "--latency-ms", "300"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = player.stdin.take().unwrap();
    // 60 of 165 frames, and then nothing: the sound of some of them must come all the same.
    pipe.write_all(&frames[..60 * 400]).unwrap();
    thread::sleep(Duration::from_secs(8));
    let (left, _) = recording.stop();
    assert!(player.try_wait().unwrap().is_none(), "it waits for more");
    let heard = left.iter().filter(|sample| sample.abs() > 0.01).count();
    // The first chunk is 15 frames, of which the speaker takes a half to begin.
    assert!(heard > 1000, "{heard} samples of sound");
    drop(pipe);
    let output = player.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("1 pauses of the input"), "{}", text(&output.stderr));
}

/// `render -o - -`: samples leave while most of the frames are still to come, and are those of play.
#[test]
fn live_frames_are_rendered_to_a_pipe_as_they_come() {
    let frames = frames(SHORT);
    let mut renderer = Command::new(PROGRAM)
        .args(["render", "-", "-o", "-", "--quality", "draft", "--input-format", "f32le"])
        .args(["--latency-ms", "300", "--format", "float32", "--output-raw"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (renderer.stdin.take().unwrap(), renderer.stdout.take().unwrap());
    input.write_all(&frames[..60 * 400]).unwrap();
    // 28 frames at 300 ms, 9 of them look-ahead: the first chunk of 19 comes before anything more is written.
    let mut first = vec![0; 4 * 18 * 256];
    output.read_exact(&mut first).unwrap();
    input.write_all(&frames[60 * 400..]).unwrap();
    drop(input);
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    let stderr = text(&renderer.wait_with_output().unwrap().stderr);
    assert!(stderr.starts_with("f32le 24000 1\n"), "{stderr}");
    assert_eq!(first.len() + rest.len(), 4 * 164 * 256);
    let sound: Vec<f32> =
        [first, rest].concat().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    assert!(dot(&sound, &sound) > 1.0);
    // A file in their place, and a broken frame.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.wav");
    let run = |bytes: &[u8]| {
        let mut command = Command::new(PROGRAM);
        command.args(["render", "-", "--quality", "draft", "--input-format", "auto", "--latency-ms", "300", "-o"]);
        let mut renderer = command.arg(&file).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may be gone before all is written.
        let _ = renderer.stdin.take().unwrap().write_all(bytes);
        renderer.wait_with_output().unwrap()
    };
    for (bytes, said) in [(&frames[..5000], "frame 12"), (&[], "no sound came of it")] {
        let broken = run(bytes);
        assert_eq!(broken.status.code(), Some(1));
        let stderr = text(&broken.stderr);
        assert!(stderr.contains(said), "{stderr}");
        assert_one_sentence(&stderr);
        assert!(!file.exists());
    }
    assert!(run(&frames).status.success());
    let written = audio::read(&file).unwrap().samples;
    // The file is dithered and rounded to 16 bits.
    assert!(written.iter().zip(&sound).all(|(a, b)| (a - b).abs() < 1.6 / 32768.0));
}

#[test]
fn broken_live_input_is_an_error_after_its_sound() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let good = frames(SHORT);
    let cut = good[..100 * 400 + 123].to_vec();
    let mut nan = good.clone();
    nan[100 * 400..100 * 400 + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut foreign = good.clone();
    foreign[100 * 400..100 * 400 + 4].copy_from_slice(&77f32.to_le_bytes());
    for (stream, said) in [(cut, "within frame 100"), (nan, "frame 100"), (foreign, "77.000 at frame 100")] {
        let output = play_live(&server, &stream, 100.0, &["--input-format", "f32le"]);
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(said), "{stderr}");
        assert_one_sentence(&stderr);
        // The 100 good frames were played.
        let played = summary(&output)["played_s"].as_f64().unwrap();
        assert!((played - 99.0 * 256.0 / 24_000.0).abs() < 0.001, "{played}");
    }
    let empty = play_live(&server, &[], 1.0, &[]);
    assert!(empty.status.success(), "nothing to play is no fault: {}", text(&empty.stderr));
}

#[test]
fn a_server_that_is_killed_ends_playing_with_a_sentence() {
    let Some(mut server) = SoundServer::start(48_000, "float32le") else { return };
    let player = play(&server).arg(sample(LONG)).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for_sound(&server);
    server.kill();
    let output = player.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_one_sentence(&stderr);
    assert!(stderr.contains("sound device"), "{stderr}");
}

/// Until the sink has a stream that plays.
fn wait_for_sound(server: &SoundServer) {
    for _ in 0..600 {
        let streams = server.command("pactl").args(["list", "short", "sink-inputs"]).output().unwrap();
        if !streams.stdout.is_empty() {
            thread::sleep(Duration::from_millis(1500));
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("no stream within 30 s");
}

#[test]
fn a_missing_device_or_host_is_said_and_nothing_hangs() {
    let Some(mut server) = SoundServer::start(48_000, "float32le") else { return };
    let output = play(&server).arg(sample(SHORT)).args(["--output-device", "trombone"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("\"trombone\": is not there"), "{}", text(&output.stderr));
    assert_one_sentence(&text(&output.stderr));
    let output = play(&server).arg(sample(SHORT)).args(["--host", "gramophone"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_one_sentence(&text(&output.stderr));
    let output = play(&server).arg(sample(SHORT)).args(["--device-format", "dsdu8"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_one_sentence(&text(&output.stderr));
    server.kill();
    let output = play(&server).arg(sample(SHORT)).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_one_sentence(&text(&output.stderr));
}

#[test]
fn devices_are_listed() {
    let Some(server) = SoundServer::start(44_100, "s16le") else { return };
    let output = server.command(PROGRAM).args(["devices", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let hosts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let alsa = hosts.as_array().unwrap().iter().find(|host| host["host"] == "ALSA").unwrap();
    let device = &alsa["devices"][0];
    assert_eq!((&device["id"], &device["default"]), (&"default".into(), &true.into()));
    assert!(device["formats"].as_array().unwrap().contains(&"i16".into()), "{device}");
    let output = server.command(PROGRAM).arg("devices").output().unwrap();
    let listed = text(&output.stdout);
    assert!(listed.contains("ALSA (default)") && listed.contains("* default"), "{listed}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_fades_and_ends() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let kept = server.folder().join("kept.wav");
    let recording = server.record();
    let player = play(&server)
        .args([sample(LONG), "--json".into(), "--loop".into(), "--also-write".into(), kept.clone()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_sound(&server);
    // SAFETY: the process is our child and has not been waited for.
    unsafe { libc::kill(player.id() as i32, libc::SIGINT) };
    let output = player.wait_with_output().unwrap();
    let (left, _) = recording.stop();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let summary = summary(&output);
    assert_eq!(summary["ended"], "interrupted");
    // What was heard was kept, and no more.
    let played = summary["played_s"].as_f64().unwrap();
    let kept = audio::read(kept).unwrap().samples;
    assert!((kept.len() as f64 / 24_000.0 - played).abs() < 0.01, "{} samples, {played} s", kept.len());
    // All but the fade is there.
    let before_fade = &kept[..kept.len() - 480];
    let wanted = audio::resample(before_fade, 24_000, 48_000).unwrap();
    let at = find(&left, &wanted);
    assert!(correlation(&left[at..at + wanted.len()], &wanted) > 0.999);
    let after = &left[at + wanted.len() + 960..];
    assert!(after.iter().all(|sample| sample.abs() < 1e-4), "silence after the fade");
}

/// A machine that cannot keep up gets cheaper settings, is told once, and the sound is whole.
#[test]
fn too_much_work_is_made_less() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let slow = ["--steps", "8", "--iterations", "400", "--final-iterations", "400", "--threads", "1"];
    let output = server.command(PROGRAM).args(["play", "--json"]).arg(sample(LONG)).args(slow).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let summary = summary(&output);
    assert!(summary["times_adapted"].as_u64().unwrap() >= 1, "{summary}");
    assert!(summary["at_the_end"]["steps"].as_u64() < Some(8), "{summary}");
    assert_eq!(stderr.matches("does not keep up").count(), 1, "{stderr}");
    assert!((summary["played_s"].as_f64().unwrap() - 6.009).abs() < 0.01, "{summary}");
}

/// Keys and the line need a terminal; `script` gives the player one.
#[cfg(target_os = "linux")]
#[test]
fn keys_pause_seek_and_quit_and_the_terminal_is_restored() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    if Command::new("script").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: script (util-linux) is not installed");
        return;
    }
    let summary_file = server.folder().join("summary.json");
    let line = format!(
        "stty -g; {PROGRAM} play --quality draft --json --loop {} > {}; echo code $?; stty -g",
        sample(LONG).display(),
        summary_file.display()
    );
    let mut terminal = server
        .command("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    wait_for_sound(&server);
    // Pause, go on, forward, back, quieter, quit.
    for key in ["x", " ", " ", "\x1b[C", "\x1b[D", "\x1b[B", "q"] {
        keys.write_all(key.as_bytes()).unwrap();
        keys.flush().unwrap();
        thread::sleep(Duration::from_millis(500));
    }
    let mut shown = String::new();
    terminal.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    terminal.wait().unwrap();
    assert!(shown.contains("code 0"), "{shown}");
    assert!(shown.contains("paused") && shown.contains("x real time"), "{shown}");
    let by_stty = |line: &&str| line.contains(':') && line.chars().all(|c| c == ':' || c.is_ascii_hexdigit());
    let settings: Vec<&str> = shown.lines().map(str::trim).filter(by_stty).collect();
    assert!(settings.len() == 2 && settings[0] == settings[1], "{shown}");
    let summary: Value = serde_json::from_slice(&fs::read(summary_file).unwrap()).unwrap();
    assert_eq!(summary["ended"], "stopped", "{summary}");
}

/// A player whose window is closed ends; nobody could stop it any more.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_goes_takes_the_player_with_it() {
    use std::{
        os::{
            fd::{AsRawFd as _, FromRawFd as _},
            unix::process::CommandExt as _,
        },
        time::Instant,
    };
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let (mut window, mut line) = (0, 0);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: two places for descriptors, and nothing else asked for.
    assert_eq!(unsafe { libc::openpty(&mut window, &mut line, name, settings, size) }, 0);
    // SAFETY: both are open and belong to nobody else.
    let (window, line) = unsafe { (fs::File::from_raw_fd(window), fs::File::from_raw_fd(line)) };
    let mut player = play(&server);
    player.arg(sample(LONG)).arg("--loop").stdin(line.try_clone().unwrap()).stdout(Stdio::null()).stderr(line);
    let raw_window = window.as_raw_fd();
    // SAFETY: only system calls between fork and exec: a session of its own, with the line for its terminal.
    unsafe {
        player.pre_exec(move || {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            // The window is the parent's alone.
            libc::close(raw_window);
            Ok(())
        })
    };
    let mut running = player.spawn().unwrap();
    wait_for_sound(&server);
    drop(window);
    let closed = Instant::now();
    while running.try_wait().unwrap().is_none() {
        if closed.elapsed() > Duration::from_secs(20) {
            running.kill().unwrap();
            panic!("it goes on playing");
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(running.wait().unwrap().code(), Some(130));
}
