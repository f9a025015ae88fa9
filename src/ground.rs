//! What everything else uses: errors, words, files, strict JSON, and the names and facts that several wings tell each
//! other. It decides nothing about keys, HSMs, plans or records. `raw` is the one file with `unsafe`; for [`hsm`](crate::hsm)
//! it calls what the PKCS#11 wrapper does not.

pub mod anchor;
pub(crate) mod clock;
pub(crate) mod environment;
pub mod error;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod lines;
pub(crate) mod out;
pub(crate) mod paint;
#[cfg(feature = "room")]
pub(crate) mod raw;
pub mod strict_json;
pub(crate) mod text;
pub mod token_uri;
pub(crate) mod window;
pub mod words;
