//! What KMSs other than AWS KMS answer about one of their keys; that of OpenBao and Vault is read here, and judged in
//! `transit`.

use crate::ground::strict_json::Json;

/// A key of a transit engine or of a vault of Azure, as far as an answer tells it.
#[derive(Clone, Debug, Default)]
pub struct EngineKey {
    /// Its name within the engine.
    pub name: Option<String>,
    /// Its identifier without version, in the spelling of a plan: a vault tells it.
    pub url: Option<String>,
    /// `type`, or `kty` of a vault.
    pub key_type: Option<String>,
    /// `imported_key`.
    pub imported: Option<String>,
    /// The public key of its latest version, in PEM.
    pub public_key: Option<String>,
    /// The HMAC over the fingerprint text: `vault:vN:` and base64.
    pub hmac: Option<String>,
    /// What it decrypted, in base64.
    pub plaintext: Option<String>,
}

impl EngineKey {
    /// As `import.sh` wrote it into its result.
    pub(super) fn in_result(json: &Json) -> Self {
        let text = |name| json.get(name).and_then(Json::as_str).map(str::to_owned);
        Self {
            name: None,
            url: None,
            key_type: text("type"),
            imported: text("imported_key"),
            public_key: text("public_key"),
            hmac: text("hmac"),
            plaintext: text("plaintext"),
        }
    }

    /// The answer about a key, or of its HMAC, as the command prints it in JSON; `None`: another answer.
    pub(super) fn answered(json: &Json) -> Option<Self> {
        let data = json.get("data")?;
        let text = |name| data.get(name).and_then(Json::as_str).map(str::to_owned);
        let hmac = text("hmac");
        let versions = data.get("keys");
        let plaintext = text("plaintext");
        if hmac.is_none() && plaintext.is_none() && versions.is_none() {
            return None;
        }
        let latest = data.get("latest_version").and_then(Json::as_u64);
        let latest = latest.and_then(|version| versions?.get(&version.to_string()));
        let imported = data.get("imported_key").map(|is| match is {
            Json::Bool(is) => is.to_string(),
            other => other.kind().to_owned(),
        });
        Some(Self {
            name: text("name"),
            url: None,
            key_type: text("type"),
            imported,
            public_key: latest.and_then(|key| key.get("public_key")?.as_str().map(str::to_owned)),
            hmac,
            plaintext,
        })
    }
}
