//! Recordings and WAV files as a user meets them: every format, exact lengths, broken files, and what other readers see
//! in the files that are written.

mod counting;

use std::{
    f64::consts::TAU,
    fs,
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
};

use audiodiff::{
    Error,
    audio::{
        self, AudioReader, Downmix, FileSink, FileSinkSettings, Peaks, SampleFormat, StreamHeader, StreamSink,
        StreamSinkSettings, WavMetadata, is_broken_pipe, read_metadata,
    },
    data::{explanations, measure},
    sound::Sound,
};
use counting::peak_here;

const RATE: u32 = 22_050;
const LENGTH: usize = 11_025;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio").join(name)
}

/// The mean of both channels of the fixtures.
fn tone() -> Vec<f32> {
    (0..LENGTH).map(|n| (0.375 * (TAU * 440.0 * n as f64 / f64::from(RATE)).sin()) as f32).collect()
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn message(result: audiodiff::Result<audio::Recording>) -> String {
    match result {
        Err(error @ Error::Audio(_)) => error.to_string(),
        Err(error) => panic!("wrong kind: {error}"),
        Ok(recording) => panic!("{} samples read", recording.samples.len()),
    }
}

#[test]
fn every_format_is_read_whole_and_mixed() {
    // Root mean square of the difference, with the first and last 600 samples (a block of each codec) apart: a third of
    // a step of 16 bits for the lossless ones; for the others what the decoders of SoX and lame leave of the same files, and a fifth.
    for (name, tolerance) in [
        ("tone.flac", 1e-5),
        ("tone.aiff", 1e-5),
        ("tone-ima.wav", 5.3e-3),
        ("tone-ms.wav", 3.9e-4),
        ("tone.mp3", 1.8e-4),
        ("tone.ogg", 2.5e-3),
    ] {
        let recording = audio::read(fixture(name)).unwrap_or_else(|error| panic!("{error}"));
        let stated = AudioReader::open(fixture(name)).unwrap().length();
        assert!(stated.is_none_or(|length| length == LENGTH as u64), "{name}: {stated:?}");
        assert_eq!((recording.sample_rate, recording.source.channels), (RATE, 2), "{name}");
        assert_eq!(recording.samples.len(), LENGTH, "{name}");
        assert_eq!(recording.source.samples, LENGTH as u64, "{name}");
        let inner = 600..LENGTH - 600;
        let squares: f32 =
            recording.samples[inner.clone()].iter().zip(&tone()[inner.clone()]).map(|(a, b)| (a - b).powi(2)).sum();
        let difference = (squares / inner.len() as f32).sqrt();
        assert!(difference < tolerance, "{name}: {difference}");
        assert!((recording.source.peak - 0.5).abs() < 0.03, "{name}: {}", recording.source.peak);
    }
}

/// An hour of Ogg is counted before its first sample is rendered: its packets tell, without being decoded.
#[test]
fn a_length_that_no_header_says_is_that_of_what_is_decoded() {
    let mut counted = 0;
    for file in fs::read_dir(fixture("")).unwrap() {
        let path = file.unwrap().path();
        let Ok(recording) = audio::read(&path) else { continue };
        let reader = AudioReader::open(&path).unwrap();
        counted += usize::from(reader.length().is_none());
        assert_eq!(reader.into_length().unwrap(), recording.source.samples, "{}", path.display());
    }
    assert!(counted > 3, "{counted}");
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(fixture("tone.ogg")).unwrap();
    let path = written(folder.path(), "cut.ogg", &bytes[..bytes.len() * 4 / 5]);
    let text = AudioReader::open(&path).and_then(AudioReader::into_length).unwrap_err().to_string();
    assert!(text.contains("breaks off"), "{text}");
}

#[test]
fn every_width_of_wav_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let tone = tone();
    for (bits, float) in [(8, false), (16, false), (24, false), (32, false), (32, true)] {
        let path = folder.path().join(format!("{bits}{float}.wav"));
        let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
        let spec = hound::WavSpec { channels: 3, sample_rate: RATE, bits_per_sample: bits, sample_format };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        let scale = 2f64.powi(i32::from(bits) - 1);
        for &sample in &tone {
            for channel in [0.5, 1.0, 1.5] {
                let sample = f64::from(sample) * channel;
                if float {
                    writer.write_sample(sample as f32).unwrap();
                } else {
                    writer.write_sample((sample * scale).round() as i32).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
        let recording = audio::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(AudioReader::open(&path).unwrap().length(), Some(LENGTH as u64));
        assert_eq!(recording.source.channels, 3);
        // Half a step of the width, or f32's own rounding.
        let tolerance = (0.51 / scale).max(1e-7) as f32;
        let difference = worst(&recording.samples, &tone);
        assert!(difference <= tolerance, "{bits} bits, float {float}: {difference}");
    }
}

#[test]
fn resampling_while_reading_equals_resampling_after() {
    for name in ["tone.flac", "tone.mp3"] {
        let own_rate = audio::read(fixture(name)).unwrap();
        let at_24k = audio::read_at(fixture(name), 24_000).unwrap();
        assert_eq!(at_24k.samples.len(), 12_000);
        assert_eq!(at_24k.sample_rate, 24_000);
        assert_eq!(at_24k.source, own_rate.source);
        assert!(at_24k.samples == audio::resample(&own_rate.samples, RATE, 24_000).unwrap());
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-de.flac");
    assert!(audio::read(&sample).unwrap().samples == audio::read_at(&sample, 24_000).unwrap().samples);
}

fn pcm16(samples: &[i16]) -> Vec<u8> {
    let mut bytes = StreamHeader {
        format: SampleFormat::Pcm16,
        sample_rate: 24_000,
        channels: 1,
        samples: Some(samples.len() as u64),
    }
    .bytes();
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

fn float32(samples: &[f32]) -> Vec<u8> {
    let mut bytes = StreamHeader {
        format: SampleFormat::Float32,
        sample_rate: 24_000,
        channels: 1,
        samples: Some(samples.len() as u64),
    }
    .bytes();
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

#[test]
fn streamed_headers_are_read_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<i16> = (0..5000).map(|n| (n % 1000) as i16).collect();
    let whole = pcm16(&samples);
    let expected: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    // RIFF and data sizes as streaming writers leave them: ours and ffmpeg's, a killed hound, SoX into a pipe.
    for (riff, data) in [(u32::MAX, u32::MAX), (0, 0), (36, 0), (0x7FFF_F024, 0x7FFF_F000), (36 + 10_000, 10_000)]
        // arecord and others, stopped or into a pipe.
        .into_iter()
        .chain([(0x8000_0024, 0x8000_0000), (0x7FFF_FFFF, 0x7FFF_FFDB), (0xFFFF_FFFF, 0xFFFF_FFD3), (0, 0)])
    {
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&data.to_le_bytes());
        let path = written(folder.path(), "streamed.wav", &bytes);
        let recording = audio::read(&path).unwrap_or_else(|error| panic!("{riff:#x} {data:#x}: {error}"));
        assert_eq!(recording.samples, expected, "{riff:#x} {data:#x}");
        let measures = measure(&recording.samples, recording.sample_rate).unwrap();
        let findings = explanations(&measures, &recording.source, true).join("; ");
        assert_eq!(findings.contains("does not say how long it is"), data != 10_000, "{riff:#x} {data:#x}: {findings}");
    }
}

/// What phones, editors and old systems store, against the samples that the file was made of.
#[test]
fn formats_with_headers_of_their_own_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<i16> = (0..5000).map(|n| (n % 1000) as i16 - 500).collect();
    let expected: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    let le: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let be: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let format = &pcm16(&[])[20..36];

    let chunk_rest = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
    let w64 = |size: u64| {
        let mut bytes = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0".to_vec();
        bytes.extend((40 + 40 + 24 + le.len() as u64).to_le_bytes());
        bytes.extend([&b"wave"[..], chunk_rest, b"fmt ", chunk_rest, &40u64.to_le_bytes(), format].concat());
        bytes.extend([&b"data"[..], chunk_rest, &size.to_le_bytes(), &le].concat());
        bytes
    };
    let au = |size: u32, encoding: u32, sound: &[u8]| {
        let numbers = [24, size, encoding, 24_000, 1].map(u32::to_be_bytes).concat();
        [&b".snd"[..], &numbers, sound].concat()
    };
    let floats: Vec<u8> = expected.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let caf = {
        let mut bytes = b"caff\0\x01\0\0desc".to_vec();
        bytes.extend(32u64.to_be_bytes());
        bytes.extend(24_000f64.to_be_bytes());
        bytes.extend([&b"lpcm"[..], &[2, 2, 1, 1, 16].map(u32::to_be_bytes).concat()].concat());
        bytes.extend([&b"data"[..], &(4 + le.len() as u64).to_be_bytes(), &[0; 4], &le].concat());
        bytes
    };
    for (name, bytes) in [
        ("a.w64", w64(24 + le.len() as u64)),
        ("open.w64", w64(u64::MAX)),
        ("a.au", au(be.len() as u32, 3, &be)),
        ("open.au", au(u32::MAX, 3, &be)),
        ("float.au", au(floats.len() as u32, 6, &floats)),
        ("a.caf", caf.clone()),
        ("no-extension", pcm16(&samples)),
    ] {
        let recording = audio::read(written(folder.path(), name, &bytes)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((recording.sample_rate, recording.source.channels), (24_000, 1), "{name}");
        assert_eq!(recording.samples.len(), expected.len(), "{name}");
        assert!(worst(&recording.samples, &expected) < 1e-6, "{name}");
        assert_eq!(recording.source.states_length, !name.starts_with("open"), "{name}");
    }
    for (name, whole) in
        [("cut.w64", w64(24 + le.len() as u64)), ("cut.au", au(be.len() as u32, 3, &be)), ("cut.caf", caf)]
    {
        let text = message(audio::read(written(folder.path(), name, &whole[..whole.len() - 3000])));
        assert!(text.contains("breaks off"), "{name}: {text}");
    }
}

/// Speech of samples/, coded as phones and voice messages do.
#[test]
fn speech_in_opus_and_m4a_is_the_speech_that_was_coded() {
    let original = audio::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-en.wav")).unwrap().samples;
    // The correlation that is left at these bit rates: libopus's own decoding has 0.960, as its low band comes two thirds of a
    // sample early, ffmpeg's of AAC 0.989. AAC's encoder begins with a frame of nothing, which symphonia leaves in.
    for (name, samples, longest_lead, least) in [
        ("speech.opus", 35_984..=36_000, 0, 0.955),
        ("speech.m4a", 36_000..=38_200, 2112, 0.98),
        ("speech-alac.m4a", 7200..=7200, 0, 0.999_999),
    ] {
        let decoded = audio::read_at(fixture(name), 24_000).unwrap_or_else(|error| panic!("{error}")).samples;
        assert!(samples.contains(&decoded.len()), "{name}: {}", decoded.len());
        let correlation = |lag: usize| {
            let pairs = || decoded[lag..].iter().zip(&original[..33_000]).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let (aa, bb) = (pairs().map(|(a, _)| a * a).sum::<f64>(), pairs().map(|(_, b)| b * b).sum::<f64>());
            pairs().map(|(a, b)| a * b).sum::<f64>() / (aa * bb).sqrt()
        };
        let best = (0..=longest_lead).map(correlation).fold(0.0, f64::max);
        assert!(best > least, "{name}: {best}");
    }
}

/// For one of them, the whole file would be lowered to silence.
#[test]
fn a_number_that_no_sound_has_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (value, said) in
        [(1e30, "sample 3 of channel 1 is 1e30"), (-32_768.0, "is -3.2768e4"), (1001.0, "none beyond 1000")]
    {
        let path = written(folder.path(), "broken.wav", &float32(&[0.0, 0.5, 0.1, value]));
        let text = message(audio::read(path));
        assert!(text.contains(said) && text.contains("broken.wav"), "{text}");
    }
    // Float files have head-room, and 40 dB of it are no reason to refuse one.
    let path = written(folder.path(), "loud.wav", &float32(&[0.0, 100.0, -100.0]));
    assert_eq!(audio::read(path).unwrap().samples, [0.0, 100.0, -100.0]);
}

#[test]
fn a_format_that_is_not_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, start, said) in [
        ("a.amr", &b"#!AMR\n\x3c\x08"[..], "is AMR"),
        ("a.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "is WMA"),
        ("a.wv", b"wvpk\0\0\0\0", "is WavPack"),
    ] {
        let text = message(audio::read(written(folder.path(), name, &[start, &[0; 100]].concat())));
        assert!(text.contains(said) && text.contains("convert it to WAV or FLAC"), "{text}");
    }
}

#[test]
fn a_truncated_recording_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let whole = pcm16(&[100; 1000]);
    let path = written(folder.path(), "cut.wav", &whole[..44 + 600]);
    let text = message(audio::read(&path));
    assert!(text.contains("cut.wav") && text.contains("600 of 2000 bytes"), "{text}");

    for (name, kept, said) in [
        ("tone.flac", 0.6, "of 11025 samples"),
        ("tone.mp3", 0.6, "of 11025 samples"),
        ("tone.ogg", 0.8, "breaks off"),
        ("tone.aiff", 0.6, "bytes of sound are there"),
        ("tone-ima.wav", 0.6, "bytes of sound are there"),
    ] {
        let bytes = fs::read(fixture(name)).unwrap();
        let path = written(folder.path(), name, &bytes[..(bytes.len() as f64 * kept) as usize]);
        let text = message(audio::read(&path));
        assert!(text.contains(said), "{name}: {text}");
    }
}

#[test]
fn broken_recordings_get_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let good = pcm16(&[1; 100]);
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    for (name, bytes, said) in [
        ("empty.wav", Vec::new(), "is empty"),
        ("no-sound.wav", pcm16(&[]), "holds no sound"),
        ("zero-rate.wav", patched(24, &[0; 4]), "sample rate of 0 Hz"),
        ("absurd-rate.wav", patched(24, &[0xFF; 4]), "sample rate of 4294967295 Hz"),
        ("no-channels.wav", patched(22, &[0, 0]), "has 0 channels"),
        ("many-channels.wav", patched(22, &[0xFF, 0xFF]), "has 65535 channels"),
        ("huge-format.wav", patched(16, &[0xF0, 0xFF, 0xFF, 0x7F]), "format chunk claims"),
        ("half-header.wav", good[..30].to_vec(), "format chunk promises"),
        ("text.wav", b"This is no recording at all, just words in a file.".to_vec(), "no recording that can be read"),
        ("nan.wav", float32(&[0.0, 0.5, f32::NAN, 0.1]), "sample 2 of channel 1 is NaN"),
        ("infinite.wav", float32(&[f32::NEG_INFINITY]), "sample 0 of channel 1 is -inf"),
    ] {
        let path = written(folder.path(), name, &bytes);
        let text = message(audio::read(&path));
        assert!(text.contains(said) && text.contains(name), "{name}: {text}");
        assert!(!text.contains('\n') && !text.ends_with('.'), "{name}: {text}");
    }
    assert!(message(audio::read(folder.path())).contains("is a folder"));
    assert!(matches!(audio::read(folder.path().join("none.wav")), Err(Error::Io { .. })));
}

