//! All recordings of some folders, measured on all cores, compared with one another, and what became of each.

use super::Summary;
use crate::{
    Error, Result,
    audio::{AudioReader, reader::SourceInfo},
    batch::{Inputs, LeftOut},
    measure::{Concern, DropReason, Finding, Measures, Meter, drop_reasons, duplicates, findings},
    path_text,
};
use serde::Serialize;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::channel,
    },
};

/// LU from the middle of all recordings.
const LOUDNESS_OUTLIER_LU: f64 = 12.0;

/// What was found in one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    #[serde(with = "path_text")]
    pub file: PathBuf,
    /// Channels of the file; 0 where it could not be opened.
    pub channels: usize,
    /// `None` for a file that is broken.
    #[serde(flatten)]
    pub measures: Option<Measures>,
    pub findings: Vec<Finding>,
    /// Why training leaves it out; empty where it takes it.
    pub dropped: Vec<DropReason>,
    /// An earlier file with the same sound.
    #[serde(with = "path_text::option")]
    pub duplicate_of: Option<PathBuf>,
    #[serde(skip)]
    content: Option<blake3::Hash>,
}

impl FileReport {
    pub fn must_be_fixed(&self) -> bool {
        self.findings.iter().any(|finding| finding.must_be_fixed)
    }

    pub fn has(&self, concern: Concern) -> bool {
        self.findings.iter().any(|finding| finding.concern == concern)
    }
}

/// A check of some recordings.
pub struct FolderCheck {
    pub files: Vec<PathBuf>,
    /// Threads; each has a file of its own.
    pub jobs: usize,
}

/// What lies in some paths.
pub struct Recordings {
    /// Recordings as they are named, and those in folders, in every depth, sorted.
    pub files: Vec<PathBuf>,
    /// Paths that could not be read or hold none.
    pub unreadable: Vec<Error>,
    pub left_out: LeftOut,
}

impl Recordings {
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut inputs = Inputs::default();
        paths.iter().for_each(|path| inputs.add_recordings(path, None));
        let mut files: Vec<PathBuf> = inputs.found.into_iter().map(|found| found.input).collect();
        // A folder and one within it may both be named.
        let mut seen = std::collections::HashSet::new();
        files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
        Self { files, unreadable: inputs.unreadable, left_out: inputs.left_out }
    }
}

impl FolderCheck {
    /// Looks at every file. `on_file` hears of each as it is done, in no order; copies and outliers are known only at the
    /// end, when the reports come in the files' order with their summary.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where `stop` became true. What is wrong with a file is told in its report.
    pub fn run(&self, stop: &AtomicBool, mut on_file: impl FnMut(&FileReport)) -> Result<(Vec<FileReport>, Summary)> {
        let next = AtomicUsize::new(0);
        let mut reports: Vec<(usize, FileReport)> = Vec::with_capacity(self.files.len());
        std::thread::scope(|scope| {
            let (sender, done) = channel();
            for _ in 0..self.jobs.clamp(1, self.files.len().max(1)) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = self.files.get(at) else { break };
                        let Some(report) = look_at(file, stop) else { break };
                        if sender.send((at, report)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for (at, report) in done {
                on_file(&report);
                reports.push((at, report));
            }
        });
        if reports.len() < self.files.len() {
            return Err(Error::Interrupted);
        }
        reports.sort_by_key(|(at, _)| *at);
        let mut reports: Vec<FileReport> = reports.into_iter().map(|(_, report)| report).collect();
        mark_copies(&mut reports);
        mark_loudness_outliers(&mut reports);
        let summary = Summary::of(&reports);
        Ok((reports, summary))
    }
}

/// `None` where it was interrupted.
fn look_at(file: &Path, stop: &AtomicBool) -> Option<FileReport> {
    let mut report = FileReport {
        file: file.into(),
        channels: 0,
        measures: None,
        findings: vec![],
        dropped: vec![],
        duplicate_of: None,
        content: None,
    };
    match measured(file, stop) {
        Ok((measures, source, content)) => {
            report.channels = source.channels;
            report.findings = findings(&measures, Some(&source));
            report.dropped = drop_reasons(measures.samples, measures.peak(), measures.sample_rate);
            (report.measures, report.content) = (Some(measures), Some(content));
        }
        Err(Error::Interrupted) => return None,
        Err(error) => {
            report.dropped.push(DropReason::Broken);
            let message = error.to_string();
            // Who shows a finding says for itself which file it is of.
            let message = message.strip_prefix(&format!("{}: ", file.display())).unwrap_or(&message).to_owned();
            report.findings.push(Finding::new(Concern::Broken, message));
        }
    }
    Some(report)
}

fn measured(path: &Path, stop: &AtomicBool) -> Result<(Measures, SourceInfo, blake3::Hash)> {
    let mut reader = AudioReader::open(path)?;
    let mut meter = Meter::new(reader.source().sample_rate)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&reader.source().sample_rate.to_le_bytes());
    let mut bytes = Vec::new();
    for chunk in reader.by_ref() {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let chunk = chunk?;
        meter.push(&chunk)?;
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|sample| sample.to_le_bytes()));
        hasher.update(&bytes);
    }
    Ok((meter.finish(), reader.source(), hasher.finalize()))
}

/// Sample for sample the same, or the same sound in a lossy format, at another rate or at another gain. Only the first are
/// known to training, which drops them.
fn mark_copies(reports: &mut [FileReport]) {
    let prints: Vec<_> = reports.iter().map(|report| report.measures.as_ref()?.fingerprint.clone()).collect();
    let similar = duplicates(&prints);
    let mut by_content: HashMap<blake3::Hash, usize> = HashMap::new();
    for i in 0..reports.len() {
        let Some(content) = reports[i].content else { continue };
        let same = *by_content.entry(content).or_insert(i);
        let (original, how) = match (same < i, similar[i]) {
            (true, _) => (same, "the same samples as"),
            (false, Some(original)) => (original, "the same sound as"),
            (false, None) => continue,
        };
        let file = reports[original].file.clone();
        let report = &mut reports[i];
        report.findings.push(Finding::new(Concern::Duplicate, format!("{how} {}", file.display())));
        if same < i {
            report.dropped.push(DropReason::Duplicate);
        }
        report.duplicate_of = Some(file);
    }
}

fn mark_loudness_outliers(reports: &mut [FileReport]) {
    let lufs = |report: &FileReport| report.measures.as_ref()?.loudness_lufs;
    let mut all: Vec<f64> = reports.iter().filter_map(lufs).collect();
    // Of fewer nothing can be called usual.
    if all.len() < 5 {
        return;
    }
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    for report in reports {
        let Some(distance) = lufs(report).map(|lufs| lufs - median) else { continue };
        if distance.abs() > LOUDNESS_OUTLIER_LU && !report.has(Concern::Quiet) {
            let than = if distance > 0.0 { "louder" } else { "quieter" };
            let message = format!("{:.0} LU {than} than the middle of the recordings", distance.abs());
            report.findings.push(Finding::new(Concern::LoudnessOutlier, message));
        }
    }
}
