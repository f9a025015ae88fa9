//! Bold and colour on terminals that have it, always beside words that say the same.
//!
//! A piece of text is painted where it is made from a value. Until it is shown, two characters without width stand
//! around it, so that it is laid out as without them. [`words::printable`] shows such a character in a text from outside
//! as `\u{…}`: nobody else paints. Without [`decide`] there is no paint at all.

use std::sync::OnceLock;

use crate::ground::environment;

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// The heading of a screen or a part.
    Heading,
    /// A verdict that needs nobody.
    Good,
    /// Somebody should read it.
    Warning,
    /// Somebody must act.
    Bad,
}

/// The character before each kind of piece, and the terminal's own sequence: bold; bold green; bold and reversed, which
/// every background bears; bold red.
const BEGINS: [(Paint, char, &str); 4] = [
    (Paint::Heading, '\u{2061}', "\x1b[1m"),
    (Paint::Good, '\u{2062}', "\x1b[1;32m"),
    (Paint::Warning, '\u{2063}', "\x1b[1;7m"),
    (Paint::Bad, '\u{2064}', "\x1b[1;31m"),
];
/// The character after it, and the sequence.
const ENDS: (char, &str) = ('\u{2060}', "\x1b[0m");

static IS_ON: OnceLock<bool> = OnceLock::new();

/// Paints from now on if people read at a terminal that can show it, and nobody declined
/// by the variable NO_COLOR.
pub(crate) fn decide(at_terminal: bool) {
    let says = |name| environment::variable(name).filter(|value| !value.is_empty());
    let can = says("TERM").is_some_and(|terminal| terminal != "dumb");
    IS_ON.get_or_init(|| at_terminal && can && says("NO_COLOR").is_none());
}

fn is_on() -> bool {
    IS_ON.get().copied().unwrap_or(false)
}

impl Paint {
    /// This piece of text, painted.
    pub(crate) fn on(self, text: &str) -> String {
        let begins = BEGINS.iter().find(|(paint, ..)| *paint == self);
        match begins.filter(|_| is_on()) {
            Some((_, begin, _)) => format!("{begin}{text}{}", ENDS.0),
            None => text.to_owned(),
        }
    }
}

fn sequence(c: char) -> Option<&'static str> {
    let begins = BEGINS.iter().map(|(_, c, sequence)| (*c, *sequence));
    let mut all = begins.chain([ENDS]);
    all.find(|(mark, _)| *mark == c)
        .map(|(_, sequence)| sequence)
}

/// Whether a character is not text, but the edge of a painted piece.
pub(super) fn is_edge(c: char) -> bool {
    is_on() && sequence(c).is_some()
}

/// The text without paint.
pub(crate) fn without(text: &str) -> String {
    text.chars().filter(|c| !is_edge(*c)).collect()
}

/// The text as it is written to a terminal, or to anything else.
pub(crate) fn shown(text: &str, at_terminal: bool) -> String {
    if !at_terminal {
        return without(text);
    }
    text.chars().fold(String::new(), |mut shown, c| {
        match sequence(c).filter(|_| is_edge(c)) {
            Some(sequence) => shown.push_str(sequence),
            None => shown.push(c),
        }
        shown
    })
}

/// A line that begins with a painted piece, laid out: the layout sees the text alone.
pub(super) fn laid_out(line: &str, lay_out: impl FnOnce(&str) -> String) -> String {
    let bare = without(line);
    let laid_out = lay_out(&bare);
    let painted = line.split_inclusive(ENDS.0).next().unwrap_or_default();
    match laid_out.strip_prefix(&without(painted)) {
        Some(rest) if bare.len() < line.len() => format!("{painted}{rest}"),
        _ => laid_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::words;
    use unicode_width::UnicodeWidthStr as _;

    #[test]
    fn the_edge_of_a_painted_piece_has_no_width_and_is_nothing_that_a_record_can_say() {
        for edge in BEGINS.map(|(_, c, _)| c).into_iter().chain([ENDS.0]) {
            let text = format!("a{edge}b");
            assert_eq!(text.width(), 2, "{edge:?}");
            assert!(!words::is_printable(&text), "{edge:?}");
            assert!(!words::quoted(&text).contains(edge), "{edge:?}");
        }
    }
}
