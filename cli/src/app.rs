//! The command line: one file a subcommand. Flags as typed are one struct, what the work needs another; the work itself
//! is the library's.

use std::{borrow::Cow, ffi::OsString, io, io::Write as _, process::ExitCode};

use audiodiff::{
    Error, Result,
    printable::{Printable, printable},
};
use clap::{Parser, Subcommand};

use crate::{
    completions, data, devices, doctor, eval, inspect, man, mel, models, play, render,
    terminal::{Terminal, Verbosity},
    train,
    words::in_flags,
};

const EXIT_CODES: &str = "\
Exit codes: 0 all well, 1 failed, 2 wrong usage, 3 some items of several failed or must be fixed, 130 interrupted.
Every option with [env: AUDIODIFF_...] can be set there; an option given on the command line wins, an empty variable is
none.";

/// Renders mel spectrograms to sound by diffusion
#[derive(Parser)]
#[command(name = "audiodiff", version, after_help = EXIT_CODES, max_term_width = 120)]
#[command(
    args_override_self = true,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Render(render::RenderFlags),
    Play(play::PlayFlags),
    Devices(devices::DevicesFlags),
    Mel(mel::MelFlags),
    Eval(Box<eval::EvalFlags>),
    Inspect(Box<inspect::InspectFlags>),
    Models(models::ModelsFlags),
    Train(train::TrainFlags),
    Data(data::DataFlags),
    Doctor(doctor::DoctorFlags),
    Completions(completions::CompletionsFlags),
    Man(man::ManFlags),
}

/// Runs the chosen subcommand.
pub fn run(cli: Cli) -> Result<Outcome> {
    let terminal = Terminal::new(&cli.verbosity);
    match cli.command {
        Command::Render(flags) => render::run(flags, &terminal),
        Command::Play(flags) => play::run(flags, &terminal),
        Command::Devices(flags) => devices::run(flags),
        Command::Mel(flags) => mel::run(flags, &terminal),
        Command::Eval(flags) => eval::run(&flags, &terminal),
        Command::Inspect(flags) => inspect::run(&flags, &terminal),
        Command::Train(flags) => train::run(flags, &terminal),
        Command::Models(flags) => models::run(flags, &terminal),
        Command::Data(flags) => data::run(flags, &terminal),
        Command::Doctor(flags) => doctor::run(&flags),
        Command::Completions(flags) => completions::run(flags),
        Command::Man(flags) => man::run(flags),
    }
}

/// How a command ended, as far as the exit code tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done = 0,
    Failed = 1,
    WrongUsage = 2,
    SomeFailed = 3,
    /// 128 + SIGINT, as shells count it.
    Interrupted = 130,
}

impl Outcome {
    /// What an error that ended the command means for the exit code. A reader that closed its end of a pipe has all it
    /// wanted: that is `Done`.
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Self::Done,
            Error::Settings(_) => Self::WrongUsage,
            Error::Interrupted => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

/// Prints an error the way every one is printed, once, on standard error.
pub fn report_error(error: &Error) {
    // Where standard error is closed too there is nobody left to tell.
    let _ = writeln!(io::stderr(), "audiodiff: {}", in_flags(&Printable(error).to_string()));
}

/// Prints clap's help, or what it says is wrong, without the power over the terminal that an argument may have.
pub fn report_usage(error: &clap::Error) {
    let plain = error.render().to_string();
    // Help into a pipe that is closed already is no failure.
    let _ = match printable(&plain) {
        // With its colours.
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(harmless) => write!(io::stderr(), "{harmless}"),
    };
}

/// Takes the variables `AUDIODIFF_...` that are empty out of the environment: a compose file or a CI job sets every one
/// that it knows of, and leaves empty what it has nothing to say of.
///
/// # Safety
/// No other thread may run yet.
pub unsafe fn forget_empty_variables() {
    let is_empty = |(name, value): &(OsString, OsString)| {
        value.is_empty() && name.to_str().is_some_and(|name| name.starts_with("AUDIODIFF_"))
    };
    for (name, _) in std::env::vars_os().filter(is_empty).collect::<Vec<_>>() {
        // SAFETY: by the caller's word nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
}

/// Long options with the underscores of Python programs turned into hyphens: `--final_iterations 8` works.
pub fn hyphenated(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut options_ended = false;
    arguments.map(move |argument| {
        options_ended |= argument == "--";
        match argument.to_str() {
            Some(text) if text.starts_with("--") && !options_ended => match text.split_once('=') {
                Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
                None => text.replace('_', "-").into(),
            },
            _ => argument,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn underscores_become_hyphens_in_option_names_only() {
        let typed = ["audiodiff", "render", "my_mel.npy", "--final_iterations=4", "--manifest=a_b", "--", "--a_b"];
        let read: Vec<OsString> = hyphenated(typed.iter().map(OsString::from)).collect();
        let wanted = ["audiodiff", "render", "my_mel.npy", "--final-iterations=4", "--manifest=a_b", "--", "--a_b"];
        assert_eq!(read, wanted.map(OsString::from));
    }
}
