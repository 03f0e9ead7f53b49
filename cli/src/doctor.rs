//! `audiodiff doctor`: what the program found on this machine, what is missing, and the command that mends it.

use std::{path::Path, sync::Arc, time::Instant};

use audiodiff::{
    Result,
    audio::device,
    families,
    mel::MelSpectrogram,
    model::{Builtin, LIBTORCH_VERSION, Library, Precision, RuntimeOptions, cpu_gains_by_bf16},
    render::Renderer,
    source::WholeMel,
    vocoder::{RenderOptions, Vocoder},
};
use clap::Args;
use serde_json::{Value, json};

use crate::{Outcome, terminal::print, words::in_flags};

/// Say which library, devices, processor features and model were found, and what is missing
#[derive(Args)]
pub struct DoctorFlags {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was looked at.
#[derive(Default)]
struct Findings {
    lines: Vec<(&'static str, String)>,
    json: serde_json::Map<String, Value>,
    problems: Vec<Problem>,
}

struct Problem {
    what: String,
    remedy: String,
    /// Nothing can be rendered.
    essential: bool,
}

impl Findings {
    fn add(&mut self, name: &'static str, text: impl Into<String>, value: Value) {
        self.lines.push((name, text.into()));
        self.json.insert(name.replace(' ', "_"), value);
    }

    fn problem(&mut self, essential: bool, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { what: what.into(), remedy: remedy.into(), essential });
    }
}

pub fn run(flags: &DoctorFlags) -> Result<Outcome> {
    let mut findings = Findings::default();
    let version = env!("CARGO_PKG_VERSION");
    findings.add("program", format!("audiodiff {version}"), json!(version));
    look_at_libtorch(&mut findings);
    look_at_processor(&mut findings);
    look_at_model(&mut findings);
    look_at_sound(&mut findings);

    let healthy = !findings.problems.iter().any(|problem| problem.essential);
    let text = if flags.json { as_json(findings, healthy) } else { as_text(&findings) };
    print(&text)?;
    Ok(if healthy { Outcome::Done } else { Outcome::Failed })
}

fn as_text(findings: &Findings) -> String {
    let found = findings.lines.iter().map(|(name, text)| format!("{name:<10} {text}\n"));
    let missing = findings.problems.iter().map(|Problem { what, remedy, essential }| {
        format!("{:<10} {what}; {remedy}\n", if *essential { "missing" } else { "note" })
    });
    let none = findings.problems.is_empty().then(|| format!("{:<10} nothing\n", "missing"));
    found.chain(missing).chain(none).collect()
}

fn as_json(mut findings: Findings, healthy: bool) -> String {
    let problem = |Problem { what, remedy, essential }: &Problem| json!({ "what": what, "remedy": remedy, "essential": essential });
    let problems: Vec<Value> = findings.problems.iter().map(problem).collect();
    findings.json.insert("healthy".into(), json!(healthy));
    findings.json.insert("problems".into(), json!(problems));
    format!("{}\n", Value::Object(findings.json))
}

fn look_at_libtorch(findings: &mut Findings) {
    let Library { path, version, cuda_devices, cudnn } = Library::loaded();
    let place = path.as_ref().map_or("an unknown place".into(), |path| path.display().to_string());
    let found = version.as_deref().unwrap_or("of unknown version");
    let value = json!({ "version": version, "path": path, "cuda_devices": cuda_devices, "cudnn": cudnn });
    findings.add("libtorch", format!("{found} in {place}"), value);
    if version.as_deref().is_some_and(|version| version != LIBTORCH_VERSION) {
        findings.problem(
            true,
            format!("libtorch {LIBTORCH_VERSION} is wanted, {found} was loaded"),
            "unset LIBTORCH and LD_LIBRARY_PATH, run python3 scripts/libtorch.py and build again",
        );
    }
    let devices = match cuda_devices {
        0 => "the CPU".to_string(),
        count => format!("the CPU, {count} CUDA devices"),
    };
    findings.add("devices", devices, json!({ "cpu": true, "cuda": cuda_devices }));
    if cuda_devices == 0 && Path::new("/proc/driver/nvidia/version").exists() {
        let remedy = "for a CUDA libtorch: python3 scripts/libtorch.py cu130 && cargo build --release";
        findings.problem(false, "there is an NVIDIA driver, and this libtorch has no use for it", remedy);
    }
}

fn look_at_processor(findings: &mut Findings) {
    let features = processor_features();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let precision = if cpu_gains_by_bf16() { Precision::Bf16 } else { Precision::F32 };
    let listed = if features.is_empty() { "none of those looked for".into() } else { features.join(" ") };
    findings.add(
        "processor",
        format!("{threads} threads, {listed}; --precision auto means {precision}"),
        json!({ "threads": threads, "features": features, "precision": precision.to_string() }),
    );
}

/// Those that decide how fast the network runs.
#[cfg(target_arch = "x86_64")]
fn processor_features() -> Vec<&'static str> {
    // AMX is no stable name for the detection macro yet; the kernel lists it.
    let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let amx = listed.split_whitespace().any(|flag| flag == "amx_bf16");
    [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512_bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ("amx_bf16", amx),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_features() -> Vec<&'static str> {
    vec![]
}

/// Loads the built-in model and has it render a second of noise.
fn look_at_model(findings: &mut Findings) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let options = RuntimeOptions { threads, ..RuntimeOptions::default() };
    let tried = families::builtin(Builtin::Default, &options).and_then(|vocoder| {
        let speed = trial(&vocoder)?;
        Ok((vocoder.identity().weights.clone(), vocoder.card().mel.name.clone(), speed))
    });
    match tried {
        Ok((id, convention, speed)) => {
            let text =
                format!("{id}, takes mels of {convention}; a second of standard quality at {speed:.1} x real time");
            findings.add("model", text, json!({ "id": id, "convention": convention, "x_real_time": speed }));
        }
        Err(error) => {
            findings.add("model", "none that works", Value::Null);
            findings.problem(true, in_flags(&error.to_string()), "build or copy the program again");
        }
    }
}

