//! Every stage against the values of the reference implementation; `golden/README.md` gives their tolerances.

use audiodiff::{
    card::{Effort, ModelCard},
    diffusion::*,
    dsp::threads::Threads,
    mel::{MelConvention, MelSpectrogram, extract, filterbank::filterbank, presets},
    model::{DeviceChoice, Diffusion, Precision, RuntimeOptions},
    render,
    vocoder::{Identity, MelRefiner, RenderOptions, Rendering, Vocoder},
};
use std::sync::Arc;

const N_FRAMES: usize = 65;

/// The file's numbers in C order, and its shape.
fn golden(name: &str) -> (Vec<f32>, Vec<u64>) {
    let path = format!("{}/tests/golden/{name}.npy", env!("CARGO_MANIFEST_DIR"));
    let file = npyz::NpyFile::new(std::fs::File::open(&path).unwrap()).unwrap();
    let shape = file.shape().to_vec();
    assert_eq!(file.order(), npyz::Order::C);
    (file.into_vec::<f32>().unwrap(), shape)
}

fn values(name: &str) -> Vec<f32> {
    golden(name).0
}

/// [rows, columns] -> [columns, rows]
fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
}

/// Largest absolute difference over the largest absolute value.
fn relative_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(0.0f32, |a, v| a.max(v.abs()));
    got.iter().zip(want).fold(0.0f32, |a, (g, w)| a.max((g - w).abs())) / scale
}

#[track_caller]
fn assert_near(got: &[f32], want: &[f32], tolerance: f32) {
    let error = relative_error(got, want);
    eprintln!("relative error {error:e} of {tolerance:e}");
    assert!(error <= tolerance, "relative error {error}, tolerance {tolerance}");
}

fn mel() -> MelSpectrogram {
    MelSpectrogram::from_band_major(&values("mel/mel"), 100)
}

fn vocoder(threads: usize) -> Diffusion {
    Diffusion::builtin(&RuntimeOptions { device: DeviceChoice::Cpu, precision: Precision::F32, threads }).unwrap()
}

/// The reference's noise, [K, T', 2] a step.
struct GoldenNoise(Vec<Vec<f32>>);

impl GoldenNoise {
    fn load() -> Self {
        Self((0..4).map(|i| values(&format!("prior/noise_{i}"))).collect())
    }
}

impl Noise for GoldenNoise {
    fn fill(&self, step: usize, frame: u64, out: &mut [f32]) {
        let frames = self.0[step].len() / out.len();
        for (k, pair) in out.chunks_exact_mut(2).enumerate() {
            let at = (k * frames + frame as usize) * 2;
            pair.copy_from_slice(&self.0[step][at..at + 2]);
        }
    }
}

/// Keeps every waveform of a trajectory.
#[derive(Default)]
struct Keep(Vec<(usize, Stage, Vec<f32>)>);

impl Observer for Keep {
    fn see(&mut self, step: usize, _: f32, stage: Stage, x: &[f32]) {
        self.0.push((step, stage, x.to_vec()));
    }
}

const REFERENCE: SamplerSettings =
    SamplerSettings { start_iterations: 0, steps: 4, iterations: 8, final_iterations: 16, seed: 0 };

/// The built-in model with numbers of its sampler mapped to others.
struct Altered {
    vocoder: Diffusion,
    /// Of the weight that an estimate's own magnitude has.
    blend: fn(f32) -> f32,
    entry: fn(f32) -> f32,
    start: fn(Start) -> Start,
    momentum: fn(f32) -> f32,
    renewal: fn(usize) -> usize,
    /// Of what the refiner adds to a converted mel.
    refinement: fn(f32) -> f32,
}

impl Altered {
    fn not_at_all(vocoder: Diffusion) -> Self {
        Self {
            vocoder,
            blend: |own| own,
            entry: |own| own,
            start: |own| own,
            momentum: |own| own,
            renewal: |own| own,
            refinement: |own| own,
        }
    }
}

impl Network for Altered {
    type Condition = <Diffusion as Network>::Condition;

    fn convention(&self) -> &MelConvention {
        self.vocoder.convention()
    }

    fn grid(&self) -> Grid {
        self.vocoder.grid()
    }

    fn threads(&self) -> &Threads {
        Network::threads(&self.vocoder)
    }

