//! The delay between a recording and its rendering: found, removed and reported.
//!
//! Programs pad, trim and delay; a metric that compares frame by frame would punish that as if it were noise. Vocoders
//! that invent their own phase make a waveform that hardly correlates with the recording, so the delay is sought in the
//! spectra first, made exact on the waveforms where these agree, and taken only where it brings the spectra together.

use crate::{
    Result,
    mel::{MelConvention, MelSpectrogram, extract},
};
use realfft::RealFftPlanner;

/// Delays are sought up to here, in seconds to either side.
pub const LONGEST_DELAY_S: f64 = 0.5;
/// Of longer recordings, so many seconds from the start tell the delay.
const HEARD_S: usize = 60;
/// A delay must lower the spectral distance by this share: two phases of one sound differ by less.
const WORTH: f64 = 0.98;

/// Waveforms that correlate so well are one waveform, and its delay is beyond doubt.
const COPY: f32 = 0.8;

/// Of correlations by the fast transform in single precision.
const ROUNDING: f32 = 1e-6;

/// Samples by which `rendered` comes after `reference`, both `[n]` at `sample_rate` Hz; negative where it comes before. 0
/// where no delay brings the two together.
pub fn delay(reference: &[f32], rendered: &[f32], sample_rate: u32) -> Result<isize> {
    let heard = HEARD_S * sample_rate as usize;
    let reference = &reference[..reference.len().min(heard)];
    let rendered = &rendered[..rendered.len().min(heard)];
    if reference.is_empty() || rendered.is_empty() {
        return Ok(0);
    }
    let hop = (sample_rate / 200).max(1) as usize; // 5 ms
    let coarse = spectral_delay(reference, rendered, sample_rate, hop)?;
    let (fine, correlation) = waveform_delay(reference, rendered, coarse * hop as isize, hop as isize);
    if correlation > COPY {
        return Ok(fine);
    }
    let mut best = (0, WORTH);
    for candidate in [coarse * hop as isize, fine].into_iter().filter(|delay| *delay != 0) {
        let (a, b) = overlap(reference, rendered, candidate);
        // The same part of the recording against what sounds with it now: a delay must not win by leaving out the part
        // that is hard to match.
        let from = usize::try_from(-candidate).unwrap_or(0);
        let (c, d) = overlap(a, &rendered[from.min(rendered.len())..], 0);
        let share = spectral_distance(a, b, sample_rate)? / spectral_distance(c, d, sample_rate)?;
        if share < best.1 {
            best = (candidate, share);
        }
    }
    Ok(best.0)
}

/// The parts of both that sound at the same time once a delay of `delay` samples is taken out.
pub fn overlap<'a>(reference: &'a [f32], rendered: &'a [f32], delay: isize) -> (&'a [f32], &'a [f32]) {
    let skip = |audio: &'a [f32], samples: isize| &audio[(samples.max(0) as usize).min(audio.len())..];
    let (a, b) = (skip(reference, -delay), skip(rendered, delay));
    let n = a.len().min(b.len());
    (&a[..n], &b[..n])
}

/// `rendered` in the time of a recording of `n` samples, from its start to its end: without its delay of `delay` samples,
/// and silent where it has nothing.
pub fn in_place(rendered: &[f32], delay: isize, n: usize) -> Vec<f32> {
    let missing = usize::try_from(-delay).unwrap_or(0).min(n);
    let sound = &rendered[usize::try_from(delay).unwrap_or(0).min(rendered.len())..];
    let mut placed = vec![0.0; missing];
    placed.extend(&sound[..sound.len().min(n - missing)]);
    placed.resize(n, 0.0);
    placed
}

/// A rough spectrum whose frames lie close together.
fn features(audio: &[f32], sample_rate: u32, hop: usize) -> Result<MelSpectrogram> {
    let n_fft = (hop * 4).next_power_of_two().max(64);
    let plain = MelConvention::full_band("alignment", sample_rate, n_fft, hop, 20);
    extract(audio, &MelConvention { floor: 1e-3, ..plain })
}

fn spectral_distance(a: &[f32], b: &[f32], sample_rate: u32) -> Result<f64> {
    if a.len() < sample_rate as usize / 10 {
        return Ok(f64::INFINITY);
    }
    let hop = (sample_rate / 100).max(1) as usize;
    let (a, b) = (features(a, sample_rate, hop)?, features(b, sample_rate, hop)?);
    let sum: f64 = a.values().iter().zip(b.values()).map(|(a, b)| f64::from((a - b).abs())).sum();
    Ok(sum / a.values().len().min(b.values().len()).max(1) as f64)
}

/// The lag, in hops, at which the log spectra correlate best, each band's mean removed: a change of level or of colour
/// moves nothing.
fn spectral_delay(reference: &[f32], rendered: &[f32], sample_rate: u32, hop: usize) -> Result<isize> {
    let centred = |audio| -> Result<MelSpectrogram> {
        let mel = features(audio, sample_rate, hop)?;
        let (bands, frames) = (mel.n_mels(), mel.frames().max(1));
        let mut mean = vec![0.0f32; bands];
        for row in mel.values().chunks_exact(bands) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / frames as f32);
        }
        let values = mel.values().chunks_exact(bands).flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m));
        Ok(MelSpectrogram::new(values.collect(), bands))
    };
    let (a, b) = (centred(reference)?, centred(rendered)?);
    let reach = (LONGEST_DELAY_S * f64::from(sample_rate) / hop as f64).ceil() as isize;
    let mut best = (0, f64::NEG_INFINITY);
    for lag in -reach..=reach {
        let skip = |mel: &MelSpectrogram, frames: isize| (frames.max(0) as usize).min(mel.frames()) * mel.n_mels();
        let (x, y) = (&a.values()[skip(&a, -lag)..], &b.values()[skip(&b, lag)..]);
        // Not divided by the overlap: a short one must not win by chance.
        let sum: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum();
        if sum > best.1 || (sum == best.1 && lag.abs() < best.0) {
            best = (lag, sum);
        }
    }
    Ok(best.0)
}

