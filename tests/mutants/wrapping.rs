//! The wrapping algorithms in software as a crate of their own: see `tests/mutants.sh`.

pub mod ground {
    pub(crate) mod environment;
    pub mod error;
    pub(crate) mod paint;
    pub(crate) mod raw;
    pub mod words;
}

pub mod crypto {
    pub mod locked;
    pub mod random;
    pub mod spec;
    pub mod wrapping;
}
