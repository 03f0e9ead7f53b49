//! `audiodiff models`: what can be rendered with, and what is known of it.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use audiodiff::{
    Error, Result,
    model::{BUILTIN_NAME, Effort, GriffinLim, ModelCard, ModelFile},
};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Outcome,
    settings::{ModelChoice, wrong},
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

pub fn run(flags: ModelsFlags) -> Result<Outcome> {
    let text = match flags.action.unwrap_or(Action::List { json: false }) {
        Action::List { json } => list(json)?,
        Action::Show { model: ModelChoice::Builtin, json } => show(&ModelFile::builtin()?, json),
        Action::Show { model: ModelChoice::File(path), json } => {
            show(&ModelFile::parse(&read(&path)?, &path.display().to_string())?, json)
        }
        Action::Show { model: ModelChoice::GriffinLim, .. } => {
            return Err(wrong("griffin-lim", "has no weights and so no card", "see audiodiff models list"));
        }
    };
    io::stdout().write_all(text.as_bytes()).map_err(Error::io("cannot write", "standard output"))?;
    Ok(Outcome::Done)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io("cannot read the model", path))
}

fn list(json: bool) -> Result<String> {
    let builtin = ModelFile::builtin()?;
    let ModelCard { name, mel, training, .. } = &builtin.card;
    let baseline = format!("{} iterations of fast Griffin-Lim, no network", GriffinLim::EFFORT.final_iterations);
    if json {
        let models = json!([
            { "model": BUILTIN_NAME, "name": name, "sample_rate": mel.sample_rate, "convention": mel.name,
              "parameters": builtin.parameters(), "hours_of_audio": training.hours_of_audio },
            { "model": GriffinLim::ID, "name": baseline, "sample_rate": mel.sample_rate, "convention": mel.name,
              "parameters": 0 },
        ]);
        return Ok(format!("{models}\n"));
    }
    let about = format!("{name}, {:.1} million weights, {} h of audio", millions(&builtin), training.hours_of_audio);
    Ok(format!(
        "{BUILTIN_NAME:<12} {} Hz  {about}\n{:<12} {} Hz  {baseline}\n{:<12} a model file: audiodiff models show PATH\n",
        mel.sample_rate,
        GriffinLim::ID,
        mel.sample_rate,
        "PATH"
    ))
}

fn millions(model: &ModelFile) -> f64 {
    model.parameters() as f64 / 1e6
}

fn show(model: &ModelFile, json: bool) -> String {
    let card = &model.card;
    if json {
        return format!("{}\n", json!(card));
    }
    // Writing to a string cannot fail.
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<14} {value}");
    };
    line("model", format!("{} ({})", card.name, model.subject()));
    line("weights", format!("{:.1} million", millions(model)));
    let (encoder, denoiser) = (card.encoder, card.denoiser);
    line("encoder", format!("{} blocks of {} channels", encoder.layers, encoder.channels));
    let stft = format!("STFT {} / {}", denoiser.n_fft, denoiser.hop);
    line("denoiser", format!("{} blocks of {} channels, {stft}", denoiser.layers, denoiser.channels));
    let mel = &card.mel;
    line("mel", format!("{}: {} bands, {} to {} Hz", mel.name, mel.n_mels, mel.f_min, mel.f_max));
    line("", format!("{} Hz, window {}, hop {}, floor {:e}", mel.sample_rate, mel.win_length, mel.hop, mel.floor));
    for (name, Effort { steps, iterations, final_iterations }) in
        [("draft", card.sampler.draft), ("standard", card.sampler.standard), ("best", card.sampler.best)]
    {
        line(name, format!("{steps} steps, {iterations} iterations, {final_iterations} in the last"));
    }
    let training = &card.training;
    line("trained on", format!("{} h of audio: {}", training.hours_of_audio, training.recipe));
    for data in &training.data {
        line("", data.clone());
    }
    for (name, score) in &training.scores {
        line("score", format!("{name} {score}"));
    }
    line("licences", format!("code {}", card.licenses.code));
    line("", format!("weights {}", card.licenses.weights));
    line("", format!("data {}", card.licenses.data));
    text
}
