//! What a cloud KMS gives to a ceremony, and what it expects back.
//!
//! A KMS gives *import parameters*: the RSA public key to wrap under, an import token that belongs to it, and the
//! time until which both are valid. It expects the wrapped material together with that token. AWS KMS
//! is the only one so far; what else a second one needs stands in the crate's documentation.

pub(crate) mod arn;
pub mod aws;

pub(crate) use arn::KeyArn;
