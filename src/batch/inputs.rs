//! From what the user named to single inputs: folders are searched, lists are read.

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use walkdir::WalkDir;

use crate::{
    Error, Fault, Result,
    card::Effort,
    mel::{MelConvention, user_convention::resolve_name},
    number_range::{GAIN_DB, LOUDNESS_LUFS, NumberRange},
};

/// Files of a folder that are taken for mels.
pub const MEL_EXTENSIONS: &[&str] = &["npy", "npz", "safetensors"];

/// Files of a folder that are taken for recordings.
pub const AUDIO_EXTENSIONS: &[&str] = &["wav", "wave", "flac", "mp3", "ogg", "oga", "aif", "aiff"];

/// Settings that a line of a list gives for its own item. They win over the run's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    pub seed: Option<u64>,
    /// Entries in place of the run's.
    pub effort: Effort,
    /// dB
    pub gain: Option<f64>,
    /// LUFS
    pub loudness: Option<f64>,
    /// Of a mel file.
    pub convention: Option<MelConvention>,
}

/// One input, and what it is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub input: PathBuf,
    /// Its name below the folder in which it was found: `sub/x.npy`; a file that was named itself has none but its own.
    pub name: PathBuf,
    /// Where its list wants the result.
    pub output: Option<PathBuf>,
    pub overrides: Overrides,
}

/// All inputs of a run.
#[derive(Debug, Default)]
pub struct Inputs {
    pub found: Vec<Found>,
    /// Folders that could not be read. They are failures of their own and stop nothing else.
    pub unreadable: Vec<Error>,
    /// A folder or a list was named: there may be many, now or next time.
    pub many: bool,
}

impl Inputs {
    /// Adds a file as it is, or what lies in a folder: in every depth, sorted, without hidden files and without
    /// `excluded`, the folder that results go to.
    pub fn add(&mut self, path: &Path, excluded: Option<&Path>) {
        self.add_with(path, None, Overrides::default(), excluded);
    }

    /// Adds the lines of a list.
    pub fn add_list(&mut self, lines: Vec<Line>, excluded: Option<&Path>) {
        self.many = true;
        for line in lines {
            self.add_with(&line.input, line.output, line.overrides, excluded);
        }
    }

    fn add_with(&mut self, path: &Path, output: Option<PathBuf>, overrides: Overrides, excluded: Option<&Path>) {
        if !path.is_dir() {
            // One that is missing fails when its turn comes, alone.
            let name = path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
            self.found.push(Found { input: path.to_owned(), name, output, overrides });
            return;
        }
        self.many = true;
        let excluded = excluded.and_then(|folder| folder.canonicalize().ok());
        let before = self.found.len() + self.unreadable.len();
        let walk = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().filter_entry(|entry| {
            let hidden = entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
            let is_output = entry.depth() > 0
                && excluded.is_some()
                && entry.file_type().is_dir()
                && entry.path().canonicalize().ok() == excluded;
            !hidden && !is_output
        });
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_file() && is_known(entry.path()) => {
                    let name = entry.path().strip_prefix(path).unwrap_or(entry.path()).to_owned();
                    self.found.push(Found {
                        input: entry.into_path(),
                        name,
                        output: None,
                        overrides: overrides.clone(),
                    });
                }
                Ok(_) => {}
                Err(error) => self.unreadable.push(walk_error(error, path)),
            }
        }
        if self.found.len() + self.unreadable.len() == before {
            let known = [MEL_EXTENSIONS, AUDIO_EXTENSIONS].concat().join(" .");
            self.unreadable.push(Error::Mel(
                Fault::new(path.display(), "no mel file and no recording in this folder").expected(format!(".{known}")),
            ));
        }
    }
}

fn is_known(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    MEL_EXTENSIONS.contains(&extension.as_str()) || AUDIO_EXTENSIONS.contains(&extension.as_str())
}

fn walk_error(error: walkdir::Error, root: &Path) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    let source = match error.loop_ancestor() {
        Some(ancestor) => io::Error::other(format!("a link leads back to {}", ancestor.display())),
        None => error.into_io_error().unwrap_or_else(|| io::Error::other("unknown failure")),
    };
    Error::Io { path, action: "cannot read", source }
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    input: PathBuf,
    output: Option<PathBuf>,
    overrides: Overrides,
}

/// A line that is a JSON object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    #[serde(alias = "path")]
    input: PathBuf,
    #[serde(alias = "output_file")]
    output: Option<PathBuf>,
    seed: Option<u64>,
    start_iterations: Option<usize>,
    steps: Option<usize>,
    iterations: Option<usize>,
    final_iterations: Option<usize>,
    gain: Option<f64>,
    loudness: Option<f64>,
    /// As --convention takes it: a preset's name, or a file.
    convention: Option<String>,
}

/// Longest line of a list: a path and a few settings. A binary file taken for a list ends here.
const LONGEST_LINE: usize = 1 << 20;

/// Reads a list: a path a line, or a JSON object a line with `input` and any of `output`, `seed`, `start_iterations`,
/// `steps`, `iterations`, `final_iterations`, `gain`, `loudness`, `convention`. Paths that end in a zero byte (`find -print0`) work as well. Empty lines are
/// passed over.
///
/// # Errors
/// [`Error::Manifest`] names `source` and the line.
pub fn read_list(mut list: impl BufRead, source: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if !read_line(&mut list, &mut line).map_err(Error::io("cannot read", source))? {
            break;
        }
        let subject = format!("{source}: line {number}");
        if line.len() > LONGEST_LINE {
            let fault = Fault::new(subject, "longer than 1 MiB").expected("a path or a JSON object a line");
            return Err(Error::Manifest(fault));
        }
        let text = line.trim_ascii_end();
        if !text.is_empty() {
            lines.push(parse_line(text, &subject)?);
        }
    }
    Ok(lines)
}

