//! Renders mels of other conventions than the model's.
//!
//! The given mel is converted to the model's ([`Conversion`]), rendered by the one [`Renderer`], brought to the rate that
//! the mel was made at, and then projected on the mel **that was given**: fast Griffin-Lim on the convention's own STFT
//! grid, whose magnitudes are the rendering's own, corrected band by band until the convention's own filters give the
//! given numbers. So the result agrees with the user's mel and not with our conversion. What the bands leave open is the
//! model's; bins that no band covers are emptied. Bands above what the model can hear start from noise.
//!
//! All of it runs chunk by chunk, in windows with emitted past and look-ahead like the renderer's, so memory is flat.

use super::{ChunkLayout, MelSource, Network, Noise, Renderer, SamplerSettings, SeededNoise};
use crate::{
    Result,
    audio::StreamResampler,
    dsp::{
        banded::BandedMatrix,
        stft::{Edge, FrameBuffers, Stft, overlap_add},
        threads::Threads,
    },
    mel::{
        Framing, MelConvention, MelSpectrogram,
        convert::{Conversion, REACH, window_factor},
        filterbank::filterbank,
    },
};
use rustfft::num_complex::Complex32;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Given frames of new audio in a projection's window.
const CHUNK: usize = 64;

/// Steps of the noise generator belong to the sampler; this one is far from all of them.
const NOISE_STEP: usize = 1 << 20;

/// Share of the model's rate up to which its audio can be trusted: the resampler's edge begins there.
const HEARD: f64 = 0.455;

/// Given frames that are still wanted: by the conversion, and later by the projection.
#[derive(Default)]
struct Given {
    /// Stored values, from absolute frame `first` on.
    frames: VecDeque<Vec<f32>>,
    first: usize,
    /// How many there are in all, once the source has ended.
    total: Option<usize>,
}

impl Given {
    fn end(&self) -> usize {
        self.first + self.frames.len()
    }

    fn frame(&self, t: usize) -> &[f32] {
        &self.frames[t - self.first]
    }
}

/// A panic in the other holder of the lock has ended the rendering already.
fn lock(given: &Mutex<Given>) -> MutexGuard<'_, Given> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A source of the model's mel that reads another convention's.
struct ConvertedSource<S> {
    source: S,
    conversion: Arc<Conversion>,
    given: Arc<Mutex<Given>>,
    /// Log spectra of given frames, from absolute frame `first` on.
    spectra: VecDeque<Vec<f32>>,
    first: usize,
    /// The next model frame.
    next: usize,
    n_mels: usize,
}

impl<S: MelSource> ConvertedSource<S> {
    /// Reads until given frame `wanted` is there, or the source ends: how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        loop {
            let end = self.first + self.spectra.len();
            if end > wanted || lock(&self.given).total.is_some() {
                return Ok(end);
            }
            let more = self.source.read(wanted + 1 - end)?;
            let mut given = lock(&self.given);
            if more.frames() == 0 {
                given.total = Some(end);
            }
            for t in 0..more.frames() {
                given.frames.push_back(more.frame(t).to_vec());
                self.spectra.push_back(self.conversion.log_spectrum(more.frame(t)));
            }
        }
    }
}

impl<S: MelSource> MelSource for ConvertedSource<S> {
    fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
        let mut values = Vec::new();
        for _ in 0..frames {
            let position = self.conversion.position(self.next);
            let before = position.max(0.0).floor() as usize;
            let there = self.fill(before + REACH)?;
            let total = lock(&self.given).total;
            let enough = total.is_none_or(|total| total > 0 && self.next < self.conversion.model_frames(total));
            if !enough {
                break;
            }
            let spectrum = self.conversion.interpolated(position, there, |t| {
                // Frames before the first are not asked for: `interpolated` clamps at 0, and only older ones are dropped.
                &self.spectra[t.max(self.first) - self.first]
            });
            values.extend(self.conversion.model_mel(&spectrum));
            self.next += 1;
            while self.first + REACH < before && self.spectra.len() > 2 * REACH {
                self.spectra.pop_front();
                self.first += 1;
            }
        }
        Ok(MelSpectrogram::new(values, self.n_mels))
    }
}

