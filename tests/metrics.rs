//! Every metric against what is known of it: identity, a known change, the figures of the public Python programs.
//!
//! The renderings are made from the clips in `samples/` by recipes simple enough to be written again in NumPy, so the
//! Python figures beside them can be made again.

mod common;

use audiodiff::{eval, mel, sound::Sound};
use common::{degraded, sample, uniform};
use eval::Metric;
use std::{collections::BTreeSet, f64::consts::TAU};

/// `pesq.pesq(16000, resample_poly(x, 2, 3), resample_poly(y, 2, 3), "wb")`, pesq 0.0.4, scipy 1.17.1.
#[test]
fn pesq_is_the_python_packages() {
    let figures = [
        ("speech-en.wav", [1.5532, 2.3777, 4.6341, 4.6337]),
        ("speech-synthetic.wav", [1.1313, 1.5386, 4.6381, 4.6346]),
    ];
    for (clip, expected) in figures {
        let (reference, rate) = sample(clip);
        for (recipe, expected) in ["noise", "coarse", "dull", "late"].into_iter().zip(expected) {
            let score = eval::pesq_wb(&reference, &degraded(&reference, recipe), rate).unwrap();
            // The project's tolerance for PESQ. The crate sums in another order than the C code.
            assert!((score - expected).abs() < 0.02, "{clip} {recipe}: {score}, Python says {expected}");
        }
    }
}

#[test]
fn pesq_of_a_signal_with_itself_is_the_scales_end() {
    let (reference, rate) = sample("speech-en.wav");
    let score = eval::pesq_wb(&reference, &reference, rate).unwrap();
    // P.862.2: 0.999 + 4 / (1 + exp(-1.3669 * 4.5 + 3.8224)) = 4.644.
    assert!((score - 4.644).abs() < 1e-3, "{score}");
}

#[test]
fn pesq_says_what_it_cannot_score() {
    let (reference, rate) = sample("speech-en.wav");
    let say = |a: &[f32], b: &[f32]| eval::pesq_wb(a, b, rate).unwrap_err().to_string();
    assert_eq!(say(&reference, &vec![0.0; 24_000]), "rendering: silence, expected at least 0.25 s of speech for PESQ");
    assert_eq!(say(&reference, &[]), "rendering: silence, expected at least 0.25 s of speech for PESQ");
    assert_eq!(
        say(&reference[12_000..13_200], &reference),
        "reference: 0.050 s of sound, expected at least 0.25 s of speech for PESQ"
    );
    let broken: Vec<f32> = reference.iter().map(|x| if *x > 0.1 { f32::NAN } else { *x }).collect();
    assert!(say(&reference, &broken).starts_with("rendering: values that are not finite"));
}

/// `np.abs(log_mel(x) - log_mel(y)).mean()` with the native convention in NumPy.
#[test]
fn mel_l1_is_numpys() {
    let figures = [
        ("speech-en.wav", [1.37779, 1.18008, 0.74350, 1.70454]),
        ("speech-synthetic.wav", [4.07419, 1.36453, 0.60314, 1.64291]),
        ("music.wav", [1.03409, 0.58302, 0.74329, 1.51770]),
    ];
    for (clip, expected) in figures {
        let (reference, _) = sample(clip);
        let native = mel::MelConvention::native();
        let given = mel::extract(&reference, &native).unwrap();
        assert_eq!(eval::mel_l1(&given, &reference, &native), Some(0.0));
        for (recipe, expected) in ["noise", "coarse", "dull", "late"].into_iter().zip(expected) {
            let rendered = &degraded(&reference, recipe)[..reference.len()];
            let distance = eval::mel_l1(&given, rendered, &native).unwrap();
            // The project's tolerance for mel_l1. float32 against float64 under a logarithm's floor.
            assert!((distance - expected).abs() < 0.002, "{clip} {recipe}: {distance}, NumPy says {expected}");
        }
    }
}

#[test]
fn mel_l1_of_nothing_is_nothing() {
    let given = mel::MelSpectrogram::new(vec![], 100);
    assert_eq!(eval::mel_l1(&given, &[0.0; 1000], &mel::MelConvention::native()), None);
}

