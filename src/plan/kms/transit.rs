//! OpenBao and HashiCorp Vault: the transit engine, which both have and which answers alike.
//!
//! Each mount of the engine has one wrapping key, always RSA-4096, for as long as the mount exists: there is no import
//! token and no deadline. The answer names neither server, mount nor key, so the plan does, with the URL of the key. The
//! engine compares nothing: it takes any material under a name that is free.
//!
//! Source: OpenBao 2.7 API, "Transit secrets engine": "Import key", "Get wrapping key".

use super::answer::{Answer, Answered};
use super::name::{Shape, is_label, is_word};
use super::{Called, Elsewhere, FILL_IN, Facts, KmsKey, Lifetime};
use crate::crypto::spec::{Curve, Spec};
use crate::crypto::wrapping::public;
use crate::ground::strict_json::Json;

/// OpenBao.
pub(super) const OPENBAO: Elsewhere = Elsewhere {
    facts: Facts {
        kms: "OpenBao",
        word: Some("openbao"),
        script: "transit.sh",
        place: "{server}",
        owner: "{server}/v1/{mount}",
        source: Some("{owner}/keys/{name}"),
        wrapping_key_bits: &[4096],
        binds_algorithm: false,
        lifetime: Lifetime::Endless(
            "NONE: whoever may import there can import the wrapped file for as long as that engine is mounted; guard the record as long",
        ),
        no_guard: Some("by byok alone: {kms} takes any material under a free name"),
        doubt: None,
        proves_by_decrypting: Spec::is_aes,
        beside: &[
            (
                "WrappedKeyMaterial.b64",
                "the same in base64, for OpenBao and Vault",
            ),
            (
                "import.sh",
                "checks both, then runs bao write or vault write",
            ),
        ],
    },
    example: "by its URL: https://HOST:PORT/v1/MOUNT/keys/NAME",
    kinds: &["https://host/v1/mount/keys/name"],
    shape: Shape {
        text: "{server}/v1/{mount}/keys/{name}",
        parts: &[
            ("server", is_server, SERVER),
            ("mount", |path| path.split('/').all(is_segment), SEGMENT),
            ("name", is_segment, SEGMENT),
        ],
    },
    key: KmsKey::OpenBao,
    called: |_, spec| key_type(spec),
    unwraps: |_, wrapping| match wrapping.is_rsa_aes() {
        true => Ok(()),
        false => Err((
            "unwraps RSA_AES_KEY_WRAP_* only",
            "write RSA_AES_KEY_WRAP_SHA_256, or RSA_AES_KEY_WRAP_SHA_1 if the HSM wraps with that alone",
        )),
    },
    answer: Answer {
        what: "import parameters of OpenBao or Vault",
        import_name: "bao",
        pem_lacks: None,
        mark: None,
        members: "public_key",
        by_content: |json| {
            let errors = json.get("errors")?.as_array()?;
            let told: Vec<&str> = errors.iter().filter_map(Json::as_str).collect();
            Some(format!("an error message ({})", told.join("; ")))
        },
        others: &[
            ("ImportToken", "import parameters of AWS KMS"),
            (
                "data keys",
                "about a key of the engine: that is a data key, not the wrapping key",
            ),
        ],
        given: |answer, json| {
            let pem = answer.text(json, "data public_key")?;
            answer.key(pem).map(Answered::from)
        },
        id: ("", "", ""),
        useless: ("", ""),
        fetch: "online: bao read -format=json MOUNT/wrapping_key (or vault)",
    },
    unsaid: &["https://FILL-IN", FILL_IN, ""],
    judge: |_, _, _| Ok(()),
    labelled: |label| label.trim_end_matches('-').to_owned(),
    practice: |_, key, _| {
        let pem = public::to_pem(key.spki_der()).replace('\n', "\\n");
        format!("{{\n    \"data\": {{\n        \"public_key\": \"{pem}\"\n    }}\n}}\n")
    },
};

/// Vault.
pub(super) const VAULT: Elsewhere = Elsewhere {
    facts: Facts {
        kms: "Vault",
        word: Some("vault"),
        script: "transit.sh --vault",
        ..OPENBAO.facts
    },
    key: KmsKey::Vault,
    ..OPENBAO
};

const SERVER: &str = "https:// and a host of small letters, digits, full stops and hyphens, with a port unless it is the usual one; http:// is for this very computer alone";
const SEGMENT: &str = "letters, digits, _, - and full stops between them";

/// Scheme, host and port in their only spelling. Only this very computer is reached without TLS.
fn is_server(server: &str) -> bool {
    let (place, usual, is_tls) = match server.split_once("://") {
        Some(("https", place)) => (place, "443", true),
        Some(("http", place)) => (place, "80", false),
        _ => return false,
    };
    let end = place.rfind(']').unwrap_or(0);
    let (host, port) = match place[end..].find(':') {
        Some(at) => (&place[..end + at], Some(&place[end + at + 1..])),
        None => (place, None),
    };
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
        None => host.split('.').all(|label| is_label(label, usize::MAX)),
    };
    let is_here = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    is_host && port.is_none_or(is_port) && (is_tls || is_here)
}

/// A part of a path as the engine takes it for a key's name: a word, which may hold - and full stops inside.
fn is_segment(segment: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric() || c == '_';
    is_word(segment, usize::MAX, "_-.") && segment.starts_with(is_end) && segment.ends_with(is_end)
}

/// The engine's name for keys of a spec, in the `type` of an import.
///
/// # Errors
/// Why it takes none.
pub(crate) fn key_type(spec: Spec) -> Called {
    Ok(match spec {
        Spec::Symmetric { bytes: 16 } | Spec::Aes { bytes: 16 } => "aes128-gcm96",
        Spec::Aes { bytes: 24 } => {
            return Err(("has no AES keys of 192 bits", "take AES_256, or AES_128"));
        }
        Spec::Symmetric { .. } | Spec::Aes { .. } => "aes256-gcm96",
        Spec::Hmac { bytes, .. } if bytes < 32 => {
            return Err((
                "takes HMAC keys from 32 bytes on",
                "give the data key bits = 256 or more, or take HMAC_256",
            ));
        }
        Spec::Hmac { .. } => "hmac",
        Spec::Ec(Curve::P256) => "ecdsa-p256",
        Spec::Ec(Curve::P384) => "ecdsa-p384",
        Spec::Ec(Curve::P521) => "ecdsa-p521",
        Spec::Ec(Curve::Secp256k1) => {
            return Err((
                "has no keys on secp256k1",
                "the most similar one that it takes is ECC_NIST_P256",
            ));
        }
        Spec::Ed25519 => "ed25519",
        Spec::Rsa { bits: 2048 } => "rsa-2048",
        Spec::Rsa { bits: 3072 } => "rsa-3072",
        Spec::Rsa { .. } => "rsa-4096",
    })
}

#[cfg(test)]
mod tests;
