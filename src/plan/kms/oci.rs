//! OCI Vault.
//!
//! Each vault has one wrapping key, always RSA-4096, for as long as the vault exists: there is no import token and no
//! deadline. The plan names the vault by its management endpoint, and in it either a compartment and the display name of a
//! new key, or the OCID of a key that gets a next version. OCI compares nothing.
//!
//! Source: OCI documentation, "Importing key material as an external key"; Key Management API, WrappingKey,
//! WrappedImportKey, ImportKey, ImportKeyVersion, KeyVersion, as `oci kms management` prints them. How
//! RSA_OAEP_AES_SHA256 is computed in detail is not established: byok takes it by its name.

use super::answer::{Answer, Answered};
use super::name::{LABEL, Name, Shape, is_label, is_word};
use super::{Called, Elsewhere, FILL_IN, Facts, KmsKey, Lifetime};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm::{RsaAesKeyWrapSha256, RsaesOaepSha256};
use crate::crypto::wrapping::public;

/// The longest display name that byok writes.
const LONGEST_NAME: usize = 63;

/// OCI Vault.
pub(super) const OCI: Elsewhere = Elsewhere {
    facts: Facts {
        kms: "OCI Vault",
        word: Some(WORD),
        script: "oci.sh",
        place: "{owner}",
        owner: "https://{vault}-management.kms.{region}.oraclecloud.com",
        source: Some("{owner}"),
        wrapping_key_bits: &[4096],
        binds_algorithm: false,
        lifetime: Lifetime::Endless(
            "NONE: whoever may import there can import the wrapped file for as long as the vault exists, for its wrapping key never changes; guard the record as long",
        ),
        no_guard: Some(
            "by byok alone: {kms} takes any material, and shows nothing of an AES key that byok could compare",
        ),
        doubt: Some(
            "NOT ESTABLISHED: how OCI computes RSA_OAEP_AES_SHA256; byok takes SHA-256, a 256-bit AES key and AES-KWP, by its name. Try it with a key that may fail",
        ),
        proves_by_decrypting: |_| false,
        beside: &[
            ("wrapped-import-key.json", "the same as oci takes it"),
            (
                "import.sh",
                "checks both, then runs oci kms management key import",
            ),
        ],
    },
    example: "by its vault's management endpoint and a place in it: https://VAULT-management.kms.REGION.oraclecloud.com/COMPARTMENT_OCID/NAME for a new key, or …/KEY_OCID for a next version",
    kinds: &["https://vault-management.kms.region.oraclecloud.com/ocid1.compartment.oc1..c/name"],
    shape: Shape {
        text: "https://{vault}-management.kms.{region}.oraclecloud.com/{place}",
        parts: &[
            ("vault", |vault| is_label(vault, usize::MAX), LABEL),
            ("region", |region| is_label(region, usize::MAX), LABEL),
            ("place", is_place, PLACE),
        ],
    },
    key: KmsKey::Oci,
    called,
    unwraps: |spec, wrapping| match (wrapping, spec) {
        (RsaesOaepSha256, Spec::Rsa { .. }) => Err((
            "takes RSA keys with RSA_OAEP_AES_SHA256 only",
            "write RSA_AES_KEY_WRAP_SHA_256",
        )),
        (RsaesOaepSha256 | RsaAesKeyWrapSha256, _) => Ok(()),
        _ => Err((
            "unwraps with SHA-256 only",
            "write RSAES_OAEP_SHA_256 for AES keys, RSA_AES_KEY_WRAP_SHA_256 for RSA keys; if the HSM wraps with SHA-1 alone, wrap_in = \"host\"",
        )),
    },
    answer: Answer {
        what: "import parameters of OCI Vault",
        import_name: WORD,
        pem_lacks: None,
        mark: None,
        members: "public-key lifecycle-state",
        by_content: |_| None,
        others: &[
            ("ImportToken", "import parameters of AWS KMS"),
            ("data public_key", "the wrapping key of OpenBao or Vault"),
            ("data key-id", A_DATA_KEY),
            ("data key-shape", A_DATA_KEY),
        ],
        given: |answer, json| {
            let pem = answer.text(json, "data public-key")?;
            match json.at("data lifecycle-state") {
                None => {}
                Some(state) if state.as_str() == Some("ENABLED") => {}
                Some(state) => {
                    let state = state.as_str().unwrap_or("in a state that is not a word");
                    return Err(answer.useless(format!("the wrapping key is {state}, not ENABLED")));
                }
            }
            answer.key(pem).map(Answered::from)
        },
        id: ("", "", ""),
        useless: (
            "WRAPPING-KEY-STATE",
            "ask whoever looks after the vault; its wrapping key is made with it",
        ),
        fetch: "online: oci kms management wrapping-key get --endpoint ENDPOINT",
    },
    unsaid: &[FILL_IN, FILL_IN, ""],
    judge: |_, _, _| Ok(()),
    labelled: |label| format!("ocid1.compartment.oc1..{FILL_IN}/{label:.LONGEST_NAME$}"),
    practice: |_, key, _| {
        let pem = public::to_pem(key.spki_der()).replace('\n', "\\n");
        format!(
            "{{\n  \"data\": {{\n    \"lifecycle-state\": \"ENABLED\",\n    \"public-key\": \"{pem}\"\n  }}\n}}\n"
        )
    },
};

