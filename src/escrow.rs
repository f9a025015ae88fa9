//! Escrow: a one-time key wraps the data keys into a package, and shares of it go to the custodians.
//!
//! Neither package nor quorum opens anything alone. Shares that come back are not trusted: each is
//! checked by itself, and only a [`Quorum`] can recover the escrow key.

use crate::words::{self, Digest};

pub mod package;
pub mod quorum;
pub mod slip39;

pub use package::{Package, PackedKey};
pub use quorum::{Quorum, Refused, UntrustedShares};

/// Length of an escrow key in bytes.
pub const ESCROW_KEY_LEN: usize = 32;

/// How many words a share of an escrow key has.
pub const SHARE_WORDS: usize = 33;

/// What a share is recognised by without telling it: SHA-256 of `byok-share-v1`, the ceremony's id and
/// the 33 lower-case words joined by single spaces, each line ended by a line feed.
pub fn share_digest(ceremony: &str, words: &slip39::words::Words) -> Digest {
    use sha2::Digest as _;
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
}

/// What is wrong with a package, a share or a quorum, in words.
type Why = String;

/// First two bytes of a digest in hex: the check of one typed row.
fn row_check(text: &str) -> String {
    words::hex(&words::sha256(text.as_bytes())[..2])
}
