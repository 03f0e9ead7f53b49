//! Where rendered chunks go: into a file that appears whole or not at all, or down a pipe as they come.
//!
//! A file's gain is known only when its last sample is, so chunks first go to a scratch file beside the measurement and
//! are converted at the end. Memory stays flat; short sounds never leave it.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use super::{
    level::{LevelMeter, LevelReport, from_db, to_db},
    wav::{FileEnds, Quantizer, SampleFormat, StreamHeader, WavMetadata},
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
    /// Bare samples: no header, no metadata.
    pub raw: bool,
}

impl FileSinkSettings {
    /// A WAV file as rendered, without metadata.
    pub fn new(format: SampleFormat, sample_rate: u32) -> Self {
        Self { format, sample_rate, gain_db: 0.0, loudness: None, seed: 0, metadata: None, raw: false }
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

impl FileReport {
    /// What the user should be told of the level.
    pub fn warnings(&self) -> Vec<String> {
        let LevelReport { peak_before, gain_applied_db, lowered_db, loudness_unmeasurable, .. } = self.level;
        let mut warnings = Vec::new();
        if lowered_db > 0.0 {
            warnings.push(format!(
                "the peak of {:.2} is over full scale, so the whole file was lowered by {lowered_db:.1} dB",
                f64::from(peak_before) * from_db(gain_applied_db + lowered_db)
            ));
        }
        if loudness_unmeasurable {
            warnings.push("too short or too quiet to have a loudness, so its level was kept".into());
        }
        warnings
    }
}

/// A WAV file, or one of bare samples, in the making. Dropped before `finish`, it leaves nothing behind. Its length is known
/// before its header is written, so no length is too long: beyond 4 GiB a WAV file is an RF64.
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
        let scratch = tempfile::spooled_tempfile_in(SCRATCH_IN_MEMORY, file.folder());
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

    /// The second pass: scratch to file. Samples that were held at full scale are counted.
    fn convert(&mut self, gain: f32) -> io::Result<u64> {
        let FileSinkSettings { format, sample_rate, seed, ref metadata, raw, .. } = self.settings;
        let FileEnds { head, tail } = match raw {
            true => FileEnds { head: vec![], tail: vec![] },
            false => FileEnds::new(format, sample_rate, self.samples, metadata.as_ref()),
        };
        let mut output = io::BufWriter::new(&mut self.file);
        output.write_all(&head)?;
        let mut quantizer = Quantizer::new(format, seed);
        self.scratch.seek(SeekFrom::Start(0))?;
        self.bytes.resize(CONVERTED * 4, 0);
        let (mut samples, mut converted) = (Vec::with_capacity(CONVERTED), Vec::new());
        let mut left = self.samples;
        while left > 0 {
            let count = left.min(CONVERTED as u64);
            let bytes = &mut self.bytes[..count as usize * 4];
            self.scratch.read_exact(bytes)?;
            samples.clear();
            samples.extend(
                bytes.chunks_exact(4).map(|bytes| gain * f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            );
            converted.clear();
            quantizer.bytes(&samples, &mut converted);
            output.write_all(&converted)?;
            left -= count;
        }
        output.write_all(&tail)?;
        output.flush()?;
        Ok(quantizer.clipped())
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
    /// Gain in whole dB that would have kept all of them below full scale.
    pub fitting_gain_db: f64,
}

impl StreamReport {
    /// What the user should be told of the level.
    pub fn warning(&self) -> Option<String> {
        let Self { peak, clipped, fitting_gain_db, .. } = *self;
        let samples = if clipped == 1 { "1 sample was".into() } else { format!("{clipped} samples were") };
        let advice = match fitting_gain_db.is_finite() {
            true => format!("; give --gain {fitting_gain_db:.0}"),
            false => String::new(),
        };
        (clipped > 0).then(|| format!("{samples} over full scale (peak {peak:.2}) and were held there{advice}"))
    }
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
        let over_db = to_db(f64::from(self.peak / self.settings.format.ceiling()));
        // Adding zero turns -0 into 0.
        let fitting_gain_db = (self.settings.gain_db - over_db.max(0.0)).floor() + 0.0;
        Ok(StreamReport { samples: self.samples, peak: self.peak, clipped: self.quantizer.clipped(), fitting_gain_db })
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