/// Known from the header, so that nobody waits for the first half of it; the file is a hole in the disk.
#[test]
fn a_recording_too_long_for_memory_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = (1u32 << 31) + 1;
    let mut header = pcm16(&[])[..44].to_vec();
    header[4..8].copy_from_slice(&(36 + bytes).to_le_bytes());
    header[28..36].copy_from_slice(&[0x40, 0x1F, 0, 0, 1, 0, 8, 0]); // one byte a sample, 8000 of them a second
    header[40..44].copy_from_slice(&bytes.to_le_bytes());
    let wave = written(folder.path(), "long.wav", &header);
    fs::File::options().write(true).open(&wave).unwrap().set_len(44 + u64::from(bytes)).unwrap();
    let mut flac = fs::read(fixture("tone.flac")).unwrap();
    // The 36 bits of STREAMINFO's number of samples.
    flac[21] |= 0x0F;
    flac[22..26].fill(0xFF);
    let flac = written(folder.path(), "long.flac", &flac);
    for path in [wave, flac] {
        let text = AudioReader::open(&path).err().unwrap().to_string();
        assert!(text.contains("is longer than 2147483648 samples") && text.contains("split it"), "{text}");
    }
}

#[test]
fn a_wrong_extension_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "really-flac.wav", &fs::read(fixture("tone.flac")).unwrap());
    assert_eq!(audio::read(path).unwrap().samples.len(), LENGTH);
}

