//! `kind = "reimport"`: the same data keys again, from the HSM. With `[escrow]` and no import it deals
//! new shares.

use super::generate::facts;
use super::import_types;
use super::{
    Approved, Ceremony, Error, Event, Operator, Result, Sealed, Step, Vault, screens, transcript,
    words,
};
use crate::crypto::key_id::KeyId;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{CheckValues, Fingerprint};
use crate::evidence::previous::{KnownKey, Previous, hsm_facts};
use crate::evidence::transcript::{DataKeyFacts, HsmChange, KeyName, Vouched};
use crate::hsm::{DataKey, Found, Hsm, Object, under_way};
use crate::plan::{ImportPlan, Keep, KeyPlan, Plan};

/// Runs the ceremony. Nothing is made in the HSM but session objects.
///
/// # Errors
/// Whatever step refuses, with the state and what to do.
pub(crate) fn run(approved: &Approved, operator: &mut dyn Operator) -> Result<Sealed> {
    Ceremony::walk(approved, operator, line)
}

/// From step 5 on: the steps before are every ceremony's ([`Ceremony::walk`]).
fn line(ceremony: &mut Ceremony, vault: &mut Vault) -> Result<Sealed> {
    let parameters = ceremony.read_parameters()?; // 5
    ceremony.same_kms_keys()?;
    let preflight = ceremony.preflight(vault, parameters)?; // 6
    let mut keys = ceremony.find(vault)?; // 7
    let wrapped = ceremony.wrap(vault, &keys, preflight)?; // 8
    let handed_out = ceremony.escrow(vault, &mut keys)?; // 9
    let package = ceremony.prove_escrow(vault, handed_out, &mut keys)?; // 10
    ceremony.write_outputs(&keys, &wrapped, package.as_ref())?; // 11
    ceremony.seal(vault) // 12
}

/// Asked while the keys are on the screen; byok itself compares the whole fingerprint.
pub(super) const COMPARE: &str = "Compare the KCV of each data key with the paper";

/// What a data key must turn out to be, and who says so.
pub(crate) struct Expected {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its key check value, if it has one and a record names it.
    pub kcv: Option<String>,
    /// Its CKA_ID, if a record names it: a key that byok did not make may have a different label.
    pub id: Option<KeyId>,
    /// The public half of an Ed25519 key, if a record has it.
    pub public_key: Option<Vec<u8>>,
    /// What it is. Without imports a plan does not give the length of a symmetric key, but a record does.
    pub spec: Spec,
}

impl Ceremony<'_> {
    /// Step 7. The fingerprint decides; label and CKA_ID only say where to look first.
    fn find(&mut self, vault: &mut Vault) -> Result<Vec<DataKey>> {
        self.begin_at_hsm(vault, Step::Generate)?;
        let plan = self.plan();
        let mut keys = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let expected = self.expected(key)?;
            let _serving = under_way::serving(&key.label);
            let found = self
                .find_one(vault, key, &expected)
                .map_err(|e| e.doing(format!("finding the data key {:?}", key.label)))?;
            self.same_material(key, &expected, &found, Event::KeyFound)?;
            keys.push(found);
        }
        self.pause_to_compare(COMPARE)?;
        Ok(keys)
    }

    fn find_one(
        &mut self,
        vault: &mut Vault,
        key: &KeyPlan,
        expected: &Expected,
    ) -> Result<DataKey> {
        let (found, notes) = find_right(&mut vault.hsm, key, expected)?;
        self.notes(&notes)?;
        let (data_key, notes) = usable(key, found)?;
        self.notes(&notes)?;
        Ok(data_key)
    }

    pub(super) fn notes(&mut self, notes: &[String]) -> Result<()> {
        notes.iter().try_for_each(|note| self.note(note))
    }

    /// What the plan or the previous record says about a data key.
    pub(super) fn expected(&self, key: &KeyPlan) -> Result<Expected> {
        expected(self.previous(), key)
    }

    /// Records a data key that is what it should be.
    pub(super) fn same_material(
        &mut self,
        key: &KeyPlan,
        expected: &Expected,
        data_key: &DataKey,
        brought: fn(DataKeyFacts) -> Event,
    ) -> Result<()> {
        if data_key.material.check.fingerprint != expected.fingerprint {
            return Err(not_the_same(
                key,
                expected,
                &[told(&data_key.material.check)],
            ));
        }
        let facts = facts(data_key);
        let what = if self.basis.anchor == Vouched::Nothing {
            "what the previous record says, for which nothing vouches"
        } else {
            "the same material"
        };
        let told = format!(
            "{}  {what}, {}",
            key.label,
            data_key.material.check.glance()
        );
        self.tell_key(&told);
        let same = Event::SameMaterial(transcript::SameMaterial {
            label: key.label.clone(),
            fingerprint: facts.fingerprint.clone(),
            previous_head: self
                .previous()
                .as_ref()
                .map(|previous| words::hex(&previous.head)),
            anchor: self.basis.anchor.clone(),
        });
        self.ledger.append(brought(facts))?;
        self.ledger.append(same)
    }

    /// Material never goes into a different KMS key by mistake.
    pub(super) fn same_kms_keys(&mut self) -> Result<()> {
        match self.previous() {
            Some(previous) => {
                let notes = same_kms_keys(self.plan(), previous)?;
                import_types::agree(self.plan(), previous)?;
                self.notes(&notes)
            }
            None => Ok(()),
        }
    }
}

