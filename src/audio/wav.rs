//! WAV out: samples as 16-, 24-bit integers or floats, dithered by a seed, with the settings kept inside the file; and
//! the header for pipes, where nobody can go back and fill a size in.
//!
//! Files go through hound, which needs a place that it can seek in; it knows no metadata, so the `LIST` chunk is set
//! behind the samples afterwards. Layout: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft
//! 1991), chapter 3; float and `fact`: Microsoft's Multiple Channel Audio Data and WAVE Files.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use hound::{WavSpec, WavWriter};

use super::chunks::{ChunkFault, scan};
use crate::{Error, Fault, Result};

/// How a sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SampleFormat {
    /// 16-bit integers, dithered.
    #[default]
    Pcm16,
    /// 24-bit integers; their rounding lies 144 dB down, below what dither could improve.
    Pcm24,
    /// 32-bit floats, as rendered.
    Float32,
}

impl SampleFormat {
    pub fn bytes(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Float32 => 4,
        }
    }

    /// As the command line and ffmpeg's `-f` spell it: what the reader of a raw stream has to be told.
    pub fn raw_name(self) -> &'static str {
        match self {
            Self::Pcm16 => "s16le",
            Self::Pcm24 => "s24le",
            Self::Float32 => "f32le",
        }
    }

    /// Largest magnitude that is stored unclipped whatever the dither adds.
    pub fn ceiling(self) -> f32 {
        match self {
            // One step of dither and half a step of rounding below the largest positive integer.
            Self::Pcm16 => (32767.0 - 1.5) / 32768.0,
            Self::Pcm24 => (8_388_607.0 - 0.5) / 8_388_608.0,
            Self::Float32 => 1.0,
        }
    }

    fn spec(self, sample_rate: u32) -> WavSpec {
        let (bits_per_sample, sample_format) = match self {
            Self::Pcm16 => (16, hound::SampleFormat::Int),
            Self::Pcm24 => (24, hound::SampleFormat::Int),
            Self::Float32 => (32, hound::SampleFormat::Float),
        };
        WavSpec { channels: 1, sample_rate, bits_per_sample, sample_format }
    }
}

/// Triangular dither: the sum of two uniform numbers, each half a step to either side. It makes the rounding error
/// independent of the sound in mean and power (Lipshitz, Wannamaker, Vanderkooy, "Quantization and Dither", 1992).
///
/// Counter-based: sample n of a seed always gets the same number, whatever was drawn before.
#[derive(Debug, Clone, Copy)]
pub struct Dither {
    seed: u64,
}

impl Dither {
    pub fn new(seed: u64) -> Self {
        // Keeps the dither apart from every other use of the same seed.
        Self { seed: mix(seed ^ 0x6469_7468_6572_0001) }
    }

