//! Every key spec that AWS KMS takes, beside SYMMETRIC_DEFAULT.

#[path = "../kms_on_loopback/mod.rs"]
mod kms_on_loopback;
mod specs;
mod specs_escrow;
mod specs_in_kms;
mod specs_told;
#[path = "../support/mod.rs"]
mod support;
