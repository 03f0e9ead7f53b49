//! The training itself: one step after another, with checkpoints, validations and roll-backs between them.

use super::{
    checkpoint::{self, Header, Origin, Progress},
    clips::{Clips, Dropped, Folders},
    curves,
    history::{History, Line, TrainFigures, ValidationFigures},
    objective::Objective,
    settings::{ModelSizes, Phase, Selection, TrainSettings},
    step::{self, Batch},
    validation::Validation,
    weights::{AdamW, Weights},
    windows::{Loader, Windows},
};
use crate::{
    Error, Fault, Result,
    dsp::threads::Threads,
    mel::MelConvention,
    model::{
        DenoiserSize, DeviceChoice, Diffusion, EncoderSize, ModelCard, ModelFile, Precision, RuntimeOptions, Storage,
    },
    output::open_in_place,
    vocoder::Vocoder,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tch::{Kind, Tensor};

/// Steps between two lines of the history.
const LINE_STEPS: u64 = 20;
/// A loss so many times its running mean is an explosion.
const EXPLOSION: f64 = 5.0;
/// Steps in a row that went wrong before the training is rolled back.
const BAD_STEPS: u32 = 8;
/// Roll-backs, each of which halves the learning rate, before the training gives up.
const ROLLBACKS: u32 = 6;
/// Weight of the past in the running mean of the loss.
const LOSS_DECAY: f64 = 0.98;

/// When a training ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    Minutes(f64),
    Steps(u64),
}

/// Everything that a training is given.
#[derive(Debug, Clone)]
pub struct TrainJob {
    pub data: Vec<PathBuf>,
    /// Recordings that never train; a share of `data` where not given.
    pub validation_data: Vec<PathBuf>,
    /// The folder of checkpoints, models and figures.
    pub out: PathBuf,
    /// The bytes of the model file to begin with, and what it is called; new weights where not given.
    pub init: Option<(Vec<u8>, String)>,
    /// The mel of a new model; the one of `init` or else the native one where not given.
    pub mel: Option<MelConvention>,
    pub settings: TrainSettings,
    pub length: Length,
    pub device: DeviceChoice,
    pub precision: Precision,
    /// Threads that compute.
    pub threads: usize,
    /// The name of the model, and what its card says of data and licence.
    pub name: Option<String>,
    pub data_license: Option<String>,
}

