//! The window at which people look, and text cut to fit it.

use unicode_width::UnicodeWidthStr as _;

use crate::ground::paint;
use crate::ground::text::{WIDTH, fold_to, folded_line, heading, unfolded};

/// A window's rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// How many lines it shows.
    pub rows: usize,
    /// How wide they are.
    pub columns: usize,
}

impl Window {
    /// The size that every terminal has, and for which every screen is made.
    pub(crate) const USUAL: Self = Self {
        rows: 24,
        columns: 80,
    };

    /// The terminal's size; a terminal that does not report one counts as usual.
    pub(crate) fn of(terminal: &impl std::os::fd::AsFd) -> Self {
        let size = rustix::termios::tcgetwinsize(terminal);
        let or = |told: u16, usual| if told == 0 { usual } else { told.into() };
        size.map_or(Self::USUAL, |size| Self {
            rows: or(size.ws_row, Self::USUAL.rows),
            columns: or(size.ws_col, Self::USUAL.columns),
        })
    }

    /// Screens are never laid out narrower than this.
    const NARROWEST: usize = 20;

    /// A page has at least this many lines.
    const LOWEST: usize = 8;

    /// The widest line: the last column stays free, and no line is wider than in a usual window.
    pub(super) fn width(self) -> usize {
        (self.columns.saturating_sub(1)).clamp(Self::NARROWEST, WIDTH)
    }

    /// The warning about a window that is smaller than usual.
    pub(crate) fn too_small(self) -> Option<String> {
        let Self { rows, columns } = Self::USUAL;
        (self.rows < rows || self.columns < columns).then(|| {
            format!(
                "this window has {self}; the screens of a ceremony are made for {}",
                Self::USUAL
            )
        })
    }

    /// Whether the window shows the whole text at once.
    pub(crate) fn holds(self, text: &str) -> bool {
        self.height(&self.narrowed(text)) <= self.rows
    }

    /// The text with every line folded that is too wide for this window.
    pub(crate) fn narrowed(self, text: &str) -> String {
        let width = self.width();
        if width == WIDTH {
            return text.to_owned(); // a longer line is a command, and commands are never folded
        }
        unfolded(&paint::without(text))
            .split_inclusive('\n')
            .map(|line| {
                let (bare, end) = match line.strip_suffix('\n') {
                    Some(bare) => (bare, "\n"),
                    None => (line, ""),
                };
                if bare.width() <= width {
                    return line.to_owned();
                }
                let ends_in_space = if bare.ends_with(' ') { " " } else { "" };
                let folded = folded_line(bare, width);
                format!("{}{ends_in_space}{end}", folded.trim_end())
            })
            .collect()
    }

    /// An error's lines for a screen: each folded below its first word after `byok: hint: `.
    pub(crate) fn hanging(self, text: &str) -> String {
        text.lines()
            .map(|line| paint::laid_out(line, |line| self.hanging_line(line)))
            .collect()
    }

    fn hanging_line(self, line: &str) -> String {
        let mark = line.match_indices(": ").nth(1).map_or(0, |(at, _)| at + 2);
        let (mark, rest) = line.split_at(mark);
        let folded = fold_to(self.width(), rest, &" ".repeat(mark.len()));
        format!("{mark}{}", folded.trim_start())
    }

    /// Lines for a terminal. A line that is too long is folded below the beginning of its text, which is after its
    /// first word or two and at least two spaces, or after `- `.
    pub(crate) fn lines(self, text: &str) -> String {
        let width = self.width();
        let fits = |line: &str| line.width() <= width;
        let text = match width {
            WIDTH => text.to_owned(),
            _ => unfolded(&paint::without(text)),
        };
        text.lines()
            .map(|line| match fits(line) {
                true => format!("{line}\n"),
                false => paint::laid_out(line, |line| folded_line(line, width)),
            })
            .collect()
    }

    /// The text in pages that this window shows in full, each below the top and with room for this many lines below it.
    /// `more`: how many further pages follow. A text that is one page by itself has a top only if that says so.
    pub(crate) fn pages(self, text: &str, top: &Top, more: usize, below: usize) -> Vec<String> {
        let text = self.narrowed(text);
        let alone = self.narrowed(&top.alone());
        let room = self.rows.max(Self::LOWEST).saturating_sub(below).max(1);
        if more == 0 && self.height(&alone) + self.height(&text) <= room {
            return vec![alone + &text];
        }
        let above = self.height(&self.narrowed(&top.page(9, 9)));
        if above * 2 > room {
            // a top on each page would leave no room for the text: it comes once
            return self.cut(&(self.narrowed(&top.whole()) + &text), room);
        }
        let mut pages = self.cut(&text, room - above);
        let all = pages.len() + more;
        for (at, page) in (1..).zip(&mut pages) {
            page.insert_str(0, &self.narrowed(&top.page(at, all)));
        }
        pages
    }

