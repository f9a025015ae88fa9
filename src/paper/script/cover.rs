//! The first pages: what the ceremony is for, the plan's digest, and every data key with its imports.

use super::Script;
use crate::evidence::previous::told_outside;
use crate::ground::clock;
use crate::paper::html::{
    Html, Sheet, code, facts, free, groups, line, p, rows_to_compare, short_line, table, tag,
};
use crate::paper::outputs::import_type;
use crate::plan::{Deliver, ImportPlan, KeyPlan, Kind, Network, Source, meaning};

pub(super) fn first(script: &Script) -> Sheet {
    let plan = script.plan;
    let title = [
        tag("h1", &plan.title),
        p(format!(
            "Script of a key ceremony, kind {}: {}. Made by byok {} from {}.",
            plan.kind.name(),
            purpose(plan.kind),
            env!("CARGO_PKG_VERSION"),
            script.plan_name()
        )),
        script.practice_box(),
    ];
    Sheet::new("script")
        .with(title)
        .with(facts(summary(script)))
        .with([
            tag("h2", "The plan's digest, compared before step 1"),
            p([
                "SHA-256 of the plan's exact bytes. One person reads this page aloud, another compares the \
                    screen, row by row. Whoever changes the plan prints this script again. The same without byok: "
                    .into(),
                code(&format!("sha256sum {}", script.plan_name())),
            ]),
            rows_to_compare(&plan.sha256),
            practice_digest(script.practice),
        ])
        .with([
            p([line("place"), short_line("date"), short_line("begins (UTC)")]),
            p([
                short_line("paper no."),
                short_line("of"),
                "printed copies; the one signed by the witnesses is kept. ".into(),
            ]),
            tag(
                "div.box.thin",
                "No secret stands on this paper, and none is ever printed: shares are written by hand on the \
                    forms at the end, and a PIN is written on none of these pages.",
            ),
            tag("div.box.thin.small", short_words()),
        ])
}

/// The abbreviations of this paper, and what people compare by them.
const SHORT_WORDS: [(&str, &str); 8] = [
    (
        "HSM",
        "hardware security module: the device that makes and keeps the keys, opened with a PIN",
    ),
    (
        "KMS",
        "the cloud's key management service; ARN: the name of one key in it",
    ),
    ("UTC", "the time that all clocks and deadlines here go by"),
    (
        "SHA-256",
        "a digest: 64 hex digits that tell one file from every other; compared in 8 rows",
    ),
    (
        "KCV",
        "key check value: 6 hex digits by which people know an AES key again; no secret",
    ),
    (
        "fingerprint",
        "the same in full: proves that two data keys are the same; no secret",
    ),
    (
        "RSA, OAEP, AES-KW",
        "how a data key is wrapped, so that only the KMS or a quorum opens it",
    ),
    (
        "slip, share",
        "the online side's signed paper; one custodian's 33 words",
    ),
];

fn short_words() -> Html {
    let word = |(word, means): (&'static str, &'static str)| {
        Html::from([tag("b", word), " ".into(), means.into(), ". ".into()])
    };
    SHORT_WORDS.into_iter().map(word).collect()
}

fn practice_digest(practice: bool) -> Html {
    match practice {
        true => p(
            "In a rehearsal byok makes a practice plan of this one, and the screen shows the digest of that: \
                the rows will differ, and are in practice-slip.txt. In the real ceremony rows that differ end it.",
        ),
        false => Html::default(),
    }
}

fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Generate => "new data keys are made in the HSM and wrapped for import into KMS",
        Kind::Reimport => "the same data keys as before are found in the HSM and wrapped again",
        Kind::Recover => {
            "the same data keys as before are brought back by a quorum and wrapped again"
        }
        Kind::Destroy => "data keys come to their end",
    }
}

fn summary(script: &Script) -> Vec<(Html, Html)> {
    let plan = script.plan;
    let labels: Vec<&str> = plan.keys.iter().map(|key| key.label.as_str()).collect();
    let shown = labels
        .iter()
        .take(8)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let more = match labels.len().saturating_sub(8) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let network = match plan.network {
        Network::Forbidden => "no network: every cable out, every radio off",
        Network::Hsm => "only to the HSM (recorded)",
        Network::Allowed => "NOT FORBIDDEN by the plan (recorded)",
    };
    let mut rows = vec![
        ("data keys".into(), format!("{shown}{more}").into()),
        ("imports".into(), imports(script).into()),
        ("escrow".into(), escrow(script).into()),
        ("HSM token".into(), code(&plan.hsm.token.to_string())),
        ("network".into(), network.into()),
        ("record".into(), code(&script.record())),
        (
            "time in the room".into(),
            format!("about {} minutes", super::steps::in_the_room(script)).into(),
        ),
    ];
    if let Some(reason) = &plan.hsm.hardware {
        rows.push(("hardware".into(), meaning::hardware(reason).into()));
    }
    if let Some(previous) = &plan.previous {
        rows.push(("record before".into(), code(&script.relative(previous))));
    }
    if let Some(reason) = &plan.reason {
        rows.push(("reason".into(), reason.into()));
    }
    rows
}

