//! A data set made larger: augmented copies of each recording, and what the model makes of them.

use super::augment::{Applied, Augmenter};
use crate::{
    Error, Result,
    audio::{self, FileReport, FileSink, FileSinkSettings, Peaks, SampleFormat, WavMetadata, read_metadata},
    batch::{Fingerprint, Found, Inputs, Item, Overrides, Plan, Recipe, RenderItem, Rendered, Target, Ticket},
    card::Effort,
    mel, path_text,
    render::Renderer,
    source::WholeMel,
    vocoder::{RenderOptions, Vocoder},
};
use serde_json::json;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is to be made of each recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopySettings {
    /// Augmented copies, each with a seed of its own.
    pub copies: usize,
    /// Renderings of each copy; 0 keeps the copy itself.
    pub variants: usize,
    /// All draws follow from it and the recording's name: not from the order, nor from what else is in the folder.
    pub seed: u64,
    /// Hz of what is written.
    pub sample_rate: u32,
    pub format: SampleFormat,
}

/// The model that variants are rendered with.
pub struct Variation {
    pub vocoder: Arc<dyn Vocoder>,
    pub effort: Effort,
}

/// Makes the copies; give it to [`crate::batch::run`].
pub struct Copies {
    augmenter: Augmenter,
    variation: Option<Variation>,
    settings: CopySettings,
    /// By the item's key.
    tasks: HashMap<String, Task>,
}

#[derive(Debug, Clone)]
struct Task {
    /// The recording's name in its folder.
    name: String,
    seed: u64,
    /// From 0.
    variant: u64,
}

impl Copies {
    /// The plan for `recordings` in `folder`, and who carries it out. A single copy keeps its recording's name,
    /// `sub/x.wav`; of several, `sub/x-2.wav` is the second, and `sub/x-2-v3.wav` its third variant.
    ///
    /// # Errors
    /// [`Error::Settings`] where two recordings would have one copy, or a copy would replace a recording.
    pub fn plan(
        recordings: &[Found],
        folder: &Path,
        settings: CopySettings,
        augmenter: Augmenter,
        variation: Option<Variation>,
    ) -> Result<(Plan, Self)> {
        let mut inputs = Inputs { many: true, ..Inputs::default() };
        let mut tasks = HashMap::new();
        for recording in recordings {
            for copy in 1..=settings.copies {
                for variant in 0..settings.variants.max(1) {
                    let name = path_text::to_text(&recording.name).into_owned();
                    let output = copy_name(&recording.name, copy, variant, settings);
                    let seed = seed_of(settings.seed, &name, copy);
                    let key = output.iter().map(|part| path_text::to_text(part.as_ref())).collect::<Vec<_>>().join("/");
                    tasks.insert(key, Task { name, seed, variant: variant as u64 });
                    let overrides = Overrides::default();
                    inputs.found.push(Found { output: Some(output), overrides, ..recording.clone() });
                }
            }
        }
        let plan = Plan::new(&inputs, &Target::Folder(folder.to_owned()), "wav")?;
        Ok((plan, Self { augmenter, variation, settings, tasks }))
    }

    fn task(&self, item: &Item) -> Result<(&Task, Applied)> {
        let task = self.tasks.get(&item.key).ok_or_else(|| {
            let fault = crate::Fault::new(item.output.display(), "is not of this plan");
            Error::Settings(fault.remedy("make the items of the plan that came with these copies"))
        })?;
        Ok((task, self.augmenter.plan(task.seed, Some(&task.name))))
    }
}

impl Task {
    /// Of the rendering.
    fn variant_seed(&self) -> u64 {
        self.seed.wrapping_add(self.variant)
    }
}

impl RenderItem for Copies {
    fn recipe(&self, item: &Item) -> Result<Recipe> {
        let (task, applied) = self.task(item)?;
        let CopySettings { sample_rate, format, .. } = self.settings;
        let rendered = self.variation.as_ref().map(|variation| {
            let mut rendered = json!(variation.effort);
            rendered["seed"] = task.variant_seed().into();
            rendered
        });
        let settings = json!({
            "augmented": applied,
            "rendered": rendered,
            "rate": sample_rate,
            "format": format.raw_name(),
        });
        let model = self.variation.as_ref().map_or("none", |variation| variation.vocoder.identity().weights.as_str());
        Ok(Recipe { model: model.into(), settings, seed: task.seed })
    }

