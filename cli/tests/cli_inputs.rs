//! Inputs as people have them: odd names, folders of many formats, standard input, rates from heart sounds to bats.

mod program;

use std::{io::Write as _, path::PathBuf, process::Stdio};

use program::{CHEAP, Outcome, Program};

/// A WAV of 16 bits, mono, of a rough tone.
fn wav(rate: u32, samples: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::new(std::io::Cursor::new(&mut bytes), spec).unwrap();
    let mut state = 1u32;
    for i in 0..samples {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let tone = 8000.0 * (i as f64 * 0.11).sin() + f64::from(state >> 18) / 8.0;
        writer.write_sample(tone as i16).unwrap();
    }
    writer.finalize().unwrap();
    bytes
}

/// Runs the program with bytes on standard input, through a pipe.
fn piped(program: &Program, arguments: &[&str], input: &[u8]) -> Outcome {
    let mut child = program.command().args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its input closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Outcome { code: output.status.code(), stdout: output.stdout, stderr }
}

#[cfg(target_os = "linux")]
fn odd_name(program: &Program, folder: &str, extension: &str) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let name = [b"caf\xe9.", extension.as_bytes()].concat();
    program.path(folder).join(std::ffi::OsStr::from_bytes(&name))
}

/// Latin-1, as names from old archives are.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_unicode_is_rendered_and_found_again() {
    let program = Program::new();
    program.mel("in/a.npy", 8);
    program.mel("in/z.npy", 8);
    std::fs::copy(program.path("in/a.npy"), odd_name(&program, "in", "npy")).unwrap();
    let arguments = ["in", "-o", "out", "--manifest", "m.jsonl", "--json", "-j", "1"];
    let entries = program.render(&arguments).code(0).says(&["3 rendered"]).objects();
    assert!(entries.iter().any(|entry| entry["input"] == "bytes:in/caf%E9.npy"), "{entries:?}");
    assert!(odd_name(&program, "out", "wav").is_file());
    // The manifest is read back to the same path: nothing is made again.
    program.render(&arguments).code(0).says(&["0 rendered, 3 there already"]);
    // And a list takes the text as it stands there.
    let list = "{\"input\": \"bytes:in/caf%E9.npy\", \"output\": \"bytes:caf%E9.wav\"}\n";
    let run = [&["render", "-", "-o", "again"], CHEAP].concat();
    program.run_with_input(&run, list).code(0).says(&["1 rendered"]);
    assert!(odd_name(&program, "again", "wav").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_unicode_ends_no_command() {
    let program = Program::new();
    program.write("in/a.wav", wav(24_000, 36_000));
    std::fs::copy(program.path("in/a.wav"), odd_name(&program, "in", "wav")).unwrap();
    let text = "bytes:in/caf%E9.wav";
    let reports = program.run(&["data", "check", "in", "--json"]).code(3).objects();
    assert!(reports.iter().any(|report| report["file"] == text && report["duplicate_of"] == "in/a.wav"), "{reports:?}");
    let copies = program.run(&["data", "augment", "in", "-o", "out", "--gain", "-3", "--json"]).code(0).objects();
    assert!(copies.iter().any(|copy| copy["input"] == text), "{copies:?}");
    let eval = ["eval", "out", "--reference", "in", "--metrics", "cheap", "--json", "--results", "r.jsonl", "-t", "1"];
    let scores = program.run(&eval).code(0).objects();
    assert!(scores.iter().any(|score| score["file"] == "bytes:caf%E9"), "{scores:?}");
    program.run(&eval).code(0).says(&["2 of 2 scores are there already"]);
}

#[test]
fn what_a_folder_leaves_out_is_said_alike_everywhere() {
    let program = Program::new();
    program.write("in/a.wav", wav(24_000, 36_000));
    program.write("in/b.wma", "x");
    program.write("in/c.wma", "x");
    program.write("in/d.pt", "x");
    program.write("in/a.txt", "what is said in it");
    let said = ["other files, of formats that are not read here, are left out: 1 .pt, 2 .wma"];
    program.render(&["in", "-o", "out"]).code(0).says(&said);
    program.run(&["data", "check", "in"]).says(&said);
    program.run(&["data", "augment", "in", "-o", "more", "--gain", "-3"]).code(0).says(&said);
    program.run(&["eval", "out", "--reference", "in", "--metrics", "cheap"]).code(0).says(&said);
    // Said before a device is looked for.
    program.run(&["play", "in", "--host", "none of this name"]).says(&said);
    // Nothing here is long enough to train, so that the test is not.
    program.write("in/a.wav", wav(24_000, 1000));
    program.run(&["train", "--data", "in", "-o", "run", "--init", "builtin"]).code(1).says(&said);
    program.write("good/b.wav", wav(24_000, 1000));
    let apart = ["train", "--data", "good", "--validation", "in", "-o", "run", "--init", "builtin"];
    program.run(&apart).code(1).says(&said);
}

#[test]
fn a_recording_beside_its_mel_does_not_end_the_batch() {
    let program = Program::new();
    program.mel("in/u.npy", 8);
    program.write("in/u.wav", wav(24_000, 30_000));
    program.mel("in/v.npy", 8);
    let run = program.render(&["in", "-o", "out"]).code(0);
    run.says(&["1 file is left out beside a file of the same name (in/u.wav beside in/u.npy)"]);
    assert_eq!(program.files("out"), ["u.wav", "v.wav"]);
    assert_eq!(program.wav("out/u.wav").1.len(), 7 * 256, "the mel's");
}

#[test]
fn a_recording_or_a_mel_on_standard_input_is_rendered() {
    let program = Program::new();
    let mut recording = wav(24_000, 5000);
    // As ffmpeg leaves it in a pipe.
    recording[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    recording[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let run = piped(&program, &[&["render", "-", "-o", "a.wav"], CHEAP].concat(), &recording).code(0);
    run.says(&["does not say how long it is"]);
    assert_eq!(program.wav("a.wav").1.len(), 5000);
    piped(&program, &[&["render", "-", "-o", "out/"], CHEAP].concat(), &recording).code(0);
    assert_eq!(program.wav("out/standard-input.wav").1, program.wav("a.wav").1);
    program.mel("m.npy", 8);
    piped(&program, &[&["render", "-", "-o", "m.wav"], CHEAP].concat(), &program.read("m.npy")).code(0);
    assert_eq!(program.wav("m.wav").1.len(), 7 * 256);
    let amr = [b"#!AMR\n", &[0x3c; 90][..]].concat();
    piped(&program, &["render", "-", "-o", "x.wav"], &amr).code(1).says(&["standard input: is AMR", "convert"]);
}

#[test]
fn recordings_without_an_extension_are_known_by_their_bytes() {
    let program = Program::new();
    program.write("voice", wav(24_000, 5000));
    program.write("voice.unknown", wav(24_000, 5000));
    program.render(&["voice", "-o", "a.wav"]).code(0);
    program.render(&["voice.unknown", "-o", "b.wav"]).code(0);
    assert_eq!(program.wav("a.wav").1.len(), 5000);
    program.write("memo.amr", [b"#!AMR\n", &[0x3c; 90][..]].concat());
    let refused = program.render(&["memo.amr", "-o", "c.wav"]).code(1);
    assert!(!refused.stderr.contains("numpy"), "{}", refused.stderr);
    refused.says(&["memo.amr: is AMR, which is not read here", "convert it to WAV or FLAC"]);
}

/// Heart sounds are kept at 4 kHz, bats at 384.
#[test]
fn every_rate_is_checked_rendered_and_analysed_or_refused_by_its_number() {
    let program = Program::new();
    let rates = [1, 999, 1000, 3999, 4000, 4300, 4600, 8000, 44_100, 384_000, 768_000, 768_001];
    for rate in rates {
        program.write(&format!("in/{rate}.wav"), wav(rate, 4000));
    }
    let checked = program.run(&["data", "check", "in"]).code(3);
    for rate in [1, 999, 768_001] {
        assert!(checked.out().contains(&format!("in/{rate}.wav: its header gives a sample rate of {rate} Hz")));
    }
    assert!(checked.out().contains("broken (3)"), "{}", checked.out());
    for rate in ["1", "999", "768001"] {
        let input = format!("in/{rate}.wav");
        program
            .render(&[&input, "-o", "x.wav"])
            .code(1)
            .says(&[&input, &format!("{rate} Hz, expected 1000 to 768000")]);
        program.run(&["mel", &input, "-o", "x.npy"]).code(1).says(&[&input, &format!("{rate} Hz")]);
    }
    for rate in ["1000", "4300", "768000"] {
        let input = format!("in/{rate}.wav");
        program.render(&[&input, "-o", &format!("{rate}.wav")]).code(0);
        program.run(&["mel", &input, "-o", &format!("{rate}.npy")]).code(if rate == "768000" { 1 } else { 0 });
    }
}

#[test]
fn a_mel_that_cannot_be_rendered_is_not_written() {
    let program = Program::new();
    program.write("tiny.wav", wav(24_000, 50));
    let refused = program.run(&["mel", "tiny.wav", "-o", "tiny.npy"]).code(1);
    refused.says(&["tiny.wav: 50 samples at 24000 Hz give a mel of a single frame", "2 frames or more"]);
    assert!(!program.exists("tiny.npy"));
    program.write("short.wav", wav(24_000, 256));
    program.run(&["mel", "short.wav", "-o", "short.npy"]).code(0);
    program.render(&["short.npy", "-o", "short-again.wav"]).code(0);
}
