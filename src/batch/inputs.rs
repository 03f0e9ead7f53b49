//! From what the user named to single inputs: folders are searched, lists are read.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use walkdir::WalkDir;

use crate::{
    Error, Fault, Result,
    audio::format::{self, Format},
    card::Effort,
    mel::{MelConvention, file, user_convention::describe},
    number_range::{GAIN_DB, LOUDNESS_LUFS, NumberRange},
    path_text,
    scratch::Scratch,
};

/// Files of a folder that are taken for mels.
pub const MEL_EXTENSIONS: &[&str] = &["npy", "npz", "safetensors"];

/// Files that lie beside recordings and mels and are neither: nobody misses them.
const COMPANIONS: &[&str] = &[
    "txt", "csv", "tsv", "json", "jsonl", "md", "lab", "textgrid", "trans", "ctm", "srt", "vtt", "xml", "html", "pdf",
    "png", "jpg", "jpeg", "gif", "svg", "log", "toml", "yaml", "yml", "ini", "cfg", "py", "sh", "ipynb", "m3u", "cue",
];

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
    /// What of the folders is no input.
    pub left_out: LeftOut,
    /// What was not understood of the conventions that a list names, each once.
    pub notes: Vec<String>,
    /// A folder or a list was named: there may be many, now or next time.
    pub many: bool,
    /// Holds what came on standard input.
    pub(crate) scratch: Option<Scratch>,
}

/// Files of folders that are no inputs though they may well be meant: to be said once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Of formats that are not read: extension with its dot -> files.
    formats: BTreeMap<String, usize>,
    /// Beside another of the same name, which is taken; and the first such pair.
    namesakes: usize,
    example: Option<(PathBuf, PathBuf)>,
}

impl LeftOut {
    /// A sentence for each kind.
    pub fn sentences(&self) -> Vec<String> {
        let files = |count: usize| if count == 1 { "1 file is".into() } else { format!("{count} files are") };
        let mut sentences = vec![];
        if !self.formats.is_empty() {
            let shown: Vec<_> = self.formats.iter().map(|(extension, count)| format!("{count} {extension}")).collect();
            sentences
                .push(format!("other files, of formats that are not read here, are left out: {}", shown.join(", ")));
        }
        if let Some((one, other)) = &self.example {
            let (count, one, other) = (files(self.namesakes), one.display(), other.display());
            sentences.push(format!("{count} left out beside a file of the same name ({one} beside {other})"));
        }
        sentences
    }

    fn count(&mut self, path: &Path) {
        let Some(extension) = path.extension() else { return };
        let extension = extension.to_string_lossy().to_ascii_lowercase();
        if !COMPANIONS.contains(&extension.as_str()) {
            *self.formats.entry(format!(".{extension}")).or_default() += 1;
        }
    }
}

/// What of these folders is no recording.
pub fn left_out<'a>(folders: impl IntoIterator<Item = &'a Path>) -> LeftOut {
    let mut inputs = Inputs::default();
    folders.into_iter().for_each(|folder| inputs.add_recordings(folder, None));
    inputs.left_out
}

/// What a folder is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Mels and recordings, one for each name.
    Renderable,
    Recordings,
}

/// What a file of a folder is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With the place of its extension among those known.
    Mel(usize),
    Recording(usize),
}

impl Kind {
    /// Where it comes among files of one name.
    fn place(self) -> (usize, usize) {
        match self {
            Self::Mel(extension) => (0, extension),
            Self::Recording(extension) => (1, extension),
        }
    }

    /// By the extension, or by the first bytes of a file that has none. `None` for what cannot be read.
    fn of(path: &Path) -> Option<Self> {
        let Some(extension) = path.extension() else {
            return match sniff(path)? {
                InputKind::Mel => Some(Self::Mel(usize::MAX)),
                InputKind::Recording => Some(Self::Recording(usize::MAX)),
            };
        };
        let extension = extension.to_string_lossy().to_ascii_lowercase();
        let place = |known: &[&str]| known.iter().position(|known| *known == extension);
        place(MEL_EXTENSIONS).map(Self::Mel).or_else(|| place(format::EXTENSIONS).map(Self::Recording))
    }
}

