//! Step 2: who is there. Every custodian and every witness of the plan, or a deputy, by name; in a recovery
//! the custodians of the shares too, of whom a quorum is enough.

use std::collections::BTreeMap;

use super::{Ceremony, Error, Result, Step, transcript, two_sided, words};
use crate::ceremony::screens;
use crate::evidence::previous::Previous;
use crate::evidence::transcript::{Present, Vouched};
use crate::plan::{Plan, ShareSource};

/// A place at the ceremony, and who has it.
struct Seat {
    place: Place,
    /// `None`: nobody.
    name: Option<String>,
}

/// What the place is.
enum Place {
    Keyboard,
    /// Of the plan: somebody must sit there.
    OfPlan(&'static str, String),
    /// Of a custodian who has a share already: a quorum of them is enough.
    OfQuorum(String),
}

impl Ceremony<'_> {
    /// Step 2. Nobody is asked in an unattended run. The transcript has only what was confirmed.
    pub(super) fn roll_call(&mut self) -> Result<()> {
        self.begin(Step::RollCall)?;
        let seats = self.call_everybody()?;
        let operator = seats.first().and_then(|keyboard| keyboard.name.clone());
        self.desk.present = seats.iter().filter_map(Seat::present).collect();
        self.desk.absent = seats.iter().filter_map(Seat::absent).collect();
        self.ledger.append(transcript::RollCall {
            operator: operator.unwrap_or_else(|| "not asked".to_owned()),
            present: self.desk.present.clone(),
        })?;
        held_twice(&seats)
            .iter()
            .try_for_each(|what| self.note(what))?; // accepted at the list
        self.anchor_previous()
    }

    /// Nobody, in a run that asks nobody.
    fn call_everybody(&mut self) -> Result<Vec<Seat>> {
        let Some(operator) = self.name_of_who_is_here(&Place::Keyboard.question())? else {
            return Ok(Vec::new());
        };
        let mut seats = vec![Seat::taken(Place::Keyboard, operator)];
        seats.extend(places(self.plan(), self.previous()).map(Seat::empty));
        for at in 1..seats.len() {
            self.call(&mut seats, at)?;
        }
        self.correct(&mut seats)?;
        Ok(seats)
    }

    /// Asks who is in one seat. `absent` must be typed again if the ceremony cannot be held then.
    fn call(&mut self, seats: &mut [Seat], at: usize) -> Result<()> {
        let may_be_empty = self.is_enough_without(seats, at);
        let seat = &seats[at].place;
        let mut question = seat.question();
        let mut said_absent = false;
        let name = loop {
            let name = self.name_of_who_is_here(&question)?.unwrap_or_default();
            let absent = name.eq_ignore_ascii_case("absent");
            match (absent, seat) {
                (false, _) => break Some(name),
                (true, Place::Keyboard) => question = seat.question(), // whoever types is there
                (true, _) if may_be_empty => break None,
                (true, _) if said_absent => return Err(seat.missing()),
                (true, _) => {
                    said_absent = true;
                    question = seat.absent_question(self.quorum());
                }
            }
        };
        seats[at].name = name;
        Ok(())
    }

    /// How many custodians are a quorum, as far as the record knows.
    fn quorum(&self) -> Option<u8> {
        self.previous()?.threshold_in_use()
    }

    /// Whether enough custodians for a quorum are there, or can be yet, without this one.
    fn is_enough_without(&self, seats: &[Seat], at: usize) -> bool {
        let Place::OfQuorum(_) = seats[at].place else {
            return false;
        };
        let Some(previous) = self.previous() else {
            return false;
        };
        let has_a_share = |seat: &Seat| {
            let mut dealt = previous.shares_in_use().iter();
            dealt.any(|share| seat.place.is_seat_of(&share.custodian))
        };
        let others = seats.iter().enumerate().filter(|(other, seat)| {
            let can_come = seat.name.is_some() || *other > at;
            *other != at && can_come && has_a_share(seat)
        });
        others.count() >= self.quorum().unwrap_or(1).into()
    }

    /// Shows the list, whole after each correction too. A number corrects a name, Enter goes on; a person with several seats needs a `yes`.
    fn correct(&mut self, seats: &mut [Seat]) -> Result<()> {
        self.show_list(seats)?;
        loop {
            let twice = held_twice(seats);
            for what in &twice {
                self.desk.say(&screens::fold(&format!("{what}."), " "));
            }
            let (question, goes_on, numbers) = match twice[..] {
                [] => (GOES_ON, "", "The numbers are"),
                _ => (TWICE, "yes", "Type yes, or a number from"),
            };
            let answer = self.ask(question)?.map(|text| text.to_ascii_lowercase());
            match answer.as_deref() {
                None => return Ok(()),
                Some(answer) if answer == goes_on => return Ok(()),
                Some("no") => self.show_list(seats)?,
                Some(number) => match number.parse::<usize>() {
                    Ok(number) if (1..=seats.len()).contains(&number) => {
                        self.call(seats, number - 1)?;
                        self.show_list(seats)?;
                    }
                    _ => {
                        let said = format!(" {numbers} 1 to {}.\n", seats.len());
                        self.desk.say(&said);
                    }
                },
            }
        }
    }