/// The object that has the right fingerprint, and notes about others with that label, which are left alone.
///
/// # Errors
/// Exit 3 if no object has that label; exit 4 if a different key is in its place.
pub(crate) fn find_right(
    hsm: &mut Hsm,
    key: &KeyPlan,
    expected: &Expected,
) -> Result<(Found, Vec<String>)> {
    let is_right = |found: &Found| found.is(&expected.fingerprint);
    expected.public_key.iter().for_each(|spki| hsm.may_be(spki));
    let mut found = hsm.find_keys(&key.label, expected.spec)?;
    if let Some(id) = expected.id.filter(|_| !found.iter().any(is_right)) {
        let of_another_label = |found: &Found| found.label != key.label;
        let by_id = hsm.find_keys_by_id(id, expected.spec)?.into_iter();
        found.extend(by_id.filter(of_another_label).filter(is_right));
    }
    let others: Vec<String> = found
        .iter()
        .filter(|found| !is_right(found))
        .map(described)
        .collect();
    let count = found.len();
    match found.into_iter().find(is_right) {
        Some(right) => {
            let note = |other: &String| {
                format!(
                    "another object is labelled {:?} too ({other}); it was not touched",
                    key.label
                )
            };
            Ok((right, others.iter().map(note).collect()))
        }
        None if count > 0 => Err(not_the_same(key, expected, &others)),
        None => match of_another_class(hsm, key)? {
            Some(others) => Err(not_the_same(key, expected, &others)),
            None => Err(Error::hsm(format!("the token holds no {} with that label", expected.spec.class_name())).hint(
                "is this the right token? If the HSM is lost, kind = \"recover\" brings the data key back from a quorum",
            )),
        },
    }
}

/// Keys that have the label but are of the wrong class: a secret key instead of a private one, or the other way
/// round.
pub(super) fn of_another_class(hsm: &Hsm, key: &KeyPlan) -> Result<Option<Vec<String>>> {
    let mut objects = hsm.labelled(&key.label)?;
    objects.retain(|object| object.is_key());
    let told = |object: &Object| format!("CKA_ID {}: {}", object.id, object.class);
    Ok((!objects.is_empty()).then(|| objects.iter().map(told).collect()))
}

