//! The progress of a run on standard error: items, seconds of sound, how many times faster than it plays.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// Shown only where standard error is a terminal, and not with -q.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    items: usize,
    audio_s: f64,
}

/// Steps of the bar a second of sound, where a single item is shown.
const STEPS_A_SECOND: f64 = 100.0;

impl Progress {
    pub fn new(terminal: &Terminal, items: usize) -> Self {
        let template = if items == 1 {
            "{wide_bar:.cyan/blue} {percent:>3} %  {msg}  {eta} left"
        } else {
            "{wide_bar:.cyan/blue} {pos}/{len}  {msg}  {eta} left"
        };
        // The templates are constants; a bar in the plain style is better than none.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = terminal.bars().add(ProgressBar::new(items as u64).with_style(style));
        Self { bar, started: Instant::now(), items, audio_s: 0.0 }
    }

    /// An item was read: it will be so long.
    pub fn opened(&self, audio_s: f64) {
        if self.items == 1 {
            self.bar.set_length((audio_s * STEPS_A_SECOND) as u64);
        }
    }

    /// So much more sound is there.
    pub fn advanced(&mut self, audio_s: f64) {
        self.audio_s += audio_s;
        if self.items == 1 {
            self.bar.set_position((self.audio_s * STEPS_A_SECOND) as u64);
        }
        self.bar.set_message(format!("{:.1} s of sound, {:.1} x real time", self.audio_s, self.speed()));
    }

    /// An item is done, or has failed.
    pub fn finished_one(&self) {
        if self.items != 1 {
            self.bar.inc(1);
        }
    }

    /// Seconds of sound so far.
    pub fn audio_s(&self) -> f64 {
        self.audio_s
    }

    /// Seconds since the start.
    pub fn took_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Seconds of sound a second.
    pub fn speed(&self) -> f64 {
        self.audio_s / self.took_s().max(1e-6)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
