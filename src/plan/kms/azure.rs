//! Azure Key Vault (Premium) and Managed HSM.
//!
//! The wrapping key is a key of the same vault that can do nothing but import: the *KEK*. There is no import token and no
//! deadline: what was wrapped under a KEK can be imported for as long as it exists. The vault wants the KEK's identifier
//! back with the material, and compares nothing: material under a name that is taken is that key's next version.
//!
//! Source: Azure Key Vault documentation, "Bring your own key specification", "Object identifiers"; what `az keyvault
//! key show` of azure-cli 2.91 prints, and the clouds that it knows.

use std::path::Path;

use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;

use super::aws;
use super::file::{self, ParameterFile};
use super::{Given, Kms, KmsKey, Lifetime, Recognised, Wanted};
use crate::crypto::spec::{Curve, Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::Json;

/// The plan's word for it.
pub(crate) const WORD: &str = "azure";

/// Where vaults are, in each cloud, and whether it is a Managed HSM.
const DOMAINS: [(&str, bool); 7] = [
    ("vault.azure.net", false),
    ("managedhsm.azure.net", true),
    ("vault.azure.cn", false),
    ("vault.usgovcloudapi.net", false),
    ("managedhsm.usgovcloudapi.net", true),
    ("vault.sovcloud-api.fr", false),
    ("managedhsm.sovcloud-api.fr", true),
];

/// A key of a vault, by its identifier without version, in one spelling: `https://VAULT.DOMAIN/keys/NAME`. Azure compares
/// identifiers whatever the case of their letters; here all are small.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VaultKey {
    url: String,
    server: String,
    name: String,
    is_hsm: bool,
}

impl VaultKey {
    /// Reads the identifier.
    ///
    /// # Errors
    /// Exit 2 for any other spelling, by the part that is wrong.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::usage(format!("key {url:?} {why}")).hint(
                "write the key's identifier without version: https://VAULT.vault.azure.net/keys/NAME",
            )
        };
        let rest = url.strip_prefix("https://");
        let rest = rest.ok_or_else(|| refuse("does not begin with https://"))?;
        let (host, name) = rest
            .split_once("/keys/")
            .ok_or_else(|| refuse("has no /keys/ after the host"))?;
        let (vault, domain) = host.split_once('.').unwrap_or((host, ""));
        let known = DOMAINS.iter().find(|(known, _)| *known == domain);
        let (_, is_hsm) =
            known.ok_or_else(|| refuse("has a host that is in no domain of vaults"))?;
        let begins = vault.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !is_name(vault, 24) || vault.len() < 3 || vault.contains("--") {
            return Err(refuse(
                "has a vault that is not 3 to 24 small letters, digits and single hyphens",
            ));
        }
        if !is_name(name, 127) {
            return Err(refuse(
                "does not end in a name of small letters, digits and hyphens, at most 127",
            ));
        }
        Ok(Self {
            server: format!("https://{host}"),
            name: name.to_owned(),
            is_hsm: *is_hsm,
            url: url.to_owned(),
        })
    }

    /// The key that an identifier of Azure names, and the version if there is one.
    pub(crate) fn identified(id: &str) -> Option<(Self, Option<&str>)> {
        let key = |id: &str| Self::parse(&id.to_ascii_lowercase()).ok();
        if let Some(key) = key(id) {
            return Some((key, None));
        }
        let (id, version) = id.rsplit_once('/')?;
        let is_version = version.len() == 32
            && version
                .bytes()
                .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        is_version.then(|| Some((key(id)?, Some(version))))?
    }

    /// The key of this label in the same vault.
    fn beside(&self, label: &str) -> Self {
        let name = label.to_ascii_lowercase().replace('_', "-");
        let name = name.trim_end_matches('-').to_owned();
        Self {
            url: format!("{}/keys/{name}", self.server),
            name,
            ..self.clone()
        }
    }

    /// The key's name within the vault.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it becomes there.
    ///
    /// # Errors
    /// Why the vault takes none.
    pub(crate) fn kind(&self, spec: Spec) -> std::result::Result<Kind, Refusal> {
        let refuse = |why: &str, hint: &str| {
            Err(Refusal {
                why: format!("{} {why}", self.kms()),
                hint: hint.to_owned(),
            })
        };
        let (kty, curve, ops, decrypt) = match spec {
            Spec::Hmac { .. } => {
                return refuse(
                    "has no HMAC keys",
                    "HMAC keys go to AWS KMS, OpenBao, Vault and Google Cloud KMS",
                );
            }
            Spec::Ed25519 => {
                return refuse(
                    "has no Ed25519 keys",
                    "ED25519 goes to OpenBao, Vault and Google Cloud KMS; the most similar key that Azure takes is ECC_NIST_P256",
                );
            }
            Spec::Symmetric { .. } | Spec::Aes { .. } if !self.is_hsm => {
                return refuse(
                    "takes key pairs only: symmetric keys are for a Managed HSM",
                    "name a key of a Managed HSM: https://NAME.managedhsm.azure.net/keys/NAME",
                );
            }
            Spec::Symmetric { .. } | Spec::Aes { .. } => {
                let decrypt = match spec.secret_len() {
                    Some(16) => "A128GCM",
                    Some(24) => "A192GCM",
                    _ => "A256GCM",
                };
                ("oct", "", "encrypt decrypt wrapKey unwrapKey", decrypt)
            }
            Spec::Rsa { .. } => (
                "RSA",
                "",
                "encrypt decrypt sign verify wrapKey unwrapKey",
                "",
            ),
            Spec::Ec(curve) => ("EC", curve_name(curve), "sign verify", ""),
        };
        Ok(Kind {
            kty,
            curve,
            ops,
            decrypt,
        })
    }
}

