//! Differences of the linear spectrum at three resolutions, as vocoders are trained and compared by (Yamamoto et al.
//! 2020, Parallel WaveGAN).

use crate::dsp::stft::{Edge, Stft};

/// Samples of the transform, of the hop and of the window: Parallel WaveGAN's and auraloss' three.
const RESOLUTIONS: [(usize, usize, usize); 3] = [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)];
/// Powers below it are raised to it before root and logarithm (auraloss).
const FLOOR: f32 = 1e-8;

/// The mean over three resolutions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StftDistance {
    /// ‖|X| - |Y|‖ / ‖|X|‖ over the whole file: dominated by what is loud.
    pub spectral_convergence: f32,
    /// Mean absolute difference of ln |X|: quiet and loud alike.
    pub log_magnitude: f32,
}

/// Both `[n]` at one rate; the shorter length counts. `None` where that is nothing.
pub fn stft_distance(reference: &[f32], rendered: &[f32]) -> Option<StftDistance> {
    let n = reference.len().min(rendered.len());
    if n == 0 {
        return None;
    }
    let (mut convergence, mut log_magnitude) = (0.0, 0.0);
    for (n_fft, hop, window) in RESOLUTIONS {
        let stft = Stft::with_window(n_fft, window, hop);
        let (mut difference, mut energy, mut logs) = (0.0f64, 0.0f64, 0.0f64);
        // Frame by frame: the spectra of an hour would fill a machine's memory.
        let (mut a, mut b) = (stft.buffers(), stft.buffers());
        let frames = stft.centred_frames(n);
        for t in 0..frames {
            let start = stft.centred_start(t);
            stft.analyse(&reference[..n], start, Edge::Reflect, &mut a);
            stft.analyse(&rendered[..n], start, Edge::Reflect, &mut b);
            for (x, y) in a.spectrum.iter().zip(&b.spectrum) {
                let (x, y) = (x.norm_sqr().max(FLOOR), y.norm_sqr().max(FLOOR));
                difference += f64::from(x.sqrt() - y.sqrt()).powi(2);
                energy += f64::from(x);
                logs += f64::from(0.5 * (x / y).ln()).abs();
            }
        }
        convergence += (difference / energy).sqrt();
        log_magnitude += logs / (frames * stft.bins()) as f64;
    }
    let mean = |sum: f64| (sum / RESOLUTIONS.len() as f64) as f32;
    Some(StftDistance { spectral_convergence: mean(convergence), log_magnitude: mean(log_magnitude) })
}