/// What a training tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// Files read so far, and all.
    Reading {
        done: usize,
        files: usize,
    },
    /// Before the first step.
    Ready {
        hours: f64,
        files: usize,
        kept_apart: usize,
        dropped: &'a [Dropped],
        step: u64,
        parameters: usize,
        /// Where the recordings lie decoded, and the bytes that they take.
        decoded: (&'a Path, u64),
    },
    /// After each step; `spent` of the whole training is done, 0 to 1.
    Step {
        figures: &'a TrainFigures,
        spent: f64,
    },
    Validated(&'a ValidationFigures),
    /// Something that the user should know.
    Warning(String),
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    pub step: u64,
    pub minutes: f64,
    pub best: Option<(f64, u64)>,
    /// By patience, before its length was spent.
    pub early: bool,
    /// By the user, to go on another time.
    pub interrupted: bool,
    /// Share of the time spent waiting for data.
    pub waiting: f64,
}

/// The files of a training.
struct Folder(PathBuf);

impl Folder {
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn state(&self) -> PathBuf {
        self.file("state.safetensors")
    }
}

/// Trains, or goes on where `job.out` was left.
///
/// # Errors
/// [`Error::Settings`] where the folder holds a training of another recipe, [`Error::Data`] for recordings that cannot
/// train or a loss that explodes again and again, [`Error::Io`] for files, [`Error::Interrupted`] where `stop` is set
/// before there is anything to go on from.
pub fn train(job: &TrainJob, stop: &AtomicBool, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Trained> {
    fs::create_dir_all(&job.out).map_err(Error::io("cannot create", &job.out))?;
    let folder = Folder(job.out.clone());
    let _lock = lock(&folder)?;
    let saved = match folder.state() {
        path if path.exists() => Some((checkpoint::load(&path)?, path)),
        _ => None,
    };
    let settings = job.settings.clone().validated()?;
    let device = job.device.resolve()?;
    let init = job.init.as_ref().map(|(bytes, subject)| ModelFile::parse(bytes, subject)).transpose()?;
    let mut card = new_card(job, init.as_ref())?;
    // Whether the weights of the beginning are all there is.
    let same = init.as_ref().is_some_and(|model| sizes(&model.card) == sizes(&card) && model.card.mel == card.mel);
    if let Some(name) = &job.name {
        card.name.clone_from(name);
    }
    if !settings.window.is_multiple_of(card.mel.hop) || settings.window < 2 * card.mel.n_fft {
        let expected = format!("a multiple of the model's hop ({}) from {} on", card.mel.hop, 2 * card.mel.n_fft);
        let found = format!("{} samples", settings.window);
        return Err(Error::Settings(Fault::new("training setting `window`", found).expected(expected)));
    }
    let (clips, dropped, train, apart) = read_clips(job, &settings, card.mel.sample_rate, stop, on_event)?;
    let kind = match job.precision.resolve(device) {
        Precision::Bf16 => Kind::BFloat16,
        _ => Kind::Float,
    };
    let mut weights = match &init {
        Some(model) if settings.phase == Phase::Conversion => {
            let size = *card.refiner.get_or_insert(EncoderSize::REFINER);
            Weights::refiner(model, size, settings.seed, device)?
        }
        Some(model) if same => Weights::load(model, device)?,
        Some(model) => Weights::begun_with(&card, model, settings.seed, device)?,
        None => Weights::new(&card, settings.seed, device),
    };
    let origin = Origin {
        data: clips.fingerprint(&apart),
        init: job.init.as_ref().map_or_else(|| "none".into(), |(bytes, _)| blake3::hash(bytes).to_hex()[..32].into()),
    };
    let mut progress = Progress::default();
    if let Some(((header, vectors), path)) = &saved {
        check_same(header, &settings, &card, path)?;
        check_origin(header, &origin, &clips, path)?;
        weights.restore(vectors, path)?;
        progress = header.progress.clone();
    }
    let figures = folder.file("metrics.jsonl");
    let history = match saved {
        Some(_) => History::open(&figures, progress.step)?,
        None => History::begin(&figures)?,
    };
    let objective = Objective::new(&card, settings, device, kind);
    let validation = Validation::new(&clips, &train, &apart, &objective)?;
    on_event(Event::Ready {
        hours: clips.hours(&train),
        files: train.len(),
        kept_apart: apart.len(),
        dropped: &dropped,
        step: progress.step,
        parameters: weights.len(),
        decoded: clips.decoded_size(),
    });
    describe(&mut card, job, &clips, &train, init.as_ref());
    let windows = Arc::new(Windows::new(clips, train, &objective.settings)?);
    let mut run = Run {
        job,
        objective,
        folder,
        card,
        origin,
        weights,
        validation,
        windows,
        history,
        threads: Threads::new(if device.is_cuda() { 1 } else { job.threads }),
        progress,
        checkpoint_s: 0.0,
        waited: Duration::ZERO,
    };
    run.train(stop, on_event)
}

/// The card of what is trained: that of `init`, unless another mel or other sizes are asked for.
fn new_card(job: &TrainJob, init: Option<&ModelFile>) -> Result<ModelCard> {
    let mut card = match (&job.mel, init) {
        (Some(mel), _) => ModelCard::of_convention("audiodiff", mel)?,
        (None, Some(model)) => model.card.clone(),
        (None, None) => ModelCard::new("audiodiff"),
    };
    if let (Some(_), Some(model)) = (&job.mel, init) {
        card.training = model.card.training.clone();
        card.licenses = model.card.licenses.clone();
    }
    if let Some(ModelSizes { encoder, denoiser }) = job.settings.model {
        (card.encoder, card.denoiser) = (encoder, denoiser);
    }
    // A refiner ends in the bands of the mel that it was made for.
    if init.is_some_and(|model| model.card.mel != card.mel) {
        card.refiner = None;
    }
    card.validated()
}

fn sizes(card: &ModelCard) -> (EncoderSize, DenoiserSize, Option<EncoderSize>) {
    (card.encoder, card.denoiser, card.refiner)
}

/// One training at a time in a folder. The lock goes with the process, however it ends.
fn lock(folder: &Folder) -> Result<File> {
    let path = folder.file(".lock");
    let options = &mut File::options();
    let file =
        open_in_place(&path, options.read(true).write(true).create(true)).map_err(Error::io("cannot create", &path))?;
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(Error::Data(
            Fault::new(folder.0.display(), "another process trains here").remedy("wait for it, or give another --out"),
        )),
        // A file system without locks: as good as it gets.
        _ => Ok(file),
    }
}

type Sides = (Arc<Clips>, Vec<Dropped>, Vec<usize>, Vec<usize>);

fn read_clips(
    job: &TrainJob,
    settings: &TrainSettings,
    sample_rate: u32,
    stop: &AtomicBool,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> Result<Sides> {
    let decoded = Folder(job.out.clone()).file("decoded");
    let folders = Folders { data: &job.data, apart: &job.validation_data, decoded: &decoded };
    let on_event = std::sync::Mutex::new(on_event);
    let on_file = |done, files| {
        if let Ok(mut on_event) = on_event.lock() {
            on_event(Event::Reading { done, files });
        }
    };
    let (clips, dropped) = Clips::open(folders, sample_rate, job.threads, stop, on_file)?;
    let (train, apart) = if job.validation_data.is_empty() {
        clips.split(settings.validation.share)
    } else {
        (0..clips.clips.len()).partition(|&i| !clips.clips[i].is_apart)
    };
    if train.is_empty() {
        return Err(Error::Data(
            Fault::new("--data", "nothing is left to train on").remedy("keep --validation apart from --data"),
        ));
    }
    let longest_window = train.iter().map(|&i| clips.clips[i].samples).min().unwrap_or(0);
    if settings.window > longest_window {
        return Err(Error::Settings(
            Fault::new("training setting `window`", format!("{} samples", settings.window))
                .expected(format!("at most {longest_window}, the shortest recording's length")),
        ));
    }
    Ok((Arc::new(clips), dropped, train, apart))
}

fn begun_otherwise(path: &Path, found: String, expected: String) -> Error {
    Error::Settings(
        Fault::new(path.display(), found)
            .expected(expected)
            .remedy("give the same command to go on, or another --out to start anew"),
    )
}

fn check_same(header: &Header, settings: &TrainSettings, card: &ModelCard, path: &Path) -> Result<()> {
    if let Some((field, was, is)) = header.settings.difference(settings) {
        let expected = format!("{is}, as this command says");
        return Err(begun_otherwise(path, format!("was made with `{field}` = {was}"), expected));
    }
    if sizes(&header.card) != sizes(card) || header.card.mel != card.mel {
        let expected = "those of the model to begin with".into();
        return Err(begun_otherwise(path, "is of a network of other sizes".into(), expected));
    }
    Ok(())
}

fn check_origin(header: &Header, origin: &Origin, clips: &Clips, path: &Path) -> Result<()> {
    // Trainings of earlier versions know names and lengths alone, and not what they were begun from.
    if header.data != origin.data && header.data != clips.fingerprint_of_lengths() {
        let expected = "the same --data and --validation, sample by sample, and the same `validation.share`".into();
        return Err(begun_otherwise(path, "was made with other recordings".into(), expected));
    }
    if header.init.as_ref().is_some_and(|init| *init != origin.init) {
        let expected = "the same --init, byte by byte".into();
        return Err(begun_otherwise(path, "was begun with another model".into(), expected));
    }
    Ok(())
}

/// What it was trained on: `2 threads of an AMD EPYC`, where the system tells.
fn machine(job: &TrainJob) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split(':').nth(1));
    let name = name.map_or_else(|| std::env::consts::ARCH.into(), |name| name.trim().to_string());
    match job.device.resolve() {
        Ok(device) if device.is_cuda() => format!("{device:?} beside {name}"),
        _ => format!("{} threads of {name}", job.threads),
    }
}

