//! Screens on which words of a share stand, or that tell which of them to look at.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{fold, heading};
use crate::ceremony::capitalised;
use crate::error::Result;
use crate::escrow::slip39::NotAShare;
use crate::escrow::slip39::words::Words;
use crate::locked::Locked;

/// Columns that a numbered word takes on a share's screen, with the space after it.
const CELL: usize = 17;

/// The same in an excerpt, where one word is marked.
const MARKED_CELL: usize = 18;

/// Columns before the first cell.
const MARGIN: usize = 3;

/// How many rows an excerpt shows, and how many of them come before the one that it is about.
const EXCERPT: usize = 4;
const BEFORE: usize = 2;

/// The widest name in a question, in columns: what is typed after it still fits the line.
const SHORT: usize = 40;

/// Text that is put together in locked memory, where words of a share go into it.
struct Text {
    buffer: Locked,
    len: usize,
}

impl Text {
    fn with_room_for(len: usize) -> Result<Self> {
        let buffer = Locked::zeroed(len)?;
        Ok(Self { buffer, len: 0 })
    }

    /// What does not fit is left out; the callers count before.
    fn push(&mut self, text: &str) {
        for (place, byte) in self.buffer[self.len..].iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        self.len = (self.len + text.len()).min(self.buffer.len());
    }

    /// A number and its word, from this column on.
    fn push_cell(&mut self, column: usize, mark: &str, row: usize, share: &Words) {
        let line = self.buffer[..self.len]
            .iter()
            .rposition(|byte| *byte == b'\n');
        let at = self.len - line.map_or(0, |line| line + 1);
        self.push(&" ".repeat(column.saturating_sub(at)));
        self.push(&format!("{mark}{row:>2} "));
        self.push(share.word(row - 1));
    }

    fn done(self) -> Result<Locked> {
        self.buffer.truncated(self.len)
    }
}

/// The words of one share, in locked memory: in three columns, fewer in a narrow window.
///
/// # Errors
/// Exit 5 where no locked memory can be had.
pub fn share(
    rehearsal: bool,
    number: u8,
    count: usize,
    custodian: &str,
    share: &Words,
    window: usize,
) -> Result<Locked> {
    let place = place_of_share(number, count, custodian);
    let only =
        format!("ONLY {custodian} LOOKS. Everyone else: turn away. No camera on this screen.");
    let head = heading(rehearsal, &place) + &fold(&only, " ");
    let tail = format!(
        "\n Write all 33 in BLOCK LETTERS on form {number}. Words 1 to 3 are the same on every\n \
         form; word 4 is what makes this one yours. Take your time: about 5 minutes.\n\n \
         Next the words disappear and you type them back from the paper; the first four\n \
         letters of a word are enough. You can come back here as often as you like.\n"
    );
    let columns = ((window.saturating_sub(4)) / CELL).clamp(1, 3);
    let rows = share.len().div_ceil(columns);
    let grid = rows * (columns * CELL + 4);
    let mut text = Text::with_room_for(head.len() + 1 + grid + tail.len())?;
    text.push(&head);
    text.push("\n");
    for row in 1..=rows {
        for (column, row) in (row..=share.len()).step_by(rows).enumerate() {
            text.push_cell(MARGIN + column * CELL, "", row, share);
        }
        text.push("\n");
    }
    text.push(&tail);
    text.done()
}

/// The place in the heading of everything that one custodian sees while shares are handed out.
pub fn place_of_share(number: u8, count: usize, custodian: &str) -> String {
    let place = format!("step 9 of 13: escrow share {number} of {count}");
    place_of(&place, custodian)
}

/// The place in a heading, with the custodian where there is room; else the name stands below.
pub fn place_of(place: &str, custodian: &str) -> String {
    let with_name = format!("{place}, {custodian}");
    match with_name.width() {
        0..=50 => with_name,
        _ => place.to_owned(),
    }
}

/// A question to a person, with a name that leaves room for the answer.
pub fn asked_of(custodian: &str, question: &str) -> String {
    format!(" {}, {question}", short(custodian))
}

/// A name as it stands in questions: cut, visibly, where it is long.
pub fn short(name: &str) -> String {
    if name.width() <= SHORT {
        return name.to_owned();
    }
    let mut width = 1;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= SHORT
    };
    name.chars().take_while(fits).collect::<String>() + "…"
}

/// What is said where all words are known and yet make no share: the row that one changed word would
/// explain, between its neighbours; or which rows it may be. The right word is never told.
///
/// # Errors
/// Exit 5 where no locked memory can be had.
pub fn mistyped(share: &Words, why: &NotAShare, window: usize) -> Result<Locked> {
    let said = " All 33 words are in the list, but together they do not make a share.\n";
    let Some(row) = one_row(why) else {
        let why = fold(&format!("{}.", capitalised(&suspects(why))), " ");
        let mut text = Text::with_room_for(said.len() + why.len())?;
        text.push(said);
        text.push(&why);
        return text.done();
    };
    let columns = ((window.saturating_sub(4)) / MARKED_CELL).clamp(1, EXCERPT);
    let said = format!("{said} Exactly one changed word would explain it:\n\n");
    let mut text = Text::with_room_for(said.len() + EXCERPT * (MARKED_CELL + 4))?;
    text.push(&said);
    for line in excerpt(row, share.len()).chunks(columns) {
        for (column, shown) in line.iter().enumerate() {
            let mark = if *shown == row { "> " } else { "  " };
            text.push_cell(MARGIN + column * MARKED_CELL, mark, *shown, share);
        }
        text.push("\n");
    }
    text.done()
}