/// What the first bytes of an input say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputKind {
    Mel,
    Recording,
}

impl InputKind {
    /// `None` for what begins neither a mel file nor a recording that can be read.
    pub fn of_start(start: &[u8]) -> Option<Self> {
        match format::of_start(start) {
            _ if file::is_start(start) => Some(Self::Mel),
            Some(Format::Stream | Format::Indexed) => Some(Self::Recording),
            Some(Format::Foreign(_)) | None => None,
        }
    }
}

/// `None` for what cannot be opened, too: whoever opens it says why.
fn sniff(path: &Path) -> Option<InputKind> {
    InputKind::of_start(&format::start_of(path).ok()?)
}

impl Inputs {
    /// Adds a file as it is, or the mels and recordings that lie in a folder: in every depth, sorted, without hidden files
    /// and without `excluded`, the folder that results go to. Of several in one folder that differ in the extension alone a
    /// mel is taken before a recording, and then what comes first among the extensions.
    pub fn add(&mut self, path: &Path, excluded: Option<&Path>) {
        self.add_with(path, None, Overrides::default(), excluded, Wanted::Renderable);
    }

    /// As [`add`](Self::add), of a folder all recordings and nothing else.
    pub fn add_recordings(&mut self, path: &Path, excluded: Option<&Path>) {
        self.add_with(path, None, Overrides::default(), excluded, Wanted::Recordings);
    }

