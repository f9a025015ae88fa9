//! What keeps a data key alive outside the HSM that it ends in: the shares that were dealt, the packages that they open,
//! and other HSMs.

use super::{Dealt, LeftIn, Previous};
use crate::ground::words;
use crate::plan::Plan;

/// A form, a package, another HSM, or things that are not known one by one.
pub(crate) struct Outside {
    /// Its description in the question to people.
    pub what: String,
    /// The ceremony that dealt it, if it is known.
    pub ceremony: Option<String>,
}

/// All of them, as far as the records say: each form of the shares in use, one line for the shares they replaced and for
/// those of each record that the plan does not build on, and each other HSM.
pub(crate) fn outside(plan: &Plan, previous: Option<&Previous>) -> Vec<Outside> {
    let sets = previous.map_or(&[][..], |previous| &previous.sets);
    let mut things: Vec<Outside> = sets.first().map(in_use).unwrap_or_default();
    things.extend(previous.into_iter().flat_map(not_in_use).map(all_of));
    things.extend(previous.map_or_else(Vec::new, |previous| other_hsms(plan, previous)));
    if !previous.is_some_and(|previous| previous.is_whole) {
        things.push(Outside {
            what:
                "every other share form and escrow package of ceremonies whose records are not here"
                    .to_owned(),
            ceremony: None,
        });
    }
    things
}

fn in_use(dealt: &Dealt) -> Vec<Outside> {
    let of = |what| Outside {
        what,
        ceremony: Some(dealt.ceremony.clone()),
    };
    let shares = dealt.shares.iter();
    let forms =
        shares.map(|share| format!("the form of share {}, {}", share.number, share.custodian));
    let package = "every copy of escrow-package.json and its printed page".to_owned();
    forms.chain([package]).map(of).collect()
}

/// Shares that are not in use, and why: they still open the package of their ceremony.
pub(crate) fn not_in_use(previous: &Previous) -> impl Iterator<Item = (&Dealt, &'static str)> {
    let replaced = previous.sets.iter().skip(1);
    let replaced = replaced.map(|dealt| (dealt, "which newer ones replaced"));
    let branches = previous.sets_of_branches.iter();
    replaced.chain(branches.map(|dealt| (dealt, "on which this plan does not build")))
}

fn all_of((dealt, why): (&Dealt, &str)) -> Outside {
    Outside {
        what: format!(
            "every one of the {} share forms of ceremony {}, {why}, and every copy of its package",
            dealt.shares.len(),
            words::quoted(&dealt.ceremony)
        ),
        ceremony: Some(dealt.ceremony.clone()),
    }
}

/// The copies in other tokens than the plan's, each token once. A plan may name its token by the label alone: then the
/// newest of that label is meant.
fn other_hsms(plan: &Plan, previous: &Previous) -> Vec<Outside> {
    let uri = &plan.hsm.token;
    let own = previous.tokens.iter().find(|left| uri.names(&left.token));
    let mut seen: Vec<_> = own.map(LeftIn::names).into_iter().collect();
    let mut others = Vec::new();
    for left in &previous.tokens {
        if !seen.contains(&left.names()) {
            seen.push(left.names());
            others.push(in_other_hsm(left));
        }
    }
    others
}

fn in_other_hsm(left: &LeftIn) -> Outside {
    Outside {
        what: format!(
            "the copy in the other HSM (token {}, serial {})",
            words::quoted(&left.token.token),
            words::quoted(&left.token.serial)
        ),
        ceremony: Some(left.ceremony.clone()),
    }
}

/// What the approval screen and the paper say about it.
pub(crate) fn told(plan: &Plan, previous: Option<&Previous>) -> String {
    match outside(plan, previous).len() {
        0 => "the records name no shares, no package and no other HSM, so byok asks for none"
            .to_owned(),
        1 => "byok asks for each share form, package and other HSM, in 1 question".to_owned(),
        n => format!("byok asks for each share form, package and other HSM, in {n} questions"),
    }
}
