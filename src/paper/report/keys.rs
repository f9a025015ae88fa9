//! The data keys, and who can bring them back: escrow, shares, what was destroyed.

use super::{Html, Report, code, facts, groups, p, rows, table, tag};
use crate::crypto::spec::Spec;
use crate::evidence::receipts::is_pair;
use crate::evidence::transcript::{
    DataKeyFacts, Destroyed, EscrowDealt, EscrowDestroyed, EscrowProved, EscrowSuperseded, Event,
    HandedOut, QuorumMet, Said, ShareUsed,
};
use crate::paper::html::{Sheet, free};
use crate::plan::meaning;

/// With more data keys than this their fingerprints stand in less room.
const IN_ROWS: usize = 4;

pub(super) fn sheet(report: &Report) -> Sheet {
    let count = report.data_keys().count();
    let keys = report.data_keys().map(|key| data_key(report, &key, count));
    Sheet::new("data keys and escrow")
        .with(tag("h1", "Data keys"))
        .with_each(keys)
        .with(tag("h1", "Escrow"))
        .with_each(escrow(report))
        .with_long(destroyed(report))
}

fn data_key(report: &Report, key: &Said<DataKeyFacts>, count: usize) -> Html {
    let label = key.label.as_str();
    let came = match (&key.line.event, key.source.as_deref()) {
        (Event::KeyGenerated(_), _) => "generated in the HSM in this ceremony",
        (_, Some("file")) => "brought in from a file, which the exceptions name",
        (_, Some("token")) => "in the HSM before this ceremony",
        (Event::KeyFound(_), _) => "found in the HSM: the same material as before",
        _ => "recovered from a quorum: the same material as before",
    };
    let planned = report.plan.keys.iter().find(|plan| plan.label == label);
    let keep = planned.map_or("", |plan| meaning::keep(report.plan.kind, plan.keep));
    let fingerprint = match count <= IN_ROWS {
        true => rows(&key.fingerprint),
        false => groups(&key.fingerprint),
    };
    let mut told = vec![
        ("spec".into(), spec(key).into()),
        ("came".into(), came.into()),
        ("kept".into(), keep.into()),
        ("CKA_ID".into(), code(&key.cka_id)),
    ];
    if let Some(kcv) = &key.kcv {
        told.push(("KCV".into(), code(kcv)));
    }
    told.push(("fingerprint".into(), fingerprint));
    if is_pair(&key.spec) {
        let file = code(&format!("{label}/public-key.pem"));
        let der = "; the fingerprint is the SHA-256 of the same in DER, public-key.der";
        told.push(("public key".into(), Html::from([file, der.into()])));
    }
    told.push(("attributes, as read back".into(), attributes(key)));
    Html::from([tag("h2", label), facts(told)])
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

fn attributes(key: &DataKeyFacts) -> Html {
    let shown = key.attributes.0.iter().map(|(name, value)| {
        let value = match value {
            Some(true) => "TRUE",
            Some(false) => "FALSE",
            None => "not reported",
        };
        format!("{} {value}", name.trim_start_matches("CKA_"))
    });
    tag("span.small", shown.collect::<Vec<_>>().join(", "))
}

fn escrow(report: &Report) -> Vec<Html> {
    let mut blocks: Vec<Html> = report
        .events()
        .flat_map(|dealt| self::dealt(report, &dealt))
        .collect();
    if blocks.is_empty() {
        blocks.push(p("No shares were dealt in this ceremony."));
    }
    for proved in report.events::<EscrowProved>() {
        blocks.push(p(format!(
            "Proved: from what came back from the custodians alone, all {} shares took part, in {} \
                recombinations; the package then opened to the data keys with the fingerprints above.",
            proved.shares, proved.recombinations
        )));
    }
    blocks.extend(brought(report));
    blocks.extend(report.events().map(|old| superseded(&old)));
    blocks
}

/// Shares of a ceremony before this one.
fn brought(report: &Report) -> Vec<Html> {
    let mut blocks = Vec::new();
    let used: Vec<Vec<Html>> = report.events().map(|share| used(&share)).collect();
    if !used.is_empty() {
        blocks.push(p("Shares of an earlier ceremony that were brought:"));
        blocks.push(table(
            "table.list",
            &["share", "custodian", "share digest"],
            used,
        ));
    }
    for met in report.events::<QuorumMet>() {
        if !met.dissenting.is_empty() {
            blocks.push(tag(
                "div.box",
                format!(
                    "Shares that did not agree with the others: {}",
                    met.dissenting.join(", ")
                ),
            ));
        }
    }
    blocks
}

fn superseded(old: &EscrowSuperseded) -> Html {
    let text = format!(
        "The shares of ceremony {}, held by {}, are superseded. They still open the package of that time \
            until people destroy both.",
        old.ceremony,
        old.custodians.join(", ")
    );
    tag("div.box", text)
}

fn dealt(report: &Report, dealt: &EscrowDealt) -> Vec<Html> {
    let rows = dealt.shares.iter().map(|share| {
        let mut back = report.events::<HandedOut>();
        let back = back.find(|back| back.share == share.share);
        let how = match back.map(|back| back.typed_back) {
            Some(true) => "typed back",
            Some(false) => "as a file, read back",
            None => "",
        };
        vec![
            share.share.to_string().into(),
            share.custodian.as_str().into(),
            groups(&share.share_sha256),
            how.into(),
        ]
    });
    let (threshold, count) = (dealt.threshold, dealt.shares.len());
    vec![
        p(format!(
            "Any {threshold} of the {count} shares, together with the escrow package, bring back: {}. A \
                share digest tells nothing of the share's words; they stand nowhere but with their custodian.",
            super::joined(&dealt.labels, 12)
        )),
        table(
            "table.list",
            &["share", "custodian", "share digest", "came back"],
            rows.collect(),
        ),
        facts(vec![(
            "escrow-package.json".into(),
            groups(&dealt.package_sha256),
        )]),
    ]
}

fn used(used: &ShareUsed) -> Vec<Html> {
    let share = match used.share {
        None => "not known".into(),
        Some(n) => n.to_string().into(),
    };
    vec![
        share,
        used.custodian.as_str().into(),
        groups(used.share_sha256.as_deref().unwrap_or_default()),
    ]
}

/// What a `destroy` destroyed, and what every kind took away.
fn destroyed(report: &Report) -> Html {
    let keys = report.events::<Destroyed>().map(|gone| {
        vec![
            free(&format!("data key {}, CKA_ID {}", gone.label, gone.cka_id)),
            free(&format!("destroyed in the HSM: {}", gone.why)),
        ]
    });
    let paper = report
        .events::<EscrowDestroyed>()
        .map(|gone| vec![free(&gone.what), free(&gone.said)]);
    let rows: Vec<Vec<Html>> = keys.chain(paper).collect();
    if rows.is_empty() {
        return Html::default();
    }
    Html::from([
        tag("h1", "Destroyed"),
        table("table.list", &["what", "what became of it"], rows),
    ])
}
