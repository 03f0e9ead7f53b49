//! The presets against the projects' own formulas (tests/fixtures/conventions/make.py), and what recognition makes of theirs and
//! other mels. `CONVENTIONS=3000 cargo test --release --test conventions no_preset -- --nocapture` tries as many conventions that
//! are no preset as are asked for, the same ones each time.

mod guessed;

use audiodiff::{
    audio,
    mel::{
        Concern, Layout, LogBase, MelConvention, MelScale, MelSpectrogram, Origin, check_as, extract, presets,
        recognise::{Ranking, Recording, recognise, recognise_among, rendered_alike},
    },
};
use guessed::guessed;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

fn fixture(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/conventions", name].iter().collect();
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_preset_agrees_with_its_project() {
    for preset in presets::all() {
        let c = &preset.convention;
        let pcm = fixture(&format!("audio_{}.npy", c.sample_rate));
        let pcm: Vec<i16> = npyz::NpyFile::new(&pcm[..]).unwrap().into_vec().unwrap();
        let audio: Vec<f32> = pcm.iter().map(|&s| f32::from(s) / 32768.0).collect();
        let want = fixture(&format!("{}.npy", c.name));
        let want = npyz::NpyFile::new(&want[..]).unwrap();
        let shape = want.shape().to_vec();
        let want: Vec<f32> = want.into_vec().unwrap();

        let mel = extract(&audio, c).unwrap();
        assert_eq!(shape, [mel.frames().div_ceil(4) as u64, c.n_mels as u64], "{}", c.name);
        let tolerance = match c.log {
            // A hundredth of a picture's grey level.
            LogBase::PowerLaw(_) => 0.01 / 255.0,
            // 1e-4 in the natural logarithm, whatever the stored numbers are in.
            _ => 1e-4 * (c.stored_slope().abs() as f32),
        };
        let got = (0..mel.frames()).step_by(4).flat_map(|t| mel.frame(t));
        let worst = got.zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        println!("{:22} {:.1e} of the {tolerance:.1e} allowed", c.name, worst);
        assert!(worst < tolerance, "{}: {worst} away from the project's own numbers", c.name);
    }
}

/// A clip at 24 kHz, and at other rates when they are asked for.
struct Clip {
    name: &'static str,
    at_rate: BTreeMap<u32, Vec<f32>>,
}

impl Clip {
    fn new(name: &'static str, audio: Vec<f32>) -> Self {
        let rates = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
        Self { name, at_rate: rates.map(|r| (r, audio::resample(&audio, 24_000, r).unwrap())).into() }
    }

    fn mel(&self, c: &MelConvention) -> MelSpectrogram {
        extract(&self.at_rate[&c.sample_rate], c).unwrap()
    }

    /// Whether the clip's mels by both lie within 0.1 nats of each other, frame for frame.
    fn is_near(&self, a: &MelConvention, b: &MelConvention) -> bool {
        let same = (a.sample_rate, a.hop, a.n_mels) == (b.sample_rate, b.hop, b.n_mels);
        let distance = || {
            let (x, y) = (self.mel(a), self.mel(b));
            let sum: f64 = x.values().iter().zip(y.values()).map(|(x, y)| f64::from((x - y).abs())).sum();
            sum / x.values().len().max(1) as f64 / a.stored_slope().abs()
        };
        same && distance() <= 0.1
    }

    fn recording(&self) -> Recording {
        Recording { samples: self.at_rate[&24_000].clone(), sample_rate: 24_000 }
    }
}

fn sample(name: &str) -> Vec<f32> {
    audio::read_at(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name).as_path(), 24_000).unwrap().samples
}

