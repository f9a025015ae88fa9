//! What people read at the moments that matter. At most 79 columns; nothing here asks or decides.

use std::collections::BTreeSet;

use crate::crypto::spec::Spec;
use crate::evidence::previous::{Previous, told_outside};
use crate::evidence::record::Leftover;
use crate::evidence::transcript::VoidShares;
use crate::evidence::verify::more_records;
use crate::ground::anchor::{FROM_PAPER, TYPE_ROWS};
use crate::ground::clock;
use crate::ground::paint::Paint;
pub(crate) use crate::ground::text::{fold, heading, mode};
use crate::ground::words;
use crate::paper::outputs::import_type;
use crate::plan::{
    ImportPlan, KeyPlan, Kind, Network, Plan, SignerPlan, Source, meaning, parameters,
};

mod many;
mod shares;

pub use shares::short;
pub(crate) use shares::{
    Again, Page, UNPRINTABLE, asked_of, goes_on_at, mistyped, one_row, place_of, place_of_share,
    row_asked, rows_again, several_words, shares_need,
};

/// What is approved.
pub(crate) struct Approval {
    /// Everything that the plan means, to stand below its heading and title.
    pub meaning: String,
    /// Its digest, and the question.
    pub question: String,
}

/// Where the approval stands.
pub(crate) const APPROVAL: &str = "before step 1 of 13: approve";

/// Which ceremony it is: ` reimport  Payments data key, eu-west-1`.
pub(crate) fn title(plan: &Plan) -> String {
    field(plan.kind.name(), &plan.title)
}

/// Everything that the plan means, and its digest.
///
/// `previous` is the record that the plan builds on, whose receipts say what KMS holds already.
pub(crate) fn approval(
    plan: &Plan,
    leftover: Option<&Leftover>,
    previous: Option<&Previous>,
    rehearsal: bool,
) -> Approval {
    let mut screen = String::from("\n");
    screen += &match many::counts(plan) {
        true => many::meaning(plan, previous),
        false => each_meaning(plan, previous),
    };
    if let Some(reason) = &plan.reason {
        screen += &field("reason", reason);
    }
    screen += &previous_meaning(plan);
    let slips = plan.imports().filter_map(|(key, import)| {
        let name = format!("{}/{}", key.label, import.name);
        Some((name, &import.kms_key, import.wrapping_key_sha256?))
    });
    // a rehearsal has one stand-in KMS
    let slips = slips.filter(|_| !rehearsal);
    for told in parameters::shared_wrapping_keys(slips) {
        screen += &warning(&told);
    }
    screen += &branches_meaning(previous);
    if let Some(escrow) = escrow_meaning(plan, previous) {
        screen += &field("escrow", &escrow);
    }
    if !plan.witnesses.is_empty() {
        screen += &field("witness", &plan.witnesses.join(", "));
    }
    if let Some(apart) = meaning::apart(plan) {
        screen += &field("roles", &apart);
    }
    let network = match plan.network {
        Network::Forbidden => String::new(),
        open => format!("   network {}", meaning::network(open)),
    };
    screen += &field("HSM", &format!("{}{network}", plan.hsm.token));
    if let Some(reason) = &plan.hsm.hardware {
        screen += &field("hardware", &meaning::hardware(reason));
    }
    if let Some(signer) = meaning::signer(&plan.signer) {
        screen += &field("signer", &signer);
    }
    screen += &field("record", &format!("{} (new)", plan.directory.display()));
    if let Some(leftover) = leftover {
        screen += &leftover_meaning(leftover);
    }
    Approval {
        meaning: screen,
        question: approval_question(plan, rehearsal),
    }
}

fn approval_question(plan: &Plan, rehearsal: bool) -> String {
    let clock = clock::for_people(clock::now());
    let done = match plan.kind {
        Kind::Destroy => "is destroyed",
        Kind::Generate | Kind::Reimport | Kind::Recover => "has been made",
    };
    format!(
        " SHA-256 of the plan. Compare with the paper, which has it from sha256sum:\n{}\
         \x20{}. Nothing {done} yet. {clock}; wrong? type clock\n\
         \x20One person reads the paper aloud, another the screen: do all 8 rows match?\n\
         \x20Type Yes to approve, anything else to stop: ",
        words::rows(&plan.sha256, 3),
        mode(rehearsal)
    )
}

fn each_meaning(plan: &Plan, previous: Option<&Previous>) -> String {
    let mut text = String::new();
    for key in &plan.keys {
        text += &key_meaning(plan, previous, key);
        for import in &key.imports {
            text += &import_meaning(import);
            text += &known_to_kms(plan.kind, previous, key, import);
        }
        if plan.kind != Kind::Destroy {
            text += &field("keep", meaning::keep(plan.kind, key.keep));
        }
    }
    text
}

