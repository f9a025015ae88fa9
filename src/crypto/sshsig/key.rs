//! Public keys in OpenSSH's form, and the checks of signatures by them.

use std::fmt;

use base64ct::{Base64, Base64Unpadded, Encoding as _};
use ed25519_dalek::VerifyingKey as Ed25519Key;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::{Digest as _, Sha256, Sha512};

use super::wire::{Reader, put};
use crate::ground::words::{self, Digest};

/// The key type of signatures that an HSM makes (RFC 5656).
const P256: &str = "ecdsa-sha2-nistp256";

/// The sizes of RSA keys that OpenSSH accepts, in bits.
const RSA_SIZES: std::ops::RangeInclusive<usize> = 1024..=16_384;

/// A public key: its OpenSSH bytes, of any type.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: String,
    blob: Vec<u8>,
}

/// The result of checking a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is a signature of these bytes by this key.
    Holds,
    /// It is not.
    Fails,
    /// byok does not know this type of key.
    NotChecked,
}

impl PublicKey {
    /// A key on P-256 from its uncompressed point: 4, then x and y of 32 bytes each.
    pub(crate) fn p256(point: &[u8; 65]) -> Self {
        let mut blob = Vec::new();
        put(&mut blob, P256.as_bytes());
        put(&mut blob, b"nistp256");
        put(&mut blob, point);
        Self {
            kind: P256.to_owned(),
            blob,
        }
    }

    /// A key from its bytes in a signature.
    pub(super) fn from_blob(blob: &[u8]) -> Option<Self> {
        let kind = std::str::from_utf8(Reader(blob).string()?).ok()?;
        let is_name = !kind.is_empty() && kind.bytes().all(|c| c.is_ascii_graphic());
        is_name.then(|| Self {
            kind: kind.to_owned(),
            blob: blob.to_vec(),
        })
    }

    /// Reads type and base64, in the form of a `.pub` file.
    pub(crate) fn from_words(kind: &str, base64: &str) -> Option<Self> {
        let key = Self::from_blob(&Base64::decode_vec(base64).ok()?)?;
        (key.kind == kind).then_some(key)
    }

