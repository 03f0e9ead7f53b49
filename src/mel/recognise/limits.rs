//! What a convention cannot have stored, or hardly: floors, full scale, numbers of frames, ranges.

use super::{
    Candidate, Recording, Verdict,
    view::{BandRange, FLOOR_BANDS, View},
};
use crate::mel::{MelConvention, filterbank::Filterbank};

/// All that one convention has to say for itself.
pub(super) fn examine(c: &'static MelConvention, view: &View, recording: Option<&Recording>) -> Candidate {
    let mut impossible = Vec::new();
    let mut odd = Vec::new();
    let mut support = Vec::new();
    let bank = Filterbank::new(c);
    let floors = silence(c, &bank);
    let roofs = loudest(c, &bank);
    let near = |v: f32, w: f32| (v - w).abs() <= view.tolerance(w);

    let lowest_floor = floors.iter().copied().fold(f32::INFINITY, f32::min);
    let ranges = || view.bands.iter().enumerate();
    if let Some((m, BandRange { low: v, .. })) = ranges().find(|(m, b)| b.low < floors[*m] - view.tolerance(floors[*m]))
    {
        impossible.push(format!("{v:.3} in band {m} lies below its floor {:.3}", floors[m]));
    }
    if let Some((m, BandRange { high: v, .. })) = ranges().find(|(m, b)| b.high > roofs[*m] + view.tolerance(roofs[*m]))
    {
        impossible.push(format!("{v:.3} in band {m} is more than full scale gives ({:.3})", roofs[m]));
    }
    let repeated: Vec<(usize, f32)> = view.repeated.iter().enumerate().filter_map(|(m, v)| v.map(|v| (m, v))).collect();
    // Where something is added to sound, under the root or before the logarithm, what is nearly silent lies just above silence.
    let settles = |m: usize| c.added_floor > 0.0 || floors[m] > c.stored(m, 0.0) as f32 + view.tolerance(floors[m]);
    let above = 0.1 * c.stored_slope().abs() as f32;
    let is_own = |m: usize, v: f32| near(v, floors[m]) || settles(m) && (0.0..above).contains(&(v - floors[m]));
    let own = repeated.iter().filter(|&&(m, v)| is_own(m, v)).count();
    let floor_found = own >= FLOOR_BANDS;
    if repeated.len() >= FLOOR_BANDS && (own as f64) < 0.9 * repeated.len() as f64 {
        let (value, count) = view.lowest;
        impossible.push(format!(
            "the lowest value {value:.3} ({count} times) is a floor that is not its own ({lowest_floor:.3})"
        ));
    } else if floor_found {
        support.push(format!("its floor {lowest_floor:.3} occurs {} times", view.lowest.1));
    }
    let empty = (0..c.n_mels).filter(|&m| bank.row(m).1.is_empty()).count();
    if let (true, Some(m)) = (empty == 0, view.silent_between.first()) {
        let count = view.silent_between.len();
        impossible.push(format!(
            "band {m} ({count} in all) is silent throughout between others; none of its filters is empty"
        ));
    } else if empty > 0 && !view.silent_between.is_empty() {
        support.push(format!(
            "{} bands are silent throughout, as its {empty} filters without a bin",
            view.silent_between.len()
        ));
    }
    if let Some(Recording { samples, sample_rate }) = recording {
        let (samples, sample_rate) = (samples.len(), *sample_rate);
        let own = samples as f64 * f64::from(c.sample_rate) / f64::from(sample_rate);
        // Where the rate is not its own, resampling may have rounded either way.
        let slack = if sample_rate == c.sample_rate { 0.0 } else { 1.0 };
        let frames = c.frames((own - slack).max(0.0).floor() as usize)..=c.frames((own + slack).ceil() as usize);
        if frames.contains(&view.frames()) {
            support.push(format!("{samples} samples give {} frames", view.frames()));
        } else {
            impossible.push(format!(
                "{samples} samples at {sample_rate} Hz would give {} frames, not {}",
                frames.end(),
                view.frames()
            ));
        }
    }
    // Natural logarithm.
    let span = f64::from(view.span) / c.stored_slope().abs();
    if span < 2.5 {
        odd.push(format!("all its values would lie within {:.0} dB", span * 8.686));
    }

    let verdict = match (impossible.is_empty(), odd.is_empty()) {
        (false, _) => Verdict::Impossible,
        (true, false) => Verdict::Unlikely,
        (true, true) => Verdict::Fits,
    };
    support.push(format!("{} bands", c.n_mels));
    let stored_so = if c.layout == view.layout { 0.5 } else { 0.0 };
    let score = if floor_found { 3.0 } else { 0.0 } + stored_so + f64::from(recording.is_some());
    let reasons = [impossible, odd, support].concat();
    Candidate { convention: c, layout: view.layout, verdict, reasons, floor_found, score }
}

/// [M]: what digital silence is stored as.
pub(super) fn silence(c: &MelConvention, bank: &Filterbank) -> Vec<f32> {
    let bin = c.magnitude_epsilon.max(c.power_floor).powf(c.power / 2.0);
    let area = |m: usize| bank.row(m).1.iter().map(|&w| f64::from(w)).sum::<f64>();
    (0..c.n_mels).map(|m| c.stored(m, area(m) * bin) as f32).collect()
}

/// [M]: more than audio of twice full scale can give. The window's energy bounds the spectrum's (Parseval), and that
/// bounds a band (Cauchy and Schwarz).
fn loudest(c: &MelConvention, bank: &Filterbank) -> Vec<f32> {
    let window_energy = 0.375 * c.win_length as f64;
    let magnitude = 2.0 * (c.n_fft as f64 * window_energy / 2.0).sqrt();
    let norm = if c.window_norm { window_energy.sqrt() } else { 1.0 };
    let weight = |m: usize| bank.row(m).1.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    let power = (magnitude / norm).powf(c.power);
    (0..c.n_mels).map(|m| c.stored(m, weight(m) * power + 1e-3 * c.lowest_band_value()) as f32).collect()
}
