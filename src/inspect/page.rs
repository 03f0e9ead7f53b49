//! The page of an inspection: numbers, sounds to switch between, pictures, and how to read them.

use super::{
    About, InspectedStep, Inspection, StageNumbers,
    band_chart::BandChart,
    inspection::NATS_DB,
    pictures::{Named, Pictures},
};
use crate::{
    Result,
    report::{Cell, Clip, Figure, Html, Page, Table, Track},
};
use std::path::Path;

/// What goes on the page.
pub(super) struct Content<'a> {
    pub inspection: &'a Inspection,
    pub about: &'a About,
    pub pictures: Pictures<'a>,
    pub charts: Vec<BandChart>,
    /// Indices of the steps that are shown and heard.
    pub shown: &'a [usize],
    pub gif: Option<(Vec<u8>, (u32, u32))>,
}

impl Content<'_> {
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut page = Page::create(path, &format!("{}, step by step", self.about.input))?;
        let mut html = Html::new();
        self.introduction(&mut html);
        html.heading(2, "numbers", "Numbers");
        html.table(&self.steps_table());
        for chart in &self.charts {
            html.figure(&Figure::png(chart.png()?, chart.size, chart.title.as_str()));
        }
        html.heading(2, "sounds", "After each step");
        page.write(&html)?;
        page.write(&self.projected_clip()?)?;
        let mut html = Html::new();
        html.heading(2, "estimates", "What the network was shown, and what it said");
        page.write(&html)?;
        page.write(&self.estimates_clip()?)?;
        let mut html = Html::new();
        html.heading(2, "regions", "Where in the spectrum");
        self.region_tables().iter().for_each(|table| html.table(table));
        if let Some((gif, size)) = &self.gif {
            html.heading(2, "animation", "The steps as an animation");
            html.figure(&Figure::gif(gif.clone(), *size, "every step: shown, estimate, projected"));
        }
        html.heading(2, "reading", "How to read this");
        html.list(READING);
        page.write(&html)?;
        page.finish()
    }

    fn introduction(&self, html: &mut Html) {
        let About { input, model, convention, start_s, seconds, input_seconds, settings, seeds, notes } = self.about;
        let window = match seconds < input_seconds {
            true => format!("{start_s:.2} to {:.2} s of {input_seconds:.2} s", start_s + seconds),
            false => format!("{seconds:.2} s"),
        };
        html.paragraph(&format!("{input}: {window}, rendered by {model} from its mel (convention {convention})."));
        if let Some(settings) = settings {
            let many = if seeds.len() > 1 {
                format!("seeds {} to {}", seeds[0], seeds[seeds.len() - 1])
            } else {
                format!("seed {}", settings.seed)
            };
            html.paragraph(&format!(
                "The path: {settings} of the projection; {many}; sounds and spectrograms are those of seed {}.",
                settings.seed
            ));
        }
        notes.iter().for_each(|note| html.warning(note));
        if self.shown.len() < self.inspection.steps.len() {
            html.paragraph(&format!("{} of {} steps are shown.", self.shown.len(), self.inspection.steps.len()));
        }
    }

    fn steps_table(&self) -> Table {
        let head = |name: &str, hint: &str| (name.to_owned(), hint.to_owned());
        let has_recording = self.inspection.recording.is_some();
        let has_spread = self.inspection.steps.iter().any(|step| step.numbers.projected.spread_db.is_some());
        let mut table = Table {
            caption: "Smaller is nearer to what was given. Each pair is before and after the projection.".into(),
            head: vec![
                head("step", ""),
                head("t", "the time that the network was told: 0 is noise, 1 would be clean"),
                head("mel error, estimate", "mean difference from the given log-mel, nats (8.7 dB each)"),
                head("projected", "the same after the projection"),
                head("convergence, estimate", "error of the linear mel over its size"),
                head("projected", "the same after the projection"),
                head("changed, dB", "what the projection changed, mean over what is heard"),
            ],
            ..Table::default()
        };
        if has_spread {
            table.head.push(head("spread, estimate, dB", "standard deviation over the seeds; noise has 5.6"));
            table.head.push(head("projected, dB", "the same after the projection"));
        }
        if has_recording {
            table.head.push(head(
                "to the recording, dB",
                "root mean square difference of levels from the recording, projected",
            ));
        }
        for step in &self.inspection.steps {
            let n = &step.numbers;
            let mut row = vec![
                Cell::text(if n.step == 0 { n.name() } else { n.step.to_string() }),
                Cell::number(f64::from(n.t), 2),
                Cell::number(n.estimate.mel_error, 3),
                Cell::number(n.projected.mel_error, 3),
                Cell::number(n.estimate.spectral_convergence, 3),
                Cell::number(n.projected.spectral_convergence, 3),
                Cell::number(n.change_db, 2),
            ];
            if has_spread {
                row.extend([&n.estimate, &n.projected].map(|stage| optional(stage.spread_db, 2)));
            }
            if has_recording {
                row.push(optional(n.projected.to_recording_db, 2));
            }
            table.rows.push(row);
        }
        table
    }

    fn shown(&self) -> impl Iterator<Item = &InspectedStep> {
        self.shown.iter().filter_map(|&i| self.inspection.steps.get(i))
    }

    fn note(&self, numbers: &StageNumbers) -> String {
        let spread = numbers.spread_db.map_or(String::new(), |db| format!(", spread {db:.2} dB"));
        format!("mel error {:.3} nats ({:.2} dB){spread}", numbers.mel_error, NATS_DB * numbers.mel_error)
    }

    /// The given mel and the recording, then the sound after each step.
    fn projected_clip(&self) -> Result<Html> {
        let mut tracks = Vec::new();
        let mel = self.inspection.mel_grid();
        let given = figure(self.pictures.mel(&mel))?;
        match (&self.inspection.recording, self.pictures.recording()) {
            (Some(sound), Some(picture)) => {
                tracks.push(Track::new("recording").with_sound(sound).with_figure(figure(picture)?).with_figure(given));
            }
            _ => tracks.push(Track::new("given mel").with_note("has no sound of its own").with_figure(given)),
        }
        for step in self.shown() {
            let sound = self.inspection.sound(&step.waveforms.projected);
            let mut track = Track::new(step.numbers.name())
                .with_note(self.note(&step.numbers.projected))
                .with_sound(&sound)
                .with_figure(figure(self.pictures.projected(step))?)
                .with_figure(figure(self.pictures.change(step))?);
            if let Some(spread) = self.pictures.projected_spread(step) {
                track = track.with_figure(figure(spread)?);
            }
            tracks.push(track);
        }
        let note = "The estimate after the projection on the mel; what that changed; where the seeds differ.";
        Ok(clip("projected", "The sound after each step", note, tracks))
    }

    fn estimates_clip(&self) -> Result<Html> {
        let mut tracks = Vec::new();
        for step in self.shown() {
            let sound = self.inspection.sound(&step.waveforms.estimate);
            let mut track = Track::new(format!("estimate, {}", step.numbers.name()))
                .with_note(self.note(&step.numbers.estimate))
                .with_sound(&sound)
                .with_figure(figure(self.pictures.noisy(step))?)
                .with_figure(figure(self.pictures.estimate(step))?);
            if let Some(spread) = self.pictures.estimate_spread(step) {
                track = track.with_figure(figure(spread)?);
            }
            tracks.push(track);
        }
        let note =
            "A point between noise and sound; the network's estimate of the sound; where the seeds' estimates differ.";
        Ok(clip("estimate", "The estimates before the projection", note, tracks))
    }

    /// Mel error and spread of each step, by region.
    fn region_tables(&self) -> Vec<Table> {
        let regions = self.inspection.bands.regions();
        let has_spread = self.inspection.steps.iter().any(|step| step.numbers.projected.spread_db.is_some());
        let table = |caption: &str, value: &dyn Fn(&StageNumbers, usize) -> Option<f32>, digits: usize| {
            let name = ("step".to_owned(), String::new());
            let head = std::iter::once(name).chain(regions.iter().map(|r| (r.name(), String::new()))).collect();
            let row = |label: String, stage: &StageNumbers| {
                let cells = regions.iter().map(|r| optional(r.mean(|band| value(stage, band)), digits));
                std::iter::once(Cell::text(label)).chain(cells).collect()
            };
            let rows = self.inspection.steps.iter().flat_map(|step| {
                let n = &step.numbers;
                [
                    row(format!("{}, estimate", n.name()), &n.estimate),
                    row(format!("{}, projected", n.name()), &n.projected),
                ]
            });
            Table { caption: caption.into(), head, rows: rows.collect(), sortable: false }
        };
        let mut tables = vec![
            table("Mel error, nats", &|stage, band| stage.mel_error_bands.get(band).map(|e| *e as f32), 3),
            table(
                "Spectral convergence of the mel",
                &|stage, band| stage.spectral_convergence_bands.get(band)?.map(|c| c as f32),
                3,
            ),
        ];
        if has_spread {
            let spread = |stage: &StageNumbers, band: usize| *stage.spread_db_bands.as_ref()?.get(band)?;
            tables.push(table("Spread over the seeds, dB", &spread, 2));
        }
        tables
    }
}

