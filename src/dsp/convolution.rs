//! Convolution with long kernels through the FFT, block by block (overlap-add), and the plans that it keeps.

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex32};
use std::sync::{Arc, Mutex, PoisonError};

/// Samples of a long signal that are transformed at once, so that memory does not grow with its length.
const BLOCK: usize = 1 << 16;

/// Transforms of any size; plans are made once and shared between threads.
#[derive(Default)]
pub struct Convolver {
    planner: Mutex<Option<RealFftPlanner<f32>>>,
}

/// Forward and inverse transform of one size.
pub struct Transform {
    pub forward: Arc<dyn RealToComplex<f32>>,
    pub inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Convolver {
    /// The transforms of `size` samples.
    pub fn transform(&self, size: usize) -> Transform {
        let mut planner = self.planner.lock().unwrap_or_else(PoisonError::into_inner);
        let planner = planner.get_or_insert_with(RealFftPlanner::new);
        Transform { forward: planner.plan_fft_forward(size), inverse: planner.plan_fft_inverse(size) }
    }

    /// The samples `delay` to `delay + n` of `audio` `[n]` convolved with `kernel`: with a `delay` of half the length of a
    /// symmetric kernel, nothing moves in time.
    pub fn convolve(&self, audio: &[f32], kernel: &[f32], delay: usize) -> Vec<f32> {
        let mut out = vec![0.0; audio.len()];
        if audio.is_empty() || kernel.is_empty() {
            return out;
        }
        // What would begin beyond the last sample wanted is not heard.
        let kernel = &kernel[..kernel.len().min(audio.len() + delay)];
        let block = audio.len().min(BLOCK.max(2 * kernel.len()));
        let size = fast_size(block + kernel.len() - 1);
        let Transform { forward, inverse } = self.transform(size);
        let mut scratch = vec![Complex32::ZERO; forward.get_scratch_len().max(inverse.get_scratch_len())];
        let (mut samples, mut product) = (vec![0.0; size], vec![Complex32::ZERO; size / 2 + 1]);
        let mut response = product.clone();
        samples[..kernel.len()].copy_from_slice(kernel);
        let sizes = "the buffers are of the plan's sizes";
        forward.process_with_scratch(&mut samples, &mut response, &mut scratch).expect(sizes);
        let scale = 1.0 / size as f32;
        response.iter_mut().for_each(|bin| *bin *= scale);
        for (part, first) in audio.chunks(block).zip((0..).step_by(block)) {
            samples[..part.len()].copy_from_slice(part);
            samples[part.len()..].fill(0.0);
            forward.process_with_scratch(&mut samples, &mut product, &mut scratch).expect(sizes);
            product.iter_mut().zip(&response).for_each(|(bin, gain)| *bin *= gain);
            // Rounding leaves a trace there, which the inverse transform refuses.
            product[0].im = 0.0;
            product[size / 2].im = 0.0;
            inverse.process_with_scratch(&mut product, &mut samples, &mut scratch).expect(sizes);
            let from = delay.saturating_sub(first).min(size);
            let to = first + from - delay.min(first + from);
            out.iter_mut().skip(to).zip(&samples[from..part.len() + kernel.len() - 1]).for_each(|(y, x)| *y += x);
        }
        out
    }
}

/// The smallest 2^k or 3 * 2^k that is not below `least`, and even.
pub fn fast_size(least: usize) -> usize {
    let power = least.max(4).next_power_of_two();
    if power > 4 && power / 4 * 3 >= least { power / 4 * 3 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_textbook_sum() {
        let noise = |n: usize| (0..n).map(|i| ((i * i * 31 + 7 * i) % 97) as f32 / 48.5 - 1.0).collect::<Vec<_>>();
        for (n, kernel, delay) in [(1, 1, 0), (50, 7, 3), (7, 50, 0), (7, 50, 20), (200_000, 301, 150), (1000, 1, 0)] {
            let (audio, kernel) = (noise(n), noise(kernel));
            let got = Convolver::default().convolve(&audio, &kernel, delay);
            assert_eq!(got.len(), n);
            for i in (0..n).step_by(n / 50 + 1).chain([n - 1]) {
                let at = i + delay;
                let want: f64 = (0..kernel.len())
                    .filter(|&k| at >= k && at - k < n)
                    .map(|k| f64::from(kernel[k]) * f64::from(audio[at - k]))
                    .sum();
                assert!((f64::from(got[i]) - want).abs() < 1e-3, "{n} {}: {} {want} at {i}", kernel.len(), got[i]);
            }
        }
    }

    #[test]
    fn sizes_are_small_and_enough() {
        assert_eq!([1, 4, 5, 6, 7, 8, 9, 13, 25, 49].map(fast_size), [4, 4, 6, 6, 8, 8, 12, 16, 32, 64]);
    }
}
