//! One window, rendered with several seeds, and what happened in it.

use super::{Bands, Spread, Trajectory, TrajectoryStep, trajectory};
use crate::{
    Result,
    diffusion::{Network, Noise, SamplerSettings},
    eval::picture::{Grid, NEPER_DB},
    mel::{MelConvention, MelSpectrogram, extract},
    sound::Sound,
};
use serde::Serialize;

/// dB below the loudest level at which levels stop to count: nobody hears what lies below, and nothing there is known.
pub(super) const DEPTH_DB: f32 = 80.0;

/// dB above that where spreads begin to count: below it, part of each spread is cut off.
const HEARD_DB: f32 = 10.0;

/// What is inspected, for people.
#[derive(Debug, Clone, Default, Serialize)]
pub struct About {
    /// File, as it was named.
    pub input: String,
    /// Name and hash of the weights.
    pub model: String,
    pub convention: String,
    /// Where the window begins in the input, and how long it is; s.
    pub start_s: f64,
    pub seconds: f64,
    /// Of the whole input, s.
    pub input_seconds: f64,
    pub settings: Option<SamplerSettings>,
    pub seeds: Vec<u64>,
    /// What the user should be told.
    pub notes: Vec<String>,
}

/// A waveform against the mel that it should have, and against the recording where there is one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageNumbers {
    /// Mean absolute difference of log-mels, nats: of all, and of each band.
    pub mel_error: f64,
    pub mel_error_bands: Vec<f64>,
    /// ‖M - M'‖ / ‖M‖ of linear mels (Sturmel and Daudet 2011, there of spectra), of all, and of each band; `None` for a
    /// band in which the mel is empty.
    pub spectral_convergence: f64,
    pub spectral_convergence_bands: Vec<Option<f64>>,
    /// Root mean square difference from the recording's levels, dB, where either is heard.
    pub to_recording_db: Option<f64>,
    /// Standard deviation of the levels over the seeds, dB, mean over what is heard: of all, and of each band. Gaussian noise
    /// of one and the same mean level has 5.6.
    pub spread_db: Option<f64>,
    pub spread_db_bands: Option<Vec<Option<f32>>>,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepNumbers {
    /// From 1; 0 is the start, which does not ask the network: its estimate is the noise itself.
    pub step: usize,
    pub t: f32,
    pub estimate: StageNumbers,
    pub projected: StageNumbers,
    /// What the projection changed: mean absolute difference of levels, dB, over what is heard: of all, and of each band.
    pub change_db: f64,
    pub change_db_bands: Vec<Option<f32>>,
}

impl StepNumbers {
    /// `start`, `step 1` and so on.
    pub fn name(&self) -> String {
        match self.step {
            0 => "start".into(),
            step => format!("step {step}"),
        }
    }
}

/// A step with its sounds and spectra. Spectra are `[T, F]` in dB, by the convention's transform and hop, not below 80 under
/// the loudest.
#[derive(Debug, Clone)]
pub struct InspectedStep {
    pub numbers: StepNumbers,
    pub waveforms: TrajectoryStep,
    pub noisy: Grid,
    pub estimate: Grid,
    pub projected: Grid,
    /// Projected less estimate.
    pub change: Grid,
    /// Standard deviations over the seeds, in dB; `None` for one seed.
    pub estimate_spread: Option<Grid>,
    pub projected_spread: Option<Grid>,
}

/// A window that was looked into.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub mel: MelSpectrogram,
    pub convention: MelConvention,
    pub bands: Bands,
    /// `[n]`, what the mel was taken from.
    pub recording: Option<Sound>,
    pub recording_spectrum: Option<Grid>,
    /// dB of the loudest level.
    pub top_db: f32,
    pub steps: Vec<InspectedStep>,
}

