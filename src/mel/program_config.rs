//! Configurations that programs keep beside their vocoders, as conventions: the `config.json` of HiFi-GAN, BigVGAN and
//! NSF-HiFiGAN, OpenUtau's `vocoder.yaml` and `dsconfig.yaml` (DiffSinger), the `config.json` of transformers' and diffusers'
//! `SpeechT5HifiGan` (SpeechT5, AudioLDM).
//!
//! They describe a network; a few fields describe its mel, and those are taken. Of the others, known ones are passed over, an
//! unknown one is named, and where its name speaks of something that mels depend on, it is an error: half a description would be
//! rendered to the wrong sound.

use super::{Layout, LogBase, MelConvention, MelScale, presets};
use crate::{Error, Fault, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// A convention and what the user should know of how it was read, a sentence each.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub convention: MelConvention,
    pub notes: Vec<String>,
}

impl From<MelConvention> for Described {
    fn from(convention: MelConvention) -> Self {
        Self { convention, notes: vec![] }
    }
}

/// Words of a field's name that speak of mels.
const MEL_WORDS: &str = "abs audio center centre clamp clip db emphasis eps epsilon fft filter fmax fmin floor freq hop htk \
    level log mean mel mels melspec norm normalize pad padding power preemphasis sample sampling scale spec spectrogram sr \
    stats std stft win window";

/// Fields of networks and their training that say nothing of the mel, though some sound so: `fmax_for_loss` is of another mel,
/// `mel_vmin` and `mel_vmax` are the colours of pictures, and what `normalize_before` asks for the vocoder does by itself.
const KNOWN: &str = "activation batch_size clip_grad_norm discriminator_channel_mult discriminator_periods dist_config \
    fmax_for_loss freeze_step lambda_melloss learning_rate lr_decay mpd_reshapes normalize_volume num_freq num_gpus num_workers \
    resblock resolutions seed segment_size snake_logscale use_bias_at_final use_cqtd_instead_of_mrd use_multiscale_melloss \
    use_spectral_norm use_tanh_at_final \
    mel_vmax mel_vmin mini_nsf noise_sigma pc_aug pc_aug_key pc_aug_rate \
    acoustic augmentation_args dur force_on_cpu hidden_size hiddensize languages linguistic max_depth maxdepth model model_type \
    name phonemes pitch pitch_controllable speakers use_continuous_acceleration use_expr use_note_rest use_shallow_diffusion \
    use_variable_depth useshallowdiffusion variance vocoder \
    architectures dtype initializer_range leaky_relu_slope normalize_before torch_dtype transformers_version";

/// ... and how others of their kind begin.
const KNOWN_BEGINNINGS: &str = "_ adam_ cqtd_ loss_ predict_ resblock_ upsample_";

/// The convention that `fields` describe, where they are one of these configurations. A YAML file with an acoustic model or mel
/// fields is OpenUtau's.
///
/// # Errors
/// `Error::Convention` naming file and field.
pub fn read(fields: &Map<String, Value>, yaml: bool, name: &str, path: &Path) -> Result<Option<Described>> {
    let config = Config { fields, path };
    let has = |key: &&str| fields.contains_key(*key);
    let described = if ["num_mels", "hop_size", "sampling_rate"].iter().all(has) {
        config.hifigan(name)?
    } else if ["model_in_dim", "sampling_rate", "upsample_rates"].iter().all(has) {
        config.speecht5_hifigan(name)?
    } else if yaml && ["num_mel_bins", "mel_base", "acoustic"].iter().any(has) {
        config.openutau(name)?
    } else {
        return Ok(None);
    };
    Ok(Some(described))
}

struct Config<'a> {
    fields: &'a Map<String, Value>,
    path: &'a Path,
}

