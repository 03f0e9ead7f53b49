//! The transform of a real frame and back, with what is done to each bin in between left to the caller.
//!
//! A real frame of n samples is a complex one of N = n/2, whose transform Z holds the frame's own, X, folded: bins k and N - k
//! of X are sums of bins k and N - k of Z (Sorensen et al. 1987, "Real-valued fast Fourier transform algorithms"). Where a
//! frame is transformed, changed bin by bin and transformed back, unfolding, change and folding are one pass over memory, in
//! arrays of real numbers that the compiler makes vectors of. That is most of the work of an iteration of Griffin-Lim.

use multiversion::multiversion;
use rustfft::{Fft, FftPlanner, num_complex::Complex32};
use std::{f64::consts::TAU, sync::Arc};

/// The plan for frames of one even length.
#[derive(Clone)]
pub struct FoldedFft {
    half: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// exp(-2 pi i k / n), k = 0 to N/2.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// Real numbers of the bins 0 to N in the order of the fold: `low[k]` is of bin k, `high[k]` of bin N - k, k = 0 to N/2.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    pub low: Vec<f32>,
    pub high: Vec<f32>,
}

/// What one thread needs for it.
pub struct FoldedBuffers {
    /// [N]: the samples, two in each.
    samples: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    re: Folded,
    im: Folded,
}

impl Folded {
    /// [`FoldedFft::folds`] zeros each.
    pub fn zeros(folds: usize) -> Self {
        Self { low: vec![0.0; folds], high: vec![0.0; folds] }
    }

    /// Of `bins` [N + 1].
    pub fn set(&mut self, bins: &[f32]) {
        let folds = self.low.len();
        self.low.copy_from_slice(&bins[..folds]);
        self.high.iter_mut().zip(bins.iter().rev()).for_each(|(h, b)| *h = *b);
    }
}

impl FoldedFft {
    /// For frames of `n` samples; `n` is even.
    pub fn new(n: usize) -> Self {
        let half = n / 2;
        let mut planner = FftPlanner::new();
        let angle = |k: usize| TAU * k as f64 / n as f64;
        Self {
            half,
            forward: planner.plan_fft_forward(half),
            inverse: planner.plan_fft_inverse(half),
            cos: (0..=half / 2).map(|k| angle(k).cos() as f32).collect(),
            sin: (0..=half / 2).map(|k| -angle(k).sin() as f32).collect(),
        }
    }

    /// Pairs of bins.
    pub fn folds(&self) -> usize {
        self.cos.len()
    }

    pub fn buffers(&self) -> FoldedBuffers {
        let scratch = self.forward.get_outofplace_scratch_len().max(self.inverse.get_outofplace_scratch_len());
        FoldedBuffers {
            samples: vec![Complex32::ZERO; self.half],
            spectrum: vec![Complex32::ZERO; self.half],
            scratch: vec![Complex32::ZERO; scratch],
            re: Folded::zeros(self.folds()),
            im: Folded::zeros(self.folds()),
        }
    }

    /// The bins of `window` times `frame`, both `[n]`, into the buffers.
    pub fn analyse(&self, frame: &[f32], window: &[f32], buffers: &mut FoldedBuffers) {
        let FoldedBuffers { samples, spectrum, scratch, re, im } = buffers;
        for ((z, x), w) in samples.iter_mut().zip(frame.as_chunks::<2>().0).zip(window.as_chunks::<2>().0) {
            *z = Complex32::new(x[0] * w[0], x[1] * w[1]);
        }
        self.forward.process_outofplace_with_scratch(samples, spectrum, scratch);
        split(spectrum, re, im);
        let (Folded { low: a, high: c }, Folded { low: b, high: d }) = (re, im);
        unfold([a, b, c, d], &self.cos, &self.sin);
    }

    /// Adds `window` times the frame of the bins in the buffers, n/2 times too large, to `out` `[n]`.
    pub fn synthesise(&self, window: &[f32], out: &mut [f32], buffers: &mut FoldedBuffers) {
        let FoldedBuffers { samples, spectrum, scratch, re, im } = buffers;
        // 0 Hz and Nyquist are real.
        (im.low[0], im.high[0]) = (0.0, 0.0);
        let (Folded { low: a, high: c }, Folded { low: b, high: d }) = (&mut *re, &mut *im);
        fold([a, b, c, d], &self.cos, &self.sin);
        join(re, im, spectrum);
        self.inverse.process_outofplace_with_scratch(spectrum, samples, scratch);
        for ((out, z), w) in out.as_chunks_mut::<2>().0.iter_mut().zip(samples).zip(window.as_chunks::<2>().0) {
            out[0] += z.re * w[0];
            out[1] += z.im * w[1];
        }
    }
}

impl FoldedBuffers {
    /// The bins, real and imaginary parts.
    pub fn bins(&mut self) -> (&mut Folded, &mut Folded) {
        (&mut self.re, &mut self.im)
    }
}

