//! How the KMSs other than AWS KMS answer: each in the file of its name.

use super::engine::{BY_CHALLENGE, EngineKey, Reader, text};
use super::{azure, google, oci, transit};
use crate::ground::error::Result;
use crate::ground::strict_json::Json;
use crate::plan::kms::script;

static READERS: [Reader; 4] = [transit::READER, azure::READER, google::READER, oci::READER];

/// How the KMS of this word answers.
pub(super) fn reader(kms: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.kms.contains(&kms))
}

/// As `import.sh` wrote it into its result; nothing of AWS KMS.
pub(super) fn in_result(json: &Json) -> Result<EngineKey> {
    let kms = text(json, "kms").unwrap_or_default();
    match reader(&kms) {
        Some(reader) => read(reader, (reader.in_result)(json)),
        None => Ok(EngineKey::default()),
    }
}

/// A bare answer; `None`: that of AWS KMS, or none.
pub(super) fn answered(json: &Json) -> Option<Result<EngineKey>> {
    READERS.iter().find_map(|reader| {
        let key = (reader.answered)(json)?;
        Some(read(reader, key))
    })
}

fn read(reader: &Reader, key: Result<EngineKey>) -> Result<EngineKey> {
    key.map(|key| EngineKey {
        kms: reader.kms,
        ..key
    })
}

/// How to ask such a KMS for what proves the data key imported from a folder. It is asked for a challenge's answer, not for
/// the same material once more.
pub(super) fn prove(kms: &str, spec: &str, folder: &str) -> Option<String> {
    let reader = reader(kms)?;
    let proof = super::proof(spec, kms)?;
    let is_asked = super::is_pair(spec) || spec.starts_with("HMAC_") || proof == BY_CHALLENGE;
    is_asked.then(|| format!("bash {} prove {folder}{}", script(kms), reader.prove))
}

/// What proves that such a KMS has an AES key.
pub(super) fn symmetric(kms: &str, spec: &str) -> Option<&'static str> {
    (reader(kms)?.symmetric)(spec)
}
