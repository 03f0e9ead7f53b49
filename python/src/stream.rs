//! Sound in the making of a mel in the making.

use crate::{
    background::{TorchThreads, received},
    exception::exception,
};
use audiodiff::{
    Error, Result,
    live::{LiveFormat, LiveMel, LiveStatus, render},
    mel::MelConvention,
    sound::Sound,
    vocoder::{RenderOptions, Vocoder},
};
use numpy::{PyArray1, PyReadonlyArrayDyn};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyIterator};
use std::{
    io::{self, Cursor, Read},
    sync::{
        Arc, Mutex, TryLockError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

/// An iterator over chunks. Python's iterator of mel blocks runs in the thread that asks for the next chunk, the network in a
/// thread of its own, which is one chunk ahead at most.
#[pyclass(frozen, module = "audiodiff._audiodiff")]
pub struct Stream {
    open: Mutex<Option<Open>>,
    status: LiveStatus,
}

struct Open {
    /// Gives float32 [t, M].
    blocks: Py<PyAny>,
    /// `None` once `blocks` has ended.
    frames: Option<Sender<Vec<u8>>>,
    events: Receiver<Event>,
    worker: JoinHandle<Result<()>>,
}

enum Event {
    /// The network waits for mel.
    Wanting,
    Made(Sound),
}

impl Stream {
    pub fn new(
        blocks: Py<PyAny>,
        vocoder: Arc<dyn Vocoder>,
        convention: &MelConvention,
        options: RenderOptions,
        rate: u32,
    ) -> Self {
        let (frames, given) = channel();
        let (events, made) = sync_channel(0);
        let source = Blocks { wanting: events.clone(), given, rest: Cursor::default() };
        let mel = LiveMel::new(source, LiveFormat::F32le, None, convention, "the frames");
        let status = mel.status();
        let worker = std::thread::spawn(move || {
            let send = |sound| events.send(Event::Made(sound)).map_err(|_| Error::Interrupted);
            render(vocoder, mel, &options, rate, send)
        });
        Self { open: Mutex::new(Some(Open { blocks, frames: Some(frames), events: made, worker })), status }
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray1<f32>>>> {
        let mut open = match self.open.try_lock() {
            Ok(open) => open,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(PyValueError::new_err("the stream is being read by another thread"));
            }
        };
        let torch = TorchThreads::kept();
        let next = open.as_mut().map_or(Ok(None), |open| open.next(py));
        let next = match next {
            Ok(Some(sound)) => Ok(Some(PyArray1::from_vec(py, sound.into_mono()))),
            // At the end, and after whatever was raised, as of a generator: nothing more comes.
            ended => match (ended, open.take().map_or(Ok(()), |open| open.ended(py))) {
                (Err(raised), _) | (Ok(_), Err(raised)) => Err(raised),
                (Ok(_), Ok(())) => Ok(None),
            },
        };
        drop(torch);
        next
    }

    /// Ends it; nothing more comes.
    fn close(&self, py: Python) {
        if let Ok(mut open) = self.open.try_lock()
            && let Some(open) = open.take()
        {
            // Whoever closes it wants to hear of nothing.
            let _ = open.ended(py);
        }
    }

    /// What was assumed or looked odd since the last call.
    fn notes(&self) -> Vec<String> {
        self.status.take_notes()
    }
}

impl Open {
    /// The next chunk; `None` at the end.
    fn next(&mut self, py: Python) -> PyResult<Option<Sound>> {
        loop {
            match received(py, &mut self.events)? {
                Some(Event::Made(sound)) => return Ok(Some(sound)),
                Some(Event::Wanting) => match self.block(py)? {
                    Some(bytes) => drop(self.frames.as_ref().map(|frames| frames.send(bytes))),
                    None => self.frames = None,
                },
                None => return Ok(None),
            }
        }
    }

    /// The next block's bytes; `None` where there are no more.
    fn block(&self, py: Python) -> PyResult<Option<Vec<u8>>> {
        let mut blocks: Bound<PyIterator> = self.blocks.bind(py).try_iter()?;
        let Some(block) = blocks.next().transpose()? else { return Ok(None) };
        let block: PyReadonlyArrayDyn<f32> = block.extract()?;
        Ok(Some(block.as_array().iter().flat_map(|value| value.to_le_bytes()).collect()))
    }

    /// Has the network stop, and says what it ended with.
    fn ended(self, py: Python) -> PyResult<()> {
        let Self { frames, events, worker, .. } = self;
        drop((frames, events));
        let result = py.detach(|| worker.join());
        match result.unwrap_or_else(|panic| Err(Error::bug("audiodiff", &*panic))) {
            Ok(()) | Err(Error::Interrupted) => Ok(()),
            Err(error) => Err(exception(error)),
        }
    }
}

/// Python's blocks as the bytes that a pipe would bring.
struct Blocks {
    wanting: SyncSender<Event>,
    given: Receiver<Vec<u8>>,
    rest: Cursor<Vec<u8>>,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.rest.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            // No one is there to ask or to answer: the mel has ended.
            if self.wanting.send(Event::Wanting).is_err() {
                return Ok(0);
            }
            match self.given.recv() {
                Ok(bytes) => self.rest = Cursor::new(bytes),
                Err(_) => return Ok(0),
            }
        }
    }
}
