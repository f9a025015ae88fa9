//! The readers of import parameters as a crate of their own, with what every KMS takes: see `tests/mutants.sh`.

pub mod ground {
    pub(crate) mod environment;
    pub mod clock;
    pub mod error;
    pub mod files;
    pub(crate) mod paint;
    pub(crate) mod raw;
    pub mod strict_json;
    pub mod words;
}

pub mod crypto {
    pub mod locked;
    pub mod random;
    pub mod spec;
    pub mod wrapping;
}

pub mod plan {
    pub mod kms;
}