    fn show_list(&mut self, seats: &[Seat]) -> Result<()> {
        let list: String = (1..).zip(seats).map(|(n, seat)| seat.listed(n)).collect();
        self.show_in_pages(&format!("\n{list}"))
    }

    /// `None`: nobody is asked.
    fn name_of_who_is_here(&mut self, question: &str) -> Result<Option<String>> {
        loop {
            match self.ask(question)? {
                None => return Ok(None),
                Some(name) if name.is_empty() => self
                    .desk
                    .say(" Nothing was typed: whoever is there has a name.\n"),
                Some(name) if !words::is_printable(&name) => {
                    self.desk.say(screens::UNPRINTABLE);
                }
                Some(name) => return Ok(Some(name)),
            }
        }
    }

    /// `Audit (Grace Hopper)`, if the roll call says who sits there.
    pub(super) fn with_name(&self, seat: &str) -> String {
        match self.who_sits_at(seat) {
            Some(name) if !name.eq_ignore_ascii_case(seat) => format!("{seat} ({name})"),
            _ => seat.to_owned(),
        }
    }

    /// Who sits in the custodians' seats.
    pub(super) fn custodians_here(&self) -> impl Iterator<Item = &str> {
        let present = self.desk.present.iter();
        let seats = present.filter(|present| present.role == CUSTODIAN);
        seats.map(|present| present.name.as_str())
    }

    fn who_sits_at(&self, custodian: &str) -> Option<&str> {
        let mut present = self.desk.present.iter();
        let seat = present.find(|p| p.role == CUSTODIAN && p.seat.eq_ignore_ascii_case(custodian));
        seat.map(|seat| seat.name.as_str())
    }

    /// Notes a share that was typed neither by its custodian nor by whoever sits in that seat.
    pub(super) fn typed_by_another(&self, dealt_to: &str, who: &str) -> Option<String> {
        let is_custodian = who.eq_ignore_ascii_case(dealt_to);
        match self.who_sits_at(dealt_to) {
            Some(name) if is_custodian || name.eq_ignore_ascii_case(who) => None,
            None if is_custodian => self.desk.absent.iter().any(|seat| seat == dealt_to).then(|| {
                format!("the share of {dealt_to} was typed, and nobody was there for {dealt_to} at the roll call")
            }),
            _ => Some(format!(
                "the share of {} was typed by {who}",
                self.with_name(dealt_to)
            )),
        }
    }

    /// What vouches for the previous record: the plan's `previous_head`, or rows typed from paper.
    fn anchor_previous(&mut self) -> Result<()> {
        let Some(previous) = self.previous() else {
            return Ok(());
        };
        if self.plan().previous_head.is_some() {
            return Ok(());
        }
        if two_sided::previous_head(
            previous,
            self.desk.operator,
            &mut self.ledger.wrong_answers(),
        )? {
            self.basis.anchor = Vouched::Paper;
            return Ok(());
        }
        let told = match &self.basis.anchor {
            Vouched::Nothing => {
                "the previous record has no anchor: nothing from outside it vouches for it"
                    .to_owned()
            }
            other => format!(
                "nobody typed rows of the previous record's head digest; what vouches for its data keys: {}",
                other.told()
            ),
        };
        self.note(&told)
    }
}

const CUSTODIAN: &str = "custodian";

const GOES_ON: &str = " A number corrects a name, Enter goes on: ";
const TWICE: &str = " Type yes to go on; it is recorded. A number corrects a name: ";

impl Seat {
    fn empty(place: Place) -> Self {
        Self { place, name: None }
    }

    fn taken(place: Place, name: String) -> Self {
        let name = Some(name);
        Self { place, name }
    }

    /// For the transcript.
    fn present(&self) -> Option<Present> {
        let (role, seat) = self.place.role_and_seat()?;
        Some(Present {
            role: role.into(),
            seat: seat.to_owned(),
            name: self.name.clone()?,
        })
    }

    /// The seat that nobody has.
    fn absent(&self) -> Option<String> {
        let (_, seat) = self.place.role_and_seat()?;
        self.name.is_none().then(|| seat.to_owned())
    }

    /// A line of the list.
    fn listed(&self, number: usize) -> String {
        let name = self.name.as_deref().unwrap_or("absent");
        let text = format!("{}: {name}", self.place.told());
        let folded = screens::fold(&text, "      ");
        format!("  {number:>2}  {}", folded.trim_start())
    }
}

