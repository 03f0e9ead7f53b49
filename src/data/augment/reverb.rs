//! Rooms, as impulse responses to convolve with.
//!
//! A synthetic one is Polack's model (1988; Moorer 1979): the direct sound, and Gaussian noise that decays exponentially.

use super::draws::Draws;

/// Seconds after the direct sound before the first reflection.
const GAP_S: f64 = 0.003;

/// Samples of a measured room that are used, in seconds.
const LONGEST_S: f64 = 10.0;

/// The impulse response of a room whose sound falls by 60 dB in `rt60_s` seconds, with `direct_db` of direct sound over
/// reverberation; at most `longest` samples, and the direct sound, at full level, first.
pub(super) fn synthetic(rt60_s: f32, direct_db: f32, rate: u32, longest: usize, draws: &mut Draws) -> Vec<f32> {
    let rate = f64::from(rate);
    let first = (GAP_S * rate).round() as usize;
    let length = (f64::from(rt60_s) * rate).round() as usize + first;
    // The expected energy of the whole tail, a geometric series: a clip that ends before it hears the same room.
    let decay = 10f64.powf(-6.0 / (f64::from(rt60_s) * rate));
    let energy = (1.0 - decay.powi((length - first) as i32)) / (1.0 - decay);
    let mut level = (10f64.powf(f64::from(-direct_db) / 10.0) / energy).sqrt();
    let step = decay.sqrt();
    let mut response = vec![0.0; length.min(longest.max(1))];
    for pair in response.get_mut(first..).unwrap_or_default().chunks_mut(2) {
        let (a, b) = draws.normals();
        pair[0] = a * level as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = b * (level * step) as f32;
        }
        level *= decay;
    }
    response[0] = 1.0;
    response
}

/// A measured impulse response from its direct sound on, brought to full level, so that it neither delays nor amplifies.
pub(super) fn measured(mut response: Vec<f32>, rate: u32) -> Vec<f32> {
    let loudest = response.iter().enumerate().max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    let Some((at, &peak)) = loudest.filter(|(_, peak)| **peak != 0.0) else { return Vec::new() };
    response.drain(..at);
    response.truncate((LONGEST_S * f64::from(rate)) as usize);
    response.iter_mut().for_each(|x| *x /= peak);
    response
}
