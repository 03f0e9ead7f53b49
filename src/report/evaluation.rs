//! The page of an evaluation: systems side by side in tables, then clips to look at and to listen to.

use super::{Cell, Clip, Figure, Html, Table, Track};
use crate::{
    Result,
    eval::{
        Comparison, FileScore, Metric, Summary,
        picture::{FrequencyScale, Grid, Picture},
        polyphase::resample_sound,
        statistics::{Difference, Interval},
    },
    mel::MelScale,
    sound::Sound,
};

/// Pixels of a spectrogram.
const SIZE: (u32, u32) = (640, 220);
/// Quieter than the loudest by so many dB is black, and no difference is shown below.
const DEPTH_DB: f32 = 80.0;
/// So many scores are a table that does not stand in the way.
const FEW: usize = 24;
/// Differences beyond these are shown as these.
const DIFFERENCE_DB: f32 = 24.0;

/// What a clip has for an id: links lead to it.
pub fn clip_id(file: &str) -> String {
    let mut id = String::from("clip-");
    for byte in file.bytes() {
        // Spaces, percent signs and the like mean something in links.
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => id.push(char::from(byte)),
            _ => id.push_str(&format!("_{byte:02x}")),
        }
    }
    id
}

/// The tables: means with intervals, differences from the first system, every file. `shown` says which files have a clip.
pub fn tables(summary: &Summary, scores: &[FileScore], shown: impl Fn(&str) -> bool) -> Html {
    let mut html = Html::new();
    let metrics: Vec<Metric> = summary.metrics().collect();
    html.paragraph(&format!(
        "{}. In brackets the interval in which the mean lies with 95 % certainty, by a bootstrap over the files.",
        summary.extent()
    ));
    html.table(&means(summary, &metrics));
    for system in &summary.systems {
        if system.failed > 0 {
            html.warning(&format!("{}: {} of {} files could not be scored", system.name, system.failed, summary.files));
        }
    }
    html.list(summary.notes());
    if summary.systems.len() > 1 {
        html.heading(2, "differences", &format!("Differences from {}", summary.systems[0].name));
        html.paragraph(
            "File by file, on the files that both have. Better and worse are said where the interval leaves out 0; of the \
             loudness, how far it is off counts, whichever way.",
        );
        html.table(&differences(summary, &metrics));
    }
    html.heading(2, "files", "Files");
    let mut table = Html::new();
    table.table(&files(scores, &metrics, shown));
    html.details(&format!("{} scores; a click on a heading sorts", scores.len()), scores.len() <= FEW, &table);
    html
}

/// A metric a row; `first` of the columns are the metric's own.
fn by_metric(summary: &Summary, metrics: &[Metric], skip: usize, cell: impl Fn(Metric, usize) -> Cell) -> Table {
    let names = summary.systems.iter().skip(skip).map(|system| (system.name.clone(), String::new()));
    let head = [("metric".to_string(), String::new())].into_iter().chain(names);
    let row = |&metric: &Metric| {
        let name = Cell::text(metric.title()).detail(format!("{} is better", metric.better().word()));
        let cells = (skip..summary.systems.len()).map(|i| cell(metric, i));
        std::iter::once(name.hint(format!("{}: {}", metric.key(), metric.about()))).chain(cells).collect()
    };
    Table { head: head.collect(), rows: metrics.iter().map(row).collect(), ..Table::default() }
}

fn means(summary: &Summary, metrics: &[Metric]) -> Table {
    by_metric(summary, metrics, 0, |metric, i| {
        let badness = |mean: &Interval| metric.better().badness(mean.mean);
        let all = summary.systems.iter().filter_map(|system| system.means.get(&metric));
        let best = all.map(badness).fold(f64::INFINITY, f64::min);
        let Some(mean) = summary.systems[i].means.get(&metric) else { return Cell::missing() };
        let digits = metric.digits();
        Cell::number(mean.mean, digits)
            .detail(format!("[{:.digits$}, {:.digits$}]{}", mean.low, mean.high, count(mean, summary.files)))
            .best(summary.systems.len() > 1 && badness(mean) <= best)
    })
}

fn differences(summary: &Summary, metrics: &[Metric]) -> Table {
    by_metric(summary, metrics, 1, |metric, i| {
        let Some(difference) = summary.systems[i].differences.get(&metric) else { return Cell::missing() };
        let (digits, Difference { interval, .. }) = (metric.digits(), difference);
        let verdict = verdict(metric, difference);
        let interval_text = format!("[{:+.digits$}, {:+.digits$}]", interval.low, interval.high);
        Cell::text(format!("{:+.digits$}", interval.mean))
            .detail(format!("{interval_text} {verdict}{}", count(interval, summary.files)))
            .best(verdict == "better")
    })
}

/// Where not every file has the metric.
pub fn count(interval: &Interval, files: usize) -> String {
    if interval.n == files { String::new() } else { format!(" ({} files)", interval.n) }
}

