//! Screens that show words of a share, or say which of them to look at.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{fold, heading};
use crate::crypto::escrow::SHARE_WORDS;
use crate::crypto::escrow::policy::{Place, Policy};
use crate::crypto::escrow::slip39::NotAShare;
use crate::crypto::escrow::slip39::words::Words;
use crate::crypto::locked::Locked;
use crate::ground::error::Result;
use crate::ground::paint;
use crate::ground::window::Window;
use crate::ground::words::capitalised;
use crate::plan::{Deliver, Plan};

/// Columns that a numbered word takes on a share's screen, with the space after it.
const CELL: usize = 17;

/// The same in an excerpt, which marks one word.
const MARKED_CELL: usize = 18;

/// Columns before the first cell.
const MARGIN: usize = 3;

/// How many rows an excerpt shows, and how many of them come before the one that it is about.
const EXCERPT: usize = 4;
const BEFORE: usize = 2;

/// The widest name in a question, in columns: what is typed after it still fits the line.
const SHORT: usize = 40;

/// Text that is put together in locked memory, because words of a share go into it.
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

/// A screen with all words of one share, laid out for a window: in three columns, fewer in a narrow one.
pub(crate) struct Page {
    head: String,
    tail: String,
    grid: Grid,
    window: Window,
}

impl Page {
    /// A share as it is handed out.
    pub(crate) fn handed_out(
        rehearsal: bool,
        policy: &Policy,
        share: &Place,
        window: Window,
    ) -> Self {
        let Place {
            number, custodian, ..
        } = share;
        let place = place_of_share(policy, share);
        let only =
            format!("ONLY {custodian} LOOKS. Everyone else: turn away. No camera on this screen.");
        let head = paint::without(&heading(rehearsal, &place)) + &fold(&only, " ") + "\n";
        let minutes = crate::paper::script::minutes::WRITING;
        let (same, own) = match policy.is_grouped() {
            false => ("1 to 3", "word 4 is what makes"),
            true => ("1 and 2", "words 3 and 4 make"),
        };
        let tail = format!(
            "\n Write all 33 in BLOCK LETTERS on form {number}. Words {same} are the same on every\n \
             form; {own} this one yours. Take your time: about {minutes} minutes.\n\n \
             Next the words disappear and you type them back from the paper; the first four\n \
             letters of a word are enough. You can come back here as often as you like.\n"
        );
        Self {
            head: window.narrowed(&head),
            tail: window.narrowed(&tail),
            grid: Grid::of(SHARE_WORDS, window),
            window,
        }
    }

    /// How many rows it takes, with the line of the question below it.
    pub(crate) fn rows(&self) -> usize {
        self.head.lines().count() + self.grid.rows + self.tail.lines().count() + 1
    }

    /// Whether the window shows every word at once.
    pub(crate) fn fits(&self) -> bool {
        self.rows() <= self.window.rows && self.grid.fits(self.window)
    }

    /// The whole of it, in locked memory.
    ///
    /// # Errors
    /// Exit 5 if no locked memory can be had.
    pub(crate) fn text(&self, share: &Words) -> Result<Locked> {
        let mut text = Text::with_room_for(self.head.len() + self.grid.room() + self.tail.len())?;
        text.push(&self.head);
        self.grid.write(&mut text, share, &[]);
        text.push(&self.tail);
        text.done()
    }
}

/// The screens of all shares that this plan shows.
pub(crate) fn share_pages(plan: &Plan, window: Window) -> impl Iterator<Item = Page> + '_ {
    let shown = plan.escrow.as_ref();
    let shown = shown.filter(|escrow| escrow.deliver == Deliver::Screen);
    shown.into_iter().flat_map(move |escrow| {
        let policy = &escrow.policy;
        let page = move |place| Page::handed_out(false, policy, &place, window);
        policy.places().map(page)
    })
}

/// What is said if this window does not hold every share that the plan shows: the size that does.
pub(crate) fn shares_need(plan: &Plan, window: Window) -> Option<String> {
    let mut pages = share_pages(plan, window);
    if pages.all(|page| page.fits()) {
        return None;
    }
    let rows = share_pages(plan, Window::USUAL).map(|page| page.rows());
    let needed = Window {
        rows: rows.max().unwrap_or(Window::USUAL.rows),
        ..Window::USUAL
    };
    Some(format!(
        "this window has {window}; the shares of this plan need {needed}"
    ))
}

