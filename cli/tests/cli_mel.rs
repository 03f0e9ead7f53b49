//! `audiodiff mel` as a user runs it: mels for rendering, what a file is, the conventions by name.

mod program;

use program::{Program, sample};

fn recording() -> String {
    sample("speech-synthetic.wav").to_str().unwrap().to_owned()
}

#[test]
fn a_recordings_mel_is_rendered_as_the_recording_is() {
    let program = Program::new();
    for name in ["x.npy", "x.safetensors"] {
        program.run(&["mel", &recording(), "-o", name]).code(0);
        program.render(&[name, "-y", "-o", "from_mel.wav"]).code(0);
        program.render(&[&recording(), "-y", "-o", "from_audio.wav"]).code(0);
        let (mel, audio) = (program.wav("from_mel.wav").1, program.wav("from_audio.wav").1);
        assert_eq!((mel.len(), audio.len()), (164 * 256, 42_000), "{name}");
        // The recording is filled up to its hop, so that the last window differs; the first chunk is the same samples.
        assert!(mel[..90 * 256] == audio[..90 * 256], "{name}");
    }
    program.run(&["mel", &recording(), "-o", "x.npy"]).code(1).says(&["x.npy", "-y"]);
}

#[test]
fn conventions_that_differ_in_the_floor_alone_are_taken() {
    let program = Program::new();
    program.run(&["mel", &recording(), "--convention", "vocos-24k", "-o", "vocos.npy"]).code(0);
    program.run(&["mel", &recording(), "-o", "native.npy"]).code(0);
    program.render(&["vocos.npy", "-o", "vocos.wav", "--convention", "vocos-24k"]).code(0);
    program.render(&["native.npy", "-o", "native.wav"]).code(0);
    assert!(program.wav("vocos.wav").1 == program.wav("native.wav").1);
}

#[test]
fn info_says_what_a_file_is() {
    let program = Program::new();
    program.run(&["mel", &recording(), "-o", "x.npy"]).code(0);
    let text = String::from_utf8(program.run(&["mel", "info", "x.npy"]).code(0).stdout).unwrap();
    assert!(text.contains("[100, 165]") && text.contains("f5-tts"), "{text}");
    let json = program.run(&["mel", "info", "x.npy", "--json"]).code(0).stdout;
    let object: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(object["shape"], serde_json::json!([100, 165]));
    program.write("broken.npy", "not an array");
    program.run(&["mel", "info", "broken.npy"]).code(1).says(&["broken.npy"]);
}

#[test]
fn conventions_are_listed_and_their_list_is_readable() {
    let program = Program::new();
    let text = String::from_utf8(program.run(&["mel", "conventions"]).code(0).stdout).unwrap();
    for name in ["vocos-24k", "f5-tts", "hifigan-22k", "tacotron2", "matcha", "magenta", "bigvgan-44k-128"] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    let json = program.run(&["mel", "conventions", "--json"]).code(0).stdout;
    let all: Vec<audiodiff::mel::MelConvention> = serde_json::from_slice(&json).unwrap();
    assert!(all.len() >= 17);
}
