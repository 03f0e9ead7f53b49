//! The recordings of a training: found, told apart, decoded and checked once, then read window by window.

use super::{
    decoded::{Decoded, Place, Refusal},
    job::Narrow,
};
use crate::{Error, Fault, Result, batch::Inputs, data::SHORTEST_S, dsp::threads::in_parallel, eval::name_below};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, atomic::AtomicBool},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    pub path: PathBuf,
    /// Below the folder it was found in, without the extension.
    pub name: String,
    /// At the model's rate.
    pub samples: usize,
    /// Of the recordings that never train.
    pub is_apart: bool,
    place: Place,
}

impl Clip {
    /// Hz up to which it tells of its sound; `None`: all of it.
    pub fn reach_hz(&self) -> Option<f64> {
        self.place.reach_hz.map(f64::from)
    }
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
    decoded: Decoded,
}

/// Where a training finds its recordings.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    pub data: &'a [PathBuf],
    /// Recordings that never train, wherever else they lie.
    pub apart: &'a [PathBuf],
    /// Where they are kept decoded.
    pub decoded: &'a Path,
}

/// A file in the folders.
struct Candidate {
    name: String,
    path: PathBuf,
    is_apart: bool,
}

impl Folders<'_> {
    /// All files, those of the data first. One that is found twice, by whatever path, stands where it was found first, and
    /// is kept apart where any of its places is.
    fn files(&self) -> Result<Vec<Candidate>> {
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
        let mut files: Vec<Candidate> = vec![];
        let mut known: HashMap<PathBuf, usize> = HashMap::new();
        let sides = [(self.data, false), (self.apart, true)];
        for (folder, is_apart) in sides.into_iter().flat_map(|(folders, side)| folders.iter().map(move |f| (f, side))) {
            let mut inputs = Inputs::default();
            inputs.add_recordings(folder, None);
            if let Some(error) = inputs.unreadable.pop() {
                return Err(error);
            }
            for found in inputs.found {
                let (name, path) = (name_below(&found.name), found.input);
                let at = *known.entry(canonical(&path)).or_insert(files.len());
                match files.get_mut(at) {
                    Some(file) => file.is_apart |= is_apart,
                    None => files.push(Candidate { name, path, is_apart }),
                }
            }
        }
        Ok(files)
    }
}

impl Clips {
    /// Reads all recordings. Of those that hold the same samples one is taken, one that is kept apart before any that
    /// trains. `on_file` hears of the number done and of all.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be read, [`Error::Data`] where nothing in them can train, or nothing that was to
    /// be kept apart can, or the disk is full, [`Error::Interrupted`] once `stop` is set. Single files that are broken are
    /// dropped.
    pub fn open(
        folders: Folders,
        sample_rate: u32,
        threads: usize,
        stop: &AtomicBool,
        on_file: impl Fn(usize, usize) + Sync,
    ) -> Result<(Self, Vec<Dropped>)> {
        let files = folders.files()?;
        let mut decoded = Decoded::open(folders.decoded, sample_rate)?;
        let done = Mutex::new(0);
        let read = in_parallel(&files, threads, |file| {
            let place = decoded.recording(&file.path, stop);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += 1;
            on_file(*done, files.len());
            place
        });
        let mut read = read.into_iter().map(|place| match place {
            Ok(place) => Ok(Ok(place)),
            Err(Refusal::Dropped(reason)) => Ok(Err(reason)),
            Err(Refusal::Failed(error)) => Err(error),
        });
        let read = match read.by_ref().collect::<Result<Vec<_>>>() {
            Ok(read) => read,
            Err(error) => {
                // What is decoded already need not be again; whether that worked or not, there is an error to tell.
                let _ = decoded.keep(false);
                return Err(error);
            }
        };
        decoded.keep(true)?;
        let (clips, dropped) = told_apart(files, read);
        let first = match dropped.first() {
            Some(Dropped { path, reason }) => {
                format!("the first of {} dropped: {}: {reason}", dropped.len(), path.display())
            }
            None => String::new(),
        };
        let none = |folders: &[PathBuf], found: &str| {
            let places: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let fault = Fault::new(places.join(", "), found);
            Err(Error::Data(fault.expected(format!("recordings of {SHORTEST_S:.1} s or more")).remedy(first.clone())))
        };
        if clips.is_empty() {
            return none(folders.data, "no recording here can train");
        }
        if !folders.apart.is_empty() && !clips.iter().any(|clip| clip.is_apart) {
            return none(folders.apart, "no recording here can be kept apart");
        }
        Ok((Self { clips, sample_rate, decoded }, dropped))
    }

    /// `length` samples from `start` of a clip on, full scale 32767.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be read any more.
    pub fn samples(&self, clip: usize, start: usize, length: usize) -> Result<Vec<i16>> {
        self.decoded.samples(&self.clips[clip].place, start as u64, length)
    }

    /// Where the decoded recordings lie, and the bytes that they take.
    pub fn decoded_size(&self) -> (&Path, u64) {
        self.decoded.size()
    }

    /// Identifies the recordings by what they are called and what is to be heard, in their order, and those kept apart.
    pub fn fingerprint(&self, apart: &[usize]) -> String {
        let mut hash = blake3::Hasher::new();
        let apart: HashSet<usize> = apart.iter().copied().collect();
        for (i, clip) in self.clips.iter().enumerate() {
            hash.update(clip.name.as_bytes()).update(&[0]).update(clip.place.hash.as_bytes());
            hash.update(&[u8::from(apart.contains(&i))]);
        }
        format!("content-{}", &hash.finalize().to_hex()[..32])
    }

