//! The recordings of a training as it reads them, on disk: samples of 16 bits at the model's rate, one recording after
//! another in a few files, and an index that says where each begins. Windows are read from there, and the system keeps in
//! memory what is used often, so that a training of hundreds of hours needs no more of it than one of minutes.
//!
//! A recording is known by its file's place, size and times: one that was changed is decoded anew. The index is written
//! as a whole once the samples are safe; what it does not name is overwritten the next time.

use super::checkpoint;
use crate::{
    Error, Fault, Result,
    audio::{AudioReader, StreamResampler},
    data::{DropReason, SHORTEST_S, drop_reasons},
    measure::BandMeter,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::UNIX_EPOCH,
};

const VERSION: u32 = 2;
/// Filters begin to fall at this share of where they end.
const BELOW_FILTER: f64 = 0.93;

const BYTES: u64 = size_of::<i16>() as u64;

/// Where the samples of a recording lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of the file.
    part: usize,
    /// Samples before it in that file.
    start: u64,
    pub samples: u64,
    /// Hz up to which the recording tells of its sound; above, its rate, its coder or a filter left nothing. `None`: all of it.
    pub reach_hz: Option<u32>,
    /// Of the samples, in hexadecimal.
    pub hash: String,
}

impl Place {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.samples)
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Index {
    version: u32,
    sample_rate: u32,
    /// By [`identity`] of the recording's file.
    recordings: HashMap<String, Place>,
}

/// A file of samples that is being written.
struct Part {
    number: usize,
    path: PathBuf,
    file: File,
    /// Samples of whole recordings.
    samples: u64,
}

pub struct Decoded {
    folder: PathBuf,
    sample_rate: u32,
    known: HashMap<String, Place>,
    /// Those of this training, new or known.
    used: Mutex<HashMap<String, Place>>,
    /// Those that nobody writes to just now.
    parts: Mutex<Vec<Part>>,
    next_part: Mutex<usize>,
}

