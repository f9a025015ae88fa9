//! A person at a terminal.
//!
//! The kernel's line editing stays on, so that Backspace and Ctrl-U work as everywhere. Two things
//! are changed while a ceremony runs: Ctrl-C ends the line instead of the process (it becomes a line
//! end of its own, which `ask` sees), and echo is off while a secret is typed.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::{Interrupted, Operator};
use crate::error::{Error, Result};
use crate::locked::Locked;
use crate::words;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// The longest secret that is read, in bytes.
const LONGEST_SECRET: usize = 1024;

/// Standard input as a terminal, and standard error for the words.
pub struct Terminal {
    before: Termios,
    quiet: Termios,
    interrupted: Interrupted,
}

/// How a typed line ended.
#[derive(PartialEq, Eq)]
enum End {
    Line,
    CtrlC,
    Input,
}

impl Terminal {
    /// Takes the terminal, or `None` where standard input or standard error is none.
    ///
    /// # Errors
    /// Exit 5 where the terminal's settings cannot be changed.
    pub fn open(interrupted: Interrupted) -> Result<Option<Self>> {
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
        };
        tcsetattr(stdin(), OptionalActions::Now, &terminal.quiet).map_err(terminal_error)?;
        Ok(Some(terminal))
    }

    /// Reads one line into `buffer`; says how long it is and how it ended. Bytes past the buffer are
    /// dropped.
    fn read_line(&self, buffer: &mut [u8]) -> Result<(usize, End)> {
        let mut len = 0;
        let mut byte = [0];
        loop {
            self.wait()?;
            let end = match rustix::io::read(stdin(), &mut byte) {
                Ok(0) => End::Input,
                Ok(_) if byte[0] == b'\n' => End::Line,
                Ok(_) if byte[0] == CTRL_C => End::CtrlC,
                Ok(_) if byte[0] == CTRL_D => End::Input,
                Ok(_) => {
                    if let Some(place) = buffer.get_mut(len) {
                        *place = byte[0];
                        len += 1;
                    }
                    byte[0] = 0;
                    continue;
                }
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::IO) => End::Input, // the window was closed
                Err(e) => return Err(terminal_error(e)),
            };
            return Ok((len, end));
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

    /// After Ctrl-C: goes on, or ends the ceremony.
    fn confirm_going_on(&mut self) -> Result<()> {
        self.say("\n Ctrl-C: type STOP to end the ceremony, Enter to go on: ");
        let mut line = [0; 16];
        let (len, end) = self.read_line(&mut line)?;
        if end != End::Line {
            self.say("\n");
        }
        if &line[..len] == b"STOP" || end == End::Input {
            return Err(Error::declined("ended at the keyboard"));
        }
        Ok(())
    }

    /// One line into locked memory, with the terminal set like this while it is typed.
    fn ask_locked(&mut self, question: &str, termios: &Termios) -> Result<Locked> {
        let silent = !termios.local_modes.contains(LocalModes::ECHO);
        loop {
            self.set(termios)?; // before the question: who types at once is not shown either
            self.say(question);
            let mut typed = Locked::zeroed(LONGEST_SECRET)?;
            let read = self.read_line(&mut typed);
            let echo = self.set(&self.quiet);
            if silent {
                self.say("\n");
            }
            match read? {
                (_, End::Input) => return Err(Error::declined("the input ended")),
                (len, End::Line) => return echo.and_then(|()| typed.truncated(len)),
                (_, End::CtrlC) => echo.and_then(|()| self.confirm_going_on())?,
            }
        }
    }

    fn set(&self, termios: &Termios) -> Result<()> {
        // Flush drops what was typed ahead: an answer belongs to the question it was typed for.
        tcsetattr(stdin(), OptionalActions::Flush, termios).map_err(terminal_error)
    }
}

impl Operator for Terminal {
    fn say(&mut self, text: &str) {
        let _ = io::stderr().write_all(words::screen(text).as_bytes());
    }

    fn ask(&mut self, question: &str) -> Result<Option<String>> {
        loop {
            self.say(question);
            let mut line = [0; 4096];
            let (len, end) = self.read_line(&mut line)?;
            match end {
                End::Line => {
                    let typed = String::from_utf8_lossy(&line[..len]);
                    return Ok(Some(typed.trim().to_owned()));
                }
                End::CtrlC => self.confirm_going_on()?,
                End::Input => return Err(Error::declined("the input ended")),
            }
        }
    }

    fn ask_secret(&mut self, question: &str) -> Result<Option<Locked>> {
        let mut silent = self.quiet.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL);
        self.ask_locked(question, &silent).map(Some)
    }

    fn ask_word(&mut self, question: &str) -> Result<Option<Locked>> {
        let seen = self.quiet.clone();
        self.ask_locked(question, &seen).map(Some)
    }

    fn show_secret(&mut self, text: &[u8]) {
        let _ = io::stderr().write_all(text);
    }

    /// A dumb terminal cannot clear itself: then the words are pushed off the screen.
    fn wipe(&mut self) {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let _ = match dumb {
            true => io::stderr().write_all("\n".repeat(200).as_bytes()),
            false => io::stderr().write_all(b"\x1b[H\x1b[2J\x1b[3J"),
        };
    }

    fn go_on(&self) -> Result<()> {
        self.interrupted.check()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

fn terminal_error(errno: rustix::io::Errno) -> Error {
    Error::machine(format!("the terminal: {errno}"))
}
