//! What holds for every rendering: length, repeatability, and that it does not matter how the mel arrives.

use audiodiff::{
    Result,
    diffusion::*,
    mel::{MelConvention, MelSpectrogram, extract, presets},
    model::{DeviceChoice, Diffusion, GriffinLim, Precision, RuntimeOptions},
    render,
    vocoder::{RenderOptions, Vocoder},
};
use std::sync::Arc;

fn path(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn sample(name: &str) -> Vec<f32> {
    audiodiff::audio::read(path(name)).unwrap().samples
}

fn mel(frames: usize) -> MelSpectrogram {
    extract(&sample("speech-synthetic.wav"), &MelConvention::native()).unwrap().slice(0..frames)
}

/// Little work, but all kinds of it.
const QUICK: SamplerSettings =
    SamplerSettings { start_iterations: 2, steps: 2, iterations: 1, final_iterations: 2, seed: 5 };
const LAYOUT: ChunkLayout = ChunkLayout { chunk: 24, longest: 24, past: 16, ahead: 8, fade: 256 };

fn vocoder() -> Diffusion {
    Diffusion::builtin(&RuntimeOptions { precision: Precision::F32, ..RuntimeOptions::default() }).unwrap()
}

fn render<N: Network>(network: &N, source: impl MelSource, settings: SamplerSettings, layout: ChunkLayout) -> Vec<f32> {
    Renderer::new(network, source, settings, layout).unwrap().map(|chunk| chunk.unwrap()).collect::<Vec<_>>().concat()
}

/// A mel that arrives a few frames at a time.
struct Dribble {
    whole: WholeMel,
    turn: usize,
}

impl MelSource for Dribble {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        self.turn += 1;
        self.whole.read(frames.min(1 + self.turn % 7))
    }
}

#[test]
fn the_length_is_one_hop_a_frame_but_the_first() {
    let network = GriffinLim::new(1).unwrap();
    let settings = SamplerSettings { start_iterations: 0, steps: 1, iterations: 0, final_iterations: 0, seed: 0 };
    for frames in (0..10).chain(22..36).chain(46..60) {
        let audio = render(&network, WholeMel::new(mel(frames)), settings, LAYOUT);
        assert_eq!(audio.len(), frames.saturating_sub(1) * 256, "{frames} frames");
        assert!(audio.iter().all(|x| x.is_finite()), "{frames} frames");
    }
}

/// 100 frames of 80 bands are as many numbers as 80 frames of 100.
#[test]
fn a_mel_of_other_bands_is_an_error() {
    let network = GriffinLim::new(1).unwrap();
    let native = network.convention();
    let tacotron = audiodiff::mel::presets::named("tacotron2").unwrap();
    for bands in [20, 128] {
        let mel = || WholeMel::new(MelSpectrogram::new(vec![-5.0; 100 * bands], bands));
        let mut renderer = Renderer::new(&network, mel(), QUICK, LAYOUT).unwrap();
        let error = renderer.next().unwrap().unwrap_err().to_string();
        assert_eq!(error, format!("mel: {bands} bands, expected 100 by the convention f5-tts (its n_mels)"));
        assert!(renderer.next().is_none());
        for convention in [native, tacotron] {
            let vocoder: Arc<dyn Vocoder> = Arc::new(GriffinLim::new(1).unwrap());
            let options = RenderOptions::default();
            let mut renderer = render::Renderer::new(vocoder, Box::new(mel()), convention, &options).unwrap();
            let error = renderer.next().unwrap().unwrap_err().to_string();
            assert!(error.contains(&format!("{bands} bands, expected {}", convention.n_mels)), "{error}");
        }
        assert!(network.encode(&MelSpectrogram::new(vec![-5.0; 10 * bands], bands)).is_err());
        assert!(vocoder().encode(&MelSpectrogram::new(vec![-5.0; 10 * bands], bands)).is_err());
    }
}

#[test]
fn it_does_not_matter_how_the_mel_arrives() {
    let network = vocoder();
    let whole = render(&network, WholeMel::new(mel(90)), QUICK, LAYOUT);
    let dribble = Dribble { whole: WholeMel::new(mel(90)), turn: 0 };
    assert_eq!(whole, render(&network, dribble, QUICK, LAYOUT));
}

