//! What one call, the N-th of its function, answers otherwise than the real module: a length, a bit, a handle,
//! an attribute, a key. Each that took effect is noted in the log, `C_Name changed`: a size query has no bytes
//! to change, and a search that finds nothing no handle to repeat.

use std::sync::atomic::Ordering::SeqCst;

use cryptoki_sys::*;

use crate::faults::{self, attributes};
use crate::real;
use crate::rules::At;
use crate::wraps;
use crate::{Api, Bytes, Handle, Len, Mechanism, Object, Proxy, Session, Template, Ulong};

impl Proxy {
    /// Whether one of these rules is for the call under way.
    pub fn is_now(&self, function: Api, rules: &[At]) -> bool {
        let (index, number) = (function as usize, self.number(function));
        let now = |at: &At| at.function == index && at.call == number;
        rules.iter().any(now)
    }

    pub fn changed(&self, function: Api) {
        self.note(&format!(
            "{} changed",
            crate::FUNCTIONS[function as usize].0
        ));
    }
}

// ---- length, flip ------------------------------------------------------------------

/// What the caller says that it has room for.
fn room(out_len: Len) -> Ulong {
    // SAFETY: null or the caller's length
    unsafe { out_len.as_ref() }.copied().unwrap_or(0)
}

/// After a call that answers bytes, for which there was that much room.
fn bytes(
    proxy: &Proxy,
    function: Api,
    rv: CK_RV,
    (out, out_len): (Bytes, Len),
    room: Ulong,
) -> CK_RV {
    if rv != CKR_OK || out_len.is_null() {
        return rv;
    }
    // SAFETY: not null; the real module has just written it
    let len = unsafe { *out_len };
    if proxy.is_now(function, &proxy.rules.flip) && !out.is_null() && len > 0 {
        // SAFETY: the real module has just written at least a byte there
        unsafe { *out ^= 1 };
        proxy.changed(function);
    }
    let number = proxy.number(function);
    let mut rules = proxy.rules.length.iter();
    let rule = rules.find(|(at, _)| at.function == function as usize && at.call == number);
    if let Some((_, more)) = rule {
        let said = len.saturating_add_signed(*more as _);
        // what a caller has no room for is never said of bytes, only of their length
        if out.is_null() || said <= room {
            // SAFETY: not null; the caller's length
            unsafe { *out_len = said };
            proxy.changed(function);
        }
    }
    rv
}

pub fn encrypt(
    proxy: &Proxy,
    session: Session,
    data: Bytes,
    data_len: Ulong,
    out: Bytes,
    out_len: Len,
) -> CK_RV {
    let room = room(out_len);
    let rv = real!(proxy, C_Encrypt(session, data, data_len, out, out_len));
    bytes(proxy, Api::C_Encrypt, rv, (out, out_len), room)
}

pub fn sign(
    proxy: &Proxy,
    session: Session,
    data: Bytes,
    data_len: Ulong,
    out: Bytes,
    out_len: Len,
) -> CK_RV {
    let room = room(out_len);
    let rv = real!(proxy, C_Sign(session, data, data_len, out, out_len));
    bytes(proxy, Api::C_Sign, rv, (out, out_len), room)
}

pub fn wrap_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    wrapping: Object,
    key: Object,
    out: Bytes,
    out_len: Len,
) -> CK_RV {
    let room = room(out_len);
    let rv = faults::wrap_key(proxy, session, mechanism, wrapping, key, out, out_len);
    bytes(proxy, Api::C_WrapKey, rv, (out, out_len), room)
}

// ---- lie-at, length of attributes --------------------------------------------------

pub fn get_attribute_value(
    proxy: &Proxy,
    session: Session,
    object: Object,
    template: Template,
    count: Ulong,
) -> CK_RV {
    const API: Api = Api::C_GetAttributeValue;
    let rv = faults::get_attribute_value(proxy, session, object, template, count);
    if rv != CKR_OK {
        return rv;
    }
    // SAFETY: the caller's template, which the real module has just filled in
    let attributes = unsafe { attributes(template, count) };
    let filled = |a: &&mut CK_ATTRIBUTE| {
        !a.pValue.is_null() && a.ulValueLen != CK_UNAVAILABLE_INFORMATION && a.ulValueLen > 0
    };
    let number = proxy.number(API);
    if proxy.is_now(API, &proxy.rules.lie_at) {
        let booleans = attributes.iter_mut().filter(filled);
        let mut booleans: Vec<_> = booleans.filter(|a| a.ulValueLen == 1).collect();
        let which = number as usize % booleans.len().max(1); // another one at every call
        if let Some(boolean) = booleans.get_mut(which) {
            // SAFETY: not null, and a byte long
            unsafe { *boolean.pValue.cast::<CK_BBOOL>() ^= 1 };
            proxy.changed(API);
        }
    }
    let mut lengths = proxy.rules.length.iter();
    let rule = lengths.find(|(at, _)| at.function == API as usize && at.call == number);
    if let Some((_, more)) = rule.filter(|(_, more)| *more < 0) {
        let mut last = attributes.iter_mut().filter(filled).last();
        if let Some(last) = &mut last {
            last.ulValueLen = last.ulValueLen.saturating_add_signed(*more as _);
            proxy.changed(API);
        }
    }
    rv
}

// ---- twice -------------------------------------------------------------------------

