//! A person at a terminal.
//!
//! The kernel's line editing stays on, so that Backspace and Ctrl-U work as everywhere. Two things
//! are changed while a ceremony runs: Ctrl-C ends the line instead of the process (it becomes a line
//! end of its own, which [`Terminal::typed`] sees), and echo is off while a secret is typed.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroize as _;

use super::prompt::{Occasion, Own, Prompt, belongs_elsewhere};
use super::waiting::{Ender, Watch};
use super::{Interrupted, Operator};
use crate::crypto::escrow::slip39::words::looks_like_share;
use crate::crypto::locked::Locked;
use crate::ground::environment;
use crate::ground::error::{Error, Result, Step};
use crate::ground::paint;
use crate::ground::window::{Top, Window, next_page};
use crate::ground::words;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// The longest line that is read, in bytes; a terminal's line editing gives no longer one.
const LONGEST_LINE: usize = 4096;

/// After this many Ctrl-D in a row byok takes it that nobody is there; a key held down for a moment makes fewer.
const MOST_ENDS: usize = 100;

/// Said before a question comes once more, which names the row or the place.
const GOES_ON: &str = " It goes on where it was:\n";

const SHARE_WORDS_REFUSED: &str = " That looks like words of a share. The transcript must not hold any:\n \
     nothing was taken, and the screen was wiped. Say it without them.\n";

/// Standard input as a terminal, and standard error for the words.
pub(crate) struct Terminal {
    before: Termios,
    quiet: Termios,
    interrupted: Interrupted,
    occasion: Occasion,
    /// What people typed after `note`, until the transcript takes it.
    notes: Vec<String>,
    watch: Option<Watch>,
    /// How many Ctrl-D came in a row.
    ends: usize,
}

/// How a typed line ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Line,
    CtrlC,
    /// Ctrl-D on an empty line: the terminal is still there.
    CtrlD,
    /// The terminal is gone, or gives nothing but ends of input.
    Gone,
}

impl End {
    /// The key that made it.
    fn key(self) -> &'static str {
        match self {
            Self::CtrlC => "Ctrl-C",
            Self::CtrlD => "Ctrl-D",
            Self::Line | Self::Gone => "",
        }
    }
}

