//! Material that was there before: files, and keys of the HSM token. The questions are the ceremony's own.

use std::path::Path;

use super::{Lines, State};
use crate::ceremony::material;
use crate::ceremony::{before, source};
use crate::crypto::wrapping;
use crate::ground::error::Result;
use crate::hsm::Hsm;
use crate::plan::{KeyPlan, Plan};

/// Reads each file as the ceremony will, and shows nothing of it.
pub(super) fn files(plan: &Plan, lines: &mut Lines) {
    if let Err(error) = before::source_files(plan) {
        return lines.refuse(State::Wrong, error);
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
        if let Some(doubt) = doubt.flatten() {
            lines.add(State::Warning, doubt);
        }
        lines.add(
            State::Warning,
            format!(
                "data key {:?}: whoever has or had {} has it; byok never deletes that file",
                key.label,
                path.display()
            ),
        );
    }
}

/// What is to be doubted of its bytes, if anything.
fn file(key: &KeyPlan, path: &Path) -> Result<Option<String>> {
    let judge = || -> Result<Option<String>> {
        let bytes = material::read(path, key.spec)?;
        source::as_planned(key, &wrapping::check_values(key.spec, &bytes)?)?;
        Ok(source::doubted(key, &bytes))
    };
    judge().map_err(|e| e.doing(format!("[[key]] {:?}", key.label)))
}

/// Looks for the keys of the token, as the ceremony will.
pub(super) fn in_token(plan: &Plan, hsm: &mut Hsm, lines: &mut Lines) {
    for key in &plan.keys {
        match source::in_token(hsm, key).map_err(|e| e.doing(source::finding(key))) {
            Ok(None) => {}
            Ok(Some((found, notes))) => {
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
                notes
                    .into_iter()
                    .for_each(|note| lines.add(State::Warning, note));
            }
            Err(error) => lines.refuse(State::Wrong, error),
        }
    }
}
