//! Scores on the disk, so that a run that was stopped goes on where it was.

use super::FileScore;
use crate::{Error, Fault, Result, Setting, json_lines::JsonLines};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// A score with what it was computed from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    /// See [`super::Evaluation::made_of`].
    made_of: String,
    #[serde(flatten)]
    score: FileScore,
}

/// A file of scores, a line of JSON each, held by this process alone. Without a path it is kept in memory.
#[derive(Debug, Default)]
pub struct Results {
    lines: Option<(JsonLines, PathBuf)>,
    /// By file and system.
    known: HashMap<(String, String), Line>,
}

impl Results {
    /// Opens the file, or makes it, and reads what is there.
    ///
    /// # Errors
    /// As [`JsonLines::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut known = HashMap::new();
        let lines = JsonLines::open(path, Setting::Results, |line: Line| {
            known.insert((line.score.file.clone(), line.score.system.clone()), line);
        })?;
        Ok(Self { lines: Some((lines, path.to_owned())), known })
    }

    /// The score of a former run, where it was computed from the same and nothing stood in its way.
    pub fn get(&self, file: &str, system: &str, made_of: &str) -> Option<&FileScore> {
        let line = self.known.get(&(file.into(), system.into()))?;
        (line.made_of == made_of && !line.score.failed()).then_some(&line.score)
    }

    /// Keeps a score. It is not waited for until it is on the disk: a score can be computed again.
    pub fn append(&mut self, score: &FileScore, made_of: &str) -> Result<()> {
        let line = Line { made_of: made_of.into(), score: score.clone() };
        if let Some((lines, path)) = &mut self.lines {
            let text = serde_json::to_string(&line).map_err(|error| {
                Error::Manifest(Fault::new(path.display(), format!("cannot hold {} ({error})", score.file)))
            })?;
            lines.append(&text)?;
        }
        self.known.insert((score.file.clone(), score.system.clone()), line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Metric;
    use std::collections::BTreeSet;

    fn score(file: &str, value: f64) -> FileScore {
        let mut score = FileScore::unscored(file, "builtin", &BTreeSet::from([Metric::MelL1, Metric::PesqWb]), "");
        score.problem = None;
        score.values.insert(Metric::MelL1, Some(value));
        score
    }

    #[test]
    fn a_score_is_found_again_where_it_still_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let mut results = Results::open(&path).unwrap();
        results.append(&score("a", 0.1), "x").unwrap();
        results.append(&score("a", 0.25), "y").unwrap();
        let failed = FileScore::unscored("b", "builtin", &BTreeSet::from([Metric::MelL1]), "the rendering is silent");
        results.append(&failed, "x").unwrap();
        drop(results);
        // A process was killed while it wrote.
        let torn = std::fs::read_to_string(&path).unwrap() + "{\"made_of\":\"x\",\"fi";
        std::fs::write(&path, torn).unwrap();
        let results = Results::open(&path).unwrap();
        assert_eq!(results.get("a", "builtin", "y"), Some(&score("a", 0.25)));
        assert_eq!(results.get("a", "builtin", "x"), None, "made of something else");
        assert_eq!(results.get("b", "builtin", "x"), None, "failed");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
        assert!(Results::open(&path).unwrap_err().to_string().contains("another run writes to it"));
    }
}