/// How such a key is named.
pub(crate) const EXAMPLE: &str = "by its identifier: https://VAULT.vault.azure.net/keys/NAME";

impl Kms for VaultKey {
    fn as_str(&self) -> &str {
        &self.url
    }

    fn kms(&self) -> &'static str {
        match self.is_hsm {
            true => "Azure Managed HSM",
            false => "Azure Key Vault",
        }
    }

    fn word(&self) -> Option<&'static str> {
        Some(WORD)
    }

    fn place(&self) -> &str {
        &self.server
    }

    fn command(&self) -> Option<String> {
        Some(format!(
            "az keyvault key show --id {}/keys/KEK -o json",
            self.server
        ))
    }

    fn source(&self) -> Option<String> {
        Some(format!("{}/keys/KEK", self.server))
    }

    fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal> {
        self.kind(spec)?;
        if wrapping != WrappingAlgorithm::RsaAesKeyWrapSha1 {
            return Err(Refusal {
                why: format!(
                    "wrapping {wrapping}: {} unwraps RSA_AES_KEY_WRAP_SHA_1 only",
                    self.kms()
                ),
                hint: "write RSA_AES_KEY_WRAP_SHA_1".into(),
            });
        }
        Ok(())
    }

    fn read(&self, wanted: &Wanted) -> Result<Given> {
        let (kek, file) = read(wanted.path)?;
        kek.judge(self, clock::now())?;
        Ok(Given {
            wrapping_key: kek.wrapping_key,
            wrapping_key_id: Some(kek.kid),
            token: None,
            valid_to: None,
            files: vec![file],
        })
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Endless(
            "NONE: whoever may import there can import the wrapped file for as long as the KEK exists; delete and purge the KEK after the import, and guard the record until then",
        )
    }

    fn no_guard(&self) -> Option<String> {
        Some(format!(
            "by byok alone: {} takes any material, as the next version under a name that is taken",
            self.kms()
        ))
    }

    fn proves_by_decrypting(&self, spec: Spec) -> bool {
        spec.is_aes()
    }

    fn beside(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "<name>.byok",
                "the same with the KEK that opens it, for Azure",
            ),
            ("import.sh", "checks both, then runs az keyvault key import"),
        ]
    }

    fn practice(&self, key: &WrappingKey, _: WrappingAlgorithm) -> Option<String> {
        Some(format!(
            "{{\n    \"attributes\": {{\"enabled\": true}},\n    \"key\": {{\n        \"kid\": \"{}/keys/stand-in-kek/{}\",\n        \
             \"kty\": \"RSA-HSM\", \"keyOps\": [\"import\"],\n        \"e\": \"AQAB\", \"n\": \"{}\"\n    }}\n}}\n",
            self.server,
            "0".repeat(32),
            Base64::encode_string(key.modulus()),
        ))
    }
}

