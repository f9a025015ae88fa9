//! Text in the layout of a terminal: at most 79 columns, fewer in a narrower window.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::ground::paint::Paint;
use crate::ground::words;

/// The widest line, in terminal columns.
pub(super) const WIDTH: usize = 79;

/// `byok 0.1.0   PRODUCTION            before step 1 of 13: approve`
pub(crate) fn heading(rehearsal: bool, place: &str) -> String {
    let left = format!("byok {}   {}", env!("CARGO_PKG_VERSION"), mode(rehearsal));
    let gap = WIDTH.saturating_sub(left.width() + place.width()).max(2);
    Paint::Heading.on(&format!("{left}{:gap$}{place}", "")) + "\n"
}

pub(crate) fn mode(rehearsal: bool) -> &'static str {
    if rehearsal { "REHEARSAL" } else { "PRODUCTION" }
}

/// A text with its lines as they were before [`fold`] fitted them to a usual window, so that text for a narrower
/// window is folded only once.
pub(super) fn unfolded(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let (mut before, mut begins) = ("", 0);
    for line in text.split_inclusive('\n') {
        match goes_on(before, begins, line) {
            true => {
                whole.pop(); // the line feed
                let cut = !before.trim().contains(' ');
                whole += if cut { "" } else { " " };
                whole += line.trim_start_matches(' ');
            }
            false => {
                whole += line;
                begins = where_it_begins(line.trim_end(), WIDTH);
            }
        }
        before = line;
    }
    whole
}

/// Whether a line continues the one before: it is indented below the beginning of that text, and its first word
/// had no room there. A command that continues says so itself.
fn goes_on(before: &str, begins: usize, line: &str) -> bool {
    let lead = line.len() - line.trim_start_matches(' ').len();
    let word = line.split_whitespace().next().unwrap_or_default();
    let before = before.trim_end();
    let taken = before.width();
    taken > 0
        && !before.ends_with('\\')
        && lead == begins
        && !word.is_empty()
        && taken + 1 + word.width() > WIDTH
}

pub(super) fn folded_line(line: &str, width: usize) -> String {
    let begins = where_it_begins(line, width);
    let (first, rest) = line.split_at(begins);
    let folded = fold_to(width, rest, &" ".repeat(begins));
    format!("{first}{}", folded.trim_start())
}

/// The column in a line below which the rest is folded.
fn where_it_begins(line: &str, width: usize) -> usize {
    /// The furthest column at which a text may begin: `REHEARSAL ` and `exposure  ` are no longer.
    const FURTHEST: usize = 12;
    let furthest = FURTHEST.min(width / 4);
    let lead = line.len() - line.trim_start_matches(' ').len();
    let rest = &line[lead..];
    let gap = rest.find("  ").filter(|at| lead + at < furthest);
    match (rest.strip_prefix("- "), gap) {
        (Some(_), _) => lead + 2,
        (None, Some(at)) => line.len() - rest[at..].trim_start_matches(' ').len(),
        (None, None) => lead,
    }
}

/// Breaks text into lines of at most 79 columns with this indent, at spaces if there are any.
pub(crate) fn fold(text: &str, indent: &str) -> String {
    fold_to(WIDTH, text, indent)
}

/// A command, which is broken only between these parts, where a line would have more than 79 columns. `goes_on` then
/// ends the line.
pub(crate) fn command(before: &str, parts: &[String], goes_on: &str) -> String {
    let mut text = before.to_owned();
    let mut column = before.width();
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let room = WIDTH.saturating_sub(if last { 0 } else { goes_on.width() });
        if at > 0 && column + 1 + part.width() > room {
            let indent = room.saturating_sub(part.width()).min(7);
            text += &format!("{goes_on}\n{:indent$}", "");
            column = indent;
        } else if at > 0 {
            text += " ";
            column += 1;
        }
        text += part;
        column += part.width();
    }
    text + "\n"
}

pub(super) fn fold_to(width: usize, text: &str, indent: &str) -> String {
    let text = words::printable(text);
    let room = width.saturating_sub(indent.len()).max(1);
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last().map_or(0, |line| line.width());
        if line > 0 && line + word.trim_end().width() > room {
            lines.push(String::new());
        }
        for part in parts(word, room) {
            push_part(&mut lines, part, room);
        }
    }
    lines
        .iter()
        .map(|line| format!("{indent}{}\n", line.trim_end()))
        .collect()
}

/// A path that is too long for a line is broken after a folder's name.
fn parts(word: &str, room: usize) -> impl Iterator<Item = &str> {
    let end = match word.trim_end().width() > room {
        true => '/',
        false => ' ',
    };
    word.split_inclusive(end)
}

fn push_part(lines: &mut Vec<String>, part: &str, room: usize) {
    let taken = |lines: &[String]| lines.last().map_or(0, |line| line.width());
    if taken(lines) > 0 && taken(lines) + part.trim_end().width() > room {
        lines.push(String::new());
    }
    for c in part.chars() {
        if taken(lines) + c.width().unwrap_or(0) > room && c != ' ' {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_line_holds_is_broken_where_its_folders_end() {
        let path = format!(
            "/srv/{}/{}/plan.toml",
            "ceremonies-of-2026".repeat(3),
            "payments".repeat(5)
        );
        let said = format!("the record is in {path} already");
        let shown = fold(&said, "  ");
        let lines: Vec<&str> = shown.lines().map(str::trim).collect();
        assert_eq!(lines[0], "the record is in");
        assert!(
            lines[1].ends_with('/') && lines[2].ends_with("/plan.toml already"),
            "{shown}"
        );
        assert!(shown.lines().all(|line| line.width() <= WIDTH), "{shown}");
        // one that fits is never broken, and one name that is too long is all the same
        let short = format!("{} /srv/a/plan.toml", "word ".repeat(14));
        assert!(fold(&short, "").contains("\n/srv/a/plan.toml"));
        assert_eq!(fold(&"x".repeat(100), "").lines().count(), 2);
    }

    #[test]
    fn lines_are_folded_at_spaces_and_counted_in_columns() {
        let wide = "支払い".repeat(30);
        for line in fold(&format!("{wide} {}", "word ".repeat(40)), "   ").lines() {
            assert!(line.width() <= WIDTH, "{line}");
        }
        assert_eq!(fold("one two", " "), " one two\n");
    }

    #[test]
    fn a_heading_fills_the_line() {
        assert_eq!(heading(false, "x").trim_end().width(), WIDTH);
    }
}