impl Terminal {
    /// Takes the terminal; `None` if standard input or standard error is not one.
    ///
    /// # Errors
    /// Exit 5 if the terminal's settings cannot be changed.
    pub(crate) fn open(interrupted: Interrupted) -> Result<Option<Self>> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).map_err(terminal_error)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ISIG);
        quiet
            .local_modes
            .insert(LocalModes::ICANON | LocalModes::ECHO);
        quiet.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        let terminal = Self {
            before,
            quiet,
            interrupted,
            occasion: Occasion::Ceremony,
            notes: Vec::new(),
            watch: None,
            ends: 0,
        };
        tcsetattr(stdin(), OptionalActions::Now, &terminal.quiet).map_err(terminal_error)?;
        Ok(Some(terminal))
    }

    /// The same for the check of one share: nothing is recorded there.
    #[must_use]
    pub(crate) fn for_check(mut self) -> Self {
        self.occasion = Occasion::Check;
        self
    }

    /// The same for a verb that asks for a PIN and leaves nothing behind.
    #[must_use]
    pub(crate) fn for_verb(mut self) -> Self {
        self.occasion = Occasion::Verb;
        self
    }

    /// Reads one line into `buffer`; says how long it is and how it ended. Bytes past the buffer are
    /// dropped.
    fn read_line(&mut self, buffer: &mut [u8]) -> Result<(usize, End)> {
        let mut len = 0;
        let mut byte = [0];
        loop {
            self.wait()?;
            let end = match rustix::io::read(stdin(), &mut byte) {
                Ok(0) => end_of_input(),
                Ok(_) if byte[0] == b'\n' => End::Line,
                Ok(_) if byte[0] == CTRL_C => End::CtrlC,
                Ok(_) if byte[0] == CTRL_D => End::CtrlD,
                Ok(_) => {
                    if let Some(place) = buffer.get_mut(len) {
                        *place = byte[0];
                        len += 1;
                    }
                    byte[0] = 0;
                    continue;
                }
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::IO) => End::Gone, // the window was closed
                Err(e) => return Err(terminal_error(e)),
            };
            return Ok((len, self.counted(end)));
        }
    }

    /// The end of a line; one Ctrl-D too many is the end of the input.
    fn counted(&mut self, end: End) -> End {
        self.ends = match end {
            End::CtrlD => self.ends + 1,
            _ => 0,
        };
        match self.ends {
            0..=MOST_ENDS => end,
            _ => End::Gone,
        }
    }

    /// Waits until something was typed, looking for signals four times a second.
    fn wait(&self) -> Result<()> {
        let quarter = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 250_000_000,
        };
        loop {
            self.interrupted.check()?;
            let input = stdin();
            match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&quarter)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(terminal_error(e)),
            }
        }
    }

    /// After Ctrl-C, Ctrl-D or `stop`: goes on, or ends the ceremony. Asked again until it is one of the two: what
    /// comes next may be a PIN.
    fn confirm_going_on(&mut self, after: &str) -> Result<()> {
        let what = self.occasion.name();
        loop {
            self.say(&format!(
                " {after}: type STOP to end {what}, Enter to go on: "
            ));
            let mut line = [0; 16];
            let (len, end) = self.read_line(&mut line)?;
            if end != End::Line {
                self.say("\n");
            }
            let typed = line[..len].trim_ascii();
            let stops = typed.eq_ignore_ascii_case(b"stop");
            let goes_on = typed.is_empty() && end == End::Line;
            line.zeroize(); // somebody may have typed a PIN too early
            if end == End::Gone {
                return Err(input_ended());
            }
            match (stops, goes_on) {
                (true, _) => return Err(Error::declined("ended at the keyboard")),
                (_, true) => {
                    self.say(GOES_ON);
                    return Ok(());
                }
                _ => self.say(" That was neither.\n"),
            }
        }
    }

    /// Asks until there is an answer to this very question.
    fn typed(&mut self, prompt: Prompt, mut question: &str) -> Result<Locked> {
        loop {
            let Some(line) = self.line(prompt, question)? else {
                continue;
            };
            match prompt.own(&line, self.occasion) {
                Some(Own::Note(text)) => {
                    self.note(prompt, text)?;
                    self.say(GOES_ON);
                    question = again(question);
                }
                Some(Own::Stop) => self.confirm_going_on("stop")?,
                None => return Ok(line),
            }
        }
    }

    /// After a word that byok takes at other questions: any word can be a PIN. The answer is not shown either, because
    /// somebody may type the PIN there.
    fn is_the_secret(&mut self) -> Result<bool> {
        self.say(&format!(
            " Nothing was tried: byok takes that word at other questions, but not here.\n \
             Here only Ctrl-C, then STOP, ends {}.\n",
            self.occasion.name()
        ));
        loop {
            let question = " Is it the PIN? Type yes or no (nothing is shown): ";
            let typed = self.typed(Prompt::Secret, question)?;
            let is = |word: &[u8]| typed.trim_ascii().eq_ignore_ascii_case(word);
            match (is(b"yes"), is(b"no")) {
                (false, false) => self.say(" That was neither.\n"),
                (yes, _) => return Ok(yes),
            }
        }
    }

    /// One line into locked memory; `None`: Ctrl-C or Ctrl-D was pressed, and the ceremony goes on.
    fn line(&mut self, prompt: Prompt, question: &str) -> Result<Option<Locked>> {
        let mut termios = self.quiet.clone();
        if prompt == Prompt::Secret {
            let echo = LocalModes::ECHO | LocalModes::ECHONL;
            termios.local_modes.remove(echo);
        }
        self.set(&termios)?; // before the question: what somebody types at once is not shown either
        self.say(question);
        let mut typed = Locked::zeroed(LONGEST_LINE)?;
        let read = self.read_line(&mut typed);
        let more = more_is_there();
        let echo = self.set(&self.quiet);
        if prompt == Prompt::Secret {
            self.say("\n");
        }
        let (len, end) = read?;
        match end {
            End::Line => {
                if more {
                    self.say(" Only the first line was taken.\n");
                }
                echo.and_then(|()| typed.truncated(len)).map(Some)
            }
            End::Gone => Err(input_ended()),
            End::CtrlC | End::CtrlD => {
                echo?;
                self.say("\n");
                self.confirm_going_on(end.key()).map(|()| None)
            }
        }
    }

    /// After `note`: one line for the auditor, asked for if it did not stand behind the word. It is kept until the
    /// transcript takes it.
    fn note(&mut self, prompt: Prompt, text: &[u8]) -> Result<()> {
        if self.occasion != Occasion::Ceremony {
            self.say(" There is no transcript here, so nothing is noted: write it on paper.\n");
            return Ok(());
        }
        if !text.is_empty() && self.noted(text) {
            return Ok(());
        }
        let question = match prompt {
            Prompt::Word => " What happened? (one line, for the auditor; no share words): ",
            _ => " What happened? (one line, for the auditor): ",
        };
        loop {
            let Some(line) = self.line(Prompt::Open, question)? else {
                continue;
            };
            match line.trim_ascii() {
                b"" => self.say(" Nothing was noted."),
                text if !self.noted(text) => continue,
                _ => {}
            }
            return Ok(());
        }
    }

    /// Keeps a note. `false`: it has words of a share, and nothing of it is kept.
    fn noted(&mut self, text: &[u8]) -> bool {
        if looks_like_share(text) {
            self.refuse_share_words();
            return false;
        }
        self.notes.push(String::from_utf8_lossy(text).into_owned());
        self.say(" Noted for the auditor.");
        true
    }

    /// Refuses words of a share where none belong: what is typed there is kept, or even recorded.
    fn refuse_share_words(&mut self) {
        self.wipe();
        self.say(SHARE_WORDS_REFUSED);
    }

    /// A text that is not secret.
    fn text(&mut self, prompt: Prompt, question: &str) -> Result<Option<String>> {
        loop {
            let line = self.typed(prompt, question)?;
            if !looks_like_share(&line) {
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim().to_owned()));
            }
            self.refuse_share_words();
        }
    }

    /// All pages of a text. `false`: the window changed meanwhile, and the text must be laid out again.
    fn shown_in(&mut self, window: Window, text: &str, top: &Top, more: usize) -> Result<bool> {
        let pages = window.pages_to_turn(text, top, more);
        let all = pages.len() + more;
        for (at, page) in pages.iter().enumerate() {
            if at > 0 {
                self.ask(&next_page(at, all, "the rest"))?;
                if self.window() != window {
                    return Ok(false);
                }
            }
            self.say(page);
        }
        Ok(true)
    }

    fn set(&self, termios: &Termios) -> Result<()> {
        // Flush drops what was typed ahead: an answer belongs to the question it was typed for.
        tcsetattr(stdin(), OptionalActions::Flush, termios).map_err(terminal_error)
    }
}

