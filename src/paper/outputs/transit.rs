//! What leaves the room for OpenBao and Vault: the wrapped data key in base64, and the script that imports it.

use base64ct::{Base64, Encoding as _};

use super::{Common, Written, fill, sha256, shared};
use crate::crypto::wrapping::{FINGERPRINT_TEXT, WrappingAlgorithm};
use crate::ground::words::shell_word;
use crate::plan::kms::KmsKey;
use crate::plan::kms::name::Name;

pub(super) const IMPORT: &str = include_str!("transit-import.sh.in");

/// The file that the script sends: `WrappedKeyMaterial.bin` in standard base64, one line.
const FILE: &str = "WrappedKeyMaterial.b64";

/// The contents of [`FILE`].
fn base64_file(wrapped: &[u8]) -> String {
    Base64::encode_string(wrapped)
}

/// What goes to a transit engine, as a key of this `type`.
pub(super) fn files(into: &Name, key_type: &str, common: &Common) -> Vec<Written> {
    let base64 = base64_file(common.wrapped);
    let text = fill(IMPORT, |name| match name {
        "command" => shell_word(match common.kms_key {
            KmsKey::Vault(_) => "vault",
            _ => "bao",
        }),
        "online" => shell_word(&format!("bash {}", common.kms_key.script)),
        "mount" => shell_word(into.part(name)),
        "key_name" => shell_word(into.part("name")),
        "key_type" => shell_word(key_type),
        "hash_function" => shell_word(match common.wrapping.oaep() {
            WrappingAlgorithm::RsaesOaepSha1 => "SHA1",
            _ => "SHA256",
        }),
        "b64_sha256" => sha256(base64.as_bytes()),
        "fingerprint_text" => shell_word(&base64_file(FINGERPRINT_TEXT)),
        "challenge" => shell_word(&common.challenge.map(base64_file).unwrap_or_default()),
        _ => common.value(name).unwrap_or_else(|| shared(name)),
    });
    vec![
        (FILE.into(), base64.clone().into_bytes()),
        super::script(text),
    ]
}
