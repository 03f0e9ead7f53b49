//! Where rendered chunks go: into a file that appears whole or not at all, or down a pipe as they come.
//!
//! A file's gain is known only when its last sample is, so chunks first go to a scratch file beside the measurement and
//! are converted at the end. Memory stays flat; short sounds never leave it.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use super::{
    level::{LevelMeter, LevelReport, Peaks, from_db, just_below, to_db},
    limiter::{Limited, Limiter},
    wav::{FileEnds, Quantizer, SampleFormat, StreamHeader, WavMetadata},
};
use crate::{Error, Result, Setting, whole_file::WholeFile};

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
    pub channels: u16,
    pub gain_db: f64,
    pub peaks: Peaks,
    /// Wanted integrated loudness, in LUFS.
    pub loudness: Option<f64>,
    /// Of the dither.
    pub seed: u64,
    pub metadata: Option<WavMetadata>,
    /// Bare samples: no header, no metadata.
    pub raw: bool,
}

impl FileSinkSettings {
    /// A mono WAV file as rendered, without metadata.
    pub fn new(format: SampleFormat, sample_rate: u32) -> Self {
        Self {
            format,
            sample_rate,
            channels: 1,
            gain_db: 0.0,
            peaks: Peaks::default(),
            loudness: None,
            seed: 0,
            metadata: None,
            raw: false,
        }
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FileReport {
    /// Of each channel.
    pub samples: u64,
    /// Largest magnitude in the file.
    pub peak: f32,
    pub level: LevelReport,
    /// Samples held at full scale: 0, unless that was wanted.
    pub clipped: u64,
}

impl FileReport {
    /// What the user should be told of the level.
    pub fn warnings(&self) -> Vec<String> {
        let LevelReport { peak_before, gain_applied_db, lowered_db, limited, loudness_unmeasurable, .. } = self.level;
        let mut warnings = Vec::new();
        let peak = f64::from(peak_before) * from_db(gain_applied_db + lowered_db);
        if lowered_db > 0.0 {
            warnings.push(format!(
                "the peak of {peak:.2} is over full scale, so the whole file was lowered by {lowered_db:.1} dB"
            ));
        }
        warnings.extend(limited.and_then(|limited| limited.warning(peak)));
        if self.clipped > 0 {
            warnings.push(held(self.clipped, peak as f32));
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
    /// Of all channels.
    values: u64,
    bytes: Vec<u8>,
}

impl FileSink {
    /// Opens temporary files in the folder of `path`; `path` itself is touched by `finish` only, which replaces what was
    /// there.
    pub fn create(path: impl Into<PathBuf>, settings: FileSinkSettings) -> Result<Self> {
        let file = WholeFile::create(path)?;
        // Without a name from the start: it goes with the process, however that ends.
        let scratch = tempfile::spooled_tempfile_in(SCRATCH_IN_MEMORY, file.folder());
        let meter = LevelMeter::new(settings.sample_rate, settings.channels.into(), settings.loudness.is_some())?;
        Ok(Self { settings, file, scratch, meter, values: 0, bytes: Vec::new() })
    }

    /// `samples` of all channels, interleaved.
    ///
    /// # Errors
    /// Where the disk is full.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.meter.push(samples)?;
        self.bytes.clear();
        self.bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.scratch.write_all(&self.bytes).map_err(Error::io("cannot write", self.file.path()))?;
        self.values += samples.len() as u64;
        Ok(())
    }

    /// For what only the end of the sound tells.
    pub fn set_metadata(&mut self, metadata: WavMetadata) {
        self.settings.metadata = Some(metadata);
    }

    /// Samples of each channel so far.
    pub fn samples(&self) -> u64 {
        self.values / u64::from(self.settings.channels.max(1))
    }

    /// Decides on the gain, converts, syncs and puts the file in its place.
    pub fn finish(mut self) -> Result<FileReport> {
        let FileSinkSettings { gain_db, loudness, format, peaks, .. } = self.settings;
        let (gain, mut level) = self.meter.decide(gain_db, loudness, format, peaks);
        let is_limited = peaks == Peaks::Limit && self.meter.is_over(gain, format);
        let (clipped, limited) = self.convert(gain, is_limited).map_err(Error::io("cannot write", self.file.path()))?;
        level.limited = limited;
        let samples = self.samples();
        self.file.finish()?;
        let peak = self.meter.peak() * gain;
        let peak = if peaks == Peaks::Lower { peak } else { peak.min(format.ceiling()) };
        Ok(FileReport { samples, peak, level, clipped })
    }

    /// The second pass: scratch to file. Samples that were held at full scale are counted.
    fn convert(&mut self, gain: f32, is_limited: bool) -> io::Result<(u64, Option<Limited>)> {
        let samples = self.samples();
        let FileSinkSettings { format, sample_rate, channels, seed, ref metadata, raw, .. } = self.settings;
        let header = StreamHeader { format, sample_rate, channels, samples: Some(samples) };
        let FileEnds { head, tail } = match raw {
            true => FileEnds { head: vec![], tail: vec![] },
            false => FileEnds::new(header, metadata.as_ref()),
        };
        let mut output = io::BufWriter::new(&mut self.file);
        output.write_all(&head)?;
        let mut quantizer = Quantizer::new(format, seed, channels.into());
        self.scratch.seek(SeekFrom::Start(0))?;
        self.bytes.resize(CONVERTED * 4, 0);
        let (mut samples, mut limited, mut converted) = (Vec::with_capacity(CONVERTED), Vec::new(), Vec::new());
        let mut limiter = is_limited.then(|| Limiter::new(sample_rate, channels.into(), just_below(format) as f32));
        let mut left = self.values;
        while left > 0 {
            let count = left.min(CONVERTED as u64);
            let bytes = &mut self.bytes[..count as usize * 4];
            self.scratch.read_exact(bytes)?;
            samples.clear();
            samples.extend(
                bytes.chunks_exact(4).map(|bytes| gain * f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            );
            if let Some(limiter) = &mut limiter {
                limited.clear();
                limiter.push(&samples, &mut limited);
                std::mem::swap(&mut samples, &mut limited);
            }
            converted.clear();
            quantizer.bytes(&samples, &mut converted);
            output.write_all(&converted)?;
            left -= count;
        }
        let mut report = None;
        if let Some(limiter) = limiter {
            samples.clear();
            converted.clear();
            report = Some(limiter.finish(&mut samples));
            quantizer.bytes(&samples, &mut converted);
            output.write_all(&converted)?;
        }
        output.write_all(&tail)?;
        output.flush()?;
        Ok((quantizer.clipped(), report))
    }
}

/// How a stream is to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamSinkSettings {
    pub format: SampleFormat,
    /// Hz.
    pub sample_rate: u32,
    pub channels: u16,
    /// Bare samples, without a header.
    pub raw: bool,
    pub gain_db: f64,
    /// A stream cannot be lowered after the fact: what is not limited is held at full scale.
    pub peaks: Peaks,
    /// Of the dither.
    pub seed: u64,
    /// Samples of each channel that will come, where that is known: the header then has exact sizes.
    pub samples: Option<u64>,
}

/// What went down a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamReport {
    /// Of each channel.
    pub samples: u64,
    /// Largest magnitude after the gain; above 1 was over full scale.
    pub peak: f32,
    /// What a limiter did, where there was one.
    pub limited: Option<Limited>,
    /// Samples that had to be held at full scale.
    pub clipped: u64,
    /// Gain in whole dB that would have kept all of them below full scale.
    pub fitting_gain_db: f64,
}

impl StreamReport {
    /// What the user should be told of the level.
    pub fn warning(&self) -> Option<String> {
        let Self { peak, clipped, fitting_gain_db, limited, .. } = *self;
        if let Some(warning) = limited.and_then(|limited| limited.warning(peak.into())) {
            return Some(warning);
        }
        let advice = match fitting_gain_db.is_finite() {
            true => format!("; give {} {fitting_gain_db:.0}", Setting::Gain),
            false => String::new(),
        };
        (clipped > 0).then(|| held(clipped, peak) + &advice)
    }
}

fn held(clipped: u64, peak: f32) -> String {
    let samples = if clipped == 1 { "1 sample was".into() } else { format!("{clipped} samples were") };
    format!("{samples} over full scale (peak {peak:.2}) and were held there")
}

/// Sound on its way out of the program, chunk by chunk: each `write` is flushed.
pub struct StreamSink<W: Write> {
    output: W,
    /// For messages: `standard output`.
    name: PathBuf,
    settings: StreamSinkSettings,
    gain: f32,
    limiter: Option<Limiter>,
    limited: Vec<f32>,
    quantizer: Quantizer,
    started: bool,
    /// Of all channels.
    values: u64,
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
            limiter: (settings.peaks == Peaks::Limit).then(|| {
                Limiter::new(settings.sample_rate, settings.channels.into(), just_below(settings.format) as f32)
            }),
            limited: Vec::new(),
            quantizer: Quantizer::new(settings.format, settings.seed, settings.channels.into()),
            started: false,
            values: 0,
            peak: 0.0,
            bytes: Vec::new(),
        }
    }

