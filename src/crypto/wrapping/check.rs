//! Check values: what distinguishes data keys without revealing them.

use std::fmt;
use std::ops::Deref;

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::pkcs8;
use crate::crypto::locked::leaving_nothing;
use crate::crypto::spec::{HmacHash, Spec};
use crate::ground::error::{Error, Result};
use crate::ground::words;

/// Proves "the same material". AES: 32 bytes, the encryption of [`fingerprint_text`]. HMAC: the MAC of
/// [`FINGERPRINT_TEXT`], as long as the hash. Key pairs: SHA-256 of the public key's SubjectPublicKeyInfo (DER).
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// From its bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads lower-case or upper-case hex of 28, 32, 48 or 64 bytes.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = words::unhex(text)?;
        [28, 32, 48, 64]
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }
}

impl Deref for Fingerprint {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What distinguishes one data key from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckValues {
    /// Key check value of an AES key: the first three bytes of AES-ECB of a zero block, as six upper-case hex
    /// digits. It finds mistakes, not forgers.
    pub kcv: Option<String>,
    /// Proves "the same material".
    pub fingerprint: Fingerprint,
    /// The SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in DER of a private key's public half.
    pub public_key: Option<Vec<u8>>,
}

impl CheckValues {
    /// For an AES key: from the encryption of a zero block, of which only three bytes are kept (all 16 are
    /// AES-GCM's hash key), and the encrypted fingerprint text.
    pub(crate) fn of_aes(encrypted_zeros: &[u8; 16], fingerprint: &[u8; 32]) -> Self {
        Self {
            kcv: Some(words::hex(&encrypted_zeros[..3]).to_uppercase()),
            fingerprint: Fingerprint::new(fingerprint),
            public_key: None,
        }
    }

    /// For an HMAC key: from the MAC of [`FINGERPRINT_TEXT`].
    pub(crate) fn of_hmac(mac: &[u8]) -> Self {
        Self {
            kcv: None,
            fingerprint: Fingerprint::new(mac),
            public_key: None,
        }
    }

    /// For a key pair: from its SubjectPublicKeyInfo in DER.
    pub(crate) fn of_public_key(spki: Vec<u8>) -> Self {
        Self {
            kcv: None,
            fingerprint: Fingerprint::new(&words::sha256(&spki)),
            public_key: Some(spki),
        }
    }

