//! `kind = "recover"`: the same data keys again, from a quorum of shares and the escrow package.

use super::reimport::{
    COMPARE, Expected, described, is_kept, not_the_same, of_another_class, recorded_spec, told,
};
use super::{Approved, Ceremony, Error, Event, KeyId, Operator, Result, Sealed, Step, Vault};
use crate::crypto::escrow::{Package, PackedKey};
use crate::crypto::spec::Spec;
use crate::evidence::previous::{Previous, read_package_file};
use crate::evidence::transcript::KeyIntended;
use crate::hsm::{DataKey, EscrowHandle, Hsm, Life, under_way};
use crate::plan::{Keep, KeyPlan, PackageSource, Plan};

/// Runs the ceremony. On failure what it brought into the HSM is destroyed again.
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
    let mut keys = ceremony.recover(vault)?; // 7
    let wrapped = ceremony.wrap(vault, &keys, preflight)?; // 8
    let handed_out = ceremony.escrow(vault, &mut keys)?; // 9
    let package = ceremony.prove_escrow(vault, handed_out, &mut keys)?; // 10
    ceremony.write_outputs(&keys, &wrapped, package.as_ref())?; // 11
    ceremony.seal(vault) // 12
}

impl<'a> Ceremony<'a> {
    /// Step 7: quorum, escrow key, data keys.
    fn recover(&mut self, vault: &mut Vault) -> Result<Vec<DataKey>> {
        self.begin_at_hsm(vault, Step::Generate)?;
        let packed = self.packed_keys()?;
        let quorum = self.collect_quorum()?;
        let specs = self.plan().keys.iter().map(|key| key.spec);
        let loaded = vault.hsm.load_proved(quorum.escrow_key(), specs)?;
        drop(quorum);
        let mut keys = Vec::with_capacity(packed.len());
        for (key, packed) in &packed {
            let expected = self.expected(key)?;
            let _serving = under_way::serving(&key.label);
            let recovered = self
                .recover_one(vault, key, packed, &expected, &loaded)
                .map_err(|e| e.doing(format!("recovering the data key {:?}", key.label)))?;
            // Once more: the one that stays may not be the one that was tried.
            self.same_material(key, &expected, &recovered, Event::KeyRecovered)?;
            keys.push(recovered);
        }
        vault.hsm.end_escrow_key(loaded)?;
        self.pause_to_compare(COMPARE)?;
        Ok(keys)
    }

    /// First as a session object, which must have the right fingerprint; only then under its name.
    fn recover_one(
        &mut self,
        vault: &mut Vault,
        key: &KeyPlan,
        packed: &PackedKey,
        expected: &Expected,
        escrow: &EscrowHandle,
    ) -> Result<DataKey> {
        let spec = expected.spec;
        let known = packed.public_key.iter().chain(&expected.public_key);
        known.for_each(|spki| vault.hsm.may_be(spki));
        let unwrapped = vault.hsm.unwrap_packed(escrow, &packed.wrapped, spec);
        let tried = unwrapped.map_err(|e| hinted(e, spec))?;
        if tried.check.fingerprint != expected.fingerprint {
            return Err(not_the_same(key, expected, &[told(&tried.check)]));
        }
        let id = KeyId::random()?;
        if !is_kept(key.keep) || !self.label_is_free_for(vault, key, expected)? {
            return Ok(DataKey {
                label: key.label.clone(),
                id,
                life: Life::Session,
                material: tried,
            });
        }
        vault.hsm.destroy(tried)?;
        self.ledger.append(KeyIntended {
            label: key.label.clone(),
            spec: key.spec.name().into(),
            cka_id: id.to_string(),
        })?;
        self.ledger.sync()?;
        vault.made.push((key.label.clone(), id));
        let life = match key.keep {
            Keep::Sealed => Life::TokenUntilSealed,
            _ => Life::Token,
        };
        let material =
            vault
                .hsm
                .unwrap_named(escrow, &packed.wrapped, spec, (&key.label, id), life)?;
        self.is_the_only_one(vault, &key.label, id)?;
        Ok(DataKey {
            label: key.label.clone(),
            id,
            life,
            material,
        })
    }