/// A KEK; of any other key the same answer is a receipt.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Recognised> {
    let kek = parse(bytes)?;
    let vault = kek.key;
    Ok(Recognised {
        what: "import parameters of Azure",
        name: WORD,
        kms_key: Box::new(move |label| KmsKey::Azure(vault.beside(label))),
        wrapping_key: kek.wrapping_key,
        wrapping: None,
        valid_to: None,
        more: vec![("kek", kek.kid)],
    })
}

/// Small letters, digits, and hyphens that are not at an end.
fn is_name(text: &str, most: usize) -> bool {
    let fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=most).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What a data key is in a vault.
pub(crate) struct Kind {
    /// `--kty` of the import; the vault adds `-HSM`.
    pub kty: &'static str,
    /// `--curve`, if it has one.
    pub curve: &'static str,
    /// `--ops`.
    pub ops: &'static str,
    /// `--algorithm` with which it answers a challenge, if it decrypts.
    pub decrypt: &'static str,
}

/// Azure's name for a curve.
pub(crate) fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::Secp256k1 => "P-256K",
    }
}

/// The key that only imports.
#[derive(Debug)]
pub(crate) struct Kek {
    /// Its public half.
    pub wrapping_key: WrappingKey,
    /// Its identifier with version, as the vault writes it.
    pub kid: String,
    key: VaultKey,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
}

const ANSWER: file::Answer = file::Answer {
    fetch: SHOW,
    pem: "has no identifier (kid) of the KEK: the vault wants that back with the material",
    read: "kid kty keyOps n e enabled expires notBefore",
    other: other_answer,
};
/// The members of a private key.
const PRIVATE: &str = "d dp dq qi p q k t";
/// A member of other answers, and what they are.
const OTHERS: [(&str, &str); 5] = [
    ("ImportToken", "import parameters of AWS KMS"),
    ("data", "an answer of OpenBao or Vault"),
    ("error", "an error message of Azure"),
    (
        "schema_version",
        "a .byok file: what was wrapped, not what to wrap under",
    ),
    (
        "deletedDate",
        "about a key that was deleted: nothing can be imported with it",
    ),
];

const SHOW: &str =
    "online: az keyvault key show --id https://VAULT.vault.azure.net/keys/KEK -o json";

fn refused(what: impl Into<String>) -> Error {
    Error::usage(what).hint(SHOW)
}

fn no_kek(what: String) -> Error {
    Error::mismatch(what)
        .check("KEK")
        .hint("make one: az keyvault key create --kty RSA-HSM --size 4096 --ops import, in the vault of the plan's key, and use it for nothing else")
}

/// Reads the KEK from a file.
///
/// # Errors
/// Exit 2: no such file, not a regular file, or not such an answer, with what it is instead. Exit 4: the key is no KEK.
pub(crate) fn read(path: &Path) -> Result<(Kek, ParameterFile)> {
    let (bytes, file) = file::read_one(path, SHOW)?;
    Ok((parse(&bytes).map_err(|e| e.doing(&file.name))?, file))
}

