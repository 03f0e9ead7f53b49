//! How well mels of each convention are rendered: PESQ-wb against the recording within the convention's range, beside that
//! of the model's own convention, and the distance of the output's mel from the one that was given. Beside them stands what
//! fast Griffin-Lim makes of the whole true spectrogram of the convention's STFT, of which the mel is a small part: where that
//! is low, the frames lie too far apart to know the phases by.
//!
//! `cargo bench --bench conventions -- FOLDER... [NAME...] [MODEL.safetensors]`: recordings of speech, presets where not all are
//! wanted, and a model in place of the built-in one. It prints the rows of the README's table.

use audiodiff::{
    audio,
    batch::Inputs,
    diffusion::{Noise, Past, SeededNoise},
    dsp::{
        griffin_lim::{FastGriffinLim, Magnitudes, Phases},
        stft::Stft,
        threads::Threads,
    },
    eval::pesq_wb,
    families,
    mel::{MelConvention, MelSpectrogram, extract, presets, recognise::rendered_alike},
    model::{Builtin, RuntimeOptions},
    render::Renderer,
    source::WholeMel,
    vocoder::{RenderOptions, Vocoder},
};
use realfft::{RealFftPlanner, num_complex::Complex32};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A seed alone moves the mean of 16 clips by up to 0.03.
const SEEDS: [u64; 3] = [1, 2, 3];

/// Of fast Griffin-Lim from the true spectrogram.
const ITERATIONS: usize = 200;

/// [T, F]
struct TrueMagnitudes(Vec<f32>);

impl Magnitudes for TrueMagnitudes {
    type Scratch = ();

    fn scratch(&self) {}

    fn set(&self, i: usize, _: &mut [Complex32], magnitude: &mut [f32], _again: bool, (): &mut ()) {
        let bins = magnitude.len();
        magnitude.copy_from_slice(&self.0[i * bins..(i + 1) * bins]);
    }
}

/// `audio` again, from the magnitudes of `c`'s STFT.
fn from_its_spectrogram(c: &MelConvention, audio: &[f32], frames: usize) -> Vec<f32> {
    let stft = Stft::with_window(c.n_fft, c.win_length, c.hop);
    let edge = c.edge();
    let spectrum = stft.forward_at(audio, (0..frames).map(|t| c.frame_start(t)), edge);
    let magnitudes = TrueMagnitudes(spectrum.iter().map(|s| s.norm()).collect());
    let mut x = vec![0.0; audio.len()];
    SeededNoise { seed: SEEDS[0] }.fill(0, 0, &mut x);
    let griffin_lim = FastGriffinLim::new(&stft, edge, c.frame_start(0), frames, x.len(), 0.99, Past::default());
    griffin_lim.run(&mut x, &magnitudes, Phases::Own, ITERATIONS, &Threads::CALLER);
    x
}

/// What is left of a recording in `convention`'s range, at its rate: [n] with nothing below f_min and above f_max.
fn within(convention: &MelConvention, audio: &[f32]) -> Vec<f32> {
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(audio.len()), planner.plan_fft_inverse(audio.len()));
    let (mut spectrum, mut out) = (forward.make_output_vec(), audio.to_vec());
    forward.process(&mut out, &mut spectrum).expect("the plan's sizes");
    for (i, s) in spectrum.iter_mut().enumerate() {
        let hz = i as f64 * f64::from(convention.sample_rate) / audio.len() as f64;
        if !(convention.f_min..=convention.f_max).contains(&hz) {
            *s *= 0.0;
        }
    }
    inverse.process(&mut spectrum, &mut out).expect("the plan's sizes");
    out.iter().map(|x| x / audio.len() as f32).collect()
}

/// Mean absolute difference in natural logarithms, over the frames that both have.
fn distance(c: &MelConvention, given: &MelSpectrogram, again: &MelSpectrogram) -> f64 {
    let count = given.values().len().min(again.values().len());
    let pairs = given.values().iter().zip(again.values());
    pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / count as f64 / c.stored_slope().abs()
}