    /// Adds the lines of a list.
    pub fn add_list(&mut self, lines: Vec<Line>, excluded: Option<&Path>) {
        self.many = true;
        for line in lines {
            for note in line.notes {
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            self.add_with(&line.input, line.output, line.overrides, excluded, Wanted::Renderable);
        }
    }

    fn add_with(
        &mut self,
        path: &Path,
        output: Option<PathBuf>,
        overrides: Overrides,
        excluded: Option<&Path>,
        wanted: Wanted,
    ) {
        if !path.is_dir() {
            // One that is missing fails when its turn comes, alone.
            let name = path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
            self.found.push(Found { input: path.to_owned(), name, output, overrides });
            return;
        }
        self.many = true;
        let (first, first_unreadable) = (self.found.len(), self.unreadable.len());
        for file in self.files_of(path, excluded) {
            match Kind::of(&file) {
                Some(Kind::Mel(_)) if wanted == Wanted::Recordings => {}
                Some(_) => {
                    let name = file.strip_prefix(path).unwrap_or(&file).to_owned();
                    self.found.push(Found { input: file, name, output: None, overrides: overrides.clone() });
                }
                None => self.left_out.count(&file),
            }
        }
        if wanted == Wanted::Renderable {
            self.keep_one_of_each_name(first);
        }
        if self.found.len() == first && self.unreadable.len() == first_unreadable {
            let (what, known) = match wanted {
                Wanted::Renderable => ("mel file and no recording", [MEL_EXTENSIONS, format::EXTENSIONS].concat()),
                Wanted::Recordings => ("recording", format::EXTENSIONS.to_vec()),
            };
            let fault = Fault::new(path.display(), format!("no {what} in this folder"));
            self.unreadable.push(Error::Data(fault.expected(format!(".{}", known.join(" .")))));
        }
    }

    /// All files of a folder, in every depth, sorted, but for hidden ones and those of `excluded`.
    fn files_of(&mut self, path: &Path, excluded: Option<&Path>) -> Vec<PathBuf> {
        let excluded = excluded.and_then(|folder| folder.canonicalize().ok());
        let walk = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().filter_entry(|entry| {
            let hidden = entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
            let is_output = entry.depth() > 0
                && excluded.is_some()
                && entry.file_type().is_dir()
                && entry.path().canonicalize().ok() == excluded;
            !hidden && !is_output
        });
        let mut files = Vec::new();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
                Ok(_) => {}
                Err(error) => self.unreadable.push(walk_error(error, path)),
            }
        }
        files
    }

    /// Of those found from `first` on, keeps one for each name without its extension, which would have one output: a mel
    /// before a recording, and then what comes first among the extensions.
    pub fn keep_one_of_each_name(&mut self, first: usize) {
        let found = self.found.split_off(first);
        let place = |i: usize| (Kind::of(&found[i].input).map_or((2, 0), Kind::place), i);
        let mut best: HashMap<PathBuf, usize> = HashMap::new();
        for (i, found) in found.iter().enumerate() {
            let taken = best.entry(found.input.with_extension("")).or_insert(i);
            if place(i) < place(*taken) {
                *taken = i;
            }
        }
        for (i, other) in found.iter().enumerate() {
            let taken = best.get(&other.input.with_extension("")).copied().unwrap_or(i);
            if taken == i {
                self.found.push(other.clone());
            } else {
                self.left_out.namesakes += 1;
                self.left_out.example.get_or_insert_with(|| (other.input.clone(), found[taken].input.clone()));
            }
        }
    }

    /// Adds what standard input holds: a mel file or a recording itself, kept in a scratch file while the inputs live, or
    /// a [list](read_list).
    ///
    /// # Errors
    /// Those of the list; [`Error::Io`] where there is no room for the scratch file.
    pub fn add_standard_input(&mut self, input: impl Read, excluded: Option<&Path>) -> Result<()> {
        const NAME: &str = "standard input";
        let mut input = BufReader::new(input);
        let mut start = Vec::new();
        input.by_ref().take(format::START).read_to_end(&mut start).map_err(Error::io("cannot read", NAME))?;
        if let Some(Format::Foreign(format)) = format::of_start(&start) {
            let fault = Fault::new(NAME, format!("is {format}, which is not read here"));
            return Err(Error::Audio(fault.expected(format::NAMES).remedy("convert it to WAV on the way")));
        }
        let mut whole = io::Cursor::new(start.clone()).chain(input);
        if InputKind::of_start(&start).is_none() {
            self.add_list(read_list(BufReader::new(whole), NAME)?, excluded);
            return Ok(());
        }
        let folder = tempfile::tempdir().map_err(Error::io("cannot create a scratch file for", NAME))?;
        let folder = Scratch::new(folder.keep());
        let path = folder.path().join("standard-input");
        let copied = File::create(&path).and_then(|mut file| io::copy(&mut whole, &mut file));
        copied.map_err(Error::io("cannot keep", NAME))?;
        self.found.push(Found {
            name: "standard-input".into(),
            input: path,
            output: None,
            overrides: Overrides::default(),
        });
        self.scratch = Some(folder);
        Ok(())
    }
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
    notes: Vec<String>,
}

/// A line that is a JSON object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    #[serde(alias = "path", with = "path_text")]
    input: PathBuf,
    #[serde(default, alias = "output_file", with = "path_text::option")]
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
/// passed over, and so is the byte order mark that Windows begins a file with.
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
        if number == 1 && (line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff")) {
            let fault = Fault::new(source, "a list in UTF-16").expected("UTF-8");
            return Err(Error::Manifest(fault.remedy("save it in that encoding")));
        }
        let mark: &[u8] = if number == 1 { b"\xef\xbb\xbf" } else { b"" };
        let text = line.strip_prefix(mark).unwrap_or(&line).trim_ascii_end();
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
        let input = path_text::path_of(text.to_vec());
        return Ok(Line { input, output: None, overrides: Overrides::default(), notes: vec![] });
    }
    let line: JsonLine = serde_json::from_slice(text).map_err(|error| {
        let fault = Fault::new(subject, format!("no usable JSON object ({error})"));
        Error::Manifest(fault.remedy(r#"an example: {"input": "a.npy", "output": "a.wav", "seed": 1}"#))
    })?;
    let in_line = |error: Error| Error::Manifest(Fault::new(subject, error.to_string()));
    let in_range = |given: Option<f64>, column, range: NumberRange| {
        given.map(|given| range.check(column, given)).transpose().map_err(in_line)
    };
    if let Some(output) = &line.output {
        check_output(&line.input, output, subject)?;
    }
    let described = line.convention.as_deref().map(describe).transpose().map_err(in_line)?;
    let (convention, notes) = described.map_or_else(Default::default, |d| (Some(d.convention), d.notes));
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
        convention,
    };
    Ok(Line { input: line.input, output: line.output, overrides, notes })
}

