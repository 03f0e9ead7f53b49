//! From a mel frame's arrival on standard input to its sound, measured from outside: frames are written to `audiodiff play -`
//! in real time, and the monitor of a PulseAudio null sink is recorded beside it. All frames of a stream wait the same time,
//! for the sound goes on without a gap.
//!
//! `cargo bench --bench latency`; wants pulseaudio, pulseaudio-utils and libasound2-plugins. On a busy machine the smallest
//! of the runs says more than the middle one.

#[path = "../../tests/sound_server/mod.rs"]
mod sound_server;

use audiodiff::{
    diffusion::ChunkLayout,
    mel::{MelConvention, extract::extract},
};
use sound_server::SoundServer;
use std::{
    io::{Read as _, Write as _},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const RUNS: usize = 3;
const LATENCIES_MS: [u32; 4] = [267, 350, 500, 1000];
/// Of what is written. Enough for the longest latency, and a little of its sound.
const FRAMES: usize = 140;
/// The beginning of the sound: far above what 16 bits round.
const AUDIBLE: f32 = 0.02;
const SINK_RATE: u32 = 48_000;

fn main() {
    let sample = format!("{}/../samples/speech-en.wav", env!("CARGO_MANIFEST_DIR"));
    let recording = audiodiff::audio::read(sample).expect("the sample");
    let convention = MelConvention::native();
    let mel = extract(&recording.samples, &convention).expect("a mel");
    let frame_s = convention.hop as f64 / f64::from(convention.sample_rate);
    let Some(server) = SoundServer::start(SINK_RATE, "float32le") else { return };
    println!("{:>12} {:>8} {:>10} {:>10} {:>10}", "--latency-ms", "chunk", "smallest", "middle", "underruns");
    for latency_ms in LATENCIES_MS {
        let mut runs: Vec<(f64, u64)> = (0..RUNS).map(|_| run(&server, mel.values(), latency_ms, frame_s)).collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let chunk = (f64::from(latency_ms) / 1000.0 / frame_s) as usize - ChunkLayout::default().ahead - 1;
        let underruns: u64 = runs.iter().map(|run| run.1).sum();
        let ms = |run: usize| runs[run].0 * 1000.0;
        println!("{latency_ms:>12} {chunk:>8} {:>7.0} ms {:>7.0} ms {underruns:>10}", ms(0), ms(RUNS / 2));
    }
}

/// Seconds, and the underruns meanwhile.
fn run(server: &SoundServer, mel: &[f32], latency_ms: u32, frame_s: f64) -> (f64, u64) {
    let kept = server.folder().join(format!("kept-{latency_ms}.wav"));
    let mut player = server
        .command(env!("CARGO_BIN_EXE_audiodiff"))
        .args(["play", "-", "--input-format", "f32le", "--json", "-y", "--format", "float32"])
        .args(["--latency-ms", &latency_ms.to_string(), "--also-write"])
        .arg(&kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    // It opens the device once the model is loaded, and tries the network once.
    let streams = || server.command("pactl").args(["list", "short", "sink-inputs"]).output().expect("pactl").stdout;
    while streams().is_empty() {
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_secs(1));
    let heard = listen(server);
    let mut pipe = player.stdin.take().expect("its input");
    let begun = Instant::now();
    let mut written = Vec::with_capacity(FRAMES);
    for frame in mel.chunks_exact(100).take(FRAMES) {
        let due = begun + Duration::from_secs_f64(written.len() as f64 * frame_s);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let bytes: Vec<u8> = frame.iter().flat_map(|value| value.to_le_bytes()).collect();
        pipe.write_all(&bytes).expect("written");
        written.push(Instant::now());
    }
    drop(pipe);
    let output = player.wait_with_output().expect("its summary");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sound = audiodiff::audio::read(kept).expect("the sound").samples;
    let first = sound.iter().position(|x| x.abs() > AUDIBLE).expect("a sound");
    let frame = (first as f64 / 24_000.0 / frame_s).round() as usize;
    let heard_at = heard.lock().expect("the recorder").expect("a sound on the monitor");
    ((heard_at - written[frame]).as_secs_f64(), summary["underruns"].as_u64().expect("a number"))
}

/// When the first audible sample was on the sink's monitor, at the latest: what the recorder itself holds back is in it.
fn listen(server: &SoundServer) -> Arc<Mutex<Option<Instant>>> {
    let mut recorder = server
        .command("parec")
        .args(["--device=test.monitor", "--format=float32le", "--channels=1", "--latency-msec=5"])
        .arg(format!("--rate={SINK_RATE}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("parec");
    let mut pipe = recorder.stdout.take().expect("its output");
    let heard = Arc::new(Mutex::new(None));
    let shared = heard.clone();
    let (started, starts) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        let mut rest = Vec::new();
        while let Ok(count @ 1..) = pipe.read(&mut bytes) {
            let now = Instant::now();
            let _ = started.send(());
            rest.extend_from_slice(&bytes[..count]);
            let samples = rest.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let after = samples.clone().count() - samples.clone().position(|x| x.abs() > AUDIBLE).unwrap_or_default();
            if samples.clone().any(|x| x.abs() > AUDIBLE) {
                let since = Duration::from_secs_f64(after as f64 / f64::from(SINK_RATE));
                *shared.lock().expect("the bench") = Some(now - since);
                break;
            }
            let whole = rest.len() / 4 * 4;
            rest.drain(..whole);
        }
        let _ = recorder.kill();
        let _ = recorder.wait();
    });
    starts.recv().expect("parec records");
    heard
}