/// Z `[N]` in the order of the fold; Z`[N]` is Z`[0]`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn split(z: &[Complex32], re: &mut Folded, im: &mut Folded) {
    for ((re, im), z) in re.low.iter_mut().zip(&mut im.low).zip(z) {
        (*re, *im) = (z.re, z.im);
    }
    (re.high[0], im.high[0]) = (z[0].re, z[0].im);
    for ((re, im), z) in re.high[1..].iter_mut().zip(&mut im.high[1..]).zip(z.iter().rev()) {
        (*re, *im) = (z.re, z.im);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn join(re: &Folded, im: &Folded, z: &mut [Complex32]) {
    for ((z, re), im) in z.iter_mut().rev().zip(&re.high[1..]).zip(&im.high[1..]) {
        *z = Complex32::new(*re, *im);
    }
    for ((z, re), im) in z.iter_mut().zip(&re.low).zip(&im.low) {
        *z = Complex32::new(*re, *im);
    }
}

/// From Z[k] = a + ib and Z[N - k] = c + id to X[k] and X[N - k], in their places.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn unfold([a, b, c, d]: [&mut [f32]; 4], cos: &[f32], sin: &[f32]) {
    let folds = cos.len();
    let (a, b, c, d, sin) = (&mut a[..folds], &mut b[..folds], &mut c[..folds], &mut d[..folds], &sin[..folds]);
    for k in 0..folds {
        let (even_re, even_im) = (0.5 * (a[k] + c[k]), 0.5 * (b[k] - d[k]));
        let (odd_re, odd_im) = (0.5 * (b[k] + d[k]), 0.5 * (c[k] - a[k]));
        let (turned_re, turned_im) = (cos[k] * odd_re - sin[k] * odd_im, cos[k] * odd_im + sin[k] * odd_re);
        (a[k], b[k]) = (even_re + turned_re, even_im + turned_im);
        (c[k], d[k]) = (even_re - turned_re, turned_im - even_im);
    }
}

/// The inverse of [`unfold`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn fold([a, b, c, d]: [&mut [f32]; 4], cos: &[f32], sin: &[f32]) {
    let folds = cos.len();
    let (a, b, c, d, sin) = (&mut a[..folds], &mut b[..folds], &mut c[..folds], &mut d[..folds], &sin[..folds]);
    for k in 0..folds {
        let (even_re, even_im) = (0.5 * (a[k] + c[k]), 0.5 * (b[k] - d[k]));
        let (turned_re, turned_im) = (0.5 * (a[k] - c[k]), 0.5 * (b[k] + d[k]));
        let (odd_re, odd_im) = (cos[k] * turned_re + sin[k] * turned_im, cos[k] * turned_im - sin[k] * turned_re);
        (a[k], b[k]) = (even_re - odd_im, even_im + odd_re);
        (c[k], d[k]) = (even_re + odd_im, odd_re - even_im);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use realfft::RealFftPlanner;

    #[test]
    fn bins_are_those_of_the_real_transform_and_come_back() {
        for n in [4, 6, 16, 22, 510, 1024, 1102] {
            let x: Vec<f32> =
                (0..n).map(|i| (i as f32 * 0.7).sin() + 0.3 * (i as f32 * i as f32 * 0.01).cos()).collect();
            let window: Vec<f32> = (0..n).map(|i| 0.2 + i as f32 / n as f32).collect();
            let fft = FoldedFft::new(n);
            let mut buffers = fft.buffers();
            fft.analyse(&x, &window, &mut buffers);

            let forward = RealFftPlanner::<f32>::new().plan_fft_forward(n);
            let (mut windowed, mut bins) = (forward.make_input_vec(), forward.make_output_vec());
            windowed.iter_mut().zip(&x).zip(&window).for_each(|((y, x), w)| *y = x * w);
            forward.process(&mut windowed, &mut bins).unwrap();
            let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-5 * n as f32, "n {n}: {a} {b}");
            let (mut re, mut im) = (Folded::zeros(fft.folds()), Folded::zeros(fft.folds()));
            re.set(&bins.iter().map(|b| b.re).collect::<Vec<_>>());
            im.set(&bins.iter().map(|b| b.im).collect::<Vec<_>>());
            let (found_re, found_im) = buffers.bins();
            for (found, wanted) in [(&found_re.low, &re.low), (&found_re.high, &re.high), (&found_im.low, &im.low)] {
                found.iter().zip(wanted).for_each(|(a, b)| near(*a, *b));
            }
            found_im.high.iter().zip(&im.high).for_each(|(a, b)| near(*a, *b));

            let mut out = vec![1.0; n];
            fft.synthesise(&window, &mut out, &mut buffers);
            for ((out, x), w) in out.iter().zip(&x).zip(&window) {
                near(*out, 1.0 + x * w * w * (n / 2) as f32);
            }
        }
    }
}
