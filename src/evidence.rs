//! What a ceremony leaves, and how it is read back. It knows the plan; it never asks an HSM.

pub(crate) mod checks;
pub(crate) mod due;
pub(crate) mod filing;
pub mod previous;
pub mod receipts;
pub(crate) mod record;
pub mod rules;
pub mod transcript;
pub mod verify;
