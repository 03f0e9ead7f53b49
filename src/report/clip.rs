//! A clip: sounds that are compared by switching between them in mid-play, with the pictures of each.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Html, escaped};
use crate::{
    Result,
    audio::{SampleFormat, wav::encode},
    eval::picture::{Picture, PlotArea},
    sound::Sound,
};

/// Versions of one sound, which begin together.
pub struct Clip {
    /// What links to it name; each clip of a page has its own.
    pub id: String,
    pub title: String,
    /// A line below the title; may be empty.
    pub note: String,
    /// In the order of the keys 1 to 9 that choose them.
    pub tracks: Vec<Track>,
}

/// One version.
#[derive(Default)]
pub struct Track {
    name: String,
    note: String,
    /// A WAV file.
    wav: Option<Vec<u8>>,
    figures: Vec<Figure>,
}

/// A picture. Where it is known at which pixels time begins and ends, the playing position is drawn over it, and a click
/// moves there.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// `image/png`, `image/gif`
    media_type: &'static str,
    image: Vec<u8>,
    size: (u32, u32),
    /// Where time lies, and the seconds at its right end.
    time: Option<(PlotArea, f64)>,
    alt: String,
}

impl Figure {
    /// Draws `picture`; `alt` says in words what it shows.
    ///
    /// # Errors
    /// Those of [`Picture::png`].
    pub fn draw(picture: &Picture, alt: impl Into<String>) -> Result<Self> {
        let (image, area) = picture.png()?;
        let time = Some((area, picture.seconds));
        Ok(Self { media_type: "image/png", image, size: picture.size, time, alt: alt.into() })
    }

    /// A PNG file of `size` pixels without a time axis.
    pub fn png(image: Vec<u8>, size: (u32, u32), alt: impl Into<String>) -> Self {
        Self { media_type: "image/png", image, size, time: None, alt: alt.into() }
    }

    /// A GIF file of `size` pixels.
    pub fn gif(image: Vec<u8>, size: (u32, u32), alt: impl Into<String>) -> Self {
        Self { media_type: "image/gif", image, size, time: None, alt: alt.into() }
    }

    fn markup(&self) -> String {
        let (width, height) = self.size;
        let share = |pixels: i32, of: u32| f64::from(pixels) / f64::from(of.max(1));
        let (time, cursor) = match &self.time {
            None => (String::new(), ""),
            Some((area, seconds)) => {
                let (left, span) = (share(area.left, width), share(area.width as i32, width));
                let (top, tall) = (share(area.top, height), share(area.height as i32, height));
                let style = format!("--left:{left:.5};--span:{span:.5};--top:{top:.5};--tall:{tall:.5}");
                (format!(" data-seconds=\"{seconds}\" style=\"{style}\""), "<i class=\"cursor\"></i>")
            }
        };
        format!(
            "<figure{time}><img src=\"data:{};base64,{}\" width=\"{width}\" height=\"{height}\" alt=\"{}\">{cursor}</figure>\n",
            self.media_type,
            STANDARD.encode(&self.image),
            escaped(&self.alt)
        )
    }
}

impl Track {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A line beside the name: scores, or why there is no sound.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Embedded as WAV of 16 bits, level, rate and channels as they are; samples over full scale are held there.
    pub fn with_sound(mut self, sound: &Sound) -> Self {
        self.wav = Some(encode(sound, SampleFormat::Pcm16));
        self
    }

    /// One more picture, to the right of the former ones.
    pub fn with_figure(mut self, figure: Figure) -> Self {
        self.figures.push(figure);
        self
    }
}

impl Html {
    /// A picture by itself.
    pub fn figure(&mut self, figure: &Figure) {
        let markup = figure.markup();
        self.raw(&markup);
    }

    /// A player for the clip's tracks with their pictures. Without scripts each track has its browser's own player.
    pub fn clip(&mut self, clip: &Clip) {
        let mut markup = format!(
            "<section class=\"clip\" id=\"{}\" aria-label=\"{}\">\n<h3>{}</h3>\n",
            escaped(&clip.id),
            escaped(&clip.title),
            escaped(&clip.title)
        );
        // Writing to a string cannot fail.
        if !clip.note.is_empty() {
            let _ = writeln!(markup, "<p class=\"note\">{}</p>", escaped(&clip.note));
        }
        for track in &clip.tracks {
            let _ = write!(
                markup,
                "<div class=\"track\" data-name=\"{}\">\n<p><b>{}</b>",
                escaped(&track.name),
                escaped(&track.name)
            );
            if !track.note.is_empty() {
                let _ = write!(markup, " <span>{}</span>", escaped(&track.note));
            }
            markup.push_str("</p>\n");
            if let Some(wav) = &track.wav {
                markup.push_str("<audio controls preload=\"none\" src=\"data:audio/wav;base64,");
                STANDARD.encode_string(wav, &mut markup);
                markup.push_str("\"></audio>\n");
            }
            markup.push_str("<div class=\"figures\">\n");
            track.figures.iter().for_each(|figure| markup.push_str(&figure.markup()));
            markup.push_str("</div>\n</div>\n");
        }
        markup.push_str("</section>\n");
        self.raw(&markup);
    }
}
