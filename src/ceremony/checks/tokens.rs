//! Import tokens that an earlier record used: each import needs a download of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Judged, Lines};
use crate::evidence::previous::Previous;
use crate::evidence::rules;
use crate::evidence::transcript::{self, Output, Torn, entries};
use crate::ground::words;
use crate::paper::outputs;
use crate::plan::Plan;

/// SHA-256 of import tokens, in hex, and the record that each lies in.
pub(super) type Used = BTreeMap<String, PathBuf>;

/// Those of the records before, and of those beside.
pub(super) fn used(plan: &Plan, previous: Option<&Previous>) -> Used {
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
pub(super) fn warn(used: &Used, judged: &Judged, lines: &mut Lines) {
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
    let written = written.filter(|output| Path::new(&output.path).ends_with(outputs::TOKEN));
    Some(written.map(|output| output.sha256.clone()).collect())
}
