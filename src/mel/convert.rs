//! From the band values of any convention to the mel that a model takes.
//!
//! Where only logarithm, scaling and floor differ, the numbers are mapped one by one ([`exact`]). Everything else goes
//! through the linear spectrum ([`Conversion`]): the stored numbers are undone, a non-negative spectrum on the model's
//! bins is found that has the given bands (multiplicative updates of Richardson 1972 and Lucy 1974 from the bands'
//! smooth envelope: what the bank cannot know stays smooth, and the model's encoder refines it), it is interpolated in
//! time onto the model's frames, and the model's own filters are applied. What arithmetic cannot know, a network may add to
//! that ([`Refinement`](super::refinement::Refinement)).

use super::{
    Framing, Layout, LogBase, MelConvention, MelSpectrogram,
    filterbank::{Filterbank, filterbank},
    recognise::rendered_alike,
};
use crate::{Error, Fault, Result, dsp::banded::BandedMatrix};

/// Turns of the multiplicative updates. The bands agree to 1 % after 10.
const UPDATES: usize = 10;

/// Frames on either side that the interpolation in time looks at (Lanczos).
pub const REACH: usize = 3;

/// Added to magnitudes before the logarithm: -170 dB of a full-scale tone.
const TINY: f32 = 1e-7;

/// Below the lowest band's centre the spectrum is taken to fall like the band's own flank, by this many nats at most. The
/// model is very sensitive there: to take the rumble's level for granted costs 0.5 PESQ, to leave the bands empty as much.
const LOW_FALL: f32 = 3.5;

/// Above the highest band, nats a kHz. The model only has to see no cliff: the projection empties it again.
const HIGH_FALL: f32 = 0.4;

/// By how much shorter than the model's a window may be before the model is made to hear everything faster. Longer windows are
/// heard as they are: slower, the model would not reach the highest bands.
const MOST_STRETCHED: f64 = 1.2;

/// What a floored value is taken for, in floors: it lies anywhere below.
const BELOW_FLOOR: f64 = 0.03;

/// The numbers of `from` as `to` would have stored them; `None` where they differ in more than logarithm, affine map,
/// statistics, floor and the window's norm.
pub fn exact(mel: &MelSpectrogram, from: &MelConvention, to: &MelConvention) -> Option<MelSpectrogram> {
    let bare = |c: &MelConvention| MelConvention {
        name: String::new(),
        log: LogBase::Natural,
        floor: 1e-5,
        affine: None,
        statistics: None,
        window_norm: false,
        magnitude_epsilon: 0.0,
        power_floor: 0.0,
        layout: Layout::BandsFirst,
        falling_bands: false,
        output_rate: None,
        added_floor: 0.0,
        ..c.clone()
    };
    if bare(from) != bare(to) {
        return None;
    }
    let factor = window_factor(from) / window_factor(to);
    let values = mel.values().iter().enumerate().map(|(i, &v)| {
        let m = i % mel.n_mels();
        to.stored(m, from.linear(m, f64::from(v)) * factor) as f32
    });
    Some(MelSpectrogram::new(values.collect(), mel.n_mels()))
}

/// The numbers of `from` as a model of `to` takes them, one by one; `None` where they have to be converted. What a lower floor
/// let through is silence to the model, too.
pub fn mapped(mel: &MelSpectrogram, from: &MelConvention, to: &MelConvention) -> Option<MelSpectrogram> {
    // To and fro through the logarithm would cost the last digits.
    if !rendered_alike(from, to) {
        return exact(mel, from, to);
    }
    let floor = to.stored(0, 0.0) as f32;
    Some(MelSpectrogram::new(mel.values().iter().map(|v| v.max(floor)).collect(), mel.n_mels()))
}

/// What the linear band values have to be multiplied by to be those of an undivided transform.
pub fn window_factor(c: &MelConvention) -> f64 {
    // The energy of a periodic Hann window.
    if c.window_norm { (0.375 * c.win_length as f64).powf(c.power / 2.0) } else { 1.0 }
}