/// Numbered words in columns.
struct Grid {
    words: usize,
    columns: usize,
    rows: usize,
}

impl Grid {
    fn of(words: usize, window: Window) -> Self {
        let columns = (window.columns.saturating_sub(MARGIN + 1) / CELL).clamp(1, 3);
        let rows = words.div_ceil(columns);
        Self {
            words,
            columns,
            rows,
        }
    }

    fn fits(&self, window: Window) -> bool {
        MARGIN + self.columns * CELL <= window.columns
    }

    /// How many bytes it takes at most.
    fn room(&self) -> usize {
        self.rows * (self.columns * CELL + MARGIN + 1)
    }

    /// The words, those of some rows marked.
    fn write(&self, text: &mut Text, share: &Words, marked: &[usize]) {
        for first in 1..=self.rows {
            for (column, row) in (first..=self.words).step_by(self.rows).enumerate() {
                let mark = match marked.contains(&row) {
                    true => ">",
                    false => " ",
                };
                text.push_cell(MARGIN - 1 + column * CELL, mark, row, share);
            }
            text.push("\n");
        }
    }
}

/// The place in the heading of everything that one custodian sees while shares are handed out.
pub(crate) fn place_of_share(policy: &Policy, share: &Place) -> String {
    let (number, count) = (share.number, policy.count());
    let place = format!("step 9 of 13: escrow share {number} of {count}");
    place_of(&place, share.custodian)
}

/// The place in a heading, with the custodian if there is room; otherwise the name is below.
pub(crate) fn place_of(place: &str, custodian: &str) -> String {
    let with_name = format!("{place}, {custodian}");
    match with_name.width() {
        0..=50 => with_name,
        _ => place.to_owned(),
    }
}

/// A question to a person, with a name that leaves room for the answer.
pub(crate) fn asked_of(custodian: &str, question: &str) -> String {
    format!(" {}, {question}", short(custodian))
}

/// The question for one word: its row on the form, of how many.
pub(crate) fn row_asked(row: usize) -> String {
    format!("row {row:>2} of {SHARE_WORDS}: ")
}

/// A name as questions show it: cut, visibly, if it is long.
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