/// What the card of the trained model says of its origin.
fn describe(card: &mut ModelCard, job: &TrainJob, clips: &Clips, train: &[usize], init: Option<&ModelFile>) {
    let origin = match init {
        Some(model) => format!(" from {}", model.card.name),
        None => String::new(),
    };
    let recipe = format!("audiodiff train --phase {}{origin}", job.settings.phase);
    let training = &mut card.training;
    training.recipe = match init {
        Some(_) if !training.recipe.is_empty() => format!("{}; then {recipe}", training.recipe),
        _ => recipe,
    };
    let hours = clips.hours(train);
    training.hours_of_audio += hours;
    let names = job.data.iter().filter_map(|folder| folder.file_name()).map(|name| name.to_string_lossy());
    training.data.push(format!("{hours:.2} h: {}", names.collect::<Vec<_>>().join(", ")));
    training.machine = machine(job);
    training.scores.clear();
    let license = job.data_license.clone().unwrap_or_else(|| "not stated".into());
    let mut licences: Vec<&str> = card.licenses.data.split(", ").filter(|known| !known.is_empty()).collect();
    for new in license.split(',').map(str::trim).filter(|new| !new.is_empty()) {
        if !licences.contains(&new) {
            licences.push(new);
        }
    }
    card.licenses.data = licences.join(", ");
    if card.licenses.weights.is_empty() {
        card.licenses.weights = "not stated".into();
    }
}

