//! Batches with a renderer that needs no network: it copies its input, reversed, and can be told to fail, to panic and
//! to wait.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use audiodiff::{
    Error, Fault, Result,
    batch::{
        Entry, Event, Existing, Fingerprint, Inputs, Item, Manifest, Overrides, Plan, Recipe, Remaining, RenderItem,
        Rendered, Status, Target, Ticket, resume, run,
    },
    whole_file::WholeFile,
};

/// "bad" in an input's text fails, "bug" panics.
#[derive(Default)]
struct Reverser {
    seed: u64,
    rendered: Mutex<Vec<PathBuf>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    /// Each item waits until so many are in the making.
    wait_for: usize,
    /// Set by the first item that is half way.
    stop: Option<&'static AtomicBool>,
}

impl RenderItem for Reverser {
    fn recipe(&self, item: &Item) -> Result<Recipe> {
        let settings = serde_json::json!({ "steps": item.overrides.effort.get("steps").unwrap_or(4) });
        Ok(Recipe { model: "reverser".into(), settings, seed: item.overrides.seed.unwrap_or(self.seed) })
    }

    fn render(&self, item: &Item, fingerprint: &Fingerprint, ticket: &Ticket) -> Result<Rendered> {
        use std::io::Write as _;
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        while self.most_at_once.load(Ordering::SeqCst) < self.wait_for {
            std::thread::yield_now();
        }
        let result = (|| {
            let text = fs::read_to_string(&item.input).map_err(Error::io("cannot open", &item.input))?;
            if text.contains("bad") {
                return Err(Error::Mel(Fault::new(item.input.display(), "is bad")));
            }
            assert!(!text.contains("bug"), "the reverser fell over");
            let mut file = WholeFile::create(&item.output)?;
            let made_of = serde_json::to_string(fingerprint).unwrap();
            let reversed: String = text.chars().rev().collect();
            file.write_all(format!("{made_of}\n{reversed}").as_bytes())
                .map_err(Error::io("cannot write", &item.output))?;
            if let Some(stop) = self.stop {
                stop.store(true, Ordering::SeqCst);
            }
            ticket.advance(text.len() as f64)?;
            file.finish()?;
            self.rendered.lock().unwrap().push(item.output.clone());
            Ok(Rendered {
                audio_s: text.len() as f64,
                peak: 0.5,
                convention: None,
                rate: 24_000,
                channels: 1,
                warnings: vec![],
            })
        })();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn made_of(&self, output: &Path) -> Option<Fingerprint> {
        let text = fs::read_to_string(output).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    }
}

struct Batch {
    folder: tempfile::TempDir,
}

impl Batch {
    fn new(inputs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        for (name, text) in inputs {
            fs::write(folder.path().join("in").join(name), text).unwrap();
        }
        Self { folder }
    }

    fn plan(&self) -> Plan {
        let out = self.folder.path().join("out");
        let mut inputs = Inputs::default();
        inputs.add(&self.folder.path().join("in"), Some(&out));
        assert!(inputs.unreadable.is_empty());
        Plan::new(&inputs, &Target::Folder(out), "wav").unwrap()
    }

    fn manifest(&self) -> Manifest {
        Manifest::open(self.folder.path().join("manifest.jsonl")).unwrap()
    }

