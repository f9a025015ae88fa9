//! `byok script PLAN`: the paper of a ceremony. Who does what before, in and after the room, with the step numbers of
//! the screens and the transcript; and the share forms.
//!
//! The words are in the HTML files beside this one, one file for each page. What differs from plan to plan is filled in
//! from the plan, and from the record that the plan builds on if that is at hand. Neither holds a secret, so no secret
//! ever comes near a printer: share forms are empty.

use std::path::Path;

use crate::crypto::escrow::policy::{Place, Policy};
use crate::evidence::previous::Previous;
use crate::paper::document::Document;
use crate::paper::html::Html;
use crate::paper::template::fill;
use crate::plan::{Kind, Plan};

mod facts;
mod form;
pub mod minutes;
mod steps;

use facts::{Named, ScriptFacts};

/// What the paper is made from.
pub struct Script<'a> {
    /// The plan. A different plan needs a different script: its digest is on page 1.
    pub plan: &'a Plan,
    /// Whether the paper is for practice.
    pub practice: bool,
    /// The record that the plan builds on, if it is at hand.
    pub previous: Option<&'a Previous>,
}

/// A page, or what follows on several: its name at the top of each, and its words.
struct Part {
    name: &'static str,
    template: &'static str,
}

macro_rules! part {
    ($name:literal, $file:literal) => {
        Part {
            name: $name,
            template: include_str!(concat!("script/", $file)),
        }
    };
}

const COVER: Part = part!("script", "cover.html");
const DATA_KEYS: Part = part!("data keys and imports", "data_keys.html");
const PEOPLE: Part = part!("who, where, what to bring", "people.html");
const CALENDAR: Part = part!("calendar", "calendar.html");
const SLIP: Part = part!("slip of the online side", "slip.html");
const RECORD_BEFORE: Part = part!("the previous record", "record_before.html");
const SHARES_BROUGHT: Part = part!("shares that are brought", "shares_brought.html");
const STEPS: Part = part!("steps in the room", "steps.html");
const DESTROYED: Part = part!("destroyed", "destroyed.html");
const THE_PAPER: Part = part!("the paper", "the_paper.html");
const THE_END: Part = part!("the end", "the_end.html");
const AFTER: Part = part!("after the room", "after_the_room.html");
const EXCEPTIONS: Part = part!("exception sheet", "exceptions.html");
const YEARLY: Part = part!("yearly share check", "yearly.html");
const FORM: Part = part!("form", "form.html");
const BLANK_FORM: Part = part!("share form", "blank_form.html");

/// What practice means.
const PRACTICE: &str = include_str!("script/practice.html");

impl<'a> Script<'a> {
    /// The whole file.
    pub fn render(&self) -> String {
        let plan = self.plan;
        let facts = ScriptFacts::of(self);
        let before_the_room = [
            (COVER, true),
            (DATA_KEYS, true),
            (PEOPLE, true),
            (CALENDAR, true),
            (SLIP, plan.imports().next().is_some()),
            (RECORD_BEFORE, plan.previous.is_some()),
            (SHARES_BROUGHT, plan.kind == Kind::Recover),
            (STEPS, true),
            (DESTROYED, plan.kind == Kind::Destroy),
            (THE_PAPER, true),
            (THE_END, true),
            (AFTER, true),
        ];
        let mode = if self.practice {
            "PRACTICE"
        } else {
            "PRODUCTION"
        };
        let mut document = Document::new(&plan.title, mode);
        for (part, _) in before_the_room.iter().filter(|(_, is_here)| *is_here) {
            document.add(part.name, fill(part.template, &facts.all()));
        }
        add_exceptions(&mut document);
        if plan.escrow.is_some() {
            document.add(YEARLY.name, fill(YEARLY.template, &facts.all()));
        }
        for form in form::forms(self) {
            let (number, custodian) = (form.share.number, form.share.custodian);
            let name = format!(
                "{} {number} of {}, {custodian}",
                FORM.name,
                self.places().count()
            );
            document.add(
                name,
                fill(FORM.template, &[&facts.all()[..], &[&form.facts]].concat()),
            );
        }
        document.finish()
    }

    /// A path of the plan, as the plan has it: relative to the plan.
    fn relative(&self, path: &Path) -> String {
        let base = self.plan.path.parent().unwrap_or(Path::new(""));
        let path = path.strip_prefix(base).unwrap_or(path);
        path.display().to_string()
    }

    /// Who gets a share.
    fn places(&self) -> impl Iterator<Item = Place<'a>> {
        let escrow = self.plan.escrow.iter();
        escrow.flat_map(|escrow| escrow.policy.places())
    }

    /// Whose shares a recovery or an end asks for, as far as the records say.
    fn policy_before(&self) -> Option<&'a Policy> {
        match self.plan.kind {
            Kind::Recover | Kind::Destroy => Some(&self.previous?.in_use()?.policy),
            Kind::Generate | Kind::Reimport => None,
        }
    }

    fn shares_before(&self) -> impl Iterator<Item = Place<'a>> {
        self.policy_before().into_iter().flat_map(Policy::places)
    }

    /// Who signed the previous record.
    fn signer_before(&self) -> Option<&str> {
        let signer = self.previous?.signer.as_ref()?;
        Some(&signer.fingerprint)
    }
}

/// Forms that belong to no plan: a share form, exception sheets, a page for the head digest.
pub(crate) fn blank() -> String {
    let mut document = Document::new("Blank forms", "PRODUCTION / PRACTICE: cross one out");
    document.add(
        BLANK_FORM.name,
        fill(BLANK_FORM.template, &[&form::BlankFacts::new()]),
    );
    add_exceptions(&mut document);
    let seats = facts::SeatFacts::blank();
    for part in [THE_PAPER, THE_END] {
        document.add(part.name, fill(part.template, &[&seats]));
    }
    document.finish()
}

/// Two sheets, three exceptions on each.
fn add_exceptions(document: &mut Document) {
    for sheet in 1..=2 {
        let numbers = (sheet - 1) * 3 + 1..=sheet * 3;
        let facts = facts::ExceptionFacts {
            sheet: sheet.to_string().into(),
            exceptions: numbers
                .map(|number| Named::new(number.to_string()))
                .collect(),
        };
        let name = format!("{} {sheet}", EXCEPTIONS.name);
        document.add(name, fill(EXCEPTIONS.template, &[&facts]));
    }
}

/// What practice means, on the pages that somebody could take for real ones.
fn practice_box(practice: bool) -> Html {
    match practice {
        true => Html::fixed(PRACTICE),
        false => Html::default(),
    }
}

#[cfg(test)]
mod tests;