impl Operator for Terminal {
    fn say(&mut self, text: &str) {
        let shown = self.window().narrowed(&words::screen(text));
        let _ = io::stderr().write_all(paint::shown(&shown, true).as_bytes());
    }

    fn ask(&mut self, question: &str) -> Result<Option<String>> {
        self.text(Prompt::Open, question)
    }

    /// Nobody means to end a ceremony with Enter alone.
    fn decide(&mut self, mut question: &str) -> Result<Option<String>> {
        loop {
            let answer = self.text(Prompt::Decision, question)?;
            if answer.as_deref() != Some("") {
                return Ok(answer);
            }
            self.say(" Nothing was typed, so nothing is decided.\n");
            question = again(question);
        }
    }

    fn ask_secret(&mut self, question: &str) -> Result<Option<Locked>> {
        loop {
            let typed = self.typed(Prompt::Secret, question)?;
            if !belongs_elsewhere(&typed) || self.is_the_secret()? {
                return Ok(Some(typed));
            }
        }
    }

    fn ask_word(&mut self, question: &str) -> Result<Option<Locked>> {
        self.typed(Prompt::Word, question).map(Some)
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn show_secret(&mut self, text: &[u8]) {
        let _ = io::stderr().write_all(text);
    }

    /// A dumb terminal cannot clear itself: there the words are pushed off the screen.
    fn wipe(&mut self) {
        let dumb =
            environment::variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let _ = match dumb {
            true => io::stderr().write_all("\n".repeat(200).as_bytes()),
            false => io::stderr().write_all(b"\x1b[H\x1b[2J\x1b[3J"),
        };
    }

    fn window(&self) -> Window {
        Window::of(&stdin())
    }

    fn show_before(&mut self, text: &str, top: &Top, more: usize) -> Result<()> {
        while !self.shown_in(self.window(), text, top, more)? {}
        Ok(())
    }

    /// What was on the screen is pushed off, and can be scrolled back to.
    fn show_until_enter(&mut self, page: &str, question: &str) {
        let window = self.window();
        let taken = window.narrowed(&format!("{page}{question}"));
        let free = window.rows.saturating_sub(window.height(&taken));
        self.say(&format!("{}{page}", "\n".repeat(free)));
        let _ = self.set(&self.quiet); // Enter that was pressed before does not count
        loop {
            self.say(question);
            let mut typed = [0; 256];
            let read = self.read_line(&mut typed);
            typed.zeroize();
            match read {
                Ok((_, end @ (End::CtrlC | End::CtrlD))) => self.say(&format!(
                    "\n {} ends nothing here: the record is sealed, and nothing is taken back.\n \
                     Only Enter goes on.\n",
                    end.key()
                )),
                Ok((1.., End::Line)) => self.say(
                    " The record is sealed: nothing more is noted, and nothing is taken back. Write\n \
                     on paper what happens from here on.\n",
                ),
                _ => return,
            }
        }
    }

    fn go_on(&self) -> Result<()> {
        self.interrupted.check()
    }

    fn look_after_calls(&mut self, ending: &str) -> Result<()> {
        match &self.watch {
            Some(watch) => watch.now_exists(ending),
            None => {
                let ender = Ender::Terminal(self.before.clone());
                let interrupted = self.interrupted.clone();
                self.watch = Some(Watch::begin(ender, interrupted, ending)?);
            }
        }
        Ok(())
    }

    /// With the first step people are told, once, what they can type at every question.
    fn step(&mut self, step: Step, mode: &str) {
        self.say(&super::announced(step, mode));
        if step == Step::OpenRecord {
            self.say(
                "      at every question except the PIN: note = tell the auditor something,\n      \
                 stop or Ctrl-C = end the ceremony\n",
            );
        }
    }
}

impl Drop for Terminal {
    /// Gives the terminal back, and says which notes no record could take.
    fn drop(&mut self) {
        self.watch = None;
        for note in std::mem::take(&mut self.notes) {
            let note = words::printable(&note);
            self.say(&format!(
                " Not recorded, because there is no record: {note}\n"
            ));
        }
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// A question once more: of a whole screen only the last line, so that what was said meanwhile stays in sight.
fn again(question: &str) -> &str {
    const SHORT: usize = 6;
    match question.lines().count() {
        0..=SHORT => question,
        _ => question.rsplit('\n').next().unwrap_or(question),
    }
}

/// No more input, which is Ctrl-D as long as the terminal answers.
fn end_of_input() -> End {
    match tcgetattr(stdin()) {
        Ok(_) => End::CtrlD,
        Err(_) => End::Gone,
    }
}

/// Whether a further line was typed or pasted already. It will be dropped: it answers no question.
fn more_is_there() -> bool {
    let at_once = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let input = stdin();
    let polled = poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&at_once));
    matches!(polled, Ok(1..))
}

fn input_ended() -> Error {
    Error::declined("the input ended")
}

fn terminal_error(errno: rustix::io::Errno) -> Error {
    Error::machine(format!("the terminal: {errno}"))
}
