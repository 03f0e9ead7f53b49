//! Whether a mel can be of a convention at all.
//!
//! A mel of another convention renders to noise or to a robot without an error anywhere. What a convention can hold is known:
//! nothing below its floor, nothing above what its filters give for audio at full scale. A mel outside of that, or with a
//! floor of its own, is refused; what is only odd is reported. Every doubt is decided for the mel: whatever the convention
//! gives for real audio, silence and full-scale noise included, passes.

use super::{
    LogBase, MelConvention, MelSpectrogram,
    bounds::{Bounds, Run},
    file::Finite,
    filterbank::{Filterbank, edge_hz},
    held::Frames,
    survey::{Survey, Surveyor},
    tally::{Figures, Tally},
};
use crate::{Error, Fault, Remedy, Result};
use std::fmt;

/// Something odd that a mel may have and still be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub concern: Concern,
    /// A sentence for the user, the subject before it.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Every value lies at the floor.
    Silent,
    /// The lowest values are cut off above the floor.
    CutOff,
    /// Some values lie below the floor, as a network's guesses do.
    BelowFloor,
    /// Some values are louder than audio within ±1 can be.
    AboveFullScale,
    /// The upper half of the bands is empty.
    BandLimited,
    /// The loudest value is far below a full-scale tone.
    Quiet,
    /// Loudest and softest lie so close that it may be another kind of logarithm.
    NarrowRange,
    /// Frames hold one value that is not the floor, as the padding of a batch does.
    Padded,
    /// Its bands run into each other, as those of a network's guess do.
    Smooth,
    /// It ends in one frame again and again, as a batch does that is padded with each item's last.
    StandsStill,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Natural logarithms of magnitudes that separate certain from odd. float16 and bfloat16 round by up to 0.03.
pub(super) mod nats {
    /// Rounding, and what a network's guess may differ by without a word.
    pub const ROUNDING: f64 = 0.1;
    /// A value this far below the floor is no network's guess, where it isn't rare …
    pub const FAR_BELOW: f64 = 2.0;
    /// … and this far not even once.
    pub const TOO_FAR_BELOW: f64 = 8.0;
    /// A frame that holds one value is silence where that lies as near to the floor.
    pub const NEAR_FLOOR: f64 = 1.0;
    /// 12 dB over full scale: clipped or float recordings and a network's guesses go that far.
    pub const HEADROOM: f64 = 1.386;
    /// 50 dB.
    pub const QUIET: f64 = 5.76;
    /// 65 dB. Recordings of speech and music have 77 and more, by log10 at most 63; plain noise has less.
    pub const NARROW: f64 = 7.5;
    /// A value's distance from its neighbours in the next bands, in the mean. Recordings of speech, music and noises have 0.23 to
    /// 0.6 in every convention of the field; the mean of three bands and three frames has 0.04 to 0.26, a FastSpeech 2's mel 0.18
    /// to 0.23.
    pub const SMOOTH: f64 = 0.21;
    /// 87 dB below the loudest value, about where 16-bit audio ends.
    pub const EMPTY: f64 = 10.0;
}

/// The share of values at the lowest one that no audio has, but every mel that was cut off there and has a pause.
const CUT_OFF_SHARE: f64 = 0.05;

/// The lowest values of the field's conventions: natural logarithms of their floors …
const NATURAL_FLOORS: [f32; 6] = [-11.512_925, -16.118_095, -18.420_681, -13.815_511, -9.210_34, -6.907_755];
/// … those of log10, and what they are mapped to.
const OTHER_FLOORS: [f32; 5] = [-10.0, -8.0, -7.0, -5.0, -4.0];

/// In shorter mels every frame may have an edge.
const SHORTEST_WITH_EDGES: usize = 16;

/// As good as 0 on a plain logarithm's scale is what lies below so many nats.
const NEAR_ZERO: f64 = 0.05;

/// Frames in a row that are the same in every digit, which no recording has but in digital silence, and no network's guess.
const STANDS_STILL: usize = 4;

/// How the convention is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user or the file says so.
    Stated,
    /// It is the likely one.
    Assumed,
}

