//! Where rendered chunks go: into a file that appears whole or not at all, or down a pipe as they come.
//!
//! A file's gain is known only when its last sample is, so chunks first go to a scratch file beside the measurement and
//! are converted at the end. Memory stays flat; short sounds never leave it.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    level::{LevelMeter, LevelReport, from_db},
    wav::{Quantizer, SampleFormat, StreamHeader, WavFile, WavMetadata, append_metadata},
};
use crate::{Error, Result, whole_file::WholeFile};

/// Bytes of scratch that stay in memory: 87 s of sound at 24 kHz.
const SCRATCH_IN_MEMORY: usize = 8 << 20;

/// Samples converted at a time.
const CONVERTED: usize = 16_384;

/// How a file is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSinkSettings {
    pub format: SampleFormat,
    /// Hz.
    pub sample_rate: u32,
    pub gain_db: f64,
    /// Wanted integrated loudness, in LUFS.
    pub loudness: Option<f64>,
    /// Of the dither.
    pub seed: u64,
    pub metadata: Option<WavMetadata>,
}

impl FileSinkSettings {
    /// As rendered, without metadata.
    pub fn new(format: SampleFormat, sample_rate: u32) -> Self {
        Self { format, sample_rate, gain_db: 0.0, loudness: None, seed: 0, metadata: None }
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FileReport {
    pub samples: u64,
    /// Largest magnitude in the file.
    pub peak: f32,
    pub level: LevelReport,
    /// Samples held at full scale: 0, or the level stage is wrong.
    pub clipped: u64,
}

/// A WAV file in the making. Dropped before `finish`, it leaves nothing behind.
pub struct FileSink {
    settings: FileSinkSettings,
    file: WholeFile,
    scratch: tempfile::SpooledTempFile,
    meter: LevelMeter,
    samples: u64,
    bytes: Vec<u8>,
}

impl FileSink {
    /// Opens temporary files in the folder of `path`; `path` itself is touched by `finish` only, which replaces what was
    /// there.
    pub fn create(path: impl Into<PathBuf>, settings: FileSinkSettings) -> Result<Self> {
        let file = WholeFile::create(path)?;
        // Without a name from the start: it goes with the process, however that ends.
        let folder = file.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let scratch = tempfile::spooled_tempfile_in(SCRATCH_IN_MEMORY, folder.unwrap_or(Path::new(".")));
        let meter = LevelMeter::new(settings.sample_rate, settings.loudness.is_some())?;
        Ok(Self { settings, file, scratch, meter, samples: 0, bytes: Vec::new() })
    }

    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.meter.push(samples)?;
        self.bytes.clear();
        self.bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.scratch.write_all(&self.bytes).map_err(Error::io("cannot write", self.file.path()))?;
        self.samples += samples.len() as u64;
        Ok(())
    }

    /// For what only the end of the sound tells.
    pub fn set_metadata(&mut self, metadata: WavMetadata) {
        self.settings.metadata = Some(metadata);
    }

    /// Samples so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Decides on the gain, converts, syncs and puts the file in its place.
    pub fn finish(mut self) -> Result<FileReport> {
        let (gain, level) = self.meter.decide(self.settings.gain_db, self.settings.loudness, self.settings.format);
        let clipped = self.convert(gain).map_err(Error::io("cannot write", self.file.path()))?;
        self.file.finish()?;
        Ok(FileReport { samples: self.samples, peak: self.meter.peak() * gain, level, clipped })
    }

    /// The second pass: scratch to WAV. Samples that were held at full scale are counted.
    fn convert(&mut self, gain: f32) -> io::Result<u64> {
        let FileSinkSettings { format, sample_rate, seed, ref metadata, .. } = self.settings;
        let mut output = io::BufWriter::new(&mut self.file);
        let mut wav = WavFile::new(&mut output, format, sample_rate, seed)?;
        self.scratch.seek(SeekFrom::Start(0))?;
        self.bytes.resize(CONVERTED * 4, 0);
        let mut samples = Vec::with_capacity(CONVERTED);
        let mut left = self.samples as usize;
        while left > 0 {
            let count = left.min(CONVERTED);
            let bytes = &mut self.bytes[..count * 4];
            self.scratch.read_exact(bytes)?;
            samples.clear();
            samples.extend(
                bytes.chunks_exact(4).map(|bytes| gain * f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            );
            wav.write(&samples)?;
            left -= count;
        }
        let clipped = wav.clipped();
        wav.finish()?;
        if let Some(metadata) = metadata {
            append_metadata(&mut output, metadata)?;
        }
        output.flush()?;
        Ok(clipped)
    }
}

/// How a stream is to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamSinkSettings {
    pub format: SampleFormat,
    /// Hz.
    pub sample_rate: u32,
    /// Bare samples, without a header.
    pub raw: bool,
    pub gain_db: f64,
    /// Of the dither.
    pub seed: u64,
    /// Samples that will come, where that is known: the header then has exact sizes.
    pub samples: Option<u64>,
}

/// What went down a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamReport {
    pub samples: u64,
    /// Largest magnitude after the gain; above 1 was over full scale.
    pub peak: f32,
    /// Samples that had to be held at full scale: a stream cannot be lowered after the fact.
    pub clipped: u64,
}

