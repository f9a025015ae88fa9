//! The chain of a transcript as a crate of its own, with what it asks of the rest of the house in the least
//! form: see `tests/mutants.sh`.

pub mod ground {
    pub(crate) mod environment;
    pub mod error;
    pub mod facts;
    pub mod files;
    pub(crate) mod paint;
    pub(crate) mod raw;
    pub mod strict_json;
    pub mod words;
}

pub mod crypto {
    pub mod escrow {
        pub mod policy;
        pub mod slip39;
    }
    pub mod key_id;
    pub mod locked;
    pub(crate) mod random;
    pub mod spec;

    pub mod wrapping {
        pub fn glance(_: Option<&str>, _: &str) -> String {
            String::new()
        }
    }
}

pub mod evidence {
    pub mod rules;
    pub mod transcript {
        pub mod chain;
        pub mod event;
        pub use event::*;
        pub const FORMAT: &str = "byok-transcript-v1";
    }
}

pub mod plan {
    use serde::{Deserialize, Serialize};

    pub const MOST_KEYS: usize = 4096;

    pub mod kms {
        pub struct KmsKey;

        impl KmsKey {
            pub fn as_str(&self) -> &str {
                "key"
            }

            pub fn arn(&self) -> Option<()> {
                None
            }

            pub fn word(&self) -> Option<&'static str> {
                None
            }
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Kind {
        Generate,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum WrapIn {
        Hsm,
    }

    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && name.trim() == name && crate::ground::words::is_printable(name)
    }
}
