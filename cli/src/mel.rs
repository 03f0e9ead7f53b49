//! `audiodiff mel`: mels from recordings, what a mel file is, and the conventions that are known.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use audiodiff::{
    Error, Fault, Result, audio,
    batch::read_recording,
    mel::{
        self, Described, MelConvention,
        file::{RawArray, read_array},
        presets,
        recognise::{Candidate, Ranking, recognise_array},
        user_convention::describe,
    },
    output::Existing,
};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    Outcome,
    settings::wrong,
    terminal::{Terminal, print},
    words::in_flags,
};

/// Compute the mel of a recording, say what a mel file is, or list the conventions
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct MelFlags {
    #[command(subcommand)]
    action: Option<Action>,
    /// A recording; resampled to the convention's rate, mixed to mono
    #[arg(required = true, value_name = "AUDIO")]
    audio: Option<PathBuf>,
    /// The mel file, .npy or .safetensors (which keeps the convention too)
    #[arg(short, long, required = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The convention: a name (see audiodiff mel conventions) or a file that describes one; the built-in model's where not given
    #[arg(long, value_name = "NAME|FILE")]
    convention: Option<String>,
    /// Overwrite the output
    #[arg(short = 'y', long)]
    overwrite: bool,
}

/// The convention that a flag names, a preset or a file; what of the file was not understood is said.
pub fn named_convention(name: &str, terminal: &Terminal) -> Result<MelConvention> {
    let Described { convention, notes } = describe(name)?;
    notes.iter().for_each(|note| terminal.warn(note));
    Ok(convention)
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Say what a mel file is: shape, range, silence, band profile, likely conventions with the reasons
    Info {
        /// A .npy, .npz or .safetensors file
        file: PathBuf,
        /// The array of this name, where there are several
        #[arg(long, value_name = "NAME")]
        tensor: Option<String>,
        /// The recording that it was made of: its length tells conventions apart
        #[arg(long, value_name = "AUDIO")]
        recording: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the conventions that are known by name
    Conventions {
        /// Print JSON, in the form that --convention FILE reads
        #[arg(long)]
        json: bool,
    },
}

pub fn run(flags: MelFlags, terminal: &Terminal) -> Result<Outcome> {
    match flags {
        MelFlags { action: Some(Action::Info { file, tensor, recording, json }), .. } => {
            // Of two channels the left one tells as much.
            let array = read_array(&file, tensor.as_deref())?.into_channels().remove(0);
            let recording = recording.as_deref().map(read_recording).transpose()?;
            let ranking = recognise_array(&array, None, recording.as_ref())?;
            let declared = array.convention()?;
            print(&if json { info_json(&array, &ranking, declared) } else { info(&file, &array, &ranking, declared) })?;
            Ok(Outcome::Done)
        }
        MelFlags { action: Some(Action::Conventions { json }), .. } => {
            print(&conventions(json))?;
            Ok(Outcome::Done)
        }
        MelFlags { audio: Some(audio), output: Some(output), convention, overwrite, .. } => {
            extract(&audio, &output, convention.as_deref(), overwrite, terminal)
        }
        // clap requires both without a subcommand.
        _ => Err(wrong("mel", "needs a recording and an output", "audiodiff mel AUDIO -o FILE.npy")),
    }
}

fn extract(
    input: &Path,
    output: &Path,
    convention: Option<&str>,
    overwrite: bool,
    terminal: &Terminal,
) -> Result<Outcome> {
    let inputs = [Some(input), convention.map(Path::new)];
    Existing::overwritten(overwrite).admits(output, inputs.into_iter().flatten())?;
    let convention = convention.map_or_else(|| Ok(MelConvention::native()), |name| named_convention(name, terminal))?;
    let recording = audio::read_at(input, convention.sample_rate)?;
    let mel = mel::extract(&recording.samples, &convention)?;
    if convention.samples(mel.frames()) == 0 {
        // What render refuses to render.
        let found = format!(
            "{} samples at {} Hz give a mel of a single frame",
            recording.samples.len(),
            convention.sample_rate
        );
        let fault = Fault::new(input.display(), found);
        return Err(Error::Audio(fault.expected("2 frames or more, the two ends of a hop of sound")));
    }
    mel::file::write(output, &mel, &convention)?;
    let (frames, bands) = (mel.frames(), mel.n_mels());
    terminal.note(format_args!("{}: {bands} bands, {frames} frames, convention {}", output.display(), convention.name));
    Ok(Outcome::Done)
}

fn conventions(json: bool) -> String {
    if json {
        let all: Vec<_> = presets::all().iter().map(|preset| &preset.convention).collect();
        return format!("{:#}\n", json!(all));
    }
    let mut text = format!("{:<22} {:>6} {:>5} {:>5}  {:>6}  about\n", "name", "rate", "bands", "hop", "to Hz");
    for preset in presets::all() {
        let c = &preset.convention;
        let name = preset.name();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<22} {:>6} {:>5} {:>5}  {:>6}  {}",
            c.sample_rate, c.n_mels, c.hop, c.f_max, preset.about
        );
        if !preset.aliases.is_empty() {
            let _ = writeln!(text, "{:<22} also: {}", "", preset.aliases.join(", "));
        }
    }
    text
}

