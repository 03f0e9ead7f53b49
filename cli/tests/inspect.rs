//! Looking into a rendering: known answers with networks that are known, and the folder that a user gets.

#[path = "../../tests/browser/mod.rs"]
mod browser;
mod program;

use audiodiff::{
    Result,
    diffusion::{Encoded, Envelope, Grid, Network, SamplerSettings, SeededNoise},
    dsp::stft::Stft,
    inspect::{Inspection, ModelReport},
    mel::{MelConvention, MelSpectrogram, extract},
    model::{GriffinLim, ModelFile},
};
use browser::Browser;
use program::{Program, sample};
use serde_json::Value;

/// Real speech, a second of it, and its mel.
fn speech() -> (Vec<f32>, MelSpectrogram) {
    let samples = audiodiff::audio::read(sample("speech-en.wav")).unwrap().samples[24_000..][..93 * 256].to_vec();
    let mel = extract(&samples, &MelConvention::native()).unwrap();
    (samples, mel)
}

/// Knows the sound: whatever it is shown, its estimate is `gain` times the waveform.
struct Oracle {
    convention: MelConvention,
    samples: Vec<f32>,
    gain: f32,
}

impl Oracle {
    fn new(samples: &[f32], gain: f32) -> Self {
        Self::of(MelConvention::native(), samples, gain)
    }

    fn of(convention: MelConvention, samples: &[f32], gain: f32) -> Self {
        Self { convention, samples: samples.to_vec(), gain }
    }
}

const GRID: Grid = Grid { n_fft: 512, hop: 128 };

impl Network for Oracle {
    /// [T', K]: the envelope that its estimate is divided by.
    type Condition = Vec<f32>;

    fn convention(&self) -> &MelConvention {
        &self.convention
    }

