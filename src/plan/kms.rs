//! The KMSs that data keys go to, and what each asks of a ceremony.
//!
//! A KMS gives *import parameters*: always an RSA public key to wrap under, and with it whatever that KMS wants back. What
//! differs from one to the next is asked here, and answered in its own file: [`KmsKey`] is how a plan names the key,
//! [`Target`] what an import brings to it once its parameters are read.

use jiff::Timestamp;

use crate::crypto::spec::{Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;

pub(crate) mod arn;
pub mod aws;

pub(crate) use arn::KeyArn;

/// The key that an import goes to, as its KMS names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KmsKey {
    /// A key of AWS KMS.
    Aws(KeyArn),
}

/// Where wrapped material goes, and what goes with it.
pub(crate) enum Target<'p> {
    /// AWS KMS: material and import token together, until a deadline.
    Aws {
        /// The KMS key.
        arn: &'p KeyArn,
        /// What KMS gave with the wrapping key.
        token: ImportToken,
    },
}

/// The import token of AWS KMS.
pub(crate) struct ImportToken {
    /// Opaque; only KMS opens it.
    pub bytes: Vec<u8>,
    /// Until when KMS takes it.
    pub valid_to: Timestamp,
    /// Whether the parameters name their KMS key.
    pub names_key: bool,
}

impl KmsKey {
    /// The whole name, unlike that of any other key of any KMS.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Aws(arn) => arn.as_str(),
        }
    }

    /// The ARN, for what only AWS KMS knows: Regions, accounts, several materials of one key.
    pub(crate) fn arn(&self) -> Option<&KeyArn> {
        match self {
            Self::Aws(arn) => Some(arn),
        }
    }

    /// Whether the other name is that of this same multi-Region key in another Region.
    pub(crate) fn is_replica_of(&self, other: &str) -> bool {
        self.arn().is_some_and(|arn| arn.is_replica_of(other))
    }

    /// Whether it is one Region's part of a multi-Region key.
    pub(crate) fn is_multi_region(&self) -> bool {
        self.arn().is_some_and(KeyArn::is_multi_region)
    }

    /// Whether its KMS takes such a data key wrapped with this algorithm, as far as the plan alone says.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> Result<(), Refusal> {
        match self {
            Self::Aws(arn) => aws::takes(spec, wrapping, arn.is_china()),
        }
    }

    /// Whether its KMS takes it under a wrapping key of this many bits.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn fits(
        &self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrapping_key_bits: usize,
    ) -> Result<(), Refusal> {
        match self {
            Self::Aws(_) => aws::fits(spec, wrapping, wrapping_key_bits),
        }
    }
}

impl From<KeyArn> for KmsKey {
    fn from(arn: KeyArn) -> Self {
        Self::Aws(arn)
    }
}

impl std::fmt::Display for KmsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Target<'_> {
    /// Until when the KMS takes the material; `None`: for as long as the wrapping key exists.
    pub(crate) fn valid_to(&self) -> Option<Timestamp> {
        self.token().map(|token| token.valid_to)
    }

    /// The import token, if the KMS wants one.
    pub(crate) fn token(&self) -> Option<&ImportToken> {
        match self {
            Self::Aws { token, .. } => Some(token),
        }
    }
}
