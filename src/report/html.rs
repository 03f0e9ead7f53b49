//! Markup whose text is escaped, and tables.

use std::fmt::Write as _;

/// `text` as it may stand in an element or between the quotes of an attribute.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML has no way to write the other control characters; a file's name may have them.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// A piece of a page. Whatever text goes in is escaped on the way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Html(String);

impl Html {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends what is markup already.
    pub(super) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// A heading of `level` 2 to 4; the page's title is 1. `id` is what links to it name, empty for none.
    pub fn heading(&mut self, level: u8, id: &str, text: &str) {
        let level = level.clamp(2, 4);
        let id = if id.is_empty() { String::new() } else { format!(" id=\"{}\"", escaped(id)) };
        self.raw(&format!("<h{level}{id}>{}</h{level}>\n", escaped(text)));
    }

    pub fn paragraph(&mut self, text: &str) {
        self.raw(&format!("<p>{}</p>\n", escaped(text)));
    }

    /// What a reader must not miss: a file that failed, a limit.
    pub fn warning(&mut self, text: &str) {
        self.raw(&format!("<p class=\"warning\">{}</p>\n", escaped(text)));
    }

    /// Bullet points.
    pub fn list<S: AsRef<str>>(&mut self, items: impl IntoIterator<Item = S>) {
        self.raw("<ul>\n");
        for item in items {
            self.raw(&format!("<li>{}</li>\n", escaped(item.as_ref())));
        }
        self.raw("</ul>\n");
    }

    /// What opens when its summary is clicked.
    pub fn details(&mut self, summary: &str, open: bool, content: &Self) {
        let open = if open { " open" } else { "" };
        self.raw(&format!("<details{open}><summary>{}</summary>\n{}</details>\n", escaped(summary), content.0));
    }

    pub fn append(&mut self, other: &Self) {
        self.raw(&other.0);
    }

    pub fn table(&mut self, table: &Table) {
        let sortable = if table.sortable { " class=\"sortable\"" } else { "" };
        self.raw(&format!("<div class=\"wide\"><table{sortable}>\n"));
        if !table.caption.is_empty() {
            self.raw(&format!("<caption>{}</caption>\n", escaped(&table.caption)));
        }
        self.raw("<thead><tr>");
        for (heading, hint) in &table.head {
            self.raw(&format!("<th scope=\"col\"{}>{}</th>", titled(hint), escaped(heading)));
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for row in &table.rows {
            self.raw("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let markup = cell.markup(i == 0);
                self.raw(&markup);
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table></div>\n");
    }
}

fn titled(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" title=\"{}\"", escaped(hint)) }
}

/// Rows under headings; the first cell of a row names it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub caption: String,
    /// Headings with what is shown while the pointer rests on them (empty for nothing).
    pub head: Vec<(String, String)>,
    pub rows: Vec<Vec<Cell>>,
    /// A click on a heading sorts.
    pub sortable: bool,
}

/// A cell. A number is what its column is sorted by, and stands at the right.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    text: String,
    detail: String,
    number: Option<f64>,
    link: String,
    hint: String,
    best: bool,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// `value` with so many digits after the point.
    pub fn number(value: f64, digits: usize) -> Self {
        Self { text: format!("{value:.digits$}"), number: Some(value), ..Self::default() }
    }

    /// There is no such number.
    pub fn missing() -> Self {
        Self { text: "–".into(), number: Some(f64::NAN), ..Self::default() }
    }

    /// Smaller, behind the text.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// To what has this `id` on the page.
    pub fn link(mut self, id: &str) -> Self {
        self.link = id.into();
        self
    }

    /// Shown while the pointer rests on the cell.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Set off from the others.
    pub fn best(mut self, best: bool) -> Self {
        self.best = best;
        self
    }

    fn markup(&self, first: bool) -> String {
        let mut attributes = titled(&self.hint);
        // Writing to a string cannot fail.
        if let Some(number) = self.number {
            let number = if number.is_finite() { number.to_string() } else { String::new() };
            let _ =
                write!(attributes, " class=\"number{}\" data-value=\"{number}\"", if self.best { " best" } else { "" });
        } else if self.best {
            attributes.push_str(" class=\"best\"");
        }
        let mut text = escaped(&self.text);
        if !self.link.is_empty() {
            text = format!("<a href=\"#{}\">{text}</a>", escaped(&self.link));
        }
        if !self.detail.is_empty() {
            let _ = write!(text, " <small>{}</small>", escaped(&self.detail));
        }
        match first {
            true => format!("<th scope=\"row\"{attributes}>{text}</th>"),
            false => format!("<td{attributes}>{text}</td>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let name = "</td><script>alert('x')</script>\" onload=\"a & b\u{1b}";
        let mut html = Html::new();
        html.heading(2, name, name);
        html.paragraph(name);
        html.list([name]);
        html.details(name, false, &Html::new());
        html.table(&Table {
            caption: name.into(),
            head: vec![(name.into(), name.into())],
            rows: vec![vec![Cell::text(name).detail(name).hint(name).link(name)]],
            sortable: false,
        });
        assert!(!html.as_str().contains("<script"), "{}", html.as_str());
        assert!(!html.as_str().contains("\" onload"), "{}", html.as_str());
        assert!(!html.as_str().contains('\u{1b}'));
        assert_eq!(html.as_str().matches("alert(&#39;x&#39;)").count(), 12);
    }

    #[test]
    fn numbers_keep_their_value_for_sorting() {
        let mut html = Html::new();
        let row = vec![Cell::text("a"), Cell::number(4.0512, 2).best(true), Cell::missing()];
        html.table(&Table { rows: vec![row], sortable: true, ..Table::default() });
        assert!(
            html.as_str().contains("<td class=\"number best\" data-value=\"4.0512\">4.05</td>"),
            "{}",
            html.as_str()
        );
        assert!(html.as_str().contains("data-value=\"\">–"));
    }
}
