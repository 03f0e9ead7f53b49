//! Phases that belong to given magnitudes, in one pass: phase gradient heap integration (Průša, Balazs and Søndergaard 2017,
//! "A noniterative method for reconstruction of phase from STFT magnitude").
//!
//! Under a Gaussian window the phase's slopes in time and in frequency are those of the log magnitude in the other
//! direction; a Hann window is near enough to one. The slopes are added up from bin to bin, loud ones first, so that what
//! is summed over weak bins, where the slopes are worth little, never reaches a strong one. What begins an island of
//! sound, and what is too quiet to have slopes, keeps the phase that it came with.

use super::threads::Threads;
use std::{f32::consts::PI, ops::Range};

/// Variance of the Gaussian nearest to a Hann window, over the square of the window's length (the same, table 1).
const HANN: f32 = 0.25645;

/// Bins this much quieter than the loudest, in nats, keep their phase.
const REACH: f32 = 9.0;

/// Bins below this magnitude keep their phase, too: less than the noise of 16 bits has. Where nothing sounds, slopes of nothing
/// would make a hum of it, which a pitch tracker hears at any level.
const SILENCE: f32 = 1e-4;

/// Loudness is compared in this many steps over the reach; level 0 is beyond it.
const LEVELS: usize = 256;

const NONE: u32 = u32::MAX;

/// Bands that are integrated each for itself, at the same time: what is lost is one step of phase between two neighbours.
const BANDS: usize = 4;

/// The constants for one kind of frame.
#[derive(Debug, Clone)]
pub struct PhaseGradient {
    bins: usize,
    /// What a slope of 1 nat a bin adds to the phase each frame, beside `advance`.
    along_time: f32,
    /// What a slope of 1 nat a frame adds to the phase each bin.
    along_frequency: f32,
    /// `[F]`: what a steady tone of each bin turns by each frame, 0 to 2 pi.
    advance: Vec<f32>,
}

impl PhaseGradient {
    /// For Hann windows of `win_length` samples in the middle of frames of `n_fft`.
    pub fn new(n_fft: usize, win_length: usize, hop: usize) -> Self {
        let bins = n_fft / 2 + 1;
        let gaussian = HANN * (win_length * win_length) as f32 / (hop * n_fft) as f32;
        let turn = |f: usize| 2.0 * PI * ((f * hop) % n_fft) as f32 / n_fft as f32;
        Self { bins, along_time: 1.0 / gaussian, along_frequency: -gaussian, advance: (0..bins).map(turn).collect() }
    }

    /// Overwrites the phases of spectra with these magnitudes, both `[T, F]`, from frame `known` on, as those of transforms
    /// that begin with the frame's first sample. The frames before are what the others continue.
    pub fn integrate(&self, magnitude: &[f32], phase: &mut [f32], known: usize, threads: &Threads) {
        let frames = magnitude.len() / self.bins;
        let loudest = magnitude.iter().copied().fold(0.0, f32::max);
        if frames < 2 || loudest <= SILENCE {
            return;
        }
        let loudest = loudest.ln().max(SILENCE.ln() + REACH);
        let width = self.bins.div_ceil(BANDS);
        let band = |first: usize| (first..self.bins.min(first + width), vec![]);
        let mut bands: Vec<(Range<usize>, Vec<f32>)> = (0..self.bins).step_by(width).map(band).collect();
        let given = &*phase;
        threads.for_each(&mut bands, |(bins, found)| {
            let mut band = Band::new(self, bins.clone(), magnitude, given, loudest);
            band.integrate(known);
            *found = band.phase;
        });
        for (bins, found) in bands {
            for (frame, found) in phase.chunks_exact_mut(self.bins).zip(found.chunks_exact(bins.len())) {
                frame[bins.clone()].copy_from_slice(found);
            }
        }
    }
}

