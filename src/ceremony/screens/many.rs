//! The approval of a plan with many data keys: everything that matters, counted. The printed script lists each of
//! them, and the digest of the plan binds them all.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{field, grouped};
use crate::evidence::previous::Previous;
use crate::paper::outputs::import_type;
use crate::plan::kms::KmsKey;
use crate::plan::{ImportPlan, KeyPlan, Kind, Plan, Source, meaning};

/// With more data keys or imports than this the approval counts them.
const KEYS_SHOWN: usize = 6;
const IMPORTS_SHOWN: usize = 12;

/// Whether the approval counts rather than lists.
pub(super) fn counts(plan: &Plan) -> bool {
    plan.keys.len() > KEYS_SHOWN || plan.imports().count() > IMPORTS_SHOWN
}

/// All data keys and imports of the plan, counted.
pub(super) fn meaning(plan: &Plan, previous: Option<&Previous>) -> String {
    let mut text = of_sources(plan);
    let specs = counted(
        plan.keys
            .iter()
            .map(|key| format!("{}, {}", key.spec.name(), key.spec)),
    );
    text += &field("", &specs);
    text += &ends(plan);
    let given = plan
        .keys
        .iter()
        .filter(|key| key.fingerprint.is_some())
        .count();
    if given > 0 {
        text += &field("", &format!("{given} with a fingerprint in the plan"));
    }
    let imports: Vec<_> = plan.imports().collect();
    if !imports.is_empty() {
        text += &self::imports(&imports);
        text += &unlike_a_first_import(plan, &imports, previous);
    }
    if plan.kind != Kind::Destroy {
        let keeps = plan
            .keys
            .iter()
            .map(|key| meaning::keep(plan.kind, key.keep));
        text += &field("keep", &counted(keeps));
    }
    text + &field("each one", "is in the printed script: byok script PLAN")
}

/// A line for each way in which data keys come to be.
fn of_sources(plan: &Plan) -> String {
    let mut ways: BTreeMap<meaning::Fact, Vec<&KeyPlan>> = BTreeMap::new();
    for key in &plan.keys {
        ways.entry(meaning::way(plan.kind, &key.source))
            .or_default()
            .push(key);
    }
    let mut text = String::new();
    for ((what, how), keys) in ways {
        text += &field(what, &format!("{} data keys, {how}", keys.len()));
        let files = keys.iter().filter_map(|key| match &key.source {
            Source::File(path) => Some(path.display().to_string()),
            Source::Hsm | Source::Token(_) => None,
        });
        let files = counted(files);
        if !files.is_empty() {
            text += &field("from", &files);
        }
        let reasons = counted(keys.iter().filter_map(|key| key.reason.as_deref()));
        if !reasons.is_empty() {
            text += &field("reason", &reasons);
        }
    }
    text
}

fn ends(plan: &Plan) -> String {
    match plan.keys.as_slice() {
        [first, .., last] => field(
            "",
            &format!("the first is {}, the last {}", first.label, last.label),
        ),
        _ => String::new(),
    }
}

fn imports(imports: &[(&KeyPlan, &ImportPlan)]) -> String {
    let of = |name: fn(&ImportPlan) -> String| {
        counted(imports.iter().map(move |(_, import)| name(import)))
    };
    let arns: std::collections::BTreeSet<&str> = imports
        .iter()
        .map(|(_, import)| import.kms_key.as_str())
        .collect();
    let count = format!("{} imports into {} KMS keys", imports.len(), arns.len());
    field("for", &count)
        + &field(
            "",
            &of(|i| match i.kms_key.arn() {
                Some(arn) => format!("account {}, {}", grouped(arn.account()), arn.region()),
                None => format!("{} at {}", i.kms_key.kms, i.kms_key.place()),
            }),
        )
        + &field("wrap", &of(meaning::wrap))
        + &field("expires", &of(meaning::expires))
}

fn unlike_a_first_import(
    plan: &Plan,
    imports: &[(&KeyPlan, &ImportPlan)],
    previous: Option<&Previous>,
) -> String {
    let mut text = String::new();
    let other = imports
        .iter()
        .filter_map(|(_, import)| import.other_kms_key.as_deref());
    let other = counted(other);
    if !other.is_empty() {
        text += &field("KMS key", &meaning::other_kms_key(&other));
    }
    let witnesses = imports
        .iter()
        .filter(|(_, import)| import.witness_of.is_some());
    let witnesses = witnesses.count();
    if witnesses > 0 {
        let what = format!("{witnesses} of the imports: the same material a second time");
        text += &field("witness", &what);
    }
    text += &of_some(imports, "deadline", meaning::no_deadline);
    text += &of_some(imports, "compared", |key| key.no_guard());
    let doubts = imports
        .iter()
        .filter_map(|(_, i)| i.kms_key.doubt(i.wrapping));
    let doubts = counted(doubts);
    if !doubts.is_empty() {
        text += &field("unwrapped", &doubts);
    }
    let types = imports
        .iter()
        .filter_map(|(key, import)| import_type(plan.kind, previous, key, import));
    let types = counted(types.map(|import_type| import_type.name()));
    if !types.is_empty() {
        text += &field("import as", &types);
    }
    let rotated = plan.rotated().len();
    if rotated > 0 {
        let what = format!("{rotated} KMS keys, which then encrypt with this material");
        text += &field("rotate", &what);
    }
    text
}

/// What is so with the KMSs of some imports, and with how many.
fn of_some<T: Ord + Display>(
    imports: &[(&KeyPlan, &ImportPlan)],
    name: &str,
    told: fn(&KmsKey) -> Option<T>,
) -> String {
    let of = imports.iter();
    let of: Vec<T> = of.filter_map(|(_, i)| told(&i.kms_key)).collect();
    match of.len() {
        0 => String::new(),
        count => {
            let told = counted(of.into_iter());
            field(name, &format!("{count} of the imports: {told}"))
        }
    }
}

/// `200 of one, 100 of another`, the most frequent first; if there is only one kind, `each one`. Of very many kinds
/// the rest is counted too.
fn counted<T: Ord + Display>(all: impl Iterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let mut kinds: BTreeMap<T, usize> = BTreeMap::new();
    for one in all {
        *kinds.entry(one).or_default() += 1;
    }
    let mut kinds: Vec<(T, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest = kinds.len().saturating_sub(SHOWN);
    let told: Vec<String> = match kinds.as_slice() {
        [(one, _)] => vec![one.to_string()],
        _ => kinds
            .iter()
            .take(SHOWN)
            .map(|(kind, count)| format!("{count} × {kind}"))
            .collect(),
    };
    match rest {
        0 => told.join("; "),
        rest => format!("{}; and {rest} more kinds", told.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn what_is_the_same_everywhere_is_said_once_and_what_differs_is_counted() {
        assert_eq!(counted(["a", "a"].into_iter()), "a");
        assert_eq!(counted(["b", "a", "a"].into_iter()), "2 × a; 1 × b");
        assert_eq!(counted(0..1), "0");
        assert!(counted(0..20).ends_with("1 × 7; and 12 more kinds"));
        assert_eq!(counted(std::iter::empty::<&str>()), "");
    }
}