/// Speech, music, both of them quiet and loud, and with a hiss in which no band ever falls silent.
fn clips() -> Vec<Clip> {
    let scaled = |x: &[f32], peak: f32| {
        let top = x.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        x.iter().map(|v| v * peak / top).collect::<Vec<f32>>()
    };
    let hissing = |x: &[f32]| {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        x.iter().map(|v| v + 0.003 * noise()).collect::<Vec<f32>>()
    };
    let padded = |x: &[f32]| [&[0.0; 7200][..], x, &[0.0; 4800]].concat();
    let (english, german, synthetic, music) =
        (sample("speech-en.wav"), sample("speech-de.flac"), sample("speech-synthetic.wav"), sample("music.wav"));
    vec![
        Clip::new("speech", english.clone()),
        Clip::new("speech, other", german.clone()),
        Clip::new("speech, synthetic", synthetic),
        Clip::new("speech between silence", padded(&german)),
        Clip::new("speech, quiet", scaled(&english, 0.02)),
        Clip::new("speech, quiet, silence", padded(&scaled(&english, 0.02))),
        Clip::new("speech, loud", scaled(&english, 1.0)),
        Clip::new("speech, no silence", hissing(&german)),
        Clip::new("music", music.clone()),
        Clip::new("music between silence", padded(&music)),
        Clip::new("music, quiet", scaled(&music, 0.02)),
        Clip::new("music, loud", scaled(&music, 1.0)),
        Clip::new("music, no silence", hissing(&music)),
    ]
}

/// The array as its program stores it.
fn stored(mel: &MelSpectrogram, layout: Layout) -> (Vec<usize>, Vec<f32>) {
    match layout {
        Layout::BandsFirst => (vec![mel.n_mels(), mel.frames()], mel.band_major()),
        Layout::FramesFirst => (vec![mel.frames(), mel.n_mels()], mel.values().to_vec()),
    }
}

/// Whether `a` for `b` is no mistake: rendered alike, or half a hop beside it, or with other numbers in the first and last frames
/// alone.
fn agrees(a: &MelConvention, b: &MelConvention) -> bool {
    let (framing, zero_padding, symmetric_window) = (b.framing, b.zero_padding, b.symmetric_window);
    rendered_alike(&MelConvention { framing, zero_padding, symmetric_window, ..a.clone() }, b)
}

/// What became of mels that were asked about.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    open: usize,
    wrong: Vec<String>,
    /// Certain and right but for the hop, which single frames don't tell and which the answer says it takes for granted.
    other_hop: usize,
    /// Not certain, but taken for the built-in model's own: rightly and wrongly.
    own: [usize; 2],
    /// Not certain, but the only preset that nothing contradicts: what choosing by elimination would get right, and wrong.
    eliminated: [usize; 2],
}

impl Tally {
    fn count(&mut self, ranking: &Ranking, truth: &MelConvention, clip: &Clip) {
        match (ranking.certain(), ranking.not_contradicted(&MelConvention::native())) {
            (Some(certain), _) if agrees(certain.convention, truth) || clip.is_near(certain.convention, truth) => {
                self.right += 1;
            }
            (Some(certain), _) if agrees(&MelConvention { hop: truth.hop, ..certain.convention.clone() }, truth) => {
                assert!(ranking.takes_hop_for_granted());
                self.other_hop += 1;
            }
            (Some(certain), _) => {
                self.wrong.push(format!("{} by {truth:?} is called {}", clip.name, certain.convention.name));
            }
            (None, own) => {
                self.open += 1;
                if let Some(own) = own {
                    self.own[usize::from(!agrees(own.convention, truth))] += 1;
                }
                let head = ranking.candidates.first().and_then(|head| ranking.not_contradicted(head.convention));
                if let Some(last) = head {
                    self.eliminated[usize::from(!agrees(last.convention, truth))] += 1;
                }
            }
        }
    }

    fn print(&self, of: &str) {
        let ([own, taken], [rightly, wrongly]) = (self.own, self.eliminated);
        let (right, open, hop, wrong) = (self.right, self.open, self.other_hop, self.wrong.len());
        println!(
            "{of:34} right {right:4}, open {open:4} (the model's own {own}, taken for it {taken}; one preset left: the right one \
             {rightly}, another {wrongly}), wrong {wrong}, the hop alone {hop}"
        );
    }
}

/// Clips enough to tell: two seconds of each third, of which two begin with silence.
fn few_clips() -> Vec<Clip> {
    let cut = |clip: Clip| Clip::new(clip.name, clip.at_rate[&24_000].iter().copied().take(48_000).collect());
    clips().into_iter().step_by(3).map(cut).collect()
}

