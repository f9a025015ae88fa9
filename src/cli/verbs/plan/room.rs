//! What only the room can add to a plan that is written: which tokens a module shows, and who gets shares.

use std::path::Path;

use super::shares::{Escrow, Question, any_of, can_be, split};
use crate::ceremony::operator::{Interrupted, Operator, Terminal};
use crate::crypto::escrow::Policy;
use crate::evidence::record;
use crate::ground::error::Result;
use crate::ground::text::fold;
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::hsm::Module;
pub(super) use crate::hsm::machine::sandbox::module_variables as variables;
use crate::hsm::machine::sandbox::{self, Wish};

const WITHOUT: &str = "\n Escrow: shares of a key that opens the data keys, on paper with custodians. For\n \
    groups (two of one department and one of another): docs/escrow.md, afterwards.\n \
    Without it a lost HSM is a lost data key, and all that it protects.\n";

const ANEW: &str =
    "\n New shares: the old ones, and the old package, are destroyed once these are\n dealt.\n";

const REUSE: &str = "\n After this recovery the shares that are typed may stay in use, or new ones are\n \
    dealt and the old ones destroyed.\n";

/// The token to name: the one chosen by label or URI, otherwise the one that is `known` if it is there, otherwise the
/// only one.
pub(super) fn choose_token(
    module: &Path,
    wish: Option<&str>,
    known: Option<&TokenUri>,
) -> Result<TokenUri> {
    record::refuse_module_within(module, [])?;
    sandbox::close(&Wish::default())?;
    let module = Module::load(module)?;
    let wish = match wish {
        Some(wish) => TokenUri::parse(wish)?,
        None => TokenUri::default(),
    };
    let known = known.filter(|_| wish == TokenUri::default());
    if let Some(Ok(token)) = known.map(|known| module.find(known)) {
        return Ok(token.uri());
    }
    match module.find(&wish) {
        Ok(token) => Ok(token.uri()),
        Err(e) => Err(e.hint("choose with --token LABEL or --token URI")),
    }
}

/// Asks, if somebody is there.
pub(super) fn ask(question: Question) -> Result<Escrow> {
    let Some(terminal) = Terminal::open(Interrupted::watch()?)? else {
        return Ok(Escrow::Open);
    };
    let operator = &mut terminal.for_verb();
    let (before, otherwise, undecided) = match question {
        Question::New => {
            operator.say(WITHOUT);
            (None, None, Escrow::Without)
        }
        Question::Recovery(before) => {
            operator.say(REUSE);
            let why = " Why they stay in use (Enter: new shares are dealt): ";
            let reason = answer(operator, why)?;
            if !reason.is_empty() {
                return Ok(Escrow::Reuse(reason));
            }
            (before, Some("as before"), Escrow::Open)
        }
        Question::NewShares(before) => {
            operator.say(ANEW);
            (before, Some("as before"), Escrow::Open)
        }
    };
    Ok(ask_custodians(operator, before, otherwise)?.unwrap_or(undecided))
}

/// `None`: nobody was named. `otherwise` says in words what that means; without it, it must be typed, because one Enter too
/// many would leave a data key with one copy.
fn ask_custodians(
    operator: &mut dyn Operator,
    before: Option<&Policy>,
    otherwise: Option<&str>,
) -> Result<Option<Escrow>> {
    if let Some(before) = before {
        operator.say(&fold(&format!("before: {}", before.whole()), " "));
    }
    let custodians = loop {
        let question = match otherwise {
            Some(otherwise) => {
                format!(" Custodians, with commas between them (Enter: {otherwise}): ")
            }
            None => " Custodians, with commas between them, or none for no escrow: ".to_owned(),
        };
        let typed = answer(operator, &question)?;
        match (otherwise, typed.trim()) {
            (None, "") => {
                operator.say(" Type the names, or none.\n");
                continue;
            }
            (None, none) if none.eq_ignore_ascii_case("none") => return Ok(None),
            _ => {}
        }
        let named = split(&typed);
        let named = match (named.is_empty(), before) {
            (false, _) => named,
            (true, None) => return Ok(None),
            // who is asked for names alone cannot say groups anew
            (true, Some(before)) if before.is_grouped() => {
                return Ok(Some(Escrow::AsBefore(before.clone())));
            }
            (true, Some(before)) => before.custodians(),
        };
        match can_be(&named) {
            Ok(()) => break named,
            Err(why) => operator.say(&fold(&format!("{}.", words::capitalised(&why)), " ")),
        }
    };
    let question = format!(" How many of these {} are needed: ", custodians.len());
    loop {
        let typed = answer(operator, &question)?;
        match typed
            .parse()
            .map_err(|_| "a number, please".to_owned())
            .and_then(|typed| any_of(typed, &custodians))
        {
            Ok(policy) => return Ok(Some(Escrow::Deal(policy))),
            Err(why) => operator.say(&format!(" {why}\n")),
        }
    }
}

fn answer(operator: &mut dyn Operator, question: &str) -> Result<String> {
    let typed = operator.ask(question)?.unwrap_or_default();
    Ok(typed.trim().to_owned()) // what cannot be shown is refused as a name, and as a reason by the plan
}
