//! Augmentation: what a recording would sound like faster, higher, in company, in a room, in noise, through a telephone,
//! louder. In this order, each off unless asked for, and all drawn from one seed.
//!
//! ```
//! use audiodiff::data::augment::{AugmentSettings, Augmenter, Gain, Interval};
//!
//! let gain = Some(Gain { db: Interval::new(-12.0, 3.0), chance: 1.0 });
//! let stop = std::sync::atomic::AtomicBool::new(false);
//! let augmenter = Augmenter::new(&AugmentSettings { gain, ..Default::default() }, 24_000, None, &stop)?;
//! let clip = vec![0.5; 24_000];
//! assert_eq!(augmenter.apply(&clip, 7), augmenter.apply(&clip, 7));
//! assert_ne!(augmenter.apply(&clip, 7), augmenter.apply(&clip, 8));
//! # Ok::<(), audiodiff::Error>(())
//! ```

mod bandwidth;
mod draws;
mod noise;
mod pool;
mod reverb;
mod settings;
mod stretch;

pub use pool::Pool;
pub use settings::{AddedNoise, AugmentSettings, Bandwidth, Gain, Interval, Mix, NoiseColour, Pitch, Reverb, Tempo};

use crate::{Result, dsp::convolution::Convolver};
use draws::{Draws, Stream};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, atomic::AtomicBool};

/// Augments clips of one sample rate; may be shared between threads.
pub struct Augmenter {
    settings: AugmentSettings,
    sample_rate: u32,
    convolver: Convolver,
    sources: Arc<Pool>,
    rooms: Pool,
    noises: Pool,
}

/// What a seed does to a clip: the numbers drawn, as they stand in the record of `audiodiff data augment`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Applied {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tempo: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pitch_cents: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<Added>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverb: Option<Room>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Added>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth_hz: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<f32>,
}

/// Another sound that is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Added {
    /// File, or colour.
    pub sound: String,
    /// The clip's power over the sound's.
    pub ratio_db: f32,
    /// Where it begins, as a part of the room for it.
    pub start: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Room {
    Measured { file: String },
    Synthetic { rt60_s: f32, direct_db: f32 },
}

impl Augmenter {
    /// For clips of `sample_rate` Hz. `clips` are those that `mix` takes its sources from where it names no folder.
    ///
    /// # Errors
    /// [`crate::Error::Settings`] for what is out of range, or for a `mix` without sources; that of the first file of a
    /// folder that cannot be read; [`crate::Error::Interrupted`] once `stop` is set.
    pub fn new(
        settings: &AugmentSettings,
        sample_rate: u32,
        clips: Option<Arc<Pool>>,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let settings = settings.clone().validated(sample_rate)?;
        let folder = |folder: Option<&std::path::PathBuf>| {
            folder.map_or_else(|| Ok(Pool::default()), |folder| Pool::of_folder(folder, sample_rate, stop))
        };
        let sources = match (&settings.mix, clips) {
            (Some(Mix { from: Some(path), .. }), _) => Arc::new(Pool::of_folder(path, sample_rate, stop)?),
            (_, clips) => clips.unwrap_or_default(),
        };
        if settings.mix.is_some() && sources.is_empty() {
            let fault = crate::Fault::new("augmentation: mix", "no other clips to mix with");
            return Err(crate::Error::Settings(fault.remedy("name a folder of recordings with `from`")));
        }
        let rooms = folder(settings.reverb.as_ref().and_then(|reverb| reverb.from.as_ref()))?;
        let rooms = rooms.map(|response| reverb::measured(response, sample_rate));
        let noises = folder(settings.noise.as_ref().and_then(|noise| noise.from.as_ref()))?;
        Ok(Self { settings, sample_rate, convolver: Convolver::default(), sources, rooms, noises })
    }

    /// `clip` `[n]` as `seed` changes it: `[n]`, but [round(n / tempo)] where the tempo changes. Bit for bit the same where
    /// everything is off. Full scale may be passed; nothing is clipped here.
    pub fn apply(&self, clip: &[f32], seed: u64) -> Vec<f32> {
        self.perform(clip, &self.plan(seed, None), seed)
    }

    /// The first `length` samples of `apply`, with silence behind a clip that is too short: a window for training. Give it
    /// `input_for(length)` samples.
    pub fn window(&self, clip: &[f32], length: usize, seed: u64) -> Vec<f32> {
        let plan = self.plan(seed, None);
        let needed = (length as f64 * f64::from(plan.tempo.unwrap_or(1.0))).ceil() as usize;
        let mut out = self.perform(&clip[..needed.min(clip.len())], &plan, seed);
        out.resize(length, 0.0);
        out
    }

    /// By how much `seed` raises all frequencies of a clip.
    pub fn pitch(&self, seed: u64) -> f64 {
        self.plan(seed, None).pitch_cents.map_or(1.0, |cents| 2f64.powf(f64::from(cents) / 1200.0))
    }

