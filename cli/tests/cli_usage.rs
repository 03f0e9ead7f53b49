//! The command line itself: usage, help, completions, manual, environment, models, doctor.

mod program;

use std::process::Stdio;

use audiodiff::model::SamplerDefaults;
use program::{CHEAP, Program};

#[test]
fn wrong_usage_is_2_and_says_what_is_right() {
    let program = Program::new();
    program.run(&[]).code(2).says(&["Usage: audiodiff"]);
    program.run(&["rendr"]).code(2).says(&["render"]);
    program.run(&["render"]).code(2).says(&["required"]);
    program.run(&["render", "a.npy", "--stpes", "2"]).code(2).says(&["--steps"]);
    program.run(&["render", "a.npy", "--steps", "65"]).code(2).says(&["--steps", "0..=64"]);
    program.run(&["render", "a.npy", "--seed", "x"]).code(2).says(&["--seed", "random"]);
    program.run(&["render", "a.npy", "--shard", "3/2"]).code(2).says(&["--shard", "I/N"]);
    program.run(&["render", "a.npy", "--device", "gpu"]).code(2).says(&["--device", "cuda:N"]);
    program.run(&["render", "a.npy", "-y", "-n"]).code(2).says(&["cannot be used with"]);
    program.run(&["render", "a.npy", "--gain", "3", "--loudness", "-16"]).code(2).says(&["cannot be used with"]);
    program
        .run(&["render", "a.npy", "--steps", "2", "--model", "griffin-lim"])
        .code(2)
        .says(&["--steps", "--iterations"]);
}

#[test]
fn outputs_that_do_not_go_together_are_wrong_usage() {
    let program = Program::new();
    program.mel("in/a.npy", 8);
    program.mel("in/b.npy", 8);
    program.run(&["render", "in", "-o", "x.wav"]).code(2).says(&["x.wav", "2 inputs", "-o"]);
    program.run(&["render", "in/a.npy", "in/b.npy", "-o", "-"]).code(2).says(&["2 inputs"]);
    program.run(&["render", "in"]).code(2).says(&["--output", "-o"]);
    program.run(&["render", "in/a.npy", "-o", "a.mp3"]).code(2).says(&["a.mp3", "WAV"]);
    program.run(&["render", "in/a.npy", "-o", "out", "--output-raw"]).code(2).says(&["--output-raw"]);
    program.run(&["render", "in/a.npy", "-o", "-", "--json"]).code(2).says(&["--json", "standard output"]);
    program.run(&["render", "in/a.npy", "-o", "-", "--loudness", "-16"]).code(2).says(&["--loudness"]);
    program.run(&["render", "in/a.npy", "-o", "-", "--manifest", "m"]).code(2).says(&["--manifest"]);
    assert_eq!(program.files("."), ["in/a.npy", "in/b.npy"]);
}

