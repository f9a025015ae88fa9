//! Keys in files: public keys; private keys, of which nothing is shown; and bytes without a structure: an import token
//! by its name, wrapped material by its length.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use serde_json::json;
use spki::der::Decode as _;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{Facts, object};
use crate::crypto::spec::{Curve, Spec};
use crate::crypto::wrapping::key::{WrappingKey, is_pem};
use crate::crypto::wrapping::pkcs8;
use crate::ground::error::{Error, Result};
use crate::ground::words;
use crate::plan::kms::aws;

/// Wrapping keys of KMS: the name, and the length of their modulus in bytes.
const WRAPPING_KEYS: [(&str, usize); 3] = [("RSA_2048", 256), ("RSA_3072", 384), ("RSA_4096", 512)];

/// What AES-KWP (RFC 5649) makes of data keys, in bytes. Of the PKCS#8 of private keys: from the shortest, without the
/// public key in it, to the longest.
const DATA_KEYS: [(&str, usize, usize); 5] = [
    ("a secret key or ED25519", 24, 72),
    ("an EC private key", 80, 264),
    ("RSA_2048", 1216, 1240),
    ("RSA_3072", 1792, 1816),
    ("RSA_4096", 2376, 2392),
];

/// How many bytes of a file are enough to recognise a private key.
const HEAD: usize = 64;

/// Text, DER, zip and compressed files have a structure; what KMS and an HSM encrypted has none.
pub(super) fn opaque(name: &str, bytes: &[u8]) -> Option<Facts> {
    let base64 = aws::text::from_base64(bytes);
    let bytes = base64.as_deref().unwrap_or(bytes);
    let told = [&b"\x1f\x8b\x08"[..], b"PK\x03\x04"];
    let structured = aws::text::decode(bytes).is_some()
        || aws::is_der(bytes)
        || told.iter().any(|magic| bytes.starts_with(magic));
    if structured {
        return None;
    }
    if aws::is_token_name(name) {
        return Some(object(json!({
            "what": "import token, by its name", "bytes": bytes.len(),
            "note": "only the KMS that gave it can open it",
        })));
    }
    // Nobody writes wrapped material in base64.
    base64.is_none().then(|| wrapped(bytes))?
}

/// Wrapped material: its length says under what it was wrapped. If a length has two meanings, both are given.
fn wrapped(bytes: &[u8]) -> Option<Facts> {
    let ways: Vec<String> = WRAPPING_KEYS
        .iter()
        .filter_map(|(name, modulus)| way(name, bytes.len().checked_sub(*modulus)?))
        .collect();
    if ways.is_empty() {
        return None;
    }
    Some(object(json!({
        "what": "wrapped key material, by its length", "bytes": bytes.len(),
        "wrapping_key": ways.join("; or "),
        "note": "only the KMS that gave the wrapping key can open it",
    })))
}

/// `rest`: how many bytes follow those of the modulus.
fn way(wrapping_key: &str, rest: usize) -> Option<String> {
    if rest == 0 {
        return Some(format!("{wrapping_key}, RSAES_OAEP"));
    }
    let is_it = |(_, least, most): &&(&str, usize, usize)| {
        rest.is_multiple_of(8) && (*least..=*most).contains(&rest)
    };
    let (what, ..) = DATA_KEYS.iter().find(is_it)?;
    Some(format!("{wrapping_key}, RSA_AES_KEY_WRAP of {what}"))
}

/// A SubjectPublicKeyInfo, DER or PEM: what a record holds of each key pair, or a wrapping key.
pub(super) fn public(bytes: &[u8]) -> Option<Facts> {
    let der = match is_pem(bytes) {
        true => from_pem(bytes)?,
        false => aws::text::from_base64(bytes).unwrap_or_else(|| bytes.to_vec()),
    };
    let spec = spec_of(&der)?;
    Some(object(json!({
        "what": "public key (SubjectPublicKeyInfo)", "spec": spec,
        "fingerprint": words::hex(&words::sha256(&der)),
        "note": match spec.starts_with("RSA_") {
            true => "of a data key, this is its fingerprint; of a wrapping key, its wrapping_key_sha256",
            false => "of a data key, this is its fingerprint",
        },
    })))
}

fn from_pem(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let body = text
        .strip_prefix("-----BEGIN PUBLIC KEY-----")?
        .strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_whitespace().collect();
    Base64::decode_vec(&body).ok()
}

fn spec_of(der: &[u8]) -> Option<&'static str> {
    const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    if let Ok(rsa) = WrappingKey::from_spki_der(der) {
        return Some(rsa.spec());
    }
    let spki = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    if spki.algorithm.oid == ED25519 {
        return Some(Spec::Ed25519.name());
    }
    let named = spki
        .algorithm
        .parameters?
        .decode_as::<ObjectIdentifier>()
        .ok()?;
    let curves = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];
    let is_it = |curve: &Curve| curve.params()[2..] == *named.as_bytes();
    let curve = curves.into_iter().find(is_it)?;
    (spki.algorithm.oid == EC_PUBLIC_KEY).then(|| Spec::Ec(curve).name())
}

/// A private key, by the first bytes of its file: nothing else of it is read, and no digest is shown.
pub(super) fn private(path: &Path) -> Result<Option<Facts>> {
    let cannot = |e: std::io::Error| Error::usage(format!("{}: {e}", path.display()));
    let mut head = zeroize::Zeroizing::new([0; HEAD]);
    let mut file = File::open(path).map_err(cannot)?;
    let len = file.read(&mut head[..]).map_err(cannot)?;
    let what = match kind(&head[..len]) {
        Some(what) => what,
        None => return Ok(None),
    };
    Ok(Some(object(json!({
        "what": what,
        "note": "secret: nothing of it is shown. A plan may name unencrypted PKCS#8: source = \"file:PATH\", with a reason",
    }))))
}

/// What is between the dashes of the first line (RFC 7468). It is read in place: a `String` of it would be a copy of a
/// key that nobody wipes.
fn pem_label(head: &[u8]) -> Option<&[u8]> {
    let begun = head.trim_ascii_start().strip_prefix(b"-----BEGIN ")?;
    let end = begun.windows(5).position(|dashes| dashes == b"-----")?;
    begun.get(..end)
}

fn kind(head: &[u8]) -> Option<&'static str> {
    match pem_label(head) {
        Some(b"PRIVATE KEY") => return Some("a PRIVATE KEY (PKCS#8, PEM)"),
        Some(b"ENCRYPTED PRIVATE KEY") => return Some("an encrypted private key (PKCS#8, PEM)"),
        Some(label) if label.ends_with(b" PRIVATE KEY") => {
            return Some("a PRIVATE KEY in another form than PKCS#8 (PEM)");
        }
        _ => {}
    }
    match pkcs8::content(head)? {
        [0x02, 0x01, 0x00 | 0x01, 0x30, ..] => Some("a PRIVATE KEY (PKCS#8, DER)"),
        [0x02, 0x01, 0x00, 0x02, ..] | [0x02, 0x01, 0x01, 0x04, ..] => {
            Some("a PRIVATE KEY in another form than PKCS#8 (DER)")
        }
        _ => None,
    }
}