    /// What people compare at a glance: the KCV or, if there is none, the fingerprint's first 8 digits.
    pub(crate) fn glance(&self) -> String {
        glance(self.kcv.as_deref(), &self.fingerprint.to_string())
    }
}

/// Like [`CheckValues::glance`], from the members of a record.
pub(crate) fn glance(kcv: Option<&str>, fingerprint: &str) -> String {
    match kcv {
        Some(kcv) => format!("KCV {kcv}"),
        None => format!(
            "fingerprint {}…",
            fingerprint.get(..8).unwrap_or(fingerprint)
        ),
    }
}

/// The text for every fingerprint.
pub(crate) const FINGERPRINT_TEXT: &[u8] = b"byok-ceremony material fingerprint v1";

/// The 32 bytes whose encryption is an AES key's fingerprint: SHA-256 of [`FINGERPRINT_TEXT`].
pub(crate) fn fingerprint_text() -> words::Digest {
    words::sha256(FINGERPRINT_TEXT)
}

/// The check values of key bytes in this computer: control keys, rehearsals, the host path.
///
/// # Errors
/// Exit 3 if the bytes are not a key of this spec; for private keys as [`pkcs8::public_key`].
pub(crate) fn check_values(spec: Spec, key: &[u8]) -> Result<CheckValues> {
    if let Some(len) = spec.secret_len()
        && len != key.len()
    {
        let spec = spec.name();
        return Err(Error::hsm(format!(
            "{} bytes instead of the {len} of this {spec} key",
            key.len()
        )));
    }
    leaving_nothing(|| match spec {
        Spec::Symmetric { .. } | Spec::Aes { .. } => of_aes(key),
        Spec::Hmac { hash, .. } => Ok(CheckValues::of_hmac(&mac(hash, key))),
        Spec::Ec(_) | Spec::Ed25519 | Spec::Rsa { .. } => {
            pkcs8::public_key(spec, key).map(CheckValues::of_public_key)
        }
    })
}

fn of_aes(key: &[u8]) -> Result<CheckValues> {
    let mut zeros = Zeroizing::new([0; 16]);
    encrypt_block(key, &mut zeros)?;
    let mut fingerprint = fingerprint_text();
    for block in fingerprint.as_chunks_mut::<16>().0 {
        encrypt_block(key, block)?;
    }
    Ok(CheckValues::of_aes(&zeros, &fingerprint))
}

/// AES-ECB of one block in place (FIPS 197).
fn encrypt_block(key: &[u8], block: &mut [u8; 16]) -> Result<()> {
    match key.len() {
        16 => aes::Aes128::new_from_slice(key).map(|aes| aes.encrypt_block(block.into())),
        24 => aes::Aes192::new_from_slice(key).map(|aes| aes.encrypt_block(block.into())),
        _ => aes::Aes256::new_from_slice(key).map(|aes| aes.encrypt_block(block.into())),
    }
    .map_err(|_| Error::hsm(format!("{} bytes are not an AES key", key.len())))
}

/// HMAC (FIPS 198-1) of the fingerprint text.
fn mac(hash: HmacHash, key: &[u8]) -> Vec<u8> {
    macro_rules! mac {
        ($hash:ty) => {{
            let mut mac =
                <Hmac<$hash> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes any length");
            mac.update(FINGERPRINT_TEXT);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match hash {
        HmacHash::Sha224 => mac!(Sha224),
        HmacHash::Sha256 => mac!(Sha256),
        HmacHash::Sha384 => mac!(Sha384),
        HmacHash::Sha512 => mac!(Sha512),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_are_those_of_the_docs() {
        // docs/check-values.md gives the same numbers with the openssl commands that remake them.
        let key: Vec<u8> = (0..32).collect();
        let check = check_values(Spec::DEFAULT, &key).unwrap();
        assert_eq!(check.kcv.as_deref(), Some("F29000"));
        assert_eq!(
            words::hex(&fingerprint_text()),
            "02f2f76bdd1b62411e99e2a4bc17f5bf335c8af303089639bb4966c1895c1be5"
        );
        assert_eq!(
            check.fingerprint.to_string(),
            "c4037329a06992dfb163791b2bb4dc093890e9e3b0e4465179fdeafb9f1238ee"
        );
        let short = Spec::Symmetric { bytes: 16 };
        assert_eq!(
            check_values(short, &key[..16]).unwrap().kcv.as_deref(),
            Some("C6A13B")
        );
        assert!(check_values(short, &key[..24]).is_err());
        let middle = check_values(Spec::Aes { bytes: 24 }, &key[..24]).unwrap();
        assert_eq!(middle.kcv.as_deref(), Some("916251"));
    }

    #[test]
    fn the_fingerprint_of_an_hmac_key_is_as_long_as_its_hash_and_has_no_kcv() {
        for spec in Spec::ALL {
            let Spec::Hmac { hash, bytes } = spec else {
                continue;
            };
            let check = check_values(spec, &vec![7; bytes]).unwrap();
            assert_eq!((check.fingerprint.len(), check.kcv), (hash.bytes(), None));
        }
    }

    #[test]
    fn a_padded_hmac_key_has_the_same_fingerprint_so_its_length_is_told_beside_it() {
        let hash = HmacHash::Sha224;
        let short = check_values(Spec::Hmac { hash, bytes: 28 }, &[7; 28]).unwrap();
        let padded = [[7; 28].as_slice(), &[0; 4]].concat();
        assert_eq!(
            check_values(Spec::Hmac { hash, bytes: 32 }, &padded).unwrap(),
            short
        );
        assert!(check_values(Spec::Hmac { hash, bytes: 28 }, &padded).is_err());
    }

    #[test]
    fn the_fingerprints_of_hmac_keys_are_those_of_the_docs() {
        let docs = include_str!("../../../docs/check-values.md");
        for spec in Spec::ALL {
            let Spec::Hmac { bytes, .. } = spec else {
                continue;
            };
            let key: Vec<u8> = (0..bytes as u8).collect();
            let told = check_values(spec, &key).unwrap().fingerprint;
            let row = format!("| `{}` | `{told}` |", spec.name());
            assert!(docs.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_in_the_lengths_that_there_are() {
        for len in [28, 32, 48, 64] {
            let text = "0a".repeat(len);
            let read = Fingerprint::from_hex(&text).unwrap();
            assert_eq!(read[..], vec![10; len]);
            assert_eq!(read.to_string(), text);
        }
        for other in [
            "",
            "0a",
            &"0a".repeat(31),
            &"0a".repeat(33),
            &"zz".repeat(32),
        ] {
            assert_eq!(Fingerprint::from_hex(other), None);
        }
    }

    #[test]
    fn a_key_pair_is_told_by_its_public_key_and_at_a_glance_by_eight_digits() {
        let check = CheckValues::of_public_key(vec![0x30, 0]);
        assert_eq!(check.fingerprint[..], words::sha256(&[0x30, 0]));
        assert_eq!(check.public_key.as_deref(), Some(&[0x30, 0][..]));
        let digits = &check.fingerprint.to_string()[..8];
        assert_eq!(check.glance(), format!("fingerprint {digits}…"));
        assert_eq!(glance(Some("F29000"), "0a0a0a0a0a"), "KCV F29000");
        assert_eq!(glance(None, "0a"), "fingerprint 0a…");
        let key = pkcs8::throw_away_p256().unwrap();
        let public = pkcs8::public_key(Spec::P256, &key).unwrap();
        let told = check_values(Spec::P256, &key).unwrap();
        assert_eq!(told, CheckValues::of_public_key(public));
    }
}
