//! What every command keeps to that writes a file: nothing is lost that was there.

#![cfg(unix)]

mod program;

use std::{
    ffi::CString,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use program::{CHEAP, DEAR, Outcome, Program, sample};

/// A mel as bare frames, which `render - --input-format f32le` takes.
fn frames(count: usize) -> Vec<u8> {
    program::speech(40, count).values().iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `render -` with live input from a file.
fn live(program: &Program, input: &[u8], arguments: &[&str]) -> Outcome {
    program.write("live.f32", input);
    let input = fs::File::open(program.path("live.f32")).unwrap();
    let fixed = ["render", "-", "--input-format", "f32le", "--precision", "f32"];
    Outcome::of(program.command().args([&fixed, arguments, CHEAP].concat()).stdin(input))
}

fn fifo(program: &Program, name: &str) {
    let path = CString::new(program.path(name).into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: the name is a string with its end.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

/// Raw output, live and not, is a file like any other: refused, skipped or replaced, and whole or not there.
#[test]
fn raw_output_keeps_the_rules_of_files() {
    let program = Program::new();
    program.mel("a.npy", 12);
    let good = frames(12);
    let mut broken = good.clone();
    let at = broken.len() - 4;
    broken[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    program.write("old.pcm", "precious");
    let untouched = || assert_eq!(program.text("old.pcm"), "precious");

    program.render(&["a.npy", "-o", "old.pcm", "--raw"]).code(1).says(&["old.pcm: is there already; give -y"]);
    untouched();
    live(&program, &good, &["-o", "old.pcm", "--raw"]).code(1).says(&["old.pcm: is there already; give -y"]);
    untouched();
    program.render(&["a.npy", "-o", "old.pcm", "--raw", "-n"]).code(0);
    untouched();
    live(&program, &good, &["-o", "old.pcm", "--raw", "-n"]).code(0);
    untouched();
    program.render(&["gone.npy", "-o", "old.pcm", "--raw", "-y"]).code(1).says(&["gone.npy"]);
    untouched();
    live(&program, &broken, &["-o", "old.pcm", "--raw", "-y"]).code(1);
    untouched();
    live(&program, &[], &["-o", "old.pcm", "--raw", "-y"]).code(1).says(&["no sound came of it"]);
    untouched();

    program.render(&["a.npy", "-o", "old.pcm", "--raw", "-y"]).code(0).says(&["s16le 24000 1"]);
    assert_eq!(program.read("old.pcm").len(), 2 * 11 * 256);
    let through_a_pipe = live(&program, &good, &["-o", "-", "--raw"]).code(0).stdout;
    live(&program, &good, &["-o", "old.pcm", "--raw", "-y"]).code(0).says(&["s16le 24000 1"]);
    assert!(!through_a_pipe.is_empty() && program.read("old.pcm") == through_a_pipe);
    assert_eq!(program.files("."), ["a.npy", "live.f32", "old.pcm"]);
}

/// Whatever a command reads, and by whatever link it is named, is not written over, not even with -y.
#[test]
fn no_command_writes_over_an_input() {
    let program = Program::new();
    program.mel("in/a.npy", 12);
    fs::copy(sample("speech-synthetic.wav"), program.path("voice.wav")).unwrap();
    program.run(&["models", "export", "builtin", "-o", "m.safetensors"]).code(0);
    fs::hard_link(program.path("in/a.npy"), program.path("hard.pcm")).unwrap();
    symlink("in/a.npy", program.path("soft.pcm")).unwrap();
    symlink("voice.wav", program.path("voice.npy")).unwrap();
    fs::hard_link(program.path("m.safetensors"), program.path("model.pcm")).unwrap();
    fs::create_dir(program.path("recordings")).unwrap();
    fs::hard_link(program.path("voice.wav"), program.path("recordings/a.wav")).unwrap();
    for folder in ["renderings", "noises"] {
        fs::create_dir(program.path(folder)).unwrap();
        fs::copy(program.path("voice.wav"), program.path(folder).join("a.wav")).unwrap();
    }
    fs::create_dir(program.path("seen")).unwrap();
    fs::hard_link(program.path("voice.wav"), program.path("seen/recording.wav")).unwrap();
    let names = ["in/a.npy", "voice.wav", "m.safetensors"];
    let before = names.map(|name| program.read(name));

    let refused = |arguments: &[&str]| {
        program.run(arguments).code(2).says(&["is an input"]);
    };
    refused(&["render", "in/a.npy", "-o", "in/a.npy", "--raw", "-y"]);
    refused(&["render", "in/a.npy", "-o", "hard.pcm", "--raw", "-y"]);
    refused(&["render", "in/a.npy", "-o", "soft.pcm", "--raw", "-y"]);
    refused(&["render", "in/a.npy", "-o", "model.pcm", "--raw", "-y", "-m", "m.safetensors"]);
    refused(&[
        "render",
        "voice.wav",
        "-o",
        "recordings",
        "-y",
        "--manifest",
        "m.jsonl",
        "in",
        "--recording",
        "recordings",
    ]);
    refused(&["render", "in", "-o", "recordings", "-y", "--recording", "recordings"]);
    refused(&["mel", "voice.wav", "-o", "voice.npy", "-y"]);
    refused(&["models", "export", "m.safetensors", "-o", "m.safetensors", "-y"]);
    refused(&["models", "average", "builtin", "m.safetensors", "-o", "model.pcm", "-y"]);
    refused(&["play", "voice.wav", "--also-write", "recordings/a.wav", "-y"]);
    refused(&["eval", "renderings", "-r", "recordings", "--html", "voice.wav", "-y"]);
    refused(&["eval", "renderings", "-r", "recordings", "--results", "voice.wav"]);
    refused(&["inspect", "voice.wav", "-o", "seen", "-y"]);
    let noisy = ["--noise", "10:30", "--noise-from", "noises", "-y"];
    refused(&[&["data", "augment", "recordings", "-o", "noises"], &noisy[..]].concat());
    let list = "{\"input\": \"voice.wav\", \"output\": \"recordings/a.wav\"}\n";
    program.run_with_input(&["render", "-", "-y"], list).code(2).says(&["recordings/a.wav", "is an input"]);
    assert!(names.map(|name| program.read(name)) == before);
    program.run(&["render", "in", "-o", "out", "--manifest", "out/a.wav"]).code(2).says(&["--manifest", "an output"]);
}

/// A line of notes that somebody has is no manifest, whether it ends in a line feed or not.
#[test]
fn another_file_is_no_manifest() {
    let program = Program::new();
    program.mel("a.npy", 12);
    for notes in ["buy milk", "buy milk\n", "{\"milk\": 2}", "{\"milk\": 2}\n{", "[1"] {
        program.write("notes.txt", notes);
        program.render(&["a.npy", "-o", "x.wav", "--manifest", "notes.txt"]).code(1).says(&["notes.txt: line 1"]);
        assert_eq!(program.text("notes.txt"), notes);
    }
    symlink("notes.txt", program.path("link.jsonl")).unwrap();
    program.write("notes.txt", "");
    program
        .render(&["a.npy", "-o", "x.wav", "--manifest", "link.jsonl"])
        .code(1)
        .says(&["link.jsonl", "symbolic link"]);
    fifo(&program, "pipe.jsonl");
    program.render(&["a.npy", "-o", "x.wav", "--manifest", "pipe.jsonl"]).code(1).says(&["pipe.jsonl", "regular file"]);
    assert_eq!((program.text("notes.txt"), program.exists("x.wav")), (String::new(), false));
}

#[test]
fn permissions_and_links_of_an_output_stay() {
    let program = Program::new();
    program.mel("a.npy", 12);
    program.write("real/private.wav", "old");
    symlink("real/private.wav", program.path("out.wav")).unwrap();
    program.render(&["a.npy", "-o", "out.wav"]).code(1).says(&["out.wav: is there already"]);
    // Neither is what a new file has, and one of them not what it has while it is made.
    for mode in [0o600, 0o664] {
        fs::set_permissions(program.path("real/private.wav"), fs::Permissions::from_mode(mode)).unwrap();
        program.render(&["a.npy", "-o", "out.wav", "-y"]).code(0);
        assert!(program.path("out.wav").is_symlink());
        assert_eq!(program.wav("real/private.wav").1.len(), 11 * 256);
        assert_eq!(fs::metadata(program.path("real/private.wav")).unwrap().permissions().mode() & 0o777, mode);
    }
    assert_eq!(program.files("."), ["a.npy", "real/private.wav"]);
}

/// The temporary name can be guessed; what somebody lays there is neither followed nor written to.
#[test]
fn a_planted_temporary_name_is_not_followed() {
    let program = Program::new();
    program.mel("a.npy", 12);
    program.write("victim", "precious");
    symlink("victim", program.path(".a.wav.audiodiff.part")).unwrap();
    program.render(&["a.npy"]).code(1).says(&["a.wav: cannot create", ".a.wav.audiodiff.part is there", "remove it"]);
    assert_eq!((program.text("victim"), program.exists("a.wav")), ("precious".into(), false));
    // Another program's leftover is not ours.
    fs::remove_file(program.path(".a.wav.audiodiff.part")).unwrap();
    program.write(".a.wav.part", "of a download");
    program.render(&["a.npy"]).code(0);
    assert_eq!(program.text(".a.wav.part"), "of a download");
    symlink("../victim", program.path("run-lock")).unwrap();
    fs::create_dir(program.path("run")).unwrap();
    symlink("../victim", program.path("run/.lock")).unwrap();
    program.run(&["train", "--data", ".", "-o", "run", "--steps", "1"]).code(1).says(&["run/.lock", "symbolic link"]);
    assert_eq!(program.text("victim"), "precious");
}

/// Names of up to 255 bytes are the file system's to refuse, not ours.
#[test]
fn an_output_may_have_the_longest_name() {
    let program = Program::new();
    let name = format!("{}語", "x".repeat(248));
    program.mel("a.npy", 12);
    fs::rename(program.path("a.npy"), program.path(&format!("{name}.npy"))).unwrap();
    program.render(&[&format!("{name}.npy"), "-o", "out"]).code(0);
    assert_eq!(program.files("out"), [format!("{name}.wav")]);
}

/// Standard output by its name is standard output, also where it is a file that is appended to; pipes stay pipes.
#[test]
fn streams_by_name_are_written_to() {
    let program = Program::new();
    program.mel("a.npy", 12);
    let wanted = program.render(&["a.npy", "-o", "-", "-q"]).code(0).stdout;
    let arguments = [&["render", "a.npy", "-q"], CHEAP].concat();
    for (name, appended) in [("/dev/stdout", false), ("/dev/fd/1", false), ("/proc/self/fd/1", true)] {
        program.write("log", "before");
        let file = fs::OpenOptions::new().write(true).append(appended).truncate(!appended).open(program.path("log"));
        let status = program.command().args(&arguments).args(["-o", name]).stdout(file.unwrap()).status().unwrap();
        assert!(status.success(), "{name}");
        let before: &[u8] = if appended { b"before" } else { b"" };
        assert!(program.read("log") == [before, &wanted].concat(), "{name}");
    }
    fifo(&program, "pipe.wav");
    let reader = std::thread::spawn({
        let path = program.path("pipe.wav");
        move || fs::read(path).unwrap()
    });
    program.render(&["a.npy", "-o", "pipe.wav", "-q"]).code(0);
    assert!(reader.join().unwrap() == wanted);
    assert!(fs::metadata(program.path("pipe.wav")).unwrap().file_type().is_fifo());
    // Commands whose files are whole or not there give them to a pipe when they are whole.
    program.run(&["models", "export", "builtin", "-o", "m.safetensors"]).code(0);
    let model = program.run(&["models", "export", "builtin", "-o", "/dev/stdout"]).code(0).stdout;
    assert!(model == program.read("m.safetensors"));
    program.render(&["a.npy", "-o", "/dev/stdout", "--json"]).code(2).says(&["--json"]);
}

/// `ulimit -f` is an error of the file, as a full disk is.
#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    use std::os::unix::process::CommandExt as _;
    let program = Program::new();
    program.mel("a.npy", 160);
    let mut command = program.command();
    command.args([&["render", "a.npy"], CHEAP].concat());
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 20_000, rlim_max: 20_000 };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    Outcome::of(&mut command).code(1).says(&["a.wav: cannot write", "too large"]);
    assert_eq!(program.files("."), ["a.npy"]);
}

#[test]
fn lines_of_json_that_are_lost_are_an_error() {
    let program = Program::new();
    program.mel("in/a.npy", 12);
    program.mel("in/bb.npy", 12);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let arguments = |output: &'static str| [&["render", "in", "-o", output, "--json"], CHEAP].concat();
    let mut command = program.command();
    command.args(arguments("full")).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("audiodiff: standard output: cannot write"), "{said}");
    // The work itself is done.
    assert_eq!(program.files("full"), ["a.wav", "bb.wav"]);
    // A reader that has seen enough is no failure.
    let mut child = program.command().args(arguments("closed")).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(program.files("closed"), ["a.wav", "bb.wav"]);
}

fn wait(mut child: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

/// Live input that is interrupted while nothing comes: what was made is a whole file.
#[test]
fn an_interrupted_live_file_keeps_what_was_there() {
    let program = Program::new();
    for (output, sent, signal) in [("some.wav", 200, libc::SIGINT), ("none.wav", 3, libc::SIGTERM)] {
        let arguments = ["render", "-", "-o", output, "--input-format", "f32le", "--latency-ms", "300"];
        let mut child = program
            .command()
            .args([&arguments, CHEAP].concat())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&frames(sent)).unwrap();
        while !program.files(".").iter().any(|name| name.ends_with(".part")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // For the first chunks of the longer one to be rendered; how many depends on the machine.
        std::thread::sleep(Duration::from_secs(2));
        // SAFETY: the child has not been waited for, so the id is still its own.
        unsafe { libc::kill(child.id() as i32, signal) };
        let begun = Instant::now();
        let (status, said) = wait(child);
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(20), "it waits for its input");
        drop(input);
        assert!(said.contains("audiodiff: interrupted"), "{said}");
        if output == "none.wav" {
            assert!(said.contains("none.wav: not written") || said.contains("none.wav: keeps"), "{said}");
            assert_eq!(program.exists(output), said.contains("keeps"));
        } else {
            let length = program.wav(output).1.len();
            let kept = format!("some.wav: keeps the {:.2} s", length as f64 / 24_000.0);
            assert!(length > 0 && said.contains(&kept), "{length} samples; {said}");
        }
        assert!(program.files(".").iter().all(|name| !name.ends_with(".part")));
    }
}

/// Advice is a gain that can be given and that is enough, whatever was given before, on a pipe and live.
#[test]
fn advice_on_clipping_is_right() {
    let program = Program::new();
    program.mel("a.npy", 40);
    let clipped = program.render(&["a.npy", "-o", "-", "--gain", "30", "--raw", "--peaks", "clip"]).code(0);
    let advised = |outcome: &Outcome| {
        let line = outcome.stderr.lines().find(|line| line.contains("over full scale")).unwrap().to_owned();
        line.rsplit_once("give --gain ").unwrap_or_else(|| panic!("{line}")).1.parse::<i32>().unwrap()
    };
    let gain = advised(&clipped);
    let again = |gain: i32| {
        program.render(&["a.npy", "-o", "-", "--raw", "--peaks", "clip", "--gain", &gain.to_string()]).code(0)
    };
    assert!(!again(gain).stderr.contains("full scale"));
    // And no quieter than it has to be; pcm16's dither may or may not clip within a hundredth of a decibel.
    let louder = again(gain + 2);
    assert_eq!(advised(&louder), gain);
    let live = live(&program, &frames(40), &["-o", "-", "--raw", "--peaks", "clip", "--gain", "30"]).code(0);
    assert!((advised(&live) - gain).abs() < 10, "{}", live.stderr);
}

/// An output that a line of a list names is what -o may name.
#[test]
fn outputs_of_a_list_are_checked() {
    let program = Program::new();
    program.mel("in/a.npy", 12);
    let run = |list: &str, arguments: &[&str]| {
        program.run_with_input(&[&["render", "-"], arguments, CHEAP].concat(), &format!("in/a.npy\n{list}\n"))
    };
    let output = ["-o", "out"];
    let of_a_folder = r#"{"input": "in", "output": "x.wav"}"#;
    run(of_a_folder, &output).code(1).says(&["standard input: line 2", "x.wav", "folder in"]);
    for name in ["x.flac", "x", "../.bashrc"] {
        let line = format!(r#"{{"input": "in/a.npy", "output": "{name}"}}"#);
        run(&line, &output).code(1).says(&["standard input: line 2", name, ".wav"]);
    }
    assert!(!program.exists("out"));
    let single = "{\"input\": \"in/a.npy\", \"output\": \"x.wav\"}\n";
    program.run_with_input(&["render", "-", "-o", "-"], single).code(2).says(&["--output", "x.wav"]);
    // Where it lies is the list's own affair.
    run(r#"{"input": "in/a.npy", "output": "../elsewhere/x.WAV"}"#, &output).code(0);
    assert_eq!(program.files("elsewhere"), ["x.WAV"]);
}

#[test]
fn an_interrupted_rendering_leaves_the_old_file() {
    let program = Program::new();
    program.mel("a.npy", 160);
    program.write("old.pcm", "precious");
    let child = program
        .command()
        .args([&["render", "a.npy", "-o", "old.pcm", "--raw", "-y"], DEAR].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !program.exists(".old.pcm.audiodiff.part") {
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: the child has not been waited for, so the id is still its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let (status, said) = wait(child);
    assert_eq!((status.code(), program.text("old.pcm")), (Some(130), "precious".into()), "{said}");
    assert_eq!(program.files("."), ["a.npy", "old.pcm"]);
}
