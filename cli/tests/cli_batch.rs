//! Batches as a user runs them: resuming, shards, collisions, failures, a kill in the middle.

mod program;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Duration,
};

use program::{CHEAP, Program};

fn three() -> Program {
    let program = Program::new();
    for name in ["in/a.npy", "in/sub/bb.npy", "in/sub/ccc.npy"] {
        program.mel(name, 12);
    }
    program
}

const OUTPUTS: &[&str] = &["a.wav", "sub/bb.wav", "sub/ccc.wav"];

#[test]
fn a_folder_is_rendered_into_a_folder_of_the_same_shape() {
    let program = three();
    program.render(&["in", "-o", "out"]).code(0).says(&["3 rendered"]);
    assert_eq!(program.files("out"), OUTPUTS);
}

#[test]
fn outputs_inside_of_the_input_folder_are_not_taken_for_inputs() {
    let program = three();
    program.render(&["in", "-o", "in/out", "-q"]).code(0);
    program.render(&["in", "-o", "in/out", "-n"]).code(0).says(&["0 rendered, 3 there already"]);
}

#[test]
fn nothing_is_overwritten_unless_it_is_wanted() {
    let program = three();
    program.render(&["in", "-o", "out"]).code(0);
    program.write("out/a.wav", "mine");
    let refused = program.render(&["in", "-o", "out"]).code(1);
    refused.says(&["3 outputs are there already", "out/a.wav", "-y", "-n"]);
    assert_eq!(program.text("out/a.wav"), "mine");
    program.render(&["in", "-o", "out", "-n"]).code(0).says(&["0 rendered, 3 there already"]);
    assert_eq!(program.text("out/a.wav"), "mine");
    program.render(&["in", "-o", "out", "-y"]).code(0).says(&["3 rendered"]);
    assert_eq!(program.wav("out/a.wav").1.len(), 11 * 256);
    program.render(&["in/a.npy", "-o", "out"]).code(1).says(&["out/a.wav: is there already; give -y"]);
}

#[test]
fn collisions_stop_the_run_before_it_begins() {
    let program = three();
    program.mel("other/a.npy", 12);
    let refused = program.render(&["in", "other", "-o", "out"]).code(2);
    refused.says(&["out/a.wav", "in/a.npy", "other/a.npy"]);
    assert!(!program.exists("out"));
}

#[test]
fn one_bad_input_fails_alone() {
    let program = three();
    program.write("in/bad.npy", "no mel");
    let run = program.render(&["in", "gone.npy", "-o", "out", "--json"]).code(3);
    let entries = run.objects();
    let run = run.says(&["audiodiff: in/bad.npy: "]).says(&["audiodiff: gone.npy: cannot open"]);
    run.says(&["3 rendered, 2 failed"]);
    let status: BTreeMap<&str, &str> =
        entries.iter().map(|entry| (entry["input"].as_str().unwrap(), entry["status"].as_str().unwrap())).collect();
    let wanted = [
        ("gone.npy", "failed"),
        ("in/a.npy", "done"),
        ("in/bad.npy", "failed"),
        ("in/sub/bb.npy", "done"),
        ("in/sub/ccc.npy", "done"),
    ];
    assert_eq!(status, BTreeMap::from(wanted));
    assert_eq!(program.files("out"), OUTPUTS);
    program.render(&["in/bad.npy", "gone.npy", "-o", "x"]).code(1);
}

#[test]
fn a_manifest_has_a_line_an_item_and_saves_work() {
    let program = three();
    let arguments = ["in", "-o", "out", "--manifest", "m.jsonl"];
    program.render(&arguments).code(0);
    let lines = program.text("m.jsonl");
    assert_eq!(lines.lines().count(), 3);
    for line in lines.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&entry["status"], &entry["seed"]), (&"done".into(), &0.into()));
        let input = std::fs::read(program.path(entry["input"].as_str().unwrap())).unwrap();
        assert_eq!(entry["input_blake3"], blake3::hash(&input).to_hex().as_str());
        assert!(entry["model"].as_str().unwrap().starts_with("audiodiff-24k-"));
        assert_eq!(entry["audio_s"], 11.0 * 256.0 / 24_000.0);
        let output = std::fs::read(program.path(entry["output"].as_str().unwrap())).unwrap();
        assert_eq!(entry["output_bytes"], output.len());
        assert_eq!(entry["output_blake3"], blake3::hash(&output).to_hex().as_str());
        assert!(entry["took_s"].as_f64().unwrap() > 0.0 && entry["peak"].as_f64().unwrap() > 0.0);
    }
    program.render(&arguments).code(0).says(&["0 rendered, 3 there already"]);
    std::fs::remove_file(program.path("out/a.wav")).unwrap();
    program.render(&arguments).code(0).says(&["1 rendered, 2 there already"]);
    // Another seed is another sound: what is there is in the way, and not taken for done.
    program.render(&[&arguments[..], &["--seed", "1"]].concat()).code(1).says(&["3 outputs are there already"]);
    program.write("m.jsonl", "no manifest\n");
    program.render(&arguments).code(1).says(&["m.jsonl: line 1", "--manifest"]);
}

#[test]
fn damaged_outputs_are_not_taken_for_done() {
    let program = three();
    let arguments = ["in", "-o", "out", "--manifest", "m.jsonl"];
    program.render(&arguments).code(0);
    let whole = program.read("out/sub/ccc.wav");
    program.write("out/sub/bb.wav", "x");
    program.write("out/sub/ccc.wav", "");
    program.render(&arguments).code(1).says(&[
        "2 outputs are there already",
        "2 of them not as they were written",
        "-y",
    ]);
    program.render(&[&arguments[..], &["-y"]].concat()).code(0).says(&["2 rendered, 1 there already"]);
    assert!(program.read("out/sub/ccc.wav") == whole);
    program.render(&arguments).code(0).says(&["0 rendered, 3 there already"]);
}

