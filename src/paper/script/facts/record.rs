//! The record that is made, and the one that it builds on.

use super::{SIGNER_DIGITS, Script, html, name_of};
use crate::crypto::sshsig::parse_fingerprint;
use crate::evidence::receipts::IMPORT_RESULTS;
use crate::ground::words;
use crate::paper::head;
use crate::paper::html::{Html, commands, rows, rows_to_compare};
use crate::paper::last;
use crate::paper::template::facts;
use crate::plan::meaning;
use std::path::Path;

facts! {
    /// The records.
    RecordFacts {
        record: Html,
        record_name: Html,
        /// What is typed to copy the record, and to check the copy.
        copies: Html,
        /// The same on byok's medium.
        carry: Html,
        import_results: Html,
        previous: Html,
        anchor: Html,
        head_is_typed: bool,
        ceremony_before: Html,
        head_before: Html,
        head_in_plan: Html,
        signer_before: Html,
        signer_rows: Html,
        who_writes: Html,
        remove: Html,
    }
}

impl RecordFacts {
    pub(super) fn of(script: &Script) -> Self {
        let plan = script.plan;
        let previous = script.previous;
        let signer_before = script.signer_before();
        Self {
            record: script.relative(&plan.directory).into(),
            record_name: name_of(&plan.directory).into(),
            copies: copies(&script.relative(&plan.directory)),
            carry: last::carry(&name_of(&plan.directory)).join(" ").into(),
            import_results: IMPORT_RESULTS.into(),
            previous: html(plan.previous.as_ref().map(|path| script.relative(path))),
            anchor: meaning::anchor(plan).into(),
            head_is_typed: plan.previous.is_some() && plan.previous_head.is_none(),
            ceremony_before: html(previous.map(|previous| &previous.ceremony)),
            head_before: html(previous.map(|previous| {
                head::digest(&words::hex(&previous.head), rows_to_compare(&previous.head))
            })),
            head_in_plan: html(
                plan.previous_head
                    .as_ref()
                    .map(|head| head::digest(head.digits(), rows(head.digits()))),
            ),
            signer_before: html(signer_before),
            signer_rows: html(
                signer_before
                    .and_then(parse_fingerprint)
                    .map(|digest| rows(&words::hex(&digest)[..SIGNER_DIGITS])),
            ),
            who_writes: last::who_writes(&plan.witnesses).into(),
            remove: last::REMOVE.into(),
        }
    }
}

/// As the last screen has it.
fn copies(directory: &str) -> Html {
    let directory = Path::new(directory);
    let beside = last::beside(directory).into_iter();
    let copies = last::copies(directory).map(|parts| parts.join(" "));
    let typed: Vec<String> = beside.chain(copies).collect();
    commands(&typed)
}
