//! Two channels of a recording through a model of one: what they have in common is rendered once, as mid, and what tells them
//! apart as side. Left and right, the sum and the difference of both, are then projected on their own mels.
//!
//! Rendered each for itself, both channels would have the level that they should, but phases of their own: nothing would stay in
//! the middle.

use super::{
    converted_source::Given,
    given_mel::GivenMelPlan,
    per_channel::split,
    projected::{Iterations, Projected},
};
use crate::{
    Result,
    card::Effort,
    mel::{MelConvention, MelSpectrogram},
    sound::Sound,
    source::MelSource,
    vocoder::{RenderOptions, Rendering, Vocoder},
};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Of the projection. The phases are found already; what is left are magnitudes that two renderings add up to.
const ITERATIONS: usize = 4;

/// Left and right of a `source` whose frames hold left, right, mid and side, `[T, 4 M]`, of the model's convention.
///
/// # Errors
/// As [`Vocoder::render`].
pub fn left_and_right(
    vocoder: &Arc<dyn Vocoder>,
    source: Box<dyn MelSource>,
    options: &RenderOptions,
) -> Result<Vec<Box<dyn Rendering>>> {
    let own = &vocoder.card().mel;
    let mut sources = split(source, own.n_mels).into_iter();
    let (Some(left), Some(right), Some(mid), Some(side)) =
        (sources.next(), sources.next(), sources.next(), sources.next())
    else {
        return Ok(vec![]);
    };
    let silent = Arc::new(AtomicBool::new(true));
    let side = Watched {
        source: side,
        floor: crate::mel::bounds::Bounds::new(own).silence().to_vec(),
        silent: silent.clone(),
    };
    // Of chunks that grow, the treble of two rendered parts adds up to 0.1 dB more.
    let chunk = options.chunk.unwrap_or(vocoder.card().streaming.chunk);
    let alike = RenderOptions { chunk: Some(chunk), one_of_a_sum: true, ..options.clone() };
    let decoder = Arc::new(Mutex::new(Decoder {
        mid: vocoder.clone().render(mid, &alike)?,
        side: vocoder.clone().render(Box::new(side), &alike)?,
        silent,
        pending: [vec![], vec![]],
        waiting: [vec![], vec![]],
        rate: own.sample_rate,
    }));
    let channel = |(channel, mel): (usize, Box<dyn MelSource>)| -> Result<Box<dyn Rendering>> {
        let given = Arc::<Mutex<Given>>::default();
        let rendering = Channel {
            decoder: decoder.clone(),
            channel,
            mel,
            given: given.clone(),
            convention: own.clone(),
            samples: 0,
        };
        let plan = GivenMelPlan::new(own, None, options.seed);
        let form = (own.sample_rate, 0);
        let iterations = Iterations::Exactly(ITERATIONS);
        Ok(Box::new(Projected::new(vocoder.clone(), Box::new(rendering), given, plan, form, iterations)?))
    };
    [left, right].into_iter().enumerate().map(channel).collect()
}

/// Mid and side on their way to left and right.
struct Decoder {
    mid: Box<dyn Rendering>,
    side: Box<dyn Rendering>,
    /// Nothing of the side that was read so far is anything but silence.
    silent: Arc<AtomicBool>,
    /// Samples of mid and side that the other one has not come to yet.
    pending: [Vec<f32>; 2],
    /// Samples of left and right that nobody has taken.
    waiting: [Vec<f32>; 2],
    rate: u32,
}

impl Decoder {
    /// The next samples of a channel; none at the end.
    fn next(&mut self, channel: usize) -> Result<Vec<f32>> {
        while self.waiting[channel].is_empty() {
            let (mid, side) = (self.mid.next()?, self.side.next()?);
            if mid.is_none() && side.is_none() {
                break;
            }
            for (pending, sound) in self.pending.iter_mut().zip([mid, side]) {
                pending.extend(sound.map(Sound::into_mono).unwrap_or_default());
            }
            let count = self.pending[0].len().min(self.pending[1].len());
            let [mid, side] = self.pending.each_mut().map(|pending| pending.drain(..count).collect::<Vec<f32>>());
            // A model's silence is not always zero, and channels that are alike stay so to the last bit.
            let depth = if self.silent.load(Ordering::Relaxed) { 0.0 } else { 1.0 };
            let [left, right] = &mut self.waiting;
            for (mid, side) in mid.into_iter().zip(side) {
                left.push(mid + depth * side);
                right.push(mid - depth * side);
            }
        }
        Ok(std::mem::take(&mut self.waiting[channel]))
    }
}

/// One channel, with its mel beside it.
struct Channel {
    decoder: Arc<Mutex<Decoder>>,
    channel: usize,
    mel: Box<dyn MelSource>,
    given: Arc<Mutex<Given>>,
    convention: MelConvention,
    /// That were given out.
    samples: usize,
}

impl Rendering for Channel {
    fn next(&mut self) -> Result<Option<Sound>> {
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = decoder.next(self.channel)?;
        let ended = samples.is_empty();
        self.samples += samples.len();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        // The frames that these samples are heard in.
        while given.total.is_none()
            && (ended || self.convention.frame_start(given.frames.end()) < self.samples as isize)
        {
            let more = self.mel.read(64)?;
            (0..more.frames()).for_each(|t| given.frames.push(more.frame(t).to_vec()));
            if more.frames() == 0 {
                given.total = Some(given.frames.end());
            }
        }
        Ok((!ended).then(|| Sound::mono(samples, decoder.rate)))
    }

    fn set_effort(&mut self, effort: &Effort) -> Result<()> {
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        decoder.mid.set_effort(effort)?;
        decoder.side.set_effort(effort)
    }
}

/// A source that says when it is no longer silent.
struct Watched {
    source: Box<dyn MelSource>,
    /// [M]: what silence is stored as.
    floor: Vec<f32>,
    silent: Arc<AtomicBool>,
}

impl MelSource for Watched {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mel = self.source.read(frames)?;
        if mel.values().chunks_exact(self.floor.len()).any(|frame| frame != self.floor) {
            self.silent.store(false, Ordering::Relaxed);
        }
        Ok(mel)
    }
}
