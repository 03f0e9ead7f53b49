//! `audiodiff data`: recordings to train on.

use audiodiff::Result;
use clap::{Args, Subcommand};

use super::{Outcome, augment, terminal::Terminal};

/// Look after recordings to train on
#[derive(Args, Debug)]
pub struct DataFlags {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Augment(augment::AugmentFlags),
}

pub fn run(flags: DataFlags, terminal: &Terminal) -> Result<Outcome> {
    match flags.action {
        Action::Augment(flags) => augment::run(flags, terminal),
    }
}
