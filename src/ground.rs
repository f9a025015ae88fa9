//! What everyone uses: it knows nothing of keys, HSMs, plans or records.

pub mod anchor;
pub(crate) mod clock;
pub mod error;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod raw;
pub mod strict_json;
pub mod token_uri;
pub mod words;
