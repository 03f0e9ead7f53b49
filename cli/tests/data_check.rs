//! `audiodiff data check`: a defect of each kind is put into a clean recording, found, and named; clean ones raise nothing.

#[path = "../../tests/common/mod.rs"]
mod common;
mod program;

use audiodiff::{
    audio,
    data::{Concern, explanations, findings, measure},
};
use common::{sample, uniform};
use program::Program;
use serde_json::Value;

/// A synthetic voice, full band, 1.75 s at 24 kHz, without noise.
fn clean() -> Vec<f32> {
    sample("speech-synthetic.wav").0
}

/// Twice the clip, with a pause.
fn long() -> Vec<f32> {
    [clean(), vec![0.0; 12_000], clean()].concat()
}

fn wav(program: &Program, name: &str, rate: u32, channels: &[Vec<f32>]) {
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let path = program.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for i in 0..channels[0].len() {
        for channel in channels {
            writer.write_sample((channel[i] * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16).unwrap();
        }
    }
    writer.finalize().unwrap();
}

fn concerns(samples: &[f32], rate: u32) -> Vec<Concern> {
    findings(&measure(samples, rate).unwrap(), None).into_iter().map(|finding| finding.concern).collect()
}

/// The finding of this kind in the object that `data check --json` prints for `file`.
fn message(objects: &[Value], file: &str, concern: &str) -> String {
    let object = objects.iter().find(|o| o["file"].as_str().is_some_and(|f| f.ends_with(file))).unwrap();
    let findings = object["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["concern"] == concern);
    found.unwrap_or_else(|| panic!("{file}: no {concern} in {findings:?}"))["message"].as_str().unwrap().into()
}

#[test]
fn clean_recordings_raise_nothing() {
    for name in ["speech-synthetic.wav", "music.wav"] {
        let (samples, rate) = sample(name);
        assert_eq!(concerns(&samples, rate), [], "{name}");
        // At three quarters of the level and at another rate it is as clean.
        let other = audio::resample(&samples.iter().map(|x| 0.75 * x).collect::<Vec<_>>(), rate, 22_050).unwrap();
        assert_eq!(concerns(&other, 22_050), [], "{name}");
    }
    // LJ Speech was made at 22.05 kHz, which is worth a note and no more.
    let (samples, rate) = sample("speech-en.wav");
    let found = findings(&measure(&samples, rate).unwrap(), None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].concern, found[0].must_be_fixed), (Concern::LowPass, false));
    assert_eq!(found[0].message, "22.05 kHz material stored at 24 kHz");
    let program = Program::new();
    for name in ["speech-synthetic.wav", "music.wav"] {
        std::fs::copy(program::sample(name), program.path(name)).unwrap();
    }
    let clean = program.run(&["data", "check", "."]).code(0);
    assert!(clean.out().contains("Training takes 2 files (9.8 s), and drops nothing."), "{}", clean.out());
    assert!(!clean.out().contains("fix"), "{}", clean.out());
}

#[test]
fn material_of_a_lower_rate_is_named() {
    let up = |from: u32, to: u32| {
        let low = audio::resample(&clean(), 24_000, from).unwrap();
        audio::resample(&low, from, to).unwrap()
    };
    for (from, to, named) in [
        (16_000, 24_000, "16 kHz material stored at 24 kHz"),
        (16_000, 48_000, "16 kHz material stored at 48 kHz"),
        (8_000, 24_000, "8 kHz material stored at 24 kHz"),
        (8_000, 48_000, "8 kHz material stored at 48 kHz"),
        (8_000, 16_000, "8 kHz material stored at 16 kHz"),
        (11_025, 44_100, "11.025 kHz material stored at 44.1 kHz"),
    ] {
        // 16 bits with dither, and exact: the floor above the cliff is another one.
        let exact = up(from, to);
        let dithered: Vec<f32> = exact
            .iter()
            .zip(uniform())
            .map(|(x, z)| ((f64::from(*x) * 32_768.0 + z).round() / 32_768.0) as f32)
            .collect();
        for samples in [exact, dithered] {
            let measures = measure(&samples, to).unwrap();
            assert_eq!(measures.material_rate, Some(from), "{named}: {} Hz", measures.bandwidth_hz);
            let found = findings(&measures, None);
            assert!(found[0].concern == Concern::BandLimited && found[0].message.starts_with(named), "{found:?}");
        }
    }
    let low = measure(&audio::resample(&clean(), 24_000, 16_000).unwrap(), 16_000).unwrap();
    let found = findings(&low, None);
    assert!(found[0].message.starts_with("a recording of 16 kHz; the model's bands from"), "{found:?}");
}