    /// Between -1 and 1 step of the integer format, for sample `index`.
    pub fn at(&self, index: u64) -> f32 {
        let bits = mix(self.seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        const SCALE: f32 = 1.0 / (1u64 << 24) as f32;
        let uniform = |bits: u64| (bits & 0xFF_FFFF) as f32 * SCALE;
        uniform(bits) - uniform(bits >> 32)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves half the bits of the output.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Turns samples into the stored format, in order, and counts those that it had to hold at full scale.
#[derive(Debug, Clone)]
pub struct Quantizer {
    format: SampleFormat,
    dither: Dither,
    index: u64,
    clipped: u64,
}

impl Quantizer {
    pub fn new(format: SampleFormat, seed: u64) -> Self {
        Self { format, dither: Dither::new(seed), index: 0, clipped: 0 }
    }

    /// Samples held at full scale so far. Floats are never held.
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// The integer of a 16- or 24-bit format.
    fn integer(&mut self, sample: f32) -> i32 {
        let (scale, dither) = match self.format {
            SampleFormat::Pcm16 => (32_768.0f64, f64::from(self.dither.at(self.index))),
            SampleFormat::Pcm24 | SampleFormat::Float32 => (8_388_608.0, 0.0),
        };
        self.index += 1;
        let wanted = (f64::from(sample) * scale + dither).round();
        let held = wanted.clamp(-scale, scale - 1.0);
        self.clipped += u64::from(held != wanted);
        held as i32
    }

    /// Appends the little-endian bytes of `samples` to `bytes`.
    pub fn bytes(&mut self, samples: &[f32], bytes: &mut Vec<u8>) {
        bytes.reserve(samples.len() * self.format.bytes());
        for &sample in samples {
            match self.format {
                SampleFormat::Float32 => bytes.extend_from_slice(&sample.to_le_bytes()),
                format => bytes.extend_from_slice(&self.integer(sample).to_le_bytes()[..format.bytes()]),
            }
        }
    }
}

/// What a WAV of ours says of itself, in a `LIST` chunk of type `INFO`.
#[derive(Debug, Clone, PartialEq)]
pub struct WavMetadata {
    /// `ISFT`: `audiodiff 0.1.0`.
    pub software: String,
    /// `ICMT`: seed, settings, model, whatever the caller wants kept.
    pub settings: serde_json::Value,
}

impl WavMetadata {
    /// With this program's name and version.
    pub fn new(settings: serde_json::Value) -> Self {
        Self { software: format!("audiodiff {}", env!("CARGO_PKG_VERSION")), settings }
    }

    fn chunk(&self) -> Vec<u8> {
        let mut body = b"INFO".to_vec();
        for (tag, text) in [(b"ISFT", self.software.clone()), (b"ICMT", ascii(&self.settings.to_string()))] {
            body.extend_from_slice(tag);
            // A terminating zero belongs to the text, a padding one does not.
            body.extend_from_slice(&(text.len() as u32 + 1).to_le_bytes());
            body.extend_from_slice(text.as_bytes());
            body.push(0);
            if body.len() % 2 == 1 {
                body.push(0);
            }
        }
        let mut chunk = b"LIST".to_vec();
        chunk.extend_from_slice(&(body.len() as u32).to_le_bytes());
        chunk.extend(body);
        chunk
    }

    fn parse(info: &[u8]) -> Option<Self> {
        let (mut software, mut settings) = (None, None);
        let mut rest = info.strip_prefix(b"INFO")?;
        while let Some((head, tail)) = rest.split_at_checked(8) {
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let text = String::from_utf8_lossy(tail.get(..size)?);
            let text = text.trim_end_matches('\0');
            match &head[..4] {
                b"ISFT" => software = Some(text.to_owned()),
                b"ICMT" => settings = serde_json::from_str(text).ok(),
                _ => {}
            }
            rest = tail.get(size + size % 2..).unwrap_or_default();
        }
        Some(Self { software: software?, settings: settings? })
    }
}

/// `INFO` texts have no declared encoding; JSON can say everything in ASCII.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// What audiodiff wrote into a WAV file; `None` where another program made it.
pub fn read_metadata(path: impl AsRef<Path>) -> Result<Option<WavMetadata>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(Error::io("cannot open", path))?;
    match scan(file) {
        Ok(layout) => Ok(layout.and_then(|layout| layout.info).as_deref().and_then(WavMetadata::parse)),
        Err(ChunkFault::Io(source)) => Err(Error::Io { path: path.into(), action: "cannot read", source }),
        Err(ChunkFault::Broken(found)) => {
            Err(Error::Audio(Fault::new(path.display(), format!("is a broken recording: {found}"))))
        }
    }
}

/// A mono WAV file on anything that can seek, from its start.
pub struct WavFile<W: Write + Seek> {
    writer: WavWriter<W>,
    quantizer: Quantizer,
    format: SampleFormat,
    samples: u64,
}

/// Bytes of sound that a WAV's 32-bit sizes leave room for, with some kept for header and metadata.
const LARGEST_DATA: u64 = u32::MAX as u64 - (1 << 20);

impl<W: Write + Seek> WavFile<W> {
    pub fn new(writer: W, format: SampleFormat, sample_rate: u32, seed: u64) -> io::Result<Self> {
        let writer = WavWriter::new(writer, format.spec(sample_rate)).map_err(from_hound)?;
        Ok(Self { writer, quantizer: Quantizer::new(format, seed), format, samples: 0 })
    }

    pub fn write(&mut self, samples: &[f32]) -> io::Result<()> {
        self.samples += samples.len() as u64;
        if self.samples * self.format.bytes() as u64 > LARGEST_DATA {
            let limit = LARGEST_DATA / self.format.bytes() as u64;
            let reason = format!("a WAV file holds at most {limit} samples of this format; split the input");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        for &sample in samples {
            match self.format {
                SampleFormat::Float32 => self.writer.write_sample(sample),
                SampleFormat::Pcm16 | SampleFormat::Pcm24 => {
                    let integer = self.quantizer.integer(sample);
                    self.writer.write_sample(integer)
                }
            }
            .map_err(from_hound)?;
        }
        Ok(())
    }

    /// Samples that were held at full scale so far.
    pub fn clipped(&self) -> u64 {
        self.quantizer.clipped()
    }

    /// Fills the sizes in. The file is complete, without metadata; `append_metadata` adds them.
    pub fn finish(self) -> io::Result<()> {
        self.writer.finalize().map_err(from_hound)
    }
}

/// Sets a `LIST` chunk behind the samples of a finished WAV file and counts it in.
pub fn append_metadata<W: Write + Seek>(mut file: W, metadata: &WavMetadata) -> io::Result<()> {
    let mut length = file.seek(SeekFrom::End(0))?;
    // An odd number of 24-bit samples: the next chunk starts at an even place.
    if length % 2 == 1 {
        file.write_all(&[0])?;
        length += 1;
    }
    let chunk = metadata.chunk();
    file.write_all(&chunk)?;
    length += chunk.len() as u64;
    let size = u32::try_from(length - 8).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(&size.to_le_bytes())?;
    file.seek(SeekFrom::End(0))?;
    file.flush()
}

fn from_hound(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    }
}

/// The header of a mono WAV that goes down a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
    pub format: SampleFormat,
    /// Hz.
    pub sample_rate: u32,
    /// Samples that will follow; `None` writes 0xFFFFFFFF, which readers take for "until the end".
    pub samples: Option<u64>,
}

impl StreamHeader {
    pub fn bytes(&self) -> Vec<u8> {
        let width = self.format.bytes() as u32;
        let (tag, extra): (u16, &[u8]) = match self.format {
            SampleFormat::Pcm16 | SampleFormat::Pcm24 => (1, &[]),
            // A format other than PCM has a length field for extra bytes, and a `fact` chunk.
            SampleFormat::Float32 => (3, &[0, 0]),
        };
        let data = self.samples.and_then(|count| u32::try_from(count * u64::from(width)).ok());
        let mut tail = Vec::new();
        if self.format == SampleFormat::Float32 {
            tail.extend_from_slice(b"fact\x04\0\0\0");
            tail.extend_from_slice(&data.map_or(u32::MAX, |bytes| bytes / width).to_le_bytes());
        }
        tail.extend_from_slice(b"data");
        tail.extend_from_slice(&data.unwrap_or(u32::MAX).to_le_bytes());

        let format_len = 16 + extra.len() as u32;
        let before = 4 + 8 + format_len + tail.len() as u32;
        let riff = data.and_then(|bytes| (bytes + bytes % 2).checked_add(before)).unwrap_or(u32::MAX);
        let mut header = b"RIFF".to_vec();
        header.extend_from_slice(&riff.to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&format_len.to_le_bytes());
        header.extend_from_slice(&tag.to_le_bytes());
        header.extend_from_slice(&1u16.to_le_bytes());
        header.extend_from_slice(&self.sample_rate.to_le_bytes());
        header.extend_from_slice(&(self.sample_rate * width).to_le_bytes());
        header.extend_from_slice(&(width as u16).to_le_bytes());
        header.extend_from_slice(&(width as u16 * 8).to_le_bytes());
        header.extend_from_slice(extra);
        header.extend(tail);
        header
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn written(format: SampleFormat, samples: &[f32], seed: u64) -> (Vec<u8>, u64) {
        let mut bytes = Cursor::new(Vec::new());
        let mut file = WavFile::new(&mut bytes, format, 24_000, seed).unwrap();
        file.write(samples).unwrap();
        let clipped = file.clipped();
        file.finish().unwrap();
        (bytes.into_inner(), clipped)
    }

    /// Mean 0, variance 1/6 step^2, no correlation from sample to sample: the moments of a triangle on [-1, 1].
    #[test]
    fn dither_is_triangular_and_white() {
        let dither = Dither::new(7);
        let n = 200_000u64;
        let values: Vec<f64> = (0..n).map(|index| f64::from(dither.at(index))).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / n as f64;
        let fourth = values.iter().map(|value| value.powi(4)).sum::<f64>() / n as f64;
        let lag = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / n as f64 / variance;
        // Four standard errors of each estimate: sqrt(v/n) = 9e-4, sqrt((1/15 - 1/36)/n) = 4.4e-4, 1/sqrt(n) = 2.2e-3.
        assert!(mean.abs() < 3.6e-3, "{mean}");
        assert!((variance - 1.0 / 6.0).abs() < 1.8e-3, "{variance}");
        assert!((fourth - 1.0 / 15.0).abs() < 1.8e-3, "{fourth}");
        assert!(lag.abs() < 8.9e-3, "{lag}");
        assert!(values.iter().all(|value| value.abs() < 1.0));
    }

    /// A constant a third of a step high survives in the mean: without dither it would round to nothing.
    #[test]
    fn dither_keeps_what_lies_below_a_step() {
        let level = 0.3f32 / 32768.0;
        let (bytes, clipped) = written(SampleFormat::Pcm16, &vec![level; 100_000], 1);
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        let sum: i64 = reader.samples::<i32>().map(|sample| i64::from(sample.unwrap())).sum();
        let mean = sum as f64 / 100_000.0;
        // Total error power of a dithered quantiser is 1/4 step^2: standard error 1.6e-3.
        assert!((mean - 0.3).abs() < 6.4e-3, "{mean}");
        assert_eq!(clipped, 0);
    }

    #[test]
    fn seed_decides_the_file() {
        let samples: Vec<f32> = (0..5000).map(|n| (n as f32 * 0.05).sin() * 0.4).collect();
        assert_eq!(written(SampleFormat::Pcm16, &samples, 3), written(SampleFormat::Pcm16, &samples, 3));
        assert_ne!(written(SampleFormat::Pcm16, &samples, 3), written(SampleFormat::Pcm16, &samples, 4));
        assert_eq!(written(SampleFormat::Pcm24, &samples, 3), written(SampleFormat::Pcm24, &samples, 4));
    }

    #[test]
    fn nothing_wraps() {
        let samples = [1.5, -1.5, 1.0, -1.0, f32::MAX, f32::MIN, 0.0];
        for (format, most, least) in
            [(SampleFormat::Pcm16, 32767, -32768), (SampleFormat::Pcm24, 8_388_607, -8_388_608)]
        {
            let (bytes, clipped) = written(format, &samples, 0);
            let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
            let stored: Vec<i32> = reader.samples().map(|sample| sample.unwrap()).collect();
            assert_eq!((stored[0], stored[1], stored[4], stored[5]), (most, least, most, least), "{format:?}");
            assert!(clipped >= 4, "{format:?}: {clipped}");
        }
        let (bytes, clipped) = written(SampleFormat::Float32, &samples, 0);
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.samples::<f32>().map(|sample| sample.unwrap()).collect::<Vec<_>>(), samples);
        assert_eq!(clipped, 0);
    }