fn key_meaning(plan: &Plan, previous: Option<&Previous>, key: &KeyPlan) -> String {
    let (verb, how) = meaning::way(plan.kind, &key.source);
    // Without imports the plan does not give the length of the data key, but the record does.
    let known = previous.and_then(|previous| previous.key(&key.label)?.bytes);
    let made_of = match (known, key.spec) {
        (Some(bytes), Spec::Symmetric { .. }) => Spec::Symmetric { bytes },
        _ => key.spec,
    };
    let spec = format!("{}   {}, {made_of}, {how}", key.label, key.spec.name());
    let mut text = field(verb, &spec);
    if let Some(which) = meaning::which(&key.source) {
        text += &field("", &which);
    }
    if let Source::File(path) = &key.source {
        text += &field("from", &path.display().to_string());
    }
    if let Some(reason) = &key.reason {
        text += &field("reason", reason);
    }
    if let Some(fingerprint) = &key.fingerprint {
        text += &field("", &format!("fingerprint {fingerprint}"));
    }
    text
}

/// What the ceremony builds on, and what vouches for that.
fn previous_meaning(plan: &Plan) -> String {
    let Some(previous) = &plan.previous else {
        return String::new();
    };
    let anchor = meaning::anchor(plan);
    field("previous", &format!("{}; {anchor}", previous.display()))
}

/// Records about the same data keys on which the plan does not build.
fn branches_meaning(previous: Option<&Previous>) -> String {
    match previous.map_or(0, |previous| previous.branches.records.len()) {
        0 => String::new(),
        n => field(
            "beside",
            &format!("not built on: {} (byok check)", more_records(n)),
        ),
    }
}

/// Nothing for a reimport that leaves the shares as they are.
fn escrow_meaning(plan: &Plan, previous: Option<&Previous>) -> Option<String> {
    match (plan.kind, &plan.escrow) {
        (Kind::Destroy, None) => Some(told_outside(plan, previous)),
        _ => meaning::escrow(plan, |path| path.display().to_string()),
    }
}

fn import_meaning(import: &ImportPlan) -> String {
    let (place, key) = match import.kms_key.arn() {
        Some(arn) => {
            let account = grouped(arn.account());
            let place = match import.name == arn.region() {
                true => format!("account {account}"), // many imports are named after their Region
                false => format!("{}, account {account}", arn.region()),
            };
            (place, arn.key_id())
        }
        None => (import.kms_key.kms.to_owned(), import.kms_key.as_str()),
    };
    field("for", &format!("{}, {place}", import.name))
        + &field("", &format!("key {key}"))
        + &field(
            "wrap",
            &format!("{}   {}", meaning::wrap(import), meaning::expiry(import)),
        )
}

/// What differs from a first import: a different KMS key, a witness, material that KMS knows already.
fn known_to_kms(
    kind: Kind,
    previous: Option<&Previous>,
    key: &KeyPlan,
    import: &ImportPlan,
) -> String {
    let told = meaning::unlike_others(kind, key, import).into_iter();
    let mut text: String = told.map(|(name, told)| field(name, &told)).collect();
    if let Some(import_type) = import_type(kind, previous, key, import) {
        text += &field("import as", &import_type.told(import));
    }
    if let Some(description) = &import.description {
        text += &field("described", description);
    }
    text
}

fn leftover_meaning(leftover: &Leftover) -> String {
    let mut text = field(
        "before",
        &format!(
            "a run that did not come to its end left {}",
            leftover.working.display()
        ),
    );
    for (label, id) in &leftover.intended {
        text += &field(
            "destroy",
            &format!("{label}, CKA_ID {id}, if that run made it"),
        );
    }
    if let Some(void) = &leftover.void {
        text += &field("void", &void_shares(void));
    }
    if let Some(broken) = &leftover.broken {
        text += &field(
            "",
            &format!("its transcript is broken ({broken}): nothing is destroyed"),
        );
    }
    text
}

/// Which forms of an interrupted run are to be collected and destroyed.
pub(crate) fn void_shares(void: &VoidShares) -> String {
    let mut forms = Vec::new();
    for share in &void.shares {
        let perhaps = if share.handed_out {
            ""
        } else {
            ", if it was begun"
        };
        forms.push(format!(
            "share {}, {}{perhaps}",
            share.share, share.custodian
        ));
    }
    format!(
        "the share forms of the interrupted ceremony {}; destroy them: {}",
        void.ceremony,
        forms.join("; ")
    )
}

