//! How many items at once, and how many threads each: × real time of a batch for every way to use the cores.
//!
//! `cargo bench --bench batch`; the figures are the best of three runs. The defaults of `audiodiff render` (one item gets
//! all cores, of many each gets its own) come from here.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Instant,
};

use audiodiff::{
    Error, Result,
    audio::SampleFormat,
    batch::{Event, FileRenderer, Inputs, Plan, RenderSettings, SourceSettings, Target, run},
    families,
    model::{Builtin, RuntimeOptions},
};

const RUNS: usize = 3;

fn main() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = tempfile::tempdir().map_err(Error::io("cannot create", "a temporary folder"))?;
    let inputs = copies(&folder.path().join("in"), 4 * cores)?;
    println!("{} copies of samples/mels/speech-en.npy, standard quality, {cores} cores", inputs.found.len());
    println!("{:>5} {:>8} {:>12}", "jobs", "threads", "x real time");
    let counts: Vec<usize> = (0..).map(|power| 1 << power).take_while(|&count| count <= cores).collect();
    for &jobs in &counts {
        for &threads in counts.iter().filter(|&threads| jobs * threads <= 2 * cores) {
            let speed = (0..RUNS).map(|_| speed(&inputs, folder.path(), jobs, threads));
            let best = speed.collect::<Result<Vec<f64>>>()?.into_iter().fold(0.0, f64::max);
            println!("{jobs:>5} {threads:>8} {best:>12.1}");
        }
    }
    Ok(())
}

fn copies(folder: &Path, count: usize) -> Result<Inputs> {
    std::fs::create_dir(folder).map_err(Error::io("cannot create", folder))?;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/mels/speech-en.npy");
    for i in 0..count {
        let copy: PathBuf = folder.join(format!("{i}.npy"));
        std::fs::copy(&sample, &copy).map_err(Error::io("cannot create", &copy))?;
    }
    let mut inputs = Inputs::default();
    inputs.add(folder, None);
    Ok(inputs)
}

/// Seconds of sound a second, files written, the model's loading left out.
fn speed(inputs: &Inputs, folder: &Path, jobs: usize, threads: usize) -> Result<f64> {
    let vocoder = families::builtin(Builtin::Default, &RuntimeOptions { threads, ..RuntimeOptions::default() })?;
    let settings = RenderSettings {
        effort: vocoder.card().efforts.standard.clone(),
        seed: 0,
        chunk: None,
        source: SourceSettings::default(),
        format: SampleFormat::Pcm16,
        raw: false,
        peaks: Default::default(),
        gain: 0.0,
        loudness: None,
        rate: None,
        refining: Default::default(),
    };
    let renderer = FileRenderer { models: vocoder.into(), settings };
    let plan = Plan::new(inputs, &Target::Folder(folder.join("out")), "wav")?;
    let (started, mut audio_s) = (Instant::now(), 0.0);
    run(&renderer, &plan.items, jobs, &AtomicBool::new(false), |event| {
        if let Event::Finished(entry) = event {
            audio_s += entry.audio_s.unwrap_or(0.0);
        }
        Ok(())
    })?;
    Ok(audio_s / started.elapsed().as_secs_f64())
}
