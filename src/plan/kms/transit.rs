//! OpenBao and HashiCorp Vault: the transit engine, which both have and which answers alike.
//!
//! Each mount of the engine has one wrapping key, always RSA-4096, for as long as the mount exists: there is no import
//! token and no deadline. The answer names neither server, mount nor key, so the plan does, with the URL of the key. The
//! engine compares nothing: it takes any material under a name that is free.
//!
//! Source: OpenBao 2.7 API, "Transit secrets engine": "Import key", "Get wrapping key".

use std::path::Path;

use super::file::{self, ParameterFile};
use super::{FILL_IN, Given, Kms, KmsKey, Lifetime, Recognised, Wanted};
use crate::crypto::spec::{Curve, Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::{WrappingKey, is_pem};
use crate::crypto::wrapping::public;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::{self, Json};

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Program {
    /// OpenBao, `bao`.
    OpenBao,
    /// HashiCorp Vault, `vault`.
    Vault,
}

impl Program {
    /// The plan's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::OpenBao => "openbao",
            Self::Vault => "vault",
        }
    }

    /// Its name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenBao => "OpenBao",
            Self::Vault => "Vault",
        }
    }

    /// Its command.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::OpenBao => "bao",
            Self::Vault => "vault",
        }
    }
}

/// A key of a transit engine, by its URL in one spelling: `https://HOST:PORT/v1/MOUNT/keys/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransitKey {
    program: Program,
    url: String,
    server: String,
    mount: String,
    name: String,
}

/// The longest URL, in characters: it is shown whole.
const LONGEST_URL: usize = 200;

impl TransitKey {
    /// Reads the URL. Only a server on this very computer is reached without TLS.
    ///
    /// # Errors
    /// Exit 2 for any other spelling, by the part that is wrong.
    pub(crate) fn parse(program: Program, url: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::usage(format!("key {url:?} {why}"))
                .hint("write the URL of the key: https://HOST:PORT/v1/MOUNT/keys/NAME")
        };
        if url.len() > LONGEST_URL {
            return Err(refuse("is longer than 200 characters"));
        }
        let parts = url.split_once("://");
        let (scheme, rest) = parts.ok_or_else(|| refuse("is not a URL"))?;
        let parts = rest.split_once("/v1/");
        let (place, path) = parts.ok_or_else(|| refuse("has no /v1/ after the host"))?;
        let host = host_of(place, scheme).ok_or_else(|| {
            refuse("has a host that is not small letters, digits, full stops and hyphens, or a port that is not needed")
        })?;
        let is_here = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
        if scheme != "https" && !(scheme == "http" && is_here) {
            return Err(refuse("is not reached by https://"));
        }
        let segments: Vec<&str> = path.split('/').collect();
        let (mount, name) = match segments.as_slice() {
            [mount @ .., "keys", name] if !mount.is_empty() => (mount, *name),
            _ => return Err(refuse("does not end in MOUNT/keys/NAME")),
        };
        if !mount
            .iter()
            .chain([&name])
            .all(|segment| is_segment(segment))
        {
            return Err(refuse(
                "has a part that is not letters, digits, _, - and full stops between them",
            ));
        }
        Ok(Self {
            program,
            url: url.to_owned(),
            server: format!("{scheme}://{place}"),
            mount: mount.join("/"),
            name: name.to_owned(),
        })
    }

    /// The key of this label, on a server that people have to fill in.
    fn to_fill_in(label: &str) -> Self {
        let (server, mount) = (format!("https://{FILL_IN}"), FILL_IN);
        let name = label.trim_end_matches('-');
        Self {
            program: Program::OpenBao,
            url: format!("{server}/v1/{mount}/keys/{name}"),
            server,
            mount: mount.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The program of its server.
    pub(crate) fn program(&self) -> Program {
        self.program
    }

    /// The path at which the engine is mounted.
    pub(crate) fn mount(&self) -> &str {
        &self.mount
    }

    /// The key's name within the engine.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// How such a key is named.
pub(crate) const EXAMPLE: &str = "by its URL: https://HOST:PORT/v1/MOUNT/keys/NAME";

impl Kms for TransitKey {
    fn as_str(&self) -> &str {
        &self.url
    }

    fn kms(&self) -> &'static str {
        self.program.name()
    }

    fn word(&self) -> Option<&'static str> {
        Some(self.program.word())
    }

    fn place(&self) -> &str {
        &self.server
    }

    fn owner(&self) -> &str {
        let end = self.url.len() - "/keys/".len() - self.name.len();
        &self.url[..end]
    }

    fn command(&self) -> Option<String> {
        let (command, mount) = (self.program.command(), &self.mount);
        Some(format!("{command} read -format=json {mount}/wrapping_key"))
    }

    fn source(&self) -> Option<String> {
        Some(self.url.clone())
    }

    fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal> {
        takes(spec, wrapping)
    }

    fn wrapping_key_bits(&self) -> &'static [usize] {
        &[BITS]
    }

    fn read(&self, wanted: &Wanted) -> Result<Given> {
        let (wrapping_key, file) = read(wanted.path)?;
        Ok(Given {
            wrapping_key,
            wrapping_key_id: None,
            token: None,
            valid_to: None,
            files: vec![file],
        })
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Endless(
            "NONE: whoever may import there can import the wrapped file for as long as that engine is mounted; guard the record as long",
        )
    }

    fn no_guard(&self) -> Option<String> {
        Some(format!(
            "by byok alone: {} takes any material under a free name",
            self.kms()
        ))
    }

    fn proves_by_decrypting(&self, spec: Spec) -> bool {
        spec.is_aes()
    }

    fn beside(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "WrappedKeyMaterial.b64",
                "the same in base64, for OpenBao and Vault",
            ),
            (
                "import.sh",
                "checks both, then runs bao write or vault write",
            ),
        ]
    }

    fn practice(&self, key: &WrappingKey, _: WrappingAlgorithm) -> Option<String> {
        let pem = public::to_pem(key.spki_der()).replace('\n', "\\n");
        Some(format!(
            "{{\n    \"data\": {{\n        \"public_key\": \"{pem}\"\n    }}\n}}\n"
        ))
    }
}

