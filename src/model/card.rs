//! What a model file says of itself: one JSON text under the key `audiodiff` in the metadata of a safetensors file.

use crate::{
    Fault,
    card::{self, ChunkLayout, Licenses, Provenance, Quality},
    diffusion::{SamplerSettings, Start},
    mel::{Framing, MelConvention},
};
use serde::{Deserialize, Serialize};

/// The version of the card that this program writes, and the only one that it reads.
pub const CARD_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub version: u32,
    pub name: String,
    pub encoder: EncoderSize,
    pub denoiser: DenoiserSize,
    /// Of the part that knows mels of other conventions, where the model has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner: Option<EncoderSize>,
    /// Whether that has learned what is likely above a mel's highest band.
    #[serde(default)]
    pub extends: bool,
    /// Whether that has learned mels that a network predicted, of the model's own convention too.
    #[serde(default)]
    pub restores: bool,
    /// The mel that the model takes.
    pub mel: MelConvention,
    pub sampler: SamplerDefaults,
    /// How its mel is cut; in cards that do not say, as all were before there was a choice.
    #[serde(default)]
    pub streaming: ChunkLayout,
    pub training: Provenance,
    pub licenses: Licenses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSize {
    pub channels: usize,
    pub layers: usize,
    /// Hidden width of a block's MLP in units of `channels`.
    pub mlp: usize,
}

impl Default for EncoderSize {
    fn default() -> Self {
        Self { channels: 256, layers: 6, mlp: 3 }
    }
}

impl EncoderSize {
    /// Of a new refiner: it sees four layers of three frames, 0.13 s, to either side, for which live input has to wait.
    pub const REFINER: Self = Self { channels: 256, layers: 4, mlp: 3 };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserSize {
    pub channels: usize,
    pub layers: usize,
    pub cond_channels: usize,
    pub time_channels: usize,
    pub n_fft: usize,
    pub hop: usize,
    pub mlp: usize,
    /// Whether each bin of what it is shown goes on to its answer, times a weight learned for each time: what the channels
    /// cannot hold of many bins' phases is not lost then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

impl Default for DenoiserSize {
    fn default() -> Self {
        Self {
            channels: 192,
            layers: 8,
            cond_channels: 256,
            time_channels: 256,
            n_fft: 512,
            hop: 128,
            mlp: 3,
            skip: false,
        }
    }
}

/// The work behind one quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Before the first step; models of older programs have none.
    #[serde(default)]
    pub start_iterations: usize,
    pub steps: usize,
    pub iterations: usize,
    pub final_iterations: usize,
}

impl Effort {
    pub fn settings(self, seed: u64) -> SamplerSettings {
        let Self { start_iterations, steps, iterations, final_iterations } = self;
        SamplerSettings { start_iterations, steps, iterations, final_iterations, seed }
    }
}

/// What the model was measured to do best with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerDefaults {
    pub draft: Effort,
    pub standard: Effort,
    pub best: Effort,
    /// Weight of the estimate's own magnitude in the projection.
    pub blend: f32,
    /// How that weight comes about: it is `blend` times t to this power, so that the first estimates, which are guesses, are
    /// only asked for their phase. 0: the same at every step.
    #[serde(default)]
    pub blend_power: f32,
    /// What a start begins with; models of older programs say nothing, and begin with the noise.
    #[serde(default)]
    pub start: Start,
    /// Where on the path the waveform of a start is at home, 0 to 1.
    #[serde(default)]
    pub entry: f32,
    /// Momentum of fast Griffin-Lim.
    pub momentum: f32,
    /// Its iterations after which the magnitudes are set anew from the waveform as it has become; 0, as in models of older
    /// programs: they stay.
    #[serde(default)]
    pub renewal: usize,
}

impl Default for SamplerDefaults {
    fn default() -> Self {
        let effort = |start_iterations, steps, iterations, final_iterations| Effort {
            start_iterations,
            steps,
            iterations,
            final_iterations,
        };
        Self {
            draft: effort(16, 0, 0, 32),
            standard: effort(32, 1, 0, 96),
            best: effort(32, 2, 16, 256),
            blend: 1.0,
            blend_power: 2.0,
            start: Start::PhaseGradient,
            entry: 0.7,
            momentum: 0.99,
            renewal: 4,
        }
    }
}

impl SamplerDefaults {
    /// Weight of the estimate's own magnitude in the projection after the step at time `t`.
    pub fn blend_at(&self, t: f32) -> f32 {
        self.blend * t.powf(self.blend_power)
    }

    /// Whether what a start makes can be heard without a step after it.
    pub fn starts_well(&self) -> bool {
        self.start == Start::PhaseGradient && self.renewal > 0
    }

    pub fn settings(&self, quality: Quality, seed: u64) -> SamplerSettings {
        match quality {
            Quality::Draft => self.draft,
            Quality::Standard => self.standard,
            Quality::Best => self.best,
        }
        .settings(seed)
    }
}

impl ModelCard {
    /// The family of the program's own models.
    pub const FAMILY: &str = "diffusion";

