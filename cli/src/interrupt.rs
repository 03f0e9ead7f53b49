//! Ctrl-C and SIGTERM, which end every command within a second. The second signal always ends the process at once; the
//! first does where nobody looks for it. Otherwise those who look at the flag tidy up and end, and who is busy elsewhere (reads a long
//! recording, waits for a pipe) is ended a moment later: what is half-written is removed, and a former output still there.

use std::{
    io::{self, BufReader, Read},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use audiodiff::{Error, Result, printable::printable, scratch};

use crate::{Outcome, report_error};

static STOP: AtomicBool = AtomicBool::new(false);

/// Who looks at the flag: the greatest of these that was asked for.
static WAITS: AtomicU8 = AtomicU8::new(NOBODY);
const NOBODY: u8 = 0;
const SOMEBODY: u8 = 1;
/// Somebody who has work to save, however long that takes.
const SAVER: u8 = 2;

/// What those who look at the flag may take to end.
const PATIENCE: Duration = Duration::from_millis(700);

/// What to say of work that is not lost.
static LAST_WORDS: Mutex<Option<Box<dyn Fn() -> String + Send>>> = Mutex::new(None);

/// Installs the handlers, once, before anything is started.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        let again = STOP.swap(true, Ordering::SeqCst);
        match WAITS.load(Ordering::SeqCst) {
            SAVER if !again => {}
            SOMEBODY if !again => {
                let late = || {
                    thread::sleep(PATIENCE);
                    exit_at_once();
                };
                if thread::Builder::new().spawn(late).is_err() {
                    exit_at_once();
                }
            }
            _ => exit_at_once(),
        }
    })
    .map_err(|error| Error::io("cannot be handled", "signals")(io::Error::other(error)))
}

/// From now on the first signal sets the flag, which becomes true once the user asks to stop. Whoever calls this looks at
/// it between chunks, and is ended with the process where that takes too long.
pub fn stop_flag() -> &'static AtomicBool {
    WAITS.fetch_max(SOMEBODY, Ordering::SeqCst);
    &STOP
}

/// As [`stop_flag`], for those who save what they have done and must not be ended meanwhile: they see to it themselves that it
/// takes no longer.
pub fn saving_stop_flag() -> &'static AtomicBool {
    WAITS.fetch_max(SAVER, Ordering::SeqCst);
    &STOP
}

/// What is said where the process is ended by [`stop_flag`]'s patience.
pub fn last_words(words: impl Fn() -> String + Send + 'static) {
    *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(words));
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
fn exit_at_once() -> ! {
    crate::keys::restore();
    scratch::remove_all();
    if let Some(words) = &*LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) {
        eprintln!("audiodiff: {}", printable(&words()));
    }
    report_error(&Error::Interrupted);
    exit()
}

#[cfg(unix)]
fn exit() -> ! {
    // SAFETY: _exit takes any status, touches no memory of ours and does not return.
    unsafe { libc::_exit(Outcome::Interrupted as i32) }
}

#[cfg(not(unix))]
fn exit() -> ! {
    std::process::exit(Outcome::Interrupted as i32)
}
