//! Known answers for each augmentation: what was asked for, measured on what came out.

use super::*;
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

const RATE: u32 = 24_000;
/// A training window.
const WINDOW: usize = 16_896;

/// Nobody stops.
fn go_on() -> AtomicBool {
    AtomicBool::new(false)
}

fn only(change: impl FnOnce(&mut AugmentSettings)) -> Augmenter {
    let mut settings = AugmentSettings::default();
    change(&mut settings);
    Augmenter::new(&settings, RATE, None, &go_on()).unwrap()
}

fn at(value: f32) -> Interval {
    Interval::new(value, value)
}

fn voice(hz: f64, n: usize) -> Vec<f32> {
    let harmonic = |i: usize, k: f64| (TAU * hz * k / f64::from(RATE) * i as f64).sin() / k;
    (0..n).map(|i| 0.1 * (1..40).map(|k| harmonic(i, f64::from(k))).sum::<f64>() as f32).collect()
}

fn speech() -> Vec<f32> {
    let path = format!("{}/samples/speech-en.wav", env!("CARGO_MANIFEST_DIR"));
    crate::audio::read(path).unwrap().samples
}

fn power(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / x.len() as f64
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

/// Power in each bin of a Hann-windowed transform of the whole.
fn spectrum(x: &[f32]) -> Vec<f64> {
    let hann = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / x.len() as f64).cos();
    let mut windowed: Vec<f64> = x.iter().enumerate().map(|(i, &x)| f64::from(x) * hann(i)).collect();
    let plan = RealFftPlanner::<f64>::new().plan_fft_forward(x.len());
    let mut out = plan.make_output_vec();
    plan.process(&mut windowed, &mut out).unwrap();
    out.iter().map(|z| z.norm_sqr()).collect()
}

fn band(spectrum: &[f64], low_hz: f64, high_hz: f64) -> f64 {
    let bin = |hz: f64| (hz / f64::from(RATE / 2) * (spectrum.len() - 1) as f64) as usize;
    spectrum[bin(low_hz)..bin(high_hz)].iter().sum()
}

/// Hz of the strongest bin below 1 kHz, between bins by a parabola.
fn fundamental(x: &[f32]) -> f64 {
    let spectrum = spectrum(x);
    let end = spectrum.len() / 12;
    let peak = (1..end).max_by(|&a, &b| spectrum[a].total_cmp(&spectrum[b])).unwrap();
    let [a, b, c] = [-1isize, 0, 1].map(|k| spectrum[peak.saturating_add_signed(k)].ln());
    (peak as f64 + 0.5 * (a - c) / (a - 2.0 * b + c)) * f64::from(RATE) / x.len() as f64
}

#[test]
fn off_is_bit_for_bit_the_same() {
    let clip = speech();
    let off = Augmenter::new(&AugmentSettings::default(), RATE, None, &go_on()).unwrap();
    assert!(off.apply(&clip, 3) == clip);
    assert_eq!(off.plan(3, None), Applied::default());
    assert_eq!(off.input_for(WINDOW), WINDOW);
    // So is a chance of nothing.
    let never = only(|s| s.gain = Some(Gain { db: at(-6.0), chance: 0.0 }));
    assert!((0..50).all(|seed| never.apply(&clip, seed) == clip));
}

