//! The model of 44.1 kHz: who gets it without asking, and that what it adds is there.

mod program;

use audiodiff::{
    audio::{AudioReader, Downmix},
    mel::{self, presets},
    sound::Sound,
};
use program::{Program, sample};
use rustfft::{FftPlanner, num_complex::Complex32};
use std::fs;

/// Copies of samples, under their own names.
fn with(names: &[&str]) -> Program {
    let program = Program::new();
    for name in names {
        fs::copy(sample(name), program.path(name)).unwrap();
    }
    program
}

/// dB of the sound between two frequencies, in Hz, over all of `samples`.
fn level(samples: &[f32], rate: u32, from: f32, to: f32) -> f32 {
    let mut spectrum: Vec<Complex32> = samples.iter().map(|&sample| Complex32::new(sample, 0.0)).collect();
    FftPlanner::new().plan_fft_forward(spectrum.len()).process(&mut spectrum);
    let bin = |hz: f32| (hz / rate as f32 * samples.len() as f32) as usize;
    10.0 * (spectrum[bin(from)..bin(to)].iter().map(|x| x.norm_sqr()).sum::<f32>() / samples.len() as f32).log10()
}

/// Correlation of two channels between two frequencies, 1 where they are alike.
fn correlation(sound: &Sound, from: f32, to: f32) -> f32 {
    let spectra = sound.channels.iter().map(|samples| {
        let mut spectrum: Vec<Complex32> = samples.iter().map(|&sample| Complex32::new(sample, 0.0)).collect();
        FftPlanner::new().plan_fft_forward(spectrum.len()).process(&mut spectrum);
        spectrum
    });
    let spectra: Vec<_> = spectra.collect();
    let bin = |hz: f32| (hz / sound.rate as f32 * sound.len() as f32) as usize;
    let sum = |a: usize, b: usize| -> f32 {
        let pairs = spectra[a].iter().zip(&spectra[b]).take(bin(to)).skip(bin(from));
        pairs.map(|(a, b)| (a * b.conj()).re).sum()
    };
    sum(0, 1) / (sum(0, 0) * sum(1, 1)).sqrt()
}

fn stereo(program: &Program, name: &str) -> Sound {
    let reader = AudioReader::open(program.path(name)).unwrap().mixed(Downmix::Stereo);
    let rate = reader.source().sample_rate;
    reader.into_sound(rate).unwrap().0
}

/// Treble and stereo image of a piece that nothing was trained on.
#[test]
fn music_keeps_its_treble_and_its_two_sides() {
    let program = with(&["music-stereo.flac"]);
    let outcome =
        program.run(&["render", "music-stereo.flac", "-o", "out.wav", "--quality", "draft", "--json"]).code(0);
    assert_eq!(outcome.stderr.matches("builtin-44k").count(), 1, "{}", outcome.stderr);
    let entry = &outcome.objects()[0];
    assert_eq!((&entry["rate"], &entry["channels"]), (&44_100.into(), &2.into()));
    let (given, got) = (stereo(&program, "music-stereo.flac"), stereo(&program, "out.wav"));
    assert_eq!((got.rate, got.len(), got.channels.len()), (44_100, given.len(), 2));
    // Bands of an octave or so, and all above what the other model hears.
    for (from, to) in [(100.0, 300.0), (300.0, 1000.0), (1000.0, 4000.0), (4000.0, 12_000.0), (12_000.0, 20_000.0)] {
        for (channel, (given, got)) in given.channels.iter().zip(&got.channels).enumerate() {
            let off = level(got, 44_100, from, to) - level(given, 44_100, from, to);
            assert!(off.abs() < 1.5, "channel {channel} from {from} to {to} Hz is {off:.2} dB off");
        }
        // Each for itself, the channels would have hardly anything in common.
        let [given, got] = [&given, &got].map(|sound| correlation(sound, from, to));
        println!("{from} to {to} Hz: correlation {given:.3}, rendered {got:.3}");
        assert!((given - got).abs() < 0.1, "correlation from {from} to {to} Hz: {got:.3} instead of {given:.3}");
    }
}