    fn render(&self, item: &Item, fingerprint: &Fingerprint, ticket: &Ticket) -> Result<Rendered> {
        let (task, applied) = self.task(item)?;
        let CopySettings { sample_rate, format, .. } = self.settings;
        let clip = audio::read_at(&item.input, sample_rate)?.samples;
        let mut copy = self.augmenter.perform(&clip, &applied, task.seed);
        drop(clip);
        let seconds = |samples: usize| samples as f64 / f64::from(sample_rate);
        ticket.expect(seconds(copy.len()));
        if let Some(variation) = &self.variation {
            copy = rendering(variation, copy, task.variant_seed(), ticket)?;
        }
        if let Some(folder) = item.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        }
        let made_of = serde_json::to_value(fingerprint)
            .map_err(|error| Error::io("cannot write", &item.output)(std::io::Error::other(error)))?;
        let metadata = Some(WavMetadata::new(made_of));
        let settings = FileSinkSettings {
            seed: task.seed,
            metadata,
            peaks: Peaks::Lower,
            ..FileSinkSettings::new(format, sample_rate)
        };
        let mut sink = FileSink::create(&item.output, settings)?;
        sink.write(&copy)?;
        let FileReport { samples, peak, level, .. } = sink.finish()?;
        if self.variation.is_none() {
            ticket.advance(seconds(copy.len()))?;
        }
        let mut warnings = Vec::new();
        if level.lowered_db > 0.0 {
            let lowered = format!("lowered by {:.1} dB, as its peak was over full scale", level.lowered_db);
            warnings.push(format!("{} was {lowered}", item.output.display()));
        }
        let audio_s = seconds(samples as usize);
        Ok(Rendered { audio_s, peak: f64::from(peak), convention: None, rate: sample_rate, channels: 1, warnings })
    }

    fn made_of(&self, output: &Path) -> Option<Fingerprint> {
        serde_json::from_value(read_metadata(output).ok()??.settings).ok()
    }
}

/// `copy` `[n]` as the model renders its mel: `[n]`.
fn rendering(variation: &Variation, mut copy: Vec<f32>, seed: u64, ticket: &Ticket) -> Result<Vec<f32>> {
    let convention = &variation.vocoder.card().mel;
    let length = copy.len();
    // A frame at the end of the last hop, so that the sound is covered to its end.
    copy.resize(length.next_multiple_of(convention.hop).max(convention.hop), 0.0);
    let source = Box::new(WholeMel::new(mel::extract(&copy, convention)?));
    let options = RenderOptions { effort: Some(variation.effort.clone()), seed, ..RenderOptions::default() };
    let mut rendered = Vec::with_capacity(copy.len());
    for sound in Renderer::new(variation.vocoder.clone(), source, convention, &options)?.of_length(length as u64) {
        let sound = sound?;
        ticket.advance(sound.seconds())?;
        rendered.extend(sound.into_mono());
    }
    Ok(rendered)
}

fn copy_name(name: &Path, copy: usize, variant: usize, settings: CopySettings) -> PathBuf {
    let mut file = name.file_stem().unwrap_or_default().to_owned();
    if settings.copies > 1 {
        file.push(format!("-{copy}"));
    }
    if settings.variants > 0 {
        file.push(format!("-v{}", variant + 1));
    }
    file.push(".wav");
    name.with_file_name(file)
}

/// Other numbers for each recording and copy, the same on every machine.
fn seed_of(seed: u64, name: &str, copy: usize) -> u64 {
    let name = name.replace('\\', "/");
    let hash = blake3::hash(format!("{seed} {copy} {name}").as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    // Short enough to type again.
    u64::from(u32::from_le_bytes([a, b, c, d]))
}
