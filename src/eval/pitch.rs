//! Pitch and voicing by probabilistic YIN, and what a rendering made of them.
//!
//! YIN (de Cheveigné and Kawahara 2002) compares each frame with itself a lag later; the lags where the difference falls
//! low are candidates. pYIN (Mauch and Dixon 2014) weighs them by a prior over YIN's threshold and finds the likeliest way
//! through the file, voiced or not, with the constants of the authors' software. Written here because the one crate that
//! has it takes longer than the sound lasts: its Viterbi search multiplies whole matrices, of which all but a narrow band
//! is zero.

use super::polyphase;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Pitch is sought at this rate, Hz.
const RATE: u32 = 16_000;
const HOP: usize = 160;
/// Samples that are compared with their neighbours a lag later, half a frame.
const WINDOW: usize = 512;
/// Hz. From a creaking bass to a soprano's top.
const LOWEST: f64 = 50.0;
const HIGHEST: f64 = 1000.0;
/// Lags in samples of the highest and the lowest pitch.
const MIN_LAG: usize = 16;
const MAX_LAG: usize = 320;

const BINS_PER_OCTAVE: usize = 120;
/// floor(120 log2(1000 / 50)) + 1
const PITCH_BINS: usize = 519;
/// Bins that the pitch can move by in one hop: 35.92 octaves a second, in whole semitones.
const REACH: usize = 20;
/// Chance that voicing begins or ends in a frame.
const SWITCH: f64 = 0.01;
/// Share of its probability that the best lag keeps where no lag is below a threshold.
const NO_TROUGH: f64 = 0.01;
const THRESHOLDS: usize = 100;
/// Decay of the prior that favours short lags among several good ones.
const BOLTZMANN: f64 = 2.0;

/// What is known of each frame, 10 ms apart; frame k is centred on 10 k ms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PitchTrack {
    /// Hz, 0 where the frame is not voiced.
    pub f0: Vec<f32>,
    /// Probability that the frame is voiced, 0 to 1: how periodic it is.
    pub periodicity: Vec<f32>,
}

impl PitchTrack {
    pub fn voiced(&self, frame: usize) -> bool {
        self.f0[frame] > 0.0
    }
}

/// How the pitch of a rendering differs from the recording's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PitchDifference {
    /// Harmonic mean of precision and recall of the voiced frames; `None` where neither has any.
    pub vuv_f1: Option<f64>,
    /// Root mean square over the frames that are voiced in both; `None` where there are none.
    pub pitch_cents: Option<f64>,
    /// Root mean square difference of the periodicity over all frames.
    pub periodicity: Option<f64>,
}

/// Over the frames that both tracks have.
pub fn compare(reference: &PitchTrack, rendered: &PitchTrack) -> PitchDifference {
    let frames = reference.f0.len().min(rendered.f0.len());
    let (mut agreed, mut disagreed, mut cents, mut periodicity) = (0usize, 0usize, 0.0, 0.0);
    for t in 0..frames {
        match (reference.voiced(t), rendered.voiced(t)) {
            (true, true) => {
                agreed += 1;
                cents += (1200.0 * f64::from(rendered.f0[t] / reference.f0[t]).log2()).powi(2);
            }
            (false, false) => {}
            _ => disagreed += 1,
        }
        periodicity += f64::from(reference.periodicity[t] - rendered.periodicity[t]).powi(2);
    }
    PitchDifference {
        vuv_f1: (agreed + disagreed > 0).then(|| 2.0 * agreed as f64 / (2 * agreed + disagreed) as f64),
        pitch_cents: (agreed > 0).then(|| (cents / agreed as f64).sqrt()),
        periodicity: (frames > 0).then(|| (periodicity / frames as f64).sqrt()),
    }
}

