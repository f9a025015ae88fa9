//! Azure Key Vault (Premium) and Managed HSM.
//!
//! The wrapping key is a key of the same vault that can do nothing but import: the *KEK*. There is no import token and no
//! deadline: what was wrapped under a KEK can be imported for as long as it exists. The vault wants the KEK's identifier
//! back with the material, and compares nothing: material under a name that is taken is that key's next version.
//!
//! Source: Azure Key Vault documentation, "Bring your own key specification", "Object identifiers"; what `az keyvault
//! key show` of azure-cli 2.91 prints, and the clouds that it knows.

use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;

use super::answer::{Answer, Answered};
use super::name::{Name, Shape, is_label};
use super::{Called, Elsewhere, Facts, KmsKey, Lifetime, aws};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm::RsaAesKeyWrapSha1;
use crate::crypto::wrapping::key::WrappingKey;
use crate::ground::error::Result;
use crate::ground::strict_json::Json;

/// A vault. Azure compares identifiers whatever the case of their letters; here all are small.
pub(super) const KEY_VAULT: Elsewhere = Elsewhere {
    facts: Facts {
        kms: "Azure Key Vault",
        word: Some(WORD),
        script: "azure.sh",
        place: "{owner}",
        owner: "https://{vault}.{domain}",
        source: Some("{owner}/keys/KEK"),
        wrapping_key_bits: &[2048, 3072, 4096],
        binds_algorithm: false,
        lifetime: Lifetime::Endless(
            "NONE: whoever may import there can import the wrapped file for as long as the KEK exists; delete and purge the KEK after the import, and guard the record until then",
        ),
        no_guard: Some(
            "by byok alone: {kms} takes any material, as the next version under a name that is taken",
        ),
        doubt: None,
        proves_by_decrypting: Spec::is_aes,
        beside: &[
            (
                "<name>.byok",
                "the same with the KEK that opens it, for Azure",
            ),
            ("import.sh", "checks both, then runs az keyvault key import"),
        ],
    },
    example: "by its identifier without version: https://VAULT.vault.azure.net/keys/NAME",
    kinds: &[
        "https://vault.vault.azure.net/keys/name",
        "https://hsm.managedhsm.azure.net/keys/name",
    ],
    shape: Shape {
        text: "https://{vault}.{domain}/keys/{name}",
        parts: &[
            (
                "vault",
                is_vault,
                "3 to 24 small letters, digits and single hyphens",
            ),
            (
                "domain",
                |domain| DOMAINS.contains(&domain),
                "one of Azure's vaults, such as vault.azure.net",
            ),
            (
                "name",
                |name| is_label(name, 127),
                "small letters, digits, and hyphens between them, at most 127",
            ),
        ],
    },
    key: KmsKey::Azure,
    called,
    unwraps: |_, wrapping| match wrapping {
        RsaAesKeyWrapSha1 => Ok(()),
        _ => Err((
            "unwraps RSA_AES_KEY_WRAP_SHA_1 only",
            "write RSA_AES_KEY_WRAP_SHA_1",
        )),
    },
    answer: Answer {
        what: "import parameters of Azure",
        import_name: WORD,
        pem_lacks: Some(
            "has no identifier (kid) of the KEK: the vault wants that back with the material",
        ),
        mark: None, // of any other key the same answer is a receipt
        members: "kid kty keyOps n e enabled expires notBefore",
        by_content: with_private_half,
        others: &[
            ("ImportToken", "import parameters of AWS KMS"),
            ("data", "an answer of OpenBao, Vault or OCI"),
            ("error", "an error message of Azure"),
            (
                "schema_version",
                "a .byok file: what was wrapped, not what to wrap under",
            ),
            (
                "deletedDate",
                "about a key that was deleted: nothing can be imported with it",
            ),
        ],
        given,
        id: ("kek", "KEK", "a KEK of its own vault"),
        useless: (
            "KEK",
            "make one in the vault of the plan's key, and use it for nothing else: bash azure.sh kek https://VAULT.vault.azure.net/keys/KEK",
        ),
        fetch: "online: az keyvault key show --id https://VAULT.vault.azure.net/keys/KEK -o json",
    },
    unsaid: &[],
    judge,
    labelled: |label| {
        let name = label.to_ascii_lowercase().replace('_', "-");
        name.trim_end_matches('-').to_owned()
    },
    practice: |key, wrapping_key, _| {
        let kek = key.fill("https://{vault}.{domain}/keys/stand-in-kek/");
        format!(
            "{{\n    \"attributes\": {{\"enabled\": true}},\n    \"key\": {{\n        \"kid\": \"{kek}{}\",\n        \
             \"kty\": \"RSA-HSM\", \"keyOps\": [\"import\"],\n        \"e\": \"AQAB\", \"n\": \"{}\"\n    }}\n}}\n",
            "0".repeat(32),
            Base64::encode_string(wrapping_key.modulus()),
        )
    },
};

/// A Managed HSM.
pub(super) const HSM: Elsewhere = Elsewhere {
    facts: Facts {
        kms: "Azure Managed HSM",
        ..KEY_VAULT.facts
    },
    ..KEY_VAULT
};

/// The plan's word for both.
pub(crate) const WORD: &str = "azure";

/// Where vaults are, in each cloud.
const DOMAINS: [&str; 7] = [
    "vault.azure.net",
    "managedhsm.azure.net",
    "vault.azure.cn",
    "vault.usgovcloudapi.net",
    "managedhsm.usgovcloudapi.net",
    "vault.sovcloud-api.fr",
    "managedhsm.sovcloud-api.fr",
];

