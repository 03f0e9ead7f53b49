//! Who may know whom. Each part of the library uses those before it and none after it, so that none is in a circle and the parts
//! below can be read without the ones above; and what an outside crate does, it does in one place.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The parts, from the ground up.
const LAYERS: [&str; 29] = [
    "printable",
    "setting",
    "error",
    "number_range",
    "path_text",
    "scratch",
    "output",
    "whole_file",
    "json_lines",
    "dsp",
    "sound",
    "mel",
    "audio",
    "measure",
    "source",
    "card",
    "vocoder",
    "diffusion",
    "model",
    "families",
    "render",
    "batch",
    "live",
    "eval",
    "data",
    "train",
    "report",
    "inspect",
    "lib",
];

/// Outside crates, and the parts that may use them.
const HOMES: [(&str, &[&str]); 8] = [
    ("tch", &["model", "families", "train", "error", "inspect"]),
    ("symphonia", &["audio"]),
    ("hound", &["audio"]),
    ("cpal", &["audio"]),
    ("ebur128", &["audio"]),
    ("rubato", &["dsp"]),
    ("realfft", &["dsp", "data", "eval"]),
    ("pesq", &["eval"]),
];

struct Source {
    path: PathBuf,
    /// The first name below `src`.
    part: String,
    /// Without its tests.
    text: String,
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(&path, found),
                false => found.push(path),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![];
    collect(&root, &mut paths);
    let source = |path: PathBuf| {
        let below = path.strip_prefix(&root).unwrap();
        let part = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        // Tests may look at anything.
        let text = text.split("#[cfg(test)]").next().unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        Source { part, text: code.collect::<Vec<_>>().join("\n"), path }
    };
    let is_code =
        |path: &PathBuf| path.extension().is_some_and(|e| e == "rs") && path.file_stem().is_some_and(|s| s != "tests");
    paths.into_iter().filter(is_code).map(source).collect()
}

/// The names right behind `crate::`, alone or in braces.
fn used(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |text: &str| text.chars().take_while(|&c| is_name(c)).collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if !rest.starts_with('{') {
            names.insert(name(rest));
            continue;
        }
        let (mut depth, mut begins) = (0, true);
        for (i, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    begins = true;
                    continue;
                }
                c if depth == 1 && begins && is_name(c) => {
                    names.insert(name(&rest[i..]));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    // What stands at the root of the library is its errors.
    names.into_iter().filter(|name| name.chars().next().is_some_and(|c| c.is_ascii_lowercase())).collect()
}

#[test]
fn names_in_braces_are_found() {
    let text = "use crate::{\n    Error, Result,\n    audio::{self, mix::Mix},\n    mel,\n};\nuse crate::dsp::stft; crate::sound::Sound";
    assert_eq!(used(text).into_iter().collect::<Vec<_>>(), ["audio", "dsp", "mel", "sound"]);
}

#[test]
fn each_part_knows_only_those_before_it() {
    let place = |part: &str| LAYERS.iter().position(|layer| *layer == part);
    let mut wrong = vec![];
    for Source { path, part, text } in sources() {
        let Some(own) = place(&part) else { panic!("{} is in no layer", path.display()) };
        for name in used(text.as_str()) {
            // What is no part is a macro or an item at the root.
            if place(&name).is_some_and(|other| other > own) {
                wrong.push(format!("{} knows {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_crates_have_one_home() {
    let mut wrong = vec![];
    for Source { path, part, text } in sources() {
        for (name, homes) in HOMES {
            let uses = [format!("{name}::"), format!("use {name};")].iter().any(|use_| {
                text.match_indices(use_.as_str()).any(|(at, _)| {
                    !text[..at].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
                })
            });
            if uses && !homes.contains(&part.as_str()) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_library_neither_prints_nor_exits() {
    let mut wrong = vec![];
    for Source { path, text, .. } in sources() {
        for word in ["println!", "eprintln!", "print!(", "process::exit", "env::args"] {
            if text.contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A flag is the program's word for a setting; the library's messages are for Python and others, too.
#[test]
fn no_message_of_the_library_names_a_flag() {
    let is_flag = |word: &str| {
        let name = word.trim_start_matches(['(', '`', '"']);
        // Those of a style sheet have a colon behind them.
        name.strip_prefix("--").is_some_and(|name| {
            let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(name.len());
            end > 0 && !name[end..].starts_with(':') && !name[end..].starts_with(')')
        })
    };
    let is_short = |word: &str| {
        let mut letters = word.chars();
        letters.next() == Some('-')
            && letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && !letters.next().is_some_and(|c| c.is_alphanumeric() || c == '-')
    };
    let advises = |word: &str| ["with", "give", "or"].iter().any(|advice| word.ends_with(advice));
    let mut wrong = vec![];
    for Source { path, text, .. } in sources() {
        for line in text.lines() {
            // What a model's card says of how it was trained is a command.
            let is_command = line.contains("audiodiff train --phase");
            let words: Vec<&str> = line.split([' ', '"']).collect();
            let flags = words.iter().filter(|word| !is_command && is_flag(word));
            let short = words.windows(2).filter(|pair| advises(pair[0]) && is_short(pair[1])).map(|pair| &pair[1]);
            wrong.extend(flags.chain(short).map(|word| format!("{}: {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