/// What a difference shows, in a word or two.
pub fn verdict(metric: Metric, difference: &Difference) -> &'static str {
    use crate::eval::Better;
    let lower_is_better = metric.better() != Better::Higher;
    match difference.significant {
        None => "too few files",
        Some(false) => "not significant",
        Some(true) if (difference.interval.mean < 0.0) == lower_is_better => "better",
        Some(true) => "worse",
    }
}

fn files(scores: &[FileScore], metrics: &[Metric], shown: impl Fn(&str) -> bool) -> Table {
    let mut head = vec![("file".to_string(), String::new()), ("system".into(), String::new())];
    head.extend(metrics.iter().map(|m| (m.title().to_string(), format!("{}: {}", m.key(), m.about()))));
    head.push(("seconds".into(), "of the recording".into()));
    head.push(("delay, ms".into(), "of the rendering; it was taken out".into()));
    head.push(("remarks".into(), String::new()));
    let row = |score: &FileScore| {
        let file = Cell::text(&score.file);
        let file = if shown(&score.file) { file.link(&clip_id(&score.file)) } else { file };
        let value = |&m: &Metric| score.value(m).map_or_else(Cell::missing, |value| Cell::number(value, m.digits()));
        let mut row = vec![file, Cell::text(&score.system)];
        row.extend(metrics.iter().map(value));
        row.extend([Cell::number(score.seconds, 2), Cell::number(score.delay_ms, 1)]);
        let partial = (score.coverage < 1.0 && !score.failed()).then(|| covered(score));
        row.push(Cell::text(partial.into_iter().chain(score.problem.clone()).collect::<Vec<_>>().join("; ")));
        row
    };
    Table { head, rows: scores.iter().map(row).collect(), sortable: true, ..Table::default() }
}

/// The recording and what every system made of it, in step: spectrograms on common axes and colours, and how each differs
/// from the recording's.
///
/// # Errors
/// [`crate::Error::Io`] where a picture cannot be drawn.
pub fn clip(comparison: &Comparison, systems: &[String]) -> Result<Clip> {
    let note_of = |i: usize| {
        let score = comparison.scores.iter().find(|score| score.system == systems[i]);
        score.map_or_else(String::new, line)
    };
    let mut clip = Clip {
        id: clip_id(&comparison.name),
        title: comparison.name.clone(),
        note: String::new(),
        tracks: vec![Track::new("recording")],
    };
    let sounds: Vec<(usize, Option<&Sound>)> = comparison
        .renderings
        .iter()
        .map(|(i, rendering)| (*i, rendering.as_ref().ok().map(|r| &r.sound).filter(|s| !s.is_empty())))
        .collect();
    let silent = |(i, _): &(usize, Option<&Sound>)| Track::new(&systems[*i]).with_note(note_of(*i));
    let Some(recording) = comparison.reference.as_ref().ok().filter(|sound| !sound.is_empty()) else {
        clip.tracks.extend(sounds.iter().map(silent));
        return Ok(clip);
    };
    // Pictures at one rate, so that their axes agree: a system whose sound ends earlier shows black above.
    let highest = sounds.iter().filter_map(|(_, sound)| Some((*sound)?.rate)).max();
    let rate = highest.map_or(recording.rate, |highest| highest.min(recording.rate));
    let (grid, seconds) = (spectrum(recording, rate), recording.seconds());
    let top = (grid.top() / 5.0).ceil() * 5.0;
    let draw = |title: &str, grid: &Grid, range: [f32; 2], difference: bool| {
        let picture = Picture {
            title: title.into(),
            grid,
            range,
            difference,
            axis: FrequencyScale::Mel(MelScale::Htk),
            seconds,
            size: SIZE,
        };
        Figure::draw(&picture, format!("{title}, {}", comparison.name))
    };
    let levels = [top - DEPTH_DB, top];
    let channels = if recording.channels.len() == 2 { ", two channels (pictures show their mean)" } else { "" };
    let track = clip.tracks.remove(0).with_note(format!("{seconds:.2} s, {} Hz{channels}", recording.rate));
    clip.tracks.push(track.with_sound(recording).with_figure(draw("recording", &grid, levels, false)?));
    for (i, sound) in &sounds {
        let (Some(sound), name) = (sound, &systems[*i]) else {
            clip.tracks.push(silent(&(*i, *sound)));
            continue;
        };
        let delay_ms = comparison.scores.iter().find(|s| s.system == *name).map_or(0.0, |score| score.delay_ms);
        let sound = shifted(sound, delay_ms);
        let rendered = spectrum(&sound, rate);
        let difference = smooth(&rendered, levels[0]).less(&smooth(&grid, levels[0]));
        clip.tracks.push(
            Track::new(name)
                .with_note(note_of(*i))
                .with_sound(&sound)
                .with_figure(draw(name, &rendered, levels, false)?)
                .with_figure(draw(
                    &format!("{name} less recording"),
                    &difference,
                    [-DIFFERENCE_DB, DIFFERENCE_DB],
                    true,
                )?),
        );
    }
    Ok(clip)
}