    /// Reads the line that [`Display`](fmt::Display) writes.
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, base64) = line.split_once(' ')?;
        Self::from_words(kind, base64)
    }

    /// Its type, such as `ssh-ed25519`.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// SHA-256 of its bytes: people compare it in rows.
    pub(crate) fn digest(&self) -> Digest {
        words::sha256(&self.blob)
    }

    /// The same in the form of `ssh-keygen -l`.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.digest())
    }

    /// Whether a P-256 key made this signature of a digest: the proof that an HSM has the key.
    pub(crate) fn signed_digest(&self, digest: &[u8; 32], r_and_s: &[u8; 64]) -> bool {
        let signature = p256::ecdsa::Signature::from_slice(r_and_s);
        match (self.as_p256(), signature) {
            (Some(key), Ok(signature)) => key.verify_prehash(digest, &signature).is_ok(),
            _ => false,
        }
    }

    /// Checks `string` algorithm · `string` signature over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Verdict {
        let judged = match self.kind.as_str() {
            P256 => self.verify_p256(message, signature),
            "ssh-ed25519" => self.verify_ed25519(message, signature),
            "ssh-rsa" => self.verify_rsa(message, signature),
            _ => return Verdict::NotChecked,
        };
        match judged {
            Some(()) => Verdict::Holds,
            None => Verdict::Fails,
        }
    }

    /// Whether it is a point on P-256, like the key of a transcript signer.
    pub(crate) fn is_p256(&self) -> bool {
        self.kind == P256 && self.as_p256().is_some()
    }

    fn as_p256(&self) -> Option<p256::ecdsa::VerifyingKey> {
        let mut reader = self.after_kind()?;
        let (curve, point) = (reader.string()?, reader.string()?);
        // OpenSSH does not accept compressed points.
        (curve == b"nistp256" && point.len() == 65 && reader.is_at_end() && is_large(point))
            .then(|| p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok())?
    }

    fn verify_p256(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let mut numbers = Reader(value_of(signature, P256)?);
        let (r, s) = (numbers.positive()?, numbers.positive()?);
        if !numbers.is_at_end() {
            return None;
        }
        let mut fixed = [0; 64];
        for (half, number) in fixed.chunks_mut(32).zip([r, s]) {
            let start = half.len().checked_sub(number.len())?;
            half[start..].copy_from_slice(number);
        }
        let signature = p256::ecdsa::Signature::from_slice(&fixed).ok()?;
        self.as_p256()?.verify(message, &signature).ok()
    }

    fn verify_ed25519(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let value = value_of(signature, "ssh-ed25519")?.try_into().ok()?;
        let mut reader = self.after_kind()?;
        let key = Ed25519Key::from_bytes(reader.string()?.try_into().ok()?).ok()?;
        let signature = ed25519_dalek::Signature::from_bytes(value);
        reader.is_at_end().then_some(())?;
        key.verify_strict(message, &signature).ok()
    }

    /// PKCS#1 v1.5 with SHA-2 (RFC 8332); SHA-1 is refused.
    fn verify_rsa(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        use rsa::traits::SignatureScheme as _;
        let mut reader = self.after_kind()?;
        let (exponent, modulus) = (reader.positive()?, reader.positive()?);
        reader.is_at_end().then_some(())?;
        let number = |bytes| rsa::BoxedUint::from_be_slice_vartime(bytes);
        let (n, e) = (number(modulus), number(exponent));
        let key = rsa::PublicKey::new_with_size_limits(n, e, RSA_SIZES).ok()?;
        let (scheme, digest, value) = match value_of(signature, "rsa-sha2-512") {
            Some(value) => (
                rsa::Pkcs1v15Sign::new::<Sha512>(),
                Sha512::digest(message).to_vec(),
                value,
            ),
            None => (
                rsa::Pkcs1v15Sign::new::<Sha256>(),
                Sha256::digest(message).to_vec(),
                value_of(signature, "rsa-sha2-256")?,
            ),
        };
        // A signature is a number; OpenSSH may omit leading zeros.
        let mut padded = vec![0; modulus.len().checked_sub(value.len())?];
        padded.extend_from_slice(value);
        scheme.verify(&key, &digest, &padded).ok()
    }

    fn after_kind(&self) -> Option<Reader<'_>> {
        let mut reader = Reader(&self.blob);
        reader.string()?;
        Some(reader)
    }
}

/// The order of P-256 minus one.
const LAST: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x50,
];

/// Whether OpenSSH accepts this point as one that somebody drew: x and y have more than half the bits of the
/// order, and are below the order minus one (sshkey_ec_validate_public).
fn is_large(point: &[u8]) -> bool {
    let large = |number: &[u8]| number[..16].iter().any(|byte| *byte != 0) && number < &LAST[..];
    point[1..].chunks(32).all(large)
}

/// `SHA256:` and unpadded base64, in the form of `ssh-keygen -l`.
pub(crate) fn fingerprint(digest: &[u8; 32]) -> String {
    format!("SHA256:{}", Base64Unpadded::encode_string(digest))
}

/// The digest in a fingerprint.
pub(crate) fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let base64 = text.strip_prefix("SHA256:")?;
    Base64Unpadded::decode_vec(base64).ok()?.try_into().ok()
}

/// The value of a signature of this algorithm.
fn value_of<'a>(signature: &'a [u8], algorithm: &str) -> Option<&'a [u8]> {
    let mut reader = Reader(signature);
    let named = reader.string()?;
    let value = reader.string()?;
    (named == algorithm.as_bytes() && reader.is_at_end()).then_some(value)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, Base64::encode_string(&self.blob))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}