/// Compares a mel with the one convention that it is taken for. `subject` names it in messages.
///
/// # Errors
/// `Error::Mel` where band count or values are impossible in any convention; `Error::Convention` where it is certain that the
/// mel is of another one, or `convention` is impossible itself.
pub fn check(subject: impl fmt::Display, mel: &MelSpectrogram, convention: &MelConvention) -> Result<Vec<Finding>> {
    check_as(subject, mel, convention, Origin::Assumed)
}

/// As [`check`]. Of a stated convention, values that were cut off above its floor are a finding and no error: a program may
/// clamp its own mels.
pub fn check_as(
    subject: impl fmt::Display,
    mel: &MelSpectrogram,
    convention: &MelConvention,
    origin: Origin,
) -> Result<Vec<Finding>> {
    let subject = subject.to_string();
    Ok(examine(&subject, &subject, mel, convention, origin)?.findings)
}

/// What [`check_as`] finds, and what is to be rendered as silence.
pub(super) struct Examined {
    pub findings: Vec<Finding>,
    pub padding: Vec<Run>,
}

/// [`check_as`], block by block; `array` names the numbers where `subject` holds several.
pub(super) fn examine(
    subject: &str,
    array: &str,
    mel: &dyn Frames,
    convention: &MelConvention,
    origin: Origin,
) -> Result<Examined> {
    convention.validate()?;
    if mel.n_mels() != convention.n_mels {
        let expected = format!("{} by the convention {} (its n_mels)", convention.n_mels, convention.name);
        let fault = Fault::new(subject, format!("{} bands", mel.n_mels())).expected(expected);
        return Err(Error::Mel(fault.remedy(Remedy::NameConvention)));
    }
    if mel.frames() == 0 {
        return Err(Error::Mel(Fault::new(subject, "holds no frame")));
    }
    let bounds = Bounds::new(convention);
    let tally = |frames| {
        let edge = if frames > SHORTEST_WITH_EDGES { 1 + convention.n_fft / 2 / convention.hop } else { 0 };
        Tally::new(&bounds, frames, edge, (NEAR_ZERO * stored_per_nat(convention)) as f32)
    };
    // Long mels are read once: hardly any has padding, without which nothing has to be left out.
    let (mut finite, mut surveyor, mut whole) = (Finite::default(), Surveyor::new(&bounds), tally(mel.frames()));
    for block in mel.blocks() {
        let (first, block) = block?;
        finite.add(first, &block);
        for frame in block.values().chunks_exact(mel.n_mels()) {
            surveyor.add(frame);
            whole.add(frame);
        }
    }
    finite.finish(array)?;
    let Survey { padding, alike_at_the_end: alike } = surveyor.finish();
    if !padding.is_empty() {
        let mut silent = padding.iter().flat_map(|run| run.frames.clone()).peekable();
        whole = tally(mel.frames() - padding.iter().map(|run| run.frames.len()).sum::<usize>());
        for block in mel.blocks() {
            let (first, block) = block?;
            for (t, frame) in (first..).zip(block.values().chunks_exact(mel.n_mels())) {
                if silent.next_if_eq(&t).is_none() {
                    whole.add(frame);
                }
            }
        }
    }
    let figures = whole.finish();
    let mut findings = Comparison { subject, convention, origin, bounds: &bounds, figures: &figures }.run()?;
    let mut add = |concern, text: String| findings.push(Finding { concern, message: format!("{subject}: {text}") });
    if !padding.is_empty() {
        add(Concern::Padded, format!("{}; padding, rendered as silence", placed(&padding, mel.frames())));
    }
    if alike >= STANDS_STILL {
        let text = format!(
            "the last {alike} of {} frames are one and the same, which is heard as a sound that stands still; if they are \
             padding, cut them off",
            mel.frames()
        );
        add(Concern::StandsStill, text);
    }
    Ok(Examined { findings, padding })
}

/// Where frames of one value lie: `the last 100 of 229 frames are 0 throughout`.
fn placed(padding: &[Run], frames: usize) -> String {
    let count: usize = padding.iter().map(|run| run.frames.len()).sum();
    let Run { frames: first, value } = &padding[0];
    let first = first.start;
    match count {
        1 if first + 1 == frames => format!("the last of {frames} frames is {value} throughout"),
        _ if first + count == frames => format!("the last {count} of {frames} frames are {value} throughout"),
        1 => format!("frame {first} of {frames} is {value} throughout"),
        _ => format!("{count} of {frames} frames, from frame {first} on, are {value} throughout"),
    }
}