/// The multi-scale mel of Descript's codec in librosa 0.11 (Slaney filters, 32 to 2048 samples), natural logarithm, mean.
#[test]
fn multi_resolution_mel_is_librosas() {
    let figures = [
        ("speech-en.wav", [1.10624, 0.68190, 0.55981]),
        ("speech-synthetic.wav", [2.35351, 0.47241, 0.37454]),
        ("music.wav", [0.86400, 0.47895, 0.60440]),
    ];
    for (clip, expected) in figures {
        let (reference, rate) = sample(clip);
        assert_eq!(eval::multi_resolution_mel(&reference, &reference, rate).unwrap(), Some(0.0));
        for (recipe, expected) in ["noise", "coarse", "dull"].into_iter().zip(expected) {
            let distance =
                eval::multi_resolution_mel(&reference, &degraded(&reference, recipe), rate).unwrap().unwrap();
            // As for mel_l1; librosa's transform is in single precision.
            assert!((distance - expected).abs() < 0.002, "{clip} {recipe}: {distance}, librosa says {expected}");
        }
    }
}

/// auraloss 0.4.0, `MultiResolutionSTFTLoss()`: the means of its three spectral convergences and log magnitudes.
#[test]
fn stft_distance_is_auraloss() {
    let figures = [
        ("speech-en.wav", [(0.07955, 2.38174), (0.02814, 1.71843), (0.23753, 1.07599)]),
        ("speech-synthetic.wav", [(0.24441, 3.74489), (0.06302, 0.98745), (0.20525, 0.85527)]),
        ("music.wav", [(0.15964, 1.78637), (0.05844, 1.17736), (0.12496, 1.18780)]),
    ];
    for (clip, expected) in figures {
        let (reference, _) = sample(clip);
        let same = eval::stft_distance(&reference, &reference).unwrap();
        assert_eq!((same.spectral_convergence, same.log_magnitude), (0.0, 0.0));
        for (recipe, (convergence, log)) in ["noise", "coarse", "dull"].into_iter().zip(expected) {
            let distance = eval::stft_distance(&reference, &degraded(&reference, recipe)).unwrap();
            // Both in single precision.
            assert!((distance.spectral_convergence - convergence).abs() < 1e-3, "{clip} {recipe}: {distance:?}");
            assert!((distance.log_magnitude - log).abs() < 2e-3, "{clip} {recipe}: {distance:?}");
        }
    }
    assert_eq!(eval::stft_distance(&[], &[0.1]), None);
}

/// `librosa.pyin(resample_poly(x, 2, 3), fmin=50, fmax=1000, sr=16000, frame_length=1024, win_length=512,
/// hop_length=160)`, librosa 0.10.2: V/UV F1, cents, periodicity.
#[test]
fn pitch_is_librosas_pyin() {
    let figures = [
        ("speech-en.wav", [(0.9854, 12.03, 0.0510), (0.9951, 9.10, 0.0211), (0.9728, 14.12, 0.0790)]),
        ("speech-synthetic.wav", [(0.9868, 8.79, 0.1546), (0.9935, 4.29, 0.0611), (1.0, 4.56, 0.0606)]),
    ];
    for (clip, expected) in figures {
        let (reference, rate) = sample(clip);
        let track = eval::pitch::track(&reference, rate);
        let same = eval::pitch::compare(&track, &track);
        assert_eq!((same.vuv_f1, same.pitch_cents, same.periodicity), (Some(1.0), Some(0.0), Some(0.0)));
        for (recipe, (f1, cents, periodicity)) in ["noise", "coarse", "dull"].into_iter().zip(expected) {
            let d = eval::pitch::compare(&track, &eval::pitch::track(&degraded(&reference, recipe), rate));
            // Frames that are voiced with a probability of 1 to 8 % go either way; a run of 15 of them ends this clip.
            assert!((d.vuv_f1.unwrap() - f1).abs() < 0.02, "{clip} {recipe}: {d:?}");
            // librosa gives bins of 10 cents, whose rounding alone has a deviation of 4 cents between two tracks.
            assert!((d.pitch_cents.unwrap() - cents).abs() < 6.0, "{clip} {recipe}: {d:?}");
            assert!((d.periodicity.unwrap() - periodicity).abs() < 0.005, "{clip} {recipe}: {d:?}");
        }
    }
}

