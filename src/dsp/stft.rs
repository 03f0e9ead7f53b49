//! The short-time Fourier transform and its inverse, with PyTorch's conventions (`torch.stft`, `torch.istft`).
//!
//! Spectra are frame-major: bin `f` of frame `t` is `spectrum[t * bins + f]`, so a frame is one piece of memory for the
//! FFT and one row for the network. Frame `t` of a centred transform is centred on sample `t * hop`; what would lie
//! beyond the ends is the signal reflected about its first and last sample.

use super::{folded_fft::FoldedFft, threads::Threads};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex32;
use std::sync::Arc;

/// Frames that a thread takes at once where they are shared: enough that asking for them costs nothing.
pub const FRAMES_A_SHARE: usize = 16;

/// What lies before the first and after the last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Reflect,
    Zero,
}

/// A plan for transforms of one size: a periodic Hann window of `win_length` samples, centred in `n_fft`.
#[derive(Clone)]
pub struct Stft {
    n_fft: usize,
    hop: usize,
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    folded: FoldedFft,
    synthesis_window: Vec<f32>,
}

/// What one thread needs to transform frames without allocating.
pub struct FrameBuffers {
    /// `[n_fft]`
    pub samples: Vec<f32>,
    /// `[bins]`
    pub spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Stft {
    pub fn new(n_fft: usize, hop: usize) -> Self {
        Self::with_window(n_fft, n_fft, hop)
    }

    pub fn with_window(n_fft: usize, win_length: usize, hop: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let mut window = vec![0.0; n_fft];
        let left = (n_fft - win_length) / 2;
        for (i, w) in window[left..left + win_length].iter_mut().enumerate() {
            *w = (0.5 - 0.5 * (2.0 * std::f64::consts::PI * i as f64 / win_length as f64).cos()) as f32;
        }
        let scale = 2.0 / n_fft as f32;
        Self {
            n_fft,
            hop,
            synthesis_window: window.iter().map(|w| w * scale).collect(),
            window,
            forward: planner.plan_fft_forward(n_fft),
            inverse: planner.plan_fft_inverse(n_fft),
            folded: FoldedFft::new(n_fft),
        }
    }

    pub fn n_fft(&self) -> usize {
        self.n_fft
    }

    pub fn hop(&self) -> usize {
        self.hop
    }

    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// `[n_fft]`
    pub fn window(&self) -> &[f32] {
        &self.window
    }

    /// For frames that are taken apart, changed and put together again.
    pub fn folded(&self) -> &FoldedFft {
        &self.folded
    }

    /// `[n_fft]`: what [`FoldedFft::synthesise`] takes.
    pub fn synthesis_window(&self) -> &[f32] {
        &self.synthesis_window
    }

    pub fn buffers(&self) -> FrameBuffers {
        FrameBuffers {
            samples: vec![0.0; self.n_fft],
            spectrum: vec![Complex32::ZERO; self.bins()],
            scratch: vec![Complex32::ZERO; self.forward.get_scratch_len().max(self.inverse.get_scratch_len())],
        }
    }

    /// The windowed transform of the `n_fft` samples from `start` (which may lie before the signal) into
    /// `buffers.spectrum`.
    pub fn analyse(&self, audio: &[f32], start: isize, edge: Edge, buffers: &mut FrameBuffers) {
        let FrameBuffers { samples, spectrum, scratch } = buffers;
        if let Some(inside) = self.inside(audio, start) {
            for ((out, x), w) in samples.iter_mut().zip(inside).zip(&self.window) {
                *out = x * w;
            }
        } else {
            for ((out, i), w) in samples.iter_mut().zip(start..).zip(&self.window) {
                *out = sample_at(audio, i, edge) * w;
            }
        }
        self.forward.process_with_scratch(samples, spectrum, scratch).expect("the buffers are of the plan's sizes");
    }

    /// The `n_fft` samples from `start`, in `audio` or, where they are not all there, in `buffer` `[n_fft]`.
    pub fn frame<'a>(&self, audio: &'a [f32], start: isize, edge: Edge, buffer: &'a mut [f32]) -> &'a [f32] {
        if let Some(inside) = self.inside(audio, start) {
            return inside;
        }
        buffer.iter_mut().zip(start..).for_each(|(out, i)| *out = sample_at(audio, i, edge));
        buffer
    }

    /// The `n_fft` samples from `start`, where all are there.
    fn inside<'a>(&self, audio: &'a [f32], start: isize) -> Option<&'a [f32]> {
        let start = usize::try_from(start).ok()?;
        audio.get(start..start + self.n_fft)
    }

    /// The windowed inverse transform of `buffers.spectrum` into `buffers.samples`, ready to be added up. Destroys the
    /// spectrum. The imaginary parts at 0 Hz and Nyquist are ignored, as in every inverse transform to real numbers.
    pub fn synthesise(&self, buffers: &mut FrameBuffers) {
        let FrameBuffers { samples, spectrum, scratch } = buffers;
        spectrum[0].im = 0.0;
        spectrum[self.n_fft / 2].im = 0.0;
        self.inverse.process_with_scratch(spectrum, samples, scratch).expect("the buffers are of the plan's sizes");
        let scale = 1.0 / self.n_fft as f32;
        for (x, w) in samples.iter_mut().zip(&self.window) {
            *x *= w * scale;
        }
    }

    /// The first sample of frame `t` of a centred transform.
    pub fn centred_start(&self, t: usize) -> isize {
        (t * self.hop) as isize - (self.n_fft / 2) as isize
    }

    /// Frames of a centred transform of `n` samples.
    pub fn centred_frames(&self, n: usize) -> usize {
        1 + n / self.hop
    }

    /// The centred transform: `[n]` -> `[T, F]`, T = 1 + n / hop.
    pub fn forward(&self, audio: &[f32]) -> Vec<Complex32> {
        let starts = (0..self.centred_frames(audio.len())).map(|t| self.centred_start(t));
        self.forward_at(audio, starts, Edge::Reflect)
    }

    /// One frame for each first sample in `starts`: `[n]` -> `[T, F]`.
    pub fn forward_at(&self, audio: &[f32], starts: impl Iterator<Item = isize>, edge: Edge) -> Vec<Complex32> {
        let mut buffers = self.buffers();
        let mut out = Vec::with_capacity(starts.size_hint().0 * self.bins());
        for start in starts {
            self.analyse(audio, start, edge, &mut buffers);
            out.extend_from_slice(&buffers.spectrum);
        }
        out
    }

    /// The sum of squared windows at each of `n` samples, for `frames` frames from sample `start` on.
    pub fn window_sum(&self, start: isize, frames: usize, n: usize) -> Vec<f32> {
        let squared: Vec<f32> = self.window.iter().map(|w| w * w).collect();
        let mut sum = vec![0.0; n];
        for t in 0..frames {
            overlap_add(&mut sum, start + (t * self.hop) as isize, &squared);
        }
        sum
    }

    /// 1 over the sum of squared windows that cover each of the `n` samples of a centred transform of `frames` frames;
    /// 0 where no window reaches.
    pub fn overlap_gain(&self, frames: usize, n: usize) -> Vec<f32> {
        let sum = self.window_sum(self.centred_start(0), frames, n);
        sum.into_iter().map(|s| if s > 1e-11 { 1.0 / s } else { 0.0 }).collect()
    }

    /// The inverse of [`Stft::forward`] by weighted overlap-add: `[T, F]` -> `[n]`.
    pub fn inverse(&self, spectrum: &[Complex32], n: usize) -> Vec<f32> {
        self.inverse_by(spectrum, n, &Threads::CALLER)
    }

    /// [`Self::inverse`], its frames shared between `threads`: the same to the last bit.
    pub fn inverse_by(&self, spectrum: &[Complex32], n: usize, threads: &Threads) -> Vec<f32> {
        let (bins, frames) = (self.bins(), spectrum.len() / self.bins());
        let mut synthesised = vec![0.0; frames * self.n_fft];
        let shares = spectrum.chunks(FRAMES_A_SHARE * bins).zip(synthesised.chunks_mut(FRAMES_A_SHARE * self.n_fft));
        threads.for_each(&mut shares.collect::<Vec<_>>(), |(spectrum, synthesised)| {
            let mut buffers = self.buffers();
            for (frame, samples) in spectrum.chunks_exact(bins).zip(synthesised.chunks_exact_mut(self.n_fft)) {
                buffers.spectrum.copy_from_slice(frame);
                self.synthesise(&mut buffers);
                samples.copy_from_slice(&buffers.samples);
            }
        });
        let mut out = vec![0.0; n];
        for (t, samples) in synthesised.chunks_exact(self.n_fft).enumerate() {
            overlap_add(&mut out, self.centred_start(t), samples);
        }
        for (x, gain) in out.iter_mut().zip(self.overlap_gain(frames, n)) {
            *x *= gain;
        }
        out
    }
}

