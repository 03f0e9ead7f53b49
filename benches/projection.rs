//! The inner loops: an iteration of the projection beside the FFTs that it cannot do without, and mel analysis.
//!
//! `cargo bench --bench projection`

use audiodiff::{
    diffusion::{Past, Projection, ProjectionPlan},
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram, extract},
};
use divan::{Bencher, counter::ItemsCount};
use realfft::RealFftPlanner;

/// A window of the default chunk: 96 frames, 16 of past, 8 of look-ahead.
const FRAMES: usize = 121;
const ITERATIONS: usize = 10;

fn main() {
    divan::main();
}

fn audio() -> Vec<f32> {
    let path = format!("{}/samples/speech-en.wav", env!("CARGO_MANIFEST_DIR"));
    audiodiff::audio::read(path).expect("the sample").samples[..(FRAMES - 1) * 256].to_vec()
}

fn mel() -> MelSpectrogram {
    extract(&audio(), &MelConvention::native()).expect("a mel")
}

/// The forward and inverse transforms of the frames of 10 iterations, and nothing else.
#[divan::bench]
fn ffts_of_10_iterations(bencher: Bencher) {
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(1024), planner.plan_fft_inverse(1024));
    let (mut x, mut s) = (forward.make_input_vec(), forward.make_output_vec());
    let mut scratch = forward.make_scratch_vec();
    x.iter_mut().zip(audio()).for_each(|(x, a)| *x = a);
    bencher.counter(ItemsCount::new(ITERATIONS * FRAMES)).bench_local(|| {
        for _ in 0..ITERATIONS * FRAMES {
            forward.process_with_scratch(&mut x, &mut s, &mut scratch).expect("the plan's sizes");
            inverse.process_with_scratch(&mut s, &mut x, &mut scratch).expect("the plan's sizes");
            // Keeps the numbers from growing by the transform's length a turn.
            x.iter_mut().for_each(|x| *x *= 1.0 / 1024.0);
        }
    });
}

#[divan::bench]
fn projection_of_10_iterations(bencher: Bencher) {
    let (mel, plan) = (mel(), ProjectionPlan::new(&MelConvention::native()));
    let projection = Projection::new(&plan, &mel, &vec![-3.0; FRAMES * 513], 0.99, Past::default());
    let x = audio();
    bencher
        .counter(ItemsCount::new(ITERATIONS * FRAMES))
        .with_inputs(|| x.clone())
        .bench_local_refs(|x| projection.project(x, 0.5, ITERATIONS, &Threads::CALLER));
}

/// Six seconds of audio to its mel.
#[divan::bench]
fn mel_analysis(bencher: Bencher) {
    let path = format!("{}/samples/speech-en.wav", env!("CARGO_MANIFEST_DIR"));
    let audio = audiodiff::audio::read(path).expect("the sample").samples;
    bencher.bench_local(|| extract(&audio, &MelConvention::native()).expect("a mel"));
}