fn info(file: &Path, array: &RawArray, ranking: &Ranking, declared: Option<MelConvention>) -> String {
    let summary = &ranking.summary;
    let mut lines = vec![format!("{}: {} {:?}", file.display(), array.dtype, array.shape)];
    if let Some(name) = &array.tensor {
        lines.push(format!("tensor      {name}"));
    }
    if let Some(convention) = declared {
        lines.push(format!("declares    {}", convention.name));
    }
    lines.push(format!("range       {:.3} to {:.3}", summary.lowest, summary.highest));
    match summary.silence {
        Some((value, count)) => lines.push(format!("silence     {value:.3}, {count} times")),
        None => lines.push("silence     no value is repeated at the bottom".into()),
    }
    let profile: Vec<_> = summary.profile.iter().map(|v| format!("{v:.1}")).collect();
    lines.push(format!("profile     {} (means of eighths of the bands, low to high)", profile.join(" ")));
    match ranking.certain() {
        Some(candidate) => {
            let also: Vec<_> = ranking.equivalent().iter().map(|c| c.convention.name.as_str()).collect();
            let also =
                if also.is_empty() { String::new() } else { format!(" (or {}, rendered alike)", also.join(", ")) };
            lines.push(format!("convention  {}{also}, certain", candidate.convention.name));
        }
        None => lines.push("convention  undecided; say it with --convention NAME".into()),
    }
    lines.extend(ranking.possible().map(likely));
    lines.extend(ranking.notes.iter().map(|note| in_flags(&format!("note        {note}"))));
    lines.join("\n") + "\n"
}

fn likely(candidate: &Candidate) -> String {
    let Candidate { convention, layout, verdict, reasons, .. } = candidate;
    let verdict = format!("{verdict:?}").to_lowercase();
    format!("  {:<18} {verdict}, {layout:?}: {}", convention.name, reasons.join("; "))
}

fn info_json(array: &RawArray, ranking: &Ranking, declared: Option<MelConvention>) -> String {
    let candidates: Vec<_> = ranking
        .possible()
        .map(|c| {
            let verdict = format!("{:?}", c.verdict).to_lowercase();
            json!({ "convention": c.convention.name, "layout": c.layout, "verdict": verdict, "reasons": c.reasons })
        })
        .collect();
    let object = json!({
        "shape": array.shape,
        "dtype": array.dtype,
        "tensor": array.tensor,
        "declared": declared.map(|c| c.name),
        "lowest": ranking.summary.lowest,
        "highest": ranking.summary.highest,
        "silence": ranking.summary.silence.map(|(value, _)| value),
        "profile": ranking.summary.profile,
        "certain": ranking.certain().map(|c| &c.convention.name),
        "candidates": candidates,
        "notes": ranking.notes,
    });
    format!("{object}\n")
}
