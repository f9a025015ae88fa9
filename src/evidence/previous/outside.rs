//! What keeps a data key alive outside the HSM: the shares that were dealt, and the packages that they open.

use super::{Dealt, Previous};

/// A form, a package, or things that are not known one by one.
pub(crate) struct Outside {
    /// Its description in the question to people.
    pub what: String,
    /// The ceremony that dealt it, if it is known.
    pub ceremony: Option<String>,
}

/// All of them, as far as the records say: each form of the shares in use, and one line for the shares they replaced.
pub(crate) fn outside(previous: Option<&Previous>) -> Vec<Outside> {
    let sets = previous.map_or(&[][..], |previous| &previous.sets);
    let mut things: Vec<Outside> = sets.first().map(in_use).unwrap_or_default();
    things.extend(sets.iter().skip(1).map(replaced));
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

/// The old shares still open the old package.
fn replaced(dealt: &Dealt) -> Outside {
    Outside {
        what: format!(
            "every one of the {} share forms of ceremony {}, which newer ones replaced, and every copy of its package",
            dealt.shares.len(),
            dealt.ceremony
        ),
        ceremony: Some(dealt.ceremony.clone()),
    }
}

/// What the approval screen and the paper say about it.
pub(crate) fn told(previous: Option<&Previous>) -> String {
    match outside(previous).len() {
        0 => "the records name no shares and no package, so byok asks for none".to_owned(),
        1 => "byok asks for each share form and package, in 1 question".to_owned(),
        n => format!("byok asks for each share form and package, in {n} questions"),
    }
}
