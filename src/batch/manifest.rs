//! The record of a batch: a line of JSON an item, appended and synced when the item is done or has failed.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Item;
use crate::{Error, Fault, Result, Setting, json_lines::JsonLines, path_text};

/// What an item is made with; the same recipe and the same input give the same samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Name and hash of the model.
    pub model: String,
    /// Everything else that changes a sample.
    pub settings: serde_json::Value,
    pub seed: u64,
}

/// What an output was made of. WAV files carry it in their metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Hash of the input file, in hexadecimal digits.
    pub input_blake3: String,
    #[serde(flatten)]
    pub recipe: Recipe,
}

/// What an output was when it was written: another content is not what the item made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    #[serde(rename = "output_bytes")]
    pub bytes: u64,
    /// Hash of the file, in hexadecimal digits.
    #[serde(rename = "output_blake3")]
    pub blake3: String,
}

impl Written {
    /// Of what lies at `path` now; `None` for a pipe or a device.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let metadata = std::fs::metadata(path).map_err(Error::io("cannot read", path))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        Ok(Some(Self { bytes: metadata.len(), blake3: super::hash_file(path)? }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Done,
    /// The output was there already.
    Skipped,
    Failed,
}

/// A line of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub status: Status,
    #[serde(with = "path_text")]
    pub input: PathBuf,
    #[serde(with = "path_text")]
    pub output: PathBuf,
    /// `None` where the input could not be read.
    #[serde(flatten, default)]
    pub fingerprint: Option<Fingerprint>,
    /// `None` where nothing was written, and in lines of versions that did not keep it.
    #[serde(flatten, default)]
    pub written: Option<Written>,
    /// Seconds of sound in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_s: Option<f64>,
    /// Seconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_s: Option<f64>,
    /// Largest magnitude in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// The convention that the mel was taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convention: Option<String>,
    /// Hz, of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Of the output, where it has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// What the user was warned of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Entry {
    /// Nothing was done, because the output is there.
    pub fn skipped(item: &Item) -> Self {
        Self {
            status: Status::Skipped,
            input: item.input.clone(),
            output: item.output.clone(),
            fingerprint: None,
            written: None,
            audio_s: None,
            took_s: None,
            peak: None,
            convention: None,
            rate: None,
            channels: None,
            warnings: vec![],
            error: None,
        }
    }

    /// The entry as its line, without the line feed.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::Manifest(Fault::new(self.input.display(), format!("cannot be written as JSON ({error})")))
        })
    }
}

/// A manifest file, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct Manifest {
    lines: JsonLines,
    /// Output -> its last entry.
    entries: HashMap<PathBuf, Entry>,
}

impl Manifest {
    /// Opens the file, or makes it, and reads what is there. A last line without an end, as a killed process leaves it,
    /// is taken off.
    ///
    /// # Errors
    /// [`Error::Manifest`] names the line that is no entry; [`Error::Io`] of kind `ResourceBusy` while another run writes.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let mut entries = HashMap::new();
        let lines = JsonLines::open(path, Setting::Manifest, |entry: Entry| {
            entries.insert(entry.output.clone(), entry);
        })?;
        Ok(Self { lines, entries })
    }

    /// The last entry for an output.
    pub fn entry(&self, output: &Path) -> Option<&Entry> {
        self.entries.get(output)
    }

    /// Appends a line and waits until it is on the disk.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        self.lines.append(&entry.to_line()?)?;
        self.lines.sync()?;
        self.entries.insert(entry.output.clone(), entry.clone());
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

    pub fn entry(output: &str, status: Status) -> Entry {
        let recipe = Recipe { model: "m".into(), settings: serde_json::json!({"steps": 4}), seed: u64::MAX };
        let fingerprint = Fingerprint { input_blake3: "00".into(), recipe };
        Entry {
            status,
            input: "a.npy".into(),
            output: output.into(),
            fingerprint: Some(fingerprint),
            written: Some(Written { bytes: 44, blake3: "11".into() }),
            audio_s: Some(1.5),
            took_s: Some(0.25),
            peak: Some(0.5),
            convention: Some("f5-tts".into()),
            rate: Some(24_000),
            channels: Some(2),
            warnings: vec![],
            error: None,
        }
    }

    #[test]
    fn keeps_a_line_an_item_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let mut manifest = Manifest::open(&path).unwrap();
        manifest.append(&entry("a.wav", Status::Failed)).unwrap();
        manifest.append(&entry("a.wav", Status::Done)).unwrap();
        manifest.append(&entry("b.wav", Status::Done)).unwrap();
        drop(manifest);
        let manifest = Manifest::open(&path).unwrap();
        assert_eq!(manifest.entry(Path::new("a.wav")), Some(&entry("a.wav", Status::Done)));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        let first: serde_json::Value =
            serde_json::from_str(fs::read_to_string(&path).unwrap().lines().next().unwrap()).unwrap();
        // The fingerprint's fields lie flat beside the others, and a seed keeps all its digits.
        assert_eq!((&first["model"], &first["seed"]), (&"m".into(), &u64::MAX.into()));
    }

    #[test]
    fn a_torn_last_line_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let line = entry("a.wav", Status::Done).to_line().unwrap() + "\n";
        for torn in ["{", "{\"status\":\"done\",\"inp", &line[..line.len() - 1]] {
            fs::write(&path, line.clone() + torn).unwrap();
            let mut manifest = Manifest::open(&path).unwrap();
            manifest.append(&entry("b.wav", Status::Done)).unwrap();
            drop(manifest);
            let manifest = Manifest::open(&path).unwrap();
            assert!(manifest.entry(Path::new("a.wav")).is_some() && manifest.entry(Path::new("b.wav")).is_some());
        }
    }

    #[test]
    fn other_files_are_refused_by_line_and_left_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let good = entry("a.wav", Status::Done).to_line().unwrap();
        for (content, number) in [
            (format!("{good}\nhello\n{good}\n"), 2),
            ("{}\n".into(), 1),
            ("[1, 2]\n".into(), 1),
            (format!("{good}\n\u{0}\u{1}\n"), 2),
            ("x".repeat(3 << 20), 1),
        ] {
            fs::write(&path, &content).unwrap();
            let text = Manifest::open(&path).unwrap_err().to_string();
            assert!(text.contains(&format!("m.jsonl: line {number}: no entry")), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let _held = Manifest::open(&path).unwrap();
        assert!(Manifest::open(&path).unwrap_err().to_string().contains("another run writes to it"));
    }
}
