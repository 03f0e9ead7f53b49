//! A training from its beginning to its end: the recordings read, the weights made or found again, and the steps run.

use super::{
    card::{describe, new_card, sizes},
    checkpoint::{self, Origin, Progress},
    clips::{Clips, Dropped, Folders},
    history::History,
    job::{Event, TrainJob, Trained},
    objective::Objective,
    run::Run,
    run_folder::{RunFolder, check_origin, check_same},
    settings::{Phase, TrainSettings},
    validation::Validation,
    weights::Weights,
    windows::Windows,
};
use crate::{
    Error, Fault, Result, Setting,
    dsp::threads::Threads,
    model::{EncoderSize, ModelFile, Precision},
};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tch::Kind;

/// Trains, or goes on where `job.out` was left.
///
/// # Errors
/// [`Error::Exists`] where the folder holds models without a state to go on from and `job.overwrite` is not set,
/// [`Error::Settings`] where it holds a training of another recipe, [`Error::Data`] for recordings that cannot
/// train or a loss that explodes again and again, [`Error::Io`] for files, [`Error::Interrupted`] where `stop` is set
/// before there is anything to go on from.
pub fn train(job: &TrainJob, stop: &AtomicBool, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Trained> {
    let folder = RunFolder::open(&job.out, job.overwrite)?;
    let _lock = folder.lock()?;
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
    let (clips, dropped, train, apart) = read_clips(job, &folder, &settings, card.mel.sample_rate, stop, on_event)?;
    let kind = match job.precision.resolve(device) {
        Precision::Bf16 => Kind::BFloat16,
        _ => Kind::Float,
    };
    let mut weights = match &init {
        Some(model) if settings.phase == Phase::Conversion => {
            let size = *card.refiner.get_or_insert(EncoderSize::REFINER);
            (card.extends, card.restores) = (true, true);
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
    let figures = folder.file(RunFolder::HISTORY);
    let history = match saved {
        Some(_) => History::open(&figures, progress.step)?,
        None => History::begin(&figures)?,
    };
    let objective = Objective::new(&card, settings, device, kind);
    let validation = Validation::new(&clips, &train, &apart, &objective, stop)?;
    on_event(Event::Ready {
        hours: clips.hours(&train),
        files: train.len(),
        kept_apart: apart.len(),
        narrow: clips.narrow(&train),
        dropped: &dropped,
        step: progress.step,
        parameters: weights.len(),
        decoded: clips.decoded_size(),
    });
    describe(&mut card, job, &clips, &train, init.as_ref());
    let windows = Arc::new(Windows::new(clips, train, &objective.settings, stop)?);
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

/// All recordings, those that are left out, and the numbers of those that train and of those that are kept apart.
type Sides = (Arc<Clips>, Vec<Dropped>, Vec<usize>, Vec<usize>);

fn read_clips(
    job: &TrainJob,
    folder: &RunFolder,
    settings: &TrainSettings,
    sample_rate: u32,
    stop: &AtomicBool,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> Result<Sides> {
    let decoded = folder.file("decoded");
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
            Fault::new(Setting::Data, "nothing is left to train on").remedy("keep `validation` apart from `data`"),
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