/// The pitch of `[n]` samples at `sample_rate` Hz: 1 + n / hop frames at 16 kHz, none for an empty recording.
pub fn track(audio: &[f32], sample_rate: u32) -> PitchTrack {
    let audio = polyphase::resample(audio, sample_rate, RATE);
    if audio.is_empty() {
        return PitchTrack::default();
    }
    let frames = 1 + audio.len() / HOP;
    let (mut yin, prior) = (Yin::new(), ThresholdPrior::new());
    let candidates: Vec<Vec<Candidate>> =
        (0..frames).map(|t| prior.candidates(yin.difference(&audio, (t * HOP) as isize - WINDOW as isize))).collect();
    let mut out = PitchTrack { f0: vec![0.0; frames], periodicity: Vec::with_capacity(frames) };
    out.periodicity.extend(candidates.iter().map(|frame| voicing(frame) as f32));
    for ((f0, bin), frame) in out.f0.iter_mut().zip(likeliest(&candidates)).zip(&candidates) {
        if let Some(bin) = bin {
            // The way through the file is found on bins of 10 cents; the lag itself knows the pitch more finely.
            let exact = frame.iter().rev().find(|c| c.bin == bin).map(|c| c.hz);
            *f0 = exact.unwrap_or_else(|| LOWEST * (bin as f64 / BINS_PER_OCTAVE as f64).exp2()) as f32;
        }
    }
    out
}

/// A lag at which a frame resembles itself.
struct Candidate {
    hz: f64,
    bin: usize,
    probability: f64,
}

fn voicing(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|c| c.probability).sum::<f64>().clamp(0.0, 1.0)
}

/// YIN's cumulative mean normalised difference, and the buffers to compute it by FFT.
struct Yin {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    /// [2 WINDOW], the frame; [MAX_LAG + 1], the difference.
    frame: Vec<f64>,
    difference: Vec<f64>,
}

impl Yin {
    fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        Self {
            forward: planner.plan_fft_forward(2 * WINDOW),
            inverse: planner.plan_fft_inverse(2 * WINDOW),
            frame: vec![0.0; 2 * WINDOW],
            difference: vec![0.0; MAX_LAG + 1],
        }
    }

    /// d'(lag) for lags from 0 to MAX_LAG of the frame that begins at sample `start`, zeros beyond the ends.
    fn difference(&mut self, audio: &[f32], start: isize) -> &[f64] {
        for (x, i) in self.frame.iter_mut().zip(start..) {
            *x = usize::try_from(i).ok().and_then(|i| audio.get(i)).map_or(0.0, |&x| f64::from(x));
        }
        let correlation = self.correlation();
        let mut squares: f64 = self.frame[..WINDOW].iter().map(|x| x * x).sum();
        let first = squares;
        let mut total = 0.0;
        self.difference[0] = 1.0;
        for (lag, correlation) in correlation.iter().enumerate().take(MAX_LAG + 1).skip(1) {
            squares += self.frame[lag + WINDOW - 1].powi(2) - self.frame[lag - 1].powi(2);
            // Rounding can leave a difference of nothing a little below zero.
            let d = (first + squares - 2.0 * correlation).max(0.0);
            total += d;
            self.difference[lag] = if total > 1e-12 { d * lag as f64 / total } else { 1.0 };
        }
        &self.difference
    }

    /// Sum of x[j] x[j + lag] over the window. The first half of the frame, padded with zeros, against all of it: lags
    /// up to MAX_LAG do not wrap around.
    fn correlation(&self) -> Vec<f64> {
        let transform = |samples: &mut Vec<f64>| {
            let mut spectrum = self.forward.make_output_vec();
            self.forward.process(samples, &mut spectrum).expect("the buffers are of the plan's sizes");
            spectrum
        };
        let whole = transform(&mut self.frame.clone());
        let mut half = self.frame.clone();
        half[WINDOW..].fill(0.0);
        let half = transform(&mut half);
        let mut product: Vec<_> = whole.iter().zip(&half).map(|(w, h)| w * h.conj()).collect();
        let last = product.len() - 1;
        (product[0].im, product[last].im) = (0.0, 0.0);
        let mut out = self.inverse.make_output_vec();
        self.inverse.process(&mut product, &mut out).expect("the buffers are of the plan's sizes");
        let scale = 1.0 / out.len() as f64;
        out.truncate(MAX_LAG + 1);
        out.iter_mut().for_each(|x| *x *= scale);
        out
    }
}

