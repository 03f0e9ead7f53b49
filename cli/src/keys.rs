//! Single keys from the terminal, which is itself again afterwards whatever happens.

#[cfg(unix)]
use std::{fs::File, os::fd::AsRawFd as _};
use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::Once,
    thread,
    time::Duration,
};

use crossterm::{
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    terminal,
};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Pause,
    Back,
    Forward,
    Louder,
    Quieter,
    Quit,
    /// Ctrl-C, which sends no signal while keys are read.
    Interrupt,
}

/// Reads keys while it lives.
pub struct Keys {
    line: Line,
}

impl Keys {
    /// `None` where there is no terminal, or where it belongs to another process: a player in the background must not take
    /// it, and would be stopped for trying.
    pub fn start() -> Option<Self> {
        if !io::stderr().is_terminal() || !in_foreground() {
            return None;
        }
        restore_on_panic();
        // Standard input may be a pipe; then the keys come from the controlling terminal, where there is one.
        terminal::enable_raw_mode().ok()?;
        keep_line_feeds();
        Some(Self { line: Line::open() })
    }

    /// The next key within `patience`.
    pub fn wait(&self, patience: Duration) -> Option<Key> {
        if !self.line.wait(patience) {
            thread::sleep(patience);
            return None;
        }
        match event::poll(Duration::ZERO) {
            Ok(true) => event::read().ok().and_then(meaning),
            Ok(false) => None,
            Err(_) => {
                // It would say so at once each time.
                thread::sleep(patience);
                None
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// The terminal's line, watched for keys and for its end: crossterm's own `poll` never returns from a terminal whose window
/// was closed, but reads nothing from it again and again.
#[cfg(unix)]
struct Line(Option<File>);

#[cfg(unix)]
impl Line {
    /// What crossterm reads from: standard input, or the controlling terminal where that is a pipe.
    fn open() -> Self {
        Self(if io::stdin().is_terminal() { None } else { File::open("/dev/tty").ok() })
    }

    /// Waits for a key, for `patience` at most. False once the terminal is gone.
    fn wait(&self, patience: Duration) -> bool {
        let fd = self.0.as_ref().map_or(libc::STDIN_FILENO, |terminal| terminal.as_raw_fd());
        let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, which is open as long as we are.
        unsafe { libc::poll(&mut polled, 1, patience.as_millis() as libc::c_int) };
        polled.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) == 0
    }
}

#[cfg(not(unix))]
struct Line;

#[cfg(not(unix))]
impl Line {
    fn open() -> Self {
        Self
    }

    fn wait(&self, patience: Duration) -> bool {
        // An error is heard of when the key is read.
        let _ = event::poll(patience);
        true
    }
}

/// Makes the terminal itself again; does nothing where it is.
pub fn restore() {
    let _ = terminal::disable_raw_mode();
}

/// The message of a panic is printed before anything is dropped, and wants whole lines.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A panic that the decoders or the renderer catch does not end the player: its keys are still wanted.
            if thread::current().name() == Some("main") {
                restore();
            }
            usual(info);
        }));
    });
}

#[cfg(unix)]
fn in_foreground() -> bool {
    // SAFETY: both calls only ask the system; standard error was found to be a terminal.
    unsafe { libc::tcgetpgrp(libc::STDERR_FILENO) == libc::getpgrp() }
}

#[cfg(not(unix))]
fn in_foreground() -> bool {
    true
}

/// Raw mode also stops the terminal from returning to the left at a line feed; notes that are printed meanwhile would
/// run off to the right.
#[cfg(unix)]
fn keep_line_feeds() {
    // SAFETY: termios is plain data, filled by tcgetattr before it is used, and belongs to standard error.
    unsafe {
        let mut settings = std::mem::zeroed::<libc::termios>();
        if libc::tcgetattr(libc::STDERR_FILENO, &mut settings) == 0 {
            settings.c_oflag |= libc::OPOST | libc::ONLCR;
            libc::tcsetattr(libc::STDERR_FILENO, libc::TCSANOW, &settings);
        }
    }
}

#[cfg(not(unix))]
fn keep_line_feeds() {}

fn meaning(event: Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) = event else {
        return None;
    };
    match code {
        KeyCode::Char('c' | 'C') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
        KeyCode::Char(' ') => Some(Key::Pause),
        KeyCode::Left => Some(Key::Back),
        KeyCode::Right => Some(Key::Forward),
        KeyCode::Up => Some(Key::Louder),
        KeyCode::Down => Some(Key::Quieter),
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Key::Quit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let press = |code, modifiers| meaning(Event::Key(KeyEvent::new(code, modifiers)));
        for (code, key) in [
            (KeyCode::Char(' '), Key::Pause),
            (KeyCode::Left, Key::Back),
            (KeyCode::Right, Key::Forward),
            (KeyCode::Char('q'), Key::Quit),
        ] {
            assert_eq!(press(code, KeyModifiers::NONE), Some(key));
        }
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), None);
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(meaning(Event::Key(released)), None);
    }
}
