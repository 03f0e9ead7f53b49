//! Training of the part that knows mels of other conventions ([`Refiner`]): a recording's mel by a convention drawn at random,
//! converted to the model's, is to become what the model's own convention makes of the same recording.
//!
//! Most of the conventions are presets; the others have rates, windows, hops, banks and floors as no program has them
//! yet, so that a user's own convention is nothing new. Half of the windows are made much quieter: silence has to stay silence.
//! Some mels are made as an acoustic model would have written them, the model's own convention's among them: there the
//! recording's is to be found again.

use super::{objective::Objective, predicted::predicted, windows::uniform};
use crate::{
    Error, Result,
    dsp::resample::resample,
    mel::{
        Framing, MelConvention, MelScale, MelSpectrogram, convert::Conversion, extract, filterbank::edge_hz, presets,
        refinement::Refinement,
    },
    model::Refiner,
};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

/// Decibels by which a window is made quieter at most.
const QUIETER: f64 = 43.0;

/// The loudness of a sound grows with its magnitude to about this power (Stevens 1955): so much more is an error of a nat heard
/// in what is loud.
const LOUDNESS: f64 = 0.45;

/// Weight of an error in what is far quieter than the window's loudest band, beside one there.
const LEAST: f64 = 0.2;

/// Hz and weight of the lowest bands, where voices have their fundamentals, and of the high ones.
const LOW: (f64, f32) = (300.0, 3.0);
const HIGH: (f64, f32) = (4_600.0, 0.5);

/// Weight of an error above the bands that were given, beside one in them: what is there is a guess at best.
const INVENTED: f32 = 0.5;

/// Bands at the top by whose loudest value, in nats above silence, a recording is known to reach so far.
const TOP: (usize, f32) = (6, 1.5);

/// Share of the mels that are of the model's own convention, and of these and of the others those that an acoustic model might
/// have written.
const NATIVE: f64 = 0.2;
const PREDICTED: (f64, f64) = (0.6, 0.25);

/// Share of the other conventions drawn that are presets.
const PRESETS: f64 = 0.65;

/// Of conventions that end below this share of the model's own range, so many are learned from as chance has it: few will be
/// rendered by a model that reaches so much further.
const NARROW: f64 = 0.55;
const NARROW_KEPT: f64 = 0.15;

/// One window of a recording in both conventions.
pub struct ConversionPair {
    /// [T, W]: what the network is told.
    rows: Vec<f32>,
    /// [T, M]: the mel that was converted, and the model's own.
    converted: Vec<f32>,
    wanted: Vec<f32>,
    /// [M]: 1 for the bands that were given, [`INVENTED`] for those above them, 0 where the recording has nothing there either.
    weights: Vec<f32>,
}

impl ConversionPair {
    /// `audio` `[n]` at the model's rate, n a multiple of the hop of `native`; T = n / hop. Convention and loudness are `random`.
    ///
    /// # Errors
    /// Those of resampling and conversion, which no convention drawn here meets.
    pub fn draw(audio: &[f32], native: &MelConvention, random: &mut ChaCha8Rng) -> Result<Self> {
        let conversion = match uniform(random) < NATIVE {
            true => Conversion::new(native, native)?,
            false => conversion(random, native),
        };
        let quieter = if uniform(random) < 0.5 { uniform(random) * QUIETER } else { 0.0 };
        let gain = 10f64.powf(-quieter / 20.0) as f32;
        let audio: Vec<f32> = audio.iter().map(|x| x * gain).collect();
        let share = if conversion.is_identity() { PREDICTED.0 } else { PREDICTED.1 };
        match uniform(random) < share {
            true => Self::of(&audio, &conversion, |mel| predicted(&mel, conversion.from(), random)),
            false => Self::of(&audio, &conversion, |mel| mel),
        }
    }

