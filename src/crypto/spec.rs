//! The KMS key specs that can be imported: which material each has. What a KMS accepts for each stands with that KMS, in
//! `plan::kms`.
//!
//! Source: AWS KMS Developer Guide, "Importing key material" (API 2014-11-01): which plaintext KMS expects for a key
//! spec.

use std::fmt;

/// A KMS key spec whose material byok makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spec {
    /// SYMMETRIC_DEFAULT: an AES key of 32 bytes, or of 16 in partition aws-cn.
    Symmetric {
        /// Length of the data key in bytes.
        bytes: usize,
    },
    /// An AES key whose name says its length, for KMSs other than AWS KMS.
    Aes {
        /// Length of the data key in bytes: 16, 24 or 32.
        bytes: usize,
    },
    /// A key for HMAC (FIPS 198-1).
    Hmac {
        /// The hash that gives the spec its name.
        hash: HmacHash,
        /// Length of the data key in bytes: from the hash's to 128.
        bytes: usize,
    },
    /// A private key on a curve, as PKCS#8 (RFC 5208) with a named curve (RFC 5915).
    Ec(Curve),
    /// A private key on edwards25519, as PKCS#8 of version 1 (RFC 8410), for KMSs other than AWS KMS.
    Ed25519,
    /// A private RSA key of two primes, as PKCS#8.
    Rsa {
        /// Length of the modulus in bits: 2048, 3072 or 4096.
        bits: usize,
    },
}

/// The hash of an HMAC spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum HmacHash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// A curve that KMS imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
    /// secp256k1 (SEC 2, section 2.4.1).
    Secp256k1,
}

/// Why something is impossible, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// What is taken, or why not.
pub(crate) type Taken<T = ()> = Result<T, Refusal>;

impl Refusal {
    /// What is wrong, and what to do.
    pub(crate) fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            hint: hint.into(),
        }
    }
}

impl HmacHash {
    /// Length of its output, and the least length of a key, in bytes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Curve {
    /// Length of a coordinate, and of each half of a signature, in bytes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::P256 | Self::Secp256k1 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The curve's object identifier in DER, as CKA_EC_PARAMS holds it (RFC 5480, section 2.1.1.1; SEC 2).
    pub(crate) fn params(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
            Self::P384 => &[0x06, 5, 0x2b, 0x81, 4, 0, 0x22],
            Self::P521 => &[0x06, 5, 0x2b, 0x81, 4, 0, 0x23],
            Self::Secp256k1 => &[0x06, 5, 0x2b, 0x81, 4, 0, 0x0a],
        }
    }
}

/// The longest HMAC key that KMS imports, in bytes (1024 bits).
pub(crate) const LONGEST_HMAC: usize = 128;

impl Spec {
    /// SYMMETRIC_DEFAULT outside China.
    pub(crate) const DEFAULT: Self = Self::Symmetric { bytes: 32 };
    /// The private key whose PKCS#8 shows what a module appends to private keys.
    pub(crate) const P256: Self = Self::Ec(Curve::P256);

    /// Every importable spec, HMAC keys with their shortest length.
    pub const ALL: [Self; 16] = [
        Self::DEFAULT,
        Self::hmac(HmacHash::Sha224),
        Self::hmac(HmacHash::Sha256),
        Self::hmac(HmacHash::Sha384),
        Self::hmac(HmacHash::Sha512),
        Self::Aes { bytes: 16 },
        Self::Aes { bytes: 24 },
        Self::Aes { bytes: 32 },
        Self::Ec(Curve::P256),
        Self::Ec(Curve::P384),
        Self::Ec(Curve::P521),
        Self::Ec(Curve::Secp256k1),
        Self::Ed25519,
        Self::Rsa { bits: 2048 },
        Self::Rsa { bits: 3072 },
        Self::Rsa { bits: 4096 },
    ];

    const fn hmac(hash: HmacHash) -> Self {
        let bytes = match hash {
            HmacHash::Sha224 => 28,
            HmacHash::Sha256 => 32,
            HmacHash::Sha384 => 48,
            HmacHash::Sha512 => 64,
        };
        Self::Hmac { hash, bytes }
    }

    /// Reads a KMS name; SYMMETRIC_DEFAULT has 32 bytes, HMAC keys have their shortest length.
    ///
    /// # Errors
    /// Why KMS does not import it.
    pub(crate) fn parse(name: &str) -> Taken<Self> {
        if let Some(spec) = Self::ALL.into_iter().find(|spec| spec.name() == name) {
            return Ok(spec);
        }
        let refuse =
            |why: &str, hint: &str| Err(Refusal::new(format!("spec {name:?} {why}"), hint));
        match name {
            "SM2" => refuse(
                "is not importable outside China Regions, and byok does not make it",
                "the most similar importable key is ECC_NIST_P256",
            ),
            "ECC_NIST_EDWARDS25519" => refuse(
                "is not importable: AWS KMS makes Ed25519 keys itself and imports none",
                "ED25519 is for other KMSs; AWS KMS imports ECC_NIST_P256, P384, P521, ECC_SECG_P256K1, RSA_2048 to RSA_4096",
            ),
            _ if name.starts_with("ML_DSA") => refuse(
                "is not importable: KMS makes ML-DSA keys itself and imports none",
                "importable keys for signing: ECC_NIST_P256, P384, P521, ECC_SECG_P256K1, RSA_2048 to RSA_4096",
            ),
            _ => refuse(
                "is not a key spec that KMS imports",
                "`aws kms describe-key` shows the KeySpec of the KMS key, such as SYMMETRIC_DEFAULT; other KMSs have AES_128, AES_192, AES_256 and ED25519 too",
            ),
        }
    }

