//! Who is in the room, and signs.

use super::{Named, Script, eight_rows, html, name_of};
use crate::ground::anchor::{FROM_PAPER, TYPE_ROWS};
use crate::paper::html::{Html, rows_to_fill};
use crate::paper::script::practice_box;
use crate::paper::template::facts;
use crate::plan::{PinSource, meaning};

facts! {
    /// Who signs.
    SeatFacts {
        practice_box: Html,
        roles: Vec<Named>,
        apart: Html,
        first_witness: Html,
        other_witnesses: Vec<Named>,
        eight_rows: Html,
        three_rows: Html,
        record_name: Html,
        head_from_paper: Html,
        type_rows: Html,
    }
}

impl SeatFacts {
    pub(crate) fn of(script: &Script) -> Self {
        let record = name_of(&script.plan.directory);
        let witnesses = script.plan.witness_places();
        Self {
            apart: html(meaning::apart(script.plan)),
            ..Self::with(script.practice, roles(script), witnesses, record)
        }
    }

    /// For a ceremony that is not known.
    pub(crate) fn blank() -> Self {
        let places: Vec<String> = (1..=4).map(|number| format!("witness {number}")).collect();
        let roles = std::iter::once("operator".to_owned()).chain(places.clone());
        Self::with(false, roles.collect(), places, "RECORD".to_owned())
    }

    fn with(practice: bool, roles: Vec<String>, witnesses: Vec<String>, record: String) -> Self {
        let mut witnesses = witnesses.into_iter();
        let first = witnesses.next();
        Self {
            practice_box: practice_box(practice),
            roles: Named::all(roles),
            apart: Html::default(),
            first_witness: first.unwrap_or_else(|| "witness".to_owned()).into(),
            other_witnesses: Named::all(witnesses),
            eight_rows: eight_rows(),
            three_rows: rows_to_fill(1..=3),
            record_name: record.into(),
            head_from_paper: FROM_PAPER.into(),
            type_rows: TYPE_ROWS.into(),
        }
    }
}

/// Everybody who is in the room.
fn roles(script: &Script) -> Vec<String> {
    let plan = script.plan;
    let mut roles = vec!["operator (a security officer), at the keyboard".to_owned()];
    match plan.hsm.pin {
        PinSource::PromptHalves => {
            roles.extend(meaning::PIN_HALVES.map(String::from));
        }
        _ => roles.push("holder of the PIN, if somebody else".to_owned()),
    }
    if plan.imports().next().is_some() {
        roles.push("carrier of the slip, not of the stick".to_owned());
    }
    let dealt = script.places();
    roles.extend(
        dealt.map(|share| format!("custodian of share {}: {}", share.number, share.told())),
    );
    let brought = script.shares_before();
    roles.extend(brought.map(|share| {
        format!(
            "brings share {} of those in use: {}",
            share.number,
            share.told()
        )
    }));
    roles.extend(plan.witness_places());
    roles
}
