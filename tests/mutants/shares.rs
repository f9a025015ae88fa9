//! What deals shares and brings a secret back, as a crate of its own: see `tests/mutants.sh`.

pub mod ground {
    pub(crate) mod environment;
    pub mod error;
    pub(crate) mod paint;
    pub(crate) mod raw;
    pub mod words;
}

pub mod crypto {
    pub mod escrow {
        pub(crate) mod policy;
        pub(crate) mod quorum;
        pub mod slip39;
    }
    pub mod locked;
    pub mod random;
}
