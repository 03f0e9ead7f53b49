//! Mels as networks write them.

use audiodiff::mel::{MelConvention, MelSpectrogram};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// What a network makes of a mel: blurred in time and frequency, with noise of `noise` nats.
pub fn guessed(mel: &MelSpectrogram, c: &MelConvention, noise: f32) -> MelSpectrogram {
    let (bands, frames) = (mel.n_mels(), mel.frames());
    let mut random = ChaCha8Rng::seed_from_u64(6);
    // The sum of twelve uniform numbers is normal enough.
    let mut normal = || (0..12).map(|_| random.next_u32() as f32 / u32::MAX as f32).sum::<f32>() - 6.0;
    let at = |t: usize, m: usize| mel.frame(t)[m];
    let blurred = |t: usize, m: usize| {
        let (before, after) = (at(t.saturating_sub(1), m), at((t + 1).min(frames - 1), m));
        let (below, above) = (at(t, m.saturating_sub(1)), at(t, (m + 1).min(bands - 1)));
        0.5 * at(t, m) + 0.125 * (before + after + below + above)
    };
    let nat = c.stored_slope().abs() as f32;
    let all = (0..frames).flat_map(|t| (0..bands).map(move |m| (t, m)));
    MelSpectrogram::new(all.map(|(t, m)| blurred(t, m) + noise * nat * normal()).collect(), bands)
}
