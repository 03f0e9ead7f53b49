//! Another tempo at the same pitch, by overlapping pieces of the waveform where they fit (WSOLA, Verhelst and Roelands 1993).
//!
//! Pieces of the input are laid down at a fixed distance; each is taken from where the new tempo wants it, moved by up to
//! 10 ms to the place that best continues the piece before. Speech and single instruments keep their sound; a full
//! orchestra loses some of its attacks.

use multiversion::multiversion;

/// Half a piece, and the distance of two in the output, in seconds.
const HOP_S: f64 = 0.0125;
/// How far a piece may be moved: two of these are a period of 50 Hz.
const REACH_S: f64 = 0.010;
/// The search runs on every fourth sample of a smoothed copy first.
const COARSE: usize = 4;
const LANES: usize = 16;

/// `audio` `[n]` at `rate` Hz stretched to `length` samples.
pub fn time_stretch(audio: &[f32], rate: u32, length: usize) -> Vec<f32> {
    if length == audio.len() || audio.is_empty() || length == 0 {
        return audio.iter().copied().chain(std::iter::repeat(0.0)).take(length).collect();
    }
    // Whole numbers of coarse samples.
    let samples = |seconds: f64| ((seconds * f64::from(rate) / COARSE as f64).round() as usize).max(2) * COARSE;
    let (hop, reach) = (samples(HOP_S), samples(REACH_S));
    let input = Padded::new(audio, hop + 2 * reach);
    let window: Vec<f32> = (0..2 * hop)
        .map(|i| (0.5 - 0.5 * (std::f64::consts::PI * (i as f64 + 0.5) / hop as f64).cos()) as f32)
        .collect();
    let mut out = vec![0.0; length];
    let mut previous: Option<usize> = None;
    for centre in (0..length + hop).step_by(hop) {
        let wanted = (centre as f64 * audio.len() as f64 / length as f64).round() as usize;
        let wanted = wanted.min(audio.len());
        let found = previous.map_or(wanted, |last| input.best(wanted, (last + hop).min(audio.len()), hop, reach));
        let piece = input.piece(found, hop);
        // The first piece is only heard from its middle on.
        let first = hop.saturating_sub(centre);
        let begin = centre + first - hop;
        let shaped = piece.iter().zip(&window).skip(first);
        out.iter_mut().skip(begin).zip(shaped).for_each(|(y, (x, w))| *y += x * w);
        previous = Some(found);
    }
    out
}

/// The input with silence around it, and every `COARSE`th sample of its running mean.
struct Padded {
    fine: Vec<f32>,
    coarse: Vec<f32>,
    pad: usize,
}

impl Padded {
    fn new(audio: &[f32], pad: usize) -> Self {
        let pad = pad.next_multiple_of(COARSE);
        let mut fine = vec![0.0; pad];
        fine.extend_from_slice(audio);
        fine.resize((audio.len() + 2 * pad).next_multiple_of(COARSE), 0.0);
        let coarse = fine.chunks_exact(COARSE).map(|x| x.iter().sum::<f32>() / COARSE as f32).collect();
        Self { fine, coarse, pad }
    }

    /// The 2 `hop` samples around sample `centre` of the input.
    fn piece(&self, centre: usize, hop: usize) -> &[f32] {
        let begin = centre + self.pad - hop;
        &self.fine[begin..begin + 2 * hop]
    }

    /// The centre within `reach` of `wanted` where the piece is most like the one around `natural`.
    fn best(&self, wanted: usize, natural: usize, hop: usize, reach: usize) -> usize {
        let goal = self.piece(natural, hop);
        let coarse_hop = hop / COARSE;
        let at = |centre: usize| (centre + self.pad) / COARSE;
        let coarse_goal = &self.coarse[at(natural) - coarse_hop..at(natural) + coarse_hop];
        let lags = (reach / COARSE) as isize;
        let rough = best_of(-lags..=lags, |lag| {
            let begin = at(wanted).saturating_add_signed(lag) - coarse_hop;
            likeness(coarse_goal, &self.coarse[begin..begin + 2 * coarse_hop])
        });
        let (rough, near) = (rough * COARSE as isize, COARSE as isize);
        let place = |lag: isize| wanted.saturating_add_signed(lag).min(self.fine.len() - 2 * self.pad);
        place(best_of(rough - near..=rough + near, |lag| likeness(goal, self.piece(place(lag), hop))))
    }
}