/// pyloudnorm 0.2.0, `integrated_loudness` of the one less that of the other.
#[test]
fn everything_at_once() {
    let metrics = Metric::ALL.into_iter().collect();
    for (clip, loudness) in [("speech-en.wav", -7.615), ("music.wav", -6.770)] {
        let (reference, sample_rate) = sample(clip);
        let late = degraded(&reference, "late");
        let sound = |samples: &[f32]| eval::Sound::mono(samples.to_vec(), sample_rate);
        let prepared = eval::Reference::new(clip, &sound(&reference), sample_rate, &metrics).unwrap();
        let score = prepared.score("late", &sound(&late), Some(2.0)).unwrap();
        // 1,000 samples, and the filter's own 2.3.
        assert!((score.delay_ms - 1000.0 / 24.0).abs() < 0.1, "{score:?}");
        assert_eq!(score.problem, None);
        // With the delay out, what is left is half the level (ln 2) and the dullness, at most one after the other.
        assert!(score.value(Metric::MelL1).unwrap() < 0.6932 + 0.7435, "{score:?}");
        // Two implementations of one standard; the last 42 ms are missing here.
        assert!((score.value(Metric::LoudnessDb).unwrap() - loudness).abs() < 0.1, "{score:?}");
        assert!((score.value(Metric::XRealTime).unwrap() - late.len() as f64 / 48_000.0).abs() < 1e-9);
        let silent = prepared.score("silent", &sound(&[0.0; 24_000]), None).unwrap();
        assert_eq!(silent.problem.as_deref(), Some("the rendering is silent"));
        assert!(silent.failed() && Metric::ALL.iter().all(|&m| silent.value(m).is_none()));
        assert_eq!(
            prepared.score("none", &sound(&[]), None).unwrap().problem.as_deref(),
            Some("the rendering is empty")
        );
    }
}

/// A second at 44.1 kHz: a tone that rises from 100 Hz to 20 kHz, one of 220 Hz, noise at -40 dB.
fn wide() -> Vec<f32> {
    let tone = |t: f64| 0.3 * (TAU * (100.0 * t + 10_000.0 * t * t)).sin() + 0.1 * (TAU * 220.0 * t).sin();
    (0..44_100).zip(uniform()).map(|(i, z)| (tone(f64::from(i) / 44_100.0) + 0.01 * z) as f32).collect()
}

fn scored(reference: &Sound, rendering: &Sound) -> eval::FileScore {
    let metrics: BTreeSet<Metric> = Metric::ALL.into_iter().collect();
    eval::Reference::new("file", reference, reference.rate, &metrics).unwrap().score("system", rendering, None).unwrap()
}

/// NumPy, in double precision from the definitions: `mel_l1` by bigvgan-44k-128 with centred frames, `mr_mel`, `stft_sc`,
/// `stft_log`; the same functions give librosa's and auraloss' figures above at 24 kHz.
#[test]
fn the_whole_band_is_numpys() {
    let keys = [Metric::MelL1, Metric::MrMel, Metric::StftSc, Metric::StftLog];
    let figures = [
        ("noise", [0.98195, 0.73440, 0.05091, 1.02682]),
        ("coarse", [0.26852, 0.23819, 0.01400, 0.48985]),
        ("dull", [0.61743, 0.58512, 0.63777, 1.20509]),
    ];
    let reference = Sound::mono(wide(), 44_100);
    for (recipe, expected) in figures {
        let score = scored(&reference, &Sound::mono(degraded(&reference.channels[0], recipe), 44_100));
        assert_eq!((score.sample_rate, score.delay_ms), (44_100, 0.0), "{recipe}");
        assert_eq!(score.mel_convention.as_deref(), Some("bigvgan-44k-128, centred (44100 Hz, 128 bands)"));
        for (key, expected) in keys.into_iter().zip(expected) {
            let value = score.value(key).unwrap();
            // As at 24 kHz: single precision under a logarithm's floor.
            assert!((value - expected).abs() < 0.002, "{recipe}: {key:?} is {value}, NumPy says {expected}");
        }
    }
}