fn imports(script: &Script) -> String {
    match script.imports() {
        0 => "none".to_owned(),
        n => format!("{n}, each on the next pages"),
    }
}

fn escrow(script: &Script) -> String {
    let plan = script.plan;
    let Some(escrow) = &plan.escrow else {
        return match (plan.kind, &plan.reuse_escrow) {
            (Kind::Destroy, _) => told_outside(script.previous),
            (_, Some(reason)) => format!("the old shares stay in use: {reason}"),
            (Kind::Generate, None) => "NONE: if the HSM is lost, so are these data keys".to_owned(),
            (_, None) => "no new shares are dealt".to_owned(),
        };
    };
    let how = match escrow.deliver {
        Deliver::Screen => "written down at the screen, typed back",
        Deliver::Files(_) => "as files",
    };
    format!(
        "any {} of {}: {}; {how}",
        escrow.threshold,
        escrow.custodians.len(),
        escrow.custodians.join(", ")
    )
}

/// Every data key, and every KMS key that gets it.
pub(super) fn data_keys(script: &Script) -> Sheet {
    let mut sheet = Sheet::new("data keys and imports").with([
        tag("h1", "Data keys and imports"),
        p("What the plan says, for people. The key check value (KCV) and the fingerprint are no secrets."),
    ]);
    if script.in_tables() {
        if script.plan.kind != Kind::Destroy {
            sheet = sheet.with(facts(keeps(script)));
        }
        return sheet.with_long(all_data_keys(script));
    }
    for key in &script.plan.keys {
        sheet = sheet.with(data_key(script, key));
        for import in &key.imports {
            sheet = sheet.with(self::import(script, key, import));
        }
    }
    sheet
}

/// What each `keep` of the plan means.
fn keeps(script: &Script) -> Vec<(Html, Html)> {
    let mut keeps: Vec<(Html, Html)> = Vec::new();
    for key in &script.plan.keys {
        let row = (
            format!("keep {}", key.keep.name()).into(),
            meaning::keep(script.plan.kind, key.keep).into(),
        );
        if !keeps.contains(&row) {
            keeps.push(row);
        }
    }
    keeps
}

fn data_key(script: &Script, key: &KeyPlan) -> Html {
    let (kcv, fingerprint) = script.known(&key.label);
    let has_kcv = key.spec.has_kcv();
    let note = match (has_kcv, kcv, &fingerprint) {
        (true, Some(_), _) => Some("  as in the record before"),
        (true, None, _) | (false, _, None) => Some("filled in at step 7"),
        (false, _, Some(_)) => None, // the whole fingerprint follows
    };
    let name = match has_kcv {
        true => "KCV",
        false => "fingerprint, first 8 digits",
    };
    let mut rows = vec![
        (
            "spec".into(),
            format!("{}, {}", key.spec.name(), key.spec).into(),
        ),
        (
            "kept".into(),
            meaning::keep(script.plan.kind, key.keep).into(),
        ),
    ];
    rows.extend(
        comes_from(script, key)
            .into_iter()
            .map(|(name, told)| (name.into(), told)),
    );
    if let Some(note) = note {
        rows.push((name.into(), Html::from([script.glance(key), note.into()])));
    }
    if let Some(fingerprint) = fingerprint {
        rows.push(("fingerprint".into(), groups(&fingerprint)));
    }
    Html::from([tag("h2", &key.label), facts(rows)])
}

/// Of material that was there before.
fn comes_from(script: &Script, key: &KeyPlan) -> Vec<(&'static str, Html)> {
    let from: Html = match &key.source {
        Source::Hsm => return Vec::new(),
        Source::Token(_) => format!(
            "the HSM, where it is already ({}); nothing tells who made it or who else has it",
            key.source
        )
        .into(),
        Source::File(path) => Html::from([
            "the file ".into(),
            code(&script.relative(path)),
            ", in clear: whoever has or had it has the data key".into(),
        ]),
    };
    let reason = key.reason.iter().map(|why| ("reason", why.into()));
    [("comes from", from)].into_iter().chain(reason).collect()
}

