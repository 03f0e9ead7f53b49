//! `audiodiff data`: recordings to train on.

use audiodiff::Result;
use clap::{Args, Subcommand};

use crate::{Outcome, augment, data_check, terminal::Terminal};

/// Look after recordings to train on
#[derive(Args, Debug)]
pub struct DataFlags {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Check(data_check::CheckFlags),
    Augment(Box<augment::AugmentFlags>),
}

pub fn run(flags: DataFlags, terminal: &Terminal) -> Result<Outcome> {
    match flags.action {
        Action::Check(flags) => data_check::run(&flags, terminal),
        Action::Augment(flags) => augment::run(*flags, terminal),
    }
}
