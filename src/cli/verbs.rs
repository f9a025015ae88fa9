//! The verbs of the command line, one file each: what each prints, and where.

use crate::ground::error::{Error, Result};
use crate::ground::window::Window;
use crate::ground::{environment, out, paint};

mod check;
#[cfg(feature = "room")]
mod doctor;
mod due;
mod inspect;
mod materials;
mod misplaced;
mod plan;
mod receipt;
#[cfg(feature = "room")]
mod rehearse;
#[cfg(feature = "room")]
mod run;
mod script;
#[cfg(feature = "room")]
mod share;
mod verify;
mod version;

#[cfg(feature = "room")]
use crate::hsm::machine::medium::is_here as on_medium;
pub(crate) use check::check;
pub(crate) use due::{Days, DueWish, due};
pub(crate) use inspect::inspect;
pub(crate) use misplaced::{Place, Thing, misplaced};
pub(crate) use plan::{BuildsOn, EscrowWish, PlanWish, write_plan};
pub(crate) use receipt::receipt;
pub(crate) use script::{blank as blank_forms, script};
pub(crate) use verify::{Anchors, verify};
pub(crate) use version::version;
#[cfg(feature = "room")]
pub(crate) use {
    doctor::{HsmPlace, doctor, leftovers},
    rehearse::rehearse,
    run::run,
    share::{ShareWish, share_check},
};

/// What a program without HSM, operator and rehearsal says if it is asked for one of them.
#[cfg(not(feature = "room"))]
pub(crate) fn without_room(verb: &str) -> Error {
    Error::usage(format!(
        "{verb}: this byok was built without the room: use the other one"
    ))
    .hint("this one verifies, takes receipts, inspects, prints scripts, and writes and checks plans without an HSM")
}

/// Whether this computer runs from byok's medium. The auditor's program is not on it.
#[cfg(not(feature = "room"))]
fn on_medium() -> bool {
    false
}

/// Compact JSON on one line of standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string(value).map_err(|e| Error::machine(format!("writing JSON: {e}")))?;
    print(&format!("{}\n", crate::ground::words::json(&text)))
}

/// Whether standard output is read by people.
fn is_for_people() -> bool {
    use std::io::IsTerminal as _;
    out::descriptor().is_terminal()
}

/// Text for people: a program gets the lines as they are, a person gets them folded.
fn print_lines(text: &str) -> Result<()> {
    match window() {
        Some(window) => print(&window.lines(text)),
        None => print(text),
    }
}

/// The window that text for people is folded for: the terminal, or what COLUMNS says about the one behind a pipe.
fn window() -> Option<Window> {
    if is_for_people() {
        return Some(Window::of(&out::descriptor()));
    }
    let told = environment::variable("COLUMNS")?;
    let columns = told.to_str()?.parse().ok().filter(|columns| *columns > 0)?;
    Some(Window {
        columns,
        ..Window::USUAL
    })
}

/// Standard output. A reader that went away, such as `head`, has read what it wanted: that is not an error.
fn print(text: &str) -> Result<()> {
    match out::write(paint::shown(text, is_for_people()).as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(cannot_print),
    }
}

fn cannot_print(error: std::io::Error) -> Error {
    Error::machine(format!("writing to standard output: {error}"))
}

/// A remark on standard error; if nobody reads it any more, the work goes on.
fn remark(text: &str) {
    use std::io::{IsTerminal as _, Write as _};
    let line = format!("{}\n", crate::ground::words::printable(text));
    let shown = match std::io::stderr().is_terminal() {
        true => Window::of(&std::io::stderr()).lines(&line),
        false => line,
    };
    let _ = std::io::stderr().write_all(shown.as_bytes());
}

/// Refuses a name that is taken before anything is done for what will be written there.
#[cfg(feature = "room")]
fn is_new(out: &std::path::Path) -> Result<()> {
    match out.symlink_metadata() {
        Ok(_) => Err(not_written(out, rustix::io::Errno::EXIST.into())),
        Err(_) => Ok(()),
    }
}

/// The new file that `--out` names.
fn write_out(out: &std::path::Path, text: &str) -> Result<()> {
    crate::ground::files::write_new(out, text.as_bytes()).map_err(|e| not_written(out, e))
}

fn not_written(out: &std::path::Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    let what = format!("writing {}: {error}", out.display());
    match error.kind() {
        ErrorKind::AlreadyExists => Error::usage(what)
            .hint("give another name, or move that file away first; no file is overwritten"),
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::usage(what),
        _ => Error::machine(what).state("no file was written"),
    }
}