/// × real time of a second of sound, the start left out.
fn trial(vocoder: &Arc<dyn Vocoder>) -> Result<f64> {
    let convention = &vocoder.card().mel;
    let frames = 1 + (convention.sample_rate as usize).div_ceil(convention.hop);
    let mel = MelSpectrogram::new(vec![-5.0; frames * convention.n_mels], convention.n_mels);
    let mut took_s = f64::INFINITY;
    let mut samples = 0;
    for _ in 0..2 {
        let started = Instant::now();
        samples = 0;
        let source = Box::new(WholeMel::new(mel.clone()));
        for sound in Renderer::new(vocoder.clone(), source, convention, &RenderOptions::default())? {
            samples += sound?.len();
        }
        took_s = took_s.min(started.elapsed().as_secs_f64());
    }
    Ok(samples as f64 / f64::from(convention.sample_rate) / took_s)
}

fn look_at_sound(findings: &mut Findings) {
    let default = |hosts: &[device::HostInfo]| {
        hosts.iter().find_map(|host| {
            let device = host.devices.iter().find(|device| device.is_default)?;
            Some(format!("{} ({})", device.name, host.name))
        })
    };
    match device::list(None) {
        Ok(hosts) => {
            let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            let device = default(&hosts);
            let text = device.as_ref().map_or("no output device".into(), |device| format!("output to {device}"));
            findings.add("sound", text, json!({ "hosts": names, "default": device }));
            if device.is_none() {
                let remedy = "render needs none; see audiodiff devices";
                findings.problem(false, "audiodiff play has no device to play to", remedy);
            }
        }
        Err(error) => {
            findings.add("sound", "no output device", Value::Null);
            findings.problem(false, in_flags(&error.to_string()), "only audiodiff play needs one");
        }
    }
}
