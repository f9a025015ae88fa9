//! What any computer can check of a plan beside the plan itself: the record that it builds on, and its import parameters.
//! Each import needs a download of its own: none that an earlier record used.

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

/// What import parameters are refused by.
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
    "PARAMETERS-DEADLINE",
    "CLOCK",
];

/// What vouches for it is said as well: it may be anybody's until then.
pub(crate) fn told(plan: &Plan, previous: &Previous) -> String {
    let receipts = match previous.receipts {
        0 => "no receipts".to_owned(),
        1 => "1 receipt".to_owned(),
        n => format!("{n} receipts"),
    };
    let anchor = match plan.previous_head {
        Some(_) => "previous_head in the plan vouches for it",
        None => "nothing vouches for it yet: rows of its head digest are typed in the room",
    };
    format!(
        "previous: {} holds together, {receipts}; {anchor}",
        previous.directory.display()
    )
}

/// What is there for each import, and whether KMS takes its expiry.
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

/// The import parameters, judged as step 5 does; only the slip is for the room. `None`: not every import is ready.
pub(crate) fn judged<'p>(
    plan: &'p Plan,
    previous: Option<&Previous>,
    lines: &mut Lines,
) -> Option<Vec<Judged<'p>>> {
    let used = used(plan, previous);
    let mut all = Some(Vec::new());
    for (key, import) in plan.imports() {
        if parameters::exist(import).is_err() {
            all = None;
            continue; // said before, as `not yet`
        }
        let result = parameters::judge(key, import)
            .map_err(|e| parameters::or_later(plan, key, import, e))
            .map_err(|e| e.doing(format!("{}/{}", key.label, import.name)));
        match lines.judge(result, told_judged) {
            Some(judged) => {
                warn(&used, &judged, lines);
                if let Some(all) = &mut all {
                    all.push(judged);
                }
            }
            None => all = None,
        }
    }
    all
}

fn told_judged(judged: &Judged) -> String {
    let compared = match judged.import.wrapping_key_sha256 {
        Some(_) => "wrapping key as on the slip",
        None => "to be compared with the slip in the room",
    };
    format!(
        "{}: {}, {compared}, valid to {}",
        judged.name(),
        judged.read.wrapping_key.spec(),
        clock::for_people(judged.valid_to)
    )
}

/// SHA-256 of import tokens, in hex, and the record that each lies in.
type Used = BTreeMap<String, PathBuf>;

/// Those of the records before, and of those beside.
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

/// Each import needs parameters of its own.
fn warn(used: &Used, judged: &Judged, lines: &mut Lines) {
    let sha256 = words::hex(&words::sha256(&judged.read.import_token));
    if let Some(record) = used.get(&sha256) {
        let told = format!(
            "{}: its import token was used for {} already; each import needs parameters of its own",
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

/// What a transcript names as import tokens, in hex.
fn tokens(record: &Path) -> Option<Vec<String>> {
    let path = record.join(transcript::FILE);
    let bytes =
        crate::evidence::rules::reading::read(&path, rules::limits::LONGEST_TRANSCRIPT).ok()?;
    let torn = Torn::read(&bytes).ok()?;
    let written = entries::<Output>(&torn.lines);
    let written = written.filter(|output| Path::new(&output.path).ends_with(IMPORT_TOKEN));
    Some(written.map(|output| output.sha256.clone()).collect())
}
