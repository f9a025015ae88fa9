//! Escrow: a one-time key wraps the data keys into a package, and shares of it go to the custodians.
//!
//! Neither the package nor a quorum opens anything alone. byok does not trust shares that come back: it checks
//! each by itself, and only a [`Quorum`] can recover the escrow key.

use std::io::Read as _;
use std::path::Path;

use crate::crypto::locked::{Locked, leaving_nothing};
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

pub mod package;
pub(crate) mod policy;
pub(crate) mod quorum;
pub mod slip39;

pub(crate) use package::{KeyWrap, Package, PackedKey};
pub(crate) use policy::Policy;
pub use quorum::UntrustedShares;
pub(crate) use quorum::{Quorum, Refused};
pub(crate) use slip39::NotAShare;

/// Length of an escrow key in bytes.
pub(crate) const ESCROW_KEY_LEN: usize = 32;

/// The longest share file that byok reads, in bytes.
const LONGEST_SHARE_FILE: usize = 16 << 10;

/// How many words a share of an escrow key has.
pub(crate) const SHARE_WORDS: usize = 33;

/// The name of a share's file: `03-riviera.txt`.
pub(crate) fn share_file_name(number: u64, custodian: &str) -> String {
    format!("{number:02}-{custodian}.txt")
}

/// The digest that identifies a share without revealing it: SHA-256 of `byok-share-v1`, the ceremony's id and the 33
/// lower-case words joined by single spaces, each line ended by a line feed.
pub fn share_digest(ceremony: &str, words: &slip39::words::Words) -> Digest {
    use sha2::Digest as _;
    leaving_nothing(|| {
        let mut hasher = sha2::Sha256::new();
        hasher.update(format!("byok-share-v1\n{ceremony}\n"));
        for at in 0..words.len() {
            if at > 0 {
                hasher.update(b" ");
            }
            hasher.update(words.word(at));
        }
        hasher.update(b"\n");
        hasher.finalize().into()
    })
}

/// Reads the words of a share file: its last line, 33 words with single spaces.
///
/// # Errors
/// Exit 2 if the file cannot be read, or if its last line is not 33 words of the list; the error names the row.
pub fn read_share_file(path: &Path) -> Result<slip39::words::Words> {
    let bad = |why: String| Error::usage(format!("the share file {}: {why}", path.display()));
    let (text, len) = read_locked(path).map_err(bad)?;
    if len == LONGEST_SHARE_FILE {
        return Err(bad("longer than any share file".into()));
    }
    share_words(&text[..len])
        .map_err(|error| error.doing(format!("the share file {}", path.display())))
}

/// The words of a share file, from its text: the last line, 33 words.
///
/// # Errors
/// Exit 2 if the last line is not 33 words of the list; the error names the row. Exit 5 if no locked memory is
/// available.
pub fn share_words(text: &[u8]) -> Result<slip39::words::Words> {
    let mut share = slip39::words::Words::blank(SHARE_WORDS)?;
    let mut count = 0;
    for word in words_of_last_line(text) {
        let number = slip39::words::number_of(word).ok_or_else(|| {
            Error::usage(format!(
                "word {} of its last line is not in the list",
                count + 1
            ))
        })?;
        if count < SHARE_WORDS {
            share.set(count, number);
        }
        count += 1;
    }
    if count != SHARE_WORDS {
        return Err(Error::usage(format!(
            "its last line has {count} words, not {SHARE_WORDS}"
        )));
    }
    Ok(share)
}

/// What can be said about a share file without revealing anything about the share.
pub(crate) struct ShareFile {
    /// How many words its last line has.
    pub words: usize,
    /// Whether they are 33 words of the list and their checksum holds.
    pub holds: bool,
    /// Why byok never dealt it, if the checksum is right.
    pub foreign: Option<NotAShare>,
}

/// Whether this file is a share, or was meant to be one: it begins like byok's share files, or most words of its
/// last line are in the list. Its contents are held in locked memory only.
///
/// # Errors
/// Exit 2 if it cannot be read; exit 5 if no locked memory is available.
pub(crate) fn share_file(path: &Path) -> Result<Option<ShareFile>> {
    let bad = |why: String| Error::usage(format!("{}: {why}", path.display()));
    let (text, len) = read_locked(path).map_err(bad)?;
    let text = &text[..len];
    let count = words_of_last_line(text).count();
    let listed = words_of_last_line(text)
        .filter(|word| slip39::words::number_of(word).is_some())
        .count();
    let is_share = text.starts_with(b"byok share ") || count >= 20 && listed * 2 > count;
    if !is_share || len == LONGEST_SHARE_FILE {
        return Ok(None);
    }
    let read = share_words(text).ok();
    let judged = read.map(|words| slip39::Share::as_dealt(&words).err());
    Ok(Some(ShareFile {
        words: count,
        holds: !matches!(judged, None | Some(Some(NotAShare::Checksum { .. }))),
        foreign: judged.flatten().filter(|why| !why.is_mistyped()),
    }))
}

/// The first [`LONGEST_SHARE_FILE`] bytes of a file, and how many were read.
fn read_locked(path: &Path) -> Result<(Locked, usize), Why> {
    let mut text = Locked::zeroed(LONGEST_SHARE_FILE).map_err(|e| e.line())?;
    let mut file = crate::ground::files::open_regular(path).map_err(|e| e.to_string())?;
    let mut len = 0;
    loop {
        match file.read(&mut text[len..]) {
            Ok(0) => return Ok((text, len)),
            Ok(more) => len += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn words_of_last_line(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or_default();
    last.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// What is wrong with a package, a share or a quorum, in words.
type Why = String;

/// The first two bytes of a digest in hex: the check of a typed row.
fn row_check(text: &str) -> String {
    words::hex(&words::sha256(text.as_bytes())[..2])
}
