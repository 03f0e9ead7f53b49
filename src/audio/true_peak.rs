//! Magnitudes between samples, by ITU-R BS.1770-4, annex 2: what a device's filter makes of samples that are all in range may
//! be out of it.

/// The interpolation of BS.1770-4: three points between two samples, and the samples themselves, shifted by the filter's delay.
const PHASES: [[f32; 12]; 4] = [
    [
        0.001_708_984_4,
        0.010_986_328,
        -0.019_653_32,
        0.033_203_125,
        -0.059_448_242,
        0.137_329_1,
        0.972_167_97,
        -0.102_294_92,
        0.047_607_422,
        -0.026_611_328,
        0.014_892_578,
        -0.008_300_781,
    ],
    [
        -0.029_174_805,
        0.029_296_875,
        -0.051_757_813,
        0.089_111_33,
        -0.166_503_9,
        0.465_087_9,
        0.779_785_16,
        -0.200_317_38,
        0.101_562_5,
        -0.058_227_54,
        0.033_081_055,
        -0.018_920_898,
    ],
    [
        -0.018_920_898,
        0.033_081_055,
        -0.058_227_54,
        0.101_562_5,
        -0.200_317_38,
        0.779_785_16,
        0.465_087_9,
        -0.166_503_9,
        0.089_111_33,
        -0.051_757_813,
        0.029_296_875,
        -0.029_174_805,
    ],
    [
        -0.008_300_781,
        0.014_892_578,
        -0.026_611_328,
        0.047_607_422,
        -0.102_294_92,
        0.972_167_97,
        0.137_329_1,
        -0.059_448_242,
        0.033_203_125,
        -0.019_653_32,
        0.010_986_328,
        0.001_708_984_4,
    ],
];

/// Samples by which the answers lie behind.
pub(super) const DELAY: usize = 6;

/// Follows samples of interleaved channels.
#[derive(Debug, Clone)]
pub(super) struct TruePeak {
    /// Of each channel, the last samples, oldest first.
    history: Vec<[f32; 12]>,
}

impl TruePeak {
    pub fn new(channels: usize) -> Self {
        Self { history: vec![[0.0; 12]; channels] }
    }

    /// The largest magnitude of any channel at the sample [`DELAY`] before `all` and around it.
    pub fn next(&mut self, all: &[f32]) -> f32 {
        let mut peak = 0.0f32;
        for (&sample, history) in all.iter().zip(&mut self.history) {
            history.copy_within(1.., 0);
            history[11] = sample;
            let between = PHASES.iter().map(|phase| phase.iter().zip(&*history).map(|(c, x)| c * x).sum::<f32>().abs());
            peak = between.fold(peak.max(history[11 - DELAY].abs()), f32::max);
        }
        peak
    }
}