/// What is said if all words are in the list and yet make no share: if one changed word would explain it, its row
/// between its neighbours; otherwise all words as they were typed, with a mark at those that may be wrong. The right
/// word is never told. `below`: how many lines follow; if there is no room for all words, none is shown.
///
/// # Errors
/// Exit 5 if no locked memory can be had.
pub(crate) fn mistyped(
    share: &Words,
    why: &NotAShare,
    window: Window,
    below: usize,
) -> Result<Locked> {
    let said = " All 33 words are in the list, but together they do not make a share.\n";
    let Some(row) = one_row(why) else {
        let why_not = fold(&format!("{}.", capitalised(&why.told())), " ");
        return all_typed(share, why, &format!("{said}{why_not}"), (window, below));
    };
    let columns = ((window.columns.saturating_sub(4)) / MARKED_CELL).clamp(1, EXCERPT);
    let said = window.narrowed(&format!(
        "{said} Exactly one changed word would explain it:\n\n"
    ));
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

/// All words that were typed, to be compared with the form.
fn all_typed(
    share: &Words,
    why: &NotAShare,
    said: &str,
    (window, below): (Window, usize),
) -> Result<Locked> {
    let grid = Grid::of(share.len(), window);
    let said = window.narrowed(said);
    let fits = said.lines().count() + grid.rows + below <= window.rows && grid.fits(window);
    if !fits {
        let small = format!("{said} (not shown: this window has only {window})\n");
        let small = window.narrowed(&small);
        let mut text = Text::with_room_for(small.len())?;
        text.push(&small);
        return text.done();
    }
    let mut text = Text::with_room_for(said.len() + grid.room())?;
    text.push(&said);
    grid.write(&mut text, share, &suspected(why));
    text.done()
}

/// The rows that may be wrong, as far as the checksum says.
fn suspected(why: &NotAShare) -> Vec<usize> {
    match why {
        NotAShare::Checksum { changed, exchanged } => {
            let pairs = exchanged.iter().flat_map(|row| [*row, *row + 1]);
            changed.iter().copied().chain(pairs).collect()
        }
        _ => Vec::new(),
    }
}

/// The row and its neighbours, as many at either end of a share as in its middle.
fn excerpt(row: usize, rows: usize) -> Vec<usize> {
    let last_start = (rows + 1).saturating_sub(EXCERPT).max(1);
    let start = row.saturating_sub(BEFORE).clamp(1, last_start);
    (start..=rows.min(start + EXCERPT - 1)).collect()
}

/// The row, if the checksum says that one changed word in this row alone would explain it.
pub(crate) fn one_row(why: &NotAShare) -> Option<usize> {
    match why {
        NotAShare::Checksum { changed, exchanged } if exchanged.is_empty() => match changed[..] {
            [row] => Some(row),
            _ => None,
        },
        _ => None,
    }
}

/// Where typing goes on after something else came between.
pub(crate) fn goes_on_at(row: usize) -> String {
    format!(" Typing goes on at row {row}.\n")
}

/// What is said of a line with more than one word on it; `None`: it has at most one.
pub(crate) fn several_words(typed: &[u8], row: usize) -> Option<String> {
    let words = typed.split(u8::is_ascii_whitespace);
    let several = words.filter(|word| !word.is_empty()).count() > 1;
    several.then(|| {
        format!(
            " One word a line: nothing of that line was taken. Type the word of row {row} alone,\n \
             without its number, then Enter.\n"
        )
    })
}

/// What is said to a name with an escape sequence or the like in it.
pub(crate) const UNPRINTABLE: &str =
    " That holds a character that cannot be shown; an arrow key types some. Type it\n again.\n";

/// Which rows of a share are typed again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// This one.
    Row(usize),
    /// This one and all after it: a row was left out, or typed twice.
    From(usize),
}

