//! `audiodiff eval`: how good renderings are, system beside system.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io::{self, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use audiodiff::{
    Error, Fault, Result,
    batch::Inputs,
    eval::{
        Comparison, Evaluation, Event, FileScore, Folder, Metric, ModelSystem, RenderedFolder, Results, Summary, System,
    },
    model::Builtin,
    output::{Existing, keep_off_inputs},
    report::{Html, Page, evaluation},
    vocoder::RenderOptions,
    whole_file::WholeFile,
};
use clap::Args;

use crate::{
    Outcome, eval_table, interrupt,
    progress::Progress,
    settings::{ModelChoice, QualityChoice, QualityFlags, RuntimeFlags, SeedChoice, wrong},
    terminal::{Terminal, try_print},
};

/// Score renderings against the recordings that they should be
///
/// Renderings are folders of other programs' output (RENDERED, --rendered), or made here from the recordings' own mels
/// (--model; builtin where nothing else is given). Several are compared on the same recordings, with the first as the one
/// that differences are from. Delays are found and taken out; what is silent, broken or missing is said and not scored.
///
/// All is compared over the whole band, at the recording's rate: the lowest rate where rates differ, so that systems stay
/// comparable, and it is said. Where all have two channels, each is scored and the mean is given, PESQ and pitch of their mix;
/// otherwise all are mixed to one. mel_l1 is by the mel of the model that is scored, of folders by that of the models beside
/// them; without a model by f5-tts up to 24 kHz, by bigvgan-44k-128 above.
#[derive(Args, Debug)]
pub struct EvalFlags {
    /// Folders of renderings, called like the recordings but for the extension
    #[arg(value_name = "RENDERED")]
    rendered: Vec<PathBuf>,
    /// Folder of the recordings
    #[arg(short, long, required = true, visible_alias = "audio", value_name = "DIR")]
    reference: PathBuf,
    /// Render the recordings' mels with builtin, griffin-lim or the model in a file; may be given again
    #[arg(short, long = "model", value_name = "MODEL", help_heading = "Systems")]
    models: Vec<ModelChoice>,
    /// Renderings of another program, under a name for the report; may be given again
    #[arg(long = "rendered", value_name = "NAME=DIR", help_heading = "Systems")]
    named: Vec<NamedFolder>,
    /// The system that differences are from; the first one where not given
    #[arg(long, value_name = "NAME", help_heading = "Systems")]
    baseline: Option<String>,
    #[command(flatten)]
    runtime: RuntimeFlags,
    #[command(flatten)]
    quality: QualityFlags,

    /// all, cheap (all but PESQ and pitch), or a list of pesq_wb,mel_l1,mr_mel,stft_sc,stft_log,vuv_f1,f0_cents,periodicity,loudness_db,x_real_time
    #[arg(long, default_value = "all", env = "AUDIODIFF_METRICS", value_name = "LIST")]
    metrics: MetricsChoice,
    /// Print a JSON object for each file and system on standard output, instead of the table
    #[arg(long, help_heading = "Report", conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values on standard output, instead of the table
    #[arg(long, help_heading = "Report")]
    csv: bool,
    /// Write means, intervals and differences as JSON
    #[arg(long, value_name = "FILE.json", help_heading = "Report")]
    summary: Option<PathBuf>,
    /// Write a page that stands alone: tables, spectrograms, differences, players that switch in mid-play
    #[arg(long, value_name = "FILE.html", help_heading = "Report")]
    html: Option<PathBuf>,
    /// Recordings with pictures and players on the page, evenly spread over the names
    #[arg(long, value_name = "N", default_value_t = 20, requires = "html", help_heading = "Report")]
    clips: usize,
    /// Overwrite --html and --summary where they are there
    #[arg(short = 'y', long, help_heading = "Report")]
    overwrite: bool,
    /// Keep a line of JSON for each score; a run with the same file does only what is missing
    #[arg(long, value_name = "FILE.jsonl", env = "AUDIODIFF_RESULTS", help_heading = "Report")]
    results: Option<PathBuf>,
    /// Cores that score, and that share the rendering of a file
    #[arg(short, long, value_name = "N", env = "AUDIODIFF_THREADS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

#[derive(Debug, Clone)]
struct NamedFolder {
    name: String,
    folder: PathBuf,
}

impl FromStr for NamedFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
                Ok(Self { name: name.into(), folder: folder.into() })
            }
            _ => Err("expected NAME=DIR, for instance hifigan=out/hifigan".into()),
        }
    }
}

