//! Pictures of spectrograms with axes that can be read: seconds, Hz, and a scale of decibels. PNG and SVG by plotters.
//!
//! Letters on bitmaps want a font; DejaVu Sans lies in the program, so pictures look alike on every machine and none
//! needs fonts to be installed. An SVG names its font and leaves it to the viewer.

use super::{
    Sound,
    colour_map::{CIVIDIS, ColourMap, MAGMA},
};
use crate::{
    Error, Result,
    dsp::stft::Stft,
    mel::{
        MelConvention, MelScale, MelSpectrogram,
        filterbank::{edge_hz, to_hz, to_mel},
    },
};
use base64::Engine as _;
use image::ImageEncoder as _;
use plotters::{
    coord::{
        Shift,
        ranged1d::{DefaultFormatting, KeyPointHint},
    },
    prelude::*,
    style::{FontStyle, register_font},
};
use std::{fmt::Display, io, ops::Range, sync::OnceLock};

/// How frequencies lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FrequencyScale {
    Linear,
    Mel(MelScale),
}

impl FrequencyScale {
    fn position(self, hz: f64) -> f64 {
        match self {
            Self::Linear => hz,
            Self::Mel(scale) => to_mel(scale, hz),
        }
    }

    fn hz(self, position: f64) -> f64 {
        match self {
            Self::Linear => position,
            Self::Mel(scale) => to_hz(scale, position),
        }
    }
}

/// Levels over time and frequency.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// [columns, rows], column-major: a column is a moment, its first row the lowest frequency. dB.
    pub values: Vec<f32>,
    pub rows: usize,
    /// Centre of the first and of the last column, seconds.
    pub seconds: [f64; 2],
    /// Centre of the first and of the last row, Hz.
    pub hz: [f64; 2],
    /// How the rows lie between them.
    pub scale: FrequencyScale,
}

impl Grid {
    /// The linear spectrum of a sound, in dB relative to a full-scale sine: 1024 points every 256 samples. Of two channels
    /// the mean magnitude.
    pub fn spectrum(sound: &Sound) -> Self {
        Self::spectrum_of(sound, 1024, 256)
    }

    /// The same by transforms of `n_fft` points every `hop` samples.
    pub fn spectrum_of(sound: &Sound, n_fft: usize, hop: usize) -> Self {
        let stft = Stft::new(n_fft, hop);
        // A sine of amplitude 1 comes to n_fft / 4 under a Hann window.
        let full = stft.n_fft() as f32 / 4.0;
        let mut magnitudes: Vec<f32> = vec![];
        for samples in &sound.channels {
            let spectrum = stft.forward(samples);
            magnitudes.resize(spectrum.len(), 0.0);
            magnitudes.iter_mut().zip(&spectrum).for_each(|(sum, s)| *sum += s.norm());
        }
        let channels = sound.channels.len() as f32;
        let level = |sum: f32| 20.0 * (sum / channels / full).max(1e-10).log10();
        let values: Vec<f32> = magnitudes.into_iter().map(level).collect();
        let rate = f64::from(sound.rate);
        let frames = values.len() / stft.bins();
        Self {
            values,
            rows: stft.bins(),
            seconds: [0.0, (frames.max(1) - 1) as f64 * hop as f64 / rate],
            hz: [0.0, rate / 2.0],
            scale: FrequencyScale::Linear,
        }
    }

    /// A mel of `convention`, in dB: 0 is a magnitude of 1 under a triangle whose peak is 1. Triangles of equal area are
    /// brought to that height, or the wide ones at the top would look empty.
    pub fn mel(mel: &MelSpectrogram, convention: &MelConvention) -> Self {
        let bands = mel.n_mels();
        let height = |m: usize| match convention.area_norm {
            true => (edge_hz(convention, m + 2) - edge_hz(convention, m)) / 2.0,
            false => 1.0,
        };
        let heights: Vec<f64> = (0..bands).map(height).collect();
        let level = |(i, v): (usize, &f32)| {
            let magnitude =
                (convention.linear(i % bands, f64::from(*v)) * heights[i % bands]).powf(1.0 / convention.power);
            (20.0 * magnitude.max(1e-10).log10()) as f32
        };
        let hop_s = convention.hop as f64 / f64::from(convention.sample_rate);
        Self {
            values: mel.values().iter().enumerate().map(level).collect(),
            rows: bands,
            seconds: [0.0, mel.frames().saturating_sub(1) as f64 * hop_s],
            hz: [edge_hz(convention, 1), edge_hz(convention, bands)],
            scale: FrequencyScale::Mel(convention.scale),
        }
    }

