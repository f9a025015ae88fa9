//! A key of a KMS other than AWS KMS, as far as an answer tells it, and what each such KMS says of how it answers.

use crate::crypto::spec::Spec;
use crate::ground::error::Result;
use crate::ground::strict_json::Json;

/// A key of such a KMS, as far as an answer tells it.
#[derive(Clone, Debug, Default)]
pub struct EngineKey {
    /// `kms` of the plans whose KMS answers so.
    pub(super) kms: &'static [&'static str],
    /// Its name without the place where it is, if the answer tells no more.
    pub name: Option<String>,
    /// Its whole name, in the spelling of a plan.
    pub url: Option<String>,
    /// The whole name of the version that it is about.
    pub version: Option<String>,
    /// The state of that version.
    pub(super) state: Option<String>,
    /// The KMS's name of the wrapping key under which its material came.
    pub(super) wrapping_key_id: Option<String>,
    /// Whether the material went back into a version that held some, with which the KMS compared it.
    pub(super) is_reimport: bool,
    /// What kind of key it is there: `type`, `kty` or `algorithm`.
    pub key_type: Option<String>,
    /// `imported_key`.
    pub imported: Option<String>,
    /// Its public key in PEM.
    pub public_key: Option<String>,
    /// The HMAC over the fingerprint text: `vault:vN:` and base64.
    pub hmac: Option<String>,
    /// The same, in base64 alone.
    pub mac: Option<String>,
    /// What it decrypted, in base64.
    pub plaintext: Option<String>,
}

/// How a KMS answers.
pub(super) struct Reader {
    /// `kms` in plans.
    pub kms: &'static [&'static str],
    /// The member that says what kind of key it is.
    pub member: &'static str,
    /// Whether it can be about the key of this name.
    pub is_of: fn(&EngineKey, &str) -> bool,
    /// What `import.sh` wrote about the key.
    pub in_result: fn(&Json) -> Result<EngineKey>,
    /// A bare answer; `None`: another one.
    pub answered: fn(&Json) -> Option<Result<EngineKey>>,
    /// What kinds of key a data key of a spec can be there.
    pub kinds: fn(Spec) -> Vec<&'static str>,
    /// What the verb `prove` of the script is given besides the folder of the import.
    pub prove: &'static str,
    /// What proves an AES key of this spec, if anything does.
    pub symmetric: fn(&str) -> Option<&'static str>,
}

/// Whether the answer names this key whole, or none: a result of `import.sh` that failed to look.
pub(super) fn whole(key: &EngineKey, name: &str) -> bool {
    key.url.as_deref().is_none_or(|url| url == name)
}

/// What proves an AES key where the KMS decrypts what it did not encrypt.
pub(super) const BY_CHALLENGE: &str = "its answer to the challenge";

/// A string member.
pub(super) fn text(json: &Json, name: &str) -> Option<String> {
    json.get(name).and_then(Json::as_str).map(str::to_owned)
}
