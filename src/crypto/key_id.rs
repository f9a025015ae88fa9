//! What distinguishes objects in a token: CKA_ID (PKCS#11 v2.40, section 4.4).

use std::fmt;

use crate::crypto::random;
use crate::ground::error::Result;
use crate::ground::words;

/// CKA_LABEL of both halves of a transcript signer.
pub(crate) const SIGNER_LABEL: &str = "byok-transcript-signer";

/// A CKA_ID. byok's own are 16 random bytes, drawn and written down before the key is made. A key that byok did not
/// make has a CKA_ID of any length, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId {
    bytes: [u8; Self::LONGEST],
    len: usize,
}

impl KeyId {
    /// The longest CKA_ID that byok accepts, in bytes.
    const LONGEST: usize = 64;

    /// A new CKA_ID from the operating system's generator.
    ///
    /// # Errors
    /// Exit 5 if that generator fails.
    pub(crate) fn random() -> Result<Self> {
        random::array("a CKA_ID").map(Self::of)
    }

    fn of(ours: [u8; 16]) -> Self {
        let mut bytes = [0; Self::LONGEST];
        bytes[..ours.len()].copy_from_slice(&ours);
        Self {
            bytes,
            len: ours.len(),
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads 32 hex digits: a CKA_ID that byok made.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        words::unhex(text)?.try_into().ok().map(Self::of)
    }

    /// Any CKA_ID, from its bytes; `None` if it is longer than 64.
    pub(crate) fn any(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self {
            bytes,
            len: id.len(),
        })
    }

    /// The same from hex, also from no digits.
    pub(crate) fn any_from_hex(text: &str) -> Option<Self> {
        match text {
            "" => Self::any(&[]),
            text => Self::any(&words::unhex(text)?),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::hex(self.bytes()))
    }
}
