//! `audiodiff render -` with `--input-format`: mel frames from standard input, rendered while they come.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use audiodiff::{
    Error, Fault, Result,
    audio::{FileSink, FileSinkSettings, StreamSink, StreamSinkSettings, WavMetadata, level::LevelReport},
    batch::{FileRenderer, Overrides, RenderItem as _, RenderSettings, streamed},
    live::{LiveMel, render},
};

use super::{Outcome, interrupt, play::InputFormatChoice, settings::wrong, terminal::Terminal};

/// Where the sound goes.
pub enum Output {
    /// A WAV file, which appears when the input has ended.
    File(PathBuf),
    /// Standard output (`-`) or another stream; chunks leave as they are rendered.
    Stream { name: PathBuf, raw: bool },
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
    let convention = settings.source.convention.as_ref().unwrap_or(&renderer.vocoder.card().mel);
    let mel = LiveMel::new(io::stdin(), format.into(), settings.source.layout, convention, "standard input");
    let status = mel.status();
    let say_notes = || status.take_notes().into_iter().for_each(|note| terminal.warn(note));
    let rate = settings.rate.unwrap_or(convention.rendered_rate());
    let mut sink = Sink::open(renderer, output, rate, terminal)?;
    // A stream has nothing to tidy up; a file is given up between two chunks.
    let stop = match output {
        Output::File(_) => interrupt::stop_flag(),
        Output::Stream { .. } => &AtomicBool::new(false),
    };
    let begun = Instant::now();
    let mut samples = 0u64;
    // Not in the main thread, whose libgomp workers spin while they wait.
    let rendered = thread::scope(|scope| {
        let work = scope.spawn(|| {
            render(renderer.vocoder.clone(), mel, &settings.options(), rate, |sound| {
                samples += sound.len() as u64;
                sink.write(&sound.into_mono())?;
                say_notes();
                if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
            })
        });
        work.join().unwrap_or_else(|_| Err(Error::Settings(Fault::new("rendering", "ended in a panic"))))
    });
    say_notes();
    // A fault in a stream comes after the sound before it; a file is whole or not there.
    let fault = match (rendered, output) {
        (Err(error @ (Error::Mel(_) | Error::Convention(_))), Output::Stream { .. }) => Some(error),
        (Err(error), _) => return Err(error),
        (Ok(()), _) if samples == 0 => {
            // A writer that failed before it wrote anything is not to look like one that did well.
            return Err(Error::Mel(Fault::new("standard input", "no sound came of it").expected("two frames or more")));
        }
        (Ok(()), _) => None,
    };
    sink.finish(terminal)?;
    let (audio_s, took_s) = (samples as f64 / f64::from(rate), begun.elapsed().as_secs_f64());
    match fault {
        Some(error) => Err(error),
        None => {
            terminal.note(format_args!("{audio_s:.2} s of sound in {took_s:.2} s, input included"));
            Ok(Outcome::Done)
        }
    }
}

enum Sink {
    File(Box<FileSink>),
    Stream(StreamSink<Box<dyn io::Write + Send>>),
}

impl Sink {
    fn open(renderer: &FileRenderer, output: &Output, rate: u32, terminal: &Terminal) -> Result<Self> {
        let RenderSettings { format, gain, loudness, seed, .. } = renderer.settings;
        match output {
            Output::File(path) => {
                let recipe = renderer.recipe(&streamed("-".into(), path, Overrides::default()))?;
                let made_of = serde_json::to_value(recipe).unwrap_or_default();
                let settings = FileSinkSettings {
                    gain_db: gain,
                    loudness,
                    seed,
                    metadata: Some(WavMetadata::new(made_of)),
                    ..FileSinkSettings::new(format, rate)
                };
                Ok(Self::File(Box::new(FileSink::create(path, settings)?)))
            }
            Output::Stream { name, raw } => {
                let to_stdout = name.as_os_str() == "-";
                if to_stdout && io::stdout().is_terminal() {
                    let remedy = "name a file with -o, or let a pipe take it: | aplay";
                    return Err(wrong("--output -", "standard output is a terminal, which cannot show sound", remedy));
                }
                if *raw {
                    terminal.note(format_args!("{} {rate} 1", format.raw_name()));
                }
                let stream: Box<dyn io::Write + Send> = match to_stdout {
                    true => Box::new(io::stdout()),
                    false => Box::new(File::create(name).map_err(Error::io("cannot open", name))?),
                };
                let settings =
                    StreamSinkSettings { format, sample_rate: rate, raw: *raw, gain_db: gain, seed, samples: None };
                let name = if to_stdout { Path::new("standard output") } else { name };
                Ok(Self::Stream(StreamSink::new(stream, name, settings)))
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
            Self::File(sink) => {
                let LevelReport { lowered_db, loudness_unmeasurable, .. } = sink.finish()?.level;
                if lowered_db > 0.0 {
                    terminal.warn(format_args!(
                        "the peak is over full scale, so the file was lowered by {lowered_db:.1} dB"
                    ));
                }
                if loudness_unmeasurable {
                    terminal.warn("too short or too quiet to have a loudness, so its level was kept");
                }
            }
            Self::Stream(sink) => {
                let report = sink.finish()?;
                if report.clipped > 0 {
                    let (clipped, peak) = (report.clipped, report.peak);
                    terminal.warn(format_args!(
                        "{clipped} samples were over full scale (peak {peak:.2}) and were held there; give --gain"
                    ));
                }
            }
        }
        Ok(())
    }
}
