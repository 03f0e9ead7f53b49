//! From an array of numbers to a mel whose convention is known: as it is said, as the file declares it, or as the numbers
//! prove it. What is left open is an error with what can be the case and what to say.

use super::{
    Layout, MelConvention,
    bounds::Bounds,
    check::{Examined, Origin, examine},
    file::{RawArray, ReadOptions, StoredFrames},
    held::HeldMel,
    recognise::{Candidate, Ranking, Recording, recognise_array, rendered_alike},
};
use crate::{Error, Fault, Remedy, Result};
use std::{fmt, sync::Arc};

/// How many candidates an error names.
const MOST_SHOWN: usize = 4;

/// What is known of an array beside its numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    pub convention: Option<&'a MelConvention>,
    pub layout: Option<Layout>,
    /// What the mel was made of.
    pub recording: Option<&'a Recording>,
}

/// A mel by a known convention.
#[derive(Debug, Clone)]
pub struct KnownMel {
    /// In the convention's own numbers.
    pub mel: HeldMel,
    pub convention: MelConvention,
    /// Of the array.
    pub layout: Layout,
    /// What was assumed or looks odd, a sentence each.
    pub notes: Vec<String>,
}

/// `subject` names the array in errors.
///
/// # Errors
/// `Error::Convention` where the convention is left open, or the numbers contradict the one that is stated: with the field
/// in which they differ, and the conventions that they fit. `Error::Mel` as [`RawArray::into_mel`].
pub fn interpret(subject: impl fmt::Display, array: RawArray, said: &Said) -> Result<KnownMel> {
    let subject = subject.to_string();
    array.require_one_mel()?;
    let stated = match (said.convention, array.convention()?) {
        (Some(named), Some(declared)) => {
            if !rendered_alike(named, &declared) {
                return Err(contradicting_declaration(&subject, named, &declared));
            }
            Some(named.clone())
        }
        (named, declared) => named.cloned().or(declared),
    };
    if let Some(convention) = stated {
        return by_statement(&subject, array, convention, said);
    }
    if array.is_picture {
        let fault = Fault::new(&subject, "is a picture, which does not say what its greys stand for");
        return Err(Error::Convention(
            fault.remedy("say it: `convention` riffusion or `convention` auffusion-picture"),
        ));
    }
    let ranking = recognise_array(&array, said.layout, said.recording)?;
    let own = MelConvention::native();
    let (candidate, note) = match (ranking.certain(), ranking.not_contradicted(&own)) {
        (Some(certain), _) => {
            let MelConvention { name, hop, .. } = certain.convention;
            let text =
                format!("its numbers prove the filters of {name}, but not its hop of {hop} samples, which is taken");
            (certain, ranking.takes_hop_for_granted().then(|| format!("{subject}: {text}")))
        }
        // As frames on standard input are: what a model takes needs no proof, as long as nothing contradicts it.
        (None, Some(own)) => {
            let name = &own.convention.name;
            let text = format!("taken for {name}, which its numbers fit but do not prove; `convention` {name} says so");
            (own, Some(format!("{subject}: {text}")))
        }
        (None, None) => return Err(undecided(&subject, array, &ranking)),
    };
    let (convention, layout) = (candidate.convention.clone(), candidate.layout);
    let mut known = known(&subject, array, convention, Some(layout), Origin::Assumed)?;
    known.notes.extend(note);
    Ok(known)
}

fn by_statement(subject: &str, array: RawArray, convention: MelConvention, said: &Said) -> Result<KnownMel> {
    let known = if array.shape.contains(&convention.n_mels) {
        known(subject, array.clone(), convention, said.layout, Origin::Stated)
    } else {
        let fault = Fault::new(subject, format!("shape {:?}", array.shape));
        let expected = format!("an axis of {} bands as {} has (its n_mels)", convention.n_mels, convention.name);
        Err(Error::Convention(fault.expected(expected)))
    };
    known.map_err(|error| {
        let Error::Convention(fault) = error else { return error };
        let ranking = recognise_array(&array, said.layout, said.recording);
        let fitting = |ranking: &Ranking| -> Vec<String> {
            ranking.possible().take(2 * MOST_SHOWN).map(|c| c.convention.name.clone()).collect()
        };
        let fitting = ranking.as_ref().map(fitting).unwrap_or_default();
        Error::Convention(match &fitting[..] {
            [] => fault,
            fitting => fault.remedy(format!("the numbers fit `convention` {}", fitting.join(" or "))),
        })
    })
}

