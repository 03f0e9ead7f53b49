//! Projects a rendering on the mel that was given, in its own convention: fast Griffin-Lim on that convention's STFT
//! grid, with the rendering's own magnitudes, corrected band by band until the convention's own filters give the given
//! numbers.

use crate::{
    dsp::{
        band_correction::{BandCorrection, BandScratch},
        banded::BandedMatrix,
        griffin_lim::{FastGriffinLim, Magnitudes, Past, Phases},
        noise::{Noise, SeededNoise},
        stft::{Edge, Stft},
        threads::Threads,
    },
    mel::{MelConvention, convert::window_factor, filterbank::filterbank},
};
use rustfft::num_complex::Complex32;

/// Steps of the noise generator belong to the sampler; this one is far from all of them.
const NOISE_STEP: usize = 1 << 20;

/// Of fast Griffin-Lim.
const MOMENTUM: f32 = 0.99;

/// Iterations after which the magnitudes are set anew, from the sound as it has become.
const RENEWAL: usize = 4;

/// Share of the model's rate up to which its audio can be trusted: the resampler's edge begins there.
const HEARD: f64 = 0.455;

/// The constants of the projection for one convention.
pub struct GivenMelPlan {
    convention: MelConvention,
    stft: Stft,
    /// Each row divided by its peak, so that the numerics are those of triangles of height 1.
    bands: BandCorrection,
    /// [M]: from the stored numbers' linear values to what `bands` gives.
    scale: Vec<f64>,
    /// [M]: the first bin above each band.
    ends: Vec<usize>,
    /// The bands that the model hears are the rendering's, whatever is given.
    restored: bool,
    /// First bin that the model cannot reach and a band covers.
    unheard: Option<usize>,
    /// First bin above all bands whose magnitudes stay the rendering's; elsewhere bins without a band are emptied.
    free: Option<usize>,
    noise: SeededNoise,
}

/// What a frame's bands have to be: the lowest and the highest, as sums of magnitudes to the convention's power. One
/// number, but for values that were floored or clipped.
type Bounds = Vec<(f32, f32)>;

impl GivenMelPlan {
    /// Whether there are bands above what the model can hear, which nothing but the projection makes.
    pub fn has_unheard(&self) -> bool {
        self.unheard.is_some()
    }

    /// For a rendering whose samples were `clock` a second before it was brought to the convention's rate; `None` where it was
    /// made at that.
    pub fn new(convention: &MelConvention, clock: Option<u32>, seed: u64) -> Self {
        let bins = convention.bins();
        let mut dense = filterbank(convention);
        let (mut scale, mut ends) = (Vec::with_capacity(convention.n_mels), Vec::with_capacity(convention.n_mels));
        for row in dense.chunks_exact_mut(bins) {
            let peak = row.iter().copied().fold(0.0, f32::max).max(f32::MIN_POSITIVE);
            row.iter_mut().for_each(|w| *w /= peak);
            scale.push(window_factor(convention) / f64::from(peak));
            ends.push(row.iter().rposition(|w| *w > 0.0).map_or(0, |last| last + 1));
        }
        let bands = BandCorrection::new(BandedMatrix::new(&dense, bins));
        let heard = |clock| HEARD * f64::from(clock) * convention.n_fft as f64 / f64::from(convention.sample_rate);
        let reach = clock.map_or(bins, |clock| heard(clock).ceil() as usize);
        Self {
            stft: Stft::with_window(convention.n_fft, convention.win_length, convention.hop),
            unheard: (reach..bins).find(|&f| bands.area()[f] > 0.0),
            free: None,
            convention: convention.clone(),
            bands,
            scale,
            ends,
            restored: false,
            noise: SeededNoise { seed },
        }
    }

    /// The same for a rendering that goes on above the bands.
    pub fn extended(self) -> Self {
        let free = self.bands.area().iter().rposition(|area| *area > 0.0).map(|last| last + 1);
        Self { free, ..self }
    }

    /// The same for a rendering of a mel that a network has blurred: what it made of that is not to be blurred again.
    pub fn restored(self) -> Self {
        Self { restored: true, ..self }
    }

    pub fn convention(&self) -> &MelConvention {
        &self.convention
    }

    /// Frames on either side of a chunk that change it.
    pub fn context(&self) -> usize {
        (2 * self.convention.n_fft).div_ceil(self.convention.hop)
    }

    /// `[M]` stored values -> what the bands have to be.
    fn bounds(&self, stored: &[f32]) -> Bounds {
        let c = &self.convention;
        let clip = c.affine.and_then(|a| a.clip).filter(|_| c.statistics.is_none());
        let bound = |(m, &v): (usize, &f32)| {
            if self.restored && self.unheard.is_none_or(|from| self.ends[m] <= from) {
                return (0.0, f32::INFINITY);
            }
            let linear = c.linear(m, f64::from(v));
            let exact = (linear * self.scale[m]) as f32;
            let floored =
                linear <= c.lowest_band_value() * 1.001 || clip.is_some_and(|[low, _]| f64::from(v) <= low + 1e-6);
            let clipped = clip.is_some_and(|[_, high]| f64::from(v) >= high - 1e-6);
            (if floored { 0.0 } else { exact }, if clipped { f32::INFINITY } else { exact })
        };
        stored.iter().enumerate().map(bound).collect()
    }