    /// This one less `other`, over the columns that both have. Both have the same rows.
    pub fn less(&self, other: &Self) -> Self {
        let values: Vec<f32> = self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
        let last = if self.values.len() <= other.values.len() { self.seconds[1] } else { other.seconds[1] };
        Self { values, seconds: [self.seconds[0], last], ..self.clone() }
    }

    pub fn columns(&self) -> usize {
        self.values.len() / self.rows.max(1)
    }

    /// The highest value; 0 where there is none.
    pub fn top(&self) -> f32 {
        let top = self.values.iter().copied().filter(|v| v.is_finite()).fold(f32::NEG_INFINITY, f32::max);
        if top.is_finite() { top } else { 0.0 }
    }

    /// The mean of the columns whose time lies in `seconds`, or the nearest one, in the row nearest to `hz`; `None`
    /// beyond the ends.
    fn at(&self, seconds: Range<f64>, hz: f64) -> Option<f32> {
        let columns = self.columns();
        let along = |value: f64, [first, last]: [f64; 2], count: usize| {
            let step = if count > 1 { (last - first) / (count - 1) as f64 } else { f64::INFINITY };
            if step > 0.0 { (value - first) / step } else { 0.0 }
        };
        let low = along(seconds.start, self.seconds, columns).round().max(0.0) as usize;
        let high = (along(seconds.end, self.seconds, columns).round().max(0.0) as usize).max(low + 1).min(columns);
        let ends = self.hz.map(|hz| self.scale.position(hz));
        let row = along(self.scale.position(hz), ends, self.rows).round();
        if low >= columns || row < 0.0 || row >= self.rows as f64 {
            return None;
        }
        let sum: f32 = (low..high).map(|c| self.values[c * self.rows + row as usize]).sum();
        Some(sum / (high - low) as f32)
    }
}

/// Decibels a neper: 20 / ln 10.
pub const NEPER_DB: f32 = 8.685_889;

/// A grid with all that is drawn around it.
pub struct Picture<'a> {
    pub title: String,
    pub grid: &'a Grid,
    /// dB of the darkest and of the lightest colour.
    pub range: [f32; 2],
    /// Differences have another map than levels.
    pub difference: bool,
    /// Of the upright axis.
    pub axis: FrequencyScale,
    /// Seconds at the right end, so that pictures of one clip share an axis.
    pub seconds: f64,
    /// Pixels.
    pub size: (u32, u32),
}

/// Where the image lies in its picture: left, top, width, height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PlotArea {
    pub left: i32,
    pub top: i32,
    pub width: u32,
    pub height: u32,
}

pub(crate) const FONT: &str = "sans-serif";

/// plotters keeps one table of fonts for the process.
pub(crate) fn register() -> Result<()> {
    static DONE: OnceLock<bool> = OnceLock::new();
    match DONE.get_or_init(|| register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).is_ok()) {
        true => Ok(()),
        false => Err(cannot_draw("the font in the program is broken")),
    }
}

pub(crate) fn cannot_draw(error: impl Display) -> Error {
    Error::Io { path: "picture".into(), action: "cannot draw", source: io::Error::other(error.to_string()) }
}

