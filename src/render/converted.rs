//! Renders mels of other conventions than the model's.
//!
//! The given mel is converted to the model's ([`Conversion`]), refined by the network where it has learned to, rendered,
//! brought to the rate that the mel was made at, and then projected on the mel **that was given**. So
//! the result agrees with the user's mel and not with our conversion. What the bands leave open is the model's; bins that no
//! band covers are emptied. Bands above what the model can hear start from noise.
//!
//! A mel that a network predicted is not projected on: what the network has blurred would be blurred again.
//!
//! All of it runs chunk by chunk, in windows with emitted past and look-ahead like the model's, so memory is flat.

use super::{
    converted_source::{ConvertedSource, Given},
    given_mel::GivenMelPlan,
    projected::{Iterations, Projected},
};
use crate::{
    Error, Fault, Remedy, Result, Setting,
    mel::{
        MelConvention, MelSpectrogram,
        convert::{Conversion, mapped},
    },
    source::{MelSource, WholeMel},
    vocoder::{MelRefiner, Refining, RenderOptions, Rendering, Vocoder},
};
use std::sync::{Arc, Mutex};

/// A whole mel of `convention` as `vocoder` is given it: `[T, M]` -> `[T', M']`.
///
/// # Errors
/// [`Error::Convention`](crate::Error::Convention) where the model cannot hear it.
pub fn model_mel(
    vocoder: Arc<dyn Vocoder>,
    mel: &MelSpectrogram,
    convention: &MelConvention,
) -> Result<MelSpectrogram> {
    let own = &vocoder.card().mel;
    if let Some(mel) = mapped(mel, convention, own) {
        return Ok(mel);
    }
    let conversion = Conversion::new(convention, own)?;
    let frames = conversion.model_frames(mel.frames());
    let source = Box::new(WholeMel::new(mel.clone()));
    ConvertedSource::new(vocoder, source, conversion, Arc::default(), false).read(frames)
}

/// `source` gives the stored numbers of `convention`; a chunk counts the model's frames, and the projection takes each as it comes.
/// The mel is rendered as if the source began its file, whatever `options.start` says.
///
/// # Errors
/// [`Error::Settings`](crate::Error::Settings) or [`Error::Convention`](crate::Error::Convention) where one is impossible.
pub fn converted(
    vocoder: Arc<dyn Vocoder>,
    source: Box<dyn MelSource>,
    convention: &MelConvention,
    options: &RenderOptions,
) -> Result<Projected> {
    let conversion = Conversion::new(convention, &vocoder.card().mel)?;
    let (clock, lead) = (conversion.clock(), conversion.lead());
    check_learned(vocoder.as_ref(), options.refining)?;
    let given = Arc::<Mutex<Given>>::default();
    let source = ConvertedSource::new(vocoder.clone(), source, conversion, given.clone(), options.refining.extend);
    let options = RenderOptions { start: 0, ..options.clone() };
    let rendering = vocoder.clone().render(Box::new(source), &options)?;
    let plan = GivenMelPlan::new(convention, Some(clock), options.seed);
    let plan = if options.refining.extend { plan.extended() } else { plan };
    let plan = if options.refining.predicted { plan.restored() } else { plan };
    let iterations = match options.refining.predicted && !plan.has_unheard() {
        // One pass empties what no band covers.
        true => Iterations::Exactly(0),
        false => Iterations::OfEffort(vocoder.projection_iterations(options.effort(vocoder.card()))),
    };
    Projected::new(vocoder, rendering, given, plan, (clock, lead), iterations)
}

/// `source` gives mels of the model's own convention that a network predicted.
///
/// # Errors
/// [`Error::Settings`] where the model has not learned that, and those of the rendering.
pub fn restored(
    vocoder: Arc<dyn Vocoder>,
    source: Box<dyn MelSource>,
    options: &RenderOptions,
) -> Result<Box<dyn Rendering>> {
    let own = &vocoder.card().mel;
    let conversion = Conversion::new(own, own)?;
    check_learned(vocoder.as_ref(), Refining { extend: false, ..options.refining })?;
    let source = ConvertedSource::new(vocoder.clone(), source, conversion, Arc::default(), false);
    vocoder.render(Box::new(source), options)
}

