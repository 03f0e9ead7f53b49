//! Keeps live rendering ahead of the sound device: measures each chunk and says when to take cheaper settings for the
//! chunks to come, and when the machine has room again.
//!
//! A state machine without a clock of its own, so that it can be tested to the last decision.

use crate::{card::Effort, vocoder::Vocoder};

/// What one chunk took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Seconds of computing; waiting for input or for room in the buffer does not count.
    pub compute_s: f64,
    /// Seconds of sound that came of it.
    pub audio_s: f64,
    /// Seconds of sound in the buffer once the chunk was in it.
    pub buffered_s: f64,
}

/// What to do for the chunks to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Keep,
    /// The machine does not keep up: take these.
    Cheaper(Effort),
    /// There is room again: take these.
    Dearer(Effort),
}

/// Above this share of real time, the next chunk would be late sooner or later.
const TOO_MUCH: f64 = 0.95;

/// A dearer rung is tried when it would take at most this share of real time. The gap to `TOO_MUCH` is what keeps the
/// settings from going to and fro.
const COMFORTABLE: f64 = 0.65;

/// The part of the buffered sound that the next chunk's rendering may use up.
const SHARE_OF_BUFFER: f64 = 0.8;

/// Chunks with room before a dearer rung is tried, the first time and at most.
const PATIENCE: u32 = 3;
const MOST_PATIENCE: u32 = 48;

/// Weight of the newest chunk in the running load.
const NEWEST: f64 = 0.6;

/// Watches the chunks go by.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// From the wanted effort down to the cheapest, with what each costs in units of the wanted one.
    ladder: Vec<(Effort, f64)>,
    rung: usize,
    /// Compute time over sound time at the present rung, smoothed; `None` after a change.
    load: Option<f64>,
    /// Chunks in a row with room for the next dearer rung.
    calm: u32,
    patience: u32,
    /// Chunks since the last step up, to tell whether it was a mistake.
    since_up: u32,
}

impl Adapter {
    pub fn new(vocoder: &dyn Vocoder, wanted: &Effort) -> Self {
        let mut ladder = vec![(wanted.clone(), 1.0)];
        ladder.extend(vocoder.ladder(wanted));
        Self::with(ladder)
    }

    fn with(ladder: Vec<(Effort, f64)>) -> Self {
        Self { ladder, rung: 0, load: None, calm: 0, patience: PATIENCE, since_up: u32::MAX }
    }

    /// The effort that it decided on.
    pub fn effort(&self) -> &Effort {
        &self.ladder[self.rung].0
    }

    fn cost(&self) -> f64 {
        self.ladder[self.rung].1
    }

    /// Compute time over sound time of the recent chunks, 0 before the first.
    pub fn load(&self) -> f64 {
        self.load.unwrap_or(0.0)
    }

    /// To be told after each chunk.
    pub fn after_chunk(&mut self, chunk: Measured) -> Change {
        if chunk.audio_s <= 0.0 {
            return Change::Keep;
        }
        let newest = chunk.compute_s / chunk.audio_s;
        let load = self.load.map_or(newest, |load| load + NEWEST * (newest - load));
        self.load = Some(load);
        self.since_up = self.since_up.saturating_add(1);

        let next_takes = load * chunk.audio_s;
        let late = next_takes > SHARE_OF_BUFFER * chunk.buffered_s && newest > COMFORTABLE;
        if late || load > TOO_MUCH {
            return self.step_down(load, chunk);
        }
        self.step_up(load)
    }