#[test]
fn underscores_are_hyphens() {
    let program = Program::new();
    program.mel("a.npy", 8);
    let arguments = ["render", "a.npy", "--steps", "1", "--iterations=0", "--final_iterations=0", "-q"];
    program.run(&arguments).code(0);
    assert!(program.exists("a.wav"));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_default() {
    let program = Program::new();
    program.mel("a.npy", 8);
    let settings = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = program.command();
        command.args(["render", "a.npy", "-o", "out.wav", "-y", "--json", "-q"]).args(arguments);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let entry: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (entry["settings"]["steps"].as_u64().unwrap(), entry["settings"]["iterations"].as_u64().unwrap())
    };
    let draft = SamplerDefaults::default().draft;
    let draft = (draft.steps as u64, draft.iterations as u64);
    assert_eq!(settings(&[], &["--quality", "draft"]), draft);
    assert_eq!(settings(&[("AUDIODIFF_QUALITY", "draft")], &[]), draft);
    // 0 is a value; explicit settings win over the named set.
    let variables = [("AUDIODIFF_QUALITY", "draft"), ("AUDIODIFF_ITERATIONS", "0"), ("AUDIODIFF_STEPS", "1")];
    assert_eq!(settings(&variables, &[]), (1, 0));
    assert_eq!(settings(&variables, &["--iterations", "2"]), (1, 2));
    let refused = program.command().args(["render", "a.npy"]).env("AUDIODIFF_STEPS", "65").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn no_color_is_respected() {
    let program = Program::new();
    let help = |variables: &[(&str, &str)]| {
        let mut command = program.command();
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
        command.args(["render", "--help"]).output().unwrap().stdout
    };
    assert!(!help(&[]).contains(&0x1b), "colour into a pipe");
    assert!(help(&[("CLICOLOR_FORCE", "1")]).contains(&0x1b));
    assert!(!help(&[("NO_COLOR", "1")]).contains(&0x1b));
}

#[test]
fn completions_and_manual_come_from_the_definition() {
    let program = Program::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = program.run(&["completions", shell]).code(0);
        assert!(script.out().contains("final-iterations"), "{shell}");
    }
    assert!(program.run(&["man"]).code(0).out().contains(".TH audiodiff"));
    assert!(program.run(&["man", "render"]).code(0).out().contains("final\\-iterations"));
    program.run(&["man", "rendr"]).code(2).says(&["rendr"]);
    program.run(&["man", "--output", "man"]).code(0);
    let pages = program.files("man");
    assert!(!pages.iter().any(|name| name.contains("help")), "{pages:?}");
    for page in ["audiodiff.1", "audiodiff-render.1", "audiodiff-doctor.1", "audiodiff-models-show.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is not among {pages:?}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let program = Program::new();
    program.mel("a.npy", 60);
    for arguments in [&["completions", "bash"][..], &["man"], &["models"], &["render", "a.npy", "-o", "-", "-q"]] {
        let mut child =
            program.command().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn models_are_listed_and_shown() {
    let program = Program::new();
    let list = program.run(&["models"]).code(0);
    assert!(list.out().contains("builtin") && list.out().contains("griffin-lim"));
    let show = program.run(&["models", "show", "builtin"]).code(0);
    for part in ["100 bands", "24000 Hz", "standard       a start of ", "licences", "Apache-2.0"] {
        assert!(show.out().contains(part), "{part} is not in\n{}", show.out());
    }
    let card = &program.run(&["models", "show", "builtin", "--json"]).code(0).objects()[0];
    assert_eq!((&card["version"], &card["mel"]["n_mels"]), (&1.into(), &100.into()));
    assert_eq!(program.run(&["models", "list", "--json"]).code(0).objects()[0][0]["model"], "builtin");
}

#[test]
fn broken_model_files_are_one_sentence() {
    let program = Program::new();
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default.safetensors")).unwrap();
    program.write("cut.safetensors", &whole[..whole.len() / 2]);
    program.write("text.safetensors", "hello");
    program.mel("mel.safetensors", 8);
    program.mel("a.npy", 8);
    for (file, part) in [("cut", "safetensors"), ("text", "safetensors"), ("mel", "audiodiff"), ("none", "cannot read")]
    {
        let file = format!("{file}.safetensors");
        program.run(&["models", "show", &file]).code(1).says(&["audiodiff: ", &file, part]);
        let refused = program.run(&["render", "a.npy", "--model", &file]).code(1).says(&["audiodiff: ", &file, part]);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    assert!(!program.exists("a.wav"));
    program.write("whole.safetensors", &whole);
    program.run(&[&["render", "a.npy", "--model", "whole.safetensors"], CHEAP].concat()).code(0);
}

#[test]
fn doctor_says_what_there_is() {
    let program = Program::new();
    let report = program.run(&["doctor"]).code(0);
    for part in ["libtorch", "2.13.0", "processor", "precision", "model", "real time", "sound"] {
        assert!(report.out().contains(part), "{part} is not in\n{}", report.out());
    }
    let report = &program.run(&["doctor", "--json"]).code(0).objects()[0];
    assert_eq!((&report["healthy"], &report["libtorch"]["version"]), (&true.into(), &"2.13.0".into()));
    assert!(report["libtorch"]["path"].as_str().unwrap().contains("libtorch"));
}