    /// What `audiodiff render in -o out --manifest manifest.jsonl` does.
    fn run(&self, renderer: &Reverser, existing: Existing) -> Result<(Remaining, Vec<Entry>)> {
        let mut manifest = self.manifest();
        let remaining = resume(self.plan(), Some(&mut manifest), existing, renderer)?;
        let mut entries = Vec::new();
        run(renderer, &remaining.items, 2, &AtomicBool::new(false), |event| {
            if let Event::Finished(entry) = event {
                manifest.append(&entry)?;
                entries.push(*entry);
            }
            Ok(())
        })?;
        Ok((remaining, entries))
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const THREE: &[(&str, &str)] = &[("a.npy", "abc"), ("b.npy", "def"), ("c.npy", "ghi")];

#[test]
fn a_bad_input_and_a_bug_fail_alone() {
    let batch = Batch::new(&[("a.npy", "abc"), ("b.npy", "bad"), ("c.npy", "bug"), ("d.npy", "ghi")]);
    let (_, mut entries) = batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    entries.sort_by(|a, b| a.input.cmp(&b.input));
    let statuses: Vec<Status> = entries.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [Status::Done, Status::Failed, Status::Failed, Status::Done]);
    assert!(entries[1].error.as_ref().unwrap().ends_with("b.npy: is bad"));
    assert!(entries[2].error.as_ref().unwrap().contains("the reverser fell over"));
    assert_eq!(batch.files("out"), ["a.wav", "d.wav"]);
}

#[test]
fn a_second_run_does_only_what_is_missing_or_failed() {
    let batch = Batch::new(&[("a.npy", "abc"), ("b.npy", "bad"), ("c.npy", "ghi")]);
    batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    fs::remove_file(batch.folder.path().join("out/c.wav")).unwrap();
    fs::write(batch.folder.path().join("in/b.npy"), "good").unwrap();
    let again = Reverser::default();
    let (remaining, _) = batch.run(&again, Existing::Refuse).unwrap();
    let names: HashSet<_> = again.rendered.lock().unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, HashSet::from(["b.wav".into(), "c.wav".into()]));
    assert_eq!(remaining.done.len(), 1);
}

#[test]
fn another_input_or_seed_is_not_done_and_is_in_the_way() {
    let batch = Batch::new(THREE);
    batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    fs::write(batch.folder.path().join("in/b.npy"), "new").unwrap();
    let error = batch.run(&Reverser::default(), Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("b.wav: is there already; give `overwrite`"), "{error}");
    let other_seed = Reverser { seed: 1, ..Reverser::default() };
    let error = batch.run(&other_seed, Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("3 outputs are there already") && error.contains("`overwrite`"), "{error}");
    let (remaining, _) = batch.run(&other_seed, Existing::Skip).unwrap();
    assert_eq!((remaining.items.len(), remaining.skipped.len()), (0, 3));
    let (remaining, _) = batch.run(&other_seed, Existing::Overwrite).unwrap();
    assert_eq!(remaining.items.len(), 3);
}

#[test]
fn an_output_that_was_put_in_place_but_not_written_down_is_recognised() {
    let batch = Batch::new(THREE);
    batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    // As after a kill between the two: the line is missing, the file is there.
    let path = batch.folder.path().join("manifest.jsonl");
    let lines = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = lines.lines().filter(|line| !line.contains("b.wav")).collect();
    fs::write(&path, kept.join("\n") + "\n{\"status\":").unwrap();
    let (remaining, entries) = batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    assert_eq!((remaining.done.len(), entries.len()), (3, 0));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
}

/// A file of the name is not the file that was written, and one that only lost a byte is not either.
#[test]
fn an_output_that_is_no_longer_what_was_written_is_not_done() {
    let batch = Batch::new(THREE);
    batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    let at = |name: &str| batch.folder.path().join("out").join(name);
    let whole = fs::read(at("b.wav")).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let refusal = || batch.run(&Reverser::default(), Existing::Refuse).map(|_| ()).unwrap_err().to_string();
    for (damaged, said) in
        [(&b""[..], "has 0 bytes where"), (&whole[1..], "bytes where"), (&changed[..], "something else")]
    {
        fs::write(at("b.wav"), damaged).unwrap();
        let text = refusal();
        assert!(
            text.contains("b.wav: is there already, but") && text.contains(said) && text.contains("`overwrite`"),
            "{text}"
        );
    }
    fs::write(at("c.wav"), "").unwrap();
    assert!(refusal().contains("2 outputs are there already") && refusal().contains("2 of them not as they were"));
    let (remaining, _) = batch.run(&Reverser::default(), Existing::Skip).unwrap();
    assert_eq!((remaining.done.len(), remaining.skipped.len()), (1, 2));
    let (remaining, entries) = batch.run(&Reverser::default(), Existing::Overwrite).unwrap();
    assert_eq!((remaining.done.len(), entries.len()), (1, 2));
    assert!(fs::read(at("b.wav")).unwrap() == whole);
    assert_eq!(batch.run(&Reverser::default(), Existing::Refuse).unwrap().0.done.len(), 3);
}

/// Lines that do not say what was written are understood: then the output speaks for itself, and the line is completed.
#[test]
fn a_manifest_without_hashes_of_outputs_is_understood() {
    let batch = Batch::new(THREE);
    batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    let path = batch.folder.path().join("manifest.jsonl");
    let without = |line: &str| {
        let mut entry: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert!(entry.remove("output_bytes").is_some() && entry.remove("output_blake3").is_some());
        serde_json::Value::Object(entry).to_string() + "\n"
    };
    let old: String = fs::read_to_string(&path).unwrap().lines().map(without).collect();
    fs::write(&path, &old).unwrap();
    fs::write(batch.folder.path().join("out/b.wav"), "").unwrap();
    let error = batch.run(&Reverser::default(), Existing::Refuse).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("b.wav: is there already, but is cut off or was replaced"), "{error}");
    let (remaining, entries) = batch.run(&Reverser::default(), Existing::Overwrite).unwrap();
    assert_eq!((remaining.done.len(), entries.len()), (2, 1));
    let manifest = batch.manifest();
    for item in batch.plan().items {
        let entry = manifest.entry(&item.output).unwrap();
        assert!(entry.written.is_some() && entry.audio_s.is_some(), "{entry:?}");
    }
}

