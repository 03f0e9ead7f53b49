//! The examples do what they say. `cargo test` builds them beside the tests.

mod sound_server;

use sound_server::SoundServer;
use std::{path::PathBuf, process::Command};

fn path(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// What the example prints.
fn run(name: &str, arguments: &[&str]) -> String {
    printed(name, Command::new(path(name)).args(arguments))
}

fn printed(name: &str, command: &mut Command) -> String {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn render_writes_the_mels_sound() {
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("speech.wav");
    run("render", &["samples/mels/speech-synthetic.npy", "f5-tts", wav.to_str().unwrap()]);
    let sound = audiodiff::audio::read(&wav).unwrap();
    let recording =
        audiodiff::audio::read(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/speech-synthetic.wav")).unwrap();
    assert!(sound.samples.len().abs_diff(recording.samples.len()) < 512);
    let power = |samples: &[f32]| samples.iter().map(|v| v * v).sum::<f32>() / samples.len() as f32;
    let decibels = 10.0 * (power(&sound.samples) / power(&recording.samples)).log10();
    assert!(decibels.abs() < 1.0, "{decibels} dB from the recording's level");
}

#[test]
fn stream_gives_sound_in_pieces_up_to_the_end() {
    let printed = run("stream", &[]);
    let seconds: Vec<f64> = printed.lines().map(|line| line.trim_end_matches(" s").parse().unwrap()).collect();
    assert!(seconds.len() >= 3 && seconds[0] < 0.3 && seconds.is_sorted(), "{printed}");
}

#[test]
fn stereo_keeps_two_channels() {
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("again.wav");
    let printed = run("stereo", &["samples/music-stereo.flac", wav.to_str().unwrap()]);
    assert!(printed.contains("2 channels at 44100 Hz"), "{printed}");
    let of = |path: &std::path::Path| {
        let reader = audiodiff::audio::AudioReader::open(path).unwrap().mixed(audiodiff::audio::Downmix::Stereo);
        reader.into_sound(44_100).unwrap().0
    };
    let given = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/music-stereo.flac");
    let (given, again) = (of(given.as_ref()), of(&wav));
    assert_eq!((again.channels.len(), again.len()), (2, given.len()));
    let power = |samples: &[f32]| samples.iter().map(|v| v * v).sum::<f32>();
    for (given, again) in given.channels.iter().zip(&again.channels) {
        let decibels = 10.0 * (power(again) / power(given)).log10();
        assert!(decibels.abs() < 1.0, "{decibels} dB from the recording's level");
    }
}

#[test]
fn own_vocoder_is_rendered_from_another_programs_mel() {
    // 40 frames of 256 samples, framed by half a hop.
    assert_eq!(run("own_vocoder", &[]), "10240 samples at 22050 Hz\n");
}

#[test]
fn batch_makes_a_file_of_each_mel() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("mels");
    std::fs::create_dir(&input).unwrap();
    std::fs::copy("samples/mels/speech-synthetic.npy", input.join("good.npy")).unwrap();
    std::fs::write(input.join("bad.npy"), "nothing").unwrap();
    let output = folder.path().join("wavs");
    let printed = run("batch", &[input.to_str().unwrap(), output.to_str().unwrap()]);
    assert!(printed.contains("good.wav") && printed.contains("failed: "), "{printed}");
    assert!(audiodiff::audio::read(output.join("good.wav")).unwrap().samples.len() > 24_000);
}

#[test]
fn play_is_heard() {
    let Some(server) = SoundServer::start(48_000, "float32le") else { return };
    let recording = server.record();
    let printed = printed("play", server.command(path("play")).arg("samples/speech-synthetic.wav"));
    let (left, right) = recording.stop();
    assert!(printed.contains("heard 1.7"), "{printed}");
    let loud = |samples: &[f32]| samples.iter().filter(|sample| sample.abs() > 0.03).count();
    assert!(loud(&left) > 5000 && left == right, "{} loud samples", loud(&left));
}