/// The members of a private key.
const PRIVATE: &str = "d dp dq qi p q k t";

/// Whether it is in a Managed HSM.
pub(super) fn is_in_hsm(key: &Name) -> bool {
    key.part("domain").starts_with("managedhsm.")
}

fn is_vault(vault: &str) -> bool {
    let begins = vault.starts_with(|c: char| c.is_ascii_lowercase());
    begins && is_label(vault, 24) && vault.len() >= 3 && !vault.contains("--")
}

/// The key that an identifier of Azure names, and the version if there is one.
pub(crate) fn identified(id: &str) -> Option<(Name, Option<&str>)> {
    let key = |id: &str| KEY_VAULT.shape.read(&id.to_ascii_lowercase()).ok();
    if let Some(key) = key(id) {
        return Some((key, None));
    }
    let (id, version) = id.rsplit_once('/')?;
    let is_hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let is_version = version.len() == 32 && version.bytes().all(is_hex);
    is_version.then(|| Some((key(id)?, Some(version))))?
}

/// `kty` of a data key there.
fn called(key: &Name, spec: Spec) -> Called {
    match spec {
        Spec::Hmac { .. } => Err((
            "has no HMAC keys",
            "HMAC keys go to AWS KMS and Google Cloud KMS",
        )),
        Spec::Ed25519 => Err((
            "has no Ed25519 keys",
            "ED25519 goes to OpenBao, Vault and Google Cloud KMS",
        )),
        Spec::Symmetric { .. } | Spec::Aes { .. } if !is_in_hsm(key) => Err((
            "takes key pairs only: symmetric keys are for a Managed HSM",
            "name a key of a Managed HSM: https://NAME.managedhsm.azure.net/keys/NAME",
        )),
        Spec::Symmetric { .. } | Spec::Aes { .. } => Ok("oct"),
        Spec::Rsa { .. } => Ok("RSA"),
        Spec::Ec(_) => Ok("EC"),
    }
}

fn with_private_half(json: &Json) -> Option<String> {
    let mut parts = PRIVATE.split(' ').map(|part| json.get("key")?.get(part));
    let holds = parts.any(|part| part.is_some_and(|part| *part != Json::Null));
    let what = "a key with its private half: find out whose it is, and treat it as exposed";
    holds.then(|| what.to_owned())
}

/// An RSA key of the HSM that is enabled and has the one operation `import`.
fn given(answer: &Answer, json: &Json) -> Result<Answered> {
    for part in ["key", "attributes"] {
        if json.get(part).and_then(Json::as_object).is_none() {
            return Err(answer.refused(format!("has no object `{part}`")));
        }
    }
    let kid = answer.text(json, "key kid")?;
    let Some((of, Some(_))) = identified(kid) else {
        return Err(answer.refused(format!(
            "has the `kid` {kid:?}, which is not a vault's identifier of a key with its version"
        )));
    };
    only_imports(answer, json)?;
    let number = |path| {
        let bytes = Base64::decode_vec(answer.text(json, path)?);
        bytes.map_err(|_| answer.refused(format!("`{}` is not base64", &path[4..])))
    };
    let time = |name| match json.at(&format!("attributes {name}")) {
        None | Some(Json::Null) => Ok(None),
        Some(told @ Json::String(_)) if aws::time(told).is_some() => Ok(aws::time(told)),
        Some(_) => Err(answer.refused(format!("`{name}` in `attributes` is not a time"))),
    };
    let wrapping_key = WrappingKey::from_parts(&number("key n")?, &number("key e")?);
    let wrapping_key = answer.delivered(wrapping_key)?;
    Ok(Answered {
        id: Some(kid.to_owned()),
        of: Some(of),
        from: time("notBefore")?,
        until: time("expires")?,
        ..wrapping_key.into()
    })
}

fn only_imports(answer: &Answer, json: &Json) -> Result<()> {
    let useless = |what: String| Err(answer.useless(format!("the KEK {what}")));
    match answer.text(json, "key kty")? {
        "RSA-HSM" => {}
        "RSA" => {
            return useless("is protected by software: its `kty` is RSA, not RSA-HSM".into());
        }
        other => return useless(format!("has the `kty` {other:?}, not RSA-HSM")),
    }
    let ops = json.at("key keyOps").and_then(Json::as_array);
    let ops = ops.ok_or_else(|| answer.refused("has no list `keyOps` in `key`"))?;
    if !matches!(ops, [Json::String(only)] if only == "import") {
        return useless("must have the operation `import` and no other (`keyOps`)".into());
    }
    match json.at("attributes enabled") {
        Some(Json::Bool(true)) => Ok(()),
        Some(Json::Bool(false)) => useless("is disabled".into()),
        _ => Err(answer.refused("does not say in `attributes` whether the key is `enabled`")),
    }
}

/// Whether a KEK is one for this key, at this time.
fn judge(kek: &Answered, into: &Name, now: Timestamp) -> Result<()> {
    const CLOCK: &str = "if that is not so, this machine's clock is wrong: set it (date -u)";
    let useless = |what: String| Err(KEY_VAULT.answer.useless(format!("the KEK {what}")));
    let hinted = |what| useless(what).map_err(|error| error.hint(CLOCK));
    if kek.of.as_ref() == Some(into) {
        return useless("is the plan's key itself".into());
    }
    match (kek.from, kek.until) {
        (Some(from), _) if now < from => {
            hinted(format!("is valid from {from} on; it is {now} here"))
        }
        (_, Some(until)) if until <= now => hinted(format!("expired at {until}; it is {now} here")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
