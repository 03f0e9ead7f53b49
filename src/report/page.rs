//! The file: head, style, what is put on it, script. It appears whole or not at all.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, Write as _},
    path::Path,
};

use super::{Html, escaped};
use crate::{Error, Result, whole_file::WholeFile};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing is fetched, whatever the content says: a browser that obeys runs the page without any network.
const POLICY: &str =
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// A page in the making. Its memory is that of the piece that is written.
pub struct Page {
    file: BufWriter<WholeFile>,
    later: Option<BufWriter<File>>,
}

impl Page {
    /// Begins the page that `path` will be once it is finished; what is there now is then replaced.
    ///
    /// # Errors
    /// [`Error::Io`], as for the other functions.
    pub fn create(path: impl AsRef<Path>, title: &str) -> Result<Self> {
        let mut page = Self { file: BufWriter::new(WholeFile::create(path.as_ref())?), later: None };
        let title = escaped(title);
        let head = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"generator\" content=\"audiodiff {}\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
            env!("CARGO_PKG_VERSION")
        );
        page.put(&head)?;
        Ok(page)
    }

    pub fn write(&mut self, html: &Html) -> Result<()> {
        self.put(html.as_str())
    }

    /// Comes after everything that [`Page::write`] is given, now or later. Kept on the disk until then.
    pub fn write_later(&mut self, html: &Html) -> Result<()> {
        let path = self.file.get_ref().path().to_owned();
        let spool = match &mut self.later {
            Some(spool) => spool,
            none => none.insert(BufWriter::new(tempfile::tempfile().map_err(Error::io("cannot create", &path))?)),
        };
        spool.write_all(html.as_str().as_bytes()).map_err(Error::io("cannot write", path))
    }

    /// Ends the page and puts it in its place.
    pub fn finish(mut self) -> Result<()> {
        let path = self.file.get_ref().path().to_owned();
        if let Some(spool) = self.later.take() {
            spool
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|mut spool| spool.rewind().and_then(|()| io::copy(&mut spool, &mut self.file)))
                .map_err(Error::io("cannot write", &path))?;
        }
        self.put(&format!("<script>\n{SCRIPT}</script>\n</body>\n</html>\n"))?;
        self.file.into_inner().map_err(|error| Error::io("cannot write", &path)(error.into_error()))?.finish()
    }

    fn put(&mut self, text: &str) -> Result<()> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|source| Error::Io { path: self.file.get_ref().path().into(), action: "cannot write", source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{Clip, Track},
        sound::Sound,
    };

    #[test]
    fn a_page_is_whole_and_has_its_sounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        let sound = Sound::mono(vec![0.25; 480], 24_000);
        let mut page = Page::create(&path, "a < b").unwrap();
        let mut html = Html::new();
        let tracks = vec![Track::new("x & y").with_sound(&sound), Track::new("gone").with_note("is silent")];
        html.clip(&Clip { id: "one".into(), title: "one".into(), note: String::new(), tracks });
        page.write_later(&html).unwrap();
        let mut table = Html::new();
        table.paragraph("first");
        page.write(&table).unwrap();
        assert!(!path.exists());
        page.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("<title>a &lt; b</title>") && text.ends_with("</html>\n"));
        assert!(text.find("<p>first</p>").unwrap() < text.find("id=\"one\"").unwrap());
        assert_eq!(text.matches("<audio ").count(), 1);
        let encoded = text.split("data:audio/wav;base64,").nth(1).unwrap().split('"').next().unwrap();
        let wav = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
        let mut reader = hound::WavReader::new(wav.as_slice()).unwrap();
        assert_eq!((reader.spec().bits_per_sample, reader.len()), (16, 480));
        // A quarter of full scale, dithered by less than one step.
        assert!(reader.samples::<i16>().all(|x| (x.unwrap() - 8192).abs() <= 1));
    }

    #[test]
    fn nothing_on_the_page_asks_for_the_network() {
        for (name, text) in [("page.js", SCRIPT), ("page.css", STYLE)] {
            assert!(!text.contains("http") && !text.contains("url(") && !text.contains("import"), "{name}");
            assert!(!text.contains("</script"), "{name}");
        }
    }
}
