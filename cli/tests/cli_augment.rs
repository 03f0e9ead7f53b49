//! `audiodiff data augment` as a user runs it: names, the record, resuming, variants by the model, what is refused.

mod program;

use audiodiff::audio;
use program::{CHEAP, Outcome, Program, sample};
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// Two short recordings of real speech, at 24 and at 16 kHz, in folders.
fn recordings() -> Program {
    let program = Program::new();
    let speech = audio::read(sample("speech-en.wav")).unwrap().samples;
    program.write("in/notes.txt", "no sound");
    for (name, rate, range) in [("in/a.wav", 24_000, 5000..17_000), ("in/sub/b.wav", 16_000, 20_000..28_000)] {
        fs::create_dir_all(program.path(name).parent().unwrap()).unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(program.path(name), spec).unwrap();
        speech[range].iter().for_each(|x| writer.write_sample((x * 32_767.0) as i16).unwrap());
        writer.finalize().unwrap();
    }
    program
}

fn augment(program: &Program, arguments: &[&str]) -> Outcome {
    program.run(&[&["data", "augment", "in", "-o", "out"], arguments].concat())
}

/// The record's last line of each output.
fn record(program: &Program, name: &str) -> BTreeMap<String, Value> {
    let lines = program.text(name);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["output"].as_str().unwrap().to_owned(), line)).collect()
}

fn samples(program: &Program, name: &str) -> Vec<f32> {
    audio::read(program.path(name)).unwrap().samples
}

#[test]
fn copies_keep_names_and_folders_and_a_record_of_what_was_done() {
    let program = recordings();
    augment(&program, &["--gain", "-6", "--tempo", "0.8:0.9", "--format", "float32"]).code(0).says(&["2 written"]);
    assert_eq!(program.files("out"), ["a.wav", "augment.jsonl", "sub/b.wav"]);
    let record = record(&program, "out/augment.jsonl");
    for (output, line) in &record {
        let done = &line["settings"]["augmented"];
        let tempo = done["tempo"].as_f64().unwrap();
        assert!((0.8..=0.9).contains(&tempo) && done["gain_db"] == -6.0, "{line}");
        assert!(done.as_object().unwrap().len() == 2 && line["model"] == "none", "{line}");
        // Both are half a second at 24 kHz.
        let copy = audio::read(program.path(output)).unwrap();
        assert_eq!((copy.sample_rate, copy.samples.len()), (24_000, (12_000.0 / tempo).round() as usize));
    }
    // The two drew for themselves.
    let tempos: Vec<&Value> = record.values().map(|line| &line["settings"]["augmented"]["tempo"]).collect();
    assert_ne!(tempos[0], tempos[1]);
    // Bit for bit again elsewhere, whatever else is in the folder.
    let alone = Program::new();
    alone.write("in/a.wav", program.read("in/a.wav"));
    augment(&alone, &["--gain", "-6", "--tempo", "0.8:0.9", "--format", "float32"]).code(0);
    assert!(alone.read("out/a.wav") == program.read("out/a.wav"));
    let other = alone.run(&["data", "augment", "in", "-o", "b", "--tempo", "0.8:0.9", "--seed", "1"]).code(0);
    assert!(other.stderr.contains("1 written") && alone.read("b/a.wav") != alone.read("out/a.wav"));
}

#[test]
fn gain_alone_is_a_factor_on_disk() {
    let program = recordings();
    augment(&program, &["--gain", "-6", "--format", "float32", "-j", "1"]).code(0);
    let (given, copy) = (samples(&program, "in/a.wav"), samples(&program, "out/a.wav"));
    let factor = 10f32.powf(-0.3);
    assert!(given.iter().zip(&copy).all(|(x, y)| (x * factor - y).abs() < 1e-6));
    // What would pass full scale is lowered as a whole, and said.
    let loud = program.run(&["data", "augment", "in/a.wav", "-o", "loud", "--gain", "40"]).code(0);
    loud.says(&["loud/a.wav was lowered by"]);
}

#[test]
fn several_copies_are_numbered_and_a_second_run_makes_what_is_missing() {
    let program = recordings();
    let arguments = &["--copies", "3", "--noise", "10:30", "--bandwidth", "3000:9000", "--chance", "0.8"];
    augment(&program, arguments).code(0).says(&["6 written"]);
    let all = ["a-1.wav", "a-2.wav", "a-3.wav", "augment.jsonl", "sub/b-1.wav", "sub/b-2.wav", "sub/b-3.wav"];
    assert_eq!(program.files("out"), all);
    assert!(program.read("out/a-1.wav") != program.read("out/a-2.wav"));
    let before = program.read("out/a-2.wav");
    augment(&program, arguments).code(0).says(&["0 written, 6 there already"]);
    fs::remove_file(program.path("out/a-2.wav")).unwrap();
    // A half-written copy of a killed run, and a line that was cut.
    program.write("out/.a-2.wav.audiodiff.part", "half");
    program.write("out/augment.jsonl", program.text("out/augment.jsonl") + "{\"status\":");
    augment(&program, arguments).code(0).says(&["1 written, 5 there already"]);
    assert!(program.read("out/a-2.wav") == before);
    assert_eq!(program.files("out"), all);
    // The copies know what they were made of: a lost record is written again.
    fs::remove_file(program.path("out/augment.jsonl")).unwrap();
    augment(&program, arguments).code(0).says(&["0 written, 6 there already"]);
    assert_eq!(record(&program, "out/augment.jsonl").len(), 6);
    // Other settings do not pass for these, and replace nothing unasked.
    augment(&program, &["--copies", "3", "--noise", "5"]).code(1).says(&["outputs are there already"]);
    assert!(program.read("out/a-2.wav") == before);
    augment(&program, &["--copies", "3", "--noise", "5", "-y"]).code(0).says(&["6 written"]);
}