/// A found key as one that can be wrapped, and the notes about it.
///
/// # Errors
/// Exit 3 if it is sealed, or if the HSM computes nothing with it.
pub(crate) fn usable(key: &KeyPlan, found: Found) -> Result<(DataKey, Vec<String>)> {
    if !found.extractable {
        return Err(Error::hsm(
            "it is sealed in the HSM (CKA_EXTRACTABLE is FALSE): it cannot be wrapped",
        )
        .hint("kind = \"recover\" brings it back from a quorum of shares and the escrow package"));
    }
    let note = |deviations: &String| {
        format!(
            "the data key {:?} is not as it was made: {deviations}",
            key.label
        )
    };
    let notes = found.deviations.iter().map(note).collect();
    let data_key = found
        .into_data_key(&key.label)
        .ok_or_else(|| Error::hsm("its check values cannot be computed"))?;
    Ok((data_key, notes))
}

/// What the plan or the previous record says about a data key.
///
/// # Errors
/// Exit 2 if the plan and the previous record describe it differently; exit 4 if they give different fingerprints.
pub(crate) fn expected(previous: Option<&Previous>, key: &KeyPlan) -> Result<Expected> {
    let known = previous.map(|previous| known(previous, key)).transpose()?;
    match (known, &key.fingerprint) {
        (Some(known), Some(fingerprint)) if known.fingerprint != *fingerprint => {
            Err(Error::mismatch(format!(
                "[[key]] {:?}: the fingerprint in the plan is not the one in the previous record",
                key.label
            ))
            .check("SAME-MATERIAL")
            .hint("find out which is right, then take the wrong one out of the plan: fingerprint or previous"))
        }
        (Some(known), _) => Ok(Expected {
            fingerprint: known.fingerprint.clone(),
            kcv: known.kcv.clone(),
            id: known.id.filter(|id| !id.is_empty()),
            public_key: known.public_key.clone(),
            spec: recorded_spec(key.spec, known),
        }),
        (None, Some(fingerprint)) => Ok(Expected {
            fingerprint: fingerprint.clone(),
            kcv: None,
            id: None,
            public_key: None,
            spec: key.spec,
        }),
        (None, None) => Err(Error::usage(format!(
            "[[key]] {:?}: nothing says what it must be",
            key.label
        ))),
    }
}

/// What a data key is: without imports a plan does not give the length of a symmetric one.
pub(super) fn recorded_spec(planned: Spec, known: &KnownKey) -> Spec {
    match (planned, known.bytes) {
        (Spec::Symmetric { .. }, Some(bytes)) => Spec::Symmetric { bytes },
        _ => planned,
    }
}

/// Compares the KMS keys of a plan with those of the previous record. Returns what is to be noted.
///
/// # Errors
/// Exit 4 for another KMS key, unless it is a replica or the plan says why.
pub(crate) fn same_kms_keys(plan: &Plan, previous: &Previous) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (key, import) in plan.imports() {
        notes.extend(same_kms_key(known(previous, key)?, key, import)?);
    }
    Ok(notes)
}

