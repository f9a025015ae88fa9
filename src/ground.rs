//! What everything else uses. It knows nothing about keys, HSMs, plans or records.

pub mod anchor;
pub(crate) mod clock;
pub(crate) mod environment;
pub mod error;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod lines;
pub(crate) mod out;
#[cfg(feature = "room")]
pub(crate) mod raw;
pub mod strict_json;
pub(crate) mod text;
pub mod token_uri;
pub(crate) mod window;
pub mod words;
