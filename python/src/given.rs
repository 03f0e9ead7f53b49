//! From arrays to mels of a known convention.

use crate::{background::in_background, convention::Convention, exception::no_such};
use audiodiff::{
    Error, Fault, Result,
    mel::{KnownMel, Layout, MelConvention, MelSpectrogram, Said, file::array_in_memory, interpret},
    source::WholeMel,
};
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;

/// An array of Python's, copied, so that it may change while it is rendered.
pub struct Given {
    /// Names it in messages.
    pub subject: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Given {
    pub fn new(subject: String, array: &PyReadonlyArrayDyn<f32>) -> Self {
        Self { subject, shape: array.shape().to_vec(), values: array.as_array().iter().copied().collect() }
    }
}

/// What the caller says of mels.
pub struct Statement<'a> {
    pub convention: Option<&'a MelConvention>,
    pub layout: Option<Layout>,
    /// The first axis is left and right.
    pub stereo: bool,
}

/// A mel of a known convention, of one channel or of two.
pub struct Known {
    pub mel: MelSpectrogram,
    pub channels: usize,
    pub convention: MelConvention,
    /// What was assumed, a sentence each.
    pub notes: Vec<String>,
}

impl Known {
    pub fn new(given: Given, statement: &Statement) -> Result<Self> {
        let Given { subject, shape, values } = given;
        let &Statement { convention, layout, stereo } = statement;
        let said = Said { convention, layout, recording: None };
        if !stereo {
            let KnownMel { mel, convention, notes, .. } =
                interpret(&subject, array_in_memory(&subject, shape, values), &said)?;
            return Ok(Self { mel: mel.whole()?, channels: 1, convention, notes });
        }
        let [2, rows, columns] = shape[..] else {
            let fault = Fault::new(subject, format!("shape {shape:?}"));
            return Err(Error::Mel(fault.expected("[2, M, T] with stereo=True: left and right")));
        };
        let (left, right) = values.split_at(rows * columns);
        let channel = |name: &str, values: &[f32], said: &Said| {
            let subject = format!("{subject}, {name}");
            interpret(&subject, array_in_memory(&subject, vec![rows, columns], values.to_vec()), said)
        };
        let left = channel("left", left, &said)?;
        // What one is, the other is.
        let said = Said { convention: Some(&left.convention), layout: Some(left.layout), ..said };
        let right = channel("right", right, &said)?;
        let mel = MelSpectrogram::side_by_side(&[left.mel.whole()?, right.mel.whole()?]);
        let notes = left.notes.into_iter().chain(right.notes).collect();
        Ok(Self { mel, channels: 2, convention: left.convention, notes })
    }

    /// Audio samples that it stands for, at its convention's rate.
    pub fn samples(&self) -> u64 {
        self.convention.samples(self.mel.frames()) as u64
    }

    pub fn source(self) -> WholeMel {
        WholeMel::new(self.mel).of_channels(self.channels)
    }
}

/// `None` for "auto".
pub fn layout(name: &str) -> Result<Option<Layout>> {
    match name {
        "auto" => Ok(None),
        "bands_first" | "bands-first" => Ok(Some(Layout::BandsFirst)),
        "frames_first" | "frames-first" => Ok(Some(Layout::FramesFirst)),
        _ => Err(no_such("layout", name, "\"auto\", \"bands_first\" or \"frames_first\"")),
    }
}

/// The convention of a mel, proved by its numbers, and what was assumed.
#[pyfunction]
pub fn recognise(
    py: Python,
    mel: PyReadonlyArrayDyn<f32>,
    axes: &str,
    stereo: bool,
) -> PyResult<(Convention, Vec<String>)> {
    let given = Given::new("the mel".into(), &mel);
    in_background(py, |_| {
        let known = Known::new(given, &Statement { convention: None, layout: layout(axes)?, stereo })?;
        Ok((Convention(known.convention), known.notes))
    })
}
