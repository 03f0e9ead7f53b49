//! Making the items of a plan: what is done is left alone, progress is shown, a record kept, and the run summed up.

use std::path::PathBuf;

use audiodiff::{
    Error, Result,
    batch::{Entry, Event, Existing, Manifest, Plan, RenderItem, Status, resume, run as run_batch},
};

use super::{
    Outcome, interrupt,
    progress::Progress,
    terminal::{Terminal, try_print},
};

/// How the items of a run are made.
pub struct ItemsRun<'a> {
    /// What is said of those that were made: `rendered`.
    pub verb: &'static str,
    pub jobs: usize,
    pub existing: Existing,
    pub manifest: Option<&'a PathBuf>,
    /// A line of JSON for each item on standard output.
    pub json: bool,
}

impl ItemsRun<'_> {
    /// Makes what of `plan` is not there yet. `unreadable` are failures that were met before.
    pub fn make(
        &self,
        renderer: &impl RenderItem,
        plan: Plan,
        unreadable: &[Error],
        terminal: &Terminal,
    ) -> Result<Outcome> {
        let mut manifest = self.manifest.map(Manifest::open).transpose()?;
        let single = plan.items.len() == 1 && unreadable.is_empty();
        let remaining = resume(plan, manifest.as_mut(), self.existing, renderer)?;

        let mut tally = Tally { verb: self.verb, done: 0, failed: unreadable.len(), left_alone: 0 };
        unreadable.iter().for_each(|error| terminal.error(error));
        tally.left_alone = remaining.done.len() + remaining.skipped.len();
        let mut json = self.json;
        for item in remaining.done.iter().chain(&remaining.skipped) {
            let entry = Entry::skipped(item);
            json = json && try_print(&format!("{}\n", entry.to_line()?)).is_ok();
        }
        let mut progress = Progress::new(terminal, remaining.items.len());
        let result = run_batch(renderer, &remaining.items, self.jobs, interrupt::stop_flag(), |event| {
            show(&mut progress, &event);
            let Event::Finished(entry) = event else { return Ok(()) };
            if let Some(manifest) = &mut manifest {
                manifest.append(&entry)?;
            }
            tally.count(&entry);
            for warning in &entry.warnings {
                terminal.warn(format_args!("{}: {warning}", entry.input.display()));
            }
            if let Some(error) = &entry.error {
                terminal.error(error);
            }
            // A reader that has seen enough does not end the run.
            json = json && try_print(&format!("{}\n", entry.to_line()?)).is_ok();
            Ok(())
        });
        let (audio_s, took_s, speed) = (progress.audio_s(), progress.took_s(), progress.speed());
        drop(progress);
        if remaining.items.is_empty() || tally.done > 0 || !single {
            terminal.note(format_args!("{tally}: {audio_s:.2} s of sound in {took_s:.2} s ({speed:.1} x real time)"));
        }
        result?;
        Ok(tally.outcome())
    }
}

pub fn show(progress: &mut Progress, event: &Event) {
    match event {
        Event::Opened { audio_s } => progress.opened(*audio_s),
        Event::Advanced { audio_s } => progress.advanced(*audio_s),
        Event::Finished(_) => progress.finished_one(),
    }
}

/// What became of the items of a run.
struct Tally {
    verb: &'static str,
    done: usize,
    failed: usize,
    /// Done by a former run, or skipped.
    left_alone: usize,
}

impl Tally {
    fn count(&mut self, entry: &Entry) {
        match entry.status {
            Status::Failed => self.failed += 1,
            Status::Done | Status::Skipped => self.done += 1,
        }
    }

    fn outcome(&self) -> Outcome {
        match (self.failed, self.done + self.left_alone) {
            (0, _) => Outcome::Done,
            (_, 0) => Outcome::Failed,
            _ => Outcome::SomeFailed,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {}", self.done, self.verb)?;
        if self.left_alone > 0 {
            write!(f, ", {} there already", self.left_alone)?;
        }
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        Ok(())
    }
}
