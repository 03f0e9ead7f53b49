//! Recordings in, through symphonia: [what is read](super::format), mixed to mono, whole or not at all.
//!
//! A file that ends before its header's promise is refused, with both numbers: half a sentence that is rendered
//! without a word is worse than an error.

use std::{
    fs::File,
    io::{Cursor, ErrorKind, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use symphonia::core::{
    codecs::audio::{AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS},
    errors::Error as DecodeError,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream, ReadOnlySource},
    meta::MetadataOptions,
    packet::Packet,
    units::TimeBase,
};

use super::{
    chunks::{ChunkFault, ChunkFile, scan},
    format::{self, Format},
    mix::Mix,
    opus::DECODERS,
    resample::StreamResampler,
};
use crate::{Error, Fault, Result, error::panic_text, sound::Sound};

pub use crate::dsp::resample::SAMPLE_RATES;

/// Samples: 24.8 hours at 24 kHz, 8 GiB. Some formats pack hours of silence into a few bytes.
const LONGEST: u64 = 1 << 31;

/// More channels than this come from a broken header: WAV's channel mask has 32 bits.
const MOST_CHANNELS: usize = 32;

/// Of full scale: 60 dB over it, which no sound and no head-room of a float file reaches. Numbers beyond come from broken
/// memory, or from 16-bit samples that were not divided, and the whole file would be lowered for them.
const LOUDEST: f32 = 1000.0;

/// A recording in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Mono, full scale 1: the mean of the channels, or of surround by BS.775.
    pub samples: Vec<f32>,
    /// Hz, of `samples`.
    pub sample_rate: u32,
    /// What the file says of itself.
    pub source: SourceInfo,
}

/// What a recording's file was, before mixing and resampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceInfo {
    /// Hz.
    pub sample_rate: u32,
    pub channels: usize,
    /// Samples of each channel.
    pub samples: u64,
    /// Largest magnitude over all channels.
    pub peak: f32,
    /// Samples of all channels at or above full scale: more than a few say that the recording was clipped.
    pub full_scale_samples: u64,
    /// Those of them that come three or more in a row in one channel, as they do where a wave was cut off.
    pub clipped_samples: u64,
    /// Mean square over all channels. The mix to mono has as much where the channels are alike, and nothing where one is
    /// the other upside down.
    pub mean_square: f64,
    /// False where a WAV, W64 or AU leaves open where its sound ends, as after a pipe or a recording that was stopped: what
    /// there is up to the end of the file was taken.
    pub states_length: bool,
}

/// Full scale of 16 bits is 32767 upwards and 32768 downwards.
const FULL_SCALE: f32 = 32767.0 / 32768.0;

/// Samples at full scale in a row that no wave has unless it was cut off there.
const CLIPPED_RUN: u64 = 3;

/// What becomes of a recording's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Downmix {
    /// One.
    Mono,
    /// Two stay two; more are mixed to one.
    #[default]
    Stereo,
}

/// Reads a whole recording at its own rate.
pub fn read(path: impl AsRef<Path>) -> Result<Recording> {
    let reader = AudioReader::open(path)?;
    let sample_rate = reader.source().sample_rate;
    mono(reader.into_sound(sample_rate)?)
}

/// Reads a whole recording and resamples it on the way, so that the source's own rate never lies in memory as a whole.
pub fn read_at(path: impl AsRef<Path>, sample_rate: u32) -> Result<Recording> {
    mono(AudioReader::open(path)?.into_sound(sample_rate)?)
}

fn mono((sound, source): (Sound, SourceInfo)) -> Result<Recording> {
    Ok(Recording { sample_rate: sound.rate, samples: sound.into_mono(), source })
}

