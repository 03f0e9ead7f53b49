//! `audiodiff models export` and `models diff`: the same weights in another number type, and what makes two models differ.

mod program;
#[path = "../../tests/tiny_model/mod.rs"]
mod tiny_model;

use audiodiff::model::{Builtin, ModelFile, Storage, serialize};
use program::{CHEAP, Outcome, Program, sample};
use tch::Device;

/// The built-in model with one weight moved, and another name.
fn another() -> Vec<u8> {
    let file = ModelFile::builtin().unwrap();
    let (store, _) = file.network(Device::Cpu).unwrap();
    let mut bias = store.variables().remove("denoiser.stft_out.bias").unwrap();
    tch::no_grad(|| bias.copy_(&(&bias * 1.5)));
    let mut card = file.card.clone();
    card.name = "other".into();
    serialize(&store, &card, Storage::Half).unwrap()
}

#[test]
fn an_export_is_the_same_model() {
    let program = Program::new();
    program.run(&["models", "export", "builtin", "-o", "single.safetensors"]).code(0).says(&["31.7 MB"]);
    program.run(&["models", "export", "single.safetensors", "--to", "half", "-o", "half.safetensors"]).code(0);
    for file in ["single.safetensors", "half.safetensors"] {
        let same = program.run(&["models", "diff", "builtin", file]).code(0);
        assert!(same.out().starts_with("the same: "), "{}", same.out());
    }
    let size = |name: &str| program.read(name).len() as f64;
    assert!((size("single.safetensors") / size("half.safetensors") - 2.0).abs() < 0.01);
    // It renders the same samples.
    program.mel("a.npy", 20);
    let render = |model: &str, output: &str| {
        program.run(&[&["render", "a.npy", "-m", model, "-o", output], CHEAP].concat()).code(0);
        program.wav(output)
    };
    assert!(render("builtin", "x.wav") == render("half.safetensors", "y.wav"));
    // What is there stays, and nothing broken is passed on.
    program.run(&["models", "export", "builtin", "-o", "half.safetensors"]).code(1).says(&["is there already"]);
    let whole = program.read("half.safetensors");
    program.write("cut.safetensors", &whole[..whole.len() / 2]);
    program.run(&["models", "export", "cut.safetensors", "-o", "b.safetensors"]).code(1).says(&["cut.safetensors"]);
    assert!(!program.exists("b.safetensors"));
    program.run(&["models", "export", "griffin-lim", "-o", "b.safetensors"]).code(2).says(&["no weights"]);
}

#[test]
fn an_average_lies_between_and_its_card_says_so() {
    let program = Program::new();
    program.write("other.safetensors", another());
    let average = ["models", "average", "builtin", "other.safetensors", "--to", "safetensors", "-o"];
    program.run(&[&average, &["quarter.safetensors", "--weight", "0.25"][..]].concat()).code(0).says(&["31.7 MB"]);
    let read = |bytes: &[u8], name: &str| {
        let model = ModelFile::parse(bytes, "a model").unwrap();
        (model.values(name).unwrap(), model.card.clone())
    };
    let bias = "denoiser.stft_out.bias";
    let (mean, card) = read(&program.read("quarter.safetensors"), bias);
    let (builtin, _) = read(Builtin::Default.bytes().unwrap(), bias);
    // The other's is 1.5 times the built-in one's, up to the rounding of halves.
    for (mean, builtin) in mean.iter().zip(&builtin) {
        assert!((mean - 1.125 * builtin).abs() <= 1e-3 * builtin.abs() + 1e-6, "{mean} {builtin}");
    }
    assert!(card.name == "other" && card.training.recipe.ends_with("; averaged, 0.25 of it and 0.75 of audiodiff-24k"));
    program.run(&[&average, &["x.safetensors", "--weight", "1.5"][..]].concat()).code(2).says(&["1.5", "0 to 1"]);
    program.run(&[&average, &["quarter.safetensors"][..]].concat()).code(1).says(&["is there already"]);
}