/// Neighbouring bins of all frames.
struct Band<'a> {
    gradient: &'a PhaseGradient,
    first: usize,
    width: usize,
    /// Log magnitudes; this and the following `[T, width]`.
    log: Vec<f32>,
    phase: Vec<f32>,
    levels: Vec<u8>,
    reached: Vec<bool>,
    waiting: Waiting,
}

impl<'a> Band<'a> {
    /// The `bins` of `magnitude` and `phase` `[T, F]`; level 0 is the reach below `loudest`, a log magnitude.
    fn new(gradient: &'a PhaseGradient, bins: Range<usize>, magnitude: &[f32], phase: &[f32], loudest: f32) -> Self {
        let rows = |x: &[f32]| -> Vec<f32> {
            x.chunks_exact(gradient.bins).flat_map(|frame| &frame[bins.clone()]).copied().collect()
        };
        let mut log = rows(magnitude);
        log.iter_mut().for_each(|m| *m = m.max(1e-9).ln());
        let level = |s: &f32| ((s - loudest + REACH) * ((LEVELS - 1) as f32 / REACH)).max(0.0) as u8;
        let levels: Vec<u8> = log.iter().map(level).collect();
        Self {
            gradient,
            first: bins.start,
            width: bins.len(),
            phase: rows(phase),
            reached: levels.iter().map(|level| *level == 0).collect(),
            waiting: Waiting::new(log.len()),
            log,
            levels,
        }
    }

    fn integrate(&mut self, known: usize) {
        self.reached[..known * self.width].fill(true);

        // Seen from the middle of the frame, phases of neighbouring bins are alike; from its beginning they alternate.
        let from = known.saturating_sub(1) * self.width;
        self.turn(from, PI);
        (from..known * self.width).for_each(|bin| self.begin_at(bin));
        self.spread();
        for bin in by_level(&self.levels) {
            if !self.reached[bin as usize] {
                self.begin_at(bin as usize);
                self.spread();
            }
        }
        self.turn(from, -PI);
    }

    /// Adds to the phases of odd bins.
    fn turn(&mut self, from: usize, by: f32) {
        let odd = usize::from(self.first.is_multiple_of(2));
        for frame in self.phase[from..].chunks_exact_mut(self.width) {
            frame.iter_mut().skip(odd).step_by(2).for_each(|phase| *phase += by);
        }
    }

    /// From a bin whose phase stands.
    fn begin_at(&mut self, bin: usize) {
        self.reached[bin] = true;
        if self.levels[bin] > 0 {
            self.waiting.push(self.levels[bin], bin);
        }
    }

    /// To all that can be reached, over loud bins first.
    fn spread(&mut self) {
        let width = self.width;
        while let Some(bin) = self.waiting.pop() {
            let f = bin % width;
            if bin + width < self.log.len() && !self.reached[bin + width] {
                self.reach(bin + width, self.phase[bin] + self.between_frames(bin));
            }
            if bin >= width && !self.reached[bin - width] {
                self.reach(bin - width, self.phase[bin] - self.between_frames(bin - width));
            }
            if f + 1 < width && !self.reached[bin + 1] {
                self.reach(bin + 1, self.phase[bin] + self.between_bins(bin));
            }
            if f > 0 && !self.reached[bin - 1] {
                self.reach(bin - 1, self.phase[bin] - self.between_bins(bin - 1));
            }
        }
    }

    fn reach(&mut self, bin: usize, phase: f32) {
        self.phase[bin] = phase;
        self.begin_at(bin);
    }

    /// What the phase changes by from `bin` to the same bin of the next frame.
    fn between_frames(&self, bin: usize) -> f32 {
        let f = bin % self.width;
        let (low, high) = (usize::from(f > 0), usize::from(f + 1 < self.width));
        let slope = |bin: usize| (self.log[bin + high] - self.log[bin - low]) / (low + high).max(1) as f32;
        let PhaseGradient { advance, along_time, .. } = self.gradient;
        advance[self.first + f] + along_time * 0.5 * (slope(bin) + slope(bin + self.width))
    }

