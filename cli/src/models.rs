//! `audiodiff models`: what can be rendered with, and what is known of it.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    path::{Path, PathBuf},
};

use audiodiff::{
    Error, Result, families,
    mel::MelConvention,
    model::{
        Builtin, CardDifference, Change, GriffinLim, ModelCard, ModelDifference, ModelFile, Quality, Storage,
        TensorDifference, WeightFile, average,
    },
    number_range::NumberRange,
    output::Existing,
    printable::OneLine,
    whole_file::WholeFile,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    Outcome,
    settings::{ModelChoice, wrong},
    terminal::{Terminal, print},
};

/// List the models, show what is known of one, write one in another number type, average two, compare two
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
        /// builtin, builtin-44k, or the path of a model file
        model: ModelChoice,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    Export(ExportFlags),
    Average(AverageFlags),
    Diff(DiffFlags),
}

/// Write a model to a file of its own, its card included
#[derive(Args)]
struct ExportFlags {
    /// builtin, builtin-44k, or the path of a model file
    model: ModelChoice,
    /// Number type of the weights
    #[arg(long, value_enum, default_value = "safetensors")]
    to: ExportChoice,
    #[command(flatten)]
    file: NewFile,
}

/// Write the mean of two models, of one and of what it was refined to
///
/// Such a mean often renders better than either. The card is that of B.
#[derive(Args)]
struct AverageFlags {
    /// builtin, builtin-44k, or the path of a model file
    #[arg(value_name = "A")]
    first: ModelChoice,
    #[arg(value_name = "B")]
    second: ModelChoice,
    /// The share of B, 0 to 1
    #[arg(long, default_value_t = 0.5, value_parser = |text: &str| NumberRange::new(0.0, 1.0).parse(text))]
    weight: f64,
    /// Number type of the weights
    #[arg(long, value_enum, default_value = "half")]
    to: ExportChoice,
    #[command(flatten)]
    file: NewFile,
}

/// A model file that is written.
#[derive(Args)]
struct NewFile {
    /// Change an entry of the card, e.g. sampler.standard.steps=3 or name=my-voice; can be given more than once
    #[arg(long, value_name = "ENTRY=VALUE")]
    set: Vec<String>,
    /// The file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Overwrite the file where it is there already
    #[arg(short = 'y', long)]
    overwrite: bool,
}

impl NewFile {
    /// Where something may be written that is made of `models`.
    fn path(&self, models: &[&ModelChoice]) -> Result<&Path> {
        let inputs = models.iter().filter_map(|model| model.file());
        Existing::overwritten(self.overwrite).admits(&self.output, inputs)?;
        Ok(&self.output)
    }