#[derive(Debug, Clone)]
struct MetricsChoice(BTreeSet<Metric>);

impl FromStr for MetricsChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut metrics = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match word {
                "all" => metrics.extend(Metric::ALL),
                "cheap" => metrics.extend(Metric::CHEAP),
                key => {
                    metrics.insert(key.parse().map_err(|error| format!("{error}, or cheap or all"))?);
                }
            }
        }
        Ok(Self(metrics))
    }
}

pub fn run(flags: &EvalFlags, terminal: &Terminal) -> Result<Outcome> {
    let named = flags.named.iter().map(|named| &named.folder);
    let folders = std::iter::once(&flags.reference).chain(&flags.rendered).chain(named);
    let mut recordings = Inputs::default();
    for folder in folders {
        let first = recordings.found.len();
        recordings.add_recordings(folder, None);
        recordings.keep_one_of_each_name(first);
    }
    terminal.left_out(&recordings.left_out);
    let references = flags.references()?;
    let mut inputs: Vec<PathBuf> = references.files.values().cloned().collect();
    for folder in flags.rendered.iter().chain(flags.named.iter().map(|named| &named.folder)) {
        inputs.extend(Folder::open(folder)?.files.into_values());
    }
    inputs.extend(flags.models.iter().filter_map(ModelChoice::file).map(Path::to_owned));
    for output in [&flags.html, &flags.summary].into_iter().flatten() {
        Existing::overwritten(flags.overwrite).admits(output, &inputs)?;
    }
    if let Some(results) = &flags.results {
        keep_off_inputs(results, &inputs)?;
    }
    let threads = flags.threads.map_or_else(cores, |threads| usize::try_from(threads).unwrap_or(1));
    let stop = interrupt::stop_flag();
    let mut systems = flags.folders(&references, terminal)?;
    for (name, model) in flags.models() {
        systems.push((name, flags.model_system(&model, threads, stop, terminal)?));
    }
    flags.order(&mut systems)?;
    let mut evaluation = Evaluation { references: &references, systems, metrics: flags.metrics.0.clone(), threads };

    let mut report = Report::new(flags, &evaluation, terminal)?;
    let done = report.known(&evaluation)?;
    let all = references.files.len() * report.systems.len();
    let known: usize = done.values().map(HashSet::len).sum();
    if known > 0 {
        terminal.note(format_args!("{known} of {all} scores are there already"));
    }
    let is_done = |file: &str, system: &str| done.get(file).is_some_and(|systems| systems.contains(system));
    let kept = move |count: usize, results: &Path| {
        format!("{count} of {all} scores are in {}; the same command goes on", results.display())
    };
    let scored = Arc::new(AtomicUsize::new(known));
    if let (Some(results), scored) = (flags.results.clone(), scored.clone()) {
        interrupt::last_words(move || kept(scored.load(Ordering::Relaxed), &results));
    }
    let mut progress = Progress::new(terminal, all - known);
    let ended = evaluation.compare(is_done, stop, |event| match event {
        Event::Rendered { audio_s } => {
            progress.advanced(audio_s);
            Ok(())
        }
        Event::Scored(comparison) => {
            comparison.scores.iter().for_each(|_| progress.finished_one());
            report.take(comparison)?;
            scored.store(report.scores.len(), Ordering::Relaxed);
            Ok(())
        }
    });
    let (audio_s, took_s, speed) = (progress.audio_s(), progress.took_s(), progress.speed());
    drop(progress);
    if let (Err(Error::Interrupted), Some(results)) = (&ended, &flags.results) {
        terminal.note(kept(report.scores.len(), results));
    }
    ended?;
    terminal.note(format_args!("{audio_s:.1} s of sound scored in {took_s:.1} s ({speed:.1} x real time)"));
    report.finish()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

type Systems = Vec<(String, Box<dyn System + 'static>)>;

impl EvalFlags {
    /// The recordings. Renderings in a folder among them are none.
    fn references(&self) -> Result<Folder> {
        let folders = self.rendered.iter().chain(self.named.iter().map(|named| &named.folder));
        let rendered: Vec<PathBuf> = folders.filter_map(|folder| folder.canonicalize().ok()).collect();
        let below = |path: &Path, folder: &PathBuf| path.starts_with(folder) && path != folder;
        let mut references = Folder::open(&self.reference)?;
        references.files.retain(|_, path| {
            path.canonicalize().map_or(true, |path| !rendered.iter().any(|folder| below(&path, folder)))
        });
        if references.files.is_empty() {
            let fault = Fault::new(self.reference.display(), "every recording in it is one of the renderings");
            return Err(Error::Data(fault.remedy("name the folder of the recordings with --reference")));
        }
        Ok(references)
    }

    /// The folders of renderings with their names.
    fn folders(&self, references: &Folder, terminal: &Terminal) -> Result<Systems> {
        let own_name = |folder: &PathBuf| {
            let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            let name = absolute.file_name().map_or_else(|| folder.to_string_lossy(), |name| name.to_string_lossy());
            NamedFolder { name: name.into_owned(), folder: folder.clone() }
        };
        let mut systems: Systems = vec![];
        for NamedFolder { name, folder } in self.rendered.iter().map(own_name).chain(self.named.iter().cloned()) {
            let mut found = Folder::open(&folder)?;
            if let (true, true, [reference], [_]) = (
                self.reference.is_file(),
                folder.is_file(),
                references.files.keys().collect::<Vec<_>>().as_slice(),
                found.files.keys().collect::<Vec<_>>().as_slice(),
            ) {
                // Two files that were named themselves are a pair, whatever they are called.
                found.files = found.files.into_values().map(|path| ((*reference).clone(), path)).collect();
            }
            let (paired, alone) = found.paired_with(references);
            if paired.files.is_empty() {
                let example = |folder: &Folder| folder.files.keys().next().cloned().unwrap_or_default();
                let place = self.reference.display();
                let fault = Fault::new(folder.display(), format!("no file called like one in {place}"));
                let expected = format!("names like {}, not {}", example(references), example(&found));
                return Err(Error::Data(fault.expected(expected).remedy("rename the renderings")));
            }
            if !alone.is_empty() {
                let (count, more) = (alone.len(), if alone.len() > 5 { ", ..." } else { "" });
                let shown = alone.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                let what = format!("{count} renderings without a recording are left out: {shown}{more}");
                terminal.warn(format_args!("{name}: {what}"));
            }
            systems.push((name, Box::new(RenderedFolder(paired))));
        }
        Ok(systems)
    }

    /// The models with their names. Two files that are called alike go by their paths.
    fn models(&self) -> Vec<(String, ModelChoice)> {
        if self.models.is_empty() && self.rendered.is_empty() && self.named.is_empty() {
            return vec![("builtin".into(), ModelChoice::Builtin(Builtin::Default))];
        }
        let short = |model: &ModelChoice| match model {
            ModelChoice::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            other => other.to_string(),
        };
        let name = |model: &ModelChoice| {
            let alike = self.models.iter().filter(|other| short(other) == short(model)).count();
            if alike > 1 { model.to_string() } else { short(model) }
        };
        self.models.iter().map(|model| (name(model), model.clone())).collect()
    }

    fn model_system(
        &self,
        model: &ModelChoice,
        threads: usize,
        stop: &'static AtomicBool,
        terminal: &Terminal,
    ) -> Result<Box<dyn System>> {
        let vocoder = model.vocoder(&self.runtime, threads)?;
        let seed = self.quality.seed.number();
        if self.quality.seed == SeedChoice::Random {
            terminal.note(format_args!("{model}: seed {seed}"));
        }
        let quality = match model {
            ModelChoice::GriffinLim if self.models.len() > 1 => {
                // Its own number of iterations too, or a quick network would be compared with a broken baseline.
                QualityFlags {
                    quality: QualityChoice::Standard,
                    start_iterations: None,
                    steps: None,
                    iterations: None,
                    final_iterations: None,
                    ..self.quality.clone()
                }
            }
            _ => self.quality.clone(),
        };
        let effort = quality.effort(vocoder.as_ref())?;
        let weights = &vocoder.identity().weights;
        terminal.detail(format_args!("{model}: {weights}, {threads} threads, {effort}, seed {seed}"));
        let options = RenderOptions { effort: Some(effort), seed, ..RenderOptions::default() };
        Ok(Box::new(ModelSystem::new(vocoder, options, stop)))
    }

    /// The baseline first, and no name twice.
    fn order(&self, systems: &mut Systems) -> Result<()> {
        let mut seen = HashSet::new();
        if let Some((name, _)) = systems.iter().find(|(name, _)| !seen.insert(name.clone())) {
            let remedy = "give the folder another name with --rendered NAME=DIR";
            return Err(wrong("RENDERED, --rendered, --model", format!("two systems are called {name}"), remedy));
        }
        let Some(baseline) = &self.baseline else { return Ok(()) };
        let Some(at) = systems.iter().position(|(name, _)| name == baseline) else {
            let names: Vec<_> = systems.iter().map(|(name, _)| name.as_str()).collect();
            return Err(wrong(
                "--baseline",
                format!("no system is called {baseline}"),
                format!("one of {}", names.join(", ")),
            ));
        };
        systems[..=at].rotate_right(1);
        Ok(())
    }
}

/// What is told in the course of a run, and at its end.
struct Report<'a> {
    flags: &'a EvalFlags,
    terminal: &'a Terminal,
    /// Their names.
    systems: Vec<String>,
    results: Results,
    /// By file and system: what a score is computed from. Only where results are kept.
    made_of: HashMap<(String, String), String>,
    page: Option<Page>,
    /// Files with a clip on the page.
    shown: BTreeSet<String>,
    scores: Vec<FileScore>,
}

impl<'a> Report<'a> {
    fn new(flags: &'a EvalFlags, evaluation: &Evaluation, terminal: &'a Terminal) -> Result<Self> {
        let systems: Vec<String> = evaluation.systems.iter().map(|(name, _)| name.clone()).collect();
        let files: Vec<&String> = evaluation.references.files.keys().collect();
        let (mut results, mut made_of) = (Results::default(), HashMap::new());
        if let Some(path) = &flags.results {
            results = Results::open(path)?;
            for (file, (i, system)) in files.iter().flat_map(|file| systems.iter().enumerate().map(move |s| (file, s)))
            {
                made_of.insert(((*file).clone(), system.clone()), evaluation.made_of(file, i));
            }
        }
        let title = format!("{} against {}", systems.join(", "), flags.reference.display());
        let page = flags.html.as_ref().map(|path| Page::create(path, &title)).transpose()?;
        let clips = if page.is_some() { flags.clips.min(files.len()) } else { 0 };
        let shown = (0..clips).map(|i| files[i * files.len() / clips].clone()).collect();
        Ok(Self { flags, terminal, systems, results, made_of, page, shown, scores: vec![] })
    }

    /// Takes over what a former run scored: the systems that are done, by file. What is to be seen and heard on the page
    /// has to be made again.
    fn known(&mut self, evaluation: &Evaluation) -> Result<HashMap<String, HashSet<String>>> {
        if self.flags.csv {
            self.print(&eval_table::csv_head(&evaluation.metrics))?;
        }
        let mut done: HashMap<String, HashSet<String>> = HashMap::new();
        for file in evaluation.references.files.keys().filter(|file| !self.shown.contains(*file)) {
            for system in self.systems.clone() {
                let made_of = self.made_of.get(&(file.clone(), system.clone()));
                let score = made_of.and_then(|made_of| self.results.get(file, &system, made_of)).cloned();
                if let Some(score) = score {
                    self.tell(&score)?;
                    self.scores.push(score);
                    done.entry(file.clone()).or_default().insert(system);
                }
            }
        }
        Ok(done)
    }

    /// Takes what was found out about a file.
    fn take(&mut self, comparison: &Comparison) -> Result<()> {
        if let Err(error) = &comparison.reference {
            self.terminal.error(error);
        }
        for score in &comparison.scores {
            if let (Some(problem), true, Ok(_)) = (&score.problem, score.failed(), &comparison.reference) {
                self.terminal.error(format_args!("{}, {}: {problem}", score.file, score.system));
            }
            let key = (score.file.clone(), score.system.clone());
            if let Some(made_of) = self.made_of.get(&key)
                && self.results.get(&score.file, &score.system, made_of).is_none()
            {
                self.results.append(score, made_of)?;
            }
            self.tell(score)?;
            self.scores.push(score.clone());
        }
        if let (Some(page), true) = (&mut self.page, self.shown.contains(&comparison.name)) {
            let mut html = Html::new();
            html.clip(&evaluation::clip(comparison, &self.systems)?);
            page.write_later(&html)?;
        }
        Ok(())
    }

    /// On standard output, where that is asked for line by line.
    fn tell(&self, score: &FileScore) -> Result<()> {
        if self.flags.json {
            return self.print(&(line_of(score)? + "\n"));
        }
        if self.flags.csv { self.print(&eval_table::csv_line(score, &self.flags.metrics.0)) } else { Ok(()) }
    }

    /// A reader that has seen enough ends the run only where nothing else was asked for.
    fn print(&self, text: &str) -> Result<()> {
        let printed = try_print(text);
        let others = [&self.flags.html, &self.flags.summary, &self.flags.results];
        match printed {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && others.into_iter().any(Option::is_some) => {
                Ok(())
            }
            printed => printed.map_err(Error::io("cannot write", "standard output")),
        }
    }

    fn finish(mut self) -> Result<Outcome> {
        let order = |score: &FileScore| self.systems.iter().position(|name| *name == score.system);
        let mut scores = std::mem::take(&mut self.scores);
        scores.sort_by(|a, b| a.file.cmp(&b.file).then_with(|| order(a).cmp(&order(b))));
        let summary = Summary::new(&self.systems, &scores);
        self.say_remarks(&summary, &scores);
        let table = eval_table::table(&summary);
        if self.flags.json || self.flags.csv {
            self.terminal.note(table.trim_end());
        } else {
            self.print(&table)?;
        }
        if let Some(path) = &self.flags.summary {
            let mut file = WholeFile::create(path)?;
            let text = serde_json::to_string_pretty(&summary).map_err(io::Error::other);
            text.and_then(|text| file.write_all((text + "\n").as_bytes())).map_err(Error::io("cannot write", path))?;
            file.finish()?;
        }
        if let Some(mut page) = self.page.take() {
            let mut html = evaluation::tables(&summary, &scores, |file| self.shown.contains(file));
            if !self.shown.is_empty() {
                html.heading(2, "clips", "Clips");
                if self.shown.len() < summary.files {
                    html.paragraph(&format!(
                        "{} of {} recordings, evenly spread over the names; audiodiff eval --clips N shows more.",
                        self.shown.len(),
                        summary.files
                    ));
                }
            }
            page.write(&html)?;
            page.finish()?;
        }
        let failed = scores.iter().filter(|score| score.failed()).count();
        Ok(match failed {
            0 => Outcome::Done,
            all if all == scores.len() => Outcome::Failed,
            _ => Outcome::SomeFailed,
        })
    }

    /// What was taken out before the comparison, and metrics that single files have not.
    fn say_remarks(&self, summary: &Summary, scores: &[FileScore]) {
        summary.notes().iter().for_each(|note| self.terminal.note(note));
        let partly: Vec<_> =
            scores.iter().filter(|s| !s.failed()).filter_map(|s| Some((s, s.problem.as_ref()?))).collect();
        for (score, problem) in partly.iter().take(MOST_REMARKS) {
            self.terminal.warn(format_args!("{}, {}: {problem}", score.file, score.system));
        }
        if partly.len() > MOST_REMARKS {
            let more = partly.len() - MOST_REMARKS;
            self.terminal.warn(format_args!("{more} more scores lack a metric; --json says which and why"));
        }
    }
}

/// Scores without PESQ, say, that are named one by one.
const MOST_REMARKS: usize = 5;

fn line_of(score: &FileScore) -> Result<String> {
    serde_json::to_string(score).map_err(|error| {
        Error::Data(Fault::new(&score.file, format!("cannot be written as JSON ({error})")).remedy("rename the file"))
    })
}