    /// The KMS name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Symmetric { .. } => "SYMMETRIC_DEFAULT",
            Self::Aes { bytes } => match bytes {
                16 => "AES_128",
                24 => "AES_192",
                _ => "AES_256",
            },
            Self::Hmac { hash, .. } => match hash {
                HmacHash::Sha224 => "HMAC_224",
                HmacHash::Sha256 => "HMAC_256",
                HmacHash::Sha384 => "HMAC_384",
                HmacHash::Sha512 => "HMAC_512",
            },
            Self::Ec(curve) => match curve {
                Curve::P256 => "ECC_NIST_P256",
                Curve::P384 => "ECC_NIST_P384",
                Curve::P521 => "ECC_NIST_P521",
                Curve::Secp256k1 => "ECC_SECG_P256K1",
            },
            Self::Ed25519 => "ED25519",
            Self::Rsa { bits } => match bits {
                2048 => "RSA_2048",
                3072 => "RSA_3072",
                _ => "RSA_4096",
            },
        }
    }

    /// Length of a secret key in bytes; `None` for a private key, whose PKCS#8 has no fixed length.
    pub(crate) fn secret_len(self) -> Option<usize> {
        match self {
            Self::Symmetric { bytes } | Self::Aes { bytes } | Self::Hmac { bytes, .. } => {
                Some(bytes)
            }
            Self::Ec(_) | Self::Ed25519 | Self::Rsa { .. } => None,
        }
    }

    /// Length of its fingerprint in bytes: the hash's for HMAC keys, otherwise 32.
    pub(crate) fn fingerprint_len(self) -> usize {
        match self {
            Self::Hmac { hash, .. } => hash.bytes(),
            _ => 32,
        }
    }

    /// What it is in an HSM, for messages: "private key" or "secret key".
    pub(crate) fn class_name(self) -> &'static str {
        match self.is_private() {
            true => "private key",
            false => "secret key",
        }
    }

    /// Whether it is an AES key: only such keys encrypt, and have a key check value that HSMs print.
    pub(crate) fn is_aes(self) -> bool {
        matches!(self, Self::Symmetric { .. } | Self::Aes { .. })
    }

    /// Whether AWS KMS has it.
    pub(crate) fn is_of_aws(self) -> bool {
        !matches!(self, Self::Aes { .. } | Self::Ed25519)
    }

    /// Length in bits, if the spec does not fix it: only for HMAC keys.
    pub(crate) fn bits(self) -> Option<usize> {
        match self {
            Self::Hmac { bytes, .. } => Some(bytes * 8),
            _ => None,
        }
    }

    /// Whether it is a private key, which has a public half.
    pub(crate) fn is_private(self) -> bool {
        self.secret_len().is_none()
    }

    /// Whether the length of its PKCS#8 differs from key to key or curve to curve, so that a clean control of the same spec
    /// proves nothing: one on P-256 does.
    pub(crate) fn varies(self) -> bool {
        matches!(self, Self::Ec(_) | Self::Rsa { .. })
    }

    /// Whether it needs AES-KWP (RFC 5649), because AES-KW (RFC 3394) does not accept its length.
    pub(crate) fn needs_padding(self) -> bool {
        self.secret_len().is_none_or(|bytes| bytes % 8 != 0)
    }
}

/// Its length or form, for people: `32 bytes`, `28 bytes (224 bits)`, `key pair on P-384`.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symmetric { bytes } | Self::Aes { bytes } => write!(f, "{bytes} bytes"),
            Self::Hmac { bytes, .. } => write!(f, "{bytes} bytes ({} bits)", bytes * 8),
            Self::Ec(curve) => f.write_str(match curve {
                Curve::P256 => "key pair on P-256",
                Curve::P384 => "key pair on P-384",
                Curve::P521 => "key pair on P-521",
                Curve::Secp256k1 => "key pair on secp256k1",
            }),
            Self::Ed25519 => f.write_str("key pair on Ed25519"),
            Self::Rsa { bits } => write!(f, "RSA key pair, {bits} bits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for spec in Spec::ALL {
            assert_eq!(Spec::parse(spec.name()), Ok(spec));
        }
    }

    #[test]
    fn what_kms_does_not_import_is_refused_by_name_with_the_reason() {
        for (name, why) in [
            ("SM2", "not importable outside China"),
            ("ECC_NIST_EDWARDS25519", "makes Ed25519 keys itself"),
            ("ML_DSA_44", "makes ML-DSA keys itself"),
            ("AES_512", "not a key spec that KMS imports"),
        ] {
            let refusal = Spec::parse(name).unwrap_err();
            assert!(
                refusal.why.contains(name) && refusal.why.contains(why),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn only_what_is_no_multiple_of_eight_bytes_needs_padding() {
        let padded: Vec<&str> = Spec::ALL
            .into_iter()
            .filter(|spec| spec.needs_padding() && !spec.is_private())
            .map(Spec::name)
            .collect();
        assert_eq!(padded, ["HMAC_224"]);
    }
}
