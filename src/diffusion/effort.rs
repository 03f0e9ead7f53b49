//! The work that a diffusion model is given, as the rest of the program knows it: named whole numbers.

use super::{Network, Renderer, SamplerSettings, Start};
use crate::{
    Result,
    card::Effort,
    sound::Sound,
    source::MelSource,
    vocoder::{RenderOptions, Rendering, Vocoder},
};
use std::sync::Arc;

/// The entries of an effort.
const ENTRIES: [&str; 4] = ["start_iterations", "steps", "iterations", "final_iterations"];

impl SamplerSettings {
    /// What an effort does not say is one step, and no iteration.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) for an entry that is unknown or out of range.
    pub fn of_effort(effort: &Effort, seed: u64) -> Result<Self> {
        effort.only(&ENTRIES)?;
        let entry = |name, otherwise| effort.get(name).unwrap_or(otherwise);
        Self {
            start_iterations: entry("start_iterations", 0),
            steps: entry("steps", 1),
            iterations: entry("iterations", 0),
            final_iterations: entry("final_iterations", 0),
            seed,
        }
        .validated()
    }

    pub fn effort(&self) -> Effort {
        let Self { start_iterations, steps, iterations, final_iterations, seed: _ } = *self;
        Effort::new(ENTRIES.into_iter().zip([start_iterations, steps, iterations, final_iterations]))
    }
}

/// Renders `source` with `vocoder`'s network.
pub(crate) fn rendering<N: Network + Vocoder + 'static>(
    vocoder: Arc<N>,
    source: Box<dyn MelSource>,
    options: &RenderOptions,
) -> Result<Box<dyn Rendering>> {
    let card = vocoder.card();
    let settings = SamplerSettings::of_effort(options.effort(card), options.seed)?;
    let layout = card.streaming.of_chunk(options.chunk);
    let mut renderer = Renderer::new(vocoder, source, settings, layout)?.starting_at(options.start);
    if options.one_of_several {
        renderer = renderer.starting_with(Start::Noise);
    }
    if options.one_of_several || options.one_of_a_sum {
        renderer = renderer.of_at_least(1);
    }
    Ok(Box::new(renderer))
}

impl<N: Network + Send> Rendering for Renderer<N, Box<dyn MelSource>> {
    fn next(&mut self) -> Result<Option<Sound>> {
        let rate = self.sample_rate();
        Ok(Iterator::next(self).transpose()?.map(|samples| Sound::mono(samples, rate)))
    }

    fn set_effort(&mut self, effort: &Effort) -> Result<()> {
        self.set_settings(SamplerSettings::of_effort(effort, self.settings().seed)?)
    }
}

/// Cheaper efforts with their share of `from`'s cost, dearest first. `starts_well`: a start needs no step after it.
pub(crate) fn ladder(from: &Effort, starts_well: bool) -> Vec<(Effort, f64)> {
    let Ok(wanted) = SamplerSettings::of_effort(from, 0) else { return vec![] };
    rungs(wanted, starts_well).into_iter().skip(1).map(|rung| (rung.effort(), cost(rung) / cost(wanted))).collect()
}

/// Relative cost of a second of sound: the encoder, a start beside its iterations, a denoiser step and a projection iteration,
/// by the qualities' speeds in f32 on two cores with AVX-512. Only ratios between rungs are used, and each rung is measured afresh.
fn cost(settings: SamplerSettings) -> f64 {
    const ENCODER: f64 = 0.8;
    const START: f64 = 0.9;
    const STEP: f64 = 1.0;
    const ITERATION: f64 = 0.027;
    let start = if settings.start_iterations > 0 { START } else { 0.0 };
    ENCODER + start + STEP * settings.steps as f64 + ITERATION * settings.total_iterations() as f64
}