/// The KEK in the bytes of one file.
///
/// # Errors
/// As [`read`], except for those of opening.
pub(crate) fn parse(bytes: &[u8]) -> Result<Kek> {
    let json = ANSWER.parse(bytes)?;
    let part = |name: &str| {
        let part = json.get(name).filter(|part| part.as_object().is_some());
        part.ok_or_else(|| refused(format!("has no object `{name}`")))
    };
    let (key, attributes) = (part("key")?, part("attributes")?);
    let kid = text_of(key, "kid")?.to_owned();
    let Some((identified, Some(_))) = VaultKey::identified(&kid) else {
        return Err(refused(format!(
            "has the `kid` {kid:?}, which is not a vault's identifier of a key with its version"
        )));
    };
    only_imports(key, attributes)?;
    let number = |name| {
        let bytes = Base64::decode_vec(text_of(key, name)?);
        bytes.map_err(|_| refused(format!("`{name}` is not base64")))
    };
    let wrapping_key = WrappingKey::from_parts(&number("n")?, &number("e")?);
    let wrapping_key = wrapping_key.map_err(|error| file::not_as_delivered(error, SHOW))?;
    Ok(Kek {
        wrapping_key,
        kid,
        key: identified,
        not_before: time(attributes, "notBefore")?,
        expires: time(attributes, "expires")?,
    })
}

/// What an answer is that is not about one public key.
fn other_answer(json: &Json) -> Option<&'static str> {
    if json.as_array().is_some() {
        return Some("a list of keys or versions, not one key");
    }
    let key = json.get("key").unwrap_or(&Json::Null);
    let holds = |name| !matches!(key.get(name), None | Some(Json::Null));
    if PRIVATE.split(' ').any(holds) {
        return Some("a key with its private half: find out whose it is, and treat it as exposed");
    }
    file::among(&OTHERS, json)
}

fn text_of<'a>(json: &'a Json, name: &str) -> Result<&'a str> {
    let text = json.get(name).and_then(Json::as_str);
    text.ok_or_else(|| refused(format!("has no text `{name}` in `key`")))
}

/// An RSA key of the HSM that is enabled and has the one operation `import`.
fn only_imports(key: &Json, attributes: &Json) -> Result<()> {
    match text_of(key, "kty")? {
        "RSA-HSM" => {}
        "RSA" => {
            return Err(no_kek(
                "the KEK is protected by software: its `kty` is RSA, not RSA-HSM".into(),
            ));
        }
        other => {
            return Err(no_kek(format!(
                "the KEK has the `kty` {other:?}, not RSA-HSM"
            )));
        }
    }
    let ops = key.get("keyOps").and_then(Json::as_array);
    let ops = ops.ok_or_else(|| refused("has no list `keyOps` in `key`"))?;
    if !matches!(ops, [Json::String(only)] if only == "import") {
        return Err(no_kek(
            "the KEK must have the operation `import` and no other (`keyOps`)".into(),
        ));
    }
    match attributes.get("enabled") {
        Some(Json::Bool(true)) => Ok(()),
        Some(Json::Bool(false)) => Err(no_kek("the KEK is disabled".into())),
        _ => Err(refused(
            "does not say in `attributes` whether the key is `enabled`",
        )),
    }
}

fn time(attributes: &Json, name: &str) -> Result<Option<Timestamp>> {
    match attributes.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(told @ Json::String(_)) if aws::time(told).is_some() => Ok(aws::time(told)),
        Some(_) => Err(refused(format!("`{name}` in `attributes` is not a time"))),
    }
}

impl Kek {
    /// Whether it is one for this key, at this time.
    ///
    /// # Errors
    /// Exit 4: it is in another vault, is this very key, is not valid yet, or expired.
    pub(crate) fn judge(&self, into: &VaultKey, now: Timestamp) -> Result<()> {
        const CLOCK: &str = "if that is not so, this machine's clock is wrong: set it (date -u)";
        if self.key.server != into.server {
            return Err(no_kek(format!(
                "the KEK is in {}, but the plan's key in {}: a vault unwraps with its own KEK only",
                self.key.server, into.server
            )));
        }
        if self.key == *into {
            return Err(no_kek("the KEK is the plan's key itself".into()));
        }
        match (self.not_before, self.expires) {
            (Some(from), _) if now < from => {
                let what = format!("the KEK is valid from {from} on; it is {now} here");
                Err(no_kek(what).hint(CLOCK))
            }
            (_, Some(until)) if until <= now => {
                let what = format!("the KEK expired at {until}; it is {now} here");
                Err(no_kek(what).hint(CLOCK))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
