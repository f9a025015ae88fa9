//! What any computer can check about a plan beyond the plan itself: the record that it builds on, and its import
//! parameters. Each import needs its own download, which no earlier record used.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::evidence::previous::Previous;
use crate::evidence::record::IMPORT_TOKEN;
use crate::evidence::rules;
use crate::evidence::transcript::{self, Output, Torn, entries};
use crate::ground::clock;
use crate::ground::lines::{Lines, State};
use crate::ground::words;
use crate::plan::Plan;
use crate::plan::parameters::{self, Judged};

/// The checks that can refuse import parameters.
pub(crate) const OF_PARAMETERS: &[&str] = &[
    "WRAPPING-KEY-SPKI",
    "WRAPPING-KEY-SIZE",
    "WRAPPING-KEY-MODULUS",
    "WRAPPING-KEY-EXPONENT",
    "WRAPPING-KEY-SPEC",
    "WRAPPING-KEY-FITS",
    "WRAPPING-KEY-MATCH",
    "WRAPPING-ALGORITHM-MATCH",
    "IMPORT-TOKEN",
    "KEY-ARN-MATCH",
    "KEK",
    "IMPORT-JOB",
    "WRAPPING-KEY-STATE",
    "PARAMETERS-DEADLINE",
    "CLOCK",
];

/// Under this name a slip beside the import parameters is warned about.
pub(crate) const SLIP_APART: &str = "SLIP-APART";

/// The previous record in one line. It says what vouches for the record: until something does, anybody may have
/// made it.
fn told(plan: &Plan, previous: &Previous) -> String {
    let receipts = match previous.receipts {
        0 => "no receipts".to_owned(),
        1 => "1 receipt".to_owned(),
        n => format!("{n} receipts"),
    };
    let anchor = match plan.previous_head {
        Some(_) => "previous_head in the plan vouches for it",
        None => "nothing vouches for it yet: in the room, rows of its head digest are typed",
    };
    format!(
        "previous: {} holds together, {receipts}; {anchor}",
        previous.directory.display()
    )
}

/// Adds on which record the plan builds, and which others of its data keys it does not build on.
pub(crate) fn builds_on(plan: &Plan, previous: &Previous, lines: &mut Lines) {
    lines.add(State::Ok, told(plan, previous));
    lines.warn(previous.branches.not_built_on());
}

/// Whether the parameters of each import are there, and whether KMS accepts its expiry.
pub(crate) fn parameters_exist(plan: &Plan, lines: &mut Lines) {
    for (key, import) in plan.imports() {
        let name = format!("{}/{}", key.label, import.name);
        if let Err(error) = parameters::exist(import) {
            let error = parameters::or_later(plan, key, import, error);
            lines.refuse_of(&name, State::NotYet, error);
        }
        if let Err(error) = parameters::expiry(import) {
            lines.refuse_of(&name, State::Wrong, error);
        }
    }
}

/// The slip comes by another way than the files that it vouches for.
pub(crate) fn slip_apart(plan: &Plan, lines: &mut Lines) {
    for told in parameters::slips_beside(plan) {
        lines.add(State::Warning, format!("{told} [{SLIP_APART}]"));
        lines.hint("let another person carry the paper; nobody types rows from this file");
        lines.hint(
            "take it off this medium; if nobody has the paper, make parameters and slip anew",
        );
    }
}

/// The import parameters, checked as in step 5; only the slip waits for the room. `None`: not every import is ready.
pub(crate) fn judged<'p>(
    plan: &'p Plan,
    previous: Option<&Previous>,
    lines: &mut Lines,
) -> Option<Vec<Judged<'p>>> {
    let used = used(plan, previous);
    let mut all = Some(Vec::new());
    let mut wrapping_keys = Vec::new();
    for (key, import) in plan.imports() {
        if parameters::exist(import).is_err() {
            all = None;
            continue; // reported above as `not yet`
        }
        let result = parameters::judge(key, import)
            .map_err(|e| parameters::or_later(plan, key, import, e))
            .map_err(|e| e.doing(format!("{}/{}", key.label, import.name)));
        match lines.judge(result, told_judged) {
            Some(judged) => {
                warn(&used, &judged, lines);
                let sha256 = judged.wrapping_key_sha256();
                wrapping_keys.push((judged.name(), &import.kms_key, sha256));
                if let Some(all) = &mut all {
                    all.push(judged);
                }
            }
            None => all = None,
        }
    }
    lines.warn(parameters::shared_wrapping_keys(wrapping_keys.into_iter()));
    all
}

fn told_judged(judged: &Judged) -> String {
    let compared = match judged.import.wrapping_key_sha256 {
        Some(_) => "wrapping key as on the slip",
        None => "to be compared with the slip in the room",
    };
    let until = judged
        .valid_to
        .map(|at| format!(", valid to {}", clock::for_people(at)));
    format!(
        "{}: {}, {compared}{}",
        judged.name(),
        judged.wrapping_key.spec(),
        until.unwrap_or_default()
    )
}

/// SHA-256 of import tokens, in hex, each with the record that contains it.
type Used = BTreeMap<String, PathBuf>;

/// The import tokens of earlier records and of records beside this one.
fn used(plan: &Plan, previous: Option<&Previous>) -> Used {
    let mut used = Used::new();
    if plan.imports().next().is_none() {
        return used;
    }
    for record in records(plan, previous) {
        for sha256 in tokens(&record).unwrap_or_default() {
            used.entry(sha256).or_insert_with(|| record.clone());
        }
    }
    used
}

/// Warns if an import's parameters were used before.
fn warn(used: &Used, judged: &Judged, lines: &mut Lines) {
    let Some(token) = &judged.token else {
        return;
    };
    let sha256 = words::hex(&words::sha256(&token.bytes));
    if let Some(record) = used.get(&sha256) {
        let told = format!(
            "{}: its import token was already used for {}; each import needs its own parameters",
            judged.name(),
            record.display()
        );
        lines.warn([told]);
    }
}

fn records(plan: &Plan, previous: Option<&Previous>) -> Vec<PathBuf> {
    let beside = plan.directory.parent().map(fs::read_dir);
    let beside = beside.into_iter().flatten().flatten().flatten();
    let mut records: Vec<PathBuf> = beside.map(|entry| entry.path()).collect();
    records.sort();
    if let Some(previous) = previous {
        records.push(previous.directory.clone());
        records.extend(previous.earlier.iter().cloned());
    }
    records
}

/// The import tokens that a transcript names, in hex.
fn tokens(record: &Path) -> Option<Vec<String>> {
    let path = record.join(transcript::FILE);
    let bytes =
        crate::evidence::rules::reading::read(&path, rules::limits::LONGEST_TRANSCRIPT).ok()?;
    let torn = Torn::read(&bytes).ok()?;
    let written = entries::<Output>(&torn.lines);
    let written = written.filter(|output| Path::new(&output.path).ends_with(IMPORT_TOKEN));
    Some(written.map(|output| output.sha256.clone()).collect())
}