    /// A card for new weights that render mels of `convention`, whatever its framing is: the sampler's frames are centred.
    /// The denoiser's grid is twice as fine as the mel's.
    ///
    /// # Errors
    /// [`crate::Error::Convention`] for what no diffusion model renders.
    pub fn of_convention(name: impl Into<String>, convention: &MelConvention) -> crate::Result<Self> {
        let mut mel = convention.clone();
        let centred =
            MelConvention { framing: Framing::Centred, magnitude_epsilon: 0.0, power_floor: 0.0, ..mel.clone() };
        if mel != centred {
            mel = MelConvention { name: format!("{}-centred", mel.name), ..centred };
        }
        let new = Self::new(name);
        let denoiser = DenoiserSize { n_fft: mel.n_fft / 2, hop: mel.hop / 2, ..new.denoiser };
        let card = Self { mel, denoiser, ..new };
        card.check(&format!("convention {}", convention.name)).map_err(crate::Error::Convention)?;
        Ok(card)
    }

    /// # Errors
    /// [`crate::Error::Settings`] for sizes that do not fit each other or the mel.
    pub fn validated(self) -> crate::Result<Self> {
        self.check("the new model").map_err(crate::Error::Settings)?;
        Ok(self)
    }

    /// A card for new weights of the default size.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            version: CARD_VERSION,
            name: name.into(),
            encoder: EncoderSize::default(),
            denoiser: DenoiserSize::default(),
            refiner: None,
            extends: false,
            restores: false,
            mel: MelConvention::native(),
            sampler: SamplerDefaults::default(),
            streaming: ChunkLayout::default(),
            training: Provenance::default(),
            licenses: Licenses::default(),
        }
    }

    /// What models of every family say of themselves.
    pub fn common(&self) -> card::ModelCard {
        let SamplerDefaults { draft, standard, best, blend, blend_power, start, entry, momentum, renewal } =
            self.sampler;
        let effort = |effort: Effort| effort.settings(0).effort();
        card::ModelCard {
            name: self.name.clone(),
            family: Self::FAMILY.into(),
            mel: self.mel.clone(),
            channels: card::Channels::Mono,
            efforts: card::Efforts { draft: effort(draft), standard: effort(standard), best: effort(best) },
            streaming: self.streaming,
            architecture: serde_json::json!({
                "encoder": self.encoder,
                "denoiser": self.denoiser,
                "refiner": self.refiner,
                "sampler": { "blend": blend, "blend_power": blend_power, "start": start, "entry": entry, "momentum": momentum, "renewal": renewal },
            }),
            training: self.training.clone(),
            licenses: self.licenses.clone(),
        }
    }

    /// The card with an entry changed: `sampler.standard.steps` and a JSON value. What is no JSON is taken for text.
    ///
    /// # Errors
    /// [`crate::Error::Settings`] for an entry that a card does not have, or a value that it cannot take.
    pub fn with(&self, entry: &str, value: &str) -> crate::Result<Self> {
        let fault = |found: &str| Fault::new(format!("entry `{entry}`"), found);
        let unknown =
            || crate::Error::Settings(fault("is in no model card").remedy("see audiodiff models show with `json`"));
        let mut card = serde_json::to_value(self).map_err(|_| unknown())?;
        let place = card.pointer_mut(&format!("/{}", entry.replace('.', "/"))).ok_or_else(unknown)?;
        *place = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        Self::parse(&card.to_string(), "the card").map_err(|cause| crate::Error::Settings(fault(&cause.to_string())))
    }

    /// That of a diffusion model's file.
    ///
    /// # Errors
    /// [`crate::Error::Model`] names the field that is wrong.
    pub(crate) fn of_file(file: &super::file::WeightFile) -> crate::Result<Self> {
        Self::parse(&file.card_json().to_string(), file.subject()).map_err(crate::Error::Model)
    }

    /// Reads and checks the JSON text; `subject` names the file.
    pub(super) fn parse(text: &str, subject: &str) -> Result<Self, Fault> {
        /// What can be read of every version.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bad = |error: serde_json::Error| {
            Fault::new(subject, format!("its `audiodiff` metadata cannot be read: {error}"))
                .expected(format!("a model card of version {CARD_VERSION}"))
        };
        let Version { version } = serde_json::from_str(text).map_err(bad)?;
        if version != CARD_VERSION {
            return Err(Fault::new(subject, format!("model card version {version}"))
                .expected(format!("version {CARD_VERSION}"))
                .remedy("get an audiodiff as new as the model"));
        }
        let card: Self = serde_json::from_str(text).map_err(bad)?;
        card.check(subject)?;
        Ok(card)
    }

    /// The mels that the projection and the envelope are made for. Others are converted to such a one.
    fn check_mel(&self, subject: &str) -> Result<(), Fault> {
        let MelConvention { name, sample_rate, n_fft, win_length, hop, n_mels, f_min, f_max, floor, .. } = &self.mel;
        let fault = |field: &str, found: String, expected: &str| {
            Err(Fault::new(subject, format!("field `mel` (convention {name}): {field} {found}")).expected(expected))
        };
        if let Err(error) = self.mel.validate() {
            return Err(Fault::new(subject, format!("field `mel`: {error}")));
        }
        let plain = MelConvention {
            name: name.clone(),
            sample_rate: *sample_rate,
            n_fft: *n_fft,
            win_length: *n_fft,
            hop: *hop,
            n_mels: *n_mels,
            f_min: *f_min,
            f_max: *f_max,
            scale: self.mel.scale,
            area_norm: self.mel.area_norm,
            floor: *floor,
            layout: self.mel.layout,
            ..MelConvention::native()
        };
        if let Some((field, expected, found)) = plain.difference(&self.mel) {
            return fault(&field, found, &format!("{expected}, as diffusion models have it"));
        }
        if *win_length > 8192 || *n_mels > 1024 {
            return fault("sizes", format!("{n_fft} and {n_mels}"), "n_fft up to 8192 and n_mels up to 1024");
        }
        if !n_fft.is_multiple_of(*hop) || n_fft < &(2 * hop) || !hop.is_multiple_of(2) {
            return fault(
                "n_fft and hop",
                format!("{n_fft} and {hop}"),
                "an even hop that divides n_fft, with at least half overlap",
            );
        }
        Ok(())
    }

    /// Sizes that the program's numerics rest on, and limits that keep a forged card from asking for all memory.
    fn check(&self, subject: &str) -> Result<(), Fault> {
        self.check_mel(subject)?;
        let refiner = self.refiner.unwrap_or(EncoderSize::REFINER);
        let sizes = [
            ("refiner.channels", refiner.channels, 8..=4096),
            ("refiner.layers", refiner.layers, 0..=64),
            ("refiner.mlp", refiner.mlp, 1..=16),
            ("encoder.channels", self.encoder.channels, 8..=4096),
            ("encoder.layers", self.encoder.layers, 0..=64),
            ("encoder.mlp", self.encoder.mlp, 1..=16),
            ("denoiser.channels", self.denoiser.channels, 8..=4096),
            ("denoiser.layers", self.denoiser.layers, 1..=64),
            ("denoiser.cond_channels", self.denoiser.cond_channels, self.encoder.channels..=self.encoder.channels),
            ("denoiser.time_channels", self.denoiser.time_channels, 4..=4096),
            ("denoiser.mlp", self.denoiser.mlp, 1..=16),
            ("denoiser.n_fft", self.denoiser.n_fft, 64..=self.mel.n_fft),
            ("denoiser.hop", self.denoiser.hop, 16..=self.mel.hop),
        ];
        for (field, found, range) in sizes {
            if !range.contains(&found) {
                return Err(Fault::new(subject, format!("field `{field}` is {found}")).expected(format!(
                    "{} to {}",
                    range.start(),
                    range.end()
                )));
            }
        }
        self.streaming.in_card(subject, self.mel.hop)?;
        let DenoiserSize { n_fft, hop, time_channels, .. } = self.denoiser;
        // Half of them are sines, half cosines.
        if !time_channels.is_multiple_of(2) {
            let fault = Fault::new(subject, format!("field `denoiser.time_channels` is {time_channels}"));
            return Err(fault.expected("an even number"));
        }
        if !self.mel.n_fft.is_multiple_of(n_fft)
            || !self.mel.hop.is_multiple_of(hop)
            || n_fft % 2 != 0
            || !n_fft.is_multiple_of(hop)
            || n_fft < 2 * hop
        {
            return Err(Fault::new(
                subject,
                format!("fields `denoiser.n_fft` and `denoiser.hop` are {n_fft} and {hop}"),
            )
            .expected(format!("divisors of {} and {} with at least half overlap", self.mel.n_fft, self.mel.hop)));
        }
        let SamplerDefaults { draft, standard, best, blend, blend_power, start: _, entry, momentum, renewal } =
            self.sampler;
        for (name, effort) in [("draft", draft), ("standard", standard), ("best", best)] {
            if effort.settings(0).validated().is_err() {
                return Err(Fault::new(subject, format!("field `sampler.{name}` is out of range")));
            }
        }
        if !(0.0..=16.0).contains(&blend_power) {
            return Err(
                Fault::new(subject, format!("field `sampler.blend_power` is {blend_power}")).expected("0 to 16")
            );
        }
        if renewal > SamplerSettings::MAX_ITERATIONS {
            let fault = Fault::new(subject, format!("field `sampler.renewal` is {renewal}"));
            return Err(fault.expected(format!("0 to {}", SamplerSettings::MAX_ITERATIONS)));
        }
        if !(0.0..1.0).contains(&entry) {
            return Err(Fault::new(subject, format!("field `sampler.entry` is {entry}")).expected("0 to less than 1"));
        }
        if !(0.0..=1.0).contains(&blend) || !(0.0..=1.0).contains(&momentum) {
            return Err(Fault::new(
                subject,
                format!("fields `sampler.blend` and `sampler.momentum` are {blend} and {momentum}"),
            )
            .expected("0 to 1"));
        }
        Ok(())
    }
}
