//! A PKCS#11 v2.40 module whose HSM is in another process.
//!
//! `BYOK_REMOTE_SOCKET` names a Unix socket; every call goes there, as [`wire`] says, and its answer comes
//! back. Whoever listens hands them to a `byok-remote`, which loads the real module (see `main.rs`), and may
//! look at this process in the meantime: it stands still until the answer comes.
//!
//! Nothing stays here: what went through the one buffer is wiped before a call returns.

mod wire;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use cryptoki_sys::*;
use wire::types::*;
use wire::{Buffer, Reader, functions};

/// One argument, or several that belong together.
trait Argument {
    /// Puts what the function is to know.
    fn ask(&self, _out: &mut Buffer) {}

    /// Takes what the function tells; `None` where the answer cannot be read.
    fn answer(&mut self, _from: &mut Reader) -> Option<()> {
        Some(())
    }
}

struct Connection {
    stream: UnixStream,
    buffer: Buffer,
}

static CONNECTION: Mutex<Option<Connection>> = Mutex::new(None);

fn call(name: &str, arguments: &mut [&mut dyn Argument]) -> CK_RV {
    let mut connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    if connection.is_none() {
        let Some(stream) =
            std::env::var_os("BYOK_REMOTE_SOCKET").and_then(|path| UnixStream::connect(path).ok())
        else {
            return CKR_DEVICE_REMOVED;
        };
        *connection = Some(Connection {
            stream,
            buffer: Buffer::new(),
        });
    }
    let Some(open) = connection.as_mut() else {
        return CKR_GENERAL_ERROR;
    };
    let rv = open.exchange(name, arguments);
    open.buffer.wipe();
    rv.unwrap_or(CKR_DEVICE_REMOVED)
}

impl Connection {
    /// `None` where the other side is gone or cannot be understood.
    fn exchange(&mut self, name: &str, arguments: &mut [&mut dyn Argument]) -> Option<CK_RV> {
        self.buffer.sized(Some(name.as_bytes()));
        for argument in arguments.iter() {
            argument.ask(&mut self.buffer);
        }
        let len = u32::try_from(self.buffer.filled().len()).ok()?;
        self.stream.write_all(&len.to_ne_bytes()).ok()?;
        self.stream.write_all(self.buffer.filled()).ok()?;
        self.buffer.wipe();
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).ok()?;
        let room = self.buffer.room(u32::from_ne_bytes(len) as usize)?;
        self.stream.read_exact(room).ok()?;
        let mut answer = Reader(self.buffer.filled());
        let rv = answer.number()? as CK_RV;
        for argument in arguments.iter_mut() {
            argument.answer(&mut answer)?;
        }
        Some(rv)
    }
}

macro_rules! shims {
    ($($name:ident ( $($arg:ident : $type:ty),* ) = $($kind:ident ( $($of:ident),* ))*;)*) => {
        #[allow(non_snake_case)]
        mod shims {
            use super::*;
            $(pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
                call(stringify!($name), &mut [$(&mut $kind($($of),*)),*])
            })*
        }

        static LIST: FunctionList = FunctionList(CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_GetFunctionList: Some(C_GetFunctionList),
            $($name: Some(shims::$name),)*
            ..NOTHING
        });
    };
}
functions!(shims);

/// A function list without functions: every field is an optional pointer, and the version.
// SAFETY: `None` of a function pointer is all zeros, and a version of zeros is one
const NOTHING: CK_FUNCTION_LIST = unsafe { std::mem::zeroed() };

/// The list that callers get. It is never written to.
struct FunctionList(CK_FUNCTION_LIST);
// SAFETY: function pointers and a version, constant
unsafe impl Sync for FunctionList {}

/// The one symbol of the library.
///
/// # Safety
/// `list` is null or points to a pointer that may be written, as PKCS#11 asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null, the caller's; nobody writes through what is pointed to
    unsafe { *list = (&raw const LIST.0).cast_mut() };
    CKR_OK
}

