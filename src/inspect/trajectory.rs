//! The waveforms that a rendering passes on its way, of one window over everything.

use crate::{
    Error, Fault, Result,
    diffusion::{ChunkLayout, Network, Noise, Observer, Renderer, SamplerSettings, Stage, WholeMel},
    mel::MelSpectrogram,
};

/// One step. All waveforms are `[n]`, n = (T - 1) hop.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrajectoryStep {
    /// The time that the network was told: 0 is noise, 1 would be clean.
    pub t: f32,
    /// What the network was shown.
    pub noisy: Vec<f32>,
    /// What it took that for.
    pub estimate: Vec<f32>,
    /// The estimate after the projection on the mel.
    pub projected: Vec<f32>,
}

/// All steps of one rendering.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectory {
    pub steps: Vec<TrajectoryStep>,
}

impl Observer for Trajectory {
    fn see(&mut self, step: usize, t: f32, stage: Stage, x: &[f32]) {
        if step == self.steps.len() {
            self.steps.push(TrajectoryStep { t, ..TrajectoryStep::default() });
        }
        let Some(step) = self.steps.get_mut(step) else { return };
        match stage {
            Stage::Noisy => step.noisy = x.to_vec(),
            Stage::Estimate => step.estimate = x.to_vec(),
            Stage::Projected => step.projected = x.to_vec(),
        }
    }
}

/// Mel frames that one window holds.
pub(super) const MOST_FRAMES: usize = 4096;

/// Renders `mel`, 2 to 4096 frames, in one window.
///
/// # Errors
/// [`Error::Settings`] for another number of frames, and those of the renderer.
pub fn trajectory<N: Network>(
    network: &N,
    mel: &MelSpectrogram,
    settings: SamplerSettings,
    noise: impl Noise,
) -> Result<Trajectory> {
    let frames = mel.frames();
    if !(2..=MOST_FRAMES).contains(&frames) {
        let fault = Fault::new("the window", format!("{frames} mel frames"));
        let longest = (MOST_FRAMES * network.convention().hop) as f64 / f64::from(network.convention().sample_rate);
        let fault = fault.expected(format!("2 to {MOST_FRAMES}"));
        return Err(Error::Settings(fault.remedy(format!("choose one of at most {longest:.0} s"))));
    }
    // A chunk that is not shorter than the mel is its only one.
    let layout = ChunkLayout { chunk: frames, ..ChunkLayout::default() };
    let layout = ChunkLayout { fade: layout.fade.min(network.convention().hop * (frames - 1)), ..layout };
    let source = WholeMel::new(mel.clone());
    let mut renderer = Renderer::with(network, source, settings, layout, noise, Trajectory::default())?;
    for chunk in renderer.by_ref() {
        chunk?;
    }
    Ok(std::mem::take(renderer.observer()))
}