impl Place {
    fn role_and_seat(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Keyboard => None,
            Self::OfPlan(role, seat) => Some((role, seat)),
            Self::OfQuorum(seat) => Some((CUSTODIAN, seat)),
        }
    }

    fn is_seat_of(&self, custodian: &str) -> bool {
        self.role_and_seat()
            .is_some_and(|(role, seat)| role == CUSTODIAN && seat == custodian)
    }

    /// `custodian Audit`
    fn told(&self) -> String {
        match self.role_and_seat() {
            Some((role, seat)) => format!("{role} {seat}"),
            None => "at the keyboard".to_owned(),
        }
    }

    /// On one line if there is room for it.
    fn question(&self) -> String {
        if let Self::Keyboard = self {
            return " Who is at the keyboard? Name: ".to_owned();
        }
        const ASKS: &str = "who is here? Name, or absent: ";
        let seat = crate::ground::words::capitalised(&format!("{}:", self.told()));
        let folded = screens::fold(&format!("{seat} {ASKS}"), " ");
        match folded.lines().count() {
            1 => format!(" {seat} {ASKS}"),
            _ => format!("{} {ASKS}", screens::fold(&seat, " ")),
        }
    }

    fn absent_question(&self, quorum: Option<u8>) -> String {
        let told = match self {
            Self::OfQuorum(_) => format!(
                "Without the {} too few are there for a quorum{}, and the ceremony ends here; nothing is lost.",
                self.told(),
                quorum.map_or(String::new(), |count| format!(" of {count}")),
            ),
            _ => format!(
                "Nobody is there for the {}? The ceremony then ends here; nothing is lost.",
                self.told()
            ),
        };
        screens::fold(&told, " ") + " Type absent again to end it, or the name of who is here: "
    }

    fn missing(&self) -> Error {
        Error::declined(format!("the {} is missing", self.told()))
            .hint("nothing is lost: run the same command again when everybody is there, or a deputy for them")
            .hint("a deputy gives their own name at the roll call; the plan stays as it is")
    }
}

/// The seats that the plan names, in its order, and of a recovery those whose shares are typed.
fn places<'a>(plan: &'a Plan, previous: Option<&'a Previous>) -> impl Iterator<Item = Place> {
    let new = plan.escrow.iter().flat_map(|escrow| &escrow.custodians);
    let new: Vec<Place> = new
        .map(|seat| Place::OfPlan(CUSTODIAN, seat.clone()))
        .collect();
    let typed = plan
        .recover
        .as_ref()
        .is_some_and(|recover| recover.shares == ShareSource::Typed);
    let dealt = previous.filter(|_| typed).map(Previous::shares_in_use);
    let is_new = |seat: &str| new.iter().any(|place| place.is_seat_of(seat));
    let old: Vec<Place> = dealt
        .into_iter()
        .flatten()
        .filter(|share| !is_new(&share.custodian))
        .map(|share| Place::OfQuorum(share.custodian.clone()))
        .collect();
    let witnesses = plan.witnesses.iter();
    let witnesses = witnesses.map(|seat| Place::OfPlan("witness", seat.clone()));
    let witnesses: Vec<Place> = witnesses.collect();
    new.into_iter().chain(old).chain(witnesses)
}

/// One person in two seats defeats the purpose of several people; it is accepted by name, or not at all.
fn held_twice(seats: &[Seat]) -> Vec<String> {
    let mut held: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for seat in seats {
        if let Some(name) = &seat.name {
            let of_name = held.entry(name.to_lowercase());
            let of_name = of_name.or_insert_with(|| (name.clone(), Vec::new()));
            of_name.1.push(seat.place.told());
        }
    }
    held.into_values()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name} holds {} seats: {}", places.len(), places.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sits(role: &'static str, seat: &str, name: &str) -> Seat {
        Seat::taken(Place::OfPlan(role, seat.into()), name.into())
    }

    #[test]
    fn a_person_in_two_seats_is_named_with_both() {
        let seats = [
            Seat::taken(Place::Keyboard, "Ada Lovelace".into()),
            sits("custodian", "Audit", "Grace Hopper"),
            sits("custodian", "Legal", "ada lovelace"),
            sits("witness", "Internal audit", "grace hopper"),
        ];
        assert_eq!(
            held_twice(&seats),
            [
                "Ada Lovelace holds 2 seats: at the keyboard, custodian Legal",
                "Grace Hopper holds 2 seats: custodian Audit, witness Internal audit",
            ]
        );
        assert!(held_twice(&seats[..2]).is_empty());
        let empty = Seat::empty(Place::OfQuorum("Treasury".into()));
        assert!(held_twice(&[empty, Seat::empty(Place::OfQuorum("Legal".into()))]).is_empty());
    }
}