    /// `written`: what became of the recording's mel before it was given.
    fn of(
        audio: &[f32],
        conversion: &Conversion,
        written: impl FnOnce(MelSpectrogram) -> MelSpectrogram,
    ) -> Result<Self> {
        let (convention, native) = (conversion.from(), conversion.to());
        let refinement = Refinement::new(conversion);
        let given = written(extract(&resample(audio, native.sample_rate, convention.sample_rate)?, convention)?);
        let heard = (0..given.frames()).map(|t| conversion.heard(given.frame(t)));
        let (spectra, mels): (Vec<Vec<f32>>, Vec<Vec<f32>>) = heard.unzip();
        // Where the conversion begins before the recording, so does the model's mel.
        let mut led = vec![0.0; conversion.lead()];
        led.extend(audio);
        let frames = audio.len() / native.hop;
        let own = extract(&led, native)?;
        let (mut rows, mut converted, mut wanted) = (vec![], vec![], vec![]);
        for j in 0..frames {
            let (spectrum, mel) = (|t: usize| &spectra[t][..], |t: usize| &mels[t][..]);
            converted.extend(refinement.convert(conversion, j, mels.len(), spectrum, mel, &mut rows));
            wanted.extend(own.frame(j));
        }
        let invented = if reaches_the_top(&own, frames, native) { INVENTED } else { 0.0 };
        let weights = (0..native.n_mels).map(|m| if m < refinement.open() { 1.0 } else { invented }).collect();
        Ok(Self { rows, converted, wanted, weights })
    }
}

/// Whether the first `frames` of `mel` have anything in the highest bands.
fn reaches_the_top(mel: &MelSpectrogram, frames: usize, native: &MelConvention) -> bool {
    let (bands, silence) = (mel.n_mels(), native.stored(0, 0.0) as f32);
    let is_there = |t: usize| mel.frame(t)[bands - TOP.0..].iter().all(|v| *v > silence + TOP.1);
    (0..frames).any(is_there)
}

/// From a convention that the model hears at its own rate: those that it hears slower have windows as long as its own then.
fn conversion(random: &mut ChaCha8Rng, native: &MelConvention) -> Conversion {
    loop {
        let convention = convention(random);
        if convention.f_max < NARROW * native.f_max && uniform(random) > NARROW_KEPT {
            continue;
        }
        match Conversion::new(&convention, native) {
            Ok(conversion) if conversion.clock() == native.sample_rate => return conversion,
            _ => {}
        }
    }
}

/// A convention of the field, or one that nobody has.
fn convention(random: &mut ChaCha8Rng) -> MelConvention {
    if uniform(random) < PRESETS {
        return pick(random, presets::all()).convention.clone();
    }
    let sample_rate = *pick(random, &[16_000, 16_000, 22_050, 22_050, 24_000, 24_000, 44_100, 48_000]);
    let rate = f64::from(sample_rate);
    let window_s = between(random, 0.034, 0.1);
    let win_length = (window_s * rate) as usize / 2 * 2;
    let hop_s = between(random, 0.0053, 0.021).min(0.5 * window_s);
    let n_fft = if uniform(random) < 0.5 { win_length } else { win_length.next_power_of_two() };
    let f_max = *pick(random, &[7_600.0f64, 7_600.0, 8_000.0, 8_000.0, 11_025.0, 12_000.0, 16_000.0, 24_000.0]);
    MelConvention {
        name: "drawn".into(),
        sample_rate,
        n_fft,
        win_length,
        hop: (hop_s * rate) as usize,
        n_mels: *pick(random, &[64, 80, 80, 80, 80, 100, 128, 128]),
        f_min: *pick(random, &[0.0, 0.0, 0.0, 20.0, 30.0, 40.0, 50.0, 80.0, 80.0, 125.0]),
        f_max: f_max.min(rate / 2.0),
        scale: *pick(random, &[MelScale::Htk, MelScale::Slaney, MelScale::Slaney, MelScale::HtkMelTriangles]),
        area_norm: true,
        power: *pick(random, &[1.0, 1.0, 2.0]),
        floor: *pick(random, &[1e-5, 1e-7, 1e-10]),
        framing: *pick(random, &[Framing::Centred, Framing::HalfHop]),
        ..MelConvention::native()
    }
}

