//! Long inputs take no more memory than short ones, whatever holds them: mels and recordings are read piece by piece.

mod counting;
mod toy;

use audiodiff::{
    audio::{Downmix, resample},
    batch::{Event, FileRenderer, Inputs, Plan, RenderSettings, Source, SourceSettings, Target, run},
    mel::{self, MelSpectrogram, presets},
};
use counting::{NOW, PEAK};
use npyz::WriterBuilder as _;
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};
use toy::{Toy, settings};

/// Bytes that `work` takes at its worst.
fn peak(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

/// Two minutes fill what is kept in memory before it goes to the disk, four times as much shows what grows.
const MINUTES: [usize; 2] = [2, 8];
/// Bytes: less than a tenth of what the sound of six minutes takes, and a quarter of its mel.
const GROWTH: usize = 3 << 20;

const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/speech-en.wav");

fn npy(path: &Path, shape: &[usize], values: &[f32]) {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(File::create(path).unwrap()).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn npz(path: &Path, npy: &Path, method: zip::CompressionMethod) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    archive.start_file("mel.npy", zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
    archive.write_all(&std::fs::read(npy).unwrap()).unwrap();
    archive.finish().unwrap();
}

fn wav(path: &Path, samples: &[f32], channels: u16, sample_rate: u32) {
    let spec = hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        (0..channels).for_each(|_| writer.write_sample((sample * 32_767.0) as i16).unwrap());
    }
    writer.finalize().unwrap();
}

/// One file of each kind in `folder`, so long.
fn write_all(folder: &Path, minutes: usize) {
    let speech = audiodiff::audio::read(SPEECH).unwrap().samples;
    let length = minutes * 60 * 24_000;
    let samples: Vec<f32> = speech.iter().cycle().take(length).copied().collect();
    let second = mel::extract(&speech, presets::named("f5-tts").unwrap()).unwrap();
    let frames = length / 256;
    let values: Vec<f32> = second.values().iter().cycle().take(frames * 100).copied().collect();
    let whole = MelSpectrogram::new(values, 100);
    let bands_first = whole.band_major();
    npy(&folder.join("bands-first.npy"), &[100, frames], &bands_first);
    npy(&folder.join("frames-first.npy"), &[1, frames, 100], whole.values());
    npy(&folder.join("stereo.npy"), &[2, 100, frames], &bands_first.repeat(2));
    for (name, method) in [("stored", zip::CompressionMethod::Stored), ("deflated", zip::CompressionMethod::Deflated)] {
        npz(&folder.join(format!("{name}.npz")), &folder.join("bands-first.npy"), method);
    }
    mel::file::write(&folder.join("mel.safetensors"), &whole, presets::named("f5-tts").unwrap()).unwrap();
    wav(&folder.join("mono.wav"), &samples, 1, 24_000);
    wav(&folder.join("other-rate.wav"), &resample(&samples, 24_000, 22_050).unwrap(), 2, 22_050);
}

fn render(input: &Path, source: SourceSettings) {
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = Inputs::default();
    inputs.add(input, None);
    let plan = Plan::new(&inputs, &Target::Folder(folder.path().into()), "wav").unwrap();
    let toy = Toy::load();
    let settings = RenderSettings { source, ..settings(toy.as_ref()) };
    let renderer = FileRenderer { settings, models: toy.into() };
    let mut made = 0;
    run(&renderer, &plan.items, 1, &AtomicBool::new(false), |event| {
        if let Event::Finished(entry) = event {
            assert_eq!(entry.error, None, "{}", input.display());
            made += 1;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(made, 1);
}

/// As the player does: to the end, and back to its middle.
fn play(input: &Path, settings: &SourceSettings) {
    let Source { mel, frames, .. } = Source::open(input, settings, &Toy::load().card().mel).unwrap();
    let mel = mel.into_seekable().unwrap();
    for from in [0, frames / 2] {
        let (mut source, mut read) = (mel.from_frame(from), from);
        loop {
            match source.read(96).unwrap().frames() {
                0 => break,
                count => read += count,
            }
        }
        assert_eq!(read, frames, "{}", input.display());
    }
}

#[test]
fn the_peak_is_that_of_a_short_file() {
    let folders = MINUTES.map(|_| tempfile::tempdir().unwrap());
    for (folder, minutes) in folders.iter().zip(MINUTES) {
        write_all(folder.path(), minutes);
    }
    let stated = SourceSettings { convention: presets::named("f5-tts").ok().cloned(), ..Default::default() };
    let mut grown = vec![];
    for (name, stated) in [
        ("bands-first.npy", true),
        ("bands-first.npy", false),
        ("frames-first.npy", true),
        ("stereo.npy", true),
        ("stored.npz", true),
        ("deflated.npz", true),
        ("mel.safetensors", false),
        ("mono.wav", false),
        ("other-rate.wav", false),
    ]
    .map(|(name, is_stated)| (name, if is_stated { stated.clone() } else { SourceSettings::default() }))
    {
        let [short, long] = folders.each_ref().map(|folder| {
            let path = folder.path().join(name);
            [peak(|| render(&path, stated.clone())), peak(|| play(&path, &stated))]
        });
        for (way, (short, long)) in ["rendered", "played"].into_iter().zip(short.into_iter().zip(long)) {
            println!("{name}, {way}: {short} bytes, {long}");
            if long > short + GROWTH {
                grown.push(format!(
                    "{name}, {way}: {short} bytes for {} minutes, {long} for {}",
                    MINUTES[0], MINUTES[1]
                ));
            }
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}

/// What a recording's mel is by pieces it is at once, to the last bit.
#[test]
fn a_recording_read_in_pieces_has_the_mel_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let speech = audiodiff::audio::read(SPEECH).unwrap().samples;
    let own = presets::named("f5-tts").unwrap();
    for (rate, channels) in [(24_000, 1), (22_050, 1), (24_000, 2)] {
        let path = folder.path().join(format!("{rate}-{channels}.wav"));
        wav(&path, &speech, channels, rate);
        let reader = audiodiff::audio::AudioReader::open(&path).unwrap().mixed(Downmix::Stereo);
        let (sound, _) = reader.into_sound(24_000).unwrap();
        let channel = |mut samples: Vec<f32>| {
            samples.resize((samples.len() + 1).next_multiple_of(256), 0.0);
            mel::extract(&samples, own).unwrap()
        };
        let mut planes = sound.channels;
        if let [left, right] = &planes[..] {
            // Mid and side come with them.
            let pairs = || left.iter().zip(right);
            let mid = pairs().map(|(l, r)| (l + r) / 2.0).collect();
            let side = pairs().map(|(l, r)| (l - r) / 2.0).collect();
            planes.extend([mid, side]);
        }
        let whole: Vec<_> = planes.into_iter().map(channel).collect();
        let source = Source::open(&path, &SourceSettings::default(), own).unwrap();
        assert_eq!(source.frames, whole[0].frames());
        let mut source = source.mel.into_source();
        let mut values = vec![];
        loop {
            let mel = source.read(37).unwrap();
            if mel.frames() == 0 {
                break;
            }
            values.extend(mel.into_values());
        }
        assert!(values == MelSpectrogram::side_by_side(&whole).into_values(), "{rate} Hz, {channels} channels");
    }
}
