//! What a user waits for: × real time of whole renderings, where the time goes, and the time to the first sound.
//!
//! `cargo bench --bench render`; the figures are medians of five runs after a warm-up, so a busy machine shows less.

use audiodiff::{
    Result,
    audio::{FileSink, FileSinkSettings, SampleFormat},
    diffusion::{ChunkLayout, Encoded, Grid, Network, Renderer, SamplerSettings, Start, WholeMel},
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram, extract::extract},
    model::{Builtin, Diffusion, GriffinLim, Precision, Quality, RuntimeOptions},
};
use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

const RUNS: usize = 5;

/// A network that keeps count of the time spent in it.
struct Timed<'n, N> {
    network: &'n N,
    spent: Mutex<Duration>,
}

impl<N: Network> Network for Timed<'_, N> {
    type Condition = N::Condition;

    fn convention(&self) -> &MelConvention {
        self.network.convention()
    }

    fn grid(&self) -> Grid {
        self.network.grid()
    }

    fn start(&self) -> Start {
        self.network.start()
    }

    fn threads(&self) -> &Threads {
        self.network.threads()
    }

    fn blend(&self, t: f32) -> f32 {
        self.network.blend(t)
    }

    fn entry(&self) -> f32 {
        self.network.entry()
    }

    fn momentum(&self) -> f32 {
        self.network.momentum()
    }

    fn encode(&self, mel: &MelSpectrogram) -> Result<Encoded<N::Condition>> {
        self.count(|| self.network.encode(mel))
    }

    fn denoise(&self, whitened: &[f32], condition: &N::Condition, t: f32) -> Result<Vec<f32>> {
        self.count(|| self.network.denoise(whitened, condition, t))
    }
}

impl<N> Timed<'_, N> {
    fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let out = work();
        *self.spent.lock().expect("nobody panicked") += begin.elapsed();
        out
    }
}

/// One run: total, network, file.
fn run<N: Network>(network: &N, mel: &MelSpectrogram, settings: SamplerSettings, file: &Path) -> [Duration; 3] {
    let timed = Timed { network, spent: Mutex::default() };
    let begin = Instant::now();
    let source = WholeMel::new(mel.clone());
    let renderer = Renderer::new(&timed, source, settings, ChunkLayout::default()).expect("valid settings");
    let chunks: Vec<_> = renderer.map(|chunk| chunk.expect("a rendering")).collect();
    let written = Instant::now();
    let mut sink = FileSink::create(file, FileSinkSettings::new(SampleFormat::Pcm16, network.convention().sample_rate))
        .expect("a file");
    chunks.iter().for_each(|chunk| sink.write(chunk).expect("written"));
    sink.finish().expect("finished");
    [begin.elapsed(), *timed.spent.lock().expect("nobody panicked"), written.elapsed()]
}

fn median(mut runs: Vec<[Duration; 3]>) -> [f64; 3] {
    runs.sort();
    runs[runs.len() / 2].map(|d| d.as_secs_f64())
}

fn first_sound(network: &Diffusion, mel: &MelSpectrogram, layout: ChunkLayout) -> f64 {
    let settings = network.diffusion_card().sampler.settings(Quality::Standard, 0);
    let once = || {
        let begin = Instant::now();
        let source = WholeMel::new(mel.clone());
        let mut renderer = Renderer::new(network, source, settings, layout).expect("valid settings");
        renderer.next().expect("a chunk").expect("a rendering");
        begin.elapsed()
    };
    once();
    let mut times: Vec<_> = (0..RUNS).map(|_| once()).collect();
    times.sort();
    times[RUNS / 2].as_secs_f64()
}

fn main() {
    // As the program does.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings of the allocator, made before any other thread runs.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 20);
    }
    // cargo passes --bench; a word of the user's own picks lines.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-en.wav");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("out.wav");
    let mel_of = |convention: &MelConvention| {
        let recording = audiodiff::audio::read_at(&sample, convention.sample_rate).expect("the sample");
        let mel = extract(&recording.samples, convention).expect("a mel");
        let seconds = convention.samples(mel.frames()) as f64 / f64::from(convention.sample_rate);
        (mel, seconds)
    };
    println!("{:<44} {:>11} {:>9} {:>12} {:>6}", "", "× real time", "network", "projection", "file");
    let line = |name: &str, seconds: f64, runs: Vec<[Duration; 3]>| {
        let [total, network, file] = median(runs);
        let share = |part: f64| 100.0 * part / total;
        let rest = share(total - network - file);
        println!("{name:<44} {:>11.1} {:>8.0}% {rest:>11.0}% {:>5.0}%", seconds / total, share(network), share(file));
    };
    for (model, precision, threads) in variants() {
        let prefix = format!("{} {precision} {threads} thread{}", model.name(), if threads == 1 { "" } else { "s" });
        let named = |what: &str| Some(format!("{prefix}, {what}")).filter(|name| name.contains(&filter));
        let options = RuntimeOptions { precision, threads, ..RuntimeOptions::default() };
        let vocoder = Diffusion::of_builtin(model, &options).expect("the model");
        let (mel, seconds) = mel_of(vocoder.convention());
        for (quality, what) in [(Quality::Draft, "draft"), (Quality::Standard, "standard"), (Quality::Best, "best")] {
            let Some(name) = named(what) else { continue };
            let settings = vocoder.diffusion_card().sampler.settings(quality, 0);
            run(&vocoder, &mel, settings, &file);
            line(&name, seconds, (0..RUNS).map(|_| run(&vocoder, &mel, settings, &file)).collect());
        }
        for chunk in [12, 24, 96] {
            let Some(name) = named(&format!("first sound of {chunk:<2} frames")) else { continue };
            let layout = ChunkLayout::default().of_chunk(Some(chunk));
            println!("{name}: {:.1} ms", 1000.0 * first_sound(&vocoder, &mel, layout));
        }
    }
    if "griffin-lim".contains(&filter) {
        let network = GriffinLim::new(2).expect("the baseline");
        let settings = GriffinLim::effort(Quality::Standard).settings(0);
        let (mel, seconds) = mel_of(network.convention());
        line("griffin-lim, 2 threads", seconds, (0..RUNS).map(|_| run(&network, &mel, settings, &file)).collect());
    }
}

/// Each model in each kind of numbers by one thread and by two.
fn variants() -> impl Iterator<Item = (Builtin, Precision, usize)> {
    let numbers = [(Precision::F32, 1), (Precision::F32, 2), (Precision::Bf16, 1), (Precision::Bf16, 2)];
    Builtin::ALL.into_iter().flat_map(move |model| numbers.map(|(precision, threads)| (model, precision, threads)))
}
