//! The data keys, and who can bring them back: escrow, shares, what was destroyed.

use super::{Html, Report, code, facts, groups, list, number, p, rows, table, tag, text};
use crate::html::{Sheet, free};
use crate::plan::Keep;
use crate::receipts::is_pair;
use crate::spec::Spec;
use crate::strict_json::Json;
use crate::transcript::Line;

/// With more data keys than this their fingerprints stand in less room.
const IN_ROWS: usize = 4;

pub(super) fn sheet(report: &Report) -> Sheet {
    let count = report.data_keys().count();
    let keys = report.data_keys().map(|key| data_key(report, key, count));
    Sheet::new("data keys and escrow")
        .with(tag("h1", "Data keys"))
        .with_each(keys)
        .with(tag("h1", "Escrow"))
        .with_each(escrow(report))
        .with_long(destroyed(report))
}

fn data_key(report: &Report, key: &Line, count: usize) -> Html {
    let label = key.text("label");
    let came = match (key.event.as_str(), key.text("source")) {
        ("key-generated", _) => "generated in the HSM in this ceremony",
        (_, "file") => "brought in from a file, which the exceptions name",
        (_, "token") => "in the HSM before this ceremony",
        ("key-found", _) => "found in the HSM: the same material as before",
        _ => "recovered from a quorum: the same material as before",
    };
    let planned = report.plan.keys.iter().find(|plan| plan.label == label);
    let keep = planned.map_or("", |plan| match plan.keep {
        Keep::Extractable => "in the HSM, extractable: whoever has token and PIN can wrap it again",
        Keep::Sealed => "in the HSM, sealed: only a quorum brings it out again",
        Keep::None => "not in the HSM: only a quorum brings it back",
    });
    let fingerprint = key.text("fingerprint");
    let fingerprint = match count <= IN_ROWS {
        true => rows(fingerprint),
        false => groups(fingerprint),
    };
    let mut told = vec![
        ("spec".into(), spec(key).into()),
        ("came".into(), came.into()),
        ("kept".into(), keep.into()),
        ("CKA_ID".into(), code(key.text("cka_id"))),
    ];
    if !key.text("kcv").is_empty() {
        told.push(("KCV".into(), code(key.text("kcv"))));
    }
    told.push(("fingerprint".into(), fingerprint));
    if is_pair(key.text("spec")) {
        let file = code(&format!("{label}/public-key.pem"));
        let der = "; the fingerprint is the SHA-256 of the same in DER, public-key.der";
        told.push(("public key".into(), Html::from([file, der.into()])));
    }
    told.push(("attributes, as read back".into(), attributes(key)));
    Html::from([tag("h2", label), facts(told)])
}

/// `HMAC_224, 28 bytes (224 bits)`, `ECC_NIST_P256, key pair on P-256`.
fn spec(key: &Line) -> String {
    let name = key.text("spec");
    match (number(key, "bytes"), number(key, "bits")) {
        (0, _) => match Spec::parse(name) {
            Ok(spec) => format!("{name}, {spec}"),
            Err(_) => name.to_owned(), // of a later version
        },
        (bytes, 0) => format!("{name}, {bytes} bytes"),
        (bytes, bits) => format!("{name}, {bytes} bytes ({bits} bits)"),
    }
}

fn attributes(key: &Line) -> Html {
    let members = key.json.get("attributes").and_then(Json::as_object);
    let shown = members.unwrap_or_default().iter().map(|(name, value)| {
        let value = match value {
            Json::Bool(true) => "TRUE",
            Json::Bool(false) => "FALSE",
            _ => "not reported",
        };
        format!("{} {value}", name.trim_start_matches("CKA_"))
    });
    tag("span.small", shown.collect::<Vec<_>>().join(", "))
}