/// Why a recording is not there.
pub enum Refusal {
    /// It does not train, and why.
    Dropped(String),
    /// Nothing more can be decoded.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Decoded {
    /// Takes over what `folder` holds of a training at `sample_rate` Hz.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written.
    pub fn open(folder: &Path, sample_rate: u32) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        let text = fs::read_to_string(folder.join("index.json")).unwrap_or_default();
        // One that cannot be read is as good as none: it is made again.
        let index: Index = serde_json::from_str(&text).unwrap_or_default();
        let mut known = index.recordings;
        if index.version != VERSION || index.sample_rate != sample_rate {
            known.clear();
        }
        let mut lengths: HashMap<usize, u64> = HashMap::new();
        known.retain(|_, place| {
            let held = *lengths.entry(place.part).or_insert_with(|| {
                fs::metadata(part_path(folder, place.part)).map_or(0, |metadata| metadata.len() / BYTES)
            });
            place.end() <= held
        });
        let mut used: HashMap<usize, u64> = HashMap::new();
        for place in known.values() {
            let end = used.entry(place.part).or_default();
            *end = place.end().max(*end);
        }
        let next_part = used.keys().max().map_or(0, |&last| last + 1);
        let parts = used.into_iter().map(|(number, samples)| Part::open(folder, number, samples));
        let parts = parts.collect::<Result<_>>()?;
        Ok(Self {
            folder: folder.into(),
            sample_rate,
            known,
            used: Mutex::default(),
            parts: Mutex::new(parts),
            next_part: Mutex::new(next_part),
        })
    }

    /// The recording, decoded now where it is not there already. Any number of threads may ask.
    pub fn recording(&self, path: &Path, stop: &AtomicBool) -> Result<Place, Refusal> {
        let dropped = |error: Error| Refusal::Dropped(error.to_string());
        let metadata = fs::metadata(path).map_err(Error::io("cannot open", path)).map_err(dropped)?;
        let identity = identity(path, &metadata);
        if let Some(place) = self.known.get(&identity) {
            lock(&self.used).insert(identity, place.clone());
            return Ok(place.clone());
        }
        let mut part = match lock(&self.parts).pop() {
            Some(part) => part,
            None => {
                let mut next = lock(&self.next_part);
                *next += 1;
                Part::open(&self.folder, *next - 1, 0)?
            }
        };
        let placed = part.append(path, self.sample_rate, stop);
        lock(&self.parts).push(part);
        let place = placed?;
        lock(&self.used).insert(identity, place.clone());
        Ok(place)
    }

    /// Makes what was decoded safe, so that it is there the next time; what nobody asked for is forgotten where the
    /// recordings are `complete`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Data`] where the disk is full.
    pub fn keep(&mut self, complete: bool) -> Result<()> {
        let mut recordings = std::mem::take(&mut *lock(&self.used));
        if !complete {
            recordings.extend(self.known.drain());
        }
        let path = self.folder.join("index.json");
        if recordings == self.known && path.exists() {
            return Ok(());
        }
        for part in lock(&self.parts).iter() {
            part.file.sync_all().map_err(|error| full(&part.path, error))?;
        }
        let index = Index { version: VERSION, sample_rate: self.sample_rate, recordings };
        let text = serde_json::to_string(&index).map_err(|error| full(&path, io::Error::other(error)))?;
        self.known = index.recordings;
        checkpoint::write(&path, text.as_bytes())
    }

    /// `length` samples from `start` of a recording on, full scale 32767.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be read any more.
    pub fn samples(&self, place: &Place, start: u64, length: usize) -> Result<Vec<i16>> {
        let path = part_path(&self.folder, place.part);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start((place.start + start) * BYTES))?;
            let mut bytes = vec![0; length * BYTES as usize];
            file.read_exact(&mut bytes)?;
            Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
        };
        read().map_err(Error::io("cannot read the decoded recordings", &path))
    }

    /// The folder, and the bytes that it takes.
    pub fn size(&self) -> (&Path, u64) {
        (&self.folder, lock(&self.parts).iter().map(|part| part.samples * BYTES).sum())
    }
}

impl Part {
    /// What comes after the first `samples` is of no use to anyone.
    fn open(folder: &Path, number: usize, samples: u64) -> Result<Self> {
        let path = part_path(folder, number);
        let open = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.set_len(samples * BYTES)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(Error::io("cannot write", &path))?;
        Ok(Self { number, path, file, samples })
    }

    /// Puts a recording behind the others, or leaves all as it was.
    fn append(&mut self, path: &Path, sample_rate: u32, stop: &AtomicBool) -> Result<Place, Refusal> {
        let decoded = self.decode(path, sample_rate, stop);
        match &decoded {
            Ok(place) => self.samples = place.end(),
            Err(_) => {
                let cut = self.file.set_len(self.samples * BYTES).and_then(|()| self.file.seek(SeekFrom::End(0)));
                cut.map_err(|error| full(&self.path, error))?;
            }
        }
        decoded
    }