/// The constants of the projection on one convention's mel.
struct ForeignPlan {
    convention: MelConvention,
    stft: Stft,
    /// Each row divided by its peak, so that the numerics are those of triangles of height 1.
    bank: BandedMatrix,
    transposed: BandedMatrix,
    area: Vec<f32>,
    /// [M]: from the stored numbers' linear values to what `bank` gives.
    scale: Vec<f64>,
    /// First bin that the model cannot reach and a band covers.
    unheard: Option<usize>,
    /// Frames on either side of a chunk.
    context: usize,
    momentum: f32,
}

impl ForeignPlan {
    fn new(convention: &MelConvention, clock: u32, momentum: f32) -> Self {
        let bins = convention.bins();
        let mut dense = filterbank(convention);
        let mut scale = Vec::with_capacity(convention.n_mels);
        for row in dense.chunks_exact_mut(bins) {
            let peak = row.iter().copied().fold(0.0, f32::max);
            row.iter_mut().for_each(|w| *w /= peak.max(f32::MIN_POSITIVE));
            scale.push(window_factor(convention) / f64::from(peak.max(f32::MIN_POSITIVE)));
        }
        let bank = BandedMatrix::new(&dense, bins);
        let transposed = bank.transposed();
        let area = transposed.row_sums();
        let reach = HEARD * f64::from(clock) * convention.n_fft as f64 / f64::from(convention.sample_rate);
        let unheard = (reach.ceil() as usize..bins).find(|&f| area[f] > 0.0);
        Self {
            stft: Stft::with_window(convention.n_fft, convention.win_length, convention.hop),
            context: (2 * convention.n_fft).div_ceil(convention.hop),
            convention: convention.clone(),
            bank,
            transposed,
            area,
            scale,
            unheard,
            momentum,
        }
    }

    fn edge(&self) -> Edge {
        if self.convention.framing == Framing::PadEnd { Edge::Zero } else { Edge::Reflect }
    }

    /// What the bands of a frame have to be: lowest and highest, as sums of magnitudes to the convention's power.
    fn target(&self, stored: &[f32]) -> Vec<(f32, f32)> {
        let c = &self.convention;
        let clip = c.affine.and_then(|a| a.clip).filter(|_| c.statistics.is_none());
        let bound = |(m, &v): (usize, &f32)| {
            let linear = c.linear(m, f64::from(v));
            let exact = (linear * self.scale[m]) as f32;
            let floored = linear <= c.floor * 1.001 || clip.is_some_and(|[low, _]| f64::from(v) <= low + 1e-6);
            let clipped = clip.is_some_and(|[_, high]| f64::from(v) >= high - 1e-6);
            (if floored { 0.0 } else { exact }, if clipped { f32::INFINITY } else { exact })
        };
        stored.iter().enumerate().map(bound).collect()
    }

    /// Scales `magnitude` [F] so that the bands are in `target` [M].
    fn correct(&self, magnitude: &mut [f32], target: &[(f32, f32)], bands: &mut [f32], gain: &mut [f32]) {
        let power = self.convention.power as f32;
        if power != 1.0 {
            magnitude.iter_mut().for_each(|m| *m = m.powf(power));
        }
        self.bank.apply(magnitude, bands);
        for (b, (low, high)) in bands.iter_mut().zip(target) {
            *b = (b.clamp(*low, *high) / b.max(1e-6)).clamp(1e-3, 1e3);
        }
        self.transposed.apply(bands, gain);
        for ((m, g), a) in magnitude.iter_mut().zip(gain).zip(&self.area) {
            *m *= *g / (a + 1e-6) + 1e-8;
        }
        if power != 1.0 {
            magnitude.iter_mut().for_each(|m| *m = m.powf(1.0 / power));
        }
    }
}

/// One window of the projection: audio from absolute sample `start` on, and the frames that lie in it.
struct ForeignWindow<'a> {
    plan: &'a ForeignPlan,
    start: usize,
    /// Audio already emitted, at the window's beginning.
    past: &'a [f32],
    fade: usize,
    first_frame: usize,
    /// [T][M]
    targets: Vec<Vec<(f32, f32)>>,
    /// [T][F]: magnitudes of noise for the bins that the model does not reach; empty where there are none.
    unheard: Vec<Vec<Complex32>>,
}

