//! Headless Chromium: a page as its reader sees it, and what its scripts made of it.

#![allow(dead_code)] // each test binary uses a part of it

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub struct Browser {
    program: PathBuf,
    /// A profile of its own, so that nothing of the user's browser is seen or touched.
    profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where there is no Chromium, which is said; with AUDIODIFF_REQUIRE_BROWSER set (as continuous integration
    /// does) that is a failure.
    pub fn find() -> Option<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let program = ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)))
            .find(|path| path.is_file());
        let Some(program) = program else {
            let missing = "there is no chromium to look at pages with";
            assert!(std::env::var_os("AUDIODIFF_REQUIRE_BROWSER").is_none(), "{missing}");
            eprintln!("skipped: {missing}; install it (Debian: chromium)");
            return None;
        };
        Some(Self { program, profile: tempfile::tempdir().unwrap() })
    }

    /// The page after its scripts ran for `ms` milliseconds of the browser's own clock.
    pub fn dom(&self, page: &Path, ms: u32) -> String {
        let budget = format!("--virtual-time-budget={ms}");
        let output = self.run(&["--dump-dom", &budget, &url(page)]);
        String::from_utf8(output).unwrap()
    }

    /// The upper left of the page, `width` by `height` pixels.
    pub fn screenshot(&self, page: &Path, width: u32, height: u32) -> Screenshot {
        let file = self.profile.path().join("screenshot.png");
        let target = format!("--screenshot={}", file.display());
        let size = format!("--window-size={width},{height}");
        self.run(&[&target, &size, "--hide-scrollbars", "--force-device-scale-factor=1", &url(page)]);
        if let Some(folder) = std::env::var_os("AUDIODIFF_KEEP_SCREENSHOTS") {
            let name = page.file_stem().unwrap_or_else(|| OsStr::new("page")).to_string_lossy().into_owned() + ".png";
            fs::copy(&file, Path::new(&folder).join(name)).unwrap();
        }
        Screenshot(image::open(&file).unwrap().to_rgb8())
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(&self.program);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            // Nobody is there to press a key first.
            .arg("--autoplay-policy=no-user-gesture-required")
            .arg(format!("--user-data-dir={}", self.profile.path().join("profile").display()))
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

fn url(page: &Path) -> String {
    format!("file://{}", page.canonicalize().unwrap().display())
}

/// Pixels from the upper left.
pub struct Screenshot(image::RgbImage);

impl Screenshot {
    /// Different colours, in steps of 8, among the pixels of a part: a flat part has 1, text a dozen, a spectrogram hundreds.
    pub fn colours(&self, left: u32, top: u32, width: u32, height: u32) -> usize {
        let part = image::imageops::crop_imm(&self.0, left, top, width, height).to_image();
        let mut seen: Vec<_> = part.pixels().map(|pixel| pixel.0.map(|v| v / 8)).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    }

    /// Pixels that are near to `colour`.
    pub fn count(&self, colour: [u8; 3]) -> usize {
        let near = |pixel: &image::Rgb<u8>| pixel.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 8);
        self.0.pixels().filter(|pixel| near(pixel)).count()
    }

    pub fn size(&self) -> (u32, u32) {
        self.0.dimensions()
    }
}
