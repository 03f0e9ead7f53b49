//! Every metric against what is known of it: identity, a known change, the figures of the public Python programs.
//!
//! The renderings are made from the clips in `samples/` by recipes simple enough to be written again in NumPy, so the
//! Python figures beside them can be made again.

mod common;

use audiodiff::{eval, mel};
use common::{degraded, sample};

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
    assert_eq!(
        say(&reference, &vec![0.0; 24_000]),
        "rendering: silence, expected at least 0.25 s of speech for PESQ"
    );
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
        let given = mel::extract(&reference, &mel::MelConvention::native()).unwrap();
        assert_eq!(eval::mel_l1(&given, &reference), Some(0.0));
        for (recipe, expected) in ["noise", "coarse", "dull", "late"].into_iter().zip(expected) {
            let rendered = &degraded(&reference, recipe)[..reference.len()];
            let distance = eval::mel_l1(&given, rendered).unwrap();
            // The project's tolerance for mel_l1. float32 against float64 under a logarithm's floor.
            assert!((distance - expected).abs() < 0.002, "{clip} {recipe}: {distance}, NumPy says {expected}");
        }
    }
}

#[test]
fn mel_l1_of_nothing_is_nothing() {
    let given = mel::MelSpectrogram::new(vec![], 100);
    assert_eq!(eval::mel_l1(&given, &[0.0; 1000]), None);
}
