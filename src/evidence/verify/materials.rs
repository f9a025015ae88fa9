//! Which materials the KMS keys of a record have, according to receipts. A symmetric KMS key may have several, and is
//! Enabled only while every material that it has used is imported.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::recorded::{Expiries, RecordedPlan};
use super::{Followed, Other, Verified};
use crate::evidence::receipts::{Import, KnownMaterial, Listed, Receipt, Receipts};
use crate::evidence::transcript::KeyName;
use crate::ground::words;

/// A KMS key that has, or may have, more than one material.
#[derive(Clone, Debug, Serialize)]
pub struct KmsKeyMaterials {
    /// The KMS key.
    pub key_arn: String,
    /// Whether a ListKeyRotations answer names all of them.
    pub listed: bool,
    /// When that answer was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Who says so, if it was not AWS: the endpoint that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The materials.
    pub materials: Vec<Material>,
    /// What to do online or in the room, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
}

/// One material of a KMS key.
#[derive(Clone, Debug, Serialize)]
pub struct Material {
    /// KMS's id for it.
    pub key_material_id: String,
    /// `CURRENT`, `NON_CURRENT`, `PENDING_ROTATION`, `PENDING_MULTI_REGION_IMPORT_AND_ROTATION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `IMPORTED` or `PENDING_IMPORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_state: Option<String>,
    /// When KMS deletes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether KMS never deletes it.
    pub never_expires: bool,
    /// Whether the KMS key is Enabled only while this material is imported.
    pub needed: bool,
    /// `this record`, the directory of the record that has it, or `another record`.
    pub record: String,
    /// The data key's label in that record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Where a material is that none of these records has.
const ANOTHER: &str = "another record";
const THIS: &str = "this record";

/// A record that may have materials.
struct Holder<'a> {
    name: String,
    directory: &'a Path,
    receipts: &'a Receipts,
    /// Fingerprints by KMS key and id.
    known: BTreeMap<(String, String), String>,
    /// Its plan is read once, and only if it is asked for.
    expiries: OnceCell<Expiries>,
}

impl<'a> Holder<'a> {
    fn new(name: String, directory: &'a Path, receipts: &'a Receipts) -> Self {
        let mut known = BTreeMap::new();
        for material in receipts.known() {
            let id = (material.key_arn, material.key_material_id);
            known.entry(id).or_insert(material.fingerprint);
        }
        Self {
            name,
            directory,
            receipts,
            known,
            expiries: OnceCell::new(),
        }
    }

    /// When KMS shall forget the material of an import, by the plan.
    fn expires(&self, import: &Import) -> Option<Timestamp> {
        let read = || RecordedPlan::of(self.directory).expiries();
        let expiries = self.expiries.get_or_init(read);
        expiries.of(&import.label, &import.import)
    }
}

/// The KMS keys of a record that have several materials, or were given one more.
pub fn materials(
    record: &Path,
    verified: &Verified,
    followed: &Followed,
    others: &[Other],
) -> Vec<KmsKeyMaterials> {
    let mut holders = vec![Holder::new(THIS.to_owned(), record, &verified.receipts)];
    let links = followed.links.iter();
    let links = links.map(|link| (link.directory.as_path(), &link.verified));
    let others = others.iter();
    let others = others.map(|other| (other.directory.as_path(), &other.verified));
    for (directory, verified) in links.chain(others) {
        let name = directory.display().to_string();
        holders.push(Holder::new(name, directory, &verified.receipts));
    }
    let mut arns: Vec<&str> = Vec::new();
    for import in &verified.receipts.imports {
        let arn = import.kms_key.arn();
        let arn = arn.filter(|arn| import.spec == "SYMMETRIC_DEFAULT" && !arns.contains(arn));
        arns.extend(arn);
    }
    let known = verified.receipts.known();
    let of = |arn: &str| of_kms_key(arn, &verified.receipts, &known, &holders);
    arns.into_iter().filter_map(of).collect()
}

fn of_kms_key(
    arn: &str,
    own: &Receipts,
    known: &[KnownMaterial],
    holders: &[Holder],
) -> Option<KmsKeyMaterials> {
    let mut lists = holders.iter().flat_map(|holder| lists(holder, arn));
    let by_aws = lists.clone().find(|list| list.entry.endpoint.is_none());
    let list = by_aws.or_else(|| lists.next());
    let added = |import: &Import| import.is_into(arn) && import.rotates.is_some();
    let is_added_to = own.imports.iter().any(added);
    let current = current(own, arn);
    let own_id = known.iter().find(|known| known.key_arn == arn);
    let is_another = match (&current, &own_id) {
        (Some(current), Some(own)) => *current != own.key_material_id,
        _ => false,
    };
    if list.is_none() && !is_added_to && !is_another {
        return None; // nothing says that there is more than one
    }
    let at = list.map(|receipt| receipt.at);
    let listed = list.iter().flat_map(|receipt| &receipt.entry.materials);
    let mut ids = BTreeSet::new(); // KMS lists a material once
    let listed = listed
        .filter(|listed| listed.key_arn == arn && ids.insert(listed.key_material_id.as_str()));
    let mut materials: Vec<Material> = listed.map(|listed| told(listed, holders)).collect();
    for (id, state) in known_ids(arn, holders, current.as_ref()) {
        if !materials.iter().any(|known| known.key_material_id == id) {
            materials.push(untold(arn, &id, state, holders));
        }
    }
    let mut key = KmsKeyMaterials {
        key_arn: arn.to_owned(),
        listed: at.is_some(),
        at,
        endpoint: list.and_then(|receipt| receipt.entry.endpoint.clone()),
        materials,
        next: Vec::new(),
    };
    key.next = next(&key);
    Some(key)
}

