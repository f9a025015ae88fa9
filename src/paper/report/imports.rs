//! What was wrapped for which KMS key, and until when it must be imported.

use super::{Html, Report, code, facts, groups, p, tag};
use crate::evidence::receipts;
use crate::evidence::transcript::{ImportTypeTold, Imported, Wrapped};
use crate::ground::clock;
use crate::paper::html::Sheet;
use crate::plan::{ImportPlan, WrapIn};

pub(super) fn sheet(report: &Report) -> Sheet {
    let deadline = report.deadline().map_or(Html::default(), |at| {
        tag(
            "div.box",
            format!(
                "The first import token expires {}. Imported later, KMS refuses; nothing is lost then: new \
                    import parameters, and a reimport.",
                clock::for_people(at)
            ),
        )
    });
    Sheet::new("imports")
        .with([tag("h1", "Imports"), deadline])
        .with_each(report.events().map(|wrapped| import(report, &wrapped)))
        .with(p(
            "Each file WrappedKeyMaterial.bin can be opened by the KMS key that it is for, and by \
            nothing else.",
        ))
}

fn import(report: &Report, wrapped: &Wrapped) -> Html {
    let title = format!("{} / {}", wrapped.label, wrapped.import);
    Html::from([tag("h2", title), facts(told(report, wrapped))])
}

fn told(report: &Report, wrapped: &Wrapped) -> Vec<(Html, Html)> {
    let same = |label: &str, import: &str| label == wrapped.label && import == wrapped.import;
    let mut all = report.events::<Imported>();
    let read = all.find(|read| same(&read.label, &read.import));
    let place = match wrapped.wrapped_in.known() {
        Some(WrapIn::Hsm) => "inside the HSM",
        _ => "IN THIS COMPUTER",
    };
    let deadline = read.as_ref().and_then(|read| read.valid_to.known());
    let deadline = deadline.map_or(String::new(), clock::for_people);
    let (wrapping_key, compared) = read.as_ref().map_or(("", ""), |read| {
        (
            read.wrapping_key_spec.as_ref(),
            read.two_sided_check.as_str(),
        )
    });
    let mut rows = vec![
        ("KMS key".into(), code(&wrapped.key_arn)),
        (
            "wrapped".into(),
            format!("{place}, {}, {wrapping_key}", wrapped.wrapping).into(),
        ),
        ("wrapping key".into(), groups(&wrapped.wrapping_key_sha256)),
        ("compared".into(), compared.into()),
        (
            "file".into(),
            Html::from([
                code(&wrapped.path),
                format!(", {} bytes: ", wrapped.bytes).into(),
                groups(&wrapped.sha256),
            ]),
        ),
        ("import before".into(), deadline.into()),
        (
            "expires in KMS".into(),
            expires(planned(report, wrapped)).into(),
        ),
    ];
    let key = report.data_keys().find(|key| key.label == wrapped.label);
    rows.push((
        "proved in KMS by".into(),
        receipts::proof(key.as_ref().map_or("", |key| &key.spec)).into(),
    ));
    let mut types = report.events::<ImportTypeTold>();
    if let Some(told) = types.find(|told| same(&told.label, &told.import)) {
        rows.push(("import type".into(), import_type(&told)));
    }
    rows
}

fn planned<'a>(report: &'a Report, wrapped: &Wrapped) -> Option<&'a ImportPlan> {
    let mut imports = report.plan.imports();
    let found =
        imports.find(|(key, import)| key.label == wrapped.label && import.name == wrapped.import);
    found.map(|(_, import)| import)
}

fn expires(import: Option<&ImportPlan>) -> String {
    match import.map(|import| import.expires) {
        Some(Some(at)) => clock::for_people(at),
        Some(None) => "never".to_owned(),
        None => String::new(),
    }
}

fn import_type(told: &ImportTypeTold) -> Html {
    let words = [
        ("", told.import_type.as_deref()),
        ("into the multi-Region ", told.multi_region.as_deref()),
        ("a witness of ", told.witness_of.as_deref()),
        ("material ", told.key_material_id.as_deref()),
        ("described as ", told.description.as_deref()),
        ("then rotated, online: ", told.rotates.as_deref()),
    ];
    let words = words
        .into_iter()
        .filter_map(|(before, text)| Some(format!("{before}{}", text?)));
    words.collect::<Vec<_>>().join(", ").into()
}
