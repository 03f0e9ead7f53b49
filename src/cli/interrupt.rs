//! Ctrl-C and SIGTERM. While something is rendered, the first asks it to stop at the next good moment and the second
//! stops at once; before and after, the first does.

use std::sync::atomic::{AtomicBool, Ordering};

use audiodiff::{Error, Fault, Result};

use super::Outcome;

static STOP: AtomicBool = AtomicBool::new(false);
static WAITS: AtomicBool = AtomicBool::new(false);

/// Installs the handlers, once, before anything is started.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) || !WAITS.load(Ordering::SeqCst) {
            super::keys::restore();
            exit_at_once();
        }
    })
    .map_err(|error| Error::Settings(Fault::new("signals", format!("cannot be handled ({error})"))))
}

/// From now on the first signal only sets the flag, which becomes true once the user asks to stop. Whoever calls this
/// looks at it between chunks.
pub fn stop_flag() -> &'static AtomicBool {
    WAITS.store(true, Ordering::SeqCst);
    &STOP
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