    /// `samples` of all channels, interleaved; the header first, where there is one. A reader that has gone is an error for which `is_broken_pipe` is true.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.bytes.clear();
        self.put_header();
        for chunk in samples.chunks(CONVERTED) {
            let louder: Vec<f32> = chunk.iter().map(|sample| sample * self.gain).collect();
            self.peak = louder.iter().fold(self.peak, |peak, sample| peak.max(sample.abs()));
            match &mut self.limiter {
                None => self.quantizer.bytes(&louder, &mut self.bytes),
                Some(limiter) => {
                    self.limited.clear();
                    limiter.push(&louder, &mut self.limited);
                    self.quantizer.bytes(&self.limited, &mut self.bytes);
                }
            }
        }
        self.values += samples.len() as u64;
        self.send()
    }

    /// Ends the stream; one without a sample still gets its header.
    pub fn finish(mut self) -> Result<StreamReport> {
        self.bytes.clear();
        self.put_header();
        let limited = self.limiter.take().map(|limiter| {
            self.limited.clear();
            let report = limiter.finish(&mut self.limited);
            self.quantizer.bytes(&self.limited, &mut self.bytes);
            report
        });
        // Chunks of a RIFF file have even sizes, with a padding byte that is not counted.
        let odd = (self.values * self.settings.format.bytes() as u64) % 2 == 1;
        if odd && !self.settings.raw && self.settings.samples.is_some() {
            self.bytes.push(0);
        }
        self.send()?;
        let over_db = to_db(f64::from(self.peak / self.settings.format.ceiling()));
        // Adding zero turns -0 into 0.
        let fitting_gain_db = (self.settings.gain_db - over_db.max(0.0)).floor() + 0.0;
        let samples = self.values / u64::from(self.settings.channels.max(1));
        let (peak, clipped) = (self.peak, self.quantizer.clipped());
        Ok(StreamReport { samples, peak, limited, clipped, fitting_gain_db })
    }

    fn put_header(&mut self) {
        if !self.started && !self.settings.raw {
            let StreamSinkSettings { format, sample_rate, channels, samples, .. } = self.settings;
            self.bytes.extend(StreamHeader { format, sample_rate, channels, samples }.bytes());
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
