//! Step 2: who is there. Every custodian and every witness of the plan, or a deputy, by name.

use std::collections::BTreeMap;

use super::{Ceremony, Error, Event, Result, Step, two_sided, words};
use crate::plan::Plan;
use crate::screens;
use crate::transcript::Present;

impl Ceremony<'_> {
    /// Step 2. Nobody is asked in an unattended run.
    pub(super) fn roll_call(&mut self) -> Result<()> {
        self.begin(Step::RollCall)?;
        let operator = self.name_of_who_is_here(" Who is at the keyboard? Name: ")?;
        let mut present = Vec::new();
        if operator.is_some() {
            for (role, seat) in seats(self.plan) {
                present.push(self.call(role, seat)?);
            }
        }
        let operator = operator.unwrap_or_else(|| "not asked".to_owned());
        let twice = held_twice(&operator, &present);
        self.record
            .transcript
            .append(&Event::RollCall { operator, present })?;
        for what in twice {
            self.exception(&what)?;
        }
        self.anchor_previous()
    }

    fn call(&mut self, role: &'static str, seat: &str) -> Result<Present> {
        let question = question(role, seat);
        match self.name_of_who_is_here(&question)? {
            Some(name) if name.eq_ignore_ascii_case("absent") => Err(missing(role, seat)),
            name => Ok(Present {
                role,
                seat: seat.to_owned(),
                name: name.unwrap_or_default(),
            }),
        }
    }

    /// `None`: nobody is asked.
    fn name_of_who_is_here(&mut self, question: &str) -> Result<Option<String>> {
        loop {
            match self.ask(question)? {
                None => return Ok(None),
                Some(name) if name.is_empty() => {}
                Some(name) => return Ok(Some(words::printable(&name))),
            }
        }
    }

    /// What vouches for the previous record: the plan's `previous_head`, or rows typed from paper.
    fn anchor_previous(&mut self) -> Result<()> {
        let Some(previous) = &self.previous else {
            return Ok(());
        };
        if self.plan.previous_head.is_some() {
            return Ok(());
        }
        if let Some(anchor) = two_sided::previous_head(&previous.head, self.operator)? {
            self.anchor = anchor;
            return Ok(());
        }
        let anchor = self.anchor.clone();
        self.note(&format!("the previous record has no anchor: {anchor}"))
    }
}

/// On one line where there is room for it.
fn question(role: &str, seat: &str) -> String {
    const ASKS: &str = "who is here? Name, or absent: ";
    let seat = super::capitalised(&format!("{role} {seat}:"));
    let folded = screens::fold(&format!("{seat} {ASKS}"), " ");
    match folded.lines().count() {
        1 => format!(" {seat} {ASKS}"),
        _ => format!("{} {ASKS}", screens::fold(&seat, " ")),
    }
}

/// The seats that the plan names, in its order.
fn seats(plan: &Plan) -> impl Iterator<Item = (&'static str, &str)> {
    let custodians = plan.escrow.iter().flat_map(|escrow| &escrow.custodians);
    custodians
        .map(|seat| ("custodian", seat.as_str()))
        .chain(plan.witnesses.iter().map(|seat| ("witness", seat.as_str())))
}

/// One person in two seats undoes what several people are for; it is accepted by name, or not at all.
fn held_twice(operator: &str, present: &[Present]) -> Vec<String> {
    let mut seats: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let at_keyboard = ("at the keyboard".to_owned(), operator);
    let others = present
        .iter()
        .map(|p| (format!("{} {}", p.role, p.seat), p.name.as_str()));
    for (seat, name) in std::iter::once(at_keyboard).chain(others) {
        seats.entry(name.to_lowercase()).or_default().push(seat);
    }
    let name = |key: &String| {
        let spelt = present.iter().find(|p| p.name.to_lowercase() == *key);
        spelt.map_or_else(|| operator.to_owned(), |p| p.name.clone())
    };
    seats
        .iter()
        .filter(|(_, seats)| seats.len() > 1)
        .map(|(key, seats)| {
            format!(
                "{} holds {} seats: {}",
                name(key),
                seats.len(),
                seats.join(", ")
            )
        })
        .collect()
}

fn missing(role: &str, seat: &str) -> Error {
    Error::declined(format!("the {role} {seat} is missing"))
        .hint("nothing is lost: hold the ceremony when everybody is there, or a deputy is; run the same command")
        .hint("a deputy takes the seat by name; who else sits there changes nothing in the plan")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sits(role: &'static str, seat: &str, name: &str) -> Present {
        Present {
            role,
            seat: seat.into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_person_in_two_seats_is_named_with_both() {
        let present = [
            sits("custodian", "Audit", "Grace Hopper"),
            sits("custodian", "Legal", "ada lovelace"),
            sits("witness", "Internal audit", "grace hopper"),
        ];
        assert_eq!(
            held_twice("Ada Lovelace", &present),
            [
                "ada lovelace holds 2 seats: at the keyboard, custodian Legal",
                "Grace Hopper holds 2 seats: custodian Audit, witness Internal audit",
            ]
        );
        assert!(held_twice("Ada", &present[..1]).is_empty());
    }
}
