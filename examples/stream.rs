//! Frames that are still being made are rendered as they come: a source of one's own, which waits where it has to.
//!
//!     cargo run --release --example stream

use audiodiff::{
    Result, families,
    mel::{MelSpectrogram, extract},
    model::{Builtin, RuntimeOptions},
    render::Renderer,
    source::MelSource,
    vocoder::RenderOptions,
};
use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

/// What an acoustic model in another thread sends, frame by frame.
struct Channel {
    frames: Receiver<Vec<f32>>,
    n_mels: usize,
}

impl MelSource for Channel {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let values: Vec<f32> = self.frames.iter().take(frames).flatten().collect();
        Ok(MelSpectrogram::new(values, self.n_mels))
    }
}

fn main() -> Result<()> {
    let vocoder = families::builtin(Builtin::Default, &RuntimeOptions::default())?;
    let convention = vocoder.card().mel.clone();
    let recording = audiodiff::audio::read_at("samples/speech-synthetic.wav", convention.sample_rate)?;
    let mel = extract(&recording.samples, &convention)?;

    let (sender, frames) = sync_channel(8);
    let model = thread::spawn(move || {
        for t in 0..mel.frames() {
            if sender.send(mel.frame(t).to_vec()).is_err() {
                return;
            }
        }
    });
    // Short chunks: the first sound comes after 0.4 s of mel.
    let options = RenderOptions { chunk: Some(24), ..RenderOptions::default() };
    let source = Box::new(Channel { frames, n_mels: convention.n_mels });
    let mut rendered = 0;
    for sound in Renderer::new(vocoder, source, &convention, &options)? {
        rendered += sound?.len();
        println!("{:.2} s", rendered as f64 / f64::from(convention.sample_rate));
    }
    model.join().expect("the acoustic model");
    Ok(())
}