impl Picture<'_> {
    /// A PNG file's bytes, and where in it the image lies.
    ///
    /// # Errors
    /// [`Error::Io`] where the size leaves no room for the image.
    pub fn png(&self) -> Result<(Vec<u8>, PlotArea)> {
        let (pixels, area) = self.rgb()?;
        let mut png = vec![];
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(&pixels, self.size.0, self.size.1, image::ExtendedColorType::Rgb8)
            .map_err(cannot_draw)?;
        Ok((png, area))
    }

    /// [height, width, 3] bytes of red, green and blue.
    pub fn rgb(&self) -> Result<(Vec<u8>, PlotArea)> {
        register()?;
        let mut pixels = vec![255; (self.size.0 * self.size.1 * 3) as usize];
        let area = {
            let root = BitMapBackend::with_buffer(&mut pixels, self.size).into_drawing_area();
            let area = self.draw_frame(&root)?;
            root.present().map_err(cannot_draw)?;
            area
        };
        let image = self.image(area);
        for (y, row) in image.chunks_exact(area.width as usize * 3).enumerate() {
            let start = ((area.top as usize + y) * self.size.0 as usize + area.left as usize) * 3;
            pixels[start..start + row.len()].copy_from_slice(row);
        }
        Ok((pixels, area))
    }

    /// An SVG file: axes and letters are drawn, the image is a PNG in it.
    ///
    /// # Errors
    /// As [`Picture::png`].
    pub fn svg(&self) -> Result<String> {
        register()?;
        let mut svg = String::new();
        let area = {
            let root = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            let area = self.draw_frame(&root)?;
            root.present().map_err(cannot_draw)?;
            area
        };
        let mut png = vec![];
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(&self.image(area), area.width, area.height, image::ExtendedColorType::Rgb8)
            .map_err(cannot_draw)?;
        let image = format!(
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" href=\"data:image/png;base64,{}\"/>\n</svg>",
            area.left,
            area.top,
            area.width,
            area.height,
            base64::engine::general_purpose::STANDARD.encode(png)
        );
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        svg.replace_range(end.., &image);
        Ok(svg)
    }

    fn map(&self) -> &'static ColourMap {
        const LEVELS: &ColourMap = &MAGMA;
        const DIFFERENCES: &ColourMap = &CIVIDIS;
        if self.difference { DIFFERENCES } else { LEVELS }
    }

    /// Everything but the image itself.
    fn draw_frame<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> Result<PlotArea> {
        let top = self.grid.hz[1].max(1.0);
        // Half a band above the last one's centre.
        let top = if self.grid.scale == FrequencyScale::Linear { top } else { top * 1.02 };
        root.fill(&WHITE).map_err(cannot_draw)?;
        let (main, bar) = root.split_horizontally(self.size.0 as i32 - 78);
        let seconds = self.seconds.max(1e-3);
        let mut chart = ChartBuilder::on(&main)
            .caption(&self.title, (FONT, 16))
            .margin_top(4)
            .margin_left(4)
            .margin_right(8)
            .x_label_area_size(36)
            .y_label_area_size(58)
            .build_cartesian_2d(
                Axis { end: seconds, ticks: time_ticks(seconds) },
                Axis { end: self.axis.position(top), ticks: self.frequency_ticks(top) },
            )
            .map_err(cannot_draw)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("seconds")
            .y_desc("kHz")
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 13))
            .x_label_formatter(&|s| trimmed(*s))
            .y_label_formatter(&|position| trimmed(self.axis.hz(*position) / 1000.0))
            .draw()
            .map_err(cannot_draw)?;
        let (x, y) = chart.plotting_area().get_pixel_range();
        let area = PlotArea {
            left: x.start,
            top: y.start,
            width: u32::try_from(x.end - x.start).unwrap_or(0),
            height: u32::try_from(y.end - y.start).unwrap_or(0),
        };
        if area.width < 16 || area.height < 16 {
            return Err(cannot_draw(format!("{} x {} pixels leave no room", self.size.0, self.size.1)));
        }
        self.draw_colour_bar(&bar, area)?;
        Ok(area)
    }

    fn draw_colour_bar<B: DrawingBackend>(&self, bar: &DrawingArea<B, Shift>, area: PlotArea) -> Result<()> {
        let [low, high] = self.range;
        for y in 0..area.height as i32 {
            let [r, g, b] = self.map().rgb(1.0 - y as f32 / (area.height - 1) as f32);
            let line = [(4, area.top + y), (18, area.top + y + 1)];
            bar.draw(&Rectangle::new(line, RGBColor(r, g, b).filled())).map_err(cannot_draw)?;
        }
        let style = TextStyle::from((FONT, 13));
        for tick in 0..=4 {
            let share = tick as f32 / 4.0;
            let y = area.top + ((1.0 - share) * (area.height - 1) as f32) as i32;
            bar.draw(&PathElement::new([(18, y), (22, y)], BLACK)).map_err(cannot_draw)?;
            let value = low + share * (high - low);
            let text = if self.difference && value > 0.0 { format!("+{value:.0}") } else { format!("{value:.0}") };
            bar.draw(&Text::new(text, (25, y - 6), style.clone())).map_err(cannot_draw)?;
        }
        bar.draw(&Text::new("dB", (4, area.top + area.height as i32 + 8), style)).map_err(cannot_draw)
    }

    /// [area.height, area.width, 3]; white where the grid has nothing to say.
    fn image(&self, area: PlotArea) -> Vec<u8> {
        let top = self.axis.position(self.grid.hz[1]);
        let [low, high] = self.range;
        let column_s = self.seconds.max(1e-3) / f64::from(area.width);
        let mut pixels = Vec::with_capacity((area.width * area.height * 3) as usize);
        for y in 0..area.height {
            let hz = self.axis.hz(top * (1.0 - (f64::from(y) + 0.5) / f64::from(area.height)));
            for x in 0..area.width {
                let start = f64::from(x) * column_s;
                let value = self.grid.at(start..start + column_s, hz.max(self.grid.hz[0]));
                pixels.extend(value.map_or([255; 3], |v| self.map().rgb((v - low) / (high - low))));
            }
        }
        pixels
    }

    /// Positions of round frequencies on the axis.
    fn frequency_ticks(&self, top: f64) -> Vec<f64> {
        let hz: Vec<f64> = match self.axis {
            FrequencyScale::Mel(_) => [0.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0].to_vec(),
            FrequencyScale::Linear => {
                let step =
                    [1000.0, 2000.0, 4000.0, 8000.0].into_iter().find(|step| top / step <= 7.0).unwrap_or(16_000.0);
                (0..8).map(|i| f64::from(i) * step).collect()
            }
        };
        hz.into_iter().filter(|&hz| hz <= top).map(|hz| self.axis.position(hz)).collect()
    }
}

