//! An inspection as a folder: a page to begin with, pictures, sounds, and the numbers as JSON.
//!
//! Everything is written beside the folder's place first and put there when it is whole.

use super::{
    About, Inspection, StepNumbers,
    animation::animation,
    band_chart::BandChart,
    bands::Region,
    page,
    pictures::{Named, Pictures},
};
use crate::{
    Error, Result,
    audio::{SampleFormat, wav::encode},
    eval::picture::FrequencyScale,
    output::keep_off_inputs,
    sound::Sound,
    whole_file::{part_name, short_part_name},
};
use serde::Serialize;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Of the pictures that are files of their own; those on the page are PNG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    Png,
    Svg,
}

impl PictureFormat {
    fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
        }
    }
}

/// How the folder is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FolderOptions {
    pub format: PictureFormat,
    pub axis: FrequencyScale,
    /// `steps.gif` too.
    pub gif: bool,
    /// Replace what an inspection left in the folder before.
    pub overwrite: bool,
}

/// Pixels of the pictures that are files, and of those on the page.
const FILE_SIZE: (u32, u32) = (1000, 400);
const PAGE_SIZE: (u32, u32) = (440, 210);
const CHART_SIZE: (u32, u32) = (900, 340);
const GIF_SIZE: (u32, u32) = (640, 280);

/// Steps that are shown and heard; numbers are given of all.
const MOST_SHOWN: usize = 16;

/// The JSON file.
#[derive(Serialize)]
struct Numbers<'a> {
    #[serde(flatten)]
    about: &'a About,
    /// Hz, centres of the bands.
    bands_hz: &'a [f64],
    regions: Vec<Region>,
    steps: Vec<&'a StepNumbers>,
}

/// Writes `folder`, and gives the content of its `inspect.json`.
///
/// # Errors
/// [`Error::Exists`] where there is something in it and `overwrite` is not set, [`Error::Io`] otherwise.
pub fn write(inspection: &Inspection, about: &About, folder: &Path, options: &FolderOptions) -> Result<String> {
    check_place(folder, options.overwrite, &[])?;
    let staging = Staging::beside(folder)?;
    let put = |name: &str, bytes: &[u8]| {
        let path = staging.0.join(name);
        fs::write(&path, bytes).map_err(Error::io("cannot write", path))
    };
    let put_wav = |name: &str, sound: &Sound| put(name, &encode(sound, SampleFormat::Pcm16));

    let shown = shown_steps(inspection.steps.len());
    let files = Pictures { inspection, axis: options.axis, size: FILE_SIZE };
    let mel = inspection.mel_grid();
    let mut all: Vec<Named> = vec![files.mel(&mel)];
    all.extend(files.recording());
    all.extend(shown.iter().flat_map(|&i| files.step(&inspection.steps[i])));
    for Named { name, picture, .. } in &all {
        let bytes = match options.format {
            PictureFormat::Png => picture.png()?.0,
            PictureFormat::Svg => picture.svg()?.into_bytes(),
        };
        put(&format!("{name}.{}", options.format.extension()), &bytes)?;
    }
    let mut charts = vec![BandChart::mel_error(inspection, CHART_SIZE)];
    charts.extend(BandChart::spread(inspection, CHART_SIZE));
    for chart in &charts {
        let bytes = match options.format {
            PictureFormat::Png => chart.png()?,
            PictureFormat::Svg => chart.svg()?.into_bytes(),
        };
        put(&format!("{}.{}", chart.name, options.format.extension()), &bytes)?;
    }
    for &i in &shown {
        let step = &inspection.steps[i];
        for (what, samples) in [("estimate", &step.waveforms.estimate), ("projected", &step.waveforms.projected)] {
            let name = format!("step-{:02}-{what}.wav", step.numbers.step);
            put_wav(&name, &inspection.sound(samples))?;
        }
    }
    if let Some(recording) = &inspection.recording {
        put_wav("recording.wav", recording)?;
    }
    let gif = match options.gif {
        true => Some(animation(inspection, &Pictures { size: GIF_SIZE, ..files })?),
        false => None,
    };
    if let Some(gif) = &gif {
        put("steps.gif", gif)?;
    }

    let numbers = Numbers {
        about,
        bands_hz: &inspection.bands.centres,
        regions: inspection.bands.regions(),
        steps: inspection.steps.iter().map(|step| &step.numbers).collect(),
    };
    let failed = |error: serde_json::Error| Error::io("cannot write", folder)(io::Error::other(error));
    let json = serde_json::to_string(&numbers).map_err(failed)?;
    put("inspect.json", format!("{json}\n").as_bytes())?;
    let pictures = Pictures { inspection, axis: options.axis, size: PAGE_SIZE };
    let content =
        page::Content { inspection, about, pictures, charts, shown: &shown, gif: gif.map(|gif| (gif, GIF_SIZE)) };
    content.write(&staging.0.join(PAGE))?;
    staging.publish(folder)?;
    Ok(json)
}