    /// Whether the recovered key may take its old name.
    fn label_is_free_for(
        &mut self,
        vault: &mut Vault,
        key: &KeyPlan,
        expected: &Expected,
    ) -> Result<bool> {
        match same_in_token(&mut vault.hsm, key, expected)? {
            Some(note) => self.note(&note).map(|()| false),
            None => Ok(true),
        }
    }

    /// What the package holds of each data key of the plan.
    fn packed_keys(&mut self) -> Result<Vec<(&'a KeyPlan, PackedKey)>> {
        let package = self.escrow_package()?;
        packed(self.plan(), self.previous(), &package)
    }
}

fn hinted(error: Error, spec: Spec) -> Error {
    let error = error.hint(
        "the escrow package and the shares may be from different ceremonies: compare the ceremony ids on both",
    );
    match spec.is_private() {
        true => error.hint(
            "or the HSM that made the package put bytes after the PKCS#8 that this HSM refuses: recover on an HSM of the first kind",
        ),
        false => error,
    }
}

/// The same data key under its name in the token is not an obstacle: it stays, and a note about it is returned.
/// `None`: the label is free.
///
/// # Errors
/// Exit 4 if a different key has the label.
pub(crate) fn same_in_token(
    hsm: &mut Hsm,
    key: &KeyPlan,
    expected: &Expected,
) -> Result<Option<String>> {
    expected.public_key.iter().for_each(|spki| hsm.may_be(spki));
    let found = hsm.find_keys(&key.label, expected.spec)?;
    if let Some(other) = found.iter().find(|found| !found.is(&expected.fingerprint)) {
        return Err(not_the_same(key, expected, &[described(other)]));
    }
    if found.is_empty()
        && let Some(others) = of_another_class(hsm, key)?
    {
        return Err(not_the_same(key, expected, &others));
    }
    let same: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
    Ok((!same.is_empty()).then(|| {
        format!(
            "the token holds the same data key {:?} already (CKA_ID {}); it stays, and the recovered one ends with this session",
            key.label,
            same.join(", ")
        )
    }))
}

/// The escrow package that the plan names; `None` if people type it.
///
/// # Errors
/// Exit 2 if it cannot be read; exit 4 if there is none, or if the file is not one.
pub(crate) fn package_at_hand(
    source: &PackageSource,
    previous: Option<&Previous>,
) -> Result<Option<Package>> {
    match source {
        PackageSource::File(path) => read_package_file(path).map(Some),
        PackageSource::Typed => Ok(None),
        PackageSource::Record => previous
            .and_then(|previous| previous.package.clone())
            .map(Some)
            .ok_or_else(|| {
                Error::mismatch("the previous record holds no escrow package")
                    .check("ESCROW-PACKAGE")
                    .hint("an older record of this data key may: set package in [recover] to its escrow-package.json")
            }),
    }
}

/// What the package holds of each data key of the plan, in the plan's order.
///
/// # Errors
/// Exit 4 if one is missing from it, or is in it as a different kind of key.
pub(crate) fn packed<'p>(
    plan: &'p Plan,
    previous: Option<&Previous>,
    package: &Package,
) -> Result<Vec<(&'p KeyPlan, PackedKey)>> {
    let of = |key: &'p KeyPlan| {
        let packed = package.packed(&key.label)?;
        let known = previous.and_then(|previous| previous.key(&key.label));
        let spec = known.map_or(key.spec, |known| recorded_spec(key.spec, known));
        packed.is_of(spec).map_err(|why| {
            let label = &key.label;
            Error::mismatch(format!("the escrow package, data key {label:?}: {why}"))
                .check("ESCROW-PACKAGE")
        })?;
        Ok((key, packed.clone()))
    };
    plan.keys.iter().map(of).collect()
}