/// `12`, or `again 12`.
///
/// # Errors
/// What is said to anything else.
pub(crate) fn rows_again(answer: &str) -> Result<Again, String> {
    let words: Vec<&str> = answer.split_whitespace().collect();
    let row = |word: &str| {
        word.parse()
            .ok()
            .filter(|row| (1..=SHARE_WORDS).contains(row))
    };
    let (again, number) = match words[..] {
        [again, number] if again.eq_ignore_ascii_case("again") => (true, row(number)),
        [number] => (false, row(number)),
        [number, ..] if row(number).is_some() => {
            return Err(" Type the number alone; the word is asked for next.\n".into());
        }
        _ => (false, None),
    };
    match number {
        Some(row) if again => Ok(Again::From(row)),
        Some(row) => Ok(Again::Row(row)),
        None => Err(format!(" The rows are 1 to {SHARE_WORDS}.\n")),
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

    fn window(rows: usize, columns: usize) -> Window {
        Window { rows, columns }
    }

    fn page(window: Window) -> Page {
        let policy = Policy::any(2, ["Audit", "B", "C"].map(str::to_owned).into()).unwrap();
        let first = policy.places().next().unwrap();
        Page::handed_out(false, &policy, &first, window)
    }

    #[test]
    fn a_row_stands_between_its_neighbours_at_either_end_too() {
        assert_eq!(excerpt(18, 33), [16, 17, 18, 19]);
        assert_eq!(excerpt(1, 33), [1, 2, 3, 4]);
        assert_eq!(excerpt(2, 33), [1, 2, 3, 4]);
        assert_eq!(excerpt(33, 33), [30, 31, 32, 33]);
        for row in 1..=33 {
            let text = shown(&mistyped(&words(), &one(row), Window::USUAL, 8).unwrap());
            let word = words().word(row - 1);
            assert!(text.contains(&format!("> {row:>2} {word}")), "{text}");
            assert_eq!(text.matches('>').count(), 1, "{text}");
            assert_eq!(text.lines().count(), 4, "{text}");
        }
    }

    /// The lines of a grid.
    fn grid(screen: &str) -> Vec<&str> {
        let number = |line: &str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
        let is_row = |line: &&str| line.starts_with("   ") && number(line);
        screen.lines().filter(is_row).collect()
    }

    #[test]
    fn no_screen_with_words_is_wider_than_its_window() {
        for (columns, lines) in [(0, 33), (20, 33), (40, 17), (57, 11), (80, 11), (200, 11)] {
            let window = window(24, columns);
            let screen = shown(&page(window).text(&words()).unwrap());
            assert_eq!(grid(&screen).len(), lines, "{screen}");
            let widest = screen.lines().map(|line| line.trim_end().width()).max();
            assert!(widest.unwrap() <= columns.max(20), "{screen}");
            for at in 0..33 {
                let cell = format!(" {:>2} {}", at + 1, words().word(at));
                assert!(screen.contains(&cell), "{cell} {screen}");
            }
            assert_eq!(screen.lines().count() + 1, page(window).rows());
            let text = shown(&mistyped(&words(), &one(18), window, 8).unwrap());
            let widest = text.lines().map(|line| line.trim_end().width()).max();
            assert!(widest.unwrap() <= columns.max(21), "{text}");
        }
    }

    #[test]
    fn a_share_is_shown_where_all_of_it_is_seen_at_once_and_nowhere_else() {
        assert!(page(Window::USUAL).fits() && page(window(50, 200)).fits());
        for small in [
            window(20, 80),
            window(24, 40),
            window(8, 80),
            window(60, 15),
            window(1, 1),
        ] {
            let page = page(small);
            assert!(!page.fits(), "{small}");
        }
        assert!(page(window(36, 40)).fits());
    }

    #[test]
    fn what_more_than_one_wrong_word_explains_is_shown_as_it_was_typed() {
        let why = |changed: &[usize], exchanged: &[usize]| NotAShare::Checksum {
            changed: changed.to_vec(),
            exchanged: exchanged.to_vec(),
        };
        for (why, said, marked) in [
            (why(&[], &[]), "More than one word is wrong", &[][..]),
            (why(&[3], &[9]), "Rows 9 and 10 exchanged", &[3, 9, 10]),
            (why(&[3, 20], &[]), "in row 3 or 20", &[3, 20]),
        ] {
            assert_eq!(one_row(&why), None);
            let text = shown(&mistyped(&words(), &why, Window::USUAL, 9).unwrap());
            assert!(text.contains(said), "{text}");
            for row in 1..=33 {
                let mark = if marked.contains(&row) { '>' } else { ' ' };
                let cell = format!("{mark}{row:>2} {}", words().word(row - 1));
                assert!(text.contains(&cell), "{cell}: {text}");
            }
            let low = shown(&mistyped(&words(), &why, window(16, 80), 9).unwrap());
            assert!(
                grid(&low).is_empty() && low.contains("16 rows of 80"),
                "{low}"
            );
            assert!(low.lines().count() + 9 <= 16, "{low}");
        }
    }

    #[test]
    fn several_words_on_a_line_are_told_from_one() {
        for several in ["prayer industry", "1 prayer", &"prayer ".repeat(33)] {
            let told = several_words(several.as_bytes(), 7).unwrap();
            assert!(told.contains("One word a line") && told.contains("row 7"));
        }
        for one in ["", "  ", " prayer ", "prayerindustry"] {
            assert_eq!(several_words(one.as_bytes(), 1), None);
        }
    }

    #[test]
    fn a_row_is_named_by_its_number_and_all_from_one_on_by_again() {
        assert_eq!(rows_again("12"), Ok(Again::Row(12)));
        assert_eq!(rows_again(" Again  12 "), Ok(Again::From(12)));
        for (typed, said) in [
            ("12 shelter", "Type the number alone"),
            ("0", "The rows are 1 to 33."),
            ("again 34", "The rows are 1 to 33."),
            ("again", "The rows are 1 to 33."),
            ("shelter", "The rows are 1 to 33."),
            ("", "The rows are 1 to 33."),
        ] {
            let told = rows_again(typed).unwrap_err();
            assert!(told.contains(said), "{typed}: {told}");
        }
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