/// A mel beside what a convention can hold.
struct Comparison<'a> {
    subject: &'a str,
    convention: &'a MelConvention,
    origin: Origin,
    bounds: &'a Bounds,
    /// Of frames that are no padding.
    figures: &'a Figures,
}

impl Comparison<'_> {
    fn run(&self) -> Result<Vec<Finding>> {
        if self.figures.all_at_floor {
            return Ok(vec![self.finding(Concern::Silent, "every value lies at the floor: digital silence".into())]);
        }
        if self.figures.min == self.figures.max {
            return Err(self.other("values", format!("is {} everywhere, which no audio gives", self.figures.min)));
        }
        if self.is_plain_log() {
            self.refuse_other_scales()?;
        }
        let cut_off = self.another_floor()?;
        self.refuse_what_cannot_be_held()?;
        Ok(cut_off.into_iter().chain(self.findings()).collect())
    }

    /// Whether stored values are logarithms and nothing else, so that 0 means a magnitude of 1.
    fn is_plain_log(&self) -> bool {
        let c = self.convention;
        // Of a floor that is added, silence may be stored as 0.
        let is_log = !matches!(c.log, LogBase::PowerLaw(_)) && c.added_floor < 0.1;
        is_log && c.affine.is_none() && c.statistics.is_none()
    }

    /// Magnitudes, and mels normalised to a range: logarithms of audio have no edge at 0, and no three octaves of level.
    fn refuse_other_scales(&self) -> Result<()> {
        let (min, max) = (f64::from(self.figures.min), f64::from(self.figures.max));
        let span = (max - min) / stored_per_nat(self.convention);
        if min >= 0.0 && max > 0.0 {
            // Full-scale noise has no negative logarithm either, but it doesn't pile up at 0.
            let at_zero = self.figures.at_zero as f64 / self.figures.values as f64;
            let mean = self.figures.sum / self.figures.values as f64;
            if max <= 1.05 && (at_zero > 0.02 || self.figures.frames >= 4) {
                return Err(self.other("affine", "looks normalised to the range 0 to 1".into()));
            }
            if at_zero > 0.02 || mean < 0.1 * max {
                let hint = "looks like magnitudes without a logarithm (none is negative, most are near 0)";
                return Err(self.other("log", hint.into()));
            }
        }
        // A flat spectrum alone spans 3 nats over the bands, for the triangles grow with frequency.
        if min >= -1.1 && max <= 1.1 && span < 2.4 && self.figures.frames >= 4 {
            return Err(self.other("affine", "looks normalised to the range -1 to 1".into()));
        }
        Ok(())
    }

    /// Values that were cut off elsewhere: the lowest one comes again and again.
    fn another_floor(&self) -> Result<Option<Finding>> {
        let floor = self.bounds.low().iter().copied().fold(f64::INFINITY, f64::min);
        if (self.figures.lowest_level - floor).abs() < 0.5 || self.convention.statistics.is_some() {
            return Ok(None);
        }
        // The same sound in every frame repeats its lowest value, but in one band.
        let share = self.figures.at_min as f64 / self.figures.values as f64;
        let is_one_of = |floors: &[f32]| floors.iter().any(|known| (known - self.figures.min).abs() < 2e-4);
        let is_known = is_one_of(&NATURAL_FLOORS) || is_one_of(&OTHER_FLOORS);
        // In 16-bit floats round numbers come by chance.
        if self.figures.bands_at_min >= 3
            && (share >= CUT_OFF_SHARE || is_known && self.figures.at_min >= 3 && !self.figures.is_half)
        {
            let (min, name) = (self.figures.min, &self.convention.name);
            let own = self.convention.stored(0, 0.0);
            let text = format!("is cut off at {min:.3}, {name} at {own:.3}");
            let of_another_log =
                is_one_of(if self.convention.log == LogBase::Natural { &OTHER_FLOORS } else { &NATURAL_FLOORS });
            return if self.looks_like_decibels() {
                Err(self.other("log", text + ", and looks like decibels"))
            } else if self.origin == Origin::Assumed
                || self.figures.lowest_level < floor
                || of_another_log && self.is_plain_log()
            {
                Err(self.other(if of_another_log { "log" } else { "floor" }, text))
            } else {
                Ok(Some(self.finding(Concern::CutOff, text + "; what was cut off is rendered at that level")))
            };
        }
        Ok(None)
    }

    fn refuse_what_cannot_be_held(&self) -> Result<()> {
        let far = self.figures.far_below as f64 / self.figures.values as f64;
        // Band by band, a value in a thousand may be anything that a network guessed.
        if far > 1e-3 || self.figures.deepest > nats::TOO_FAR_BELOW {
            return Err(if self.looks_like_decibels() {
                self.other("log", "looks like decibels".into())
            } else {
                self.other("floor", "goes below the floor".into())
            });
        }
        if self.figures.excess > nats::HEADROOM {
            return Err(self
                .other("log, affine, window_norm or area_norm", "is louder than audio within -1 to 1 can be".into()));
        }
        Ok(())
    }

    /// 40 of any other logarithm would be far more than audio has.
    fn looks_like_decibels(&self) -> bool {
        self.convention.log != LogBase::Decibel && self.figures.max - self.figures.min > 40.0
    }

    /// The refusal: what is seen, what the convention holds, in which field it differs, what to do.
    fn other(&self, field: &str, hint: String) -> Error {
        let c = self.convention;
        let held = |levels: &[f64], pick: fn(f64, f64) -> f64| {
            let stored = levels.iter().enumerate().map(|(m, level)| c.stored(m, (level * c.power).exp()));
            stored.reduce(pick).unwrap_or_default()
        };
        let (low, high) = (held(self.bounds.low(), f64::min), held(self.bounds.high(), f64::max));
        let log = match c.log {
            LogBase::Natural => "natural logarithms",
            LogBase::Ten => "log10",
            LogBase::Decibel => "decibels",
            LogBase::PowerLaw(_) => "powers",
        };
        let log = if self.is_plain_log() { format!(" ({log})") } else { String::new() };
        let found = format!("{hint}, with values from {:.2} to {:.2}", self.figures.min, self.figures.max);
        let expected = format!("{low:.2} to {high:.2}{log} as {} has (its {field})", c.name);
        let fault = Fault::new(self.subject, found).expected(expected);
        Error::Convention(fault.remedy(Remedy::NameConvention))
    }

    fn findings(&self) -> Vec<Finding> {
        let (c, values) = (self.convention, self.figures.values);
        let band_loudest: Vec<f64> = self.figures.loudest.iter().map(|level| f64::from(*level)).collect();
        let loudest = band_loudest.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut findings = Vec::new();
        if self.figures.below > 0 {
            let text = format!(
                "{} of {values} values lie below the floor of {}, the lowest at {:.2}",
                self.figures.below, c.name, self.figures.min
            );
            findings.push(self.finding(Concern::BelowFloor, text));
        }
        if self.figures.above > 0 {
            let text = format!("{} of {values} values are louder than audio within -1 to 1 can be", self.figures.above);
            findings.push(self.finding(Concern::AboveFullScale, text));
        }
        let is_empty = |m: usize| band_loudest[m] < (self.bounds.low()[m] + 1.0).max(loudest - nats::EMPTY);
        let top = (0..band_loudest.len()).rev().find(|m| !is_empty(*m)).unwrap_or(0);
        if top < band_loudest.len() / 2 {
            let text =
                format!("nothing above {:.1} kHz; the sound will be as dull as the mel", upper_edge(c, top) / 1000.0);
            findings.push(self.finding(Concern::BandLimited, text));
        }
        // What fades over half of its range is smooth by itself.
        let is_smooth = self.figures.roughness.is_some_and(|roughness| roughness < nats::SMOOTH);
        if is_smooth && top >= band_loudest.len() / 2 && self.figures.frames >= SHORTEST_WITH_EDGES {
            let text =
                "its bands run into each other, as those of a network's guess do, for which `predicted` is there";
            findings.push(self.finding(Concern::Smooth, text.into()));
        }
        let tone = full_scale_tone(c).ln();
        if loudest < tone - nats::QUIET {
            let text = format!(
                "its loudest value lies {:.0} dB below a full-scale tone",
                (tone - loudest) * 20.0 / 10f64.ln()
            );
            findings.push(self.finding(Concern::Quiet, text));
        }
        let span = loudest - self.figures.lowest_level;
        if span < nats::NARROW && self.figures.frames >= 16 {
            let decibels = span * 20.0 / 10f64.ln();
            let text = format!("its values span only {decibels:.0} dB by {}; log10 mels do, and plain noise", c.name);
            findings.push(self.finding(Concern::NarrowRange, text));
        }
        findings
    }

    fn finding(&self, concern: Concern, text: String) -> Finding {
        Finding { concern, message: format!("{}: {text}", self.subject) }
    }
}

