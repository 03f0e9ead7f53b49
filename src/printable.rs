//! Foreign text made fit for a terminal.
//!
//! File names, model cards, conventions and headers may hold characters that a terminal obeys instead of showing: escape
//! sequences clear the screen, set its title or hide what follows, and overrides of the writing direction reorder a line.
//! Each becomes `\u001b`, as JSON writes it, so that JSON stays JSON.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// Shows `T` with all such characters escaped but line breaks and tabs: for tables and messages.
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

/// Shows `T` with line breaks and tabs escaped too: for the sentence of an error, and for what has a line to itself.
#[derive(Debug, Clone, Copy)]
pub struct OneLine<T>(pub T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(Escaping { out: f, layout: true }, "{}", self.0)
    }
}

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(Escaping { out: f, layout: false }, "{}", self.0)
    }
}

/// `text` as [`Printable`] shows it.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_fit = |c| !steers(c) || matches!(c, '\n' | '\t');
    if text.chars().all(is_fit) { Cow::Borrowed(text) } else { Cow::Owned(Printable(text).to_string()) }
}

struct Escaping<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    /// Line breaks and tabs stay.
    layout: bool,
}

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c| steers(c) && !(self.layout && matches!(c, '\n' | '\t'))) {
            let (fit, from) = rest.split_at(at);
            self.out.write_str(fit)?;
            let mut characters = from.chars();
            if let Some(c) = characters.next() {
                // All of them have four digits at most.
                write!(self.out, "\\u{:04x}", u32::from(c))?;
            }
            rest = characters.as_str();
        }
        self.out.write_str(rest)
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, marks and overrides of the writing direction.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let foreign = "a\x1b]0;b\x07\r\u{9b}2J\x7f\u{202e}c\u{2066}\u{2028}ä\n\t.";
        let shown = r"a\u001b]0;b\u0007\u000d\u009b2J\u007f\u202ec\u2066\u2028ä";
        assert_eq!(Printable(foreign).to_string(), format!("{shown}\n\t."));
        assert_eq!(OneLine(foreign).to_string(), format!("{shown}\\u000a\\u0009."));
        assert_eq!(printable(foreign), Printable(foreign).to_string());
        assert!(matches!(printable("ä\n\t."), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = serde_json::json!({ "name": "a\x1b\u{9b}\x7f\u{202e}" });
        let shown = Printable(&text).to_string();
        assert!(shown.is_ascii() && shown.contains(r"\u009b"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), text);
    }
}
