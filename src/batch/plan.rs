//! Which input becomes which output, settled before anything is rendered.

use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

use super::{Found, Inputs, Overrides};
use crate::{
    Error, Fault, Result,
    output::{FileId, overwrites_input},
    path_text,
};

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This very file, for a single input.
    File(PathBuf),
    /// `<name>.wav` in this folder; what was found in a folder keeps its place below it.
    Folder(PathBuf),
}

/// One thing to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub input: PathBuf,
    pub output: PathBuf,
    pub overrides: Overrides,
    /// What this item is called on every machine: its output's path below the target, with slashes.
    pub key: String,
}

/// Everything that a run is to make.
#[derive(Debug, Default)]
pub struct Plan {
    pub items: Vec<Item>,
}

impl Plan {
    /// `extension` is that of the outputs, without a dot.
    ///
    /// # Errors
    /// [`Error::Settings`] where two inputs have one output, an output is an input, or one file is to hold several.
    pub fn new(inputs: &Inputs, target: &Target, extension: &str) -> Result<Self> {
        if let Target::File(path) = target
            && (inputs.found.len() > 1 || inputs.many)
        {
            let fault = Fault::new(path.display(), format!("is one file for {} inputs", inputs.found.len()));
            return Err(Error::Settings(fault.remedy("name a folder with `output`, one that ends in / or is there")));
        }
        let mut items: Vec<Item> = Vec::with_capacity(inputs.found.len());
        let mut owners: HashMap<PathBuf, usize> = HashMap::new();
        for found in &inputs.found {
            let item = item(found, target, extension);
            match owners.get(&identity(&item.output)) {
                None => {
                    owners.insert(identity(&item.output), items.len());
                    items.push(item);
                }
                // The same input named twice, by a file and its folder for instance, is one item.
                Some(&first) if items[first] == item || same_request(&items[first], &item) => {}
                Some(&first) => return Err(collision(&items[first], &item)),
            }
        }
        let plan = Self { items };
        plan.keep_off(plan.items.iter().map(|item| item.input.as_path()))?;
        Ok(plan)
    }

    /// Refuses a plan with an output that is one of `files`, by whatever name or link.
    ///
    /// # Errors
    /// [`Error::Settings`] names the output.
    pub fn keep_off<'a>(&self, files: impl IntoIterator<Item = &'a Path>) -> Result<()> {
        // Only an output that is there can be another file.
        let outputs: HashMap<FileId, &Path> =
            self.items.iter().filter_map(|item| Some((FileId::of(&item.output)?, item.output.as_path()))).collect();
        if outputs.is_empty() {
            return Ok(());
        }
        match files.into_iter().find_map(|file| outputs.get(&FileId::of(file)?)) {
            Some(output) => Err(overwrites_input(output)),
            None => Ok(()),
        }
    }

    /// Whether `path` is an input or an output.
    pub fn names(&self, path: &Path) -> bool {
        let (name, id) = (path.file_name(), identity(path));
        let is_it = |other: &Path| other.file_name() == name && identity(other) == id;
        self.items.iter().any(|item| is_it(&item.input) || is_it(&item.output))
    }

    /// Keeps part `index` of `count`, counted from 1. An item's part depends on its key alone: not on its neighbours,
    /// their order or the machine, so parts never overlap and together are the whole.
    pub fn shard(mut self, index: usize, count: usize) -> Self {
        self.items.retain(|item| shard_of(&item.key, count) == index);
        self
    }
}

/// 1 to `count`.
fn shard_of(key: &str, count: usize) -> usize {
    let hash = blake3::hash(key.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]) % count as u64) as usize + 1
}

fn item(found: &Found, target: &Target, extension: &str) -> Item {
    let name = match &found.output {
        Some(output) => output.clone(),
        None => found.name.with_extension(extension),
    };
    let output = match (target, &found.output) {
        (Target::File(path), None) => path.clone(),
        (Target::File(_), Some(output)) => output.clone(),
        // A folder of "." says no more than no folder.
        (Target::Folder(folder), _) if folder == Path::new(".") => name.clone(),
        (Target::Folder(folder), _) => folder.join(&name),
    };
    let parts: Vec<_> = name.components().filter(|part| *part != Component::CurDir).collect();
    let key = parts.iter().map(|part| path_text::to_text(part.as_ref())).collect::<Vec<_>>().join("/");
    Item { input: found.input.clone(), output, overrides: found.overrides.clone(), key }
}

fn same_request(a: &Item, b: &Item) -> bool {
    a.overrides == b.overrides && identity(&a.input) == identity(&b.input)
}