    fn decode(&mut self, path: &Path, sample_rate: u32, stop: &AtomicBool) -> Result<Place, Refusal> {
        let dropped = |error: Error| Refusal::Dropped(error.to_string());
        let mut reader = AudioReader::open(path).map_err(dropped)?;
        let own_rate = reader.source().sample_rate;
        let resampler = (own_rate != sample_rate).then(|| StreamResampler::new(own_rate, sample_rate));
        let mut resampler = resampler.transpose().map_err(dropped)?;
        let (mut hasher, mut count, mut peak) = (blake3::Hasher::new(), 0u64, 0.0f32);
        let mut band = BandMeter::new(sample_rate);
        let (mut samples, mut bytes) = (vec![], vec![]);
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Refusal::Failed(Error::Interrupted));
            }
            let chunk = reader.next().transpose().map_err(dropped)?;
            let ended = chunk.is_none();
            match (&mut resampler, chunk) {
                (None, chunk) => samples = chunk.unwrap_or_default(),
                (Some(resampler), Some(chunk)) => resampler.push(&chunk, &mut samples).map_err(dropped)?,
                (Some(resampler), None) => resampler.finish(&mut samples).map_err(dropped)?,
            }
            if let Some(value) = samples.iter().find(|sample| !sample.is_finite()) {
                return Err(Refusal::Dropped(format!("is {}: a sample comes to {value}", DropReason::Broken.name())));
            }
            peak = samples.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
            count += samples.len() as u64;
            band.push(&samples);
            bytes.clear();
            bytes.extend(samples.drain(..).flat_map(|sample| stored(sample).to_le_bytes()));
            hasher.update(&bytes);
            self.file.write_all(&bytes).map_err(|error| full(&self.path, error))?;
            if ended {
                break;
            }
        }
        match drop_reasons(count, f64::from(peak), sample_rate).first() {
            None => Ok(Place {
                part: self.number,
                start: self.samples,
                samples: count,
                reach_hz: reach(own_rate, sample_rate, band.finish()),
                hash: hasher.finalize().to_hex().to_string(),
            }),
            Some(DropReason::TooShort) => {
                let seconds = count as f64 / f64::from(sample_rate);
                Err(Refusal::Dropped(format!("is {seconds:.2} s long, shorter than {SHORTEST_S:.2} s")))
            }
            Some(reason) => Err(Refusal::Dropped(format!("is {}", reason.name()))),
        }
    }
}

/// Of a recording of `own_rate` that trains at `sample_rate` and that was `found` to end somewhere, Hz.
fn reach(own_rate: u32, sample_rate: u32, found: Option<f64>) -> Option<u32> {
    let by_rate = (own_rate < sample_rate).then(|| f64::from(own_rate) / 2.0);
    let ends = by_rate.into_iter().chain(found).reduce(f64::min)?;
    Some((BELOW_FILTER * ends) as u32)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn part_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.i16"))
}

