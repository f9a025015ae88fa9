//! Keys as bytes: what KMS imports, and how it is wrapped, split and signed. It knows neither HSMs nor plans.

pub mod escrow;
pub(crate) mod key_id;
pub(crate) mod locked;
pub(crate) mod random;
pub mod spec;
pub mod sshsig;
pub mod wrapping;
