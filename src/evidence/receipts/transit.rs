//! What OpenBao, Vault and Azure tell about a key. None of them compares anything with what it had before, so byok compares
//! what they tell with the record.

use base64ct::{Base64, Encoding as _};

use super::engine::EngineKey;
use super::judge::{Entry, Scope};
use super::possession::{is_pair, of_another_kind, other_material};
use super::{Import, Proves};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::public;
use crate::evidence::transcript::KeyName;
use crate::ground::error::{Error, Result};
use crate::ground::words;
use crate::plan::kms::azure::VaultKey;
use crate::plan::kms::transit;

impl Scope<'_> {
    /// An answer of Azure names its key whole. One of an engine names neither server nor mount: it belongs to the one
    /// import that it can be about.
    pub(super) fn engine_key(&self, key: &EngineKey) -> Result<Entry> {
        let could = |import: &&Import| match &import.kms_key {
            KeyName::Arn(_) => false,
            KeyName::Other(url) => match (&key.url, VaultKey::parse(url)) {
                (Some(told), Ok(_)) => told == url,
                (None, Err(_)) => {
                    key.name.is_none() || key.name.as_deref() == url.rsplit('/').next()
                }
                _ => false,
            },
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
    /// What the KMS's own words prove about the data key of this import.
    ///
    /// # Errors
    /// Exit 4: they are about another key, one of another kind, one that was not imported, or other material.
    pub(super) fn shown_by(&self, key: &EngineKey) -> Result<Proves> {
        if let Some(other) = key
            .url
            .as_deref()
            .filter(|url| *url != self.kms_key.as_str())
        {
            return Err(Error::mismatch(format!(
                "the answer is about {other}, not about {}",
                self.kms_key.as_str()
            ))
            .check("KMS-KEY-MATCH"));
        }
        is_of_its_kind(self, key)?;
        let shown = match (&key.public_key, &key.hmac) {
            (Some(pem), _) if is_pair(&self.spec) => {
                words::hex(&words::sha256(&spki_of(self, pem.trim())?))
            }
            (_, Some(hmac)) if self.spec.starts_with("HMAC_") => words::hex(&decoded(hmac)?),
            _ => return self.answered(key),
        };
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
    let wanted = match spec {
        Some(Spec::Rsa { .. }) if key.url.is_some() => Some("RSA-HSM"),
        Some(Spec::Ec(_)) if key.url.is_some() => Some("EC-HSM"),
        Some(_) if key.url.is_some() => Some("oct-HSM"),
        Some(Spec::Hmac { .. }) => Some("hmac"), // whatever its length
        spec => spec.and_then(|spec| transit::key_type(spec).ok()),
    };
    match (key.key_type.as_deref(), wanted, key.imported.as_deref()) {
        (Some(is), Some(wanted), _) if is != wanted => {
            let member = if key.url.is_some() { "kty" } else { "type" };
            Err(of_another_kind(import, member, is, wanted))
        }
        (_, _, Some(imported)) if imported != "true" => Err(Error::mismatch(format!(
            "the key there was not imported (`imported_key` is {imported}): it is not the data key {:?}",
            import.label
        ))
        .check("KEY-MATERIAL")
        .hint("STOP: do not use that key until this is understood; delete nothing, and call the security officer")),
        _ => Ok(()),
    }
}

/// An engine tells a public key in PEM, but an Ed25519 key as its 32 bytes in base64.
fn spki_of(import: &Import, told: &str) -> Result<Vec<u8>> {
    if import.spec != Spec::Ed25519.name() {
        return transit::der_of(told);
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
