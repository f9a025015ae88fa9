//! What was wrapped for which KMS key, and until when it must be imported.

use super::{Html, Report, code, facts, groups, number, p, tag};
use crate::html::Sheet;
use crate::machine;
use crate::plan::ImportPlan;
use crate::receipts;
use crate::transcript::Line;

pub(super) fn sheet(report: &Report) -> Sheet {
    let deadline = report.deadline().map_or(Html::default(), |at| {
        tag(
            "div.box",
            format!(
                "The first import token expires {}. Imported later, KMS refuses; nothing is lost then: new \
                    import parameters, and a reimport.",
                machine::for_people(at)
            ),
        )
    });
    Sheet::new("imports")
        .with([tag("h1", "Imports"), deadline])
        .with_each(
            report
                .events("key-wrapped")
                .map(|line| import(report, line)),
        )
        .with(p(
            "Each file WrappedKeyMaterial.bin can be opened by the KMS key that it is for, and by \
            nothing else.",
        ))
}

fn import(report: &Report, wrapped: &Line) -> Html {
    let title = format!("{} / {}", wrapped.text("label"), wrapped.text("import"));
    Html::from([tag("h2", title), facts(told(report, wrapped))])
}

fn told(report: &Report, wrapped: &Line) -> Vec<(Html, Html)> {
    let same = |line: &&Line| {
        line.text("label") == wrapped.text("label") && line.text("import") == wrapped.text("import")
    };
    let read = report.events("import-parameters-read").find(same);
    let told = |name| read.map_or("", |line| line.text(name));
    let place = match wrapped.text("wrapped_in") {
        "hsm" => "inside the HSM",
        _ => "IN THIS COMPUTER",
    };
    let deadline = told("valid_to")
        .parse()
        .map_or(String::new(), machine::for_people);
    let mut rows = vec![
        ("KMS key".into(), code(wrapped.text("key_arn"))),
        (
            "wrapped".into(),
            format!(
                "{place}, {}, {}",
                wrapped.text("wrapping"),
                told("wrapping_key_spec")
            )
            .into(),
        ),
        (
            "wrapping key".into(),
            groups(wrapped.text("wrapping_key_sha256")),
        ),
        ("compared".into(), told("two_sided_check").into()),
        (
            "file".into(),
            Html::from([
                code(wrapped.text("path")),
                format!(", {} bytes: ", number(wrapped, "bytes")).into(),
                groups(wrapped.text("sha256")),
            ]),
        ),
        ("import before".into(), deadline.into()),
        (
            "expires in KMS".into(),
            expires(planned(report, wrapped)).into(),
        ),
    ];
    let key = report
        .data_keys()
        .find(|key| key.text("label") == wrapped.text("label"));
    rows.push((
        "proved in KMS by".into(),
        receipts::proof(key.map_or("", |key| key.text("spec"))).into(),
    ));
    if let Some(told) = report.events("import-type").find(same) {
        rows.push(("import type".into(), import_type(told)));
    }
    rows
}

fn planned<'a>(report: &'a Report, wrapped: &Line) -> Option<&'a ImportPlan> {
    let mut imports = report.plan.imports();
    let found = imports.find(|(key, import)| {
        key.label == wrapped.text("label") && import.name == wrapped.text("import")
    });
    found.map(|(_, import)| import)
}

fn expires(import: Option<&ImportPlan>) -> String {
    match import.map(|import| import.expires) {
        Some(Some(at)) => machine::for_people(at),
        Some(None) => "never".to_owned(),
        None => String::new(),
    }
}

fn import_type(line: &Line) -> Html {
    let mut told = Vec::new();
    for (member, before) in [
        ("import_type", ""),
        ("multi_region", "into the multi-Region "),
        ("witness_of", "a witness of "),
        ("key_material_id", "material "),
        ("description", "described as "),
        ("rotates", "then rotated, online: "),
    ] {
        let text = line.text(member);
        if !text.is_empty() {
            told.push(format!("{before}{text}"));
        }
    }
    told.join(", ").into()
}