fn best_of(lags: std::ops::RangeInclusive<isize>, score: impl Fn(isize) -> f32) -> isize {
    let scored = lags.map(|lag| (score(lag), lag));
    scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(0, |(_, lag)| lag)
}

/// Their correlation over the second one's norm; the first one's is the same for all candidates.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn likeness(goal: &[f32], candidate: &[f32]) -> f32 {
    let (mut products, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (a, b) in goal.chunks_exact(LANES).zip(candidate.chunks_exact(LANES)) {
        for lane in 0..LANES {
            products[lane] += a[lane] * b[lane];
            squares[lane] += b[lane] * b[lane];
        }
    }
    let energy: f32 = squares.iter().sum();
    products.iter().sum::<f32>() / (energy + 1e-9).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 24_000;

    fn voice(hz: f64, n: usize) -> Vec<f32> {
        let phase = |i: usize, k: f64| (std::f64::consts::TAU * hz * k / f64::from(RATE) * i as f64).sin() / k;
        (0..n).map(|i| (1..20).map(|k| phase(i, f64::from(k))).sum::<f64>() as f32 * 0.3).collect()
    }

    /// How much of `audio` is at `hz`, as a part of its power.
    fn share(audio: &[f32], hz: f64) -> f64 {
        let turn = |i: usize| std::f64::consts::TAU * hz / f64::from(RATE) * i as f64;
        let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
        for (i, &x) in audio.iter().enumerate() {
            re += f64::from(x) * turn(i).cos();
            im += f64::from(x) * turn(i).sin();
            power += f64::from(x) * f64::from(x);
        }
        2.0 * (re * re + im * im) / audio.len() as f64 / power
    }

    #[test]
    fn the_length_changes_and_the_pitch_does_not() {
        for hz in [80.0, 200.0, 420.0] {
            let x = voice(hz, 24_000);
            for length in [16_000, 21_000, 24_100, 30_000, 40_000] {
                let y = time_stretch(&x, RATE, length);
                assert_eq!(y.len(), length);
                let inside = &y[1000..length - 1000];
                let (before, after) = (share(&x[1000..23_000], hz), share(inside, hz));
                assert!((before - after).abs() < 0.02, "{hz} Hz to {length}: {before} {after}");
                let level = inside.iter().map(|x| x * x).sum::<f32>() / inside.len() as f32;
                let given = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
                assert!((level / given - 1.0).abs() < 0.03, "{hz} Hz to {length}: {level} {given}");
            }
        }
    }

    #[test]
    fn things_happen_when_they_should() {
        // A click every tenth of a second stays at its tenth of the whole.
        let mut x = vec![0.0; 24_000];
        (1200..24_000).step_by(2400).for_each(|i| x[i] = 1.0);
        let y = time_stretch(&x, RATE, 30_000);
        let loud: Vec<usize> = (0..y.len()).filter(|&i| y[i].abs() > 0.3).collect();
        for i in loud {
            let off = (i as f64 / 1.25 - 1200.0).rem_euclid(2400.0);
            assert!(off.min(2400.0 - off) < 400.0, "{i}");
        }
    }

    #[test]
    fn the_same_length_is_the_same_sound_and_nothing_is_safe() {
        let x = voice(150.0, 5000);
        assert_eq!(time_stretch(&x, RATE, 5000), x);
        assert_eq!(time_stretch(&[], RATE, 10), [0.0; 10]);
        assert!(time_stretch(&x, RATE, 0).is_empty());
        assert_eq!(time_stretch(&x[..3], RATE, 7).len(), 7);
    }
}
