//! The README's commands do what it says, as they stand there.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

/// The lines of the README's shell blocks that call the program, with comments cut off.
fn commands(readme: &str) -> Vec<String> {
    let mut commands = vec![];
    let mut in_block = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            in_block = line == "```sh";
        } else if in_block {
            let command = line.split("  #").next().unwrap_or_default().trim();
            let command = command.replace("cargo run --release --", "audiodiff");
            if command.contains("audiodiff ") {
                commands.push(command);
            }
        }
    }
    commands
}

#[test]
fn every_command_runs() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_audiodiff"), bin.join("audiodiff")).unwrap();
    // What the program is piped into or would be heard through.
    for stand_in in ["aplay", "your-tts"] {
        let script = bin.join(stand_in);
        fs::write(&script, "#!/bin/sh\ncat\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink(root.join("samples"), folder.path().join("samples")).unwrap();
    fs::create_dir(folder.path().join("mels")).unwrap();
    let mel = root.join("samples/mels/speech-synthetic.npy");
    for name in ["a.npy", "voice.npy", "mels/one.npy", "mels/two.npy", "mels/three.npy"] {
        fs::copy(&mel, folder.path().join(name)).unwrap();
    }
    fs::create_dir(folder.path().join("recordings")).unwrap();
    // One for each of the mels.
    for name in ["voice.wav", "recordings/one.wav", "recordings/two.wav", "recordings/three.wav"] {
        fs::copy(root.join("samples/speech-synthetic.wav"), folder.path().join(name)).unwrap();
    }

    fs::create_dir(folder.path().join("my_voice")).unwrap();
    fs::copy(root.join("samples/speech-synthetic.wav"), folder.path().join("my_voice/one.wav")).unwrap();

    let other = root.join("tests/fixtures/families/hifigan-v1.safetensors");
    fs::copy(other, folder.path().join("hifigan.safetensors")).unwrap();

    let commands = commands(&fs::read_to_string(root.join("README.md")).unwrap());
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        // Devices have tests of their own.
        if command.contains("audiodiff play") {
            continue;
        }
        // Nobody waits for a whole training here: one step of it.
        let command = match command.split_once(" --minutes ") {
            Some((before, _)) => format!("{before} --steps 1"),
            None => command,
        };
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(folder.path()).env("PATH", path);
        // The least work: what is tested is that the commands are right.
        if !command.contains("--model hifigan") {
            shell.envs([("AUDIODIFF_ITERATIONS", "0"), ("AUDIODIFF_FINAL_ITERATIONS", "0")]);
        }
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