    /// What the phase changes by until the next bin of the frame.
    fn between_bins(&self, bin: usize) -> f32 {
        let (width, log) = (self.width, &self.log);
        let slope = |bin: usize| match (bin.checked_sub(width), log.get(bin + width)) {
            (Some(before), Some(after)) => 0.5 * (after - log[before]),
            (Some(before), None) => log[bin] - log[before],
            (None, Some(after)) => after - log[bin],
            (None, None) => 0.0,
        };
        self.gradient.along_frequency * 0.5 * (slope(bin) + slope(bin + 1))
    }
}

/// Bins whose neighbours are to be reached from them, by level: a heap that takes and gives in constant time, as the order
/// within a level does not matter.
struct Waiting {
    /// The first of each level, and of each bin the one after it.
    head: [u32; LEVELS],
    next: Vec<u32>,
    /// No level above has any.
    top: usize,
}

impl Waiting {
    fn new(bins: usize) -> Self {
        Self { head: [NONE; LEVELS], next: vec![NONE; bins], top: 0 }
    }

    fn push(&mut self, level: u8, bin: usize) {
        let level = usize::from(level);
        self.next[bin] = self.head[level];
        self.head[level] = bin as u32;
        self.top = self.top.max(level);
    }

    /// One of the loudest level.
    fn pop(&mut self) -> Option<usize> {
        while self.head[self.top] == NONE {
            self.top = self.top.checked_sub(1)?;
        }
        let bin = self.head[self.top] as usize;
        self.head[self.top] = self.next[bin];
        Some(bin)
    }
}

