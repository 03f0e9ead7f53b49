//! The mel conventions of the field, by name.
//!
//! Each was read from the named file of its project. Where two programs share every number they stand here under both
//! names, because people look for the name of the program that made their file.

use super::{Affine, Framing, Layout, LogBase, MelConvention, MelScale};
use crate::{Error, Fault, Result};
use std::sync::LazyLock;

/// A convention that audiodiff knows by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Further names that are understood.
    pub aliases: &'static [&'static str],
    /// The program and its model, or what differs from the preset above.
    pub about: &'static str,
    /// The file of that program that computes it.
    pub source: &'static str,
    pub convention: MelConvention,
}

impl Preset {
    pub fn name(&self) -> &str {
        &self.convention.name
    }
}

/// All presets, related ones next to each other.
pub fn all() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(table);
    &PRESETS
}

/// The preset called `name`; capitals, underscores and dots for hyphens do not matter.
pub fn find(name: &str) -> Option<&'static Preset> {
    let plain = name.to_lowercase().replace(['_', '.', ' '], "-");
    all().iter().find(|p| p.name() == plain || p.aliases.contains(&plain.as_str()))
}

/// Like [`find`], with an error that suggests the nearest names.
pub fn named(name: &str) -> Result<&'static MelConvention> {
    if let Some(preset) = find(name) {
        return Ok(&preset.convention);
    }
    let plain = name.to_lowercase();
    let mut near: Vec<_> = all().iter().map(|p| (similarity(&plain, p.name()), p.name())).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<_> = near.iter().take_while(|(s, _)| *s > 0.4).take(3).map(|(_, n)| *n).collect();
    let suggestion = if near.is_empty() { String::new() } else { format!("did you mean {}? ", near.join(" or ")) };
    Err(Error::Convention(
        Fault::new(format!("convention {name}"), "no preset has this name, and no such file is there")
            .remedy(format!("{suggestion}`audiodiff mel conventions` lists the presets")),
    ))
}

/// The share of letter pairs that two names have in common (Dice's coefficient).
fn similarity(a: &str, b: &str) -> f64 {
    let pairs = |s: &str| s.as_bytes().windows(2).map(|w| (w[0], w[1])).collect::<Vec<_>>();
    let (a, mut b) = (pairs(a), pairs(b));
    let total = (a.len() + b.len()).max(1) as f64;
    let mut common = 0;
    for pair in a {
        if let Some(i) = b.iter().position(|&p| p == pair) {
            b.swap_remove(i);
            common += 1;
        }
    }
    2.0 * f64::from(common) / total
}