    fn blend(&self, t: f32) -> f32 {
        (self.blend)(self.vocoder.blend(t))
    }

    fn entry(&self) -> f32 {
        (self.entry)(self.vocoder.entry())
    }

    fn start(&self) -> Start {
        (self.start)(self.vocoder.start())
    }

    fn momentum(&self) -> f32 {
        (self.momentum)(self.vocoder.momentum())
    }

    fn renewal(&self) -> usize {
        (self.renewal)(self.vocoder.renewal())
    }

    fn encode(&self, mel: &MelSpectrogram) -> audiodiff::Result<Encoded<Self::Condition>> {
        self.vocoder.encode(mel)
    }

    fn denoise(&self, whitened: &[f32], condition: &Self::Condition, t: f32) -> audiodiff::Result<Vec<f32>> {
        self.vocoder.denoise(whitened, condition, t)
    }
}

impl Vocoder for Altered {
    fn card(&self) -> &ModelCard {
        self.vocoder.card()
    }

    fn identity(&self) -> &Identity {
        self.vocoder.identity()
    }

    fn render(
        self: Arc<Self>,
        source: Box<dyn MelSource>,
        options: &RenderOptions,
    ) -> audiodiff::Result<Box<dyn Rendering>> {
        let settings = SamplerSettings::of_effort(options.effort(self.card()), options.seed)?;
        Ok(Box::new(Renderer::new(self, source, settings, ChunkLayout::default())?))
    }

    fn refiner(&self) -> Option<&dyn MelRefiner> {
        Some(self)
    }

    fn projection_iterations(&self, effort: &Effort) -> usize {
        self.vocoder.projection_iterations(effort)
    }
}

impl MelRefiner for Altered {
    fn reach(&self) -> usize {
        self.vocoder.reach()
    }

    fn refine(&self, rows: &[f32]) -> audiodiff::Result<Vec<f32>> {
        Ok(self.vocoder.refine(rows)?.into_iter().map(self.refinement).collect())
    }
}

fn render(layout: ChunkLayout, threads: usize) -> (Vec<f32>, Keep) {
    // The reference weighs an estimate's own magnitude by a half at every step, once.
    let network = Altered { blend: |_| 0.5, renewal: |_| 0, ..Altered::not_at_all(vocoder(threads)) };
    let noise = GoldenNoise::load();
    let source = WholeMel::new(mel());
    let mut renderer = Renderer::with(&network, source, REFERENCE, layout, noise, Keep::default()).unwrap();
    let audio = renderer.by_ref().map(|chunk| chunk.unwrap()).collect::<Vec<_>>().concat();
    (audio, std::mem::take(renderer.observer()))
}

#[test]
fn filters() {
    let native = MelConvention::native();
    assert_near(&transposed(&filterbank(&native), native.bins()), &values("filters/filterbank"), 1e-5);
    let grid = Grid { n_fft: 512, hop: 128 };
    // The envelope of one band at a time is the weight matrix, band by band.
    let (want, floor) = (values("filters/envelope_weights"), 2e-5);
    for m in 0..100 {
        let mut frame = vec![f32::NEG_INFINITY; 100];
        frame[m] = 0.0;
        let got = Envelope::new(&native, grid).of(&MelSpectrogram::new(frame, 100));
        for (k, g) in got.iter().enumerate() {
            assert!((g - floor - want[k * 100 + m]).abs() < 1e-5, "band {m} bin {k}");
        }
    }
}

#[test]
fn encode() {
    let encoded = vocoder(2).encode(&mel()).unwrap();
    assert_near(&encoded.log_magnitude, &transposed(&values("encode/log_mag"), N_FRAMES), 1e-3);
    let envelope = Envelope::new(&MelConvention::native(), Grid { n_fft: 512, hop: 128 }).of(&mel());
    assert_near(&envelope, &transposed(&values("encode/env"), 2 * N_FRAMES - 1), 1e-3);
}

#[test]
fn prior_and_whole_sample() {
    let (audio, seen) = render(ChunkLayout::default().of_chunk(Some(96)), 1);
    assert_eq!((seen.0[0].0, seen.0[0].1), (0, Stage::Noisy));
    assert_near(&seen.0[0].2, &values("prior/x0"), 1e-4);
    assert_near(&audio, &values("sample/audio"), 1e-2);
}

