//! What keeps a data key alive outside the HSM: the shares that were dealt, and the packages that they open.

use super::{Dealt, Previous};

/// A form, a package, or what is not known one by one.
pub(crate) struct Outside {
    /// As people are asked for it.
    pub what: String,
    /// The ceremony that dealt it, if it is known.
    pub ceremony: Option<String>,
}

/// All of it, as far as the records tell: of the shares in use each form, of those that they replaced a line.
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

/// What the approval and the paper say of it.
pub(crate) fn told(previous: Option<&Previous>) -> String {
    match outside(previous).len() {
        0 => "the records tell of no shares and no package: none is asked for".to_owned(),
        1 => "each share form and package is asked for, in 1 question".to_owned(),
        n => format!("each share form and package is asked for, in {n} questions"),
    }
}