/// A small generator for the mutations: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [u32; 8] = [0, 1, 0x7F, 0x80, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];
    for _ in 0..1 + random.below(3) {
        // Headers are where the lies are; one in four lands anywhere.
        let reach = if random.below(4) == 0 { bytes.len() } else { bytes.len().min(160) };
        if reach < 8 {
            return;
        }
        let at = random.below(reach - 4);
        match random.below(6) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at..at + 4].copy_from_slice(&NUMBERS[random.below(8)].to_le_bytes()),
            3 => bytes[at..at + 4].copy_from_slice(&NUMBERS[random.below(8)].to_be_bytes()),
            4 => bytes.truncate(at),
            _ => {
                let piece: Vec<u8> = bytes[at..at + 4].to_vec();
                let to = random.below(bytes.len() - 4);
                bytes[to..to + 4].copy_from_slice(&piece);
            }
        }
    }
}

/// Neither a panic nor a hang nor an allocation of what a header claims; what is read is sound.
#[test]
fn mutated_recordings_are_read_or_refused() {
    const EACH: usize = 700;
    // The largest honest packet: an ADPCM block of 65,535 bytes in 32 channels becomes 131,000 samples of each, 17 MB,
    // which lie there as integers, as floats and in a vector that grows by doubling. A believed claim would be gigabytes.
    const ALLOWED: usize = 96 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(2024);
    let names = ["tone.flac", "tone.mp3", "tone.ogg", "tone.aiff", "tone-ima.wav", "tone-ms.wav"];
    let mut originals: Vec<Vec<u8>> = names.iter().map(|name| fs::read(fixture(name)).unwrap()).collect();
    originals.push(pcm16(&[1000; 2000]));
    originals.push(float32(&[0.25; 2000]));
    let (mut tried, mut read, mut gave_up) = (0, 0, 0);
    // Where RUST_BACKTRACE is set, a panic inside of a decoder, which the reader catches, would count the symbols of the
    // whole test as memory that the file took.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("symphonia")) {
            default(panic);
        }
    }));
    for original in &originals {
        for _ in 0..EACH {
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random);
            // A new name each time: ext4 waits for the disk when a file is emptied and written again.
            let path = written(folder.path(), &tried.to_string(), &bytes);
            let (read_in, used) = peak_here(|| audio::read(&path));
            match read_in {
                Ok(recording) => {
                    read += 1;
                    assert!(recording.samples.iter().all(|sample| sample.is_finite()));
                    assert!(audio::reader::SAMPLE_RATES.contains(&recording.sample_rate));
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.contains('\n'), "{text}");
                    gave_up += usize::from(text.contains("the decoder gave up"));
                }
            }
            assert!(used < ALLOWED, "{used} bytes for {} of a file", bytes.len());
            fs::remove_file(&path).unwrap();
            tried += 1;
        }
    }
    println!("{tried} mutated recordings: {read} read, {} refused, {gave_up} of these by a caught panic", tried - read);
    assert!(read > 0 && read < tried);
}

