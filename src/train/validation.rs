//! How good a model in training is: its loss on recordings that never train beside that on recordings that do, and the
//! scores of what it renders.

use super::{
    clips::Clips,
    conversion::refiner,
    excerpts::Excerpts,
    objective::Objective,
    settings::{Phase, TrainSettings},
    step::conversion_pairs,
    weights::Weights,
    windows::{Windows, generator},
};
use crate::{
    Error, Result,
    data::augment::AugmentSettings,
    dsp::resample::resample,
    eval::{mel_l1, pesq_wb},
    mel::{self, MelConvention, MelSpectrogram},
    model::Quality,
    render::Renderer,
    sound::Sound,
    source::WholeMel,
    vocoder::{RenderOptions, Vocoder},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tch::{Kind, Tensor};

/// Windows that go through the network at once.
const AT_ONCE: i64 = 12;

/// Seconds of a recording that are rendered.
const RENDERED_S: usize = 6;

/// Of all random numbers of a validation, so that two validations differ in the model alone.
const SEED: u64 = 0x5eed;

/// Conventions whose mels are rendered to see how well the model knows those of others: a near one, one with few bands and
/// none below 80 Hz, and one with frames far apart.
const FOREIGN: [&str; 3] = ["hifigan-22k", "pwg-libritts", "magenta"];

pub struct Validation {
    /// Of `[V, n]` each; none where no recording is kept apart.
    apart: Option<Excerpts>,
    trained: Excerpts,
    /// `[n]` each: what is rendered.
    clips: Vec<Vec<f32>>,
}

impl Validation {
    /// Takes the windows and clips that every validation of a training uses.
    ///
    /// # Errors
    /// [`Error::Io`] where a clip cannot be read any more.
    pub fn new(
        clips: &Arc<Clips>,
        train: &[usize],
        apart: &[usize],
        objective: &Objective,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let settings = &objective.settings;
        let fixed = TrainSettings {
            batch: settings.validation.windows.max(1),
            gain: [0.8, 0.8],
            seed: SEED,
            augment: AugmentSettings::default(),
            ..settings.clone()
        };
        let windows = |chosen: &[usize]| {
            let batch = Windows::new(clips.clone(), chosen.to_vec(), &fixed, stop)?.batch(0)?;
            Ok(batch.to_device(settings.window, objective.device()))
        };
        let rendered = if apart.is_empty() { train } else { apart };
        let scored = rendered.iter().take(settings.validation.clips).map(|&clip| {
            let most = RENDERED_S * objective.native().sample_rate as usize;
            let samples = clips.samples(clip, 0, most.min(clips.clips[clip].samples))?;
            Ok(samples.iter().map(|&s| f32::from(s) / 32_768.0).collect())
        });
        let apart = (!apart.is_empty()).then(|| windows(apart)).transpose()?;
        Ok(Self { apart, trained: windows(train)?, clips: scored.collect::<Result<_>>()? })
    }

    /// The phase's loss on recordings kept apart, and on recordings that train; twice the latter where none is kept apart.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once `stop` is set.
    pub fn losses(&self, weights: &Weights, objective: &Objective, stop: &AtomicBool) -> Result<(f64, f64)> {
        let of = |windows| mean_loss(weights, objective, windows, stop);
        let trained = of(&self.trained)?;
        Ok((self.apart.as_ref().map_or(Ok(trained), of)?, trained))
    }

    /// Means over the rendered clips: `mel_l1`, `pesq_wb` where there is speech, both at standard quality and, with
    /// `draft_` before, at draft. Of mels of other conventions: `pesq_wb` over all, and that of each.
    ///
    /// # Errors
    /// Those of rendering; [`Error::Interrupted`] once `stop` is set.
    pub fn scores(&self, vocoder: &Arc<dyn Vocoder>, phase: Phase, stop: &AtomicBool) -> Result<BTreeMap<String, f64>> {
        if phase == Phase::Conversion { self.foreign_scores(vocoder, stop) } else { self.own_scores(vocoder, stop) }
    }

    fn foreign_scores(&self, vocoder: &Arc<dyn Vocoder>, stop: &AtomicBool) -> Result<BTreeMap<String, f64>> {
        let mut scores = BTreeMap::new();
        for name in FOREIGN {
            let convention = mel::presets::named(name)?;
            let mut pesqs = vec![];
            for clip in &self.clips {
                let clip = resample(clip, vocoder.card().mel.sample_rate, convention.sample_rate)?;
                let rendered = render(vocoder, mel::extract(&clip, convention)?, convention, Quality::Standard, stop)?;
                pesqs.extend(pesq_wb(&clip, &rendered, convention.sample_rate).ok().map(f64::from));
            }
            if !pesqs.is_empty() {
                let mean = pesqs.iter().sum::<f64>() / pesqs.len() as f64;
                scores.insert(format!("{name}_pesq_wb"), mean);
            }
        }
        if !scores.is_empty() {
            scores.insert("pesq_wb".into(), scores.values().sum::<f64>() / scores.len() as f64);
        }
        Ok(scores)
    }

    fn own_scores(&self, vocoder: &Arc<dyn Vocoder>, stop: &AtomicBool) -> Result<BTreeMap<String, f64>> {
        let mut scores = BTreeMap::new();
        for (quality, prefix) in [(Quality::Standard, ""), (Quality::Draft, "draft_")] {
            let (mut mels, mut pesqs) = (vec![], vec![]);
            for clip in &self.clips {
                let given = mel::extract(clip, &vocoder.card().mel)?;
                let rendered = render(vocoder, given.clone(), &vocoder.card().mel, quality, stop)?;
                mels.extend(mel_l1(&given, &rendered, &vocoder.card().mel).map(f64::from));
                // Music, or silence: PESQ has nothing to say of it.
                pesqs.extend(pesq_wb(clip, &rendered, vocoder.card().mel.sample_rate).ok().map(f64::from));
            }
            for (key, values) in [("mel_l1", mels), ("pesq_wb", pesqs)] {
                if !values.is_empty() {
                    scores.insert(format!("{prefix}{key}"), values.iter().sum::<f64>() / values.len() as f64);
                }
            }
        }
        Ok(scores)
    }
}

fn render(
    vocoder: &Arc<dyn Vocoder>,
    mel: MelSpectrogram,
    convention: &MelConvention,
    quality: Quality,
    stop: &AtomicBool,
) -> Result<Vec<f32>> {
    let effort = Some(vocoder.card().efforts.of(quality).clone());
    let options = RenderOptions { effort, seed: SEED, ..RenderOptions::default() };
    let renderer = Renderer::new(vocoder.clone(), Box::new(WholeMel::new(mel)), convention, &options)?;
    let piece = |sound: Result<Sound>| {
        go_on(stop)?;
        Ok(sound?.into_mono())
    };
    Ok(renderer.map(piece).collect::<Result<Vec<_>>>()?.concat())
}

fn go_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

fn mean_loss(weights: &Weights, objective: &Objective, windows: &Excerpts, stop: &AtomicBool) -> Result<f64> {
    let settings = &objective.settings;
    let _guard = tch::no_grad_guard();
    tch::manual_seed(SEED as i64);
    let (count, n) = (windows.audio.size()[0], windows.audio.size()[1]);
    let mut sum = 0.0;
    let mut at = 0;
    while at < count {
        go_on(stop)?;
        let rows = AT_ONCE.min(count - at);
        let excerpts = windows.narrow(at, rows);
        let noise = || objective.acoustics.noise(rows, n);
        let loss = match settings.phase {
            Phase::Flow => {
                // Times spread evenly, the same ones for the same windows.
                let t = (Tensor::arange(rows, (Kind::Float, objective.device())) + at as f64 + 0.5) / count as f64;
                objective.flow(&weights.network, &excerpts, &t, &noise()).total()
            }
            Phase::Conversion => {
                let generators = (at..at + rows).map(|item| generator(SEED, 0, item as usize)).collect();
                let loss = conversion_pairs(&excerpts.audio, objective.native(), generators)
                    .and_then(|pairs| Ok(objective.conversion(refiner(&weights.network)?, &pairs)));
                // Not a number stands for a loss that could not be computed.
                loss.unwrap_or_else(|_| Tensor::from(f32::NAN))
            }
            Phase::FewStep => {
                let path = settings.few_step.path(settings.few_step.steps.iter().copied().max().unwrap_or(1));
                let noises: Vec<_> = (0..path.turns()).map(|_| noise()).collect();
                objective.whole_path(&weights.network, &excerpts, &noises, path)?
            }
        };
        sum += f64::try_from(loss).unwrap_or(f64::NAN) * rows as f64;
        at += rows;
    }
    Ok(sum / count as f64)
}
