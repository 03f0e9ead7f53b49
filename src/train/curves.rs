//! The course of a training as a picture: losses, and the scores of what the model renders.

use super::history::{History, Line, ValidationFigures};
use crate::{
    Error, Fault, Result,
    eval::picture::{FONT, register},
};
use plotters::{coord::Shift, prelude::*};
use std::{fmt::Display, ops::Range};

const SIZE: (u32, u32) = (960, 640);
/// Okabe and Ito's colours, which colour-blind eyes tell apart.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
/// Points a curve of the training loss is thinned to.
const POINTS: usize = 400;

type Curve = (&'static str, RGBColor, Vec<(f64, f64)>);

/// An SVG over minutes of training: above the losses, below PESQ where speech was rendered, else the mel distance.
///
/// # Errors
/// [`Error::Data`] where it cannot be drawn.
pub fn svg(history: &History) -> Result<String> {
    register()?;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(cannot_draw)?;
        let (above, below) = area.split_vertically(SIZE.1 * 3 / 5);
        let validations = |of: &dyn Fn(&ValidationFigures) -> Option<f64>| {
            history.validations().filter_map(|v| Some((v.minutes, of(v)?))).collect::<Vec<_>>()
        };
        let losses: [Curve; 3] = [
            ("while training", RGBColor(170, 170, 170), train_losses(history)),
            ("recordings that train", BLUE, validations(&|v| Some(v.loss_on_trained))),
            // Where none is kept apart the two are one.
            ("recordings kept apart", VERMILION, validations(&|v| (v.loss != v.loss_on_trained).then_some(v.loss))),
        ];
        draw(&above, "loss", &losses)?;
        let score = |key: &'static str| move |v: &ValidationFigures| v.scores.get(key).copied();
        let pesq = validations(&score("pesq_wb"));
        let scores: [Curve; 2] = if pesq.is_empty() {
            [("standard", GREEN, validations(&score("mel_l1"))), ("draft", BLUE, validations(&score("draft_mel_l1")))]
        } else {
            [("standard", GREEN, pesq), ("draft", BLUE, validations(&score("draft_pesq_wb")))]
        };
        let title = if validations(&score("pesq_wb")).is_empty() { "mel distance, nats" } else { "PESQ-wb" };
        draw(&below, title, &scores)?;
        area.present().map_err(cannot_draw)?;
    }
    Ok(text)
}

fn train_losses(history: &History) -> Vec<(f64, f64)> {
    let all = history.lines.iter().filter_map(|line| match line {
        Line::Train(figures) => Some((figures.minutes, figures.loss)),
        Line::Validation(_) => None,
    });
    let all: Vec<_> = all.collect();
    let piece = all.len().div_ceil(POINTS).max(1);
    let mean = |piece: &[(f64, f64)]| {
        let sum = piece.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        (sum.0 / piece.len() as f64, sum.1 / piece.len() as f64)
    };
    all.chunks(piece).map(mean).collect()
}

fn draw(area: &DrawingArea<SVGBackend, Shift>, title: &str, curves: &[Curve]) -> Result<()> {
    let points = || curves.iter().flat_map(|(_, _, points)| points.iter().copied());
    let x = range(points().map(|p| p.0));
    let y = range(points().map(|p| p.1));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..x.end, y)
        .map_err(cannot_draw)?;
    chart
        .configure_mesh()
        .x_desc("minutes of training")
        .y_desc(title)
        .light_line_style(WHITE)
        .label_style((FONT, 14))
        .draw()
        .map_err(cannot_draw)?;
    for (name, colour, points) in curves.iter().filter(|(_, _, points)| !points.is_empty()) {
        let colour = *colour;
        chart
            .draw_series([PathElement::new(points.clone(), colour.stroke_width(2))])
            .map_err(cannot_draw)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        if points.len() < POINTS / 4 {
            let dots = points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots).map_err(cannot_draw)?;
        }
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).label_font((FONT, 14)).draw().map_err(cannot_draw)
}

/// All values with a margin around them; something that can be drawn where there are none, or all are one.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = ((high - low) * 0.05).max(1e-6 + high.abs() * 1e-3);
    low - margin..high + margin
}

fn cannot_draw(error: impl Display) -> Error {
    Error::Data(Fault::new("training curves", format!("cannot be drawn ({error})")))
}