/// Adds `frame` to `out` from sample `start` on; what lies outside is dropped.
pub fn overlap_add(out: &mut [f32], start: isize, frame: &[f32]) {
    let skip = (-start).clamp(0, frame.len() as isize) as usize;
    let begin = (start.max(0) as usize).min(out.len());
    for (o, x) in out[begin..].iter_mut().zip(&frame[skip..]) {
        *o += x;
    }
}

/// Sample `i` of a signal that goes on beyond its ends.
pub(super) fn sample_at(audio: &[f32], i: isize, edge: Edge) -> f32 {
    let n = audio.len() as isize;
    if (0..n).contains(&i) {
        return audio[i as usize];
    }
    match edge {
        Edge::Zero => 0.0,
        Edge::Reflect if n < 2 => audio.first().copied().unwrap_or(0.0),
        // A signal shorter than the reach is reflected again and again; PyTorch refuses it.
        Edge::Reflect => {
            let period = 2 * (n - 1);
            let folded = i.rem_euclid(period);
            audio[folded.min(period - folded) as usize]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<f32> {
        let mut state = 1u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(n)
        .collect()
    }

    #[test]
    fn a_frame_is_the_textbook_sum() {
        let (stft, x) = (Stft::new(64, 16), noise(200));
        let got = stft.forward(&x);
        for (t, f) in [(0, 0), (0, 5), (3, 32), (7, 1), (12, 31)] {
            let mut sum = rustfft::num_complex::Complex64::ZERO;
            for i in 0..64isize {
                let at = (t as isize * 16 - 32 + i).unsigned_abs();
                let at = if at < 200 { at } else { 398 - at };
                let angle = -2.0 * std::f64::consts::PI * f as f64 * i as f64 / 64.0;
                let hann = 0.5 - 0.5 * (2.0 * std::f64::consts::PI * i as f64 / 64.0).cos();
                sum += rustfft::num_complex::Complex64::from_polar(x[at] as f64 * hann, angle);
            }
            let g = got[t * 33 + f];
            assert!((g.re as f64 - sum.re).abs() + (g.im as f64 - sum.im).abs() < 1e-5, "frame {t} bin {f}");
        }
    }

    #[test]
    fn the_inverse_returns_the_input() {
        for (n_fft, hop, n) in [(1024, 256, 5000), (512, 128, 1280), (1024, 256, 300), (1024, 300, 7001)] {
            let (stft, x) = (Stft::new(n_fft, hop), noise(n));
            let y = stft.inverse(&stft.forward(&x), n);
            // The last samples beyond the last frame's reach are lost where hop does not divide n.
            let covered = (stft.centred_frames(n) - 1) * hop;
            for i in 0..covered {
                assert!((x[i] - y[i]).abs() < 1e-5, "n_fft {n_fft} hop {hop} n {n} sample {i}");
            }
        }
    }

    #[test]
    fn a_signal_shorter_than_the_window_is_reflected_to_the_end() {
        let at = |i| sample_at(&[1.0, 2.0, 3.0], i, Edge::Reflect);
        assert_eq!((-4..7).map(at).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]);
        assert_eq!(sample_at(&[], 3, Edge::Reflect), 0.0);
    }
}
