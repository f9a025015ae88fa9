//! The wrapping algorithms in software as a crate of their own: see `tests/mutants.sh`.

pub mod error;
pub mod locked;
pub mod random;
mod raw;
pub mod spec;
pub mod words;
pub mod wrapping;
