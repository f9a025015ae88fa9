//! One custodian types one share, alone before the screen.

use crate::ceremony::before::RECORDERS;
use crate::ceremony::operator::{Interrupted, Operator, Terminal};
use crate::ceremony::screens::{self, Again};
use crate::crypto::escrow::SHARE_WORDS;
use crate::crypto::escrow::slip39::words::{Words, number_of};
use crate::crypto::escrow::slip39::{NotAShare, Share};
use crate::ground::environment;
use crate::ground::error::{Error, Result};
use crate::ground::words;

/// The words as the custodian types them, whether they make a share or not.
///
/// # Errors
/// Exit 5 if others could see what is typed and `recorded` gives no reason; exit 2 without a terminal;
/// exit 1 if the custodian ends it.
pub(super) fn at_terminal(recorded: Option<&str>) -> Result<Words> {
    nobody_else_sees(recorded)?;
    let mut terminal = Terminal::open(Interrupted::watch()?)?
        .ok_or_else(|| {
            Error::usage(
            "a share is typed at a terminal: there is none on standard input and standard error",
        )
        .hint("without people: byok share check --share FILE, for a share that is in a file")
        })?
        .for_check();
    terminal.wipe();
    let typed = type_share(&mut terminal);
    terminal.wipe();
    typed.map_err(|error| {
        error.or_else(
            "no word was kept, and nothing was written",
            "the same command can be given again at any time",
        )
    })
}

fn nobody_else_sees(reason: Option<&str>) -> Result<()> {
    if let Some(reason) = reason {
        if reason.trim().is_empty() || !words::is_printable(reason) {
            return Err(Error::usage(
                "--screen-recorded wants a reason, in printable characters",
            ));
        }
        return Ok(());
    }
    let seen = RECORDERS
        .iter()
        .find(|name| environment::variable(name).is_some());
    match seen {
        Some(name) => Err(Error::machine(format!(
            "the share would be typed on a screen that is sent or kept elsewhere ({name} is set)"
        ))
        .check("SCREEN")
        .hint("check it at the machine's own console, outside SSH, tmux and screen")
        .hint("if your policy allows it, say why: --screen-recorded \"reason\"")),
        None => Ok(()),
    }
}

enum Typed {
    Word(u16),
    Back,
    Stop,
}

/// All 33 words; if they do not make a share, rows are typed again, or the custodian gives up.
fn type_share(operator: &mut dyn Operator) -> Result<Words> {
    operator.ask(
        " ONLY THE CUSTODIAN LOOKS. Everyone else: turn away. No camera on this screen.\n \
         Press Enter when only you look: ",
    )?;
    operator.say(
        "\n Type your 33 words, one word a line; four letters of a word are enough.\n \
         back = the row before     stop = end the check\n\n",
    );
    let mut typed = Words::blank(SHARE_WORDS)?;
    type_rows(operator, &mut typed, 1)?;
    loop {
        let Some(why) = Share::from_words(&typed)
            .err()
            .filter(NotAShare::is_mistyped)
        else {
            return Ok(typed);
        };
        show_mistake(operator, &typed, &why)?;
        if !type_row_again(operator, &mut typed, &why)? {
            return Ok(typed); // the caller judges it as it is
        }
    }
}

/// This row and all after it.
fn type_rows(operator: &mut dyn Operator, typed: &mut Words, from: usize) -> Result<()> {
    let mut row = from;
    while row <= SHARE_WORDS {
        match ask_row(operator, row)? {
            Typed::Word(number) => {
                typed.set(row - 1, number);
                row += 1;
            }
            Typed::Back => {
                row = (row - 1).max(1);
                operator.say(&screens::goes_on_at(row));
            }
            Typed::Stop => return Err(Error::declined("ended at the keyboard")),
        }
    }
    Ok(())
}

/// Shows the row that one changed word would explain, between its neighbours; or which rows it may be.
fn show_mistake(operator: &mut dyn Operator, typed: &Words, why: &NotAShare) -> Result<()> {
    operator.wipe();
    /// The lines below, with the question.
    const BELOW: usize = 6;
    let shown = screens::mistyped(typed, why, operator.window(), BELOW)?;
    operator.show_secret(&shown);
    operator.say(&match screens::one_row(why) {
        Some(row) => format!(
            "\n Look at row {row} on your form, letter by letter, and type it again.\n \
             Nothing is lost.     back = edit any row     stop = end the check\n\n"
        ),
        None => {
            "\n Look at your form. Nothing is lost; only the row that you name is typed again.\n \
             Was a row left out? again 12 = type all rows from 12 on.\n\n"
                .to_owned()
        }
    });
    Ok(())
}

/// One row again: the one that the checksum points to, or one that the custodian names; or all from one on. `false`: the
/// custodian gave up.
fn type_row_again(operator: &mut dyn Operator, typed: &mut Words, why: &NotAShare) -> Result<bool> {
    let mut row = screens::one_row(why);
    loop {
        let asked = match row {
            Some(row) => row,
            None => match row_to_type_again(operator)? {
                Some(Again::Row(row)) => row,
                Some(Again::From(row)) => {
                    operator.wipe();
                    operator.say(&screens::goes_on_at(row));
                    return type_rows(operator, typed, row).map(|()| true);
                }
                None => return Ok(false),
            },
        };
        match ask_row(operator, asked)? {
            Typed::Word(number) => {
                typed.set(asked - 1, number);
                return Ok(true);
            }
            Typed::Back => row = None,
            Typed::Stop => return Ok(false),
        }
    }
}

/// The word of one row.
fn ask_row(operator: &mut dyn Operator, row: usize) -> Result<Typed> {
    loop {
        let word = operator.ask_word(&format!(" {}", screens::row_asked(row)))?;
        let word = word.ok_or_else(|| Error::usage("nobody is there to type a share"))?;
        let word = word.trim_ascii();
        if word.eq_ignore_ascii_case(b"back") {
            return Ok(Typed::Back);
        }
        if word.eq_ignore_ascii_case(b"stop") {
            return Ok(Typed::Stop);
        }
        match number_of(word) {
            Some(number) => return Ok(Typed::Word(number)),
            None => {
                let several = screens::several_words(word, row);
                operator.say(&several.unwrap_or_else(|| {
                    format!(" Row {row}: that is not in the word list; look again.\n")
                }));
            }
        }
    }
}

/// `None`: the custodian gave up.
fn row_to_type_again(operator: &mut dyn Operator) -> Result<Option<Again>> {
    loop {
        let answer =
            operator.ask(" Which row do you type again? (a number, or stop to end the check): ")?;
        match answer.as_deref() {
            None | Some("stop") => return Ok(None),
            Some(answer) => match screens::rows_again(answer) {
                Ok(rows) => return Ok(Some(rows)),
                Err(why) => operator.say(&why),
            },
        }
    }
}