fn all(chance: f32) -> Augmenter {
    let settings = AugmentSettings {
        tempo: Some(Tempo { factor: Interval::new(0.9, 1.1), chance }),
        pitch: Some(Pitch { cents: Interval::new(-200.0, 200.0), chance }),
        mix: Some(Mix { level_db: Interval::new(-20.0, -5.0), from: None, chance }),
        reverb: Some(Reverb { chance, ..Reverb::default() }),
        noise: Some(AddedNoise { snr_db: Interval::new(10.0, 30.0), colour: NoiseColour::Pink, from: None, chance }),
        bandwidth: Some(Bandwidth { cut_hz: Interval::new(3000.0, 11_000.0), chance }),
        gain: Some(Gain { db: Interval::new(-12.0, 3.0), chance }),
    };
    let others = Pool::of_clips([("a".into(), voice(130.0, 30_000)), ("b".into(), voice(330.0, 9000))]);
    Augmenter::new(&settings, RATE, Some(Arc::new(others)), &go_on()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_another() {
    let clip = speech();
    let (augmenter, again) = (all(1.0), all(1.0));
    assert!(augmenter.apply(&clip, 5) == again.apply(&clip, 5));
    assert!(augmenter.apply(&clip, 5) != augmenter.apply(&clip, 6));
    assert!(augmenter.apply(&clip, 5).iter().all(|x| x.is_finite()));
    // What one augmentation draws does not depend on the others.
    let alone = only(|s| s.gain = Some(Gain { db: Interval::new(-12.0, 3.0), chance: 1.0 }));
    assert_eq!(alone.plan(5, None).gain_db, augmenter.plan(5, None).gain_db);
}

#[test]
fn a_chance_is_a_share_of_the_clips() {
    let augmenter = all(0.3);
    let plans: Vec<Applied> = (0..2000).map(|seed| augmenter.plan(seed, None)).collect();
    let share = |has: fn(&Applied) -> bool| plans.iter().filter(|plan| has(plan)).count() as f64 / 2000.0;
    for has in [
        |p: &Applied| p.tempo.is_some(),
        |p: &Applied| p.mix.is_some(),
        |p: &Applied| p.reverb.is_some(),
        |p: &Applied| p.noise.is_some(),
        |p: &Applied| p.gain_db.is_some(),
    ] {
        // 0.04 are four standard errors.
        assert!((share(has) - 0.3).abs() < 0.04, "{}", share(has));
    }
    let together = share(|p| p.tempo.is_some() && p.gain_db.is_some());
    assert!((together - 0.09).abs() < 0.03, "independent of one another: {together}");
    assert!(plans.iter().filter_map(|p| p.gain_db).all(|db| (-12.0..=3.0).contains(&db)));
}

/// Every window has its length, whatever the clip's, and windows of a clip are those of a longer one.
#[test]
fn windows_have_the_length_asked_for() {
    let (augmenter, clip) = (all(0.7), speech());
    let needed = augmenter.input_for(WINDOW);
    assert_eq!(needed, (WINDOW as f64 * f64::from(1.1f32)).ceil() as usize);
    for seed in 0..40 {
        let window = augmenter.window(&clip[20_000..20_000 + needed], WINDOW, seed);
        assert_eq!(window.len(), WINDOW);
        assert!(window.iter().all(|x| x.is_finite()));
        assert!(window[WINDOW - 100..].iter().any(|&x| x != 0.0), "filled to its end, seed {seed}");
        for short in [0, 1, 100] {
            assert_eq!(augmenter.window(&clip[..short], WINDOW, seed).len(), WINDOW);
        }
    }
}

#[test]
fn gain_is_in_decibels() {
    let clip = speech();
    for db in [-20.0, -6.0, 6.0] {
        let louder = only(|s| s.gain = Some(Gain { db: at(db), chance: 1.0 })).apply(&clip, 0);
        let factor = 10f32.powf(db / 20.0);
        assert!(clip.iter().zip(&louder).all(|(x, y)| (x * factor - y).abs() <= 1e-6 * y.abs()));
    }
}

#[test]
fn nothing_is_left_above_the_cut_and_all_below() {
    let noise: Vec<f32> = {
        let mut draws = Draws::new(1, Stream::NoiseSpectrum);
        (0..24_000).map(|_| draws.normals().0 * 0.1).collect()
    };
    for cut in [1000.0, 3400.0, 8000.0] {
        let dull = only(|s| s.bandwidth = Some(Bandwidth { cut_hz: at(cut), chance: 1.0 })).apply(&noise, 0);
        assert_eq!(dull.len(), noise.len());
        let (before, after, cut) = (spectrum(&noise), spectrum(&dull), f64::from(cut));
        // The clip itself begins and ends at once, which leaves a trace above 60 dB down.
        let gone = db(band(&after, cut, 11_900.0) / band(&before, cut, 11_900.0));
        let kept = db(band(&after, 50.0, cut - 450.0) / band(&before, 50.0, cut - 450.0));
        assert!(gone < -60.0 && kept.abs() < 0.05, "{cut} Hz: {gone} dB above, {kept} dB below");
    }
    // And it stays in its place.
    let clip = speech();
    let dull = only(|s| s.bandwidth = Some(Bandwidth { cut_hz: at(6000.0), chance: 1.0 })).apply(&clip, 0);
    let product: f64 = clip.iter().zip(&dull).map(|(x, y)| f64::from(x * y)).sum::<f64>() / clip.len() as f64;
    assert!((product / power(&dull) - 1.0).abs() < 0.01, "{}", product / power(&dull));
}

#[test]
fn noise_has_the_ratio_and_the_slope_asked_for() {
    let clip = speech();
    for (colour, per_octave) in [(NoiseColour::White, 0.0), (NoiseColour::Pink, -3.01), (NoiseColour::Brown, -6.02)] {
        for snr in [0.0, 15.0, 30.0] {
            let settings = AddedNoise { snr_db: at(snr), colour, from: None, chance: 1.0 };
            let noisy = only(|s| s.noise = Some(settings)).apply(&clip, 9);
            let noise: Vec<f32> = noisy.iter().zip(&clip).map(|(y, x)| y - x).collect();
            let measured = db(power(&clip) / power(&noise));
            assert!((measured - f64::from(snr)).abs() < 0.01, "{colour}: {measured} dB for {snr}");
            let spectrum = spectrum(&noise);
            // Octaves hold twice as many bins each.
            let octave = |low: f64| db(band(&spectrum, low, 2.0 * low));
            let slope = (octave(3200.0) - octave(200.0)) / 4.0 - 3.01;
            assert!((slope - per_octave).abs() < 0.3, "{colour}: {slope}");
        }
    }
    let silence = vec![0.0; 4800];
    let settings = AddedNoise { snr_db: at(10.0), colour: NoiseColour::Pink, from: None, chance: 1.0 };
    assert_eq!(only(|s| s.noise = Some(settings)).apply(&silence, 1), silence);
}

#[test]
fn pitch_moves_by_the_cents_asked_for_and_the_length_stays() {
    let clip = voice(200.0, 48_000);
    for cents in [-700.0, -200.0, -37.0, 50.0, 300.0, 1200.0] {
        let moved = only(|s| s.pitch = Some(Pitch { cents: at(cents), chance: 1.0 })).apply(&clip, 0);
        assert_eq!(moved.len(), clip.len());
        let measured = 1200.0 * (fundamental(&moved[2000..46_000]) / fundamental(&clip[2000..46_000])).log2();
        assert!((measured - f64::from(cents)).abs() < 3.0, "{measured} cents for {cents}");
        let level = db(power(&moved[2000..46_000]) / power(&clip[2000..46_000]));
        assert!(level.abs() < 0.5, "{level} dB");
    }
}

#[test]
fn tempo_changes_the_length_and_not_the_pitch() {
    let clip = voice(200.0, 48_000);
    for factor in [0.8, 0.95, 1.07, 1.25] {
        let other = only(|s| s.tempo = Some(Tempo { factor: at(factor), chance: 1.0 })).apply(&clip, 0);
        assert_eq!(other.len(), (48_000.0 / f64::from(factor)).round() as usize);
        let inside = 2000..other.len() - 2000;
        let measured = 1200.0 * (fundamental(&other[inside]) / fundamental(&clip[2000..46_000])).log2();
        assert!(measured.abs() < 3.0, "{measured} cents at {factor}");
    }
}

/// On a voice: the pitch track is the old one, moved and stretched.
#[test]
fn speech_keeps_its_melody() {
    let clip = speech();
    let track = |x: &[f32]| {
        let f0: Vec<f32> = crate::eval::pitch::track(x, RATE).f0.into_iter().filter(|&hz| hz > 0.0).collect();
        let mut sorted = f0.clone();
        sorted.sort_by(f32::total_cmp);
        (sorted[sorted.len() / 2], f0.len())
    };
    let (median, voiced) = track(&clip);
    let moved = only(|s| {
        s.pitch = Some(Pitch { cents: at(300.0), chance: 1.0 });
        s.tempo = Some(Tempo { factor: at(0.8), chance: 1.0 });
    });
    let (other, voiced_now) = track(&moved.apply(&clip, 0));
    let cents = 1200.0 * (other / median).log2();
    assert!((cents - 300.0).abs() < 40.0, "{cents} cents");
    let longer = voiced_now as f64 / voiced as f64;
    assert!((longer - 1.25).abs() < 0.08, "voiced {longer} times as long");
}

#[test]
fn a_room_decays_as_asked() {
    let mut click = vec![0.0; 48_000];
    click[0] = 0.5;
    for (rt60_s, direct_db) in [(0.3, 3.0), (0.8, 10.0)] {
        let room = Reverb { rt60_s: at(rt60_s), direct_db: at(direct_db), ..Reverb::default() };
        let response = only(|s| s.reverb = Some(room)).apply(&click, 4);
        assert!((response[0] - 0.5).abs() < 1e-5, "the direct sound is left as it is");
        // What is left from each moment on (Schroeder 1965), at 5 and 35 dB down: half of the 60.
        let mut left: Vec<f64> = response[1..]
            .iter()
            .rev()
            .scan(0.0, |sum, &x| {
                *sum += f64::from(x) * f64::from(x);
                Some(*sum)
            })
            .collect();
        left.reverse();
        let direct = db(0.25 / left[0]);
        assert!((direct - f64::from(direct_db)).abs() < 0.5, "{direct} dB direct for {direct_db}");
        let reached = |down: f64| left.iter().position(|&x| db(x / left[0]) < -down).unwrap() as f64 / f64::from(RATE);
        let measured = 2.0 * (reached(35.0) - reached(5.0));
        assert!((measured / f64::from(rt60_s) - 1.0).abs() < 0.05, "{measured} s for {rt60_s}");
    }
}

#[test]
fn folders_of_rooms_noises_and_sources_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, samples: &[f32], rate: u32| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        samples.iter().for_each(|&x| writer.write_sample(x).unwrap());
        writer.finalize().unwrap();
    };
    // A room that answers once, at half the level, 100 samples later, and was recorded late, quiet and upside down.
    let mut response = vec![0.0; 300];
    (response[50], response[150]) = (-0.25, -0.125);
    write("rooms/hall.wav", &response, RATE);
    let from = |name: &str| Some(folder.path().join(name));
    let mut clip = vec![0.0; 1000];
    clip[10] = 0.8;
    let echoed = only(|s| s.reverb = Some(Reverb { from: from("rooms"), ..Reverb::default() })).apply(&clip, 0);
    for (i, y) in echoed.iter().enumerate() {
        let want = if i == 10 {
            0.8
        } else if i == 110 {
            0.4
        } else {
            0.0
        };
        assert!((y - want).abs() < 1e-5, "{y} at {i}");
    }
    // Noise at another rate, shorter than the clip: ten whole periods.
    write("noises/hum.wav", &voice(50.0, 4800).iter().map(|x| x * 3.0).collect::<Vec<_>>(), 48_000);
    let clip = speech();
    let settings = AddedNoise { snr_db: at(12.0), colour: NoiseColour::White, from: from("noises"), chance: 1.0 };
    let noisy = only(|s| s.noise = Some(settings));
    assert_eq!(noisy.plan(0, None).noise.unwrap().sound, "hum.wav");
    let hum: Vec<f32> = noisy.apply(&clip, 0).iter().zip(&clip).map(|(y, x)| y - x).collect();
    assert!((db(power(&clip) / power(&hum)) - 12.0).abs() < 0.01);
    // 50 Hz for those who take 48 kHz for 24.
    assert!((fundamental(&hum[..24_000]) - 100.0).abs() < 2.0, "{}", fundamental(&hum[..24_000]));
    // Sources: at the level asked for, from the folder.
    write("sources/x.wav", &voice(300.0, 200_000), RATE);
    let mix = Mix { level_db: at(-9.0), from: from("sources"), chance: 1.0 };
    let both = only(|s| s.mix = Some(mix)).apply(&clip, 2);
    let other: Vec<f32> = both.iter().zip(&clip).map(|(y, x)| y - x).collect();
    assert!((db(power(&other) / power(&clip)) + 9.0).abs() < 0.01);
    // An empty folder, and one that is not there.
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for name in ["empty", "missing"] {
        let reverb = Some(Reverb { from: from(name), ..Reverb::default() });
        let error =
            Augmenter::new(&AugmentSettings { reverb, ..Default::default() }, RATE, None, &go_on()).err().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn reading_a_pool_ends_once_it_is_to_stop() {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let from = || Some(samples.clone());
    let stopped = AtomicBool::new(true);
    for settings in [
        AugmentSettings { reverb: Some(Reverb { from: from(), ..Reverb::default() }), ..Default::default() },
        AugmentSettings {
            noise: Some(AddedNoise { snr_db: at(9.0), colour: NoiseColour::White, from: from(), chance: 1.0 }),
            ..Default::default()
        },
        AugmentSettings { mix: Some(Mix { level_db: at(-9.0), from: from(), chance: 1.0 }), ..Default::default() },
    ] {
        let error = Augmenter::new(&settings, RATE, None, &stopped).err().unwrap();
        assert!(matches!(error, crate::Error::Interrupted), "{settings:?}: {error}");
    }
}

/// An even share of each file's start, at the pool's rate, is what reading the whole would have begun with.
#[test]
fn a_pool_holds_what_its_files_begin_with() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..4 {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(folder.path().join(format!("{i}.wav")), spec).unwrap();
        // Longer than a share at 1 Hz less: 900 s of 3600 for each of four.
        (0..20_000).for_each(|n| writer.write_sample((n * (i + 3) % 9_000) as i16).unwrap());
        writer.finalize().unwrap();
    }
    let mut inputs = crate::batch::Inputs::default();
    inputs.add_recordings(folder.path(), None);
    let pool = Pool::of_files(&inputs.found, RATE, &go_on()).unwrap();
    assert_eq!(pool.len(), 4);
    for (i, found) in inputs.found.iter().enumerate() {
        assert_eq!(pool.clip(i), crate::audio::read_at(&found.input, RATE).unwrap().samples);
    }
}

#[test]
fn a_clip_is_not_mixed_with_itself() {
    let pool = |names: &[&str]| Some(Arc::new(Pool::of_clips(names.iter().map(|n| (n.to_string(), vec![0.1; 100])))));
    let settings = AugmentSettings {
        mix: Some(Mix { level_db: at(-6.0), from: None, chance: 1.0 }),
        ..AugmentSettings::default()
    };
    let augmenter = Augmenter::new(&settings, RATE, pool(&["a", "b", "c"]), &go_on()).unwrap();
    let mut others: Vec<String> = (0..100).map(|seed| augmenter.plan(seed, Some("b")).mix.unwrap().sound).collect();
    others.sort();
    others.dedup();
    assert_eq!(others, ["a", "c"]);
    let alone = Augmenter::new(&settings, RATE, pool(&["a"]), &go_on()).unwrap();
    assert_eq!(alone.plan(0, Some("a")).mix, None);
    let error = Augmenter::new(&settings, RATE, None, &go_on()).err().unwrap().to_string();
    assert!(error.contains("no other clips"), "{error}");
}

#[test]
fn settings_are_checked_and_come_from_toml() {
    let refused = |text: &str| {
        let settings: AugmentSettings = toml::from_str(text).unwrap();
        settings.validated(RATE).unwrap_err().to_string()
    };
    for (text, said) in [
        ("gain = { db = [3, -3] }", "gain db: [3, -3]"),
        ("bandwidth = { cut_hz = [100, 4000] }", "within 200 and 12000"),
        ("noise = { snr_db = [10, 20], chance = 2 }", "a chance of 2"),
        ("tempo = { factor = [0, 1] }", "tempo factor"),
        ("pitch = { cents = [nan, 1] }", "pitch cents"),
    ] {
        assert!(refused(text).contains(said), "{}", refused(text));
    }
    assert!(toml::from_str::<AugmentSettings>("reverb = {}").unwrap().reverb == Some(Reverb::default()));
    assert!(toml::from_str::<AugmentSettings>("echo = {}").unwrap_err().to_string().contains("unknown field `echo`"));
    assert_eq!("-6:3".parse(), Ok(Interval::new(-6.0, 3.0)));
    assert_eq!("-6".parse(), Ok(at(-6.0)));
    assert!(["", "3:1", "a:b", "nan", "1:"].iter().all(|text| text.parse::<Interval>().is_err()));
}
