//! Who holds what, as a picture for script and report: what together opens the data keys, and what does not.

use crate::crypto::escrow::package;
use crate::crypto::escrow::policy::{Group, Place, Policy};
use crate::evidence::previous::{Previous, not_in_use};
use crate::ground::words;
use crate::paper::html::Html;
use crate::paper::template::{facts, fill};
use crate::plan::{Keep, Kind, PinSource, Plan, Source, meaning};

const PICTURE: &str = include_str!("holders/picture.html");

/// The most names in one box.
const NAMES: usize = 6;

facts! {
    HoldersFacts { ways: Vec<WayFacts>, }
    /// Boxes, and what they open together.
    WayFacts { parts: Vec<PartFacts>, opens: bool, gives: Html, means: Html, }
    PartFacts {
        /// What stands between this box and the one before.
        joined: Html,
        name: Html,
        told: Html,
        /// The shares: a line for each group, if there are groups.
        lines: Vec<LineFacts>,
    }
    LineFacts {
        group: Html,
        /// A dot for each share, black for as many as are needed.
        dots: Vec<DotFacts>,
        width: Html,
        seats: Vec<SeatFacts>,
    }
    DotFacts { x: Html, needed: bool, }
    SeatFacts { number: Html, custodian: Html, }
}

/// Rows of a sheet. `previous`: the record before, if it is at hand; without it, earlier shares are told in general.
/// Nothing for `destroy`: nobody is to hold anything after it.
pub(super) fn picture(plan: &Plan, previous: Option<&Previous>) -> Html {
    if plan.kind == Kind::Destroy {
        return Html::default();
    }
    let mut ways: Vec<WayFacts> = [Keep::Extractable, Keep::Sealed, Keep::None]
        .into_iter()
        .filter_map(|keep| hsm(plan, keep))
        .collect();
    ways.extend(from_elsewhere(plan));
    ways.extend(shares(plan, previous));
    ways.extend(kms(plan));
    fill(PICTURE, &[&HoldersFacts { ways }])
}

/// The data keys that are kept so, if there are any.
fn hsm(plan: &Plan, keep: Keep) -> Option<WayFacts> {
    let keys = plan.keys.iter().filter(|key| key.keep == keep);
    let labels: Vec<&str> = keys.map(|key| key.label.as_str()).collect();
    if labels.is_empty() {
        return None;
    }
    let opens = keep == Keep::Extractable;
    let pin: &[&str] = match plan.hsm.pin {
        _ if !opens => &[],
        PinSource::PromptHalves => &meaning::PIN_HALVES,
        _ => &["the PIN"],
    };
    let parts = ["the HSM token"].iter().chain(pin);
    Some(WayFacts {
        parts: joined("+", parts.map(|name| part(name))),
        opens,
        gives: words::some(&labels, NAMES).into(),
        means: meaning::keep(plan.kind, keep).into(),
    })
}

/// Who else may have the data keys that byok did not make.
fn from_elsewhere(plan: &Plan) -> impl Iterator<Item = WayFacts> {
    let from = |is: fn(&Source) -> bool| -> Vec<&str> {
        let keys = plan.keys.iter().filter(|key| is(&key.source));
        keys.map(|key| key.label.as_str()).collect()
    };
    let file = PartFacts {
        told: "until people remove it and every copy".into(),
        ..part("the file that the data key came from")
    };
    let copy = part("any copy from before this ceremony");
    let files = from(|source| matches!(source, Source::File(_)));
    let tokens = from(|source| matches!(source, Source::Token(_)));
    let ways = [
        (files, file, meaning::IN_A_FILE),
        (tokens, copy, meaning::ALREADY_THERE),
    ];
    let ways = ways.into_iter().filter(|(labels, ..)| !labels.is_empty());
    ways.map(|(labels, part, means)| WayFacts {
        parts: vec![part],
        opens: true,
        gives: words::some(&labels, NAMES).into(),
        means: means.into(),
    })
}

/// All shares, each with their package: those of this ceremony and those from before. Without any, what that means.
fn shares(plan: &Plan, previous: Option<&Previous>) -> Vec<WayFacts> {
    let labels: Vec<&str> = plan.keys.iter().map(|key| key.label.as_str()).collect();
    let dealt = plan.escrow.as_ref().map(|escrow| {
        quorum(
            Set {
                policy: &escrow.policy,
                told: Html::default(),
                of: "of this ceremony".to_owned(),
            },
            &words::some(&labels, NAMES),
            BROUGHT_BACK,
        )
    });
    let mut ways: Vec<WayFacts> = dealt.into_iter().collect();
    if plan.kind != Kind::Generate {
        ways.extend(earlier(plan, previous));
    }
    if ways.is_empty() {
        ways.push(without_shares(plan));
    }
    ways
}

const BROUGHT_BACK: &str = "brought back into this HSM or another one";
const IN_THAT_PACKAGE: &str = "every data key in that package";