/// The lag in samples, at most `reach` from `around`, at which the waveforms correlate best in magnitude (an inverted
/// copy is a copy), and how well they do, 0 to 1.
fn waveform_delay(reference: &[f32], rendered: &[f32], around: isize, reach: isize) -> (isize, f32) {
    let n = (reference.len() + rendered.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
    let transform = |audio: &[f32]| {
        let (mut padded, mut spectrum) = (audio.to_vec(), forward.make_output_vec());
        padded.resize(n, 0.0);
        forward.process(&mut padded, &mut spectrum).expect("the buffers are of the plan's sizes");
        spectrum
    };
    let (a, b) = (transform(reference), transform(rendered));
    let mut product: Vec<_> = a.iter().zip(&b).map(|(a, b)| a.conj() * b).collect();
    let last = product.len() - 1;
    (product[0].im, product[last].im) = (0.0, 0.0);
    let mut correlation = inverse.make_output_vec();
    inverse.process(&mut product, &mut correlation).expect("the buffers are of the plan's sizes");
    let at = |lag: isize| correlation[lag.rem_euclid(n as isize) as usize].abs();
    let lags = around - reach..=around + reach;
    // Of those that correlate equally well, up to the transform's rounding, the smallest: a sound that repeats itself
    // has not moved.
    let highest = lags.clone().map(at).fold(0.0, f32::max);
    let best = lags.filter(|&lag| at(lag) >= highest * (1.0 - ROUNDING)).min_by_key(|lag| lag.abs()).unwrap_or(around);
    let energy = |audio: &[f32]| audio.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let norm = (energy(reference) * energy(rendered)).sqrt().max(f64::MIN_POSITIVE);
    (best, (f64::from(at(best)) / n as f64 / norm) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of noise of several lengths, like syllables.
    fn syllables(n: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut noise = std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        });
        (0..n)
            .map(|i| {
                noise.by_ref().next().unwrap_or(0.0)
                    * 0.3
                    * ((i as f32 / 1900.0).sin() * (i as f32 / 3100.0).cos()).max(0.0)
            })
            .collect()
    }

    fn shifted(audio: &[f32], delay: isize) -> Vec<f32> {
        (0..audio.len() as isize)
            .map(|i| usize::try_from(i - delay).ok().and_then(|i| audio.get(i)).copied().unwrap_or(0.0))
            .collect()
    }

    #[test]
    fn a_known_delay_is_found_to_the_sample() {
        let audio = syllables(48_000);
        for wanted in [0, 1, -1, 37, 256, -1000, 5_003, -11_900] {
            let quieter: Vec<f32> = shifted(&audio, wanted).iter().map(|x| -0.3 * x).collect();
            assert_eq!(delay(&audio, &quieter, 24_000).unwrap(), wanted);
        }
    }

    #[test]
    fn other_sounds_are_left_where_they_are() {
        let audio = syllables(24_000);
        assert_eq!(delay(&audio, &[], 24_000).unwrap(), 0);
        assert_eq!(delay(&audio, &[0.0; 24_000], 24_000).unwrap(), 0);
        // Noise without syllables is nowhere nearer to them than elsewhere.
        let mut state = 7u32;
        let even = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.1 * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        });
        assert_eq!(delay(&audio, &even.take(24_000).collect::<Vec<_>>(), 24_000).unwrap(), 0);
    }

    #[test]
    fn of_lags_that_fit_equally_well_the_smallest_is_taken() {
        let silence = [0.0; 2400];
        assert_eq!(waveform_delay(&silence, &silence, 0, 120).0, 0);
        assert_eq!(waveform_delay(&silence, &silence, -240, 120).0, -120);
        // One click in the recording, two as far from it before and after.
        let click = |at: &[usize]| (0..2400).map(|i| f32::from(u8::from(at.contains(&i)))).collect::<Vec<_>>();
        assert_eq!(waveform_delay(&click(&[1200]), &click(&[1150, 1300]), 0, 120).0, -50);
        assert_eq!(waveform_delay(&click(&[1200]), &click(&[1100, 1250]), 0, 120).0, 50);
    }

    #[test]
    fn overlap_cuts_both_to_what_they_share() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [9.0, 1.0, 2.0]);
        assert_eq!(overlap(&a, &b, 1), (&a[..2], &b[1..]));
        assert_eq!(overlap(&b, &a, -1), (&b[1..], &a[..2]));
        assert_eq!(overlap(&a, &b, 100).0.len(), 0);
    }

    #[test]
    fn what_is_missing_in_place_is_silent() {
        let sound = [1.0, 2.0, 3.0];
        assert_eq!(in_place(&sound, 0, 5), [1.0, 2.0, 3.0, 0.0, 0.0]);
        assert_eq!(in_place(&sound, 1, 2), [2.0, 3.0]);
        assert_eq!(in_place(&sound, -2, 4), [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(in_place(&sound, 9, 2), [0.0; 2]);
        assert_eq!(in_place(&sound, -9, 2), [0.0; 2]);
    }
}
