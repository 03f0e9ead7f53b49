//! Ctrl-C and SIGTERM: the first asks everything to stop at the next good moment, the second stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

use audiodiff::{Error, Fault, Result};

use super::Outcome;

static STOP: AtomicBool = AtomicBool::new(false);

/// True once the user asked to stop. Loops look at it between chunks.
pub fn stop() -> &'static AtomicBool {
    &STOP
}

/// Installs the handlers, once, before anything is started.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            exit_at_once();
        }
    })
    .map_err(|error| Error::Settings(Fault::new("signals", format!("cannot be handled ({error})"))))
}

/// Without destructors: a worker that hangs in one would keep the process alive.
#[cfg(unix)]
fn exit_at_once() {
    // SAFETY: _exit takes any status, touches no memory of ours and does not return.
    unsafe { libc::_exit(Outcome::Interrupted as i32) }
}

#[cfg(not(unix))]
fn exit_at_once() {
    std::process::exit(Outcome::Interrupted as i32)
}
