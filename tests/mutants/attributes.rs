//! The judgement of attributes as a crate of its own: see `tests/mutants.sh`.

pub mod hsm {
    pub mod attributes;
}

pub mod ground {
    pub(crate) mod environment;
    pub mod facts;
    pub(crate) mod paint;
    pub mod strict_json;
    pub mod words;
}

pub mod crypto {
    pub mod spec;
}
