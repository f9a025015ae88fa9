//! Checks what the plan says about material, new to KMS or known there, against the earlier records.

use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Result};
use crate::plan::{ImportAs, ImportPlan, KeyPlan, Kind, Plan, Role};

/// The import that this one proves: it brings the same material, and KMS compares the two.
pub(super) fn proves<'a>(
    kind: Kind,
    key: &'a KeyPlan,
    import: &'a ImportPlan,
) -> Option<&'a String> {
    match key.role(kind, import) {
        Some(Role::Replica { of }) => Some(&of.name),
        _ => import.witness_of.as_ref(),
    }
}

/// Refuses what the previous records contradict, and what they leave open.
///
/// # Errors
/// Exit 2 if the plan calls material new that KMS has taken already, or if nothing says whether KMS took material
/// that was imported as new.
pub(super) fn agree(plan: &Plan, previous: &Previous) -> Result<()> {
    for (key, import) in plan.imports() {
        let Some(key_arn) = import.kms_key.arn() else {
            continue; // only AWS KMS compares
        };
        let arn = key_arn.as_str();
        let id = previous.key_material_id(&key.label, arn);
        let before = previous.import_before(&key.label, &import.kms_key);
        let taken = id.is_some() || before.is_some_and(|before| before.accepted);
        let was_new = before.is_some_and(|before| before.import_as == Some(ImportAs::New));
        let name = format!("{}/{}", key.label, import.name);
        match import.import_as {
            Some(ImportAs::New) if taken => {
                return Err(Error::usage(format!(
                    "{name}: import_type = \"NEW_KEY_MATERIAL\", but according to a receipt KMS has already taken this material into {arn}{}",
                    id.map(|id| format!(" as {id}")).unwrap_or_default()
                ))
                .check("IMPORT-TYPE")
                .hint("KMS takes material as new only once: take import_type out of the plan"));
            }
            // The stand-in of a rehearsal has no receipts.
            None if was_new && !taken && import.witness_of.is_none() && !previous.rehearsal => {
                return Err(Error::usage(format!(
                    "{name}: it was to be imported as NEW_KEY_MATERIAL, and no receipt says whether KMS took it"
                ))
                .check("IMPORT-TYPE")
                .hint("if it was imported, add every import-result*.json first: byok receipt RECORD FILES")
                .hint("without that file: import_type = \"EXISTING_KEY_MATERIAL\" if it was imported, \"NEW_KEY_MATERIAL\" if not")
                .hint(format!(
                    "online: aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL --region {} --key-id {arn}",
                    key_arn.region()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
