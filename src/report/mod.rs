//! Reports as one HTML file that stands alone: tables, pictures and players lie in it, nothing is fetched, `file://` will do.
//!
//! Content is put together as [`Html`], which escapes all text that it is given, and written piece by piece to a [`Page`]:
//!
//! ```no_run
//! use audiodiff::report::{Clip, Html, Page, Track};
//! use audiodiff::eval::Sound;
//!
//! let tone = Sound::mono((0..24_000).map(|i| (0.1 * i as f32).sin() * 0.5).collect(), 24_000);
//! let mut page = Page::create("report.html", "A tone")?;
//! let mut html = Html::new();
//! html.paragraph("The recording and what became of it.");
//! html.clip(&Clip {
//!     id: "tone".into(),
//!     title: "tone".into(),
//!     note: String::new(),
//!     tracks: vec![Track::new("recording").with_sound(&tone), Track::new("rendering").with_sound(&tone)],
//! });
//! page.write(&html)?;
//! page.finish()?;
//! # Ok::<(), audiodiff::Error>(())
//! ```

mod clip;
pub mod evaluation;
mod html;
mod page;

pub use clip::{Clip, Figure, Track};
pub use html::{Cell, Html, Table, escaped};
pub use page::Page;
