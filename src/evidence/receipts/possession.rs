//! Answers which show that a KMS key has an HMAC key or a private key, because it computes with it.
//!
//! What is compared is in the record. So an answer proves something to whoever fetched it, and to others only as
//! far as they trust that person.

use base64ct::{Base64, Encoding as _};

use super::answer::{MacAnswer, PublicKeyAnswer};
use super::judge::{Entry, Scope};
use super::{Import, Proves, elsewhere};
use crate::ground::error::{Error, Result};
use crate::ground::words;

impl Scope<'_> {
    /// HMAC: the MAC of the fingerprint text is the fingerprint. For other specs it says nothing.
    pub(super) fn generated_mac(&self, answer: &MacAnswer) -> Result<Entry> {
        let into = self.imports_into(&answer.key_id)?;
        let entry = self.of_key(&into);
        let import = into[0];
        let Some(bits) = import.spec.strip_prefix("HMAC_") else {
            return Ok(entry);
        };
        let wanted = format!("HMAC_SHA_{bits}");
        match answer.algorithm.as_deref() {
            Some(algorithm) if algorithm == wanted => {}
            Some(other) => return Err(of_another_kind(import, "MacAlgorithm", other, &wanted)),
            None => return Err(Error::usage("has no `MacAlgorithm`")),
        }
        let mac = decoded(answer.mac.as_deref(), "Mac")?;
        if words::hex(&mac) != import.fingerprint {
            return Err(other_material(format!(
                "the MAC in it is not the fingerprint {} of the data key {:?}",
                import.fingerprint, import.label
            ))
            .hint("was the MAC made over exactly the fingerprint text, without a line feed?")
            .hint(format!("online: printf %s 'byok-ceremony material fingerprint v1' > text; aws kms generate-mac --key-id {} \
                    --mac-algorithm {wanted} --message fileb://text --output json", import.kms_key.as_str())));
        }
        Ok(proved(entry))
    }

    /// Key pairs: the SHA-256 of the public key is the fingerprint. For other specs it says nothing.
    pub(super) fn told_public_key(&self, answer: &PublicKeyAnswer) -> Result<Entry> {
        let into = self.imports_into(&answer.key_id)?;
        let entry = self.of_key(&into);
        let import = into[0];
        if !is_pair(&import.spec) {
            return Ok(entry);
        }
        if let Some(spec) = answer
            .key_spec
            .as_deref()
            .filter(|spec| *spec != import.spec)
        {
            return Err(of_another_kind(import, "KeySpec", spec, &import.spec));
        }
        let spki = decoded(answer.public_key.as_deref(), "PublicKey")?;
        let sha256 = words::hex(&words::sha256(&spki));
        if sha256 != import.fingerprint {
            return Err(other_material(format!(
                "the SHA-256 of the public key in it is {sha256}, but the fingerprint of the data key {:?} is {}",
                import.label, import.fingerprint
            )));
        }
        Ok(proved(entry))
    }
}

/// Whether the data keys of a spec are key pairs, by its KMS name.
pub(crate) fn is_pair(spec: &str) -> bool {
    spec.starts_with("ECC_") || spec.starts_with("RSA_") || spec == "ED25519"
}

/// What proves that the key of a KMS has a data key of this spec, if anything does; `kms` is that of the plan, nothing for
/// AWS KMS.
pub(crate) fn proof(spec: &str, kms: &str) -> Option<&'static str> {
    Some(match (kms, spec.starts_with("HMAC_"), is_pair(spec)) {
        ("", true, _) => "GenerateMac over the fingerprint text",
        ("", _, true) => "GetPublicKey",
        ("", false, false) => BY_SECOND_IMPORT,
        (_, true, _) => "its HMAC over the fingerprint text",
        (_, _, true) => "its public key",
        (_, false, false) => return elsewhere::symmetric(kms, spec),
    })
}

/// The command with which somebody who may prove asks this key for that proof, if the KMS has one: `folder` is the import's.
pub(crate) fn prove(spec: &str, (kms, key): (&str, &str), folder: &str) -> Option<String> {
    match kms {
        "" if proof(spec, kms) == Some(BY_SECOND_IMPORT) => None,
        "" => Some(format!("bash online.sh prove --key {key}")),
        _ => elsewhere::prove(kms, spec, folder),
    }
}

const BY_SECOND_IMPORT: &str = "a second import";

fn proved(entry: Entry) -> Entry {
    Entry {
        proves: Proves::Proved,
        ..entry
    }
}

fn decoded(text: Option<&str>, name: &str) -> Result<Vec<u8>> {
    match Base64::decode_vec(text.unwrap_or_default()) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(Error::usage(format!("`{name}` is not base64"))),
    }
}

pub(super) fn of_another_kind(import: &Import, member: &str, is: &str, wanted: &str) -> Error {
    Error::mismatch(format!(
        "`{member}` is {is}, but the data key {:?} is {}, for which it must be {wanted}",
        import.label, import.spec
    ))
    .check("KMS-KEY-MATCH")
}

pub(super) fn other_material(what: String) -> Error {
    Error::mismatch(format!("{what}: the KMS key holds other material"))
        .check("KEY-MATERIAL")
        .hint("STOP: do not use the KMS key until this is understood; delete nothing, and call the security officer")
}