/// The levels of a waveform, cut off at `floor`; the bins and frames are those that the convention's bands are made of.
fn spectrum(samples: &[f32], convention: &MelConvention, floor: f32) -> Grid {
    let sound = Sound::mono(samples.to_vec(), convention.sample_rate);
    let mut grid = Grid::spectrum_of(&sound, convention.n_fft, convention.hop);
    grid.values.iter_mut().for_each(|level| *level = level.max(floor));
    grid
}

/// What all seeds say about a step.
#[derive(Default)]
struct StepSpread {
    estimate: Spread,
    projected: Spread,
}

impl Inspection {
    /// Renders `mel` once with each of `noises` and looks closely at the first. `on_rendering` hears after each one how many
    /// are done, and ends it all by an error.
    ///
    /// # Errors
    /// Those of [`trajectory`] and of `on_rendering`.
    pub fn run<N: Network, Z: Noise>(
        network: &N,
        mel: MelSpectrogram,
        recording: Option<Vec<f32>>,
        settings: SamplerSettings,
        noises: impl IntoIterator<Item = Z>,
        mut on_rendering: impl FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let convention = network.convention().clone();
        let mut first: Option<(Trajectory, f32)> = None;
        let mut spreads: Vec<StepSpread> = Vec::new();
        for (done, noise) in noises.into_iter().enumerate() {
            let way = trajectory(network, &mel, settings, noise)?;
            let top = match &first {
                Some((_, top)) => *top,
                None => loudest(&way, recording.as_deref(), &convention),
            };
            spreads.resize_with(way.steps.len(), StepSpread::default);
            for (step, spread) in way.steps.iter().zip(&mut spreads) {
                spread.estimate.push(spectrum(&step.estimate, &convention, top - DEPTH_DB).values);
                spread.projected.push(spectrum(&step.projected, &convention, top - DEPTH_DB).values);
            }
            first.get_or_insert((way, top));
            on_rendering(done + 1)?;
        }
        let (way, top_db) = first.unwrap_or_default();
        let looked =
            Look { mel: &mel, convention: &convention, bands: Bands::of(&convention), floor: top_db - DEPTH_DB };
        let recording_spectrum = recording.as_ref().map(|samples| spectrum(samples, &convention, looked.floor));
        let mut steps = Vec::with_capacity(way.steps.len());
        for (i, (waveforms, spread)) in way.steps.into_iter().zip(&spreads).enumerate() {
            let step = if settings.asks_network(0) { i + 1 } else { i };
            steps.push(looked.step(step, waveforms, spread, recording_spectrum.as_ref())?);
        }
        let bands = looked.bands;
        let recording = recording.map(|samples| Sound::mono(samples, convention.sample_rate));
        Ok(Self { mel, convention, bands, recording, recording_spectrum, top_db, steps })
    }

    /// Seconds of the window's sound.
    pub fn seconds(&self) -> f64 {
        let samples = self.steps.first().map_or(0, |step| step.waveforms.projected.len());
        samples as f64 / f64::from(self.convention.sample_rate)
    }

    pub fn sound(&self, samples: &[f32]) -> Sound {
        Sound::mono(samples.to_vec(), self.convention.sample_rate)
    }

    /// The given mel, in dB, for pictures.
    pub fn mel_grid(&self) -> Grid {
        Grid::mel(&self.mel, &self.convention)
    }
}

/// The highest level of the recording, or of the result.
fn loudest(way: &Trajectory, recording: Option<&[f32]>, convention: &MelConvention) -> f32 {
    let result = way.steps.last().map_or(&[][..], |step| &step.projected);
    spectrum(recording.unwrap_or(result), convention, -180.0).top()
}

/// What every step is compared with.
struct Look<'a> {
    mel: &'a MelSpectrogram,
    convention: &'a MelConvention,
    bands: Bands,
    floor: f32,
}