/// The way from one convention to another, planned.
pub struct Conversion {
    from: MelConvention,
    to: MelConvention,
    clock: u32,
    /// Whether the given numbers are the model's own, frame for frame.
    identity: bool,
    /// The given bands that lie under half of the clock, as sums over the model's bins: `[M', F]`.
    bank: BandedMatrix,
    transposed: BandedMatrix,
    /// [M']: their numbers in `from`.
    bands: Vec<usize>,
    /// `[M']` and [F]: the sums of `bank`'s rows and columns.
    row_sums: Vec<f32>,
    column_sums: Vec<f32>,
    /// Magnitudes in `from`'s window to magnitudes in `to`'s.
    window_gain: f32,
    /// [up to the lowest band's centre]: its flank.
    low_flank: Vec<f32>,
    model_bank: Filterbank,
    /// Seconds of the first given frame's centre, and of the first sample that the model makes.
    given_start_s: f64,
    model_start_s: f64,
}

impl Conversion {
    /// # Errors
    /// [`Error::Convention`] where `from` is impossible, or has no band that the model could hear.
    pub fn new(from: &MelConvention, to: &MelConvention) -> Result<Self> {
        from.validate()?;
        let rate = f64::from(from.sample_rate);
        let given_hop_s = from.hop as f64 / rate;
        let clock = clock(from, to);
        let (bank, bands) = common_bank(from, to, clock);
        if bands.is_empty() {
            let fault = Fault::new(format!("convention {}", from.name), "no band that the model covers");
            return Err(Error::Convention(fault.expected(format!("bands below {} Hz", to.f_max))));
        }
        let transposed = bank.transposed();
        let given_start_s = from.frame_centre(0) / rate;
        // Frames that lie as far apart as the model's are taken as they are, without interpolation.
        let aligned = (given_hop_s * f64::from(clock) / to.hop as f64 - 1.0).abs() < 1e-9;
        let model_centre_s = to.frame_centre(0) / f64::from(clock);
        let model_start_s = match given_start_s - model_centre_s {
            apart if !aligned || apart.abs() < 1e-9 => 0.0,
            apart if apart > 0.0 => apart - given_hop_s,
            apart => apart,
        };
        Ok(Self {
            window_gain: ((to.win_length as f64 / f64::from(clock)) / (from.win_length as f64 / rate)).powf(0.75)
                as f32,
            low_flank: low_flank(&bank),
            row_sums: bank.row_sums(),
            column_sums: transposed.row_sums(),
            model_bank: Filterbank::new(to),
            from: from.clone(),
            to: to.clone(),
            clock,
            identity: rendered_alike(from, to),
            bank,
            transposed,
            bands,
            given_start_s,
            model_start_s,
        })
    }

    /// Hz that the model's samples are to be played at. The model's own rate, but for windows so much shorter or longer
    /// than the model's that harmonics would be seen as pulses or the other way round: there the model is made to hear
    /// everything slower or faster, frame for frame.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// Samples of the model's audio before the given recording begins.
    pub fn lead(&self) -> usize {
        (-self.model_start_s * f64::from(self.clock)).round() as usize
    }

    /// Model frames for `given` frames: enough for the audio that they stand for.
    pub fn model_frames(&self, given: usize) -> usize {
        let seconds = self.from.samples(given) as f64 / f64::from(self.from.sample_rate) - self.model_start_s;
        // A rounding error must not make one more.
        (seconds * f64::from(self.clock) / self.to.hop as f64 - 1e-6).ceil() as usize + 1
    }

    /// Where model frame `j` lies among the given frames.
    pub fn position(&self, j: usize) -> f64 {
        let seconds = self.model_start_s + self.to.frame_centre(j) / f64::from(self.clock) - self.given_start_s;
        seconds * f64::from(self.from.sample_rate) / self.from.hop as f64
    }

