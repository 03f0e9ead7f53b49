//! `audiodiff man`: the manual pages, from the command line's own definition.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use audiodiff::{Error, Fault, Result, whole_file::WholeFile};
use clap::{Args, CommandFactory as _};

use crate::{Cli, Outcome};

/// Print the manual page (audiodiff man | man -l -)
#[derive(Args)]
pub struct ManFlags {
    /// The page of this subcommand
    command: Option<String>,
    /// Write all pages into this folder instead
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

pub fn run(flags: ManFlags) -> Result<Outcome> {
    let mut definition = without_help(Cli::command());
    definition.build();
    if let Some(folder) = flags.output {
        std::fs::create_dir_all(&folder).map_err(Error::io("cannot create", &folder))?;
        write_pages(&definition, &folder)?;
        return Ok(Outcome::Done);
    }
    let command = match &flags.command {
        None => definition,
        Some(name) => definition
            .find_subcommand(name)
            .ok_or_else(|| Error::Settings(Fault::new(name, "is no subcommand").remedy("see audiodiff --help")))?
            .clone(),
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Error::io("cannot make", "the manual page"))?;
    io::stdout().write_all(&page).map_err(Error::io("cannot write", "standard output"))?;
    Ok(Outcome::Done)
}

/// `audiodiff.1`, `audiodiff-render.1` and so on, in the place of those of another version.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, folder)?;
    }
    let page = clap_mangen::Man::new(command.clone());
    let path = folder.join(page.get_filename());
    let mut file = WholeFile::create(&path)?;
    page.render(&mut file).map_err(Error::io("cannot write", &path))?;
    file.finish()
}

/// A page on how to get help would be one more a command, and say nothing.
fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
