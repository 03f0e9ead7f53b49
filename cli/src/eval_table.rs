//! The scores as text: a table for people, comma-separated values for spreadsheets.

use std::{collections::BTreeSet, fmt::Write as _};

use audiodiff::{
    eval::{FileScore, Metric, Summary, statistics::Interval},
    printable::OneLine,
    report::evaluation::{count, verdict},
};

/// Metrics down, systems across; then the differences from the first system.
pub fn table(summary: &Summary) -> String {
    let metrics: Vec<Metric> = summary.metrics().collect();
    let names = summary.systems.iter().map(|system| system.name.as_str());
    let mut rows = vec![["metric", "better"].into_iter().chain(names).map(String::from).collect::<Vec<_>>()];
    for &metric in &metrics {
        let mut row = vec![metric.key().to_string(), metric.better().word().to_string()];
        row.extend(summary.systems.iter().map(|system| {
            let mean = system.means.get(&metric);
            mean.map_or_else(|| "-".into(), |mean| interval(metric, mean, false) + &count(mean, summary.files))
        }));
        rows.push(row);
    }
    let mut text = format!(
        "{}; means with the 95 % interval of a bootstrap over the files\n\n{}",
        summary.extent(),
        aligned(&rows)
    );
    if let [first, others @ ..] = summary.systems.as_slice()
        && !others.is_empty()
    {
        let _ = write!(text, "\ndifference from {}, file by file\n\n", first.name);
        let head = std::iter::once("metric").chain(others.iter().map(|system| system.name.as_str()));
        let mut rows = vec![head.map(String::from).collect::<Vec<_>>()];
        for &metric in &metrics {
            let mut row = vec![metric.key().to_string()];
            row.extend(others.iter().map(|system| match system.differences.get(&metric) {
                None => "-".into(),
                Some(difference) => {
                    let count = count(&difference.interval, summary.files);
                    format!("{} {}{count}", interval(metric, &difference.interval, true), verdict(metric, difference))
                }
            }));
            rows.push(row);
        }
        text += &aligned(&rows);
    }
    for system in summary.systems.iter().filter(|system| system.failed > 0) {
        let _ = writeln!(text, "\n{}: {} of {} files could not be scored", system.name, system.failed, summary.files);
    }
    text
}

fn interval(metric: Metric, interval: &Interval, signed: bool) -> String {
    let digits = metric.digits();
    let Interval { mean, low, high, .. } = interval;
    match signed {
        true => format!("{mean:+.digits$} [{low:+.digits$}, {high:+.digits$}]"),
        false => format!("{mean:.digits$} [{low:.digits$}, {high:.digits$}]"),
    }
}

fn aligned(rows: &[Vec<String>]) -> String {
    // As they will be shown, or their widths would be others.
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| OneLine(cell).to_string()).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("   ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

const ABOUT: [&str; 10] = [
    "file",
    "system",
    "seconds",
    "sample_rate",
    "channels",
    "mel_convention",
    "delay_ms",
    "longer_s",
    "coverage",
    "problem",
];

pub fn csv_head(metrics: &BTreeSet<Metric>) -> String {
    ABOUT.into_iter().chain(metrics.iter().map(|m| m.key())).collect::<Vec<_>>().join(",") + "\n"
}

pub fn csv_line(score: &FileScore, metrics: &BTreeSet<Metric>) -> String {
    let mut cells = vec![
        quoted(&score.file),
        quoted(&score.system),
        score.seconds.to_string(),
        score.sample_rate.to_string(),
        score.channels.to_string(),
        quoted(score.mel_convention.as_deref().unwrap_or_default()),
        score.delay_ms.to_string(),
        score.longer_s.to_string(),
        score.coverage.to_string(),
        quoted(score.problem.as_deref().unwrap_or_default()),
    ];
    cells.extend(metrics.iter().map(|&m| score.value(m).map_or_else(String::new, |value| value.to_string())));
    cells.join(",") + "\n"
}

/// As RFC 4180 has it.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Vec<FileScore> {
        let metrics = BTreeSet::from([Metric::PesqWb, Metric::MelL1]);
        let score = |system: &str, i: usize, pesq: Option<f64>| {
            let mut score = FileScore::unscored(&format!("f{i}"), system, &metrics, "");
            (score.problem, score.seconds) = (None, 1.5);
            score.values.extend([(Metric::PesqWb, pesq), (Metric::MelL1, Some(0.125))]);
            score
        };
        let all = (0..6).map(|i| score("old", i, (i > 0).then_some(3.0)));
        all.chain((0..6).map(|i| score("new one", i, Some(3.25)))).collect()
    }

    #[test]
    fn the_table_has_means_intervals_and_what_they_show() {
        let text = table(&Summary::new(&["old".into(), "new one".into()], &scores()));
        let wanted = "\
6 recordings, 9.0 s; means with the 95 % interval of a bootstrap over the files

metric    better   old                              new one
pesq_wb   higher   3.000 [3.000, 3.000] (5 files)   3.250 [3.250, 3.250]
mel_l1    lower    0.1250 [0.1250, 0.1250]          0.1250 [0.1250, 0.1250]

difference from old, file by file

metric    new one
pesq_wb   +0.250 [+0.250, +0.250] too few files (5 files)
mel_l1    +0.0000 [+0.0000, +0.0000] not significant
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn commas_and_quotes_survive_csv() {
        let mut score = scores().remove(0);
        score.file = "a, \"b\"".into();
        let metrics = BTreeSet::from([Metric::PesqWb, Metric::MelL1]);
        assert_eq!(csv_line(&score, &metrics), "\"a, \"\"b\"\"\",old,1.5,0,1,,0,0,0,,,0.125\n");
        assert!(csv_head(&metrics).ends_with(",problem,pesq_wb,mel_l1\n"));
    }
}
