//! byok: offline key ceremonies for keys brought to a cloud KMS.
pub mod error;
pub mod words;
pub mod wrapping;
