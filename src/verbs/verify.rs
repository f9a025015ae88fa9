//! `byok verify`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::error::{Error, Result};
use crate::strict_json::Json;
use crate::transcript::Line;
use crate::verify::{self, Anchor, Verified};
use crate::{machine, screens, transcript, words};

/// Verifies a record and says so on standard output.
///
/// # Errors
/// Exit 4 where the record is broken, naming the first thing that does not hold; exit 2 for a head
/// digest that is none.
pub fn verify(record: &Path, head: Option<&str>, next: bool, as_json: bool) -> Result<()> {
    let anchor = head
        .map(Anchor::parse)
        .transpose()
        .map_err(|why| Error::usage(format!("--head: {why}")))?;
    let verified = match verify::verify(record, anchor.as_ref()) {
        Ok(verified) => verified,
        Err(why) => {
            if as_json {
                super::print_json(
                    &json!({"verdict": "broken", "authenticated": false, "why": why}),
                )?;
            }
            return Err(broken(record, &why));
        }
    };
    if as_json {
        super::print_json(&verified.report())?;
    } else {
        super::print(&words::printable(&for_people(&verified)))?;
    }
    if next {
        super::print(&words::printable(&next_screen(record, &verified)))
    } else {
        Ok(())
    }
}

fn broken(record: &Path, why: &str) -> Error {
    let error = Error::mismatch(format!("broken: {why}"))
        .state(format!("{} was read and not changed", record.display()));
    if why.contains(verify::NOT_THE_HEAD) {
        return error
            .hint("compare with the paper again, row by row: a mistyped digit looks just like this")
            .hint("if the paper is right, this is not the record it was written for: take another copy");
    }
    if why.contains(transcript::UNFINISHED) {
        return error
            .hint("this run was interrupted before its end; nothing in it is to be imported")
            .hint("run the plan again: it sets this aside and takes back what it left in the HSM");
    }
    error
        .hint("use none of its files; take another copy of the record and verify that")
        .hint(
            "if every copy is broken in the same way, call the security officer: this is evidence",
        )
}

fn for_people(verified: &Verified) -> String {
    let report = verified.report();
    let mut text = String::new();
    if report.rehearsal {
        text += "REHEARSAL: this record is practice; nothing in it is real.\n";
    }
    if report.outcome == "aborted" {
        text += "ABORTED: this ceremony did not come to its end; there is nothing to import.\n";
    }
    text += &match (report.authenticated, report.rehearsal) {
        (true, false) => {
            "authentic: the transcript is the one whose head digest you gave.\n".to_owned()
        }
        (true, true) => {
            "authentic rehearsal: the transcript is the one whose head digest you gave.\n"
                .to_owned()
        }
        (false, _) => {
            "consistent, NOT AUTHENTICATED: nothing in it contradicts the rest, but anyone could\n\
             have made it so. Compare the head with the one on paper: byok verify --head …\n"
                .to_owned()
        }
    };
    text += &format!(
        "title     {}\nceremony  {}\n",
        report.title, report.ceremony
    );
    text += &format!(
        "lines     {}, exceptions: {}\n",
        report.lines, report.exceptions
    );
    if !report.exposure.is_empty() {
        text += &format!("exposure  {}\n", report.exposure);
    }
    for key in &report.keys {
        text += &format!(
            "data key  {}  {}  KCV {}\n          fingerprint {}\n",
            key.label, key.spec, key.kcv, key.fingerprint
        );
    }
    text += &format!("head      {}\n", report.head);
    text + &words::rows(&verified.chain.head, 3)
}

/// Whether the HSM forgot a data key when the ceremony ended.
fn is_of_session(data_key: &Line) -> bool {
    let attributes = data_key.json.get("attributes");
    attributes.and_then(|all| all.get("CKA_TOKEN")) == Some(&Json::Bool(false))
}

/// The ceremony's last screen, from the transcript.
fn next_screen(record: &Path, verified: &Verified) -> String {
    if verified.is_aborted() {
        return " Nothing comes next: the ceremony was aborted. Run its plan again.\n".into();
    }
    let chain = &verified.chain;
    let folders: BTreeSet<String> = chain
        .events("key-wrapped")
        .map(|line| format!("{}/{}", line.text("label"), line.text("import")))
        .collect();
    let folders: Vec<String> = folders.into_iter().collect();
    let deadline = chain.end().text("import_before").parse().ok();
    format!(
        "\n{}",
        screens::next(
            record,
            &folders,
            deadline,
            machine::now(),
            verified.is_rehearsal(),
            chain.events("escrow-dealt").next().is_some(),
            chain.events("key-sealed").next().is_some() || chain.data_keys().any(is_of_session),
        )
    )
}
