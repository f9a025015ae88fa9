//! OCI Vault.
//!
//! Each vault has one wrapping key, always RSA-4096, for as long as the vault exists: there is no import token and no
//! deadline. The plan names the vault by its management endpoint, and in it either a compartment and the display name of a
//! new key, or the OCID of a key that gets a next version. OCI compares nothing.
//!
//! Source: OCI documentation, "Importing key material as an external key"; Key Management API, WrappingKey,
//! WrappedImportKey, ImportKey, ImportKeyVersion, KeyVersion, as `oci kms management` prints them. How
//! RSA_OAEP_AES_SHA256 is computed in detail is not established: byok takes it by its name.

use super::file::{self, ParameterFile};
use super::{FILL_IN, Given, Kms, KmsKey, Lifetime, Recognised, Wanted};
use crate::crypto::spec::{Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::{WrappingKey, is_pem};
use crate::crypto::wrapping::public;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::{self, Json};

/// The plan's word for it.
pub(crate) const WORD: &str = "oci";

/// How such a key is named.
pub(crate) const EXAMPLE: &str = "by its vault's management endpoint and a place in it: https://VAULT-management.kms.REGION.oraclecloud.com/COMPARTMENT_OCID/NAME for a new key, or …/KEY_OCID for a next version";

/// The longest display name that byok writes.
const LONGEST_NAME: usize = 63;

/// The length of every vault's wrapping key.
const BITS: usize = 4096;

/// A key of a vault.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OciKey {
    url: String,
    endpoint: String,
    place: Place,
}

/// Where in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Place {
    /// A new key of this display name in a compartment.
    New {
        /// The compartment's OCID.
        compartment: String,
        /// The display name.
        name: String,
    },
    /// A next version of the key with this OCID.
    Next(String),
}

impl OciKey {
    /// Reads endpoint and place.
    ///
    /// # Errors
    /// Exit 2 for any other spelling, by the part that is wrong.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        const LONGEST: usize = 300; // it is shown whole
        let refuse = |why: &str| {
            Error::usage(format!("key {url:?} {why}")).hint(format!("name it {EXAMPLE}"))
        };
        if url.len() > LONGEST {
            return Err(refuse("is longer than 300 characters"));
        }
        let rest = url.strip_prefix("https://");
        let rest = rest.ok_or_else(|| refuse("does not begin with https://"))?;
        let (host, place) = rest
            .split_once('/')
            .ok_or_else(|| refuse("has nothing after the host"))?;
        if !is_endpoint(host) {
            return Err(refuse(
                "has a host that is not VAULT-management.kms.REGION.oraclecloud.com, in small letters",
            ));
        }
        let spot = match place.split_once('/') {
            Some((compartment, name))
                if is_ocid(compartment, &["compartment", "tenancy"]) && is_name(name) =>
            {
                Place::New {
                    compartment: compartment.to_owned(),
                    name: name.to_owned(),
                }
            }
            None if is_ocid(place, &["key"]) => Place::Next(place.to_owned()),
            _ => {
                return Err(refuse(
                    "does not end in the OCID of a compartment and a name of 1 to 63 letters, digits, full stops, _ and -, nor in the OCID of a key",
                ));
            }
        };
        Ok(Self {
            endpoint: format!("https://{host}"),
            place: spot,
            url: url.to_owned(),
        })
    }

    /// The key of this label, in a vault and a compartment that people have to fill in.
    fn to_fill_in(label: &str) -> Self {
        let endpoint = format!("https://{FILL_IN}-management.kms.{FILL_IN}.oraclecloud.com");
        let compartment = format!("ocid1.compartment.oc1..{FILL_IN}");
        let name: String = label.chars().take(LONGEST_NAME).collect();
        Self {
            url: format!("{endpoint}/{compartment}/{name}"),
            endpoint,
            place: Place::New { compartment, name },
        }
    }

    /// Compartment and display name of a new key.
    pub(crate) fn compartment(&self) -> Option<(&str, &str)> {
        match &self.place {
            Place::New { compartment, name } => Some((compartment, name)),
            Place::Next(_) => None,
        }
    }

    /// The OCID of a key that gets a next version.
    pub(crate) fn ocid(&self) -> Option<&str> {
        match &self.place {
            Place::New { .. } => None,
            Place::Next(ocid) => Some(ocid),
        }
    }

    /// What a data key is there: algorithm, and length in bytes.
    ///
    /// # Errors
    /// Why the vault takes none.
    pub(crate) fn shape(&self, spec: Spec) -> std::result::Result<(&'static str, usize), Refusal> {
        let refuse = |why: &str, hint: &str| {
            Err(Refusal {
                why: format!("OCI Vault {why}"),
                hint: hint.to_owned(),
            })
        };
        match spec {
            Spec::Symmetric { bytes } | Spec::Aes { bytes } => Ok(("AES", bytes)),
            Spec::Rsa { .. } if matches!(self.place, Place::Next(_)) => refuse(
                "takes AES keys as next versions; whether it takes RSA keys so is not established",
                "name a compartment and a new key in it",
            ),
            Spec::Rsa { bits } => Ok(("RSA", bits / 8)),
            Spec::Hmac { .. } => refuse(
                "has no HMAC keys",
                "HMAC keys go to AWS KMS, OpenBao, Vault and Google Cloud KMS",
            ),
            _ => refuse(
                "imports AES and RSA keys only",
                "such pairs go to AWS KMS, OpenBao, Vault, Azure and Google Cloud KMS",
            ),
        }
    }
}