    /// The text in parts of at most this many rows, unless a line alone has more.
    fn cut(self, text: &str, room: usize) -> Vec<String> {
        let mut parts = vec![String::new()];
        let mut taken = 0;
        for line in whole_lines(text) {
            let more = self.height(&line);
            match parts.last_mut() {
                Some(part) if taken == 0 || taken + more <= room => part.push_str(&line),
                _ => {
                    parts.push(line);
                    taken = 0;
                }
            }
            taken += more;
        }
        parts
    }

    /// The same, with room for the [question](next_page) below each page.
    pub(crate) fn pages_to_turn(self, text: &str, top: &Top, more: usize) -> Vec<String> {
        let question = self.narrowed(&next_page(9, 9, "the digest"));
        self.pages(text, top, more, self.height(&question))
    }

    /// How many rows the text takes: a command that is too long continues in the next row.
    pub(crate) fn height(self, text: &str) -> usize {
        let columns = self.columns.max(Self::NARROWEST);
        let rows = |line: &str| line.width().div_ceil(columns).max(1);
        text.lines().map(rows).sum()
    }
}

/// The lines, each with those in which its command goes on.
fn whole_lines(text: &str) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match whole.last_mut() {
            Some(before) if before.ends_with("\\\n") => before.push_str(line),
            _ => whole.push(line.to_owned()),
        }
    }
    whole
}

/// What stands above each page of a text, so that each says by itself what it belongs to.
pub(crate) struct Top<'a> {
    /// Whether everything is for practice.
    pub rehearsal: bool,
    /// The place in the ceremony, as in every heading.
    pub place: &'a str,
    /// The line below the heading: the kind of the ceremony, and its title.
    pub title: &'a str,
    /// Whether a text of one page has it too.
    pub always: bool,
}

impl Top<'_> {
    /// Above a page of several.
    pub(crate) fn page(&self, at: usize, all: usize) -> String {
        let place = format!("{}, page {at} of {all}", self.place);
        heading(self.rehearsal, &place) + self.title
    }

    /// Without a number.
    fn whole(&self) -> String {
        heading(self.rehearsal, self.place) + self.title
    }

    /// Above the only page: room is scarce there.
    pub(crate) fn alone(&self) -> String {
        match self.always {
            true => heading(self.rehearsal, self.place),
            false => String::new(),
        }
    }
}

