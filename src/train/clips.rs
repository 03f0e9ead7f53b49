//! The recordings of a training: found, decoded and checked once, kept in memory as far as it goes, decoded again where
//! it does not.

use crate::{
    Error, Fault, Result, audio,
    data::{DropReason, SHORTEST_S, drop_reasons},
    dsp::threads::in_parallel,
    eval::Folder,
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Decoded audio that is kept in memory.
const CACHE_BYTES: usize = 4 << 30;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    pub path: PathBuf,
    /// Below the folder it was found in, without the extension.
    pub name: String,
    /// At the model's rate.
    pub samples: usize,
}

/// A file that does not train, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub path: PathBuf,
    pub reason: String,
}

pub struct Clips {
    pub clips: Vec<Clip>,
    pub(super) sample_rate: u32,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    kept: HashMap<usize, (Arc<[i16]>, u64)>,
    bytes: usize,
    /// Counts uses; the clip used longest ago makes room.
    clock: u64,
}

impl Cache {
    fn get(&mut self, clip: usize) -> Option<Arc<[i16]>> {
        self.clock += 1;
        let (samples, used) = self.kept.get_mut(&clip)?;
        *used = self.clock;
        Some(samples.clone())
    }

    fn put(&mut self, clip: usize, samples: Arc<[i16]>) {
        self.clock += 1;
        self.bytes += 2 * samples.len();
        if let Some((old, _)) = self.kept.insert(clip, (samples, self.clock)) {
            self.bytes -= 2 * old.len();
        }
        while self.bytes > CACHE_BYTES && self.kept.len() > 1 {
            let Some(oldest) = self.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(&clip, _)| clip) else {
                break;
            };
            if let Some((samples, _)) = self.kept.remove(&oldest) {
                self.bytes -= 2 * samples.len();
            }
        }
    }
}

impl Clips {
    /// Reads all recordings below `folders`. `on_file` hears of the number done and of all.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be read, [`Error::Data`] where nothing in them can train,
    /// [`Error::Interrupted`] once `stop` is set. Single files that are broken are dropped.
    pub fn open(
        folders: &[PathBuf],
        sample_rate: u32,
        threads: usize,
        stop: &AtomicBool,
        on_file: impl Fn(usize, usize) + Sync,
    ) -> Result<(Self, Vec<Dropped>)> {
        let mut files: Vec<(String, PathBuf)> = vec![];
        for folder in folders {
            files.extend(Folder::open(folder)?.files);
        }
        let done = Mutex::new(0);
        let read = in_parallel(&files, threads, |(_, path)| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let fit = Ok(fit(path, sample_rate));
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += 1;
            on_file(*done, files.len());
            fit
        });
        let (mut clips, mut dropped, mut cache) = (vec![], vec![], Cache::default());
        let mut seen: HashMap<blake3::Hash, PathBuf> = HashMap::new();
        for ((name, path), fit) in files.into_iter().zip(read) {
            match fit? {
                Err(reason) => dropped.push(Dropped { path, reason }),
                Ok(samples) => {
                    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
                    if let Some(other) = seen.insert(blake3::hash(&bytes), path.clone()) {
                        let reason = format!("holds the same sound as {}", other.display());
                        dropped.push(Dropped { path, reason });
                        continue;
                    }
                    clips.push(Clip { path, name, samples: samples.len() });
                    cache.put(clips.len() - 1, samples.into());
                }
            }
        }
        if clips.is_empty() {
            let places: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let mut fault = Fault::new(places.join(", "), "no recording here can train")
                .expected(format!("recordings of {SHORTEST_S:.1} s or more"));
            if let Some(Dropped { path, reason }) = dropped.first() {
                fault = fault.remedy(format!("the first of {} dropped: {}: {reason}", dropped.len(), path.display()));
            }
            return Err(Error::Data(fault));
        }
        Ok((Self { clips, sample_rate, cache: Mutex::new(cache) }, dropped))
    }

    /// The samples of a clip, full scale 32767.
    ///
    /// # Errors
    /// Those of decoding, where the file has to be read again and has changed.
    pub fn samples(&self, clip: usize) -> Result<Arc<[i16]>> {
        if let Some(samples) = self.cache().get(clip) {
            return Ok(samples);
        }
        let Clip { path, samples: expected, .. } = &self.clips[clip];
        let samples: Arc<[i16]> = stored(&audio::read_at(path, self.sample_rate)?.samples).into();
        if samples.len() != *expected {
            return Err(Error::Data(
                Fault::new(path.display(), format!("has {} samples now", samples.len()))
                    .expected(format!("{expected}, as when the training began"))
                    .remedy("leave the data alone while it is trained on, or start anew with another --out"),
            ));
        }
        self.cache().put(clip, samples.clone());
        Ok(samples)
    }

    /// Identifies the recordings, their order and their lengths.
    pub fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for clip in &self.clips {
            hash.update(clip.name.as_bytes()).update(&clip.samples.to_le_bytes());
        }
        hash.finalize().to_hex()[..16].into()
    }

    pub fn hours(&self, clips: &[usize]) -> f64 {
        clips.iter().map(|&i| self.clips[i].samples as f64).sum::<f64>() / f64::from(self.sample_rate) / 3600.0
    }

    /// The clips that train and those kept apart: a file's side depends on its name alone, so that it stays the same
    /// when others come or go. At least one is on each side, where there are two.
    pub fn split(&self, share: f64) -> (Vec<usize>, Vec<usize>) {
        let place = |clip: &Clip| {
            let hash = blake3::hash(clip.name.as_bytes());
            let [a, b, c, d, ..] = *hash.as_bytes();
            f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX)
        };
        let mut order: Vec<usize> = (0..self.clips.len()).collect();
        order.sort_by(|&a, &b| place(&self.clips[a]).total_cmp(&place(&self.clips[b])));
        let mut apart = order.iter().filter(|&&i| place(&self.clips[i]) < share).count();
        if share > 0.0 && order.len() > 1 {
            apart = apart.clamp(1, order.len() - 1);
        }
        let mut train = order.split_off(apart);
        train.sort_unstable();
        (train, order)
    }
}

impl Clips {
    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As recordings are kept in memory.
fn stored(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|s| (s * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// The samples, or why the recording does not train.
fn fit(path: &Path, sample_rate: u32) -> Result<Vec<i16>, String> {
    let samples = audio::read_at(path, sample_rate).map_err(|error| error.to_string())?.samples;
    match drop_reasons(&samples, sample_rate).first() {
        None => Ok(stored(&samples)),
        Some(DropReason::TooShort) => {
            let seconds = samples.len() as f64 / f64::from(sample_rate);
            Err(format!("is {seconds:.2} s long, shorter than {SHORTEST_S:.2} s"))
        }
        Some(reason) => Err(format!("is {}", reason.name())),
    }
}
