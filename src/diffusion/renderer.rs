//! The one path from mel to sound: an iterator over pieces of waveform, rendered chunk by chunk.
//!
//! A chunk is rendered in a window: `past` frames already emitted, the chunk, `ahead` frames of look-ahead that are
//! rendered and thrown away. In every step and every projection iteration the past is overwritten with what was emitted,
//! so the new audio grows out of the old with matching phase; the last `fade` samples of each chunk are held back and
//! cross-faded into the next. Memory is flat in the length of the input.

use super::{
    Encoded, Envelope, Network, Noise, Observer, Past, Projection, ProjectionPlan, SamplerSettings, SeededNoise,
    Silent, Start,
    sampler::{Sampler, Window},
};
use crate::{Result, card::ChunkLayout, mel::MelSpectrogram, source::MelSource};

/// An iterator over pieces of waveform: 1 to `longest` hops of `f32` samples each, (T - 1) hop in all. After an error it
/// ends.
pub struct Renderer<N: Network, S, Z = SeededNoise, O = Silent> {
    network: N,
    source: S,
    noise: Z,
    observer: O,
    settings: SamplerSettings,
    /// Of the chunk that comes next.
    layout: ChunkLayout,
    sampler: Sampler,
    first_phases: Start,
    /// Of the network, whatever the settings say.
    least_steps: usize,
    plan: ProjectionPlan,
    hop: usize,
    /// Denoiser frames a mel frame.
    up: usize,
    state: State,
}

/// Everything that changes from chunk to chunk.
#[derive(Default)]
struct State {
    /// Mel frames that a later window needs, from absolute frame `first_frame` on.
    mel: Vec<f32>,
    first_frame: usize,
    /// The source has given its last frame.
    source_ended: bool,
    /// Absolute frame of the next chunk's first new sample.
    start: usize,
    /// Emitted and held-back audio, from absolute frame `first_frame` on.
    known: Vec<f32>,
    /// How many samples at the end of `known` are held back.
    tail: usize,
    finished: bool,
}

impl<N: Network, S: MelSource> Renderer<N, S> {
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where a setting is out of range.
    pub fn new(network: N, source: S, settings: SamplerSettings, layout: ChunkLayout) -> Result<Self> {
        let noise = SeededNoise { seed: settings.seed };
        Self::with(network, source, settings, layout, noise, Silent)
    }
}

impl<N: Network, S: MelSource, Z: Noise, O: Observer> Renderer<N, S, Z, O> {
    /// With noise of the caller's own and somebody who looks on.
    pub fn with(
        network: N,
        source: S,
        settings: SamplerSettings,
        layout: ChunkLayout,
        noise: Z,
        observer: O,
    ) -> Result<Self> {
        let (convention, grid) = (network.convention(), network.grid());
        Ok(Self {
            settings: settings.validated()?,
            layout: layout.validated(convention.hop)?,
            sampler: Sampler::new(Envelope::new(convention, grid), grid),
            first_phases: network.start(),
            least_steps: 0,
            plan: ProjectionPlan::new(convention),
            hop: convention.hop,
            up: convention.hop / grid.hop,
            network,
            source,
            noise,
            observer,
            state: State::default(),
        })
    }

    /// Settings for the chunks to come.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) where one is out of range.
    pub fn set_settings(&mut self, settings: SamplerSettings) -> Result<()> {
        self.settings = settings.validated()?;
        Ok(())
    }

    /// Hz
    pub fn sample_rate(&self) -> u32 {
        self.network.convention().sample_rate
    }

    pub fn settings(&self) -> SamplerSettings {
        self.settings
    }

    pub fn observer(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Starts at absolute mel frame `frame` of a source that begins there: the noise is the one that the frame has in
    /// the whole, so a seek sounds like the whole rendering but for the first chunk's missing past.
    pub fn starting_at(mut self, frame: usize) -> Self {
        self.state = State { first_frame: frame, start: frame, ..State::default() };
        self
    }

    /// With a start of another kind than the network's own.
    pub fn starting_with(mut self, start: Start) -> Self {
        self.first_phases = start;
        self
    }

    /// With so many steps at least, whatever the settings say.
    pub fn of_at_least(mut self, steps: usize) -> Self {
        self.least_steps = steps;
        self
    }

    /// The next piece of waveform; empty where there is none.
    fn chunk(&mut self) -> Result<Vec<f32>> {
        let (hop, n_mels, layout) = (self.hop, self.network.convention().n_mels, self.layout);
        let state = &mut self.state;
        // The frames at both ends of the chunk and its look-ahead, and one more that tells whether this is the last.
        let wanted = state.start + layout.chunk + layout.ahead + 2;
        while !state.source_ended && state.first_frame + state.mel.len() / n_mels < wanted {
            let more = self.source.read(wanted - state.first_frame - state.mel.len() / n_mels)?;
            more.require_bands_of(self.network.convention(), 1)?;
            state.source_ended = more.frames() == 0;
            state.mel.extend_from_slice(more.values());
        }
        let frames = state.mel.len() / n_mels;
        if frames < 2 {
            // No frame or a single one stands for no sample at all.
            state.finished = true;
            return Ok(vec![]);
        }
        let last = state.first_frame + frames - 1;
        let stop = last.min(state.start + layout.chunk + layout.ahead);
        let end = last.min(state.start + layout.chunk);
        let mel = MelSpectrogram::new(state.mel[..(stop - state.first_frame + 1) * n_mels].to_vec(), n_mels);

        let fade = layout.fade.min(state.known.len());
        let past = Past { audio: &state.known, fade };
        let (first_frame, n) = ((state.first_frame * self.up) as u64, (mel.frames() - 1) * hop);
        let Self { network, sampler, plan, noise, settings, observer, first_phases, least_steps, .. } = self;
        let settings = SamplerSettings { steps: settings.steps.max(*least_steps), ..*settings };
        // All of it on the pool: its threads would else fall asleep between any two parts, and be waited for.
        let x = network.threads().within(|| {
            let Encoded { condition, log_magnitude } = network.encode(&mel)?;
            let window = Window {
                condition,
                envelope: sampler.envelope.of(&mel),
                projection: Projection::new(plan, &mel, &log_magnitude, network.momentum(), past)
                    .renewing(network.renewal()),
                first_frame,
                n,
                first_phases: *first_phases,
            };
            sampler.sample(&*network, &window, &*noise, &settings, observer)
        })?;

        let begin = state.known.len() - state.tail;
        if stop == last {
            state.finished = true;
            return Ok(x[begin..].to_vec());
        }
        let known_end = (end - state.first_frame) * hop;
        let emitted = x[begin..known_end - layout.fade].to_vec();
        state.known.truncate(begin);
        state.known.extend_from_slice(&x[begin..known_end]);
        state.tail = layout.fade;
        state.start = end;
        self.layout = layout.grown();
        let first = end.saturating_sub(layout.past).max(state.first_frame);
        state.known.drain(..(first - state.first_frame) * hop);
        state.mel.drain(..(first - state.first_frame) * n_mels);
        state.first_frame = first;
        Ok(emitted)
    }
}

impl<N: Network, S: MelSource, Z: Noise, O: Observer> Iterator for Renderer<N, S, Z, O> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state.finished {
            return None;
        }
        match self.chunk() {
            Ok(audio) if audio.is_empty() => None,
            Ok(audio) => Some(Ok(audio)),
            Err(error) => {
                self.state.finished = true;
                Some(Err(error))
            }
        }
    }
}
