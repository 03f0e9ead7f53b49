//! What of a plan is done already.

use std::path::PathBuf;

use super::{Entry, Existing, Fingerprint, Item, Manifest, Plan, RenderItem, Status, Written};
use crate::{Error, Fault, Result, output::is_stream};

/// What is left of a plan.
#[derive(Debug, Default)]
pub struct Remaining {
    pub items: Vec<Item>,
    /// Done by a former run, of the same input with the same settings.
    pub done: Vec<Item>,
    /// There, and skipped because that was asked for.
    pub skipped: Vec<Item>,
}

/// Takes off what need not be made. With a manifest, an item is done where the output is there as it was written, and was
/// made of the same input, model, settings and seed. Of a process that was killed between putting an output in its place and writing it
/// down, the output itself says what it was made of; the manifest is completed.
///
/// # Errors
/// [`Error::Settings`] lists outputs that are there and must not be replaced; a single one is [`Error::Exists`].
pub fn resume(
    plan: Plan,
    mut manifest: Option<&mut Manifest>,
    existing: Existing,
    renderer: &impl RenderItem,
) -> Result<Remaining> {
    let mut remaining = Remaining::default();
    let mut in_the_way: Vec<PathBuf> = Vec::new();
    let mut changed: Vec<String> = Vec::new();
    for item in plan.items {
        if !item.output.exists() || is_stream(&item.output) {
            remaining.items.push(item);
            continue;
        }
        if let Some(manifest) = manifest.as_deref_mut() {
            match what_is_there(&item, manifest, renderer)? {
                There::Done => {
                    remaining.done.push(item);
                    continue;
                }
                There::Changed(how) if existing == Existing::Refuse => changed.push(how),
                There::Changed(_) | There::Other => {}
            }
        }
        match existing {
            Existing::Overwrite => remaining.items.push(item),
            Existing::Skip => remaining.skipped.push(item),
            Existing::Refuse => in_the_way.push(item.output),
        }
    }
    match (in_the_way.as_slice(), changed.first()) {
        ([], _) => Ok(remaining),
        ([path], None) => Err(Error::Exists(path.clone())),
        ([path], Some(how)) => {
            let fault = Fault::new(path.display(), format!("is there already, but {how}"));
            Err(Error::Data(fault.remedy("give `overwrite` to make it again or `skip` to leave it")))
        }
        ([first, ..], _) => {
            let shown: Vec<String> = in_the_way.iter().take(5).map(|path| path.display().to_string()).collect();
            let more = if in_the_way.len() > shown.len() { ", ..." } else { "" };
            let folder = first.parent().filter(|folder| !folder.as_os_str().is_empty());
            let subject = folder.map_or_else(|| ".".into(), |folder| folder.display().to_string());
            let found = format!("{} outputs are there already ({}{more})", in_the_way.len(), shown.join(", "));
            let found = match changed.len() {
                0 => found,
                count => format!("{found}, {count} of them not as they were written"),
            };
            Err(Error::Data(
                Fault::new(subject, found).remedy("give `overwrite` to overwrite them or `skip` to skip them"),
            ))
        }
    }
}

/// What lies in an item's place.
enum There {
    Done,
    /// It was done, and the file is not what was written then.
    Changed(String),
    Other,
}

fn what_is_there(item: &Item, manifest: &mut Manifest, renderer: &impl RenderItem) -> Result<There> {
    let entry = manifest.entry(&item.output).filter(|entry| entry.status == Status::Done).cloned();
    let says = renderer.made_of(&item.output);
    let made = entry.as_ref().map_or_else(|| says.clone(), |entry| entry.fingerprint.clone());
    let (Some(made), Ok(recipe)) = (made, renderer.recipe(item)) else { return Ok(There::Other) };
    // The hash comes last: it reads the whole input. One that cannot be read is not done, and fails when it is its turn.
    let Ok(input_blake3) = super::schedule::hash_file(&item.input) else { return Ok(There::Other) };
    if made != (Fingerprint { input_blake3, recipe }) {
        return Ok(There::Other);
    }
    let Ok(written) = Written::of(&item.output) else { return Ok(There::Other) };
    match entry {
        Some(Entry { written: Some(then), .. }) => match written {
            Some(now) if now == then => Ok(There::Done),
            Some(now) if now.bytes != then.bytes => {
                Ok(There::Changed(format!("has {} bytes where {} were written", now.bytes, then.bytes)))
            }
            _ => Ok(There::Changed("holds something else than was written".into())),
        },
        // A line that does not say, or none: the file speaks for itself, at its end.
        _ if says.as_ref() != Some(&made) => Ok(There::Changed("is cut off or was replaced".into())),
        entry => {
            let entry = entry.unwrap_or_else(|| Entry { status: Status::Done, ..Entry::skipped(item) });
            manifest.append(&Entry { fingerprint: Some(made), written, ..entry })?;
            Ok(There::Done)
        }
    }
}
