//! `byok-remote MODULE`: loads a PKCS#11 module and answers, on standard output, what comes from standard
//! input, as `wire.rs` says. It ends with its input. One of these serves one process, as the module itself
//! would: sessions and logins belong to it.

mod wire;

use std::any::Any;
use std::io::{self, Read as _, Write as _};
use std::ptr::null_mut;

use cryptoki_sys::*;
use wire::types::*;
use wire::{Buffer, Reader, functions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let module = std::env::args_os().nth(1).ok_or("byok-remote MODULE")?;
    // SAFETY: a PKCS#11 module that the test named; it is never unloaded
    let library = Box::leak(Box::new(unsafe { libloading::Library::new(module) }?));
    let mut list = null_mut();
    // SAFETY: its one symbol, of the type that PKCS#11 gives it
    let rv = unsafe {
        let get = library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
            b"C_GetFunctionList\0",
        )?;
        get(&mut list)
    };
    // SAFETY: null, or the module's own list, which lives as long as the module
    let list = unsafe { list.as_ref() }.ok_or(format!("C_GetFunctionList: {rv:#x}"))?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let (mut question, mut answer) = (Buffer::new(), Buffer::new());
    loop {
        let mut len = [0; 4];
        if input.read_exact(&mut len).is_err() {
            return Ok(());
        }
        let room = question.room(u32::from_ne_bytes(len) as usize);
        input.read_exact(room.ok_or("a question is too long")?)?;
        serve(list, Reader(question.filled()), &mut answer).ok_or("a question cannot be read")?;
        output.write_all(&u32::try_from(answer.filled().len())?.to_ne_bytes())?;
        output.write_all(answer.filled())?;
        output.flush()?;
        question.wipe();
        answer.wipe();
    }
}

type Tell = dyn FnOnce(CK_RV, &mut Buffer);

/// What an argument is made of here, and what of it goes back.
struct Kept {
    /// What the arguments point to.
    _alive: Box<dyn Any>,
    /// Puts what the function told.
    tell: Box<Tell>,
}

impl Kept {
    fn nothing_to_tell(alive: impl Any) -> Self {
        Self {
            _alive: Box::new(alive),
            tell: Box::new(|_, _| {}),
        }
    }

    fn telling(alive: impl Any, tell: impl FnOnce(CK_RV, &mut Buffer) + 'static) -> Self {
        Self {
            _alive: Box::new(alive),
            tell: Box::new(tell),
        }
    }
}

macro_rules! serving {
    ($($name:ident ( $($arg:ident : $type:ty),* ) = $($kind:ident ( $($of:ident),* ))*;)*) => {
        /// `None` where the question cannot be read.
        fn serve(list: &CK_FUNCTION_LIST, mut from: Reader, out: &mut Buffer) -> Option<()> {
            let name = std::str::from_utf8(from.sized()??).ok()?;
            match name {
                $(stringify!($name) => {
                    let mut kept: Vec<Kept> = Vec::new();
                    $(
                        let (($($of,)*), of_it) = $kind(&mut from)?;
                        kept.push(of_it);
                    )*
                    let rv = match list.$name {
                        // SAFETY: what the arguments point to is in `kept`, with the lengths that they say
                        Some(function) => unsafe { function($($arg),*) },
                        None => CKR_FUNCTION_NOT_SUPPORTED,
                    };
                    out.number(rv);
                    for of_it in kept {
                        (of_it.tell)(rv, out);
                    }
                    Some(())
                })*
                _ => None,
            }
        }
    };
}
functions!(serving);

fn nothing(_: &mut Reader) -> Option<((Void,), Kept)> {
    Some(((null_mut(),), Kept::nothing_to_tell(())))
}

fn no_callback(_: &mut Reader) -> Option<((CK_NOTIFY,), Kept)> {
    Some(((None,), Kept::nothing_to_tell(())))
}

fn number(from: &mut Reader) -> Option<((Ulong,), Kept)> {
    Some(((from.number()?,), Kept::nothing_to_tell(())))
}

fn flag(from: &mut Reader) -> Option<((CK_BBOOL,), Kept)> {
    let flag = CK_BBOOL::try_from(from.number()?).ok()?;
    Some(((flag,), Kept::nothing_to_tell(())))
}

/// The start of bytes that stay where they are as long as their vector; null for none.
fn start(bytes: &mut Option<Vec<u8>>) -> Bytes {
    bytes.as_mut().map_or(null_mut(), |b| b.as_mut_ptr())
}

fn bytes(from: &mut Reader) -> Option<((Bytes, Ulong), Kept)> {
    let mut bytes = from.sized()?.map(<[u8]>::to_vec);
    let len = bytes.as_ref().map_or(0, Vec::len) as Ulong;
    Some(((start(&mut bytes), len), Kept::nothing_to_tell(bytes)))
}

/// One value on the heap that the function fills in.
fn told<T: 'static>(_: &mut Reader) -> Option<((*mut T,), Kept)> {
    // SAFETY: PKCS#11's structures are numbers and bytes: zeros are one of each
    let place = Box::into_raw(Box::new(unsafe { std::mem::zeroed::<T>() }));
    let tell = move |_, out: &mut Buffer| {
        // SAFETY: made above, and given up here, once
        let told = unsafe { Box::from_raw(place) };
        // SAFETY: as long as it is; padding was zero
        out.put(unsafe { std::slice::from_raw_parts((&raw const *told).cast(), size_of::<T>()) });
    };
    Some(((place,), Kept::telling((), tell)))
}

