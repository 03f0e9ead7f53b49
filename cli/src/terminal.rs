//! What the user is told on standard error besides results: notes, warnings, details.

use std::io::{self, Write as _};

use audiodiff::{
    Error, Result,
    batch::LeftOut,
    printable::{Printable, printable},
};
use clap::{ArgAction, Args, builder::BoolishValueParser};
use indicatif::MultiProgress;

use crate::words::in_flags;

#[derive(Args, Debug, Clone, Default)]
pub struct Verbosity {
    /// Say nothing on standard error but errors
    #[arg(
        short,
        long,
        global = true,
        env = "AUDIODIFF_QUIET",
        value_parser = BoolishValueParser::new(),
        overrides_with = "verbose",
        help_heading = "Output to the terminal"
    )]
    pub quiet: bool,
    /// Say more on standard error
    #[arg(
        short,
        long,
        global = true,
        action = ArgAction::Count,
        overrides_with = "quiet",
        help_heading = "Output to the terminal"
    )]
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
        // Only the environment can ask for silence beside -v, and what is typed wins.
        let quiet = verbosity.quiet && verbosity.verbose == 0;
        Self { quiet, verbose: verbosity.verbose > 0, bars: MultiProgress::new() }
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

    /// What of folders was not taken.
    pub fn left_out(&self, left_out: &LeftOut) {
        left_out.sentences().iter().for_each(|sentence| self.warn(sentence));
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
        let _ = self.bars.suspend(|| writeln!(io::stderr(), "{}", in_flags(&Printable(text).to_string())));
    }
}

/// Prints what was asked for on standard output.
///
/// # Errors
/// [`Error::Io`].
pub fn print(text: &str) -> Result<()> {
    try_print(text).map_err(Error::io("cannot write", "standard output"))
}

/// As [`print`], for whoever goes on where nobody reads any more.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(printable(text).as_bytes())?;
    out.flush()
}
