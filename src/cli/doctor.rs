//! `audiodiff doctor`: what the program found on this machine, what is missing, and the command that mends it.

use audiodiff::Result;
use clap::Args;

use super::{Outcome, settings::wrong, terminal::Terminal};

/// Say which library, devices, processor features and model were found, and what is missing
#[derive(Args)]
pub struct DoctorFlags {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(_flags: DoctorFlags, _terminal: &Terminal) -> Result<Outcome> {
    Err(wrong("doctor", "is not written yet", "wait for it"))
}
