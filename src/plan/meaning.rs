//! What a plan means. The approval screen, the printed script and the report show these sentences, each in its own
//! layout; none has its own sentence for the same fact. What belongs to one type stands with it, such as the name of a
//! step ([`Step::name`](crate::ground::error::Step::name)).

use std::collections::BTreeSet;
use std::path::Path;

use super::{Deliver, ImportPlan, InToken, Keep, KeyPlan, Kind, Network, Plan, SignerPlan, Source};
use crate::crypto::sshsig::fingerprint;
use crate::ground::clock;
use crate::ground::words;
use crate::plan::kms::{KmsKey, Lifetime};

/// From this many data keys on, the steps only count them.
pub(crate) const COUNTED: usize = 50;

/// A fact: its name, short enough for a column of a screen, and what it means.
pub(crate) type Fact = (&'static str, String);

/// What it means that a file holds a data key in clear.
pub(crate) const IN_A_FILE: &str = "whoever has or had the file has it";
/// What it means that a data key was in the HSM token before.
pub(crate) const ALREADY_THERE: &str = "nobody knows who made it or who else has it";

/// The PIN, if two people type one half each.
pub(crate) const PIN_HALVES: [&str; 2] = ["first half of the PIN", "second half of the PIN"];

/// What must have happened in the cloud before a data key is destroyed.
pub(crate) const LAST_WAY_BACK: &str = "The KMS keys that use it must be deleted first: as long as one exists, this is the last way to bring its material back.";

/// What a ceremony of this kind does with data keys from this source: a verb, and how.
pub(crate) fn way(kind: Kind, source: &Source) -> Fact {
    match (kind, source) {
        (Kind::Generate, Source::Hsm) => ("make", "inside the HSM".into()),
        (Kind::Generate, Source::Token(_)) => (
            "take",
            format!("as it is in the HSM ALREADY: {ALREADY_THERE}"),
        ),
        (Kind::Generate, Source::File(_)) => (
            "bring in",
            format!("from a FILE, THROUGH THIS COMPUTER'S MEMORY: {IN_A_FILE}"),
        ),
        (Kind::Reimport, _) => ("find", "the same, in the HSM".into()),
        (Kind::Recover, _) => ("recover", "the same, from a quorum".into()),
        (Kind::Destroy, _) => (
            "DESTROY",
            "for ever; what it protects is lost with its last copy".into(),
        ),
    }
}

/// Which key of the HSM token is taken, if its label does not say.
pub(crate) fn which(source: &Source) -> Option<String> {
    match source {
        Source::Token(InToken::Id(id)) => Some(format!("the key with CKA_ID {}", words::hex(id))),
        Source::Hsm | Source::Token(InToken::Label) | Source::File(_) => None,
    }
}

/// Where the data key is after the ceremony.
pub(crate) fn keep(kind: Kind, keep: Keep) -> &'static str {
    match (kind, keep) {
        (Kind::Destroy, _) => "destroyed in this ceremony",
        (_, Keep::Extractable) => {
            "in the HSM, extractable: whoever has token and PIN can wrap it again"
        }
        (_, Keep::Sealed) => {
            "in the HSM, sealed after the proof: then it cannot leave; a quorum brings it back"
        }
        (_, Keep::None) => "not in the HSM: after the ceremony a quorum brings it back",
    }
}

/// Where the KMS key is.
pub(crate) fn place(key: &KmsKey) -> Fact {
    match key.arn() {
        Some(arn) => (
            "account, Region",
            format!("{}, {}", arn.account(), arn.region()),
        ),
        None => ("server", format!("{}, {}", key.kms, key.place())),
    }
}

/// Where an import is wrapped, and with which algorithm.
pub(crate) fn wrap(import: &ImportPlan) -> String {
    format!("{}, {}", import.wrap_in.place(), import.wrapping)
}

/// When KMS forgets the material, for a column whose title says so.
pub(crate) fn expires(import: &ImportPlan) -> String {
    import.expires.map_or("never".to_owned(), clock::for_people)
}

/// The same as a sentence.
pub(crate) fn expiry(import: &ImportPlan) -> String {
    match import.expires {
        Some(at) => format!("expires {}", clock::for_people(at)),
        None => "never expires".to_owned(),
    }
}

