//! A run under strace: what it asks the system to change, and what comes of it when that is its last
//! call, or is refused.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use super::{Room, skip, wait_for};

/// Calls that change what a disk holds, or make it last. The state of a disk is the same at every call
/// between two of these.
const CHANGING: [&str; 27] = [
    "open",
    "openat",
    "creat",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fchmod",
    "fchmodat",
    "copy_file_range",
];

/// One call of a run.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name, such as `openat`.
    pub name: String,
    /// Which of the calls of that name it is, from 1.
    pub number: usize,
    /// As strace shows it; descriptors carry their paths.
    pub line: String,
}

impl Call {
    /// `write:12`, to name it by.
    pub fn place(&self) -> String {
        format!("{}:{}", self.name, self.number)
    }

    /// What is between the first two quotation marks.
    pub fn path(&self) -> &str {
        self.line.split('"').nth(1).unwrap_or_default()
    }

    /// The path that strace adds to the first descriptor.
    pub fn file(&self) -> &str {
        let after = self.line.split_once('<').map_or("", |(_, after)| after);
        after.split_once('>').map_or("", |(path, _)| path)
    }
}

/// Whether byok can be traced here; says so where it cannot.
pub fn is_here(room: &Room) -> bool {
    let tried = room
        .run_under(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none"])
        .arg("--version")
        .output();
    match tried {
        Ok(output) if output.status.code() != Some(1) => true,
        Ok(output) => {
            skip(&format!(
                "strace traces nothing here: {}",
                super::stderr(&output)
            ));
            false
        }
        Err(e) => {
            skip(&format!("strace: {e}"));
            false
        }
    }
}

/// `byok run` of this room under strace, with this injection, `CALL:WHAT:when=N`.
pub fn run(room: &Room, inject: Option<&str>) -> Command {
    run_through(room, inject, &[], &[])
}

/// The same where `before` starts strace and `after` starts byok; both give way by `exec`.
pub fn run_through(room: &Room, inject: Option<&str>, before: &[&str], after: &[&str]) -> Command {
    let calls: Vec<String> = CHANGING.iter().map(|name| format!("?{name}")).collect();
    let trace = format!("trace={}", calls.join(","));
    let out = room.path("trace").display().to_string();
    let inject = inject.map(|inject| format!("inject={inject}"));
    let mut way = before.to_vec();
    way.extend([
        "strace",
        "-f",
        "-qq",
        "-y",
        "-s",
        "200",
        "-e",
        "signal=SIGSTOP",
        "-o",
        &out,
    ]);
    way.extend(["-e", &trace]);
    if let Some(inject) = &inject {
        way.extend(["-e", inject]);
    }
    way.extend(after);
    room.run_under(&way)
}

/// A run that stands still before this call; the deed is done meanwhile, then it goes on to its end.
pub fn stopped_at(room: &Room, call: &Call, deed: impl FnOnce()) -> Output {
    stopped_through(room, call, &[], &[], deed)
}

/// The same, started as [`run_through`] says.
pub fn stopped_through(
    room: &Room,
    call: &Call,
    before: &[&str],
    after: &[&str],
    deed: impl FnOnce(),
) -> Output {
    let inject = format!("{}:signal=SIGSTOP:when={}", call.name, call.number);
    let mut run = run_through(room, Some(&inject), before, after);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    let trace = || fs::read_to_string(room.path("trace")).unwrap_or_default();
    wait_for(|| trace().contains("stopped by SIGSTOP") || child.try_wait().unwrap().is_some());
    deed();
    if let Some(traced) = traced_by(child.id()) {
        rustix::process::kill_process(traced, rustix::process::Signal::CONT).unwrap();
    }
    child.wait_with_output().unwrap()
}

/// The byok among the children of strace.
fn traced_by(strace: u32) -> Option<rustix::process::Pid> {
    let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).ok()?;
    let is_byok = |pid: &&str| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "byok"
    };
    let pid = children.split_whitespace().find(is_byok)?;
    rustix::process::Pid::from_raw(pid.parse().ok()?)
}

/// The call that writes the last line of this event into the transcript.
pub fn line_of<'a>(calls: &'a [Call], event: &str) -> &'a Call {
    let written = format!("\\\"event\\\":\\\"{event}\\\"");
    let found = calls
        .iter()
        .rfind(|call| call.name == "write" && call.line.contains(&written));
    found.unwrap_or_else(|| panic!("{event} is never written"))
}

/// The calls of the run that was traced last.
pub fn calls(room: &Room) -> Vec<Call> {
    let trace = fs::read_to_string(room.path("trace")).unwrap();
    let mut calls: Vec<Call> = Vec::new();
    for line in trace.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((name, _)) = line.split_once('(') else {
            continue; // a signal
        };
        let earlier = calls.iter().filter(|call| call.name == name);
        calls.push(Call {
            name: name.to_owned(),
            number: earlier.count() + 1,
            line: line.to_owned(),
        });
    }
    calls
}

/// Those of them that change something in this room.
pub fn changes(room: &Room, calls: &[Call]) -> Vec<Call> {
    let here = room.dir.path().display().to_string();
    let mut opened: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for call in calls {
        let is_here = call.file().starts_with(&here)
            || call.path().starts_with(&here)
            || (call.line.contains('"') && !call.path().starts_with('/') && call.name != "write");
        let changes = match call.name.as_str() {
            "open" | "openat" => {
                let makes = call.line.contains("O_CREAT") && !opened.contains(&call.path());
                opened.push(call.path());
                makes
            }
            _ => true,
        };
        if is_here && changes {
            found.push(call.clone());
        }
    }
    found
}

/// Whether the traced program died of SIGKILL.
pub fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}
