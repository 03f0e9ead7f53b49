//! What all recordings of a check come to.

use super::{Concern, DropReason, FileReport};
use serde::Serialize;
use std::collections::BTreeMap;

/// Files and seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Amount {
    pub files: usize,
    pub seconds: f64,
}

impl Amount {
    fn add(&mut self, seconds: f64) {
        self.files += 1;
        self.seconds += seconds;
    }
}

/// How a quantity lies over the files.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub lowest: f64,
    pub median: f64,
    pub highest: f64,
    pub deviation: f64,
}

impl Spread {
    /// `None` where there are no values.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = values.collect();
        all.sort_by(f64::total_cmp);
        let (lowest, highest) = (*all.first()?, *all.last()?);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let deviation = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        Some(Self { lowest, median: all[all.len() / 2], highest, deviation })
    }
}

/// Totals of a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Files that could be read, and how long they are together.
    pub readable: Amount,
    /// By sample rate, Hz.
    pub rates: BTreeMap<u32, Amount>,
    /// By number of channels.
    pub channels: BTreeMap<usize, Amount>,
    /// Share of the time.
    pub silence_share: f64,
    pub loudness_lufs: Option<Spread>,
    pub noise_floor_dbfs: Option<Spread>,
    pub bandwidth_hz: Option<Spread>,
    /// Files with each finding.
    pub findings: BTreeMap<Concern, usize>,
    /// Files in which something must be fixed.
    pub to_fix: usize,
    /// What training takes, and what it drops for which reason; a file with two reasons counts for the first.
    pub taken: Amount,
    pub dropped: BTreeMap<DropReason, Amount>,
}

impl Summary {
    pub(super) fn of(reports: &[FileReport]) -> Self {
        let mut all = Self::default();
        let mut silent_s = 0.0;
        for report in reports {
            let seconds = report.measures.as_ref().map_or(0.0, |measures| measures.seconds);
            if let Some(measures) = &report.measures {
                all.readable.add(seconds);
                all.rates.entry(measures.sample_rate).or_default().add(seconds);
                all.channels.entry(report.channels).or_default().add(seconds);
                silent_s += measures.silence_share * seconds;
            }
            let mut concerns: Vec<Concern> = report.findings.iter().map(|finding| finding.concern).collect();
            concerns.dedup();
            concerns.into_iter().for_each(|concern| *all.findings.entry(concern).or_default() += 1);
            all.to_fix += usize::from(report.must_be_fixed());
            match report.dropped.first() {
                Some(reason) => all.dropped.entry(*reason).or_default().add(seconds),
                None => all.taken.add(seconds),
            }
        }
        all.silence_share = if all.readable.seconds > 0.0 { silent_s / all.readable.seconds } else { 0.0 };
        let measures = || reports.iter().filter_map(|report| report.measures.as_ref());
        all.loudness_lufs = Spread::of(measures().filter_map(|m| m.loudness_lufs));
        all.noise_floor_dbfs = Spread::of(measures().filter_map(|m| m.noise_floor_dbfs));
        all.bandwidth_hz = Spread::of(measures().filter(|m| !m.silent).map(|m| m.bandwidth_hz));
        all
    }
}