/// How likely each of YIN's thresholds 0.01 to 1 is: a beta distribution (2, 18), 0.1 on average.
struct ThresholdPrior([f64; THRESHOLDS]);

impl ThresholdPrior {
    fn new() -> Self {
        // The distribution function of beta(2, 18) in closed form.
        let below = |x: f64| 1.0 - (1.0 - x).powi(18) * (1.0 + 18.0 * x);
        Self(std::array::from_fn(|i| below((i + 1) as f64 / 100.0) - below(i as f64 / 100.0)))
    }

    /// The troughs of the difference with the probability that one of the thresholds chooses them.
    fn candidates(&self, difference: &[f64]) -> Vec<Candidate> {
        let d = &difference[MIN_LAG..=MAX_LAG];
        let is_trough = |i: usize| match i {
            0 => d[0] < d[1],
            _ if i + 1 == d.len() => d[i] < d[i - 1],
            _ => d[i] < d[i - 1] && d[i] <= d[i + 1],
        };
        let troughs: Vec<usize> = (0..d.len()).filter(|&i| is_trough(i)).collect();
        let mut probability = vec![0.0; troughs.len()];
        for (k, &prior) in self.0.iter().enumerate() {
            let threshold = (k + 1) as f64 / THRESHOLDS as f64;
            let below = || troughs.iter().enumerate().filter(|&(_, &i)| d[i] < threshold).map(|(at, _)| at);
            let count = below().count();
            if count == 0 {
                let lowest = (0..troughs.len()).min_by(|&a, &b| d[troughs[a]].total_cmp(&d[troughs[b]]));
                if let Some(lowest) = lowest {
                    probability[lowest] += NO_TROUGH * prior;
                }
                continue;
            }
            // A Boltzmann distribution cut off after `count` states.
            let norm = (1.0 - (-BOLTZMANN).exp()) / (1.0 - (-BOLTZMANN * count as f64).exp());
            for (rank, at) in below().enumerate() {
                probability[at] += prior * norm * (-BOLTZMANN * rank as f64).exp();
            }
        }
        let candidate = |(&i, probability): (&usize, f64)| {
            let hz = f64::from(RATE) / ((MIN_LAG + i) as f64 + vertex(d, i));
            let bin = (BINS_PER_OCTAVE as f64 * (hz / LOWEST).log2()).round().max(0.0) as usize;
            (bin < PITCH_BINS && hz <= HIGHEST * 1.01).then_some(Candidate { hz, bin, probability })
        };
        troughs.iter().zip(probability).filter(|(_, p)| *p > 0.0).filter_map(candidate).collect()
    }
}

/// Where the parabola through three neighbours has its lowest point, from -1 to 1 around the middle one.
fn vertex(d: &[f64], i: usize) -> f64 {
    if i == 0 || i + 1 == d.len() {
        return 0.0;
    }
    let (curve, slope) = (d[i + 1] + d[i - 1] - 2.0 * d[i], (d[i + 1] - d[i - 1]) / 2.0);
    if slope.abs() >= curve.abs() { 0.0 } else { -slope / curve }
}