const PAGE: &str = "index.html";

/// Every step, or some of many, the first and the last among them.
fn shown_steps(count: usize) -> Vec<usize> {
    let shown = count.min(MOST_SHOWN);
    (0..shown).map(|i| if shown < 2 { 0 } else { (i * (count - 1) + (shown - 1) / 2) / (shown - 1) }).collect()
}

/// Says early what would only be found out after the work, and that one of `inputs` would be replaced.
///
/// # Errors
/// As [`write()`], and [`Error::Settings`] for an input.
pub fn check_place(folder: &Path, overwrite: bool, inputs: &[PathBuf]) -> Result<()> {
    if folder.exists() && !folder.is_dir() {
        return Err(Error::Exists(folder.into()));
    }
    for name in fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name())) {
        if !overwrite {
            return Err(Error::Exists(folder.into()));
        }
        if is_ours(&name.to_string_lossy()) {
            keep_off_inputs(&folder.join(name), inputs)?;
        }
    }
    Ok(())
}

/// A folder in the making, gone where it is given up.
struct Staging(PathBuf);

impl Staging {
    /// Beside the place itself, as for a file: renaming works within a file system only.
    fn beside(folder: &Path) -> Result<Self> {
        let absolute = std::path::absolute(folder).map_err(Error::io("cannot create", folder))?;
        if let Some(parent) = absolute.parent() {
            fs::create_dir_all(parent).map_err(Error::io("cannot create", parent))?;
        }
        let path = match part_name(&absolute) {
            path if fs::symlink_metadata(&path).is_err_and(|e| e.kind() == io::ErrorKind::InvalidFilename) => {
                short_part_name(&absolute)
            }
            path => path,
        };
        // What a killed run left. A link in its place is not followed, and then in the way.
        if fs::symlink_metadata(&path).is_ok_and(|there| there.is_dir()) {
            fs::remove_dir_all(&path).map_err(Error::io("cannot replace", &path))?;
        }
        fs::create_dir(&path).map_err(Error::io("cannot create", &path))?;
        Ok(Self(path))
    }

    fn publish(self, folder: &Path) -> Result<()> {
        let failed = || Error::io("cannot create", folder);
        if !folder.exists() {
            return fs::rename(&self.0, folder).map_err(failed());
        }
        // What an earlier inspection left is removed, whatever else lies there is not; the page comes last.
        let entries = |path: &Path| -> Result<Vec<OsString>> {
            let names = fs::read_dir(path).map_err(Error::io("cannot read", path))?;
            Ok(names.filter_map(|entry| Some(entry.ok()?.file_name())).collect())
        };
        for name in entries(folder)?.iter().filter(|name| is_ours(&name.to_string_lossy())) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(Error::io("cannot replace", path))?;
        }
        let mut names = entries(&self.0)?;
        names.sort_by_key(|name| name == PAGE);
        for name in names {
            fs::rename(self.0.join(&name), folder.join(&name)).map_err(failed())?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing can be done about a failure; the next attempt removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name that an inspection gives.
fn is_ours(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let step = stem.strip_prefix("step-").and_then(|rest| rest.split_once('-'));
    let is_step = step.is_some_and(|(number, what)| {
        digits(number)
            && ["noisy", "estimate", "projected", "change", "estimate-spread", "projected-spread"].contains(&what)
    });
    match extension {
        "html" | "json" => matches!(name, PAGE | "inspect.json"),
        "gif" => stem == "steps",
        "wav" => is_step || stem == "recording",
        "png" | "svg" => is_step || matches!(stem, "mel" | "recording" | "bands-mel-error" | "bands-spread"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_many_steps_are_shown() {
        assert_eq!(shown_steps(4), [0, 1, 2, 3]);
        assert_eq!(shown_steps(1), [0]);
        let many = shown_steps(64);
        assert_eq!((many.len(), many[0], many[15]), (16, 0, 63));
        assert!(many.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn only_names_of_an_inspection_are_replaced() {
        for name in
            ["index.html", "step-01-change.svg", "step-12-projected.wav", "mel.png", "steps.gif", "inspect.json"]
        {
            assert!(is_ours(name), "{name}");
        }
        for name in ["thesis.html", "step-1-change.svg", "step-01-x.png", "voice.wav", "data.json", "step", "mel.npy"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