/// After a start, fewer steps first and then fewer iterations: a step costs as much as 40 iterations, and what is heard comes
/// from those. From noise the steps make the sound, and are given up last.
fn rungs(wanted: SamplerSettings, starts_well: bool) -> Vec<SamplerSettings> {
    let mut rungs = vec![wanted];
    let mut push = |settings: SamplerSettings| {
        if rungs.last() != Some(&settings) {
            rungs.push(settings);
        }
    };
    // One iteration is the least that makes the sound agree with the mel; nobody who asked for none gets more.
    let fewer = |iterations: usize, divisor: usize| (iterations / divisor).max(iterations.min(1));
    let mut settings = wanted;
    while settings.start_iterations > 0 && settings.steps > 1 {
        settings.steps = settings.steps.div_ceil(2);
        push(settings);
    }
    if settings.start_iterations > 0 && starts_well {
        settings.steps = 0;
        push(settings);
    }
    for divisor in [2, 4] {
        settings.start_iterations = fewer(wanted.start_iterations, divisor);
        settings.iterations = fewer(wanted.iterations, divisor);
        settings.final_iterations = fewer(wanted.final_iterations, divisor);
        push(settings);
    }
    while settings.steps > 1 {
        settings.steps = settings.steps.div_ceil(2);
        push(settings);
    }
    settings.final_iterations = settings.final_iterations.min(1);
    settings.iterations = settings.iterations.min(1);
    settings.start_iterations = settings.start_iterations.min(1);
    push(settings);
    rungs
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: SamplerSettings =
        SamplerSettings { start_iterations: 0, steps: 4, iterations: 8, final_iterations: 16, seed: 7 };

    #[test]
    fn an_effort_and_its_settings_are_one() {
        assert_eq!(SamplerSettings::of_effort(&WANTED.effort(), 7).unwrap(), WANTED);
        let unknown = Effort::new([("steps", 2), ("stepps", 3)]);
        assert!(SamplerSettings::of_effort(&unknown, 0).unwrap_err().to_string().contains("stepps"));
    }

    #[test]
    fn the_ladder_says_what_share_each_rung_costs() {
        let ladder = ladder(&WANTED.effort(), true);
        assert_eq!(ladder.len(), rungs(WANTED, true).len() - 1);
        assert!(ladder.iter().all(|(_, share)| (0.0..1.0).contains(share)));
    }

    #[test]
    fn the_ladder_gives_iterations_up_before_steps() {
        let short: Vec<_> = rungs(WANTED, true).iter().map(|s| (s.steps, s.iterations, s.final_iterations)).collect();
        assert_eq!(short, [(4, 8, 16), (4, 4, 8), (4, 2, 4), (2, 2, 4), (1, 2, 4), (1, 1, 1)]);
        assert!(rungs(WANTED, true).windows(2).all(|pair| cost(pair[1]) < cost(pair[0])));
        assert!(rungs(WANTED, true).iter().all(|settings| settings.seed == 7));
        let least = SamplerSettings { start_iterations: 0, steps: 1, iterations: 0, final_iterations: 0, seed: 0 };
        assert_eq!(rungs(least, true), [least]);
        let no_projection =
            SamplerSettings { start_iterations: 0, steps: 3, iterations: 0, final_iterations: 0, seed: 0 };
        assert!(rungs(no_projection, true).iter().all(|settings| settings.final_iterations == 0));
    }

    #[test]
    fn after_a_start_the_ladder_gives_steps_up_before_iterations() {
        let wanted = SamplerSettings { start_iterations: 64, steps: 4, iterations: 16, final_iterations: 32, seed: 0 };
        let short = |starts_well: bool| -> Vec<_> {
            let rungs = rungs(wanted, starts_well);
            assert!(rungs.windows(2).all(|pair| cost(pair[1]) < cost(pair[0])));
            rungs.iter().map(|s| (s.start_iterations, s.steps, s.final_iterations)).collect()
        };
        assert_eq!(short(false), [(64, 4, 32), (64, 2, 32), (64, 1, 32), (32, 1, 16), (16, 1, 8), (1, 1, 1)]);
        assert_eq!(
            short(true),
            [(64, 4, 32), (64, 2, 32), (64, 1, 32), (64, 0, 32), (32, 0, 16), (16, 0, 8), (1, 0, 1)]
        );
    }
}