/// A recording as a stream of chunks of a few thousand samples; as an iterator it gives them in mono.
pub struct AudioReader {
    path: PathBuf,
    downmix: Downmix,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Samples of each channel, where the header says so.
    promised: Option<u64>,
    /// Samples of each channel where whole blocks may hold more than that.
    total: Option<u64>,
    /// Samples of each channel as the bytes of the file count them.
    counted: Option<u64>,
    /// A packet's duration is the samples of each channel that are decoded of it.
    packets_count_samples: bool,
    source: SourceInfo,
    interleaved: Vec<f32>,
    mix: Mix,
    /// For each channel, how many samples up to now are at full scale in a row.
    runs: Vec<u64>,
    /// Sum of the squares of all samples.
    energy: f64,
    finished: bool,
}

impl AudioReader {
    /// Opens `path` and decodes up to the first sound.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(Error::io("cannot open", path))?;
        let metadata = file.metadata().map_err(Error::io("cannot read", path))?;
        if metadata.is_dir() {
            return Err(fault(path, "is a folder", "a recording", ""));
        }
        if metadata.is_file() && metadata.len() == 0 {
            return Err(fault(path, "is empty", "a recording", ""));
        }
        let layout = match scan(&mut file) {
            Ok(layout) => layout,
            Err(ChunkFault::Io(source)) => return Err(Error::Io { path: path.into(), action: "cannot read", source }),
            Err(ChunkFault::Broken(found)) => {
                return Err(fault(path, &format!("is a broken recording: {found}"), "", "export it again"));
            }
        };
        if let Some(layout) = &layout {
            check_presence(path, layout)?;
        }
        let mut start = Vec::new();
        let rewound = file.seek(SeekFrom::Start(0));
        rewound
            .and_then(|_| (&mut file).take(format::START).read_to_end(&mut start))
            .map_err(Error::io("cannot read", path))?;
        let known = format::of_start(&start);
        if let Some(Format::Foreign(name)) = known {
            return Err(fault(path, &format!("is {name}, which is not read here"), format::NAMES, CONVERT));
        }
        guarded(path, || Self::probe(path, file, layout, known == Some(Format::Indexed)))
    }

    fn probe(path: &Path, mut file: File, layout: Option<ChunkFile>, is_indexed: bool) -> Result<Self> {
        let io_error = |source| Error::Io { path: path.into(), action: "cannot read", source };
        // Without seeking, symphonia never guesses an MP3's length from its first frames: what it then says is promised
        // by the file. It also reads Ogg to the end, where the last page must be marked as such.
        let source: Box<dyn MediaSource> = match &layout {
            Some(layout) => {
                file.seek(SeekFrom::Start(layout.data_start)).map_err(io_error)?;
                let header = Cursor::new(layout.fresh_header(layout.present));
                Box::new(ReadOnlySource::new(header.chain(file.take(layout.present))))
            }
            None => {
                file.seek(SeekFrom::Start(0)).map_err(io_error)?;
                if is_indexed { Box::new(file) } else { Box::new(ReadOnlySource::new(file)) }
            }
        };
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| refused(path, error))?;
        let nothing = || fault(path, "has no sound that can be decoded", format::NAMES, CONVERT);
        let track = format.default_track(TrackType::Audio).ok_or_else(nothing)?;
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio()).ok_or_else(nothing)?;
        let decoder = DECODERS
            .make_audio_decoder(parameters, &AudioDecoderOptions::default().verify(true))
            .map_err(|error| refused(path, error))?;
        let promised = match &layout {
            // The chunks were counted by `scan`; symphonia's number is the same, in whole blocks.
            Some(_) => None,
            // An index counts in units of its own, and its packets fill the last one up.
            None if is_indexed => None,
            None => track.num_frames.filter(|&count| count > 0),
        };
        let total = layout.as_ref().and_then(ChunkFile::exact_frames);
        let counted = layout.as_ref().and_then(ChunkFile::counted_frames);
        let least = layout.as_ref().map_or(0, ChunkFile::least_frames);
        if promised.or(total).unwrap_or(0).max(least) > LONGEST {
            return Err(too_long(path));
        }
        let source = SourceInfo {
            sample_rate: parameters.sample_rate.unwrap_or(0),
            channels: parameters.channels.as_ref().map_or(0, |channels| channels.count()),
            samples: 0,
            peak: 0.0,
            full_scale_samples: 0,
            clipped_samples: 0,
            mean_square: 0.0,
            states_length: layout.as_ref().is_none_or(|layout| layout.promised.is_some()),
        };
        let of_a_sample = |base: TimeBase| base.numer.get() == 1 && base.denom.get() == source.sample_rate;
        // Of Opus they count the encoder's delay, too.
        let packets_count_samples = layout.is_none()
            && !is_indexed
            && parameters.codec != CODEC_ID_OPUS
            && track.time_base.is_some_and(of_a_sample);
        let track = track.id;
        let path = path.to_path_buf();
        let reader = Self {
            path,
            downmix: Downmix::Mono,
            format,
            decoder,
            track,
            promised,
            total,
            counted,
            packets_count_samples,
            source,
            interleaved: Vec::new(),
            mix: Mix::Mean,
            runs: Vec::new(),
            energy: 0.0,
            finished: false,
        };
        // Vorbis and FLAC may leave the channels to the first packet; a rate is always known.
        reader.check_rate()?;
        Ok(reader)
    }

    /// With as many channels as `downmix` leaves.
    pub fn mixed(self, downmix: Downmix) -> Self {
        Self { downmix, ..self }
    }

    /// All that is left, resampled on the way.
    ///
    /// # Errors
    /// Where the file is damaged, or `sample_rate` one that nothing has.
    pub fn into_sound(mut self, sample_rate: u32) -> Result<(Sound, SourceInfo)> {
        let own_rate = self.source.sample_rate;
        let mut planes: Vec<(StreamResampler, Vec<f32>)> = vec![];
        while let Some(chunk) = self.next_sound().transpose()? {
            while planes.len() < chunk.channels.len() {
                planes.push((StreamResampler::new(own_rate, sample_rate)?, vec![]));
            }
            for ((resampler, samples), plane) in planes.iter_mut().zip(&chunk.channels) {
                resampler.push(plane, samples)?;
            }
        }
        for (resampler, samples) in &mut planes {
            resampler.finish(samples)?;
        }
        let channels = planes.into_iter().map(|(_, samples)| samples).collect();
        Ok((Sound { rate: sample_rate, channels }, self.source))
    }

    /// The next chunk; nothing at a well-formed end, nor after an error.
    pub fn next_sound(&mut self) -> Option<Result<Sound>> {
        if self.finished {
            return None;
        }
        let path = self.path.clone();
        let step = guarded(&path, || self.advance());
        self.finished = !matches!(step, Ok(Some(_)));
        step.transpose()
    }

    /// Samples of each channel, where they are known before the file is read: one that holds fewer is an error at its end.
    pub fn length(&self) -> Option<u64> {
        self.promised.or(self.total).or(self.counted)
    }

    /// Samples of each channel of the whole file, which is read to its end where it does not say; decoded only where its packets do
    /// not say either.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn into_length(mut self) -> Result<u64> {
        if let Some(length) = self.length() {
            return Ok(length);
        }
        if !self.packets_count_samples {
            while self.next_sound().transpose()?.is_some() {}
            return Ok(self.source.samples);
        }
        let path = self.path.clone();
        guarded(&path, || {
            while let Some(packet) = self.next_packet()? {
                self.source.samples += packet.dur.get();
            }
            self.check_length()?;
            Ok(self.source.samples)
        })
    }

    /// What is known of the file so far; counts are complete at the end.
    pub fn source(&self) -> SourceInfo {
        self.source
    }

    fn check_rate(&self) -> Result<()> {
        let rate = self.source.sample_rate;
        if SAMPLE_RATES.contains(&rate) {
            return Ok(());
        }
        let expected = format!("{} to {} Hz", SAMPLE_RATES.start(), SAMPLE_RATES.end());
        Err(fault(&self.path, &format!("its header gives a sample rate of {rate} Hz"), &expected, ""))
    }

    /// The next packet of the track that holds anything; `None` at the end.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track => {}
                // An empty packet is how a raw stream says that it ends.
                Ok(packet) => return Ok(packet.filter(|packet| !packet.data.is_empty())),
                Err(DecodeError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(self.cut_off());
                }
                // A second stream behind the first, with a rate of its own: chained Ogg files.
                Err(DecodeError::ResetRequired) => {
                    let found = format!("holds a second recording after {}", self.heard());
                    return Err(fault(&self.path, &found, "one", "split the file"));
                }
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// The next packet's sound; `None` at a well-formed end.
    fn advance(&mut self) -> Result<Option<Sound>> {
        loop {
            let Some(packet) = self.next_packet()? else { return self.end().map(|()| None) };
            let decoded = match self.decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(error) => return Err(self.broken(error)),
            };
            let (channels, rate) = (decoded.spec().channels().count(), decoded.spec().rate());
            self.mix = Mix::of(decoded.spec().channels());
            decoded.copy_to_vec_interleaved(&mut self.interleaved);
            if self.source.channels == 0 {
                self.source.channels = channels;
            }
            if channels != self.source.channels || rate != self.source.sample_rate {
                let found = format!("changes from {} channels at {} Hz", self.source.channels, self.source.sample_rate);
                return Err(fault(
                    &self.path,
                    &format!("{found} to {channels} at {rate} Hz"),
                    "one format throughout",
                    "",
                ));
            }
            check_channels(&self.path, channels)?;
            if let Some(total) = self.total {
                let left = usize::try_from(total.saturating_sub(self.source.samples)).unwrap_or(usize::MAX);
                self.interleaved.truncate(left.saturating_mul(channels));
            }
            if !self.interleaved.is_empty() {
                return self.mix(channels).map(Some);
            }
        }
    }

    fn mix(&mut self, channels: usize) -> Result<Sound> {
        let before = self.source.samples;
        let is_sound = |sample: &f32| sample.abs() <= LOUDEST;
        if let Some(at) = self.interleaved.iter().position(|sample| !is_sound(sample)) {
            let (index, sample) = (before + (at / channels) as u64, self.interleaved[at]);
            let sample = if sample.is_finite() { format!("{sample:e}") } else { sample.to_string() };
            let found = format!("sample {index} of channel {} is {sample}", at % channels + 1);
            let expected = format!("finite samples, full scale 1, none beyond {LOUDEST}");
            return Err(fault(&self.path, &found, &expected, "repair or export it again"));
        }
        self.measure(channels);
        let rate = self.source.sample_rate;
        let sound = match self.downmix {
            Downmix::Stereo if channels == 2 => Sound::of_interleaved(&self.interleaved, channels, rate),
            _ => Sound::mono(self.mix.mono(&self.interleaved, channels), rate),
        };
        self.source.samples += sound.len() as u64;
        self.source.mean_square = self.energy / (self.source.samples as f64 * channels as f64);
        if let Some(promised) = self.promised.filter(|&promised| self.source.samples > promised) {
            let found = format!("holds more than the {promised} samples that its header promises");
            return Err(fault(&self.path, &found, "", "export it again"));
        }
        if self.source.samples > LONGEST {
            return Err(too_long(&self.path));
        }
        Ok(sound)
    }

    /// Levels of the samples that were just decoded, before they are mixed.
    fn measure(&mut self, channels: usize) {
        self.runs.resize(channels, 0);
        for all in self.interleaved.chunks_exact(channels) {
            for (&sample, run) in all.iter().zip(&mut self.runs) {
                self.energy += f64::from(sample) * f64::from(sample);
                self.source.peak = self.source.peak.max(sample.abs());
                if sample.abs() < FULL_SCALE {
                    *run = 0;
                    continue;
                }
                *run += 1;
                self.source.full_scale_samples += 1;
                self.source.clipped_samples += match *run {
                    CLIPPED_RUN => CLIPPED_RUN,
                    longer => u64::from(longer > CLIPPED_RUN),
                };
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        self.check_length()?;
        if self.decoder.finalize().verify_ok == Some(false) {
            return Err(fault(&self.path, "does not match its own checksum", "", "it is damaged; export it again"));
        }
        Ok(())
    }

    /// Whether all that was promised has come, and anything.
    fn check_length(&self) -> Result<()> {
        if self.length().is_some_and(|promised| self.source.samples < promised) {
            return Err(self.cut_off());
        }
        if self.source.samples == 0 {
            return Err(fault(&self.path, "holds no sound", "at least one sample", ""));
        }
        Ok(())
    }

    fn heard(&self) -> String {
        format!("{:.2} s", self.source.samples as f64 / f64::from(self.source.sample_rate))
    }

    fn cut_off(&self) -> Error {
        match self.length() {
            Some(promised) => {
                let found = format!("breaks off after {} of {promised} samples", self.source.samples);
                fault(&self.path, &found, "", "copy or export it again")
            }
            None => {
                let found = format!("breaks off after {} ({} samples)", self.heard(), self.source.samples);
                fault(&self.path, &found, "an end mark", "copy or export it again")
            }
        }
    }

    fn broken(&self, error: DecodeError) -> Error {
        match error {
            DecodeError::IoError(source) if !is_parse_error(&source) => {
                Error::Io { path: self.path.clone(), action: "cannot read", source }
            }
            error => fault(&self.path, &format!("is damaged at {}: {error}", self.heard()), "", "export it again"),
        }
    }
}

impl Iterator for AudioReader {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_sound()?.map(Sound::into_mono))
    }
}