/// What a line may want of its output is what -o may: the name of a WAV file, for a single input.
fn check_output(input: &Path, output: &Path, subject: &str) -> Result<()> {
    let wav = |extension: &OsStr| extension.eq_ignore_ascii_case("wav") || extension.eq_ignore_ascii_case("wave");
    let fault = if input.is_dir() {
        Fault::new(subject, format!("output {} for the folder {}", output.display(), input.display()))
            .remedy("name its files one by one, or take the output out")
    } else if !output.extension().is_some_and(wav) {
        Fault::new(subject, format!("output {}", output.display())).expected("the name of a .wav file")
    } else {
        return Ok(());
    };
    Err(Error::Manifest(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names_of(inputs: &Inputs) -> Vec<String> {
        inputs.found.iter().map(|found| found.name.display().to_string()).collect()
    }

    fn write(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn what_is_left_out_is_counted_by_format() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a.wav", "b.npy", "c.wma", "sub/d.WMA", "e.pt", "a.txt", "readme.md", "LICENSE", ".x.wma"];
        write(folder.path(), &names);
        fs::write(folder.path().join("recorded"), b"fLaC").unwrap();
        let mut inputs = Inputs::default();
        inputs.add(folder.path(), None);
        assert_eq!(names_of(&inputs), ["a.wav", "b.npy", "recorded"]);
        let said = "other files, of formats that are not read here, are left out: 1 .pt, 2 .wma";
        assert_eq!(inputs.left_out.sentences(), [said]);
        assert_eq!(left_out([folder.path()]).sentences(), [said], "mels beside recordings are none");
    }

    #[test]
    fn of_one_name_a_mel_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["u.npy", "u.npz", "u.wav", "v.flac", "v.wav", "w.wav", "sub/u.wav"]);
        let mut inputs = Inputs::default();
        inputs.add(folder.path(), None);
        assert_eq!(names_of(&inputs), ["sub/u.wav", "u.npy", "v.wav", "w.wav"]);
        let [said] = &inputs.left_out.sentences()[..] else { panic!("{:?}", inputs.left_out) };
        assert!(said.starts_with("3 files are left out beside a file of the same name (") && said.contains("u.npz"));
        let mut recordings = Inputs::default();
        recordings.add_recordings(folder.path(), None);
        assert_eq!(names_of(&recordings), ["sub/u.wav", "u.wav", "v.flac", "v.wav", "w.wav"]);
    }

    #[test]
    fn folders_are_searched_in_order_without_hidden_files_and_results() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["b.npy", "a.FLAC", "notes.txt", ".hidden.npy", "sub/c.npz", "out/b.wav"]);
        let mut inputs = Inputs::default();
        inputs.add(folder.path(), Some(&folder.path().join("out")));
        assert_eq!(names_of(&inputs), ["a.FLAC", "b.npy", "sub/c.npz"]);
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
        assert_eq!(names_of(&inputs), ["a.npy"]);
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

    /// As Windows saves text.
    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_path() {
        for list in [&b"\xef\xbb\xbfa.npy\r\nb.npy\r\n"[..], b"\xef\xbb\xbf{\"input\": \"a.npy\"}\r\nb.npy"] {
            let inputs: Vec<_> = read_list(list, "list").unwrap().into_iter().map(|line| line.input).collect();
            assert_eq!(inputs, [Path::new("a.npy"), Path::new("b.npy")]);
        }
        let utf16 = b"\xff\xfea\0.\0n\0p\0y\0\n\0";
        assert!(
            read_list(&utf16[..], "list").unwrap_err().to_string().contains("list: a list in UTF-16, expected UTF-8")
        );
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