/// The shares in use before, and all others unless the records tell that there are none.
fn earlier(plan: &Plan, previous: Option<&Previous>) -> Vec<WayFacts> {
    let in_use = previous.and_then(Previous::in_use);
    let stay = match plan.escrow {
        None => meaning::escrow(plan, |path| path.display().to_string()),
        Some(_) => None,
    };
    let stay = || stay.clone().map_or_else(Html::default, Into::into);
    let drawn = in_use.map(|dealt| {
        let set = Set {
            policy: &dealt.policy,
            told: stay(),
            of: format!("of ceremony {}", words::quoted(&dealt.ceremony)),
        };
        let means = match plan.escrow {
            None => BROUGHT_BACK,
            Some(_) => "until people destroy both",
        };
        quorum(set, IN_THAT_PACKAGE, means)
    });
    let all_known =
        previous.is_some_and(|known| known.is_whole && not_in_use(known).next().is_none());
    let (name, told) = match drawn {
        None => ("a quorum of earlier shares", stay()),
        Some(_) => ("a quorum of other earlier shares", Html::default()),
    };
    let others = (!all_known).then(|| WayFacts {
        parts: joined(
            "+",
            [
                PartFacts { told, ..part(name) },
                package("of the same ceremony"),
            ],
        ),
        opens: true,
        gives: IN_THAT_PACKAGE.into(),
        means: "as far as they exist, until people destroy them".into(),
    });
    drawn.into_iter().chain(others).collect()
}

/// Shares that one ceremony deals or dealt.
struct Set<'a> {
    policy: &'a Policy,
    told: Html,
    /// Of which ceremony the package is.
    of: String,
}

fn quorum(set: Set, gives: &str, means: &str) -> WayFacts {
    let lines = (0..).zip(set.policy.groups());
    let shares = PartFacts {
        lines: lines
            .map(|(at, group)| line(set.policy, at, group))
            .collect(),
        told: set.told,
        ..part(&set.policy.title())
    };
    WayFacts {
        parts: joined("+", [shares, package(&set.of)]),
        opens: true,
        gives: gives.into(),
        means: means.into(),
    }
}

fn line(policy: &Policy, at: u8, group: &Group) -> LineFacts {
    let count = group.custodians.len();
    let dot = |at: usize| DotFacts {
        x: (at * 12 + 6).to_string().into(),
        needed: at < usize::from(group.threshold),
    };
    let seat = |place: Place| SeatFacts {
        number: place.number.to_string().into(),
        custodian: place.custodian.into(),
    };
    let places = policy.places().filter(|place| place.group == at);
    LineFacts {
        group: match policy.is_grouped() {
            true => group.told().into(),
            false => Html::default(),
        },
        dots: (0..count).map(dot).collect(),
        width: (count * 12).to_string().into(),
        seats: places.map(seat).collect(),
    }
}

fn package(of: &str) -> PartFacts {
    PartFacts {
        told: format!("{} {of}", package::JSON_FILE).into(),
        ..part("the escrow package")
    }
}

fn without_shares(plan: &Plan) -> WayFacts {
    let told = meaning::escrow(plan, |path| path.display().to_string());
    let told = told.unwrap_or_else(|| "no ceremony dealt any, as the records tell".to_owned());
    WayFacts {
        parts: vec![part("shares")],
        opens: false,
        gives: Html::default(),
        means: told.into(),
    }
}

/// The KMSs that use the data keys once they are imported.
fn kms(plan: &Plan) -> Option<WayFacts> {
    let mut all: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, import) in plan.imports() {
        let name = format!("{} / {}", key.label, import.name);
        let kms = import.kms_key.kms;
        match all.iter_mut().find(|(known, _)| *known == kms) {
            Some((_, names)) => names.push(name),
            None => all.push((kms, vec![name])),
        }
    }
    let parts = all.iter().map(|(kms, names)| PartFacts {
        told: words::some(names, NAMES).into(),
        ..part(kms)
    });
    (!all.is_empty()).then(|| WayFacts {
        parts: joined("or", parts),
        opens: false,
        gives: Html::default(),
        means:
            "after the import it uses the data key for everyone whom its access rules permit, and \
                gives it back to nobody"
                .into(),
    })
}

fn part(name: &str) -> PartFacts {
    PartFacts {
        joined: Html::default(),
        name: name.into(),
        told: Html::default(),
        lines: Vec::new(),
    }
}

/// With a word before each but the first.
fn joined(word: &str, parts: impl IntoIterator<Item = PartFacts>) -> Vec<PartFacts> {
    let mut parts: Vec<PartFacts> = parts.into_iter().collect();
    for part in parts.iter_mut().skip(1) {
        part.joined = word.into();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::template::{Field as _, tests::*};

    #[test]
    fn the_picture_fits_its_facts() {
        let used = fits(PICTURE, &[&HoldersFacts::example()]);
        let declared = [
            HoldersFacts::NAMES,
            WayFacts::NAMES,
            PartFacts::NAMES,
            LineFacts::NAMES,
            DotFacts::NAMES,
            SeatFacts::NAMES,
        ];
        nothing_is_left_out("src/paper/holders", &[PICTURE], &used, &declared);
    }
}
