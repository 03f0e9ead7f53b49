//! `audiodiff models`: what can be rendered with, and what is known of it.

use audiodiff::Result;
use clap::{Args, Subcommand};

use super::{
    Outcome,
    settings::{ModelChoice, wrong},
    terminal::Terminal,
};

/// List the models, or show what is known of one
#[derive(Args)]
pub struct ModelsFlags {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// The models that are there (the default)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the card of a model: sizes, mel convention, settings, data, licences
    Show {
        /// builtin, or the path of a model file
        model: ModelChoice,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(_flags: ModelsFlags, _terminal: &Terminal) -> Result<Outcome> {
    Err(wrong("models", "is not connected to the model yet", "wait for it"))
}