/// Viterbi's search for the likeliest way through all frames: the pitch bin of each, `None` where it is not voiced.
///
/// There are two states a bin, voiced and not; the unvoiced ones share what probability the candidates leave. The chance
/// of a move is that of the step in bins (a triangle over REACH) times that of the switch.
fn likeliest(frames: &[Vec<Candidate>]) -> Vec<Option<usize>> {
    let steps = StepPrior::new();
    let (stay, switch) = ((1.0 - SWITCH).ln() as f32, SWITCH.ln() as f32);
    let (mut voiced, mut unvoiced) = ([0.0f32; PITCH_BINS], [0.0f32; PITCH_BINS]);
    // Per frame, voicing and bin: the state before. The top bit says that it was voiced.
    const WAS_VOICED: u16 = 1 << 15;
    let mut origins: Vec<[[u16; PITCH_BINS]; 2]> = Vec::with_capacity(frames.len());
    for (t, candidates) in frames.iter().enumerate() {
        if t > 0 {
            let mut origin = [[0u16; PITCH_BINS]; 2];
            let (mut next_voiced, mut next_unvoiced) = ([0.0; PITCH_BINS], [0.0; PITCH_BINS]);
            for (to_voiced, next) in [(true, &mut next_voiced), (false, &mut next_unvoiced)] {
                let (from_voiced, from_unvoiced) = if to_voiced { (stay, switch) } else { (switch, stay) };
                let was_voiced: [bool; PITCH_BINS] =
                    std::array::from_fn(|i| voiced[i] + from_voiced > unvoiced[i] + from_unvoiced);
                let best: [f32; PITCH_BINS] =
                    std::array::from_fn(|i| (voiced[i] + from_voiced).max(unvoiced[i] + from_unvoiced));
                let came_from = &mut origin[usize::from(to_voiced)];
                steps.best(&best, next, came_from);
                for from in came_from.iter_mut() {
                    *from |= if was_voiced[usize::from(*from)] { WAS_VOICED } else { 0 };
                }
            }
            origins.push(origin);
            (voiced, unvoiced) = (next_voiced, next_unvoiced);
        }
        observe(candidates, &mut voiced, &mut unvoiced);
    }
    let highest =
        |states: &[f32]| states.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
    let ((voiced_bin, voiced_best), (unvoiced_bin, unvoiced_best)) = (highest(&voiced), highest(&unvoiced));
    let mut state = if voiced_best > unvoiced_best { (true, voiced_bin) } else { (false, unvoiced_bin) };
    let mut way = vec![None; frames.len()];
    for t in (0..frames.len()).rev() {
        way[t] = state.0.then_some(state.1);
        if t > 0 {
            let origin = origins[t - 1][usize::from(state.0)][state.1];
            state = (origin & WAS_VOICED != 0, usize::from(origin & !WAS_VOICED));
        }
    }
    way
}

/// Adds the logarithm of what a frame says for each state.
fn observe(candidates: &[Candidate], voiced: &mut [f32; PITCH_BINS], unvoiced: &mut [f32; PITCH_BINS]) {
    // What has no chance is not quite impossible, or a file could have no way through it at all.
    const NEVER: f64 = 1e-300;
    let rest = ((1.0 - voicing(candidates)) / PITCH_BINS as f64).max(NEVER).ln() as f32;
    unvoiced.iter_mut().for_each(|state| *state += rest);
    let mut said = [NEVER; PITCH_BINS];
    for candidate in candidates {
        said[candidate.bin] = candidate.probability;
    }
    voiced.iter_mut().zip(said).for_each(|(state, p)| *state += p.max(NEVER).ln() as f32);
}

/// Logarithms of the chance to move by so many bins.
struct StepPrior {
    /// [2 REACH + 1], the triangle.
    step: [f32; 2 * REACH + 1],
    /// Of each bin, the triangle's sum: at the ends of the scale a part of it is missing.
    norm: [f32; PITCH_BINS],
}

impl StepPrior {
    fn new() -> Self {
        let triangle = |k: usize| 1.0 - k.abs_diff(REACH) as f64 / (REACH + 1) as f64;
        let inside = |bin: usize| (0..=2 * REACH).filter(move |&k| (REACH..PITCH_BINS + REACH).contains(&(bin + k)));
        Self {
            step: std::array::from_fn(|k| triangle(k).ln() as f32),
            norm: std::array::from_fn(|bin| inside(bin).map(triangle).sum::<f64>().ln() as f32),
        }
    }