/// The account number as people read it: `1111 2222 3333`.
fn grouped(account: &str) -> String {
    account
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `README.txt` of a record. It explains; it vouches for nothing.
pub(crate) fn record_readme(plan: &Plan, ceremony: &str, rehearsal: bool) -> String {
    let practice = if rehearsal {
        "\nREHEARSAL: this record is from a rehearsal. Nothing in it is real.\n"
    } else {
        ""
    };
    let escrow = if plan.escrow.is_some() {
        "escrow-package.json  the data keys under the escrow key: without it no share opens anything\n\
         package.txt          the same as rows to print, copy and type back; keep both confidential\n"
    } else {
        ""
    };
    let imports = if plan.imports().next().is_some() {
        imports_readme(plan)
    } else {
        String::new()
    };
    let rotation = rotation_readme(plan);
    let mut in_clear = String::new();
    for (key, path) in plan.source_files() {
        in_clear.push('\n');
        in_clear += &fold(
            &format!(
                "The data key {} came from a file, {}. Whoever has that file, or a copy of it, has the data key. \
                 byok never deletes it: people remove it, and every copy, once this record is safe (on a disk that \
                 can be wiped: shred -u; otherwise destroy the medium).",
                key.label,
                words::path(path)
            ),
            "",
        );
    }
    let public_keys = match plan.keys.iter().any(|key| key.spec.is_private()) {
        true => {
            "<label>/public-key.pem  the public half of a key pair; the same as DER: public-key.der, whose \
             SHA-256 is the fingerprint\n"
        }
        false => "",
    };
    let signature = match plan.signer {
        SignerPlan::Nobody => "",
        _ => {
            "signatures/hsm.sig  the HSM's signature of transcript.jsonl, as ssh-keygen verifies it\n\
             signatures/*.sig    signatures of witnesses, which may be added later\n"
        }
    };
    let text = format!(
        "Record of a key ceremony\n\
         {practice}\n\
         {}\n\
         ceremony {ceremony}\n\
         \n\
         plan.toml          what was approved, byte for byte\n\
         transcript.jsonl   what happened, event by event, each bound to the one before\n\
         transcript.html    the same as a report to read and to print; what counts is transcript.jsonl\n\
         SHA256SUMS         checksums of every file: sha256sum -c SHA256SUMS\n\
{signature}{escrow}{public_keys}{imports}{rotation}\
{in_clear}\
         \n\
         The head digest of this record is the SHA-256 of transcript.jsonl. The\n\
         witnesses wrote it on paper. Only a copy from outside this directory says that\n\
         the record is the real one.\n\
         In this directory:\n\
         \n\
         \x20 byok verify --head {FROM_PAPER} .\n\
         \x20 verify-record.sh --head {FROM_PAPER} .   (without byok)\n\
         \n\
         ({TYPE_ROWS})\n\
         or with a list, kept elsewhere, of keys whose owners you know:\n\
         \n\
         \x20 byok verify --signers FILE .\n\
         \n\
         Somebody else could have made this file and every other one here: they do not\n\
         vouch for themselves.\n",
        plan.title
    );
    text.lines().map(folded_below).collect()
}

/// A line whose meaning stands after two spaces, folded below that; any other line, such as a command, stays whole.
fn folded_below(line: &str) -> String {
    let lead = line.len() - line.trim_start_matches(' ').len();
    match line[lead..].find("  ") {
        Some(gap) => {
            let meaning = line[lead + gap..].trim_start();
            let begins = line.len() - meaning.len();
            let folded = fold(meaning, &" ".repeat(begins));
            format!("{}{}", &line[..begins], folded.trim_start())
        }
        None => format!("{line}\n"),
    }
}

fn imports_readme(plan: &Plan) -> String {
    let mut text = String::from(
        "import.sh          for the cloud operator: runs the import.sh of every folder in turn\n\
         <label>/<import>/  one KMS key's import; the folder alone is enough to run it\n\
         \x20 WrappedKeyMaterial.bin  the data key, encrypted for that KMS only\n",
    );
    let mut told = BTreeSet::new();
    for (_, import) in plan.imports() {
        let files = import.kms_key.beside;
        if told.insert(files) {
            for (name, meaning) in files {
                text += &format!("  {name:<24}{meaning}\n");
            }
        }
    }
    text + "\x20 import-result*.json     each try of import.sh leaves one; may be added later\n"
}

/// How to make KMS encrypt with material that was added to other material.
fn rotation_readme(plan: &Plan) -> String {
    let arns = plan.rotated();
    if arns.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nThis material was made to be added to KMS keys that hold other material.\n\
         It waits there (PENDING_ROTATION) until, after the import into every Region,\n\
         the cloud operator runs\n\n",
    );
    for arn in arns {
        text += &format!("  bash online.sh rotate --key {arn} --now\n");
    }
    text + "\nA KMS key is Enabled only while all its materials are imported:\nkeep the record of each.\n"
}

/// ` make      payments-2026   SYMMETRIC_DEFAULT …`, folded below its value.
fn field(name: &str, value: &str) -> String {
    let folded = fold(value, "           ");
    format!(" {name:<10}{}", folded.trim_start())
}

/// A field that is seen first.
fn warning(value: &str) -> String {
    let gap = "   ";
    let folded = fold(value, "           ");
    format!(
        " {}{gap}{}",
        Paint::Warning.on("WARNING"),
        folded.trim_start()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_beside_its_name() {
        assert_eq!(field("make", "a b"), " make      a b\n");
    }
}