#[test]
fn certain_recognition_is_never_wrong() {
    let mut ruled_out = vec![];
    let mut tallies = [Tally::default(), Tally::default()];
    let clips = few_clips();
    for (i, preset) in presets::all().iter().filter(|p| !p.convention.falling_bands).enumerate() {
        let c = &preset.convention;
        for clip in [&clips[i % clips.len()], &clips[(i + 1) % clips.len()]] {
            let (shape, values) = stored(&clip.mel(c), c.layout);
            for (tally, recording) in tallies.iter_mut().zip([None, Some(clip.recording())]) {
                let ranking = recognise(&shape, &values, recording.as_ref());
                tally.count(&ranking, c, clip);
                if !ranking.possible().any(|p| agrees(p.convention, c)) {
                    let truth = ranking.candidates.iter().find(|p| p.convention.name == c.name).unwrap();
                    ruled_out.push(format!("{} of {}: {:?}", c.name, clip.name, truth.reasons));
                }
            }
        }
    }
    let [alone, recorded] = &tallies;
    alone.print("presets");
    recorded.print("presets, with the recording");
    assert!(ruled_out.is_empty(), "the truth is called impossible: {ruled_out:#?}");
    assert!(alone.wrong.is_empty() && recorded.wrong.is_empty(), "{:#?} {:#?}", alone.wrong, recorded.wrong);
    assert!(alone.right > 0, "nothing is proven by its numbers");
    // A recording leaves nothing open.
    assert_eq!(recorded.open, 0);
}

/// The recording of another sound of the same length: what the numbers prove by themselves is contradicted then.
#[test]
fn a_recording_that_agrees_with_no_preset_leaves_all_open() {
    let mut taken = 0;
    for clip in few_clips() {
        let backwards = clip.at_rate[&24_000].iter().rev().copied().collect();
        let other = Recording { samples: backwards, sample_rate: 24_000 };
        for preset in presets::all().iter().filter(|p| !p.convention.falling_bands) {
            let (c, own) = (&preset.convention, MelConvention::native());
            let (shape, values) = stored(&clip.mel(c), c.layout);
            let known = |ranking: &Ranking| ranking.certain().or(ranking.not_contradicted(&own)).is_some();
            taken += usize::from(known(&recognise(&shape, &values, None)));
            let ranking = recognise(&shape, &values, Some(&other));
            assert!(!known(&ranking), "{} of {}: {:?}", c.name, clip.name, ranking.notes);
        }
    }
    assert!(taken > 0, "nothing is taken without a recording");
}

#[test]
fn a_convention_that_is_no_preset_is_never_certain() {
    let clips = few_clips();
    let mut tallies = [Tally::default(), Tally::default()];
    for (i, preset) in presets::all().iter().filter(|p| !p.convention.falling_bands).enumerate() {
        let (c, clip) = (&preset.convention, &clips[i % clips.len()]);
        let others = || presets::all().iter().filter(|p| p.name() != preset.name());
        let (shape, values) = stored(&clip.mel(c), c.layout);
        for (tally, recording) in tallies.iter_mut().zip([None, Some(clip.recording())]) {
            tally.count(&recognise_among(others(), &shape, &values, None, recording.as_ref()), c, clip);
        }
    }
    tallies[0].print("left out");
    tallies[1].print("left out, with the recording");
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let mut near = [Tally::default(), Tally::default()];
    let clips: Vec<Clip> = clips.into_iter().chain([tones_and_noise()]).collect();
    let count = std::env::var("CONVENTIONS").map_or(60, |n| n.parse().expect("CONVENTIONS is a number"));
    for i in 0..count {
        let (c, clip) = (near_a_preset(&mut random), &clips[i % clips.len()]);
        let (shape, values) = stored(&clip.mel(&c), c.layout);
        for (tally, recording) in near.iter_mut().zip([None, Some(clip.recording())]) {
            tally.count(&recognise(&shape, &values, recording.as_ref()), &c, clip);
        }
    }
    near[0].print("random, near presets");
    near[1].print("random, near, with the recording");
    for tally in tallies.iter().chain(&near) {
        // Beyond chance: one in a thousand, so none of a few.
        let total = tally.right + tally.open + tally.wrong.len();
        assert!(1000 * tally.wrong.len() <= total, "{:#?}", tally.wrong);
    }
}

