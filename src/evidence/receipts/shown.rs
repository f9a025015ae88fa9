//! What KMSs other than AWS KMS show of a key. Few of them compare anything with what they had before, so byok compares
//! what they show with the record.

use base64ct::{Base64, Encoding as _};

use super::engine::EngineKey;
use super::judge::{Entry, Scope};
use super::possession::{is_pair, of_another_kind, other_material};
use super::{Import, Proves, elsewhere};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::key::is_pem;
use crate::crypto::wrapping::public;
use crate::evidence::transcript::KeyName;
use crate::ground::error::{Error, Result};
use crate::ground::words;
use crate::plan::kms::der_of;

impl Scope<'_> {
    /// An answer that does not name its key whole belongs to the one import that it can be about.
    pub(super) fn engine_key(&self, key: &EngineKey) -> Result<Entry> {
        let could = |import: &&Import| match &import.kms_key {
            KeyName::Other(name) => {
                let reader = elsewhere::reader(&import.kms).filter(|of| of.kms == key.kms);
                reader.is_some_and(|reader| (reader.is_of)(key, name))
            }
            KeyName::Arn(_) => false,
        };
        let into: Vec<&Import> = self.imports.iter().filter(could).collect();
        match into.as_slice() {
            [import] => Ok(Entry {
                proves: import.shown_by(key)?,
                ..self.of_key(&into)
            }),
            [] => Err(Error::mismatch(format!(
                "is about the key {:?}, into which this record imports nothing",
                key.url
                    .as_ref()
                    .or(key.name.as_ref())
                    .map_or("-", String::as_str)
            ))
            .check("KMS-KEY-MATCH")
            .hint("add it to the record of the ceremony to which it belongs")),
            several => Err(Error::usage(format!(
                "does not say to which of {} imports it belongs: it names neither server nor mount",
                several.len()
            ))
            .check("KMS-KEY-MATCH")
            .hint("use the import-result.json that import.sh wrote: it names the import")),
        }
    }
}

impl Import {
    /// Whether a result that ended well tells of a version that is there, and that came under the record's wrapping key.
    ///
    /// # Errors
    /// Exit 4.
    pub(super) fn is_there(&self, key: &EngineKey) -> Result<()> {
        let wrong = match (&key.state, &key.wrapping_key_id) {
            (Some(state), _) if !["ENABLED", "DISABLED"].contains(&state.as_str()) => {
                format!("says that it ended well, and that the key there is {state}")
            }
            (_, id @ Some(other)) if *id != self.wrapping_key_id => {
                format!(
                    "is about what came from {other}, under which nothing of this record is wrapped"
                )
            }
            _ => return Ok(()),
        };
        Err(Error::mismatch(wrong)
            .check("RECEIPT")
            .hint("run import.sh again: it sends nothing twice, and writes what is there now"))
    }

    /// What it proves that material went back into a version of a key, with which the KMS compared it: that it is this
    /// one, if a receipt said before the ceremony that the version had got it from this data key.
    pub(super) fn brought_back(&self, key: &EngineKey) -> Proves {
        let known = || self.existing.as_ref()?.key_material_id.as_ref();
        match key.is_reimport && key.version.is_some() && key.version.as_ref() == known() {
            true => Proves::Proved,
            false => Proves::Nothing,
        }
    }

    /// What the KMS's own words prove about the data key of this import.
    ///
    /// # Errors
    /// Exit 4: they are about another key, one of another kind, one that was not imported, or other material.
    pub(super) fn shown_by(&self, key: &EngineKey) -> Result<Proves> {
        if let Some(reader) = elsewhere::reader(&self.kms)
            && !(reader.is_of)(key, self.kms_key.as_str())
        {
            let other = key.url.as_ref().or(key.name.as_ref());
            return Err(Error::mismatch(format!(
                "the answer is about {}, not about {}",
                other.map_or("-", String::as_str),
                self.kms_key.as_str()
            ))
            .check("KMS-KEY-MATCH"));
        }
        is_of_its_kind(self, key)?;
        let is_hmac = self.spec.starts_with("HMAC_");
        let shown = match (&key.public_key, &key.hmac, &key.mac) {
            (Some(pem), _, _) if is_pair(&self.spec) => {
                words::sha256(&spki_of(self, pem.trim())?).to_vec()
            }
            (_, Some(hmac), _) if is_hmac => decoded(hmac)?,
            (_, _, Some(mac)) if is_hmac => {
                Base64::decode_vec(mac).map_err(|_| Error::usage("`mac` is not base64"))?
            }
            _ => return self.answered(key),
        };
        let shown = words::hex(&shown);
        match shown == self.fingerprint {
            true => Ok(Proves::Proved),
            false => Err(other_material(format!(
                "it shows {shown}, but the fingerprint of the data key {:?} is {}",
                self.label, self.fingerprint
            ))),
        }
    }

    /// Only the holder of the data key can know what its challenge says.
    fn answered(&self, key: &EngineKey) -> Result<Proves> {
        let (Some(answer), Some(wanted)) = (&key.plaintext, &self.challenge) else {
            return Ok(Proves::Nothing);
        };
        let answer = Base64::decode_vec(answer);
        let answer = answer.map_err(|_| Error::usage("`plaintext` is not base64"))?;
        match words::hex(&words::sha256(&answer)) == *wanted {
            true => Ok(Proves::Proved),
            false => Err(other_material(format!(
                "the answer in it is not the one to the challenge of {}/{}",
                self.label, self.import
            ))
            .hint("is it the answer to the challenge that import.sh has, and no other?")),
        }
    }
}

fn is_of_its_kind(import: &Import, key: &EngineKey) -> Result<()> {
    let spec = Spec::parse(&import.spec).ok();
    let (Some(spec), Some(reader)) = (spec, elsewhere::reader(&import.kms)) else {
        return Ok(());
    };
    let wanted = (reader.kinds)(spec);
    match (key.key_type.as_deref(), key.imported.as_deref()) {
        (Some(is), _) if !wanted.is_empty() && !wanted.contains(&is) => {
            let wanted = wanted.join(" or ");
            Err(of_another_kind(import, reader.member, is, &wanted))
        }
        (_, Some(imported)) if imported != "true" => Err(Error::mismatch(format!(
            "the key there was not imported (`imported_key` is {imported}): it is not the data key {:?}",
            import.label
        ))
        .check("KEY-MATERIAL")
        .hint("STOP: do not use that key until this is understood; delete nothing, and call the security officer")),
        _ => Ok(()),
    }
}

/// A public key is told in PEM, but a transit engine tells an Ed25519 key as its 32 bytes in base64.
fn spki_of(import: &Import, told: &str) -> Result<Vec<u8>> {
    if import.spec != Spec::Ed25519.name() || is_pem(told.as_bytes()) {
        return der_of(told);
    }
    let bytes = Base64::decode_vec(told).unwrap_or_default();
    let key: std::result::Result<[u8; 32], _> = bytes.try_into();
    let key = key.map_err(|_| Error::usage("`public_key` is not 32 bytes in base64"))?;
    Ok(public::of_ed25519(&key))
}

/// The bytes after `vault:vN:`.
fn decoded(hmac: &str) -> Result<Vec<u8>> {
    let base64 = hmac
        .strip_prefix("vault:v")
        .and_then(|rest| rest.split_once(':'));
    base64
        .and_then(|(_, base64)| Base64::decode_vec(base64).ok())
        .ok_or_else(|| Error::usage("`hmac` is not vault:vN: and base64"))
}