fn known(
    subject: &str,
    array: RawArray,
    convention: MelConvention,
    layout: Option<Layout>,
    origin: Origin,
) -> Result<KnownMel> {
    let options = ReadOptions { n_mels: Some(convention.n_mels), layout, tensor: None };
    let found = array.axes(&options)?;
    let (stored, mut notes) = (array.subject().to_owned(), found.notes(array.subject()));
    let mel = HeldMel::new(Arc::new(StoredFrames::new(array, &found)), convention.falling_bands);
    if convention.samples(found.frames) == 0 {
        let fault = Fault::new(subject, "a mel of a single frame");
        return Err(Error::Mel(fault.expected("2 or more, the two ends of a hop of sound")));
    }
    let Examined { findings, padding } = examine(subject, &stored, &mel, &convention, origin)?;
    notes.extend(findings.into_iter().map(|finding| finding.message));
    let padding = padding.into_iter().map(|run| run.frames).collect();
    let mel = mel.silenced(padding, Bounds::new(&convention).silence());
    Ok(KnownMel { mel, convention, layout: found.layout, notes })
}

fn contradicting_declaration(subject: &str, named: &MelConvention, declared: &MelConvention) -> Error {
    let (field, found, wanted) = declared.difference(named).unwrap_or_default();
    let fault = Fault::new(subject, format!("declares the convention {} with {field} {found}", declared.name));
    let remedy = "leave `convention` out: what a file declares of itself is right";
    Error::Convention(fault.expected(format!("{wanted} as {} has", named.name)).remedy(remedy))
}

/// What is left open, or why nothing is possible.
fn undecided(subject: &str, array: RawArray, ranking: &Ranking) -> Error {
    let fault = |found: String| Fault::new(subject, found);
    let possible: Vec<&Candidate> = ranking.possible().collect();
    if let Some(first) = possible.first() {
        let groups = grouped(&possible);
        let shown = groups.iter().take(MOST_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = match groups.len() {
            1 => format!("its numbers can be {shown}, but do not prove it"),
            n if n > MOST_SHOWN => format!("its numbers do not decide between {shown} and {} more", n - MOST_SHOWN),
            _ => format!("its numbers do not decide between {shown}"),
        };
        // That some are rendered alike, the groups say.
        let reasons = ranking.notes.iter().filter(|note| !note.ends_with("rendered alike")).take(2);
        let reasons: String = reasons.map(|note| format!("; {note}")).collect();
        let remedy = format!(
            "say which it is, for instance `convention` {} (audiodiff mel info shows all), or name its recording with \
             `recording`",
            first.convention.name
        );
        return Error::Convention(fault(found + &reasons).remedy(remedy));
    }
    let Some(nearest) = ranking.candidates.first().cloned() else {
        let found = ranking.notes.first().cloned().unwrap_or_default();
        return Error::Convention(fault(found).remedy(Remedy::DescribeConvention));
    };
    // Numbers of another kind altogether are known by their looks.
    let name = &nearest.convention.name;
    if let Err(error) = known(subject, array, nearest.convention.clone(), Some(nearest.layout), Origin::Assumed) {
        return match error {
            Error::Convention(fault) => Error::Convention(
                fault.remedy("give `convention` with a name of audiodiff mel conventions, or a file that describes it"),
            ),
            other => other,
        };
    }
    let reason = nearest.reasons.first().cloned().unwrap_or_default();
    Error::Convention(fault(format!("no preset can have made it; the nearest is {name}, but {reason}")).remedy(format!(
        "give `convention` {name} if that is right (a network's guess may miss a floor), or a file that describes it"
    )))
}

/// Names and best reasons, those that are rendered alike as one.
fn grouped(candidates: &[&Candidate]) -> Vec<String> {
    let mut groups: Vec<Vec<&Candidate>> = Vec::new();
    for candidate in candidates {
        let alike = |g: &&mut Vec<&Candidate>| {
            g[0].layout == candidate.layout && rendered_alike(g[0].convention, candidate.convention)
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(candidate),
            None => groups.push(vec![candidate]),
        }
    }
    let shown = |group: &Vec<&Candidate>| {
        let names: Vec<&str> = group.iter().map(|c| c.convention.name.as_str()).collect();
        format!("{} ({})", names.join(" or "), group[0].reasons.join(", "))
    };
    groups.iter().map(shown).collect()
}
