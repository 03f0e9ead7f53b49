//! Overlapping frames of samples that come in pieces of any size.

/// Holds a single frame: what it costs to fill it does not depend on how much comes at once.
pub(super) struct FrameCutter {
    length: usize,
    hop: usize,
    pending: Vec<f32>,
}

impl FrameCutter {
    /// Frames of `length` samples, `hop` apart; `hop` is 1 to `length`.
    pub fn new(length: usize, hop: usize) -> Self {
        Self { length, hop, pending: Vec::with_capacity(length) }
    }

    /// Takes from `samples` what the frame lacks. True where it is whole: it is to be looked at, then to be [left behind](Self::advance).
    pub fn fill(&mut self, samples: &mut &[f32]) -> bool {
        let (taken, rest) = samples.split_at(samples.len().min(self.length - self.pending.len()));
        self.pending.extend_from_slice(taken);
        *samples = rest;
        self.pending.len() == self.length
    }

    /// What there is of the frame.
    pub fn frame(&self) -> &[f32] {
        &self.pending
    }

    /// Goes on to the next frame.
    pub fn advance(&mut self) {
        self.pending.drain(..self.hop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of 0, 1, 2, ... pushed in pieces, and the most samples that were held.
    fn frames(n: usize, piece: usize) -> (Vec<Vec<f32>>, usize) {
        let samples: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let (mut cutter, mut frames, mut held) = (FrameCutter::new(8, 3), vec![], 0);
        for mut samples in samples.chunks(piece) {
            while cutter.fill(&mut samples) {
                frames.push(cutter.frame().to_vec());
                cutter.advance();
            }
            held = held.max(cutter.pending.capacity());
        }
        (frames, held)
    }

    /// A frame that is taken off the front moves what is held: with a whole recording held, an hour took minutes.
    #[test]
    fn no_more_than_a_frame_is_held_however_much_comes() {
        let whole = frames(1000, 1000);
        assert_eq!(whole.0.len(), (1000 - 8) / 3 + 1);
        assert!(whole.0.iter().enumerate().all(|(i, frame)| frame[0] == 3.0 * i as f32 && frame.len() == 8));
        for piece in [1, 7, 8, 9, 64] {
            assert_eq!(frames(1000, piece), whole, "{piece}");
        }
        assert_eq!(whole.1, 8);
    }
}
