//! Model files that are broken are refused with one sentence that names the tensor or field, whatever the damage.

mod tiny_model;

use audiodiff::{
    Error,
    card::Effort,
    families,
    mel::{Framing, LogBase, MelConvention, MelSpectrogram, presets},
    model::{DenoiserSize, EncoderSize, ModelCard, ModelFile, Precision, RuntimeOptions, Storage, serialize},
    render::Renderer,
    source::WholeMel,
    vocoder::RenderOptions,
};
use proptest::prelude::*;
use tch::Device;
use tiny_model::{changed, tiny_model as tiny};

/// The length of the JSON header.
fn header_length(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

/// The file with `from` in its header replaced by `to`.
fn with_header(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let end = 8 + header_length(bytes);
    let text = std::str::from_utf8(&bytes[8..end]).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    let text = text.replacen(from, to, 1);
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &bytes[end..]].concat()
}

fn refusal(bytes: &[u8]) -> String {
    match ModelFile::parse(bytes, "m.safetensors").and_then(|file| file.network(Device::Cpu).map(drop)) {
        Err(error @ Error::Model(_)) => error.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(()) => panic!("was taken"),
    }
}

#[test]
fn a_model_takes_any_mel_that_its_sampler_can_project_on() {
    let of = |change: fn(&mut MelConvention)| {
        let mut convention = presets::named("bigvgan-44k-128").unwrap().clone();
        change(&mut convention);
        ModelCard::of_convention("full", &convention)
    };
    let card = of(|_| ()).unwrap();
    assert_eq!((card.mel.framing, card.mel.n_fft, card.mel.hop), (Framing::Centred, 2048, 512));
    assert_eq!((card.denoiser.n_fft, card.denoiser.hop), (1024, 256));
    let refused = |change: fn(&mut MelConvention), field: &str| {
        let error = of(change).unwrap_err().to_string();
        assert!(error.contains(field) && error.contains("bigvgan-44k-128"), "{error}");
    };
    refused(|c| c.power = 2.0, "power");
    refused(|c| c.log = LogBase::Ten, "log");
    refused(|c| c.win_length = 1024, "win_length");
    refused(|c| c.hop = 500, "n_fft and hop");
    refused(|c| c.n_mels = 5000, "n_mels");
}

#[test]
fn a_whole_file_is_taken_and_keeps_its_weights() {
    let bytes = tiny();
    let file = ModelFile::parse(&bytes, "m.safetensors").unwrap();
    let (store, _) = file.network(Device::Cpu).unwrap();
    assert_eq!(serialize(&store, &file.card, Storage::Half).unwrap(), bytes);
    assert_eq!(file.parameters(), store.variables().values().map(|v| v.numel()).sum::<usize>());
}

#[test]
fn the_builtin_model_has_the_size_that_its_card_says() {
    let file = ModelFile::builtin().unwrap();
    file.network(Device::Cpu).unwrap();
    assert_eq!(file.parameters(), 7_921_855);
    assert!(!file.card.licenses.weights.is_empty() && !file.card.training.data.is_empty());
}

#[test]
fn each_kind_of_damage_is_named() {
    let whole = tiny();
    let nan = {
        let mut bytes = whole.clone();
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&half::f16::NAN.to_le_bytes());
        bytes
    };
    let cases: [(&str, Vec<u8>, &[&str]); 13] = [
        ("empty", vec![], &["m.safetensors", "safetensors"]),
        ("truncated", whole[..whole.len() - 100].to_vec(), &["m.safetensors", "again"]),
        ("header only", whole[..8 + header_length(&whole)].to_vec(), &["m.safetensors", "again"]),
        ("not a number", nan, &["tensor ", "NaN", "finite"]),
        ("no card", with_header(&whole, "\"audiodiff\"", "\"something\""), &["`audiodiff`"]),
        ("new version", with_header(&whole, "\\\"version\\\":1", "\\\"version\\\":2"), &["version 2", "version 1"]),
        ("no JSON", with_header(&whole, "\\\"version\\\":1", "\\\"version\\\"1"), &["metadata", "m.safetensors"]),
        ("other convention", with_header(&whole, "\\\"hop\\\":256", "\\\"hop\\\":300"), &["`mel`", "f5-tts"]),
        ("unknown scale", with_header(&whole, "\\\"htk\\\"", "\\\"bark\\\""), &["bark"]),
        ("renamed", with_header(&whole, "denoiser.stft_in.bias", "denoiser.stft_xx.bias"), &["denoiser.stft_xx.bias"]),
        (
            "other size",
            with_header(&whole, "\\\"mlp\\\":1", "\\\"mlp\\\":2"),
            &["tensor encoder.blocks.0.pwconv", "shape"],
        ),
        (
            "odd time",
            with_header(&whole, "\\\"time_channels\\\":8", "\\\"time_channels\\\":9"),
            &["`denoiser.time_channels` is 9", "even"],
        ),
        (
            "huge",
            with_header(&whole, "\\\"channels\\\":8", "\\\"channels\\\":99999999"),
            &["encoder.channels", "99999999"],
        ),
    ];
    for (name, bytes, words) in cases {
        let message = refusal(&bytes);
        for word in words {
            assert!(message.contains(word), "{name}: {message:?} does not say {word:?}");
        }
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
    }
}

