//! Memory for secrets: never swapped, never dumped, zeroized. The one room with `unsafe`.
//!
//! PINs and, with `wrap_in = "host"`, key bytes live in a mapping of their own that is locked
//! (mlock(2)) and left out of core dumps (MADV_DONTDUMP). Only these buffers are locked: locking
//! the whole process (mlockall) makes vendors' modules fail under ordinary limits.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use cryptoki::types::RawAuthPin;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use zeroize::Zeroize;

use crate::error::{Error, Result};

/// A buffer of fixed length in locked memory. Dropping it zeroizes and unmaps it.
pub struct Locked {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Locked {}

impl Locked {
    /// `len` zero bytes.
    ///
    /// # Errors
    /// Exit 5 where the memory cannot be mapped or locked.
    pub fn zeroed(len: usize) -> Result<Self> {
        let size = len.max(1);
        // SAFETY: a fresh private mapping at an address of the kernel's choice touches nothing else.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(|e| memory_error("mapping memory for a secret", e))?;
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Err(Error::machine("mapping memory for a secret: no address"));
        };
        let buffer = Self { start, len };
        // SAFETY: exactly the mapping made above.
        unsafe { rustix::mm::mlock(buffer.address(), size) }
            .map_err(|e| memory_error("locking memory for a secret", e))?;
        // SAFETY: as above. A kernel without this advice still has core dumps switched off.
        let _ = unsafe { rustix::mm::madvise(buffer.address(), size, Advice::LinuxDontDump) };
        Ok(buffer)
    }

    /// The first `len` bytes in a buffer of their own; this one is zeroized.
    ///
    /// # Errors
    /// As [`zeroed`](Self::zeroed).
    pub fn truncated(self, len: usize) -> Result<Self> {
        let len = len.min(self.len);
        let mut shorter = Self::zeroed(len)?;
        shorter.copy_from_slice(&self[..len]);
        Ok(shorter)
    }

    /// Hands the bytes to `login` as the PKCS#11 wrapper's PIN type, whose heap copy is locked
    /// while it lives and zeroized before this returns.
    pub fn as_pin<T>(&self, login: impl FnOnce(&RawAuthPin) -> T) -> T {
        let mut copy = Vec::with_capacity(self.len);
        let (start, capacity) = (copy.as_mut_ptr() as *mut c_void, copy.capacity());
        // SAFETY: the range is this vector's own buffer; it never grows. Locking is best effort
        // here: the same bytes are already locked in `self`, and the page may be shared.
        let locked = unsafe { rustix::mm::mlock(start, capacity) }.is_ok();
        copy.extend_from_slice(self);
        let pin = RawAuthPin::new(Box::new(copy));
        let result = login(&pin);
        drop(pin);
        if locked {
            // SAFETY: undoes exactly the lock above; unlocking reads and writes nothing.
            let _ = unsafe { rustix::mm::munlock(start, capacity) };
        }
        result
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

fn memory_error(doing: &str, errno: rustix::io::Errno) -> Error {
    Error::machine(format!("{doing}: {errno}"))
        .hint("see `ulimit -l`: byok needs 1 MiB of lockable memory (8 MiB is Debian's default)")
}

impl Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is `len` initialised bytes and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` is the only way in.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.zeroize();
        // SAFETY: nobody else holds the mapping; unmapping also unlocks it.
        let _ = unsafe { rustix::mm::munmap(self.address(), self.len.max(1)) };
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
