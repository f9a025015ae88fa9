//! A terminal for byok, and what a person would see on it.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expectrl::process::unix::{Signal, WaitStatus};
use expectrl::session::OsSession;

use super::PATIENCE;

/// What byok sends to clear screen and scrollback.
pub const WIPE: &str = "\x1b[H\x1b[2J\x1b[3J";

/// A program on a pseudo-terminal of 80x24.
pub struct Screen {
    session: OsSession,
    /// Everything that was ever shown, carriage returns taken out.
    pub shown: String,
    /// Up to here it was expected already.
    read: usize,
    /// How much was shown when a question was passed by.
    passed: usize,
}

impl Screen {
    pub fn start(command: Command) -> Self {
        Self::start_sized(command, "xterm", (80, 24))
    }

    /// On another terminal, by the name of it, and of another size.
    pub fn start_sized(command: Command, terminal: &str, (columns, rows): (u16, u16)) -> Self {
        // The window has its size before the program can ask for it.
        let sized = format!(
            "until [ \"$(stty size)\" = '{rows} {columns}' ]; do sleep 0.01; done; exec \"$@\""
        );
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &sized, "sh"]).arg(command.get_program());
        shell.args(command.get_args()).env_clear();
        let set = command.get_envs();
        shell.envs(set.filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        shell.env("TERM", terminal).env("NO_COLOR", "1"); // what is compared is the text
        shell.stdin(Stdio::inherit()); // the pseudo-terminal
        let mut session = OsSession::spawn(shell).unwrap();
        let process = session.get_process_mut();
        process.set_window_size(columns, rows).unwrap();
        Self {
            session,
            shown: String::new(),
            read: 0,
            passed: 0,
        }
    }

    /// Another size of the window, as when somebody pulls at its corner.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let process = self.session.get_process_mut();
        process.set_window_size(columns, rows).unwrap();
    }

    /// Whoever has nothing to say goes on.
    fn pass(&mut self) {
        if super::is_passed(&self.shown[self.read..]) && self.shown.len() > self.passed {
            self.passed = self.shown.len();
            self.enter("");
        }
    }

    /// Takes in what was shown; says whether the other side is gone.
    fn take(&mut self) -> bool {
        let mut bytes = [0; 8192];
        match self.session.try_read(&mut bytes) {
            Ok(0) => true,
            Ok(len) => {
                let text = String::from_utf8_lossy(&bytes[..len]).replace('\r', "");
                self.shown.push_str(&text);
                false
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
            Err(_) => true,
        }
    }

    /// Waits until this is shown after what was expected before; returns what came up to it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let started = Instant::now();
        let mut gone = false;
        loop {
            if let Some(at) = self.shown[self.read..].find(text) {
                let until = self.read + at + text.len();
                let shown = self.shown[self.read..until].to_owned();
                self.read = until;
                return shown;
            }
            assert!(
                !gone && started.elapsed() < PATIENCE,
                "{text:?} never came; the end of what did:\n{}",
                self.tail()
            );
            gone = self.take();
            if !self.shown[self.read..].contains(text) {
                self.pass();
            }
        }
    }

    fn tail(&self) -> String {
        let count = self.shown.chars().count();
        self.shown
            .chars()
            .skip(count.saturating_sub(3000))
            .collect()
    }

    /// Types a line.
    pub fn enter(&mut self, text: &str) {
        // answers typed ahead of their question are dropped by byok
        std::thread::sleep(Duration::from_millis(15));
        self.keys(text.as_bytes());
        self.keys(b"\n");
    }

    pub fn keys(&mut self, keys: &[u8]) {
        self.session.write_all(keys).unwrap();
    }

    /// Waits for the question and answers it; returns what came up to it.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) -> String {
        let shown = self.expect(question);
        self.enter(answer);
        shown
    }

    /// Somebody is at the keyboard, and somebody in every seat that is asked for.
    #[track_caller]
    pub fn roll_call(&mut self) {
        self.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
        self.seats();
    }

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
            let new = &self.shown[self.read..];
            let first = texts
                .iter()
                .filter_map(|text| Some((new.find(text)?, *text)));
            if let Some((_, text)) = first.min() {
                return self.expect(text);
            }
            assert!(
                started.elapsed() < PATIENCE,
                "none of {texts:?} came:\n{}",
                self.tail()
            );
            self.take();
        }
    }

    /// What stands on the screen and in the scrollback now.
    pub fn visible(&mut self) -> String {
        for _ in 0..5 {
            self.take();
        }
        let from = self.shown.rfind(WIPE).map_or(0, |at| at + WIPE.len());
        self.shown[from..].to_owned()
    }

    /// SIGKILL, as a power cut.
    pub fn kill(&mut self) {
        self.session
            .get_process_mut()
            .kill(Signal::SIGKILL)
            .unwrap();
        self.session.get_process().wait().unwrap();
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let started = Instant::now();
        while !self.take() {
            self.pass();
            assert!(started.elapsed() < PATIENCE, "it goes on:\n{}", self.tail());
        }
        match self.session.get_process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}\n{}", self.tail()),
        }
    }
}
