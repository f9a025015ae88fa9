//! The comments in a plan that byok writes, field by field, for the people who read and change it.

use crate::crypto::spec::LONGEST_HMAC;
use crate::evidence::receipts::describe::KeyMetadata;
use crate::evidence::transcript::is_ceremony_id;
use crate::ground::text::fold;
use crate::paper::plan::Notes;
use crate::plan::kms::KmsKey;

/// In every plan of new data keys.
const OF_NEW: [(&str, &str); 12] = [
    (
        "title",
        "The plan of a key ceremony decides everything that happens. Read every line.\n\
         Paths are relative to this file. Check it with: byok check PLAN",
    ),
    (
        "machine.network",
        "forbidden | hsm (the HSM is reached by network) | allowed; recorded",
    ),
    (
        "hsm.pin",
        "prompt | prompt-halves (two people) | file:PATH | fd:N | pinpad",
    ),
    (
        "hsm.env",
        "What the module sees of the environment, and nothing else:",
    ),
    ("key.label", "The label, in the HSM and in the record:"),
    (
        "key.keep",
        "extractable: stays in the HSM; a reimport needs only the PIN, as does theft |\n\
         sealed, none: only a quorum brings it back",
    ),
    (
        "key.source",
        "hsm: made in the HSM | token, token:id=HEX: in the token already |\n\
         file:PATH, with reason = \"…\"\n\
         source = \"hsm\"",
    ),
    (
        "key.import.wrap_in",
        "hsm | host (the bytes are then in this computer for a moment)",
    ),
    (
        "key.import.expires",
        "at most 365 days after the import, or \"never\"",
    ),
    SLIP,
    ("record.directory", "must not exist yet"),
    (
        "record.witnesses",
        "The roll call asks who sits there:\nwitnesses = [\"Internal audit\"]",
    ),
];

/// In every plan that builds on a record.
const OF_AGAIN: [(&str, &str); 2] = [
    (
        "previous_head",
        "From the paper that the witnesses signed: the head digest, at least its first\n\
         three rows.\n\
         At a terminal it may be left out; its rows are then typed in the room.\n\
         previous_head = \"\"",
    ),
    SLIP,
];

/// byok never fills in the slip's digest: taken from the file it would prove nothing.
const SLIP: (&str, &str) = (
    "key.import.wrapping_key_sha256",
    "From the slip of the online side, never from the parameters file; needed for\n\
     unattended runs:\nwrapping_key_sha256 = \"\"",
);

/// Comments beside fields of any plan.
const BESIDE: [(&str, &str); 5] = [
    ("hsm.hardware", "is this still true?"),
    (
        "key.import.witness_of",
        "the same material a second time proves that import",
    ),
    ("recover.shares", "typed | files:DIR"),
    (
        "recover.package",
        "record | typed | path of escrow-package.json",
    ),
    ("escrow.deliver", "screen | files:DIR"),
];

/// For a plan whose shares may be shown or typed at the screen.
pub(super) const SCREEN_RECORDED: &str = "Only if shares must be shown or typed over SSH, in tmux or in screen:\n\
    screen_recorded = \"why that is acceptable here\"";

/// If nobody named a module.
pub(super) const MODULE: &str = "byok plan --module PATH fills in both";

/// If nothing is known about KMS keys.
pub(super) const EXAMPLE: &str = "byok plan FILES… fills these in from describe-key answers and parameters.\n\
     Other KMSs than AWS KMS have `kms` and `key` instead of key_arn: byok plan\n\
     writes that from their import parameters.";

/// For data keys that are private keys.
pub(super) const PRIVATE: &str = "An HSM that cannot wrap private keys as KMS takes them (SoftHSM) needs host;\n\
    byok doctor tells.";

/// For import parameters without a deadline.
pub(super) const DEADLINE: &str = "These parameters carry no deadline; the console shows it:\n\
    parameters_valid_to = \"YYYY-MM-DDTHH:MM:SSZ\"";

/// For import parameters that are still to be downloaded.
pub(super) const DEADLINE_OF_NEW: &str = "The deadline of the new download, if its files carry none:\n\
    parameters_valid_to = \"YYYY-MM-DDTHH:MM:SSZ\"";

/// For module and token of the previous record.
pub(super) const RECORDS_MODULE: &str = "As the previous record names them; nothing vouches for module and token yet.\n\
    Compare them with what is installed here: byok check loads the module.";

