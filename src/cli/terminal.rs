//! What the user is told on standard error besides results: notes, warnings, details.

use std::io::{self, Write as _};

use clap::{ArgAction, Args};
use indicatif::MultiProgress;

#[derive(Args, Debug, Clone, Default)]
pub struct Verbosity {
    /// Say nothing on standard error but errors
    #[arg(
        short,
        long,
        global = true,
        env = "AUDIODIFF_QUIET",
        conflicts_with = "verbose",
        help_heading = "Output to the terminal"
    )]
    pub quiet: bool,
    /// Say more on standard error
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output to the terminal")]
    pub verbose: u8,
}

/// Standard error with progress bars: a line printed while bars are shown moves them down, not through them.
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    bars: MultiProgress,
}

impl Terminal {
    pub fn new(verbosity: &Verbosity) -> Self {
        // Drawn on standard error, and only where that is a terminal; indicatif looks itself.
        Self { quiet: verbosity.quiet, verbose: verbosity.verbose > 0, bars: MultiProgress::new() }
    }

    /// The place for progress bars; hidden ones with -q or where standard error is no terminal.
    pub fn bars(&self) -> &MultiProgress {
        if self.quiet {
            self.bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        &self.bars
    }

    /// An error of one item, which does not end the run.
    pub fn error(&self, text: impl std::fmt::Display) {
        self.line(format_args!("audiodiff: {text}"));
    }

    /// Something that the user would want to have known.
    pub fn warn(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.line(format_args!("audiodiff: warning: {text}"));
        }
    }

    /// What was done.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.line(format_args!("{text}"));
        }
    }

    /// What only -v asks for.
    pub fn detail(&self, text: impl std::fmt::Display) {
        if self.verbose {
            self.line(format_args!("{text}"));
        }
    }

    fn line(&self, text: std::fmt::Arguments) {
        // indicatif panics where it cannot draw any more: the terminal's window was closed.
        if self.bars.clear().is_err() {
            self.bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        // A closed standard error is no reason to stop rendering.
        let _ = self.bars.suspend(|| writeln!(io::stderr(), "{text}"));
    }
}