    /// What trainings before had in its place: names and lengths.
    pub fn fingerprint_of_lengths(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for clip in &self.clips {
            hash.update(clip.name.as_bytes()).update(&clip.samples.to_le_bytes());
        }
        hash.finalize().to_hex()[..16].into()
    }

    /// Those of `clips` that lack something at the top.
    pub fn narrow(&self, clips: &[usize]) -> Narrow {
        let reaches = || clips.iter().filter_map(|&i| self.clips[i].place.reach_hz);
        Narrow {
            files: reaches().count(),
            reach_hz: (reaches().min().unwrap_or_default(), reaches().max().unwrap_or_default()),
        }
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

/// The recordings, and those that are left out: broken ones, and those whose samples another one has.
fn told_apart(files: Vec<Candidate>, read: Vec<Result<Place, String>>) -> (Vec<Clip>, Vec<Dropped>) {
    let mut firsts: HashMap<String, (usize, PathBuf)> = HashMap::new();
    let wins_first =
        |wanted: bool| files.iter().zip(&read).enumerate().filter(move |(_, (file, _))| file.is_apart == wanted);
    for (i, (file, place)) in wins_first(true).chain(wins_first(false)) {
        if let Ok(place) = place {
            firsts.entry(place.hash.clone()).or_insert_with(|| (i, file.path.clone()));
        }
    }
    let (mut clips, mut dropped) = (vec![], vec![]);
    for (i, (Candidate { name, path, is_apart }, place)) in files.into_iter().zip(read).enumerate() {
        match place {
            Err(reason) => dropped.push(Dropped { path, reason }),
            Ok(place) => match firsts.get(&place.hash) {
                Some((first, other)) if *first != i => {
                    let reason = format!("holds the same sound as {}", other.display());
                    dropped.push(Dropped { path, reason });
                }
                _ => clips.push(Clip { path, name, samples: place.samples as usize, is_apart, place }),
            },
        }
    }
    (clips, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `data/a.flac`, `data/b.wav` and `data/apart/c.wav`.
    fn recordings() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data/apart")).unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let copies =
            [("speech-de.flac", "data/a.flac"), ("speech-en.wav", "data/b.wav"), ("music.wav", "data/apart/c.wav")];
        for (from, to) in copies {
            std::fs::copy(samples.join(from), folder.path().join(to)).unwrap();
        }
        folder
    }

    fn open(folder: &Path, data: &[&str], apart: &[&str]) -> Result<(Clips, Vec<Dropped>)> {
        let within = |names: &[&str]| names.iter().map(|name| folder.join(name)).collect::<Vec<_>>();
        let (data, apart, decoded) = (within(data), within(apart), folder.join("decoded"));
        let folders = Folders { data: &data, apart: &apart, decoded: &decoded };
        Clips::open(folders, 24_000, 1, &AtomicBool::new(false), |_, _| {})
    }

    fn sides(clips: &Clips) -> Vec<(&str, bool)> {
        clips.clips.iter().map(|clip| (clip.name.as_str(), clip.is_apart)).collect()
    }

    #[test]
    fn what_is_kept_apart_stays_so_however_it_is_spelled() {
        let folder = recordings();
        let wanted = [("a", false), ("apart/c", true), ("b", false)];
        for (data, apart) in [("data", "data/apart"), ("./data", "data/apart"), ("data", "data/../data/./apart")] {
            let (clips, dropped) = open(folder.path(), &[data], &[apart]).unwrap();
            assert_eq!((sides(&clips), dropped), (wanted.to_vec(), vec![]), "{data} {apart}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("data/apart"), folder.path().join("link")).unwrap();
            assert_eq!(sides(&open(folder.path(), &["data"], &["link"]).unwrap().0), wanted);
        }
    }

    #[test]
    fn a_copy_of_what_is_kept_apart_does_not_train() {
        let folder = recordings();
        std::fs::rename(folder.path().join("data/apart"), folder.path().join("apart")).unwrap();
        std::fs::copy(folder.path().join("apart/c.wav"), folder.path().join("data/aa.wav")).unwrap();
        let (clips, dropped) = open(folder.path(), &["data"], &["apart"]).unwrap();
        assert_eq!(sides(&clips), [("a", false), ("b", false), ("c", true)]);
        let reason = format!("holds the same sound as {}", folder.path().join("apart/c.wav").display());
        assert_eq!(dropped, [Dropped { path: folder.path().join("data/aa.wav"), reason }]);
    }

    #[test]
    fn where_none_can_be_kept_apart_that_is_an_error() {
        let folder = recordings();
        std::fs::create_dir(folder.path().join("broken")).unwrap();
        std::fs::write(folder.path().join("broken/x.wav"), "RIFF and nothing else").unwrap();
        let told = open(folder.path(), &["data"], &["broken"]).err().unwrap().to_string();
        assert!(told.contains("broken: no recording here can be kept apart"), "{told}");
    }

    #[test]
    fn other_sound_of_the_same_name_and_length_is_another_training() {
        let folder = recordings();
        let (clips, _) = open(folder.path(), &["data"], &[]).unwrap();
        let prints = (clips.fingerprint(&[]), clips.fingerprint_of_lengths());
        assert_ne!(clips.fingerprint(&[1]), prints.0);
        let path = folder.path().join("data/b.wav");
        let mut reader = hound::WavReader::open(&path).unwrap();
        let (spec, samples) = (reader.spec(), reader.samples::<i16>().map(|s| s.unwrap()).collect::<Vec<_>>());
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        samples.iter().rev().for_each(|&s| writer.write_sample(s).unwrap());
        writer.finalize().unwrap();
        let (clips, _) = open(folder.path(), &["data"], &[]).unwrap();
        assert_eq!(clips.fingerprint_of_lengths(), prints.1);
        assert_ne!(clips.fingerprint(&[]), prints.0);
    }
}
