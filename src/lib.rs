//! audiodiff: a diffusion vocoder. Mel spectrograms become waveforms, in files, on pipes, or live.
//!
//! # The pieces, in order of use
//!
//! - [`mel`]: a [`mel::MelSpectrogram`], from a file ([`mel::file`]) or from audio ([`mel::extract()`]), and the
//!   [`mel::MelConvention`] that says what its numbers mean
//! - [`families`]: a [`vocoder::Vocoder`], the built-in one or a file, with its [`card`]
//! - [`source`]: where the mel's frames come from, piece by piece
//! - [`render`]: the [`render::Renderer`], an iterator over pieces of [`sound`], for any model and convention
//! - [`model`], [`diffusion`]: the diffusion family, and the baseline without a network
//! - [`audio`]: readers, resampling, levels, WAV files and pipes; [`measure`]: what a recording is like
//! - [`batch`]: many items, remembered in a manifest; [`live`]: what is played while it is rendered
//! - [`eval`]: how good a rendering is
//! - [`data`]: recordings as training data: what is wrong with them, augmentation; [`train`]
//! - [`report`]: what was found, as a page that stands alone
//! - [`inspect`]: the diffusion step by step, models number by number
//! - `dsp`: transforms that know nothing of mels or models
//!
//! Each knows those before it in this order, which `tests/layers.rs` holds: dsp, sound, mel, audio, measure, source, card, vocoder,
//! diffusion, model, families, render, batch, live, eval, data, train, report, inspect.
//!
//! # Letters and units
//!
//! | letter | counts |
//! |---|---|
//! | B | batch |
//! | n | audio samples |
//! | T, T' | mel frames, denoiser frames |
//! | F, K | bins of the mel's STFT, bins of the denoiser's |
//! | M | mel bands |
//! | C | channels |
//!
//! Slices are frame-major: `[T, M]` is frame after frame. Waveforms are `f32`, mono, full scale at ±1. Rates are in Hz, lengths in
//! audio samples; other units are in the name (`_s`, `_ms`, `_frames`, `_db`). The path's time t runs from 0 (noise) to 1 (clean).
//!
//! # Example
//!
//! ```
//! use audiodiff::{families, mel::{MelSpectrogram, presets}, model::{Builtin, RuntimeOptions}, render::Renderer};
//! use audiodiff::{source::WholeMel, vocoder::RenderOptions};
//!
//! let vocoder = families::builtin(Builtin::Default, &RuntimeOptions::default())?;
//! let convention = presets::named("f5-tts")?;
//! let silence = MelSpectrogram::new(vec![1e-5f32.ln(); 100 * 30], 100); // 30 frames
//! let source = Box::new(WholeMel::new(silence));
//! let mut samples = 0;
//! for sound in Renderer::new(vocoder, source, convention, &RenderOptions::default())? {
//!     samples += sound?.len();
//! }
//! assert_eq!(samples, convention.samples(30)); // 29 hops of 256
//! # Ok::<(), audiodiff::Error>(())
//! ```

pub mod audio;
pub mod batch;
pub mod card;
#[cfg(feature = "lab")]
pub mod data;
pub mod diffusion;
// For benches and parity tests.
#[doc(hidden)]
pub mod dsp;
pub mod error;
#[cfg(feature = "lab")]
pub mod eval;
pub mod families;
#[cfg(feature = "lab")]
pub mod inspect;
pub mod json_lines;
pub mod live;
pub mod measure;
pub mod mel;
pub mod model;
pub mod number_range;
pub mod output;
pub mod path_text;
pub mod printable;
pub mod render;
#[cfg(feature = "lab")]
pub mod report;
pub mod scratch;
pub mod setting;
pub mod sound;
pub mod source;
#[cfg(feature = "lab")]
pub mod train;
pub mod vocoder;
pub mod whole_file;

pub use error::{Error, Fault, Remedy, Result};
pub use setting::Setting;