#[test]
fn an_entry_of_the_card_is_changed_where_it_makes_sense() {
    let program = Program::new();
    let export = |set: &str, output: &str| program.run(&["models", "export", "builtin", "--set", set, "-o", output]);
    program
        .run(&["models", "export", "builtin", "-o", "a", "--set", "name=my voice", "--set", "sampler.draft.steps=3"])
        .code(0);
    let card = ModelFile::parse(&program.read("a"), "a").unwrap().card.clone();
    assert_eq!((card.name.as_str(), card.sampler.draft.steps), ("my voice", 3));
    export("sampler.draft.step=3", "b").code(2).says(&["sampler.draft.step", "in no model card"]);
    export("sampler.draft.steps=65", "b").code(2).says(&["sampler.draft.steps", "out of range"]);
    export("sampler.entry=far", "b").code(2).says(&["sampler.entry", "cannot be read"]);
    export("name", "b").code(2).says(&["--set", "ENTRY=VALUE"]);
    assert!(!program.exists("b"));
}

#[test]
fn a_difference_is_named_and_measured() {
    let program = Program::new();
    program.write("other.safetensors", another());
    let diff = program.run(&["models", "diff", "builtin", "other.safetensors"]).code(1);
    let lines: Vec<&str> = diff.out().lines().collect();
    assert!(lines[1].starts_with("denoiser.stft_out.bias"), "{}", diff.out());
    assert!(lines[2].starts_with("1 of ") && lines[2].ends_with("tensors differ"), "{}", diff.out());
    assert!(lines[3].starts_with("card: name: \"audiodiff-24k\" -> \"other\""), "{}", diff.out());
    let json = &program.run(&["models", "diff", "builtin", "other.safetensors", "--json"]).code(1).objects()[0];
    let bias = |tensor: &&serde_json::Value| tensor["name"] == "denoiser.stft_out.bias";
    let change = &json["tensors"].as_array().unwrap().iter().find(bias).unwrap()["change"];
    // Halves round by 2^-11 of each weight.
    assert!((change["relative"].as_f64().unwrap() - 0.5).abs() < 1e-3, "{change}");
    assert!((change["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{change}");
    // As with diff, trouble is no difference.
    program.run(&["models", "diff", "builtin", "nowhere.safetensors"]).code(2).says(&["nowhere.safetensors"]);
}

/// Its weights are finite and overflow in use: every command that renders says so, and leaves nothing behind.
#[test]
fn a_model_that_overflows_makes_no_sound() {
    let program = Program::new();
    let overflowing = |name: &str| (name.starts_with("denoiser") && name.contains("_out")).then_some(1e38);
    program.write("bad.safetensors", tiny_model::changed(Storage::Single, overflowing));
    program.mel("in/a.npy", 60);
    program.mel("in/bb.npy", 60);
    let told = ["bad.safetensors: the model makes sound that is not finite", "copy the model again"];
    let model = ["-m", "bad.safetensors", "--quality", "standard", "-t", "1"];
    let refused = |arguments: &[&str]| program.run(&[arguments, &model].concat()).code(1).says(&told);
    refused(&["render", "in/a.npy", "-o", "a.wav"]);
    refused(&["render", "in", "-o", "out"]);
    assert_eq!(refused(&["render", "in/a.npy", "-o", "-"]).stdout.len(), 0);
    let mut live = program.command();
    live.args([&["render", "-", "-o", "live.wav"], &model[..]].concat());
    live.stdin(std::fs::File::open(program.path("in/a.npy")).unwrap());
    Outcome::of(&mut live).code(1).says(&told);
    assert!(!program.exists("a.wav") && !program.exists("live.wav"));
    assert_eq!(program.files("out"), Vec::<String>::new());

    let speech = sample("speech-en.wav");
    refused(&["eval", "--reference", speech.to_str().unwrap()]);

    std::fs::create_dir(program.path("data")).unwrap();
    std::fs::copy(speech, program.path("data/speech.wav")).unwrap();
    program.write("t.toml", "batch = 1\nwindow = 4096\n[validation]\nwindows = 1\nclips = 1\n");
    let train =
        ["train", "--data", "data", "-o", "run", "--init", "bad.safetensors", "--config", "t.toml", "--steps", "1"];
    program.run(&train).code(1).says(&["the model in training: the model makes sound that is not finite"]);
    assert!(!program.exists("run/best.safetensors"));
}