/// The length of every engine's wrapping key.
const BITS: usize = 4096;

/// The host, if host and port are in their only spelling.
fn host_of<'a>(place: &'a str, scheme: &str) -> Option<&'a str> {
    let end = place.rfind(']').unwrap_or(0);
    let (host, port) = match place[end..].find(':') {
        Some(at) => (&place[..end + at], Some(&place[end + at + 1..])),
        None => (place, None),
    };
    let usual = if scheme == "https" { "443" } else { "80" };
    let is_port = |port: &str| {
        let number = port.parse::<u16>();
        port != usual && number.is_ok_and(|number| number > 0 && number.to_string() == port)
    };
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(host) => host
            .bytes()
            .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f' | b':')),
        None => host.split('.').all(is_label),
    };
    (is_host && port.is_none_or(is_port)).then_some(host)
}

fn is_label(label: &str) -> bool {
    let fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !label.is_empty() && label.bytes().all(fits) && !label.starts_with('-') && !label.ends_with('-')
}

/// A part of a path as the engine takes it for a key's name: a word, which may hold - and full stops inside.
fn is_segment(segment: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    segment.chars().all(|c| is_word(c) || c == '-' || c == '.')
        && segment.starts_with(is_word)
        && segment.ends_with(is_word)
}

/// The engine's name for keys of a spec, in the `type` of an import.
///
/// # Errors
/// Why it takes none.
pub(crate) fn key_type(spec: Spec) -> std::result::Result<&'static str, Refusal> {
    let refuse = |why: &str, hint: &str| {
        Err(Refusal {
            why: format!("OpenBao and Vault {why}"),
            hint: hint.to_owned(),
        })
    };
    Ok(match spec {
        Spec::Symmetric { bytes } | Spec::Aes { bytes } => match bytes {
            16 => "aes128-gcm96",
            24 => {
                return refuse("have no AES keys of 192 bits", "take AES_256, or AES_128");
            }
            _ => "aes256-gcm96",
        },
        Spec::Hmac { bytes, .. } if bytes < 32 => {
            return refuse(
                "take HMAC keys from 32 bytes on",
                "give the data key bits = 256 or more, or take HMAC_256",
            );
        }
        Spec::Hmac { .. } => "hmac",
        Spec::Ec(Curve::P256) => "ecdsa-p256",
        Spec::Ec(Curve::P384) => "ecdsa-p384",
        Spec::Ec(Curve::P521) => "ecdsa-p521",
        Spec::Ec(Curve::Secp256k1) => {
            return refuse(
                "have no keys on secp256k1",
                "the most similar one that they take is ECC_NIST_P256",
            );
        }
        Spec::Ed25519 => "ed25519",
        Spec::Rsa { bits: 2048 } => "rsa-2048",
        Spec::Rsa { bits: 3072 } => "rsa-3072",
        Spec::Rsa { .. } => "rsa-4096",
    })
}

