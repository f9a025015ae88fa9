//! The names of the wrapping algorithms.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How KMS will unwrap the material: the `WrappingAlgorithm` of GetParametersForImport.
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
    pub(crate) const ALL: [Self; 4] = [
        Self::RsaesOaepSha1,
        Self::RsaesOaepSha256,
        Self::RsaAesKeyWrapSha1,
        Self::RsaAesKeyWrapSha256,
    ];

    /// All of them, rather with SHA-256 than with SHA-1, rather with one algorithm than two.
    pub(crate) const BEST_FIRST: [Self; 4] = [
        Self::RsaesOaepSha256,
        Self::RsaAesKeyWrapSha256,
        Self::RsaesOaepSha1,
        Self::RsaAesKeyWrapSha1,
    ];

    /// The KMS name, such as `RSAES_OAEP_SHA_256`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
            Self::RsaAesKeyWrapSha1 => "RSA_AES_KEY_WRAP_SHA_1",
            Self::RsaAesKeyWrapSha256 => "RSA_AES_KEY_WRAP_SHA_256",
        }
    }

    /// Whether it uses an ephemeral AES key: `RSA_AES_KEY_WRAP_*`.
    pub(crate) fn is_rsa_aes(self) -> bool {
        matches!(self, Self::RsaAesKeyWrapSha1 | Self::RsaAesKeyWrapSha256)
    }

    /// The RSAES-OAEP with the same hash: the algorithm itself, or the one that wraps its ephemeral AES key.
    pub(crate) fn oaep(self) -> Self {
        match self {
            Self::RsaesOaepSha1 | Self::RsaAesKeyWrapSha1 => Self::RsaesOaepSha1,
            Self::RsaesOaepSha256 | Self::RsaAesKeyWrapSha256 => Self::RsaesOaepSha256,
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