    fn changed(&self, card: &ModelCard) -> Result<ModelCard> {
        let with = |card: ModelCard, set: &String| match set.split_once('=') {
            Some((entry, value)) => card.with(entry.trim(), value.trim()),
            None => Err(wrong("--set", format!("{set:?}"), "give ENTRY=VALUE")),
        };
        self.set.iter().try_fold(card.clone(), with)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportChoice {
    /// Single precision, for other programs and for training on
    Safetensors,
    /// Half precision: half the size, as the built-in model is kept
    Half,
}

impl From<ExportChoice> for Storage {
    fn from(choice: ExportChoice) -> Self {
        match choice {
            ExportChoice::Safetensors => Self::Single,
            ExportChoice::Half => Self::Half,
        }
    }
}

/// Compare the weights and the cards of two models
///
/// For each tensor: |B - A| / |A|, the cosine of the angle between the two, and the largest change of a weight. Weights are
/// compared as f32, whatever the files hold.
#[derive(Args)]
#[command(after_help = "Exit codes, as those of diff: 0 the same, 1 different, 2 one of them cannot be read.")]
struct DiffFlags {
    /// builtin, builtin-44k, or the path of a model file
    #[arg(value_name = "A")]
    first: ModelChoice,
    #[arg(value_name = "B")]
    second: ModelChoice,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(flags: ModelsFlags, terminal: &Terminal) -> Result<Outcome> {
    match flags.action.unwrap_or(Action::List { json: false }) {
        Action::List { json } => print(&list(json)?)?,
        Action::Show { model, json } => print(&show_any(&model, json)?)?,
        Action::Export(flags) => return export(&flags, terminal),
        Action::Average(flags) => return write_average(&flags, terminal),
        // A model that cannot be read is no difference.
        Action::Diff(flags) => {
            return diff(&flags).or_else(|error| match error {
                Error::Io { .. } | Error::Model(_) => {
                    terminal.error(error);
                    Ok(Outcome::WrongUsage)
                }
                error => Err(error),
            });
        }
    }
    Ok(Outcome::Done)
}

fn with_model<T>(choice: &ModelChoice, work: impl FnOnce(&ModelFile) -> Result<T>) -> Result<T> {
    match choice {
        ModelChoice::Auto => work(&ModelFile::builtin()?),
        ModelChoice::Builtin(model) => work(&model.file()?),
        ModelChoice::File(path) => work(&ModelFile::parse(&ModelFile::read(path)?, &path.display().to_string())?),
        ModelChoice::GriffinLim => {
            Err(wrong("griffin-lim", "has no weights and so no card", "see audiodiff models list"))
        }
    }
}

/// The same with a model of any family.
fn with_weights<T>(choice: &ModelChoice, work: impl FnOnce(&WeightFile) -> Result<T>) -> Result<T> {
    if let ModelChoice::File(path) = choice {
        let bytes = ModelFile::read(path)?;
        let file = WeightFile::parse(&bytes, &path.display().to_string())?;
        if families::card(&file)?.family != ModelCard::FAMILY {
            return work(&file);
        }
    }
    with_model(choice, |model| work(model))
}

fn export(flags: &ExportFlags, terminal: &Terminal) -> Result<Outcome> {
    let path = flags.file.path(&[&flags.model])?;
    let (bytes, change) = with_model(&flags.model, |model| {
        // What is damaged is not passed on.
        let mut loaded = model.loaded()?;
        loaded.card = flags.file.changed(&model.card)?;
        let bytes = loaded.bytes(flags.to.into())?;
        let written = ModelFile::parse(&bytes, "the file")?;
        let difference = ModelDifference::between(model, &written);
        let largest = difference.tensors.iter().filter_map(|tensor| tensor.change);
        Ok((bytes, largest.fold(0.0, |most: f64, change| most.max(change.relative))))
    })?;
    let rounded =
        if change > 0.0 { format!("; rounding changes no tensor by more than {change:.1e}") } else { "".into() };
    write(path, &bytes, &rounded, terminal)
}

fn write_average(flags: &AverageFlags, terminal: &Terminal) -> Result<Outcome> {
    let path = flags.file.path(&[&flags.first, &flags.second])?;
    let bytes = with_model(&flags.first, |first| {
        with_model(&flags.second, |second| {
            let mut mean = average(first, second, flags.weight)?;
            mean.card = flags.file.changed(&mean.card)?;
            mean.bytes(flags.to.into())
        })
    })?;
    write(path, &bytes, "", terminal)
}

fn write(path: &Path, bytes: &[u8], note: &str, terminal: &Terminal) -> Result<Outcome> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes).map_err(Error::io("cannot write", path))?;
    file.finish()?;
    terminal.note(format_args!("{}: {:.1} MB{note}", path.display(), bytes.len() as f64 / 1e6));
    Ok(Outcome::Done)
}

fn diff(flags: &DiffFlags) -> Result<Outcome> {
    let difference = with_weights(&flags.first, |first| {
        with_weights(&flags.second, |second| Ok(ModelDifference::between(first, second)))
    })?;
    print(&if flags.json { format!("{}\n", json!(difference)) } else { as_text(&difference) })?;
    Ok(if difference.is_none() { Outcome::Done } else { Outcome::Failed })
}

fn as_text(difference: &ModelDifference) -> String {
    let ModelDifference { tensors, card } = difference;
    if difference.is_none() {
        return format!("the same: {} tensors and the card\n", tensors.len());
    }
    let mut text = String::new();
    let mut differing: Vec<&TensorDifference> = tensors.iter().filter(|tensor| tensor.differs()).collect();
    let order = |tensor: &TensorDifference| {
        // First what cannot be told in numbers.
        let relative = tensor.change.map_or(f64::INFINITY, |change| change.relative);
        if relative.is_nan() { f64::INFINITY } else { relative }
    };
    differing.sort_by(|a, b| order(b).total_cmp(&order(a)));
    let width = differing.iter().map(|tensor| tensor.name.len()).max().unwrap_or_default().max(8);
    // Writing to a string cannot fail.
    if !differing.is_empty() {
        let _ = writeln!(text, "{:<width$} {:>10} {:>9} {:>10}", "tensor", "relative", "cosine", "largest");
    }
    for TensorDifference { name, first, second, change } in &differing {
        let _ = match (change, first, second) {
            (Some(Change { relative, cosine, largest }), ..) => {
                writeln!(text, "{name:<width$} {relative:>10.3e} {cosine:>9.6} {largest:>10.3e}")
            }
            (None, Some(a), Some(b)) => writeln!(text, "{name:<width$} {a:?} in the first, {b:?} in the second"),
            (None, Some(a), None) => writeln!(text, "{name:<width$} {a:?} in the first only"),
            (None, _, b) => writeln!(text, "{name:<width$} {:?} in the second only", b.as_deref().unwrap_or_default()),
        };
    }
    let _ = writeln!(text, "{} of {} tensors differ", differing.len(), tensors.len());
    for CardDifference { entry, first, second } in card {
        let _ = writeln!(text, "card: {entry}: {first} -> {second}");
    }
    text
}

fn list(json: bool) -> Result<String> {
    let builtin =
        Builtin::ALL.into_iter().map(|model| Ok((model.name(), model.file()?))).collect::<Result<Vec<_>>>()?;
    let mel = &builtin[0].1.card.mel;
    let baseline = format!(
        "{} iterations of fast Griffin-Lim, no network",
        GriffinLim::effort(Quality::Standard).final_iterations
    );
    if json {
        let mut models: Vec<_> = builtin
            .iter()
            .map(|(id, model)| {
                let ModelCard { name, mel, training, .. } = &model.card;
                json!({ "model": id, "name": name, "sample_rate": mel.sample_rate, "convention": mel.name,
                        "parameters": model.parameters(), "hours_of_audio": training.hours_of_audio })
            })
            .collect();
        models.push(json!({ "model": GriffinLim::ID, "name": baseline, "sample_rate": mel.sample_rate,
                            "convention": mel.name, "parameters": 0 }));
        return Ok(format!("{}\n", json!(models)));
    }
    let mut text = String::new();
    for (id, model) in &builtin {
        let ModelCard { name, mel, training, .. } = &model.card;
        let about = format!("{name}, {:.1} million weights, {} h of audio", millions(model), training.hours_of_audio);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id:<12} {} Hz  {about}", mel.sample_rate);
    }
    let _ = writeln!(text, "{:<12} {} Hz  {baseline}", GriffinLim::ID, mel.sample_rate);
    let _ = writeln!(text, "{:<12} a model file: audiodiff models show PATH", "PATH");
    Ok(text)
}