/// The question between two pages.
pub(crate) fn next_page(at: usize, all: usize, next: &str) -> String {
    format!(" Page {at} of {all}. Press Enter for {next}: ")
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {} columns", self.rows, self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::text::fold;

    fn window(rows: usize, columns: usize) -> Window {
        Window { rows, columns }
    }

    #[test]
    fn a_path_that_was_broken_is_whole_in_a_narrow_window_too() {
        let folders = ["ceremonies-of-2026".repeat(3), "payments".repeat(5)].join("/");
        let said = format!("the record is in /srv/{folders}/plan.toml already");
        let narrow = window(24, 60).narrowed(&fold(&said, "  "));
        assert_eq!(
            narrow.split_whitespace().collect::<String>(),
            said.replace(' ', "")
        );
    }

    #[test]
    fn no_command_is_cut_between_two_pages() {
        let text = "one\ntwo\nbyok verify \\\n  a record\nfour\n";
        for room in 1..6 {
            let pages = window(24, 80).cut(text, room);
            assert_eq!(pages.concat(), text);
            let cut = pages.iter().any(|page| page.ends_with("\\\n"));
            assert!(!cut, "{room}: {pages:?}");
        }
    }

    #[test]
    fn a_narrow_window_folds_every_line_and_loses_no_word() {
        let text = format!(
            " make      {}\nshort\n {} Name: ",
            "payments-2026 ".repeat(9).trim_end(),
            "question ".repeat(9)
        );
        for columns in [20, 30, 40, 79] {
            let shown = window(24, columns).narrowed(&text);
            let widest = shown.lines().map(|line| line.trim_end().width()).max();
            assert!(widest.unwrap() < columns.max(21), "{columns}: {shown}");
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(bare(&shown), bare(&text));
            assert!(shown.ends_with(" Name: "), "{shown:?}");
        }
        assert_eq!(window(24, 80).narrowed(&text), text);
        assert_eq!(window(24, 300).narrowed(&text), text);
    }

    #[test]
    fn a_text_that_was_folded_for_a_usual_window_is_folded_once_for_a_narrow_one() {
        let said = "word and more words, ".repeat(20);
        let usual = fold(said.trim_end(), " ");
        let field = fold(said.trim_end(), "           ");
        let field = format!(" make      {}", field.trim_start());
        for columns in [40, 60, 72] {
            let narrow = window(24, columns);
            for text in [&usual, &field] {
                let shown = narrow.narrowed(text);
                let lines: Vec<&str> = shown.lines().collect();
                let (last, full) = lines.split_last().unwrap();
                assert!(!last.is_empty());
                for line in full {
                    // a line ends where its next word has no room: "words," is the longest
                    assert!(line.width() + 7 >= narrow.width(), "{columns}:\n{shown}");
                }
            }
        }
        // lines that are lines stay such
        let rows = " 1 two sticks\n 2 cloud operator\n";
        assert_eq!(window(24, 40).narrowed(rows), rows);
    }

    #[test]
    fn pages_leave_room_for_the_question_below_them() {
        let top = Top {
            rehearsal: true,
            place: "step 2 of 13: roll call",
            title: " reimport  Payments\n",
            always: false,
        };
        let text: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let low = window(1, 20).pages(&text, &top, 2, 6);
        let once = window(1, 20).narrowed(&top.whole());
        assert_eq!(low.concat(), once + &text);
        for (rows, below) in [(24, 1), (24, 2), (8, 1), (1, 1)] {
            let pages = window(rows, 80).pages(&text, &top, 2, below);
            let longest = pages.iter().map(|page| page.lines().count()).max();
            assert!(longest.unwrap() + below <= rows.max(Window::LOWEST));
            let tops = (1..=pages.len()).map(|at| top.page(at, pages.len() + 2));
            let bare = pages.iter().zip(tops).map(|(page, top)| {
                let bare = page.strip_prefix(&top);
                bare.unwrap_or_else(|| panic!("no top on {page:?}"))
            });
            assert_eq!(bare.collect::<String>(), text);
        }
        assert_eq!(window(31, 80).pages(&text, &top, 0, 1).len(), 1);
        // a command of three rows
        let command = format!("{}\n", "x".repeat(200));
        assert_eq!(Window::USUAL.height(&command), 3);
        assert!(
            !Window::USUAL.holds(&command.repeat(9)) && Window::USUAL.holds(&command.repeat(8))
        );
        assert_eq!(Window::USUAL.pages(&command.repeat(9), &top, 0, 1).len(), 2);
    }

    #[test]
    fn a_window_is_too_small_by_rows_or_by_columns() {
        assert_eq!(Window::USUAL.too_small(), None);
        assert_eq!(window(60, 200).too_small(), None);
        for small in [window(23, 80), window(24, 79)] {
            let told = small.too_small().unwrap();
            assert!(told.contains(&small.to_string()) && told.contains("24 rows of 80"));
        }
    }

    #[test]
    fn an_error_hangs_below_its_first_word() {
        let text = format!(
            "byok: hint: {}\nbyok: state: short\n",
            "word ".repeat(20).trim_end()
        );
        let shown = Window::USUAL.hanging(&text);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("byok: hint: word") && lines[0].width() <= WIDTH);
        assert!(lines[1].starts_with("            word"));
        assert_eq!(lines[2], "byok: state: short");
    }

    #[test]
    fn a_line_for_a_terminal_is_folded_below_where_its_text_begins() {
        let long = "word ".repeat(20);
        for (first, begins) in [("not yet  ", 9), ("         - ", 11), ("", 0), ("  ", 2)] {
            let text = format!("{first}{}\nshort   line\n", long.trim_end());
            let shown = Window::USUAL.lines(&text);
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines.iter().all(|line| line.width() <= WIDTH), "{shown}");
            assert!(lines[0].starts_with(&format!("{first}word")), "{shown}");
            assert_eq!(lines[1].find('w'), Some(begins), "{shown}");
            assert_eq!(lines[2], "short   line");
        }
    }
}
