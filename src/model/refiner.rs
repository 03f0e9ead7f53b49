//! The part of a model that knows mels of other conventions: what it adds to a converted mel,
//! from the rows of a [`Refinement`].
//!
//! Blocks like the encoder's, at the mel's frames. It is trained by itself, on recordings whose mels were computed by
//! conventions drawn at random, and leaves mels of the model's own convention alone.

use super::{
    card::EncoderSize,
    network::{Block, KERNEL, LayerNorm, Linear, WeightPath},
};
use crate::mel::{MelConvention, refinement::Refinement};
use tch::{Kind, Tensor};

#[derive(Debug)]
pub struct Refiner {
    pub(super) rows_in: Linear,
    pub(super) norm_in: LayerNorm,
    pub(super) blocks: Vec<Block>,
    pub(super) norm_out: LayerNorm,
    pub(super) mel_out: Linear,
    /// Straight from the rows: most of what has to be known is linear in them, and exact.
    pub(super) rows_out: Linear,
}

impl Refiner {
    /// With zeros for weights.
    pub(super) fn blank(path: impl WeightPath, size: EncoderSize, convention: &MelConvention) -> Self {
        let blocks = path.part("blocks");
        Self {
            rows_out: Linear::new(path.part("rows_out"), Refinement::width(convention.n_mels), convention.n_mels),
            rows_in: Linear::new(path.part("rows_in"), Refinement::width(convention.n_mels), size.channels),
            norm_in: LayerNorm::new(path.part("norm_in"), size.channels),
            blocks: (0..size.layers).map(|i| Block::new(blocks.part(i), size.channels, size.mlp, None, None)).collect(),
            norm_out: LayerNorm::new(path.part("norm_out"), size.channels),
            mel_out: Linear::new(path.part("mel_out"), size.channels, convention.n_mels),
        }
    }

    /// Frames on either side that change a frame.
    pub(super) fn reach(&self) -> usize {
        self.blocks.len() * (KERNEL / 2)
    }

    /// `[B, T, W]` -> `[B, T, M]` in f32; products are in `kind`.
    pub fn forward(&self, rows: &Tensor, kind: Kind) -> Tensor {
        let mut h = self.norm_in.forward(&self.rows_in.forward(rows, kind).to_kind(Kind::Float));
        for block in &self.blocks {
            h = block.forward(&h, None, None, kind);
        }
        let correction = self.mel_out.forward(&self.norm_out.forward(&h), kind) + self.rows_out.forward(rows, kind);
        correction.to_kind(Kind::Float)
    }
}
