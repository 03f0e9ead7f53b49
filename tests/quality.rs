//! The sound itself: PESQ and mel distance of copy synthesis, against the scores that the reference implementation has on
//! the same clips.

use audiodiff::{
    diffusion::{ChunkLayout, Renderer, SamplerSettings, WholeMel},
    eval::{mel_l1, pesq_wb},
    mel::{MelConvention, extract},
    model::{Precision, Quality, RuntimeOptions, Vocoder},
};

const SEEDS: [u64; 3] = [1, 2, 3];

/// What the reference scores on a clip with 2, 4 and 8 steps, 8 iterations and 16 in the last (bf16).
struct Reference {
    clip: &'static str,
    /// PESQ-wb, mean of seeds 1 to 5; of speech only.
    pesq: Option<[f64; 3]>,
    /// Seed 0; seeds differ in the fourth digit.
    mel: [f64; 3],
}

const REFERENCE: [Reference; 3] = [
    Reference { clip: "speech-en.wav", pesq: Some([3.956, 4.058, 4.110]), mel: [0.1055, 0.0852, 0.0747] },
    Reference { clip: "speech-synthetic.wav", pesq: Some([3.941, 3.964, 3.938]), mel: [0.0986, 0.0841, 0.0738] },
    Reference { clip: "music.wav", pesq: None, mel: [0.0990, 0.0763, 0.0659] },
];

fn sample(name: &str) -> Vec<f32> {
    audiodiff::audio::read(format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap().samples
}

/// PESQ-wb (of speech) and mel distance.
fn scores(vocoder: &Vocoder, audio: &[f32], settings: SamplerSettings, layout: ChunkLayout) -> (f64, f64) {
    let mel = extract(audio, &MelConvention::native()).unwrap();
    let renderer = Renderer::new(vocoder, WholeMel::new(mel.clone()), settings, layout).unwrap();
    let rendered = renderer.map(|chunk| chunk.unwrap()).collect::<Vec<_>>().concat();
    let pesq = pesq_wb(&audio[..rendered.len()], &rendered, 24_000).unwrap();
    (f64::from(pesq), f64::from(mel_l1(&mel, &rendered).unwrap()))
}

#[test]
fn each_quality_is_as_good_as_the_reference() {
    let options = RuntimeOptions { precision: Precision::F32, threads: 2, ..RuntimeOptions::default() };
    let vocoder = Vocoder::builtin(&options).unwrap();
    for (i, quality) in [Quality::Draft, Quality::Standard, Quality::Best].into_iter().enumerate() {
        let (mut pesq, mut wanted, mut clips) = (0.0, 0.0, 0.0);
        for Reference { clip: name, pesq: reference_pesq, mel: reference_mel } in REFERENCE {
            let audio = sample(name);
            let runs = SEEDS.map(|seed| {
                scores(&vocoder, &audio, vocoder.card().sampler.settings(quality, seed), ChunkLayout::default())
            });
            let mean = |of: fn(&(f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / SEEDS.len() as f64;
            let mel = mean(|run| run.1);
            println!(
                "{quality:?} {name}: PESQ {:.3} ({:?}), mel {mel:.4} ({})",
                mean(|run| run.0),
                reference_pesq.map(|p| p[i]),
                reference_mel[i]
            );
            assert!(mel < reference_mel[i] + 0.005, "{quality:?} {name}: mel distance {mel}");
            if let Some(reference) = reference_pesq {
                pesq += mean(|run| run.0);
                wanted += reference[i];
                clips += 1.0;
            }
        }
        let (pesq, wanted) = (pesq / clips, wanted / clips);
        // One seed moves a clip's PESQ by 0.15 (standard deviation): the mean of two clips and three seeds by 0.06.
        assert!(pesq > wanted - 0.1, "{quality:?}: mean PESQ {pesq:.3}, the reference has {wanted:.3}");
    }
}

#[test]
fn chunks_cost_no_quality() {
    let vocoder = Vocoder::builtin(&RuntimeOptions { threads: 2, ..RuntimeOptions::default() }).unwrap();
    let audio = sample("speech-en.wav");
    let mean = |chunk| {
        let layout = ChunkLayout { chunk, ..ChunkLayout::default() };
        let run = |seed| scores(&vocoder, &audio, vocoder.card().sampler.settings(Quality::Standard, seed), layout).0;
        SEEDS.map(run).iter().sum::<f64>() / SEEDS.len() as f64
    };
    let whole = mean(4096);
    for chunk in [12, 24, 48, 96] {
        let pesq = mean(chunk);
        println!("chunks of {chunk} frames: PESQ {pesq:.3}, one window {whole:.3}");
        assert!(pesq > whole - 0.1, "chunks of {chunk} frames: PESQ {pesq:.3}, one window {whole:.3}");
    }
}
