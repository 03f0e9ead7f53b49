//! Every picture of an inspection, by name.

use super::{InspectedStep, Inspection, inspection::DEPTH_DB};
use crate::{
    eval::picture::{FrequencyScale, Grid, Picture},
    mel::MelScale,
};

/// dB: changes beyond it have the colour of the end.
const CHANGE_DB: f32 = 20.0;
/// dB of the lightest spread. Gaussian noise has 5.6.
const SPREAD_DB: f32 = 8.0;

/// A picture that is still to be drawn.
pub(super) struct Named<'a> {
    /// Of its file, without an extension.
    pub name: String,
    /// What it shows, in words.
    pub alt: String,
    pub picture: Picture<'a>,
}

/// Draws an inspection's grids alike.
pub(super) struct Pictures<'a> {
    pub inspection: &'a Inspection,
    pub axis: FrequencyScale,
    /// Pixels.
    pub size: (u32, u32),
}

impl<'a> Pictures<'a> {
    fn picture(&self, title: String, grid: &'a Grid, range: [f32; 2], difference: bool) -> Picture<'a> {
        let (axis, size) = (self.axis, self.size);
        Picture { title, grid, range, difference, axis, seconds: self.inspection.seconds(), size }
    }

    fn levels(&self, title: impl Into<String>, grid: &'a Grid) -> Picture<'a> {
        let top = self.inspection.top_db;
        self.picture(title.into(), grid, [top - DEPTH_DB, top], false)
    }

    /// The mel has a scale of its own: 0 dB is a magnitude of 1.
    pub fn mel(&self, grid: &'a Grid) -> Named<'a> {
        let top = grid.top();
        let mut picture = self.picture("the given mel".into(), grid, [top - DEPTH_DB, top], false);
        picture.axis = FrequencyScale::Mel(MelScale::Htk);
        Named { name: "mel".into(), alt: "the mel that was given".into(), picture }
    }

    pub fn recording(&self) -> Option<Named<'a>> {
        let grid = self.inspection.recording_spectrum.as_ref()?;
        let picture = self.levels("the recording", grid);
        Some(Named { name: "recording".into(), alt: "spectrogram of the recording".into(), picture })
    }

    fn named(&self, step: &InspectedStep, what: &str, alt: &str, picture: Picture<'a>) -> Named<'a> {
        let number = step.numbers.step;
        Named { name: format!("step-{number:02}-{what}"), alt: format!("{}: {alt}", step.numbers.name()), picture }
    }

    fn title(&self, step: &InspectedStep, what: &str) -> String {
        match (step.numbers.step, self.inspection.steps.last()) {
            (number, Some(last)) if number > 0 => format!("step {number} of {}: {what}", last.numbers.step),
            _ => format!("{}: {what}", step.numbers.name()),
        }
    }

    pub fn noisy(&self, step: &'a InspectedStep) -> Named<'a> {
        let what = format!("shown to the network (t = {:.2})", step.numbers.t);
        let picture = self.levels(self.title(step, &what), &step.noisy);
        self.named(step, "noisy", "what the network was shown", picture)
    }

    pub fn estimate(&self, step: &'a InspectedStep) -> Named<'a> {
        let picture = self.levels(self.title(step, "estimate"), &step.estimate);
        self.named(step, "estimate", "what the network made of it", picture)
    }

    pub fn projected(&self, step: &'a InspectedStep) -> Named<'a> {
        let picture = self.levels(self.title(step, "projected"), &step.projected);
        self.named(step, "projected", "the estimate after the projection", picture)
    }

    pub fn change(&self, step: &'a InspectedStep) -> Named<'a> {
        let title = self.title(step, "changed by the projection");
        let picture = self.picture(title, &step.change, [-CHANGE_DB, CHANGE_DB], true);
        self.named(step, "change", "what the projection changed", picture)
    }

    pub fn estimate_spread(&self, step: &'a InspectedStep) -> Option<Named<'a>> {
        let grid = step.estimate_spread.as_ref()?;
        let picture = self.picture(self.title(step, "spread of the estimate"), grid, [0.0, SPREAD_DB], false);
        Some(self.named(step, "estimate-spread", "where the estimates of the seeds differ", picture))
    }

    pub fn projected_spread(&self, step: &'a InspectedStep) -> Option<Named<'a>> {
        let grid = step.projected_spread.as_ref()?;
        let picture = self.picture(self.title(step, "spread after projection"), grid, [0.0, SPREAD_DB], false);
        Some(self.named(step, "projected-spread", "where the projected seeds differ", picture))
    }

    /// All of a step.
    pub fn step(&self, step: &'a InspectedStep) -> Vec<Named<'a>> {
        let mut all = vec![self.noisy(step), self.estimate(step), self.projected(step), self.change(step)];
        all.extend(self.estimate_spread(step));
        all.extend(self.projected_spread(step));
        all
    }
}
