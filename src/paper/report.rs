//! `transcript.html`: the report of a ceremony for people, made from the lines of its transcript.
//!
//! It is written in step 11, before the transcript is sealed, so the head digest is not in it: that is
//! written by hand on a page of the printed script. It says nothing that the transcript, the plan and the package do not say, and
//! whoever has the three can make it again, byte for byte.

use crate::crypto::escrow::package::Package;
use crate::evidence::transcript::{
    Attempt, DataKeyFacts, EscrowDealt, Exception, Imported, Line, Opened, Said, SameMaterial,
    Told, Wrapped, entries,
};
use crate::ground::clock;
use crate::ground::strict_json::Json;
use crate::paper::html::{Document, Html, Sheet, code, facts, groups, p, rows, table, tag};
use crate::plan::Plan;

mod exposure;
mod imports;
mod keys;
mod room;

pub(crate) use exposure::grade;

/// The file's name in every record.
pub(crate) const FILE: &str = "transcript.html";

/// What a report is made from.
pub struct Report<'a> {
    /// The plan that was approved.
    pub plan: &'a Plan,
    /// The transcript up to the report's own `output-written`.
    pub lines: &'a [Line],
    /// The escrow package, where shares were dealt.
    pub package: Option<&'a Package>,
}

impl Report<'_> {
    /// The whole file. Of no lines at all there is no report: an empty text.
    pub fn render(&self) -> String {
        let Some(opening) = self.events::<Opened>().next() else {
            return String::new();
        };
        let rehearsal = opening.rehearsal;
        let mode = if rehearsal { "REHEARSAL" } else { "PRODUCTION" };
        let mut document = Document::new(&opening.title, mode);
        document.add(self.first_sheet(&opening));
        document.add(keys::sheet(self));
        if self.events::<Wrapped>().next().is_some() {
            document.add(imports::sheet(self));
        }
        document.add(room::sheet(self, &opening));
        document.add(room::files(self));
        if let Some(package) = self.package {
            document.add(package_sheet(package));
        }
        document.finish()
    }

    fn first_sheet(&self, opening: &Said<Opened>) -> Sheet {
        let title = [
            tag("h1", opening.title.as_str()),
            p(format!(
                "Report of a key ceremony, kind {}, opened {}. Ceremony {}",
                opening.kind,
                clock::for_people(opening.line.at),
                opening.ceremony
            )),
        ];
        let practice = match opening.rehearsal {
            true => tag(
                "div.box",
                "REHEARSAL: everything in this record is practice. Nothing in it is real.",
            ),
            false => Html::default(),
        };
        Sheet::new("report")
            .with(title)
            .with(practice)
            .with(exposure::block(self))
            .with(self.summary())
            .with(limits())
            .with_long(room::exceptions(self))
            .with(tag("h2", "The plan that was approved"))
            .with(Html::from([
                p("SHA-256 of plan.toml, as on the paper of the approval:"),
                rows(&opening.plan_sha256),
            ]))
            .with(self.previous(opening))
    }

    /// What was done, in a few rows.
    fn summary(&self) -> Html {
        let labels: Vec<String> = self.data_keys().map(|key| key.label.clone()).collect();
        let deadline = match self.deadline() {
            Some(at) => format!("before {}", clock::for_people(at)),
            None => "nothing was wrapped for KMS".to_owned(),
        };
        let escrow = match self.events::<EscrowDealt>().next() {
            Some(dealt) => format!(
                "any {} of {} shares, with the escrow package, bring the data keys back",
                dealt.threshold,
                dealt.shares.len()
            ),
            None => "no shares were dealt in this ceremony".to_owned(),
        };
        facts(vec![
            ("data keys".into(), joined(&labels, 6).into()),
            (
                "imports".into(),
                match self.events::<Wrapped>().count() {
                    0 => "none".into(),
                    n => format!("{n}; each is told below").into(),
                },
            ),
            ("import".into(), deadline.into()),
            ("escrow".into(), escrow.into()),
            (
                "exceptions".into(),
                match self.events::<Exception>().count() {
                    0 => "none up to step 11".into(),
                    n => format!("{n} up to step 11, told below").into(),
                },
            ),
        ])
    }

    /// The record that this one builds on, and what vouches for it.
    fn previous(&self, opening: &Opened) -> Html {
        let mut parts = vec![tag("h2", "The record before")];
        match &opening.previous_head {
            None => parts.push(p("This ceremony names no record before it.")),
            Some(head) => {
                parts.push(p("Head digest of the record that this one builds on:"));
                parts.push(rows(head));
            }
        }
        if let Some(receipts) = &opening.previous_receipts_head {
            parts.push(p([
                "SHA-256 of its receipts.jsonl: ".into(),
                groups(receipts),
            ]));
        }
        let mut anchors: Vec<String> = self
            .events::<SameMaterial>()
            .map(|same| same.anchor.told().to_owned())
            .collect();
        anchors.dedup();
        for anchor in anchors {
            parts.push(p(format!("What vouches for it: {anchor}")));
        }
        if let Some(interrupted) = &opening.interrupted {
            parts.push(p([
                "An unfinished record was found and set aside: ".into(),
                code(interrupted),
            ]));
        }
        parts.push(attempts(&opening.attempts));
        parts.into()
    }

    fn events<'b, T: Told + 'b>(&'b self) -> impl Iterator<Item = Said<'b, T>> {
        entries(self.lines)
    }

    fn data_keys(&self) -> impl Iterator<Item = Said<'_, DataKeyFacts>> {
        self.events()
    }

    /// When the first import token expires.
    fn deadline(&self) -> Option<jiff::Timestamp> {
        self.events::<Imported>()
            .filter_map(|read| read.valid_to.known())
            .min()
    }
}

