//! `audiodiff train`: from recordings to a model file.

use std::path::{Path, PathBuf};

use audiodiff::{
    Error, Result,
    batch::left_out,
    model::DeviceChoice,
    number_range::NumberRange,
    output::keep_off_inputs,
    train::{Event, Length, Phase, TrainFigures, TrainJob, TrainSettings, Trained, ValidationFigures, train},
};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    Outcome, interrupt,
    mel::named_convention,
    settings::{ModelChoice, PrecisionChoice, wrong},
    terminal::{Terminal, print},
};

/// Train a model on recordings, from new weights or from those of another model; the same command goes on after a crash
#[derive(Args, Debug)]
pub struct TrainFlags {
    /// A folder of recordings of any format and rate; may be given several times
    #[arg(long, required_unless_present = "print_config", num_args = 1.., value_name = "DIR")]
    data: Vec<PathBuf>,
    /// The folder for the models, the checkpoint, figures and curves
    #[arg(short, long, visible_alias = "output", required_unless_present = "print_config", value_name = "RUN")]
    out: Option<PathBuf>,
    /// Where to begin: builtin, or the path of a model file; new weights where not given
    #[arg(long, value_name = "builtin|PATH")]
    init: Option<ModelChoice>,
    /// The mel of a new model, centred: a preset or a file (see `audiodiff mel conventions`); with --init, the weights of that
    /// model are taken over as far as their shapes go
    #[arg(long, value_name = "CONVENTION")]
    mel: Option<String>,
    /// What is learned; where not given, few-step with --init and flow without
    #[arg(long, value_enum)]
    phase: Option<PhaseChoice>,
    /// Minutes to train; the learning rate falls over them [default: 60]
    #[arg(long, conflicts_with = "steps", value_name = "M", value_parser = |text: &str| MINUTES.parse(text))]
    minutes: Option<f64>,
    /// Optimiser steps to train, in place of minutes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// A TOML file with settings (see --print-config)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Begin anew where RUN holds models but no state to go on from
    #[arg(short = 'y', long)]
    overwrite: bool,
    /// Print the settings as TOML and end
    #[arg(long)]
    print_config: bool,

    /// Recordings that never train and by which the best model is chosen; a share of --data, file by file, where not given
    #[arg(long, num_args = 1.., value_name = "DIR", help_heading = "Validation")]
    validation: Vec<PathBuf>,
    /// Stop after so many validations without a better one; 0 never stops
    #[arg(long, value_name = "N", help_heading = "Validation")]
    patience: Option<usize>,

    /// Windows a step
    #[arg(long, value_name = "N", help_heading = "Recipe", value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: Option<u64>,
    /// The highest learning rate [default: 1e-3 for new weights, 5e-4 from --init]
    #[arg(long, value_name = "RATE", help_heading = "Recipe")]
    learning_rate: Option<f64>,
    /// Seed of the weights, the windows and the noise
    #[arg(long, value_name = "S", help_heading = "Recipe")]
    seed: Option<u64>,

    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", env = "AUDIODIFF_DEVICE", help_heading = "Machine")]
    device: DeviceChoice,
    /// Number type of the products; auto takes bf16 where the processor computes in it
    #[arg(long, value_enum, default_value = "auto", env = "AUDIODIFF_PRECISION", help_heading = "Machine")]
    precision: PrecisionChoice,
    /// Threads that compute; as many as there are cores where not given
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_THREADS", help_heading = "Machine", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,

    /// The name of the model
    #[arg(long, help_heading = "Card")]
    name: Option<String>,
    /// The licence of the recordings, for the model's card
    #[arg(long, value_name = "LICENCE", help_heading = "Card")]
    data_license: Option<String>,

