//! What of a plan is done already.

use std::path::PathBuf;

use super::{Entry, Fingerprint, Item, Manifest, Plan, RenderItem, Status};
use crate::{Error, Fault, Result};

/// What to do with outputs that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to start.
    Refuse,
    Overwrite,
    Skip,
}

/// What is left of a plan.
#[derive(Debug, Default)]
pub struct Remaining {
    pub items: Vec<Item>,
    /// Done by a former run, of the same input with the same settings.
    pub done: Vec<Item>,
    /// There, and skipped because that was asked for.
    pub skipped: Vec<Item>,
}

/// Takes off what need not be made. With a manifest, an item is done where the output is there and was made of the same
/// input, model, settings and seed. Of a process that was killed between putting an output in its place and writing it
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
    for item in plan.items {
        if !item.output.exists() {
            remaining.items.push(item);
            continue;
        }
        if let Some(manifest) = manifest.as_deref_mut()
            && is_done(&item, manifest, renderer)?
        {
            remaining.done.push(item);
            continue;
        }
        match existing {
            Existing::Overwrite => remaining.items.push(item),
            Existing::Skip => remaining.skipped.push(item),
            Existing::Refuse => in_the_way.push(item.output),
        }
    }
    match in_the_way.as_slice() {
        [] => Ok(remaining),
        [path] => Err(Error::Exists(path.clone())),
        [first, ..] => {
            let shown: Vec<String> = in_the_way.iter().take(5).map(|path| path.display().to_string()).collect();
            let more = if in_the_way.len() > shown.len() { ", ..." } else { "" };
            let folder = first.parent().filter(|folder| !folder.as_os_str().is_empty());
            let subject = folder.map_or_else(|| ".".into(), |folder| folder.display().to_string());
            let found = format!("{} outputs are there already ({}{more})", in_the_way.len(), shown.join(", "));
            Err(Error::Data(Fault::new(subject, found).remedy("give -y to overwrite them or -n to skip them")))
        }
    }
}

fn is_done(item: &Item, manifest: &mut Manifest, renderer: &impl RenderItem) -> Result<bool> {
    let recorded = manifest.entry(&item.output).filter(|entry| entry.status == Status::Done);
    let (made, known) = match recorded {
        Some(entry) => (entry.fingerprint.clone(), true),
        None => (renderer.made_of(&item.output), false),
    };
    let (Some(made), Ok(recipe)) = (made, renderer.recipe(item)) else { return Ok(false) };
    // The hash comes last: it reads the whole input. One that cannot be read is not done, and fails when it is its turn.
    let Ok(input_blake3) = super::schedule::hash_file(&item.input) else { return Ok(false) };
    if made != (Fingerprint { input_blake3, recipe }) {
        return Ok(false);
    }
    if !known {
        manifest.append(&Entry { status: Status::Done, fingerprint: Some(made), ..Entry::skipped(item) })?;
    }
    Ok(true)
}
