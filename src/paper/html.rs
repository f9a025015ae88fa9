//! HTML for people who print it: one file that needs nothing else, no script, no address.
//!
//! Every text from a plan, a transcript or a person becomes [`Html`] by being escaped; only what stands
//! in this program's own source goes in as it is. A [`Document`] is made of sheets. Each begins on a new
//! page and repeats its head on every page, so that no page is taken for one of another ceremony.

use crate::ground::words::{self, Digest, ROWS};

/// How every page that this module makes begins.
pub(crate) const BEGIN: &str =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>";

const STYLE: &str = include_str!("html/print.css");

/// A piece of HTML in which nothing from outside stands unescaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// HTML that this program was written with.
    pub(crate) fn fixed(html: &'static str) -> Self {
        Self(html.to_owned())
    }

    /// Text: what HTML would read as its own is escaped, and what cannot be shown is spelled out.
    pub(crate) fn text(text: &str) -> Self {
        let escape = |mut html: String, c: char| {
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                c => html.push(c),
            }
            html
        };
        Self(words::printable(text).chars().fold(String::new(), escape))
    }
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<&String> for Html {
    fn from(text: &String) -> Self {
        Self::text(text)
    }
}

impl From<Vec<Html>> for Html {
    fn from(parts: Vec<Html>) -> Self {
        parts.into_iter().collect()
    }
}

impl<const N: usize> From<[Html; N]> for Html {
    fn from(parts: [Html; N]) -> Self {
        parts.into_iter().collect()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// An element: `tag("p", "text")`, or with classes `tag("div.box.thin", …)`.
pub(crate) fn tag(spec: &'static str, inner: impl Into<Html>) -> Html {
    let (name, classes) = spec.split_once('.').unwrap_or((spec, ""));
    let class = match classes {
        "" => String::new(),
        classes => format!(" class=\"{}\"", classes.replace('.', " ")),
    };
    Html(format!("<{name}{class}>{}</{name}>", inner.into().0))
}

/// `<p>`.
pub(crate) fn p(inner: impl Into<Html>) -> Html {
    tag("p", inner)
}

/// Something typed or read letter by letter.
pub(crate) fn code(text: &str) -> Html {
    tag("code", text)
}

/// Text of any length from a person: it never makes a table wider than its page.
pub(crate) fn free(text: &str) -> Html {
    tag("span.any", text)
}

/// Commands to type, a line each.
pub(crate) fn commands(commands: &[String]) -> Html {
    commands.iter().map(|line| tag("pre", line)).collect()
}

/// A line to write on: what it is for, and the line.
pub(crate) fn line(label: &str) -> Html {
    Html::from([label.into(), " ".into(), tag("span.line", ""), " ".into()])
}

/// The same, for a word or a time.
pub(crate) fn short_line(label: &str) -> Html {
    Html::from([
        label.into(),
        " ".into(),
        tag("span.line.short", ""),
        " ".into(),
    ])
}

/// Boxes for handwriting: this many groups of this many characters.
pub(crate) fn boxes(groups: usize, characters: usize) -> Html {
    let group = tag("span.boxes", vec![tag("i", ""); characters]);
    vec![group; groups].into()
}

/// Things to do, each with a box to tick.
pub(crate) fn tasks(tasks: Vec<Html>) -> Html {
    let task = |task| tag("li", [tag("span.tick", ""), task]);
    tag("ul.tasks", tasks.into_iter().map(task).collect::<Html>())
}

/// Names and what they are, a row each.
pub(crate) fn facts(facts: Vec<(Html, Html)>) -> Html {
    let row = |(name, value)| tag("tr", [tag("td", name), tag("td", value)]);
    tag("table.facts", facts.into_iter().map(row).collect::<Html>())
}

/// A table with a head. `spec` is `table.list`, or with further classes.
pub(crate) fn table(spec: &'static str, head: &[&str], rows: Vec<Vec<Html>>) -> Html {
    let head: Html = head.iter().map(|name| tag("th", *name)).collect();
    let row = |cells: Vec<Html>| {
        let cells: Html = cells.into_iter().map(|cell| tag("td", cell)).collect();
        tag("tr", cells)
    };
    let body: Html = rows.into_iter().map(row).collect();
    tag(spec, [tag("thead", tag("tr", head)), tag("tbody", body)])
}

/// A table of names with places to write in.
pub(crate) fn places(head: &[&str], rows: Vec<Vec<Html>>) -> Html {
    let filled = |mut cells: Vec<Html>| {
        cells.resize(head.len(), Html::default());
        cells
    };
    table(
        "table.list.write",
        head,
        rows.into_iter().map(filled).collect(),
    )
}

/// A digest as people compare it: eight numbered rows of hex and words, a box to tick beside each.
pub(crate) fn rows_to_compare(digest: &Digest) -> Html {
    let rows = (0..ROWS).map(|at| {
        let mut cells = row(&words::hex(digest), at);
        cells.push(tag("td", tag("span.tick", "")));
        tag("tr", cells)
    });
    tag("table.rows", rows.collect::<Html>())
}

/// A digest, or as many of its first rows as are known.
pub(crate) fn rows(hex: &str) -> Html {
    let rows = (0..hex.len() / 8).map(|at| tag("tr", row(hex, at)));
    tag("table.rows", rows.collect::<Html>())
}

/// A digest in little room: eight groups of eight hex digits.
pub(crate) fn groups(hex: &str) -> Html {
    let (mut groups, mut rest) = (Vec::new(), hex);
    while let Some((group, after)) = rest.split_at_checked(8) {
        groups.push(group);
        rest = after;
    }
    groups.push(rest);
    code(groups.join(" ").trim_end())
}

/// Rows to write a digest on, by their numbers.
pub(crate) fn rows_to_fill(numbers: std::ops::RangeInclusive<usize>) -> Html {
    let row = |number: usize| {
        let digits = tag("td", boxes(2, 4));
        tag("tr", [tag("td.n", format!("row {number}")), digits])
    };
    tag("table.rows", numbers.map(row).collect::<Html>())
}

/// Number, hex and words of one row of eight hex digits.
fn row(hex: &str, at: usize) -> Vec<Html> {
    let digits = hex.get(at * 8..at * 8 + 8).unwrap_or_default();
    let spoken = words::unhex(digits).unwrap_or_default();
    let spoken: Vec<&str> = spoken
        .iter()
        .enumerate()
        .map(|(position, byte)| words::pgp_word(*byte, position))
        .collect();
    let (left, right) = digits.split_at_checked(4).unwrap_or((digits, ""));
    vec![
        tag("td.n", format!("row {}", at + 1)),
        tag("td", format!("{left} {right}")),
        tag("td", spoken.join(" ")),
    ]
}

/// A document that is printed.
pub(crate) struct Document {
    title: String,
    /// `PRODUCTION`, `PRACTICE` or `REHEARSAL`, on every page.
    mode: &'static str,
    sheets: Vec<Html>,
}

/// One part of a document: it begins on a new page.
pub(crate) struct Sheet {
    part: String,
    rows: Vec<Html>,
}

impl Sheet {
    /// An empty one; `part` stands at the top of each of its pages.
    pub(crate) fn new(part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            rows: Vec::new(),
        }
    }

    /// Adds what must stay together on one page.
    #[must_use]
    pub(crate) fn with(mut self, block: impl Into<Html>) -> Self {
        self.rows.push(tag("tr", tag("td", block)));
        self
    }

    /// Adds what may go on over the end of a page, between its own rows.
    #[must_use]
    pub(crate) fn with_long(mut self, block: impl Into<Html>) -> Self {
        self.rows.push(tag("tr.long", tag("td", block)));
        self
    }

    /// Adds a table of places to write, below what leads to it: on one page where a page holds it.
    #[must_use]
    pub(crate) fn with_places(
        self,
        lead: impl Into<Html>,
        head: &[&str],
        rows: Vec<Vec<Html>>,
    ) -> Self {
        /// As many rows of places to write as a page holds, with what leads to them.
        const ON_A_PAGE: usize = 22;
        let whole = rows.len() <= ON_A_PAGE;
        let block = Html::from([lead.into(), places(head, rows)]);
        match whole {
            true => self.with(block),
            false => self.with_long(block),
        }
    }

    /// Adds several things that each stay together.
    #[must_use]
    pub(crate) fn with_each(self, blocks: impl IntoIterator<Item = Html>) -> Self {
        blocks.into_iter().fold(self, Self::with)
    }
}

impl Document {
    /// An empty one.
    pub(crate) fn new(title: &str, mode: &'static str) -> Self {
        Self {
            title: title.to_owned(),
            mode,
            sheets: Vec::new(),
        }
    }

