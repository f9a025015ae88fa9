//! The wrapping algorithms of KMS import: their names, and the same operations in software, for control keys, for
//! `wrap_in = "host"` and for rehearsals.

use std::fmt;

use aes::cipher::KeyInit as _;
use rand::rngs::SysRng;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::rand_core::UnwrapErr;
use rsa::{Oaep, PrivateKey};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use self::key::WrappingKey;
use crate::crypto::locked::{Locked, leaving_nothing};
use crate::crypto::spec::Spec;
use crate::ground::error::{Error, Result};

pub(crate) mod algorithm;
mod check;
pub mod key;
pub mod pkcs8;
pub(crate) mod public;

pub(crate) use algorithm::WrappingAlgorithm;
pub(crate) use check::{
    CheckValues, FINGERPRINT_TEXT, Fingerprint, check_values, fingerprint_text, glance,
};

/// The same code for each curve: the curves' crates have the same shape.
macro_rules! on_curve {
    ($curve:expr, $c:ident => $body:expr) => {
        match $curve {
            $crate::crypto::spec::Curve::P256 => {
                use p256 as $c;
                $body
            }
            $crate::crypto::spec::Curve::P384 => {
                use p384 as $c;
                $body
            }
            $crate::crypto::spec::Curve::P521 => {
                use p521 as $c;
                $body
            }
            $crate::crypto::spec::Curve::Secp256k1 => {
                use k256 as $c;
                $body
            }
        }
    };
}
use on_curve;

/// AES-KW (RFC 3394) under a 32-byte key, unwrapped into `plain`, which must have the exact length.
///
/// # Errors
/// In words: a wrong length, or the integrity check failed.
pub(crate) fn aes_kw_unwrap(
    key: &[u8],
    wrapped: &[u8],
    plain: &mut [u8],
) -> std::result::Result<(), String> {
    if wrapped.len() != plain.len() + 8 {
        return Err(format!(
            "{} bytes, but AES-KW gives {}",
            wrapped.len(),
            plain.len() + 8
        ));
    }
    leaving_nothing(|| {
        let kw = aes_kw::KwAes256::new_from_slice(key)
            .map_err(|_| "the AES-KW key does not have 32 bytes".to_owned())?;
        kw.unwrap_key(wrapped, plain)
            .map(|_| ())
            .map_err(|_| "the wrapped bytes do not open as AES-KW".to_owned())
    })
}

/// The length of `len` bytes after AES-KWP.
pub(crate) fn kwp_len(len: usize) -> usize {
    len.next_multiple_of(8) + 8
}

/// AES-KWP (RFC 5649) under a 32-byte key.
///
/// # Errors
/// Exit 3 for a key of another length.
pub(crate) fn aes_kwp_wrap(key: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let refused = |why: &str| Error::hsm(format!("AES-KWP in this computer: {why}"));
    leaving_nothing(|| {
        let kwp = aes_kw::KwpAes256::new_from_slice(key)
            .map_err(|_| refused("the key does not have 32 bytes"))?;
        let mut wrapped = vec![0; kwp_len(plain.len())];
        kwp.wrap_key(plain, &mut wrapped)
            .map_err(|e| refused(&e.to_string()))?;
        Ok(wrapped)
    })
}

/// AES-KWP (RFC 5649) under a 32-byte key, unwrapped into `plain`, which must have room for eight bytes less than
/// `wrapped`. Returns the number of bytes.
///
/// # Errors
/// In words: a wrong length, or the integrity check failed.
pub(crate) fn aes_kwp_unwrap(
    key: &[u8],
    wrapped: &[u8],
    plain: &mut [u8],
) -> std::result::Result<usize, String> {
    leaving_nothing(|| {
        let kwp = aes_kw::KwpAes256::new_from_slice(key)
            .map_err(|_| "the AES-KWP key does not have 32 bytes".to_owned())?;
        kwp.unwrap_key(wrapped, plain)
            .map(<[u8]>::len)
            .map_err(|_| "the wrapped bytes do not open as AES-KWP".to_owned())
    })
}

/// A key that was wrapped with AES-KW or AES-KWP.
pub(crate) struct Opened {
    /// Only the key: a secret with its spec's length, or a PKCS#8.
    pub bytes: Locked,
    /// How many bytes after it were cut off.
    pub appended: usize,
}

/// Unwraps a data key that a module wrapped with AES-KW or AES-KWP, into locked memory. If the module omitted leading
/// zero bytes of an EC private value, they are restored (RFC 5915 demands all of them). Zero bytes that it
/// appended are cut off: a secret has its spec's length, a private key ends with its PKCS#8.
///
/// # Errors
/// Exit 3 if it does not unwrap to such a key.
pub(crate) fn open_wrapped(spec: Spec, key: &[u8], wrapped: &[u8]) -> Result<Opened> {
    let refused = |why: String| Error::hsm(format!("C_WrapKey: {why}"));
    if let Some(len) = spec.secret_len().filter(|_| !spec.needs_padding()) {
        let mut bytes = Locked::zeroed(len)?;
        let wrapped = wrapped.get(..len + 8).unwrap_or(wrapped); // NSS softokn reports more than it writes
        aes_kw_unwrap(key, wrapped, &mut bytes).map_err(refused)?;
        return Ok(Opened { bytes, appended: 0 });
    }
    let mut bytes = Locked::zeroed(wrapped.len().saturating_sub(8))?;
    let len = aes_kwp_unwrap(key, wrapped, &mut bytes).map_err(refused)?;
    let whole = match spec.secret_len() {
        // SoftHSM pads a secret to a multiple of 8 bytes before it wraps it.
        Some(wanted) if len >= wanted && bytes[wanted..].iter().all(|byte| *byte == 0) => wanted,
        Some(wanted) => return Err(refused(format!("{len} bytes instead of {wanted}"))),
        None => pkcs8::len_before_zeros(&bytes[..len]).map_err(|e| e.doing("C_WrapKey"))?,
    };
    let full = match spec {
        Spec::Ec(curve) => pkcs8::in_full_length(curve, &bytes[..whole])?,
        _ => None,
    };
    Ok(Opened {
        bytes: full.map_or_else(|| bytes.truncated(whole), Ok)?,
        appended: len - whole,
    })
}

