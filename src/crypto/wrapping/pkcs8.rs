//! Private keys as bytes: PKCS#8 (RFC 5208; RFC 5915 for curves, RFC 8410 for Ed25519, RFC 8017 for RSA), which KMS
//! imports.

use der::{Decode as _, Header, Reader as _, SliceReader};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;

use super::{on_curve, public};
use crate::crypto::locked::Locked;
use crate::crypto::random;
use crate::crypto::spec::{Curve, Spec};
use crate::ground::error::{Error, Result};

/// The length of the DER structure with which `bytes` begin. Some modules append zero bytes to what they wrap; KMS
/// would refuse those.
///
/// # Errors
/// Exit 3 if there is no complete SEQUENCE.
pub fn der_len(bytes: &[u8]) -> Result<usize> {
    const SEQUENCE: u8 = 0x30;
    match element(bytes) {
        Some((len, ..)) if bytes.first() == Some(&SEQUENCE) => Ok(len),
        _ => Err(Error::hsm("there is no PKCS#8 structure")),
    }
}

/// The same if only zero bytes follow it: other bytes may have a meaning to somebody.
///
/// # Errors
/// Exit 3 if there is no complete SEQUENCE, or if bytes other than zero follow it.
pub(crate) fn len_before_zeros(bytes: &[u8]) -> Result<usize> {
    let whole = der_len(bytes)?;
    match bytes[whole..].iter().all(|byte| *byte == 0) {
        true => Ok(whole),
        false => Err(Error::hsm("the bytes after the PKCS#8 are not all zero").check("PKCS8")),
    }
}

/// The content of the SEQUENCE with which `head` begins; it may be cut off.
pub(crate) fn content(head: &[u8]) -> Option<&[u8]> {
    match head {
        [0x30, 0x82, _, _, content @ ..]
        | [0x30, 0x81, _, content @ ..]
        | [0x30, 0..=0x7f, content @ ..] => Some(content),
        _ => None,
    }
}

/// A private key on P-256 that protects nothing, as PKCS#8.
///
/// # Errors
/// Exit 5 if memory or randomness fails.
pub(crate) fn throw_away_p256() -> Result<Locked> {
    let failed = |e: String| Error::machine(format!("making a throw-away key: {e}"));
    let mut number = Locked::zeroed(32)?;
    loop {
        random::fill(&mut number, "a throw-away key")?;
        // all numbers, except about one in 2^32, are below the curve's order
        let Ok(key) = p256::SecretKey::from_slice(&number) else {
            continue;
        };
        let der = key.to_pkcs8_der().map_err(|e| failed(e.to_string()))?;
        let mut bytes = Locked::zeroed(der.as_bytes().len())?;
        bytes.copy_from_slice(der.as_bytes());
        return Ok(bytes);
    }
}

/// The outer form of a PKCS#8.
pub(crate) struct Outline<'a> {
    /// Its version number, as bytes.
    version: &'a [u8],
    /// Where `key` begins.
    pub start: usize,
    /// Algorithm and private key.
    pub key: &'a [u8],
    /// The algorithm's parameters, such as the curve.
    pub parameters: &'a [u8],
    /// What follows the private key: attributes, and in version 2 the public key.
    rest: &'a [u8],
}

impl<'a> Outline<'a> {
    /// Reads the structure with which `pkcs8` begins.
    pub(crate) fn of(pkcs8: &'a [u8]) -> Option<Self> {
        let (whole, body, _) = element(pkcs8)?;
        let (version_len, version, after) = element(body)?;
        let (algorithm_len, algorithm, after) = element(after)?;
        let (key_len, _, rest) = element(after)?;
        let (_, _, parameters) = element(algorithm)?;
        Some(Self {
            version,
            start: whole - body.len() + version_len,
            key: &body[version_len..version_len + algorithm_len + key_len],
            parameters,
            rest,
        })
    }

    /// Whether it is OneAsymmetricKey (RFC 5958): by its version, or by a public key, which only that has.
    pub(crate) fn is_version_2(&self) -> bool {
        self.version != [0] || matches!(self.rest, [0x81 | 0xa1, ..])
    }

    /// What precedes `key` in version 1 (RFC 5208), which ends after it.
    pub(crate) fn head_of_version_1(&self) -> Vec<u8> {
        const VERSION: [u8; 3] = [0x02, 1, 0];
        [
            header(0x30, VERSION.len() + self.key.len()),
            VERSION.to_vec(),
        ]
        .concat()
    }
}

/// The private value of an EC private key, with the length that it has there.
pub(crate) fn private_value(pkcs8: &[u8]) -> Option<&[u8]> {
    EcParts::of(pkcs8).ok().map(|parts| parts.scalar)
}

/// The parts of an EC private key: PKCS#8 around RFC 5915.
struct EcParts<'a> {
    /// Version and algorithm of the PKCS#8.
    algorithm: &'a [u8],
    /// Version of the inner structure.
    version: &'a [u8],
    /// The private value, as long as the order of the curve (RFC 5915, section 3).
    scalar: &'a [u8],
    /// What follows it: curve and public key, if they are there.
    rest: &'a [u8],
}

impl<'a> EcParts<'a> {
    fn of(pkcs8: &'a [u8]) -> Result<Self> {
        let parts = || {
            let (_, body, _) = element(pkcs8)?;
            let (version, _, after) = element(body)?;
            let (algorithm, _, after) = element(after)?;
            let (_, key, _) = element(after)?;
            let (_, inner, _) = element(key)?;
            let (inner_version, _, after) = element(inner)?;
            let (_, scalar, rest) = element(after)?;
            Some(Self {
                algorithm: &body[..version + algorithm],
                version: &inner[..inner_version],
                scalar,
                rest,
            })
        };
        parts().ok_or_else(|| Error::hsm("it is not a PKCS#8 private key on a curve"))
    }
}

