//! What a cloud KMS gives to a ceremony, and what it wants back.
//!
//! A KMS gives *import parameters*: the RSA public key to wrap under, an import token that belongs to
//! it, and the time until which both are accepted. It wants the wrapped material together with that
//! token. A further KMS is one more module here; nothing else in the tool knows their formats.

pub(crate) mod arn;
pub mod aws;

pub(crate) use arn::KeyArn;