    /// To the first rung that is expected to keep up.
    fn step_down(&mut self, load: f64, chunk: Measured) -> Change {
        self.calm = 0;
        if self.rung + 1 == self.ladder.len() {
            return Change::Keep;
        }
        if self.since_up <= 2 * PATIENCE {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        let here = self.cost();
        let allowed = COMFORTABLE.max((SHARE_OF_BUFFER * chunk.buffered_s / chunk.audio_s).min(TOO_MUCH));
        let fits = |(_, cost): &(Effort, f64)| load * cost / here <= allowed;
        let below = self.rung + 1;
        let found = self.ladder[below..].iter().position(fits);
        self.rung = found.map_or(self.ladder.len() - 1, |offset| below + offset);
        self.load = None;
        Change::Cheaper(self.effort().clone())
    }

    /// One rung, after a while of room for it.
    fn step_up(&mut self, load: f64) -> Change {
        if self.rung == 0 {
            return Change::Keep;
        }
        let (dearer, cost) = &self.ladder[self.rung - 1];
        if load * cost / self.cost() > COMFORTABLE {
            self.calm = 0;
            return Change::Keep;
        }
        self.calm += 1;
        if self.calm < self.patience {
            return Change::Keep;
        }
        (self.calm, self.since_up, self.load) = (0, 0, None);
        let dearer = dearer.clone();
        self.rung -= 1;
        Change::Dearer(dearer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wanted, and a half, a quarter and an eighth of it.
    const COSTS: [f64; 4] = [1.0, 0.5, 0.25, 0.125];
    const CHUNK_S: f64 = 1.024;

    fn effort(rung: usize) -> Effort {
        Effort::new([("rung", rung)])
    }

    fn adapter() -> Adapter {
        Adapter::with(COSTS.into_iter().enumerate().map(|(rung, cost)| (effort(rung), cost)).collect())
    }

    /// A machine that takes `speed` of real time for `WANTED`, a buffer of 3 s, and what happens on it.
    struct Machine {
        adapter: Adapter,
        started: bool,
        buffered_s: f64,
        underruns: usize,
        changes: Vec<Change>,
    }

    impl Machine {
        fn new() -> Self {
            Self { adapter: adapter(), started: false, buffered_s: 0.0, underruns: 0, changes: Vec::new() }
        }

        fn run(&mut self, chunks: usize, load_of_wanted: f64) -> &mut Self {
            for _ in 0..chunks {
                let compute_s = CHUNK_S * load_of_wanted * self.adapter.cost();
                // The device waits for the first chunk. Later the renderer waits until a chunk fits, while the device plays.
                if self.started {
                    self.buffered_s = self.buffered_s.min(3.0 - CHUNK_S) - compute_s;
                }
                self.started = true;
                if self.buffered_s < 0.0 {
                    self.underruns += 1;
                    self.buffered_s = 0.0;
                }
                self.buffered_s += CHUNK_S;
                let measured = Measured { compute_s, audio_s: CHUNK_S, buffered_s: self.buffered_s };
                let change = self.adapter.after_chunk(measured);
                if change != Change::Keep {
                    self.changes.push(change);
                }
            }
            self
        }
    }

    #[test]
    fn a_fast_machine_is_left_alone() {
        let mut machine = Machine::new();
        machine.run(1000, 0.6);
        assert_eq!((machine.changes.len(), machine.underruns), (0, 0));
    }

    #[test]
    fn a_slow_machine_gets_what_it_can_do_without_an_underrun() {
        for load in [1.2, 1.5, 2.0, 3.0] {
            let mut machine = Machine::new();
            machine.run(200, load);
            assert_eq!(machine.underruns, 0, "load {load}");
            let share = load * machine.adapter.cost();
            assert!(share <= TOO_MUCH, "load {load}: {share}");
            // It does not go to and fro: a try upwards is undone, and then waits longer each time.
            assert!(machine.changes.len() <= 6, "load {load}: {:?}", machine.changes);
        }
    }

    #[test]
    fn it_goes_back_up_when_the_load_goes() {
        let mut machine = Machine::new();
        machine.run(5, 0.3).run(30, 2.5);
        assert!(matches!(machine.changes[0], Change::Cheaper(_)));
        assert_ne!(machine.adapter.rung, 0);
        machine.run(40, 0.3);
        assert_eq!(machine.adapter.rung, 0);
        assert_eq!(machine.changes.last(), Some(&Change::Dearer(effort(0))));
    }

    /// One slow chunk with a full buffer behind it is no reason to sound worse.
    #[test]
    fn a_hiccup_is_borne_by_the_buffer() {
        let mut machine = Machine::new();
        machine.run(20, 0.2).run(1, 1.3).run(20, 0.2);
        assert_eq!(machine.changes, []);
    }

    #[test]
    fn the_cheapest_is_the_end() {
        let mut machine = Machine::new();
        machine.run(50, 100.0);
        assert_eq!(machine.adapter.rung, COSTS.len() - 1);
        assert_eq!(machine.changes.len(), 1, "all the way down at once");
    }

    #[test]
    fn no_sound_is_no_news() {
        let mut adapter = adapter();
        assert_eq!(adapter.after_chunk(Measured { compute_s: 9.0, audio_s: 0.0, buffered_s: 0.0 }), Change::Keep);
        assert_eq!(adapter.load(), 0.0);
    }
}
