//! What an import token can be. Only KMS can open it, and it does so only after the ceremony. But byok refuses what
//! KMS cannot have given before it makes a data key for it.

use std::collections::BTreeSet;

use super::text::{self, DOWNLOAD};
use super::{MAX_TOKEN_LEN, is_public_key};
use crate::ground::error::{Error, Result};

/// No KMS, and no stand-in for one, gives fewer bytes.
const MIN_LEN: usize = 32;
/// Encrypted bytes have about as many different values as they are long, up to 256.
const MIN_DIFFERENT: usize = 16;

/// How files begin that are not tokens.
const FILES: [(&[u8], &str); 10] = [
    (b"PK\x03\x04", "a zip"),
    (b"PK\x05\x06", "a zip"),
    (b"PK\x07\x08", "a zip"),
    (b"\x1f\x8b\x08", "compressed (gzip)"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ\0", "compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
    (b"7z\xbc\xaf\x27\x1c", "compressed (7z)"),
    (b"\xfe\xed\xfe\xed", "a key store"),
    (b"\xce\xce\xce\xce", "a key store"),
];

/// Judges a token beside the public key of the same download.
///
/// # Errors
/// Exit 2, check `IMPORT-TOKEN`: AWS cannot have given it; the error says what it is instead, if byok knows.
pub(super) fn judge(token: &[u8], spki: &[u8]) -> Result<()> {
    match fault(token, spki) {
        None => Ok(()),
        Some(what) => Err(Error::usage(format!("the import token {what}"))
            .check("IMPORT-TOKEN")
            .hint(DOWNLOAD)),
    }
}

fn fault(token: &[u8], spki: &[u8]) -> Option<String> {
    let len = token.len();
    if token.is_empty() {
        return Some("is empty".into());
    }
    if len > MAX_TOKEN_LEN {
        return Some(format!(
            "has {len} bytes; KMS gives at most {MAX_TOKEN_LEN}"
        ));
    }
    if is_public_key(token) {
        return Some(
            "is a public key: key and token are swapped, or the key is there twice".into(),
        );
    }
    if holds(token, spki) {
        return Some("holds the public key".into());
    }
    as_text(token).or_else(|| as_bytes(token))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

/// From this length on random bytes are not taken for letters of another alphabet. Of 32 none is a control once in some
/// thousand tokens, of 48 once in half a million; a token of AWS has over a thousand.
const LONG_ENOUGH: usize = 48;

/// Text: an error message, base64 applied twice, the word `None` of a query that found nothing.
fn as_text(token: &[u8]) -> Option<String> {
    let len = token.len();
    let letters = |byte: &&u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    let nul = token.iter().filter(|byte| **byte == 0).count();
    let letters = token.iter().filter(letters).count();
    if nul > len / 8 {
        return Some(match text::decode(token) {
            Some(text) if !text.starts_with('\0') => format!("is UTF-16: {}", what(&text)),
            _ => "is UTF-16, or mostly zero bytes".into(),
        });
    }
    match std::str::from_utf8(token) {
        Ok(text) => return Some(format!("is {}", what(text))),
        Err(_) if len < MIN_LEN => return None,
        Err(_) => {}
    }
    // Letters of another alphabet in its own encoding: Latin-1, Windows-1251, KOI8-R.
    let controls = |byte: &&u8| matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 0x7f..=0x9f);
    let controls = token.iter().filter(controls).count();
    let other = len >= LONG_ENOUGH && controls <= len / 64 && letters >= len / 16;
    (letters >= len - len / 8 || other).then(|| "is text".into())
}

fn what(text: &str) -> String {
    text::named(text).unwrap_or_else(|| "text".into())
}

fn as_bytes(token: &[u8]) -> Option<String> {
    let len = token.len();
    if len < MIN_LEN {
        return Some(format!("has {len} bytes: no KMS gives so few"));
    }
    if is_der(token) {
        return Some("is a key or a certificate (DER)".into());
    }
    if let Some((_, what)) = FILES.iter().find(|(magic, _)| token.starts_with(magic)) {
        return Some(format!("is {what}"));
    }
    let different: BTreeSet<u8> = token.iter().copied().collect();
    (different.len() < MIN_DIFFERENT).then(|| "is the same few bytes over and over".into())
}

/// Whether the bytes are exactly one DER SEQUENCE.
pub(crate) fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x81, len, rest @ ..] => rest.len() == usize::from(*len),
        [0x30, 0x82, high, low, rest @ ..] => {
            rest.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}
