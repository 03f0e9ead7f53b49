//! Both channels of a recording through their mels and back: the image between them stays.
//!
//!     cargo run --release --example stereo -- samples/music-stereo.flac again.wav

use audiodiff::{
    Result,
    audio::{FileSink, FileSinkSettings, SampleFormat},
    batch::{Models, Source, SourceSettings},
    model::RuntimeOptions,
    render::Renderer,
    vocoder::RenderOptions,
};
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [recording, output] = arguments.as_slice() else {
        eprintln!("usage: stereo RECORDING OUTPUT.wav");
        std::process::exit(2);
    };
    // The built-in model that hears all of the recording's band.
    let models = Models::auto(RuntimeOptions { threads: 2, ..RuntimeOptions::default() })?;
    let (source, vocoder) = models.open(Path::new(recording), &SourceSettings::default())?;
    let Source { mel, convention, samples, rate, .. } = source;
    let draft = RenderOptions { effort: Some(vocoder.card().efforts.draft.clone()), ..RenderOptions::default() };
    let renderer = Renderer::new(vocoder, mel.into_source(), &convention, &draft)?.at_rate(rate)?.of_length(samples);

    let channels = renderer.channels() as u16;
    let settings = FileSinkSettings { channels, ..FileSinkSettings::new(SampleFormat::Pcm16, rate) };
    let mut sink = FileSink::create(output, settings)?;
    for sound in renderer {
        sink.write(&sound?.interleaved())?;
    }
    let report = sink.finish()?;
    println!("{output}: {} samples in {channels} channels at {rate} Hz", report.samples);
    Ok(())
}