fn covered(score: &FileScore) -> String {
    format!("covers {:.1} % of the recording, the rest counts as silence", 100.0 * score.coverage)
}

/// The scores in a line.
fn line(score: &FileScore) -> String {
    let value = |m: Metric| Some(format!("{} {:.*}", m.title(), m.digits(), score.value(m)?));
    let values = score.values.keys().filter_map(|&m| value(m));
    let delay = (score.delay_ms.abs() >= 0.5).then(|| format!("delay of {:.1} ms taken out", score.delay_ms));
    let partial = (score.coverage < 1.0 && !score.failed()).then(|| covered(score));
    values.chain(delay).chain(partial).chain(score.problem.clone()).collect::<Vec<_>>().join(" · ")
}

fn spectrum(sound: &Sound, rate: u32) -> Grid {
    Grid::spectrum(&resample_sound(sound, rate))
}

/// Without its delay: begins with the recording.
fn shifted(sound: &Sound, delay_ms: f64) -> Sound {
    let delay = (delay_ms / 1000.0 * f64::from(sound.rate)).round() as isize;
    let samples = |plane: &Vec<f32>| match delay {
        0.. => plane.iter().skip(delay as usize).copied().collect(),
        _ => vec![0.0; delay.unsigned_abs()].into_iter().chain(plane.iter().copied()).collect(),
    };
    Sound { rate: sound.rate, channels: sound.channels.iter().map(samples).collect() }
}

/// The mean power of 3 frames and 5 bins, in dB, nothing below `floor_db`: single bins of two renderings differ by their
/// phases alone, which nobody hears.
fn smooth(grid: &Grid, floor_db: f32) -> Grid {
    let (rows, columns) = (grid.rows, grid.columns());
    let power: Vec<f32> = grid.values.iter().map(|db| 10f32.powf(db / 10.0)).collect();
    let mut values = Vec::with_capacity(power.len());
    for c in 0..columns {
        for r in 0..rows {
            let (mut sum, mut count) = (0.0, 0.0);
            for column in c.saturating_sub(1)..(c + 2).min(columns) {
                let bins = r.saturating_sub(2)..(r + 3).min(rows);
                count += bins.len() as f32;
                sum += power[column * rows..][bins].iter().sum::<f32>();
            }
            values.push((10.0 * (sum / count).log10()).max(floor_db));
        }
    }
    Grid { values, ..grid.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Rendering;

    fn tone(hz: f32, delay: usize) -> Sound {
        let tone = (0..24_000).map(|i| 0.5 * (hz * i as f32 * std::f32::consts::TAU / 24_000.0).sin());
        Sound::mono(std::iter::repeat_n(0.0, delay).chain(tone).collect(), 24_000)
    }

    #[test]
    fn what_came_late_is_heard_in_time() {
        let sound = tone(440.0, 1000);
        assert_eq!(shifted(&sound, 1000.0 / 24.0), tone(440.0, 0));
        let early = Sound::mono(sound.channels[0][1500..].to_vec(), 24_000);
        let shifted = shifted(&early, -1500.0 / 24.0);
        assert_eq!((shifted.len(), &shifted.channels[0][1500..]), (25_000, &sound.channels[0][1500..]));
    }

    #[test]
    fn smoothing_keeps_what_is_even() {
        let grid = Grid { values: vec![-30.0; 40], rows: 8, ..Grid::spectrum(&tone(440.0, 0)) };
        assert!(smooth(&grid, -80.0).values.iter().all(|v| (v + 30.0).abs() < 1e-4));
        assert!(smooth(&grid, -20.0).values.iter().all(|&v| v == -20.0));
    }

    #[test]
    fn a_clip_has_a_track_for_every_system_and_says_why_one_is_mute() {
        let comparison = Comparison {
            name: "a b/50%".into(),
            reference: Ok(tone(440.0, 0)),
            renderings: vec![
                (0, Ok(Rendering { sound: tone(880.0, 0), compute_s: None })),
                (1, Err(crate::Error::Data(crate::Fault::new("x.wav", "is empty")))),
            ],
            scores: vec![FileScore::unscored("a b/50%", "two", &Default::default(), "x.wav: is empty")],
        };
        let clip = clip(&comparison, &["one".into(), "two".into()]).unwrap();
        let mut html = Html::new();
        html.clip(&clip);
        let html = html.as_str();
        assert_eq!((html.matches("<audio").count(), html.matches("<img").count()), (2, 3));
        assert!(html.contains("<b>two</b> <span>x.wav: is empty</span>"));
        assert!(html.contains("id=\"clip-a_20b_2f50_25\""));
    }
}