fn pick<'a, T>(random: &mut ChaCha8Rng, among: &'a [T]) -> &'a T {
    &among[((uniform(random) * among.len() as f64) as usize).min(among.len() - 1)]
}

/// Evenly in the logarithm.
fn between(random: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low * (high / low).powf(uniform(random))
}

impl Objective {
    /// The mean error of the refined mels, nats, weighted as it is heard.
    ///
    /// # Panics
    /// If there is no pair, or they are of different lengths.
    pub fn conversion(&self, refiner: &Refiner, pairs: &[ConversionPair]) -> Tensor {
        let joined = |part: fn(&ConversionPair) -> &[f32], width: i64| {
            let all: Vec<f32> = pairs.iter().flat_map(part).copied().collect();
            Tensor::from_slice(&all).view([pairs.len() as i64, -1, width]).to_device(self.device())
        };
        let native = self.native();
        let (width, bands) = (Refinement::width(native.n_mels) as i64, native.n_mels as i64);
        let wanted = joined(|pair| &pair.wanted, bands);
        let correction = refiner.forward(&joined(|pair| &pair.rows, width), self.kind());
        let refined = joined(|pair| &pair.converted, bands) + correction;
        let loudest = wanted.amax([1i64, 2].as_slice(), true);
        let loudness = ((&wanted - loudest) * LOUDNESS).exp() + LEAST;
        let of_band = |m: usize| match edge_hz(native, m + 1) {
            centre if centre < LOW.0 => LOW.1,
            centre if centre > HIGH.0 => HIGH.1,
            _ => 1.0,
        };
        let weights: Vec<f32> = (0..native.n_mels).map(of_band).collect();
        let error = (refined.clamp_min(native.stored(0, 0.0)) - wanted).abs();
        let weights = Tensor::from_slice(&weights).to_device(self.device()) * joined(|pair| &pair.weights, bands);
        (error * loudness * weights).mean(Kind::Float)
    }
}

/// The refiner of a network in its training.
///
/// # Errors
/// [`Error::Model`] where it has none.
pub(super) fn refiner(network: &crate::model::VocoderNetwork) -> Result<&Refiner> {
    let missing = || Error::Model(crate::Fault::new("the model in training", "has no refiner of other mels"));
    network.refiner.as_ref().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::windows::generator;

    #[test]
    fn every_convention_that_is_drawn_can_be_learned_from() {
        let native = MelConvention::native();
        let audio: Vec<f32> = (0..16_384).map(|i| ((i * i) as f32 * 1e-4).sin() * 0.3).collect();
        for item in 0..60 {
            let random = &mut generator(3, 1, item);
            let pair = ConversionPair::draw(&audio, &native, random).unwrap();
            assert_eq!(pair.rows.len(), 64 * Refinement::width(100), "{item}");
            assert_eq!((pair.converted.len(), pair.wanted.len()), (6400, 6400), "{item}");
            assert!(pair.rows.iter().chain(&pair.converted).all(|x| x.is_finite()), "{item}");
        }
    }

    #[test]
    fn a_mel_of_the_models_own_convention_has_nothing_to_be_learned() {
        let native = MelConvention::native();
        let audio: Vec<f32> = (0..16_384).map(|i| ((i * i) as f32 * 1e-4).sin() * 0.3).collect();
        let pair = ConversionPair::of(&audio, &Conversion::new(&native, &native).unwrap(), |mel| mel).unwrap();
        let apart = pair.converted.iter().zip(&pair.wanted).map(|(a, b)| (a - b).abs());
        assert_eq!(apart.fold(0.0, f32::max), 0.0);
    }
}