/// `VAULT-management.kms.REGION.oraclecloud.com`.
fn is_endpoint(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let [vault, "kms", region, "oraclecloud", "com"] = labels[..] else {
        return false;
    };
    let is_label = |text: &str| {
        let fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
        !text.is_empty() && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-')
    };
    vault.strip_suffix("-management").is_some_and(is_label) && is_label(region)
}

/// `ocid1.TYPE.REALM.[REGION][.FUTURE].UNIQUE`.
fn is_ocid(text: &str, types: &[&str]) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    matches!(parts[..], ["ocid1", kind, realm, _, .., unique]
        if types.contains(&kind) && !realm.is_empty() && !unique.is_empty())
        && (5..=6).contains(&parts.len())
        && parts.iter().all(|part| part.bytes().all(fits))
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=LONGEST_NAME).contains(&text.len())
        && text.chars().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// OCI's name for an algorithm.
pub(crate) fn algorithm(wrapping: WrappingAlgorithm) -> Option<&'static str> {
    match wrapping {
        WrappingAlgorithm::RsaesOaepSha256 => Some("RSA_OAEP_SHA256"),
        WrappingAlgorithm::RsaAesKeyWrapSha256 => Some("RSA_OAEP_AES_SHA256"),
        WrappingAlgorithm::RsaesOaepSha1 | WrappingAlgorithm::RsaAesKeyWrapSha1 => None,
    }
}

impl Kms for OciKey {
    fn as_str(&self) -> &str {
        &self.url
    }

