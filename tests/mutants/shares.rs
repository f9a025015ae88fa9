//! What deals shares and brings a secret back, as a crate of its own: see `tests/mutants.sh`.

pub mod error;
pub mod escrow {
    pub mod slip39;
}
pub mod locked;
pub mod random;
mod raw;
pub mod words;
