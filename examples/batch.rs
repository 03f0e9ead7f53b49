//! A folder of mels becomes a folder of WAV files; what cannot be rendered is named, and ends nothing.
//!
//!     cargo run --release --example batch -- samples/mels wavs

use audiodiff::{
    Result,
    audio::SampleFormat,
    batch::{Event, FileRenderer, Inputs, Models, Plan, RenderSettings, SourceSettings, Target, run},
    mel::presets,
    model::RuntimeOptions,
};
use std::{path::Path, sync::atomic::AtomicBool};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, output] = arguments.as_slice() else {
        eprintln!("usage: batch FOLDER OUTPUT");
        std::process::exit(2);
    };
    let mut inputs = Inputs::default();
    inputs.add(Path::new(folder), None);
    let plan = Plan::new(&inputs, &Target::Folder(output.into()), "wav")?;

    let models = Models::auto(RuntimeOptions { threads: 1, ..RuntimeOptions::default() })?;
    let settings = RenderSettings {
        effort: models.first().card().efforts.draft.clone(),
        seed: 0,
        chunk: None,
        source: SourceSettings { convention: Some(presets::named("f5-tts")?.clone()), ..SourceSettings::default() },
        format: SampleFormat::Pcm16,
        raw: false,
        peaks: Default::default(),
        gain: 0.0,
        loudness: None,
        rate: None,
        refining: Default::default(),
    };
    let renderer = FileRenderer { models, settings };
    run(&renderer, &plan.items, 2, &AtomicBool::new(false), |event| {
        if let Event::Finished(entry) = event {
            match &entry.error {
                None => println!("{}", entry.output.display()),
                Some(error) => println!("failed: {error}"),
            }
        }
        Ok(())
    })?;
    Ok(())
}
