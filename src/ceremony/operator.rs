//! The only room that touches the terminal.
//!
//! The law of the terminal:
//! - Calm: one question at a time, and the person who must act is named.
//! - Words go to stderr, data to stdout.
//! - At most 79 columns, fewer in a narrower window, and the main screens within 24 rows; what a window cannot
//!   hold comes a page at a time, and words of a share not at all. Digests are shown in 8 numbered rows.
//! - Colour never carries meaning alone; there is none yet. The bell and blinking: never.
//! - Nothing read from a file or a keyboard is shown before its unprintable characters are escaped.
//! - Secrets are read byte by byte into locked memory. PINs are typed without echo, and no word typed
//!   there means anything else; one that does elsewhere goes to the HSM only after a `yes`. Words of shares are
//!   wiped from the screen before the next person comes.
//! - `note` at every question but that for a PIN asks what happened: the transcript has it, with the
//!   step, as an exception in the words of whoever typed it. Words of a share never get in.
//! - Ctrl-C asks: `type STOP to end the ceremony, Enter to go on`. So does Ctrl-D on an empty line, and so
//!   does `stop`, except where every answer but one ends the ceremony anyway. Enter alone never ends it. After the
//!   seal nothing does.
//! - A terminal that is gone ends the ceremony.
//! - A wrong PIN is asked again after what the token says is left; the last try needs the word LAST.
//! - A call into the HSM that has not returned after 30 seconds is named; STOP then ends the process.
//! - A dumb terminal or a narrow window changes how a question looks, never what it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::crypto::locked::Locked;
use crate::ground::error::{Error, Result, Step};
use crate::ground::window::{Top, Window};

mod prompt;
mod terminal;
mod waiting;

pub(crate) use terminal::Terminal;

use waiting::Ender;
pub(crate) use waiting::{NOTHING_LEFT, Watch};

/// Whoever the ceremony talks to.
pub(crate) trait Operator {
    /// Shows text that is for people.
    fn say(&mut self, text: &str);

    /// Asks one question and returns the line typed, without its end. `None`: nobody is asked,
    /// because the run is unattended.
    ///
    /// # Errors
    /// Exit 1 if the person ends the ceremony.
    fn ask(&mut self, question: &str) -> Result<Option<String>>;

    /// As [`ask`](Self::ask), for a question where every answer but one ends the ceremony: `stop` does too. After Enter
    /// alone it is asked again.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn decide(&mut self, question: &str) -> Result<Option<String>> {
        self.ask(question)
    }

    /// What people wanted the auditor to know since this was last called, each in their own words.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Asks for a secret. `None` as in [`ask`](Self::ask).
    ///
    /// # Errors
    /// As [`ask`](Self::ask); exit 5 if there is no locked memory.
    fn ask_secret(&mut self, question: &str) -> Result<Option<Locked>>;

    /// Asks for one word of a share. It is seen while it is typed, and kept in locked memory only. `None`
    /// as in [`ask`](Self::ask).
    ///
    /// # Errors
    /// As [`ask_secret`](Self::ask_secret).
    fn ask_word(&mut self, question: &str) -> Result<Option<Locked>>;

    /// Shows words of a share, straight from locked memory.
    fn show_secret(&mut self, text: &[u8]);

    /// Clears screen and scrollback, if there are any.
    fn wipe(&mut self);

    /// The window that people read in.
    fn window(&self) -> Window {
        Window::USUAL
    }

    /// Shows a text that may be longer than the window: a page at a time, each until somebody goes on, and each after the
    /// first below this top.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn show(&mut self, text: &str, top: &Top) -> Result<()> {
        self.show_before(text, top, 0)
    }

    /// The same, for a text that this many more pages follow.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    fn show_before(&mut self, text: &str, _top: &Top, _more: usize) -> Result<()> {
        self.say(text);
        Ok(())
    }

    /// After the seal: shows a page by itself, until Enter. Nothing that is typed there undoes anything, nor does the
    /// end of the input: the record is complete.
    fn show_until_enter(&mut self, page: &str, _question: &str) {
        self.say(page);
    }

    /// Refuses to go on once the process was told to end. Called between steps and between keys.
    ///
    /// # Errors
    /// Exit 1.
    fn go_on(&self) -> Result<()>;

    /// Watches calls into the HSM from now on. `ending` says what exists if the process is ended during one, and what
    /// to do then; a later `ending` replaces an earlier one.
    ///
    /// # Errors
    /// Exit 5 if the watch cannot be started.
    fn look_after_calls(&mut self, _ending: &str) -> Result<()> {
        Ok(())
    }

    /// Announces a step.
    fn step(&mut self, step: Step, mode: &str) {
        self.say(&announced(step, mode));
    }
}

/// The line that begins a step.
fn announced(step: Step, mode: &str) -> String {
    let (number, count) = (step.number(), Step::COUNT);
    format!("{mode} {number} of {count}  {}\n", step.name())
}

/// Set when a signal came that asks the process to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Watches for the signals from now on; they no longer end the process by themselves.
    ///
    /// # Errors
    /// Exit 5 if the handlers cannot be set.
    pub(crate) fn watch() -> Result<Self> {
        use signal_hook::consts::{
            SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ,
        };
        let flag = Self::default();
        for signal in [
            SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU,
        ] {
            signal_hook::flag::register(signal, Arc::clone(&flag.0))
                .map_err(|e| Error::machine(format!("watching for signals: {e}")))?;
        }
        // A file-size limit then shows as a failed write, which is reported as such.
        let unheard = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGXFSZ, unheard)
            .map_err(|e| Error::machine(format!("watching for signals: {e}")))?;
        Ok(flag)
    }

    fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::declined("interrupted by a signal"));
        }
        Ok(())
    }
}

/// Nobody: the run was approved by the plan's digest on the command line.
pub(crate) struct Unattended {
    interrupted: Interrupted,
    silent: bool,
    watch: Option<Watch>,
}

impl Unattended {
    /// A run without people; it still ends cleanly when it is told to.
    pub(crate) fn new(interrupted: Interrupted) -> Self {
        Self {
            interrupted,
            silent: false,
            watch: None,
        }
    }

    /// The same, without a word: a rehearsal tells its own story.
    pub(crate) fn silent(interrupted: Interrupted) -> Self {
        Self {
            interrupted,
            silent: true,
            watch: None,
        }
    }
}

impl Operator for Unattended {
    fn say(&mut self, text: &str) {
        if !self.silent {
            // A reader that went away must not end a ceremony in the middle.
            waiting::say(text);
        }
    }

    fn ask(&mut self, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    fn ask_secret(&mut self, _: &str) -> Result<Option<Locked>> {
        Ok(None)
    }

    fn ask_word(&mut self, _: &str) -> Result<Option<Locked>> {
        Ok(None)
    }

    /// Nobody sees shares in an unattended run: plans that show them are refused before it.
    fn show_secret(&mut self, _: &[u8]) {}

    fn wipe(&mut self) {}

    fn go_on(&self) -> Result<()> {
        self.interrupted.check()
    }

    fn look_after_calls(&mut self, ending: &str) -> Result<()> {
        match &self.watch {
            _ if self.silent => {}
            Some(watch) => watch.now_exists(ending),
            None => {
                let interrupted = self.interrupted.clone();
                self.watch = Some(Watch::begin(Ender::Signal, interrupted, ending)?);
            }
        }
        Ok(())
    }
}
