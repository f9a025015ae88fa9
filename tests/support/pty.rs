//! A person at a terminal: byok on a pseudo-terminal, its screen read, its keys pressed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::{PATIENCE, Room};

pub const CTRL_C: u8 = 3;
pub const CTRL_D: u8 = 4;

/// Everything that was written to the terminal, and a bell for who waits for more.
#[derive(Default)]
struct Shown {
    bytes: Mutex<Vec<u8>>,
    more: Condvar,
    closing: AtomicBool,
}

/// A terminal with a program on it.
pub struct Pty {
    child: Child,
    keyboard: Option<File>,
    /// Kept open, so that the terminal and its settings outlive the program.
    line: Option<OwnedFd>,
    /// Its settings before the program began.
    before: String,
    shown: Arc<Shown>,
    reader: Option<JoinHandle<()>>,
    /// Up to where the screen was expected.
    read: usize,
    /// How much was shown when a question was passed by.
    passed: usize,
}

/// How a program on a terminal ended.
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The whole screen, with plain line feeds.
    pub screen: String,
}

/// The question that ends the approval.
pub const APPROVE: &str = " Type Yes to approve, anything else to stop: ";

/// The approval screen of the room's plan, which fits a terminal of 80 columns; nobody approves.
#[track_caller]
pub fn approval(room: &Room) -> String {
    room.write_plan();
    let mut pty = Pty::start(room.byok(&["run", "plan.toml"]));
    let screen = pty.answer(APPROVE, "no");
    assert_eq!(pty.end().code, Some(1));
    super::fits(&screen);
    screen
}

impl Pty {
    /// Starts the program on a terminal of its own, 80x24.
    pub fn start(command: Command) -> Self {
        Self::start_sized(command, 80, 24)
    }

