//! What a training is told: the recipe, as it stands in a TOML file and in every checkpoint.

use crate::{
    Error, Fault, Result,
    data::augment::AugmentSettings,
    diffusion::SamplerSettings,
    model::{DenoiserSize, EncoderSize},
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The clean waveform from any point of the path; where a new model begins.
    #[default]
    Flow,
    /// The rendering after few steps, with the projection in the loop; what a model that flows already is refined by.
    FewStep,
    /// What refines mels of other conventions, beside weights that stay as they are.
    Conversion,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Flow => "flow",
            Self::FewStep => "few-step",
            Self::Conversion => "conversion",
        })
    }
}

/// The recipe. [`TrainSettings::of`] gives what a phase was measured to do best with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    pub phase: Phase,
    /// Windows a step.
    pub batch: usize,
    /// Audio samples a window, a multiple of 512.
    pub window: usize,
    /// The highest, after the warm-up.
    pub learning_rate: f64,
    /// Steps in which the rate rises from 0.
    pub warmup_steps: u64,
    /// What the cosine leaves of the rate at the end.
    pub final_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
    /// A gradient longer than this is shortened to it.
    pub clip_norm: f64,
    /// Decay a step of the moving average that becomes the model.
    pub average_decay: f64,
    /// Each window is multiplied by a number between these.
    pub gain: [f32; 2],
    pub seed: u64,
    /// Sizes of a new model, where they are to be others than the default ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSizes>,
    /// What a crash can cost.
    pub checkpoint_minutes: f64,
    /// What is done to the windows before they are learned from; nothing where it is empty.
    pub augment: AugmentSettings,
    pub few_step: FewStepSettings,
    pub validation: ValidationSettings,
}

/// How large a new model's two halves are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSizes {
    pub encoder: EncoderSize,
    pub denoiser: DenoiserSize,
}

/// Of the few-step phase only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FewStepSettings {
    /// Numbers of steps that the model will be used with; a batch takes one of them.
    pub steps: Vec<usize>,
    /// Projection iterations of a start, as the sampler's own; 0: none.
    pub start_iterations: usize,
    /// Projection iterations after each step that has no gradient.
    pub iterations: usize,
    /// Projection iterations after the step that has one.
    pub gradient_iterations: usize,
    /// Renderings of each window; 2 where they repel.
    pub renderings: usize,
    /// 0: a rendering is to be near the recording. 1: energy distance, which keeps the variety of renderings.
    pub repulsion: f64,
    /// Weight of the encoder's error.
    pub magnitude_weight: f64,
    /// Weight of the flow-matching loss, which keeps the model from forgetting what it was taught first.
    pub flow_weight: f64,
}