/// A record's ListKeyRotations answers about this KMS key, the newest first.
fn lists<'a>(holder: &Holder<'a>, arn: &'a str) -> impl Iterator<Item = &'a Receipt> + Clone {
    let receipts = holder.receipts.receipts.iter().rev();
    receipts.filter(move |receipt| {
        let mut materials = receipt.entry.materials.iter();
        materials.any(|listed| listed.key_arn == arn)
    })
}

/// The current material according to AWS's newest DescribeKey answer.
fn current(receipts: &Receipts, arn: &str) -> Option<String> {
    let mut receipts = receipts.receipts.iter().rev();
    let described = receipts.find(|receipt| {
        receipt.entry.answer == "DescribeKey"
            && receipt.entry.endpoint.is_none()
            && receipt.entry.is_of(&KeyName::Arn(arn.to_owned()))
    });
    described?.entry.key_material_id.clone()
}

/// What these records know in addition to the list, each id once.
fn known_ids(
    arn: &str,
    holders: &[Holder],
    current: Option<&String>,
) -> Vec<(String, Option<&'static str>)> {
    let mut ids: Vec<String> = current.cloned().into_iter().collect();
    for holder in holders {
        let known = holder.receipts.known().into_iter();
        ids.extend(
            known
                .filter(|known| known.key_arn == arn)
                .map(|known| known.key_material_id),
        );
    }
    let mut once: Vec<(String, Option<&'static str>)> = Vec::new();
    for id in ids {
        if !once.iter().any(|(known, _)| *known == id) {
            let state = (Some(&id) == current).then_some("CURRENT");
            once.push((id, state));
        }
    }
    once
}

fn told(listed: &Listed, holders: &[Holder]) -> Material {
    let shown = |text: &String| words::printable(text);
    let (record, label, _) = holder_of(&listed.key_arn, &listed.key_material_id, holders);
    let state = listed.state.as_ref().map(shown);
    Material {
        key_material_id: listed.key_material_id.clone(),
        import_state: listed.more.import_state.as_ref().map(shown),
        expires: listed.more.expires,
        never_expires: listed.more.never_expires,
        // KMS: material that waits for its rotation is not permanently associated with the KMS key
        needed: !state.as_deref().is_some_and(is_pending),
        state,
        record,
        label,
    }
}

/// A material that is not in any list, or only in an older one.
fn untold(arn: &str, id: &str, state: Option<&str>, holders: &[Holder]) -> Material {
    let (record, label, expires) = holder_of(arn, id, holders);
    Material {
        key_material_id: id.to_owned(),
        state: state.map(str::to_owned),
        import_state: None,
        expires,
        never_expires: false,
        needed: true,
        record,
        label,
    }
}

fn is_pending(state: &str) -> bool {
    state.starts_with("PENDING_")
}

/// Which of these records has a material, with which label, and when it expires by that record's plan.
fn holder_of(
    arn: &str,
    id: &str,
    holders: &[Holder],
) -> (String, Option<String>, Option<Timestamp>) {
    for holder in holders {
        let Some(fingerprint) = holder.known.get(&(arn.to_owned(), id.to_owned())) else {
            continue;
        };
        let mut imports = holder.receipts.imports.iter();
        let import =
            imports.find(|import| import.is_into(arn) && import.fingerprint == *fingerprint);
        let expires = import.and_then(|import| holder.expires(import));
        let label = import.map(|import| import.label.clone());
        return (holder.name.clone(), label, expires);
    }
    (ANOTHER.to_owned(), None, None)
}

fn next(key: &KmsKeyMaterials) -> Vec<String> {
    let arn = &key.key_arn;
    let mut next = Vec::new();
    for material in &key.materials {
        let id = &material.key_material_id;
        match (material.import_state.as_deref(), material.state.as_deref()) {
            (Some("PENDING_IMPORT"), _) if material.needed => next.push(format!(
                "not Enabled: {id:.12}… is not imported; reimport it from {}",
                match material.record.as_str() {
                    ANOTHER => "the record that has it",
                    record => record,
                }
            )),
            (_, Some("PENDING_ROTATION")) => next.push(format!(
                "for KMS to encrypt with {id:.12}…: bash online.sh rotate --key {arn} --now (for a multi-Region key, at the primary)"
            )),
            (_, Some(state)) if is_pending(state) => next.push(format!(
                "first import {id:.12}… into every replica Region; then, at the primary: bash online.sh rotate"
            )),
            _ => {}
        }
    }
    if !key.listed {
        let region = arn.split(':').nth(3).unwrap_or_default();
        next.push(format!(
            "KMS may have more materials: add the answer of aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL --region {region} --key-id {arn} --output json"
        ));
    }
    next
}