/// Where no item is at hand, a panic is told as for an item.
#[test]
fn a_panic_in_a_single_piece_of_work_is_an_error() {
    let stop = AtomicBool::new(false);
    let result: Result<()> = audiodiff::batch::run_alone(&stop, |_| {}, |_| panic!("the reverser fell over"));
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Bug(fault) if fault.found.contains("the reverser fell over")), "{error}");
}

#[test]
fn stop_drops_what_is_half_made_and_begins_nothing_more() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let batch = Batch::new(THREE);
    let renderer = Reverser { stop: Some(&STOP), ..Reverser::default() };
    let result = run(&renderer, &batch.plan().items, 1, &STOP, |_| Ok(()));
    assert!(matches!(result, Err(Error::Interrupted)));
    assert_eq!(batch.files("out"), Vec::<String>::new());
}

#[test]
fn an_error_of_the_listener_ends_the_run() {
    let batch = Batch::new(THREE);
    let full =
        || Error::Io { path: "m".into(), action: "cannot write", source: std::io::ErrorKind::StorageFull.into() };
    let result = run(&Reverser::default(), &batch.plan().items, 1, &AtomicBool::new(false), |event| match event {
        Event::Finished(_) => Err(full()),
        Event::Opened { .. } | Event::Advanced { .. } => Ok(()),
    });
    assert!(matches!(result, Err(Error::Io { .. })));
}

#[test]
fn jobs_are_that_many_at_once() {
    let batch = Batch::new(&[("a.npy", "a"), ("b.npy", "b"), ("c.npy", "c"), ("d.npy", "d"), ("e.npy", "e")]);
    // Would wait for ever with fewer than three threads.
    let renderer = Reverser { wait_for: 3, ..Reverser::default() };
    run(&renderer, &batch.plan().items, 3, &AtomicBool::new(false), |_| Ok(())).unwrap();
    assert_eq!(renderer.most_at_once.load(Ordering::SeqCst), 3);
    assert_eq!(batch.files("out").len(), 5);
}

#[test]
fn a_lists_settings_are_its_items_own() {
    let batch = Batch::new(&[("a.npy", "abc")]);
    let input = batch.folder.path().join("in/a.npy");
    let list = format!("{{\"input\": {input:?}, \"output\": \"x.wav\", \"seed\": 7}}\n{}\n", input.display());
    let mut inputs = Inputs::default();
    inputs.add_list(audiodiff::batch::read_list(list.as_bytes(), "standard input").unwrap(), None);
    let plan = Plan::new(&inputs, &Target::Folder(batch.folder.path().join("out")), "wav").unwrap();
    assert_eq!(plan.items[0].overrides, Overrides { seed: Some(7), ..Overrides::default() });
    run(&Reverser::default(), &plan.items, 1, &AtomicBool::new(false), |_| Ok(())).unwrap();
    let seed =
        |name: &str| Reverser::default().made_of(&batch.folder.path().join("out").join(name)).unwrap().recipe.seed;
    assert_eq!((seed("x.wav"), seed("a.wav")), (7, 0));
}

#[test]
fn a_pipe_is_no_input() {
    let batch = Batch::new(&[]);
    let mut inputs = Inputs::default();
    inputs.add(Path::new("/dev/null"), None);
    let plan = Plan::new(&inputs, &Target::Folder(batch.folder.path().join("out")), "wav").unwrap();
    let mut errors = Vec::new();
    run(&Reverser::default(), &plan.items, 1, &AtomicBool::new(false), |event| {
        if let Event::Finished(entry) = event {
            errors.extend(entry.error);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(errors, ["/dev/null: is no regular file; write it to a file first"]);
}

/// A manifest with any bytes changed, anywhere, and any length: read, or refused by its line, and never a panic; what is
/// refused is left as it is.
#[test]
fn damaged_manifests_are_read_or_refused() {
    let batch = Batch::new(THREE);
    batch.run(&Reverser::default(), Existing::Refuse).unwrap();
    let path = batch.folder.path().join("manifest.jsonl");
    let whole = fs::read(&path).unwrap();
    let mut state = 7u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let (mut tried, mut refused) = (0, 0);
    for _ in 0..1000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        if random(3) == 0 {
            bytes.truncate(random(bytes.len()));
        }
        fs::write(&path, &bytes).unwrap();
        tried += 1;
        match Manifest::open(&path) {
            Ok(_) => {}
            Err(Error::Manifest(fault)) => {
                refused += 1;
                assert!(fault.to_string().contains("manifest.jsonl"), "{fault}");
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
            Err(other) => panic!("{other}"),
        }
    }
    println!("{tried} damaged manifests, {refused} refused");
    assert!(tried == 1000 && refused > 100);
}
