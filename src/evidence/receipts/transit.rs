//! Answers of OpenBao and Vault about a key of a transit engine.

use super::engine::{BY_CHALLENGE, EngineKey, Reader, text};
use crate::crypto::spec::Spec;
use crate::ground::error::Result;
use crate::ground::strict_json::Json;
use crate::plan::kms::transit;

/// How they answer.
pub(super) const READER: Reader = Reader {
    kms: &["openbao", "vault"],
    member: "type",
    is_of: |key, name| key.name.is_none() || key.name.as_deref() == name.rsplit('/').next(),
    in_result,
    answered,
    kinds,
    prove: " --out proof.json",
    symmetric: |_| Some(BY_CHALLENGE),
};

fn in_result(json: &Json) -> Result<EngineKey> {
    Ok(EngineKey {
        key_type: text(json, "type"),
        imported: text(json, "imported_key"),
        public_key: text(json, "public_key"),
        hmac: text(json, "hmac"),
        plaintext: text(json, "plaintext"),
        ..EngineKey::default()
    })
}

/// The answer about a key, or of its HMAC, as the command prints it in JSON; `None`: another answer.
fn answered(json: &Json) -> Option<Result<EngineKey>> {
    let data = json.get("data")?;
    let (hmac, plaintext) = (text(data, "hmac"), text(data, "plaintext"));
    let versions = data.get("keys");
    if hmac.is_none() && plaintext.is_none() && versions.is_none() {
        return None;
    }
    let latest = data.get("latest_version").and_then(Json::as_u64);
    let latest = latest.and_then(|version| versions?.get(&version.to_string()));
    let imported = data.get("imported_key").map(|is| match is {
        Json::Bool(is) => is.to_string(),
        other => other.kind().to_owned(),
    });
    Some(Ok(EngineKey {
        name: text(data, "name"),
        key_type: text(data, "type"),
        imported,
        public_key: latest.and_then(|key| text(key, "public_key")),
        hmac,
        plaintext,
        ..EngineKey::default()
    }))
}

fn kinds(spec: Spec) -> Vec<&'static str> {
    match spec {
        Spec::Hmac { .. } => vec!["hmac"], // whatever its length
        spec => transit::key_type(spec).into_iter().collect(),
    }
}
