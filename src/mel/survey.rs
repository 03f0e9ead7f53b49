//! What a mel's frames are beside each other, whatever its convention's levels: padding, and an end that stands still.

use super::{
    bounds::{Bounds, Run},
    check::nats,
};

/// Of a whole mel.
#[derive(Debug, PartialEq)]
pub(super) struct Survey {
    /// Frames that no sound can make.
    pub padding: Vec<Run>,
    /// How many frames at the end are like the last one, where that is neither silence nor padding that is known as such. A mel
    /// that is one frame throughout was made so, and has none.
    pub alike_at_the_end: usize,
}

/// A survey on its way, frame by frame.
pub(super) struct Surveyor<'a> {
    bounds: &'a Bounds,
    /// Of frames that hold one number, and the lowest of all others.
    runs: Vec<Run>,
    lowest: Option<f32>,
    /// The last frame, and how many there were of it one after the other.
    last: Vec<f32>,
    alike: usize,
    frames: usize,
}

impl<'a> Surveyor<'a> {
    pub fn new(bounds: &'a Bounds) -> Self {
        Self { bounds, runs: vec![], lowest: None, last: vec![], alike: 0, frames: 0 }
    }

    pub fn add(&mut self, frame: &[f32]) {
        let t = self.frames;
        self.frames += 1;
        if !self.bounds.is_padding(frame) {
            self.lowest = Some(frame.iter().copied().fold(self.lowest.unwrap_or(f32::INFINITY), f32::min));
        } else if let Some(run) = self.runs.last_mut().filter(|run| run.frames.end == t && run.value == frame[0]) {
            run.frames.end = t + 1;
        } else {
            self.runs.push(Run { frames: t..t + 1, value: frame[0] });
        }
        if frame == self.last {
            self.alike += 1;
        } else {
            self.last.clear();
            self.last.extend_from_slice(frame);
            self.alike = 1;
        }
    }

    pub fn finish(self) -> Survey {
        let Self { bounds, runs, lowest, last, alike, frames } = self;
        let is_at_floor =
            |(m, &stored): (usize, &f32)| (bounds.level(m, stored) - bounds.low()[m]).abs() <= nats::NEAR_FLOOR;
        let explained = last.iter().enumerate().all(is_at_floor) || bounds.is_padding(&last) || alike == frames;
        Survey { padding: bounds.padding(runs, lowest), alike_at_the_end: if explained { 0 } else { alike } }
    }
}
