//! Memory for secrets: never swapped, never dumped, zeroized.
//!
//! What software leaves on the stack is overwritten ([`leaving_nothing`]), and so is what returns to the heap
//! (`raw.rs`). Whatever secret software holds for longer than a call is in a [`Locked`]: PINs, escrow keys, shares and
//! their words, data keys from files, and key bytes with `wrap_in = "host"`. Each is in its own mapping, which is locked
//! (mlock(2)) and left out of core dumps (MADV_DONTDUMP). Only these buffers are locked: if the whole process were
//! (mlockall), vendors' modules would fail under ordinary limits.
//!
//! Not locked, but overwritten: what RSA and curves compute with, on the heap, and the copy of a PIN that the
//! PKCS#11 wrapper takes, which is locked where the limits allow it.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

use crate::crypto::random;
#[cfg(feature = "room")]
use crate::ground::error::Error;
use crate::ground::error::Result;
#[cfg(feature = "room")]
use crate::ground::raw::{NoPages, Pages};

/// The bytes. Without the room there is no `unsafe`, and therefore no locking: neither PINs nor data keys come into
/// such a program.
#[cfg(not(feature = "room"))]
type Pages = Box<[u8]>;

/// A buffer of fixed length in locked memory. Dropping it zeroizes and unmaps it.
pub struct Locked(Pages);

impl Locked {
    /// `len` zero bytes.
    ///
    /// # Errors
    /// Exit 5 if the memory cannot be mapped or locked.
    pub(crate) fn zeroed(len: usize) -> Result<Self> {
        pages(len).map(Self)
    }

    /// `len` random bytes; an error says with `what` what was being drawn.
    ///
    /// # Errors
    /// Exit 5 if the memory cannot be locked or the operating system's generator fails.
    pub(crate) fn random(len: usize, what: &str) -> Result<Self> {
        let mut drawn = Self::zeroed(len)?;
        random::fill(&mut drawn, what)?;
        Ok(drawn)
    }

    /// The first `len` bytes in a new buffer; the old one is zeroized.
    ///
    /// # Errors
    /// As [`zeroed`](Self::zeroed).
    pub(crate) fn truncated(self, len: usize) -> Result<Self> {
        let len = len.min(self.0.len());
        let mut shorter = Self::zeroed(len)?;
        shorter.copy_from_slice(&self[..len]);
        Ok(shorter)
    }
}

/// How much of the stack is overwritten, in bytes: more than the software of a debug build uses for a key.
const USED_STACK: usize = 256 << 10;

/// Does `work` with secrets, and overwrites what it leaves on the stack: ciphers expand their keys there, and
/// every move leaves a copy, which the values cannot wipe when they are dropped.
pub(crate) fn leaving_nothing<T>(work: impl FnOnce() -> T) -> T {
    let done = in_a_frame(work);
    wipe_stack();
    done
}

/// Its frame begins where that of [`wipe_stack`] does.
#[inline(never)]
fn in_a_frame<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_stack() {
    let mut used = [0_u8; USED_STACK];
    used.zeroize(); // volatile: the compiler may not leave it out although nobody reads it
    std::hint::black_box(&used);
}

#[cfg(feature = "room")]
fn pages(len: usize) -> Result<Pages> {
    Pages::zeroed(len).map_err(memory_error)
}

#[cfg(not(feature = "room"))]
fn pages(len: usize) -> Result<Pages> {
    Ok(vec![0; len].into())
}

#[cfg(feature = "room")]
fn memory_error((doing, errno): NoPages) -> Error {
    Error::machine(format!("{doing}: {errno}"))
        .hint("see `ulimit -l`: byok needs 1 MiB of lockable memory (8 MiB is Debian's default)")
}

impl Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_formatted() {
        let mut secret = Locked::zeroed(4).unwrap();
        secret.copy_from_slice(b"1234");
        assert_eq!(format!("{secret:?}"), "Locked(..)");
        assert_eq!(&secret.truncated(2).unwrap()[..], b"12");
    }
}
