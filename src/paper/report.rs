//! `transcript.html`: the report of a ceremony for people, made from the lines of its transcript.
//!
//! It is written in step 11, before the transcript is sealed, so the head digest is not in it: people write that by
//! hand on a page of the printed script. It says nothing that the transcript, the plan, the package and the record before
//! do not say, and whoever has the four can make it again, byte for byte. The words are in the HTML files beside this one.

use crate::crypto::escrow::package::Package;
use crate::evidence::previous::{Came, Previous};
use crate::evidence::transcript::{
    Attempt, DataKeyFacts, EscrowDealt, Line, Opened, Said, SameMaterial, Told, Wrapped, entries,
};
use crate::ground::clock;
use crate::ground::strict_json::Json;
use crate::ground::words;
use crate::paper::document::Document;
use crate::paper::head;
use crate::paper::html::{Html, groups, rows};
use crate::paper::template::{Facts, fill};
use crate::plan::{Network, Plan, meaning};

mod events;
mod exposure;
mod facts;
mod imports;
mod keys;
mod room;

use exposure::Exposure;
pub(crate) use exposure::grade;
use facts::{AttemptFacts, FirstFacts, Named, PackageFacts, TileFacts};

/// The file's name in every record.
pub(crate) const FILE: &str = "transcript.html";

const FIRST: &str = include_str!("report/first.html");
const KEYS: &str = include_str!("report/keys.html");
const IMPORTS: &str = include_str!("report/imports.html");
const ROOM: &str = include_str!("report/room.html");
const FILES: &str = include_str!("report/files.html");
const PACKAGE: &str = include_str!("report/package.html");

/// What a report is made from.
pub struct Report<'a> {
    /// The plan that was approved.
    pub plan: &'a Plan,
    /// The transcript up to the report's own `output-written`.
    pub lines: &'a [Line],
    /// The escrow package, if shares were dealt.
    pub package: Option<&'a Package>,
    /// The record that the ceremony built on, if it was at hand.
    pub previous: Option<&'a Previous>,
}

impl Report<'_> {
    /// The whole file. Without any lines there is no report, but an empty text.
    pub fn render(&self) -> String {
        let Some(opening) = self.events::<Opened>().next() else {
            return String::new();
        };
        let mode = if opening.rehearsal {
            "REHEARSAL"
        } else {
            "PRODUCTION"
        };
        let mut document = Document::new(&opening.title, mode);
        let mut add = |part: &str, template, facts: &dyn Facts| {
            document.add(part, fill(template, &[facts]));
        };
        add("report", FIRST, &self.first(&opening));
        add("data keys and escrow", KEYS, &keys::facts(self));
        if self.events::<Wrapped>().next().is_some() {
            add("imports", IMPORTS, &imports::facts(self));
        }
        add("room, machine and HSM", ROOM, &room::facts(self, &opening));
        add("order of events, files", FILES, &room::files(self));
        if let Some(package) = self.package {
            let lines = Named::all(package.to_page().split('\n'));
            add(
                "escrow package, to staple to each share form",
                PACKAGE,
                &PackageFacts { lines },
            );
        }
        document.finish()
    }

    fn first(&self, opening: &Said<Opened>) -> FirstFacts {
        let labels: Vec<String> = self.data_keys().map(|key| key.label.clone()).collect();
        let dealt = self.events::<EscrowDealt>().next();
        let exceptions = room::exceptions(self);
        let exposure = Exposure::of(self);
        FirstFacts {
            title: opening.title.as_str().into(),
            kind: opening.kind.to_string().into(),
            opened: clock::for_people(opening.line.at).into(),
            ceremony: opening.ceremony.as_str().into(),
            rehearsal: opening.rehearsal,
            grade: exposure.grade().into(),
            serious: exposure.is_serious(),
            tiles: tiles(self, &exposure, exceptions.len()),
            natures: Named::all(&exposure.natures),
            software: exposure.software,
            wrapped_here: exposure.wrapped_here.join(", ").into(),
            from_files: exposure.from_files.join(", ").into(),
            in_a_file: meaning::IN_A_FILE.into(),
            from_token: exposure.from_token.join(", ").into(),
            files_before: exposure.files_before.join(", ").into(),
            token_before: exposure.token_before.join(", ").into(),
            not_known: exposure.not_known.join(", ").into(),
            already_there: meaning::ALREADY_THERE.into(),
            escrow_key_here: exposure.escrow_key_here,
            unexposed: exposure.is_none(),
            never: exposure.held_nothing(),
            from_elsewhere: exposure.is_from_elsewhere(),
            labels: words::some(&labels, 6).into(),
            imports: match self.events::<Wrapped>().count() {
                0 => Html::default(),
                n => n.to_string().into(),
            },
            deadlines: Named::all(imports::each_deadline(self)),
            enough: html(dealt.as_ref().map(|dealt| dealt.enough())),
            apart: html(meaning::apart(self.plan)),
            exception_count: exceptions.len().to_string().into(),
            exceptions,
            wrong_answers: room::wrong_answers(self).into(),
            plan_digest: rows(&opening.plan_sha256),
            previous_head: html(opening.previous_head.as_deref().map(head)),
            receipts_head: html(opening.previous_receipts_head.as_deref().map(groups)),
            anchors: Named::all(self.anchors()),
            interrupted: html(opening.interrupted.as_ref()),
            attempts: opening.attempts.iter().map(attempt).collect(),
        }
    }

    /// What vouches for the record that this one builds on.
    fn anchors(&self) -> Vec<String> {
        let said = self.events::<SameMaterial>();
        let mut anchors: Vec<String> = said.map(|same| same.anchor.told().to_owned()).collect();
        anchors.dedup();
        anchors
    }

    fn events<'b, T: Told + 'b>(&'b self) -> impl Iterator<Item = Said<'b, T>> {
        entries(self.lines)
    }

    /// How a data key came into an HSM before this ceremony, if the record before tells.
    fn came_before(&self, key: &DataKeyFacts) -> Option<Came> {
        let mut known = self.previous?.keys.iter();
        known
            .find(|known| known.fingerprint.to_string() == key.fingerprint)?
            .came
    }

    fn data_keys(&self) -> impl Iterator<Item = Said<'_, DataKeyFacts>> {
        self.events()
    }
}