/// [`Error::Settings`] for what the model has not learned.
fn check_learned(vocoder: &dyn Vocoder, refining: Refining) -> Result<()> {
    let missing = |setting: Setting, what: &str| {
        let fault = Fault::new(setting, format!("{} has not learned {what}", vocoder.subject()));
        Err(Error::Settings(fault.remedy(Remedy::LeaveOut(setting))))
    };
    if refining.extend && !vocoder.refiner().is_some_and(MelRefiner::extends) {
        return missing(Setting::Extend, "what lies above a mel");
    }
    if refining.predicted && !vocoder.refiner().is_some_and(MelRefiner::restores) {
        return missing(Setting::Predicted, "what networks blur");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audio,
        card::Effort,
        mel::{self, convert::REACH, presets},
        model::GriffinLim,
    };
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn speech(rate: u32) -> Vec<f32> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/speech-synthetic.wav");
        audio::read_at(&path, rate).unwrap().samples
    }

    fn quickly(source: Box<dyn MelSource>, c: &MelConvention, chunk: Option<usize>) -> Projected {
        let effort = Some(Effort::new([("final_iterations", 16)]));
        let options = RenderOptions { effort, chunk, ..RenderOptions::default() };
        converted(Arc::new(GriffinLim::new(1).unwrap()), source, c, &options).unwrap()
    }

    fn all(mut rendering: Projected) -> Vec<f32> {
        let mut audio = vec![];
        while let Some(sound) = rendering.next().unwrap() {
            audio.extend(sound.into_mono());
        }
        audio
    }

    /// A source that gives no more than `at_once` frames a call.
    struct Slowly(WholeMel, usize);

    impl MelSource for Slowly {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            self.0.read(frames.min(self.1))
        }
    }

    fn render(mel: &MelSpectrogram, c: &MelConvention, at_once: usize) -> Vec<f32> {
        all(quickly(Box::new(Slowly(WholeMel::new(mel.clone()), at_once)), c, None))
    }

    #[test]
    fn the_length_is_the_conventions_own_and_the_mel_is_the_given_one() {
        for name in ["hifigan-22k", "tacotron2", "bigvgan-44k-128-256x", "wavegrad-24k", "bigvgan-24k-100", "magenta"] {
            let c = presets::named(name).unwrap();
            let mel = mel::extract(&speech(c.sample_rate), c).unwrap();
            let audio = render(&mel, c, usize::MAX);
            assert_eq!(audio.len(), c.samples(mel.frames()), "{name}");
            assert!(audio.iter().all(|v| v.is_finite()), "{name}");
            let again = mel::extract(&audio, c).unwrap();
            let count = mel.values().len().min(again.values().len());
            let pairs = mel.values().iter().zip(again.values());
            let error = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / count as f64;
            let nats = error / c.stored_slope().abs();
            println!("{name}: {nats:.3} nats");
            // Griffin-Lim alone leaves 0.1 on its own grid; a mel read by a wrong convention is several nats away.
            assert!(nats < 0.35, "{name}: {nats}");
        }
    }

    #[test]
    fn how_the_source_gives_its_frames_changes_no_sample() {
        let c = presets::named("hifigan-22k").unwrap();
        let mel = mel::extract(&speech(c.sample_rate), c).unwrap();
        let whole = render(&mel, c, usize::MAX);
        assert!(whole == render(&mel, c, 7));
    }

    /// A source that counts what was taken.
    struct Counted(WholeMel, Arc<AtomicUsize>);

    impl MelSource for Counted {
        fn read(&mut self, frames: usize) -> Result<MelSpectrogram> {
            let mel = self.0.read(frames)?;
            self.1.fetch_add(mel.frames(), Ordering::Relaxed);
            Ok(mel)
        }
    }

    #[test]
    fn sound_waits_for_a_chunk_and_what_is_looked_ahead_at_and_no_longer() {
        let c = presets::named("hifigan-22k").unwrap();
        let mel = mel::extract(&speech(c.sample_rate).repeat(4), c).unwrap();
        let (chunk, ahead) = (48, 12);
        let taken = Arc::<AtomicUsize>::default();
        let mut rendering = quickly(Box::new(Counted(WholeMel::new(mel), taken.clone())), c, Some(chunk));
        let model_frames = (chunk + ahead) as f64 * 256.0 / 24_000.0;
        let context = rendering.context();
        // And some for the fade, for frames that lie half inside, and for the delay of the resampler; a piece more would be 44.
        let longest = model_frames * f64::from(c.sample_rate) / c.hop as f64 + (context + REACH + 10) as f64;
        let (mut emitted, mut most) = (0, 0.0f64);
        while let Some(piece) = rendering.next().unwrap() {
            // The oldest sample of the piece waited longest.
            most = most.max(taken.load(Ordering::Relaxed) as f64 - emitted as f64 / c.hop as f64);
            emitted += piece.len();
        }
        println!("{most:.1} frames, at most {longest:.1}");
        assert!(most <= longest, "{most} frames, {longest} expected");
    }

    #[test]
    fn nothing_gives_nothing() {
        let c = presets::named("hifigan-22k").unwrap();
        assert!(render(&MelSpectrogram::new(vec![], 80), c, 1).is_empty());
    }
}