#[test]
fn a_low_pass_of_a_lossy_format_is_a_note() {
    // The clip played twice as fast has sound up to 24 kHz; 16 kHz is where MP3 of 128 kbit/s ends, 17 where AAC does.
    let fast = [clean(), clean()].concat();
    for keep in [32_000, 34_000] {
        let low = audio::resample(&fast, 48_000, keep).unwrap();
        let samples = audio::resample(&low, keep, 48_000).unwrap();
        let found = findings(&measure(&samples, 48_000).unwrap(), None);
        assert!(found.len() == 1 && found[0].concern == Concern::LowPass && !found[0].must_be_fixed, "{found:?}");
    }
}

#[test]
fn every_defect_of_level_is_found_alone() {
    let with = |change: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
        long().iter().enumerate().map(|(i, x)| change(i, *x)).collect()
    };
    let peak = clean().iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    let noise: Vec<f64> = uniform().take(long().len()).collect();
    let tone = |i: usize, hz: f64| (std::f64::consts::TAU * hz * i as f64 / 24_000.0).sin();
    for (name, samples, expected) in [
        ("nothing", with(&|_, x| x), &[][..]),
        ("clipped", with(&|_, x| (2.0 * x / peak).clamp(-1.0, 1.0)), &[Concern::Clipped]),
        ("clipped and lowered", with(&|_, x| (2.0 * x / peak).clamp(-1.0, 1.0) * 0.4), &[Concern::Clipped]),
        ("offset", with(&|_, x| 0.5 * x + 0.02), &[Concern::DcOffset]),
        ("hum", with(&|i, x| x + (0.01 * tone(i, 50.0) + 0.005 * tone(i, 150.0)) as f32), &[Concern::Hum]),
        ("hum", with(&|i, x| x + (0.01 * tone(i, 120.0) + 0.005 * tone(i, 180.0)) as f32), &[Concern::Hum]),
        ("noise", with(&|i, x| x + 0.02 * noise[i] as f32), &[Concern::Noisy]),
        ("silence", [vec![0.0; 48_000], long(), vec![0.0; 4000]].concat(), &[Concern::LongSilence]),
        ("too short", clean()[..25_000].to_vec(), &[Concern::TooShort]),
        ("digital silence", vec![0.0; 48_000], &[Concern::Silent]),
        ("next to nothing", with(&|_, x| 0.001 * x), &[Concern::Silent]),
        ("quiet", with(&|_, x| 0.03 * x), &[Concern::Quiet]),
    ] {
        assert_eq!(concerns(&samples, 24_000), expected, "{name}");
    }
    // The clip has some silence of its own, and a pause counts too.
    let own = measure(&long(), 24_000).unwrap();
    let silence = measure(&[vec![0.0; 48_000], long(), vec![0.0; 12_000]].concat(), 24_000).unwrap();
    assert!((silence.leading_silence_s - own.leading_silence_s - 2.0).abs() < 0.03, "{silence:?}");
    assert!((silence.trailing_silence_s - own.trailing_silence_s - 0.5).abs() < 0.03, "{silence:?}");
    assert!(own.silence_share > 0.2 && silence.silence_share > own.silence_share, "{silence:?}");
    let hum = measure(&with(&|i, x| x + (0.01 * tone(i, 60.0) + 0.005 * tone(i, 120.0)) as f32), 24_000).unwrap().hum;
    // 0.01² / 2 + 0.005² / 2: -42 dB.
    assert!(hum.is_some_and(|hum| hum.hz == 60 && (hum.level_dbfs + 42.0).abs() < 2.0), "{hum:?}");
}

