//! What a training measured: a line of JSON each, in a file that only grows but when a training is resumed.

use super::checkpoint::write;
use crate::{Error, Fault, Result, output::open_in_place};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    Train(TrainFigures),
    Validation(ValidationFigures),
}

impl Line {
    pub fn step(&self) -> u64 {
        match self {
            Self::Train(figures) => figures.step,
            Self::Validation(figures) => figures.step,
        }
    }
}

/// Means over the steps since the last such line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainFigures {
    pub step: u64,
    pub minutes: f64,
    /// What was minimised.
    pub loss: f64,
    /// Its parts by name.
    pub parts: BTreeMap<String, f64>,
    pub learning_rate: f64,
    pub gradient_norm: f64,
    pub steps_per_s: f64,
    /// Share of the time spent waiting for data.
    pub waiting: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ValidationFigures {
    pub step: u64,
    pub minutes: f64,
    /// The phase's loss on recordings that never train, and on as many that do; the latter twice where all train.
    pub loss: f64,
    pub loss_on_trained: f64,
    /// Means over the rendered recordings: `pesq_wb`, `mel_l1` at standard quality; the same with `draft_` before.
    pub scores: BTreeMap<String, f64>,
    pub best: bool,
}

/// The file, and what is in it.
pub struct History {
    path: PathBuf,
    pub lines: Vec<Line>,
}

impl History {
    /// The history of a training that begins: nothing, whatever a run left that was cut off before its first checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn begin(path: &Path) -> Result<Self> {
        write(path, b"")?;
        Ok(Self { path: path.into(), lines: vec![] })
    }

    /// Opens the history of a training that stands at `step`: what lies after it was measured by a run that was cut off
    /// before its next checkpoint, and will be measured again.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io("cannot read the history", path)(error)),
        };
        // The last line of a killed run may be half a line.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let history = Self { path: path.into(), lines: lines.filter(|line| line.step() <= step).collect() };
        if history.text()? != text {
            history.write()?;
        }
        Ok(history)
    }

    /// Forgets what was measured after `step`, to which the training goes back.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn go_back(&mut self, step: u64) -> Result<()> {
        self.lines.retain(|line| line.step() <= step);
        self.write()
    }

    fn text(&self) -> Result<String> {
        self.lines.iter().map(json).collect()
    }

    fn write(&self) -> Result<()> {
        write(&self.path, self.text()?.as_bytes())
    }

    /// A validation takes the place of one of the same step: the run was cut off between that and its checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] where the line cannot be written.
    pub fn push(&mut self, line: Line) -> Result<()> {
        let validated = |line: &Line| matches!(line, Line::Validation(_)).then(|| line.step());
        if let Some(step) = validated(&line)
            && self.lines.iter().any(|old| validated(old) == Some(step))
        {
            self.lines.retain(|old| validated(old) != Some(step));
            self.write()?;
        }
        let text = json(&line)?;
        self.lines.push(line);
        let mut file = open_in_place(&self.path, OpenOptions::new().append(true).create(true));
        file.as_mut()
            .map_err(|e| std::io::Error::new(e.kind(), e.to_string()))
            .and_then(|file| file.write_all(text.as_bytes()))
            .map_err(Error::io("cannot write", &self.path))
    }

    pub fn validations(&self) -> impl DoubleEndedIterator<Item = &ValidationFigures> {
        self.lines.iter().filter_map(|line| match line {
            Line::Validation(figures) => Some(figures),
            Line::Train(_) => None,
        })
    }

    /// Says in plain words when recordings that never train have got worse while those that train got better, at each
    /// of the last three validations.
    pub fn overfitting(&self) -> Option<String> {
        let last: Vec<_> = self.validations().rev().take(4).collect();
        let widening = |pair: &[&ValidationFigures]| {
            pair[0].loss > pair[1].loss && pair[0].loss_on_trained < pair[1].loss_on_trained
        };
        if last.len() < 4 || !last.windows(2).all(widening) {
            return None;
        }
        let change = |of: fn(&ValidationFigures) -> f64| 100.0 * (of(last[0]) / of(last[3]) - 1.0);
        Some(format!(
            "the model begins to learn its recordings by heart: in the last 3 validations the loss on recordings kept apart \
             rose by {:.1} %, that on recordings that train fell by {:.1} %; stop here (best.safetensors is the best so far), \
             or give more data",
            change(|f| f.loss),
            -change(|f| f.loss_on_trained)
        ))
    }
}

fn json(line: &Line) -> Result<String> {
    let text = serde_json::to_string(line).map_err(|e| Error::Data(Fault::new("training history", e.to_string())))?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation(step: u64, loss: f64, loss_on_trained: f64) -> Line {
        Line::Validation(ValidationFigures { step, loss, loss_on_trained, ..Default::default() })
    }

    #[test]
    fn what_a_killed_run_wrote_after_its_checkpoint_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut history = History::begin(&path).unwrap();
        for step in [10, 20, 30] {
            history.push(validation(step, 0.5, 0.5)).unwrap();
        }
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"tr").unwrap();
        let history = History::open(&path, 20).unwrap();
        assert_eq!(history.lines.iter().map(Line::step).collect::<Vec<_>>(), [10, 20]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn after_a_roll_back_each_step_has_one_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut history = History::begin(&path).unwrap();
        let train = |step| Line::Train(TrainFigures { step, ..Default::default() });
        for step in [20, 40, 60] {
            history.push(train(step)).unwrap();
        }
        history.go_back(30).unwrap();
        history.push(train(40)).unwrap();
        assert_eq!(history.lines, [train(20), train(40)]);
        assert_eq!(History::open(&path, 60).unwrap().lines, history.lines);
    }

    #[test]
    fn a_validation_that_is_done_again_stands_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut history = History::begin(&path).unwrap();
        let train = Line::Train(TrainFigures { step: 20, ..Default::default() });
        for line in [validation(0, 0.5, 0.5), train.clone(), validation(20, 0.4, 0.4)] {
            history.push(line).unwrap();
        }
        // Killed before the checkpoint of step 20 was whole, but for an earlier one of the same step.
        let mut history = History::open(&path, 20).unwrap();
        history.push(validation(20, 0.3, 0.4)).unwrap();
        let wanted = [validation(0, 0.5, 0.5), train, validation(20, 0.3, 0.4)];
        assert_eq!(history.lines, wanted);
        assert_eq!(History::open(&path, 20).unwrap().lines, wanted);
    }

    #[test]
    fn overfitting_is_said_when_the_gap_widens_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::begin(&folder.path().join("m")).unwrap();
        for (step, loss) in [(1, 0.50), (2, 0.51), (3, 0.52)] {
            history.push(validation(step, loss, 0.5 - 0.01 * step as f64)).unwrap();
        }
        assert_eq!(history.overfitting(), None, "three are too few");
        history.push(validation(4, 0.55, 0.44)).unwrap();
        let said = history.overfitting().unwrap();
        assert!(said.contains("rose by 10.0 %") && said.contains("fell by 10.2 %"), "{said}");
        history.push(validation(5, 0.54, 0.43)).unwrap();
        assert_eq!(history.overfitting(), None, "it got better again");
    }
}