struct Run<'a> {
    job: &'a TrainJob,
    objective: Objective,
    folder: Folder,
    card: ModelCard,
    origin: Origin,
    weights: Weights,
    validation: Validation,
    windows: Arc<Windows>,
    history: History,
    threads: Threads,
    progress: Progress,
    /// `progress.elapsed_s` at the last checkpoint.
    checkpoint_s: f64,
    waited: Duration,
}

impl Run<'_> {
    fn train(&mut self, stop: &AtomicBool, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Trained> {
        let begin_s = self.progress.elapsed_s;
        let mut clock = Instant::now();
        let mut line = Averages::default();
        let mut bad = 0;
        let mut early = false;
        let mut loader = Loader::start(&self.windows, self.progress.step + 1, 1);
        if !self.folder.state().exists() {
            // The first validation shows what there is to gain, and roll-backs need a place to go back to.
            self.validate(stop, on_event)?;
            self.save()?;
        }
        self.checkpoint_s = self.progress.elapsed_s;
        while self.spent() < 1.0 && !stop.load(Ordering::Relaxed) {
            let (samples, waited) = loader.next_batch()?;
            self.waited += waited;
            let x1 = Tensor::from_slice(&samples)
                .view([-1, self.objective.settings.window as i64])
                .to_device(self.objective.device());
            let step = self.progress.step + 1;
            let rate = self.rate();
            let batch = step::batch(&self.weights, &self.objective, &x1, step, &self.threads)?;
            let norm = f64::try_from(batch.gradient.norm()).unwrap_or(f64::NAN);
            let fine = batch.loss.is_finite()
                && norm.is_finite()
                && self.progress.loss.is_none_or(|mean| batch.loss.abs() < EXPLOSION * mean.abs().max(1e-3));
            if fine {
                bad = 0;
                self.advance(&batch, norm, rate);
                line.add(&batch, norm, waited);
            } else {
                // One bad batch is left out; many in a row mean that the weights are bad.
                bad += 1;
            }
            self.progress.step = step;
            self.progress.elapsed_s += clock.elapsed().as_secs_f64();
            clock = Instant::now();
            if bad >= BAD_STEPS {
                self.roll_back(on_event)?;
                loader = Loader::start(&self.windows, self.progress.step + 1, 1);
                (bad, line) = (0, Averages::default());
                continue;
            }
            let figures = line.figures(&self.progress, rate);
            on_event(Event::Step { figures: &figures, spent: self.spent() });
            if step.is_multiple_of(LINE_STEPS) {
                self.history.push(Line::Train(figures))?;
                line = Averages::default();
            }
            let minutes = (self.progress.elapsed_s - self.progress.last_validation_s) / 60.0;
            if minutes >= self.objective.settings.validation.every_minutes && self.spent() < 1.0 {
                match self.validate(stop, on_event) {
                    // The same command makes up for it.
                    Err(Error::Interrupted) => break,
                    validated => validated?,
                }
                self.save_or_warn(on_event);
                early = self.out_of_patience();
                if early {
                    break;
                }
            } else if (self.progress.elapsed_s - self.checkpoint_s) / 60.0 >= self.objective.settings.checkpoint_minutes
            {
                self.save_or_warn(on_event);
            }
            self.progress.elapsed_s += clock.elapsed().as_secs_f64();
            clock = Instant::now();
        }
        let mut interrupted = !early && self.spent() < 1.0;
        if !interrupted && self.history.validations().next_back().map(|last| last.step) != Some(self.progress.step) {
            match self.validate(stop, on_event) {
                Err(Error::Interrupted) => interrupted = true,
                validated => validated?,
            }
        }
        self.save()?;
        let took = (self.progress.elapsed_s - begin_s).max(1e-9);
        Ok(Trained {
            step: self.progress.step,
            minutes: self.progress.elapsed_s / 60.0,
            best: self.progress.best,
            early,
            interrupted,
            waiting: self.waited.as_secs_f64() / took,
        })
    }

    /// Share of the training that is done, 0 to 1.
    fn spent(&self) -> f64 {
        match self.job.length {
            Length::Minutes(minutes) => self.progress.elapsed_s / 60.0 / minutes.max(1e-9),
            Length::Steps(steps) => self.progress.step as f64 / steps.max(1) as f64,
        }
    }

    /// Warm-up, then a cosine down to what `final_rate` leaves.
    fn rate(&self) -> f64 {
        let TrainSettings { learning_rate, warmup_steps, final_rate, .. } = self.objective.settings;
        let warm = (self.progress.step as f64 / warmup_steps.max(1) as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * self.spent().min(1.0)).cos());
        learning_rate * warm * (final_rate + (1.0 - final_rate) * cosine) * self.progress.rate_factor
    }

    fn advance(&mut self, batch: &Batch, norm: f64, rate: f64) {
        let TrainSettings { beta1, beta2, weight_decay, clip_norm, average_decay, .. } = self.objective.settings;
        let mut gradient = batch.gradient.shallow_clone();
        if norm > clip_norm {
            let _ = gradient.g_mul_scalar_(clip_norm / norm);
        }
        let adamw = AdamW { betas: (beta1, beta2), epsilon: 1e-8, weight_decay };
        let step = self.progress.step + 1;
        // Young averages follow faster: else they would remember the first weights for a thousand steps.
        let decay = average_decay.min(step as f64 / (step as f64 + 9.0));
        self.weights.advance(&gradient, rate, &adamw, step, decay);
        let mean = self.progress.loss.unwrap_or(batch.loss);
        self.progress.loss = Some(LOSS_DECAY * mean + (1.0 - LOSS_DECAY) * batch.loss);
    }

    /// Back to the last checkpoint with half the rate.
    fn roll_back(&mut self, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let at = self.progress.step;
        let path = self.folder.state();
        let (header, vectors) = checkpoint::load(&path)?;
        self.weights.restore(&vectors, &path)?;
        self.history.go_back(header.progress.step)?;
        let (elapsed_s, factor, rollbacks) =
            (self.progress.elapsed_s, self.progress.rate_factor * 0.5, self.progress.rollbacks + 1);
        self.progress = Progress { elapsed_s, rate_factor: factor, rollbacks, ..header.progress };
        if rollbacks > ROLLBACKS {
            return Err(Error::Data(
                Fault::new(
                    self.folder.0.display(),
                    format!("the loss exploded {rollbacks} times, the last time at step {at}"),
                )
                .expected("a loss that falls")
                .remedy("lower learning_rate, or look at the recordings with audiodiff data check"),
            ));
        }
        on_event(Event::Warning(format!(
            "the loss exploded at step {at}: back to step {} with {factor} of the learning rate",
            self.progress.step
        )));
        Ok(())
    }

    /// # Errors
    /// [`Error::Interrupted`] once `stop` is set: then all is as if it had not begun.
    fn validate(&mut self, stop: &AtomicBool, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let (validation, objective) = (&self.validation, &self.objective);
        let (loss, loss_on_trained) = self.weights.with_average(|w| validation.losses(w, objective, stop))?;
        let model = self.weights.model_file(&self.card, Storage::Single)?;
        let options =
            RuntimeOptions { device: self.job.device, precision: self.job.precision, threads: self.job.threads };
        let vocoder: Arc<dyn Vocoder> = Arc::new(Diffusion::from_bytes(&model, "the model in training", &options)?);
        let scores = self.validation.scores(&vocoder, self.objective.settings.phase, stop)?;
        let figure = match self.objective.settings.validation.select {
            Selection::Pesq => -scores.get("pesq_wb").copied().unwrap_or(f64::NEG_INFINITY),
            Selection::Loss => loss,
        };
        let best = self.progress.best.is_none_or(|(best, _)| figure < best);
        let minutes = self.progress.elapsed_s / 60.0;
        let figures = ValidationFigures { step: self.progress.step, minutes, loss, loss_on_trained, scores, best };
        self.progress.last_validation_s = self.progress.elapsed_s;
        self.card.training.scores = figures.scores.clone();
        if best {
            self.progress.best = Some((figure, self.progress.step));
            self.progress.stale = 0;
            self.write_model("best.safetensors")?;
        } else {
            self.progress.stale += 1;
        }
        on_event(Event::Validated(&figures));
        self.history.push(Line::Validation(figures))?;
        checkpoint::write(&self.folder.file("curves.svg"), curves::svg(&self.history)?.as_bytes())?;
        if let Some(warning) = self.history.overfitting() {
            on_event(Event::Warning(warning));
        }
        Ok(())
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.objective.settings.validation.patience;
        patience > 0 && self.progress.stale >= patience
    }

    fn write_model(&mut self, name: &str) -> Result<()> {
        let mut card = self.card.clone();
        card.training.minutes += self.progress.elapsed_s / 60.0;
        card.training.steps += self.progress.step;
        let bytes = self.weights.model_file(&card, Storage::Half)?;
        checkpoint::write(&self.folder.file(name), &bytes)
    }

    fn save(&mut self) -> Result<()> {
        self.checkpoint_s = self.progress.elapsed_s;
        let header =
            Header::new(self.objective.settings.clone(), self.card.clone(), &self.origin, self.progress.clone());
        checkpoint::save(&self.folder.state(), &header, &self.weights.vectors)?;
        self.write_model("last.safetensors")
    }

    /// A full disk costs the checkpoint, not the training: the one before is still whole, and the next may succeed.
    fn save_or_warn(&mut self, on_event: &mut (dyn FnMut(Event) + Send)) {
        if let Err(error) = self.save() {
            on_event(Event::Warning(format!("{error}; the checkpoint before is kept, and the training goes on")));
        }
    }
}