/// What PKCS#11 lets be null, as a slice.
///
/// # Safety
/// `start` is null, or points to `len` readable values that live as long as the call.
unsafe fn slice<'a, T>(start: *const T, len: Ulong) -> Option<&'a [T]> {
    // SAFETY: the caller's
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, len as usize) })
}

/// Copies what came to where the caller wants it, as far as both reach.
///
/// # Safety
/// `to` is null or points to `room` writable bytes.
unsafe fn copy(bytes: &[u8], to: Bytes, room: usize) {
    if !to.is_null() {
        // SAFETY: the caller's
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(room)) };
    }
}

struct Nothing;
impl Argument for Nothing {}

fn nothing(_: Void) -> Nothing {
    Nothing
}

fn no_callback(_: CK_NOTIFY) -> Nothing {
    Nothing
}

struct Number(u64);
impl Argument for Number {
    fn ask(&self, out: &mut Buffer) {
        out.number(self.0);
    }
}

fn number(number: Ulong) -> Number {
    Number(number)
}

fn flag(flag: CK_BBOOL) -> Number {
    Number(flag.into())
}

struct Given(Bytes, Ulong);
impl Argument for Given {
    fn ask(&self, out: &mut Buffer) {
        // SAFETY: the caller's buffer and its length
        out.sized(unsafe { slice(self.0, self.1) });
    }
}

fn bytes(start: Bytes, len: Ulong) -> Given {
    Given(start, len)
}

/// A structure or a handle that the function fills in.
struct Told<T>(*mut T);
impl<T> Argument for Told<T> {
    fn answer(&mut self, from: &mut Reader) -> Option<()> {
        let told = from.take(size_of::<T>())?;
        // SAFETY: the caller's structure, as long as its type
        unsafe { copy(told, self.0.cast(), size_of::<T>()) };
        Some(())
    }
}

fn told<T>(place: *mut T) -> Told<T> {
    Told(place)
}

/// A buffer whose length the caller says and the function corrects, in units of so many bytes.
struct Room(Bytes, Len, usize);
impl Argument for Room {
    fn ask(&self, out: &mut Buffer) {
        // SAFETY: null, or the caller's length
        let len = unsafe { self.1.as_ref() }.copied().unwrap_or_default();
        out.number(u64::from(!self.0.is_null()));
        out.number(len);
    }

    fn answer(&mut self, from: &mut Reader) -> Option<()> {
        let (len, bytes) = (from.number()?, from.sized()?);
        // SAFETY: null, or the caller's length
        let place = unsafe { self.1.as_mut() }?;
        let room = *place as usize * self.2;
        *place = len;
        // SAFETY: null, or so much room as the caller said
        unsafe { copy(bytes.unwrap_or_default(), self.0, room) };
        Some(())
    }
}

fn room(out: Bytes, len: Len) -> Room {
    Room(out, len, 1)
}

fn list(out: *mut CK_ULONG, count: Len) -> Room {
    Room(out.cast(), count, size_of::<CK_ULONG>())
}

/// A buffer that is filled whole.
struct Filled(Bytes, Ulong);
impl Argument for Filled {
    fn ask(&self, out: &mut Buffer) {
        out.number(self.1);
    }

    fn answer(&mut self, from: &mut Reader) -> Option<()> {
        let bytes = from.sized()?;
        // SAFETY: null, or as long as the caller said
        unsafe { copy(bytes.unwrap_or_default(), self.0, self.1 as usize) };
        Some(())
    }
}

fn filled(out: Bytes, len: Ulong) -> Filled {
    Filled(out, len)
}

/// Handles that were found: at most so many.
struct Found(Handle, Ulong, Len);
impl Argument for Found {
    fn ask(&self, out: &mut Buffer) {
        out.number(self.1);
    }

    fn answer(&mut self, from: &mut Reader) -> Option<()> {
        let (count, handles) = (from.number()?, from.sized()?);
        // SAFETY: null, or the caller's count
        *unsafe { self.2.as_mut() }? = count;
        let room = self.1 as usize * size_of::<CK_OBJECT_HANDLE>();
        // SAFETY: null, or room for as many as the caller said
        unsafe { copy(handles.unwrap_or_default(), self.0.cast(), room) };
        Some(())
    }
}

