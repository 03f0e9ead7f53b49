//! A model file opened: sizes, what a second of sound costs, and what its weights look like.

use crate::model::{Effort, ModelCard, ModelFile};
use serde::Serialize;

/// Statistics of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorReport {
    pub name: String,
    pub shape: Vec<usize>,
    /// F16, BF16, F32
    pub dtype: String,
    pub mean: f64,
    pub std: f64,
    pub lowest: f32,
    pub highest: f32,
    /// Numbers that are exactly 0, and that are none.
    pub zeros: usize,
    pub non_finite: usize,
    /// What is odd about it, for people; empty for most.
    pub odd: String,
}

/// What computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub name: &'static str,
    pub parameters: usize,
    /// Floating-point operations for a second of sound, in 10^9, a multiplication and an addition counted as two; each time
    /// that it runs.
    pub gflop: f64,
    /// How often it runs: once a rendering, once a step, once an iteration of the projection.
    pub runs: &'static str,
}

/// The work of a named quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityCost {
    pub quality: &'static str,
    #[serde(flatten)]
    pub effort: Effort,
    /// For a second of sound.
    pub gflop: f64,
}

/// All of a model file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    pub card: ModelCard,
    pub parameters: usize,
    /// Of the numbers in the file.
    pub bytes: usize,
    pub parts: Vec<Part>,
    pub qualities: Vec<QualityCost>,
    pub tensors: Vec<TensorReport>,
}

/// Twice as far from zero as 32-bit training leaves weights of such networks.
const HUGE: f32 = 100.0;

impl ModelReport {
    pub fn of(model: &ModelFile) -> Self {
        let tensors: Vec<TensorReport> =
            model.tensors().into_iter().map(|(name, shape, dtype)| tensor(model, name, shape, dtype)).collect();
        let size = |dtype: &str| if dtype == "F32" { 4 } else { 2 };
        let count = |tensor: &TensorReport| tensor.shape.iter().product::<usize>();
        let parts = parts(&model.card, &tensors);
        let gflop = |name: &str| parts.iter().find(|part| part.name == name).map_or(0.0, |part| part.gflop);
        let cost = |quality, effort: Effort| {
            let iterations = effort.settings(0).total_iterations();
            let gflop = gflop(ENCODER)
                + gflop(CONDITION)
                + effort.steps as f64 * gflop(DENOISER)
                + iterations as f64 * gflop(PROJECTION);
            QualityCost { quality, effort, gflop }
        };
        let sampler = model.card.sampler;
        Self {
            card: model.card.clone(),
            parameters: model.parameters(),
            bytes: tensors.iter().map(|tensor| count(tensor) * size(&tensor.dtype)).sum(),
            qualities: vec![
                cost("draft", sampler.draft),
                cost("standard", sampler.standard),
                cost("best", sampler.best),
            ],
            parts,
            tensors,
        }
    }

    /// Tensors that are odd.
    pub fn odd(&self) -> impl Iterator<Item = &TensorReport> {
        self.tensors.iter().filter(|tensor| !tensor.odd.is_empty())
    }
}

const ENCODER: &str = "encoder";
const REFINER: &str = "refiner";
const CONDITION: &str = "denoiser, conditioning";
const DENOISER: &str = "denoiser";
const PROJECTION: &str = "projection, iteration";

fn tensor(model: &ModelFile, name: String, shape: Vec<usize>, dtype: String) -> TensorReport {
    let values = model.values(&name).unwrap_or_default();
    let finite = || values.iter().filter(|v| v.is_finite()).copied();
    let count = finite().count().max(1) as f64;
    let mean = finite().map(f64::from).sum::<f64>() / count;
    let std = (finite().map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count).sqrt();
    let (lowest, highest) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let (lowest, highest) = if lowest > highest { (0.0, 0.0) } else { (lowest, highest) };
    let zeros = values.iter().filter(|v| **v == 0.0).count();
    let non_finite = values.iter().filter(|v| !v.is_finite()).count();
    let odd = if non_finite > 0 {
        format!("{non_finite} numbers are not finite")
    } else if values.is_empty() {
        "holds no numbers that can be read".into()
    } else if zeros == values.len() {
        "is zero throughout".into()
    } else if values.len() > 1 && lowest == highest {
        format!("is {lowest} throughout")
    } else if 2 * zeros > values.len() {
        format!("{:.0} % zeros", 100.0 * zeros as f64 / values.len() as f64)
    } else if lowest.abs().max(highest.abs()) > HUGE {
        format!("reaches {:.0}", lowest.abs().max(highest.abs()))
    } else {
        String::new()
    };
    TensorReport { name, shape, dtype, mean, std, lowest, highest, zeros, non_finite, odd }
}

/// Matrix products and convolutions, and the projection's transforms; all else is small beside them.
fn parts(card: &ModelCard, tensors: &[TensorReport]) -> Vec<Part> {
    let rate = f64::from(card.mel.sample_rate);
    let (mel_frames, frames) = (rate / card.mel.hop as f64, rate / card.denoiser.hop as f64);
    let part_of = |name: &str| match name {
        _ if name.starts_with("encoder.") => ENCODER,
        _ if name.starts_with("refiner.") => REFINER,
        _ if name.contains(".cond.") => CONDITION,
        _ => DENOISER,
    };
    let parameters = |part: &str| {
        let own = tensors.iter().filter(|tensor| part_of(&tensor.name) == part);
        own.map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    };
    // Times are embedded once a step, not once a frame.
    let is_per_frame = |tensor: &&TensorReport| {
        tensor.shape.len() >= 2 && !tensor.name.contains(".time.") && !tensor.name.contains("time_mlp")
    };
    let products = |part: &str| -> f64 {
        let own = tensors.iter().filter(|tensor| part_of(&tensor.name) == part).filter(is_per_frame);
        own.map(|tensor| 2.0 * tensor.shape.iter().product::<usize>() as f64).sum()
    };
    let pseudo_inverse = 2.0 * (card.mel.n_mels * card.mel.bins()) as f64;
    // A real transform of n points takes 2.5 n log2 n; an iteration has one there and one back in every frame.
    let fft = |n: usize| 2.5 * n as f64 * (n as f64).log2();
    let giga = |flop: f64| flop / 1e9;
    let refiner = card.refiner.map(|_| Part {
        name: REFINER,
        parameters: parameters(REFINER),
        gflop: giga(mel_frames * products(REFINER)),
        runs: "once, for mels of other conventions",
    });
    let always = [
        Part {
            name: ENCODER,
            parameters: parameters(ENCODER),
            gflop: giga(mel_frames * (products(ENCODER) + pseudo_inverse)),
            runs: "once",
        },
        Part {
            name: CONDITION,
            parameters: parameters(CONDITION),
            gflop: giga(frames * products(CONDITION)),
            runs: "once",
        },
        Part {
            name: DENOISER,
            parameters: parameters(DENOISER),
            gflop: giga(frames * (products(DENOISER) + 2.0 * fft(card.denoiser.n_fft))),
            runs: "each step",
        },
        Part {
            name: PROJECTION,
            parameters: 0,
            gflop: giga(mel_frames * 2.0 * fft(card.mel.n_fft)),
            runs: "each iteration",
        },
    ];
    always.into_iter().chain(refiner).collect()
}
