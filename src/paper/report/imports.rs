//! What was wrapped for which KMS key, and until when it must be imported.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::facts::{ImportFacts, ImportsFacts, Named};
use super::{Html, Report, Said, groups, html, keys};
use crate::evidence::receipts;
use crate::evidence::transcript::{ImportTypeTold, Imported, KeyName, Opened, Wrapped};
use crate::ground::clock;
use crate::ground::words;
use crate::paper::timeline::{self, Span};
use crate::plan::{ImportPlan, WrapIn, meaning, parameters};

pub(super) fn facts(report: &Report) -> ImportsFacts {
    // a rehearsal has one stand-in KMS
    let is_real = report.events::<Opened>().all(|opening| !opening.rehearsal);
    let wrapping_keys = report.events::<Wrapped>().filter(|_| is_real);
    let wrapping_keys = wrapping_keys.filter_map(|wrapped| {
        let kms_key = &planned(report, &wrapped)?.kms_key;
        let name = format!("{}/{}", wrapped.label, wrapped.import);
        Some((name, kms_key, wrapped.wrapping_key_sha256.clone()))
    });
    ImportsFacts {
        shared: Named::all(parameters::shared_wrapping_keys(wrapping_keys)),
        has_deadline: deadlines(report).any(|(at, _)| at.is_some()),
        deadlines: Named::all(each_deadline(report)),
        timeline: timeline(report),
        imports: report
            .events()
            .map(|wrapped| import(report, &wrapped))
            .collect(),
    }
}

/// Until when each import must be made, the soonest first; those that have the same time together.
pub(super) fn each_deadline(report: &Report) -> Vec<String> {
    let mut at: BTreeMap<(bool, Option<Timestamp>), Vec<String>> = BTreeMap::new();
    for (deadline, name) in deadlines(report) {
        at.entry((deadline.is_none(), deadline))
            .or_default()
            .push(name);
    }
    let several = at.len() > 1;
    let told = at.into_iter().map(|((_, deadline), names)| {
        let before = deadline.map(|at| format!("before {}", clock::for_people(at)));
        let before = before.unwrap_or_else(|| meaning::AT_ANY_TIME.to_owned());
        match several {
            true => format!("{before}: {}", words::some(&names, 6)),
            false => before,
        }
    });
    told.collect()
}

/// Its imports on the time line; those that have the same dates together.
fn timeline(report: &Report) -> Html {
    let mut spans: BTreeMap<_, (Span, Vec<String>)> = BTreeMap::new();
    for wrapped in report.events::<Wrapped>() {
        let key = report.data_keys().find(|key| key.label == wrapped.label);
        let came = key.map(|key| (key.line.at, keys::origin(&key).short));
        let read = read_for(report, &wrapped);
        let before = read.and_then(|read| read.valid_to.as_ref()?.known());
        let ends = planned(report, &wrapped).and_then(|import| import.expires);
        let same = (before.is_none(), before, ends, came.map(|(_, how)| how));
        let (_, names) = spans.entry(same).or_insert_with(|| {
            let span = Span {
                name: Html::default(),
                how_far: receipts::NONE.into(),
                key: Html::default(),
                came,
                since: wrapped.line.at,
                taken: false,
                before,
                ends,
            };
            (span, Vec::new())
        });
        names.push(format!("{} / {}", wrapped.label, wrapped.import));
    }
    let named = |(span, names): (Span, Vec<String>)| Span {
        name: words::some(&names, 6).into(),
        ..span
    };
    let spans: Vec<Span> = spans.into_values().map(named).collect();
    let now = report.lines.last().map(|line| line.at);
    now.map_or_else(Html::default, |now| {
        timeline::picture("The time of these imports", &spans, now)
    })
}

/// Each import by its name, with its deadline if it has one.
fn deadlines(report: &Report) -> impl Iterator<Item = (Option<Timestamp>, String)> {
    let one_key = report.data_keys().count() < 2;
    report.events::<Wrapped>().map(move |wrapped| {
        let read = read_for(report, &wrapped);
        let deadline = read.and_then(|read| read.valid_to.as_ref()?.known());
        let name = match one_key {
            true => wrapped.import.clone(),
            false => format!("{}/{}", wrapped.label, wrapped.import),
        };
        (deadline, name)
    })
}

fn read_for<'a>(report: &'a Report, wrapped: &Wrapped) -> Option<Said<'a, Imported>> {
    let mut all = report.events::<Imported>();
    all.find(|read| read.label == wrapped.label && read.import == wrapped.import)
}

fn import(report: &Report, wrapped: &Wrapped) -> ImportFacts {
    let same = |label: &str, import: &str| label == wrapped.label && import == wrapped.import;
    let read = read_for(report, wrapped);
    let key = report.data_keys().find(|key| key.label == wrapped.label);
    let mut types = report.events::<ImportTypeTold>();
    let told = types.find(|told| same(&told.label, &told.import));
    ImportFacts {
        label: wrapped.label.as_str().into(),
        import: wrapped.import.as_str().into(),
        kms: html(planned(report, wrapped).map(|import| import.kms_key.kms)),
        arn: wrapped.kms_key.name.as_str().into(),
        place: wrapped_in(wrapped).place().into(),
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
        import_type: told.map_or_else(Html::default, |told| {
            import_type(&told, &wrapped.kms_key.name)
        }),
    }
}

/// Where it was wrapped. A place of a later version may be this computer.
pub(super) fn wrapped_in(wrapped: &Wrapped) -> WrapIn {
    wrapped.wrapped_in.known().unwrap_or(WrapIn::Host)
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

fn import_type(told: &ImportTypeTold, kms_key: &KeyName) -> Html {
    let id = format!("{} ", kms_key.word_for_material());
    let words = [
        ("", told.import_type.as_deref()),
        ("into the multi-Region ", told.multi_region.as_deref()),
        ("a witness of ", told.witness_of.as_deref()),
        (&id, told.key_material_id.as_deref()),
        ("described as ", told.description.as_deref()),
        ("then rotated, online: ", told.rotates.as_deref()),
    ];
    let words = words
        .into_iter()
        .filter_map(|(before, text)| Some(format!("{before}{}", text?)));
    words.collect::<Vec<_>>().join(", ").into()
}
