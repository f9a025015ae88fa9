//! The wrapping algorithms of KMS import: their names, and the same operations in software for
//! control keys, for `wrap_in = "host"` and for rehearsals.

use std::fmt;
use std::str::FromStr;

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use rand::rngs::SysRng;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::rand_core::UnwrapErr;
use rsa::{Oaep, RsaPrivateKey};
use serde::Serialize;
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use self::key::WrappingKey;
use crate::error::{Error, Result};
use crate::words;

pub mod key;

/// How KMS will unwrap what we send: the `WrappingAlgorithm` of GetParametersForImport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum WrappingAlgorithm {
    /// RSAES-OAEP with SHA-1 and MGF1 with SHA-1 (RFC 8017).
    #[serde(rename = "RSAES_OAEP_SHA_1")]
    RsaesOaepSha1,
    /// RSAES-OAEP with SHA-256 and MGF1 with SHA-256 (RFC 8017).
    #[serde(rename = "RSAES_OAEP_SHA_256")]
    RsaesOaepSha256,
    /// An ephemeral AES key under OAEP SHA-1, then AES-KWP (RFC 5649).
    #[serde(rename = "RSA_AES_KEY_WRAP_SHA_1")]
    RsaAesKeyWrapSha1,
    /// An ephemeral AES key under OAEP SHA-256, then AES-KWP (RFC 5649).
    #[serde(rename = "RSA_AES_KEY_WRAP_SHA_256")]
    RsaAesKeyWrapSha256,
}

impl WrappingAlgorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::RsaesOaepSha1,
        Self::RsaesOaepSha256,
        Self::RsaAesKeyWrapSha1,
        Self::RsaAesKeyWrapSha256,
    ];

    /// The KMS name, such as `RSAES_OAEP_SHA_256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
            Self::RsaAesKeyWrapSha1 => "RSA_AES_KEY_WRAP_SHA_1",
            Self::RsaAesKeyWrapSha256 => "RSA_AES_KEY_WRAP_SHA_256",
        }
    }
}

impl fmt::Display for WrappingAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WrappingAlgorithm {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(())
    }
}

/// What tells one AES key from another without telling the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckValues {
    /// Key check value: the first three bytes of AES-ECB of a zero block, six upper-case hex digits.
    /// It finds mistakes, not forgers.
    pub kcv: String,
    /// AES-ECB of [`fingerprint_text`], 32 bytes: proves "the same material".
    pub fingerprint: words::Digest,
}

impl CheckValues {
    /// From the encryption of a zero block (of which only three bytes are kept: all 16 are AES-GCM's
    /// hash key) and the encrypted fingerprint text.
    pub fn new(encrypted_zeros: &[u8; 16], fingerprint: words::Digest) -> Self {
        Self {
            kcv: words::hex(&encrypted_zeros[..3]).to_uppercase(),
            fingerprint,
        }
    }
}

/// The 32 bytes whose encryption is the fingerprint.
pub fn fingerprint_text() -> words::Digest {
    words::sha256(b"byok-ceremony material fingerprint v1")
}

/// The check values of AES key bytes in this computer: control keys, rehearsals, the host path.
///
/// # Errors
/// Exit 3 where the bytes are no AES-128 or AES-256 key.
pub fn check_values(key: &[u8]) -> Result<CheckValues> {
    let mut zeros = Zeroizing::new([0; 16]);
    encrypt_block(key, &mut zeros)?;
    let mut fingerprint = fingerprint_text();
    for block in fingerprint.as_chunks_mut::<16>().0 {
        encrypt_block(key, block)?;
    }
    Ok(CheckValues::new(&zeros, fingerprint))
}

/// AES-ECB of one block in place (FIPS 197).
fn encrypt_block(key: &[u8], block: &mut [u8; 16]) -> Result<()> {
    match key.len() {
        16 => aes::Aes128::new_from_slice(key).map(|aes| aes.encrypt_block(block.into())),
        _ => aes::Aes256::new_from_slice(key).map(|aes| aes.encrypt_block(block.into())),
    }
    .map_err(|_| Error::hsm(format!("{} bytes are no AES key", key.len())))
}

/// AES-KW (RFC 3394) under a 32-byte key, opened into `plain`, which must have the exact length.
///
/// # Errors
/// Says why in words: wrong length, or the integrity check failed.
pub fn aes_kw_unwrap(
    key: &[u8],
    wrapped: &[u8],
    plain: &mut [u8],
) -> std::result::Result<(), String> {
    if wrapped.len() != plain.len() + 8 {
        return Err(format!(
            "{} bytes, where AES-KW gives {}",
            wrapped.len(),
            plain.len() + 8
        ));
    }
    let kw = aes_kw::KwAes256::new_from_slice(key)
        .map_err(|_| "the AES-KW key has not 32 bytes".to_owned())?;
    kw.unwrap_key(wrapped, plain)
        .map(|_| ())
        .map_err(|_| "what came out does not open as AES-KW".to_owned())
}