/// As much room as the caller has, in units of so many bytes.
fn room_of(from: &mut Reader, unit: usize) -> Option<(Bytes, Len, Kept)> {
    let (given, len) = (from.number()? == 1, from.number()?);
    let mut bytes = match given {
        true if len as usize * unit <= wire::LONGEST => Some(vec![0u8; len as usize * unit]),
        true => return None,
        false => None,
    };
    let start = start(&mut bytes);
    let place = Box::into_raw(Box::new(len));
    let tell = move |rv, out: &mut Buffer| {
        // SAFETY: made above, and given up here, once
        let len = *unsafe { Box::from_raw(place) };
        out.number(len);
        let told = bytes.as_ref().filter(|_| rv == CKR_OK);
        out.sized(told.and_then(|bytes| bytes.get(..len as usize * unit)));
    };
    Some((start, place, Kept::telling((), tell)))
}

fn room(from: &mut Reader) -> Option<((Bytes, Len), Kept)> {
    let (start, len, kept) = room_of(from, 1)?;
    Some(((start, len), kept))
}

fn list(from: &mut Reader) -> Option<((*mut CK_ULONG, Len), Kept)> {
    let (start, len, kept) = room_of(from, size_of::<CK_ULONG>())?;
    Some(((start.cast(), len), kept))
}

fn filled(from: &mut Reader) -> Option<((Bytes, Ulong), Kept)> {
    let len = from.number()?;
    let mut bytes = Some(vec![0u8; usize::try_from(len).ok()?.min(wire::LONGEST)]);
    let arguments = (start(&mut bytes), len);
    let tell = move |_, out: &mut Buffer| out.sized(bytes.as_deref());
    Some((arguments, Kept::telling((), tell)))
}

fn found(from: &mut Reader) -> Option<((Handle, Ulong, Len), Kept)> {
    let most = from.number()?;
    let mut handles = vec![0 as Ulong; usize::try_from(most).ok()?.min(1 << 12)];
    let count = Box::into_raw(Box::new(0 as Ulong));
    let arguments = (handles.as_mut_ptr(), handles.len() as Ulong, count);
    let tell = move |_, out: &mut Buffer| {
        // SAFETY: made above, and given up here, once
        let count = *unsafe { Box::from_raw(count) };
        out.number(count);
        let told: Vec<u8> = handles.iter().flat_map(|h| h.to_ne_bytes()).collect();
        out.sized(told.get(..count as usize * size_of::<Ulong>()));
    };
    Some((arguments, Kept::telling((), tell)))
}

fn attribute(kind: u64, value: &mut Option<Vec<u8>>, len: Ulong) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        pValue: start(value).cast(),
        ulValueLen: len,
    }
}

fn attributes(from: &mut Reader) -> Option<((Template, Ulong), Kept)> {
    let count = from.number()?;
    let (mut values, mut template) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let kind = from.number()?;
        let mut value = from.sized()?.map(<[u8]>::to_vec);
        let len = value.as_ref().map_or(0, Vec::len) as Ulong;
        template.push(attribute(kind, &mut value, len));
        values.push(value);
    }
    let arguments = (template.as_mut_ptr(), count as Ulong);
    Some((arguments, Kept::nothing_to_tell((template, values))))
}

fn asked(from: &mut Reader) -> Option<((Template, Ulong), Kept)> {
    let count = from.number()?;
    let (mut values, mut template) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (kind, given, len) = (from.number()?, from.number()? == 1, from.number()?);
        let mut value = given.then(|| vec![0u8; (len as usize).min(wire::LONGEST)]);
        template.push(attribute(kind, &mut value, len));
        values.push(value);
    }
    let arguments = (template.as_mut_ptr(), count as Ulong);
    let tell = move |_, out: &mut Buffer| {
        for (attribute, value) in template.iter().zip(&values) {
            out.number(attribute.ulValueLen);
            let told = value.as_ref();
            out.sized(told.and_then(|value| value.get(..attribute.ulValueLen as usize)));
        }
    };
    Some((arguments, Kept::telling((), tell)))
}

fn chosen(from: &mut Reader) -> Option<((Mechanism,), Kept)> {
    let kind = from.number()?;
    if kind == u64::MAX {
        return Some(((null_mut(),), Kept::nothing_to_tell(())));
    }
    let mut parameter = from.sized()?.map(<[u8]>::to_vec);
    let mut oaep = from.sized()?.map(<[u8]>::to_vec);
    if let (Some(oaep), Some(whole)) = (&mut oaep, &mut parameter) {
        let at = std::mem::offset_of!(CK_RSA_AES_KEY_WRAP_PARAMS, pOAEPParams);
        let address = oaep.as_mut_ptr() as usize;
        whole[at..at + size_of::<usize>()].copy_from_slice(&address.to_ne_bytes());
    }
    let mut made = Box::new(CK_MECHANISM {
        mechanism: kind,
        pParameter: start(&mut parameter).cast(),
        ulParameterLen: parameter.as_ref().map_or(0, Vec::len) as Ulong,
    });
    let place: Mechanism = &raw mut *made;
    Some(((place,), Kept::nothing_to_tell((made, parameter, oaep))))
}
