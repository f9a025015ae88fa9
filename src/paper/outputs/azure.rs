//! What leaves the room for Azure: the `.byok` file, and the script that imports it.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use super::{Common, Written, fill, sha256, shared};
use crate::crypto::spec::Spec;
use crate::evidence::receipts::azure::curve_name;
use crate::ground::facts::TokenFacts;
use crate::ground::words::{self, shell_word};
use crate::plan::kms::name::Name;

pub(super) const IMPORT: &str = include_str!("azure-import.sh.in");

/// The key transfer blob of the "Bring your own key specification", for the KEK with this identifier.
fn byok_file(kid: &str, wrapped: &[u8], hsm: &TokenFacts) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let generator = format!("byok {version}; {} {}", hsm.model, hsm.firmware);
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "{{\"schema_version\":\"1.0.0\",\"header\":{{\"kid\":{},\"alg\":\"dir\",\"enc\":\"CKM_RSA_AES_KEY_WRAP\"}},\"ciphertext\":\"{}\",\"generator\":{}}}",
        text(kid),
        Base64UrlUnpadded::encode_string(wrapped),
        text(&generator),
    )
}

/// What goes to a vault, as a key of this `kty`, to which the vault adds `-HSM`.
pub(super) fn files(into: &Name, kty: &str, common: &Common) -> Vec<Written> {
    let kek = common.wrapping_key_id.unwrap_or_default();
    let file = format!("{}.byok", into.part("name"));
    let content = byok_file(kek, common.wrapped, common.hsm);
    let (curve, ops, decrypt) = of_spec(common.spec);
    let (iv, challenge, tag) = common.challenge.and_then(in_parts).unwrap_or_default();
    let text = fill(IMPORT, |name| match name {
        "key_name" => shell_word(into.part("name")),
        "kek" => shell_word(kek),
        "kty" => shell_word(kty),
        "curve" => shell_word(curve),
        "ops" => shell_word(ops),
        "decrypt" => shell_word(decrypt),
        "file" => shell_word(&file),
        "file_sha256" => sha256(content.as_bytes()),
        "iv" => shell_word(&iv),
        "challenge" => shell_word(&challenge),
        "tag" => shell_word(&tag),
        _ => common.value(name).unwrap_or_else(|| shared(name)),
    });
    vec![
        (file.clone(), content.clone().into_bytes()),
        super::script(text),
    ]
}

/// `--curve` and `--ops` of the import, and the algorithm with which it answers a challenge, if it decrypts.
fn of_spec(spec: Spec) -> (&'static str, &'static str, &'static str) {
    const AES: &str = "encrypt decrypt wrapKey unwrapKey";
    match spec {
        Spec::Rsa { .. } => ("", "encrypt decrypt sign verify wrapKey unwrapKey", ""),
        Spec::Ec(curve) => (curve_name(curve), "sign verify", ""),
        spec => match spec.secret_len() {
            Some(16) => ("", AES, "A128GCM"),
            Some(24) => ("", AES, "A192GCM"),
            _ => ("", AES, "A256GCM"),
        },
    }
}

/// Nonce, ciphertext and tag of a challenge: hex, base64, hex.
fn in_parts(challenge: &[u8]) -> Option<(String, String, String)> {
    let (nonce, rest) = challenge.split_at_checked(12)?;
    let (text, tag) = rest.split_last_chunk::<16>()?;
    Some((
        words::hex(nonce),
        Base64::encode_string(text),
        words::hex(tag),
    ))
}

#[cfg(test)]
mod tests;