/// Every weight is finite, and what is computed with them is not: in each part, for mels of its own and of another convention.
#[test]
fn weights_that_overflow_are_an_error_and_no_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let first = |part: &str, precision, convention: &str| {
        let overflowing = |name: &str| (name.starts_with(part) && name.contains("_out")).then_some(1e38);
        std::fs::write(&path, changed(Storage::Single, overflowing)).unwrap();
        let options = RuntimeOptions { threads: 1, precision, ..RuntimeOptions::default() };
        let vocoder = families::open(&path, &options).unwrap();
        let convention = presets::named(convention).unwrap();
        let mel = MelSpectrogram::new(vec![-4.0; 20 * convention.n_mels], convention.n_mels);
        let effort = Effort::new([("start_iterations", 1), ("steps", 1), ("iterations", 0), ("final_iterations", 1)]);
        let options = RenderOptions { effort: Some(effort), ..RenderOptions::default() };
        let mut renderer = Renderer::new(vocoder, Box::new(WholeMel::new(mel)), convention, &options).unwrap();
        let first = renderer.next().unwrap();
        assert!(first.is_ok() || renderer.next().is_none(), "goes on after an error");
        first
    };
    for (part, convention) in
        [("encoder", "f5-tts"), ("denoiser", "f5-tts"), ("denoiser", "hifigan-22k"), ("refiner", "hifigan-22k")]
    {
        for precision in [Precision::F32, Precision::Bf16] {
            let error = first(part, precision, convention).unwrap_err();
            assert!(matches!(error, Error::Model(_)), "{part}, {convention}: {error:?}");
            let message = error.to_string();
            assert!(message.starts_with(&path.display().to_string()), "{part}, {convention}: {message}");
            let what = if part == "refiner" { "a mel" } else { "sound" };
            assert!(message.contains(&format!("makes {what} that is not finite")), "{part}, {convention}: {message}");
        }
    }
    first("none", Precision::F32, "hifigan-22k").unwrap();
}

/// 128 GiB, by a file of three kilobytes: were it believed, the test would be killed.
#[test]
fn a_card_cannot_ask_for_more_than_its_file_holds() {
    let whole = tiny();
    let text = String::from_utf8(whole[8..8 + header_length(&whole)].to_vec()).unwrap();
    let mut card = ModelFile::parse(&whole, "m").unwrap().card;
    card.encoder = EncoderSize { channels: 4096, layers: 64, mlp: 16 };
    card.denoiser =
        DenoiserSize { channels: 4096, layers: 64, cond_channels: 4096, time_channels: 4096, mlp: 16, ..card.denoiser };
    let mut header: serde_json::Value = serde_json::from_str(&text).unwrap();
    header["__metadata__"]["audiodiff"] = serde_json::to_string(&card).unwrap().into();
    let header = header.to_string();
    let forged = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &whole[8 + text.len()..]].concat();
    let message = refusal(&forged);
    // The first tensor that the file has in another shape, or not at all.
    assert!(message.starts_with("m.safetensors: tensor "), "{message}");
    let says_shape = message.contains("4096") && message.contains("as the card describes");
    assert!(says_shape || message.contains("is missing"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes changed, anywhere, and any length: an answer, not a panic.
    #[test]
    fn mutations_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        thread_local!(static WHOLE: Vec<u8> = tiny());
        let mut bytes = WHOLE.with(Clone::clone);
        let header = 8 + header_length(&bytes);
        for (at, value, in_header) in changes {
            let range = if in_header { header } else { bytes.len() };
            bytes[at.index(range)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = ModelFile::parse(&bytes, "m").and_then(|file| file.network(Device::Cpu).map(drop));
    }
}

/// Of the model's card, not of the program: another chunk is another rendering, and one that cannot be is refused.
#[test]
fn how_the_mel_is_cut_is_the_cards() {
    let bytes = tiny();
    let card = |streaming: &str| {
        let plain = r#""streaming":{"chunk":96,"longest":192,"past":16,"ahead":12,"fade":256}"#;
        with_header(&bytes, &plain.replace('"', "\\\""), &streaming.replace('"', "\\\""))
    };
    let shorter = card(r#""streaming":{"chunk":24,"past":16,"ahead":12,"fade":128}"#);
    let file = ModelFile::parse(&shorter, "x").unwrap();
    let streaming = file.card.common().streaming;
    assert_eq!((streaming.chunk, streaming.fade), (24, 128));
    assert_eq!(streaming.longest, 0, "cards that name a chunk alone are of programs whose chunks were all alike");
    let impossible = card(r#""streaming":{"chunk":1,"past":16,"ahead":12,"fade":0}"#);
    let told = ModelFile::parse(&impossible, "x.safetensors").err().unwrap().to_string();
    assert!(told.starts_with("x.safetensors: field `streaming`: ") && told.contains("2 to 4096 frames"), "{told}");
}
