//! Logging in: one C_Login for each PIN that a person types, never a PIN tried twice.

use super::operator::{Interrupted, NOTHING_LEFT, Operator, Terminal, Unattended};
use super::pin::{self, NotAPin};
use super::screens;
use super::wrong::{Asked, Wrong, not_recorded};
use crate::crypto::locked::Locked;
use crate::ground::error::{Error, Exit, Result};
use crate::hsm::{Hsm, Login, TriesLeft};
use crate::plan::PinSource;

/// Logs in as the plan says. Returns how many C_Login it took; `wrong` is called for each wrong PIN.
///
/// # Errors
/// Exit 3: wrong PIN from a file, PIN locked, PIN pad refused. Exit 2: PIN file unreadable. Exit 1:
/// a person gave up.
pub(crate) fn log_in(
    hsm: &Hsm,
    source: &PinSource,
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<u32> {
    match source {
        PinSource::Prompt | PinSource::PromptHalves => log_in_typed(hsm, source, operator, wrong),
        PinSource::File(path) => log_in_once(
            hsm,
            Some(&pin::read_file(path)?),
            &format!("the PIN in {}", path.display()),
            wrong,
        ),
        PinSource::Descriptor(fd) => log_in_once(
            hsm,
            Some(&pin::read_descriptor(*fd)?),
            &format!("the PIN from descriptor {fd}"),
            wrong,
        ),
        PinSource::PinPad => {
            operator.say(" Type the PIN on the HSM's own PIN pad now.\n");
            log_in_once(hsm, None, "the PIN typed on the PIN pad", wrong)
        }
    }
}

/// Logs in for a verb that leaves nothing behind: whoever types the PIN can end a login that hangs.
///
/// # Errors
/// As [`log_in`].
pub(crate) fn for_verb(hsm: &Hsm, pin: &PinSource, interrupted: &Interrupted) -> Result<u32> {
    let mut operator: Box<dyn Operator> = match Terminal::open(interrupted.clone())? {
        Some(terminal) => Box::new(terminal.for_verb()),
        None => Box::new(Unattended::new(interrupted.clone())),
    };
    operator.look_after_calls(NOTHING_LEFT)?;
    let logged_in = log_in(hsm, pin, operator.as_mut(), &mut not_recorded);
    logged_in.map_err(|error| match error.exit {
        Exit::Declined => error.or_else(
            "nothing was written, and nothing was made in the HSM",
            "the same command can be given again at any time",
        ),
        _ => error,
    })
}

/// An unattended run has one try: a second could lock the token with nobody there to see it.
fn log_in_once(hsm: &Hsm, pin: Option<&Locked>, what: &str, wrong: Wrong) -> Result<u32> {
    if hsm.tries_left()? == TriesLeft::Last {
        return Err(Error::hsm(
            "the token's next wrong PIN locks it, and nobody is there to confirm the try",
        )
        .hint("log in once with the right PIN at a terminal (pin = \"prompt\")"));
    }
    match hsm.login(pin)? {
        Login::Done => Ok(1),
        Login::WrongPin(left) => {
            wrong(Asked::Pin)?;
            Err(wrong_pin(what)
                .hint(spoken(left))
                .hint("it was tried once; correct it and run again"))
        }
    }
}

fn log_in_typed(
    hsm: &Hsm,
    source: &PinSource,
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<u32> {
    let mut logins = 0;
    loop {
        confirm_last_try(hsm, operator)?;
        let Some(pin) = type_pin(source, hsm, operator)? else {
            return Err(Error::usage("nobody is there to type the PIN").hint(
                "without people, `pin` in the plan, or --pin, is file:PATH, fd:N or pinpad",
            ));
        };
        match pin::judge(&pin) {
            Ok(_) => {}
            Err(NotAPin::Empty) => {
                operator.say(" Nothing was typed, so nothing was tried.\n");
                continue;
            }
            Err(why) => {
                let why = format!("Nothing was tried: {why}. Type it again.");
                operator.say(&screens::fold(&why, " "));
                continue;
            }
        }
        logins += 1;
        let Login::WrongPin(left) = hsm.login(Some(&pin))? else {
            return Ok(logins);
        };
        wrong(Asked::Pin)?;
        if left == TriesLeft::Locked {
            return Err(wrong_pin("the PIN typed").hint(spoken(left)));
        }
        operator.say(&format!(
            " That PIN was wrong. {}.\n Ctrl-C, then STOP, ends it here.\n",
            crate::ground::words::capitalised(spoken(left))
        ));
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
    if first.is_empty() || second.is_empty() {
        return Locked::zeroed(0).map(Some); // one half is not a PIN of two people
    }
    let mut whole = Locked::zeroed(first.len() + second.len())?;
    let (left, right) = whole.split_at_mut(first.len());
    left.copy_from_slice(&first);
    right.copy_from_slice(&second);
    Ok(Some(whole))
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
