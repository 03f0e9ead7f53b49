//! A PulseAudio server of a test's own, with one sink that goes nowhere and can be listened to, and an ALSA configuration
//! whose default device is that server. Nothing of the user's own sound system is touched.

#![allow(dead_code)] // each test binary uses a part of it

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub struct SoundServer {
    folder: TempDir,
    daemon: Child,
    rate: u32,
    /// Sound in real time is one test's affair at a time: a dozen servers, players and recorders at once would disturb
    /// one another.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

/// Everything starts within this on a machine with all cores busy.
const PATIENCE: Duration = Duration::from_secs(30);

impl SoundServer {
    /// A stereo sink of `rate` Hz and `format` (`float32le`, `s16le`). `None` where PulseAudio is not installed, which is
    /// said; with AUDIODIFF_REQUIRE_SOUND set (as continuous integration does) that is a failure.
    pub fn start(rate: u32, format: &str) -> Option<Self> {
        if let Some(missing) = missing() {
            assert!(std::env::var_os("AUDIODIFF_REQUIRE_SOUND").is_none(), "{missing}");
            eprintln!("skipped: {missing}; install pulseaudio, pulseaudio-utils and libasound2-plugins");
            return None;
        }
        // A test that failed leaves the lock poisoned; its server is gone all the same.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let socket = folder.path().join("socket");
        let asound = format!(
            "pcm.!default {{ type pulse server \"unix:{0}\" hint.description \"the test's sink\" }}\n\
             ctl.!default {{ type pulse server \"unix:{0}\" }}\n",
            socket.display()
        );
        fs::write(folder.path().join("asound.conf"), asound).unwrap();
        let daemon = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"])
            .arg(format!("--load=module-native-protocol-unix socket={} auth-anonymous=1", socket.display()))
            .arg(format!("--load=module-null-sink sink_name=test rate={rate} channels=2 format={format}"))
            .envs(environment(folder.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("daemon.log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { folder, daemon, rate, _turn: turn };
        let begun = Instant::now();
        while !server.command("pactl").args(["list", "short", "sinks"]).output().unwrap().status.success() {
            let log = fs::read_to_string(server.folder.path().join("daemon.log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "the server does not start: {log}");
            thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// A program that sees this server as the only sound system.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(environment(self.folder.path())).env("AUDIODIFF_PRECISION", "f32").stdin(Stdio::null());
        command
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts to record what the sink hears.
    pub fn record(&self) -> Recording {
        let path = self.folder.path().join("recorded.raw");
        let mut recorder = self
            .command("parec")
            .args(["--device=test.monitor", "--format=float32le", "--channels=2", "--latency-msec=20"])
            .arg(format!("--rate={}", self.rate))
            .stdout(fs::File::create(&path).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The monitor of a running sink gives silence at once.
        let begun = Instant::now();
        while fs::metadata(&path).unwrap().len() == 0 {
            assert!(begun.elapsed() < PATIENCE && recorder.try_wait().unwrap().is_none(), "parec records nothing");
            thread::sleep(Duration::from_millis(20));
        }
        Recording { recorder, path }
    }

    /// As when the user's session ends.
    pub fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn environment(folder: &Path) -> [(&'static str, PathBuf); 6] {
    [
        ("HOME", folder.into()),
        ("XDG_RUNTIME_DIR", folder.join("run")),
        ("XDG_CONFIG_HOME", folder.join("config")),
        ("PULSE_RUNTIME_PATH", folder.join("run")),
        ("PULSE_SERVER", format!("unix:{}", folder.join("socket").display()).into()),
        ("ALSA_CONFIG_PATH", folder.join("asound.conf")),
    ]
}

fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("no null sink on this system".into());
    }
    for program in ["pulseaudio", "pactl", "parec"] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Some(format!("{program} is not installed"));
        }
    }
    let plugin =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib"].iter().flat_map(fs::read_dir).flatten().flatten().any(|entry| {
            let inside = |path: &Path| path.join("libasound_module_pcm_pulse.so").exists();
            inside(&entry.path().join("alsa-lib")) || inside(&entry.path()) && entry.file_name() == "alsa-lib"
        });
    (!plugin).then(|| "ALSA's PulseAudio plugin is not installed".into())
}

pub struct Recording {
    recorder: Child,
    path: PathBuf,
}

impl Recording {
    /// What was recorded so far, left and right.
    pub fn stop(mut self) -> (Vec<f32>, Vec<f32>) {
        // What the recorder itself still holds.
        thread::sleep(Duration::from_millis(300));
        self.recorder.kill().unwrap();
        self.recorder.wait().unwrap();
        let mut bytes = Vec::new();
        fs::File::open(&self.path).unwrap().read_to_end(&mut bytes).unwrap();
        let sample = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        bytes.chunks_exact(8).map(|frame| (sample(&frame[..4]), sample(&frame[4..]))).unzip()
    }
}
