//! Work in another thread while Python's other threads run and its signals are heard.

use crate::exception::exception;
use audiodiff::{Error, Result};
use pyo3::prelude::*;
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::Duration,
};

/// How long Ctrl-C waits to be heard.
const SIGNALS: Duration = Duration::from_millis(50);

/// Has `work` done; after a signal that raises, it finds its argument true and is to end with [`Error::Interrupted`].
pub fn in_background<T: Send>(py: Python, work: impl FnOnce(&AtomicBool) -> Result<T> + Send) -> PyResult<T> {
    let torch = TorchThreads::kept();
    let outcome = py.detach(|| {
        let stop = AtomicBool::new(false);
        let mut signal = None;
        let result = std::thread::scope(|scope| {
            let (done, ended) = channel::<()>();
            let stop = &stop;
            let worker = scope.spawn(move || {
                let _done = done;
                work(stop)
            });
            while signal.is_none() {
                match ended.recv_timeout(SIGNALS) {
                    Err(RecvTimeoutError::Timeout) => signal = Python::attach(|py| py.check_signals()).err(),
                    _ => break,
                }
            }
            stop.store(signal.is_some(), Ordering::Relaxed);
            worker.join().unwrap_or_else(|panic| Err(Error::bug("audiodiff", &*panic)))
        });
        signal.map_or_else(|| result.map_err(exception), Err)
    });
    drop(torch);
    outcome
}

/// The next message; `None` where there is no sender any more.
pub fn received<T: Send>(py: Python, messages: &mut Receiver<T>) -> PyResult<Option<T>> {
    loop {
        let messages = &mut *messages;
        match py.detach(move || messages.recv_timeout(SIGNALS)) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// New threads of the process take over the number of threads that libtorch was last told, which audiodiff's own threads set
/// to 1: on dropping it is again what the calling thread has.
pub struct TorchThreads(i32);

impl TorchThreads {
    pub fn kept() -> Self {
        Self(tch::get_num_threads())
    }
}

impl Drop for TorchThreads {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}
