//! What KMS is told about the material of each import: new to the KMS key, or known there and under which id.
//!
//! The plan decides; if it says nothing, receipts and the place among the Regions do. A script that says nothing
//! leaves it to KMS, which takes a first import as new and any later one as existing.

use super::{ImportType, MultiRegion};
use crate::evidence::previous::Previous;
use crate::evidence::transcript::KeyName;
use crate::plan::{ImportAs, ImportPlan, KeyPlan, Kind, Role};

/// The import type that an import's script sends; `None` is none.
pub(crate) fn import_type(
    kind: Kind,
    previous: Option<&Previous>,
    key: &KeyPlan,
    import: &ImportPlan,
) -> Option<ImportType> {
    if key.spec.name() != "SYMMETRIC_DEFAULT" || import.kms_key.arn().is_none() {
        return None; // only AWS KMS takes an import type, and only for symmetric material
    }
    let key_material_id = previous
        .and_then(|previous| previous.key_material_id(&key.label, import.kms_key.as_str()))
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
    match previous.import_before(&key.label, &import.kms_key) {
        Some(before) => before.import_as == Some(ImportAs::Existing),
        None => previous.key(&key.label).is_some_and(|known| {
            let mut arns = known.kms_keys.iter().filter_map(KeyName::arn);
            arns.any(|arn| import.kms_key.is_replica_of(arn))
        }),
    }
}

/// What the script checks before it sends anything; only if the material may be new there.
pub(crate) fn multi_region(kind: Kind, key: &KeyPlan, import: &ImportPlan) -> Option<MultiRegion> {
    key.role(kind, import).map(|role| match role {
        Role::Primary => MultiRegion::Primary,
        Role::Replica { .. } => MultiRegion::Replica,
    })
}