fn same_kms_key(known: &KnownKey, key: &KeyPlan, import: &ImportPlan) -> Result<Option<String>> {
    let (into, name) = (&import.kms_key, format!("{}/{}", key.label, import.name));
    if known.kms_keys.is_empty() {
        return Ok(Some(format!(
            "{name}: the previous record wrapped for no KMS key, so nothing says that this is the one"
        )));
    }
    let own = KeyName::from(into);
    let is_replica = |known: &KeyName| known.arn().is_some_and(|arn| into.is_replica_of(arn));
    let is_it = |known: &KeyName| *known == own || is_replica(known);
    if known.kms_keys.iter().any(is_it) {
        return Ok(None);
    }
    match &import.other_kms_key {
        Some(reason) => Ok(Some(format!(
            "{name} goes into another KMS key than before: {reason}"
        ))),
        None => Err(Error::mismatch(format!(
            "{name}: {} is not the KMS key of the previous record ({})",
            into.as_str(),
            known
                .kms_keys
                .iter()
                .map(KeyName::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        ))
        .check("KMS-KEY-MATCH")
        .hint(
            "in AWS KMS the same material in a different KMS key cannot decrypt what the first one encrypted",
        )
        .hint("if it is meant, say why in the plan: other_kms_key = \"reason\"")),
    }
}

impl Ceremony<'_> {
    /// An HSM, firmware or module that is not the previous record's is shown and recorded. It is not a reason to stop:
    /// the fingerprint decides whether the HSM holds the data key.
    pub(super) fn tell_hsm_changes(&mut self, vault: &Vault) -> Result<()> {
        let Some(previous) = self.previous() else {
            return Ok(());
        };
        let now = hsm_facts(vault.hsm.token(), &vault.module.description());
        let before = previous.hsm.iter().flatten();
        let changes: Vec<HsmChange> = before
            .zip(now)
            .filter(|((_, before), (_, now))| before != now)
            .map(|((what, before), (_, now))| HsmChange {
                what: (*what).into(),
                before: before.clone(),
                now,
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let mut told = String::from(
            " The HSM differs from that of the previous record; the fingerprint decides:\n",
        );
        for change in &changes {
            let text = format!(
                "{} {:?} before, {:?} now",
                change.what, change.before, change.now
            );
            told += &screens::fold(&text, "   ");
        }
        self.desk.say(&told);
        self.ledger.append(transcript::HsmChanged { changes })
    }
}

/// The previous record's word on a data key of the plan.
pub(crate) fn known<'a>(previous: &'a Previous, key: &KeyPlan) -> Result<&'a KnownKey> {
    let known = previous.key(&key.label).ok_or_else(|| {
        Error::usage(format!(
            "the previous record has no data key {:?}",
            key.label
        ))
        .hint("label and spec must be those of the record that `previous` names")
    })?;
    if known.spec != key.spec.name() {
        return Err(Error::usage(format!(
            "[[key]] {:?}: spec {} in the plan, {} in the previous record",
            key.label,
            key.spec.name(),
            known.spec
        )));
    }
    if let (Spec::Hmac { bytes, .. }, Some(recorded)) = (key.spec, known.bytes)
        && bytes != recorded
    {
        let (planned, recorded) = (bytes * 8, recorded * 8);
        return Err(Error::usage(format!(
            "[[key]] {:?}: {planned} bits in the plan, {recorded} in the previous record",
            key.label
        ))
        .hint(format!("write bits = {recorded} below spec")));
    }
    match known.keep {
        Some(keep) if keep != key.keep => Err(Error::usage(format!(
            "[[key]] {:?}: keep = {:?} in the plan, {:?} in the previous record",
            key.label,
            key.keep.name(),
            keep.name()
        ))
        .hint("a ceremony that brings a data key back does not change how it is kept")),
        _ => Ok(known),
    }
}

pub(super) fn not_the_same(key: &KeyPlan, expected: &Expected, found: &[String]) -> Error {
    let kcv = expected
        .kcv
        .as_ref()
        .map(|kcv| format!("KCV {kcv}, "))
        .unwrap_or_default();
    Error::mismatch(format!(
        "this is not the data key {:?}: it must have {kcv}fingerprint {}; there is {}",
        key.label,
        expected.fingerprint,
        found.join("; ")
    ))
    .check("SAME-MATERIAL")
    .hint("STOP: another key is in its place. Nothing was wrapped, nothing was touched")
}

/// A key of the token as people can tell it from others.
pub(super) fn described(found: &Found) -> String {
    let check = found.check().map(told);
    let check = check.unwrap_or("its check values cannot be computed".into());
    let length = found.length().map(|length| format!(", {length}"));
    format!("CKA_ID {}: {check}{}", found.id, length.unwrap_or_default())
}

/// Check values for people.
pub(super) fn told(check: &CheckValues) -> String {
    let kcv = check.kcv.as_ref().map(|kcv| format!("KCV {kcv}, "));
    format!(
        "{}fingerprint {}",
        kcv.unwrap_or_default(),
        check.fingerprint
    )
}

/// A ceremony that brings keys back must not change how they are kept.
pub(super) fn is_kept(keep: Keep) -> bool {
    keep != Keep::None
}
