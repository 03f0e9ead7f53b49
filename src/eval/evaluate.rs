//! Several systems on the same files: rendered one after another, scored side by side on all cores.

use super::{FileScore, Folder, Metric, Reference, Rendering, Sound, System};
use crate::{Error, Result, audio};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What is measured, and with what.
pub struct Evaluation<'a> {
    pub references: &'a Folder,
    /// Names and systems, in the order of the report.
    pub systems: Vec<(String, Box<dyn System + 'a>)>,
    pub metrics: BTreeSet<Metric>,
    /// Threads that score. Nothing is scored while something is rendered, so that the time it takes is its own.
    pub threads: usize,
}

/// A file with everything that was made of it.
struct Job {
    name: String,
    reference: Result<Sound>,
    renderings: Vec<(usize, Result<Rendering>)>,
}

impl Evaluation<'_> {
    /// Scores every file by every system but those that `done` says are there already. `on_score` hears of each score in
    /// the order of files and systems; its first error ends the run.
    ///
    /// # Errors
    /// Those of `on_score`. What is wrong with a file is told in its score.
    pub fn run(
        &mut self,
        done: impl Fn(&str, &str) -> bool,
        mut on_score: impl FnMut(FileScore) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<&String> = self.references.files.keys().collect();
        let systems: Vec<String> = self.systems.iter().map(|(name, _)| name.clone()).collect();
        // Some files for each thread, so that long and short ones even out; memory stays that of a few files.
        for batch in names.chunks(4 * self.threads.max(1)) {
            let mut jobs = Vec::with_capacity(batch.len());
            for &name in batch {
                let wanted: Vec<usize> = (0..self.systems.len()).filter(|&i| !done(name, &self.systems[i].0)).collect();
                if !wanted.is_empty() {
                    jobs.push(self.rendered(name, &wanted));
                }
            }
            for scores in in_parallel(&jobs, self.threads, |job| job.scored(&systems, &self.metrics)) {
                for score in scores {
                    on_score(score)?;
                }
            }
        }
        Ok(())
    }

    fn rendered(&mut self, name: &str, wanted: &[usize]) -> Job {
        let reference = audio::read(&self.references.files[name])
            .map(|recording| Sound { samples: recording.samples, sample_rate: recording.sample_rate });
        let renderings = match &reference {
            Ok(sound) => wanted.iter().map(|&i| (i, self.systems[i].1.render(name, sound))).collect(),
            Err(_) => vec![],
        };
        Job { name: name.into(), reference, renderings }
    }
}

impl Job {
    fn scored(&self, systems: &[String], metrics: &BTreeSet<Metric>) -> Vec<FileScore> {
        let unscored =
            |system: &str, problem: &Error| FileScore::unscored(&self.name, system, metrics, problem.to_string());
        let sound = match &self.reference {
            Ok(sound) => sound,
            Err(error) => return systems.iter().map(|system| unscored(system, error)).collect(),
        };
        // One rate for all systems, or their figures could not be compared.
        let rates =
            self.renderings.iter().filter_map(|(_, rendering)| Some(rendering.as_ref().ok()?.sound.sample_rate));
        let rate = rates.fold(sound.sample_rate, u32::min);
        let reference = match Reference::new(&self.name, sound, rate, metrics) {
            Ok(reference) => reference,
            Err(error) => return self.renderings.iter().map(|(i, _)| unscored(&systems[*i], &error)).collect(),
        };
        let score = |(i, rendering): &(usize, Result<Rendering>)| {
            let problem = match rendering {
                Ok(r) => match reference.score(&systems[*i], &r.sound, r.compute_s) {
                    Ok(score) => return score,
                    Err(error) => unscored(&systems[*i], &error),
                },
                Err(error) => unscored(&systems[*i], error),
            };
            FileScore { seconds: sound.seconds(), sample_rate: rate, ..problem }
        };
        self.renderings.iter().map(score).collect()
    }
}

/// `work` done on each item by a few threads, the results in the items' order.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((i, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
                {
                    let result = work(item);
                    results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((i, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}
