//! What leaves the room for Azure: the `.byok` file, and the script that imports it.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use super::{Common, Written, fill, sha256, shared};
use crate::crypto::spec::Refusal;
use crate::ground::facts::TokenFacts;
use crate::ground::words::{self, shell_word};
use crate::plan::kms::Kms as _;
use crate::plan::kms::azure::{Kind, VaultKey, WORD};

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

/// What goes to a vault.
///
/// # Errors
/// Why it takes none.
pub(crate) fn files(into: &VaultKey, common: &Common) -> Result<Vec<Written>, Refusal> {
    let kek = common.wrapping_key_id.unwrap_or_default();
    let script = VaultScript {
        common,
        into,
        kind: into.kind(common.spec)?,
        kek,
        content: byok_file(kek, common.wrapped, common.hsm),
    };
    let text = fill(IMPORT, |name| script.value(name));
    Ok(vec![
        (script.file(), script.content.into_bytes()),
        super::script(text),
    ])
}

/// All that the `import.sh` of one import into a vault says, checks and sends.
struct VaultScript<'a> {
    common: &'a Common<'a>,
    into: &'a VaultKey,
    kind: Kind,
    /// The KEK's identifier.
    kek: &'a str,
    /// The contents of the `.byok` file.
    content: String,
}

impl VaultScript<'_> {
    /// The name of the `.byok` file.
    fn file(&self) -> String {
        format!("{}.byok", self.into.name())
    }

    /// The value of one place in the template, as shell words.
    fn value(&self, name: &str) -> String {
        let hex = |bytes: &[u8]| words::hex(bytes);
        match name {
            "kms" => shell_word(WORD),
            "name" => shell_word(self.into.kms()),
            "key" => shell_word(self.into.as_str()),
            "server" => shell_word(self.into.place()),
            "key_name" => shell_word(self.into.name()),
            "kek" => shell_word(self.kek),
            "kty" => shell_word(self.kind.kty),
            "curve" => shell_word(self.kind.curve),
            "ops" => shell_word(self.kind.ops),
            "decrypt" => shell_word(self.kind.decrypt),
            "file" => shell_word(&self.file()),
            "file_sha256" => sha256(self.content.as_bytes()),
            "iv" => shell_word(&self.of_challenge(|nonce, _, _| hex(nonce))),
            "challenge" => shell_word(&self.of_challenge(|_, text, _| Base64::encode_string(text))),
            "tag" => shell_word(&self.of_challenge(|_, _, tag| hex(tag))),
            _ => self.common.value(name).unwrap_or_else(|| shared(name)),
        }
    }

    /// A part of the challenge: nonce, ciphertext or tag; nothing if there is none.
    fn of_challenge(&self, part: impl Fn(&[u8], &[u8], &[u8]) -> String) -> String {
        let split = |whole: &[u8]| {
            let (nonce, rest) = whole.split_at_checked(12)?;
            let (text, tag) = rest.split_last_chunk::<16>()?;
            Some(part(nonce, text, tag))
        };
        self.common.challenge.and_then(split).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