/// Sound on its way out of the program, chunk by chunk: each `write` is flushed.
pub struct StreamSink<W: Write> {
    output: W,
    /// For messages: `standard output`.
    name: PathBuf,
    settings: StreamSinkSettings,
    gain: f32,
    quantizer: Quantizer,
    started: bool,
    samples: u64,
    peak: f32,
    bytes: Vec<u8>,
}

impl<W: Write> StreamSink<W> {
    /// `name` stands for the output in messages.
    pub fn new(output: W, name: impl Into<PathBuf>, settings: StreamSinkSettings) -> Self {
        Self {
            output,
            name: name.into(),
            settings,
            gain: from_db(settings.gain_db) as f32,
            quantizer: Quantizer::new(settings.format, settings.seed),
            started: false,
            samples: 0,
            peak: 0.0,
            bytes: Vec::new(),
        }
    }

    /// Header first, where there is one. A reader that has gone is an error for which `is_broken_pipe` is true.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.bytes.clear();
        self.put_header();
        for chunk in samples.chunks(CONVERTED) {
            let louder: Vec<f32> = chunk.iter().map(|sample| sample * self.gain).collect();
            self.peak = louder.iter().fold(self.peak, |peak, sample| peak.max(sample.abs()));
            self.quantizer.bytes(&louder, &mut self.bytes);
        }
        self.samples += samples.len() as u64;
        self.send()
    }

    /// Ends the stream; one without a sample still gets its header.
    pub fn finish(mut self) -> Result<StreamReport> {
        self.bytes.clear();
        self.put_header();
        // Chunks of a RIFF file have even sizes, with a padding byte that is not counted.
        let odd = (self.samples * self.settings.format.bytes() as u64) % 2 == 1;
        if odd && !self.settings.raw && self.settings.samples.is_some() {
            self.bytes.push(0);
        }
        self.send()?;
        Ok(StreamReport { samples: self.samples, peak: self.peak, clipped: self.quantizer.clipped() })
    }

    fn put_header(&mut self) {
        if !self.started && !self.settings.raw {
            let StreamSinkSettings { format, sample_rate, samples, .. } = self.settings;
            self.bytes.extend(StreamHeader { format, sample_rate, samples }.bytes());
        }
        self.started = true;
    }

    fn send(&mut self) -> Result<()> {
        let sent = self.output.write_all(&self.bytes).and_then(|()| self.output.flush());
        sent.map_err(Error::io("cannot write", &self.name))
    }
}

/// The reader at the other end of a pipe has closed it: `audiodiff render … -o - | head`. No failure of ours.
pub fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}