/// Wraps in this computer so that KMS can unwrap. The result of RSAES-OAEP (RFC 8017, section 7.1.1; empty label)
/// is as long as the modulus. That of RSA_AES_KEY_WRAP (PKCS#11 v2.40, section 2.1.21) is RSAES-OAEP of an
/// ephemeral AES key, followed by AES-KWP of `plain` under that key.
///
/// # Errors
/// Exit 3 if the message is too long; exit 5 if memory or randomness fails.
pub(crate) fn wrap(
    algorithm: WrappingAlgorithm,
    key: &WrappingKey,
    plain: &[u8],
) -> Result<Vec<u8>> {
    if !algorithm.is_rsa_aes() {
        return oaep_encrypt(algorithm, key, plain);
    }
    let ephemeral = Locked::random(32, "an ephemeral AES key")?;
    let mut wrapped = oaep_encrypt(algorithm.oaep(), key, &ephemeral)?;
    wrapped.extend(aes_kwp_wrap(&ephemeral, plain)?);
    Ok(wrapped)
}

fn oaep_encrypt(algorithm: WrappingAlgorithm, key: &WrappingKey, plain: &[u8]) -> Result<Vec<u8>> {
    let rng = &mut UnwrapErr(SysRng);
    let wrapped = leaving_nothing(|| match algorithm.oaep() {
        WrappingAlgorithm::RsaesOaepSha1 => key.rsa().encrypt(rng, Oaep::<Sha1>::new(), plain),
        _ => key.rsa().encrypt(rng, Oaep::<Sha256>::new(), plain),
    })
    .map_err(|e| Error::hsm(format!("wrapping in this computer: {e}")))?;
    if wrapped.len() != key.modulus_len() {
        return Err(Error::hsm(format!(
            "wrapping in this computer gave {} bytes",
            wrapped.len()
        ))
        .check("WRAPPED-LENGTH"));
    }
    Ok(wrapped)
}

/// A throw-away RSA key pair whose private half is in this computer: preflight's control key, or a rehearsal's
/// stand-in for KMS. Nothing of value is ever wrapped under it.
pub struct ControlKey {
    private: PrivateKey,
    public: WrappingKey,
}

impl ControlKey {
    /// A fresh pair; `bits` is 2048, 3072 or 4096.
    ///
    /// # Errors
    /// Exit 5 if the pair cannot be made.
    pub fn generate(bits: usize) -> Result<Self> {
        let failed =
            |e: &dyn fmt::Display| Error::machine(format!("making an RSA-{bits} control key: {e}"));
        let private = PrivateKey::new(&mut UnwrapErr(SysRng), bits).map_err(|e| failed(&e))?;
        let spki = private
            .to_public_key()
            .to_public_key_der()
            .map_err(|e| failed(&e))?;
        Ok(Self {
            private,
            public: WrappingKey::from_spki_der(spki.as_bytes())?,
        })
    }

    /// The public half.
    pub fn public(&self) -> &WrappingKey {
        &self.public
    }

    /// Unwraps what was wrapped under the public half.
    ///
    /// # Errors
    /// Exit 3 if it does not unwrap with exactly this algorithm.
    pub(crate) fn open(
        &self,
        algorithm: WrappingAlgorithm,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let refused = || Error::hsm(format!("what was wrapped does not open as {algorithm}"));
        if !algorithm.is_rsa_aes() {
            return self.oaep_decrypt(algorithm, wrapped).map_err(|_| refused());
        }
        let (ephemeral, material) = wrapped
            .split_at_checked(self.public.modulus_len())
            .ok_or_else(refused)?;
        let ephemeral = self
            .oaep_decrypt(algorithm, ephemeral)
            .map_err(|_| refused())?;
        let mut plain = Zeroizing::new(vec![0; material.len().saturating_sub(8)]);
        let len = aes_kwp_unwrap(&ephemeral, material, &mut plain).map_err(|_| refused())?;
        plain.truncate(len);
        Ok(plain)
    }

    fn oaep_decrypt(
        &self,
        algorithm: WrappingAlgorithm,
        wrapped: &[u8],
    ) -> rsa::Result<Zeroizing<Vec<u8>>> {
        match algorithm.oaep() {
            WrappingAlgorithm::RsaesOaepSha1 => self.private.decrypt(Oaep::<Sha1>::new(), wrapped),
            _ => self.private.decrypt(Oaep::<Sha256>::new(), wrapped),
        }
        .map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests;
