//! What is wrong with a plan's TOML: one line, with its number and the name of the key.

use toml::value::Datetime;

use super::tables::{self, Keys};
use crate::ground::error::{Error, Result};

/// The text of a plan.
///
/// # Errors
/// Exit 2 if it is not UTF-8, or if it begins with a byte order mark, which TOML does not allow.
pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if bytes.starts_with(MARK) {
        return Err(Error::usage("it begins with a byte order mark")
            .hint("save it as UTF-8 without the mark: tail -c +4 OLD > NEW"));
    }
    std::str::from_utf8(bytes)
        .map_err(|_| Error::usage("not UTF-8 text").hint("save the plan as UTF-8"))
}

/// The error in one line and, for keys in the wrong table, where they belong.
pub(super) fn refused(text: &str, error: &toml::de::Error, tables: &[Keys]) -> Error {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let misplaced = tables::misplaced(&table, tables);
    let refused = in_one_line(text, error);
    misplaced.into_iter().fold(refused, Error::hint)
}

/// In one line, with the line number instead of TOML's drawing.
fn in_one_line(text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map(|span| span.start.min(text.len()));
    let Some(number) = start.map(|start| text[..start].matches('\n').count()) else {
        return hinted(unquoted(error.message()));
    };
    let lines: Vec<&str> = text.lines().take(number + 1).collect();
    // If the text is not TOML at all, only the line is known.
    let is_toml = toml::from_str::<toml::Table>(text).is_ok();
    let named = lines.iter().rev().find_map(|line| name(line));
    let named = match is_toml {
        true => named,
        false => lines.last().and_then(|line| name(line)),
    };
    let place = match &named {
        Some((name, _)) => format!("line {}: {name}", number + 1),
        None => format!("line {}", number + 1),
    };
    if let Some((name, time)) = named.filter(|(_, value)| is_toml && is_time(value)) {
        return hinted(format!(
            "{place} is a time without quotation marks; a plan needs them"
        ))
        .hint(format!("{name} = \"{time}\""));
    }
    hinted(format!("{place}: {}", unquoted(error.message())))
}

fn hinted(what: String) -> Error {
    Error::usage(what).hint("`byok plan` writes a commented plan to start from")
}

/// The key that a line sets and its value, or the table that it begins.
fn name(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with('[') && line.trim_start_matches('[').starts_with(is_of_key) {
        let end = line.find('#').unwrap_or(line.len());
        return Some((line[..end].trim(), ""));
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let is_key = !key.is_empty() && key.chars().all(is_of_key);
    is_key.then_some((key, value.trim()))
}

fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

/// Whether a value is one of TOML's own dates and times.
fn is_time(value: &str) -> bool {
    value.parse::<Datetime>().is_ok()
}

/// TOML's message on one line. A value of the wrong type may be a PIN in the wrong place, so it is not repeated.
fn unquoted(message: &str) -> String {
    let message = message.replace('\n', " ");
    let between = |mark: char| match (message.split_once(mark), message.rsplit_once(mark)) {
        (Some((before, _)), Some((_, after))) => Some(format!("{before}(not shown){after}")),
        _ => None,
    };
    match message.starts_with("invalid") {
        true => between('"').or_else(|| between('`')).unwrap_or(message),
        false => message,
    }
}