fn settings(format: SampleFormat) -> FileSinkSettings {
    let metadata = serde_json::json!({"seed": 11, "steps": 4, "model": "builtin"});
    FileSinkSettings { seed: 11, metadata: Some(WavMetadata::new(metadata)), ..FileSinkSettings::new(format, 24_000) }
}

#[test]
fn a_file_is_what_other_readers_expect() {
    let folder = tempfile::tempdir().unwrap();
    // An odd number of samples: 24 bits then need a padding byte before the metadata.
    let samples: Vec<f32> = (0..24_001).map(|n| (n as f32 * 0.01).sin() * 0.7).collect();
    for (format, tolerance) in
        [(SampleFormat::Pcm16, 1.5 / 32768.0), (SampleFormat::Pcm24, 0.5 / 8_388_608.0), (SampleFormat::Float32, 0.0)]
    {
        let path = folder.path().join(format!("{format:?}.wav"));
        let mut sink = FileSink::create(&path, settings(format)).unwrap();
        for chunk in samples.chunks(777) {
            sink.write(chunk).unwrap();
        }
        assert!(!path.exists(), "nothing before the end");
        let report = sink.finish().unwrap();
        assert_eq!((report.samples, report.clipped, report.level.gain_applied_db), (24_001, 0, 0.0));

        let hound = hound::WavReader::open(&path).unwrap();
        assert_eq!((hound.spec().channels, hound.spec().sample_rate, hound.len()), (1, 24_000, 24_001));
        let recording = audio::read(&path).unwrap();
        // One float's rounding on top of the format's own step.
        let difference = worst(&recording.samples, &samples);
        assert!(difference <= tolerance + 1e-7, "{format:?}: {difference}");
        assert_eq!(read_metadata(&path).unwrap(), settings(format).metadata);
        let length = fs::metadata(&path).unwrap().len();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(u64::from(u32::from_le_bytes(bytes[4..8].try_into().unwrap())), length - 8);
    }
    assert_eq!(read_metadata(fixture("tone-ima.wav")).unwrap(), None);
    assert_eq!(read_metadata(fixture("tone.flac")).unwrap(), None);
}

