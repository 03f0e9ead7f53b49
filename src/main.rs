//! The program: parse, run, print the error once, choose the exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    keep_freed_memory();
    // SAFETY: this is the only thread.
    unsafe { cli::forget_empty_variables() };
    let arguments = cli::hyphenated(std::env::args_os());
    let cli = match cli::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            cli::report_usage(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Err(error) = cli::interrupt::install() {
        cli::report_error(&error);
        return cli::Outcome::Failed.into();
    }
    match cli::run(cli) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            let outcome = cli::Outcome::of_error(&error);
            if outcome != cli::Outcome::Done {
                cli::report_error(&error);
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