    /// For each bin, the best of all bins that can move there, and which it is.
    fn best(&self, from: &[f32; PITCH_BINS], to: &mut [f32; PITCH_BINS], origin: &mut [u16; PITCH_BINS]) {
        let from: [f32; PITCH_BINS] = std::array::from_fn(|i| from[i] - self.norm[i]);
        to.fill(f32::NEG_INFINITY);
        for (k, &step) in self.step.iter().enumerate() {
            // To bin i from bin i + k - REACH.
            let (first, last) = (REACH.saturating_sub(k), PITCH_BINS.min(PITCH_BINS + REACH - k));
            let sources = &from[first + k - REACH..last + k - REACH];
            let targets = to[first..last].iter_mut().zip(&mut origin[first..last]);
            for (at, ((best, origin), source)) in targets.zip(sources).enumerate() {
                let value = source + step;
                if value > *best {
                    *best = value;
                    *origin = (at + first + k - REACH) as u16;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: impl Fn(f64) -> f64, seconds: f64) -> Vec<f32> {
        let mut phase = 0.0;
        (0..(seconds * 24_000.0) as usize)
            .map(|i| {
                phase += std::f64::consts::TAU * hz(i as f64 / 24_000.0) / 24_000.0;
                (1..=4).map(|k| (f64::from(k) * phase).sin() / f64::from(k)).sum::<f64>() as f32 * 0.3
            })
            .collect()
    }

    #[test]
    fn a_tones_pitch_is_found() {
        for hz in [61.0, 110.0, 220.5, 438.0, 930.0] {
            let track = track(&tone(|_| hz, 0.6), 24_000);
            assert_eq!(track.f0.len(), 61);
            for t in 8..52 {
                let cents = 1200.0 * (f64::from(track.f0[t]) / hz).log2();
                // A twentieth of a semitone: the parabola through three lags misses a short period by that much.
                assert!(cents.abs() < 5.0, "{hz} Hz, frame {t}: {} Hz", track.f0[t]);
                assert!(track.periodicity[t] > 0.9, "{hz} Hz, frame {t}: {}", track.periodicity[t]);
            }
        }
    }

    #[test]
    fn a_glide_is_followed() {
        let track = track(&tone(|t| 100.0 * (t / 0.5).exp2(), 1.0), 24_000);
        for t in 10..90 {
            let hz = 100.0 * (t as f64 / 50.0).exp2();
            // What is compared, a window and the same a lag later, lies about 12 ms before the frame's middle: 29 cents.
            assert!((1200.0 * (f64::from(track.f0[t]) / hz).log2()).abs() < 40.0, "frame {t}: {} of {hz}", track.f0[t]);
        }
    }

    #[test]
    fn noise_and_silence_are_not_voiced() {
        let mut state = 1u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        });
        let track_of_noise = track(&noise.take(24_000).collect::<Vec<_>>(), 24_000);
        assert!(track_of_noise.f0.iter().all(|&f0| f0 == 0.0));
        let track_of_silence = track(&[0.0; 24_000], 24_000);
        assert!(track_of_silence.f0.iter().chain(&track_of_silence.periodicity).all(|&x| x == 0.0));
        assert_eq!(track(&[], 24_000), PitchTrack::default());
    }

    #[test]
    fn a_higher_tone_is_so_many_cents_away() {
        let difference = compare(&track(&tone(|_| 200.0, 1.0), 24_000), &track(&tone(|_| 202.0, 1.0), 24_000));
        // 1200 log2(1.01) = 17.2; half a cent of interpolation error in each.
        assert!((difference.pitch_cents.unwrap() - 17.2).abs() < 1.0, "{difference:?}");
        assert!(difference.vuv_f1.unwrap() > 0.97);
    }

    #[test]
    fn f1_counts_frames() {
        let track = |f0: &[f32]| PitchTrack { f0: f0.to_vec(), periodicity: f0.iter().map(|f| f / 200.0).collect() };
        let difference = compare(&track(&[0.0, 100.0, 100.0, 100.0]), &track(&[100.0, 100.0, 200.0, 0.0]));
        assert_eq!(difference.vuv_f1, Some(4.0 / 6.0));
        assert_eq!(difference.pitch_cents, Some((1_440_000.0f64 / 2.0).sqrt()));
        assert_eq!(difference.periodicity, Some((0.75f64 / 4.0).sqrt()));
        let none = compare(&track(&[0.0]), &track(&[0.0]));
        assert_eq!((none.vuv_f1, none.pitch_cents), (None, None));
    }
}
