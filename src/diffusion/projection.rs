//! Makes a waveform agree with a mel spectrogram.
//!
//! Target magnitude: geometric mean of the waveform's own and of the encoder's, each first corrected band by band so that
//! it has the given mel. Then fast Griffin-Lim (Perraudin, Balazs and Søndergaard 2013) from the waveform's own phase.
//! It is the cheap half of a sampling step, and worth more than a whole point of PESQ.

use crate::{
    dsp::{
        banded::BandedMatrix,
        stft::{Edge, FrameBuffers, Stft, overlap_add},
        threads::Threads,
    },
    mel::{Framing, MelConvention, MelSpectrogram, filterbank::filterbank},
};
use multiversion::multiversion;
use rustfft::num_complex::Complex32;

/// The constants of the projection for one convention.
pub struct ProjectionPlan {
    stft: Stft,
    bank: BandedMatrix,
    bank_transposed: BandedMatrix,
    /// [F]: sum of the bands' weights at each bin.
    area: Vec<f32>,
}

impl ProjectionPlan {
    pub fn new(convention: &MelConvention) -> Self {
        debug_assert_eq!(convention.framing, Framing::Centred);
        let bank = BandedMatrix::new(&filterbank(convention), convention.bins());
        let bank_transposed = bank.transposed();
        Self {
            stft: Stft::with_window(convention.n_fft, convention.win_length, convention.hop),
            area: bank_transposed.row_sums(),
            bank,
            bank_transposed,
        }
    }

    /// Scales `magnitude` [F] of one frame so that its mel is `mel` [M] (linear).
    fn correct(&self, magnitude: &mut [f32], mel: &[f32], bands: &mut [f32], gain: &mut [f32]) {
        self.bank.apply(magnitude, bands);
        for (b, m) in bands.iter_mut().zip(mel) {
            *b = (m / b.max(1e-6)).clamp(1e-3, 1e3);
        }
        self.bank_transposed.apply(bands, gain);
        for ((m, g), a) in magnitude.iter_mut().zip(gain).zip(&self.area) {
            *m *= *g / (a + 1e-6) + 1e-8;
        }
    }
}

/// Audio already emitted: it overwrites the first samples at every turn, with a weight that falls linearly over the last
/// `fade` of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past<'a> {
    pub audio: &'a [f32],
    pub fade: usize,
}

impl Past<'_> {
    fn pin(&self, x: &mut [f32]) {
        let solid = self.audio.len() - self.fade;
        x[..solid].copy_from_slice(&self.audio[..solid]);
        for (i, (x, p)) in x[solid..].iter_mut().zip(&self.audio[solid..]).enumerate() {
            let w = 1.0 - (i + 1) as f32 / (self.fade + 1) as f32;
            *x = w * p + (1.0 - w) * *x;
        }
    }
}

/// The projection of one window.
pub struct Projection<'a> {
    plan: &'a ProjectionPlan,
    /// [T, M], linear.
    mel: Vec<f32>,
    /// [T, F]: the encoder's magnitude, corrected.
    target: Vec<f32>,
    blend: f32,
    momentum: f32,
    past: Past<'a>,
    /// [n]: 1 / sum of squared windows.
    gain: Vec<f32>,
}

/// One thread's share of the frames, and what it needs for them.
struct Share {
    first_frame: usize,
    frames: usize,
    buffers: FrameBuffers,
    /// [frames, F]: target magnitude, and the spectrum of the turn before.
    magnitude: Vec<f32>,
    previous: Vec<Complex32>,
    bands: Vec<f32>,
    bin_gain: Vec<f32>,
    /// Sum of the synthesised frames, from sample `start` on.
    audio: Vec<f32>,
    start: isize,
}

impl<'a> Projection<'a> {
    /// `mel` [T, M] in natural log, `log_magnitude` [T, F]. Waveforms have (T - 1) hop samples.
    pub fn new(
        plan: &'a ProjectionPlan,
        mel: &MelSpectrogram,
        log_magnitude: &[f32],
        blend: f32,
        momentum: f32,
        past: Past<'a>,
    ) -> Self {
        let (bins, n_mels) = (plan.stft.bins(), mel.n_mels());
        let linear: Vec<f32> = mel.values().iter().map(|m| m.exp()).collect();
        let mut target: Vec<f32> = log_magnitude.iter().map(|m| m.exp()).collect();
        let (mut bands, mut gain) = (vec![0.0; n_mels], vec![0.0; bins]);
        for (magnitude, mel) in target.chunks_exact_mut(bins).zip(linear.chunks_exact(n_mels)) {
            plan.correct(magnitude, mel, &mut bands, &mut gain);
        }
        let frames = mel.frames();
        let gain = plan.stft.overlap_gain(frames, (frames - 1) * plan.stft.hop());
        Self { plan, mel: linear, target, blend, momentum, past, gain }
    }

