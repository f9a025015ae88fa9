//! The public halves of data keys, computed from the HSM's signatures with the private halves.

use rsa::pkcs8::EncodePublicKey as _;
use rsa::traits::SignatureScheme as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::on_curve;
use crate::crypto::spec::Curve;
use crate::ground::error::{Error, Result};

/// The digest that is signed for a curve: at least half as long as its order, and at most as long.
pub(crate) fn digest_for(curve: Curve, challenge: &[u8]) -> Vec<u8> {
    match curve {
        Curve::P256 | Curve::Secp256k1 => Sha256::digest(challenge).to_vec(),
        Curve::P384 => Sha384::digest(challenge).to_vec(),
        Curve::P521 => Sha512::digest(challenge).to_vec(),
    }
}

/// The SubjectPublicKeyInfo of the only key that can have made both ECDSA signatures (FIPS 186-5: `r` and `s`) of two
/// digests. One signature leaves two or four candidates (SEC 1, section 4.1.6); two signatures leave one. So a
/// private key can prove itself if a module does not report its point; most do not after C_UnwrapKey.
///
/// # Errors
/// Exit 3 if no key made both.
pub(crate) fn from_signatures(curve: Curve, signed: &[(Vec<u8>, Vec<u8>); 2]) -> Result<Vec<u8>> {
    let [first, second] = signed;
    let others = candidates(curve, &second.0, &second.1);
    let mut both = candidates(curve, &first.0, &first.1);
    both.retain(|candidate| others.contains(candidate));
    match both.len() {
        1 => Ok(both.remove(0)),
        _ => Err(
            Error::hsm("C_Sign: no key of this curve makes such signatures").check("POSSESSION"),
        ),
    }
}

fn candidates(curve: Curve, digest: &[u8], signature: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = on_curve!(curve, c => {
        let Ok(signature) = c::ecdsa::Signature::from_slice(signature) else {
            return Vec::new();
        };
        // `s` and its negative are signatures by the same key; this library uses the smaller one on secp256k1.
        let signature = signature.normalize_s();
        (0..4)
            .filter_map(ecdsa::RecoveryId::from_byte)
            .filter_map(|id| c::ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, id).ok())
            .filter_map(|key| c::PublicKey::from(&key).to_public_key_der().ok())
            .map(|der| der.as_bytes().to_vec())
            .collect()
    });
    found.sort_unstable();
    found.dedup();
    found
}

/// The SubjectPublicKeyInfo of an uncompressed point: 4, then both coordinates.
///
/// # Errors
/// Exit 3 if the point is not on the curve.
pub(crate) fn from_point(curve: Curve, point: &[u8]) -> Result<Vec<u8>> {
    on_curve!(curve, c => {
        let off = || Error::hsm("the HSM reports a point that is not on the curve");
        let key = c::PublicKey::from_sec1_bytes(point).map_err(|_| off())?;
        key.to_public_key_der().map(|der| der.as_bytes().to_vec()).map_err(|_| off())
    })
}

/// What precedes the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519: [u8; 12] = [0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0];

/// The SubjectPublicKeyInfo of an Ed25519 key.
pub(crate) fn of_ed25519(key: &[u8; 32]) -> Vec<u8> {
    [&ED25519[..], key].concat()
}

/// The SubjectPublicKeyInfo of the one of these keys that verifies the HSM's Ed25519 signature (RFC 8032): unlike one
/// of ECDSA, such a signature does not reveal the key that made it.
///
/// # Errors
/// Exit 3 if none does.
pub(crate) fn from_eddsa<'k>(
    mut keys: impl Iterator<Item = &'k [u8; 32]>,
    challenge: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>> {
    let verifies = |key: &&[u8; 32]| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(key);
        let signature = ed25519_dalek::Signature::from_slice(signature);
        let (Ok(key), Ok(signature)) = (key, signature) else {
            return false;
        };
        key.verify_strict(challenge, &signature).is_ok()
    };
    let found = keys.find(verifies).map(of_ed25519);
    found.ok_or_else(|| {
        Error::hsm(
            "C_Sign: the signature is by none of the public keys that the HSM or a record tells",
        )
        .check("POSSESSION")
    })
}

/// The SubjectPublicKeyInfo of an RSA key that verifies the HSM's signature (RSASSA-PKCS1-v1_5 with SHA-256, RFC
/// 8017) of a challenge.
///
/// # Errors
/// Exit 3 if it does not, or is not an RSA key.
pub(crate) fn from_rsa(
    modulus: &[u8],
    exponent: &[u8],
    challenge: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>> {
    let number = |bytes| rsa::BoxedUint::from_be_slice_vartime(bytes);
    let key = rsa::PublicKey::new(number(modulus), number(exponent))
        .map_err(|e| Error::hsm(format!("the HSM does not report an RSA public key: {e}")))?;
    rsa::Pkcs1v15Sign::new::<Sha256>()
        .verify(&key, &Sha256::digest(challenge), signature)
        .map_err(|_| {
            Error::hsm("C_Sign: the signature does not fit the key's modulus").check("POSSESSION")
        })?;
    let der = key.to_public_key_der();
    der.map(|der| der.as_bytes().to_vec())
        .map_err(|e| Error::hsm(format!("the HSM does not report an RSA public key: {e}")))
}

/// The SubjectPublicKeyInfo as PEM (RFC 7468).
pub(crate) fn to_pem(spki: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    let base64 = Base64::encode_string(spki);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests;