/// PESQ, mel distance, and the PESQ of what the spectrogram alone gives.
fn score(vocoder: &Arc<dyn Vocoder>, c: &MelConvention, recording: &Path) -> [f64; 3] {
    let audio = audio::read_at(recording, c.sample_rate).expect("a recording").samples;
    let mel = extract(&audio, c).expect("a mel");
    let audio = within(c, &audio);
    let pesq = |rendered: &[f32]| {
        let n = rendered.len().min(audio.len());
        f64::from(pesq_wb(&audio[..n], &rendered[..n], c.sample_rate).expect("speech"))
    };
    let mut means = [0.0, 0.0, pesq(&from_its_spectrogram(c, &audio, mel.frames()))];
    for seed in SEEDS {
        let options = RenderOptions { seed, ..RenderOptions::default() };
        let source = Box::new(WholeMel::new(mel.clone()));
        let renderer = Renderer::new(vocoder.clone(), source, c, &options).expect("valid settings");
        let rendered: Vec<f32> = renderer.flat_map(|sound| sound.expect("a rendering").into_mono()).collect();
        means[0] += pesq(&rendered) / SEEDS.len() as f64;
        means[1] += distance(c, &mel, &extract(&rendered, c).expect("a mel")) / SEEDS.len() as f64;
    }
    means
}

/// Means over all recordings, one a thread.
fn mean(vocoder: &Arc<dyn Vocoder>, c: &MelConvention, recordings: &[PathBuf]) -> [f64; 3] {
    let (next, sums) = (AtomicUsize::new(0), Mutex::new([0.0; 3]));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(recording) = recordings.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let scores = score(vocoder, c, recording);
                    let mut sums = sums.lock().expect("no thread has failed");
                    sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
                }
            });
        }
    });
    sums.into_inner().expect("no thread has failed").map(|sum| sum / recordings.len() as f64)
}

fn main() {
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let (names, paths): (Vec<_>, Vec<_>) = arguments.partition(|argument| presets::find(argument).is_some());
    let (models, folders): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.ends_with(".safetensors"));
    let mut inputs = Inputs::default();
    folders.iter().for_each(|folder| inputs.add_recordings(Path::new(folder), None));
    let recordings: Vec<PathBuf> = inputs.found.into_iter().map(|found| found.input).collect();
    if recordings.is_empty() {
        println!("give folders of speech: cargo bench --bench conventions -- FOLDER... [NAME...]");
        return;
    }
    let options = RuntimeOptions { threads: 1, ..RuntimeOptions::default() };
    let vocoder = match models.first() {
        Some(path) => families::open(Path::new(path), &options),
        None => families::builtin(Builtin::Default, &options),
    };
    let vocoder = vocoder.expect("the model");
    let [own, own_mel, own_bound] = mean(&vocoder, &MelConvention::native(), &recordings);
    println!("{} recordings, standard quality, seeds {SEEDS:?}\n", recordings.len());
    println!("| convention | PESQ-wb | against the model's own | mel | from its spectrogram |\n|---|---|---|---|---|");
    println!("| f5-tts | {own:.2} | | {own_mel:.3} | {own_bound:.2} |");
    let mut done: Vec<&MelConvention> = vec![presets::named("f5-tts").expect("the model's own")];
    for preset in presets::all() {
        let c = &preset.convention;
        let wanted = names.is_empty() || names.iter().any(|name| presets::find(name) == Some(preset));
        if !wanted || done.iter().any(|other| rendered_alike(other, c) && other.floor == c.floor) {
            continue;
        }
        done.push(c);
        let alike = presets::all().iter().map(|other| &other.convention);
        let alike = alike.filter(|other| other.floor == c.floor && rendered_alike(other, c));
        let names: Vec<&str> = alike.map(|other| other.name.as_str()).collect();
        let [pesq, mel, bound] = mean(&vocoder, c, &recordings);
        println!("| {} | {pesq:.2} | {:+.2} | {mel:.3} | {bound:.2} |", names.join(", "), pesq - own);
    }
}