fn found(objects: Handle, most: Ulong, count: Len) -> Found {
    Found(objects, most, count)
}

/// Attributes with values.
struct Attributes(Template, Ulong);
impl Argument for Attributes {
    fn ask(&self, out: &mut Buffer) {
        // SAFETY: the caller's template
        let attributes = unsafe { slice(self.0, self.1) }.unwrap_or_default();
        out.number(attributes.len() as u64);
        for attribute in attributes {
            out.number(attribute.type_);
            // SAFETY: the caller's value and its length
            out.sized(unsafe { slice(attribute.pValue.cast::<u8>(), attribute.ulValueLen) });
        }
    }
}

fn attributes(template: Template, count: Ulong) -> Attributes {
    Attributes(template, count)
}

/// Attributes that are asked for: types and room there, lengths and values back.
struct Asked(Template, Ulong);
impl Argument for Asked {
    fn ask(&self, out: &mut Buffer) {
        // SAFETY: the caller's template
        let attributes = unsafe { slice(self.0, self.1) }.unwrap_or_default();
        out.number(attributes.len() as u64);
        for attribute in attributes {
            out.number(attribute.type_);
            out.number(u64::from(!attribute.pValue.is_null()));
            out.number(attribute.ulValueLen);
        }
    }

    fn answer(&mut self, from: &mut Reader) -> Option<()> {
        for at in 0..self.1 as usize {
            // SAFETY: the caller's template has so many
            let attribute = unsafe { &mut *self.0.add(at) };
            let (len, value) = (from.number()?, from.sized()?);
            let room = attribute.ulValueLen as usize;
            attribute.ulValueLen = len;
            // SAFETY: null, or as much room as the caller said
            unsafe { copy(value.unwrap_or_default(), attribute.pValue.cast(), room) };
        }
        Some(())
    }
}

fn asked(template: Template, count: Ulong) -> Asked {
    Asked(template, count)
}

/// A mechanism: its number, its parameter as it lies there, and, for RSAES-OAEP, which alone of those
/// that byok uses points to more, nothing else, for the label that it would point to is empty.
struct Chosen(Mechanism);
impl Argument for Chosen {
    fn ask(&self, out: &mut Buffer) {
        // SAFETY: null, or the caller's mechanism
        let Some(mechanism) = (unsafe { self.0.as_ref() }) else {
            return out.number(u64::MAX);
        };
        let oaep = Self::oaep_of_rsa_aes(mechanism);
        out.number(mechanism.mechanism);
        // SAFETY: the caller's parameter and its length
        out.sized(unsafe { slice(mechanism.pParameter.cast::<u8>(), mechanism.ulParameterLen) });
        // SAFETY: null, or the parameters of the OAEP inside
        out.sized(unsafe {
            slice(
                oaep.cast::<u8>(),
                size_of::<CK_RSA_PKCS_OAEP_PARAMS>() as u64,
            )
        });
    }
}

impl Chosen {
    /// CKM_RSA_AES_KEY_WRAP has a structure that points to that of OAEP.
    fn oaep_of_rsa_aes(mechanism: &CK_MECHANISM) -> *const CK_RSA_PKCS_OAEP_PARAMS {
        let whole = size_of::<CK_RSA_AES_KEY_WRAP_PARAMS>() as u64;
        if mechanism.mechanism != CKM_RSA_AES_KEY_WRAP || mechanism.ulParameterLen != whole {
            return null_mut();
        }
        let params = mechanism.pParameter.cast::<CK_RSA_AES_KEY_WRAP_PARAMS>();
        // SAFETY: null, or a structure of just that length
        unsafe { params.as_ref() }.map_or(null_mut(), |params| params.pOAEPParams)
    }
}

fn chosen(mechanism: Mechanism) -> Chosen {
    Chosen(mechanism)
}