    /// Overwrites `x` [n] with the waveform nearest to it (in this method's sense) that has the mel.
    pub fn project(&self, x: &mut [f32], iterations: usize, threads: &Threads) {
        threads.within(|| {
            let mut shares = self.shares(threads.count());
            self.past.pin(x);
            self.pass(&mut shares, x, threads, |share, x| self.begin(share, x));
            for _ in 0..iterations {
                self.pass(&mut shares, x, threads, |share, x| self.iterate(share, x));
            }
        });
    }

    fn shares(&self, pieces: usize) -> Vec<Share> {
        let (bins, hop, n_fft) = (self.plan.stft.bins(), self.plan.stft.hop(), self.plan.stft.n_fft());
        let frames = self.target.len() / bins;
        let size = frames.div_ceil(pieces);
        let share = |first_frame: usize| {
            let frames = size.min(frames - first_frame);
            Share {
                first_frame,
                frames,
                buffers: self.plan.stft.buffers(),
                magnitude: vec![0.0; frames * bins],
                previous: vec![Complex32::ZERO; frames * bins],
                bands: vec![0.0; self.plan.bank.rows()],
                bin_gain: vec![0.0; bins],
                audio: vec![0.0; (frames - 1) * hop + n_fft],
                start: self.plan.stft.centred_start(first_frame),
            }
        };
        (0..frames).step_by(size).map(share).collect()
    }

    /// One inverse transform: each share turns `x` into its frames' sum, which together are the new `x`.
    fn pass(
        &self,
        shares: &mut [Share],
        x: &mut [f32],
        threads: &Threads,
        turn: impl Fn(&mut Share, &[f32]) + Sync + Send,
    ) {
        threads.for_each(shares, |share| turn(share, x));
        x.fill(0.0);
        for share in shares {
            overlap_add(x, share.start, &share.audio);
        }
        for (x, gain) in x.iter_mut().zip(&self.gain) {
            *x *= gain;
        }
        self.past.pin(x);
    }

    /// Sets the target magnitude and keeps the waveform's phase.
    fn begin(&self, share: &mut Share, x: &[f32]) {
        let (stft, bins, n_mels) = (&self.plan.stft, self.plan.stft.bins(), self.plan.bank.rows());
        share.audio.fill(0.0);
        for i in 0..share.frames {
            let t = share.first_frame + i;
            stft.analyse(x, stft.centred_start(t), Edge::Reflect, &mut share.buffers);
            let magnitude = &mut share.magnitude[i * bins..(i + 1) * bins];
            for (m, s) in magnitude.iter_mut().zip(&share.buffers.spectrum) {
                *m = (s.norm_sqr() + 1e-10).sqrt() + 1e-6;
            }
            let mel = &self.mel[t * n_mels..(t + 1) * n_mels];
            self.plan.correct(magnitude, mel, &mut share.bands, &mut share.bin_gain);
            for (own, target) in magnitude.iter_mut().zip(&self.target[t * bins..(t + 1) * bins]) {
                *own = if self.blend == 0.5 {
                    (*own * target).sqrt()
                } else {
                    own.powf(self.blend) * target.powf(1.0 - self.blend)
                };
            }
            with_phase_of(&mut share.buffers.spectrum, magnitude);
            stft.synthesise(&mut share.buffers);
            overlap_add(&mut share.audio, (i * stft.hop()) as isize, &share.buffers.samples);
        }
    }

    /// One iteration of fast Griffin-Lim.
    fn iterate(&self, share: &mut Share, x: &[f32]) {
        let (stft, bins) = (&self.plan.stft, self.plan.stft.bins());
        let inertia = self.momentum / (1.0 + self.momentum);
        share.audio.fill(0.0);
        for i in 0..share.frames {
            stft.analyse(x, stft.centred_start(share.first_frame + i), Edge::Reflect, &mut share.buffers);
            let row = i * bins..(i + 1) * bins;
            accelerate(&mut share.buffers.spectrum, &mut share.previous[row.clone()], &share.magnitude[row], inertia);
            stft.synthesise(&mut share.buffers);
            overlap_add(&mut share.audio, (i * stft.hop()) as isize, &share.buffers.samples);
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

/// Gives `spectrum` the magnitude, and the phase of `spectrum - inertia * previous`; `previous` becomes `spectrum`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn accelerate(spectrum: &mut [Complex32], previous: &mut [Complex32], magnitude: &[f32], inertia: f32) {
    for ((s, p), m) in spectrum.iter_mut().zip(previous).zip(magnitude) {
        let ahead = Complex32::new(s.re - inertia * p.re, s.im - inertia * p.im);
        *p = *s;
        let scale = m / (ahead.norm_sqr() + 1e-10).sqrt();
        *s = Complex32::new(ahead.re * scale, ahead.im * scale);
    }
}
