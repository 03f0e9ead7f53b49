//! One optimiser step after another, with checkpoints, validations and roll-backs between them.

use super::{
    averages::Averages,
    checkpoint::{self, Header, Origin, Progress},
    curves,
    history::{History, Line, ValidationFigures},
    job::{Event, Length, TrainJob, Trained},
    objective::Objective,
    run_folder::RunFolder,
    settings::{Selection, TrainSettings},
    step::{self, Batch},
    validation::Validation,
    weights::{AdamW, Weights},
    windows::{Loader, Windows},
};
use crate::{
    Error, Fault, Result,
    dsp::threads::Threads,
    model::{Diffusion, ModelCard, RuntimeOptions, Storage},
    vocoder::Vocoder,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

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

/// A training under way.
pub struct Run<'a> {
    pub job: &'a TrainJob,
    pub objective: Objective,
    pub folder: RunFolder,
    pub card: ModelCard,
    pub origin: Origin,
    pub weights: Weights,
    pub validation: Validation,
    pub windows: Arc<Windows>,
    pub history: History,
    pub threads: Threads,
    pub progress: Progress,
    /// `progress.elapsed_s` at the last checkpoint.
    pub checkpoint_s: f64,
    pub waited: Duration,
}

impl Run<'_> {
    pub fn train(&mut self, stop: &AtomicBool, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Trained> {
        let begin_s = self.progress.elapsed_s;
        let mut clock = Instant::now();
        let mut line = Averages::default();
        let mut bad = 0;
        let mut early = false;
        let mut loader = Loader::start(&self.windows, self.progress.step + 1, 1);
        if self.progress.step == 0 && self.progress.best.is_none() {
            // Roll-backs need a place to go back to, and a model that is there without a state is another training's.
            self.save_state()?;
            // The first validation shows what there is to gain.
            self.validate(stop, on_event)?;
            self.save()?;
        }
        self.checkpoint_s = self.progress.elapsed_s;
        while self.spent() < 1.0 && !stop.load(Ordering::Relaxed) {
            let (cut, waited) = loader.next_batch()?;
            self.waited += waited;
            let excerpts = cut.to_device(self.objective.settings.window, self.objective.device());
            let step = self.progress.step + 1;
            let rate = self.rate();
            let batch = step::batch(&self.weights, &self.objective, &excerpts, step, &self.threads)?;
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
                    self.folder.path().display(),
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
            // Where nothing is speech, the loss, which is worse than any PESQ.
            Selection::Pesq => scores.get("pesq_wb").map_or(loss, |pesq| -pesq),
            Selection::Loss => loss,
        };
        let best = !figure.is_nan() && self.progress.best.is_none_or(|(best, _)| figure < best);
        let minutes = self.progress.elapsed_s / 60.0;
        let figures = ValidationFigures { step: self.progress.step, minutes, loss, loss_on_trained, scores, best };
        self.progress.last_validation_s = self.progress.elapsed_s;
        self.card.training.scores = figures.scores.clone();
        if best {
            self.progress.best = Some((figure, self.progress.step));
            self.progress.stale = 0;
            self.write_model(RunFolder::BEST)?;
        } else {
            self.progress.stale += 1;
        }
        on_event(Event::Validated(&figures));
        self.history.push(Line::Validation(figures))?;
        checkpoint::write(&self.folder.file(RunFolder::CURVES), curves::svg(&self.history)?.as_bytes())?;
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
        self.save_state()?;
        self.write_model(RunFolder::LAST)
    }

    fn save_state(&self) -> Result<()> {
        let header =
            Header::new(self.objective.settings.clone(), self.card.clone(), &self.origin, self.progress.clone());
        checkpoint::save(&self.folder.state(), &header, &self.weights.vectors)
    }

    /// A full disk costs the checkpoint, not the training: the one before is still whole, and the next may succeed.
    fn save_or_warn(&mut self, on_event: &mut (dyn FnMut(Event) + Send)) {
        if let Err(error) = self.save() {
            on_event(Event::Warning(format!("{error}; the checkpoint before is kept, and the training goes on")));
        }
    }
}
