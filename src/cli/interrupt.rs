//! Ctrl-C and SIGTERM. While something is rendered, the first asks it to stop at the next good moment and the second
//! stops at once; before and after, the first does.

use std::{
    io::{self, BufReader, Read},
    sync::atomic::{AtomicBool, Ordering},
};

use audiodiff::{Error, Result};

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
    .map_err(|error| Error::io("cannot be handled", "signals")(io::Error::other(error)))
}

/// From now on the first signal only sets the flag, which becomes true once the user asks to stop. Whoever calls this
/// looks at it between chunks.
pub fn stop_flag() -> &'static AtomicBool {
    WAITS.store(true, Ordering::SeqCst);
    &STOP
}

/// Standard input, which ends once the user asks to stop, also while nothing comes.
pub fn standard_input() -> impl Read + Send {
    BufReader::new(StoppedInput)
}

struct StoppedInput;

impl Read for StoppedInput {
    #[cfg(unix)]
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        /// Milliseconds that a signal may take to be noticed.
        const PATIENCE_MS: libc::c_int = 50;
        loop {
            if STOP.load(Ordering::SeqCst) {
                return Ok(0);
            }
            let mut input = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
            // SAFETY: one valid pollfd.
            match unsafe { libc::poll(&mut input, 1, PATIENCE_MS) } {
                0 => {}
                // SAFETY: `bytes` may be written to, as far as it is long.
                1.. => match unsafe { libc::read(input.fd, bytes.as_mut_ptr().cast(), bytes.len()) } {
                    -1 => return Err(io::Error::last_os_error()),
                    count => return Ok(count as usize),
                },
                _ => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
    }

    #[cfg(not(unix))]
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        io::stdin().read(bytes)
    }
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
