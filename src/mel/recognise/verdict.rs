//! What is certain, what is left open, and why.

use super::{Candidate, Verdict, by_filters::proven, rendered_alike, view::View};
use crate::mel::{Layout, LogBase, MelConvention};
use std::collections::HashMap;

/// How many candidates at the head are certain, and how many are left without being proven. `agrees`: the recording's own mel
/// has decided.
pub(super) fn certain_count(
    candidates: &mut [Candidate],
    views: &HashMap<Layout, View>,
    agrees: bool,
    notes: &mut Vec<String>,
) -> (usize, usize) {
    let possible = candidates.iter().filter(|c| c.verdict > Verdict::Impossible).count();
    if possible == 0 {
        if !candidates.is_empty() {
            notes.push(
                "no preset can have made these numbers; describe the convention in a file (`convention` FILE)".into(),
            );
        }
        return (0, 0);
    }
    let head = candidates[0].clone();
    let alike = |c: &Candidate| c.layout == head.layout && rendered_alike(c.convention, head.convention);
    let names = |list: &[&Candidate]| list.iter().map(|c| c.convention.name.as_str()).collect::<Vec<_>>().join(", ");
    let possible = &candidates[..possible];
    let twins: Vec<&Candidate> = possible.iter().filter(|c| alike(c)).collect();
    if twins.len() > 1 {
        notes.push(format!("{} cannot be told apart here and are rendered alike", names(&twins)));
    }
    if agrees {
        return (twins.len(), 0);
    }
    for other in possible.iter().filter(|c| !alike(c)) {
        if let Some(why) = confusion(head.convention, other.convention) {
            notes.push(format!(
                "{} and {} cannot be told apart by the numbers: {why}",
                head.convention.name, other.convention.name
            ));
        }
    }
    if candidates.iter().any(|c| c.layout != head.layout && c.verdict > Verdict::Impossible) {
        notes.push("both axes have a preset's number of bands; `layout` says which is which".into());
    }
    let view = &views[&head.layout];
    let certain = twins.len() == possible.len()
        && head.verdict == Verdict::Fits
        && view.frames() >= 16
        && !candidates.iter().any(|c| c.verdict == Verdict::Unlikely);
    if certain && view.is_generic() {
        notes.push(format!(
            "{:.3} to {:.3} is a range that many programs normalise to, so that nothing follows from it",
            view.lowest.0,
            view.highest()
        ));
        return (0, 0);
    }
    if !certain {
        return (0, 0);
    }
    match proven(head.convention, view) {
        Some(true) => {
            let (name, hop) = (&head.convention.name, head.convention.hop);
            notes.push(format!("its frames prove the filters of {name}; the hop, {hop}, leaves no trace in them"));
            (twins.len(), 0)
        }
        Some(false) => {
            notes.push(format!(
                "nothing contradicts {}, but other bands, rates and hops may give numbers like these",
                head.convention.name
            ));
            (0, twins.len())
        }
        None => {
            notes.push(format!("the filters of {} cannot give some of the frames", head.convention.name));
            (0, 0)
        }
    }
}

/// Why two conventions look alike.
fn confusion(a: &MelConvention, b: &MelConvention) -> Option<&'static str> {
    let at_same_grid = MelConvention { framing: b.framing, ..a.clone() };
    if rendered_alike(&at_same_grid, b) {
        return Some("their frames lie half a hop apart and one has a frame more; the recording's length would tell");
    }
    let same_bands = a.f_min == b.f_min && a.f_max == b.f_max && a.scale == b.scale && a.log == b.log;
    if same_bands && a.affine == b.affine && a.sample_rate != b.sample_rate {
        return Some("their bands lie at the same frequencies, but the frames are not equally far apart");
    }
    (a.log == LogBase::Decibel && a.log == b.log && a.affine == b.affine && a.n_mels == b.n_mels)
        .then_some("the range is the same, and the filters differ by the rate alone")
}
