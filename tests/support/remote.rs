//! A token in another process: byok's module speaks to a Unix socket, behind which a helper loads SoftHSM.
//! Every call passes by here, where byok, which waits for its answer, can be looked at.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::memory::Looks;
use super::{Room, remote_module};

const SOCKET: &str = "hsm.socket";

/// The socket of a room, and what is seen of who speaks to it.
#[derive(Clone)]
pub struct Remote {
    seen: Arc<Mutex<Seen>>,
}

/// What is done of a call: its name and number.
pub type Meanwhile = Box<dyn FnMut(&str) + Send>;

/// What is seen.
#[derive(Default)]
pub struct Seen {
    /// Who is looked at, call by call.
    pub looks: Option<Looks>,
    /// Calls wait until it is known whether their process is looked at.
    decided: bool,
    /// What somebody else does at the same HSM, told before the answer of a call goes back.
    pub meanwhile: Option<Meanwhile>,
    /// Every call so far, by name.
    pub calls: Vec<String>,
    /// Every secret that a module was given: the values of created objects.
    pub values: Vec<Vec<u8>>,
}

impl Remote {
    /// Puts the module and the socket before this room's token.
    pub fn before(room: &mut Room) -> Option<Self> {
        let module = remote_module()?;
        let helper = module.with_file_name("byok-remote");
        let socket = room.path(SOCKET);
        let listener = UnixListener::bind(&socket).unwrap();
        room.plan.module = module.display().to_string();
        room.env
            .push(("BYOK_REMOTE_SOCKET".into(), socket.display().to_string()));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let remote = Self { seen };
        let real = room.module.clone();
        let env: Vec<(String, String)> = room.env.clone();
        let serving = remote.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut command = Command::new(&helper);
                command.arg(&real).envs(env.iter().cloned());
                let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
                let serving = serving.clone();
                std::thread::spawn(move || serving.relay(stream, child.unwrap()));
            }
        });
        Some(remote)
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this process is looked at in every call.
    pub fn look_at(&self, pid: i32, transcript: PathBuf) {
        let mut seen = self.seen();
        seen.looks = Some(Looks::new(pid, transcript));
        seen.decided = true;
    }

    /// Nobody is looked at.
    pub fn look_at_nobody(&self) {
        self.seen().decided = true;
    }

    /// A look now, while it waits for people.
    pub fn look(&self, when: &str) {
        if let Some(looks) = &mut self.seen().looks {
            looks.look(when);
        }
    }

    fn relay(&self, mut stream: UnixStream, mut helper: Child) {
        let mut to = helper.stdin.take().unwrap();
        let mut from = helper.stdout.take().unwrap();
        while let Some(question) = frame(&mut stream) {
            while !self.seen().decided {
                std::thread::sleep(Duration::from_millis(1));
            }
            to.write_all(&question).unwrap();
            let answer = frame(&mut from).expect("the helper ended");
            {
                let mut seen = self.seen();
                let name = seen.note(&question[4..]);
                if let Some(meanwhile) = &mut seen.meanwhile {
                    meanwhile(&name);
                }
                if let Some(looks) = &mut seen.looks {
                    looks.look(&name);
                }
            }
            if stream.write_all(&answer).is_err() {
                break;
            }
        }
        drop(to);
        let _ = helper.wait();
    }
}

impl Seen {
    /// Notes the call and the secrets that it carries; returns its name and number.
    fn note(&mut self, question: &[u8]) -> String {
        let mut rest = question;
        let name = String::from_utf8(sized(&mut rest).unwrap().to_vec()).unwrap();
        if name == "C_CreateObject" {
            number(&mut rest).unwrap(); // the session
            for _ in 0..number(&mut rest).unwrap() {
                const CKA_VALUE: u64 = 0x11;
                let kind = number(&mut rest).unwrap();
                let value = sized(&mut rest).unwrap().to_vec();
                if kind == CKA_VALUE {
                    self.values.push(value);
                }
            }
        }
        self.calls.push(name.clone());
        let count = self.calls.iter().filter(|call| **call == name).count();
        format!("{name} {count}")
    }
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let (number, rest) = from.split_at_checked(8)?;
    *from = rest;
    Some(u64::from_ne_bytes(number.try_into().ok()?))
}

fn sized<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = number(from)?;
    let len = if len == u64::MAX { 0 } else { len };
    let (bytes, rest) = from.split_at_checked(usize::try_from(len).ok()?)?;
    *from = rest;
    Some(bytes)
}

/// A length and so many bytes; `None` at the end.
fn frame(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    match from.read_exact(&mut len) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return None,
        Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
        read => read.unwrap(),
    }
    let mut frame = vec![0; 4 + u32::from_ne_bytes(len) as usize];
    frame[..4].copy_from_slice(&len);
    from.read_exact(&mut frame[4..]).unwrap();
    Some(frame)
}