/// A second at a fifth of full scale, and one at 1.6 of it.
fn half_loud() -> Vec<f32> {
    (0..48_000).map(|n| (n as f32 * 0.02).sin() * if n < 24_000 { 0.2 } else { 1.6 }).collect()
}

/// What is quiet keeps its level, to the sample: a batch of music keeps its levels.
#[test]
fn the_peaks_of_a_loud_file_are_limited_alone() {
    let folder = tempfile::tempdir().unwrap();
    let samples = half_loud();
    let (left, right): (Vec<f32>, Vec<f32>) = samples.iter().map(|&x| (x, 0.25)).unzip();
    let both = Sound { rate: 24_000, channels: vec![left, right] }.interleaved();
    for format in [SampleFormat::Pcm16, SampleFormat::Pcm24, SampleFormat::Float32] {
        let path = folder.path().join("loud.wav");
        let settings = FileSinkSettings { channels: 2, ..FileSinkSettings::new(format, 24_000) };
        let mut sink = FileSink::create(&path, settings.clone()).unwrap();
        both.chunks(2 * 1111).for_each(|piece| sink.write(piece).unwrap());
        let report = sink.finish().unwrap();
        assert_eq!((report.samples, report.clipped, report.level.lowered_db), (48_000, 0, 0.0), "{format:?}");
        let warnings = report.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("(1.60) were limited, by 4."), "{warnings:?}");
        let (sound, _) = AudioReader::open(&path).unwrap().mixed(Downmix::Stereo).into_sound(24_000).unwrap();
        let [left, right] = &sound.channels[..] else { panic!("{} channels", sound.channels.len()) };
        let quiet = 24_000 - 240;
        assert!(worst(&left[..quiet], &samples[..quiet]) < 1.6 / 32768.0);
        let peak = left[24_000..].iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!(peak <= 1.0 && peak > 0.99, "{peak}");
        // Both channels go down together, so that nothing moves in the picture.
        assert!((right[36_000] - 0.25 * 0.625).abs() < 0.01 && (right[1000] - 0.25).abs() < 1e-4, "{}", right[36_000]);

        // A pipe has the same samples.
        let mut pipe = pipe(usize::MAX);
        let wanted = StreamSinkSettings { channels: 2, raw: true, seed: 0, peaks: Peaks::Limit, ..stream(format) };
        let mut sink = StreamSink::new(&mut pipe, "standard output", wanted);
        both.chunks(2 * 333).for_each(|piece| sink.write(piece).unwrap());
        let report = sink.finish().unwrap();
        assert!(report.samples == 48_000 && report.warning().unwrap().contains("limited"), "{report:?}");
        let mut sink = FileSink::create(folder.path().join("raw"), FileSinkSettings { raw: true, ..settings }).unwrap();
        sink.write(&both).unwrap();
        sink.finish().unwrap();
        assert!(fs::read(folder.path().join("raw")).unwrap() == pipe.taken, "{format:?}");
    }
}

