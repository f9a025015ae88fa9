//! What leaves the room for OpenBao and Vault: the wrapped data key in base64, and the script that imports it.

use base64ct::{Base64, Encoding as _};

use super::{Common, fill, shared};
use crate::crypto::wrapping::FINGERPRINT_TEXT;
use crate::ground::words::shell_word;
use crate::plan::kms::transit::TransitKey;

pub(super) const IMPORT: &str = include_str!("transit-import.sh.in");

/// The file that the script sends: `WrappedKeyMaterial.bin` in standard base64, one line.
pub(crate) const FILE: &str = "WrappedKeyMaterial.b64";

/// The contents of [`FILE`].
pub(crate) fn base64_file(wrapped: &[u8]) -> String {
    Base64::encode_string(wrapped)
}

/// All that the `import.sh` of one import into a transit engine says, checks and sends.
pub(crate) struct TransitScript<'a> {
    pub common: Common<'a>,
    pub into: &'a TransitKey,
    pub key_type: &'a str,
    pub hash_function: &'a str,
    pub base64_sha256: &'a str,
}

impl TransitScript<'_> {
    /// The script, ready to be written as `<label>/<import>/import.sh`.
    pub(crate) fn render(&self) -> String {
        fill(IMPORT, |name| self.value(name))
    }

    /// The value of one place in the template, as shell words.
    fn value(&self, name: &str) -> String {
        let program = self.into.program();
        match name {
            "kms" => shell_word(program.word()),
            "name" => shell_word(program.name()),
            "command" => shell_word(program.command()),
            "key" => shell_word(self.into.as_str()),
            "server" => shell_word(self.into.server()),
            "mount" => shell_word(self.into.mount()),
            "key_name" => shell_word(self.into.name()),
            "key_type" => shell_word(self.key_type),
            "hash_function" => shell_word(self.hash_function),
            "b64_sha256" => shell_word(self.base64_sha256),
            "fingerprint_text" => shell_word(&base64_file(FINGERPRINT_TEXT)),
            "challenge" => shell_word(&self.common.challenge.map(base64_file).unwrap_or_default()),
            _ => self.common.value(name).unwrap_or_else(|| shared(name)),
        }
    }
}