fn collision(first: &Item, second: &Item) -> Error {
    let (a, b) = (first.input.display(), second.input.display());
    let fault = if identity(&first.input) == identity(&second.input) {
        Fault::new(a, format!("is listed twice, with different settings for the one output {}", first.output.display()))
    } else {
        Fault::new(first.output.display(), format!("would be made of both {a} and {b}"))
    };
    Error::Settings(fault.remedy("name the outputs in a list of JSON lines, or render the two into different folders"))
}

/// The same for two spellings of one path, also where the file is not there yet.
fn identity(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // The deepest folder that is there may be reached through a link; below it `..` is only a spelling.
    for folder in absolute.ancestors().skip(1) {
        if let (Ok(known), Ok(rest)) = (folder.canonicalize(), absolute.strip_prefix(folder)) {
            let mut path = known;
            for part in rest.components() {
                match part {
                    Component::ParentDir => {
                        path.pop();
                    }
                    part => path.push(part),
                }
            }
            return path;
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, fs};

    fn found(input: &str, name: &str) -> Found {
        Found { input: input.into(), name: name.into(), output: None, overrides: Overrides::default() }
    }

    fn plan(found: Vec<Found>, target: Target) -> Result<Plan> {
        Plan::new(&Inputs { found, ..Inputs::default() }, &target, "wav")
    }

    fn outputs(plan: &Plan) -> Vec<&str> {
        plan.items.iter().filter_map(|item| item.output.to_str()).collect()
    }

    #[test]
    fn outputs_are_named_after_inputs_and_keep_their_folders() {
        let inputs = vec![found("in/a.npy", "a.npy"), found("in/sub/a.npy", "sub/a.npy"), found("x.y.npy", "x.y.npy")];
        let plan = plan(inputs, Target::Folder("out".into())).unwrap();
        assert_eq!(outputs(&plan), ["out/a.wav", "out/sub/a.wav", "out/x.y.wav"]);
        assert_eq!(plan.items[1].key, "sub/a.wav");
    }

    #[test]
    fn collisions_are_found_before_the_run_in_every_spelling() {
        let error = |inputs| plan(inputs, Target::Folder("out".into())).unwrap_err().to_string();
        let text = error(vec![found("m/a.npy", "a.npy"), found("r/a.flac", "a.flac")]);
        assert!(text.starts_with("out/a.wav: would be made of both m/a.npy and r/a.flac"), "{text}");
        let mut listed = found("b.npy", "b.npy");
        listed.output = Some("sub/../a.wav".into());
        assert!(error(vec![found("a.npy", "a.npy"), listed]).contains("both"));
    }

    #[test]
    fn one_input_named_twice_is_one_item_unless_its_settings_differ() {
        let twice = vec![found("a.npy", "a.npy"), found("./a.npy", "a.npy")];
        assert_eq!(plan(twice, Target::Folder("out".into())).unwrap().items.len(), 1);
        let mut other = found("a.npy", "a.npy");
        other.overrides.seed = Some(1);
        let text = plan(vec![found("a.npy", "a.npy"), other], Target::Folder("out".into())).unwrap_err().to_string();
        assert!(text.contains("listed twice"), "{text}");
    }

    #[test]
    fn an_input_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        fs::write(&path, "").unwrap();
        let one = Found { input: path, name: "a.wav".into(), output: None, overrides: Overrides::default() };
        let text = plan(vec![one], Target::Folder(folder.path().join("."))).unwrap_err().to_string();
        assert!(text.contains("is an input"), "{text}");
    }

    #[test]
    fn one_file_holds_one_input() {
        let inputs = vec![found("a.npy", "a.npy"), found("b.npy", "b.npy")];
        assert!(plan(inputs, Target::File("x.wav".into())).unwrap_err().to_string().contains("one file for 2 inputs"));
        let plan = plan(vec![found("a.npy", "a.npy")], Target::File("x.wav".into())).unwrap();
        assert_eq!(outputs(&plan), ["x.wav"]);
    }

    #[test]
    fn shards_are_disjoint_complete_balanced_and_blind_to_neighbours() {
        let all: Vec<Found> = (0..1000).map(|i| found(&format!("in/{i}.npy"), &format!("{i}.npy"))).collect();
        let shard = |inputs: &[Found], index| {
            let plan = plan(inputs.to_vec(), Target::Folder("out".into())).unwrap().shard(index, 4);
            plan.items.into_iter().map(|item| item.key).collect::<HashSet<_>>()
        };
        let parts: Vec<HashSet<String>> = (1..=4).map(|index| shard(&all, index)).collect();
        assert_eq!(parts.iter().map(HashSet::len).sum::<usize>(), 1000);
        assert_eq!(parts.iter().flatten().collect::<HashSet<_>>().len(), 1000);
        // Binomial: 250 with a standard deviation of 14; five of them is never seen.
        assert!(parts.iter().all(|part| (180..=320).contains(&part.len())));
        assert!(shard(&all[..500], 2).is_subset(&parts[1]));
    }
}
