//! What was wrapped for which KMS key, and until when it must be imported.

use super::facts::{ImportFacts, ImportsFacts};
use super::{Html, Report, groups, html};
use crate::evidence::receipts;
use crate::evidence::transcript::{ImportTypeTold, Imported, Wrapped};
use crate::ground::clock;
use crate::plan::{ImportPlan, WrapIn, meaning};

pub(super) fn facts(report: &Report) -> ImportsFacts {
    ImportsFacts {
        deadline: html(report.deadline().map(clock::for_people)),
        imports: report
            .events()
            .map(|wrapped| import(report, &wrapped))
            .collect(),
    }
}

fn import(report: &Report, wrapped: &Wrapped) -> ImportFacts {
    let same = |label: &str, import: &str| label == wrapped.label && import == wrapped.import;
    let mut all = report.events::<Imported>();
    let read = all.find(|read| same(&read.label, &read.import));
    let key = report.data_keys().find(|key| key.label == wrapped.label);
    let mut types = report.events::<ImportTypeTold>();
    let told = types.find(|told| same(&told.label, &told.import));
    ImportFacts {
        label: wrapped.label.as_str().into(),
        import: wrapped.import.as_str().into(),
        kms: html(planned(report, wrapped).map(|import| import.kms_key.kms())),
        arn: wrapped.kms_key.name.as_str().into(),
        place: wrapped
            .wrapped_in
            .known()
            .unwrap_or(WrapIn::Host)
            .place()
            .into(),
        wrapping: wrapped.wrapping.to_string().into(),
        wrapping_key_spec: html(read.as_ref().map(|read| read.wrapping_key_spec.as_ref())),
        wrapping_key: groups(&wrapped.wrapping_key_sha256),
        wrapping_key_id: html(read.as_ref().and_then(|read| read.wrapping_key_id.clone())),
        compared: html(read.as_ref().map(|read| read.two_sided_check.as_str())),
        path: wrapped.path.as_str().into(),
        bytes: wrapped.bytes.to_string().into(),
        digest: groups(&wrapped.sha256),
        before: before(report, wrapped, read.as_deref()),
        expires: html(planned(report, wrapped).map(meaning::expires)),
        proof: receipts::proof(
            key.as_ref().map_or("", |key| &key.spec),
            wrapped.kms_key.kms.as_deref().unwrap_or_default(),
        )
        .unwrap_or("nothing: this KMS shows nothing of such a key")
        .into(),
        import_type: told.map_or_else(Html::default, |told| import_type(&told)),
    }
}

/// Until when it must be imported, or what it means that nothing says so.
fn before(report: &Report, wrapped: &Wrapped, read: Option<&Imported>) -> Html {
    let valid_to = read.and_then(|read| read.valid_to.as_ref()?.known());
    let none = || {
        let import = planned(report, wrapped)?;
        meaning::no_deadline(&import.kms_key).map(str::to_owned)
    };
    html(valid_to.map(clock::for_people).or_else(none))
}

fn planned<'a>(report: &'a Report, wrapped: &Wrapped) -> Option<&'a ImportPlan> {
    let mut imports = report.plan.imports();
    let found =
        imports.find(|(key, import)| key.label == wrapped.label && import.name == wrapped.import);
    found.map(|(_, import)| import)
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