/// The row and its neighbours, as many at either end of a share as in its middle.
fn excerpt(row: usize, rows: usize) -> Vec<usize> {
    let last_start = (rows + 1).saturating_sub(EXCERPT).max(1);
    let start = row.saturating_sub(BEFORE).clamp(1, last_start);
    (start..=rows.min(start + EXCERPT - 1)).collect()
}

/// The row, where the checksum says that one changed word in this row alone would explain it.
pub fn one_row(why: &NotAShare) -> Option<usize> {
    match why {
        NotAShare::Checksum { changed, exchanged } if exchanged.is_empty() => match changed[..] {
            [row] => Some(row),
            _ => None,
        },
        _ => None,
    }
}

/// Why words are no share, for people; the right word is never guessed for them.
pub fn suspects(why: &NotAShare) -> String {
    match why {
        NotAShare::Checksum { changed, exchanged } => suspected_rows(changed, exchanged),
        NotAShare::Length => "the number of words is that of no share".into(),
        NotAShare::Padding | NotAShare::Groups => {
            "the words are of no share that byok deals".into()
        }
        NotAShare::Group => "it names a group that its own set does not have".into(),
        NotAShare::Exponent(exponent) => format!(
            "its iteration exponent is {exponent}, and byok deals shares of exponent 0 only"
        ),
        NotAShare::Foreign => "it is a share of the same kind, but none that byok deals".into(),
        NotAShare::Memory => "there is no locked memory for it".into(),
    }
}

fn suspected_rows(changed: &[usize], exchanged: &[usize]) -> String {
    let changed: Vec<String> = changed.iter().map(usize::to_string).collect();
    let changed = changed.join(" or ");
    match (changed.as_str(), exchanged.first()) {
        ("", None) => "more than one word is wrong: compare every row with the form".into(),
        (rows, None) => format!(
            "exactly one wrong word would explain it, in row {rows}: compare letter by letter"
        ),
        ("", Some(row)) => format!("rows {row} and {} exchanged would explain it", row + 1),
        (rows, Some(row)) => format!(
            "rows {row} and {} exchanged would explain it, or one wrong word in row {rows}",
            row + 1
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let mut words = Words::blank(33).unwrap();
        (0..33).for_each(|at| words.set(at, (at as u16) * 31));
        words
    }

    fn shown(screen: &Locked) -> String {
        String::from_utf8(screen.to_vec()).unwrap()
    }

    fn one(row: usize) -> NotAShare {
        NotAShare::Checksum {
            changed: vec![row],
            exchanged: vec![],
        }
    }

    #[test]
    fn a_row_stands_between_its_neighbours_at_either_end_too() {
        assert_eq!(excerpt(18, 33), [16, 17, 18, 19]);
        assert_eq!(excerpt(1, 33), [1, 2, 3, 4]);
        assert_eq!(excerpt(2, 33), [1, 2, 3, 4]);
        assert_eq!(excerpt(33, 33), [30, 31, 32, 33]);
        for row in 1..=33 {
            let text = shown(&mistyped(&words(), &one(row), 80).unwrap());
            let word = words().word(row - 1);
            assert!(text.contains(&format!("> {row:>2} {word}")), "{text}");
            assert_eq!(text.matches('>').count(), 1, "{text}");
            assert_eq!(text.lines().count(), 4, "{text}");
        }
    }

    #[test]
    fn no_screen_with_words_is_wider_than_its_window() {
        for (window, lines) in [(0, 33), (20, 33), (40, 17), (57, 11), (80, 11), (200, 11)] {
            let screen = shown(&share(false, 1, 3, "Audit", &words(), window).unwrap());
            let grid: Vec<&str> = screen
                .lines()
                .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
                .collect();
            assert_eq!(grid.len(), lines, "{screen}");
            let widest = grid.iter().map(|line| line.trim_end().len()).max();
            assert!(widest.unwrap() <= window.max(20), "{screen}");
            for at in 0..33 {
                let cell = format!(" {:>2} {}", at + 1, words().word(at));
                assert!(screen.contains(&cell), "{cell} {screen}");
            }
            let text = shown(&mistyped(&words(), &one(18), window).unwrap());
            let excerpt = text.lines().skip(3).map(|line| line.trim_end().len());
            assert!(excerpt.max().unwrap() <= window.max(21), "{text}");
        }
    }

    #[test]
    fn where_it_may_be_several_rows_no_word_is_shown() {
        let why = NotAShare::Checksum {
            changed: vec![3],
            exchanged: vec![9],
        };
        assert_eq!(one_row(&why), None);
        let text = shown(&mistyped(&words(), &why, 80).unwrap());
        let said = "\n Rows 9 and 10 exchanged would explain it, or one wrong word in row 3.\n";
        assert!(text.ends_with(said), "{text}");
    }

    #[test]
    fn a_long_name_is_cut_where_it_is_seen() {
        assert_eq!(short("Audit"), "Audit");
        for name in ["監査".repeat(20), "x".repeat(41), "e\u{301}".repeat(60)] {
            let cut = short(&name);
            assert!(cut.width() <= SHORT && cut.ends_with('…'), "{cut}");
        }
    }
}