impl Config<'_> {
    /// HiFi-GAN's and BigVGAN's `meldataset.py` fix what their configuration does not say: Slaney filters with area
    /// normalisation, sqrt(|X|² + 1e-9), natural logarithm, floor 1e-5, (n_fft - hop) / 2 samples of padding. NSF-HiFiGAN's
    /// `nvSTFT.py` has no epsilon and frames first.
    fn hifigan(&self, name: &str) -> Result<Described> {
        let is_nsf = ["mini_nsf", "noise_sigma", "pc_aug"].iter().any(|key| self.fields.contains_key(*key));
        let base = presets::named(if is_nsf { "nsf-hifigan-44k" } else { "hifigan-22k" })?;
        let sample_rate = self.rate("sampling_rate", None)?;
        let convention = MelConvention {
            name: name.into(),
            sample_rate,
            n_fft: self.count("n_fft", None)?,
            win_length: self.count("win_size", None)?,
            hop: self.count("hop_size", None)?,
            n_mels: self.count("num_mels", None)?,
            f_min: self.hz("fmin", 0.0)?,
            f_max: self.hz("fmax", f64::from(sample_rate) / 2.0)?,
            ..base.clone()
        };
        let taken = ["sampling_rate", "n_fft", "win_size", "hop_size", "num_mels", "fmin", "fmax"];
        Ok(Described { convention, notes: self.left_out(&taken)? })
    }

    /// NSF-HiFiGAN's mel, in the logarithm and on the scale that the file says; what is missing is as OpenUtau takes it.
    fn openutau(&self, name: &str) -> Result<Described> {
        let choice = |key: &str, default: &str, all: &[&str]| {
            let found = match self.fields.get(key) {
                None | Some(Value::Null) => default.to_string(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let index = all.iter().position(|choice| found.eq_ignore_ascii_case(choice));
            index.ok_or_else(|| self.fault(key, &found, &all.join(" or ")))
        };
        let convention = MelConvention {
            name: name.into(),
            sample_rate: self.rate("sample_rate", Some(44_100))?,
            n_fft: self.count("fft_size", Some(2048))?,
            win_length: self.count("win_size", Some(2048))?,
            hop: self.count("hop_size", Some(512))?,
            n_mels: self.count("num_mel_bins", Some(128))?,
            f_min: self.hz("mel_fmin", 40.0)?,
            f_max: self.hz("mel_fmax", 16_000.0)?,
            log: [LogBase::Ten, LogBase::Natural][choice("mel_base", "10", &["10", "e"])?],
            scale: [MelScale::Slaney, MelScale::Htk][choice("mel_scale", "slaney", &["slaney", "htk"])?],
            layout: Layout::FramesFirst,
            ..presets::named("nsf-hifigan-44k")?.clone()
        };
        let taken = [
            "sample_rate",
            "fft_size",
            "win_size",
            "hop_size",
            "num_mel_bins",
            "mel_fmin",
            "mel_fmax",
            "mel_base",
            "mel_scale",
        ];
        let mut notes = self.left_out(&taken)?;
        if !self.fields.contains_key("mel_base") {
            notes.push(format!("{}: does not say mel_base; log10 is taken, as OpenUtau does", self.path.display()));
        }
        Ok(Described { convention, notes })
    }

    /// Says of its mel no more than rate, bands and hop; whose that is, the presets know.
    fn speecht5_hifigan(&self, name: &str) -> Result<Described> {
        let (rate, bands) = (self.rate("sampling_rate", None)?, self.count("model_in_dim", None)?);
        let rates = self.fields["upsample_rates"].as_array().map(|rates| rates.iter().map(Value::as_u64).collect());
        let hop: Option<u64> = rates
            .flatten()
            .and_then(|rates: Vec<u64>| rates.into_iter().try_fold(1u64, |product, rate| product.checked_mul(rate)));
        let Some(hop) = hop.filter(|&hop| hop > 0) else {
            let found = self.fields["upsample_rates"].to_string();
            return Err(self.fault("upsample_rates", &found, "whole numbers, whose product is the hop"));
        };
        let presets = ["speecht5-16k", "audioldm-16k", "audiosr-48k"];
        for preset in presets {
            let known = presets::named(preset)?;
            if (known.sample_rate, known.n_mels, known.hop as u64) == (rate, bands, hop) {
                let convention = MelConvention { name: name.into(), ..known.clone() };
                return Ok(Described { convention, notes: self.left_out(&["sampling_rate", "model_in_dim"])? });
            }
        }
        let found =
            format!("{rate} Hz, {bands} bands, hop {hop}, which says nothing of transform, frequencies and logarithm");
        let fault = Fault::new(self.path.display(), found);
        Err(Error::Convention(
            fault
                .expected(format!("those of {}", presets.join(", ")))
                .remedy("describe the convention in a file with the fields of `audiodiff mel conventions` with `json`"),
        ))
    }

    /// Names the fields that are neither taken nor known.
    fn left_out(&self, taken: &[&str]) -> Result<Vec<String>> {
        let mut unknown = vec![];
        for (key, value) in self.fields.iter().filter(|(key, _)| !taken.contains(&key.as_str())) {
            let plain = key.to_lowercase();
            let known = KNOWN.split_whitespace().any(|name| name == plain)
                || KNOWN_BEGINNINGS.split_whitespace().any(|beginning| plain.starts_with(beginning))
                || plain.ends_with("embed");
            if known {
                continue;
            }
            if plain.split('_').any(|word| MEL_WORDS.split_whitespace().any(|mel| mel == word)) {
                let fault = Fault::new(self.at(key), format!("{value} is not understood, and may change the mel"));
                return Err(Error::Convention(fault.expected(format!("of the mel no more than {}", taken.join(", "))).remedy(
                    "take it out if it does not, else describe the convention with the fields of `audiodiff mel conventions` with `json`",
                )));
            }
            unknown.push(key.as_str());
        }
        let note = || format!("{}: not understood and left out: {}", self.path.display(), unknown.join(", "));
        Ok(if unknown.is_empty() { vec![] } else { vec![note()] })
    }

    fn count(&self, key: &str, default: Option<usize>) -> Result<usize> {
        match (self.fields.get(key), default) {
            (None, Some(default)) => Ok(default),
            (value, _) => match value.and_then(Value::as_u64).map(usize::try_from) {
                Some(Ok(n)) if n > 0 => Ok(n),
                _ => Err(self.fault(key, &shown(value), "a whole number above 0")),
            },
        }
    }

    fn rate(&self, key: &str, default: Option<usize>) -> Result<u32> {
        u32::try_from(self.count(key, default)?).map_err(|_| self.fault(key, "too large", "a rate in Hz"))
    }

    fn hz(&self, key: &str, default: f64) -> Result<f64> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(default),
            value => {
                value.and_then(Value::as_f64).ok_or_else(|| self.fault(key, &shown(value), "a number of Hz or null"))
            }
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}: {key}", self.path.display())
    }

    fn fault(&self, key: &str, found: &str, expected: &str) -> Error {
        Error::Convention(Fault::new(self.at(key), found).expected(expected))
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or("missing".into(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn described(config: &Value, yaml: bool) -> Result<Described> {
        read(config.as_object().unwrap(), yaml, "mine", Path::new("c")).map(Option::unwrap)
    }

    fn preset(name: &str) -> MelConvention {
        MelConvention { name: "mine".into(), ..presets::named(name).unwrap().clone() }
    }

    #[test]
    fn a_vocoder_of_speecht5s_kind_is_known_by_rate_bands_and_hop() {
        for (bands, rates, name) in [(80, [4, 4, 4, 4, 1], "speecht5-16k"), (64, [5, 4, 2, 2, 2], "audioldm-16k")] {
            let config = json!({
                "architectures": ["SpeechT5HifiGan"], "model_in_dim": bands, "model_type": "hifigan",
                "normalize_before": false, "sampling_rate": 16_000, "upsample_initial_channel": 64,
                "upsample_rates": rates, "transformers_version": "4.0.0"
            });
            assert_eq!(described(&config, false).unwrap(), preset(name).into());
        }
        let other = json!({ "model_in_dim": 80, "sampling_rate": 22_050, "upsample_rates": [8, 8, 4] });
        let error = described(&other, false).unwrap_err().to_string();
        assert!(error.contains("22050 Hz, 80 bands, hop 256") && error.contains("speecht5-16k"), "{error}");
        for rates in [json!([4, "4"]), json!(256), json!([0]), json!([1u64 << 40, 1u64 << 40])] {
            let broken = json!({ "model_in_dim": 80, "sampling_rate": 16_000, "upsample_rates": rates });
            assert!(described(&broken, false).unwrap_err().to_string().contains("c: upsample_rates"));
        }
    }

    #[test]
    fn an_nsf_hifigan_has_no_epsilon_and_frames_first() {
        let config = json!({
            "num_mels": 128, "n_fft": 2048, "hop_size": 512, "win_size": 2048, "sampling_rate": 44_100, "fmin": 40,
            "fmax": 16_000, "mini_nsf": true, "noise_sigma": 0.0, "pc_aug": true, "upsample_rates": [8, 8, 2, 2, 2]
        });
        assert_eq!(described(&config, false).unwrap(), preset("nsf-hifigan-44k").into());
    }

    #[test]
    fn what_openutau_takes_for_granted_need_not_be_said() {
        let old = json!({ "acoustic": "acoustic.onnx", "phonemes": "phonemes.txt", "hiddenSize": 256 });
        let Described { convention, notes } = described(&old, true).unwrap();
        assert_eq!(convention, preset("nsf-hifigan-44k-log10"));
        assert!(notes.len() == 1 && notes[0].contains("mel_base"), "{notes:?}");
        let htk = json!({ "num_mel_bins": 80, "mel_base": "e", "mel_scale": "htk", "mel_fmax": 8000.0 });
        let want = MelConvention { n_mels: 80, f_max: 8000.0, scale: MelScale::Htk, ..preset("nsf-hifigan-44k") };
        assert_eq!(described(&htk, true).unwrap(), want.into());
    }

    #[test]
    fn an_unknown_field_is_named_or_refused() {
        let with = |key: &str, value: Value| {
            let mut config =
                json!({ "num_mel_bins": 128, "mel_base": "e", "use_voicing_embed": true, "predict_dur": true });
            config[key] = value;
            described(&config, true)
        };
        assert_eq!(with("speakers", json!(["a"])).unwrap().notes, [""; 0]);
        assert_eq!(with("colour", json!("blue")).unwrap().notes, ["c: not understood and left out: colour"]);
        for key in ["mel_floor", "ref_level_db", "preemphasis", "pad_mode", "signal_norm", "Hop_Length"] {
            let error = with(key, json!(1)).unwrap_err().to_string();
            assert!(error.contains(&format!("c: {key}: 1 is not understood")), "{error}");
        }
        for (key, value, wanted) in [
            ("mel_base", json!(2), "10 or e"),
            ("mel_scale", json!("bark"), "slaney or htk"),
            ("hop_size", json!("512"), "a whole number"),
            ("mel_fmin", json!([]), "a number of Hz"),
            ("sample_rate", json!(1u64 << 40), "a rate in Hz"),
        ] {
            let error = with(key, value).unwrap_err().to_string();
            assert!(error.contains(&format!("c: {key}: ")) && error.contains(wanted), "{error}");
        }
    }
}
