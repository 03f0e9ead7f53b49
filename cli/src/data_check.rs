//! `audiodiff data check`: what is wrong with recordings to train on.

use std::{fmt::Write as _, io, path::PathBuf};

use audiodiff::{
    Error, Result,
    data::{Concern, FileReport, FolderCheck, Recordings, Spread, Summary},
};
use clap::Args;
use serde_json::json;

use crate::{
    Outcome, interrupt,
    progress::Progress,
    terminal::{Terminal, print},
};

/// Say what is wrong with recordings, and what training would leave out
#[derive(Args, Debug)]
#[command(after_help = "\
Looked for: broken files, clipping, silence, DC offset, hum of 50 or 60 Hz, material of a lower rate stored at a higher one, \
low-passes of lossy formats, channels that cancel, noise, outliers of loudness, copies (also in another \
format, at another rate or gain). Exit code 3 where something must be fixed before a model is trained on it.")]
pub struct CheckFlags {
    /// Folders, searched in every depth, or recordings
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Print a JSON object for each file and one for all of them
    #[arg(long)]
    json: bool,
    /// Files looked at at the same time; the processor's cores where not given
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_JOBS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
}

pub fn run(flags: &CheckFlags, terminal: &Terminal) -> Result<Outcome> {
    let Recordings { files, unreadable, left_out } = Recordings::of(&flags.paths);
    terminal.left_out(&left_out);
    unreadable.iter().for_each(|error| terminal.error(error));
    if files.is_empty() {
        return Ok(Outcome::Failed);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = flags.jobs.map_or(cores, |jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
    let mut progress = Progress::new(terminal, files.len());
    let check = FolderCheck { files, jobs };
    let result = check.run(interrupt::stop_flag(), |report| {
        progress.advanced(report.measures.as_ref().map_or(0.0, |measures| measures.seconds));
        progress.finished_one();
    });
    let (audio_s, took_s, speed) = (progress.audio_s(), progress.took_s(), progress.speed());
    drop(progress);
    let (reports, summary) = result?;
    let text = if flags.json { json_lines(&reports, &summary)? } else { text(&reports, &summary) };
    print(&text)?;
    terminal.note(format_args!("{audio_s:.1} s of sound in {took_s:.2} s ({speed:.0} x real time)"));
    Ok(if summary.to_fix > 0 || !unreadable.is_empty() { Outcome::SomeFailed } else { Outcome::Done })
}

fn json_lines(reports: &[FileReport], summary: &Summary) -> Result<String> {
    let mut text = String::new();
    let lines =
        reports.iter().map(serde_json::to_string).chain([serde_json::to_string(&json!({ "summary": summary }))]);
    for line in lines {
        text += &line.map_err(|error| Error::io("cannot write", "standard output")(io::Error::other(error)))?;
        text += "\n";
    }
    Ok(text)
}

fn text(reports: &[FileReport], summary: &Summary) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let amounts = |amounts: Vec<(String, audiodiff::data::Amount)>| {
        amounts.into_iter().map(|(name, amount)| format!("{name}: {}", of(amount))).collect::<Vec<_>>().join(", ")
    };
    line("recordings", of(summary.readable));
    line("rates", amounts(summary.rates.iter().map(|(rate, amount)| (format!("{rate} Hz"), *amount)).collect()));
    line("channels", amounts(summary.channels.iter().map(|(count, amount)| (channels(*count), *amount)).collect()));
    line("silence", format!("{:.0} % of the time", 100.0 * summary.silence_share));
    let spread = |spread: Option<Spread>, unit: &str| match spread {
        Some(s) => format!("{:.1} {unit} (from {:.1} to {:.1})", s.median, s.lowest, s.highest),
        None => "none could be measured".into(),
    };
    let deviation =
        summary.loudness_lufs.map_or(String::new(), |s| format!(", standard deviation {:.1} LU", s.deviation));
    line("loudness", spread(summary.loudness_lufs, "LUFS") + &deviation);
    line("noise floor", spread(summary.noise_floor_dbfs, "dBFS"));
    let in_khz = |s: Spread| Spread {
        lowest: s.lowest / 1e3,
        median: s.median / 1e3,
        highest: s.highest / 1e3,
        deviation: s.deviation / 1e3,
    };
    line("bandwidth", spread(summary.bandwidth_hz.map(in_khz), "kHz"));
    for (title, must) in [("\nTo be fixed", true), ("\nWorth knowing", false)] {
        list(&mut text, title, reports, must);
    }
    let dropped = summary.dropped.iter().map(|(reason, amount)| format!("{} {}", reason.name(), of(*amount)));
    let dropped: Vec<_> = dropped.collect();
    let dropped = if dropped.is_empty() { "nothing".into() } else { dropped.join(", ") };
    let _ = writeln!(text, "\nTraining takes {}, and drops {dropped}.", of(summary.taken));
    if summary.to_fix > 0 {
        let counts = summary.findings.iter().filter(|(concern, _)| concern.must_be_fixed());
        let counts: Vec<_> = counts.map(|(concern, count)| format!("{count} {}", concern.name())).collect();
        let _ = writeln!(text, "{} files have something to fix: {}.", summary.to_fix, counts.join(", "));
    }
    text
}

/// Files that are named for one concern; the rest is counted.
const MOST_LINES: usize = 20;

/// The findings of one kind, file by file under each concern.
fn list(text: &mut String, title: &str, reports: &[FileReport], must_be_fixed: bool) {
    let all = || reports.iter().flat_map(|report| report.findings.iter().map(move |finding| (report, finding)));
    let mut concerns: Vec<Concern> = all()
        .filter(|(_, finding)| finding.must_be_fixed == must_be_fixed)
        .map(|(_, finding)| finding.concern)
        .collect();
    concerns.sort();
    concerns.dedup();
    if !concerns.is_empty() {
        let _ = writeln!(text, "{title}");
    }
    for concern in concerns {
        let of_concern: Vec<_> = all().filter(|(_, finding)| finding.concern == concern).collect();
        let _ = writeln!(text, "  {} ({})", concern.name(), of_concern.len());
        for (report, finding) in of_concern.iter().take(MOST_LINES) {
            let _ = writeln!(text, "    {}: {}", report.file.display(), finding.message);
        }
        if of_concern.len() > MOST_LINES {
            let _ = writeln!(text, "    and {} more, which --json names", of_concern.len() - MOST_LINES);
        }
    }
}

fn of(amount: audiodiff::data::Amount) -> String {
    let files = if amount.files == 1 { "1 file".into() } else { format!("{} files", amount.files) };
    match amount.seconds {
        seconds if seconds < 600.0 => format!("{files} ({seconds:.1} s)"),
        seconds => format!("{files} ({:.2} h)", seconds / 3600.0),
    }
}

fn channels(count: usize) -> String {
    match count {
        1 => "mono".into(),
        2 => "stereo".into(),
        _ => format!("{count} channels"),
    }
}
