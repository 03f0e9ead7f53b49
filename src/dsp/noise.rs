//! Noise that depends on where it is used and on nothing else.
//!
//! The generator is counter-based (ChaCha8): the seed is its key, the step its stream and the frame its position, so the
//! noise of a frame is the same for every chunking, order of work and number of threads.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Where the sampler takes its standard normal numbers from.
pub trait Noise: Sync {
    /// Fills `out` (`[2K]` of one denoiser frame: real and imaginary parts in turn) for `step` and absolute frame `frame`.
    fn fill(&self, step: usize, frame: u64, out: &mut [f32]);
}

/// The noise of a seed.
#[derive(Debug, Clone, Copy)]
pub struct SeededNoise {
    pub seed: u64,
}

impl Noise for SeededNoise {
    fn fill(&self, step: usize, frame: u64, out: &mut [f32]) {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(step as u64);
        // One 32-bit word a number: a frame's numbers lie side by side in the stream.
        generator.set_word_pos(u128::from(frame) * out.len() as u128);
        let mut pairs = out.chunks_exact_mut(2);
        for pair in &mut pairs {
            let (a, b) = normal_pair(generator.next_u32(), generator.next_u32());
            pair.copy_from_slice(&[a, b]);
        }
        if let [last] = pairs.into_remainder() {
            *last = normal_pair(generator.next_u32(), generator.next_u32()).0;
        }
    }
}

/// Two independent standard normal numbers from two uniform words (Box and Muller 1958).
pub(crate) fn normal_pair(u: u32, v: u32) -> (f32, f32) {
    // (0, 1]: the logarithm stays finite, the largest magnitude is 6.66.
    let radius = (-2.0 * ((u as f32 + 1.0) * (1.0 / 4_294_967_296.0)).ln()).sqrt();
    let (sin, cos) = (v as f32 * (std::f32::consts::TAU / 4_294_967_296.0)).sin_cos();
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(seed: u64, step: usize, range: std::ops::Range<u64>) -> Vec<f32> {
        let mut out = vec![];
        for frame in range {
            let mut row = vec![0.0; 514];
            SeededNoise { seed }.fill(step, frame, &mut row);
            out.extend(row);
        }
        out
    }

    #[test]
    fn a_frame_does_not_depend_on_the_others() {
        let all = frames(7, 1, 0..40);
        assert_eq!(all[514 * 13..514 * 14], frames(7, 1, 13..14));
        assert_ne!(all[..514], all[514..1028]);
        assert_ne!(all, frames(8, 1, 0..40));
        assert_ne!(all, frames(7, 2, 0..40));
    }

    #[test]
    fn it_is_standard_normal_and_white() {
        let x = frames(3, 0, 0..400); // 205,600 numbers: the standard error of the mean is 0.0022
        let n = x.len() as f64;
        let moment = |k: i32| x.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.015, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.15, "kurtosis {}", moment(4));
        for lag in [1, 2, 514] {
            let r = x.iter().zip(&x[lag..]).map(|(a, b)| f64::from(a * b)).sum::<f64>() / n;
            assert!(r.abs() < 0.01, "correlation {r} at lag {lag}");
        }
        assert!(x.iter().all(|v| v.is_finite() && v.abs() < 7.0));
    }
}