/// A thread's share of a window's frames.
struct Share {
    frames: std::ops::Range<usize>,
    buffers: FrameBuffers,
    magnitude: Vec<f32>,
    previous: Vec<Complex32>,
    bands: Vec<f32>,
    gain: Vec<f32>,
    audio: Vec<f32>,
}

impl ForeignWindow<'_> {
    fn project(&self, x: &mut [f32], iterations: usize, threads: &Threads) {
        let (bins, n_mels) = (self.plan.stft.bins(), self.plan.bank.rows());
        let count = self.targets.len();
        let size = count.div_ceil(threads.count()).max(1);
        let mut shares: Vec<Share> = (0..count)
            .step_by(size)
            .map(|first| {
                let frames = first..(first + size).min(count);
                Share {
                    buffers: self.plan.stft.buffers(),
                    magnitude: vec![0.0; frames.len() * bins],
                    previous: vec![Complex32::ZERO; frames.len() * bins],
                    bands: vec![0.0; n_mels],
                    gain: vec![0.0; bins],
                    audio: vec![0.0; (frames.len() - 1) * self.plan.stft.hop() + self.plan.stft.n_fft()],
                    frames,
                }
            })
            .collect();
        let gain = self.overlap_gain(x.len());
        threads.within(|| {
            self.pin(x);
            self.pass(&mut shares, x, &gain, threads, |share, x| self.begin(share, x));
            for _ in 0..iterations {
                self.pass(&mut shares, x, &gain, threads, |share, x| self.iterate(share, x));
            }
        });
    }

    /// First sample of the window's frame `i`, in the window.
    fn local_start(&self, i: usize) -> isize {
        self.plan.convention.frame_start(self.first_frame + i) - self.start as isize
    }

    fn pin(&self, x: &mut [f32]) {
        let solid = self.past.len() - self.fade;
        x[..solid].copy_from_slice(&self.past[..solid]);
        for (i, (x, p)) in x[solid..].iter_mut().zip(&self.past[solid..]).enumerate() {
            let w = 1.0 - (i + 1) as f32 / (self.fade + 1) as f32;
            *x = w * p + (1.0 - w) * *x;
        }
    }

    /// 1 over the sum of squared windows; `None` where hardly a window reaches, and the audio stays as it is.
    fn overlap_gain(&self, n: usize) -> Vec<Option<f32>> {
        let mut sum = vec![0.0f32; n];
        let squared: Vec<f32> = self.plan.stft.window().iter().map(|w| w * w).collect();
        for i in 0..self.targets.len() {
            overlap_add(&mut sum, self.local_start(i), &squared);
        }
        sum.into_iter().map(|s| (s > 0.05).then(|| 1.0 / s)).collect()
    }

    fn pass(
        &self,
        shares: &mut [Share],
        x: &mut [f32],
        gain: &[Option<f32>],
        threads: &Threads,
        turn: impl Fn(&mut Share, &[f32]) + Sync + Send,
    ) {
        let audio: &[f32] = x;
        threads.for_each(shares, |share| turn(share, audio));
        let mut sum = vec![0.0; x.len()];
        for share in shares {
            overlap_add(&mut sum, self.local_start(share.frames.start), &share.audio);
        }
        for ((x, s), gain) in x.iter_mut().zip(sum).zip(gain) {
            if let Some(gain) = gain {
                *x = s * gain;
            }
        }
        self.pin(x);
    }

    /// Sets the magnitudes that the given mel asks for, and keeps the phase.
    fn begin(&self, share: &mut Share, x: &[f32]) {
        let (stft, bins) = (&self.plan.stft, self.plan.stft.bins());
        share.audio.fill(0.0);
        for (n, i) in share.frames.clone().enumerate() {
            stft.analyse(x, self.local_start(i), self.plan.edge(), &mut share.buffers);
            if let Some(noise) = self.unheard.get(i) {
                for (s, z) in share.buffers.spectrum.iter_mut().zip(noise) {
                    *s += z;
                }
            }
            let magnitude = &mut share.magnitude[n * bins..(n + 1) * bins];
            for (m, s) in magnitude.iter_mut().zip(&share.buffers.spectrum) {
                *m = s.norm() + 1e-6;
            }
            self.plan.correct(magnitude, &self.targets[i], &mut share.bands, &mut share.gain);
            for (s, m) in share.buffers.spectrum.iter_mut().zip(magnitude) {
                *s *= *m / (s.norm_sqr() + 1e-10).sqrt();
            }
            stft.synthesise(&mut share.buffers);
            overlap_add(&mut share.audio, (n * stft.hop()) as isize, &share.buffers.samples);
        }
    }

    /// One iteration of fast Griffin-Lim (Perraudin et al. 2013).
    fn iterate(&self, share: &mut Share, x: &[f32]) {
        let (stft, bins) = (&self.plan.stft, self.plan.stft.bins());
        let inertia = self.plan.momentum / (1.0 + self.plan.momentum);
        share.audio.fill(0.0);
        for (n, i) in share.frames.clone().enumerate() {
            stft.analyse(x, self.local_start(i), self.plan.edge(), &mut share.buffers);
            let (row, spectrum) = (n * bins..(n + 1) * bins, &mut share.buffers.spectrum);
            for ((s, p), m) in spectrum.iter_mut().zip(&mut share.previous[row.clone()]).zip(&share.magnitude[row]) {
                let ahead = *s - *p * inertia;
                *p = *s;
                *s = ahead * (m / (ahead.norm_sqr() + 1e-10).sqrt());
            }
            stft.synthesise(&mut share.buffers);
            overlap_add(&mut share.audio, (n * stft.hop()) as isize, &share.buffers.samples);
        }
    }
}

