//! Numbers of each mel band as lines over frequency, a line a step.

use super::{InspectedStep, Inspection, bands::mel_position};
use crate::{
    Result,
    eval::{
        colour_map::MAGMA,
        picture::{Axis, FONT, cannot_draw, register},
    },
    mel::{MelScale, filterbank::to_hz},
};
use image::ImageEncoder as _;
use plotters::{coord::Shift, prelude::*};

/// Lines over the bands.
pub(super) struct BandChart {
    /// Of its file, without an extension.
    pub name: &'static str,
    pub title: String,
    pub unit: &'static str,
    /// Errors differ by factors, spreads by differences.
    logarithmic: bool,
    /// Hz
    centres: Vec<f64>,
    series: Vec<Series>,
    pub size: (u32, u32),
}

struct Series {
    name: String,
    values: Vec<Option<f64>>,
    thin: bool,
    colour: RGBColor,
}

impl BandChart {
    /// The mel error of every step, before and after the projection.
    pub fn mel_error(inspection: &Inspection, size: (u32, u32)) -> Self {
        let values = |bands: &[f64]| bands.iter().map(|error| Some(*error)).collect();
        let title = "Mel error by band (thin: estimate, thick: projected)";
        Self::new(inspection, "bands-mel-error", title, "nats", size, |step| {
            let numbers = &step.numbers;
            [Some(values(&numbers.estimate.mel_error_bands)), Some(values(&numbers.projected.mel_error_bands))]
        })
    }

    /// The spread over the seeds.
    pub fn spread(inspection: &Inspection, size: (u32, u32)) -> Option<Self> {
        inspection.steps.first()?.numbers.estimate.spread_db_bands.as_ref()?;
        let values = |bands: &Option<Vec<Option<f32>>>| {
            bands.as_ref().map(|bands| bands.iter().map(|spread| spread.map(f64::from)).collect())
        };
        let title = "Spread over the seeds by band (thin: estimate, thick: projected)";
        Some(Self::new(inspection, "bands-spread", title, "dB", size, |step| {
            let numbers = &step.numbers;
            [values(&numbers.estimate.spread_db_bands), values(&numbers.projected.spread_db_bands)]
        }))
    }

    fn new(
        inspection: &Inspection,
        name: &'static str,
        title: &str,
        unit: &'static str,
        size: (u32, u32),
        values: impl Fn(&InspectedStep) -> [Option<Vec<Option<f64>>>; 2],
    ) -> Self {
        let steps = inspection.steps.len();
        let mut series = Vec::new();
        for (i, step) in inspection.steps.iter().enumerate() {
            // Light colours would not be seen on white.
            let [r, g, b] = MAGMA.rgb(0.1 + 0.65 * i as f32 / steps.max(2) as f32);
            for (values, thin) in values(step).into_iter().zip([true, false]) {
                let name = step.numbers.name();
                series.extend(values.map(|values| Series { name, values, thin, colour: RGBColor(r, g, b) }));
            }
        }
        let logarithmic = unit == "nats";
        Self { name, title: title.into(), unit, logarithmic, centres: inspection.bands.centres.clone(), series, size }
    }

    pub fn png(&self) -> Result<Vec<u8>> {
        register()?;
        let mut pixels = vec![255; (self.size.0 * self.size.1 * 3) as usize];
        {
            let root = BitMapBackend::with_buffer(&mut pixels, self.size).into_drawing_area();
            self.draw(&root)?;
            root.present().map_err(cannot_draw)?;
        }
        let mut png = vec![];
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(&pixels, self.size.0, self.size.1, image::ExtendedColorType::Rgb8)
            .map_err(cannot_draw)?;
        Ok(png)
    }

    pub fn svg(&self) -> Result<String> {
        register()?;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            self.draw(&root)?;
            root.present().map_err(cannot_draw)?;
        }
        Ok(svg)
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> Result<()> {
        root.fill(&WHITE).map_err(cannot_draw)?;
        let axis = self.upright();
        let end = mel_position(self.centres.last().copied().unwrap_or(1.0) * 1.02);
        let hz = [0.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0].map(mel_position);
        let hz = hz.into_iter().filter(|position| *position <= end).collect();
        let ticks = axis.ticks.iter().map(|value| axis.position(*value)).collect();
        let mut chart = ChartBuilder::on(root)
            .caption(&self.title, (FONT, 16))
            .margin_top(4)
            .margin_left(4)
            .margin_right(12)
            .x_label_area_size(36)
            .y_label_area_size(58)
            .build_cartesian_2d(Axis { end, ticks: hz }, Axis { end: axis.position(axis.high), ticks })
            .map_err(cannot_draw)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 230))
            .x_desc("kHz")
            .y_desc(self.unit)
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 13))
            .x_label_formatter(&|position| format!("{}", (to_hz(MelScale::Htk, *position)).round() / 1000.0))
            .y_label_formatter(&|position| axis.label(*position))
            .draw()
            .map_err(cannot_draw)?;
        for series in &self.series {
            let at = |(hz, value): (&f64, &Option<f64>)| value.map(|value| (mel_position(*hz), axis.position(value)));
            let points: Vec<(f64, f64)> = self.centres.iter().zip(&series.values).filter_map(at).collect();
            let colour = series.colour;
            let line = PathElement::new(points, colour.stroke_width(if series.thin { 1 } else { 3 }));
            let drawn = chart.draw_series([line]).map_err(cannot_draw)?;
            if !series.thin {
                let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3));
                drawn.label(&series.name).legend(sample);
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(200, 200, 205))
            .label_font((FONT, 13))
            .draw()
            .map_err(cannot_draw)
    }
}

/// The upright axis: from `low` to `high`, and labels between.
struct Upright {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    logarithmic: bool,
}

impl BandChart {
    fn upright(&self) -> Upright {
        let values = || self.series.iter().flat_map(|series| &series.values).flatten().copied();
        let highest = values().fold(0.0, f64::max);
        if !self.logarithmic {
            let high = round_up(highest);
            return Upright {
                low: 0.0,
                high,
                ticks: (0..=5).map(|i| high * f64::from(i) / 5.0).collect(),
                logarithmic: false,
            };
        }
        // Three decades below the highest at most.
        let lowest = values().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min).max(highest / 1000.0);
        let steps = || (-9..6).flat_map(|decade| [1.0, 3.0].map(|m| m * 10f64.powi(decade)));
        let low = steps().filter(|step| *step <= lowest).fold(1e-9, f64::max);
        let high = steps().find(|step| *step >= highest && *step > low).unwrap_or(10.0 * low);
        Upright { low, high, ticks: steps().filter(|step| (low..=high).contains(step)).collect(), logarithmic: true }
    }
}

impl Upright {
    fn position(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => (value.clamp(self.low, self.high) / self.low).log10(),
            false => value.clamp(self.low, self.high) - self.low,
        }
    }

    fn label(&self, position: f64) -> String {
        let value = if self.logarithmic { self.low * 10f64.powf(position) } else { self.low + position };
        format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-3).log10().floor());
    [1.0, 1.5, 2.0, 3.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|top| *top >= value).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    #[test]
    fn axes_end_at_round_numbers() {
        for (value, end) in [(0.12, 0.15), (4.9, 5.0), (5.1, 10.0), (0.0, 0.001)] {
            assert!((super::round_up(value) - end).abs() < 1e-12, "{value}");
        }
    }
}