const READING: [&str; 6] = [
    "The start asks no network: it has the magnitudes that are expected, phases that go with them (the noise's in models of older \
     programs), and the projection; what is called its estimate is the noise that it begins with. A step shows the network a \
     mixture of sound and noise, takes its estimate of the sound, and projects that on the mel: \
     the estimate is changed as little as possible so that its mel becomes the given one.",
    "Spectrograms have one scale of decibels, 80 dB deep; what lies below is black and counts in no number.",
    "Changes are yellow where the projection made it louder and blue where it made it quieter, grey where it left it alone.",
    "The spread is the standard deviation of the level over the seeds. Black is known: every seed says the same. Gaussian noise \
     of one and the same mean level has 5.6 dB (orange): there the network knows the envelope and guesses the rest.",
    "A mel error that the projection cannot remove lies in bands where no sound has that mel: look at the recording.",
    "The window is rendered at once; audiodiff render does it in chunks, with other samples of the same quality.",
];

fn optional(value: Option<f64>, digits: usize) -> Cell {
    value.map_or_else(Cell::missing, |value| Cell::number(value, digits))
}

fn figure(named: Named) -> Result<Figure> {
    Figure::draw(&named.picture, named.alt)
}

fn clip(id: &str, title: &str, note: &str, tracks: Vec<Track>) -> Html {
    let mut html = Html::new();
    html.clip(&Clip { id: id.into(), title: title.into(), note: note.into(), tracks });
    html
}