/// Whether the engine takes it wrapped with this algorithm.
///
/// # Errors
/// Why not.
pub(crate) fn takes(spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal> {
    key_type(spec)?;
    if !wrapping.is_rsa_aes() {
        return Err(Refusal {
            why: format!("wrapping {wrapping}: OpenBao and Vault unwrap RSA_AES_KEY_WRAP_* only"),
            hint: "write RSA_AES_KEY_WRAP_SHA_256, or RSA_AES_KEY_WRAP_SHA_1 if the HSM wraps with that alone"
                .into(),
        });
    }
    Ok(())
}

/// The engine's name for the hash of an algorithm, in the `hash_function` of an import.
pub(crate) fn hash_function(wrapping: WrappingAlgorithm) -> &'static str {
    match wrapping.oaep() {
        WrappingAlgorithm::RsaesOaepSha1 => "SHA1",
        _ => "SHA256",
    }
}

const FETCH: &str = "online: bao read -format=json MOUNT/wrapping_key (or vault)";

/// Reads the wrapping key from a file: the answer in JSON, or the key alone in PEM.
///
/// # Errors
/// Exit 2: no such file, not a regular file, or not such an answer, with what it is instead. Exit 4: the key is not one
/// that a transit engine has.
pub(crate) fn read(path: &Path) -> Result<(WrappingKey, ParameterFile)> {
    let (bytes, file) = file::read_one(path, FETCH)?;
    Ok((parse(&bytes).map_err(|e| e.doing(&file.name))?, file))
}

/// The wrapping key in the bytes of one file.
///
/// # Errors
/// As [`read`], except for those of opening.
pub(crate) fn parse(bytes: &[u8]) -> Result<WrappingKey> {
    let key = file::answer_or_pem(bytes, FETCH, answered)?;
    file::of_length(key, BITS, "a transit engine's")
}

/// The answer of an engine; its key alone, in PEM, is any public key.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Recognised> {
    if is_pem(bytes) {
        return Err(Error::usage("is PEM: the public key of anybody"));
    }
    let wrapping_key = parse(bytes)?;
    Ok(Recognised {
        what: "import parameters of OpenBao or Vault",
        name: Program::OpenBao.command(),
        kms_key: Box::new(|label| KmsKey::Transit(TransitKey::to_fill_in(label))),
        wrapping_key,
        wrapping: None,
        valid_to: None,
        more: Vec::new(),
    })
}

/// `data.public_key` of the answer, which must be there only once.
fn answered(text: &str) -> Result<String> {
    let refuse = |what: String| Err(Error::usage(what).hint(FETCH));
    let json = match strict_json::parse(text.as_bytes()) {
        Ok(json) => json,
        Err(why) => return refuse(format!("is not JSON: {why}")),
    };
    if json.get("ImportToken").is_some() {
        return refuse("is import parameters of AWS KMS".into());
    }
    if let Some(errors) = json.get("errors").and_then(Json::as_array) {
        let told: Vec<&str> = errors.iter().filter_map(Json::as_str).collect();
        return refuse(format!("is an error message ({})", told.join("; ")));
    }
    let data = json.get("data").unwrap_or(&Json::Null);
    if data.get("keys").is_some() {
        return refuse(
            "is about a key of the engine: that is a data key, not the wrapping key".into(),
        );
    }
    let Some(key) = data.get("public_key").and_then(Json::as_str) else {
        return refuse("has no `public_key` in `data`".into());
    };
    match json.count("public_key") {
        1 => Ok(key.trim().to_owned()),
        _ => refuse(
            "has a second `public_key` inside another member: it could mean two things".into(),
        ),
    }
}

#[cfg(test)]
mod tests;
