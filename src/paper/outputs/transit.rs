//! What leaves the room for OpenBao and Vault: the wrapped data key in base64, and the script that imports it.

use base64ct::{Base64, Encoding as _};

use super::{fill, shared, yes_no};
use crate::crypto::wrapping::FINGERPRINT_TEXT;
use crate::ground::words::shell_word;
use crate::plan::kms::transit::TransitKey;

const IMPORT: &str = include_str!("transit-import.sh.in");

/// The file that the script sends: `WrappedKeyMaterial.bin` in standard base64, one line.
pub(crate) const FILE: &str = "WrappedKeyMaterial.b64";

/// The contents of [`FILE`].
pub(crate) fn base64_file(wrapped: &[u8]) -> String {
    Base64::encode_string(wrapped)
}

/// All that the `import.sh` of one import into a transit engine says, checks and sends.
pub(crate) struct TransitScript<'a> {
    pub ceremony: &'a str,
    pub rehearsal: bool,
    pub title: &'a str,
    pub label: &'a str,
    pub import: &'a str,
    pub into: &'a TransitKey,
    /// The KMS key spec.
    pub spec: &'a str,
    pub key_type: &'a str,
    pub hash_function: &'a str,
    pub wrapped_sha256: &'a str,
    pub base64_sha256: &'a str,
    /// What the engine is asked to decrypt.
    pub challenge: Option<&'a [u8]>,
}

/// One function of a text that scripts share. The texts are part of this program: a missing one is a mistake in it,
/// which any test finds.
fn function(text: &str, name: &str) -> String {
    let found = text
        .split_once(&format!("\n{name}() {{\n"))
        .and_then(|(_, rest)| rest.split_once("\n}"));
    let (body, _) = found.unwrap_or_else(|| panic!("no function {name:?} in the shared texts"));
    format!("{name}() {{\n{body}\n}}")
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
            "title" => shell_word(self.title),
            "ceremony" => shell_word(self.ceremony),
            "rehearsal" => yes_no(self.rehearsal),
            "label" => shell_word(self.label),
            "import" => shell_word(self.import),
            "kms" => shell_word(program.word()),
            "name" => shell_word(program.name()),
            "command" => shell_word(program.command()),
            "key" => shell_word(self.into.as_str()),
            "server" => shell_word(self.into.server()),
            "mount" => shell_word(self.into.mount()),
            "key_name" => shell_word(self.into.name()),
            "spec" => shell_word(self.spec),
            "key_type" => shell_word(self.key_type),
            "hash_function" => shell_word(self.hash_function),
            "wrapped_sha256" => shell_word(self.wrapped_sha256),
            "b64_sha256" => shell_word(self.base64_sha256),
            "fingerprint_text" => shell_word(&base64_file(FINGERPRINT_TEXT)),
            "challenge" => shell_word(&self.challenge.map(base64_file).unwrap_or_default()),
            "member" | "is_ours" => function(&shared("outcome"), name),
            "endpoint_fault" => function(&shared("own_environment"), name),
            _ => shared(name),
        }
    }
}