impl Look<'_> {
    fn step(
        &self,
        step: usize,
        waveforms: TrajectoryStep,
        spread: &StepSpread,
        recording: Option<&Grid>,
    ) -> Result<InspectedStep> {
        let of = |samples: &[f32]| spectrum(samples, self.convention, self.floor);
        let (noisy, estimate, projected) = (of(&waveforms.noisy), of(&waveforms.estimate), of(&waveforms.projected));
        let change = projected.less(&estimate);
        let is_heard = |i: usize| estimate.values[i] > self.floor || projected.values[i] > self.floor;
        let moved: Vec<f32> = change.values.iter().map(|v| v.abs()).collect();
        let numbers = StepNumbers {
            step,
            t: waveforms.t,
            estimate: self.stage(&waveforms.estimate, &estimate, &spread.estimate, recording)?,
            projected: self.stage(&waveforms.projected, &projected, &spread.projected, recording)?,
            change_db: mean(&moved, is_heard).unwrap_or(0.0),
            change_db_bands: self.bands.means(&moved, is_heard),
        };
        let grid = |spread: &Spread| spread.deviation().map(|values| Grid { values, ..estimate.clone() });
        let (estimate_spread, projected_spread) = (grid(&spread.estimate), grid(&spread.projected));
        Ok(InspectedStep { numbers, noisy, change, estimate_spread, projected_spread, estimate, projected, waveforms })
    }

    fn stage(&self, samples: &[f32], grid: &Grid, spread: &Spread, recording: Option<&Grid>) -> Result<StageNumbers> {
        let again = extract(samples, self.convention)?;
        let m = self.mel.n_mels();
        let (mut errors, mut squares, mut energies) = (vec![0.0f64; m], vec![0.0f64; m], vec![0.0f64; m]);
        let frames = self.mel.frames().min(again.frames());
        let floor = self.convention.floor;
        for (given, found) in self.mel.values().chunks_exact(m).zip(again.values().chunks_exact(m)) {
            for (band, (given, found)) in given.iter().zip(found).enumerate() {
                let (given, found) = (f64::from(*given), f64::from(*found));
                errors[band] += (given - found).abs();
                squares[band] += (given.exp() - found.exp()).powi(2);
                energies[band] += given.exp().powi(2);
            }
        }
        let count = frames.max(1) as f64;
        let total = |values: &[f64]| values.iter().sum::<f64>();
        // A band that never leaves its floor has no sound to be relative to.
        let empty = frames as f64 * (2.0 * floor).powi(2);
        let convergence = |squares: f64, energy: f64| (squares / energy).sqrt();
        let bands = squares.iter().zip(&energies).map(|(s, e)| (*e > empty).then(|| convergence(*s, *e)));
        let deviation = spread.deviation();
        let is_heard = |i: usize| spread.mean()[i] > self.floor + HEARD_DB;
        Ok(StageNumbers {
            mel_error: total(&errors) / (count * m as f64),
            mel_error_bands: errors.iter().map(|error| error / count).collect(),
            spectral_convergence: convergence(total(&squares), total(&energies).max(f64::MIN_POSITIVE)),
            spectral_convergence_bands: bands.collect(),
            to_recording_db: recording.and_then(|recording| self.distance(grid, recording)),
            spread_db: deviation.as_ref().and_then(|deviation| mean(deviation, is_heard)),
            spread_db_bands: deviation.map(|deviation| self.bands.means(&deviation, is_heard)),
        })
    }

    fn distance(&self, grid: &Grid, recording: &Grid) -> Option<f64> {
        let values = grid.values.len().min(recording.values.len());
        let (a, b) = (&grid.values[..values], &recording.values[..values]);
        let squares: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).collect();
        mean(&squares, |i| a[i] > self.floor || b[i] > self.floor).map(f64::sqrt)
    }
}

fn mean(values: &[f32], counts: impl Fn(usize) -> bool) -> Option<f64> {
    let (mut sum, mut amount) = (0.0, 0u64);
    for (_, value) in values.iter().enumerate().filter(|(i, _)| counts(*i)) {
        sum += f64::from(*value);
        amount += 1;
    }
    (amount > 0).then(|| sum / amount as f64)
}

/// A neper is so many dB; errors of log-mels are given in both.
pub(super) const NATS_DB: f64 = NEPER_DB as f64;