#[test]
fn samples_do_not_depend_on_jobs_order_or_shard() {
    let program = three();
    program.render(&["in", "-o", "one", "-j", "1"]).code(0);
    program.render(&["in/sub/ccc.npy", "in/a.npy", "in/sub/bb.npy", "-o", "two", "-j", "3"]).code(0);
    program.render(&["in", "-o", "shards", "--shard", "1/2"]).code(0);
    program.render(&["in", "-o", "shards", "--shard", "2/2"]).code(0);
    for name in OUTPUTS {
        let base = name.rsplit('/').next().unwrap();
        assert_eq!(program.wav(&format!("one/{name}")).1, program.wav(&format!("two/{base}")).1);
        assert_eq!(program.read(&format!("one/{name}")), program.read(&format!("shards/{name}")));
    }
}

#[test]
fn shards_share_everything_and_nothing_twice() {
    let program = Program::new();
    for i in 0..8 {
        program.mel(&format!("in/{i}.npy"), 3);
    }
    let mut all = BTreeSet::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let run = program.render(&["in", "-o", "out", "--shard", shard, "--json"]).code(0);
        for entry in run.objects() {
            assert!(all.insert(entry["output"].as_str().unwrap().to_owned()), "{entry} twice");
        }
    }
    assert_eq!(all.len(), 8);
    assert_eq!(program.files("out").len(), 8);
}

#[test]
fn a_list_on_standard_input_names_inputs_outputs_and_settings() {
    let program = three();
    let list = "in/a.npy\n{\"input\": \"in/sub/bb.npy\", \"output\": \"x/named.wav\", \"seed\": 5}\n";
    let arguments = [&["render", "-", "-o", "out", "--json"], CHEAP].concat();
    let run = program.run_with_input(&arguments, list).code(0);
    assert_eq!(program.files("out"), ["a.wav", "x/named.wav"]);
    let seeds: BTreeSet<u64> = run.objects().iter().map(|entry| entry["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, BTreeSet::from([0, 5]));
    program.run_with_input(&arguments, "{\"input\": 3}\n").code(1).says(&["standard input: line 1"]);
    let steps = "{\"input\": \"in/a.npy\", \"output\": \"y.wav\", \"steps\": 65}\n";
    program.run_with_input(&arguments, steps).code(1).says(&["steps", "0 to 64"]);
}

#[test]
fn a_batch_that_was_killed_goes_on_where_it_was() {
    let program = Program::new();
    let names: Vec<String> = (0..6).map(|i| format!("in/{i}.npy")).collect();
    names.iter().for_each(|name| program.mel(name, 100));
    // Enough work an item that the kill comes in the middle of one.
    let arguments = ["render", "in", "-o", "out", "--manifest", "m.jsonl", "--steps", "12", "-j", "1", "-t", "1"];
    let lines = || std::fs::read_to_string(program.path("m.jsonl")).unwrap_or_default().matches('\n').count();
    let mut child = program.command().args(arguments).stderr(Stdio::null()).spawn().unwrap();
    while lines() < 2 {
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(child.try_wait().unwrap(), None, "ended too early");
    }
    // Half way into the third: its temporary file is there, its output not.
    while !program.files("out").iter().any(|name| name.ends_with(".part")) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();

    let done_before: Vec<String> = program.files("out").into_iter().filter(|name| name.ends_with(".wav")).collect();
    assert!((2..6).contains(&done_before.len()), "{done_before:?}");
    done_before.iter().for_each(|name| assert_eq!(program.wav(&format!("out/{name}")).1.len(), 99 * 256));
    let first_lines = program.text("m.jsonl");

    let rerun = program.run(&arguments).code(0);
    rerun.says(&[&format!("{} rendered, {} there already", 6 - done_before.len(), done_before.len())]);
    assert_eq!(program.files("out"), ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "5.wav"]);
    let lines = program.text("m.jsonl");
    assert!(lines.starts_with(&first_lines), "finished items were rendered again");
    assert_eq!(lines.lines().count(), 6);
}

#[test]
fn two_runs_do_not_share_a_manifest() {
    let program = three();
    let manifest = audiodiff::batch::Manifest::open(program.path("m.jsonl")).unwrap();
    let refused = program.render(&["in", "-o", "out", "--manifest", "m.jsonl"]).code(1);
    refused.says(&["m.jsonl", "another run"]);
    drop(manifest);
    program.render(&["in", "-o", "out", "--manifest", "m.jsonl"]).code(0);
}

#[test]
fn items_of_a_list_have_conventions_of_their_own() {
    let program = three();
    let recording = format!("{}/../samples/speech-synthetic.wav", env!("CARGO_MANIFEST_DIR"));
    program.run(&["mel", &recording, "--convention", "hifigan-22k", "-o", "hifi.npy"]).code(0);
    let list = "{\"input\": \"hifi.npy\", \"convention\": \"hifigan-22k\"}\nin/a.npy\n";
    let arguments = [&["render", "-", "-o", "out"], CHEAP].concat();
    program.run_with_input(&arguments, list).code(0).says(&["2 rendered"]);
    assert_eq!(program.wav("out/hifi.wav").0.sample_rate, 22_050);
    assert_eq!(program.wav("out/a.wav").0.sample_rate, 24_000);
    let unknown = list.replace("hifigan-22k", "hifi");
    program.run_with_input(&arguments, &unknown).code(1).says(&["standard input: line 1", "hifi"]);
}