fn stored(sample: f32) -> i16 {
    (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16
}

fn full(path: &Path, error: io::Error) -> Error {
    Error::Data(
        Fault::new(path.display(), format!("cannot write the decoded recordings: {error}"))
            .expected("room for 173 MB an hour of sound")
            .remedy("make room, or give an `out` on another disk"),
    )
}

/// Another one for each file, and for each state of it.
fn identity(path: &Path, metadata: &Metadata) -> String {
    let mut hash = blake3::Hasher::new();
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    hash.update(path.as_os_str().as_encoded_bytes()).update(&[0]).update(&metadata.len().to_le_bytes());
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    hash.update(&modified.as_nanos().to_le_bytes());
    // Programs may set the time of a change, but not that of the entry.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        for number in [metadata.ctime(), metadata.ctime_nsec(), metadata.ino() as i64] {
            hash.update(&number.to_le_bytes());
        }
    }
    hash.finalize().to_hex()[..32].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_at(path: &Path, sample_rate: u32, samples: impl Iterator<Item = i16>) {
        let spec =
            hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        samples.for_each(|s| writer.write_sample(s).unwrap());
        writer.finalize().unwrap();
    }

    fn write(path: &Path, seconds: u32, of: impl Fn(f32) -> f32) {
        write_at(path, 24_000, (0..24_000 * seconds).map(|i| (of(i as f32 * 0.05) * 10_000.0) as i16));
    }

    fn place(decoded: &Decoded, path: &Path) -> Place {
        decoded.recording(path, &AtomicBool::new(false)).unwrap_or_else(|_| panic!("{}", path.display()))
    }

    #[test]
    fn what_is_decoded_is_read_again_and_a_changed_recording_decoded_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, cache] = ["a.wav", "b.wav", "decoded"].map(|name| folder.path().join(name));
        write(&a, 3, f32::sin);
        write(&b, 2, f32::cos);
        let mut decoded = Decoded::open(&cache, 24_000).unwrap();
        let (first, second) = (place(&decoded, &a), place(&decoded, &b));
        assert_eq!((first.samples, second.samples), (72_000, 48_000));
        // In the steps of 16 bits: the file's full scale is 32768, that of what is kept 32767.
        let expected: Vec<i16> = (500..520).map(|i| ((i as f32 * 0.05).cos() * 10_000.0) as i16).collect();
        let read = decoded.samples(&second, 500, 20).unwrap();
        assert!(read.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1), "{read:?} {expected:?}");
        decoded.keep(true).unwrap();

        let again = Decoded::open(&cache, 24_000).unwrap();
        assert_eq!((place(&again, &a), place(&again, &b)), (first.clone(), second.clone()));
        assert_eq!(again.size().1, 2 * 120_000);
        assert_eq!(again.samples(&second, 500, 20).unwrap(), read);

        write(&a, 3, |x| (1.1 * x).sin());
        let changed = Decoded::open(&cache, 24_000).unwrap();
        let other = place(&changed, &a);
        assert!(other.hash != first.hash && other != first && place(&changed, &b) == second);
        assert_eq!(changed.samples(&second, 500, 20).unwrap(), read);
        // What a second training decoded is kept beside what the first one did.
        let mut changed = changed;
        changed.keep(true).unwrap();
        let third = Decoded::open(&cache, 24_000).unwrap();
        assert!(third.known.values().any(|known| *known == other) && third.known.len() == 2);
        assert_eq!((place(&third, &a), third.size().1), (other, 2 * 192_000));
        // An index that promises more than there is, and one of another rate, are not believed.
        OpenOptions::new().write(true).open(cache.join("0.i16")).unwrap().set_len(100).unwrap();
        assert!(Decoded::open(&cache, 24_000).unwrap().known.is_empty());
        assert!(Decoded::open(&cache, 22_050).unwrap().known.is_empty());
    }

    /// By its rate, or by the filter that it went through at the model's own.
    #[test]
    fn what_a_recording_cannot_tell_of_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let [low, resampled, full] = ["low.wav", "resampled.wav", "full.wav"].map(|name| folder.path().join(name));
        let mut state = 1u32;
        let noise: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.3 * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .take(32_000)
        .collect();
        let write = |path: &Path, rate: u32, samples: &[f32]| write_at(path, rate, samples.iter().map(|&s| stored(s)));
        write(&low, 8000, &noise);
        write(&resampled, 24_000, &crate::dsp::resample::resample(&noise, 8000, 24_000).unwrap());
        write(&full, 24_000, &noise);
        let decoded = Decoded::open(&folder.path().join("decoded"), 24_000).unwrap();
        for path in [&low, &resampled] {
            let reach = place(&decoded, path).reach_hz.unwrap();
            assert!((3300..=3800).contains(&reach), "{}: {reach} Hz", path.display());
        }
        assert_eq!(place(&decoded, &full).reach_hz, None);
    }

    #[test]
    fn what_is_refused_or_interrupted_leaves_nothing_between_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let [a, silent, b] = ["a.wav", "silent.wav", "b.wav"].map(|name| folder.path().join(name));
        write(&a, 2, f32::sin);
        write(&silent, 2, |_| 0.0);
        write(&b, 2, f32::cos);
        let decoded = Decoded::open(&folder.path().join("decoded"), 24_000).unwrap();
        place(&decoded, &a);
        let refused = decoded.recording(&silent, &AtomicBool::new(false));
        assert!(matches!(refused, Err(Refusal::Dropped(reason)) if reason == "is silent"));
        let stopped = decoded.recording(&b, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(Refusal::Failed(Error::Interrupted))));
        assert_eq!(place(&decoded, &b).start, 48_000);
    }
}