/// An axis from 0 with labels at places of our own.
pub(crate) struct Axis {
    pub end: f64,
    pub ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        first + (f64::from(last - first) * value / self.end).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.end
    }
}

/// Round moments, at most ten.
fn time_ticks(seconds: f64) -> Vec<f64> {
    let mut step = 0.1;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(24) {
        if seconds / step <= 10.0 {
            break;
        }
        step *= factor;
    }
    (0..=10).map(|i| f64::from(i) * step).filter(|&s| s <= seconds).collect()
}

/// Without zeros at the end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64) -> Sound {
        let samples =
            (0..24_000).map(|i| (std::f64::consts::TAU * hz * f64::from(i) / 24_000.0).sin() as f32).collect();
        Sound::mono(samples, 24_000)
    }

    #[test]
    fn a_full_scale_sine_is_0_db_at_its_frequency() {
        let grid = Grid::spectrum(&tone(3000.0));
        // 3 kHz is bin 128 exactly.
        assert!(grid.at(0.4..0.41, 3000.0).unwrap().abs() < 0.01);
        assert!(grid.at(0.4..0.41, 6000.0).unwrap() < -90.0);
        assert_eq!(grid.at(2.0..2.1, 3000.0), None);
        assert_eq!(grid.less(&grid).top(), 0.0);
    }

    #[test]
    fn two_channels_show_their_mean_magnitude() {
        let one = tone(3000.0);
        let both =
            |right: Vec<f32>| Grid::spectrum(&Sound { rate: 24_000, channels: vec![one.channels[0].clone(), right] });
        assert_eq!(both(one.channels[0].clone()), Grid::spectrum(&one));
        // Upside down they would cancel in a mix.
        let inverted: Vec<f32> = one.channels[0].iter().map(|x| -x).collect();
        assert_eq!(both(inverted), Grid::spectrum(&one));
        let beside = both(vec![0.0; 24_000]);
        assert!((beside.values[40 * 513 + 128] + 6.02).abs() < 0.01, "{}", beside.values[40 * 513 + 128]);
    }

    #[test]
    fn a_tone_has_its_level_and_place_in_every_mel() {
        let sound: Vec<f32> =
            (0..44_100).map(|i| (std::f64::consts::TAU * 15_000.0 * f64::from(i) / 44_100.0).sin() as f32).collect();
        for (scale, area_norm) in [(MelScale::Slaney, true), (MelScale::Slaney, false), (MelScale::Htk, true)] {
            let plain = MelConvention::full_band("wide", 44_100, 2048, 512, 128);
            let convention = MelConvention { scale, area_norm, ..plain };
            let grid = Grid::mel(&crate::mel::extract(&sound, &convention).unwrap(), &convention);
            let moment = 0.4..0.5;
            let at = |hz: f64| grid.at(moment.clone(), hz).unwrap();
            // The sum of the Hann window's main lobe, n_fft / 4 (1/2 + 1 + 1/2), half of it where the tone lies between two bands.
            let full = 20.0 * (2048f32 / 4.0 * 2.0).log10();
            assert!((-6.5..=0.5).contains(&(at(15_000.0) - full)), "{scale:?}: {} of {full}", at(15_000.0));
            assert!(at(12_000.0) < at(15_000.0) - 60.0 && at(18_500.0) < at(15_000.0) - 60.0, "{scale:?}");
        }
    }

    #[test]
    fn the_tone_is_drawn_where_the_axis_says() {
        let grid = Grid::spectrum(&tone(3000.0));
        for axis in [FrequencyScale::Linear, FrequencyScale::Mel(MelScale::Htk)] {
            let picture = Picture {
                title: "tone".into(),
                grid: &grid,
                range: [-80.0, 0.0],
                difference: false,
                axis,
                seconds: 1.0,
                size: (640, 240),
            };
            let (pixels, area) = picture.rgb().unwrap();
            let brightest = (0..area.height)
                .max_by_key(|y| {
                    pixels[(((area.top as u32 + y) * 640 + area.left as u32 + area.width / 2) * 3 + 1) as usize]
                })
                .unwrap();
            let share = axis.position(3000.0) / axis.position(12_000.0);
            let expected = (1.0 - share) * f64::from(area.height);
            assert!((f64::from(brightest) - expected).abs() < 3.0, "{axis:?}: row {brightest}, expected {expected}");
            // Letters were drawn: there are dark pixels left of the image.
            let left = (0..240usize).flat_map(|y| &pixels[y * 640 * 3..(y * 640 + area.left as usize - 8) * 3]);
            assert!(left.filter(|&&v| v < 100).count() > 200);
            assert!(picture.svg().unwrap().contains("data:image/png;base64,"));
        }
    }

    #[test]
    fn a_picture_without_room_is_refused() {
        let grid = Grid::spectrum(&tone(3000.0));
        let picture = Picture {
            title: String::new(),
            grid: &grid,
            range: [-80.0, 0.0],
            difference: false,
            axis: FrequencyScale::Linear,
            seconds: 1.0,
            size: (100, 60),
        };
        assert!(picture.png().unwrap_err().to_string().contains("leave no room"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(time_ticks(1.05).len(), 6);
        assert_eq!(time_ticks(8.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(trimmed(0.5), "0.5");
        assert_eq!(trimmed(12.0), "12");
    }
}
