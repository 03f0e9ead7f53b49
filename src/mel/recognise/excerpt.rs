//! The frames of a long array that are enough to tell its convention by, so that an hour takes no longer than a minute.

use crate::{
    Result,
    mel::{
        Layout,
        file::{FoundAxes, RawArray, StoredFrames, squeezed},
        held::Frames,
    },
};

/// Frames: a minute and a half.
const LONGEST: usize = 8192;
/// Frames that follow each other, as they must for what goes on in time to be seen.
const PIECE: usize = 256;

/// Evenly spread pieces of an array, and the one around its lowest value, where its floor shows.
pub(super) struct Excerpt {
    pub shape: Vec<usize>,
    /// In C order.
    pub values: Vec<f32>,
    /// Of the whole array.
    pub lowest: f32,
    pub highest: f32,
}

impl Excerpt {
    /// `None` where the array is short enough to be looked at as a whole, or no mel.
    ///
    /// # Errors
    /// Those of reading.
    pub fn of(array: &RawArray) -> Result<Option<Self>> {
        let [rows, columns] = squeezed(&array.shape)[..] else { return Ok(None) };
        let (layout, n_mels, frames) =
            if rows > columns { (Layout::FramesFirst, columns, rows) } else { (Layout::BandsFirst, rows, columns) };
        if frames <= LONGEST || n_mels == 0 {
            return Ok(None);
        }
        let mel = StoredFrames::new(array.clone(), &FoundAxes { layout, n_mels, frames, note: None });
        let (mut lowest, mut highest) = ((f32::INFINITY, 0), f32::NEG_INFINITY);
        for block in (&mel as &dyn Frames).blocks() {
            let (first, block) = block?;
            for (i, &value) in block.values().iter().enumerate() {
                if value < lowest.0 {
                    lowest = (value, first + i / n_mels);
                }
                // What is no number is to be seen.
                if value > highest || value.is_nan() {
                    highest = value;
                }
            }
        }
        let pieces = LONGEST / PIECE;
        let last = frames - PIECE;
        let mut starts: Vec<usize> = (0..pieces - 1).map(|i| i * last / (pieces - 2)).collect();
        starts.push(lowest.1.saturating_sub(PIECE / 2).min(last));
        starts.sort_unstable();
        let mut values = Vec::with_capacity(LONGEST * n_mels);
        let mut end = 0;
        for start in starts {
            // Two that overlap give their frames once.
            let range = start.max(end)..start + PIECE;
            values.extend_from_slice(mel.read(range.clone())?.values());
            end = range.end;
        }
        let taken = values.len() / n_mels;
        let (shape, values) = match layout {
            Layout::FramesFirst => (vec![taken, n_mels], values),
            Layout::BandsFirst => {
                let turned = (0..n_mels).flat_map(|m| values[m..].iter().step_by(n_mels).copied());
                (vec![n_mels, taken], turned.collect())
            }
        };
        Ok(Some(Self { shape, values, lowest: lowest.0, highest }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::file::array_in_memory;

    #[test]
    fn a_long_array_is_looked_at_all_over_and_where_it_is_lowest() {
        const FRAMES: usize = 100_000;
        let value = |t: usize, m: usize| (t * 2 + m) as f32 - if t == 70_001 { 1e6 } else { 0.0 };
        for (shape, bands_first) in [(vec![FRAMES, 2], false), (vec![1, 2, FRAMES], true)] {
            let values = match bands_first {
                true => (0..2).flat_map(|m| (0..FRAMES).map(move |t| value(t, m))).collect(),
                false => (0..FRAMES).flat_map(|t| (0..2).map(move |m| value(t, m))).collect(),
            };
            let excerpt = Excerpt::of(&array_in_memory("x", shape, values)).unwrap().unwrap();
            let frames = excerpt.values.len() / 2;
            let first: Vec<f32> = match bands_first {
                true => excerpt.values[..frames].to_vec(),
                false => excerpt.values.iter().step_by(2).copied().collect(),
            };
            assert_eq!(excerpt.shape, if bands_first { [2, frames] } else { [frames, 2] });
            assert!((LONGEST - PIECE..=LONGEST).contains(&frames));
            assert!(first.contains(&value(70_001, 0)) && first.contains(&0.0) && first.contains(&value(FRAMES - 1, 0)));
            let in_order = first.windows(2).filter(|pair| pair[1] - pair[0] == 2.0).count();
            assert!(in_order > frames - 2 * LONGEST / PIECE, "{in_order} of {frames}");
            assert_eq!((excerpt.lowest, excerpt.highest), (value(70_001, 0), value(FRAMES - 1, 1)));
        }
        assert!(Excerpt::of(&array_in_memory("x", vec![LONGEST, 2], vec![0.0; 2 * LONGEST])).unwrap().is_none());
    }
}