    /// Natural log magnitude on the model's bins of one given frame: `[M]` -> `[F]`.
    pub fn log_spectrum(&self, stored: &[f32]) -> Vec<f32> {
        let (factor, floor) = (window_factor(&self.from), self.from.lowest_band_value());
        let given: Vec<f32> = self
            .bands
            .iter()
            .map(|&m| {
                let v = self.from.linear(m, f64::from(stored[m]));
                let v = if v <= floor * 1.001 || self.is_clipped_low(stored[m]) { v * BELOW_FLOOR } else { v };
                (v * factor) as f32
            })
            .collect();
        let mut spectrum = self.smooth(&given);
        let envelope = spectrum.clone();
        let (mut ratio, mut turn) = (vec![0.0; given.len()], vec![0.0; spectrum.len()]);
        for _ in 0..UPDATES {
            self.bank.apply(&spectrum, &mut ratio);
            for (r, v) in ratio.iter_mut().zip(&given) {
                *r = v / r.max(1e-12);
            }
            self.transposed.apply(&ratio, &mut turn);
            for ((s, t), sum) in spectrum.iter_mut().zip(&turn).zip(&self.column_sums) {
                *s *= if *sum > 0.0 { t / sum } else { 0.0 };
            }
        }
        self.extend_below(&mut spectrum);
        self.extend_above(&mut spectrum, &envelope);
        let power = 1.0 / self.from.power as f32;
        spectrum.into_iter().map(|s| (s.powf(power) * self.window_gain + TINY).ln()).collect()
    }

    /// The model's mel of a frame from its log spectrum: `[F]` -> `[M]`.
    pub fn model_mel(&self, log_spectrum: &[f32]) -> Vec<f32> {
        let magnitude: Vec<f32> = log_spectrum.iter().map(|s| s.exp()).collect();
        let mut bands = vec![0.0; self.to.n_mels];
        self.model_bank.bands(&magnitude, &mut bands);
        bands.iter().enumerate().map(|(m, &v)| self.to.stored(m, f64::from(v)) as f32).collect()
    }

    /// Whether the given numbers are the model's own, frame for frame.
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// The log spectrum of a given frame, `[M]` -> `[F]`, and the model's mel of it. Numbers that are the model's own are their mel,
    /// and nobody asks for their spectrum: it is empty.
    pub fn heard(&self, stored: &[f32]) -> (Vec<f32>, Vec<f32>) {
        if self.is_identity() {
            let mel = stored.iter().enumerate().map(|(m, v)| v.max(self.to.stored(m, 0.0) as f32));
            return (vec![], mel.collect());
        }
        let spectrum = self.log_spectrum(stored);
        let mel = self.model_mel(&spectrum);
        (spectrum, mel)
    }

