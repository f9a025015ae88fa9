//! `byok script PLAN`: the paper of a ceremony. What is done before, in and after the room, by whom, with
//! the numbers of the steps as on the screens and in the transcript; and the share forms.
//!
//! It is made from the plan, and from the record that the plan builds on where that is at hand. Neither
//! holds a secret, so no secret ever comes near a printer: share forms are empty.

use std::path::Path;

use crate::crypto::spec::Spec;
use crate::evidence::previous::Previous;
use crate::paper::html::{Document, Html, boxes, code, tag};
use crate::plan::{Keep, KeyPlan, Kind, PinSource, Plan, meaning};

mod after;
mod before;
mod cover;
mod form;
mod last_steps;
pub mod minutes;
mod part;
mod people;
mod step_texts;
mod steps;

/// What the paper is made from.
pub struct Script<'a> {
    /// The plan. Another plan needs another script: its digest stands on page 1.
    pub plan: &'a Plan,
    /// Whether the paper is for practice.
    pub practice: bool,
    /// The record that the plan builds on, where it is at hand.
    pub previous: Option<&'a Previous>,
}

impl Script<'_> {
    /// The whole file.
    pub fn render(&self) -> String {
        let mode = if self.practice {
            "PRACTICE"
        } else {
            "PRODUCTION"
        };
        let mut document = Document::new(&self.plan.title, mode);
        document.add(cover::first(self));
        document.add(cover::data_keys(self));
        document.add(people::sheet(self));
        document.add(before::calendar(self));
        if self.imports() > 0 {
            document.add(before::slip(self));
        }
        if self.plan.previous.is_some() {
            document.add(before::record_before(self));
        }
        if self.plan.kind == Kind::Recover {
            document.add(before::shares_brought(self));
        }
        document.add(steps::sheet(self));
        if self.plan.kind == Kind::Destroy {
            document.add(after::destroyed(self));
        }
        document.add(after::head(self));
        document.add(after::end(self.practice_box(), people::roles(self)));
        document.add(after::next_days(self));
        for number in 1..=2 {
            document.add(after::exceptions(number));
        }
        if self.plan.escrow.is_some() {
            document.add(after::yearly(self));
        }
        form::add_all(self, &mut document);
        document.finish()
    }

    fn imports(&self) -> usize {
        self.plan.imports().count()
    }

    /// The plan's file name, as it is typed in commands.
    fn plan_name(&self) -> String {
        let name = self.plan.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// A path of the plan, as it stands there: relative to the plan.
    fn relative(&self, path: &Path) -> String {
        let base = self.plan.path.parent().unwrap_or(Path::new(""));
        let path = path.strip_prefix(base).unwrap_or(path);
        path.display().to_string()
    }

    /// The record's directory, relative to the plan.
    fn record(&self) -> String {
        self.relative(&self.plan.directory)
    }

    /// The record's own name.
    fn record_name(&self) -> String {
        let name = self.plan.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// How many custodians get a share.
    fn custodians(&self) -> &[String] {
        let escrow = self.plan.escrow.as_ref();
        escrow.map_or(&[], |escrow| &escrow.custodians)
    }

    /// Whether a data key can be had again from a quorum only.
    fn by_quorum(&self) -> bool {
        self.plan
            .keys
            .iter()
            .any(|key| key.keep != Keep::Extractable)
    }

    /// Whether two people type half of the PIN each.
    fn pin_in_halves(&self) -> bool {
        self.plan.hsm.pin == PinSource::PromptHalves
    }

    /// Key check value and fingerprint of a data key, where the record before or the plan knows them.
    fn known(&self, label: &str) -> (Option<String>, Option<String>) {
        let planned = self.plan.keys.iter().find(|key| key.label == label);
        let planned = planned.and_then(|key| key.fingerprint.as_ref());
        match self.previous.and_then(|previous| previous.key(label)) {
            Some(known) => (known.kcv.clone(), Some(known.fingerprint.to_string())),
            None => (None, planned.map(ToString::to_string)),
        }
    }

    /// The box that says what practice means.
    fn practice_box(&self) -> Html {
        match self.practice {
            true => tag(
                "div.box",
                "PRACTICE: nothing on this paper is real. Real shares, PINs and digests are never written on it.",
            ),
            false => Html::default(),
        }
    }
}

/// With more data keys or imports than this the paper lists them in tables.
const IN_TABLES: usize = 12;

impl Script<'_> {
    /// Whether there are so many data keys or imports that they stand in a table, a row each.
    fn in_tables(&self) -> bool {
        self.plan.keys.len() > IN_TABLES || self.imports() > IN_TABLES
    }

    /// Whether there are so many data keys that the screen counts them and shows no single one.
    fn counts_in_steps(&self) -> bool {
        self.plan.keys.len() >= meaning::COUNTED
    }

    /// What people compare of these data keys at a glance: AES keys have a KCV, the others none.
    fn check_word(&self) -> &'static str {
        let with_kcv = |key: &KeyPlan| key.spec.has_kcv();
        let count = self.plan.keys.iter().filter(|key| with_kcv(key)).count();
        match count {
            0 => "first 8 digits of the fingerprint",
            n if n == self.plan.keys.len() => "KCV",
            _ => "KCV, or where it has none the first 8 digits of the fingerprint,",
        }
    }

    /// That of one data key: what is known, or boxes to write it in.
    fn glance(&self, key: &KeyPlan) -> Html {
        let (kcv, fingerprint) = self.known(&key.label);
        match (key.spec, kcv, fingerprint) {
            (Spec::Symmetric { .. }, Some(kcv), _) => code(&kcv),
            (Spec::Symmetric { .. }, None, _) => boxes(1, 6),
            (_, _, Some(hex)) => code(&format!("{}…", hex.get(..8).unwrap_or(&hex))),
            (_, _, None) => boxes(2, 4),
        }
    }
}

/// Forms that belong to no plan: a share form, exception sheets, a page for the head digest.
pub(crate) fn blank() -> String {
    let places: Vec<String> = (1..=4).map(|number| format!("witness {number}")).collect();
    let mut document = Document::new("Blank forms", "PRODUCTION / PRACTICE: cross one out");
    document.add(form::blank());
    for number in 1..=2 {
        document.add(after::exceptions(number));
    }
    let present = std::iter::once("operator".to_owned()).chain(places.iter().cloned());
    let present = present.map(|role| vec![role.into()]).collect();
    document.add(after::head_with(Html::default(), &places, "RECORD"));
    document.add(after::end(Html::default(), present));
    document.finish()
}

/// Somebody, and what they do.
fn does(who: &str, what: impl Into<Html>) -> Html {
    Html::from([tag("b", who), ": ".into(), what.into()])
}
