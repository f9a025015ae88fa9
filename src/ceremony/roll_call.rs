//! Step 2: who is there. Every custodian and every witness of the plan, or a deputy, by name; in a recovery
//! the custodians of the shares too, of whom a quorum is enough.

use std::collections::BTreeMap;

use super::{Ceremony, Error, Result, Step, transcript, two_sided, words};
use crate::ceremony::screens;
use crate::crypto::escrow::Policy;
use crate::evidence::previous::Previous;
use crate::evidence::transcript::{Present, Vouched};
use crate::plan::roles::Role;
use crate::plan::{Plan, ShareSource};

/// A place at the ceremony, and who has it.
pub(super) struct Seat {
    place: Place,
    /// `None`: nobody.
    name: Option<String>,
}

/// What the place is.
#[derive(Clone)]
enum Place {
    Keyboard,
    /// Somebody must sit there.
    Custodian {
        seat: String,
        group: Option<String>,
    },
    /// Of a custodian who has a share already: a quorum of them is enough.
    OfQuorum {
        seat: String,
        group: Option<String>,
    },
    /// Somebody must sit there.
    Witness(String),
}

impl Ceremony<'_> {
    /// Step 2. Nobody is asked in an unattended run. The transcript has only what was confirmed.
    pub(super) fn roll_call(&mut self) -> Result<()> {
        self.begin(Step::RollCall)?;
        let (seats, reason) = self.call_everybody()?;
        let operator = seats.first().and_then(|keyboard| keyboard.name.clone());
        self.ledger.append(transcript::RollCall {
            operator: operator.unwrap_or_else(|| "not asked".to_owned()),
            present: seats.iter().filter_map(Seat::present).collect(),
        })?;
        for twice in held_twice(&seats) {
            let because = match &reason {
                Some(reason) => because(&self.kept(&twice.roles), reason),
                None => String::new(),
            };
            self.note(&format!("{}{because}", twice.told()))?; // accepted at the list
        }
        self.desk.seats = seats;
        self.anchor_previous()
    }

    /// Nobody, in a run that asks nobody. With a reason, if people hold seats that the plan keeps apart.
    fn call_everybody(&mut self) -> Result<(Vec<Seat>, Option<String>)> {
        let Some(operator) = self.name_of_who_is_here(&Place::Keyboard.question())? else {
            return Ok((Vec::new(), None));
        };
        let mut seats = vec![Seat::taken(Place::Keyboard, operator)];
        seats.extend(places(self.plan(), self.previous()).map(Seat::empty));
        for at in 1..seats.len() {
            self.call(&mut seats, at)?;
        }
        let reason = self.correct(&mut seats)?;
        Ok((seats, reason))
    }

    /// The pairs of the plan that somebody with all of these seats holds together.
    fn kept(&self, roles: &[Role]) -> Vec<&'static str> {
        let pairs = self.plan().apart.iter();
        let kept = pairs.filter(|pair| {
            (1..).zip(roles).any(|(next, one)| {
                let mut others = roles.iter().skip(next);
                others.any(|other| pair.keeps(*one, *other))
            })
        });
        kept.map(|pair| pair.name()).collect()
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

    /// Which shares are a quorum, as far as the record knows.
    fn quorum(&self) -> Option<&Policy> {
        Some(&self.previous()?.in_use()?.policy)
    }

    /// Whether enough custodians for a quorum are there, or can be yet, without this one.
    fn is_enough_without(&self, seats: &[Seat], at: usize) -> bool {
        let (Place::OfQuorum { .. }, Some(quorum)) = (&seats[at].place, self.quorum()) else {
            return false;
        };
        quorum.is_met_by(|custodian| {
            let mut others = seats.iter().enumerate();
            others.any(|(other, seat)| {
                let can_come = seat.name.is_some() || other > at;
                other != at && can_come && seat.place.is_seat_of(custodian)
            })
        })
    }

    /// Shows the list, whole after each correction too. A number corrects a name, Enter goes on; a person with several
    /// seats needs a `yes`, and where the plan keeps these seats apart, a reason, which is returned.
    fn correct(&mut self, seats: &mut [Seat]) -> Result<Option<String>> {
        self.show_list(seats)?;
        loop {
            let twice = held_twice(seats);
            let mut apart = false;
            for twice in &twice {
                let kept = self.kept(&twice.roles);
                apart |= !kept.is_empty();
                let told = format!("{}.{}", twice.told(), never_one_person(&kept));
                self.desk.say(&screens::fold(&told, " "));
            }
            let (question, numbers) = match (&twice[..], apart) {
                ([], _) => (GOES_ON, "The numbers are"),
                (_, false) => (TWICE, "Type yes, or a number from"),
                (_, true) => (APART, "Type because and the reason, or a number from"),
            };
            let Some(answer) = self.ask(question)? else {
                return Ok(None);
            };
            if apart && let Some(reason) = self.reason_in(&answer) {
                return Ok(Some(reason));
            }
            match answer.to_ascii_lowercase().as_str() {
                "" if twice.is_empty() => return Ok(None),
                "yes" if !twice.is_empty() && !apart => return Ok(None),
                "no" => self.show_list(seats)?,
                number => match number.parse::<usize>() {
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

    /// The reason in `because …`; says what is wrong with it.
    fn reason_in(&mut self, answer: &str) -> Option<String> {
        let (because, reason) = answer.split_once(' ')?;
        if !because.eq_ignore_ascii_case("because") {
            return None;
        }
        let reason = crate::plan::raw::reason("it", reason.trim());
        if let Err(why) = &reason {
            let said = screens::fold(&format!("{}.", why.what), " ");
            self.desk.say(&said);
        }
        reason.ok()
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
        let seats = self.desk.seats.iter();
        let seats = seats.filter(|seat| matches!(seat.place.role(), Role::Custodian(_)));
        seats.filter_map(|seat| seat.name.as_deref())
    }

    fn seat_of(&self, custodian: &str) -> Option<&Seat> {
        let mut seats = self.desk.seats.iter();
        seats.find(|seat| seat.place.is_seat_of(custodian))
    }

    fn who_sits_at(&self, custodian: &str) -> Option<&str> {
        self.seat_of(custodian)?.name.as_deref()
    }

    /// What to record of a share that was typed neither by its custodian nor by whoever sits in that seat.
    fn typed_by_another(&self, dealt_to: &str, who: &str) -> Option<String> {
        let is_custodian = who.eq_ignore_ascii_case(dealt_to);
        match self.who_sits_at(dealt_to) {
            Some(name) if is_custodian || name.eq_ignore_ascii_case(who) => None,
            None if is_custodian => self.seat_of(dealt_to).map(|_| {
                format!("the share of {dealt_to} was typed, and nobody was there for {dealt_to} at the roll call")
            }),
            _ => Some(format!(
                "the share of {} was typed by {who}",
                self.with_name(dealt_to)
            )),
        }
    }

    /// The pairs of seats that the plan keeps apart, and that whoever typed another's share has together now.
    fn kept_with_share(&self, dealt_to: &str, who: &str) -> Vec<&'static str> {
        let of_share = self.seat_of(dealt_to).map(|seat| seat.place.role());
        let who = as_one(self.who_sits_at(who).unwrap_or(who));
        let is_theirs = |seat: &&Seat| {
            let name = seat.name.as_deref().map(as_one);
            name.as_ref() == Some(&who) && !seat.place.is_seat_of(dealt_to)
        };
        let theirs = self.desk.seats.iter().filter(is_theirs);
        let theirs = theirs.map(|seat| seat.place.role()).chain(of_share);
        self.kept(&theirs.collect::<Vec<_>>())
    }

    /// Whether a share may stay that another person typed: that is recorded, and where the plan keeps their seats apart,
    /// it needs a reason.
    pub(super) fn may_be_typed_by(&mut self, dealt_to: &str, who: &str) -> Result<bool> {
        let Some(mut told) = self.typed_by_another(dealt_to, who) else {
            return Ok(true);
        };
        let kept = self.kept_with_share(dealt_to, who);
        if !kept.is_empty() {
            let said = format!("{}.{}", words::capitalised(&told), never_one_person(&kept));
            self.desk.say(&screens::fold(&said, " "));
            let reason = loop {
                let answer = self.ask(APART_FROM_SHARE)?.unwrap_or_default();
                if answer.eq_ignore_ascii_case("aside") {
                    return Ok(false);
                }
                if let Some(reason) = self.reason_in(&answer) {
                    break reason;
                }
                self.desk.say(" Type because and the reason, or aside.\n");
            };
            told += &because(&kept, &reason);
        }
        self.note(&told)?;
        let place = self.seat_of(dealt_to).map(|seat| seat.place.clone());
        let now = place.map(|place| Seat::taken(place, who.to_owned()));
        self.desk.seats.extend(now);
        Ok(true)
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
const WITNESS: &str = "witness";

const GOES_ON: &str = " A number corrects a name, Enter goes on: ";
const TWICE: &str = " Type yes to go on; it is recorded. A number corrects a name: ";
const APART_FROM_SHARE: &str =
    " To take this share, type because and the reason. aside puts it aside: ";
const APART: &str = " A number corrects a name. To go on, type because and the reason: ";

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
            Self::Custodian { seat, .. } | Self::OfQuorum { seat, .. } => Some((CUSTODIAN, seat)),
            Self::Witness(seat) => Some((WITNESS, seat)),
        }
    }

    fn role(&self) -> Role<'_> {
        match self {
            Self::Keyboard => Role::Operator,
            Self::Custodian { group, .. } | Self::OfQuorum { group, .. } => {
                Role::Custodian(group.as_deref())
            }
            Self::Witness(_) => Role::Witness,
        }
    }

    fn is_seat_of(&self, custodian: &str) -> bool {
        self.role_and_seat()
            .is_some_and(|(role, seat)| role == CUSTODIAN && seat.eq_ignore_ascii_case(custodian))
    }

    /// `custodian Audit`, or `custodian Dora, group Audit`
    fn told(&self) -> String {
        match (self.role_and_seat(), self.role()) {
            (Some((role, seat)), Role::Custodian(Some(group))) => {
                format!("{role} {seat}, group {group}")
            }
            (Some((role, seat)), _) => format!("{role} {seat}"),
            (None, _) => "at the keyboard".to_owned(),
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

    fn absent_question(&self, quorum: Option<&Policy>) -> String {
        let told = match self {
            Self::OfQuorum { .. } => format!(
                "Without the {} too few are there for a quorum{}, and the ceremony ends here; nothing is lost.",
                self.told(),
                quorum.map_or(String::new(), |policy| format!(" ({})", policy.shares())),
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
    let escrow = plan.escrow.as_ref().map(|escrow| &escrow.policy);
    let new = escrow.into_iter().flat_map(Policy::places);
    let new: Vec<Place> = new
        .map(|share| Place::Custodian {
            seat: share.custodian.to_owned(),
            group: share.group_name(),
        })
        .collect();
    let typed = plan
        .recover
        .as_ref()
        .is_some_and(|recover| recover.shares == ShareSource::Typed);
    let dealt = previous.filter(|_| typed).and_then(Previous::in_use);
    let is_new = |seat: &str| new.iter().any(|place| place.is_seat_of(seat));
    let old = dealt.into_iter().flat_map(|dealt| dealt.policy.places());
    let old: Vec<Place> = old
        .filter(|share| !is_new(share.custodian))
        .map(|share| Place::OfQuorum {
            seat: share.custodian.to_owned(),
            group: share.group_name(),
        })
        .collect();
    let witnesses = plan.witnesses.iter().cloned().map(Place::Witness);
    let witnesses: Vec<Place> = witnesses.collect();
    new.into_iter().chain(old).chain(witnesses)
}

/// What the plan says of these pairs, after another sentence.
fn never_one_person(kept: &[&str]) -> String {
    match kept {
        [] => String::new(),
        kept => format!(" The plan says NEVER ONE PERSON: {}.", kept.join(", ")),
    }
}

/// Why it was accepted, in an exception.
fn because(kept: &[&str], reason: &str) -> String {
    match kept {
        [] => String::new(),
        kept => format!("; the plan keeps apart {}, but: {reason}", kept.join(", ")),
    }
}

/// One person in several seats.
struct Twice<'a> {
    name: &'a str,
    seats: Vec<String>,
    roles: Vec<Role<'a>>,
}

impl Twice<'_> {
    fn told(&self) -> String {
        let count = self.seats.len();
        format!(
            "{} holds {count} seats: {}",
            self.name,
            self.seats.join(", ")
        )
    }
}

/// A name however it is typed: large letters and the number of blanks make no other person.
fn as_one(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// One person in two seats defeats the purpose of several people; it is accepted by name, or not at all.
fn held_twice(seats: &[Seat]) -> Vec<Twice<'_>> {
    let mut held: BTreeMap<String, Twice> = BTreeMap::new();
    for seat in seats {
        if let Some(name) = &seat.name {
            let of_name = held.entry(as_one(name)).or_insert_with(|| Twice {
                name,
                seats: Vec::new(),
                roles: Vec::new(),
            });
            of_name.seats.push(seat.place.told());
            of_name.roles.push(seat.place.role());
        }
    }
    held.into_values()
        .filter(|held| held.seats.len() > 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custodian(seat: &str, name: &str) -> Seat {
        let (seat, group) = (seat.to_owned(), None);
        Seat::taken(Place::Custodian { seat, group }, name.into())
    }

    fn absent(seat: &str) -> Seat {
        let (seat, group) = (seat.to_owned(), None);
        Seat::empty(Place::OfQuorum { seat, group })
    }

    #[test]
    fn a_person_in_two_seats_is_named_with_both() {
        let seats = [
            Seat::taken(Place::Keyboard, "Ada Lovelace".into()),
            custodian("Audit", "Grace Hopper"),
            custodian("Legal", "ada lovelace"),
            Seat::taken(
                Place::Witness("Internal audit".into()),
                "grace hopper".into(),
            ),
        ];
        let told: Vec<String> = held_twice(&seats).iter().map(Twice::told).collect();
        assert_eq!(
            told,
            [
                "Ada Lovelace holds 2 seats: at the keyboard, custodian Legal",
                "Grace Hopper holds 2 seats: custodian Audit, witness Internal audit",
            ]
        );
        assert!(held_twice(&seats[..2]).is_empty());
        assert!(held_twice(&[absent("Treasury"), absent("Legal")]).is_empty());
    }
}
