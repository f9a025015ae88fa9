//! The ceremony as a whole: what it is for, how long it takes, which steps it has.

use super::{Script, html, name_of};
use crate::ground::error::Step;
use crate::paper::html::{Html, rows_to_compare};
use crate::paper::script::{minutes, practice_box, steps};
use crate::paper::template::facts;
use crate::plan::{Kind, meaning};

facts! {
    /// The ceremony.
    CeremonyFacts {
        title: Html,
        kind: Html,
        generates: bool,
        reimports: bool,
        recovers: bool,
        destroys: bool,
        last_way_back: Html,
        purpose: Html,
        version: Html,
        /// The plan's file name, as it is typed in commands.
        plan: Html,
        plan_digest: Html,
        practice: bool,
        practice_box: Html,
        reason: Html,
        minutes: Html,
        writing: Html,
        typing: Html,
        last_step: Html,
        steps: Vec<steps::StepFacts>,
    }
}

impl CeremonyFacts {
    pub(super) fn of(script: &Script) -> Self {
        let plan = script.plan;
        Self {
            title: plan.title.as_str().into(),
            kind: plan.kind.name().into(),
            generates: plan.kind == Kind::Generate,
            reimports: plan.kind == Kind::Reimport,
            recovers: plan.kind == Kind::Recover,
            destroys: plan.kind == Kind::Destroy,
            last_way_back: meaning::LAST_WAY_BACK.into(),
            purpose: purpose(plan.kind).into(),
            version: env!("CARGO_PKG_VERSION").into(),
            plan: name_of(&plan.path).into(),
            plan_digest: rows_to_compare(&plan.sha256),
            practice: script.practice,
            practice_box: practice_box(script.practice),
            reason: html(plan.reason.as_ref()),
            minutes: steps::in_the_room(script).to_string().into(),
            writing: minutes::WRITING.to_string().into(),
            typing: minutes::TYPING.to_string().into(),
            last_step: Step::COUNT.to_string().into(),
            steps: steps::all(script),
        }
    }
}

fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Generate => "new data keys are made in the HSM and wrapped for import into KMS",
        Kind::Reimport => "the same data keys as before are found in the HSM and wrapped again",
        Kind::Recover => {
            "the same data keys as before are brought back by a quorum and wrapped again"
        }
        Kind::Destroy => "data keys are destroyed",
    }
}