fn millions(model: &WeightFile) -> f64 {
    model.parameters() as f64 / 1e6
}

fn show_any(choice: &ModelChoice, json: bool) -> Result<String> {
    with_weights(choice, |file| match families::card(file)? {
        card if card.family == ModelCard::FAMILY => with_model(choice, |model| Ok(show(model, json))),
        _ if json => Ok(format!("{}\n", file.card_json())),
        card => Ok(show_family(file, &card)),
    })
}

/// A card line by line.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, name: &str, value: impl fmt::Display) {
        // Writing to a string cannot fail. A name of several lines is no more than a name.
        let _ = writeln!(self.0, "{name:<14} {}", OneLine(value));
    }

    fn mel(&mut self, mel: &MelConvention) {
        self.push("mel", format!("{}: {} bands, {} to {} Hz", mel.name, mel.n_mels, mel.f_min, mel.f_max));
        let floor = format!("floor {:e}", mel.floor);
        self.push("", format!("{} Hz, window {}, hop {}, {floor}", mel.sample_rate, mel.win_length, mel.hop));
    }
}

/// Of a family whose weights come from elsewhere: its sizes have the names of the original's configuration.
fn show_family(file: &WeightFile, card: &audiodiff::card::ModelCard) -> String {
    let mut lines = Lines::default();
    lines.push("model", format!("{} ({})", card.name, file.subject()));
    lines.push("family", &card.family);
    lines.push("weights", format!("{:.1} million", millions(file)));
    for (i, (key, value)) in card.architecture.as_object().into_iter().flatten().enumerate() {
        lines.push(if i == 0 { "architecture" } else { "" }, format!("{key} {value}"));
    }
    lines.mel(&card.mel);
    lines.push("quality", "one: draft, standard and best are the same");
    for (name, value) in [("made by", &card.training.recipe), ("licence", &card.licenses.weights)] {
        if !value.is_empty() {
            lines.push(name, value);
        }
    }
    lines.0
}

pub fn show(model: &ModelFile, json: bool) -> String {
    let card = &model.card;
    if json {
        return format!("{}\n", json!(card));
    }
    let mut lines = Lines::default();
    let mut line = |name: &str, value: String| lines.push(name, value);
    line("model", format!("{} ({})", card.name, model.subject()));
    line("weights", format!("{:.1} million", millions(model)));
    let (encoder, denoiser) = (card.encoder, card.denoiser);
    line("encoder", format!("{} blocks of {} channels", encoder.layers, encoder.channels));
    let stft = format!("STFT {} / {}", denoiser.n_fft, denoiser.hop);
    line("denoiser", format!("{} blocks of {} channels, {stft}", denoiser.layers, denoiser.channels));
    if let Some(refiner) = card.refiner {
        let size = format!("{} blocks of {} channels", refiner.layers, refiner.channels);
        line("refiner", format!("{size}, for mels of other conventions"));
    }
    lines.mel(&card.mel);
    let mut line = |name: &str, value: String| lines.push(name, value);
    for (name, effort) in
        [("draft", card.sampler.draft), ("standard", card.sampler.standard), ("best", card.sampler.best)]
    {
        line(name, effort.settings(0).to_string());
    }
    let training = &card.training;
    line("trained on", format!("{} h of audio: {}", training.hours_of_audio, training.recipe));
    if training.steps > 0 {
        let steps = format!("{} steps in {:.0} minutes on {}", training.steps, training.minutes, training.machine);
        line("", steps);
    }
    for data in &training.data {
        line("", data.clone());
    }
    for (name, score) in &training.scores {
        line("score", format!("{name} {score}"));
    }
    line("licences", format!("code {}", card.licenses.code));
    line("", format!("weights {}", card.licenses.weights));
    line("", format!("data {}", card.licenses.data));
    lines.0
}