    /// Print a line of JSON for each validation, and one at the end
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PhaseChoice {
    /// The clean waveform from any point of the path: new models begin so
    Flow,
    /// The rendering after few steps with the projection in the loop: refines a model that flows already
    FewStep,
    /// Mels of other conventions: the model stays as it is and learns to hear what their bands have blurred
    Conversion,
}

impl From<PhaseChoice> for Phase {
    fn from(choice: PhaseChoice) -> Self {
        match choice {
            PhaseChoice::Flow => Self::Flow,
            PhaseChoice::FewStep => Self::FewStep,
            PhaseChoice::Conversion => Self::Conversion,
        }
    }
}

/// Up to a year.
const MINUTES: NumberRange = NumberRange::new(0.001, 525_600.0);

pub fn run(flags: TrainFlags, terminal: &Terminal) -> Result<Outcome> {
    let settings = flags.settings()?;
    if flags.print_config {
        print(&settings.to_toml()?)?;
        return Ok(Outcome::Done);
    }
    let json = flags.json;
    let job = flags.job(settings, terminal)?;
    terminal.left_out(&left_out(job.data.iter().chain(&job.validation_data).map(PathBuf::as_path)));
    let mut report = Report::new(terminal, json);
    let trained = train(&job, interrupt::saving_stop_flag(), &mut |event| report.hear(event))?;
    report.end(&job, &trained)?;
    Ok(if trained.interrupted { Outcome::Interrupted } else { Outcome::Done })
}

impl TrainFlags {
    fn settings(&self) -> Result<TrainSettings> {
        let phase = self.phase.map(Phase::from);
        // Flow matching would first undo what few steps were refined to.
        // A model of another mel has nothing to refine yet.
        let refines = self.init.is_some() && self.mel.is_none();
        let otherwise = if refines { Phase::FewStep } else { Phase::Flow };
        let defaults = if refines { TrainSettings::refining } else { TrainSettings::of };
        let mut settings = match &self.config {
            Some(path) => TrainSettings::read(path, phase, otherwise, defaults)?,
            None => defaults(phase.unwrap_or(otherwise)),
        };
        if let Some(batch) = self.batch {
            settings.batch = batch as usize;
        }
        if let Some(rate) = self.learning_rate {
            settings.learning_rate = rate;
        }
        if let Some(seed) = self.seed {
            settings.seed = seed;
        }
        if let Some(patience) = self.patience {
            settings.validation.patience = patience;
        }
        settings.validated()
    }

    fn job(self, settings: TrainSettings, terminal: &Terminal) -> Result<TrainJob> {
        let init = match self.init {
            None if settings.phase != Phase::Flow => {
                return Err(wrong(
                    &format!("--phase {}", settings.phase),
                    "refines a model, and none was given",
                    "give --init builtin or a model file",
                ));
            }
            None => None,
            Some(ModelChoice::Auto) => {
                return Err(wrong("--init auto", "is no model", "give builtin, builtin-44k or a model file"));
            }
            Some(ModelChoice::Builtin(model)) => Some((model.bytes()?.to_vec(), model.name().into())),
            Some(ModelChoice::GriffinLim) => {
                return Err(wrong("--init griffin-lim", "has no weights", "give builtin or a model file"));
            }
            Some(ModelChoice::File(path)) => {
                for written in ["best.safetensors", "last.safetensors"] {
                    keep_off_inputs(&self.out.as_deref().unwrap_or(Path::new("")).join(written), [&path])?;
                }
                let bytes = std::fs::read(&path).map_err(Error::io("cannot read the model", &path))?;
                Some((bytes, path.display().to_string()))
            }
        };
        let mel = self.mel.as_deref().map(|name| named_convention(name, terminal)).transpose()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(TrainJob {
            data: self.data,
            validation_data: self.validation,
            out: self.out.unwrap_or_default(),
            overwrite: self.overwrite,
            init,
            mel,
            settings,
            length: self.steps.map_or_else(|| Length::Minutes(self.minutes.unwrap_or(60.0)), Length::Steps),
            device: self.device,
            precision: self.precision.into(),
            threads: self.threads.map_or(cores, |threads| threads as usize),
            name: self.name,
            data_license: self.data_license,
        })
    }
}

/// Thousandths of the training.
const WHOLE: u64 = 1000;

/// What the user sees of a training.
struct Report<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    json: bool,
    kept_apart: usize,
}