    #[test]
    fn ceiling_is_never_clipped() {
        for format in [SampleFormat::Pcm16, SampleFormat::Pcm24] {
            let samples = vec![format.ceiling(); 50_000];
            assert_eq!(written(format, &samples, 9).1, 0, "{format:?}");
        }
    }

    #[test]
    fn stream_header_bytes() {
        let header = StreamHeader { format: SampleFormat::Pcm16, sample_rate: 24_000, samples: Some(3) };
        let expected: [u8; 44] = [
            b'R', b'I', b'F', b'F', 42, 0, 0, 0, b'W', b'A', b'V', b'E', b'f', b'm', b't', b' ', 16, 0, 0, 0, 1, 0, 1,
            0, 0xC0, 0x5D, 0, 0, 0x80, 0xBB, 0, 0, 2, 0, 16, 0, b'd', b'a', b't', b'a', 6, 0, 0, 0,
        ];
        assert_eq!(header.bytes(), expected);
        let unknown = StreamHeader { samples: None, ..header }.bytes();
        assert_eq!(unknown[4..8], [0xFF; 4]);
        assert_eq!(unknown[40..44], [0xFF; 4]);
        // Longer than 32 bits can say is unknown too, never wrapped.
        assert_eq!(StreamHeader { samples: Some(1 << 40), ..header }.bytes(), unknown);

        let float = StreamHeader { format: SampleFormat::Float32, ..header }.bytes();
        assert_eq!(float.len(), 58);
        assert_eq!(float[4..8], (50u32 + 12).to_le_bytes());
        assert_eq!((&float[38..42], &float[46..50]), (&b"fact"[..], &3u32.to_le_bytes()[..]));
    }

    #[test]
    fn metadata_survives_with_all_characters() {
        let settings = serde_json::json!({"seed": u64::MAX, "input": "Grüße 𝄞 \u{0}\"\\.npy", "steps": 4});
        for odd in [0, 1] {
            let (mut bytes, _) = written(SampleFormat::Pcm24, &vec![0.25; 10 + odd], 0);
            let metadata = WavMetadata::new(settings.clone());
            append_metadata(Cursor::new(&mut bytes), &metadata).unwrap();
            assert!(bytes.len() % 2 == 0);
            assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8);
            assert_eq!(hound::WavReader::new(Cursor::new(&bytes)).unwrap().len() as usize, 10 + odd);
            let layout = scan(Cursor::new(&bytes)).unwrap().unwrap();
            assert_eq!(WavMetadata::parse(&layout.info.unwrap()), Some(metadata));
            assert_eq!(layout.promised, Some(30 + 3 * odd as u64));
        }
    }
}