    pub fn start_sized(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&line, size).unwrap();
        let before = settings(&line);
        let child = command
            .stdin(Stdio::from(line.try_clone().unwrap()))
            .stdout(Stdio::from(line.try_clone().unwrap()))
            .stderr(Stdio::from(line.try_clone().unwrap()))
            .spawn()
            .unwrap();
        let shown = Arc::new(Shown::default());
        let (screen, to) = (File::from(master.try_clone().unwrap()), Arc::clone(&shown));
        Self {
            child,
            keyboard: Some(File::from(master)),
            line: Some(line),
            before,
            shown,
            reader: Some(std::thread::spawn(move || keep_reading(screen, &to))),
            read: 0,
            passed: 0,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until the screen shows this, after whatever was expected before. Returns what was shown
    /// since then, this included.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let started = Instant::now();
        let mut bytes = lock(&self.shown);
        loop {
            let new = plain(&bytes[self.read..]);
            if let Some(at) = new.find(text) {
                let until = at + text.len();
                // Carriage returns were taken out: count them back in.
                self.read += raw_len(&bytes[self.read..], until);
                return new[..until].to_owned();
            }
            let whole = plain(&bytes);
            if super::is_passed(&new) && bytes.len() > self.passed {
                self.passed = bytes.len();
                self.keyboard.as_mut().unwrap().write_all(b"\r").unwrap();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                started.elapsed() < PATIENCE,
                "{text:?} never came; ended: {ended:?}; the screen:\n{whole}"
            );
            if ended.is_some() && started.elapsed() > Duration::from_secs(30) {
                panic!("{text:?} never came before the end, {ended:?}; the screen:\n{whole}");
            }
            let pause = Duration::from_millis(100);
            let waited = self.shown.more.wait_timeout(bytes, pause);
            bytes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types a line and Enter.
    pub fn enter(&mut self, text: &str) {
        self.keys(format!("{text}\r").as_bytes());
    }

    pub fn keys(&mut self, keys: &[u8]) {
        self.keyboard.as_mut().unwrap().write_all(keys).unwrap();
    }

    /// The roll call after the name at the keyboard: whoever is asked for is there, and no name is corrected.
    #[track_caller]
    pub fn seats(&mut self) {
        const HERE: &str = "who is here? Name, or absent: ";
        for number in 0.. {
            let shown = self.expect_one_of(&[HERE, super::PASSED[0]]);
            if !shown.ends_with(HERE) {
                return self.enter("");
            }
            self.enter(&format!("Person {number}"));
        }
    }

    /// As [`expect`](Self::expect), for whichever of these comes first.
    #[track_caller]
    pub fn expect_one_of(&mut self, texts: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let new = plain(&lock(&self.shown)[self.read..]);
            let first = texts
                .iter()
                .filter_map(|text| Some((new.find(text)?, *text)));
            if let Some((_, text)) = first.min() {
                return self.expect(text);
            }
            assert!(
                started.elapsed() < PATIENCE,
                "none of {texts:?} came:\n{new}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Another size of the window, as when somebody pulls at its corner.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(self.line.as_ref().unwrap(), size).unwrap();
    }

    /// Expects a question and answers it.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) -> String {
        let shown = self.expect(question);
        self.enter(answer);
        shown
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// What `stty -a` says of this terminal now.
    pub fn settings(&self) -> String {
        settings(self.line.as_ref().unwrap())
    }

    /// Waits for the program's end.
    #[track_caller]
    pub fn wait(&mut self) {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            let (shown, len) = {
                let bytes = lock(&self.shown);
                (plain(&bytes), bytes.len())
            };
            assert!(
                started.elapsed() < PATIENCE,
                "it does not end; the screen:\n{shown}"
            );
            if super::is_passed(&shown) && len > self.passed && self.keyboard.is_some() {
                self.passed = len;
                self.keys(b"\r");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the program's end and reads the rest of the screen. However it ended, the terminal
    /// must be as it was before.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        self.wait();
        assert_eq!(
            self.settings(),
            self.before,
            "the terminal is not as it was"
        );
        let status = self.child.wait().unwrap();
        self.line = None; // the last one open: the reader sees the end
        self.reader.take().unwrap().join().unwrap();
        let screen = plain(&lock(&self.shown));
        Ended {
            code: status.code(),
            signal: status.signal(),
            screen,
        }
    }

    /// Closes the window: the terminal is gone while the program runs.
    pub fn close_window(&mut self) {
        self.keyboard = None;
        self.line = None;
        self.shown.closing.store(true, Ordering::SeqCst);
        self.reader.take().unwrap().join().unwrap();
    }

    /// The exit code after the window was closed.
    #[track_caller]
    pub fn code(mut self) -> Option<i32> {
        self.wait();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(line: &OwnedFd) -> String {
    let line = line.try_clone().unwrap();
    let output = Command::new("stty").arg("-a").stdin(line).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn lock(shown: &Shown) -> MutexGuard<'_, Vec<u8>> {
    shown.bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until nobody holds the other side any more, or the window is closed.
fn keep_reading(mut screen: File, shown: &Shown) {
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    let mut bytes = [0; 4096];
    while !shown.closing.load(Ordering::SeqCst) {
        let ready = poll(&mut [PollFd::new(&screen, PollFlags::IN)], Some(&pause));
        if ready == Ok(0) || ready == Err(rustix::io::Errno::INTR) {
            continue;
        }
        match screen.read(&mut bytes) {
            Ok(0) | Err(_) => return, // EIO: the last one closed it
            Ok(len) => {
                lock(shown).extend_from_slice(&bytes[..len]);
                shown.more.notify_all();
            }
        }
    }
}

/// As people see it: the line discipline's carriage returns taken out.
fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}

/// How many raw bytes the first `len` bytes of the plain text came from.
fn raw_len(raw: &[u8], len: usize) -> usize {
    let mut left = len;
    let until = raw.iter().position(|byte| {
        let done = left == 0;
        if *byte != b'\r' {
            left = left.saturating_sub(1);
        }
        done
    });
    until.unwrap_or(raw.len())
}