/// An iterator over pieces of waveform at the given convention's rate, `convention.samples(T)` in all. After an error it
/// ends.
pub struct ForeignRenderer<'n, N: Network, S> {
    network: &'n N,
    renderer: Renderer<'n, N, ConvertedSource<S>>,
    resampler: StreamResampler,
    plan: ForeignPlan,
    noise: SeededNoise,
    given: Arc<Mutex<Given>>,
    /// Model samples still to be dropped before the recording begins.
    lead: usize,
    /// Rendered audio at the given rate, from absolute sample `first` on.
    rendered: Vec<f32>,
    first: usize,
    /// The renderer has given its last.
    rendered_all: bool,
    /// Projected audio, from `first` on, to the end of the last chunk.
    known: Vec<f32>,
    /// The next chunk's first frame.
    next: usize,
    finished: bool,
}

impl<'n, N: Network, S: MelSource> ForeignRenderer<'n, N, S> {
    /// `source` gives the stored numbers of `convention`.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) or [`Error::Convention`](crate::Error::Convention) where one is
    /// impossible.
    pub fn new(
        network: &'n N,
        source: S,
        convention: &MelConvention,
        settings: SamplerSettings,
        layout: ChunkLayout,
    ) -> Result<Self> {
        let conversion = Arc::new(Conversion::new(convention, network.convention())?);
        let given = Arc::new(Mutex::new(Given::default()));
        let converted = ConvertedSource {
            source,
            conversion: conversion.clone(),
            given: given.clone(),
            spectra: VecDeque::new(),
            first: 0,
            next: 0,
            n_mels: network.convention().n_mels,
        };
        Ok(Self {
            network,
            renderer: Renderer::new(network, converted, settings, layout)?,
            resampler: StreamResampler::new(conversion.clock(), convention.sample_rate)?,
            plan: ForeignPlan::new(convention, conversion.clock(), network.momentum()),
            noise: SeededNoise { seed: settings.seed },
            given,
            lead: conversion.lead(),
            rendered: vec![],
            first: 0,
            rendered_all: false,
            known: vec![],
            next: 0,
            finished: false,
        })
    }

    /// Settings for the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where one is out of range.
    pub fn set_settings(&mut self, settings: SamplerSettings) -> Result<()> {
        self.renderer.set_settings(settings)
    }

    /// Hz
    pub fn sample_rate(&self) -> u32 {
        self.plan.convention.sample_rate
    }