/// Appends what comes before the next line feed or zero byte, not much more than `LONGEST_LINE` of it. False at the end.
fn read_line(list: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let bytes = list.fill_buf()?;
        if bytes.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = bytes.iter().position(|&byte| byte == b'\n' || byte == 0);
        line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        list.consume(used);
        if end.is_some() || line.len() > LONGEST_LINE {
            return Ok(true);
        }
    }
}

fn parse_line(text: &[u8], subject: &str) -> Result<Line> {
    if !text.starts_with(b"{") {
        return Ok(Line { input: path_of(text), output: None, overrides: Overrides::default() });
    }
    let line: JsonLine = serde_json::from_slice(text).map_err(|error| {
        let fault = Fault::new(subject, format!("no usable JSON object ({error})"));
        Error::Manifest(fault.remedy(r#"an example: {"input": "a.npy", "output": "a.wav", "seed": 1}"#))
    })?;
    let in_range = |given: Option<f64>, column, range: NumberRange| {
        let checked = given.map(|given| range.check(column, given)).transpose();
        checked.map_err(|error| Error::Manifest(Fault::new(subject, error.to_string())))
    };
    let overrides = Overrides {
        seed: line.seed,
        effort: Effort::given([
            ("start_iterations", line.start_iterations),
            ("steps", line.steps),
            ("iterations", line.iterations),
            ("final_iterations", line.final_iterations),
        ]),
        gain: in_range(line.gain, "gain", GAIN_DB)?,
        loudness: in_range(line.loudness, "loudness", LOUDNESS_LUFS)?,
        convention: match line.convention.as_deref().map(resolve_name) {
            Some(Err(error)) => return Err(Error::Manifest(Fault::new(subject, error.to_string()))),
            Some(Ok(convention)) => Some(convention),
            None => None,
        },
    };
    Ok(Line { input: line.input, output: line.output, overrides })
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(inputs: &Inputs) -> Vec<String> {
        inputs.found.iter().map(|found| found.name.display().to_string()).collect()
    }

    #[test]
    fn folders_are_searched_in_order_without_hidden_files_and_results() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.npy", "a.FLAC", "notes.txt", ".hidden.npy", "sub/c.npz", "out/b.wav"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut inputs = Inputs::default();
        inputs.add(folder.path(), Some(&folder.path().join("out")));
        assert_eq!(names(&inputs), ["a.FLAC", "b.npy", "sub/c.npz"]);
        assert!(inputs.many && inputs.unreadable.is_empty());
    }

    #[test]
    fn an_empty_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs = Inputs::default();
        inputs.add(folder.path(), None);
        assert!(inputs.unreadable[0].to_string().contains("no mel file and no recording"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_a_circle_ends() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.npy"), "").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        let mut inputs = Inputs::default();
        inputs.add(folder.path(), None);
        assert_eq!(names(&inputs), ["a.npy"]);
        assert!(inputs.unreadable[0].to_string().contains("leads back to"));
    }

    #[test]
    fn lists_hold_paths_and_objects() {
        let list = "a b.npy\r\n\n{\"input\": \"c.npy\", \"output\": \"d.wav\", \"seed\": 0, \"steps\": 2}\nlast.wav";
        let lines = read_list(list.as_bytes(), "standard input").unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].input, Path::new("a b.npy"));
        assert_eq!(lines[1].output.as_deref(), Some(Path::new("d.wav")));
        // 0 is a value, not "unset".
        assert_eq!(
            lines[1].overrides,
            Overrides { seed: Some(0), effort: Effort::new([("steps", 2)]), ..Overrides::default() }
        );
        assert_eq!(lines[2].input, Path::new("last.wav"));
        let own = read_list(&br#"{"input": "h.npy", "convention": "hifigan-22k"}"#[..], "standard input").unwrap();
        assert_eq!(own[0].overrides.convention.as_ref().map(|c| c.name.as_str()), Some("hifigan-22k"));
        let unknown = read_list(&b"a.npy\n{\"input\": \"h.npy\", \"convention\": \"hifi\"}"[..], "list").unwrap_err();
        assert!(unknown.to_string().contains("list: line 2") && unknown.to_string().contains("hifi"), "{unknown}");
        let zero = read_list(&b"a\nb.npy\0c.npy\0"[..], "standard input");
        assert_eq!(zero.unwrap().len(), 3);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = |list: &str| read_list(list.as_bytes(), "standard input").unwrap_err().to_string();
        let unknown = error("a.npy\n{\"input\": \"b.npy\", \"stpes\": 2}\n");
        assert!(unknown.starts_with("standard input: line 2: ") && unknown.contains("stpes"), "{unknown}");
        assert!(error("{\"output\": \"b.wav\"}").contains("missing field `input`"));
        let gain = error("{\"input\": \"b.npy\", \"gain\": 1e308}");
        assert!(
            gain.starts_with("standard input: line 1: gain: 1") && gain.ends_with("expected -100 to 100"),
            "{gain}"
        );
        let loudness = error("{\"input\": \"b.npy\", \"loudness\": 1}");
        assert_eq!(loudness, "standard input: line 1: loudness: 1, expected -70 to 0");
        assert!(error(&"x".repeat(2 << 20)).contains("longer than 1 MiB"));
    }
}
