//! AWS KMS: reads import parameters, and the facts about a KMS key.
//!
//! Import parameters come in three forms: the JSON answer of `aws kms get-parameters-for-import`, the console's `.zip`,
//! and a directory with the two files that people make from the answer. Each gives the same: a wrapping key that was
//! checked, the import token that belongs to it, and what is known about their deadline. byok tells the forms apart by
//! content, never by name.

use std::path::Path;

use jiff::Timestamp;

use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::ground::error::Result;
use crate::ground::words;
use crate::plan::kms::KeyArn;
use crate::plan::kms::file::{self, ParameterFile};

mod answer;
mod archive;
mod directory;
mod judge;
mod parts;
mod takes;
pub(crate) mod text;
mod token;

pub(crate) use answer::{optional_string, string, time, wrong_kind};
pub(super) use judge::{FACTS, deadline, given};
pub(crate) use parts::is_token_name;
pub(crate) use takes::{fits, takes};
pub(crate) use token::is_der;

/// The longest import token of the AWS API, in bytes (GetParametersForImport).
pub const MAX_TOKEN_LEN: usize = 6144;

/// The form in which the import parameters came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The JSON answer of GetParametersForImport.
    Json,
    /// The `.zip` that the console downloads.
    ConsoleZip,
    /// A directory that holds the public key and the import token.
    Directory,
}

/// The contents of GetParametersForImport's answer: enough to wrap, and to send the wrapped material back.
#[derive(Clone, Debug)]
pub struct ImportParameters {
    /// The KMS key; the zip and directory forms do not say it.
    pub key_arn: Option<KeyArn>,
    /// The RSA public key to wrap under.
    pub wrapping_key: WrappingKey,
    /// The import token that belongs to the wrapping key: opaque, at most [`MAX_TOKEN_LEN`] bytes.
    pub import_token: Vec<u8>,
    /// Until when KMS accepts key and token; only the JSON form says it.
    pub valid_to: Option<Timestamp>,
    /// The wrapping algorithm, if a later API names it.
    pub wrapping_algorithm: Option<WrappingAlgorithm>,
    /// The file's `WrappingKeySpec`; it is equal to the wrapping key's own.
    pub wrapping_key_spec: Option<String>,
    /// The files that were read.
    pub files: Vec<ParameterFile>,
    /// The form in which they came.
    pub(crate) form: Form,
}

/// Reads import parameters from a file (JSON or zip) or a directory.
///
/// Every file is opened once and must be a regular file of at most 1 MiB. byok follows a symbolic link at `path`
/// itself, but not inside a directory.
///
/// # Errors
/// Exit 2: no such file, not a regular file, too large, or not import parameters; the error says what the file is
/// instead. Exit 4: the wrapping key is not a key that KMS gives, or the file contradicts itself. Exit 5: the file
/// cannot be read.
pub fn read(path: &Path) -> Result<ImportParameters> {
    match file::open(path)? {
        file::Opened::File { name, bytes } => parse(&name, &bytes),
        file::Opened::Directory { name, handle } => directory::read(&name, &handle),
    }
}

/// Reads import parameters from the bytes of one file, JSON or zip; `name` is its base name.
///
/// # Errors
/// As [`read`], except for those of opening.
pub fn parse(name: &str, bytes: &[u8]) -> Result<ImportParameters> {
    let file = ParameterFile {
        name: name.to_owned(),
        sha256: words::sha256(bytes),
    };
    let parameters = match bytes.starts_with(b"PK") {
        true => archive::parse(bytes),
        false => answer::parse(bytes),
    };
    let mut parameters = parameters.map_err(|error| error.doing(name))?;
    parameters.files.push(file);
    Ok(parameters)
}

/// Parameters in a form that contains only key and token.
fn bare(form: Form, spki_der: &[u8], import_token: Vec<u8>) -> Result<ImportParameters> {
    if is_public_key(&import_token) {
        // If the files were swapped, the token's fault says more than the key's.
        token::judge(&import_token, spki_der)?;
    }
    let wrapping_key = WrappingKey::from_spki_der(spki_der)?;
    token::judge(&import_token, spki_der)?;
    Ok(ImportParameters {
        key_arn: None,
        wrapping_key,
        import_token,
        valid_to: None,
        wrapping_algorithm: None,
        wrapping_key_spec: None,
        files: Vec::new(),
        form,
    })
}

fn is_public_key(bytes: &[u8]) -> bool {
    WrappingKey::from_spki_der(bytes).is_ok()
}

#[cfg(test)]
mod tests;