impl FewStepSettings {
    /// What the sampler does in `steps` steps.
    pub fn path(&self, steps: usize) -> SamplerSettings {
        let Self { start_iterations, iterations, .. } = *self;
        SamplerSettings { start_iterations, steps, iterations, final_iterations: iterations, seed: 0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationSettings {
    /// Share of the files that never train, chosen by their names.
    pub share: f64,
    pub every_minutes: f64,
    /// Windows whose losses are compared, of the files kept apart and as many of those that train.
    pub windows: usize,
    /// Files kept apart that are rendered and scored.
    pub clips: usize,
    /// Stop after so many validations without a better one; 0 never stops.
    pub patience: usize,
    pub select: Selection,
}

/// What the best checkpoint is chosen by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The phase's own loss on the files kept apart.
    #[default]
    Loss,
    /// PESQ at standard quality; speech only.
    Pesq,
}

/// The highest rate for weights that were trained already.
const REFINING_RATE: f64 = 5e-4;

impl TrainSettings {
    pub fn of(phase: Phase) -> Self {
        // Few steps refine what is there; the others begin with weights that know nothing.
        let (batch, learning_rate, warmup_steps) = match phase {
            Phase::Flow => (12, 1e-3, 300),
            Phase::FewStep => (8, REFINING_RATE, 50),
            Phase::Conversion => (24, 1e-3, 100),
        };
        Self {
            phase,
            batch,
            window: 16_384,
            learning_rate,
            warmup_steps,
            final_rate: 0.02,
            beta1: 0.9,
            beta2: 0.98,
            weight_decay: 0.01,
            clip_norm: 1.0,
            average_decay: 0.999,
            gain: [0.4, 1.2],
            seed: 0,
            model: None,
            checkpoint_minutes: 2.0,
            augment: AugmentSettings::default(),
            few_step: FewStepSettings {
                steps: vec![1, 2, 4],
                start_iterations: 16,
                iterations: 12,
                gradient_iterations: 2,
                renderings: 1,
                repulsion: 0.0,
                magnitude_weight: 0.1,
                flow_weight: 0.0,
            },
            validation: ValidationSettings {
                share: 0.03,
                every_minutes: 10.0,
                windows: 48,
                clips: 6,
                patience: 0,
                select: Selection::Loss,
            },
        }
    }

    /// Those for weights that were trained already: the rate of a new model would first undo what they know.
    pub fn refining(phase: Phase) -> Self {
        let defaults = Self::of(phase);
        if phase == Phase::Conversion {
            return defaults;
        }
        Self { learning_rate: defaults.learning_rate.min(REFINING_RATE), warmup_steps: 50, ..defaults }
    }

    /// `defaults` (of the phase that the file names, or else of `phase`, or `otherwise`) with what stands in a TOML file in their place.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Settings`] names the line or field.
    pub fn read(path: &Path, phase: Option<Phase>, otherwise: Phase, defaults: fn(Phase) -> Self) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("cannot read the settings", path))?;
        let fault = |error: &dyn std::fmt::Display| {
            Error::Settings(
                Fault::new(path.display(), one_line(error)).remedy("see audiodiff train with `print_config`"),
            )
        };
        let given: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            // Not the line itself, which may be of any length.
            let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            fault(&format!("line {line}: {}", e.message()))
        })?;
        let named = given.get("phase").cloned().map(Phase::deserialize).transpose().map_err(|e| fault(&e))?;
        if let (Some(named), Some(wanted)) = (named, phase)
            && named != wanted
        {
            return Err(Error::Settings(
                Fault::new(path.display(), format!("field `phase` is {named}"))
                    .expected(format!("{wanted}, as `phase` says"))
                    .remedy("leave one of the two out"),
            ));
        }
        let defaults = defaults(named.or(phase).unwrap_or(otherwise));
        let mut all = toml::Table::try_from(&defaults).map_err(|e| fault(&e))?;
        overlay(&mut all, given);
        Self::deserialize(toml::Value::Table(all)).map_err(|e| fault(&e))?.validated()
    }

    /// # Errors
    /// [`Error::Settings`] names the field that is out of range.
    pub fn validated(self) -> Result<Self> {
        let few = &self.few_step;
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let checks = [
            // TOML has no larger numbers.
            ("seed", i64::try_from(self.seed).is_ok(), "0 to 9223372036854775807"),
            ("batch", (1..=4096).contains(&self.batch), "1 to 4096"),
            (
                "window",
                self.window.is_multiple_of(512) && (4096..=1 << 20).contains(&self.window),
                "a multiple of 512 from 4096 on",
            ),
            ("learning_rate", self.learning_rate > 0.0 && self.learning_rate < 1.0, "a number between 0 and 1"),
            ("final_rate", share(self.final_rate), "0 to 1"),
            ("beta1", share(self.beta1) && self.beta1 < 1.0, "0 to 1"),
            ("beta2", share(self.beta2) && self.beta2 < 1.0, "0 to 1"),
            ("weight_decay", share(self.weight_decay), "0 to 1"),
            ("clip_norm", self.clip_norm > 0.0 && self.clip_norm.is_finite(), "a number above 0"),
            ("average_decay", share(self.average_decay) && self.average_decay < 1.0, "0 to 1"),
            (
                "gain",
                self.gain[0] > 0.0 && self.gain[0] <= self.gain[1] && self.gain[1] <= 10.0,
                "two numbers above 0, the lower one first",
            ),
            ("checkpoint_minutes", self.checkpoint_minutes > 0.0, "a number above 0"),
            (
                "few_step.steps",
                !few.steps.is_empty() && few.steps.iter().all(|s| (1..=64).contains(s)),
                "numbers from 1 to 64",
            ),
            ("few_step.start_iterations", few.start_iterations <= 200, "0 to 200"),
            ("few_step.iterations", few.iterations <= 100, "0 to 100"),
            ("few_step.gradient_iterations", few.gradient_iterations <= 16, "0 to 16"),
            ("few_step.renderings", (1..=8).contains(&few.renderings), "1 to 8"),
            (
                "few_step.repulsion",
                share(few.repulsion) && (few.repulsion == 0.0 || few.renderings > 1),
                "0 to 1, and 2 renderings above 0",
            ),
            ("few_step.magnitude_weight", (0.0..=1e6).contains(&few.magnitude_weight), "0 to 1e6"),
            ("few_step.flow_weight", (0.0..=1e6).contains(&few.flow_weight), "0 to 1e6"),
            ("validation.share", (0.0..=0.5).contains(&self.validation.share), "0 to 0.5"),
            ("validation.windows", self.validation.windows <= 1 << 16, "0 to 65536"),
            ("validation.every_minutes", self.validation.every_minutes > 0.0, "a number above 0"),
        ];
        match checks.iter().find(|(_, fine, _)| !fine) {
            None => Ok(self),
            Some((field, _, range)) => Err(Error::Settings(
                Fault::new(format!("training setting `{field}`"), self.found(field)).expected(*range),
            )),
        }
    }

    /// What a field like `few_step.steps` holds.
    fn found(&self, field: &str) -> String {
        let all = toml::Value::try_from(self).ok();
        let value = all.as_ref().and_then(|all| field.split('.').try_fold(all, |table, name| table.get(name)));
        value.map_or_else(|| "is out of range".into(), |value| format!("is {value}"))
    }

    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| Error::Settings(Fault::new("training settings", e.to_string())))
    }

    /// The first field in which the two recipes differ, with both values. Validation and checkpoints decide nothing of what
    /// is learned, and may be changed at any time.
    pub fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let table = |settings: &Self| {
            let mut table = toml::Table::try_from(settings).unwrap_or_default();
            table.remove("validation");
            table.remove("checkpoint_minutes");
            table
        };
        let (own, others) = (table(self), table(other));
        own.iter().find(|(field, value)| others.get(*field) != Some(value)).map(|(field, value)| {
            (field.clone(), value.to_string(), others.get(field).map(ToString::to_string).unwrap_or_default())
        })
    }
}

/// Puts what is given in the place of what is there, table by table.
fn overlay(all: &mut toml::Table, given: toml::Table) {
    for (field, value) in given {
        match (all.get_mut(&field), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(given)) => overlay(inner, given),
            (_, value) => {
                all.insert(field, value);
            }
        }
    }
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named_with_its_value() {
        let told = |change: &dyn Fn(&mut TrainSettings)| {
            let mut settings = TrainSettings::of(Phase::Flow);
            change(&mut settings);
            settings.validated().unwrap_err().to_string()
        };
        assert_eq!(told(&|s| s.batch = 0), "training setting `batch`: is 0, expected 1 to 4096");
        let nan = told(&|s| s.learning_rate = f64::NAN);
        assert_eq!(nan, "training setting `learning_rate`: is nan, expected a number between 0 and 1");
        assert!(told(&|s| s.few_step.flow_weight = f64::INFINITY).contains("`few_step.flow_weight`: is inf"));
        assert!(told(&|s| s.validation.windows = 1 << 60).contains("`validation.windows`"));
        assert!(told(&|s| s.seed = u64::MAX).contains("`seed`"));
    }
}