fn escrow(report: &Report) -> Vec<Html> {
    let mut blocks: Vec<Html> = report
        .events("escrow-dealt")
        .flat_map(|dealt| self::dealt(report, dealt))
        .collect();
    if blocks.is_empty() {
        blocks.push(p("No shares were dealt in this ceremony."));
    }
    for proved in report.events("escrow-proved") {
        blocks.push(p(format!(
            "Proved: from what came back from the custodians alone, all {} shares took part, in {} \
                recombinations; the package then opened to the data keys with the fingerprints above.",
            number(proved, "shares"),
            number(proved, "recombinations")
        )));
    }
    blocks.extend(brought(report));
    blocks.extend(report.events("escrow-superseded").map(superseded));
    blocks
}

/// Shares of a ceremony before this one.
fn brought(report: &Report) -> Vec<Html> {
    let mut blocks = Vec::new();
    let used: Vec<Vec<Html>> = report.events("share-used").map(used).collect();
    if !used.is_empty() {
        blocks.push(p("Shares of an earlier ceremony that were brought:"));
        blocks.push(table(
            "table.list",
            &["share", "custodian", "share digest"],
            used,
        ));
    }
    for met in report.events("quorum-met") {
        let dissenting = list(met, "dissenting");
        if !dissenting.is_empty() {
            let names: Vec<&str> = dissenting.iter().filter_map(Json::as_str).collect();
            blocks.push(tag(
                "div.box",
                format!(
                    "Shares that did not agree with the others: {}",
                    names.join(", ")
                ),
            ));
        }
    }
    blocks
}

fn superseded(old: &Line) -> Html {
    let who: Vec<&str> = list(old, "custodians")
        .iter()
        .filter_map(Json::as_str)
        .collect();
    let text = format!(
        "The shares of ceremony {}, held by {}, are superseded. They still open the package of that time \
            until people destroy both.",
        old.text("ceremony"),
        who.join(", ")
    );
    tag("div.box", text)
}

fn dealt(report: &Report, dealt: &Line) -> Vec<Html> {
    let shares = list(dealt, "shares");
    let labels: Vec<&str> = list(dealt, "labels")
        .iter()
        .filter_map(Json::as_str)
        .collect();
    let rows = shares.iter().map(|share| {
        let number = share
            .get("share")
            .and_then(Json::as_u64)
            .unwrap_or_default();
        let back = report
            .events("share-handed-out")
            .find(|line| super::number(line, "share") == number);
        let how = match back.map(|line| line.is_true("typed_back")) {
            Some(true) => "typed back",
            Some(false) => "as a file, read back",
            None => "",
        };
        vec![
            number.to_string().into(),
            text(share, "custodian").into(),
            groups(text(share, "share_sha256")),
            how.into(),
        ]
    });
    let (threshold, count) = (number(dealt, "threshold"), shares.len());
    vec![
        p(format!(
            "Any {threshold} of the {count} shares, together with the escrow package, bring back: {}. A \
                share digest tells nothing of the share's words; they stand nowhere but with their custodian.",
            super::joined(&labels, 12)
        )),
        table(
            "table.list",
            &["share", "custodian", "share digest", "came back"],
            rows.collect(),
        ),
        facts(vec![(
            "escrow-package.json".into(),
            groups(dealt.text("package_sha256")),
        )]),
    ]
}

fn used(line: &Line) -> Vec<Html> {
    let share = match number(line, "share") {
        0 => "not known".into(),
        n => n.to_string().into(),
    };
    vec![
        share,
        line.text("custodian").into(),
        groups(line.text("share_sha256")),
    ]
}

/// What a `destroy` destroyed, and what every kind took away.
fn destroyed(report: &Report) -> Html {
    let keys = report.events("key-destroyed").map(|line| {
        vec![
            free(&format!(
                "data key {}, CKA_ID {}",
                line.text("label"),
                line.text("cka_id")
            )),
            free(&format!("destroyed in the HSM: {}", line.text("why"))),
        ]
    });
    let paper = report
        .events("escrow-destroyed")
        .map(|line| vec![free(line.text("what")), free(line.text("said"))]);
    let rows: Vec<Vec<Html>> = keys.chain(paper).collect();
    if rows.is_empty() {
        return Html::default();
    }
    Html::from([
        tag("h1", "Destroyed"),
        table("table.list", &["what", "what became of it"], rows),
    ])
}
