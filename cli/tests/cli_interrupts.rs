//! Ctrl-C and SIGTERM in every command, while it waits for something that never comes: who looks for the signal between
//! chunks only would wait for ever.
#![cfg(target_os = "linux")]

mod program;

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use program::Program;

/// Waits until the program handles signals, and a little longer, for it to come to where it waits.
fn wait_until_it_waits(child: &Child) {
    let handles = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() >> (libc::SIGINT - 1) & 1 == 1
    };
    let begun = Instant::now();
    while !handles() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no handler was installed");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(400));
}

/// The program ends with 130 by itself; a minute is for ever here, and not for a busy machine.
fn interrupted(program: &Program, arguments: &[&str], signal: i32) {
    let mut command = program.command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_until_it_waits(&child);
    if let Some(status) = child.try_wait().unwrap() {
        panic!("{arguments:?} did not wait: {status}");
    }
    // SAFETY: the child has not been waited for, so the id is still its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{arguments:?} did not hear the signal");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(130), "{arguments:?}");
}

/// A pipe without a writer: opening it waits.
fn pipe(program: &Program, name: &str) {
    program.write(name, "");
    let path = program.path(name);
    std::fs::remove_file(&path).unwrap();
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a valid string that ends in a zero byte.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

#[test]
fn every_command_hears_a_signal_while_it_waits() {
    let program = Program::new();
    pipe(&program, "pipe.wav");
    program.mel("a.npy", 8);
    let files = ["a.npy", "pipe.wav"];
    for (arguments, signal) in [
        // The input itself, which is opened in a thread of its own.
        (&["render", "pipe.wav", "-o", "x.wav", "-t", "1"][..], libc::SIGINT),
        (&["render", "pipe.wav", "a.npy", "-o", "out", "-t", "1", "-j", "1"], libc::SIGTERM),
        (&["data", "check", "pipe.wav"], libc::SIGINT),
        (&["data", "augment", "pipe.wav", "-o", "more", "--gain", "-3"], libc::SIGINT),
        (&["mel", "pipe.wav", "-o", "x.npy"], libc::SIGTERM),
        (&["mel", "info", "a.npy", "--recording", "pipe.wav"], libc::SIGINT),
        (&["eval", "pipe.wav", "--reference", "pipe.wav", "--metrics", "cheap"], libc::SIGINT),
        (&["inspect", "pipe.wav", "-o", "inspected"], libc::SIGINT),
        // Standard input that nobody writes to: a list, or a recording.
        (&["render", "-", "-o", "out"], libc::SIGINT),
        (&["render", "-", "-o", "out", "--manifest", "m.jsonl"], libc::SIGTERM),
    ] {
        interrupted(&program, arguments, signal);
    }
    let left: Vec<_> = program.files(".").into_iter().filter(|name| !files.contains(&name.as_str())).collect();
    assert!(left.iter().all(|name| ["m.jsonl", "more/augment.jsonl"].contains(&name.as_str())), "{left:?}");
}
