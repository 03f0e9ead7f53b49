//! Batches of windows cut out of the clips, made by background threads so that the network never waits.
//!
//! What is in a batch depends on the seed and the step and on nothing else: a resumed training sees what an
//! uninterrupted one would have seen, with any number of threads.

use super::{clips::Clips, excerpts::Cut, settings::TrainSettings};
use crate::{
    Error, Fault, Result,
    data::augment::{Augmenter, Pool},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Batches that each thread is ahead.
const AHEAD: usize = 2;

/// The generator of one window of one step.
pub fn generator(seed: u64, step: u64, item: usize) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(step);
    generator.set_word_pos((item as u128) << 32);
    generator
}

/// Uniform in [0, 1).
pub fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    f64::from(generator.next_u32()) / 4_294_967_296.0
}

/// Cuts windows out of some of the clips; long clips give more of them.
pub struct Windows {
    clips: Arc<Clips>,
    chosen: Vec<usize>,
    /// Samples of the chosen clips up to and with each.
    ends: Vec<u64>,
    settings: TrainSettings,
    /// Where something is asked of it.
    augmenter: Option<Augmenter>,
}

impl Windows {
    /// # Errors
    /// [`Error::Settings`] for an augmentation that cannot be, [`Error::Audio`] for its sounds, [`Error::Interrupted`] once
    /// `stop` is set while they are read.
    pub fn new(clips: Arc<Clips>, chosen: Vec<usize>, settings: &TrainSettings, stop: &AtomicBool) -> Result<Self> {
        let ends = chosen.iter().scan(0, |sum, &i| {
            *sum += clips.clips[i].samples as u64;
            Some(*sum)
        });
        let (ends, augment) = (ends.collect(), &settings.augment);
        let augmenter = match *augment == Default::default() {
            true => None,
            false => {
                let mixes_own = augment.mix.as_ref().is_some_and(|mix| mix.from.is_none());
                let pool = mixes_own.then(|| own_clips(&clips, &chosen)).transpose()?.map(Arc::new);
                Some(Augmenter::new(augment, clips.sample_rate, pool, stop)?)
            }
        };
        Ok(Self { clips, chosen, ends, settings: settings.clone(), augmenter })
    }

    /// The batch of `step`.
    ///
    /// # Errors
    /// [`Error::Io`] where the decoded recordings cannot be read any more.
    pub fn batch(&self, step: u64) -> Result<Cut> {
        let TrainSettings { batch, window, .. } = self.settings;
        let mut cut = Cut { samples: Vec::with_capacity(batch * window), reach_hz: Vec::with_capacity(batch) };
        for item in 0..batch {
            let reach_hz = self.window(&mut generator(self.settings.seed, step, item), &mut cut.samples)?;
            cut.reach_hz.push(reach_hz);
        }
        Ok(cut)
    }

    /// Up to where it can be believed, Hz.
    fn window(&self, random: &mut ChaCha8Rng, out: &mut Vec<f32>) -> Result<Option<f64>> {
        let TrainSettings { window, gain: [low, high], .. } = self.settings;
        let total = self.ends.last().copied().unwrap_or(0);
        let place = (uniform(random) * total as f64) as u64;
        let clip = self.ends.partition_point(|&end| end <= place).min(self.chosen.len() - 1);
        let clip = self.chosen[clip];
        let held = self.clips.clips[clip].samples;
        let length = self.augmenter.as_ref().map_or(window, |a| a.input_for(window)).min(held);
        let start = (uniform(random) * (held - length + 1) as f64) as usize;
        let gain = (f64::from(low) + uniform(random) * f64::from(high - low)) as f32 / 32_768.0;
        let samples = self.clips.samples(clip, start, length)?;
        let scaled = samples.iter().map(|&s| f32::from(s) * gain);
        let end = out.len() + window;
        let mut reach_hz = self.clips.clips[clip].reach_hz();
        match &self.augmenter {
            None => out.extend(scaled),
            Some(augmenter) => {
                let seed = u64::from(random.next_u32()) << 32 | u64::from(random.next_u32());
                let clip: Vec<f32> = scaled.collect();
                reach_hz = reach_hz.map(|hz| hz * augmenter.pitch(seed));
                // A louder sum is for a file to hold down; here it would teach clipping.
                out.extend(augmenter.window(&clip, window, seed).iter().map(|s| s.clamp(-1.0, 1.0)));
            }
        }
        // Silence behind a clip that is shorter than the window.
        out.resize(end, 0.0);
        Ok(reach_hz)
    }
}

/// The training's own recordings, to be mixed with each other; of more than a pool holds an even share of each.
fn own_clips(clips: &Clips, chosen: &[usize]) -> Result<Pool> {
    let most = (Pool::MOST_S * f64::from(clips.sample_rate)) as usize;
    let all: usize = chosen.iter().map(|&i| clips.clips[i].samples).sum();
    let share = if all <= most { most } else { (most / chosen.len()).max(1) };
    let clip = |&i: &usize| {
        let samples = clips.samples(i, 0, clips.clips[i].samples.min(share))?;
        Ok((clips.clips[i].name.clone(), samples.iter().map(|&s| f32::from(s) / 32_768.0).collect()))
    };
    Ok(Pool::of_clips(chosen.iter().map(clip).collect::<Result<Vec<_>>>()?))
}

/// The batches from some step on, in order.
pub struct Loader {
    queues: Vec<Receiver<Result<Cut>>>,
    next: usize,
}

impl Loader {
    pub fn start(windows: &Arc<Windows>, first_step: u64, threads: usize) -> Self {
        let threads = threads.max(1);
        let queue = |i: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let windows = windows.clone();
            // A thread that cannot be started leaves its queue closed, which `next` reports.
            let _ = thread::Builder::new().name(format!("audiodiff-data-{i}")).spawn(move || {
                fill(&sender, &windows, (first_step + i as u64..).step_by(threads));
            });
            receiver
        };
        Self { queues: (0..threads).map(queue).collect(), next: 0 }
    }

    /// The next batch, and how long it was waited for.
    ///
    /// # Errors
    /// Those of [`Windows::batch`].
    pub fn next_batch(&mut self) -> Result<(Cut, Duration)> {
        let start = Instant::now();
        let gone = |_| Error::Data(Fault::new("training data", "the thread that reads it is gone").remedy("run again"));
        let batch = self.queues[self.next].recv().map_err(gone)??;
        self.next = (self.next + 1) % self.queues.len();
        Ok((batch, start.elapsed()))
    }
}

fn fill(queue: &SyncSender<Result<Cut>>, windows: &Windows, steps: impl Iterator<Item = u64>) {
    for step in steps {
        // The trainer is gone once nobody receives.
        if queue.send(windows.batch(step)).is_err() {
            return;
        }
    }
}