    /// The log spectrum at `position` among `frames` frames; `spectrum(t)` is that of frame `t`.
    pub fn interpolated<'a>(&self, position: f64, frames: usize, spectrum: impl Fn(usize) -> &'a [f32]) -> Vec<f32> {
        let last = frames.saturating_sub(1);
        let position = position.clamp(0.0, last as f64);
        let (before, part) = (position.floor() as isize, position.fract());
        let reach = REACH as isize;
        let taps: Vec<(usize, f64)> = (1 - reach..=reach)
            .map(|k| ((before + k).clamp(0, last as isize) as usize, lanczos(part - k as f64)))
            .filter(|(_, w)| *w != 0.0)
            .collect();
        let total: f64 = taps.iter().map(|(_, w)| w).sum();
        let mut out = vec![0.0; self.to.bins()];
        for (t, w) in taps {
            let w = (w / total) as f32;
            for (o, s) in out.iter_mut().zip(spectrum(t)) {
                *o += w * s;
            }
        }
        out
    }

    /// Given bands a bin of the model's, in the mean over each of the model's bands: `[M]`. 0 where no given band reaches.
    pub(super) fn band_density(&self) -> Vec<f32> {
        let unit: Vec<f32> = self.row_sums.iter().map(|sum| 1.0 / sum).collect();
        let (mut bins, mut density) = (vec![0.0; self.to.bins()], vec![0.0; self.to.n_mels]);
        self.transposed.apply(&unit, &mut bins);
        self.model_bank.bands(&bins, &mut density);
        let mut width = vec![0.0; self.to.n_mels];
        self.model_bank.bands(&vec![1.0; self.to.bins()], &mut width);
        density.iter_mut().zip(&width).for_each(|(d, w)| *d = (*d + 1e-4) / (w + 1e-4));
        density
    }

    pub fn from(&self) -> &MelConvention {
        &self.from
    }

    pub fn to(&self) -> &MelConvention {
        &self.to
    }

    /// The given frame at or before model frame `j`, of `frames` in all, and how far beyond it the model's lies, 0 to 1.
    pub(super) fn neighbour(&self, j: usize, frames: usize) -> (usize, f32) {
        let last = frames.saturating_sub(1);
        // By the clock it may lie a rounding error before itself.
        if self.is_identity() {
            return (j.min(last), 0.0);
        }
        let position = self.position(j).clamp(0.0, last as f64);
        (position.floor() as usize, position.fract() as f32)
    }

    fn is_clipped_low(&self, stored: f32) -> bool {
        let clip = self.from.affine.and_then(|a| a.clip);
        self.from.statistics.is_none() && clip.is_some_and(|[low, _]| f64::from(stored) <= low + 1e-6)
    }

    /// The triangle-weighted mean of the bands that cover a bin, each taken as level over its bins: `[M']` -> `[F]`.
    fn smooth(&self, bands: &[f32]) -> Vec<f32> {
        let level: Vec<f32> = bands.iter().zip(&self.row_sums).map(|(b, sum)| b / sum).collect();
        let mut out = vec![0.0; self.column_sums.len()];
        self.transposed.apply(&level, &mut out);
        for (o, sum) in out.iter_mut().zip(&self.column_sums) {
            *o = if *sum > 0.0 { *o / sum + 1e-9 } else { 0.0 };
        }
        out
    }

    fn extend_below(&self, spectrum: &mut [f32]) {
        let centre = self.low_flank.len();
        if centre == 0 {
            spectrum[0] = 0.5 * spectrum[1];
            return;
        }
        let level = spectrum[centre];
        for ((s, flank), sum) in spectrum.iter_mut().zip(&self.low_flank).zip(&self.column_sums) {
            *s = flank * if *sum > 0.0 { s.min(level) } else { level };
        }
    }

    fn extend_above(&self, spectrum: &mut [f32], envelope: &[f32]) {
        let Some(last) = self.column_sums.iter().rposition(|s| *s > 0.0) else { return };
        let tail = &envelope[last.saturating_sub(8)..=last];
        let level = tail.iter().sum::<f32>() / tail.len() as f32;
        let kilohertz = self.clock as f32 / self.to.n_fft as f32 / 1000.0;
        for (i, s) in spectrum[last + 1..].iter_mut().enumerate() {
            *s = level * (-HIGH_FALL * kilohertz * (i + 1) as f32 * self.from.power as f32).exp();
        }
    }
}

fn clock(from: &MelConvention, to: &MelConvention) -> u32 {
    let same = f64::from(from.sample_rate) * to.win_length as f64 / from.win_length as f64;
    let ratio = same / f64::from(to.sample_rate);
    if ratio < MOST_STRETCHED { to.sample_rate } else { same.round() as u32 }
}