/// Runs a step of the decoder. Symphonia's bit readers and tables index and add on what the file says; on damaged files
/// some of that still panics in 0.6, and a damaged file must not end a batch. Nothing of ours is left half changed: a
/// reader that failed is not asked again.
fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let reason = panic_text(&*panic);
        Err(fault(path, &format!("cannot be decoded: the decoder gave up ({reason})"), "", "export it again"))
    })
}

/// A WAV or AIFF must hold what its header promises.
fn check_presence(path: &Path, layout: &ChunkFile) -> Result<()> {
    check_channels(path, layout.channels())?;
    match layout.promised {
        Some(promised) if layout.present < promised => {
            let found = format!("breaks off: {} of {promised} bytes of sound are there", layout.present);
            Err(fault(path, &found, "", "copy or export it again"))
        }
        _ if layout.present == 0 => Err(fault(path, "holds no sound", "at least one sample", "")),
        _ => Ok(()),
    }
}

fn too_long(path: &Path) -> Error {
    fault(path, &format!("is longer than {LONGEST} samples"), "at most that many", "split it")
}

fn check_channels(path: &Path, channels: usize) -> Result<()> {
    if (1..=MOST_CHANNELS).contains(&channels) {
        return Ok(());
    }
    Err(fault(path, &format!("has {channels} channels"), &format!("1 to {MOST_CHANNELS}"), ""))
}

/// What to do about a recording of another format.
const CONVERT: &str = "convert it to WAV or FLAC, with ffmpeg -i for instance";

/// Symphonia's readers report a number that makes no sense as an I/O error of kind `Other` or `InvalidData`.
fn is_parse_error(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none()
}

fn refused(path: &Path, error: DecodeError) -> Error {
    match error {
        DecodeError::IoError(source) if !is_parse_error(&source) => {
            Error::Io { path: path.into(), action: "cannot read", source }
        }
        DecodeError::IoError(_) => fault(path, "breaks off before its first sound", format::NAMES, ""),
        error => {
            let found = format!("is no recording that can be read ({error})");
            fault(path, &found, format::NAMES, CONVERT)
        }
    }
}

fn fault(path: &Path, found: &str, expected: &str, remedy: &str) -> Error {
    Error::Audio(Fault::new(path.display(), found).expected(expected).remedy(remedy))
}
