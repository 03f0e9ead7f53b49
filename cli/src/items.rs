//! Making the items of a plan: what is done is left alone, progress is shown, a record kept, and the run summed up.

use std::{io, path::PathBuf};

use audiodiff::{
    Error, Result,
    audio::SampleFormat,
    batch::{Entry, Event, Existing, Manifest, Plan, RenderItem, Status, resume, run as run_batch},
};

use crate::{
    Outcome, interrupt,
    progress::Progress,
    settings::wrong,
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
    /// Of outputs without a header: their readers have to be told it, and the rate.
    pub raw: Option<SampleFormat>,
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
        if let Some(manifest) = self.manifest.filter(|manifest| plan.names(manifest)) {
            return Err(wrong(
                "--manifest",
                format!("{} is an input or an output", manifest.display()),
                "name another file",
            ));
        }
        let mut manifest = self.manifest.map(Manifest::open).transpose()?;
        let single = plan.items.len() == 1 && unreadable.is_empty();
        let remaining = resume(plan, manifest.as_mut(), self.existing, renderer)?;

        let mut tally = Tally { verb: self.verb, done: 0, failed: unreadable.len(), left_alone: 0 };
        unreadable.iter().for_each(|error| terminal.error(error));
        tally.left_alone = remaining.done.len() + remaining.skipped.len();
        let mut lines = JsonOutput { wanted: self.json, error: None };
        for item in remaining.done.iter().chain(&remaining.skipped) {
            lines.print(&Entry::skipped(item))?;
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
            if let (Some(format), Some(rate)) = (self.raw, entry.rate) {
                terminal.note(raw_format(format, rate, entry.channels.unwrap_or(1)));
            }
            lines.print(&entry)
        });
        let (audio_s, took_s, speed) = (progress.audio_s(), progress.took_s(), progress.speed());
        drop(progress);
        if remaining.items.is_empty() || tally.done > 0 || !single {
            terminal.note(format_args!("{tally}: {audio_s:.2} s of sound in {took_s:.2} s ({speed:.1} x real time)"));
        }
        result?;
        lines.error.map_or(Ok(tally.outcome()), Err)
    }
}

/// A line of JSON for each item on standard output. What stands in its way does not end the run, whose work is files.
struct JsonOutput {
    wanted: bool,
    /// Why lines were lost; a reader that has seen enough is no reason to complain.
    error: Option<Error>,
}

impl JsonOutput {
    fn print(&mut self, entry: &Entry) -> Result<()> {
        if !self.wanted {
            return Ok(());
        }
        if let Err(error) = try_print(&format!("{}\n", entry.to_line()?)) {
            self.wanted = false;
            self.error = Some(error)
                .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
                .map(Error::io("cannot write", "standard output"));
        }
        Ok(())
    }
}

/// What the reader of bare samples has to be told: `s16le 24000 1`.
pub fn raw_format(format: SampleFormat, rate: u32, channels: usize) -> String {
    format!("{} {rate} {channels}", format.raw_name())
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
