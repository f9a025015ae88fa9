//! Keys as bytes: what KMS imports, how it is wrapped, split and signed. It knows no HSM and no plan.

pub mod escrow;
pub(crate) mod key_id;
pub(crate) mod locked;
pub(crate) mod random;
pub mod spec;
pub mod sshsig;
pub mod wrapping;
