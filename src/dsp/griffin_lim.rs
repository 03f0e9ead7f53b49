//! Fast Griffin-Lim (Perraudin, Balazs and Søndergaard 2013) over a window of frames: magnitudes are set, then the phase is
//! iterated until the frames agree with each other. Where the magnitudes follow the waveform, they are set anew every few
//! iterations, and the momentum carries both. What is already emitted stays as it is at every turn.

use super::{
    folded_fft::{Folded, FoldedBuffers},
    phase_gradient::PhaseGradient,
    stft::{Edge, FrameBuffers, Stft, overlap_add},
    threads::Threads,
};
use multiversion::multiversion;
use rustfft::num_complex::Complex32;

/// Where the windows' squares sum up to less, a sample is hardly seen by any frame and stays what it was.
const COVERED: f32 = 0.05;

/// Audio already emitted: it overwrites the first samples at every turn, with a weight that falls linearly over the last
/// `fade` of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past<'a> {
    pub audio: &'a [f32],
    pub fade: usize,
}

impl Past<'_> {
    /// Samples that stand as they are.
    fn solid(&self) -> usize {
        self.audio.len() - self.fade
    }

    /// Of `x` from sample `at` of the window on.
    fn pin(&self, x: &mut [f32], at: usize) {
        let solid = self.solid();
        let (stands, rest) = x.split_at_mut(solid.saturating_sub(at).min(x.len()));
        let from = at + stands.len();
        stands.copy_from_slice(&self.audio[at.min(solid)..from.min(solid)]);
        for ((i, p), x) in self.audio.iter().enumerate().skip(from).zip(rest) {
            let w = 1.0 - (i - solid + 1) as f32 / (self.fade + 1) as f32;
            *x = w * p + (1.0 - w) * *x;
        }
    }
}

/// What the magnitudes are to be.
pub trait Magnitudes: Sync {
    /// What a thread needs for it, so that nothing is allocated a frame.
    type Scratch: Send;

    fn scratch(&self) -> Self::Scratch;

    /// Iterations after which they are set anew, from the frames as they are then; 0: they stay.
    fn renewal(&self) -> usize {
        0
    }

    /// The magnitude `[F]` that frame `i` is to have, for the first time or `again`. `spectrum` is the frame as it is; its
    /// phase is kept, and may be changed.
    fn set(
        &self,
        i: usize,
        spectrum: &mut [Complex32],
        magnitude: &mut [f32],
        again: bool,
        scratch: &mut Self::Scratch,
    );
}

/// Whether what is set anew after `renewal` iterations each is so in `iteration`, counted from 0.
pub fn renews(renewal: usize, iteration: usize) -> bool {
    renewal > 0 && iteration > 0 && iteration.is_multiple_of(renewal)
}

/// The phases that are iterated from.
#[derive(Debug, Clone, Copy)]
pub enum Phases<'p> {
    /// The waveform's own.
    Own,
    /// Those that the magnitudes ask for, where nothing is emitted yet; of the waveform's own only what they leave open.
    Integrated(&'p PhaseGradient),
}

/// Frames that lie in one window, and how they are iterated.
pub struct FastGriffinLim<'a> {
    stft: &'a Stft,
    edge: Edge,
    /// First sample of frame 0; before the window where negative.
    start: isize,
    frames: usize,
    /// Frames before this one lie wholly in what is emitted: whatever they are, they change nothing.
    first: usize,
    /// 0 is plain Griffin-Lim.
    momentum: f32,
    past: Past<'a>,
    /// 1 over the sum of squared windows, from sample `covered` on.
    gain: Vec<f32>,
    covered: usize,
}

/// One thread's share of the frames, and what it needs for them.
struct Share<S> {
    first: usize,
    /// Target magnitudes.
    frames: Vec<Folded>,
    buffers: FrameBuffers,
    folded: FoldedBuffers,
    /// `[F]`
    magnitude: Vec<f32>,
    scratch: S,
    sum: FrameSum,
}

/// The window's waveform from turn to turn, `[n]` each.
struct Wave<'x> {
    now: &'x mut [f32],
    /// The transform is linear: what the frames are to be seen ahead by, the waveform is taken ahead by.
    ahead: Vec<f32>,
    /// A turn ago.
    last: Vec<f32>,
}