    /// Noise under the given bands' envelope in the bins that the model does not reach: `[F]` a frame, nothing where it
    /// reaches all.
    fn noise(&self, first_frame: usize, bounds: &[Bounds]) -> Vec<Vec<Complex32>> {
        let Some(from) = self.unheard else { return vec![] };
        let (bins, hop, n_fft) = (self.stft.bins(), self.stft.hop(), self.stft.n_fft());
        let row_sums = self.bands.bank().row_sums();
        // White noise along the absolute time of the file, so that neighbouring frames and windows agree.
        let start = self.convention.frame_start(first_frame);
        let first_hop = start.div_euclid(hop as isize);
        let hops = bounds.len() + n_fft.div_ceil(hop) + 1;
        let mut white = vec![0.0; hops * hop];
        for (h, piece) in white.chunks_exact_mut(hop).enumerate() {
            // Shifted so that the hops before the file's beginning have numbers, too.
            let at = first_hop + h as isize + n_fft as isize;
            self.noise.fill(NOISE_STEP, at as u64, piece);
        }
        let offset = start - first_hop * hop as isize;
        // Of unit mean magnitude: a Hann window has 3/8 of its length as energy, Rayleigh's mean is 0.886 of its root.
        let unit = 1.0 / (0.886 * (0.375 * self.convention.win_length as f32).sqrt());
        let mut buffers = self.stft.buffers();
        let (mut envelope, power) = (vec![0.0; bins], 1.0 / self.convention.power as f32);
        let shaped = |(i, bounds): (usize, &Bounds)| {
            let level: Vec<f32> = bounds.iter().zip(&row_sums).map(|((low, _), sum)| low / sum.max(1e-9)).collect();
            self.bands.spread(&level, &mut envelope);
            self.stft.analyse(&white, offset + (i * hop) as isize, Edge::Zero, &mut buffers);
            let mut out = buffers.spectrum.clone();
            out[..from].fill(Complex32::ZERO);
            for (s, e) in out.iter_mut().zip(&envelope).skip(from) {
                *s *= unit * e.powf(power);
            }
            out
        };
        bounds.iter().enumerate().map(shaped).collect()
    }

    /// Projects `x` `[n]`, whose first sample is absolute sample `start`, on the frames from `first_frame` on: [T]`[M]`,
    /// stored values.
    pub fn project<'f>(
        &self,
        x: &mut [f32],
        start: usize,
        (first_frame, frames): (usize, impl Iterator<Item = &'f [f32]>),
        past: Past,
        iterations: usize,
        threads: &Threads,
    ) {
        let bounds: Vec<Bounds> = frames.map(|stored| self.bounds(stored)).collect();
        if bounds.is_empty() {
            return;
        }
        let edge = self.convention.edge();
        let local_start = self.convention.frame_start(first_frame) - start as isize;
        let griffin_lim = FastGriffinLim::new(&self.stft, edge, local_start, bounds.len(), x.len(), MOMENTUM, past);
        let noise = self.noise(first_frame, &bounds);
        let target = Target { bands: &self.bands, power: self.convention.power as f32, bounds, noise, free: self.free };
        griffin_lim.run(x, &target, Phases::Own, iterations, threads);
    }
}

struct Target<'a> {
    bands: &'a BandCorrection,
    power: f32,
    /// A frame each.
    bounds: Vec<Bounds>,
    noise: Vec<Vec<Complex32>>,
    free: Option<usize>,
}

impl Magnitudes for Target<'_> {
    type Scratch = BandScratch;

    fn scratch(&self) -> BandScratch {
        self.bands.scratch()
    }

    fn renewal(&self) -> usize {
        RENEWAL
    }

    fn set(&self, i: usize, spectrum: &mut [Complex32], magnitude: &mut [f32], again: bool, scratch: &mut BandScratch) {
        if let (false, Some(noise)) = (again, self.noise.get(i)) {
            spectrum.iter_mut().zip(noise).for_each(|(s, z)| *s += z);
        }
        for (m, s) in magnitude.iter_mut().zip(spectrum.iter()) {
            *m = s.norm() + 1e-6;
        }
        if self.power != 1.0 {
            magnitude.iter_mut().for_each(|m| *m = m.powf(self.power));
        }
        let bounds = &self.bounds[i];
        self.bands.correct(magnitude, 1.0, |m, b| b.clamp(bounds[m].0, bounds[m].1), scratch);
        if self.power != 1.0 {
            magnitude.iter_mut().for_each(|m| *m = m.powf(1.0 / self.power));
        }
        if let Some(free) = self.free {
            magnitude.iter_mut().zip(spectrum.iter()).skip(free).for_each(|(m, s)| *m = s.norm());
        }
    }
}
