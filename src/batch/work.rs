//! How much work goes into a second of sound: what a quality stands for, and numbers in its place.

use super::Engine;
use crate::{
    Error, Fault, Result,
    diffusion::SamplerSettings,
    model::{GriffinLim, Quality},
};

/// Numbers that were asked for, by options or by a line of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    pub start_iterations: Option<usize>,
    pub steps: Option<usize>,
    pub iterations: Option<usize>,
    pub final_iterations: Option<usize>,
}

impl Engine {
    /// What `quality` stands for.
    pub fn work_of(&self, quality: Quality, seed: u64) -> SamplerSettings {
        match self {
            Self::Diffusion(vocoder) => vocoder.card().sampler.settings(quality, seed),
            Self::GriffinLim(_) => GriffinLim::effort(quality).settings(seed),
        }
    }

    /// `set` with the numbers of `work` in place of its own. Griffin-Lim has one kind of work only: iterations.
    ///
    /// # Errors
    /// [`Error::Settings`] for a number out of range, or one that the engine has no use for.
    pub fn with_work(&self, set: SamplerSettings, work: Work) -> Result<SamplerSettings> {
        let Work { start_iterations, steps, iterations, final_iterations } = work;
        let Self::GriffinLim(_) = self else {
            let settings = SamplerSettings {
                start_iterations: start_iterations.unwrap_or(set.start_iterations),
                steps: steps.unwrap_or(set.steps),
                iterations: iterations.unwrap_or(set.iterations),
                final_iterations: final_iterations.unwrap_or(set.final_iterations),
                seed: set.seed,
            };
            return settings.validated();
        };
        for (option, given, own) in
            [("--start-iterations", start_iterations, set.start_iterations), ("--steps", steps, set.steps)]
        {
            if given.is_some_and(|given| given != own) {
                let fault = Fault::new(option, "has no meaning for griffin-lim");
                return Err(Error::Settings(fault.remedy("give --iterations")));
            }
        }
        if let (Some(iterations), Some(last)) = (iterations, final_iterations)
            && iterations != last
        {
            let fault = Fault::new("--iterations and --final-iterations", format!("{iterations} and {last}"));
            return Err(Error::Settings(
                fault.expected("one number for griffin-lim").remedy("give --iterations alone"),
            ));
        }
        let final_iterations = final_iterations.or(iterations).unwrap_or(set.final_iterations);
        SamplerSettings { final_iterations, ..set }.validated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn griffin_lim() -> Engine {
        Engine::GriffinLim(Box::new(GriffinLim::new(1).unwrap()))
    }

    #[test]
    fn griffin_lim_takes_its_iterations_from_the_quality_or_by_number() {
        let engine = griffin_lim();
        let iterations = |quality| engine.work_of(quality, 3).final_iterations;
        assert_eq!([Quality::Draft, Quality::Standard, Quality::Best].map(iterations), [30, 60, 120]);
        let set = engine.work_of(Quality::Standard, 3);
        for work in [
            Work { iterations: Some(7), ..Work::default() },
            Work { final_iterations: Some(7), ..Work::default() },
            Work { iterations: Some(7), final_iterations: Some(7), steps: Some(1), start_iterations: Some(0) },
        ] {
            assert_eq!(engine.with_work(set, work).unwrap(), SamplerSettings { final_iterations: 7, ..set });
        }
    }

    #[test]
    fn griffin_lim_refuses_what_it_has_no_use_for() {
        let engine = griffin_lim();
        let refusal = |work| engine.with_work(engine.work_of(Quality::Draft, 0), work).unwrap_err().to_string();
        let steps = refusal(Work { steps: Some(2), ..Work::default() });
        assert_eq!(steps, "--steps: has no meaning for griffin-lim; give --iterations");
        let start = refusal(Work { start_iterations: Some(64), ..Work::default() });
        assert!(start.starts_with("--start-iterations: has no meaning for griffin-lim"), "{start}");
        let two = refusal(Work { iterations: Some(1), final_iterations: Some(2), ..Work::default() });
        assert!(two.contains("1 and 2, expected one number"), "{two}");
        let many = refusal(Work { iterations: Some(1001), ..Work::default() });
        assert!(many.contains("1001, expected 0 to 1000"), "{many}");
    }
}