    fn grid(&self) -> Grid {
        GRID
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<Vec<f32>>> {
        let spectrum = Stft::new(self.convention.n_fft, self.convention.hop).forward(&self.samples);
        let log_magnitude = spectrum.iter().map(|s| s.norm().max(1e-5).ln()).collect();
        Ok(Encoded { condition: Envelope::new(&self.convention, GRID).of(mel), log_magnitude })
    }

    fn denoise(&self, _: &[f32], envelope: &Vec<f32>, _: f32) -> Result<Vec<f32>> {
        let stft = Stft::new(GRID.n_fft, GRID.hop);
        let spectrum = stft.forward(&self.samples);
        let rows = spectrum.chunks_exact(stft.bins()).zip(envelope.chunks_exact(stft.bins()));
        Ok(rows
            .flat_map(|(s, e)| {
                let re = s.iter().zip(e).map(|(s, e)| self.gain * s.re / e);
                re.chain(s.iter().zip(e).map(|(s, e)| self.gain * s.im / e)).collect::<Vec<_>>()
            })
            .collect())
    }
}

const SETTINGS: SamplerSettings =
    SamplerSettings { start_iterations: 0, steps: 2, iterations: 2, final_iterations: 2, seed: 0 };

fn seeds<const N: usize>(seeds: [u64; N]) -> impl Iterator<Item = SeededNoise> {
    seeds.into_iter().map(|seed| SeededNoise { seed })
}

#[test]
fn who_knows_the_sound_is_not_changed_and_has_no_spread() {
    let (samples, mel) = speech();
    let oracle = Oracle::new(&samples, 1.0);
    let looked = Inspection::run(&oracle, mel, Some(samples.clone()), SETTINGS, seeds([0, 1, 2]), |_| Ok(())).unwrap();
    assert_eq!(looked.steps.len(), 2);
    for step in &looked.steps {
        let n = &step.numbers;
        // Estimates do not depend on the noise at all, so the spread is none, to the last bit.
        assert_eq!((n.estimate.spread_db, n.projected.spread_db), (Some(0.0), Some(0.0)));
        // There and back through the transforms in single precision.
        assert!(n.estimate.mel_error < 0.005, "{}", n.estimate.mel_error);
        assert!(n.estimate.to_recording_db.unwrap() < 0.1 && n.estimate.spectral_convergence < 1e-3);
        assert!(n.change_db < 0.2, "{}", n.change_db);
        assert!(n.projected.mel_error < 0.02, "{}", n.projected.mel_error);
        assert_eq!(step.waveforms.projected.len(), samples.len());
    }
    assert_eq!((looked.steps[0].numbers.t, looked.steps[1].numbers.t), (0.0, 0.5));
}

/// The start is no step: it has the number 0, and its estimate is the noise that the projection begins with.
#[test]
fn the_start_is_seen_before_the_steps() {
    let (samples, mel) = speech();
    let oracle = Oracle::new(&samples, 1.0);
    let settings = SamplerSettings { start_iterations: 8, ..SETTINGS };
    let looked = Inspection::run(&oracle, mel, None, settings, seeds([0, 1, 2, 3]), |_| Ok(())).unwrap();
    let names: Vec<_> = looked.steps.iter().map(|step| step.numbers.name()).collect();
    assert_eq!(names, ["start", "step 1", "step 2"]);
    let start = &looked.steps[0];
    assert_eq!(start.waveforms.noisy, start.waveforms.estimate);
    assert!((4.2..5.6).contains(&start.numbers.estimate.spread_db.unwrap()), "{:?}", start.numbers.estimate.spread_db);
    assert!(start.numbers.projected.mel_error < 0.5 * start.numbers.estimate.mel_error);
    assert_eq!((start.numbers.t, looked.steps[1].numbers.t), (0.0, 0.25), "an oracle is at home anywhere: entry 0");
}

#[test]
fn an_estimate_that_is_twice_as_loud_is_6_db_off_and_brought_back() {
    let (samples, mel) = speech();
    let oracle = Oracle::new(&samples, 2.0);
    let looked = Inspection::run(&oracle, mel, None, SETTINGS, seeds([0]), |_| Ok(())).unwrap();
    let n = &looked.steps[0].numbers;
    // ln 2 in every band, at their floor less; ‖2 M - M‖ / ‖M‖ = 1.
    assert!((n.estimate.mel_error - 2f64.ln()).abs() < 0.02, "{}", n.estimate.mel_error);
    let loud = &n.estimate.mel_error_bands[5..20];
    assert!(loud.iter().all(|error| (error - 2f64.ln()).abs() < 0.01), "{loud:?}");
    assert!((n.estimate.spectral_convergence - 1.0).abs() < 0.01);
    assert!(n.estimate.spectral_convergence_bands[10].is_some_and(|c| (c - 1.0).abs() < 0.01));
    // 6 dB, but for levels that fall below the floor of 80 dB.
    assert!((n.change_db - 6.02).abs() < 0.6, "{}", n.change_db);
    assert!(n.change_db_bands[10].is_some_and(|db| (db - 6.02).abs() < 0.3));
    assert!(n.projected.mel_error < 0.05, "{}", n.projected.mel_error);
    // One seed has no spread to speak of.
    assert_eq!((n.estimate.spread_db, looked.steps[0].estimate_spread.is_none()), (None, true));
}

/// At 44.1 kHz, with other transforms and frames further apart: a band's change is that of its own bins.
#[test]
fn changes_are_found_in_their_bands_at_every_size() {
    use std::f64::consts::TAU;
    let convention = MelConvention::full_band("wide", 44_100, 2048, 512, 128);
    // Tones at 1 and 16 kHz: all that is heard, and so all that changes.
    let tone = |i: usize, hz: f64| 0.2 * (TAU * hz * i as f64 / 44_100.0).sin();
    let samples: Vec<f32> = (0..80 * 512).map(|i| (tone(i, 1000.0) + tone(i, 16_000.0)) as f32).collect();
    let mel = extract(&samples, &convention).unwrap();
    let oracle = Oracle::of(convention, &samples, 2.0);
    let looked = Inspection::run(&oracle, mel, None, SETTINGS, seeds([0]), |_| Ok(())).unwrap();
    let n = &looked.steps[0].numbers;
    let nearest = |hz: f64| looked.bands.centres.iter().position(|centre| *centre > hz).unwrap();
    for hz in [1000.0, 16_000.0] {
        let change = n.change_db_bands[nearest(hz)].unwrap();
        assert!((change - 6.02).abs() < 1.0, "{change} dB at {hz} Hz");
    }
    assert_eq!(looked.steps[0].estimate.rows, 1025);
}

#[test]
fn noise_spreads_by_5_6_db_and_the_same_noise_by_nothing() {
    let (_, mel) = speech();
    // Griffin-Lim's estimate is the noise itself, in the mel's envelope.
    let baseline = GriffinLim::new(1).unwrap();
    let settings = SamplerSettings { start_iterations: 0, steps: 1, final_iterations: 0, ..SETTINGS };
    let run = |noises: Vec<SeededNoise>| {
        Inspection::run(&baseline, mel.clone(), None, settings, noises, |_| Ok(())).unwrap().steps.remove(0)
    };
    let step = run(seeds([0, 1, 2, 3, 4, 5, 6, 7]).collect());
    // The level of complex Gaussian noise has a standard deviation of 5.57 dB (10 / ln 10 · π / √6).
    let spread = step.numbers.estimate.spread_db.unwrap();
    // Eight seeds show 96 % of it, and where it dips below the floor it is cut off.
    assert!((4.9..5.8).contains(&spread), "{spread}");
    let bands = step.numbers.estimate.spread_db_bands.unwrap();
    assert!(bands[10..40].iter().flatten().all(|db| (4.0..7.0).contains(db)), "{bands:?}");
    let same = run(seeds([3, 3, 3]).collect());
    assert_eq!(same.numbers.estimate.spread_db, Some(0.0));
    assert!(same.estimate_spread.unwrap().values.iter().all(|v| *v == 0.0));
}

#[test]
fn an_interruption_ends_it() {
    let (samples, mel) = speech();
    let oracle = Oracle::new(&samples, 1.0);
    let stopped = Inspection::run(&oracle, mel, None, SETTINGS, seeds([0, 1, 2]), |done| {
        if done == 2 { Err(audiodiff::Error::Interrupted) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(audiodiff::Error::Interrupted)));
}

/// Little work, on a second of sound.
const LITTLE: &[&str] =
    &["--quality", "draft", "--iterations", "1", "--final-iterations", "2", "--seeds", "2", "--seconds", "1"];

fn inspect(program: &Program, arguments: &[&str]) -> program::Outcome {
    program.run(&[&["inspect"], arguments, LITTLE].concat())
}

/// Size and number of colours of a PNG file.
fn png(program: &Program, name: &str) -> ((u32, u32), usize) {
    let image =
        image::load_from_memory(&program.read(name)).unwrap_or_else(|error| panic!("{name}: {error}")).to_rgb8();
    let mut colours: Vec<_> = image.pixels().map(|pixel| pixel.0).collect();
    colours.sort_unstable();
    colours.dedup();
    (image.dimensions(), colours.len())
}

#[test]
fn a_recording_becomes_a_folder_with_everything() {
    let program = Program::new();
    std::fs::copy(sample("speech-en.wav"), program.path("voice.wav")).unwrap();
    let done = inspect(&program, &["voice.wav", "-o", "out", "--gif", "--json", "--start", "1", "--steps", "2"]);
    let done = done.code(0).says(&["1.00 to 2.01 s of", "--start"]).says(&["out/index.html"]);
    let mut expected = vec!["bands-mel-error.png", "bands-spread.png", "index.html", "inspect.json", "mel.png"];
    expected.extend(["recording.png", "recording.wav"]);
    let mut expected: Vec<String> = expected.into_iter().map(String::from).collect();
    for step in ["00", "01", "02"] {
        for what in ["change.png", "estimate-spread.png", "estimate.png", "estimate.wav", "noisy.png"] {
            expected.push(format!("step-{step}-{what}"));
        }
        for what in ["projected-spread.png", "projected.png", "projected.wav"] {
            expected.push(format!("step-{step}-{what}"));
        }
    }
    expected.push("steps.gif".into());
    assert_eq!(program.files("out"), expected);
    assert_eq!(
        program.files("."),
        program.files("out").iter().map(|f| format!("out/{f}")).chain(["voice.wav".into()]).collect::<Vec<_>>()
    );

    for name in expected.iter().filter(|name| name.ends_with(".png")) {
        let (size, colours) = png(&program, &format!("out/{name}"));
        assert_eq!(size, if name.starts_with("bands") { (900, 340) } else { (1000, 400) }, "{name}");
        // A spectrogram has hundreds, and so have the smoothed lines and letters of a chart.
        assert!(colours > 60, "{name} has {colours} colours");
    }
    // A second in whole hops: 94 frames of 256 samples.
    for name in expected.iter().filter(|name| name.ends_with(".wav")) {
        let (spec, samples) = program.wav(&format!("out/{name}"));
        assert_eq!((spec.sample_rate, samples.len()), (24_000, 94 * 256), "{name}");
        assert!(samples.iter().any(|sample| sample.abs() > 300), "{name} is silent");
    }
    let gif = program.read("out/steps.gif");
    let frames = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(gif)).unwrap();
    let frames = image::AnimationDecoder::into_frames(frames).collect_frames().unwrap();
    assert_eq!(frames.len(), 3 * 3, "the start and two steps");

    let json: Value = serde_json::from_str(&program.text("out/inspect.json")).unwrap();
    assert_eq!(done.objects(), std::slice::from_ref(&json));
    assert_eq!(
        (&json["start_s"], &json["settings"]["steps"]),
        (&serde_json::json!(94.0 * 256.0 / 24_000.0), &2.into())
    );
    assert_eq!(json["bands_hz"].as_array().unwrap().len(), 100);
    assert_eq!(json["seeds"], serde_json::json!([0, 1]));
    let steps = json["steps"].as_array().unwrap();
    let error = |step: usize, stage: &str| steps[step][stage]["mel_error"].as_f64().unwrap();
    // The projection is there to bring the mel back, and does.
    assert!(error(0, "projected") < error(0, "estimate"));
    assert_eq!((&steps[0]["step"], &steps[2]["step"]), (&0.into(), &2.into()));
    assert!(steps[2]["projected"]["spread_db"].as_f64().unwrap() > 0.5);

    // The page says the same.
    let page = program.text("out/index.html");
    let table = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    for (row, step) in table.split("<tr>").skip(1).zip(steps) {
        let shown: Vec<f64> =
            row.split("data-value=\"").skip(1).map(|v| v.split('"').next().unwrap().parse().unwrap()).collect();
        let number = |path: &[&str]| path.iter().fold(step, |value, key| &value[*key]).as_f64().unwrap();
        let expected = [
            // A single-precision number, which JSON writes shorter.
            f64::from(number(&["t"]) as f32),
            number(&["estimate", "mel_error"]),
            number(&["projected", "mel_error"]),
            number(&["estimate", "spectral_convergence"]),
            number(&["projected", "spectral_convergence"]),
            number(&["change_db"]),
            number(&["estimate", "spread_db"]),
            number(&["projected", "spread_db"]),
            number(&["projected", "to_recording_db"]),
        ];
        assert_eq!(shown, expected);
    }
    assert_eq!(
        page.matches("<audio ").count(),
        7,
        "the recording, and the start and each step before and after its projection"
    );

    let Some(browser) = Browser::find() else { return };
    let dom = browser.dom(&program.path("out/index.html"), 1000);
    assert!(dom.contains("data-errors=\"0\"") && dom.contains("data-players=\"2\""), "{}", &dom[..300]);
    let shot = browser.screenshot(&program.path("out/index.html"), 1400, 1600);
    // Text and charts have some tens; spectrograms have the whole of their map.
    let colours = shot.colours(0, 0, 1400, 1600);
    assert!(colours > 150, "{colours}");
}

#[test]
fn a_mel_has_no_recording_and_svg_is_possible() {
    let program = Program::new();
    program.mel("a.npy", 60);
    let arguments = ["a.npy", "-o", "deep/out", "--picture-format", "svg", "--axis", "linear", "-m", "griffin-lim"];
    program.run(&[&["inspect"], &arguments[..], &["--iterations", "1", "--seeds", "1", "-q"]].concat()).code(0);
    let files = program.files("deep/out");
    assert!(files.contains(&"step-01-estimate.svg".into()) && files.contains(&"bands-mel-error.svg".into()));
    assert!(!files.iter().any(|file| file.contains("recording") || file.contains("spread") || file.ends_with(".png")));
    let svg = program.text("deep/out/step-01-projected.svg");
    assert!(svg.contains("kHz") && svg.contains("data:image/png;base64,"));
    let json: Value = serde_json::from_str(&program.text("deep/out/inspect.json")).unwrap();
    assert_eq!(json["model"], "griffin-lim");
    assert_eq!(json["steps"][0]["projected"]["to_recording_db"], Value::Null);
}

#[test]
fn what_lies_there_is_kept() {
    let program = Program::new();
    program.mel("a.npy", 40);
    let cheap = ["--seeds", "1", "-m", "griffin-lim", "--iterations", "0", "-q"];
    let run = |more: &[&str]| program.run(&[&["inspect", "a.npy", "-o", "out"], &cheap[..], more].concat());
    program.write("out/thesis.txt", "years of work");
    run(&[]).code(1).says(&["out: is there already", "-y"]);
    assert_eq!(program.files("out"), ["thesis.txt"]);
    run(&["-y", "--gif"]).code(0);
    assert!(program.exists("out/steps.gif") && program.exists("out/thesis.txt"));
    // What an earlier inspection left goes, the rest stays.
    run(&["-y"]).code(0);
    assert!(!program.exists("out/steps.gif") && program.exists("out/index.html"));
    assert_eq!(program.text("out/thesis.txt"), "years of work");
    program.write("file", "");
    program.run(&["inspect", "a.npy", "-o", "file", "-y"]).code(1).says(&["file", "is there already"]);
}

#[test]
fn what_cannot_be_inspected_is_one_clear_line() {
    let program = Program::new();
    program.mel("a.npy", 40);
    program.mel("long.npy", 520);
    program.write("text.npy", "hello");
    for (arguments, code, parts) in [
        (&["a.npy"][..], 2, &["--output", "-o"][..]),
        (&["a.npy", "-o", "x", "--seconds", "0"], 2, &["--seconds", "0"]),
        (&["a.npy", "-o", "x", "--seconds", "100"], 2, &["--seconds", "at most 40"]),
        (&["a.npy", "-o", "x", "--start", "60"], 2, &["--start", "60", "0.42 s long"]),
        (&["long.npy", "-o", "x", "--steps", "64"], 2, &["--seconds", "64 steps", "at most 4.9"]),
        (&["text.npy", "-o", "x"], 1, &["text.npy"]),
        (&["missing.wav", "-o", "x"], 1, &["missing.wav", "cannot open"]),
        (&["builtin", "-o", "x"], 2, &["--output"]),
    ] {
        let refused =
            program.run(&[&["inspect"], arguments].concat()).code(code).says(&[&["audiodiff: "], parts].concat());
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    assert_eq!(program.files("."), ["a.npy", "long.npy", "text.npy"]);
}

#[test]
fn a_model_is_opened() {
    let report = ModelReport::of(&ModelFile::builtin().unwrap());
    let card = &report.card;
    if (card.encoder.channels, card.denoiser.channels, card.denoiser.layers) == (256, 192, 8) {
        let part = |name: &str| report.parts.iter().find(|part| part.name == name).unwrap().gflop;
        // By hand, products alone: 93.75 frames of 2 · 2,709,504 weights and of the pseudo-inverse's 51,300; 187.5 frames of
        // 2 · 1,977,600 and two transforms of 512 points, 393,216 of the conditioning.
        assert!((part("encoder") - 0.5177).abs() < 1e-3, "{}", part("encoder"));
        assert!((part("denoiser") - 0.7459).abs() < 1e-3, "{}", part("denoiser"));
        assert!((part("denoiser, conditioning") - 0.1475).abs() < 1e-3);
        // 187.5 transforms of 1024 points.
        assert!((part("projection, iteration") - 0.0048).abs() < 1e-4);
    }
    assert_eq!(report.parts.iter().map(|part| part.parameters).sum::<usize>(), report.parameters);
    assert_eq!(report.odd().count(), 0, "{:?}", report.odd().collect::<Vec<_>>());
    let standard = &report.qualities[1];
    assert!(standard.gflop > 1.5 && standard.gflop < 50.0, "{standard:?}");

    let program = Program::new();
    let text = program.run(&["inspect", "builtin"]).code(0);
    for part in ["encoder", "GFLOP a second of sound", "licences", "denoiser.stft_in.weight", "0 of them odd"] {
        assert!(text.out().contains(part), "no {part:?} in\n{}", text.out());
    }
    let json = &program.run(&["inspect", "builtin", "--json"]).code(0).objects()[0];
    assert_eq!(json["tensors"].as_array().unwrap().len(), report.tensors.len());
    assert_eq!(json["parameters"], report.parameters);
}

#[test]
fn odd_weights_are_flagged() {
    let program = Program::new();
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let changed = tensors.tensors().into_iter().map(|(name, view)| {
        let mut data = view.data().to_vec();
        match name.as_str() {
            "denoiser.blocks.0.gamma" => data.fill(0),
            // Not a number in f16, bf16 and f32 alike.
            "encoder.norm_in.weight" => data[..4].fill(0xff),
            _ => {}
        }
        (name, view.dtype(), view.shape().to_vec(), data)
    });
    let changed: Vec<_> = changed.collect();
    let views = changed.iter().map(|(name, dtype, shape, data)| {
        (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let bytes = safetensors::serialize(views, header.metadata().clone()).unwrap();
    program.write("odd.safetensors", bytes);
    let text = program.run(&["inspect", "odd.safetensors"]).code(0);
    let line = |name: &str| text.out().lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("denoiser.blocks.0.gamma").ends_with("! is zero throughout"), "{}", line("denoiser.blocks.0.gamma"));
    assert!(line("encoder.norm_in.weight").contains("not finite"), "{}", line("encoder.norm_in.weight"));
    assert!(text.out().contains("2 of them odd"));
}