/// For the variables that the previous record lets its module see.
pub(super) const RECORDS_ENV: &str =
    "From the previous record too. Does this HSM's module need each of them?";

/// For the same, if its data keys come from a quorum.
pub(super) const PERHAPS_LOST: &str = "Is that HSM lost? Then name the one that is here: change module and token, or\n\
    write this plan again with --module PATH, which fills in both.";

/// For a recovery if nobody said what becomes of the shares.
pub(super) const REUSE: &str = "FILL IN one of the two: why the shares that are typed now stay in use, or\n\
    [escrow] below, which deals new ones.\nreuse_escrow = \"\"";

/// For a plan without escrow if nobody said that it has none.
pub(super) const NO_ESCROW_YET: &str = "Without shares a lost HSM is a lost data key:\n[escrow]\nthreshold  = 3\n\
    custodians = [\"Security\", \"Audit\", \"Treasury\", \"Legal\", \"Operations\"]\n\
    deliver    = \"screen\"             # screen | files:DIR";

/// For a plan without escrow if somebody said so.
pub(super) const NO_ESCROW: &str = "No [escrow], as was said when this plan was written: if the HSM is lost, so\n\
    are its data keys.";

pub(super) fn of_new() -> Notes {
    let mut notes = Notes::of(&OF_NEW, &BESIDE);
    notes.beside("kind", "new data keys");
    notes
}

pub(super) fn of_again() -> Notes {
    Notes::of(&OF_AGAIN, &BESIDE)
}

/// For the length of an HMAC key, from this many bits on.
pub(super) fn bits(least: usize) -> String {
    let most = LONGEST_HMAC * 8;
    format!("{least} to {most}, whole bytes; {least} if not given:\nbits  = {least}")
}

/// The previous record, by its id if that has an id's form: anything else would be a stranger's words.
pub(super) fn builds_on(ceremony: &str) -> String {
    let which = match is_ceremony_id(ceremony) {
        true => format!("the record of ceremony {ceremony}"),
        false => "a record whose ceremony has no id of the usual form".to_owned(),
    };
    format!("Builds on {which}. Read every line.")
}

/// For import parameters that are not here yet.
pub(super) fn fetched_again(kms_key: &KmsKey) -> String {
    match kms_key.parameters() {
        None => "download them again: each import needs its own".to_owned(),
        Some(command) => format!("fetched again: {command} FILE"),
    }
}

/// Where the wrapping algorithm comes from.
pub(super) fn wrapping(told: bool) -> &'static str {
    match told {
        true => "As the import parameters say:",
        false => "What the parameters must be downloaded for; KMS's answer does not name it:",
    }
}

/// What a KMS takes, if its import parameters are for no single algorithm.
pub(super) fn takes(kms: &str, algorithms: &[&str]) -> String {
    match algorithms {
        [only] => format!("{kms} takes only {only}:"),
        _ => format!(
            "{kms} takes these; byok doctor PLAN tries which the HSM does:\n{}",
            algorithms.join(", ")
        ),
    }
}

/// What import parameters of a KMS other than AWS KMS say, and what people do about the key's name.
pub(super) fn key_elsewhere(told: &[(&str, String)], to_fill_in: Option<&str>) -> String {
    let mut lines: Vec<String> = told
        .iter()
        .map(|(name, value)| format!("{name}: {value}")) // never folded: they are copied
        .collect();
    let name_it = match to_fill_in {
        Some(example) => format!("FILL IN: name it {example}"),
        None => "Its last part is the label here; correct it if it is called otherwise.".into(),
    };
    let folded = fold(&name_it, "  ");
    lines.extend(folded.lines().map(|line| line.trim_start().to_owned()));
    lines.join("\n")
}

/// What KMS says about a KMS key.
pub(super) fn kms_key(metadata: &KeyMetadata) -> String {
    let (spec, usage, state) = (&metadata.key_spec, &metadata.key_usage, &metadata.key_state);
    let region = match metadata.multi_region_type.as_deref() {
        Some("PRIMARY") => "\nthe PRIMARY of its multi-Region key: the material is new there",
        Some("REPLICA") => "\na REPLICA: it gets what its primary gets, after it",
        _ => "",
    };
    format!("KMS says: {spec}, {usage}, {state}{region}")
}

/// For material that is added to other material.
pub(super) fn added(current: &str) -> String {
    format!(
        "It holds material already (current: {current}).\n\
         This one is added, and the KMS key is rotated to it:"
    )
}