pub fn find_objects(
    proxy: &Proxy,
    session: Session,
    objects: Handle,
    most: Ulong,
    count: Len,
) -> CK_RV {
    const API: Api = Api::C_FindObjects;
    let rv = real!(proxy, C_FindObjects(session, objects, most, count));
    if rv != CKR_OK {
        return rv;
    }
    let mut blind = proxy.rules.blind_after.iter();
    let is_blind = blind.any(|at| proxy.calls[at.function].load(SeqCst) >= at.call);
    // SAFETY: the real module has just written it
    if (is_blind || proxy.is_now(API, &proxy.rules.unseen)) && unsafe { *count } > 0 {
        // SAFETY: as above
        unsafe { *count = 0 };
        proxy.changed(API);
        return rv;
    }
    if !proxy.is_now(API, &proxy.rules.twice) {
        return rv;
    }
    // SAFETY: the real module has just written both, and `most` says how many have room
    unsafe {
        let found = *count;
        if found > 0 && found < most {
            *objects.add(found as usize) = *objects;
            *count = found + 1;
            proxy.changed(API);
        }
    }
    rv
}

/// After a call that made an object: its handle, or that of the one made before it.
fn made(proxy: &Proxy, function: Api, rv: CK_RV, handle: Handle) -> CK_RV {
    if rv != CKR_OK || handle.is_null() {
        return rv;
    }
    // SAFETY: not null; the real module has just written it
    let before = proxy.last_made.swap(unsafe { *handle }, SeqCst);
    if before != 0 && proxy.is_now(function, &proxy.rules.twice) {
        // SAFETY: as above
        unsafe { *handle = before };
        proxy.changed(function);
    }
    rv
}

pub fn create_object(
    proxy: &Proxy,
    session: Session,
    template: Template,
    count: Ulong,
    object: Handle,
) -> CK_RV {
    let rv = faults::create_object(proxy, session, template, count, object);
    made(proxy, Api::C_CreateObject, rv, object)
}

pub fn generate_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    template: Template,
    count: Ulong,
    key: Handle,
) -> CK_RV {
    let rv = faults::generate_key(proxy, session, mechanism, template, count, key);
    made(proxy, Api::C_GenerateKey, rv, key)
}

#[allow(clippy::too_many_arguments)] // PKCS#11's
pub fn generate_key_pair(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    public: Template,
    public_count: Ulong,
    private: Template,
    private_count: Ulong,
    public_key: Handle,
    private_key: Handle,
) -> CK_RV {
    let generate = || {
        faults::generate_key_pair(
            proxy,
            session,
            mechanism,
            public,
            public_count,
            private,
            private_count,
            public_key,
            private_key,
        )
    };
    let mut rv = generate();
    if proxy.rules.short_p256 && wraps::is_p256(public, public_count) {
        // every 256th is one
        while rv == CKR_OK {
            // SAFETY: not null; the real module has just written them
            let (public, private) = unsafe { (*public_key, *private_key) };
            match wraps::is_short(proxy, session, private) {
                Ok(true) | Err(_) => break, // one that may not be wrapped stays as it is
                Ok(false) => {
                    real!(proxy, C_DestroyObject(session, public));
                    real!(proxy, C_DestroyObject(session, private));
                    rv = generate();
                }
            }
        }
    }
    made(proxy, Api::C_GenerateKeyPair, rv, private_key)
}

// ---- other-key ---------------------------------------------------------------------

#[allow(clippy::too_many_arguments)] // PKCS#11's
pub fn unwrap_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    unwrapping: Object,
    wrapped: Bytes,
    wrapped_len: Ulong,
    template: Template,
    count: Ulong,
    key: Handle,
) -> CK_RV {
    const API: Api = Api::C_UnwrapKey;
    let rv = faults::unwrap_key(
        proxy,
        session,
        mechanism,
        unwrapping,
        wrapped,
        wrapped_len,
        template,
        count,
        key,
    );
    if rv == CKR_OK && proxy.is_now(API, &proxy.rules.other_key) {
        // SAFETY: not null; the real module has just written it
        let real = unsafe { *key };
        let (length, template) = (wrapped_len as usize, (template, count));
        if let Some(other) = another(proxy, session, length, template) {
            real!(proxy, C_DestroyObject(session, real));
            // SAFETY: as above
            unsafe { *key = other };
            proxy.changed(API);
        }
    }
    made(proxy, API, rv, key)
}

/// A secret key of other bytes with the attributes that were asked for: 8 bytes shorter than it was wrapped,
/// as AES-KW makes them. `None` where the real module takes none.
fn another(
    proxy: &Proxy,
    session: Session,
    wrapped_len: usize,
    (template, count): (Template, Ulong),
) -> Option<CK_OBJECT_HANDLE> {
    let mut value = vec![0x5a; wrapped_len.checked_sub(8)?];
    // SAFETY: the caller's template, as PKCS#11 asks
    let mut new = unsafe { attributes(template, count) }.to_vec();
    new.retain(|attribute| attribute.type_ != CKA_VALUE_LEN);
    new.push(CK_ATTRIBUTE {
        type_: CKA_VALUE,
        pValue: value.as_mut_ptr().cast(),
        ulValueLen: value.len() as Ulong,
    });
    let (list, count, mut other) = (new.as_mut_ptr(), new.len() as Ulong, 0);
    let rv = real!(proxy, C_CreateObject(session, list, count, &mut other));
    (rv == CKR_OK).then_some(other)
}