#[test]
fn a_folder_with_everything_in_it() {
    let program = Program::new();
    let louder = |gain: f32| -> Vec<f32> { clean().iter().map(|x| gain * x).collect() };
    wav(&program, "in/clean.wav", 24_000, &[clean()]);
    let music = sample("music.wav").0;
    wav(&program, "in/sub/music.wav", 24_000, std::slice::from_ref(&music));
    // Copies: byte for byte, and by sound.
    std::fs::copy(program.path("in/clean.wav"), program.path("in/copy.wav")).unwrap();
    let again = audio::resample(&louder(0.3), 24_000, 16_000).unwrap();
    wav(&program, "in/sub/softer-16k.wav", 16_000, &[[vec![0.0; 1600], again].concat()]);
    // Files that cannot be read.
    let whole = program.read("in/sub/music.wav");
    program.write("in/cut.wav", &whole[..whole.len() / 2]);
    program.write("in/text.flac", "this is no recording");
    // Defects that the mix to mono hides.
    let upside_down: Vec<f32> = music.iter().map(|x| -x).collect();
    wav(&program, "in/cancels.wav", 24_000, &[music, upside_down]);
    let (en, _) = sample("speech-en.wav");
    let hot: Vec<f32> = en.iter().map(|x| 6.0 * x).collect();
    wav(&program, "in/one-side-hot.wav", 24_000, &[en, hot]);
    wav(&program, "in/silent.wav", 48_000, &[vec![0.0; 60_000]]);
    wav(&program, "in/short.wav", 24_000, &[clean()[..20_000].to_vec()]);
    program.write("in/notes.txt", "not looked at");
    program.write("in/mel.npy", "nor this");

    let checked = program.run(&["data", "check", "in", "--json"]).code(3);
    let mut objects = checked.objects();
    let summary = objects.pop().unwrap()["summary"].clone();
    assert_eq!(objects.len(), 10);
    let says = |file: &str, concern: &str, text: &str| {
        let message = message(&objects, file, concern);
        assert!(message.contains(text), "{file}: {message}");
    };
    says("copy.wav", "duplicate", "the same samples as in/clean.wav");
    says("softer-16k.wav", "duplicate", "the same sound as in/clean.wav");
    says("cut.wav", "broken", "breaks off");
    says("text.flac", "broken", "no recording");
    says("cancels.wav", "channels_cancel", "upside down");
    says("one-side-hot.wav", "clipped", "in a channel");
    says("silent.wav", "silent", "digital silence");
    says("short.wav", "too_short", "only 0.83 s");
    let clean = objects.iter().find(|o| o["file"] == "in/clean.wav").unwrap();
    assert_eq!((&clean["findings"], &clean["dropped"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!((&clean["sample_rate"], &clean["channels"]), (&24_000.into(), &1.into()));
    let copy = objects.iter().find(|o| o["file"] == "in/copy.wav").unwrap();
    assert_eq!((&copy["dropped"][0], &copy["duplicate_of"]), (&"duplicate".into(), &"in/clean.wav".into()));
    // clean, music, the softer copy, which training cannot know for one, and the recording with one hot side; music upside
    // down is silent in mono.
    assert_eq!(summary["taken"]["files"], 4);
    assert_eq!(summary["dropped"]["broken"]["files"], 2);
    assert_eq!(summary["dropped"]["silent"]["files"], 2);
    assert_eq!(summary["dropped"]["too_short"]["files"], 1);
    assert_eq!(summary["dropped"]["duplicate"]["files"], 1);
    assert_eq!((&summary["readable"]["files"], &summary["to_fix"]), (&8.into(), &7.into()));
    assert_eq!(summary["rates"]["16000"]["files"], 1);
    assert_eq!(summary["channels"]["2"]["files"], 2);

    // The same for people, in one thread.
    let text = program.run(&["data", "check", "in", "-j", "1"]).code(3);
    for line in [
        "recordings   8 files",
        "stereo: 2 files",
        "    in/copy.wav: the same samples as in/clean.wav",
        "7 files have something to fix: 2 broken, 1 silent, 2 duplicate, 1 clipped, 1 channels cancel",
    ] {
        assert!(text.out().contains(line), "no {line:?} in\n{}", text.out());
    }
}

#[test]
fn loudness_far_from_the_rest_is_said() {
    let program = Program::new();
    let music = sample("music.wav").0;
    for i in 0..6 {
        // Pieces of their own, so that none is a copy.
        let piece: Vec<f32> =
            music[i * 30_000..][..30_000].iter().map(|x| if i == 4 { 0.15 * x } else { *x }).collect();
        wav(&program, &format!("{i}.wav"), 24_000, &[piece]);
    }
    let checked = program.run(&["data", "check", ".", "--json"]).code(0);
    let objects = checked.objects();
    assert!(message(&objects, "4.wav", "loudness_outlier").contains("LU quieter than the middle"));
    let others = objects[..6].iter().filter(|o| !o["file"].as_str().unwrap().contains('4'));
    others.for_each(|o| assert_eq!(o["findings"], serde_json::json!([]), "{o}"));
    let lufs = &objects[6]["summary"]["loudness_lufs"];
    assert!(lufs["highest"].as_f64().unwrap() - lufs["lowest"].as_f64().unwrap() > 15.0, "{lufs}");
}

#[test]
fn nothing_to_check_is_an_error() {
    let program = Program::new();
    program.write("in/a.txt", "");
    program.run(&["data", "check", "in"]).code(1).says(&["audiodiff: in: no recording in this folder", ".wav"]);
    program.run(&["data", "check", "missing"]).code(3).says(&[]);
    program.run(&["data", "check"]).code(2).says(&["DIR"]);
}

#[test]
fn rendering_a_bad_recording_says_why_it_sounds_bad() {
    let program = Program::new();
    let hot: Vec<f32> = clean().iter().map(|x| 8.0 * x).collect();
    wav(&program, "hot.wav", 24_000, &[hot]);
    program.render(&["hot.wav", "-o", "x.wav"]).code(0).says(&["warning", "hot.wav", "clipped in"]);
    let low = audio::resample(&clean(), 24_000, 8_000).unwrap();
    wav(&program, "telephone.wav", 8_000, std::slice::from_ref(&low));
    program.render(&["telephone.wav", "-o", "y.wav"]).code(0).says(&["warning", "a recording of 8 kHz", "empty"]);
    wav(&program, "up.wav", 48_000, &[audio::resample(&low, 8_000, 48_000).unwrap()]);
    program.render(&["up.wav", "-o", "z.wav"]).code(0).says(&["warning", "8 kHz material stored at 48 kHz"]);
    wav(&program, "clean.wav", 24_000, &[clean()]);
    let silent = program.render(&["clean.wav", "-o", "w.wav"]).code(0);
    assert!(!silent.stderr.contains("warning"), "{}", silent.stderr);
    let mel = program::speech(0, 60);
    let dull = mel.values().iter().enumerate().map(|(i, v)| if i % 100 > 40 { 1e-5f32.ln() } else { *v }).collect();
    let dull = audiodiff::mel::MelSpectrogram::new(dull, 100);
    audiodiff::mel::file::write(&program.path("dull.npy"), &dull, &audiodiff::mel::MelConvention::native()).unwrap();
    program.render(&["dull.npy", "-o", "v.wav"]).code(0).says(&["warning", "dull.npy", "nothing above"]);
    for name in ["speech-en.wav", "music.wav", "speech-synthetic.wav"] {
        let recording = audio::read_at(program::sample(name), 24_000).unwrap();
        assert_eq!(
            explanations(&measure(&recording.samples, recording.sample_rate).unwrap(), &recording.source, true),
            Vec::<String>::new(),
            "{name}"
        );
    }
}