#[test]
fn a_loud_file_is_lowered_as_a_whole_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loud.wav");
    let samples = half_loud();
    let settings = FileSinkSettings { peaks: Peaks::Lower, ..FileSinkSettings::new(SampleFormat::Pcm16, 24_000) };
    let mut sink = FileSink::create(&path, settings).unwrap();
    sink.write(&samples).unwrap();
    let report = sink.finish().unwrap();
    assert_eq!(report.clipped, 0);
    assert!((report.level.peak_before - 1.6).abs() < 1e-4);
    assert!((report.level.lowered_db - 20.0 * 1.6f64.log10()).abs() < 0.01, "{:?}", report.level);
    let recording = audio::read(&path).unwrap();
    // The quiet half is lowered as much as the loud one: 1.5 steps of dither and rounding.
    let gain = 10f32.powf(report.level.gain_applied_db as f32 / 20.0);
    let lowered: Vec<f32> = samples.iter().map(|sample| sample * gain).collect();
    assert!(worst(&recording.samples, &lowered) < 1.6 / 32768.0);
}

#[test]
fn gain_and_loudness_are_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("level.wav");
    let clip = audio::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-en.wav")).unwrap();
    let loudness = |target: f64| {
        let wanted = FileSinkSettings {
            loudness: Some(target),
            peaks: Peaks::Lower,
            ..FileSinkSettings::new(SampleFormat::Float32, 24_000)
        };
        let mut sink = FileSink::create(&path, wanted).unwrap();
        sink.write(&clip.samples).unwrap();
        sink.finish().unwrap()
    };
    let first = loudness(-30.0);
    let again = {
        let wanted = FileSinkSettings { loudness: Some(-30.0), ..FileSinkSettings::new(SampleFormat::Float32, 24_000) };
        let mut sink = FileSink::create(folder.path().join("again.wav"), wanted).unwrap();
        sink.write(&audio::read(&path).unwrap().samples).unwrap();
        sink.finish().unwrap()
    };
    assert!((first.level.loudness.unwrap() + first.level.gain_applied_db + 30.0).abs() < 1e-6, "{first:?}");
    assert!((again.level.loudness.unwrap() + 30.0).abs() < 0.01, "{again:?}");
    // So loud that the peaks forbid it: lowered, and the report says by how much.
    assert!(loudness(-3.0).level.lowered_db > 0.0);
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.wav");
    fs::write(&path, b"what was there before").unwrap();
    let mut sink = FileSink::create(&path, settings(SampleFormat::Pcm16)).unwrap();
    // More than stays in memory: the scratch file is on disk.
    for _ in 0..30 {
        sink.write(&vec![0.1; 100_000]).unwrap();
    }
    drop(sink);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["half.wav"]);
    assert_eq!(fs::read(&path).unwrap(), b"what was there before");
    assert!(matches!(
        FileSink::create(folder.path().join("no/such/folder/x.wav"), settings(SampleFormat::Pcm16)),
        Err(Error::Io { .. })
    ));
}