/// How much the stored value of a plain logarithm changes for a factor of e in the magnitude.
fn stored_per_nat(convention: &MelConvention) -> f64 {
    convention.power * convention.log.per_nat()
}

/// Hz, where the highest triangle up to band `m` ends.
fn upper_edge(c: &MelConvention, m: usize) -> f64 {
    edge_hz(c, m + 2)
}

/// [M]: a bound on each band's value, before the logarithm, for any audio within ±1.
///
/// No bin exceeds the window's sum. All bins together hold at most N times the window's energy (Parseval), each of the
/// half-spectrum's twice but for the first and last; by Cauchy and Schwarz a wide band can't have all its bins at that.
pub(super) fn loudest_possible(c: &MelConvention) -> Vec<f64> {
    let (sum, energy) = window(c);
    let bank = Filterbank::new(c);
    let added = c.magnitude_epsilon + c.power_floor;
    (0..c.n_mels)
        .map(|m| {
            let (first, weights) = bank.row(m);
            let once = |i: usize| if [0, c.n_fft / 2].contains(&(first + i)) { 1.0 } else { 0.5 };
            let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
            let by_bins = (sum * sum + added).powf(c.power / 2.0) * total;
            let by_energy = if c.power == 1.0 {
                let squares: f64 = weights.iter().enumerate().map(|(i, w)| f64::from(*w).powi(2) * once(i)).sum();
                (squares * c.n_fft as f64 * energy).sqrt() + added.sqrt() * total
            } else if c.power == 2.0 {
                let widest = weights.iter().enumerate().map(|(i, w)| f64::from(*w) * once(i)).fold(0.0, f64::max);
                widest * c.n_fft as f64 * energy + added * total
            } else {
                f64::INFINITY
            };
            by_bins.min(by_energy)
        })
        .collect()
}

