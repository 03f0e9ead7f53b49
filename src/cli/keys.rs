//! Single keys from the terminal, which is itself again afterwards whatever happens.

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
pub struct Keys(());

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
        Some(Self(()))
    }

    /// The next key within `patience`.
    pub fn wait(&self, patience: Duration) -> Option<Key> {
        match event::poll(patience) {
            Ok(true) => event::read().ok().and_then(meaning),
            Ok(false) => None,
            Err(_) => {
                // The terminal is gone, and would say so at once each time.
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
