//! Step 7 for material that was there before: a key of the token, or a file.

use super::generate::facts;
use super::{Ceremony, Error, Event, KeyId, Result, Vault, transcript};
use crate::ceremony::material;
use crate::ceremony::screens;
use crate::crypto::wrapping::CheckValues;
use crate::evidence::transcript::DataKeyFacts;
use crate::hsm::{DataKey, Found, Hsm, Life, Named};
use crate::plan::{InToken, KeyPlan, Source};

/// The key of the token that a plan names, with the notes about it. `None`: its material is elsewhere.
///
/// # Errors
/// Exit 3: none, several, of the wrong kind, not extractable; exit 4 if its fingerprint is not the one in the plan.
pub(crate) fn in_token(hsm: &mut Hsm, key: &KeyPlan) -> Result<Option<(Found, Vec<String>)>> {
    let Some(named) = named(key) else {
        return Ok(None);
    };
    let found = hsm.take_source(named, key.spec)?;
    if let Some(check) = found.check() {
        as_planned(key, check)?;
    }
    let mut notes = vec![format!(
        "the data key {:?} was in the HSM before this ceremony: nothing here tells who made it, or who else has it",
        key.label
    )];
    if let Some(deviations) = &found.deviations {
        notes.push(format!(
            "the data key {:?} is not as byok makes it: {deviations}",
            key.label
        ));
    }
    Ok(Some((found, notes)))
}

/// Whether it is there at all, and of the right kind; what it computes is not checked.
///
/// # Errors
/// As [`in_token`].
pub(crate) fn is_there(hsm: &Hsm, key: &KeyPlan) -> Result<()> {
    match named(key) {
        Some(named) => hsm
            .source_is_there(named, key.spec)
            .map_err(|e| e.doing(finding(key))),
        None => Ok(()),
    }
}

fn named(key: &KeyPlan) -> Option<Named<'_>> {
    match &key.source {
        Source::Token(InToken::Label) => Some(Named::Label(&key.label)),
        Source::Token(InToken::Id(id)) => Some(Named::Id(id)),
        Source::Hsm | Source::File(_) => None,
    }
}

pub(crate) fn finding(key: &KeyPlan) -> String {
    format!(
        "finding the data key {:?} (source = {:?})",
        key.label,
        key.source.to_string()
    )
}

/// The plan may say what the material must be.
///
/// # Errors
/// Exit 4 if it is different material.
pub(crate) fn as_planned(key: &KeyPlan, check: &CheckValues) -> Result<()> {
    match &key.fingerprint {
        Some(wanted) if *wanted != check.fingerprint => Err(Error::mismatch(format!(
            "this is not the material of the plan: it must have fingerprint {wanted}, and has {}",
            check.fingerprint
        ))
        .check("SAME-MATERIAL")
        .hint("STOP: find out which of the two is the right one. Nothing was wrapped")),
        _ => Ok(()),
    }
}

/// The note about bytes that no generator seems to have drawn.
pub(crate) fn doubted(key: &KeyPlan, bytes: &[u8]) -> Option<String> {
    let doubt = material::doubt(key.spec, bytes)?;
    Some(format!(
        "the material of the data key {:?} does not look random: {doubt}. Whoever guesses it has the data key",
        key.label
    ))
}

impl Ceremony<'_> {
    /// A key of the token, which stays as it is whatever becomes of the ceremony.
    pub(super) fn take_from_token(&mut self, vault: &mut Vault, key: &KeyPlan) -> Result<DataKey> {
        let (found, notes) = in_token(&mut vault.hsm, key)
            .and_then(|found| found.ok_or_else(|| Error::hsm("its material is not in the token")))
            .map_err(|e| e.doing(finding(key)))?;
        self.notes(&notes)?;
        let other_label = (found.label != key.label).then(|| found.label.clone());
        let unusable = || Error::hsm("its CKA_ID is longer than 64 bytes").doing(finding(key));
        let data_key = found.into_data_key(&key.label).ok_or_else(unusable)?;
        self.tell_source(key, &data_key, other_label)?;
        Ok(data_key)
    }

    /// The bytes are in this computer from here to the end of this function.
    pub(super) fn bring_in_file(
        &mut self,
        vault: &mut Vault,
        key: &KeyPlan,
        id: KeyId,
        life: Life,
    ) -> Result<DataKey> {
        let Source::File(path) = &key.source else {
            return Err(Error::hsm("its material is not in a file"));
        };
        let doing = |e: Error| e.doing(format!("bringing in the data key {:?}", key.label));
        let bytes = material::read(path, key.spec).map_err(doing)?;
        let check = crate::crypto::wrapping::check_values(key.spec, &bytes).map_err(doing)?;
        as_planned(key, &check).map_err(doing)?;
        let reason = key.reason.as_deref().unwrap_or_default();
        self.note(&format!(
            "the data key {:?} came from a file, {}: its bytes were in this computer, and whoever has or had that file has \
             the data key; the plan says why: {reason}",
            key.label,
            path.display()
        ))?;
        self.notes(&doubted(key, &bytes).into_iter().collect::<Vec<_>>())?;
        let data_key = vault
            .hsm
            .bring_in_data_key(&bytes, (&key.label, id), key.spec, life)
            .map_err(doing)?;
        drop(bytes);
        self.is_the_only_one(vault, &key.label, id)?;
        self.tell_source(key, &data_key, None)?;
        Ok(data_key)
    }

    fn tell_source(
        &mut self,
        key: &KeyPlan,
        data_key: &DataKey,
        label_in_hsm: Option<String>,
    ) -> Result<()> {
        let source = match key.source {
            Source::File(_) => "file",
            _ => "token",
        };
        let facts = DataKeyFacts {
            source: Some(source.into()),
            label_in_hsm: label_in_hsm.map(|label| crate::ground::words::printable(&label)),
            ..facts(data_key)
        };
        let fingerprint = facts.fingerprint.clone();
        self.ledger.append(Event::KeyFound(facts))?;
        if key.fingerprint.is_some() {
            self.ledger.append(transcript::SameMaterial {
                label: key.label.clone(),
                fingerprint,
                previous_head: None,
                anchor: self.basis.anchor.clone(),
            })?;
        }
        let came = match key.source {
            Source::File(_) => "brought in from the file",
            _ => "found in the HSM",
        };
        let told = format!(
            "{}  {came}, {}, {}",
            key.label,
            key.spec.name(),
            data_key.material.check.glance()
        );
        self.desk.say(&screens::fold(&told, "      "));
        Ok(())
    }
}