/// Sums since the last line of the history.
struct Averages {
    since: Instant,
    steps: u64,
    loss: f64,
    norm: f64,
    parts: std::collections::BTreeMap<String, f64>,
    waited: Duration,
}

impl Default for Averages {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            steps: 0,
            loss: 0.0,
            norm: 0.0,
            parts: std::collections::BTreeMap::new(),
            waited: Duration::ZERO,
        }
    }
}

impl Averages {
    fn add(&mut self, batch: &Batch, norm: f64, waited: Duration) {
        self.steps += 1;
        self.loss += batch.loss;
        self.norm += norm;
        self.waited += waited;
        for (name, value) in &batch.parts {
            *self.parts.entry((*name).into()).or_default() += value;
        }
    }

    fn figures(&self, progress: &Progress, rate: f64) -> TrainFigures {
        let (steps, took) = (self.steps.max(1) as f64, self.since.elapsed().as_secs_f64().max(1e-9));
        TrainFigures {
            step: progress.step,
            minutes: progress.elapsed_s / 60.0,
            loss: self.loss / steps,
            parts: self.parts.iter().map(|(name, sum)| (name.clone(), sum / steps)).collect(),
            learning_rate: rate,
            gradient_norm: self.norm / steps,
            steps_per_s: self.steps as f64 / took,
            waiting: self.waited.as_secs_f64() / took,
        }
    }
}
