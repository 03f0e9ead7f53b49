//! The presets against the projects' own formulas (tests/fixtures/conventions/make.py).

use audiodiff::{
    audio,
    mel::{
        Layout, LogBase, MelConvention, MelSpectrogram, extract, presets,
        recognise::{AudioLength, Ranking, recognise},
    },
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

    fn length(&self, c: &MelConvention) -> AudioLength {
        AudioLength { samples: self.at_rate[&c.sample_rate].len() as u64, sample_rate: c.sample_rate }
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

/// Whether the answer, where it is certain, is the truth or rendered like it. `None` where it is not certain.
fn right(ranking: &Ranking, truth: &str) -> Option<bool> {
    let certain = ranking.certain()?;
    let names: Vec<&str> =
        [certain].into_iter().chain(ranking.equivalent()).map(|c| c.convention.name.as_str()).collect();
    Some(names.contains(&truth))
}

#[test]
fn certain_recognition_is_never_wrong() {
    let clips = clips();
    let (mut asked, mut certain, mut ruled_out) = ([0; 2], [0; 2], vec![]);
    println!("certain answers of {} clips, without and with the recording's length:", clips.len());
    for preset in presets::all() {
        let c = &preset.convention;
        let mut row = [0; 2];
        for clip in &clips {
            let (shape, values) = stored(&clip.mel(c), c.layout);
            for (i, length) in [None, Some(clip.length(c))].into_iter().enumerate() {
                let ranking = recognise(&shape, &values, length);
                asked[i] += 1;
                match right(&ranking, &c.name) {
                    Some(true) => row[i] += 1,
                    Some(false) => panic!("{} of {} is called {:?}", c.name, clip.name, ranking.certain()),
                    None => {}
                }
                if !ranking.possible().any(|p| p.convention.name == c.name) {
                    let truth = ranking.candidates.iter().find(|p| p.convention.name == c.name).unwrap();
                    ruled_out.push(format!("{} of {}: {:?}", c.name, clip.name, truth.reasons));
                }
            }
        }
        println!("{:22} {:2} {:2}", c.name, row[0], row[1]);
        certain[0] += row[0];
        certain[1] += row[1];
    }
    assert!(ruled_out.is_empty(), "the truth is called impossible: {ruled_out:#?}");
    let undecided = [0, 1].map(|i| 100.0 * f64::from(asked[i] - certain[i]) / f64::from(asked[i]));
    println!("undecided: {:.0} % without the length, {:.0} % with it", undecided[0], undecided[1]);
}
