//! What scoring costs on one core: 5 s of speech against a noisy copy, in seconds of sound a second.
//!
//! `cargo bench --bench eval`; `audiodiff eval` scores a file on each core.

use std::collections::BTreeSet;

use audiodiff::eval::{Metric, Reference, Sound};
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

fn pair() -> (Sound, Sound) {
    let path = format!("{}/samples/speech-en.wav", env!("CARGO_MANIFEST_DIR"));
    let recording = audiodiff::audio::read(path).expect("the sample");
    let samples = recording.samples[..5 * recording.sample_rate as usize].to_vec();
    let mut state = 1u32;
    let noisy = samples.iter().map(|x| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.9 * x + 1e-3 * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    });
    let rendered = Sound::mono(noisy.collect(), recording.sample_rate);
    (Sound::mono(samples, recording.sample_rate), rendered)
}

/// With the search for a delay, which every score has; items are seconds of sound.
fn score(bencher: Bencher, metrics: &[Metric]) {
    let (reference, rendered) = pair();
    let metrics: BTreeSet<Metric> = metrics.iter().copied().collect();
    bencher.counter(ItemsCount::new(5u32)).bench(|| {
        let prepared = Reference::new("speech", &reference, reference.rate, &metrics).expect("a usual rate");
        prepared.score("noisy", &rendered, None).expect("a score")
    });
}

#[divan::bench]
fn cheap(bencher: Bencher) {
    score(bencher, &Metric::CHEAP);
}

#[divan::bench]
fn all(bencher: Bencher) {
    score(bencher, &Metric::ALL);
}

#[divan::bench]
fn pesq(bencher: Bencher) {
    score(bencher, &[Metric::PesqWb]);
}

#[divan::bench]
fn pitch(bencher: Bencher) {
    score(bencher, &[Metric::VuvF1, Metric::F0Cents, Metric::Periodicity]);
}

#[divan::bench]
fn multi_resolution_mel(bencher: Bencher) {
    score(bencher, &[Metric::MrMel]);
}