/// By rate and content, however the inputs come; the manifest tells them apart.
#[test]
fn each_input_gets_the_model_whose_band_fits_it() {
    let program = with(&["speech-synthetic.wav", "music-stereo.flac"]);
    // Speech of 24 kHz that somebody stored at 48: nothing is above 12 kHz.
    let speech = audiodiff::audio::read_at(sample("speech-synthetic.wav"), 48_000).unwrap().samples;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(program.path("stored-at-48k.wav"), spec).unwrap();
    speech.iter().for_each(|sample| writer.write_sample((sample * 32_000.0) as i16).unwrap());
    writer.finalize().unwrap();
    for name in ["bigvgan-44k-128", "hifigan-22k", "f5-tts"] {
        let convention = presets::named(name).unwrap();
        let samples =
            audiodiff::audio::read_at(sample("speech-synthetic.wav"), convention.sample_rate).unwrap().samples;
        let half = samples.len() / 2;
        mel::file::write(
            &program.path(&format!("{name}.npy")),
            &mel::extract(&samples[..half], convention).unwrap(),
            convention,
        )
        .unwrap();
    }
    let list = r#"{"input": "speech-synthetic.wav"}
{"input": "stored-at-48k.wav"}
{"input": "music-stereo.flac"}
{"input": "bigvgan-44k-128.npy", "convention": "bigvgan-44k-128"}
{"input": "hifigan-22k.npy", "convention": "hifigan-22k"}
{"input": "f5-tts.npy", "convention": "f5-tts"}
"#;
    let render = |options: &[&str]| {
        let arguments =
            [&["render", "-", "-o", "out", "--json", "--quality", "draft"], program::CHEAP, options].concat();
        let mut entries = program.run_with_input(&arguments, list).code(0).objects();
        entries.sort_by_key(|entry| entry["input"].as_str().unwrap().to_owned());
        entries
    };
    let model = |entry: &serde_json::Value| entry["model"].as_str().unwrap().to_owned();
    let chosen = render(&[]);
    let narrow = render(&["-y", "--model", "builtin"]);
    let wide = render(&["-y", "--model", "builtin-44k"]);
    assert!(narrow.iter().chain(&wide).all(|entry| entry["status"] == "done"));
    for (chosen, (narrow, wide)) in chosen.iter().zip(narrow.iter().zip(&wide)) {
        let input = chosen["input"].as_str().unwrap();
        let is_wide = ["bigvgan-44k-128.npy", "music-stereo.flac"].contains(&input);
        assert_ne!(model(narrow), model(wide));
        assert_eq!(model(chosen), model(if is_wide { wide } else { narrow }), "{input}");
        let expected = match input {
            "music-stereo.flac" | "bigvgan-44k-128.npy" => 44_100,
            "hifigan-22k.npy" => 22_050,
            _ => 24_000,
        };
        assert_eq!(chosen["rate"], expected, "{input}");
    }
    // Begun so, it is done so.
    let again = [&["render", "-", "-o", "out", "-n", "--json", "--quality", "draft"], program::CHEAP].concat();
    let again = program.run_with_input(&again, list).code(0).objects();
    assert!(again.iter().all(|entry| entry["status"] == "skipped"), "{again:?}");
}

#[test]
fn the_models_in_the_program_are_listed_and_shown() {
    let program = Program::new();
    program.run(&["models", "list"]).code(0);
    let listed = program.run(&["models", "list", "--json"]).code(0);
    let listed: serde_json::Value = serde_json::from_str(listed.out()).unwrap();
    let full = &listed[1];
    assert_eq!((&full["model"], &full["sample_rate"]), (&"builtin-44k".into(), &44_100.into()));
    let card = program.run(&["models", "show", "builtin-44k", "--json"]).code(0).objects().remove(0);
    assert_eq!((&card["mel"]["n_mels"], &card["mel"]["hop"]), (&128.into(), &512.into()));
    assert!(card["licenses"]["data"].to_string().contains("CC BY"), "{card}");
    program.run(&["inspect", "builtin-44k"]).code(0);
    program.run(&["train", "--data", ".", "-o", "x", "--init", "auto"]).code(2).says(&["--init auto", "builtin-44k"]);
}