/// The plan's word for it.
pub(crate) const WORD: &str = "oci";

const A_DATA_KEY: &str =
    "about a key of the vault or a version of it: that is a data key, not the wrapping key";
const PLACE: &str = "the OCID of a compartment and a name of 1 to 63 letters, digits, full stops, _ and -, nor the OCID of a key";

/// Compartment and display name of a new key.
pub(crate) fn compartment(key: &Name) -> Option<(&str, &str)> {
    key.part("place").split_once('/')
}

/// The OCID of a key that gets a next version.
pub(crate) fn ocid(key: &Name) -> Option<&str> {
    Some(key.part("place")).filter(|place| !place.contains('/'))
}

/// The OCID in a name of a plan, if that is of a key that gets a next version.
pub(crate) fn planned_ocid(name: &str) -> Option<String> {
    let key = OCI.shape.read(name).ok()?;
    ocid(&key).map(str::to_owned)
}

fn is_place(place: &str) -> bool {
    let is_name = |name: &str| {
        is_word(name, LONGEST_NAME, "._-") && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    match place.split_once('/') {
        Some((compartment, name)) => {
            is_ocid(compartment, &["compartment", "tenancy"]) && is_name(name)
        }
        None => is_ocid(place, &["key"]),
    }
}

/// `ocid1.TYPE.REALM.[REGION][.FUTURE].UNIQUE`.
fn is_ocid(text: &str, types: &[&str]) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    matches!(parts[..], ["ocid1", kind, realm, _, .., unique]
        if types.contains(&kind) && !realm.is_empty() && !unique.is_empty())
        && (5..=6).contains(&parts.len())
        && parts.iter().all(|part| part.bytes().all(fits))
}

/// The algorithm that a data key is for there.
fn called(key: &Name, spec: Spec) -> Called {
    match spec {
        Spec::Symmetric { .. } | Spec::Aes { .. } => Ok("AES"),
        Spec::Rsa { .. } if ocid(key).is_some() => Err((
            "takes AES keys as next versions; whether it takes RSA keys so is not established",
            "name a compartment and a new key in it",
        )),
        Spec::Rsa { .. } => Ok("RSA"),
        Spec::Hmac { .. } => Err((
            "has no HMAC keys",
            "HMAC keys go to AWS KMS and Google Cloud KMS",
        )),
        Spec::Ed25519 => Err((
            "imports AES and RSA keys only",
            "ED25519 goes to OpenBao, Vault and Google Cloud KMS",
        )),
        Spec::Ec(_) => Err((
            "imports AES and RSA keys only",
            "ECC keys go to AWS KMS and Azure Key Vault",
        )),
    }
}

#[cfg(test)]
mod tests;
