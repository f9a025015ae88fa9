//! Share forms: a page for each custodian, empty except for what is not secret.

use super::Script;
use crate::crypto::escrow::package;
use crate::crypto::escrow::policy::Place;
use crate::crypto::wrapping::kwp_len;
use crate::paper::html::{Html, boxes, fingerprint_boxes, package_rows, words_to_fill};
use crate::paper::template::{facts, fill};
use crate::plan::{EscrowPlan, KeyPlan};

/// What shares do, and what not even all of them can do.
const TOGETHER: &str = "Together they restore the data key. What AWS KMS encrypted opens only there; what other KMSs \
    encrypted may open with the data key alone. One share alone opens nothing.";

pub(super) const PLACES: &str = include_str!("form_places.html");
pub(super) const EMERGENCY: &str = include_str!("form_emergency.html");
pub(super) const PACKAGE: &str = include_str!("form_package.html");

facts! {
    FormFacts { number: Html, custodian: Html, }
    /// A form for any share: everything is filled in by hand.
    BlankFacts {
        together: Html,
        words: Html,
        ceremony_boxes: Html,
        kcv_boxes: Html,
        digest_boxes: Html,
        places: Html,
        emergency: Html,
        package_rows: Html,
    }
    EmergencyFacts { quorum: Html, }
    PackageFacts { what: Html, bytes: Html, rows: Html, }
}

/// The form of one share.
pub(super) struct Form<'a> {
    pub share: Place<'a>,
    pub facts: FormFacts,
}

pub(super) fn forms<'a>(script: &Script<'a>) -> impl Iterator<Item = Form<'a>> {
    script.places().map(|share| Form {
        facts: FormFacts {
            number: share.number.to_string().into(),
            custodian: share.told().into(),
        },
        share,
    })
}

/// What is on every form of a ceremony.
pub(super) struct FormTexts {
    pub together: Html,
    pub words: Html,
    pub ceremony_boxes: Html,
    pub digest_boxes: Html,
    pub places: Html,
    pub emergency: Html,
}

impl FormTexts {
    pub(super) fn new(escrow: Option<&EscrowPlan>) -> Self {
        let quorum = match escrow {
            Some(escrow) => escrow.policy.shares(),
            None => "a quorum of shares".to_owned(),
        };
        Self {
            together: TOGETHER.into(),
            words: words_to_fill(),
            ceremony_boxes: boxes(8, 4),
            digest_boxes: fingerprint_boxes(32),
            places: Html::fixed(PLACES),
            emergency: fill(
                EMERGENCY,
                &[&EmergencyFacts {
                    quorum: quorum.into(),
                }],
            ),
        }
    }
}

impl BlankFacts {
    pub(super) fn new() -> Self {
        let texts = FormTexts::new(None);
        Self {
            together: texts.together,
            words: texts.words,
            ceremony_boxes: texts.ceremony_boxes,
            kcv_boxes: boxes(1, 6),
            digest_boxes: texts.digest_boxes,
            places: texts.places,
            emergency: texts.emergency,
            package_rows: rows_by_hand("a data key of 32 bytes", 40),
        }
    }
}

/// Rows to copy the package by hand, of a data key whose package is short enough.
pub(super) fn package_by_hand(key: &KeyPlan) -> Html {
    match key
        .spec
        .secret_len()
        .filter(|_| package::can_be_typed(key.spec))
    {
        Some(bytes) => rows_by_hand(&key.label, kwp_len(bytes)),
        None => Html::default(),
    }
}

fn rows_by_hand(what: &str, bytes: usize) -> Html {
    let facts = PackageFacts {
        what: what.into(),
        bytes: bytes.to_string().into(),
        rows: package_rows(package::row_count(bytes)),
    };
    fill(PACKAGE, &[&facts])
}