    fn kms(&self) -> &'static str {
        "OCI Vault"
    }

    fn word(&self) -> Option<&'static str> {
        Some(WORD)
    }

    fn place(&self) -> &str {
        &self.endpoint
    }

    fn command(&self) -> Option<String> {
        Some(format!(
            "oci kms management wrapping-key get --endpoint {}",
            self.endpoint
        ))
    }

    fn source(&self) -> Option<String> {
        Some(self.endpoint.clone())
    }

    fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal> {
        let refuse = |why: &str, hint: &str| {
            Err(Refusal {
                why: format!("wrapping {wrapping}: OCI Vault {why}"),
                hint: hint.to_owned(),
            })
        };
        self.shape(spec)?;
        match (algorithm(wrapping), spec) {
            (None, _) => refuse(
                "unwraps with SHA-256 only",
                "write RSAES_OAEP_SHA_256 for AES keys, RSA_AES_KEY_WRAP_SHA_256 for RSA keys; if the HSM wraps with SHA-1 alone, wrap_in = \"host\"",
            ),
            (Some("RSA_OAEP_SHA256"), Spec::Rsa { .. }) => refuse(
                "takes RSA keys with RSA_OAEP_AES_SHA256 only",
                "write RSA_AES_KEY_WRAP_SHA_256",
            ),
            _ => Ok(()),
        }
    }

    fn wrapping_key_bits(&self) -> &'static [usize] {
        &[BITS]
    }

    fn read(&self, wanted: &Wanted) -> Result<Given> {
        let (bytes, file): (Vec<u8>, ParameterFile) = file::read_one(wanted.path, GET)?;
        Ok(Given {
            wrapping_key: parse(&bytes).map_err(|e| e.doing(&file.name))?,
            wrapping_key_id: None,
            token: None,
            valid_to: None,
            files: vec![file],
        })
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Endless(
            "NONE: whoever may import there can import the wrapped file for as long as the vault exists, for its wrapping key never changes; guard the record as long",
        )
    }

    fn no_guard(&self) -> Option<String> {
        Some("by byok alone: OCI Vault takes any material, and shows nothing of an AES key that byok could compare".into())
    }

    fn doubt(&self, wrapping: WrappingAlgorithm) -> Option<&'static str> {
        wrapping.is_rsa_aes().then_some(
            "NOT ESTABLISHED: how OCI computes RSA_OAEP_AES_SHA256; byok takes SHA-256, a 256-bit AES key and AES-KWP, by its name. Try it with a key that may fail",
        )
    }

    fn beside(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("wrapped-import-key.json", "the same as oci takes it"),
            (
                "import.sh",
                "checks both, then runs oci kms management key import",
            ),
        ]
    }

    fn practice(&self, key: &WrappingKey, _: WrappingAlgorithm) -> Option<String> {
        let pem = public::to_pem(key.spki_der()).replace('\n', "\\n");
        Some(format!(
            "{{\n  \"data\": {{\n    \"lifecycle-state\": \"ENABLED\",\n    \"public-key\": \"{pem}\"\n  }}\n}}\n"
        ))
    }
}

const GET: &str = "online: oci kms management wrapping-key get --endpoint ENDPOINT";

fn refused(what: impl std::fmt::Display) -> Error {
    Error::usage(what.to_string()).hint(GET)
}

/// The wrapping key in the bytes of one file: the answer in JSON, or the key alone in PEM.
///
/// # Errors
/// Exit 2: not such an answer, with what it is instead. Exit 4: the key is not one that a vault has.
pub(crate) fn parse(bytes: &[u8]) -> Result<WrappingKey> {
    let key = file::answer_or_pem(bytes, GET, answered)?;
    file::of_length(key, BITS, "a vault's")
}

/// `data.public-key` of the answer, which must be there only once.
fn answered(text: &str) -> Result<String> {
    let json = strict_json::parse(text.as_bytes());
    let json = json.map_err(|why| refused(format!("is not JSON: {why}")))?;
    if json.get("ImportToken").is_some() {
        return Err(refused("is import parameters of AWS KMS"));
    }
    let data = json.get("data").unwrap_or(&Json::Null);
    if data.get("public_key").is_some() {
        return Err(refused("is the wrapping key of OpenBao or Vault"));
    }
    if data.get("key-id").is_some() || data.get("key-shape").is_some() {
        return Err(refused(
            "is about a key of the vault or a version of it: that is a data key, not the wrapping key",
        ));
    }
    let Some(key) = data.get("public-key").and_then(Json::as_str) else {
        return Err(refused("has no `public-key` in `data`"));
    };
    if json.count("public-key") > 1 || json.count("lifecycle-state") > 1 {
        return Err(refused(
            "has a second `public-key` or `lifecycle-state`: it could mean two things",
        ));
    }
    match data.get("lifecycle-state") {
        None => Ok(key.trim().to_owned()),
        Some(state) if state.as_str() == Some("ENABLED") => Ok(key.trim().to_owned()),
        Some(state) => {
            let state = state.as_str().unwrap_or("in a state that is not a word");
            Err(
                Error::mismatch(format!("the wrapping key is {state}, not ENABLED"))
                    .check("WRAPPING-KEY-STATE")
                    .hint("ask whoever looks after the vault; its wrapping key is made with it"),
            )
        }
    }
}

/// The answer of a vault; its key alone, in PEM, is any public key.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Recognised> {
    if is_pem(bytes) {
        return Err(Error::usage("is PEM: the public key of anybody"));
    }
    let wrapping_key = parse(bytes)?;
    Ok(Recognised {
        what: "import parameters of OCI Vault",
        name: WORD,
        kms_key: Box::new(|label| KmsKey::Oci(OciKey::to_fill_in(label))),
        wrapping_key,
        wrapping: None,
        valid_to: None,
        more: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