/// The magnitude of a sine of amplitude 1 in its own bin.
fn full_scale_tone(c: &MelConvention) -> f64 {
    window(c).0 / 2.0
}

/// Sum and energy of the periodic Hann window, as the STFT is scaled.
fn window(c: &MelConvention) -> (f64, f64) {
    let (sum, energy) = (c.win_length as f64 / 2.0, c.win_length as f64 * 3.0 / 8.0);
    if c.window_norm { (sum / energy.sqrt(), 1.0) } else { (sum, energy) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::{Affine, Layout, extract};

    const RATE: usize = 24_000;

    /// White noise within ±1, by a linear congruential generator.
    fn noise(n: usize, amplitude: f32) -> Vec<f32> {
        let mut state = 1u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * amplitude
        })
        .take(n)
        .collect()
    }

    fn tone(hz: f64, shape: fn(f64) -> f64) -> Vec<f32> {
        (0..RATE).map(|i| shape(2.0 * std::f64::consts::PI * hz * i as f64 / RATE as f64) as f32).collect()
    }

    fn recording(name: &str) -> Vec<f32> {
        let path = format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut reader = hound::WavReader::open(path).unwrap();
        assert_eq!((reader.spec().sample_rate, reader.spec().bits_per_sample), (24_000, 16));
        reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
    }

    fn recordings() -> Vec<(&'static str, Vec<f32>)> {
        ["speech-en.wav", "speech-synthetic.wav", "music.wav"].map(|name| (name, recording(name))).into()
    }

    fn brown(n: usize) -> Vec<f32> {
        let mut level = 0.0;
        let drift = |x: f32| {
            level = 0.999 * level + 0.03 * x;
            level
        };
        noise(n, 1.0).into_iter().map(drift).collect()
    }

    /// Audio of every kind that a convention must take.
    fn sounds() -> Vec<(&'static str, Vec<f32>)> {
        let click = |n: usize| (0..n).map(|i| if i == n / 2 { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
        let mut all = recordings();
        all.extend([
            ("silence", vec![0.0; RATE]),
            ("constant", vec![1.0; RATE]),
            ("sine", tone(1000.0, f64::sin)),
            ("hop-synchronous sine", tone(93.75 * 8.0, f64::sin)),
            ("square", tone(220.0, |p| p.sin().signum())),
            ("hop-synchronous square", tone(93.75, |p| p.sin().signum())),
            ("full-scale noise", noise(RATE, 1.0)),
            ("random signs", noise(RATE, 1.0).into_iter().map(f32::signum).collect()),
            ("faint noise", noise(RATE, 1e-4)),
            ("noise near the floor", noise(RATE, 1e-6)),
            ("brown noise", brown(RATE)),
            ("faint brown noise", brown(RATE).into_iter().map(|x| x * 0.02).collect()),
            ("click", click(RATE)),
            ("short noise", noise(300, 1.0)),
            ("one sample", vec![1.0]),
            ("noise after silence", [vec![0.0; RATE], noise(RATE, 0.1)].concat()),
            ("impulses", (0..RATE).map(|i| if i % 256 == 0 { 1.0 } else { 0.0 }).collect()),
        ]);
        all
    }

    /// What the field stores, without the name table that other modules have.
    fn conventions() -> Vec<MelConvention> {
        let native = MelConvention::native;
        let affine = |scale, offset, clip| Some(Affine { scale, offset, clip });
        vec![
            native(),
            MelConvention { name: "vocos".into(), floor: 1e-7, ..native() },
            MelConvention { name: "log10".into(), log: LogBase::Ten, floor: 1e-7, ..native() },
            MelConvention { name: "decibels".into(), log: LogBase::Decibel, ..native() },
            MelConvention { name: "powers".into(), power: 2.0, floor: 1e-10, ..native() },
            MelConvention {
                name: "slaney".into(),
                scale: crate::mel::MelScale::Slaney,
                area_norm: true,
                magnitude_epsilon: 1e-9,
                ..native()
            },
            MelConvention {
                name: "0 to 1".into(),
                log: LogBase::Decibel,
                window_norm: true,
                affine: affine(0.01, 0.8, Some([0.0, 1.0])),
                layout: Layout::FramesFirst,
                ..native()
            },
        ]
    }

    #[test]
    fn what_a_convention_gives_for_any_sound_is_taken() {
        for convention in conventions() {
            for (name, audio) in sounds() {
                let mel = extract(&audio, &convention).unwrap();
                if let Err(error) = check(name, &mel, &convention) {
                    panic!("{}: {error}", convention.name);
                }
            }
        }
    }

    #[test]
    fn the_bound_holds_and_is_near() {
        for convention in conventions() {
            let bound = loudest_possible(&convention);
            let linear = MelConvention { affine: None, floor: 1e-30, log: LogBase::Natural, ..convention.clone() };
            let mut slack = f64::INFINITY;
            for (name, audio) in sounds() {
                let mel = extract(&audio, &linear).unwrap();
                for (i, v) in mel.values().iter().enumerate() {
                    let margin = bound[i % 100].ln() - f64::from(*v);
                    assert!(margin > -1e-4, "{name} by {}: band {} exceeds the bound", convention.name, i % 100);
                    slack = slack.min(margin);
                }
            }
            // A constant of 1 reaches the window's sum, which in the lowest band is nearly the bound.
            assert!(slack < 1.0, "{}: the nearest sound is {slack:.2} nats below the bound", convention.name);
        }
    }

    /// The mels of the recordings after `change`, taken for native ones.
    fn refusals(change: impl Fn(&MelSpectrogram) -> MelSpectrogram) -> Vec<(&'static str, String)> {
        let native = MelConvention::native();
        let judge = |(name, audio): (_, Vec<f32>)| {
            let mel = change(&extract(&audio, &native).unwrap());
            match check("x.npy", &mel, &native) {
                Err(Error::Convention(fault)) => (name, fault.to_string()),
                other => panic!("{name}: {other:?}"),
            }
        };
        recordings().into_iter().map(judge).collect()
    }

    fn map(mel: &MelSpectrogram, f: impl Fn(f32) -> f32) -> MelSpectrogram {
        MelSpectrogram::new(mel.values().iter().map(|v| f(*v)).collect(), mel.n_mels())
    }

    fn scaled_to(mel: &MelSpectrogram, low: f32, high: f32) -> MelSpectrogram {
        let (min, max) = mel.values().iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        map(mel, |v| low + (high - low) * (v - min) / (max - min))
    }

    fn all_contain(refusals: Vec<(&'static str, String)>, words: &[&str]) {
        for (name, message) in refusals {
            assert!(words.iter().any(|w| message.contains(w)), "{name}: {message}");
            assert!(message.starts_with("x.npy: ") && message.contains("natural logarithms"), "{message}");
        }
    }

    #[test]
    fn normalised_mels_are_refused() {
        all_contain(refusals(|mel| scaled_to(mel, 0.0, 1.0)), &["normalised to the range 0 to 1"]);
        all_contain(refusals(|mel| scaled_to(mel, -1.0, 1.0)), &["normalised to the range -1 to 1"]);
    }

    #[test]
    fn decibels_are_refused() {
        let decibel = 20.0 / std::f32::consts::LN_10;
        all_contain(refusals(|mel| map(mel, |v| v * decibel)), &["looks like decibels"]);
        // librosa.power_to_db(..., ref=numpy.max, top_db=80)
        let top = |mel: &MelSpectrogram| mel.values().iter().copied().fold(f32::MIN, f32::max);
        let relative = |mel: &MelSpectrogram| map(mel, |v| ((v - top(mel)) * decibel).max(-80.0));
        all_contain(
            refusals(relative),
            &["looks like decibels", "is cut off at -80.000, f5-tts at -11.513, and looks like decibels"],
        );
    }

    #[test]
    fn magnitudes_are_refused() {
        for gain in [1.0, 0.05, 10.0] {
            all_contain(
                refusals(|mel| map(mel, |v| v.exp() * gain)),
                &["magnitudes without a logarithm", "normalised"],
            );
        }
    }

    #[test]
    fn other_floors_are_refused_where_they_show() {
        // A pause of digital silence, as many corpora have.
        let paused = |floor: f64, log: LogBase| {
            let convention = MelConvention { floor, log, ..MelConvention::native() };
            let audio = [recording("speech-en.wav"), vec![0.0; RATE / 4]].concat();
            let mel = extract(&audio, &convention).unwrap();
            check("x.npy", &mel, &MelConvention::native()).unwrap_err().to_string()
        };
        for (floor, log, words) in [
            (1e-7, LogBase::Natural, "is cut off at -16.118, f5-tts at -11.513"),
            (1e-5, LogBase::Ten, "is cut off at -5.000, f5-tts at -11.513"),
            (1e-7, LogBase::Ten, "is cut off at -7.000, f5-tts at -11.513"),
            (1e-10, LogBase::Ten, "is cut off at -10.000"),
        ] {
            let message = paused(floor, log);
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_log10_mel_without_pauses_is_at_least_doubted() {
        let native = MelConvention::native();
        for (name, audio) in recordings() {
            let mel = extract(&audio, &MelConvention { log: LogBase::Ten, ..native.clone() }).unwrap();
            match check("x.npy", &mel, &native) {
                Ok(findings) => {
                    assert!(findings.iter().any(|f| f.concern == Concern::NarrowRange), "{name}: {findings:?}")
                }
                Err(Error::Convention(_)) => {}
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }

    #[test]
    fn audio_that_was_not_scaled_is_refused() {
        let loud: Vec<f32> = recording("speech-en.wav").iter().map(|x| x * 32_768.0).collect();
        let native = MelConvention::native();
        let message = check("x.npy", &extract(&loud, &native).unwrap(), &native).unwrap_err().to_string();
        assert!(message.contains("louder than audio within -1 to 1 can be"), "{message}");
    }

    fn concerns(audio: &[f32]) -> Vec<Concern> {
        let native = MelConvention::native();
        let findings = check("x.npy", &extract(audio, &native).unwrap(), &native).unwrap();
        findings.iter().for_each(|f| assert!(f.message.starts_with("x.npy: ")));
        findings.into_iter().map(|f| f.concern).collect()
    }

    #[test]
    fn oddities_are_found_and_recordings_have_none() {
        for (name, audio) in recordings() {
            assert_eq!(concerns(&audio), [], "{name}");
        }
        assert_eq!(concerns(&[0.0; 10_000]), [Concern::Silent]);
        let whisper: Vec<f32> = recording("speech-en.wav").iter().map(|x| x * 0.003).collect();
        assert_eq!(concerns(&whisper), [Concern::Quiet]);
        assert_eq!(concerns(&tone(500.0, f64::sin)), [Concern::BandLimited]);
        assert_eq!(concerns(&noise(RATE, 2.0)), [Concern::NarrowRange]);
    }

    #[test]
    fn bands_that_run_into_each_other_are_found() {
        let native = MelConvention::native();
        for (name, audio) in recordings() {
            let mel = extract(&audio, &native).unwrap();
            let mean = |frame: &[f32], m: usize| {
                let near = &frame[m.saturating_sub(1)..(m + 2).min(frame.len())];
                near.iter().sum::<f32>() / near.len() as f32
            };
            // Frames as well: each is the mean of itself and the next.
            let frame = |t: usize| (0..100).map(|m| mean(mel.frame(t), m)).collect::<Vec<f32>>();
            let frames: Vec<Vec<f32>> = (0..mel.frames()).map(frame).collect();
            let pairs = frames.windows(2).flat_map(|two| two[0].iter().zip(&two[1]).map(|(a, b)| 0.5 * (a + b)));
            let findings = check("x.npy", &MelSpectrogram::new(pairs.collect(), 100), &native).unwrap();
            assert!(findings.iter().any(|f| f.concern == Concern::Smooth), "{name}: {findings:?}");
        }
    }

    #[test]
    fn a_batchs_padding_is_found() {
        let native = MelConvention::native();
        let mut values = extract(&recording("speech-en.wav"), &native).unwrap().into_values();
        values.extend([0.0; 500]);
        let findings = check("x.npy", &MelSpectrogram::new(values, 100), &native).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.contains("the last 5 of "), "{}", findings[0]);
        assert!(findings[0].message.ends_with("are 0 throughout; padding, rendered as silence"), "{}", findings[0]);
    }

    #[test]
    fn an_end_that_stands_still_is_said() {
        let native = MelConvention::native();
        let speech = extract(&recording("speech-en.wav"), &native).unwrap();
        let ended = |with: &[f32], times: usize| {
            let values = [speech.slice(0..100).values(), &with.repeat(times)].concat();
            check("x.npy", &MelSpectrogram::new(values, 100), &native).unwrap()
        };
        // np.pad(mel, ((0, 0), (0, 9)), mode="edge")
        let findings = ended(speech.frame(99), 9);
        assert_eq!(findings.iter().map(|finding| finding.concern).collect::<Vec<_>>(), [Concern::StandsStill]);
        assert!(
            findings[0].message.starts_with("x.npy: the last 10 of 109 frames are one and the same"),
            "{}",
            findings[0]
        );
        // Digital silence does repeat itself.
        assert_eq!(ended(&[native.stored(0, 0.0) as f32; 100], 50), []);
    }

    #[test]
    fn a_networks_guesses_may_miss_the_floor() {
        let native = MelConvention::native();
        let guess = map(&extract(&[0.0; 50_000], &native).unwrap(), |v| v);
        let wobble = noise(guess.values().len(), 1.0);
        let values: Vec<f32> = guess.values().iter().zip(wobble).map(|(v, w)| v + w).collect();
        let findings = check("x.npy", &MelSpectrogram::new(values, 100), &native).unwrap();
        assert!(findings.iter().any(|f| f.concern == Concern::BelowFloor), "{findings:?}");
    }

    #[test]
    fn what_is_impossible_everywhere_is_refused() {
        let native = MelConvention::native();
        let message = |values: Vec<f32>, n_mels| {
            check("x.npy", &MelSpectrogram::new(values, n_mels), &native).unwrap_err().to_string()
        };
        assert!(message(vec![-3.0; 160], 80).starts_with("x.npy: 80 bands, expected 100 by the convention f5-tts"));
        assert!(message(vec![], 100).contains("holds no frame"));
        assert!(message(vec![-3.0; 700], 100).contains("is -3 everywhere, which no audio gives"));
        let mut values = vec![-3.0; 700];
        values[203] = f32::NAN;
        assert!(message(values, 100).contains("band 3 in frame 2 is NaN"));
    }
}
