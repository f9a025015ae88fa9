//! A terminal for byok, and what a person would see on it.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expectrl::process::unix::{Signal, WaitStatus};
use expectrl::session::OsSession;

use super::Room;

/// Debug builds make RSA keys slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// What byok sends to clear screen and scrollback.
pub const WIPE: &str = "\x1b[H\x1b[2J\x1b[3J";

/// A program on a pseudo-terminal of 80x24.
pub struct Screen {
    session: OsSession,
    /// Everything that was ever shown, carriage returns taken out.
    pub shown: String,
    /// Up to here it was expected already.
    read: usize,
}

impl Screen {
    pub fn start(command: Command) -> Self {
        Self::start_as(command, "xterm", 80)
    }

    /// On another terminal, by the name of it, and as wide.
    pub fn start_as(mut command: Command, terminal: &str, columns: u16) -> Self {
        command.env("TERM", terminal).stdin(Stdio::inherit()); // the pseudo-terminal
        let mut session = OsSession::spawn(command).unwrap();
        let process = session.get_process_mut();
        process.set_window_size(columns, 24).unwrap();
        Self {
            session,
            shown: String::new(),
            read: 0,
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

    /// Somebody is at the keyboard, and somebody in the seat of every custodian of the plan.
    #[track_caller]
    pub fn roll_call(&mut self, room: &Room) {
        self.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
        self.seats(room);
    }

    #[track_caller]
    pub fn seats(&mut self, room: &Room) {
        let plan: toml::Table = room.plan.text().parse().unwrap();
        let escrow = plan.get("escrow").map(|escrow| &escrow["custodians"]);
        let custodians = escrow.and_then(|custodians| custodians.as_array());
        for (number, _) in custodians.into_iter().flatten().enumerate() {
            let name = format!("Person {number}");
            self.answer("who is here? Name, or absent: ", &name);
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
            assert!(started.elapsed() < PATIENCE, "it goes on:\n{}", self.tail());
        }
        match self.session.get_process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}\n{}", self.tail()),
        }
    }
}