#[test]
fn memory_is_flat_in_the_length() {
    let folder = tempfile::tempdir().unwrap();
    let chunk = vec![0.25; 24_000];
    let mut most = Vec::new();
    for seconds in [120, 480] {
        let path = folder.path().join("long.wav");
        let ((), peak) = peak_here(|| {
            let mut sink = FileSink::create(&path, settings(SampleFormat::Pcm16)).unwrap();
            for _ in 0..seconds {
                sink.write(&chunk).unwrap();
            }
            assert_eq!(sink.finish().unwrap().samples, seconds * 24_000);
            let length: u64 = AudioReader::open(&path).unwrap().map(|chunk| chunk.unwrap().len() as u64).sum();
            assert_eq!(length, seconds * 24_000);
        });
        most.push(peak);
    }
    // The scratch grows to its 8 MiB by doubling. 480 s are 46 MB.
    assert!(most[1] < 20 << 20, "{most:?}");
}

/// An RF64 of 4.3 GB as we would write it, with a hole for its samples: its length and what it was made with are read, and
/// its sound begins where it should.
#[cfg(unix)]
#[test]
fn a_file_beyond_four_gigabytes_is_read_back() {
    use std::os::unix::fs::FileExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.wav");
    let mut sink = FileSink::create(&path, settings(SampleFormat::Float32)).unwrap();
    sink.write(&[0.5; 4]).unwrap();
    sink.finish().unwrap();
    // The short file's own chunk of metadata, and RF64's header by its specification (EBU Tech 3306).
    let short = fs::read(&path).unwrap();
    let list = &short[short.windows(4).position(|tag| tag == b"LIST").unwrap()..];
    let data = 4_300_000_000u64;
    let mut header = b"RF64\xFF\xFF\xFF\xFFWAVEds64\x1C\0\0\0".to_vec();
    for size in [4 + 36 + 26 + 12 + 8 + data + list.len() as u64, data, data / 4] {
        header.extend(size.to_le_bytes());
    }
    header.extend([0; 4]);
    header.extend(b"fmt \x12\0\0\0\x03\0\x01\0");
    header.extend([24_000u32.to_le_bytes(), 96_000u32.to_le_bytes(), [4, 0, 32, 0]].concat());
    header.extend(b"\0\0fact\x04\0\0\0\xFF\xFF\xFF\xFFdata\xFF\xFF\xFF\xFF");
    let long = folder.path().join("long.wav");
    let file = fs::File::create(&long).unwrap();
    file.write_all_at(&header, 0).unwrap();
    file.write_all_at(&0.25f32.to_le_bytes(), header.len() as u64).unwrap();
    file.write_all_at(list, header.len() as u64 + data).unwrap();

    assert_eq!(read_metadata(&long).unwrap(), settings(SampleFormat::Float32).metadata);
    let first = AudioReader::open(&long).unwrap().next().unwrap().unwrap();
    assert_eq!(first[..2], [0.25, 0.0]);
}

/// Advice is a whole number of decibels that suffices, and never less than has to be taken off.
#[test]
fn advice_on_clipping_is_a_gain_that_fits() {
    let report = |peak: f32, gain_db: f64| {
        let mut pipe = pipe(usize::MAX);
        let settings = StreamSinkSettings { gain_db, ..stream(SampleFormat::Pcm24) };
        let mut sink = StreamSink::new(&mut pipe, "standard output", settings);
        sink.write(&[peak, 0.1]).unwrap();
        sink.finish().unwrap()
    };
    for (peak, gain, advised) in
        [(0.622, 9.0, "4"), (0.62165, 4.129_810, "4"), (1.2, 0.0, "-2"), (1.000_01, 0.0, "-1"), (0.95, 1.0, "0")]
    {
        let text = report(peak, gain).warning().unwrap_or_else(|| panic!("{peak} at {gain} dB is not over"));
        assert!(
            text.starts_with("1 sample was over full scale (peak 1.")
                && text.ends_with(&format!("; give `gain` {advised}")),
            "{text}"
        );
        assert_eq!(report(peak, advised.parse().unwrap()).warning(), None);
        assert!(report(peak, advised.parse::<f64>().unwrap() + 1.0).warning().is_some(), "{peak} at {gain} dB");
    }
}

