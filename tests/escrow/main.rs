//! Shares and package: dealt, kept, brought together again.

mod earlier_versions;
mod escrow;
mod escrow_faults;
mod groups;
mod recovery;
mod recovery_without_byok;
mod share_check;
#[path = "../support/mod.rs"]
mod support;