/// What stood beside the record of ceremonies that did not come to their end.
fn attempts(attempts: &[Attempt]) -> Html {
    if attempts.is_empty() {
        return Html::default();
    }
    let row = |attempt: &Attempt| {
        let or_empty = |told: &Option<String>| told.clone().unwrap_or_default();
        vec![
            code(&attempt.directory),
            code(&or_empty(&attempt.ceremony)),
            groups(&or_empty(&attempt.head)),
        ]
    };
    Html::from([
        p(
            "Attempts before this ceremony that did not come to their end. They are copied with the record; each \
            tells in its own transcript how it ended:",
        ),
        table(
            "table.list",
            &["directory", "ceremony", "SHA-256 of its transcript"],
            attempts.iter().map(row).collect(),
        ),
    ])
}

/// What the report cannot know.
fn limits() -> Html {
    tag(
        "div.box.thin",
        [
            p([
                tag("b", "What this report does not say. "),
                "It was written in step 11, before the transcript was sealed: what came after that, and the \
                    head digest, stand in transcript.jsonl alone. Whether the import was "
                    .into(),
                tag("b", "accepted by KMS"),
                " or ".into(),
                tag("b", "proved in KMS"),
                " is not known yet; receipts that are added later tell it: ".into(),
                code("byok verify RECORD"),
                ".".into(),
            ]),
            p("This page does not vouch for itself. The head digest on the signed page \"the paper\" of the \
                printed script vouches for the transcript, and the transcript names the SHA-256 of this file."),
        ],
    )
}

/// The page that is stapled to share forms.
fn package_sheet(package: &Package) -> Sheet {
    Sheet::new("escrow package, to staple to each share form")
        .with([
            tag("h1", "Escrow package"),
            tag(
                "div.box",
                "CONFIDENTIAL AND INDISPENSABLE. Without this no quorum of shares opens anything; without a \
                    quorum this opens nothing. Keep it in three places, and a copy with each share form.",
            ),
        ])
        .with_long(tag(
            "div",
            package.to_page().split('\n').map(|line| tag("pre", line)).collect::<Html>(),
        ))
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

/// Everything that an event tells, but its place in the chain: what later versions add is shown too.
fn members(line: &Line, but: &[&str]) -> Vec<(Html, Html)> {
    let frame = ["seq", "at", "prev", "event"];
    let members = line.members().into_iter();
    members
        .filter(|(name, _)| !frame.contains(&name.as_str()) && !but.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = match &value {
                Json::String(hex) if name.ends_with("sha256") => groups(hex),
                value => shown(value).into(),
            };
            (name.replace('_', " ").into(), value)
        })
        .collect()
}

/// A list that does not outgrow its cell.
fn joined(names: &[String], most: usize) -> String {
    match names.len().checked_sub(most) {
        Some(more) if more > 0 => {
            format!("{} and {more} more", names[..most].join(", "))
        }
        _ => names.join(", "),
    }
}
