//! How often a quantity had which level: percentiles of a recording of any length in little memory.

/// Decibels of the lowest and of the highest cell; what lies beyond is counted there.
const LOWEST: f32 = -160.0;
const HIGHEST: f32 = 32.0;
/// Decibels a cell.
const STEP: f32 = 0.5;
const CELLS: usize = ((HIGHEST - LOWEST) / STEP) as usize + 1;

/// Levels of several quantities (the bins of a spectrum), each with cells of its own.
pub(super) struct LevelHistogram {
    /// [quantities, cells]
    counts: Vec<u32>,
    total: u32,
}

impl LevelHistogram {
    pub fn new(quantities: usize) -> Self {
        Self { counts: vec![0; quantities * CELLS], total: 0 }
    }

    /// One moment: a level of each quantity, in dB.
    pub fn push(&mut self, levels: impl Iterator<Item = f32>) {
        for (counts, level) in self.counts.chunks_exact_mut(CELLS).zip(levels) {
            counts[((level.clamp(LOWEST, HIGHEST) - LOWEST) / STEP) as usize] += 1;
        }
        self.total += 1;
    }

    /// Moments so far.
    pub fn moments(&self) -> u32 {
        self.total
    }

    /// The level below which `share` of the moments lie, of each quantity, in dB.
    pub fn percentile(&self, share: f64) -> Vec<f32> {
        let wanted = ((share * f64::from(self.total)) as u32).min(self.total.saturating_sub(1));
        let of = |counts: &[u32]| {
            let mut below = 0;
            let cell = counts.iter().position(|count| {
                below += count;
                below > wanted
            });
            LOWEST + STEP * cell.unwrap_or(0) as f32
        };
        self.counts.chunks_exact(CELLS).map(of).collect()
    }
}

/// The level of nothing.
pub(super) const NOTHING_DB: f32 = LOWEST;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_levels() {
        let mut histogram = LevelHistogram::new(2);
        for i in 0..100 {
            histogram.push([-(i as f32), 7.0].into_iter());
        }
        assert_eq!(histogram.moments(), 100);
        // The level that a tenth lies below: 10 of 100 are under -89.
        assert_eq!(histogram.percentile(0.1), [-89.0, 7.0]);
        assert_eq!(histogram.percentile(1.0), [0.0, 7.0]);
        assert_eq!(LevelHistogram::new(1).percentile(0.5), [NOTHING_DB]);
        let mut extreme = LevelHistogram::new(2);
        extreme.push([f32::NEG_INFINITY, 1000.0].into_iter());
        assert_eq!(extreme.percentile(0.5), [LOWEST, HIGHEST]);
    }
}