    /// Adds a sheet.
    pub(crate) fn add(&mut self, sheet: Sheet) {
        let banner = tag(
            "div.banner",
            [
                tag("b", self.mode),
                tag("span.subject", &self.title),
                tag("span.part", &sheet.part),
            ],
        );
        let head = tag("thead", tag("tr", tag("td", banner)));
        self.sheets
            .push(tag("table.sheet", [head, tag("tbody", sheet.rows)]));
    }

    /// The whole file.
    pub(crate) fn finish(self) -> String {
        let title = Html::text(&format!("{} {}", self.mode, self.title));
        let body: Vec<String> = self.sheets.into_iter().map(|sheet| sheet.0).collect();
        format!(
            "{BEGIN}{}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n{}\n</body>\n</html>\n",
            title.0,
            body.join("\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_never_html() {
        let html = tag("p", "<b title=\"x\">&'\u{202e}\u{1b}");
        assert_eq!(
            html.0,
            "<p>&lt;b title=&quot;x&quot;&gt;&amp;&#39;\\u{202e}\\u{1b}</p>"
        );
    }

    #[test]
    fn a_document_is_whole_and_names_its_mode_on_every_sheet() {
        let mut document = Document::new("<Title>", "PRACTICE");
        document.add(Sheet::new("one").with(p("x")));
        document.add(Sheet::new("two").with_long(p("y")));
        let html = document.finish();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset"));
        assert_eq!(html.matches("<b>PRACTICE</b>").count(), 2);
        assert!(!html.contains("<Title>") && html.contains("&lt;Title&gt;"));
        for never in ["http://", "https://", "<script", "url(", "@import"] {
            assert!(!html.contains(never), "{never}");
        }
    }

    #[test]
    fn a_digest_is_shown_as_far_as_it_is_known() {
        let hex = words::hex(&words::sha256(b""));
        assert!(rows(&hex).0.contains("row 8") && rows(&hex[..24]).0.contains("row 3"));
        assert!(!rows(&hex[..24]).0.contains("row 4"));
        assert_eq!(groups(&hex[..16]).0, "<code>e3b0c442 98fc1c14</code>");
        assert!(rows(&hex).0.contains("e3b0 c442"));
    }
}
