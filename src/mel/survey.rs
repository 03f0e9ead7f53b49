//! What a mel's frames are beside each other, whatever its convention's levels: padding, and an end that stands still.

use super::{
    bounds::{Bounds, Run},
    check::nats,
    held::Frames,
};
use crate::Result;

/// Of a whole mel.
#[derive(Debug, PartialEq)]
pub(super) struct Survey {
    /// Frames that no sound can make.
    pub padding: Vec<Run>,
    /// How many frames at the end are like the last one, where that is neither silence nor padding that is known as such. A mel
    /// that is one frame throughout was made so, and has none.
    pub alike_at_the_end: usize,
}

impl Survey {
    /// # Errors
    /// Those of reading.
    pub fn of(mel: &dyn Frames, bounds: &Bounds) -> Result<Self> {
        let (mut runs, mut lowest) = (Vec::<Run>::new(), None::<f32>);
        let (mut last, mut alike) = (vec![], 0);
        for block in mel.blocks() {
            let (first, block) = block?;
            for t in first..first + block.frames() {
                let frame = block.frame(t - first);
                if !bounds.is_padding(frame) {
                    lowest = Some(frame.iter().copied().fold(lowest.unwrap_or(f32::INFINITY), f32::min));
                } else if let Some(run) = runs.last_mut().filter(|run| run.frames.end == t && run.value == frame[0]) {
                    run.frames.end = t + 1;
                } else {
                    runs.push(Run { frames: t..t + 1, value: frame[0] });
                }
                if frame == last {
                    alike += 1;
                } else {
                    (last, alike) = (frame.to_vec(), 1);
                }
            }
        }
        let is_at_floor =
            |(m, &stored): (usize, &f32)| (bounds.level(m, stored) - bounds.low()[m]).abs() <= nats::NEAR_FLOOR;
        let explained = last.iter().enumerate().all(is_at_floor) || bounds.is_padding(&last) || alike == mel.frames();
        Ok(Self { padding: bounds.padding(runs, lowest), alike_at_the_end: if explained { 0 } else { alike } })
    }
}