/// A row for each import, and for a data key without one.
fn all_data_keys(script: &Script) -> Html {
    let mut rows = Vec::new();
    for key in &script.plan.keys {
        let what = Html::from([
            tag("b", free(&key.label)),
            format!(
                ": {}, {}; keep {}",
                key.spec.name(),
                key.spec,
                key.keep.name()
            )
            .into(),
            comes_from(script, key)
                .into_iter()
                .map(|(name, told)| p([format!("{name}: ").into(), told]))
                .collect(),
        ]);
        let (_, fingerprint) = script.known(&key.label);
        let check = match fingerprint {
            Some(hex) => Html::from([script.glance(key), p(groups(&hex))]),
            None if script.counts_in_steps() => Html::default(), // no screen shows it
            None => script.glance(key),
        };
        let mut first = Some((what, check));
        let nowhere = key.imports.is_empty().then(|| "no import".into());
        for import in key
            .imports
            .iter()
            .map(|import| in_short(script, key, import))
            .chain(nowhere)
        {
            let (what, check) = first.take().unwrap_or_default();
            rows.push(vec![what, import, check]);
        }
    }
    table(
        "table.list",
        &["data key", "KMS key", "KCV or fingerprint"],
        rows,
    )
}

fn in_short(script: &Script, key: &KeyPlan, import: &ImportPlan) -> Html {
    let place = import.wrap_in.place();
    let expires = import.expires.map_or("never expires".to_owned(), |at| {
        format!("expires {}", clock::for_people(at))
    });
    let mut told = format!("; wrapped {place}, {}; {expires}", import.wrapping);
    if let Some(of) = &import.witness_of {
        told += &format!("; a witness of {of}");
    }
    if let Some(role) = key.role(script.plan.kind, import) {
        told += &format!("; {}", role.told());
    }
    if let Some(name) = imported_as(script, key, import) {
        told += &format!("; imported as {name}");
    }
    if let Some(description) = &import.description {
        told += &format!("; described as {description}");
    }
    if let Some(reason) = &import.other_kms_key {
        told += &format!("; another KMS key than before: {reason}");
    }
    let digest = import.wrapping_key_sha256.as_ref().map(|digest| {
        Html::from([
            "; wrapping key ".into(),
            groups(&crate::ground::words::hex(digest)),
        ])
    });
    Html::from([
        free(&import.name),
        ": ".into(),
        code(import.key_arn.as_str()),
        told.into(),
        digest.unwrap_or_default(),
    ])
}

/// What KMS is told of the material, where it is told anything.
fn imported_as(script: &Script, key: &KeyPlan, import: &ImportPlan) -> Option<String> {
    let kind = script.plan.kind;
    let import_type = import_type(kind, script.previous, key, import)?;
    let rotates = match key.rotates(kind, import) {
        Some(_) => "; the KMS key is rotated to it afterwards, online",
        None => "",
    };
    Some(format!("{}{rotates}", import_type.name()))
}

fn import(script: &Script, key: &KeyPlan, import: &ImportPlan) -> Html {
    let arn = &import.key_arn;
    let place = import.wrap_in.place();
    let expires = import.expires.map_or("never".to_owned(), clock::for_people);
    let digest = match &import.wrapping_key_sha256 {
        Some(digest) => groups(&crate::ground::words::hex(digest)),
        None => "from the slip, in the room".into(),
    };
    let mut rows = vec![
        vec!["KMS key".into(), code(arn.as_str())],
        vec![
            "account, Region".into(),
            format!("{}, {}", arn.account(), arn.region()).into(),
        ],
        vec![
            "wrapped".into(),
            format!("{place}, {}", import.wrapping).into(),
        ],
        vec!["expires in KMS".into(), expires.into()],
        vec!["wrapping key, SHA-256".into(), digest],
    ];
    if let Some(of) = &import.witness_of {
        rows.push(vec!["witness of".into(), of.into()]);
    }
    let region = key.role(script.plan.kind, import).map(|role| role.told());
    rows.extend(region.map(|told| vec!["Region".into(), told.into()]));
    let imported_as = imported_as(script, key, import);
    rows.extend(imported_as.map(|told| vec!["imported as".into(), told.into()]));
    if let Some(description) = &import.description {
        rows.push(vec!["described as".into(), description.into()]);
    }
    if let Some(reason) = &import.other_kms_key {
        rows.push(vec!["other KMS key".into(), reason.into()]);
    }
    let rows = rows.into_iter().filter_map(|cells| {
        let [name, value]: [Html; 2] = cells.try_into().ok()?;
        Some((name, value))
    });
    Html::from([
        tag("h3", format!("{} / {}", key.label, import.name)),
        facts(rows.collect()),
    ])
}