#[test]
fn denoise() {
    // The network's own share of the path: whitening, prediction, colouring.
    use audiodiff::dsp::stft::Stft;
    use rustfft::num_complex::Complex32;
    let (network, stft) = (vocoder(2), Stft::new(512, 128));
    let envelope = Envelope::new(network.convention(), network.grid()).of(&mel());
    let spectrum = stft.forward(&values("denoise/x_t"));
    let mut whitened = vec![];
    for (s, e) in spectrum.chunks_exact(257).zip(envelope.chunks_exact(257)) {
        whitened.extend(s.iter().zip(e).map(|(s, e)| s.re / e));
        whitened.extend(s.iter().zip(e).map(|(s, e)| s.im / e));
    }
    let encoded = network.encode(&mel()).unwrap();
    let out = network.denoise(&whitened, &encoded.condition, values("denoise/t")[0]).unwrap();
    let mut estimate = vec![];
    for (row, e) in out.chunks_exact(514).zip(envelope.chunks_exact(257)) {
        estimate.extend((0..257).map(|k| Complex32::new(row[k] * e[k], row[257 + k] * e[k])));
    }
    assert_near(&stft.inverse(&estimate, 16_384), &values("denoise/x1"), 1e-3);
}

#[test]
fn project() {
    let log_magnitude = transposed(&values("encode/log_mag"), N_FRAMES);
    for threads in [1, 2] {
        let plan = ProjectionPlan::new(&MelConvention::native());
        let projection = Projection::new(&plan, &mel(), &log_magnitude, 0.99, Past::default());
        for (iterations, tolerance) in [(0, 1e-3), (1, 1e-3), (8, 1e-2)] {
            let mut x = values("denoise/x1");
            projection.project(&mut x, 0.5, iterations, &Threads::new(threads));
            assert_near(&x, &values(&format!("project/y_{iterations}")), tolerance);
        }
    }
}

#[test]
fn chunks() {
    let (audio, _) = render(ChunkLayout { chunk: 24, longest: 24, past: 16, ahead: 8, fade: 256 }, 1);
    let want = values("render/audio");
    assert_near(&audio[..4096], &want[..4096], 1e-3);
    // A frame near the seam is a fork: 1e-7 on the mel moves 500 samples by 0.08.
    let scale = want.iter().fold(0.0f32, |a, v| a.max(v.abs()));
    let worst = audio.iter().zip(&want).fold(0.0f32, |a, (g, w)| a.max((g - w).abs()));
    assert!(worst / scale <= 0.15, "{}", worst / scale);
    let log_mel = |audio: &[f32]| extract(audio, &MelConvention::native()).unwrap().into_values();
    let (got, wanted) = (log_mel(&audio), log_mel(&want));
    let mean = got.iter().zip(&wanted).map(|(g, w)| (g - w).abs()).sum::<f32>() / got.len() as f32;
    assert!(mean <= 0.02, "log-mel off by {mean} on average");
}

/// Renderings of `golden/shipped`: 110 frames, which are two chunks, of three mels.
const SHIPPED: [(&str, &str); 3] = [("speech", "f5-tts"), ("music", "f5-tts"), ("foreign", "hifigan-22k")];

/// By quality, of the first samples and of the log mel: see golden/README.md.
const SHIPPED_TOLERANCES: [(&str, f64, f64); 2] = [("draft", 0.002, 0.003), ("standard", 0.01, 0.015)];