/// How an import differs from a plain first one, as far as the plan alone says.
pub(crate) fn unlike_others(kind: Kind, key: &KeyPlan, import: &ImportPlan) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(reason) = &import.other_kms_key {
        facts.push(("KMS key", other_kms_key(reason)));
    }
    if let Some(other) = &import.witness_of {
        let proves = format!("the same material a second time, which proves the import {other}");
        facts.push(("witness", proves));
    }
    if let Some(role) = key.role(kind, import) {
        facts.push(("Region", role.told()));
    }
    if let Some(told) = no_deadline(&import.kms_key) {
        facts.push(("deadline", told.to_owned()));
    }
    let doubt = import.kms_key.doubt(import.wrapping);
    facts.extend(doubt.map(|told| ("unwrapped", told.to_owned())));
    facts.extend(import.kms_key.no_guard().map(|told| ("compared", told)));
    facts
}

/// When an import without a deadline must be made.
pub(crate) const AT_ANY_TIME: &str = "AT ANY TIME, there is no deadline";

/// That a wrapped file can be imported for as long as its wrapping key exists.
pub(crate) fn no_deadline(key: &KmsKey) -> Option<&'static str> {
    match key.lifetime {
        Lifetime::Hours(_) => None,
        Lifetime::Endless(told) => Some(told),
    }
}

/// Within how many hours after the download a KMS must get the import: hours and KMSs, the soonest first.
pub(crate) fn hours(plan: &Plan) -> Vec<(i64, &'static str)> {
    let lifetimes = plan
        .imports()
        .filter_map(|(_, import)| match import.kms_key.lifetime {
            Lifetime::Hours(hours) => Some((hours, import.kms_key.kms)),
            Lifetime::Endless(_) => None,
        });
    let each: BTreeSet<_> = lifetimes.collect();
    each.into_iter().collect()
}

/// `other_kms_key`.
pub(crate) fn other_kms_key(reason: &str) -> String {
    format!("may be another than before: {reason}")
}

/// Who gets shares and how; without new shares, what happens to the old ones. Nothing if a reimport leaves the
/// shares as they are, and nothing for `destroy`: the earlier records say that.
pub(crate) fn escrow(plan: &Plan, show: impl Fn(&Path) -> String) -> Option<String> {
    let Some(escrow) = &plan.escrow else {
        let lost = match plan.keys.len() {
            1 => "so is this data key",
            _ => "so are these data keys",
        };
        return match (plan.kind, &plan.reuse_escrow) {
            (_, Some(reason)) => Some(format!("the old shares stay in use: {reason}")),
            (Kind::Generate, None) => Some(format!("NONE: if the HSM is lost, {lost}")),
            (_, None) => None,
        };
    };
    let place = match &escrow.deliver {
        Deliver::Screen => "written down at the screen".to_owned(),
        Deliver::Files(directory) => format!("as files in {}", show(directory)),
    };
    Some(format!("{}; {place}", escrow.policy.whole()))
}

/// Who may not be the same person, if the plan says it.
pub(crate) fn apart(plan: &Plan) -> Option<String> {
    let pairs: Vec<&str> = plan.apart.iter().map(|pair| pair.name()).collect();
    let told = format!(
        "never one person: {}; the roll call asks for a reason otherwise",
        pairs.join(", ")
    );
    (!pairs.is_empty()).then_some(told)
}

/// What vouches for the record that the plan builds on.
pub(crate) fn anchor(plan: &Plan) -> &'static str {
    match plan.previous_head {
        Some(_) => "its head digest is in the plan",
        None => "its head digest is typed from paper",
    }
}

/// Which network the machine may have.
pub(crate) fn network(network: Network) -> &'static str {
    match network {
        Network::Forbidden => "forbidden: every cable out, every radio off",
        Network::Hsm => "NOT FORBIDDEN: the HSM is reached by it",
        Network::Allowed => "NOT FORBIDDEN",
    }
}

/// `hsm.hardware`; the HSM has not been asked yet.
pub(crate) fn hardware(reason: &str) -> String {
    format!("by the plan's word if not by its slot's, an exception: {reason}")
}

/// Who signs the transcript, if the plan says it.
pub(crate) fn signer(signer: &SignerPlan) -> Option<String> {
    match signer {
        SignerPlan::Any => None,
        SignerPlan::Named(digest) => Some(fingerprint(digest)),
        SignerPlan::Nobody => Some("NONE: the transcript is not signed".to_owned()),
    }
}
