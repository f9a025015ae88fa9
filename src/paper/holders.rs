//! Who holds what, as a picture for script and report: what together opens the data keys, and what does not.

use crate::crypto::escrow::package;
use crate::evidence::previous::Dealt;
use crate::ground::words;
use crate::paper::html::Html;
use crate::paper::template::{facts, fill};
use crate::plan::{Keep, Kind, PinSource, Plan, meaning};

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
        /// A dot for each share, black for as many as are needed.
        dots: Vec<DotFacts>,
        width: Html,
        seats: Vec<SeatFacts>,
    }
    DotFacts { x: Html, needed: bool, }
    SeatFacts { number: Html, custodian: Html, }
}

/// Rows of a sheet. `in_use`: the shares of an earlier ceremony, as far as they are known; they count if the plan deals no
/// others. Nothing for `destroy`: nobody is to hold anything after it.
pub(super) fn picture(plan: &Plan, in_use: Option<&Dealt>) -> Html {
    if plan.kind == Kind::Destroy {
        return Html::default();
    }
    let mut ways: Vec<WayFacts> = [Keep::Extractable, Keep::Sealed, Keep::None]
        .into_iter()
        .filter_map(|keep| hsm(plan, keep))
        .collect();
    ways.push(shares(plan, in_use));
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

/// The shares and their package; without shares, what that means.
fn shares(plan: &Plan, in_use: Option<&Dealt>) -> WayFacts {
    let labels: Vec<&str> = plan.keys.iter().map(|key| key.label.as_str()).collect();
    let (threshold, custodians, labels, of) = match (&plan.escrow, in_use) {
        (Some(escrow), _) => (
            usize::from(escrow.threshold),
            escrow.custodians.clone(),
            words::some(&labels, NAMES),
            "of this ceremony".to_owned(),
        ),
        (None, Some(dealt)) => (
            usize::from(dealt.threshold),
            dealt.custodians(),
            "every data key in that package".to_owned(),
            format!("of ceremony {}", words::quoted(&dealt.ceremony)),
        ),
        (None, None) => return without_shares(plan),
    };
    let count = custodians.len();
    let dot = |at: usize| DotFacts {
        x: (at * 12 + 6).to_string().into(),
        needed: at < threshold,
    };
    let seat = |(at, custodian): (usize, String)| SeatFacts {
        number: (at + 1).to_string().into(),
        custodian: custodian.into(),
    };
    let shares = PartFacts {
        dots: (0..count).map(dot).collect(),
        width: (count * 12).to_string().into(),
        seats: custodians.into_iter().enumerate().map(seat).collect(),
        ..part(&format!("any {threshold} of {count} shares"))
    };
    let package = PartFacts {
        told: format!("{} {of}", package::JSON_FILE).into(),
        ..part("the escrow package")
    };
    WayFacts {
        parts: joined("+", [shares, package]),
        opens: true,
        gives: labels.into(),
        means: "brought back into this HSM or another one".into(),
    }
}

fn without_shares(plan: &Plan) -> WayFacts {
    let told = meaning::escrow(plan, |path| path.display().to_string());
    let told = told.unwrap_or_else(|| {
        "this ceremony deals none; earlier records tell whether others are in use".to_owned()
    });
    WayFacts {
        parts: joined("+", [part("shares")]),
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
        let kms = import.kms_key.kms();
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
        dots: Vec::new(),
        width: Html::default(),
        seats: Vec::new(),
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
            DotFacts::NAMES,
            SeatFacts::NAMES,
        ];
        nothing_is_left_out("src/paper/holders", &[PICTURE], &used, &declared);
    }
}
