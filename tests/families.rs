//! A family that the program has never heard of goes through rendering, batches, playing and scoring without a line changed
//! elsewhere.

mod toy;

use audiodiff::{
    audio::player::{Player, PlayerSettings},
    batch::{Event, FileRenderer, Inputs, Plan, RenderSettings, Target, run},
    card::Effort,
    dsp::resample::resampled_len,
    eval::{ModelSystem, System as _},
    live::{Event as Played, Session, SessionInput, SessionSettings},
    mel::{MelSpectrogram, presets},
    render::Renderer,
    sound::Sound,
    source::WholeMel,
    vocoder::{Refining, RenderOptions},
};
use std::{path::Path, sync::atomic::AtomicBool, time::Duration};
use toy::{Toy, settings};

/// Frames whose first values are the given ones, and silent elsewhere.
fn mel(values: &[f32]) -> MelSpectrogram {
    let frames = values.iter().flat_map(|value| [value.ln()].into_iter().chain([1e-5f32.ln(); 99]));
    MelSpectrogram::new(frames.collect(), 100)
}

fn all(renderer: Renderer) -> Sound {
    let mut whole = Sound::empty(renderer.channels(), renderer.rate());
    for sound in renderer {
        for (plane, samples) in whole.channels.iter_mut().zip(sound.unwrap().channels) {
            plane.extend(samples);
        }
    }
    whole
}

fn near(samples: &[f32], wanted: &[f32]) -> bool {
    samples.len() == wanted.len() && samples.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn it_renders_at_any_rate_and_to_any_length() {
    let own = presets::named("f5-tts").unwrap();
    let source = || Box::new(WholeMel::new(mel(&[0.1, 0.2, 0.3])));
    let renderer = Renderer::new(Toy::load(), source(), own, &RenderOptions::default()).unwrap();
    assert!(near(&all(renderer).into_mono(), &[[0.1; 256], [0.2; 256]].concat()));

    let renderer = Renderer::new(Toy::load(), source(), own, &RenderOptions::default()).unwrap();
    let sound = all(renderer.at_rate(48_000).unwrap().of_length(1100));
    assert_eq!((sound.len(), sound.rate), (1100, 48_000));
    // Beyond the mel's end there is silence.
    assert!((sound.channels[0][700] - 0.2).abs() < 0.01 && sound.channels[0][1050..].iter().all(|v| *v == 0.0));
}

#[test]
fn each_channel_of_a_mel_is_rendered_for_itself() {
    let own = presets::named("f5-tts").unwrap();
    let (left, right) = (mel(&[0.1, 0.2, 0.3]), mel(&[0.5, 0.4, 0.3]));
    let both = (0..3).flat_map(|t| [left.frame(t), right.frame(t)].concat()).collect();
    let source = WholeMel::new(MelSpectrogram::new(both, 200)).of_channels(2);
    let options = RenderOptions { chunk: Some(2), ..RenderOptions::default() };
    let sound = all(Renderer::new(Toy::load(), Box::new(source), own, &options).unwrap());
    assert_eq!(sound.channels.len(), 2);
    assert!(near(&sound.channels[0], &[[0.1; 256], [0.2; 256]].concat()));
    assert!(near(&sound.channels[1], &[[0.5; 256], [0.4; 256]].concat()));
}

#[test]
fn mels_of_other_programs_are_converted_for_it() {
    let (name, frames) = ("hifigan-22k", 40);
    let c = presets::named(name).unwrap();
    let source = WholeMel::new(MelSpectrogram::new(vec![-4.0; 80 * frames], 80));
    let sound = all(Renderer::new(Toy::load(), Box::new(source), c, &RenderOptions::default()).unwrap());
    assert_eq!((sound.rate, sound.len()), (22_050, c.samples(frames)));
    assert!(sound.channels[0].iter().any(|v| v.abs() > 1e-3), "silence");
}

#[test]
fn work_that_it_does_not_know_is_refused() {
    let toy = Toy::load();
    let standard = &toy.card().efforts.standard;
    let error = toy.adjusted(standard, &Effort::new([("steps", 3)])).unwrap_err().to_string();
    assert_eq!(error, "steps: means nothing to this model, expected loudness");
    assert_eq!(toy.adjusted(standard, &Effort::new([("loudness", 3)])).unwrap().get("loudness"), Some(3));
}

#[test]
fn it_renders_batches() {
    let folder = tempfile::tempdir().unwrap();
    let c = presets::named("f5-tts").unwrap();
    for (name, value) in [("a", 0.25), ("b", 0.5)] {
        let path = folder.path().join(format!("in/{name}.safetensors"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        audiodiff::mel::file::write(&path, &mel(&[value; 20]), c).unwrap();
    }
    let mut inputs = Inputs::default();
    inputs.add(&folder.path().join("in"), None);
    let plan = Plan::new(&inputs, &Target::Folder(folder.path().join("out")), "wav").unwrap();
    let toy = Toy::load();
    let renderer = FileRenderer { settings: settings(toy.as_ref()), models: toy.into() };
    let mut made = vec![];
    run(&renderer, &plan.items, 2, &AtomicBool::new(false), |event| {
        if let Event::Finished(entry) = event {
            made.push((
                entry.error.clone(),
                entry.fingerprint.as_ref().map(|of| of.recipe.settings["loudness"].clone()),
            ));
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(made, vec![(None, Some(1.into())); 2]);
    for (name, value) in [("a", 0.25), ("b", 0.5)] {
        let samples = audiodiff::audio::read(folder.path().join(format!("out/{name}.wav"))).unwrap().samples;
        assert!(near(&samples, &[value; 19 * 256]), "{name}");
    }
}

#[test]
fn it_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let toy = Toy::load();
    audiodiff::mel::file::write(&path, &mel(&[0.25; 101]), &toy.card().mel).unwrap();
    let playing = PlayerSettings { sample_rate: 24_000, channels: 1, volume: 1.0, cushion_s: 0.0 };
    let (_player, feed, _feeder) = Player::detached(48_000, playing).unwrap();
    let RenderSettings { effort, seed, source, .. } = settings(toy.as_ref());
    let settings = SessionSettings {
        effort,
        seed,
        chunk: None,
        source,
        adapt: true,
        repeat: false,
        keep_sound: true,
        refining: Refining::default(),
    };
    let session = Session::start(toy, SessionInput::Files(vec![path]), settings, feed).unwrap();
    let mut heard = vec![];
    while heard.len() < 100 * 256 {
        match session.events.recv_timeout(Duration::from_secs(20)).unwrap() {
            Played::Rendered { sound, .. } => heard.extend(sound.unwrap().into_mono()),
            Played::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
    session.finish(Duration::from_secs(2));
    assert!(near(&heard, &[0.25; 100 * 256]));
}

#[test]
fn it_is_scored() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-synthetic.wav");
    let recording = audiodiff::audio::read(&path).unwrap();
    let reference = Sound::mono(recording.samples, recording.sample_rate);
    let stop = AtomicBool::new(false);
    let mut system = ModelSystem::new(Toy::load(), RenderOptions::default(), &stop);
    assert!(system.identity("").contains("toy-1"));
    let rendering = system.render("speech", &reference).unwrap();
    let whole = resampled_len(reference.len() as u64, reference.rate, 24_000) as usize;
    assert!(rendering.sound.len().abs_diff(whole) <= 256 && rendering.compute_s.is_some());
}