    /// Renders until audio up to absolute sample `end` is there, or all.
    fn fill(&mut self, end: usize) -> Result<()> {
        while !self.rendered_all && self.first + self.rendered.len() < end {
            match self.renderer.next() {
                Some(audio) => {
                    let audio = audio?;
                    let skipped = self.lead.min(audio.len());
                    self.lead -= skipped;
                    self.resampler.push(&audio[skipped..], &mut self.rendered)?;
                }
                None => {
                    self.resampler.finish(&mut self.rendered)?;
                    self.rendered_all = true;
                    let total = lock(&self.given).total.unwrap_or(0);
                    // The last hop may lack a sample by rounding, or have some too many.
                    self.rendered.resize(self.plan.convention.samples(total).saturating_sub(self.first), 0.0);
                }
            }
        }
        Ok(())
    }

    /// The next piece; empty where there is none.
    fn chunk(&mut self) -> Result<Vec<f32>> {
        let (hop, n_fft, context) = (self.plan.stft.hop(), self.plan.stft.n_fft(), self.plan.context);
        let wanted = (self.next + CHUNK + context) * hop;
        // One more, which tells whether this is the last chunk.
        self.fill(wanted + 1)?;
        let available = self.first + self.rendered.len();
        let is_last = self.rendered_all && available <= wanted;
        let stop = available.min(wanted);
        let end = if is_last { stop } else { (self.next + CHUNK) * hop };
        if stop == self.first {
            self.finished = true;
            return Ok(vec![]);
        }

        let mut x = self.rendered[..stop - self.first].to_vec();
        let fade = hop.min(self.known.len());
        let begins_here = self.first == 0;
        let window = {
            let given = lock(&self.given);
            let c = &self.plan.convention;
            let inside = |t: &usize| {
                let start = c.frame_start(*t);
                let ends = start + n_fft as isize <= stop as isize || is_last;
                (start >= self.first as isize || begins_here) && ends
            };
            let frames: Vec<usize> = (given.first..given.end()).filter(inside).collect();
            let targets: Vec<_> = frames.iter().map(|&t| self.plan.target(given.frame(t))).collect();
            let first_frame = frames.first().copied().unwrap_or(0);
            ForeignWindow {
                unheard: self.unheard(first_frame, &targets),
                plan: &self.plan,
                start: self.first,
                past: &self.known,
                fade,
                first_frame,
                targets,
            }
        };
        if !window.targets.is_empty() {
            let iterations = self.renderer.settings().iterations;
            window.project(&mut x, iterations, self.network.threads());
        }

        let begin = self.known.len() - fade;
        if is_last {
            self.finished = true;
            return Ok(x[begin..].to_vec());
        }
        let held_from = end - hop - self.first;
        let emitted = x[begin..held_from].to_vec();
        self.known.truncate(begin);
        self.known.extend_from_slice(&x[begin..end - self.first]);
        self.next += CHUNK;
        self.forget();
        Ok(emitted)
    }

    /// Drops what no later window needs.
    fn forget(&mut self) {
        let hop = self.plan.stft.hop();
        let keep_from = self.next.saturating_sub(self.plan.context) * hop;
        let old = keep_from.saturating_sub(self.first);
        self.rendered.drain(..old);
        self.known.drain(..old);
        self.first += old;
        let mut given = lock(&self.given);
        while !given.frames.is_empty() && self.plan.convention.frame_start(given.first) < self.first as isize - 1 {
            given.frames.pop_front();
            given.first += 1;
        }
    }