/// Takes `room` bytes, then is a pipe whose reader has gone.
struct Pipe {
    taken: Vec<u8>,
    room: usize,
    flushed: Vec<usize>,
}

impl Write for &mut Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.taken.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed.push(self.taken.len());
        Ok(())
    }
}

fn pipe(room: usize) -> Pipe {
    Pipe { taken: Vec::new(), room, flushed: Vec::new() }
}

fn stream(format: SampleFormat) -> StreamSinkSettings {
    StreamSinkSettings {
        format,
        sample_rate: 24_000,
        channels: 1,
        raw: false,
        gain_db: 0.0,
        peaks: Peaks::Clip,
        seed: 5,
        samples: None,
    }
}

#[test]
fn a_stream_starts_at_once_and_has_one_header() {
    let samples: Vec<f32> = (0..3001).map(|n| (n as f32 * 0.03).sin() * 0.5).collect();
    for format in [SampleFormat::Pcm16, SampleFormat::Pcm24, SampleFormat::Float32] {
        for known in [None, Some(3001)] {
            let mut pipe = pipe(usize::MAX);
            let mut sink =
                StreamSink::new(&mut pipe, "standard output", StreamSinkSettings { samples: known, ..stream(format) });
            for chunk in samples.chunks(1000) {
                sink.write(chunk).unwrap();
            }
            let report = sink.finish().unwrap();
            assert_eq!((report.samples, report.clipped), (3001, 0));
            let header = StreamHeader { format, sample_rate: 24_000, channels: 1, samples: known }.bytes();
            // Each chunk leaves as it comes, the first with the header.
            assert_eq!(pipe.flushed[..2], [header.len() + 1000 * format.bytes(), header.len() + 2000 * format.bytes()]);
            assert!(pipe.taken.starts_with(&header));

            let folder = tempfile::tempdir().unwrap();
            let recording = audio::read(written(folder.path(), "piped.wav", &pipe.taken)).unwrap();
            assert!(worst(&recording.samples, &samples) < 1.6 / 32768.0);
            if known.is_some() {
                assert_eq!(hound::WavReader::new(Cursor::new(&pipe.taken)).unwrap().len(), 3001, "{format:?}");
            }
        }
    }
}

/// The same seed dithers a stream as it dithers a file.
#[test]
fn raw_samples_equal_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.wav");
    let samples: Vec<f32> = (0..5000).map(|n| (n as f32 * 0.03).sin() * 0.5).collect();
    let mut sink =
        FileSink::create(&path, FileSinkSettings { seed: 5, ..FileSinkSettings::new(SampleFormat::Pcm16, 24_000) })
            .unwrap();
    sink.write(&samples).unwrap();
    sink.finish().unwrap();
    let mut pipe = pipe(usize::MAX);
    let mut sink =
        StreamSink::new(&mut pipe, "standard output", StreamSinkSettings { raw: true, ..stream(SampleFormat::Pcm16) });
    for chunk in samples.chunks(333) {
        sink.write(chunk).unwrap();
    }
    sink.finish().unwrap();
    assert!(fs::read(&path).unwrap()[44..] == pipe.taken);
}

#[test]
fn a_stream_counts_what_it_clips_and_knows_a_closed_pipe() {
    let mut open = pipe(usize::MAX);
    let mut sink = StreamSink::new(
        &mut open,
        "standard output",
        StreamSinkSettings { gain_db: 12.0, ..stream(SampleFormat::Pcm16) },
    );
    sink.write(&[0.5, -0.5, 0.1]).unwrap();
    let report = sink.finish().unwrap();
    assert_eq!(report.clipped, 2);
    assert!((report.peak - 0.5 * 10f32.powf(0.6)).abs() < 1e-5);

    let mut closing = pipe(1000);
    let mut sink = StreamSink::new(&mut closing, "standard output", stream(SampleFormat::Pcm16));
    sink.write(&[0.0; 100]).unwrap();
    let error = sink.write(&[0.0; 1000]).unwrap_err();
    assert!(is_broken_pipe(&error), "{error}");
    assert!(!is_broken_pipe(&Error::Interrupted));
}
