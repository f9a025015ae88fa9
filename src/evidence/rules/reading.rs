//! Reads files of a record, within limits.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::{Broken, Rule, limits};
use crate::ground::words::{self, Digest};

/// The message for a file that is longer than its limit.
pub(crate) const TOO_LONG: &str = "longer than byok reads";

/// Opens a regular file only: it follows no link and waits for no FIFO.
///
/// # Errors
/// `MISSING`, `ENTRY` or `READ`.
pub(crate) fn open(path: &Path) -> Result<File, Broken> {
    crate::ground::files::open_no_link(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Broken::new(Rule::Missing, "missing"),
        // never from the system: the file that was opened is not a regular one
        std::io::ErrorKind::Other => Broken::new(Rule::Entry, "not a regular file"),
        _ => Broken::new(Rule::Read, e.to_string()),
    })
}

/// SHA-256 of a file, up to its limit.
pub(crate) fn digest(path: &Path) -> Result<Digest, Broken> {
    let file = open(path)?.take(limits::LONGEST_FILE);
    words::sha256_of(file).map_err(|e| Broken::new(Rule::Read, e.to_string()))
}

/// A regular file of at most `longest` bytes.
pub(crate) fn read(path: &Path, longest: u64) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    open(path)?
        .take(longest + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Broken::new(Rule::Read, e.to_string()))?;
    match bytes.len() as u64 > longest {
        true => Err(Broken::new(Rule::Limit, TOO_LONG)),
        false => Ok(bytes),
    }
}
