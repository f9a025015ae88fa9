//! A call into the HSM's module that does not return: after 30 seconds it is named, and whoever is there may end the
//! process. The thread that made the call is stuck in it, so another one says this and reads STOP.
//!
//! Ending is `_exit`: the module's own clean-up could hang as well. What then exists is what a power cut leaves:
//! the next run, and `byok doctor --leftovers`, know how to deal with it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use zeroize::Zeroize as _;

use super::Interrupted;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::paint;
use crate::ground::text::fold;
use crate::ground::window::Window;
use crate::ground::words;
use crate::hsm::under_way::{self, Call};

/// How long byok waits for a call before it tells anybody.
const PATIENCE: Duration = Duration::from_secs(30);

/// What exists if a verb ends that makes only throw-away keys.
pub(crate) const NOTHING_LEFT: &str = "Nothing was written, and what it made in the HSM ends with this process; \
    only an object labelled byok-throw-away may stay in the token.";

/// How often the watch looks.
const LOOK: Duration = Duration::from_millis(250);

/// Who can end the process.
#[derive(Clone)]
pub(super) enum Ender {
    /// Somebody at a terminal, whose settings were these before.
    Terminal(Termios),
    /// Whoever can send a signal.
    Signal,
    /// The same, at any time: there is nothing to be taken back.
    AnyTime,
}

/// The watch over calls. It ends when it is dropped.
pub(crate) struct Watch {
    /// What exists if the process is ended now, and what to do.
    ending: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// For verbs that leave nothing behind: a signal ends them whatever they do.
    ///
    /// # Errors
    /// Exit 5 if no thread can be started.
    pub(crate) fn any_time(interrupted: Interrupted) -> Result<Self> {
        Self::begin(Ender::AnyTime, interrupted, NOTHING_LEFT)
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// Exit 5 if no thread can be started.
    pub(super) fn begin(ender: Ender, interrupted: Interrupted, ending: &str) -> Result<Self> {
        let ending = Arc::new(Mutex::new(ending.to_owned()));
        let over = Arc::new(AtomicBool::new(false));
        let looker = Looker {
            ender,
            interrupted,
            ending: Arc::clone(&ending),
            told: None,
        };
        let until = Arc::clone(&over);
        let thread = thread::Builder::new().spawn(move || looker.look(&until));
        let thread =
            thread.map_err(|e| Error::machine(format!("watching calls into the HSM: {e}")))?;
        Ok(Self {
            ending,
            over,
            thread: Some(thread),
        })
    }

    /// What exists from now on.
    pub(super) fn now_exists(&self, ending: &str) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = ending.to_owned();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

struct Looker {
    ender: Ender,
    interrupted: Interrupted,
    ending: Arc<Mutex<String>>,
    /// The call that people were told about.
    told: Option<Call>,
}

impl Looker {
    fn look(mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            thread::park_timeout(LOOK);
            if matches!(self.ender, Ender::AnyTime) && self.interrupted.check().is_err() {
                self.end("ended by a signal", under_way::call().as_ref());
            }
            match under_way::call().filter(|call| call.taken >= PATIENCE) {
                Some(call) => {
                    // it cannot come back while it is spoken of, so that nobody else asks meanwhile
                    under_way::during(call.number, || self.late(&call));
                }
                None => self.came_back(),
            }
        }
    }

    fn late(&mut self, call: &Call) {
        if self.told.as_ref().map(|told| told.number) != Some(call.number) {
            if let Ender::Terminal(_) = self.ender {
                let _ = tcflush(stdin(), QueueSelector::IFlush); // an answer belongs to its question
            }
            say(&self.note(call));
            self.told = Some(call.clone());
        }
        if self.interrupted.check().is_err() {
            self.end("ended by a signal", Some(call));
        }
        if let Ender::Terminal(_) = self.ender {
            match typed_line() {
                Typed::Nothing => {}
                Typed::Line(line) if line == *b"STOP" => {
                    self.end("ended at the keyboard", Some(call))
                }
                Typed::Over => self.end("the input ended", Some(call)),
                Typed::Line(_) => say(&format!(
                    " Still waiting for {}. STOP and Enter end byok here.\n",
                    call.function
                )),
            }
        }
    }

    fn came_back(&mut self) {
        if let Some(call) = self.told.take() {
            say(&format!(" {} came back. byok goes on.\n", call.function));
        }
    }

    fn note(&self, call: &Call) -> String {
        let (function, seconds) = (call.function, PATIENCE.as_secs());
        let key = served(call);
        match self.ender {
            Ender::Terminal(_) => {
                let first = format!(
                    "The HSM has not answered for {seconds} seconds: {function}{key}. Nothing is lost. Some \
                     calls take long, and waiting does no harm: byok goes on by itself when the answer comes."
                );
                let second = format!("To end byok here, type STOP and Enter. {}", self.ending());
                format!("\n{}{}", fold(&first, " "), fold(&second, " "))
            }
            Ender::Signal | Ender::AnyTime => {
                let signal = match self.ender {
                    Ender::AnyTime => "Ctrl-C",
                    _ => "SIGTERM",
                };
                format!(
                    "byok: waiting: {function} has not come back for {seconds} seconds{key}; nothing is lost; \
                     {signal} ends byok here. {}\n",
                    self.ending()
                )
            }
        }
    }

    fn ending(&self) -> String {
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.clone()
    }

    /// Ends the process as a power cut would, but with the terminal given back.
    fn end(&self, why: &str, call: Option<&Call>) -> ! {
        let late =
            call.map(|call| format!(": {} had not come back{}", call.function, served(call)));
        let error = Error::declined(format!("{why}{}", late.unwrap_or_default()));
        say(&error.state(self.ending()).for_people());
        if let Ender::Terminal(before) = &self.ender {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
        signal_hook::low_level::exit(Exit::Declined as i32)
    }
}

fn served(call: &Call) -> String {
    let label = call.data_key.as_ref();
    label.map_or_else(String::new, |label| format!(", for the data key {label:?}"))
}

/// To whoever reads standard error, which may be a file.
pub(super) fn say(text: &str) {
    let stderr = std::io::stderr();
    let shown = Window::of(&stderr).narrowed(&words::screen(text));
    let shown = paint::shown(&shown, stderr.is_terminal());
    let _ = std::io::stderr().write_all(shown.as_bytes());
}

enum Typed {
    Nothing,
    Line([u8; 4]),
    Over,
}

/// A line that is there, without waiting; of a longer or shorter one is only known that it is not STOP.
fn typed_line() -> Typed {
    let input = stdin();
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if !matches!(
        poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&at_once)),
        Ok(1..)
    ) {
        return Typed::Nothing;
    }
    let mut line = [0; 64];
    let typed = match rustix::io::read(stdin(), &mut line) {
        Ok(0) if tcgetattr(stdin()).is_ok() => Typed::Line(*b"\0\0\0\0"), // Ctrl-D
        Ok(0) | Err(rustix::io::Errno::IO) => Typed::Over,
        Ok(len) => {
            let text = line[..len].trim_ascii();
            Typed::Line(text.try_into().unwrap_or_default())
        }
        Err(_) => Typed::Nothing,
    };
    line.zeroize(); // somebody may have typed a PIN too early
    typed
}
