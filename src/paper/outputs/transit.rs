//! What leaves the room for OpenBao and Vault: the wrapped data key in base64, and the script that imports it.

use base64ct::{Base64, Encoding as _};

use super::{Common, Written, fill, sha256, shared};
use crate::crypto::spec::Refusal;
use crate::crypto::wrapping::FINGERPRINT_TEXT;
use crate::ground::words::shell_word;
use crate::plan::kms::transit::{TransitKey, hash_function, key_type};
use crate::plan::kms::{self, Kms as _};

pub(super) const IMPORT: &str = include_str!("transit-import.sh.in");

/// The file that the script sends: `WrappedKeyMaterial.bin` in standard base64, one line.
const FILE: &str = "WrappedKeyMaterial.b64";

/// The contents of [`FILE`].
fn base64_file(wrapped: &[u8]) -> String {
    Base64::encode_string(wrapped)
}

/// What goes to a transit engine.
///
/// # Errors
/// Why it takes none.
pub(crate) fn files(into: &TransitKey, common: &Common) -> Result<Vec<Written>, Refusal> {
    let base64 = base64_file(common.wrapped);
    let script = TransitScript {
        common,
        into,
        key_type: key_type(common.spec)?,
        base64: &base64,
    };
    let text = fill(IMPORT, |name| script.value(name));
    Ok(vec![
        (FILE.into(), base64.clone().into_bytes()),
        super::script(text),
    ])
}

/// All that the `import.sh` of one import into a transit engine says, checks and sends.
struct TransitScript<'a> {
    common: &'a Common<'a>,
    into: &'a TransitKey,
    key_type: &'a str,
    /// The contents of [`FILE`].
    base64: &'a str,
}

impl TransitScript<'_> {
    /// The value of one place in the template, as shell words.
    fn value(&self, name: &str) -> String {
        let program = self.into.program();
        match name {
            "kms" => shell_word(program.word()),
            "name" => shell_word(program.name()),
            "command" => shell_word(program.command()),
            "online" => shell_word(&format!("bash {}", kms::script(program.word()))),
            "key" => shell_word(self.into.as_str()),
            "server" => shell_word(self.into.place()),
            "mount" => shell_word(self.into.mount()),
            "key_name" => shell_word(self.into.name()),
            "key_type" => shell_word(self.key_type),
            "hash_function" => shell_word(hash_function(self.common.wrapping)),
            "b64_sha256" => sha256(self.base64.as_bytes()),
            "fingerprint_text" => shell_word(&base64_file(FINGERPRINT_TEXT)),
            "challenge" => shell_word(&self.common.challenge.map(base64_file).unwrap_or_default()),
            _ => self.common.value(name).unwrap_or_else(|| shared(name)),
        }
    }
}