#[test]
fn the_seed_alone_decides() {
    let network = vocoder();
    let run = |seed| render(&network, WholeMel::new(mel(60)), SamplerSettings { seed, ..QUICK }, LAYOUT);
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn the_number_of_threads_changes_no_sample() {
    let c = presets::named("hifigan-22k").unwrap();
    let foreign =
        extract(&audiodiff::audio::read_at(path("speech-en.wav"), c.sample_rate).unwrap().samples, c).unwrap();
    for precision in [Precision::F32, Precision::Bf16] {
        // 64 threads have less than a row each of the shortest window.
        let [one, others @ ..] = [1, 2, 3, 64].map(|threads| {
            let options = RuntimeOptions { precision, threads, device: DeviceChoice::Cpu };
            let vocoder = Arc::new(Diffusion::builtin(&options).unwrap());
            let own = render(&*vocoder, WholeMel::new(mel(90)), QUICK, LAYOUT);
            let options = RenderOptions { effort: Some(QUICK.effort()), chunk: Some(24), ..RenderOptions::default() };
            let source = Box::new(WholeMel::new(foreign.slice(40..100)));
            let renderer = render::Renderer::new(vocoder, source, c, &options).unwrap();
            (own, renderer.flat_map(|sound| sound.unwrap().into_mono()).collect::<Vec<_>>())
        });
        for (threads, other) in [2, 3, 64].into_iter().zip(others) {
            let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count();
            assert_eq!(differ(&one.0, &other.0), 0, "{precision}, {threads} threads");
            assert_eq!(differ(&one.1, &other.1), 0, "{precision}, {threads} threads, another convention");
        }
    }
}

#[test]
fn the_first_chunk_does_not_wait_for_the_rest() {
    /// Panics when asked for more than the first chunk needs.
    struct Guarded(WholeMel, usize);
    impl MelSource for Guarded {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            let mel = self.0.read(frames)?;
            self.1 += mel.frames();
            assert!(self.1 <= LAYOUT.chunk + LAYOUT.ahead + 2, "{} frames were read", self.1);
            Ok(mel)
        }
    }
    let network = vocoder();
    let mut renderer = Renderer::new(&network, Guarded(WholeMel::new(mel(90)), 0), QUICK, LAYOUT).unwrap();
    assert_eq!(renderer.next().unwrap().unwrap().len(), LAYOUT.chunk * 256 - LAYOUT.fade);
}

/// The first sound is there as soon, and a long mel costs less: each chunk has its past and its look-ahead beside it.
#[test]
fn chunks_grow_to_the_longest_and_no_further() {
    let network = GriffinLim::new(1).unwrap();
    // One hop of the first waits for the second, to be faded into it.
    let hops = |layout| -> Vec<usize> {
        let renderer = Renderer::new(&network, WholeMel::new(mel(161)), QUICK, layout).unwrap();
        renderer.map(|piece| piece.unwrap().len() / 256).collect()
    };
    assert_eq!(hops(ChunkLayout { longest: 40, ..LAYOUT }), [23, 40, 40, 40, 17]);
    assert_eq!(hops(LAYOUT), [23, 24, 24, 24, 24, 24, 17]);
}

#[test]
fn seams_are_smooth() {
    // A steady tone has no steps of its own: the largest difference between neighbours at the seams is that of the rest.
    let tone: Vec<f32> =
        (0..48_000).map(|i| 0.3 * (i as f32 * 440.0 * std::f32::consts::TAU / 24_000.0).sin()).collect();
    let mel = extract(&tone, &MelConvention::native()).unwrap();
    let audio = render(
        &vocoder(),
        WholeMel::new(mel),
        SamplerSettings { iterations: 8, final_iterations: 16, ..QUICK },
        LAYOUT,
    );
    let steps: Vec<f32> = audio.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
    let inner = 4_000..audio.len() - 4_000;
    let largest = steps[inner.clone()].iter().copied().fold(0.0, f32::max);
    for seam in (1..8).map(|i| i * LAYOUT.chunk * 256).filter(|s| inner.contains(s)) {
        let at_seam = steps[seam - 300..seam + 10].iter().copied().fold(0.0, f32::max);
        // 440 Hz at this level steps by 0.035 a sample at most.
        assert!(at_seam < 0.06 && at_seam <= largest, "{at_seam} at the seam near sample {seam}");
    }
}

#[test]
fn silence_stays_silent() {
    let mel = MelSpectrogram::new(vec![1e-5f32.ln(); 100 * 120], 100);
    let audio = render(&vocoder(), WholeMel::new(mel), QUICK, LAYOUT);
    let peak = audio.iter().fold(0.0f32, |a, x| a.max(x.abs()));
    assert!(peak < 1e-4, "silence has a peak of {peak}"); // below the least step of 16 bits
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let network = GriffinLim::new(1).unwrap();
    let refused =
        |settings, layout| Renderer::new(&network, WholeMel::new(mel(9)), settings, layout).err().unwrap().to_string();
    assert!(
        refused(SamplerSettings { start_iterations: 0, steps: 0, ..QUICK }, LAYOUT)
            .contains("steps: 0, expected 1 to 64")
    );
    assert!(refused(SamplerSettings { start_iterations: 0, steps: 65, ..QUICK }, LAYOUT).contains("steps: 65"));
    assert!(refused(SamplerSettings { iterations: 1001, ..QUICK }, LAYOUT).contains("iterations: 1001"));
    assert!(refused(QUICK, ChunkLayout { chunk: 1, ..LAYOUT }).contains("chunk"));
    assert!(refused(QUICK, ChunkLayout { past: 0, ..LAYOUT }).contains("past"));
}
