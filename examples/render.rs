//! A mel of another program becomes a WAV file.
//!
//!     cargo run --release --example render -- samples/mels/speech-en.npy f5-tts speech.wav

use audiodiff::{
    Result,
    audio::{FileSink, FileSinkSettings, SampleFormat},
    families,
    mel::{file, presets},
    model::{Builtin, RuntimeOptions},
    render::Renderer,
    source::WholeMel,
    vocoder::RenderOptions,
};
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mel, convention, output] = arguments.as_slice() else {
        eprintln!("usage: render MEL.npy CONVENTION OUTPUT.wav");
        std::process::exit(2);
    };
    let convention = presets::named(convention)?;
    let options = file::ReadOptions { n_mels: Some(convention.n_mels), ..file::ReadOptions::default() };
    let mel = file::read(Path::new(mel), &options)?.declared.mel;

    let vocoder = families::builtin(Builtin::Default, &RuntimeOptions { threads: 2, ..RuntimeOptions::default() })?;
    let renderer = Renderer::new(vocoder, Box::new(WholeMel::new(mel)), convention, &RenderOptions::default())?;
    let mut sink = FileSink::create(output, FileSinkSettings::new(SampleFormat::Pcm16, renderer.rate()))?;
    for sound in renderer {
        sink.write(&sound?.into_mono())?;
    }
    let report = sink.finish()?;
    println!("{output}: {} samples, peak {:.2}", report.samples, report.peak);
    Ok(())
}
