//! Several systems on the same files: rendered one after another, scored side by side on all cores.

use super::{FileScore, Folder, Metric, Reference, Rendering, Sound, System, mel_of_rate, system::read};
use crate::{Error, Fault, Result, batch::hash_file, dsp::threads::in_parallel, mel::MelConvention};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
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
pub struct Comparison {
    pub name: String,
    pub reference: Result<Sound>,
    /// What the systems of these numbers made of it.
    pub renderings: Vec<(usize, Result<Rendering>)>,
    /// In the same order; of all systems that were asked where the recording could not be read.
    pub scores: Vec<FileScore>,
}

/// What happens in the course of a run.
pub enum Event<'c> {
    /// So many seconds of sound were rendered or read.
    Rendered { audio_s: f64 },
    /// A file is done.
    Scored(&'c Comparison),
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
        self.compare(done, &AtomicBool::new(false), |event| match event {
            Event::Rendered { .. } => Ok(()),
            Event::Scored(comparison) => comparison.scores.iter().cloned().try_for_each(&mut on_score),
        })
    }

    /// As [`Evaluation::run`], for whoever wants the sounds as well, and to stop: once `stop` is true, what is rendered
    /// already is scored and the run ends.
    ///
    /// # Errors
    /// Those of `on_event`, and [`Error::Interrupted`].
    pub fn compare(
        &mut self,
        done: impl Fn(&str, &str) -> bool,
        stop: &AtomicBool,
        mut on_event: impl FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<&String> = self.references.files.keys().collect();
        let systems = self.judged();
        // Some files for each thread, so that long and short ones even out; memory stays that of a few files.
        for batch in names.chunks(4 * self.threads.max(1)) {
            let mut comparisons = Vec::with_capacity(batch.len());
            for &name in batch {
                let wanted: Vec<usize> = (0..self.systems.len()).filter(|&i| !done(name, &self.systems[i].0)).collect();
                if wanted.is_empty() {
                    continue;
                }
                let comparison = self.rendered(name, &wanted, &mut on_event)?;
                if stop.load(Ordering::SeqCst) {
                    // Its last rendering may have been broken off.
                    break;
                }
                comparisons.push(comparison);
            }
            let scores = in_parallel(&comparisons, self.threads, |c| c.scored(&systems, &self.metrics));
            for (mut comparison, scores) in comparisons.into_iter().zip(scores) {
                comparison.scores = scores;
                on_event(Event::Scored(&comparison))?;
            }
            if stop.load(Ordering::SeqCst) {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }

    /// What the score of a file by system `i` depends on, as a hash: the recording, the rendering or what makes it, the
    /// metrics. A score that was computed from the same still holds.
    pub fn made_of(&self, name: &str, i: usize) -> String {
        let mut hasher = blake3::Hasher::new();
        // A file that cannot be read makes no score that would be kept.
        let recording = self.references.files.get(name).and_then(|path| hash_file(path).ok()).unwrap_or_default();
        let metrics = self.metrics.iter().map(|m| m.key()).collect::<Vec<_>>().join(" ");
        // What is missing counts as silence since the second way of scoring, each channel and a model's own mel since the third.
        let version = concat!(env!("CARGO_PKG_VERSION"), ", 3");
        let mel = self.mel_of(i).map_or_else(String::new, |mel| serde_json::json!(mel).to_string());
        let identity = self.systems[i].1.identity(name);
        for part in [version, &recording, &identity, &metrics, &mel] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }

    /// The mel that system `i` is measured by. A folder's renderings are measured by that of the models beside it, as long as
    /// these share one: its figures could not be laid beside theirs otherwise.
    fn mel_of(&self, i: usize) -> Option<&MelConvention> {
        let all = || self.systems.iter().filter_map(|(_, system)| system.mel());
        let shared = || all().next().filter(|first| all().all(|mel| first.difference(mel).is_none()));
        self.systems[i].1.mel().or_else(shared)
    }

    fn judged(&self) -> Vec<Judged> {
        let judged =
            |(i, (name, _)): (usize, &(String, _))| Judged { name: name.clone(), mel: self.mel_of(i).cloned() };
        self.systems.iter().enumerate().map(judged).collect()
    }

    fn rendered(
        &mut self,
        name: &str,
        wanted: &[usize],
        on_event: &mut impl FnMut(Event) -> Result<()>,
    ) -> Result<Comparison> {
        let reference = read(&self.references.files[name]);
        let mut renderings = vec![];
        for &i in wanted {
            let rendering = match &reference {
                Ok(sound) => self.systems[i].1.render(name, sound),
                Err(_) => Err(Error::Data(Fault::new(name, "the recording cannot be read"))),
            };
            let audio_s = rendering.as_ref().map_or(0.0, |rendering| rendering.sound.seconds());
            on_event(Event::Rendered { audio_s })?;
            renderings.push((i, rendering));
        }
        Ok(Comparison { name: name.into(), reference, renderings, scores: vec![] })
    }
}

/// A system as its renderings are measured.
struct Judged {
    name: String,
    /// What `mel_l1` is by; [`mel_of_rate`] where it is none.
    mel: Option<MelConvention>,
}

impl Comparison {
    fn scored(&self, systems: &[Judged], metrics: &BTreeSet<Metric>) -> Vec<FileScore> {
        let unscored =
            |i: usize, problem: &Error| FileScore::unscored(&self.name, &systems[i].name, metrics, problem.to_string());
        let sound = match &self.reference {
            Ok(sound) => sound,
            Err(error) => return self.renderings.iter().map(|(i, _)| unscored(*i, error)).collect(),
        };
        // One rate and as many channels for all systems, or their figures could not be compared.
        let rendered = || self.renderings.iter().filter_map(|(_, rendering)| Some(&rendering.as_ref().ok()?.sound));
        let rate = rendered().fold(sound.rate, |rate, sound| rate.min(sound.rate));
        let channels = rendered().filter(|sound| !sound.is_empty()).map(|sound| sound.channels.len());
        let channels = channels.fold(sound.channels.len(), usize::min);
        let compared = match channels {
            1 if sound.channels.len() > 1 => Cow::Owned(sound.clone().of_channels(1)),
            _ => Cow::Borrowed(sound),
        };
        let reference = match guarded(|| Reference::new(&self.name, &compared, rate, metrics)) {
            Ok(reference) => reference,
            Err(error) => return self.renderings.iter().map(|(i, _)| unscored(*i, &error)).collect(),
        };
        let score = |(i, rendering): &(usize, Result<Rendering>)| {
            let problem = match rendering {
                Ok(r) => match guarded(|| {
                    let mel = systems[*i].mel.clone().map_or_else(|| mel_of_rate(rate), Ok)?;
                    reference.score_by(&mel, &systems[*i].name, &r.sound, r.compute_s)
                }) {
                    Ok(score) => return FileScore { mixed: score.mixed || sound.channels.len() > channels, ..score },
                    Err(error) => unscored(*i, &error),
                },
                Err(error) => unscored(*i, error),
            };
            FileScore { seconds: sound.seconds(), sample_rate: rate, channels, ..problem }
        };
        self.renderings.iter().map(score).collect()
    }
}

/// A metric that stumbles over one file must not cost the others'.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::bug("scoring", &*panic)))
}
