//! What KMS is told of the material of each import: new to the KMS key, or known there and under which id.
//!
//! The plan decides; where it says nothing, receipts and the place among the Regions do. A script that
//! says nothing leaves it to KMS, which takes a first import as new and any later one as existing.

use crate::error::{Error, Result};
use crate::outputs::{ImportType, MultiRegion};
use crate::plan::{ImportAs, ImportPlan, KeyPlan, Kind, Plan, Role};
use crate::previous::Previous;

/// The import type that an import's script sends; `None` is none.
pub(crate) fn import_type(
    kind: Kind,
    previous: Option<&Previous>,
    key: &KeyPlan,
    import: &ImportPlan,
) -> Option<ImportType> {
    if key.spec.name() != "SYMMETRIC_DEFAULT" {
        return None; // KMS takes an import type for symmetric material only
    }
    let key_material_id = previous
        .and_then(|previous| previous.key_material_id(&key.label, import.key_arn.as_str()))
        .map(str::to_owned);
    let is_known = key_material_id.is_some() || import.witness_of.is_some();
    let existing = Some(ImportType::ExistingKeyMaterial { key_material_id });
    match (import.import_as, key.role(kind, import)) {
        (Some(ImportAs::New), _) => Some(ImportType::NewKeyMaterial),
        (Some(ImportAs::Existing), _) => existing,
        _ if is_known => existing,
        (None, Some(Role::Replica { .. })) => existing,
        (None, Some(Role::Primary)) => key
            .goes_to_several_regions(import)
            .then_some(ImportType::NewKeyMaterial),
        (None, None) if is_later_region(previous, key, import) => existing,
        (None, None) => None,
    }
}

/// Whether a previous ceremony wrapped this data key for another Region of the KMS key, or for this one
/// as for a replica: such a Region never takes it as new.
fn is_later_region(previous: Option<&Previous>, key: &KeyPlan, import: &ImportPlan) -> bool {
    let Some(previous) = previous else {
        return false;
    };
    match previous.import_before(&key.label, import.key_arn.as_str()) {
        Some(before) => before.import_as == Some(ImportAs::Existing),
        None => previous.key(&key.label).is_some_and(|known| {
            let arns = &known.key_arns;
            arns.iter().any(|arn| import.key_arn.is_replica_of(arn))
        }),
    }
}

/// What the script makes sure of before it sends anything: only where the material may be new there.
pub(crate) fn multi_region(kind: Kind, key: &KeyPlan, import: &ImportPlan) -> Option<MultiRegion> {
    key.role(kind, import).map(|role| match role {
        Role::Primary => MultiRegion::Primary,
        Role::Replica { .. } => MultiRegion::Replica,
    })
}

/// The import that this one proves, for it brings the same material where KMS compares.
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
/// Exit 2: material that KMS took already is called new, or nothing tells whether KMS took what was to
/// be new.
pub(super) fn agree(plan: &Plan, previous: &Previous) -> Result<()> {
    for (key, import) in plan.imports() {
        let arn = import.key_arn.as_str();
        let id = previous.key_material_id(&key.label, arn);
        let before = previous.import_before(&key.label, arn);
        let taken = id.is_some() || before.is_some_and(|before| before.accepted);
        let was_new = before.is_some_and(|before| before.import_as == Some(ImportAs::New));
        let name = format!("{}/{}", key.label, import.name);
        match import.import_as {
            Some(ImportAs::New) if taken => {
                return Err(Error::usage(format!(
                    "{name}: import_type = \"NEW_KEY_MATERIAL\", but a receipt tells that KMS took this material into {arn}{}",
                    id.map(|id| format!(" as {id}")).unwrap_or_default()
                ))
                .check("IMPORT-TYPE")
                .hint("KMS takes material as new only once: take import_type out of the plan"));
            }
            // The stand-in of a rehearsal has no receipts.
            None if was_new && !taken && import.witness_of.is_none() && !previous.rehearsal => {
                return Err(Error::usage(format!(
                    "{name}: it was to be imported as NEW_KEY_MATERIAL, and no receipt tells whether KMS took it"
                ))
                .check("IMPORT-TYPE")
                .hint("it was imported? Add its import-result.json first: byok receipt RECORD FILE")
                .hint("without that file: import_type = \"EXISTING_KEY_MATERIAL\" if it was imported, \"NEW_KEY_MATERIAL\" if not")
                .hint(format!(
                    "online: aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL --region {} --key-id {arn}",
                    import.key_arn.region()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
