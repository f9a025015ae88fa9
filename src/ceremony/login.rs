//! Logging in: one C_Login for each PIN that a person types, never a PIN tried twice.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::hsm::{Hsm, Login, TriesLeft};
use crate::locked::Locked;
use crate::operator::Operator;
use crate::plan::PinSource;

/// The longest PIN that is read from a file or descriptor, in bytes, with its line end.
const LONGEST_PIN: usize = 1024;

/// Logs in as the plan says. Returns how many C_Login it took.
///
/// # Errors
/// Exit 3: wrong PIN from a file, PIN locked, PIN pad refused. Exit 2: PIN file unreadable. Exit 1:
/// a person gave up.
pub fn log_in(hsm: &Hsm, source: &PinSource, operator: &mut dyn Operator) -> Result<u32> {
    match source {
        PinSource::Prompt | PinSource::PromptHalves => log_in_typed(hsm, source, operator),
        PinSource::File(path) => log_in_once(
            hsm,
            Some(&read_file(path)?),
            &format!("the PIN in {}", path.display()),
        ),
        PinSource::Descriptor(fd) => log_in_once(
            hsm,
            Some(&read_descriptor(*fd)?),
            &format!("the PIN from descriptor {fd}"),
        ),
        PinSource::PinPad => {
            operator.say(" Type the PIN on the HSM's own PIN pad now.\n");
            log_in_once(hsm, None, "the PIN typed on the PIN pad")
        }
    }
}

/// Unattended there is one try: a second could lock the token with nobody there to see it.
fn log_in_once(hsm: &Hsm, pin: Option<&Locked>, what: &str) -> Result<u32> {
    if hsm.tries_left()? == TriesLeft::Last {
        return Err(Error::hsm(
            "the token's next wrong PIN locks it, and nobody is there to confirm the try",
        )
        .hint("log in once with the right PIN at a terminal (pin = \"prompt\")"));
    }
    match hsm.login(pin)? {
        Login::Done => Ok(1),
        Login::WrongPin(left) => Err(wrong_pin(what)
            .hint(spoken(left))
            .hint("it was tried once; correct it and run again")),
    }
}

fn log_in_typed(hsm: &Hsm, source: &PinSource, operator: &mut dyn Operator) -> Result<u32> {
    let mut logins = 0;
    loop {
        confirm_last_try(hsm, operator)?;
        let Some(pin) = type_pin(source, hsm, operator)? else {
            return Err(Error::usage("nobody is there to type the PIN").hint(
                "without people, `pin` in the plan, or --pin, is file:PATH, fd:N or pinpad",
            ));
        };
        if pin.is_empty() {
            operator.say(" Nothing was typed, nothing was tried.\n");
            continue;
        }
        logins += 1;
        match hsm.login(Some(&pin))? {
            Login::Done => return Ok(logins),
            Login::WrongPin(TriesLeft::Locked) => {
                return Err(wrong_pin("the PIN typed").hint(spoken(TriesLeft::Locked)));
            }
            Login::WrongPin(left) => operator.say(&format!(
                " That PIN was wrong. {}.\n Ctrl-C, then STOP, ends the ceremony.\n",
                super::capitalised(spoken(left))
            )),
        }
    }
}

/// Before the try that may lock the token, somebody types LAST.
fn confirm_last_try(hsm: &Hsm, operator: &mut dyn Operator) -> Result<()> {
    match hsm.tries_left()? {
        TriesLeft::Locked => {
            Err(Error::hsm("the token's PIN is locked").hint(spoken(TriesLeft::Locked)))
        }
        TriesLeft::Last => {
            let question = " THE NEXT WRONG PIN LOCKS THE TOKEN.\n Type LAST to try once more, anything else to stop: ";
            match operator.decide(question)? {
                Some(answer) if answer == "LAST" => Ok(()),
                _ => Err(Error::declined("stopped before the last PIN try")
                    .hint("the token is not locked; find the right PIN, then run again")),
            }
        }
        TriesLeft::Low | TriesLeft::NotSaid => Ok(()),
    }
}

fn type_pin(source: &PinSource, hsm: &Hsm, operator: &mut dyn Operator) -> Result<Option<Locked>> {
    if *source != PinSource::PromptHalves {
        return operator.ask_secret(&format!(
            " PIN of the HSM token {:?} (nothing is shown while you type): ",
            hsm.token().token
        ));
    }
    let first = operator.ask_secret(" First person: your half of the PIN (nothing is shown): ")?;
    let second =
        operator.ask_secret(" Second person: your half of the PIN (nothing is shown): ")?;
    let (Some(first), Some(second)) = (first, second) else {
        return Ok(None);
    };
    let mut whole = Locked::zeroed(first.len() + second.len())?;
    let (left, right) = whole.split_at_mut(first.len());
    left.copy_from_slice(&first);
    right.copy_from_slice(&second);
    Ok(Some(whole))
}

fn read_file(path: &Path) -> Result<Locked> {
    let cannot = |e: std::io::Error| Error::usage(format!("the PIN file {}: {e}", path.display()));
    // O_NONBLOCK so that a FIFO without a writer is refused instead of waited for.
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        options.read(true),
        rustix::fs::OFlags::NONBLOCK.bits() as i32,
    );
    let mut file = options.open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(Error::usage(format!(
            "the PIN file {} is not a regular file",
            path.display()
        ))
        .hint("for a pipe, use fd:N"));
    }
    read_pin(&mut file, &format!("the PIN file {}", path.display()))
}

fn read_descriptor(fd: i32) -> Result<Locked> {
    // Through /proc the descriptor is opened anew and safely; a closed one is simply not there.
    let path = format!("/proc/self/fd/{fd}");
    let mut file = File::open(path).map_err(|e| {
        Error::usage(format!("the PIN from descriptor {fd}: {e}")).hint("run with, say, 3<pin.txt")
    })?;
    read_pin(&mut file, &format!("the PIN from descriptor {fd}"))
}

/// Reads straight into locked memory and drops one trailing LF or CRLF.
fn read_pin(from: &mut impl Read, what: &str) -> Result<Locked> {
    let mut buffer = Locked::zeroed(LONGEST_PIN)?;
    let mut len = 0;
    loop {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::usage(format!("{what}: {e}"))),
        }
    }
    let line = &buffer[..len];
    let pin = line
        .strip_suffix(b"\n")
        .map_or(line, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    let pin_len = pin.len();
    if pin_len == 0 || len == LONGEST_PIN {
        return Err(Error::usage(format!(
            "{what} is empty or longer than {} bytes",
            LONGEST_PIN - 1
        )));
    }
    buffer.truncated(pin_len)
}

fn wrong_pin(what: &str) -> Error {
    Error::hsm(format!(
        "logging in: C_Login: CKR_PIN_INCORRECT: {what} is wrong"
    ))
    .check("PIN")
}

fn spoken(left: TriesLeft) -> &'static str {
    match left {
        TriesLeft::NotSaid => "the token does not say how many tries are left",
        TriesLeft::Low => "the token says that few tries are left",
        TriesLeft::Last => "the token says that ONE try is left; the next wrong PIN locks it",
        TriesLeft::Locked => "the token's PIN is locked now; the HSM's security officer resets it",
    }
}
