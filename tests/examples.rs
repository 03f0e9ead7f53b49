//! The examples do what they say. `cargo test` builds them beside the tests.

use std::{path::PathBuf, process::Command};

/// What the example prints.
fn run(name: &str, arguments: &[&str]) -> String {
    let tests = std::env::current_exe().unwrap();
    let example: PathBuf = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    let output = Command::new(example).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
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