/// One thread's part of it, from sample `at` on.
struct Segment<'w> {
    at: usize,
    now: &'w mut [f32],
    ahead: &'w mut [f32],
    last: &'w mut [f32],
}

impl Wave<'_> {
    fn segments(&mut self, pieces: usize) -> Vec<Segment<'_>> {
        let size = self.now.len().div_ceil(pieces).max(1);
        let parts = self.now.chunks_mut(size).zip(self.ahead.chunks_mut(size)).zip(self.last.chunks_mut(size));
        parts.enumerate().map(|(i, ((now, ahead), last))| Segment { at: i * size, now, ahead, last }).collect()
    }
}

/// The sum of a share's frames. Where the share before reaches into this one its sum has to come first, so that every sample
/// is added up frame by frame in the order of time, and does not depend on the number of threads.
struct FrameSum {
    hop: usize,
    /// Samples into which the share before reaches; none in the first share.
    reach: usize,
    /// What the first frames have there, frame n from sample n hop on.
    early: Vec<Vec<f32>>,
    /// From the first frame's beginning on: all of the rest.
    audio: Vec<f32>,
}

impl FrameSum {
    fn new(frames: usize, hop: usize, n_fft: usize, reach: usize) -> Self {
        let early = (0..reach).step_by(hop).take(frames).map(|start| vec![0.0; reach - start]);
        Self { hop, reach, early: early.collect(), audio: vec![0.0; (frames - 1) * hop + n_fft] }
    }

    fn clear(&mut self) {
        self.audio.fill(0.0);
    }

    /// Where frame `n` is to be added as a whole; `None` for one that begins where the share before still reaches.
    fn place(&mut self, n: usize, n_fft: usize) -> Option<&mut [f32]> {
        (n >= self.early.len()).then(|| &mut self.audio[n * self.hop..n * self.hop + n_fft])
    }

    /// Adds frame `n` `[n_fft]`.
    fn add(&mut self, n: usize, frame: &[f32]) {
        if let Some(place) = self.place(n, frame.len()) {
            return overlap_add(place, 0, frame);
        }
        let early = &mut self.early[n];
        let (before, after) = frame.split_at(early.len());
        early.copy_from_slice(before);
        overlap_add(&mut self.audio[self.reach..], 0, after);
    }

    /// Adds the sum to `out`, from sample `start` on.
    fn add_to(&self, out: &mut [f32], start: isize) {
        for (early, at) in self.early.iter().zip((start..).step_by(self.hop)) {
            overlap_add(out, at, early);
        }
        overlap_add(out, start + self.reach as isize, &self.audio[self.reach..]);
    }
}

impl<'a> FastGriffinLim<'a> {
    /// `frames` frames, the first at sample `start` of windows of `n` samples.
    pub fn new(
        stft: &'a Stft,
        edge: Edge,
        start: isize,
        frames: usize,
        n: usize,
        momentum: f32,
        past: Past<'a>,
    ) -> Self {
        let mut sum = stft.window_sum(start, frames, n);
        let covered = sum.iter().position(|s| *s > COVERED).unwrap_or(n);
        let end = sum.iter().rposition(|s| *s > COVERED).map_or(n, |last| last + 1);
        sum.truncate(end);
        sum.drain(..covered.min(end));
        let gain = sum.into_iter().map(|s| if s > 1e-11 { 1.0 / s } else { 0.0 }).collect();
        let ends = (0..frames).map(|i| start + (i * stft.hop() + stft.n_fft()) as isize);
        let first = ends.take_while(|end| *end <= past.solid() as isize).count();
        Self { stft, edge, start, frames, first, momentum, past, gain, covered }
    }

    /// Overwrites `x` `[n]`.
    pub fn run<M: Magnitudes>(
        &self,
        x: &mut [f32],
        magnitudes: &M,
        phases: Phases,
        iterations: usize,
        threads: &Threads,
    ) {
        threads.within(|| {
            let mut shares = self.shares(magnitudes, threads.count());
            self.past.pin(x, 0);
            let mut wave = Wave { ahead: vec![0.0; x.len()], last: vec![0.0; x.len()], now: x };
            match phases {
                Phases::Own => self.pass(&mut shares, &mut wave, 0.0, threads, |share, wave| {
                    self.set(share, magnitudes, wave.now, None);
                }),
                Phases::Integrated(gradient) => self.integrate(&mut shares, &mut wave, magnitudes, gradient, threads),
            }
            let inertia = self.momentum / (1.0 + self.momentum);
            for iteration in 0..iterations {
                let renews = renews(magnitudes.renewal(), iteration);
                self.pass(&mut shares, &mut wave, inertia, threads, |share, wave| match renews {
                    true => self.set(share, magnitudes, &wave.ahead, Some(1.0 + self.momentum)),
                    false => self.iterate(share, &wave.ahead),
                });
            }
        });
    }

