//! The built program in an empty folder, and small inputs for it.

#![allow(dead_code)] // each test binary uses a part of it

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use audiodiff::{
    audio,
    mel::{self, MelConvention, MelSpectrogram},
};

/// A folder of its own for a test, in which the program runs.
pub struct Program {
    folder: tempfile::TempDir,
}

/// Arguments for the least work: one step without projection.
pub const CHEAP: &[&str] = &["--steps", "1", "--iterations", "0", "--final-iterations", "0", "-t", "1"];

/// Arguments for seconds of work on a second of sound, for tests that interrupt it.
pub const DEAR: &[&str] = &["--steps", "64", "--iterations", "30", "-t", "1", "-j", "1"];

impl Program {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audiodiff"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUDIODIFF_")) {
            command.env_remove(name);
        }
        // A second of speech is often too short to prove what it is: tests of that say --convention auto.
        command.env("AUDIODIFF_CONVENTION", "f5-tts");
        // Which numbers a processor multiplies natively must not decide whether a test passes.
        command.env("AUDIODIFF_PRECISION", "f32");
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command().args(arguments))
    }

    /// As `run`, with text on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        fs::write(self.path("standard-input"), input).unwrap();
        let file = fs::File::open(self.path("standard-input")).unwrap();
        Outcome::of(self.command().args(arguments).stdin(file))
    }

    /// `render` with the least work.
    pub fn render(&self, arguments: &[&str]) -> Outcome {
        self.run(&[&["render"], arguments, CHEAP].concat())
    }

    /// A mel of real speech of `frames` frames, beginning somewhere else for each name.
    pub fn mel(&self, name: &str, frames: usize) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mel::file::write(&path, &speech(name.len() * 5, frames), &MelConvention::native()).unwrap();
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// All files below `name`, hidden ones too, sorted.
    pub fn files(&self, name: &str) -> Vec<String> {
        let root = self.path(name);
        if !root.exists() {
            return vec![];
        }
        let entries = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
        let names = entries.filter(|entry| entry.file_type().is_file());
        names.map(|entry| entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// The samples of a WAV that the program wrote, which must be whole.
    pub fn wav(&self, name: &str) -> (hound::WavSpec, Vec<i32>) {
        let mut reader = hound::WavReader::open(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let samples = reader.samples::<i32>().map(|sample| sample.unwrap()).collect();
        (reader.spec(), samples)
    }
}

/// Real speech out of samples/.
pub fn speech(first: usize, frames: usize) -> MelSpectrogram {
    let recording = audio::read_at(sample("speech-en.wav"), 24_000).unwrap();
    let mel = mel::extract(&recording.samples, &MelConvention::native()).unwrap();
    mel.slice(first..first + frames)
}

/// A file of samples/.
pub fn sample(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("samples").join(name)
}

/// What a finished run left behind.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        self
    }

    /// One line on standard error has all of `parts`.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        let found = self.stderr.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with {parts:?} in:\n{}", self.stderr);
        self
    }

    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The JSON objects on standard output.
    pub fn objects(&self) -> Vec<serde_json::Value> {
        self.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