impl<'a> Report<'a> {
    fn new(terminal: &'a Terminal, json: bool) -> Self {
        let bar = terminal
            .bars()
            .add(ProgressBar::new(WHOLE).with_style(style("{wide_bar:.cyan/blue} {percent:>3} %  {msg}")));
        Self { terminal, bar, json, kept_apart: 0 }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Reading { done, files } => {
                self.bar.set_position(WHOLE * done as u64 / files.max(1) as u64);
                self.bar.set_message(format!("reading recordings, {done} of {files}"));
            }
            Event::Ready { hours, files, kept_apart, narrow, dropped, step, parameters, decoded: (folder, bytes) } => {
                self.kept_apart = kept_apart;
                for dropped in dropped {
                    self.terminal.warn(format_args!("{}: dropped: {}", dropped.path.display(), dropped.reason));
                }
                let goes_on = if step > 0 { format!(", going on at step {step}") } else { String::new() };
                self.terminal.note(format_args!(
                    "{hours:.2} h in {files} recordings train, {kept_apart} are kept apart, {:.1} million weights{goes_on}",
                    parameters as f64 / 1e6
                ));
                if narrow.files > 0 {
                    let [low, high] = [narrow.reach_hz.0, narrow.reach_hz.1].map(|hz| f64::from(hz) / 1000.0);
                    let ends = if high - low < 0.1 { format!("{low:.1}") } else { format!("{low:.1} to {high:.1}") };
                    let (have, them) = if narrow.files == 1 { ("has", "it") } else { ("have", "them") };
                    self.terminal.note(format_args!(
                        "{} of them {have} nothing above {ends} kHz, and of what lies there nothing is learned from {them}",
                        narrow.files
                    ));
                }
                self.terminal.note(format_args!(
                    "decoded they take {:.1} MB in {}, which may be removed when the training is done",
                    bytes as f64 / 1e6,
                    folder.display()
                ));
                self.bar.reset_elapsed();
                self.bar.set_style(style("{wide_bar:.cyan/blue} {percent:>3} %  {msg}  {eta} left"));
            }
            Event::Step { figures, spent } => {
                let TrainFigures { step, loss, learning_rate, steps_per_s, waiting, .. } = figures;
                self.bar.set_position((WHOLE as f64 * spent.min(1.0)) as u64);
                self.bar.set_message(format!(
                    "step {step}  loss {loss:.4}  rate {learning_rate:.1e}  {steps_per_s:.1} steps/s  {:.1} % waiting",
                    100.0 * waiting
                ));
            }
            Event::Validated(figures) => {
                self.terminal.note(validated(figures, self.kept_apart));
                if self.json {
                    // The history keeps the same line: a reader that is gone loses nothing.
                    let _ = print(&format!("{}\n", json!(figures)));
                }
            }
            Event::Warning(text) => self.terminal.warn(text),
        }
    }

    fn end(&self, job: &TrainJob, trained: &Trained) -> Result<()> {
        self.bar.finish_and_clear();
        let Trained { step, minutes, best, early, interrupted, waiting } = trained;
        let how = match (early, interrupted) {
            (true, _) => "stopped, since it no longer got better,",
            (_, true) => "interrupted; the same command goes on;",
            _ => "trained",
        };
        let best_step = best.map_or(0, |(_, step)| step);
        self.terminal.note(format_args!(
            "{how} {step} steps in {minutes:.1} minutes, {:.1} % of them waiting for data: {} (best, step {best_step}), last.safetensors",
            100.0 * waiting,
            job.out.join("best.safetensors").display(),
        ));
        if self.json {
            let object = json!({ "step": step, "minutes": minutes, "best_step": best_step, "early": early,
                "interrupted": interrupted, "waiting": waiting });
            print(&format!("{object}\n"))?;
        }
        Ok(())
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; a bar in the plain style is better than none.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn validated(figures: &ValidationFigures, kept_apart: usize) -> String {
    let ValidationFigures { step, minutes, loss, loss_on_trained, scores, best } = figures;
    let scores: Vec<_> = scores.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
    let best = if *best { "  best so far" } else { "" };
    let losses = match kept_apart {
        0 => format!("loss {loss_on_trained:.4} on recordings that train, for none are kept apart"),
        _ => format!("loss {loss:.4} on recordings kept apart, {loss_on_trained:.4} on trained"),
    };
    format!("step {step}, {minutes:.1} min: {losses}; {}{best}", scores.join(", "))
}