    /// Samples of a clip of which a `window` of `length` can be made at every tempo.
    pub fn input_for(&self, length: usize) -> usize {
        let fastest = self.settings.tempo.map_or(1.0, |tempo| tempo.factor.high.max(1.0));
        (length as f64 * f64::from(fastest)).ceil() as usize
    }

    /// What `seed` does to a clip, which is not mixed with the one of its own `name`.
    pub fn plan(&self, seed: u64, name: Option<&str>) -> Applied {
        let AugmentSettings { tempo, pitch, mix, reverb, noise, bandwidth, gain } = &self.settings;
        let draw = |stream, chance: f32| {
            let mut draws = Draws::new(seed, stream);
            draws.happens(chance).then_some(draws)
        };
        let within = |interval: Interval, stream, chance| draw(stream, chance).map(|mut draws| draws.within(interval));
        Applied {
            tempo: tempo.and_then(|it| within(it.factor, Stream::Tempo, it.chance)),
            pitch_cents: pitch.and_then(|it| within(it.cents, Stream::Pitch, it.chance)),
            mix: mix.as_ref().and_then(|it| {
                let mut draws = draw(Stream::Mix, it.chance)?;
                let (level_db, start) = (draws.within(it.level_db), draws.unit());
                let own = name.and_then(|name| self.sources.position(name));
                let others = self.sources.len() - usize::from(own.is_some());
                let index = if others == 0 { return None } else { draws.index(others) };
                let index = if own.is_some_and(|own| index >= own) { index + 1 } else { index };
                Some(Added { sound: self.sources.name(index).into(), ratio_db: -level_db, start })
            }),
            reverb: reverb.as_ref().and_then(|it| {
                let mut draws = draw(Stream::Reverb, it.chance)?;
                let (rt60_s, direct_db) = (draws.within(it.rt60_s), draws.within(it.direct_db));
                Some(match self.rooms.len() {
                    0 => Room::Synthetic { rt60_s, direct_db },
                    rooms => Room::Measured { file: self.rooms.name(draws.index(rooms)).into() },
                })
            }),
            noise: noise.as_ref().and_then(|it| {
                let mut draws = draw(Stream::Noise, it.chance)?;
                let (ratio_db, start) = (draws.within(it.snr_db), draws.unit());
                let sound = match self.noises.len() {
                    0 => it.colour.to_string(),
                    noises => self.noises.name(draws.index(noises)).into(),
                };
                Some(Added { sound, ratio_db, start })
            }),
            bandwidth_hz: bandwidth.and_then(|it| within(it.cut_hz, Stream::Bandwidth, it.chance)),
            gain_db: gain.and_then(|it| within(it.db, Stream::Gain, it.chance)),
        }
    }

    /// Does to `clip` what `plan` says; `seed` draws the noise and the room's echoes.
    pub fn perform(&self, clip: &[f32], plan: &Applied, seed: u64) -> Vec<f32> {
        let (rate, convolver) = (self.sample_rate, &self.convolver);
        let (tempo, cents) = (plan.tempo.unwrap_or(1.0), plan.pitch_cents.unwrap_or(0.0));
        let mut out = stretch::stretch(clip, rate, tempo, cents);
        if out.is_empty() {
            return out;
        }
        if let Some(Added { sound, ratio_db, start }) = &plan.mix
            && let Some(index) = self.sources.position(sound)
        {
            let other = noise::placed(self.sources.clip(index), *start, out.len());
            noise::add_at_ratio(&mut out, &other, *ratio_db);
        }
        if let Some(room) = &plan.reverb {
            out = match room {
                Room::Synthetic { rt60_s, direct_db } => {
                    let mut draws = Draws::new(seed, Stream::ReverbTail);
                    let response = reverb::synthetic(*rt60_s, *direct_db, rate, out.len(), &mut draws);
                    convolver.convolve(&out, &response, 0)
                }
                Room::Measured { file } => match self.rooms.position(file) {
                    Some(index) => convolver.convolve(&out, self.rooms.clip(index), 0),
                    None => out,
                },
            };
        }
        if let Some(Added { sound, ratio_db, start }) = &plan.noise {
            let noise = match self.noises.position(sound) {
                Some(index) => noise::looped(self.noises.clip(index), *start, out.len()),
                None => {
                    let colour = self.settings.noise.as_ref().map_or_else(NoiseColour::default, |it| it.colour);
                    noise::coloured(colour, out.len(), rate, convolver, &mut Draws::new(seed, Stream::NoiseSpectrum))
                }
            };
            noise::add_at_ratio(&mut out, &noise, *ratio_db);
        }
        if let Some(cut_hz) = plan.bandwidth_hz {
            out = bandwidth::low_pass(&out, rate, cut_hz, convolver);
        }
        if let Some(db) = plan.gain_db {
            let gain = 10f32.powf(db / 20.0);
            out.iter_mut().for_each(|x| *x *= gain);
        }
        out
    }
}

#[cfg(test)]
mod tests;
