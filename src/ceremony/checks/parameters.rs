//! The import parameters, judged as step 5 does; only the slip is for the room.

use super::super::judged::Judged;
use super::super::{before, parameters};
use super::{Facts, Lines, tokens};
use crate::ground::clock;

/// What they are refused by.
pub(super) const IDS: &[&str] = &[
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

pub(super) fn judged(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    let used = tokens::used(plan, facts.previous());
    let mut all = Some(Vec::new());
    for (key, import) in plan.imports() {
        if before::parameters_exist(import).is_err() {
            all = None;
            continue; // said above, as `not yet`
        }
        let result = parameters::judge(key, import)
            .map_err(|e| before::or_later(plan, key, import, e))
            .map_err(|e| e.doing(format!("{}/{}", key.label, import.name)));
        match lines.judge(result, told) {
            Some(judged) => {
                tokens::warn(&used, &judged, lines);
                if let Some(all) = &mut all {
                    all.push(judged);
                }
            }
            None => all = None,
        }
    }
    facts.judged = all;
}

fn told(judged: &Judged) -> String {
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