/// The length of the first element of a DER text, its value, and the rest.
fn element(der: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let start = usize::try_from(reader.position()).ok()?;
    let end = start.checked_add(usize::try_from(header.length()).ok()?)?;
    Some((end, der.get(start..end)?, &der[end..]))
}

/// The same EC private key with its private value in full length, if a module omitted leading zero bytes (kryoptic
/// does); `None` if nothing is missing.
///
/// # Errors
/// Exit 3 if it is not such a structure; exit 5 if memory cannot be locked.
pub(crate) fn in_full_length(curve: Curve, pkcs8: &[u8]) -> Result<Option<Locked>> {
    let parts = EcParts::of(pkcs8)?;
    let Some(missing) = curve
        .bytes()
        .checked_sub(parts.scalar.len())
        .filter(|n| *n > 0)
    else {
        return Ok(None);
    };
    let inner = parts.version.len() + 2 + curve.bytes() + parts.rest.len();
    let key = header(0x30, inner).len() + inner;
    let body = parts.algorithm.len() + header(0x04, key).len() + key;
    let mut full = Locked::zeroed(header(0x30, body).len() + body)?;
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        full[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&header(0x30, body));
    put(parts.algorithm);
    put(&header(0x04, key));
    put(&header(0x30, inner));
    put(parts.version);
    put(&header(0x04, curve.bytes()));
    put(&vec![0; missing]);
    put(parts.scalar);
    put(parts.rest);
    Ok(Some(full))
}

/// Tag and length of a DER element of less than 64 KiB.
fn header(tag: u8, len: usize) -> Vec<u8> {
    let [high, low] = (len as u16).to_be_bytes();
    match len {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    }
}

/// What precedes the 32 bytes of a private Ed25519 key in its PKCS#8 (RFC 8410, section 7).
const ED25519: [u8; 16] = [
    0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 34, 4, 32,
];

/// The SubjectPublicKeyInfo (DER) of a private key's public half; the structure must fill `der` and be of
/// this spec.
///
/// # Errors
/// Exit 3 if it is anything else.
pub fn public_key(spec: Spec, der: &[u8]) -> Result<Vec<u8>> {
    let refuse = |why: String| {
        Error::hsm(format!(
            "it is not a PKCS#8 private key of {}: {why}",
            spec.name()
        ))
        .check("PKCS8")
    };
    match spec {
        Spec::Ec(curve) if EcParts::of(der)?.scalar.len() != curve.bytes() => Err(refuse(format!(
            "its private value has {} bytes, but RFC 5915 demands {}",
            EcParts::of(der)?.scalar.len(),
            curve.bytes()
        ))),
        Spec::Ec(curve) => on_curve!(curve, c => {
            let key = c::SecretKey::from_pkcs8_der(der).map_err(|e| refuse(e.to_string()))?;
            let public = key.public_key().to_public_key_der().map_err(|e| refuse(e.to_string()))?;
            Ok(public.as_bytes().to_vec())
        }),
        Spec::Ed25519 => {
            let number = der.strip_prefix(&ED25519).map(<&[u8; 32]>::try_from);
            let Some(Ok(number)) = number else {
                return Err(refuse("it does not have the form of RFC 8410".into()));
            };
            let public = ed25519_dalek::SigningKey::from_bytes(number).verifying_key();
            Ok(public::of_ed25519(public.as_bytes()))
        }
        Spec::Rsa { bits } => {
            let key = rsa::PrivateKey::from_pkcs8_der(der).map_err(|e| refuse(e.to_string()))?;
            if key.n().bit_width() as usize != bits {
                return Err(refuse(format!(
                    "its modulus has {} bits",
                    key.n().bit_width()
                )));
            }
            if !chinese_remainders_fit(der, &key).unwrap_or(false) {
                return Err(refuse(
                    "the exponents for its primes or its coefficient are wrong".into(),
                ));
            }
            let public = key.to_public_key().to_public_key_der();
            public
                .map(|public| public.as_bytes().to_vec())
                .map_err(|e| refuse(e.to_string()))
        }
        Spec::Symmetric { .. } | Spec::Aes { .. } | Spec::Hmac { .. } => {
            Err(refuse("that is a secret key".into()))
        }
    }
}

/// Whether the exponents for the primes and the coefficient (RFC 8017, appendix A.1.2) are the key's: the public
/// key does not show them, and signatures made with wrong ones reveal the primes.
fn chinese_remainders_fit(der: &[u8], key: &rsa::PrivateKey) -> Option<bool> {
    let info = rsa::pkcs8::PrivateKeyInfoRef::try_from(der).ok()?;
    let given = rsa::pkcs1::RsaPrivateKeyRef::try_from(info.private_key.as_bytes()).ok()?;
    let own = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_der(key).ok()?;
    let own = rsa::pkcs1::RsaPrivateKeyRef::try_from(own.as_bytes()).ok()?;
    let parts = |key: &rsa::pkcs1::RsaPrivateKeyRef| {
        [
            key.prime1,
            key.prime2,
            key.exponent1,
            key.exponent2,
            key.coefficient,
        ]
        .map(|n| n.as_bytes().to_vec())
    };
    let (given, own) = (
        zeroize::Zeroizing::new(parts(&given)),
        zeroize::Zeroizing::new(parts(&own)),
    );
    Some(*given == *own)
}

#[cfg(test)]
pub(super) mod tests;