/// `from`'s bands over the model's bins at `clock`: each given bin lies between two of the model's and is taken as their
/// mean, weighted by nearness. Bands that reach above half of the clock are left out.
fn common_bank(from: &MelConvention, to: &MelConvention, clock: u32) -> (BandedMatrix, Vec<usize>) {
    let bins = to.bins();
    // Of two transforms of one window length in seconds, the magnitudes are as the rates.
    let rates = f64::from(from.sample_rate) / f64::from(clock);
    let gain = rates.powf(from.power) as f32;
    let step = rates * to.n_fft as f64 / from.n_fft as f64;
    let (mut dense, mut bands) = (Vec::new(), Vec::new());
    for (m, row) in filterbank(from).chunks_exact(from.bins()).enumerate() {
        let mut own = vec![0.0; bins];
        let mut outside = 0.0;
        for (f, w) in row.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            let position = f as f64 * step;
            let (low, part) = (position.floor() as usize, position.fract() as f32);
            if position > (bins - 1) as f64 - 4.0 && step * (from.bins() - 1) as f64 > bins as f64 {
                outside += w;
            } else {
                own[low.min(bins - 1)] += gain * w * (1.0 - part);
                own[(low + 1).min(bins - 1)] += gain * w * part;
            }
        }
        let total: f32 = row.iter().sum();
        if total > 0.0 && outside < 0.02 * total {
            dense.extend(own);
            bands.push(m);
        }
    }
    (BandedMatrix::new(&dense, bins), bands)
}

/// The lowest band's rising flank from 0 Hz to its centre, 1 there; empty where the bands begin at 0 Hz.
fn low_flank(bank: &BandedMatrix) -> Vec<f32> {
    let first_covered = bank.transposed().row_sums().iter().position(|s| *s > 0.0).unwrap_or(0);
    if first_covered <= 1 {
        return vec![];
    }
    let mut unit = vec![0.0; bank.columns()];
    let mut column = vec![0.0; bank.rows()];
    let mut row = Vec::new();
    for f in 0..bank.columns() {
        unit[f] = 1.0;
        bank.apply(&unit, &mut column);
        row.push(column[0]);
        unit[f] = 0.0;
    }
    let peak = row.iter().copied().fold(0.0, f32::max);
    let centre = row.iter().position(|w| *w == peak).unwrap_or(0);
    row[..centre].iter().map(|w| (w / peak).max((-LOW_FALL).exp())).collect()
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    // Whole numbers are zeros of the kernel, which rounding would miss.
    if x != 0.0 && x.fract() == 0.0 || x.abs() >= REACH as f64 { 0.0 } else { sinc(x) * sinc(x / REACH as f64) }
}

impl MelConvention {
    /// Sample that frame `t` is centred on.
    pub fn frame_centre(&self, t: usize) -> f64 {
        let begin = (t * self.hop) as f64;
        match self.framing {
            Framing::Centred | Framing::CentredCut => begin,
            Framing::HalfHop => begin + self.hop as f64 / 2.0,
            Framing::PadEnd => begin + self.win_length as f64 / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two conventions that differ in where their frames lie, or not even in that, no frame is interpolated, and sample 0 of
    /// the recording is found again in what the model makes.
    #[test]
    fn frames_as_far_apart_as_the_models_are_taken_as_they_are() {
        let centred = MelConvention::native();
        let half = MelConvention { framing: Framing::HalfHop, ..centred.clone() };
        let (none, half_a_hop) = (0, centred.hop / 2);
        for (from, to, first, lead) in [
            (&centred, &centred, 0.0, none),
            (&half, &half, 0.0, none),
            // The model's first frame is one before the first given, and begins half a hop before the recording.
            (&half, &centred, -1.0, half_a_hop),
            (&centred, &half, 0.0, half_a_hop),
        ] {
            let conversion = Conversion::new(from, to).unwrap();
            for j in 0..5 {
                assert!(
                    (conversion.position(j) - first - j as f64).abs() < 1e-9,
                    "{:?} {:?}",
                    from.framing,
                    to.framing
                );
            }
            assert_eq!(conversion.lead(), lead, "{:?} {:?}", from.framing, to.framing);
        }
    }
}
