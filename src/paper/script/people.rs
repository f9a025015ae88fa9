//! Who comes, what they bring, and which bag holds what.

use super::Script;
use crate::paper::html::{Html, Sheet, p, tag, tasks};
use crate::plan::{Deliver, Kind};

pub(super) fn sheet(script: &Script) -> Sheet {
    Sheet::new("who, where, what to bring")
        .with_places(
            [
                tag("h1", "Who is in the room"),
                p("Everybody writes their own name, shows an identity card to the others, and signs, with the \
                    initials that they use on the next pages. A deputy signs in the row of the person they \
                    stand for, and the operator says so at the roll call (step 2). Nobody is two of operator, \
                    custodian and witness."),
            ],
            &["role", "name of who is present", "identity seen by", "signature", "initials"],
            roles(script),
        )
        .with([
            tag("h1", "Where"),
            tasks(vec![
                "A room that can be locked, without windows onto a screen, without cameras.".into(),
                "Telephones, watches that compute, and cameras stay outside.".into(),
                "One table for the screen that only one person can see; another for the paper.".into(),
                "Nobody enters or leaves between steps 1 and 13; if somebody must, it is an exception.".into(),
            ]),
        ])
        .with([tag("h1", "What to bring"), tasks(things(script))])
        .with_places(
            [
                tag("h1", "Tamper-evident bags"),
                p("The number is printed on the bag. Whoever closes or opens one writes it here, and another \
                    person compares."),
            ],
            &["what is in it", "bag number before", "intact", "bag number after", "initials"],
            bags(script),
        )
}

/// Everybody who is in the room, a row each.
pub(super) fn roles(script: &Script) -> Vec<Vec<Html>> {
    let mut roles = vec!["operator (a security officer), at the keyboard".to_owned()];
    if script.pin_in_halves() {
        roles.push("first half of the PIN".to_owned());
        roles.push("second half of the PIN".to_owned());
    } else {
        roles.push("holder of the PIN, if another".to_owned());
    }
    if script.imports() > 0 {
        roles.push("carrier of the slip, not of the stick".to_owned());
    }
    roles.extend(custodians(script));
    roles.extend(script.plan.witness_places());
    roles.into_iter().map(|role| vec![role.into()]).collect()
}

/// Who is handed a share, or brings one.
fn custodians(script: &Script) -> Vec<String> {
    let mut names: Vec<String> = script
        .custodians()
        .iter()
        .enumerate()
        .map(|(at, name)| format!("custodian of share {}: {name}", at + 1))
        .collect();
    let brings = matches!(script.plan.kind, Kind::Recover | Kind::Destroy);
    for share in script
        .previous
        .filter(|_| brings)
        .iter()
        .flat_map(|previous| previous.shares_in_use())
    {
        names.push(format!(
            "brings share {} of those in use: {}",
            share.number, share.custodian
        ));
    }
    names
}

fn things(script: &Script) -> Vec<Html> {
    let plan = script.plan;
    let mut things: Vec<String> = vec![
        "The offline computer, freshly started, with byok on it; its power supply.".into(),
        "The HSM with its cables, in its bag; the PIN, sealed, with whoever holds it.".into(),
        format!(
            "{} and this script, printed for each person who compares.",
            script.plan_name()
        ),
        "Pens that do not smear, a stapler, a clock that shows UTC.".into(),
        "Two new sticks for copies of the record.".into(),
    ];
    if script.imports() > 0 {
        things.push("The stick with the import parameters (the folder inputs), in its bag.".into());
        things.push("The slip of the online side, signed, in another person's pocket.".into());
        things.push("One more stick, for the cloud operator.".into());
    }
    if plan.previous.is_some() {
        things
            .push("A copy of the record before, and the signed paper with its head digest.".into());
    }
    match plan.kind {
        Kind::Recover => {
            things.push(
                "The share forms of a quorum, each in its bag, brought by its custodian.".into(),
            );
            things.push("The escrow package: in the record, or its printed page.".into());
        }
        Kind::Destroy => {
            things.push("Every share form, every copy of the package, a shredder.".into());
        }
        Kind::Generate | Kind::Reimport => {}
    }
    if let Some(escrow) = &plan.escrow {
        let count = escrow.custodians.len();
        things.push(format!(
            "{count} share forms (at the end of this script), {count} envelopes."
        ));
        if let Deliver::Files(directory) = &escrow.deliver {
            things.push(format!(
                "One stick for each custodian: the plan writes shares as files in {}.",
                script.relative(directory)
            ));
        }
        things.push(
            "Three places for the escrow package; a printer without a network, if there is one."
                .into(),
        );
    }
    things.push(format!(
        "New tamper-evident bags: {}, one for each row of the table below{}.",
        bags(script).len(),
        match plan.kind {
            Kind::Recover => ", and one for each share form that is brought",
            _ => "",
        }
    ));
    things.into_iter().map(Html::from).collect()
}

fn bags(script: &Script) -> Vec<Vec<Html>> {
    let mut bags = vec![
        "HSM".to_owned(),
        "record, copy 1".to_owned(),
        "record, copy 2".to_owned(),
    ];
    if script.imports() > 0 {
        bags.insert(1, "stick with import parameters".to_owned());
        bags.push("stick for the cloud operator".to_owned());
    }
    if script.plan.escrow.is_some() {
        bags.extend((1..=3).map(|n| format!("escrow package, place {n}")));
    }
    bags.extend(
        script
            .custodians()
            .iter()
            .enumerate()
            .map(|(at, name)| format!("share {}, {name}", at + 1)),
    );
    bags.into_iter().map(|bag| vec![bag.into()]).collect()
}
