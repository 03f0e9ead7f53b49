//! What a listener waits for: from the first mel frame to the first sample in the ring between renderer and device, with the
//! model loaded (warm), and from the start of the program to the first samples on a pipe (cold).
//!
//! `cargo bench --bench first_sound`; medians and quickest of several runs: on a busy machine the quickest says more.

use audiodiff::{
    audio::player::{Player, PlayerSettings},
    batch::SourceSettings,
    families,
    live::{Event, LiveFormat, LiveMel, Session, SessionInput, SessionSettings},
    mel::{MelConvention, MelSpectrogram, extract::extract},
    model::{Builtin, RuntimeOptions},
};
use std::{
    io::{Cursor, Read as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const RUNS: usize = 9;

fn main() {
    // As the program does.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings of the allocator, made before any other thread runs.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 20);
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/speech-en.wav");
    let recording = audiodiff::audio::read(&sample).expect("the sample");
    let mel = extract(&recording.samples, &MelConvention::native()).expect("a mel");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{RUNS} runs, {threads} threads, standard quality{:>22} {:>9}", "median", "quickest");

    for (name, chunk) in
        [("12 frames (--latency-ms 267)", 12), ("33 frames (play -)", 33), ("96 frames (play FILE)", 96)]
    {
        line(&format!("warm, chunk of {name}"), || warm(&mel, chunk, threads));
    }
    line("loading the model", || {
        let begun = Instant::now();
        let options = RuntimeOptions { threads, ..RuntimeOptions::default() };
        families::builtin(Builtin::Default, &options).expect("the model");
        begun.elapsed()
    });
    line("cold, render FILE -o -", || cold(&["render", "samples/mels/speech-en.npy", "-o", "-"]));
}

fn line(name: &str, run: impl Fn() -> Duration) {
    run();
    let mut times: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{name:<54} {:>6.1} ms {:>6.1} ms", ms(times[RUNS / 2]), ms(times[0]));
}

/// From the first frame that the renderer reads to the first chunk in the ring, resampled to 48 kHz: all of what `play`
/// does between the two.
fn warm(mel: &MelSpectrogram, chunk: usize, threads: usize) -> Duration {
    let options = RuntimeOptions { threads, ..RuntimeOptions::default() };
    let vocoder = families::builtin(Builtin::Default, &options).expect("the model");
    let bytes: Vec<u8> = mel.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let live = LiveMel::new(Cursor::new(bytes), LiveFormat::F32le, None, &MelConvention::native(), "the sample");
    let arrived = live.status();
    let settings = PlayerSettings { sample_rate: 24_000, channels: 1, volume: 1.0, cushion_s: 0.0 };
    let (_player, feed, _feeder) = Player::detached(48_000, settings).expect("a player");
    let settings = SessionSettings {
        effort: vocoder.card().efforts.standard.clone(),
        seed: 0,
        chunk: Some(chunk),
        source: SourceSettings::default(),
        adapt: false,
        repeat: false,
        keep_sound: false,
        refining: Default::default(),
    };
    let session = Session::start(vocoder, SessionInput::Live(Box::new(live)), settings, feed).expect("a session");
    // The event comes once the chunk is in the ring.
    let Ok(Event::Rendered { .. }) = session.events.recv() else { panic!("a chunk") };
    let first = arrived.first_frame().expect("a frame").elapsed();
    session.finish(Duration::from_secs(2));
    first
}

/// From the start of the program to its first samples.
fn cold(arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    let mut program = Command::new(env!("CARGO_BIN_EXE_audiodiff"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut pipe = program.stdout.take().expect("its output");
    // A WAV header, and a sample.
    let mut start = [0; 100];
    pipe.read_exact(&mut start).expect("samples");
    let first = begun.elapsed();
    program.kill().expect("killed");
    program.wait().expect("ended");
    first
}