fn table() -> Vec<Preset> {
    let preset = |aliases, about, source, convention| Preset { aliases, about, source, convention };
    let named = |name: &str, base: &MelConvention| MelConvention { name: name.into(), ..base.clone() };

    let f5 = MelConvention::native();
    let vocos = MelConvention { floor: 1e-7, ..named("vocos-24k", &f5) };
    let flow2gan_44k = MelConvention {
        sample_rate: 44_100,
        n_fft: 2048,
        win_length: 2048,
        hop: 512,
        n_mels: 128,
        f_max: 22_050.0,
        ..named("flow2gan-44k", &vocos)
    };
    let rfwave = MelConvention { log: LogBase::Ten, ..named("rfwave-24k", &vocos) };
    let rfwave_44k = MelConvention { n_mels: 100, log: LogBase::Ten, ..named("rfwave-44k", &flow2gan_44k) };

    let tacotron2 = MelConvention {
        sample_rate: 22_050,
        n_mels: 80,
        f_max: 8000.0,
        scale: MelScale::Slaney,
        area_norm: true,
        ..named("tacotron2", &f5)
    };
    let hifigan =
        MelConvention { magnitude_epsilon: 1e-9, framing: Framing::HalfHop, ..named("hifigan-22k", &tacotron2) };
    let matcha_scaled = |name: &str, mean: f64, std: f64| MelConvention {
        affine: Some(Affine { scale: 1.0 / std, offset: -mean / std, clip: None }),
        ..named(name, &hifigan)
    };
    let bigvgan_24k =
        MelConvention { sample_rate: 24_000, n_mels: 100, f_max: 12_000.0, ..named("bigvgan-24k-100", &hifigan) };
    let bigvgan_44k_256x =
        MelConvention { sample_rate: 44_100, n_mels: 128, f_max: 22_050.0, ..named("bigvgan-44k-128-256x", &hifigan) };
    let bigvgan_44k =
        MelConvention { n_fft: 2048, win_length: 2048, hop: 512, ..named("bigvgan-44k-128", &bigvgan_44k_256x) };

    // stored = clip((20 log10(x) - 20 + 100) / 100)
    let diffwave = MelConvention {
        sample_rate: 22_050,
        n_mels: 80,
        f_min: 20.0,
        f_max: 11_025.0,
        window_norm: true,
        log: LogBase::Decibel,
        affine: Some(Affine { scale: 0.01, offset: 0.8, clip: Some([0.0, 1.0]) }),
        ..named("diffwave", &f5)
    };
    let wavegrad =
        MelConvention { n_fft: 2048, win_length: 1200, hop: 300, n_mels: 128, ..named("wavegrad", &diffwave) };
    let wavegrad_24k = MelConvention { sample_rate: 24_000, f_max: 12_000.0, ..named("wavegrad-24k", &wavegrad) };

    let pwg_lj = MelConvention {
        f_min: 80.0,
        f_max: 7600.0,
        log: LogBase::Ten,
        floor: 1e-10,
        layout: Layout::FramesFirst,
        ..named("pwg-lj", &tacotron2)
    };
    let pwg_libritts = MelConvention {
        sample_rate: 24_000,
        n_fft: 2048,
        win_length: 1200,
        hop: 300,
        ..named("pwg-libritts", &pwg_lj)
    };
    let espnet = MelConvention { power_floor: 1e-10, ..named("espnet", &pwg_libritts) };
    let espnet_lj = MelConvention { power_floor: 1e-10, ..named("espnet-lj", &pwg_lj) };

    // stored = clip((20 log10(x) - 20 + 100) / 100 * 8 - 4)
    let coqui = MelConvention {
        f_max: 11_025.0,
        log: LogBase::Decibel,
        floor: 1e-8,
        affine: Some(Affine { scale: 0.08, offset: 2.4, clip: Some([-4.0, 4.0]) }),
        ..named("coqui", &tacotron2)
    };
    let coqui_lj = MelConvention { floor: 1e-8, ..named("coqui-lj", &tacotron2) };

    let of_bigvgan = |name: &str, sample_rate: u32, n_fft: usize, hop: usize, n_mels: usize| MelConvention {
        sample_rate,
        n_fft,
        win_length: n_fft,
        hop,
        n_mels,
        f_max: f64::from(sample_rate) / 2.0,
        ..named(name, &hifigan)
    };
    // stored = (x - low) / (high - low) * 2 - 1
    let to_unit = |name: &str, base: &MelConvention, low: f64, high: f64| MelConvention {
        affine: Some(Affine { scale: 2.0 / (high - low), offset: -2.0 * low / (high - low) - 1.0, clip: None }),
        ..named(name, base)
    };
    let cosyvoice3 = of_bigvgan("cosyvoice3-24k", 24_000, 1920, 480, 80);
    let cosyvoice2 = MelConvention { f_max: 8000.0, ..named("cosyvoice2-24k", &cosyvoice3) };
    let vevo = MelConvention {
        affine: Some(Affine { scale: 1.0 / 8.14f64.sqrt(), offset: 4.92 / 8.14f64.sqrt(), clip: None }),
        layout: Layout::FramesFirst,
        ..of_bigvgan("vevo-24k", 24_000, 1920, 480, 128)
    };
    let gpt_sovits_v3 = MelConvention { magnitude_epsilon: 1e-8, ..named("gpt-sovits-v3", &bigvgan_24k) };
    let gpt_sovits_v4 = MelConvention {
        output_rate: Some(48_000),
        magnitude_epsilon: 1e-8,
        ..of_bigvgan("gpt-sovits-v4", 32_000, 1280, 320, 100)
    };
    let nsf_hifigan = MelConvention {
        f_min: 40.0,
        f_max: 16_000.0,
        magnitude_epsilon: 0.0,
        layout: Layout::FramesFirst,
        ..named("nsf-hifigan-44k", &bigvgan_44k)
    };
    let nsf_hifigan_log10 = MelConvention { log: LogBase::Ten, ..named("nsf-hifigan-44k-log10", &nsf_hifigan) };
    let ace_step =
        MelConvention { magnitude_epsilon: 1e-6, layout: Layout::BandsFirst, ..named("ace-step-44k", &nsf_hifigan) };
    let firefly = MelConvention { magnitude_epsilon: 1e-6, ..named("firefly-44k", &bigvgan_44k) };
    let tortoise =
        MelConvention { framing: Framing::Centred, magnitude_epsilon: 0.0, ..named("tortoise-24k", &bigvgan_24k) };
    let audioldm = MelConvention {
        sample_rate: 16_000,
        hop: 160,
        n_mels: 64,
        framing: Framing::CentredCut,
        layout: Layout::FramesFirst,
        ..named("audioldm-16k", &tacotron2)
    };
    let audiosr = MelConvention {
        f_min: 20.0,
        magnitude_epsilon: 0.0,
        layout: Layout::FramesFirst,
        ..of_bigvgan("audiosr-48k", 48_000, 2048, 480, 256)
    };
    let mmaudio_16k = MelConvention { log: LogBase::Ten, ..of_bigvgan("mmaudio-16k", 16_000, 1024, 256, 80) };
    let auffusion = MelConvention { win_length: 1024, ..of_bigvgan("auffusion-16k", 16_000, 2048, 160, 256) };
    // stored = (x - ln 1e-5) / (ln 200 - ln 1e-5)
    let (low, high) = (1e-5f64.ln(), 200f64.ln());
    let auffusion_picture = MelConvention {
        affine: Some(Affine { scale: 1.0 / (high - low), offset: -low / (high - low), clip: Some([0.0, 1.0]) }),
        falling_bands: true,
        ..named("auffusion-picture", &auffusion)
    };
    let zipvoice = MelConvention {
        affine: Some(Affine { scale: 0.1, offset: 0.0, clip: None }),
        layout: Layout::FramesFirst,
        ..named("zipvoice-24k", &vocos)
    };
    let speecht5 = MelConvention { sample_rate: 16_000, ..named("speecht5-16k", &pwg_lj) };
    let nemo = MelConvention {
        symmetric_window: true,
        zero_padding: true,
        framing: Framing::HalfHop,
        ..named("nemo-22k", &tacotron2)
    };
    let nemo_44k = MelConvention {
        sample_rate: 44_100,
        n_fft: 2048,
        win_length: 2048,
        hop: 512,
        f_max: 22_050.0,
        ..named("nemo-44k", &nemo)
    };
    let nemo_fastpitch = MelConvention {
        floor: 0.0,
        added_floor: 1e-5,
        framing: Framing::Centred,
        ..named("nemo-fastpitch-22k", &nemo)
    };
    let nemo_log1p =
        MelConvention { area_norm: false, floor: 0.0, added_floor: 1.0, ..named("nemo-44k-log1p", &nemo_44k) };
    let styletts = MelConvention {
        n_fft: 2048,
        win_length: 1200,
        hop: 300,
        n_mels: 80,
        filter_rate: Some(16_000),
        power: 2.0,
        floor: 0.0,
        added_floor: 1e-5,
        affine: Some(Affine { scale: 0.25, offset: 1.0, clip: None }),
        ..named("styletts-24k", &f5)
    };
    let diffsinger = MelConvention {
        sample_rate: 24_000,
        n_fft: 512,
        win_length: 512,
        hop: 128,
        f_min: 30.0,
        f_max: 12_000.0,
        log: LogBase::Ten,
        floor: 1e-6,
        zero_padding: true,
        layout: Layout::FramesFirst,
        ..named("diffsinger-24k", &tacotron2)
    };
    // stored = 1 - (32767 x / 30e6)^(1/4): its samples are whole numbers, and it takes the loudest for 30e6.
    let riffusion = MelConvention {
        sample_rate: 44_100,
        n_fft: 17_640,
        win_length: 4410,
        hop: 441,
        n_mels: 512,
        f_max: 10_000.0,
        log: LogBase::PowerLaw(0.25),
        floor: 0.0,
        affine: Some(Affine { scale: -(32_767.0f64 / 30e6).powf(0.25), offset: 1.0, clip: None }),
        falling_bands: true,
        ..named("riffusion", &f5)
    };

    let magenta = MelConvention {
        sample_rate: 16_000,
        n_fft: 1024,
        win_length: 640,
        hop: 320,
        n_mels: 128,
        f_max: 8000.0,
        scale: MelScale::HtkMelTriangles,
        framing: Framing::PadEnd,
        layout: Layout::FramesFirst,
        ..named("magenta", &f5)
    };
    // stored = (x - ln 1e-5) / (4 - ln 1e-5) * 2 - 1
    let lowest = 1e-5f64.ln();
    let magenta_scaled = MelConvention {
        affine: Some(Affine { scale: 2.0 / (4.0 - lowest), offset: -2.0 * lowest / (4.0 - lowest) - 1.0, clip: None }),
        ..named("magenta-scaled", &magenta)
    };

    let (gpt_sovits_range, ace_step_range) = ((-12.0, 2.0), (-11.0, 3.0));
    vec![
        preset(
            &["f5", "native", "f5-tts-vocos"],
            "F5-TTS with its Vocos vocoder; audiodiff's own",
            "f5_tts/model/modules.py",
            f5.clone(),
        ),
        preset(
            &["vocos", "vocos-mel-24k", "vocos-mel-24khz"],
            "Vocos mel-24khz: f5-tts with another floor",
            "vocos/feature_extractors.py",
            vocos.clone(),
        ),
        preset(
            &["flow2gan"],
            "Flow2GAN at 24 kHz: the same numbers as vocos-24k",
            "flow2gan/models/modules.py",
            named("flow2gan-24k", &vocos),
        ),
        preset(
            &["flow2gan-44k-128", "flow2gan-44k-128band-512x"],
            "Flow2GAN at 44.1 kHz, 128 bands, hop 512",
            "flow2gan/models/config.py",
            flow2gan_44k,
        ),
        preset(&["rfwave"], "RFWave at 24 kHz: vocos-24k in log10", "rfwave/feature_extractors.py", rfwave),
        preset(&[], "RFWave at 44.1 kHz, 100 bands, hop 512", "rfwave/feature_extractors.py", rfwave_44k),
        preset(
            &["bigvgan", "bigvgan-24k", "bigvgan-v2-24khz-100band-256x", "univnet", "amphion"],
            "BigVGAN v2 at 24 kHz, 100 bands, hop 256",
            "meldataset.py",
            bigvgan_24k,
        ),
        preset(
            &["bigvgan-44k", "bigvgan-44k-128-512x", "bigvgan-v2-44khz-128band-512x"],
            "BigVGAN v2 at 44.1 kHz, 128 bands, hop 512",
            "meldataset.py",
            bigvgan_44k.clone(),
        ),
        preset(
            &["bigvgan-44k-256x", "bigvgan-v2-44khz-128band-256x"],
            "BigVGAN v2 at 44.1 kHz, 128 bands, hop 256",
            "meldataset.py",
            bigvgan_44k_256x,
        ),
        preset(
            &[
                "hifigan",
                "hifi-gan",
                "hifi-gan-22k",
                "hifigan-v1",
                "hifigan-v2",
                "hifigan-v3",
                "grad-tts",
                "cosyvoice",
                "cosyvoice-22k",
            ],
            "HiFi-GAN V1 to V3, LJ Speech; Grad-TTS, CosyVoice 1",
            "meldataset.py",
            hifigan.clone(),
        ),
        preset(
            &["matcha-tts"],
            "Matcha-TTS, saved .npy: the same numbers as hifigan-22k",
            "matcha/utils/audio.py",
            named("matcha", &hifigan),
        ),
        preset(
            &["matcha-ljspeech-scaled"],
            "Matcha-TTS inside its model, LJ Speech: (x + 5.536622) / 2.116101",
            "configs/data/ljspeech.yaml",
            matcha_scaled("matcha-lj-scaled", -5.536622, 2.116101),
        ),
        preset(
            &[],
            "Matcha-TTS inside its model, VCTK: (x + 6.630575) / 2.482914",
            "configs/data/vctk.yaml",
            matcha_scaled("matcha-vctk-scaled", -6.630575, 2.482914),
        ),
        preset(
            &["tacotron-2", "nvidia-tacotron2", "waveglow", "glow-tts", "fastpitch", "speechbrain"],
            "NVIDIA's Tacotron 2 and WaveGlow; Glow-TTS, FastPitch, SpeechBrain's HiFi-GAN",
            "layers.py, stft.py",
            tacotron2,
        ),
        preset(&[], "Coqui's LJ Speech recipes (Tacotron2-DDC and others)", "recipes/ljspeech", coqui_lj),
        preset(&["coqui-tts"], "Coqui's default audio settings", "TTS/utils/audio/processor.py", coqui),
        preset(&[], "DiffWave by LMNT", "src/diffwave/preprocess.py", diffwave),
        preset(&["wavegrad-22k"], "WaveGrad by LMNT, at 22.05 kHz", "src/wavegrad/preprocess.py", wavegrad),
        preset(&[], "WaveGrad by LMNT, at its published model's 24 kHz", "src/wavegrad/preprocess.py", wavegrad_24k),
        preset(
            &["parallel-wavegan-lj", "pwg"],
            "ParallelWaveGAN's LJ Speech recipes, before the division by stats.h5",
            "parallel_wavegan/bin/preprocess.py",
            pwg_lj,
        ),
        preset(
            &["parallel-wavegan-libritts"],
            "ParallelWaveGAN's LibriTTS recipes, before the division by stats.h5",
            "parallel_wavegan/bin/preprocess.py",
            pwg_libritts,
        ),
        preset(
            &["espnet-tts", "espnet-24k"],
            "ESPnet TTS at 24 kHz, before global_mvn",
            "espnet2/tts/feats_extract/log_mel_fbank.py",
            espnet,
        ),
        preset(
            &["espnet-22k"],
            "ESPnet TTS at 22.05 kHz, before global_mvn",
            "espnet2/tts/feats_extract/log_mel_fbank.py",
            espnet_lj,
        ),
        preset(
            &["magenta-melgan", "music-spectrogram-diffusion"],
            "Magenta's spectrogram diffusion, as its codec gives it",
            "music_spectrogram_diffusion/audio_codecs.py",
            magenta,
        ),
        preset(
            &["magenta-normalised", "magenta-normalized"],
            "Magenta's spectrogram diffusion, scaled to -1..1 for its model",
            "music_spectrogram_diffusion/audio_codecs.py",
            magenta_scaled,
        ),
        preset(
            &["cosyvoice2", "cosyvoice-2", "chatterbox", "s3gen"],
            "CosyVoice 2 and Chatterbox: bands up to 8 kHz, hop 480",
            "examples/libritts/cosyvoice2/conf/cosyvoice2.yaml",
            cosyvoice2,
        ),
        preset(
            &["cosyvoice3", "cosyvoice-3"],
            "CosyVoice 3: cosyvoice2-24k with bands up to 12 kHz",
            "examples/libritts/cosyvoice3/conf/cosyvoice3.yaml",
            cosyvoice3,
        ),
        preset(
            &["vevo", "vevo-sing", "maskgct"],
            "Amphion's Vevo: (x + 4.92) / sqrt(8.14), as its vocoder takes it",
            "models/codec/melvqgan/melspec.py",
            vevo,
        ),
        preset(
            &["gpt-sovits"],
            "GPT-SoVITS v3: bigvgan-24k-100 with another epsilon",
            "GPT_SoVITS/module/mel_processing.py",
            gpt_sovits_v3.clone(),
        ),
        preset(
            &[],
            "GPT-SoVITS v3 inside its model: -12 to 2 scaled to -1..1",
            "GPT_SoVITS/inference_webui.py",
            to_unit("gpt-sovits-v3-scaled", &gpt_sovits_v3, gpt_sovits_range.0, gpt_sovits_range.1),
        ),
        preset(
            &[],
            "GPT-SoVITS v4: a mel at 32 kHz, sound at 48 kHz",
            "GPT_SoVITS/module/mel_processing.py",
            gpt_sovits_v4.clone(),
        ),
        preset(
            &[],
            "GPT-SoVITS v4 inside its model: -12 to 2 scaled to -1..1",
            "GPT_SoVITS/inference_webui.py",
            to_unit("gpt-sovits-v4-scaled", &gpt_sovits_v4, gpt_sovits_range.0, gpt_sovits_range.1),
        ),
        preset(
            &["nsf-hifigan", "openvpi", "diffsinger", "openutau", "so-vits-svc", "fish-diffusion", "ddsp-svc"],
            "NSF-HiFiGAN of DiffSinger (openvpi), OpenUtau, so-vits-svc",
            "modules/nsf_hifigan/nvSTFT.py",
            nsf_hifigan.clone(),
        ),
        preset(
            &[],
            "NSF-HiFiGAN of DiffSinger before July 2024: log10",
            "modules/nsf_hifigan/nvSTFT.py",
            nsf_hifigan_log10,
        ),
        preset(
            &[],
            "DiffSinger (openvpi) inside its model: -12 to 0 scaled to -1..1",
            "configs/acoustic.yaml",
            to_unit("nsf-hifigan-44k-scaled", &nsf_hifigan, -12.0, 0.0),
        ),
        preset(
            &["bigvgan-22k", "bigvgan-v2-22khz-80band-256x", "seed-vc", "indextts2", "index-tts2"],
            "BigVGAN v2 at 22.05 kHz, 80 bands up to 11 kHz; Seed-VC, IndexTTS 2",
            "meldataset.py",
            of_bigvgan("bigvgan-22k-80", 22_050, 1024, 256, 80),
        ),
        preset(
            &["ace-step"],
            "ACE-Step 1, one channel of its [2, 128, T]",
            "acestep/music_dcae/music_log_mel.py",
            ace_step.clone(),
        ),
        preset(
            &[],
            "ACE-Step 1 inside its autoencoder: -11 to 3 scaled to -1..1",
            "acestep/music_dcae/music_dcae_pipeline.py",
            to_unit("ace-step-44k-scaled", &ace_step, ace_step_range.0, ace_step_range.1),
        ),
        preset(
            &["firefly", "firefly-gan", "fish-vocoder"],
            "Fish Audio's Firefly-GAN: bigvgan-44k-128 with another epsilon",
            "fish_vocoder/data/transforms/spectrogram.py",
            firefly,
        ),
        preset(
            &["audioldm", "audioldm2", "tango", "tango2", "mustango"],
            "AudioLDM 1 and 2, Tango, Mustango",
            "audioldm/audio/stft.py",
            audioldm,
        ),
        preset(&["audiosr", "audioldm-48k"], "AudioSR, AudioLDM at 48 kHz", "audiosr/utils.py", audiosr),
        preset(
            &["mmaudio"],
            "MMAudio at 44.1 kHz: the same numbers as bigvgan-44k-128",
            "mmaudio/ext/mel_converter.py",
            named("mmaudio-44k", &bigvgan_44k),
        ),
        preset(&["make-an-audio"], "MMAudio at 16 kHz, Make-An-Audio", "mmaudio/ext/mel_converter.py", mmaudio_16k),
        preset(
            &["tortoise", "tortoise-tts"],
            "Tortoise's diffusion, as its UnivNet takes it",
            "tortoise/utils/audio.py",
            tortoise.clone(),
        ),
        preset(
            &[],
            "Tortoise inside its diffusion, scaled to -1..1",
            "tortoise/utils/audio.py",
            to_unit("tortoise-24k-scaled", &tortoise, -11.512925148010254, 2.3143386840820312),
        ),
        preset(
            &["zipvoice"],
            "ZipVoice inside its model: vocos-24k, a tenth of it",
            "zipvoice/utils/feature.py",
            zipvoice,
        ),
        preset(
            &["speecht5"],
            "SpeechT5: pwg-lj at 16 kHz",
            "transformers/models/speecht5/feature_extraction_speecht5.py",
            speecht5,
        ),
        preset(
            &["nemo", "nemo-hifigan"],
            "NeMo's HiFi-GAN: zeros beyond the ends, symmetric window",
            "nemo/collections/asr/parts/preprocessing/features.py",
            nemo,
        ),
        preset(
            &[],
            "NeMo's HiFi-GAN at 44.1 kHz, 80 bands",
            "nemo/collections/asr/parts/preprocessing/features.py",
            nemo_44k,
        ),
        preset(
            &["nemo-fastpitch"],
            "NeMo's FastPitch: ln(x + 1e-5), centred",
            "examples/tts/conf/fastpitch_align_v1.05.yaml",
            nemo_fastpitch,
        ),
        preset(
            &["nemo-log1p"],
            "NeMo's newer recipes at 44.1 kHz: ln(x + 1)",
            "examples/tts/conf/feature/feature_44100.yaml",
            nemo_log1p,
        ),
        preset(
            &["styletts", "starganv2-vc"],
            "StyleTTS 1, StarGANv2-VC: filters built for 16 kHz, (ln(x + 1e-5) + 4) / 4",
            "meldataset.py",
            styletts,
        ),
        preset(
            &["diffsinger-moon", "diffsinger-popcs", "diffsinger-opencpop"],
            "DiffSinger (MoonInTheRiver), as its vocoder takes it",
            "data_gen/tts/data_gen_utils.py",
            diffsinger,
        ),
        preset(&["auffusion"], "Auffusion, as its vocoder takes it", "converter.py", auffusion),
        preset(&[], "Auffusion's picture, as its model draws it", "converter.py", auffusion_picture),
        preset(
            &["riffusion-picture"],
            "Riffusion's picture: a fourth root, the loudest taken for 30e6",
            "riffusion/util/image_util.py",
            riffusion,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_every_name_means_one() {
        let mut names: Vec<&str> = all().iter().flat_map(|p| p.aliases.iter().copied().chain([p.name()])).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1], "two presets answer to one name");
        }
        for preset in all() {
            preset.convention.validate().unwrap();
            assert_eq!(named(preset.name()).unwrap(), &preset.convention);
        }
    }

    #[test]
    fn digital_silence_is_what_the_projects_store() {
        let silence = |name: &str| named(name).unwrap().stored(0, 0.0);
        for (name, value) in [
            ("vocos-24k", -16.118),
            ("f5-tts", -11.513),
            ("flow2gan-44k", -16.118),
            ("rfwave-24k", -7.0),
            ("bigvgan-44k-128", -11.513),
            ("hifigan-22k", -11.513),
            ("tacotron2", -11.513),
            ("diffwave", 0.0),
            ("wavegrad", 0.0),
            ("pwg-lj", -10.0),
            ("coqui", -4.0),
            ("coqui-lj", -18.421),
            ("magenta", -11.513),
            ("magenta-scaled", -1.0),
        ] {
            assert!((silence(name) - value).abs() < 1e-3, "{name}: {}", silence(name)); // the values have three digits
        }
    }

    #[test]
    fn a_name_is_found_as_people_write_it() {
        assert_eq!(find("HiFi_GAN").unwrap().name(), "hifigan-22k");
        let error = named("hifgan-22").unwrap_err().to_string();
        assert!(error.contains("did you mean hifigan-22k"), "{error}");
        assert!(!named("zzz").unwrap_err().to_string().contains("did you mean"));
    }
}
