//! Means over the steps between two lines of the history.

use super::{checkpoint::Progress, history::TrainFigures, step::Batch};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Sums since the last line of the history.
pub struct Averages {
    since: Instant,
    steps: u64,
    loss: f64,
    norm: f64,
    parts: BTreeMap<String, f64>,
    waited: Duration,
}

impl Default for Averages {
    fn default() -> Self {
        Self { since: Instant::now(), steps: 0, loss: 0.0, norm: 0.0, parts: BTreeMap::new(), waited: Duration::ZERO }
    }
}

impl Averages {
    pub fn add(&mut self, batch: &Batch, norm: f64, waited: Duration) {
        self.steps += 1;
        self.loss += batch.loss;
        self.norm += norm;
        self.waited += waited;
        for (name, value) in &batch.parts {
            *self.parts.entry((*name).into()).or_default() += value;
        }
    }

    pub fn figures(&self, progress: &Progress, rate: f64) -> TrainFigures {
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
