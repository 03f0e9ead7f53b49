//! How two models differ: tensor by tensor, and in what their cards say.

use super::file::WeightFile;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What differs between two model files. Number types do not: weights are compared as f32.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDifference {
    /// By name.
    pub tensors: Vec<TensorDifference>,
    /// By place in the card.
    pub card: Vec<CardDifference>,
}

/// A tensor that is in one of the models or in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorDifference {
    pub name: String,
    /// `None` where the first model has no such tensor; likewise `second`.
    pub first: Option<Vec<usize>>,
    pub second: Option<Vec<usize>>,
    /// Where both have it in the same shape.
    pub change: Option<Change>,
}

/// From weights a to weights b.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// |b - a| / |a| in Euclidean norms; infinite where only b is not zero.
    pub relative: f64,
    /// Of the angle between them, 1 where they point the same way; 1 where both are zero.
    pub cosine: f64,
    /// The largest |b - a| of a single weight; NaN where one of the two alone is NaN, as are the others then.
    pub largest: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CardDifference {
    /// `sampler.draft.steps`
    pub entry: String,
    /// JSON, null where there is none.
    pub first: Value,
    pub second: Value,
}

impl ModelDifference {
    pub fn between(first: &WeightFile, second: &WeightFile) -> Self {
        let shapes = |model: &WeightFile| -> BTreeMap<String, Vec<usize>> {
            model.tensors().into_iter().map(|(name, shape, _)| (name, shape)).collect()
        };
        let (a, b) = (shapes(first), shapes(second));
        let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
        names.sort();
        let tensor = |name: &String| {
            let (in_first, in_second) = (a.get(name).cloned(), b.get(name).cloned());
            let values = (in_first == in_second).then(|| first.values(name).zip(second.values(name))).flatten();
            let change = values.map(|(a, b)| Change::between(&a, &b));
            TensorDifference { name: name.clone(), first: in_first, second: in_second, change }
        };
        let tensors = names.into_iter().map(tensor).collect();
        let mut card = Vec::new();
        compare(String::new(), first.card_json(), second.card_json(), &mut card);
        Self { tensors, card }
    }

    /// Whether all weights and the cards are the same.
    pub fn is_none(&self) -> bool {
        self.card.is_empty() && self.tensors.iter().all(|tensor| !tensor.differs())
    }
}

impl TensorDifference {
    pub fn differs(&self) -> bool {
        // A largest change of NaN is one.
        self.change.is_none_or(|change| change.largest != 0.0)
    }
}

impl Change {
    fn between(a: &[f32], b: &[f32]) -> Self {
        let (mut aa, mut bb, mut ab, mut dd, mut largest) = (0.0, 0.0, 0.0, 0.0, 0.0f64);
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (f64::from(a), f64::from(b));
            aa += a * a;
            bb += b * b;
            ab += a * b;
            // Two that are not finite can be the same; `max` would pass over a NaN.
            let d = if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (b - a).abs() };
            dd += d * d;
            largest = if d.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(d) };
        }
        let relative = if dd == 0.0 { 0.0 } else { (dd / aa).sqrt() };
        let cosine = match (aa, bb) {
            (0.0, 0.0) => 1.0,
            (0.0, _) | (_, 0.0) => 0.0,
            _ => ab / (aa.sqrt() * bb.sqrt()),
        };
        Self { relative, cosine, largest }
    }
}

/// Appends the leaves in which two JSON values differ.
fn compare(entry: String, a: &Value, b: &Value, out: &mut Vec<CardDifference>) {
    match (a, b) {
        (Value::Object(first), Value::Object(second)) => {
            let mut names: Vec<&String> = first.keys().chain(second.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let place = if entry.is_empty() { name.clone() } else { format!("{entry}.{name}") };
                let of = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or(Value::Null);
                compare(place, &of(first), &of(second), out);
            }
        }
        _ if a == b => {}
        _ => out.push(CardDifference { entry, first: a.clone(), second: b.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_known_values() {
        let change = Change::between(&[3.0, 4.0], &[3.0, 4.5]);
        assert!((change.relative - 0.1).abs() < 1e-12 && change.largest == 0.5);
        assert!((change.cosine - 27.0 / (5.0 * (9.0f64 + 20.25).sqrt())).abs() < 1e-12);
        assert_eq!(Change::between(&[1.0, -2.0], &[1.0, -2.0]).relative, 0.0);
        let opposite = Change::between(&[1.0, -2.0], &[-1.0, 2.0]);
        assert_eq!((opposite.relative, opposite.largest), (2.0, 4.0));
        assert!((opposite.cosine + 1.0).abs() < 1e-12);
        assert_eq!(Change::between(&[0.0], &[1.0]).relative, f64::INFINITY);
        // Damage is a change, and the same damage is none.
        for damaged in [&[f32::NAN, 1.0], &[1.0, f32::NAN], &[f32::INFINITY, 1.0]] {
            for (a, b) in [(damaged, &[1.0, 1.0]), (&[1.0, 1.0], damaged)] {
                let tensor = |change| TensorDifference { name: "x".into(), first: None, second: None, change };
                assert!(tensor(Some(Change::between(a, b))).differs(), "{a:?} {b:?}");
                assert!(!tensor(Some(Change::between(damaged, damaged))).differs(), "{damaged:?}");
            }
        }
        assert_eq!(Change::between(&[0.0], &[0.0]), Change { relative: 0.0, cosine: 1.0, largest: 0.0 });
    }

    #[test]
    fn cards_differ_by_entry() {
        let (a, b) = (
            serde_json::json!({"name": "x", "sampler": {"draft": {"steps": 2}}, "old": 1, "list": [1, 2]}),
            serde_json::json!({"name": "x", "sampler": {"draft": {"steps": 3}}, "new": true, "list": [1, 3]}),
        );
        let mut out = Vec::new();
        compare(String::new(), &a, &b, &mut out);
        let entries: Vec<&str> = out.iter().map(|difference| difference.entry.as_str()).collect();
        assert_eq!(entries, ["list", "new", "old", "sampler.draft.steps"]);
        assert_eq!((&out[2].first, &out[2].second), (&1.into(), &Value::Null));
    }
}