/// How far a rendering is from the golden one: the root of the mean square of what the first 16,384 samples differ by, over
/// that of the samples, and the mean difference of the log mels in nats.
fn from_shipped(vocoder: Arc<dyn Vocoder>, (name, convention): (&str, &str), quality: &str) -> (f64, f64) {
    let convention = presets::named(convention).unwrap();
    let mel = MelSpectrogram::from_band_major(&values(&format!("shipped/{name}")), convention.n_mels);
    let efforts = &vocoder.card().efforts;
    let effort = Some(if quality == "draft" { efforts.draft.clone() } else { efforts.standard.clone() });
    let options = RenderOptions { effort, ..RenderOptions::default() };
    let renderer = render::Renderer::new(vocoder, Box::new(WholeMel::new(mel)), convention, &options).unwrap();
    let got = renderer.flat_map(|sound| sound.unwrap().into_mono()).collect::<Vec<_>>();
    let wav = format!("{name}.{quality}.wav");
    let want = audiodiff::audio::read(format!("{}/tests/golden/shipped/{wav}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!((got.len(), convention.sample_rate), (want.samples.len(), want.sample_rate), "{wav}");
    let energy = |x: &mut dyn Iterator<Item = f32>| x.take(16_384).map(|v| f64::from(v).powi(2)).sum::<f64>();
    let apart = energy(&mut got.iter().zip(&want.samples).map(|(g, w)| g - w));
    let share = (apart / energy(&mut want.samples.iter().copied())).sqrt();
    let log_mel = |audio: &[f32]| extract(audio, convention).unwrap().into_values();
    let (got, want) = (log_mel(&got), log_mel(&want.samples));
    let nats = got.iter().zip(&want).map(|(g, w)| f64::from((g - w).abs())).sum::<f64>() / got.len() as f64;
    (share, nats)
}

#[test]
fn what_ships_sounds_as_it_did() {
    let vocoder: Arc<dyn Vocoder> = Arc::new(vocoder(1));
    for (quality, samples, nats) in SHIPPED_TOLERANCES {
        for case in SHIPPED {
            let (apart, mel_apart) = from_shipped(vocoder.clone(), case, quality);
            println!("{}, {quality}: samples {apart:.1e} of {samples}, mel {mel_apart:.1e} of {nats}", case.0);
            assert!(apart <= samples && mel_apart <= nats, "{}, {quality}: {apart}, {mel_apart} nats", case.0);
        }
    }
}

/// Phases that each channel finds for itself have little in common; those of the noise, which both share, have.
#[test]
fn channels_of_a_stereo_mel_begin_with_the_noise_that_they_share() {
    let convention = MelConvention::native();
    let render = |vocoder: Arc<dyn Vocoder>, mel: MelSpectrogram, channels: usize| {
        let source = WholeMel::new(mel).of_channels(channels);
        let renderer =
            render::Renderer::new(vocoder, Box::new(source), &convention, &RenderOptions::default()).unwrap();
        let pieces: Vec<_> = renderer.map(|sound| sound.unwrap().channels).collect();
        (0..channels).map(|c| pieces.iter().flat_map(|piece| piece[c].clone()).collect()).collect::<Vec<Vec<f32>>>()
    };
    let quieter = |m: &f32| m - 0.5;
    let left = mel();
    let pairs = left.values().chunks_exact(100).flat_map(|f| [f.to_vec(), f.iter().map(quieter).collect()].concat());
    let stereo = render(Arc::new(vocoder(1)), MelSpectrogram::new(pairs.collect(), 200), 2);
    let from_noise = Altered { start: |_| Start::Noise, ..Altered::not_at_all(vocoder(1)) };
    assert_eq!(stereo[0], render(Arc::new(from_noise), mel(), 1)[0]);
    assert_ne!(stereo[0], render(Arc::new(vocoder(1)), mel(), 1)[0]);
}

/// That the tolerances are narrow enough: a small change of each number that shapes the sound is beyond them.
#[test]
fn a_small_change_of_what_ships_is_seen() {
    type Change = fn(Altered) -> Altered;
    let [speech, _, foreign] = SHIPPED;
    let [draft, standard] = SHIPPED_TOLERANCES;
    let changes: [(&str, _, _, Change); 6] = [
        ("blend", draft, speech, |a| Altered { blend: |own| own + 0.02, ..a }),
        // Draft has no step that it could be the time of.
        ("entry", standard, speech, |a| Altered { entry: |own| own + 0.05, ..a }),
        ("start", draft, speech, |a| Altered { start: |_| Start::Noise, ..a }),
        ("momentum", draft, speech, |a| Altered { momentum: |own| own - 0.01, ..a }),
        ("renewal", draft, speech, |a| Altered { renewal: |own| own + 1, ..a }),
        ("refinement", draft, foreign, |a| Altered { refinement: |own| own * 1.05, ..a }),
    ];
    for (what, (quality, tolerance, _), case, change) in changes {
        let (apart, _) = from_shipped(Arc::new(change(Altered::not_at_all(vocoder(1)))), case, quality);
        println!("{what}, {quality}: {apart:.1e} of {tolerance}");
        assert!(apart > tolerance, "{what}, {quality}: {apart}, tolerance {tolerance}");
    }
}
