//! The level of every 20 ms: where a recording is silent, how loud it is where it is not.

/// Frames a second.
const FRAMES_A_SECOND: u32 = 50;
/// dB of the root mean square against full scale: below it, a recording is silent wherever it is played.
pub(super) const SILENT_DB: f32 = -60.0;
/// dB below the loud parts: a pause. And dB against full scale, below which nothing of 16 bits is left.
const PAUSE_DB: f32 = 45.0;
const NOTHING_LEFT_DB: f32 = -75.0;

/// Gathers samples into frames.
pub(super) struct LoudnessFrames {
    length: usize,
    energy: f64,
    filled: usize,
    /// dB
    levels: Vec<f32>,
}

/// Silence of a recording.
pub(super) struct Silence {
    /// Of the time.
    pub share: f64,
    pub leading_s: f64,
    pub trailing_s: f64,
    /// dB, the level that 95 % of the frames lie below; that of the loud parts.
    pub loud_db: f32,
    /// dB, the level that 5 % of the frames lie below.
    pub quiet_db: f32,
    /// No frame is louder than silence.
    pub whole: bool,
}

impl LoudnessFrames {
    pub fn new(sample_rate: u32) -> Self {
        Self { length: (sample_rate / FRAMES_A_SECOND).max(1) as usize, energy: 0.0, filled: 0, levels: vec![] }
    }

    pub fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.energy += f64::from(sample) * f64::from(sample);
            self.filled += 1;
            if self.filled == self.length {
                self.end_frame();
            }
        }
    }

    fn end_frame(&mut self) {
        self.levels.push((10.0 * (self.energy / self.filled as f64 + 1e-16).log10()) as f32);
        (self.energy, self.filled) = (0.0, 0);
    }

    pub fn finish(mut self) -> Silence {
        if self.filled > 0 {
            self.end_frame();
        }
        let mut sorted = self.levels.clone();
        sorted.sort_by(f32::total_cmp);
        let loud_db = sorted.get(sorted.len() * 95 / 100).copied().unwrap_or(SILENT_DB - 1.0);
        let quiet_db = sorted.get(sorted.len() * 5 / 100).copied().unwrap_or(loud_db);
        let highest = sorted.last().copied().unwrap_or(SILENT_DB - 1.0);
        let is_silent = |level: &f32| *level < NOTHING_LEFT_DB.max(loud_db - PAUSE_DB);
        let seconds = |frames: usize| frames as f64 / f64::from(FRAMES_A_SECOND);
        let leading = self.levels.iter().take_while(|level| is_silent(level)).count();
        let trailing = self.levels.iter().rev().take_while(|level| is_silent(level)).count();
        Silence {
            share: self.levels.iter().filter(|level| is_silent(level)).count() as f64 / sorted.len().max(1) as f64,
            leading_s: seconds(leading),
            trailing_s: if leading == self.levels.len() { 0.0 } else { seconds(trailing) },
            loud_db,
            quiet_db,
            whole: highest < SILENT_DB,
        }
    }
}