/// Bins above level 0, loudest first and in their order within a level.
fn by_level(levels: &[u8]) -> Vec<u32> {
    let mut places = [0usize; LEVELS];
    levels.iter().filter(|level| **level > 0).for_each(|level| places[LEVELS - 1 - usize::from(*level)] += 1);
    let mut first = 0;
    for place in &mut places {
        first += std::mem::replace(place, first);
    }
    let mut order = vec![0; first];
    for (bin, level) in levels.iter().enumerate().filter(|(_, level)| **level > 0) {
        let place = &mut places[LEVELS - 1 - usize::from(*level)];
        order[*place] = bin as u32;
        *place += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::stft::Stft;
    use rustfft::num_complex::Complex32;

    const N: usize = 16_000;

    /// A tone whose pitch glides up and whose loudness swells and ebbs, with a second one an uneven interval above.
    fn glide() -> Vec<f32> {
        let phase = |t: f32| 2.0 * PI * (300.0 * t + 120.0 * t * t);
        let swell = |t: f32| 0.4 + 0.3 * (2.0 * PI * 3.0 * t).sin();
        let tone = |i: usize| {
            let t = i as f32 / 24_000.0;
            swell(t) * (phase(t).sin() + 0.5 * (3.7 * phase(t)).sin())
        };
        (0..N).map(tone).collect()
    }

    /// Magnitudes, and phases without order.
    fn taken_apart(stft: &Stft, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let spectrum = stft.forward(x);
        let mut state = 1u32;
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 2.0 * PI
        });
        (spectrum.iter().map(|s| s.norm()).collect(), random.take(spectrum.len()).collect())
    }

    /// How far the magnitudes are from those of the waveform that they and the phases make: spectral convergence.
    fn inconsistency(stft: &Stft, magnitude: &[f32], phase: &[f32]) -> f32 {
        let spectrum: Vec<_> = magnitude.iter().zip(phase).map(|(m, p)| Complex32::from_polar(*m, *p)).collect();
        let again = stft.forward(&stft.inverse(&spectrum, N));
        let square = |x: f32| x * x;
        let error: f32 = again.iter().zip(magnitude).map(|(s, m)| square(s.norm() - m)).sum();
        (error / magnitude.iter().map(|m| square(*m)).sum::<f32>()).sqrt()
    }

    #[test]
    fn phases_are_found_that_belong_to_the_magnitudes() {
        for (n_fft, win_length, hop) in [(1024, 1024, 256), (2048, 2048, 512), (1024, 768, 192)] {
            let (stft, x) = (Stft::with_window(n_fft, win_length, hop), glide());
            let (magnitude, mut phase) = taken_apart(&stft, &x);
            let random = inconsistency(&stft, &magnitude, &phase);
            PhaseGradient::new(n_fft, win_length, hop).integrate(&magnitude, &mut phase, 0, &Threads::CALLER);
            let found = inconsistency(&stft, &magnitude, &phase);
            assert!(random > 0.4 && found < 0.12, "{n_fft} {win_length} {hop}: {found} where chance has {random}");
        }
    }

    #[test]
    fn what_is_known_stays_and_is_continued() {
        let (stft, x) = (Stft::new(1024, 256), glide());
        let (magnitude, mut phase) = taken_apart(&stft, &x);
        let (bins, known) = (stft.bins(), 20);
        let truth: Vec<f32> = stft.forward(&x).iter().map(|s| s.arg()).collect();
        phase[..known * bins].copy_from_slice(&truth[..known * bins]);
        PhaseGradient::new(1024, 1024, 256).integrate(&magnitude, &mut phase, known, &Threads::CALLER);
        assert!(phase[..known * bins].iter().zip(&truth).all(|(p, t)| (p - t).abs() < 1e-4));
        // The tone's own phase, eight frames later, where it is loudest.
        for frame in [known, known + 8] {
            let row = frame * bins..(frame + 1) * bins;
            let loudest = row.max_by(|a, b| magnitude[*a].total_cmp(&magnitude[*b])).unwrap();
            let off = (phase[loudest] - truth[loudest]).rem_euclid(2.0 * PI);
            assert!(off.min(2.0 * PI - off) < 0.3, "frame {frame}: {off}");
        }
    }

    #[test]
    fn what_is_far_below_the_loudest_keeps_its_phase() {
        let stft = Stft::new(256, 64);
        let (mut magnitude, phase) = taken_apart(&stft, &glide());
        let loudest = magnitude.iter().fold(0.0f32, |a, m| a.max(*m));
        magnitude.iter_mut().skip(5).step_by(7).for_each(|m| *m = loudest * (-REACH - 0.1).exp());
        let mut found = phase.clone();
        PhaseGradient::new(256, 256, 64).integrate(&magnitude, &mut found, 0, &Threads::CALLER);
        assert!(found.iter().zip(&phase).skip(5).step_by(7).all(|(f, p)| (f - p).abs() < 1e-4));
        let loud = |(i, m): (usize, &f32)| (*m > 0.05 * loudest).then_some(i);
        let loud: Vec<usize> = magnitude.iter().enumerate().filter_map(loud).collect();
        let moved = loud.iter().filter(|i| (found[**i] - phase[**i]).abs() > 0.1).count();
        assert!(moved > loud.len() / 2, "{moved} of {}", loud.len());
    }

    #[test]
    fn silence_and_single_frames_are_taken() {
        let gradient = PhaseGradient::new(256, 256, 64);
        let mut phase = vec![0.5; 129];
        gradient.integrate(&[0.0; 129], &mut phase, 0, &Threads::CALLER);
        assert_eq!(phase, [0.5; 129]);
        let mut phase = vec![0.5; 4 * 129];
        gradient.integrate(&[0.0; 4 * 129], &mut phase, 2, &Threads::CALLER);
        assert_eq!(phase, [0.5; 4 * 129]);
        // The floor of a mel in most bins, one that sounds softly.
        let mut magnitude = vec![1e-5; 4 * 129];
        magnitude[200] = 1e-2;
        gradient.integrate(&magnitude, &mut phase, 0, &Threads::CALLER);
        assert!(phase.iter().all(|p| (p - 0.5).abs() < 1e-5));
    }
}