/// A sweep over four octaves, hiss that comes and goes, and silence.
fn tones_and_noise() -> Clip {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut phase = 0.0f64;
    let sound = (0..36_000).map(|i| {
        let s = f64::from(i) / 24_000.0;
        phase += 200.0 * 2f64.powf(s * 8.0 / 3.0) / 24_000.0;
        let hiss = f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5;
        (0.3 * (std::f64::consts::TAU * phase).sin() + 0.2 * hiss * (3.0 * s).sin().max(0.0)) as f32
    });
    Clip::new("tones and noise", sound.chain(std::iter::repeat_n(0.0, 12_000)).collect())
}

/// A preset with one to three of its numbers changed to others that are about.
fn near_a_preset(random: &mut ChaCha8Rng) -> MelConvention {
    let mut pick = |n: usize| random.next_u32() as usize % n;
    loop {
        let base = &presets::all()[pick(presets::all().len())].convention;
        let mut c = base.clone();
        for _ in 0..=pick(3) {
            match pick(11) {
                0 => c.sample_rate = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000][pick(6)],
                1 => c.f_min = [0.0, 20.0, 30.0, 40.0, 50.0, 80.0, 125.0][pick(7)],
                2 => c.f_max = [7600.0, 8000.0, 11_025.0, 12_000.0, 16_000.0, 20_000.0][pick(6)],
                3 => c.f_max = f64::from(c.sample_rate) / 2.0,
                4 => {
                    let n_fft = [1024, 2048, 1920, 1280][pick(4)];
                    (c.n_fft, c.win_length, c.hop) = (n_fft, n_fft, n_fft / 4);
                }
                5 => (c.scale, c.area_norm) = [(MelScale::Htk, false), (MelScale::Slaney, true)][pick(2)],
                6 => c.area_norm = !c.area_norm,
                7 => c.scale = [MelScale::Htk, MelScale::Slaney, MelScale::HtkMelTriangles][pick(3)],
                8 => c.hop = [128, 160, 200, 240, 256, 275, 300, 320, 441, 480, 512][pick(11)],
                9 => c.floor = [1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10][pick(6)],
                _ => c.log = [LogBase::Natural, LogBase::Ten][pick(2)],
            }
        }
        // Frames that overlap by less than half are nobody's but Magenta's.
        if c.validate().is_ok() && !c.falling_bands && c.n_fft < 4096 && 2 * c.hop <= c.win_length {
            return c;
        }
    }
}

#[test]
fn looped_sound_has_no_floor_for_coming_back() {
    // A hop-aligned loop of hissing speech: every band's lowest value comes 50 times.
    let c = presets::named("hifigan-22k").unwrap();
    let clips = clips();
    let hissing = clips.iter().find(|clip| clip.name == "speech, no silence").unwrap();
    let once = hissing.mel(c).slice(20..60);
    let values = (0..50).flat_map(|_| once.values().to_vec()).collect();
    let tiled = MelSpectrogram::new(values, c.n_mels);
    let ranking = recognise(&[tiled.frames(), c.n_mels], tiled.values(), None);
    assert!(ranking.possible().any(|p| p.convention.name == c.name), "{:?}", ranking.candidates);
    check_as("x.npy", &tiled, c, Origin::Stated).unwrap();
    check_as("x.npy", &tiled, c, Origin::Assumed).unwrap();
}

#[test]
fn nothing_that_a_network_writes_is_refused() {
    let clips = few_clips();
    for (i, preset) in presets::all().iter().enumerate() {
        let (c, clip) = (&preset.convention, &clips[i % clips.len()]);
        let mel = clip.mel(c);
        for noise in [0.05, 0.2] {
            let findings = check_as("x.npy", &guessed(&mel, c, noise), c, Origin::Stated);
            let findings = findings.unwrap_or_else(|e| panic!("{} of {}: {e}", c.name, clip.name));
            // Louder than full scale by more than its noise would be lowered.
            let loud = findings.iter().find(|f| f.concern == Concern::AboveFullScale);
            assert!(loud.is_none(), "{} of {}: {loud:?}", c.name, clip.name);
        }
    }
}
