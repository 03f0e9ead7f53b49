//! WAV out: samples as 16-, 24-bit integers or floats, dithered by a seed, with the settings kept inside the file; and
//! the header for pipes, where nobody can go back and fill a size in.
//!
//! Layout: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft 1991), chapter 3; float and `fact`:
//! Microsoft's Multiple Channel Audio Data and WAVE Files; files whose sizes 32 bits cannot say: RF64, EBU Tech 3306.

use std::{fs::File, path::Path};

use super::chunks::{ChunkFault, scan};
use crate::{Error, Fault, Result, sound::Sound};

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
    channels: u64,
    /// Of the next value; all channels of a sample have the same dither, so that equal channels stay equal.
    index: u64,
    clipped: u64,
}

impl Quantizer {
    /// Of sound whose `channels` are interleaved.
    pub fn new(format: SampleFormat, seed: u64, channels: usize) -> Self {
        Self { format, dither: Dither::new(seed), channels: channels.max(1) as u64, index: 0, clipped: 0 }
    }

    /// Samples held at full scale so far. Floats are never held.
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// The integer of a 16- or 24-bit format.
    fn integer(&mut self, sample: f32) -> i32 {
        let (scale, dither) = match self.format {
            SampleFormat::Pcm16 => (32_768.0f64, f64::from(self.dither.at(self.index / self.channels))),
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

/// The header of a WAV that goes down a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
    pub format: SampleFormat,
    /// Hz.
    pub sample_rate: u32,
    pub channels: u16,
    /// Samples of each channel that will follow; `None` writes 0xFFFFFFFF, which readers take for "until the end".
    pub samples: Option<u64>,
}

impl StreamHeader {
    pub fn bytes(&self) -> Vec<u8> {
        // Longer than 32 bits can say is as good as unknown on a pipe: few readers there know RF64.
        let known = self.samples.map(|samples| self.sizes(samples, 0)).filter(|sizes| sizes.long.is_none());
        self.with_sizes(&known.unwrap_or(Sizes { riff: u32::MAX, data: u32::MAX, samples: u32::MAX, long: None }))
    }

    /// Tag of the format, and what its chunk has beyond the common fields.
    fn tag(&self) -> (u16, &'static [u8]) {
        match self.format {
            SampleFormat::Pcm16 | SampleFormat::Pcm24 => (1, &[]),
            // A format other than PCM has a length field for extra bytes, and a `fact` chunk.
            SampleFormat::Float32 => (3, &[0, 0]),
        }
    }

    /// Bytes of a sample of all channels.
    fn block(&self) -> u16 {
        self.format.bytes() as u16 * self.channels
    }

    /// Sizes of a file of `samples` with `behind` bytes of chunks behind them.
    fn sizes(&self, samples: u64, behind: u64) -> Sizes {
        let data = samples * u64::from(self.block());
        let fact = if self.format == SampleFormat::Float32 { 12 } else { 0 };
        let before = b"WAVE".len() as u64 + 8 + 16 + self.tag().1.len() as u64 + fact + 8;
        let riff = before + data + data % 2 + behind;
        match u32::try_from(riff) {
            // The largest number means "unknown".
            Ok(short) if short < u32::MAX => {
                Sizes { riff: short, data: data as u32, samples: samples as u32, long: None }
            }
            _ => {
                let long = Some(LongSizes { riff: riff + 8 + DS64, data, samples });
                Sizes { riff: u32::MAX, data: u32::MAX, samples: u32::MAX, long }
            }
        }
    }

    fn with_sizes(&self, sizes: &Sizes) -> Vec<u8> {
        let (tag, extra) = self.tag();
        let mut header = if sizes.long.is_some() { b"RF64".to_vec() } else { b"RIFF".to_vec() };
        header.extend_from_slice(&sizes.riff.to_le_bytes());
        header.extend_from_slice(b"WAVE");
        if let Some(LongSizes { riff, data, samples }) = sizes.long {
            header.extend_from_slice(b"ds64");
            header.extend_from_slice(&(DS64 as u32).to_le_bytes());
            [riff, data, samples].iter().for_each(|size| header.extend_from_slice(&size.to_le_bytes()));
            // No other chunk is that long.
            header.extend_from_slice(&0u32.to_le_bytes());
        }
        header.extend_from_slice(b"fmt ");
        header.extend_from_slice(&(16 + extra.len() as u32).to_le_bytes());
        header.extend_from_slice(&tag.to_le_bytes());
        header.extend_from_slice(&self.channels.to_le_bytes());
        header.extend_from_slice(&self.sample_rate.to_le_bytes());
        header.extend_from_slice(&(self.sample_rate * u32::from(self.block())).to_le_bytes());
        header.extend_from_slice(&self.block().to_le_bytes());
        header.extend_from_slice(&(self.format.bytes() as u16 * 8).to_le_bytes());
        header.extend_from_slice(extra);
        if self.format == SampleFormat::Float32 {
            header.extend_from_slice(b"fact\x04\0\0\0");
            header.extend_from_slice(&sizes.samples.to_le_bytes());
        }
        header.extend_from_slice(b"data");
        header.extend_from_slice(&sizes.data.to_le_bytes());
        header
    }
}

/// As the header says them.
struct Sizes {
    riff: u32,
    data: u32,
    samples: u32,
    /// Where 32 bits do not hold them: RF64 has a chunk for these.
    long: Option<LongSizes>,
}

struct LongSizes {
    riff: u64,
    data: u64,
    samples: u64,
}

/// Bytes of RF64's chunk of sizes, without its own header.
const DS64: u64 = 28;

/// What stands before and behind the samples of a WAV file.
pub(super) struct FileEnds {
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}

impl FileEnds {
    /// Of a file whose length `header` knows. One that is too long for WAV's sizes becomes an RF64.
    pub fn new(header: StreamHeader, metadata: Option<&WavMetadata>) -> Self {
        let samples = header.samples.unwrap_or(0);
        // An odd number of 24-bit samples: the next chunk starts at an even place.
        let odd = samples * u64::from(header.block()) % 2 == 1;
        let mut tail = if odd { vec![0] } else { vec![] };
        let chunk = metadata.map(WavMetadata::chunk).unwrap_or_default();
        let head = header.with_sizes(&header.sizes(samples, chunk.len() as u64));
        tail.extend(chunk);
        Self { head, tail }
    }
}

/// A whole WAV file in memory, without metadata; samples over full scale are held there.
pub fn encode(sound: &Sound, format: SampleFormat) -> Vec<u8> {
    let channels = sound.channels.len().max(1);
    let samples = Some(sound.len() as u64);
    let header = StreamHeader { format, sample_rate: sound.rate, channels: channels as u16, samples };
    let FileEnds { head: mut bytes, tail } = FileEnds::new(header, None);
    Quantizer::new(format, 0, channels).bytes(&sound.interleaved(), &mut bytes);
    bytes.extend(tail);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn header(format: SampleFormat, samples: u64) -> StreamHeader {
        StreamHeader { format, sample_rate: 24_000, channels: 1, samples: Some(samples) }
    }

    fn written(format: SampleFormat, samples: &[f32], seed: u64) -> (Vec<u8>, u64) {
        let FileEnds { head: mut bytes, tail } = FileEnds::new(header(format, samples.len() as u64), None);
        let mut quantizer = Quantizer::new(format, seed, 1);
        quantizer.bytes(samples, &mut bytes);
        bytes.extend(tail);
        (bytes, quantizer.clipped())
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

    /// The left channel has the dither that it would have alone, and so has the right one.
    #[test]
    fn channels_are_dithered_alike() {
        let mono: Vec<f32> = (0..5000).map(|n| (n as f32 * 0.05).sin() * 0.4).collect();
        let twice: Vec<f32> = mono.iter().flat_map(|&sample| [sample, sample]).collect();
        let bytes = |samples: &[f32], channels| {
            let mut bytes = vec![];
            Quantizer::new(SampleFormat::Pcm16, 3, channels).bytes(samples, &mut bytes);
            bytes
        };
        let twice: Vec<[u8; 4]> = bytes(&twice, 2).chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect();
        assert!(bytes(&mono, 1).chunks_exact(2).zip(&twice).all(|(one, both)| one == &both[..2] && one == &both[2..]));
    }

    #[test]
    fn stream_header_bytes() {
        let header = header(SampleFormat::Pcm16, 3);
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

        let stereo = StreamHeader { channels: 2, ..header }.bytes();
        assert_eq!((&stereo[22..24], &stereo[28..34]), (&[2, 0][..], &[0, 0x77, 1, 0, 4, 0][..]));
        assert_eq!(stereo[40..44], 12u32.to_le_bytes());

        let float = StreamHeader { format: SampleFormat::Float32, ..header }.bytes();
        assert_eq!(float.len(), 58);
        assert_eq!(float[4..8], (50u32 + 12).to_le_bytes());
        assert_eq!((&float[38..42], &float[46..50]), (&b"fact"[..], &3u32.to_le_bytes()[..]));
    }

    #[test]
    fn metadata_survives_with_all_characters() {
        let settings = serde_json::json!({"seed": u64::MAX, "input": "Grüße 𝄞 \u{0}\"\\.npy", "steps": 4});
        for odd in [0, 1] {
            let metadata = WavMetadata::new(settings.clone());
            let ends = FileEnds::new(header(SampleFormat::Pcm24, 10 + odd), Some(&metadata));
            let bytes = [ends.head, vec![0; 30 + 3 * odd as usize], ends.tail].concat();
            assert!(bytes.len() % 2 == 0);
            assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8);
            assert_eq!(u64::from(hound::WavReader::new(Cursor::new(&bytes)).unwrap().len()), 10 + odd);
            let layout = scan(Cursor::new(&bytes)).unwrap().unwrap();
            assert_eq!(WavMetadata::parse(&layout.info.unwrap()), Some(metadata));
            assert_eq!(layout.promised, Some(30 + 3 * odd));
        }
    }

    /// The last length that RIFF's 32 bits can say, and the first that they cannot.
    #[test]
    fn a_file_beyond_four_gigabytes_is_an_rf64() {
        let metadata = WavMetadata::new(serde_json::json!({"seed": 1}));
        for format in [SampleFormat::Pcm16, SampleFormat::Pcm24, SampleFormat::Float32] {
            let length = |samples: u64| {
                let FileEnds { head, tail } = FileEnds::new(header(format, samples), Some(&metadata));
                (head.len() as u64 + samples * format.bytes() as u64 + tail.len() as u64, head)
            };
            let around = u64::from(u32::MAX) / format.bytes() as u64;
            let first = (around - 1000..).find(|&samples| length(samples).1.starts_with(b"RF64")).unwrap();
            let (bytes, head) = length(first - 1);
            assert!(bytes - 8 < u64::from(u32::MAX) && bytes - 8 + 8 >= u64::from(u32::MAX), "{format:?}: {bytes}");
            assert_eq!(head[4..8], ((bytes - 8) as u32).to_le_bytes());
            let (bytes, head) = length(first);
            assert_eq!((&head[4..16], &head[16..20]), (&b"\xFF\xFF\xFF\xFFWAVEds64"[..], &28u32.to_le_bytes()[..]));
            assert_eq!(head[20..28], (bytes - 8).to_le_bytes());
            assert_eq!(head[28..36], (first * format.bytes() as u64).to_le_bytes());
            assert_eq!(head[36..44], first.to_le_bytes());
        }
    }
}
