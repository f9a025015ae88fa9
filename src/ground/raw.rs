//! What the compiler cannot check: the one file with `unsafe`, each use with its reason. It has locked memory for
//! secrets (see [`crate::crypto::locked`]), an allocator that wipes memory, PKCS#11 mechanisms by number, three
//! PKCS#11 calls that the wrapper makes differently, and what this process was started with (see
//! [`crate::hsm::machine::sandbox`]).
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{OsString, c_void};
use std::ops::{Deref, DerefMut};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::{fs, io};

use cryptoki::context::Function;
use cryptoki::error::{Error as P11Error, Rv};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_INFO, CK_MECHANISM, CK_SESSION_HANDLE, CK_SLOT_ID, CK_TOKEN_INFO, CK_ULONG,
};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// A private mapping of fixed length: locked (mlock(2)), left out of core dumps (MADV_DONTDUMP), and unmapped when
/// it is dropped.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Pages {}

/// Why there are no pages: the step that failed, and the kernel's error.
pub(crate) type NoPages = (&'static str, Errno);

impl Pages {
    /// `len` zero bytes.
    pub(crate) fn zeroed(len: usize) -> Result<Self, NoPages> {
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
        .map_err(|e| ("mapping memory for a secret", e))?;
        let start = NonNull::new(start.cast::<u8>())
            .ok_or(("mapping memory for a secret", Errno::NOMEM))?;
        let pages = Self { start, len };
        // SAFETY: exactly the mapping made above.
        unsafe { rustix::mm::mlock(pages.address(), size) }
            .map_err(|e| ("locking memory for a secret", e))?;
        // SAFETY: as above. A kernel without this advice still has core dumps switched off.
        let _ = unsafe { rustix::mm::madvise(pages.address(), size, Advice::LinuxDontDump) };
        Ok(pages)
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is `len` initialised bytes and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` is the only way in.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: nobody else holds the mapping; unmapping also unlocks it.
        let _ = unsafe { rustix::mm::munmap(self.address(), self.len.max(1)) };
    }
}

/// The system's allocator, but every block is overwritten before it is freed. Software that computes with private
/// keys (the numbers behind RSA and the curves) frees its intermediate values as they are, and a vector that grows
/// leaves its old block behind; nothing else could wipe those.
struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: every block is the system allocator's, with the layout that was asked for. `realloc` stays the
// default one: a new block, a copy, and the old one given back here.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above; the kernel's fresh pages need no second wiping
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until the end of this call, and has that size
        unsafe { block.write_bytes(0, layout.size()) };
        std::hint::black_box(block); // as if somebody read it: otherwise the compiler omits the writing
        // SAFETY: it came from `alloc` with this layout
        unsafe { System.dealloc(block, layout) };
    }
}

/// Copies `bytes` into a vector whose buffer is locked while `used` has it; `used` must zeroize it. Locking is best
/// effort here: the same bytes are locked elsewhere, and other data may be on the same page.
pub(crate) fn with_locked_copy<T>(bytes: &[u8], used: impl FnOnce(Vec<u8>) -> T) -> T {
    let mut copy = Vec::with_capacity(bytes.len());
    let (start, capacity) = (copy.as_mut_ptr() as *mut c_void, copy.capacity());
    // SAFETY: the range is this vector's own buffer; it never grows.
    let locked = unsafe { rustix::mm::mlock(start, capacity) }.is_ok();
    copy.extend_from_slice(bytes);
    let result = used(copy);
    if locked {
        // SAFETY: undoes exactly the lock above; unlocking reads and writes nothing.
        let _ = unsafe { rustix::mm::munlock(start, capacity) };
    }
    result
}

/// The mechanism type of any PKCS#11 number. The wrapper makes one only from vendors' numbers (from 0x80000000),
/// and does not know AES-KWP (0x210B) or CKM_RSA_AES_KEY_WRAP (0x1054) by name.
pub(crate) fn mechanism_type(number: u64) -> MechanismType {
    const {
        assert!(size_of::<MechanismType>() == size_of::<u64>());
        assert!(align_of::<MechanismType>() == align_of::<u64>());
    }
    // SAFETY: MechanismType is `repr(transparent)` over CK_MECHANISM_TYPE, an unsigned long of 64 bits here,
    // as the assertions above hold it to; every value of it is valid.
    unsafe { std::mem::transmute::<u64, MechanismType>(number) }
}

/// The functions of a PKCS#11 module, for three calls that byok needs in a different form from the wrapper's. The
/// wrapper refuses a whole token for a clock in CK_TOKEN_INFO, and a module for flags in CK_INFO, which byok does
/// not read. And it first asks C_WrapKey for a length, to which modules answer too much or too little, or with an
/// operation that stays active.
pub(crate) struct Functions {
    list: CK_FUNCTION_LIST,
    /// The functions are there as long as this is.
    _module: cryptoki_sys::Pkcs11,
}

impl Functions {
    /// The functions of a module that the wrapper has already loaded.
    pub(crate) fn of(module: &Path) -> Result<Self, P11Error> {
        // SAFETY: the library is loaded, so nothing of it runs now; its symbols have the types of the standard,
        // which the wrapper relies on too.
        let module =
            unsafe { cryptoki_sys::Pkcs11::new(module) }.map_err(P11Error::LibraryLoading)?;
        if module.C_GetFunctionList.is_err() {
            return Err(P11Error::MissingSymbol("C_GetFunctionList"));
        }
        let mut list = ptr::null_mut();
        // SAFETY: the symbol is there, and writes one pointer to where it may.
        let answered = unsafe { module.C_GetFunctionList(&raw mut list) };
        Rv::from(answered).into_result(Function::GetFunctionList)?;
        let list = NonNull::new(list).ok_or(P11Error::NullFunctionPointer)?;
        Ok(Self {
            // SAFETY: the module's own list, which it must leave in place for everybody; copied here.
            list: unsafe { list.read() },
            _module: module,
        })
    }

    /// C_GetInfo.
    pub(crate) fn info(&self) -> Result<CK_INFO, P11Error> {
        let call = self.list.C_GetInfo.ok_or(P11Error::NullFunctionPointer)?;
        let mut info = CK_INFO::default();
        // SAFETY: it fills in one such structure, which outlives the call.
        let answered = unsafe { call(&raw mut info) };
        Rv::from(answered).into_result(Function::GetInfo)?;
        Ok(info)
    }

    /// C_GetTokenInfo.
    pub(crate) fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, P11Error> {
        let call = self
            .list
            .C_GetTokenInfo
            .ok_or(P11Error::NullFunctionPointer)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: it fills in one such structure, which outlives the call.
        let answered = unsafe { call(slot, &raw mut info) };
        Rv::from(answered).into_result(Function::GetTokenInfo)?;
        Ok(info)
    }

    /// C_WrapKey, once, into a buffer of this length. Returns the bytes and the length that the module reports,
    /// which may be more than the buffer could hold.
    pub(crate) fn wrap_key(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism,
        wrapping: ObjectHandle,
        key: ObjectHandle,
        mut wrapped: Vec<u8>,
    ) -> Result<(Vec<u8>, CK_ULONG), P11Error> {
        let call = self.list.C_WrapKey.ok_or(P11Error::NullFunctionPointer)?;
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let mut len = wrapped.len() as CK_ULONG;
        // SAFETY: mechanism, buffer and length outlive the call; it writes at most as many bytes as the length
        // says that there is room for.
        let answered = unsafe {
            call(
                session,
                &raw mut mechanism,
                wrapping.handle(),
                key.handle(),
                wrapped.as_mut_ptr(),
                &raw mut len,
            )
        };
        Rv::from(answered).into_result(Function::WrapKey)?;
        wrapped.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok((wrapped, len))
    }
}

/// A descriptor with which this process was started: nothing in the process owns it.
pub(crate) struct Inherited(RawFd);

impl Inherited {
    pub(crate) fn number(&self) -> RawFd {
        self.0
    }

    pub(crate) fn close(self) {
        // SAFETY: it was open before anything here opened one, so no other value owns it, and this one
        // is used up.
        drop(unsafe { OwnedFd::from_raw_fd(self.0) });
    }
}

/// Every open descriptor from 3 on. To be called before this process opens any of its own.
pub(crate) fn inherited_descriptors() -> io::Result<Vec<Inherited>> {
    let listed = fs::read_dir("/proc/self/fd")?;
    let numbers = listed.map(|entry| Ok(entry?.file_name().to_str().and_then(|n| n.parse().ok())));
    let numbers: Vec<Option<RawFd>> = numbers.collect::<io::Result<_>>()?;
    let inherited = numbers.into_iter().flatten().filter(|fd| {
        // the listing's own descriptor is closed by now
        *fd > 2 && fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok()
    });
    Ok(inherited.map(Inherited).collect())
}

/// Removes variables from the environment, unless another thread could be reading it.
pub(crate) fn remove_variables(names: &[OsString]) -> io::Result<()> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if !names.is_empty() && threads != 1 {
        return Err(io::Error::other(format!("there are {threads} threads")));
    }
    // An entry that begins with `=` has a name that nobody can look up, so a module cannot either.
    let can_be_named = |name: &&OsString| {
        !name.is_empty()
            && !std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()).contains(&b'=')
    };
    for name in names.iter().filter(can_be_named) {
        // SAFETY: this is the only thread, so nobody reads or writes the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_mechanism_that_the_wrapper_names() {
        assert_eq!(mechanism_type(0x2109), MechanismType::AES_KEY_WRAP);
        assert_eq!(mechanism_type(0x9), MechanismType::RSA_PKCS_OAEP);
    }
}
