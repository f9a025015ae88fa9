//! Material that was there before: files, and keys of the HSM token. The checks are the ceremony's own.

use std::path::Path;

use super::super::{before, material, source};
use super::Facts;
use crate::crypto::wrapping;
use crate::ground::error::Result;
use crate::ground::lines::{Lines, State};
use crate::plan::KeyPlan;

/// Reads each file as the ceremony will, and shows nothing of it.
pub(super) fn files(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    if before::source_files(plan).is_err() {
        return; // said above
    }
    for (key, path) in plan.source_files() {
        let doubt = lines.judge(file(key, path), |_| {
            format!(
                "data key {:?}: {} holds one of {}",
                key.label,
                path.display(),
                key.spec.name()
            )
        });
        lines.warn(doubt.flatten());
        lines.warn([format!(
            "data key {:?}: whoever has or had {} has the data key; byok never deletes that file",
            key.label,
            path.display()
        )]);
    }
}

/// What is doubtful about its bytes, if anything.
fn file(key: &KeyPlan, path: &Path) -> Result<Option<String>> {
    let judge = || -> Result<Option<String>> {
        let bytes = material::read(path, key.spec)?;
        source::as_planned(key, &wrapping::check_values(key.spec, &bytes)?)?;
        Ok(source::doubted(key, &bytes))
    };
    judge().map_err(|e| e.doing(format!("[[key]] {:?}", key.label)))
}

/// Looks for the keys of the token, as the ceremony will.
pub(super) fn in_token(facts: &mut Facts, lines: &mut Lines) {
    let Some(opened) = &mut facts.opened else {
        return;
    };
    for key in &facts.plan.keys {
        let found = source::in_token(&mut opened.hsm, key);
        let found = found.map_err(|e| e.doing(source::finding(key)));
        if let Some((found, notes)) = lines.unless_refused(found).flatten() {
            let glance = found.check().map(wrapping::CheckValues::glance);
            lines.add(
                State::Ok,
                format!(
                    "data key {:?}: in the HSM already, CKA_ID {}, {}",
                    key.label,
                    found.id,
                    glance.unwrap_or_default()
                ),
            );
            lines.warn(notes);
        }
    }
}