const FROM_ELSEWHERE: &str = "a data key came from elsewhere";

/// What is seen at a glance; page 1 and the exceptions say what each means.
fn tiles(report: &Report, exposure: &Exposure, exceptions: usize) -> Vec<TileFacts> {
    let tile = |name: &str, applies: bool| TileFacts {
        name: name.into(),
        said: if applies { "YES" } else { "no" }.into(),
        applies,
    };
    vec![
        tile("the HSM is software", exposure.software),
        tile(
            "the HSM is hardware by the plan's word only",
            exposure.by_word,
        ),
        tile(
            "bytes of data keys were outside the HSM",
            exposure.bytes_here(),
        ),
        tile(
            "the escrow key was in this computer",
            exposure.escrow_key_here,
        ),
        match (exposure.is_from_elsewhere(), exposure.not_known.is_empty()) {
            (false, false) => TileFacts {
                said: "not known".into(),
                ..tile(FROM_ELSEWHERE, true)
            },
            (is, _) => tile(FROM_ELSEWHERE, is),
        },
        tile(
            "a network was allowed",
            report.plan.network != Network::Forbidden,
        ),
        TileFacts {
            said: match exceptions {
                0 => "none".into(),
                n => n.to_string().into(),
            },
            ..tile("exceptions up to step 11", exceptions > 0)
        },
    ]
}

/// An earlier attempt that was not sealed.
fn attempt(attempt: &Attempt) -> AttemptFacts {
    AttemptFacts {
        directory: attempt.directory.as_str().into(),
        ceremony: html(attempt.ceremony.as_ref()),
        head: html(attempt.head.as_deref().map(groups)),
    }
}

fn head(hex: &str) -> Html {
    head::digest(hex, rows(hex))
}

fn html(told: Option<impl Into<Html>>) -> Html {
    told.map_or_else(Html::default, Into::into)
}

/// Any JSON as a person reads it.
fn shown(json: &Json) -> String {
    match json {
        Json::Null => "nothing".to_owned(),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "none".to_owned(),
        Json::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), shown(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::facts::*;
    use super::*;
    use crate::paper::template::{Field as _, tests::*};

    #[test]
    fn every_page_fits_its_facts_in_every_branch_and_uses_them_all() {
        let cases: [(&str, &dyn Facts); 6] = [
            (FIRST, &FirstFacts::example()),
            (KEYS, &KeysFacts::example()),
            (IMPORTS, &ImportsFacts::example()),
            (ROOM, &RoomFacts::example()),
            (FILES, &FilesFacts::example()),
            (PACKAGE, &PackageFacts::example()),
        ];
        let used = cases
            .iter()
            .flat_map(|(template, facts)| fits(template, &[*facts]))
            .collect();
        let declared = [
            FirstFacts::NAMES,
            TileFacts::NAMES,
            ExceptionFacts::NAMES,
            AttemptFacts::NAMES,
            KeysFacts::NAMES,
            KeyFacts::NAMES,
            DealtFacts::NAMES,
            ProvedFacts::NAMES,
            ShareFacts::NAMES,
            SupersededFacts::NAMES,
            DestroyedFacts::NAMES,
            ImportsFacts::NAMES,
            ImportFacts::NAMES,
            RoomFacts::NAMES,
            ToldFacts::NAMES,
            MemberFacts::NAMES,
            SeatFacts::NAMES,
            CheckFacts::NAMES,
            FilesFacts::NAMES,
            EventFacts::NAMES,
            FileFacts::NAMES,
            PackageFacts::NAMES,
            Named::NAMES,
        ];
        let templates = cases.map(|(template, _)| template);
        nothing_is_left_out("src/paper/report", &templates, &used, &declared);
    }
}
