//! Memory is flat in the length of the input.
#![cfg(target_os = "linux")]

use audiodiff::mel::{MelConvention, MelSpectrogram, extract, file};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Renders `mel` with the least work there is and returns the largest resident set in MiB.
fn peak_memory(mel: &Path, output: &Path) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audiodiff"));
    command.arg("render").arg(mel).arg("-o").arg(output).stderr(Stdio::null());
    command.args(["--steps", "1", "--iterations", "0", "--final-iterations", "0", "--threads", "1"]);
    let child = command.spawn().unwrap();
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    // SAFETY: the process is ours and not waited for elsewhere; both pointers are to live values of the right types.
    // (std's `wait` drops the resource usage.)
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!((waited, status), (child.id() as i32, 0));
    usage.ru_maxrss as f64 / 1024.0
}

#[test]
fn ten_minutes_take_hardly_more_than_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let clip = audiodiff::audio::read(format!("{}/samples/speech-en.wav", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mel = extract(&clip.samples, &MelConvention::native()).unwrap();
    let peak = |seconds: usize| {
        let frames = seconds * 24_000 / 256;
        let values = mel.values().iter().copied().cycle().take(frames * 100).collect();
        let path = folder.path().join(format!("{seconds}.npy"));
        file::write(&path, &MelSpectrogram::new(values, 100), &MelConvention::native()).unwrap();
        let output = folder.path().join(format!("{seconds}.wav"));
        let peak = peak_memory(&path, &output);
        assert_eq!(hound::WavReader::open(output).unwrap().duration() as usize, (frames - 1) * 256);
        peak
    };
    let (short, long) = (peak(10), peak(600));
    println!("10 s: {short:.0} MiB, 600 s: {long:.0} MiB");
    // The mel itself is 22 MiB, and the file that it is read from may be held beside it.
    assert!(long - short < 150.0, "10 s: {short:.0} MiB, 600 s: {long:.0} MiB");
}
