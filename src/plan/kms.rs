//! What a cloud KMS gives to a ceremony, and what it expects back.
//!
//! A KMS gives *import parameters*: the RSA public key to wrap under, an import token that belongs to it, and the
//! time until which both are valid. It expects the wrapped material together with that token. Another KMS is one
//! more module here; nothing else in byok knows its formats.

pub(crate) mod arn;
pub mod aws;

pub(crate) use arn::KeyArn;
