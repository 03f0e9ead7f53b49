//! A few threads that take item after item, each for itself, and report to the one that waits.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    time::Instant,
};

use super::{Entry, Fingerprint, Item, Recipe, Status, Written};
use crate::{Error, Fault, Result};

/// Makes items. One value serves all threads.
pub trait RenderItem: Sync {
    /// What an item will be made with.
    ///
    /// # Errors
    /// [`Error::Settings`] where the item's own settings are out of range.
    fn recipe(&self, item: &Item) -> Result<Recipe>;

    /// Makes the output, which appears whole or not at all. `fingerprint` is to be kept in it where there is room.
    fn render(&self, item: &Item, fingerprint: &Fingerprint, ticket: &Ticket) -> Result<Rendered>;

    /// What an output says that it was made of, where it says so.
    fn made_of(&self, output: &Path) -> Option<Fingerprint>;
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Seconds of sound.
    pub audio_s: f64,
    /// Largest magnitude.
    pub peak: f64,
    /// The convention that a mel was taken for.
    pub convention: Option<String>,
    /// Hz, of the output.
    pub rate: u32,
    /// Of the output.
    pub channels: usize,
    /// What the user should be told.
    pub warnings: Vec<String>,
}

/// An item's connection to its run.
pub struct Ticket<'a> {
    stop: &'a AtomicBool,
    given_up: &'a AtomicBool,
    events: Sender<Event>,
}

impl Ticket<'_> {
    /// To be called once it is known how many seconds of sound the item will be.
    pub fn expect(&self, audio_s: f64) {
        let _ = self.events.send(Event::Opened { audio_s });
    }

    /// To be called after each chunk, with its seconds of sound.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the item is to be dropped.
    pub fn advance(&self, audio_s: f64) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) || self.given_up.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        // Nobody listens any more only when the run is being given up.
        let _ = self.events.send(Event::Advanced { audio_s });
        Ok(())
    }
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event {
    /// An item was read: so much sound it will be.
    Opened { audio_s: f64 },
    /// So much more sound was rendered.
    Advanced { audio_s: f64 },
    /// An item is done or has failed; in the order in which that happens.
    Finished(Box<Entry>),
}

/// Has `items` made by `jobs` threads. `on_event` is called in the calling thread; its first error ends the run, and so
/// does `stop`: items in the making are dropped, the rest is not begun.
///
/// # Errors
/// Those of `on_event`, and [`Error::Interrupted`] where `stop` left something undone. A failed item is an event.
pub fn run<R: RenderItem>(
    renderer: &R,
    items: &[Item],
    jobs: usize,
    stop: &AtomicBool,
    mut on_event: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let (next, given_up) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut finished = 0;
    std::thread::scope(|scope| {
        let (sender, events) = channel();
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            let ticket = Ticket { stop, given_up: &given_up, events: sender.clone() };
            let next = &next;
            scope.spawn(move || {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if ticket.advance(0.0).is_err() {
                        break;
                    }
                    if let Some(entry) = make(renderer, item, &ticket) {
                        let _ = ticket.events.send(Event::Finished(Box::new(entry)));
                    }
                }
            });
        }
        drop(sender);
        for event in events {
            finished += usize::from(matches!(event, Event::Finished(_)));
            if let Err(error) = on_event(event) {
                given_up.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    })?;
    if finished < items.len() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Runs `work`, which is no item with an output of its own, in a thread, with a ticket whose events go to `on_event` in
/// the calling one.
///
/// # Errors
/// Those of `work`; its panic is [`Error::Bug`].
pub fn run_alone<T: Send>(
    stop: &AtomicBool,
    on_event: impl FnMut(Event),
    work: impl FnOnce(&Ticket) -> Result<T> + Send,
) -> Result<T> {
    let given_up = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, events) = channel();
        let ticket = Ticket { stop, given_up: &given_up, events: sender };
        let worker = scope.spawn(move || work(&ticket));
        events.into_iter().for_each(on_event);
        worker.join().unwrap_or_else(|panic| Err(Error::bug("rendering", &*panic)))
    })
}

/// The item's entry; none where it was interrupted.
fn make<R: RenderItem>(renderer: &R, item: &Item, ticket: &Ticket) -> Option<Entry> {
    let started = Instant::now();
    let mut fingerprint = None;
    // A bug that one input brings to light must not take the others with it.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let recipe = renderer.recipe(item)?;
        let made_of = Fingerprint { input_blake3: hash_file(&item.input)?, recipe };
        let made_of = fingerprint.insert(made_of);
        let rendered = renderer.render(item, made_of, ticket)?;
        Ok((rendered, Written::of(&item.output)?))
    }))
    .unwrap_or_else(|panic| Err(Error::bug(item.input.display(), &*panic)));
    let took_s = Some(started.elapsed().as_secs_f64());
    let mut entry = Entry { status: Status::Done, fingerprint, took_s, ..Entry::skipped(item) };
    match result {
        Ok((Rendered { audio_s, peak, convention, rate, channels, warnings }, written)) => {
            entry.written = written;
            entry.audio_s = Some(audio_s);
            entry.peak = Some(peak);
            entry.convention = convention;
            entry.rate = Some(rate);
            entry.channels = (channels > 1).then_some(channels);
            entry.warnings = warnings;
        }
        Err(Error::Interrupted) => return None,
        Err(error) => {
            entry.status = Status::Failed;
            entry.error = Some(error.to_string());
        }
    }
    Some(entry)
}

/// Hash of a file's content, in hexadecimal digits.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(Error::io("cannot open", path))?;
    // A pipe would be empty after this, and a device may never end.
    if !file.metadata().map_err(Error::io("cannot open", path))?.is_file() {
        return Err(Error::Mel(Fault::new(path.display(), "is no regular file").remedy("write it to a file first")));
    }
    hasher.update_reader(file).map_err(Error::io("cannot read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
