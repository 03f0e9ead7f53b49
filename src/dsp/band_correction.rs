//! Magnitudes that are made to have the bands that were given.

use super::banded::BandedMatrix;

/// A filter bank, there and back.
pub struct BandCorrection {
    bank: BandedMatrix,
    transposed: BandedMatrix,
    /// [F]: sum of the bands' weights at each bin.
    area: Vec<f32>,
}

/// What [`BandCorrection::correct`] needs, so that nothing is allocated a frame.
pub struct BandScratch {
    bands: Vec<f32>,
    gain: Vec<f32>,
}

impl BandCorrection {
    pub fn new(bank: BandedMatrix) -> Self {
        let transposed = bank.transposed();
        Self { area: transposed.row_sums(), bank, transposed }
    }

    pub fn bank(&self) -> &BandedMatrix {
        &self.bank
    }

    pub fn area(&self) -> &[f32] {
        &self.area
    }

    pub fn scratch(&self) -> BandScratch {
        BandScratch { bands: vec![0.0; self.bank.rows()], gain: vec![0.0; self.bank.columns()] }
    }

    /// Scales `magnitude` `[F]` of one frame so that band `m`, which is `b` now, comes near `wanted(m, b)`; with an `emphasis`
    /// other than 1, by the ratio to this power. Bins that no band covers are emptied.
    pub fn correct(
        &self,
        magnitude: &mut [f32],
        emphasis: f32,
        wanted: impl Fn(usize, f32) -> f32,
        scratch: &mut BandScratch,
    ) {
        let BandScratch { bands, gain } = scratch;
        self.bank.apply(magnitude, bands);
        for (m, b) in bands.iter_mut().enumerate() {
            *b = (wanted(m, *b) / b.max(1e-6)).clamp(1e-3, 1e3);
        }
        if emphasis != 1.0 {
            bands.iter_mut().for_each(|b| *b = b.powf(emphasis));
        }
        self.transposed.apply(bands, gain);
        for ((m, g), a) in magnitude.iter_mut().zip(gain).zip(&self.area) {
            *m *= *g / (a + 1e-6) + 1e-8;
        }
    }

    /// The mean of the bands at each bin, weighted by their triangles there: `[M]` -> `[F]`.
    pub fn spread(&self, bands: &[f32], out: &mut [f32]) {
        self.transposed.apply(bands, out);
        for (o, a) in out.iter_mut().zip(&self.area) {
            *o /= a.max(1e-9);
        }
    }
}
