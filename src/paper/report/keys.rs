//! The data keys, and who can bring them back: escrow, shares, what was destroyed.

use super::facts::{
    DealtFacts, DestroyedFacts, KeyFacts, KeysFacts, Named, ProvedFacts, ShareFacts,
    SupersededFacts,
};
use super::{Html, Report, groups, html, rows};
use crate::crypto::spec::Spec;
use crate::evidence::previous::Came;
use crate::evidence::receipts::is_pair;
use crate::evidence::transcript::{
    DataKeyFacts, Destroyed, EscrowDealt, EscrowDestroyed, EscrowProved, EscrowSuperseded, Event,
    HandedOut, QuorumMet, Said, ShareUsed,
};
use crate::ground::words;
use crate::paper::holders;
use crate::plan::meaning;

/// With more data keys than this, their fingerprints get less room.
const IN_ROWS: usize = 4;

pub(super) fn facts(report: &Report) -> KeysFacts {
    let in_rows = report.data_keys().count() <= IN_ROWS;
    let proved = report.events::<EscrowProved>().map(|proved| ProvedFacts {
        shares: proved.shares.to_string().into(),
        recombinations: proved.recombinations.to_string().into(),
    });
    let dissenting = report
        .events::<QuorumMet>()
        .map(|met| met.dissenting.join(", "));
    let superseded = report
        .events::<EscrowSuperseded>()
        .map(|old| SupersededFacts {
            ceremony: old.ceremony.as_str().into(),
            custodians: old.custodians.join(", ").into(),
        });
    KeysFacts {
        holders: holders::picture(report.plan, report.previous),
        keys: report
            .data_keys()
            .map(|key| data_key(report, &key, in_rows))
            .collect(),
        dealt: report
            .events()
            .map(|dealt| self::dealt(report, &dealt))
            .collect(),
        proved: proved.collect(),
        used: report.events().map(|share| used(&share)).collect(),
        dissenting: Named::all(dissenting.filter(|names| !names.is_empty())),
        superseded: superseded.collect(),
        destroyed: destroyed(report),
    }
}

fn data_key(report: &Report, key: &Said<DataKeyFacts>, in_rows: bool) -> KeyFacts {
    let planned = report.plan.keys.iter().find(|plan| plan.label == key.label);
    KeyFacts {
        label: key.label.as_str().into(),
        spec: spec(key).into(),
        origin: told_origin(report, key).into(),
        kept: html(planned.map(|plan| meaning::keep(report.plan.kind, plan.keep))),
        cka_id: key.cka_id.as_str().into(),
        kcv: html(key.kcv.as_ref()),
        fingerprint: match in_rows {
            true => rows(&key.fingerprint),
            false => groups(&key.fingerprint),
        },
        is_pair: is_pair(&key.spec),
        attributes: attributes(key).into(),
    }
}

/// How a data key came into the HSM.
pub(super) struct Origin {
    pub short: &'static str,
    told: &'static str,
}

pub(super) fn origin(key: &Said<DataKeyFacts>) -> Origin {
    let (short, told) = match (Came::told_by(key), &key.line.event) {
        (Some(Came::Made), _) => ("made", "generated in the HSM in this ceremony"),
        (Some(Came::File), _) => (
            "brought in",
            "brought in from a file, which the exceptions name",
        ),
        (Some(Came::Token), _) => ("already there", "in the HSM before this ceremony"),
        (None, Event::KeyFound(_)) => ("found", "found in the HSM: the same material as before"),
        _ => (
            "recovered",
            "recovered from a quorum: the same material as before",
        ),
    };
    Origin { short, told }
}

/// The same in words, with what the record before tells.
fn told_origin(report: &Report, key: &Said<DataKeyFacts>) -> String {
    let told = origin(key).told;
    let before = match (Came::told_by(key), report.came_before(key)) {
        (Some(_), _) => return told.to_owned(),
        (None, Some(Came::Made)) => "an HSM made it in an earlier ceremony",
        (None, Some(Came::File)) => "it came from a file in an earlier ceremony",
        (None, Some(Came::Token)) => "it was in an HSM before its first ceremony",
        (None, None) => "no record here tells where it came from",
    };
    format!("{told}; {before}")
}

/// `HMAC_224, 28 bytes (224 bits)`, `ECC_NIST_P256, key pair on P-256`.
fn spec(key: &DataKeyFacts) -> String {
    let name = &key.spec;
    match (key.bytes, key.bits) {
        (None, _) => match Spec::parse(name) {
            Ok(spec) => format!("{name}, {spec}"),
            Err(_) => name.to_string(), // of a later version
        },
        (Some(bytes), None) => format!("{name}, {bytes} bytes"),
        (Some(bytes), Some(bits)) => format!("{name}, {bytes} bytes ({bits} bits)"),
    }
}

fn attributes(key: &DataKeyFacts) -> String {
    let shown = key.attributes.0.iter().map(|(name, value)| {
        let value = match value {
            Some(true) => "TRUE",
            Some(false) => "FALSE",
            None => "not reported",
        };
        format!("{} {value}", name.trim_start_matches("CKA_"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn dealt(report: &Report, dealt: &EscrowDealt) -> DealtFacts {
    let shares = dealt.shares.iter().map(|share| {
        let mut back = report.events::<HandedOut>();
        let back = back.find(|back| back.share == share.share);
        let back = back.map(|back| match back.typed_back {
            true => "typed back",
            false => "as a file, read back",
        });
        ShareFacts {
            share: share.share.to_string().into(),
            custodian: match &share.group {
                Some(group) => format!("{}, group {group}", share.custodian).into(),
                None => share.custodian.as_str().into(),
            },
            digest: groups(&share.share_sha256),
            back: html(back),
        }
    });
    DealtFacts {
        enough: words::capitalised(&dealt.enough()).into(),
        labels: words::some(&dealt.labels, 12).into(),
        shares: shares.collect(),
        package: groups(&dealt.package_sha256),
    }
}

/// A share of an earlier ceremony.
fn used(used: &ShareUsed) -> ShareFacts {
    ShareFacts {
        share: used
            .share
            .map_or("not known".to_owned(), |n| n.to_string())
            .into(),
        custodian: match &used.brought_by {
            Some(other) => format!("{}, typed by {other}", used.custodian).into(),
            None => used.custodian.as_str().into(),
        },
        digest: groups(used.share_sha256.as_deref().unwrap_or_default()),
        back: Html::default(),
    }
}

/// What a `destroy` destroyed, and what any kind of ceremony removed.
fn destroyed(report: &Report) -> Vec<DestroyedFacts> {
    let keys = report.events::<Destroyed>().map(|gone| DestroyedFacts {
        what: format!("data key {}, CKA_ID {}", gone.label, gone.cka_id).into(),
        became: format!("destroyed in the HSM: {}", gone.why).into(),
    });
    let paper = report
        .events::<EscrowDestroyed>()
        .map(|gone| DestroyedFacts {
            what: gone.what.as_str().into(),
            became: gone.said.as_str().into(),
        });
    keys.chain(paper).collect()
}