/// Nothing of what differs lies below 12 kHz, where the mels of 24 kHz end.
#[test]
fn what_lies_above_12_khz_is_heard() {
    let reference = wide();
    let squeak = |(i, x): (usize, &f32)| (f64::from(*x) + 0.05 * (TAU * 15_000.0 * i as f64 / 44_100.0).sin()) as f32;
    let rendering = Sound::mono(reference.iter().enumerate().map(squeak).collect(), 44_100);
    let reference = Sound::mono(reference, 44_100);
    let score = scored(&reference, &rendering);
    for metric in [Metric::MelL1, Metric::MrMel, Metric::StftLog] {
        assert!(score.value(metric).unwrap() > 0.02, "{metric:?}: {score:?}");
    }
    let metrics: BTreeSet<Metric> = [Metric::MelL1].into();
    let narrow = eval::Reference::new("file", &reference, 24_000, &metrics).unwrap();
    let narrow = narrow.score("system", &rendering, None).unwrap().value(Metric::MelL1).unwrap();
    assert!(narrow < 0.02, "{narrow}");
}

/// Speech on the left, other speech on the right.
fn stereo() -> Sound {
    let (speech, rate) = sample("speech-en.wav");
    let n = speech.len() / 2;
    Sound { rate, channels: vec![speech[..n].to_vec(), speech[n..2 * n].to_vec()] }
}

#[test]
fn each_of_two_channels_is_scored_and_the_mean_is_given() {
    let reference = stereo();
    let rendering = Sound {
        rate: reference.rate,
        channels: vec![degraded(&reference.channels[0], "noise"), degraded(&reference.channels[1], "coarse")],
    };
    let score = scored(&reference, &rendering);
    assert_eq!((score.channels, score.mixed, score.problem.as_deref()), (2, false, None));
    let channel = |sound: &Sound, i: usize| Sound::mono(sound.channels[i].clone(), sound.rate);
    let alone = [0, 1].map(|i| scored(&channel(&reference, i), &channel(&rendering, i)));
    for metric in [Metric::MelL1, Metric::MrMel, Metric::StftSc, Metric::StftLog, Metric::LoudnessDb] {
        let mean = (alone[0].value(metric).unwrap() + alone[1].value(metric).unwrap()) / 2.0;
        assert_eq!(score.value(metric), Some(mean), "{metric:?}");
        assert!(alone[0].value(metric) != alone[1].value(metric), "{metric:?} would not tell");
    }
    let mixed = scored(&reference.clone().of_channels(1), &rendering.clone().of_channels(1));
    for metric in [Metric::PesqWb, Metric::VuvF1, Metric::F0Cents, Metric::Periodicity] {
        assert_eq!((score.value(metric), score.value(metric).is_some()), (mixed.value(metric), true), "{metric:?}");
    }
}

#[test]
fn channels_that_are_alike_score_what_one_does() {
    let (speech, rate) = sample("speech-en.wav");
    for recipe in ["coarse", "late"] {
        let pair = [Sound::mono(speech.clone(), rate), Sound::mono(degraded(&speech, recipe), rate)];
        let [mono, both] = [1, 2].map(|count| {
            let [reference, rendering] = pair.clone().map(|sound| sound.of_channels(count));
            scored(&reference, &rendering)
        });
        assert_eq!((&mono.values, mono.delay_ms, mono.coverage), (&both.values, both.delay_ms, both.coverage));
        assert_eq!((mono.channels, both.channels), (1, 2));
    }
}

#[test]
fn one_channel_against_two_is_scored_as_their_mixes() {
    let both = stereo();
    let mix = both.clone().of_channels(1);
    let rendering = Sound::mono(degraded(&mix.channels[0], "coarse"), mix.rate);
    let wanted = scored(&mix, &rendering);
    assert_eq!((wanted.channels, wanted.mixed), (1, false));
    for score in [scored(&both, &rendering), scored(&both, &rendering.clone().of_channels(2).of_channels(1))] {
        assert_eq!((score.channels, score.mixed), (1, true));
        assert_eq!(score.values, wanted.values);
    }
    let backwards = scored(&mix, &both);
    assert_eq!((backwards.channels, backwards.mixed, backwards.value(Metric::MelL1)), (1, true, Some(0.0)));
}

