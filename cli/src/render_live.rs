//! `audiodiff render -` with `--input-format`: mel frames from standard input, rendered while they come.

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use audiodiff::{
    Error, Fault, Result,
    audio::{FileSink, FileSinkSettings, StreamSink, StreamSinkSettings, WavMetadata},
    batch::{FileRenderer, Overrides, RenderItem as _, RenderSettings, run_alone, streamed},
    live::{LiveMel, render},
};

use crate::{
    Outcome, interrupt,
    items::raw_format,
    play::InputFormatChoice,
    render::{keep_off_terminal, open_stream, stream_name},
    settings::wrong,
    terminal::Terminal,
};

/// Where the sound goes.
pub enum Output {
    /// A file, which appears when the input has ended.
    File(PathBuf),
    /// Standard output (`-`) or another stream; chunks leave as they are rendered.
    Stream(PathBuf),
}

pub fn run(
    renderer: &FileRenderer,
    format: InputFormatChoice,
    output: &Output,
    terminal: &Terminal,
) -> Result<Outcome> {
    if io::stdin().is_terminal() {
        return Err(wrong(
            "INPUT -",
            "standard input is a terminal",
            "pipe mel frames in: python tts.py | audiodiff render -",
        ));
    }
    let settings = &renderer.settings;
    // Frames that are still to come prove nothing: what is not said is the model's.
    let convention = settings.source.convention.as_ref().unwrap_or(&renderer.models.first().card().mel);
    let vocoder = renderer.models.for_mel(convention)?;
    let rate = settings.rate.unwrap_or(convention.rendered_rate());
    // A stream has nothing to tidy up; a file is put in its place between two chunks, or while nothing comes.
    let (stop, input): (_, Box<dyn io::Read + Send>) = match output {
        Output::File(_) => (interrupt::saving_stop_flag(), Box::new(interrupt::standard_input())),
        Output::Stream(_) => (&NEVER, Box::new(io::stdin())),
    };
    let mel = LiveMel::new(input, format.into(), settings.source.layout, convention, "standard input");
    let status = mel.status();
    let say_notes = || status.take_notes().into_iter().for_each(|note| terminal.warn(note));
    let mut sink = Sink::open(renderer, output, rate, terminal)?;
    let begun = Instant::now();
    let mut samples = 0u64;
    // Not in the main thread, whose libgomp workers spin while they wait.
    let rendered = run_alone(
        stop,
        |_| {},
        |ticket| {
            render(vocoder, mel, &settings.options(), rate, |sound| {
                let length = sound.len() as u64;
                samples += length;
                sink.write(&sound.into_mono())?;
                say_notes();
                ticket.advance(length as f64 / f64::from(rate))
            })
        },
    );
    say_notes();
    let audio_s = samples as f64 / f64::from(rate);
    let fault = match (rendered, output) {
        // Where it was stopped the input broke off, which is no fault of its own.
        (_, Output::File(path)) if stop.load(Ordering::Relaxed) => {
            let path = path.display();
            match samples {
                0 => terminal.note(format_args!("{path}: not written, as no sound was there yet")),
                _ => terminal.note(format_args!("{path}: keeps the {audio_s:.2} s of sound that were there")),
            }
            Some(Error::Interrupted)
        }
        // A fault in a stream comes after the sound before it; a file is whole or not there.
        (Err(error @ (Error::Mel(_) | Error::Convention(_))), Output::Stream(_)) => Some(error),
        (Err(error), _) => return Err(error),
        (Ok(()), _) if samples == 0 => {
            // A writer that failed before it wrote anything is not to look like one that did well.
            return Err(Error::Mel(Fault::new("standard input", "no sound came of it").expected("two frames or more")));
        }
        (Ok(()), _) => None,
    };
    if samples > 0 || !matches!(output, Output::File(_)) {
        sink.finish(terminal)?;
    }
    match fault {
        Some(error) => Err(error),
        None => {
            let took_s = begun.elapsed().as_secs_f64();
            terminal.note(format_args!("{audio_s:.2} s of sound in {took_s:.2} s, input included"));
            Ok(Outcome::Done)
        }
    }
}

/// For those that a signal ends at once.
static NEVER: AtomicBool = AtomicBool::new(false);

enum Sink {
    File(Box<FileSink>),
    Stream(Box<StreamSink<Box<dyn Write + Send>>>),
}

impl Sink {
    fn open(renderer: &FileRenderer, output: &Output, rate: u32, terminal: &Terminal) -> Result<Self> {
        let RenderSettings { format, raw, peaks, gain, loudness, seed, .. } = renderer.settings;
        if raw {
            terminal.note(raw_format(format, rate, 1));
        }
        match output {
            Output::File(path) => {
                let recipe = renderer.recipe(&streamed("-".into(), path, Overrides::default()))?;
                let made_of = serde_json::to_value(recipe).unwrap_or_default();
                let settings = FileSinkSettings {
                    gain_db: gain,
                    peaks,
                    loudness,
                    seed,
                    metadata: Some(WavMetadata::new(made_of)),
                    raw,
                    ..FileSinkSettings::new(format, rate)
                };
                Ok(Self::File(Box::new(FileSink::create(path, settings)?)))
            }
            Output::Stream(name) => {
                keep_off_terminal(name)?;
                let stream = open_stream(name)?;
                let settings = StreamSinkSettings {
                    format,
                    sample_rate: rate,
                    channels: 1,
                    raw,
                    gain_db: gain,
                    peaks,
                    seed,
                    samples: None,
                };
                Ok(Self::Stream(Box::new(StreamSink::new(stream, stream_name(name), settings))))
            }
        }
    }

    fn write(&mut self, samples: &[f32]) -> Result<()> {
        match self {
            Self::File(sink) => sink.write(samples),
            Self::Stream(sink) => sink.write(samples),
        }
    }

    fn finish(self, terminal: &Terminal) -> Result<()> {
        match self {
            Self::File(sink) => sink.finish()?.warnings().iter().for_each(|warning| terminal.warn(warning)),
            Self::Stream(sink) => sink.finish()?.warning().iter().for_each(|warning| terminal.warn(warning)),
        }
        Ok(())
    }
}