#[test]
fn recordings_are_mixed_with_one_another() {
    let program = recordings();
    augment(&program, &["--mix", "-10"]).code(0);
    let record = record(&program, "out/augment.jsonl");
    let with = |output: &str| record[output]["settings"]["augmented"]["mix"]["sound"].clone();
    assert_eq!((with("out/a.wav"), with("out/sub/b.wav")), ("sub/b.wav".into(), "a.wav".into()));
    let given = samples(&program, "in/a.wav");
    let added: Vec<f32> = samples(&program, "out/a.wav").iter().zip(&given).map(|(y, x)| y - x).collect();
    let power = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let level = 10.0 * (power(&added) / power(&given)).log10();
    assert!((level + 10.0).abs() < 0.1, "{level} dB");
}

#[test]
fn variants_are_renderings_of_the_same_mel_with_other_noise() {
    let program = recordings();
    augment(&program, &[&["--vary", "2", "--gain", "-3"], CHEAP_QUALITY].concat()).code(0).says(&["4 written"]);
    assert_eq!(program.files("out"), ["a-v1.wav", "a-v2.wav", "augment.jsonl", "sub/b-v1.wav", "sub/b-v2.wav"]);
    let (one, two) = (samples(&program, "out/a-v1.wav"), samples(&program, "out/a-v2.wav"));
    assert_eq!((one.len(), two.len()), (12_000, 12_000));
    assert!(one != two);
    // Render makes the first variant of the copy: the same mel, the seed in the record.
    let line = &record(&program, "out/augment.jsonl")["out/a-v1.wav"];
    assert!(line["model"].as_str().unwrap().starts_with("audiodiff-24k"), "{line}");
    let seed = line["settings"]["rendered"]["seed"].to_string();
    program.run(&["data", "augment", "in/a.wav", "-o", "copy", "--gain", "-3", "--format", "float32"]).code(0);
    program.run(&[&["render", "copy/a.wav", "-o", "x.wav", "--seed", &seed], CHEAP].concat()).code(0);
    let rendered = samples(&program, "x.wav");
    let apart = one.iter().zip(&rendered).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Two ditherings of 16 bits.
    assert!(apart < 3.1 / 32_768.0, "{apart}");
}

/// `CHEAP` without the threads.
const CHEAP_QUALITY: &[&str] = &["--steps", "1", "--iterations", "0", "--final-iterations", "0"];

#[test]
fn a_configuration_file_says_the_same_as_options() {
    let program = recordings();
    program.write("a.toml", "[gain]\ndb = [-6, -6]\n\n[reverb]\nrt60_s = [0.3, 0.5]\n");
    augment(&program, &["--config", "a.toml"]).code(0);
    program.run(&["data", "augment", "in", "-o", "b", "--gain", "-6", "--reverb", "0.3:0.5"]).code(0);
    assert!(program.read("out/sub/b.wav") == program.read("b/sub/b.wav"));
    program.write("bad.toml", "[gain]\ndb = [-6, -6]\n\n[echo]\n");
    augment(&program, &["--config", "bad.toml"]).code(2).says(&["bad.toml: line 4", "unknown field `echo`"]);
}

#[test]
fn what_cannot_be_done_is_one_sentence() {
    let program = recordings();
    augment(&program, &[]).code(2).says(&["no augmentation is asked for", "--gain"]);
    augment(&program, &["--gain", "3:-3"]).code(2).says(&["LOW:HIGH"]);
    augment(&program, &["--bandwidth", "20000"]).code(2).says(&["bandwidth cut_hz: [20000, 20000]", "12000"]);
    augment(&program, &["--reverb-from", "nowhere"]).code(1).says(&["nowhere"]);
    augment(&program, &["--vary", "2", "--rate", "44100"]).code(2).says(&["--rate", "24000 Hz"]);
    program.run(&["data", "augment", "in", "-o", "in", "--gain", "1"]).code(2).says(&["is an input"]);
    program.run(&["data", "augment", "nothing", "-o", "out", "--gain", "1"]).code(1).says(&["nothing"]);
    // A broken recording stops no other.
    program.write("in/broken.wav", "RIFF");
    augment(&program, &["--gain", "-1"]).code(3).says(&["2 written, 1 failed"]).says(&["in/broken.wav"]);
}
