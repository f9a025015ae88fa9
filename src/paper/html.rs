//! Pieces of HTML for people who print it.
//!
//! Every text from a plan, a transcript or a person becomes [`Html`] by being escaped; only text from this program's
//! own source goes in as it is.

use crate::ground::words::{self, Digest, ROWS};

/// A piece of HTML in which everything from outside is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// HTML that this program was written with.
    pub(crate) fn fixed(html: &'static str) -> Self {
        Self(html.to_owned())
    }

    /// This piece at the end.
    pub(crate) fn push(&mut self, piece: &Self) {
        self.0.push_str(&piece.0);
    }

    /// HTML that this program was written with at the end.
    pub(crate) fn push_fixed(&mut self, html: &'static str) {
        self.0.push_str(html);
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

impl<const N: usize> From<[Html; N]> for Html {
    fn from(parts: [Html; N]) -> Self {
        parts.into_iter().collect()
    }
}

impl From<Html> for String {
    fn from(html: Html) -> Self {
        html.0
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// An element: `tag("p", "text")`, or with a class `tag("td.n", …)`.
fn tag(spec: &'static str, inner: impl Into<Html>) -> Html {
    let (name, class) = match spec.split_once('.') {
        Some((name, class)) => (name, format!(" class=\"{class}\"")),
        None => (spec, String::new()),
    };
    Html(format!("<{name}{class}>{}</{name}>", inner.into().0))
}

/// Something typed or read letter by letter.
pub(crate) fn code(text: &str) -> Html {
    tag("code", text)
}

/// Commands to type, a line each.
pub(crate) fn commands(commands: &[String]) -> Html {
    commands.iter().map(|line| tag("pre", line)).collect()
}

/// Boxes for handwriting: this many groups of this many characters.
pub(crate) fn boxes(groups: usize, characters: usize) -> Html {
    let boxes: Html = (0..characters).map(|_| tag("i", "")).collect();
    let group = tag("span.boxes", boxes);
    (0..groups).map(|_| group.clone()).collect()
}

/// Boxes for this many bytes in hex, 16 on a line.
pub(crate) fn fingerprint_boxes(bytes: usize) -> Html {
    let groups = bytes / 4; // of 8 digits
    let line = |at: usize| tag("div", boxes((groups - at * 4).min(4), 8));
    (0..groups.div_ceil(4)).map(line).collect()
}

/// The 33 numbered boxes of a share, in the order of the screen: three columns of eleven.
pub(crate) fn words_to_fill() -> Html {
    const WORDS: usize = 33;
    let word = |number: usize| tag("div", tag("b", number.to_string()));
    tag("div.words", (1..=WORDS).map(word).collect::<Html>())
}

/// A digest as people compare it: eight numbered rows of hex and words, a box to tick beside each.
pub(crate) fn rows_to_compare(digest: &Digest) -> Html {
    let rows = (0..ROWS).map(|at| {
        let tick = tag("td", tag("span.tick", ""));
        tag("tr", [row(&words::hex(digest), at), tick])
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

/// Rows of the shape of package.txt, to fill in.
pub(crate) fn package_rows(count: usize) -> Html {
    let row = |number: usize| {
        let digits = tag("td", [boxes(2, 8), "check ".into(), boxes(1, 4)]);
        tag("tr", [tag("td.n", format!("row {number}")), digits])
    };
    tag("table.rows", (1..=count).map(row).collect::<Html>())
}

/// Number, hex and words of one row of eight hex digits.
fn row(hex: &str, at: usize) -> Html {
    let digits = hex.get(at * 8..at * 8 + 8).unwrap_or_default();
    let spoken = words::unhex(digits).unwrap_or_default();
    let spoken: Vec<&str> = spoken
        .iter()
        .enumerate()
        .map(|(position, byte)| words::pgp_word(*byte, position))
        .collect();
    let (left, right) = digits.split_at_checked(4).unwrap_or((digits, ""));
    Html::from([
        tag("td.n", format!("row {}", at + 1)),
        tag("td", format!("{left} {right}")),
        tag("td", spoken.join(" ")),
    ])
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
    fn a_digest_is_shown_as_far_as_it_is_known() {
        let hex = words::hex(&words::sha256(b""));
        assert!(rows(&hex).0.contains("row 8") && rows(&hex[..24]).0.contains("row 3"));
        assert!(!rows(&hex[..24]).0.contains("row 4"));
        assert_eq!(groups(&hex[..16]).0, "<code>e3b0c442 98fc1c14</code>");
        assert!(rows(&hex).0.contains("e3b0 c442"));
    }
}
