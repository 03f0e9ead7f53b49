//! The program: parse, run, print the error once, choose the exit code.

mod app;
mod augment;
mod completions;
mod data;
mod data_check;
mod devices;
mod doctor;
mod eval;
mod eval_table;
mod inspect;
mod interrupt;
mod items;
mod keys;
mod man;
mod mel;
mod models;
mod play;
mod progress;
mod render;
mod render_live;
mod settings;
mod terminal;
mod train;
mod words;

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use app::{Cli, Outcome, report_error};
use audiodiff::Error;
use clap::Parser as _;

fn main() -> ExitCode {
    keep_freed_memory();
    // SAFETY: this is the only thread.
    unsafe { app::forget_empty_variables() };
    outlive_size_limits();
    be_quiet_about_panics();
    let arguments = app::hyphenated(std::env::args_os());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            app::report_usage(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Err(error) = interrupt::install() {
        report_error(&error);
        return Outcome::Failed.into();
    }
    let result = panic::catch_unwind(AssertUnwindSafe(|| app::run(cli)));
    match result.unwrap_or_else(|panic| Err(Error::bug("this command", &*panic))) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            let outcome = Outcome::of_error(&error);
            if outcome != Outcome::Done {
                report_error(&error);
            }
            outcome.into()
        }
    }
}

/// A window's tensors are freed and asked for again a hundred times a second. By default glibc returns each to the system,
/// which then clears the pages anew: an eighth of the time of a rendering.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings of the allocator, made before any other thread runs.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 20);
    }
}

/// A file that grows over `ulimit -f` is an error of that file, as a full disk is, and no reason to be killed.
fn outlive_size_limits() {
    #[cfg(unix)]
    // SAFETY: ignoring a signal runs nothing of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// A panic is caught and told as every error is, in a sentence; where it came from is for those who ask.
fn be_quiet_about_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|wanted| wanted.is_empty() || wanted == "0") {
        panic::set_hook(Box::new(|_| {}));
    }
}
