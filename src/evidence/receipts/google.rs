//! Answers of Google Cloud KMS about a version of a key: those of its REST API, which `gcloud --format=json` prints too.

use super::engine::{BY_CHALLENGE, EngineKey, Reader, text, whole};
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::Json;
use crate::plan::kms::google::{WORD, algorithms, of_version};

/// What proves a key that Google shows nothing of.
const BACK_IN_ITS_VERSION: &str = "the same material, brought back into its version by a reimport";

/// How it answers.
pub(super) const READER: Reader = Reader {
    kms: &[WORD],
    member: "algorithm",
    is_of: whole,
    in_result: |json| told(json, text(json, "version")),
    answered,
    kinds: |spec| algorithms(spec).map_or(Vec::new(), |names| names.split(' ').collect()),
    prove: "",
    symmetric: |spec| match spec {
        "SYMMETRIC_DEFAULT" => Some(BACK_IN_ITS_VERSION),
        _ => Some(BY_CHALLENGE),
    },
};

/// The answer about a version, or what it computed; `None`: another answer. What it decrypted does not name it.
fn answered(json: &Json) -> Option<Result<EngineKey>> {
    let name = text(json, "name").filter(|name| name.contains("/cryptoKeyVersions/"));
    let is_decrypted = json.get("plaintext").is_some() && json.get("protectionLevel").is_some();
    (name.is_some() || is_decrypted).then(|| told(json, name))
}

fn told(json: &Json, version: Option<String>) -> Result<EngineKey> {
    if let Some(level) = text(json, "protectionLevel").filter(|level| level != "HSM") {
        return Err(Error::mismatch(format!(
            "`protectionLevel` is {level}: the key there is not in an HSM"
        ))
        .check("KMS-KEY-MATCH"));
    }
    let url = version.as_ref().map(|name| {
        let key = of_version(name).map(|(key, _)| key.as_str().to_owned());
        key.ok_or_else(|| Error::usage("does not name a version of a key of Google's"))
    });
    Ok(EngineKey {
        url: url.transpose()?,
        version,
        state: text(json, "state"),
        wrapping_key_id: text(json, "import_job"),
        key_type: text(json, "algorithm").map(|name| name.to_lowercase().replace('_', "-")),
        public_key: text(json, "pem"),
        mac: text(json, "mac"),
        plaintext: text(json, "plaintext"),
        is_reimport: text(json, "reimported").is_some_and(|is| is == "true"),
        ..EngineKey::default()
    })
}