    /// Noise under the given bands' envelope, in the bins that the model does not reach.
    fn unheard(&self, first_frame: usize, targets: &[Vec<(f32, f32)>]) -> Vec<Vec<Complex32>> {
        let Some(from) = self.plan.unheard else { return vec![] };
        let (bins, hop, n_fft) = (self.plan.stft.bins(), self.plan.stft.hop(), self.plan.stft.n_fft());
        let row_sums = self.plan.bank.row_sums();
        // White noise along the absolute time of the file, so that neighbouring frames and windows agree.
        let start = self.plan.convention.frame_start(first_frame);
        let first_hop = start.div_euclid(hop as isize);
        let hops = targets.len() + n_fft.div_ceil(hop) + 1;
        let mut white = vec![0.0; hops * hop];
        for (h, piece) in white.chunks_exact_mut(hop).enumerate() {
            // Shifted so that the hops before the file's beginning have numbers, too.
            let at = first_hop + h as isize + n_fft as isize;
            self.noise.fill(NOISE_STEP, at as u64, piece);
        }
        let offset = start - first_hop * hop as isize;
        // Of unit mean magnitude: a Hann window has 3/8 of its length as energy, Rayleigh's mean is 0.886 of its root.
        let unit = 1.0 / (0.886 * (0.375 * self.plan.convention.win_length as f32).sqrt());
        let mut buffers = self.plan.stft.buffers();
        let (mut envelope, power) = (vec![0.0; bins], 1.0 / self.plan.convention.power as f32);
        targets
            .iter()
            .enumerate()
            .map(|(i, target)| {
                let level: Vec<f32> = target.iter().zip(&row_sums).map(|((low, _), sum)| low / sum.max(1e-9)).collect();
                self.plan.transposed.apply(&level, &mut envelope);
                self.plan.stft.analyse(&white, offset + (i * hop) as isize, Edge::Zero, &mut buffers);
                let mut out = buffers.spectrum.clone();
                out[..from].fill(Complex32::ZERO);
                for ((s, e), a) in out.iter_mut().zip(&envelope).zip(&self.plan.area).skip(from) {
                    *s *= unit * (e / a.max(1e-9)).powf(power);
                }
                out
            })
            .collect()
    }
}

impl<N: Network, S: MelSource> Iterator for ForeignRenderer<'_, N, S> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.chunk() {
            Ok(audio) if audio.is_empty() => None,
            Ok(audio) => Some(Ok(audio)),
            Err(error) => {
                self.finished = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audio,
        diffusion::WholeMel,
        mel::{self, presets},
        model::GriffinLim,
    };

    fn speech(rate: u32) -> Vec<f32> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-synthetic.wav");
        audio::read_at(&path, rate).unwrap().samples
    }

    fn settings() -> SamplerSettings {
        SamplerSettings { steps: 1, iterations: 8, final_iterations: 16, seed: 0 }
    }

    /// A source that gives no more than `at_once` frames a call.
    struct Slowly(WholeMel, usize);

    impl MelSource for Slowly {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            self.0.read(frames.min(self.1))
        }
    }

    fn render(mel: &MelSpectrogram, c: &MelConvention, at_once: usize) -> Vec<f32> {
        let network = GriffinLim::new(1).unwrap();
        let source = Slowly(WholeMel::new(mel.clone()), at_once);
        let renderer = ForeignRenderer::new(&network, source, c, settings(), ChunkLayout::default()).unwrap();
        renderer.map(Result::unwrap).collect::<Vec<_>>().concat()
    }

    #[test]
    fn the_length_is_the_conventions_own_and_the_mel_is_the_given_one() {
        for name in ["hifigan-22k", "tacotron2", "bigvgan-44k-128-256x", "wavegrad-24k", "bigvgan-24k-100", "magenta"] {
            let c = presets::named(name).unwrap();
            let mel = mel::extract(&speech(c.sample_rate), c).unwrap();
            let audio = render(&mel, c, usize::MAX);
            assert_eq!(audio.len(), c.samples(mel.frames()), "{name}");
            assert!(audio.iter().all(|v| v.is_finite()), "{name}");
            let again = mel::extract(&audio, c).unwrap();
            let count = mel.values().len().min(again.values().len());
            let pairs = mel.values().iter().zip(again.values());
            let error = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / count as f64;
            let nats = error / c.stored_slope().abs();
            println!("{name}: {nats:.3} nats");
            // Griffin-Lim alone leaves 0.1 on its own grid; a mel read by a wrong convention is several nats away.
            assert!(nats < 0.35, "{name}: {nats}");
        }
    }

    #[test]
    fn how_the_source_gives_its_frames_changes_no_sample() {
        let c = presets::named("hifigan-22k").unwrap();
        let mel = mel::extract(&speech(c.sample_rate), c).unwrap();
        let whole = render(&mel, c, usize::MAX);
        assert!(whole == render(&mel, c, 7));
    }

    #[test]
    fn nothing_gives_nothing() {
        let c = presets::named("hifigan-22k").unwrap();
        assert!(render(&MelSpectrogram::new(vec![], 80), c, 1).is_empty());
    }
}