    fn shares<M: Magnitudes>(&self, magnitudes: &M, pieces: usize) -> Vec<Share<M::Scratch>> {
        let (bins, hop, n_fft) = (self.stft.bins(), self.stft.hop(), self.stft.n_fft());
        let frame = || Folded::zeros(self.stft.folded().folds());
        let size = (self.frames - self.first).div_ceil(pieces).max(1);
        let share = |first: usize| {
            let frames = size.min(self.frames - first);
            let reach = if first == self.first { 0 } else { n_fft.saturating_sub(hop) };
            Share {
                first,
                frames: std::iter::repeat_with(frame).take(frames).collect(),
                buffers: self.stft.buffers(),
                folded: self.stft.folded().buffers(),
                magnitude: vec![0.0; bins],
                scratch: magnitudes.scratch(),
                sum: FrameSum::new(frames, hop, n_fft, reach),
            }
        };
        (self.first..self.frames).step_by(size).map(share).collect()
    }

    fn frame_start(&self, i: usize) -> isize {
        self.start + (i * self.stft.hop()) as isize
    }

    /// One inverse transform: each share turns the waveform into its frames' sum, which together are the new one.
    fn pass<S: Send>(
        &self,
        shares: &mut [Share<S>],
        wave: &mut Wave,
        inertia: f32,
        threads: &Threads,
        turn: impl Fn(&mut Share<S>, &Wave) + Sync + Send,
    ) {
        threads.for_each(shares, |share| turn(share, wave));
        let sums: Vec<_> = shares.iter().map(|share| (&share.sum, self.frame_start(share.first))).collect();
        threads.for_each(&mut wave.segments(threads.count()), |segment| self.add_up(segment, &sums, inertia));
    }

    /// `sums` with the sample that each begins at.
    fn add_up(&self, segment: &mut Segment, sums: &[(&FrameSum, isize)], inertia: f32) {
        let Segment { at, now, ahead, last } = segment;
        let (from, to) = (self.covered.max(*at), (self.covered + self.gain.len()).min(*at + now.len()));
        if from < to {
            let seen = &mut now[from - *at..to - *at];
            seen.fill(0.0);
            for (sum, start) in sums {
                sum.add_to(seen, start - from as isize);
            }
            for (x, gain) in seen.iter_mut().zip(&self.gain[from - self.covered..]) {
                *x *= gain;
            }
        }
        self.past.pin(now, *at);
        for ((ahead, last), x) in ahead.iter_mut().zip(last.iter_mut()).zip(&**now) {
            // Ahead by the momentum, over 1 + momentum: as loud as it was, that what is next to nothing stays so.
            *ahead = x - inertia * *last;
            *last = *x;
        }
    }

    /// Sets the target magnitude and keeps the waveform's phase. `again`: by what a waveform that was taken ahead is to be
    /// multiplied to be as loud as it was.
    fn set<M: Magnitudes>(&self, share: &mut Share<M::Scratch>, magnitudes: &M, x: &[f32], again: Option<f32>) {
        let Share { first, frames, buffers, magnitude, scratch, sum, .. } = share;
        sum.clear();
        for (n, frame) in frames.iter_mut().enumerate() {
            let i = *first + n;
            self.stft.analyse(x, self.frame_start(i), self.edge, buffers);
            if let Some(gain) = again {
                buffers.spectrum.iter_mut().for_each(|s| *s *= gain);
            }
            magnitudes.set(i, &mut buffers.spectrum, magnitude, again.is_some(), scratch);
            frame.set(magnitude);
            with_phase_of(&mut buffers.spectrum, magnitude);
            self.stft.synthesise(buffers);
            sum.add(n, &buffers.samples);
        }
    }

