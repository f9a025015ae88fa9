//! Who gets shares: the command line says it, or byok asks at a terminal. It is never decided in silence.

use std::collections::BTreeSet;

use super::notes;
use crate::crypto::escrow::Policy;
use crate::crypto::escrow::slip39::MOST_SHARES;
use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Result};
use crate::paper::plan::Notes;
use crate::plan::{self, Deliver, EscrowPlan, Kind, Plan};

/// One share alone would be the key itself.
const FEWEST_SHARES: usize = 2;

/// What the command line says about the escrow.
#[derive(Default)]
pub(crate) struct EscrowWish {
    /// Names with commas between them.
    pub custodians: Option<String>,
    /// How many of them are needed.
    pub threshold: Option<u8>,
    /// Nobody gets a share.
    pub none: bool,
    /// Why the shares of a recovery stay in use.
    pub reuse: Option<String>,
}

/// What a person at a terminal is asked, with whoever has the shares in use.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    New,
    Recovery(Option<&'a Policy>),
    NewShares(Option<&'a Policy>),
}

/// Who asks it; if nobody is there, the answer is open.
pub(super) type Ask = fn(Question) -> Result<Escrow>;

/// What is decided about the escrow.
pub(super) enum Escrow {
    /// New shares.
    Deal(Policy),
    /// New shares for those who have shares: nobody was there to be asked.
    AsBefore(Policy),
    /// The shares that a recovery opens stay in use, for this reason.
    Reuse(String),
    /// No shares, as somebody said.
    Without,
    /// Nobody was there to be asked.
    Open,
}

impl Escrow {
    /// The escrow of a `generate`.
    pub(super) fn of_new(wish: &EscrowWish, ask: Ask) -> Result<Self> {
        if wish.none {
            return Ok(Self::Without);
        }
        match of_flags(wish)? {
            Some(deal) => Ok(deal),
            None => ask(Question::New),
        }
    }

    /// The escrow of a `recover`: new shares, or a reason why the old ones stay.
    pub(super) fn of_recovery(wish: &EscrowWish, previous: &Previous, ask: Ask) -> Result<Self> {
        if let Some(reason) = &wish.reuse {
            return Ok(Self::Reuse(reason.clone()));
        }
        if let Some(deal) = of_flags(wish)? {
            return Ok(deal);
        }
        let before = previous.in_use().map(|dealt| &dealt.policy);
        ask(Question::Recovery(before))
    }

    /// New shares: for those who are named, otherwise for those who have the shares in use, to be edited.
    pub(super) fn of_new_shares(wish: &EscrowWish, previous: &Previous, ask: Ask) -> Result<Self> {
        let Some(dealt) = previous.in_use() else {
            let what = "that record dealt no shares, nor did an earlier record that was found";
            return Err(match previous.is_whole {
                true => Error::usage(what)
                    .hint("for a first escrow, add [escrow] to a plan by --reimport"),
                false => Error::usage(what).hint(
                    "name the record that dealt the shares in use, or put it beside that one",
                ),
            });
        };
        let decided = match of_flags(wish)? {
            Some(deal) => deal,
            None => ask(Question::NewShares(Some(&dealt.policy)))?,
        };
        Ok(match decided {
            Self::Deal(_) | Self::AsBefore(_) => decided,
            _ => Self::AsBefore(dealt.policy.clone()),
        })
    }

    /// What was decided, into the plan; shares that are dealt are handed out like this.
    pub(super) fn decide(&self, plan: &mut Plan, deliver: Deliver, notes: &mut Notes) {
        match self {
            Self::Deal(policy) | Self::AsBefore(policy) => {
                plan.escrow = Some(EscrowPlan {
                    policy: policy.clone(),
                    deliver,
                });
            }
            Self::Reuse(reason) => plan.reuse_escrow = Some(reason.clone()),
            Self::Without => notes.above("escrow", notes::NO_ESCROW),
            Self::Open => notes.above("escrow", notes::NO_ESCROW_YET),
        }
        match self {
            Self::AsBefore(policy) => {
                let first = match policy.is_grouped() {
                    true => "escrow.groups_threshold",
                    false => "escrow.threshold",
                };
                notes.above(first, "as before: change what changed");
            }
            Self::Open if plan.kind == Kind::Recover => notes.above("reuse_escrow", notes::REUSE),
            _ => {}
        }
    }

    /// Whether somebody must be told that nothing was decided.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

fn of_flags(wish: &EscrowWish) -> Result<Option<Escrow>> {
    let (Some(names), Some(threshold)) = (&wish.custodians, wish.threshold) else {
        return Ok(None);
    };
    let custodians = split(names);
    can_be(&custodians).map_err(|why| Error::usage(format!("--custodians: {why}")))?;
    let policy = any_of(threshold, &custodians);
    let policy = policy.map_err(|why| Error::usage(format!("--threshold: {why}")))?;
    Ok(Some(Escrow::Deal(policy)))
}

pub(super) fn split(names: &str) -> Vec<String> {
    let names = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Whether each of them can have a share under that name.
pub(super) fn can_be(custodians: &[String]) -> Result<(), String> {
    if let Some(name) = custodians.iter().find(|name| name.contains(';')) {
        return Err(format!("put commas between the names, not {name:?}"));
    }
    if let Some(name) = custodians.iter().find(|name| !plan::is_name(name)) {
        return Err(format!(
            "{name:?} cannot be a name: at most 40 printable characters, without / and \\, no full stop first"
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(name) = custodians
        .iter()
        .find(|name| !seen.insert(name.to_lowercase()))
    {
        return Err(format!(
            "{name:?} is there twice: each custodian needs a different name"
        ));
    }
    match (FEWEST_SHARES..=MOST_SHARES.into()).contains(&custodians.len()) {
        true => Ok(()),
        false => Err(format!(
            "give {FEWEST_SHARES} to {MOST_SHARES} custodians, each by name"
        )),
    }
}

/// Any so many of them.
pub(super) fn any_of(threshold: u8, custodians: &[String]) -> Result<Policy, String> {
    let range = format!("give a number from {FEWEST_SHARES} to {}", custodians.len());
    Policy::any(threshold, custodians.to_vec()).map_err(|_| range)
}