/// RSAES-OAEP encryption in this computer (RFC 8017, section 7.1.1; empty label). The result is as
/// long as the modulus.
///
/// # Errors
/// Exit 2 for an algorithm that is not RSAES-OAEP; exit 3 where the message is too long.
pub fn oaep_encrypt(
    algorithm: WrappingAlgorithm,
    key: &WrappingKey,
    plain: &[u8],
) -> Result<Vec<u8>> {
    let rng = &mut UnwrapErr(SysRng);
    let wrapped = match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 => key.rsa().encrypt(rng, Oaep::<Sha1>::new(), plain),
        WrappingAlgorithm::RsaesOaepSha256 => key.rsa().encrypt(rng, Oaep::<Sha256>::new(), plain),
        other => return Err(not_oaep(other)),
    }
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

fn not_oaep(algorithm: WrappingAlgorithm) -> Error {
    Error::usage(format!("{algorithm} does not wrap secret keys"))
        .hint("KMS takes symmetric key material under RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1 only")
}

/// A throw-away RSA key pair whose private half is in this computer: preflight's control key, or a
/// rehearsal's stand-in KMS. Nothing of value is ever wrapped under it.
pub struct ControlKey {
    private: RsaPrivateKey,
    public: WrappingKey,
}

impl ControlKey {
    /// A fresh pair; `bits` is 2048, 3072 or 4096.
    ///
    /// # Errors
    /// Exit 5 where the pair cannot be made.
    pub fn generate(bits: usize) -> Result<Self> {
        let failed =
            |e: &dyn fmt::Display| Error::machine(format!("making an RSA-{bits} control key: {e}"));
        let private = RsaPrivateKey::new(&mut UnwrapErr(SysRng), bits).map_err(|e| failed(&e))?;
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

    /// Opens what was wrapped under the public half.
    ///
    /// # Errors
    /// Exit 3 where it does not open under exactly this algorithm.
    pub fn open(&self, algorithm: WrappingAlgorithm, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        match algorithm {
            WrappingAlgorithm::RsaesOaepSha1 => self.private.decrypt(Oaep::<Sha1>::new(), wrapped),
            WrappingAlgorithm::RsaesOaepSha256 => {
                self.private.decrypt(Oaep::<Sha256>::new(), wrapped)
            }
            other => return Err(not_oaep(other)),
        }
        .map(Zeroizing::new)
        .map_err(|_| Error::hsm(format!("what was wrapped does not open as {algorithm}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_are_those_of_the_docs() {
        // docs/check-values.md gives the same numbers with the openssl commands that remake them.
        let key: Vec<u8> = (0..32).collect();
        let check = check_values(&key).unwrap();
        assert_eq!(check.kcv, "F29000");
        assert_eq!(
            words::hex(&fingerprint_text()),
            "02f2f76bdd1b62411e99e2a4bc17f5bf335c8af303089639bb4966c1895c1be5"
        );
        assert_eq!(
            words::hex(&check.fingerprint),
            "c4037329a06992dfb163791b2bb4dc093890e9e3b0e4465179fdeafb9f1238ee"
        );
        assert_eq!(check_values(&key[..16]).unwrap().kcv, "C6A13B");
        assert!(check_values(&key[..24]).is_err());
    }

    #[test]
    fn aes_kw_opens_the_vector_of_rfc_3394() {
        // RFC 3394, section 4.6: 256 bits of key data with a 256-bit KEK
        let kek: Vec<u8> = (0..32).collect();
        let wrapped = words::unhex(
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        )
        .unwrap();
        let mut plain = [0; 32];
        aes_kw_unwrap(&kek, &wrapped, &mut plain).unwrap();
        assert_eq!(
            words::hex(&plain),
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"
        );
        let mut other = wrapped.clone();
        other[7] ^= 1;
        assert!(aes_kw_unwrap(&kek, &other, &mut plain).is_err());
        assert!(aes_kw_unwrap(&kek, &wrapped[1..], &mut plain).is_err());
    }

    #[test]
    fn a_control_key_opens_its_own_algorithm_only() {
        use WrappingAlgorithm::{RsaesOaepSha1, RsaesOaepSha256};
        let control = ControlKey::generate(2048).unwrap();
        let wrapped = oaep_encrypt(RsaesOaepSha256, control.public(), &[7; 32]).unwrap();
        assert_eq!(
            &control.open(RsaesOaepSha256, &wrapped).unwrap()[..],
            &[7; 32]
        );
        assert!(control.open(RsaesOaepSha1, &wrapped).is_err());
    }
}