/// As the delay is the whole sound's, a channel that tells nothing, or the other one upside down, does not lose it.
#[test]
fn the_delay_is_found_once_for_both_channels() {
    let (speech, rate) = sample("speech-en.wav");
    let inverted: Vec<f32> = speech.iter().map(|x| -x).collect();
    for right in [vec![0.0; speech.len()], inverted] {
        let reference = Sound { rate, channels: vec![speech.clone(), right] };
        let late = |plane: &Vec<f32>| [0.0; 500].into_iter().chain(plane.iter().copied()).collect();
        let rendering = Sound { rate, channels: reference.channels.iter().map(late).collect() };
        let score = scored(&reference, &rendering);
        assert!((score.delay_ms - 500.0 / 24.0).abs() < 1e-9, "{score:?}");
        for metric in [Metric::MrMel, Metric::StftSc, Metric::StftLog, Metric::LoudnessDb] {
            assert_eq!(score.value(metric), Some(0.0), "{metric:?}");
        }
    }
}

/// Every error is without bounds beside no sound at all: the convergence is that of the channel which has some.
#[test]
fn an_empty_channel_does_not_drown_the_other() {
    let (speech, rate) = sample("speech-en.wav");
    let hiss: Vec<f32> = uniform().take(speech.len()).map(|z| (0.001 * z) as f32).collect();
    let coarse = degraded(&speech, "coarse");
    let alone = scored(&Sound::mono(speech.clone(), rate), &Sound::mono(coarse.clone(), rate));
    let reference = Sound { rate, channels: vec![speech, vec![0.0; coarse.len()]] };
    let score = scored(&reference, &Sound { rate, channels: vec![coarse, hiss] });
    assert_eq!(score.value(Metric::StftSc), alone.value(Metric::StftSc));
    assert_eq!(score.value(Metric::LoudnessDb), alone.value(Metric::LoudnessDb));
    // The hiss is heard all the same.
    assert!(score.value(Metric::StftLog).unwrap() > alone.value(Metric::StftLog).unwrap(), "{score:?}");
}

#[test]
fn mel_l1_is_by_the_convention_that_is_asked_for() {
    let (speech, rate) = sample("speech-en.wav");
    let (reference, rendering) = (Sound::mono(speech.clone(), rate), Sound::mono(degraded(&speech, "dull"), rate));
    let metrics: BTreeSet<Metric> = [Metric::MelL1].into();
    let prepared = eval::Reference::new("file", &reference, rate, &metrics).unwrap();
    let by = |convention: &mel::MelConvention| prepared.score_by(convention, "system", &rendering, None).unwrap();
    let default = prepared.score("system", &rendering, None).unwrap();
    assert_eq!(default.mel_convention.as_deref(), Some("f5-tts (24000 Hz, 100 bands)"));
    assert!((default.value(Metric::MelL1).unwrap() - 0.74350).abs() < 0.002, "{default:?}");
    let own = by(mel::presets::named("bigvgan-24k-100").unwrap());
    assert_eq!(own.mel_convention.as_deref(), Some("bigvgan-24k-100 (24000 Hz, 100 bands)"));
    assert!(own.value(Metric::MelL1) != default.value(Metric::MelL1));
    // Another logarithm and scaling of the same bands is the same distance in nats.
    let native = mel::MelConvention::native();
    let affine = Some(mel::Affine { scale: -3.0, offset: 1.0, clip: None });
    let scaled = mel::MelConvention { log: mel::LogBase::Ten, affine, ..native };
    let (scaled, wanted) = (by(&scaled).value(Metric::MelL1).unwrap(), default.value(Metric::MelL1).unwrap());
    assert!((scaled - wanted).abs() < 1e-5, "{scaled}, not {wanted}");
}
