//! `audiodiff completions SHELL`: what a shell needs to complete this command line, from its own definition.

use std::io::{self, Write as _};

use audiodiff::{Error, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{Cli, Outcome};

/// Print the completions for a shell
#[derive(Args)]
pub struct CompletionsFlags {
    /// bash: put the text into ~/.local/share/bash-completion/completions/audiodiff
    shell: Shell,
}

pub fn run(flags: CompletionsFlags) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "audiodiff", &mut script);
    io::stdout().write_all(&script).map_err(Error::io("cannot write", "standard output"))?;
    Ok(Outcome::Done)
}