    /// Sets the target magnitude, with phases by integration.
    fn integrate<M: Magnitudes>(
        &self,
        shares: &mut [Share<M::Scratch>],
        wave: &mut Wave,
        magnitudes: &M,
        gradient: &PhaseGradient,
        threads: &Threads,
    ) {
        let bins = self.stft.bins();
        let (mut magnitude, mut phase) = (vec![0.0; self.frames * bins], vec![0.0; self.frames * bins]);
        let (magnitude_before, magnitude_after) = magnitude.split_at_mut(self.first * bins);
        let (phase_before, phase_after) = phase.split_at_mut(self.first * bins);
        let look =
            |i, magnitude: &mut [f32], phase: &mut [f32], buffers: &mut FrameBuffers, scratch: &mut M::Scratch| {
                self.stft.analyse(wave.now, self.frame_start(i), self.edge, buffers);
                magnitudes.set(i, &mut buffers.spectrum, magnitude, false, scratch);
                phase.iter_mut().zip(&buffers.spectrum).for_each(|(phase, s)| *phase = s.arg());
            };
        let (mut buffers, mut scratch) = (self.stft.buffers(), magnitudes.scratch());
        let rows = magnitude_before.chunks_exact_mut(bins).zip(phase_before.chunks_exact_mut(bins));
        for (i, (magnitude, phase)) in rows.enumerate() {
            look(i, magnitude, phase, &mut buffers, &mut scratch);
        }
        let size = shares.first().map_or(1, |share| share.frames.len()) * bins;
        let parts = shares.iter_mut().zip(magnitude_after.chunks_mut(size)).zip(phase_after.chunks_mut(size));
        threads.for_each(&mut parts.collect::<Vec<_>>(), |((share, magnitude), phase)| {
            let Share { first, frames, buffers, scratch, .. } = &mut **share;
            let rows = magnitude.chunks_exact_mut(bins).zip(phase.chunks_exact_mut(bins));
            for (n, (frame, (magnitude, phase))) in frames.iter_mut().zip(rows).enumerate() {
                look(*first + n, magnitude, phase, buffers, scratch);
                frame.set(magnitude);
            }
        });
        gradient.integrate(&magnitude, &mut phase, self.first, threads);
        self.pass(shares, wave, 0.0, threads, |share, _| {
            share.sum.clear();
            let rows = magnitude.chunks_exact(bins).zip(phase.chunks_exact(bins)).skip(share.first);
            for (n, (magnitude, phase)) in rows.take(share.frames.len()).enumerate() {
                for ((s, m), phase) in share.buffers.spectrum.iter_mut().zip(magnitude).zip(phase) {
                    *s = Complex32::from_polar(*m, *phase);
                }
                self.stft.synthesise(&mut share.buffers);
                share.sum.add(n, &share.buffers.samples);
            }
        });
    }

    fn iterate<S>(&self, share: &mut Share<S>, x: &[f32]) {
        let Share { first, frames, buffers, folded, sum, .. } = share;
        let (stft, fft) = (self.stft, self.stft.folded());
        sum.clear();
        for (n, target) in frames.iter().enumerate() {
            let samples = stft.frame(x, self.frame_start(*first + n), self.edge, &mut buffers.samples);
            fft.analyse(samples, stft.window(), folded);
            let (now_re, now_im) = folded.bins();
            rescale([&mut now_re.low, &mut now_im.low], &target.low);
            rescale([&mut now_re.high, &mut now_im.high], &target.high);
            if let Some(place) = sum.place(n, stft.n_fft()) {
                fft.synthesise(stft.synthesis_window(), place, folded);
            } else {
                buffers.samples.fill(0.0);
                fft.synthesise(stft.synthesis_window(), &mut buffers.samples, folded);
                sum.add(n, &buffers.samples);
            }
        }
    }
}

/// Gives `spectrum` the magnitude and lets it keep its phase.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn with_phase_of(spectrum: &mut [Complex32], magnitude: &[f32]) {
    for (s, m) in spectrum.iter_mut().zip(magnitude) {
        *s *= m / (s.norm_sqr() + 1e-10).sqrt();
    }
}

/// Gives the bins the magnitude and lets them keep their phase.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn rescale([re, im]: [&mut [f32]; 2], magnitude: &[f32]) {
    for ((re, im), m) in re.iter_mut().zip(im).zip(magnitude) {
        let scale = m / (*re * *re + *im * *im + 1e-10).sqrt();
        (*re, *im) = (*re * scale, *im * scale);
    }
}
