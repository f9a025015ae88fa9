//! What a call does differently when a rule asks for it. Each function here has the
//! arguments of the PKCS#11 function that names it in the table, after the proxy.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::net::UdpSocket;
use std::os::fd::FromRawFd as _;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, PoisonError};

use cryptoki_sys::*;

use crate::names::Half;
use crate::real;
use crate::rules::Attribute;
use crate::wraps;
use crate::{
    Api, Bytes, Handle, LIST, Len, Mechanism, Object, Proxy, Session, Slot, Template, Ulong,
};

/// The proxy's own list, not the real module's.
pub fn get_function_list(_: &Proxy, list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null, the caller's; the list is never written to
    unsafe { *list = (&raw const LIST.0).cast_mut() };
    CKR_OK
}

// ---- lose-session ------------------------------------------------------------------

/// Closes every session with every token, behind the caller's back.
pub fn close_all_sessions(proxy: &Proxy) {
    let mut slots = [0; 16];
    let mut count = slots.len() as Ulong;
    let list = slots.as_mut_ptr();
    if real!(proxy, C_GetSlotList(CK_TRUE, list, &mut count)) == CKR_OK {
        for slot in &slots[..count as usize] {
            real!(proxy, C_CloseAllSessions(*slot));
        }
    }
}

// ---- pin-flags ---------------------------------------------------------------------

/// Wrong user PINs by slot since the last right one.
#[derive(Default)]
pub struct WrongPins(Mutex<HashMap<CK_SLOT_ID, u32>>);

impl WrongPins {
    fn get(&self, slot: Slot, before: u32) -> u32 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&slot).copied().unwrap_or(before)
    }

    fn set(&self, slot: Slot, count: u32) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(slot, count);
    }
}

const LOCKED: u32 = 3;

pub fn get_slot_info(proxy: &Proxy, slot: Slot, info: *mut CK_SLOT_INFO) -> CK_RV {
    let rv = real!(proxy, C_GetSlotInfo(slot, info));
    if proxy.rules.hardware_slot && rv == CKR_OK {
        // SAFETY: the real module has just filled it in
        unsafe { (*info).flags |= CKF_HW_SLOT };
    }
    rv
}

/// Past every buffer: what a module prints is not to mix with what it prints later.
pub fn print(text: &str) {
    // SAFETY: descriptor 1 is open in every process of the tests, and is not closed here
    let mut out = unsafe { ManuallyDrop::new(File::from_raw_fd(1)) };
    let _ = out.write_all(format!("{text}\n").as_bytes());
}

/// What a call answers that needs the internet and does not get it.
pub fn dialled(proxy: &Proxy, function: usize) -> Option<CK_RV> {
    let mut dials = proxy.rules.dials.iter();
    let (_, rv) = dials.find(|(named, _)| *named == function)?;
    UdpSocket::bind("127.0.0.1:0").is_err().then_some(*rv)
}

/// Blank-padded, as the standard says.
fn padded<const N: usize>(text: &str) -> [CK_UTF8CHAR; N] {
    let mut field = [b' '; N];
    let bytes = text.as_bytes();
    let len = bytes.len().min(N);
    field[..len].copy_from_slice(&bytes[..len]);
    field
}

pub fn get_token_info(proxy: &Proxy, slot: Slot, info: *mut CK_TOKEN_INFO) -> CK_RV {
    let rv = real!(proxy, C_GetTokenInfo(slot, info));
    if rv == CKR_OK {
        // SAFETY: the real module has just filled it in
        let info = unsafe { &mut *info };
        if let Some(text) = &proxy.rules.manufacturer {
            info.manufacturerID = padded(text);
        }
        if let Some(text) = &proxy.rules.model {
            info.model = padded(text);
        }
    }
    if let (Some(before), CKR_OK) = (proxy.rules.pin_flags, rv) {
        // SAFETY: the real module has just filled it in
        let info = unsafe { &mut *info };
        if info.flags & CKF_TOKEN_INITIALIZED != 0 {
            info.flags |= match proxy.wrong_pins.get(slot, before) {
                0 => 0,
                1 => CKF_USER_PIN_COUNT_LOW,
                2 => CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY,
                _ => CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED,
            };
        }
    }
    rv
}

pub fn login(proxy: &Proxy, session: Session, user: CK_USER_TYPE, pin: Bytes, len: Ulong) -> CK_RV {
    let forward = || real!(proxy, C_Login(session, user, pin, len));
    let Some(before) = proxy.rules.pin_flags.filter(|_| user == CKU_USER) else {
        return forward();
    };
    let mut info = CK_SESSION_INFO::default();
    let rv = real!(proxy, C_GetSessionInfo(session, &mut info));
    if rv != CKR_OK {
        return rv;
    }
    let wrong = proxy.wrong_pins.get(info.slotID, before);
    if wrong >= LOCKED {
        return CKR_PIN_LOCKED;
    }
    match forward() {
        CKR_OK => {
            proxy.wrong_pins.set(info.slotID, 0);
            CKR_OK
        }
        CKR_PIN_INCORRECT => {
            proxy.wrong_pins.set(info.slotID, wrong + 1);
            if wrong + 1 >= LOCKED {
                CKR_PIN_LOCKED
            } else {
                CKR_PIN_INCORRECT
            }
        }
        rv => rv,
    }
}

// ---- refuse-create-secret, weaken, lie ---------------------------------------------

/// The caller's attributes; a null template has none.
///
/// # Safety
/// `template` is null or points to `count` attributes.
pub unsafe fn attributes<'a>(template: Template, count: Ulong) -> &'a mut [CK_ATTRIBUTE] {
    if template.is_null() {
        return &mut [];
    }
    // SAFETY: as the caller promises
    unsafe { std::slice::from_raw_parts_mut(template, count as usize) }
}

pub fn create_object(
    proxy: &Proxy,
    session: Session,
    template: Template,
    count: Ulong,
    object: Handle,
) -> CK_RV {
    if proxy.rules.refuse_create_secret {
        // SAFETY: the caller's template, as PKCS#11 asks
        let secret = unsafe { attributes(template, count) }.iter().any(|attribute| {
            attribute.type_ == CKA_CLASS
                && !attribute.pValue.is_null()
                && attribute.ulValueLen as usize == size_of::<CK_OBJECT_CLASS>()
                // SAFETY: not null and long enough
                && unsafe { attribute.pValue.cast::<CK_OBJECT_CLASS>().read_unaligned() } == CKO_SECRET_KEY
        });
        if secret {
            return CKR_TEMPLATE_INCONSISTENT;
        }
    }
    let mut new = weakened(
        template,
        count,
        &rules_at(proxy, Api::C_CreateObject, template, count),
        |_| true,
    );
    let (list, count) = (new.as_mut_ptr(), new.len() as Ulong);
    real!(proxy, C_CreateObject(session, list, count, object))
}

/// `weaken-at` of the call under way, where its template does not ask for that anyhow.
fn rules_at(proxy: &Proxy, function: Api, template: Template, count: Ulong) -> Vec<Attribute> {
    let (index, number) = (function as usize, proxy.number(function));
    // SAFETY: the caller's template, as PKCS#11 asks
    let asked = unsafe { attributes(template, count) };
    let asks = |rule: &Attribute| {
        asked.iter().any(|attribute| {
            attribute.type_ == rule.kind
                && !attribute.pValue.is_null()
                && attribute.ulValueLen == 1
                // SAFETY: not null, and a byte long
                && unsafe { *attribute.pValue.cast::<CK_BBOOL>() } == CK_BBOOL::from(rule.value)
        })
    };
    let rules = proxy.rules.weaken_at.iter();
    let now = rules.filter(|(at, _)| at.function == index && at.call == number);
    let rules: Vec<Attribute> = now
        .map(|(_, rule)| rule.clone())
        .filter(|rule| !asks(rule))
        .collect();
    if !rules.is_empty() {
        proxy.changed(function);
    }
    rules
}

static mut TRUE: CK_BBOOL = CK_TRUE;
static mut FALSE: CK_BBOOL = CK_FALSE;

/// A copy of the caller's template in which the rules have the last word: an attribute
/// that is there is replaced; one that is not is added where `add` allows it.
fn weakened(
    template: Template,
    count: Ulong,
    rules: &[Attribute],
    add: impl Fn(&Attribute) -> bool,
) -> Vec<CK_ATTRIBUTE> {
    // SAFETY: the caller's template, as PKCS#11 asks
    let mut copy = unsafe { attributes(template, count) }.to_vec();
    for rule in rules {
        let value = if rule.value {
            &raw mut TRUE
        } else {
            &raw mut FALSE
        };
        let new = CK_ATTRIBUTE {
            type_: rule.kind,
            pValue: value.cast(),
            ulValueLen: 1,
        };
        let mut found = false;
        for attribute in copy
            .iter_mut()
            .filter(|attribute| attribute.type_ == rule.kind)
        {
            *attribute = new;
            found = true;
        }
        if !found && add(rule) {
            copy.push(new);
        }
    }
    copy
}

pub fn generate_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    template: Template,
    count: Ulong,
    key: Handle,
) -> CK_RV {
    let rules = [
        proxy.rules.weaken.clone(),
        rules_at(proxy, Api::C_GenerateKey, template, count),
    ]
    .concat();
    let mut new = weakened(template, count, &rules, |_| true);
    real!(
        proxy,
        C_GenerateKey(
            session,
            mechanism,
            new.as_mut_ptr(),
            new.len() as Ulong,
            key
        )
    )
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
    // added where it belongs: to the private key, unless only a public key has it
    let rules = &[
        proxy.rules.weaken.clone(),
        rules_at(proxy, Api::C_GenerateKeyPair, private, private_count),
    ]
    .concat();
    let mut public = weakened(public, public_count, rules, |rule| {
        rule.half == Half::Public
    });
    let mut private = weakened(private, private_count, rules, |rule| {
        rule.half != Half::Public
    });
    let public_count = public.len() as Ulong;
    let private_count = private.len() as Ulong;
    real!(
        proxy,
        C_GenerateKeyPair(
            session,
            mechanism,
            public.as_mut_ptr(),
            public_count,
            private.as_mut_ptr(),
            private_count,
            public_key,
            private_key,
        )
    )
}

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
    let rules = [
        proxy.rules.weaken.as_slice(),
        proxy.rules.weaken_unwrapped.as_slice(),
        &rules_at(proxy, Api::C_UnwrapKey, template, count),
    ]
    .concat();
    let mut new = weakened(template, count, &rules, |_| true);
    let new_count = new.len() as Ulong;
    let new = new.as_mut_ptr();
    real!(
        proxy,
        C_UnwrapKey(
            session,
            mechanism,
            unwrapping,
            wrapped,
            wrapped_len,
            new,
            new_count,
            key
        )
    )
}

pub fn get_attribute_value(
    proxy: &Proxy,
    session: Session,
    object: Object,
    template: Template,
    count: Ulong,
) -> CK_RV {
    // SAFETY: the caller's template, as PKCS#11 asks; the real module writes to it between
    let room: Vec<Ulong> = unsafe { attributes(template, count) }
        .iter()
        .map(|a| a.ulValueLen)
        .collect();
    let rv = real!(proxy, C_GetAttributeValue(session, object, template, count));
    let answered = [CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE];
    if proxy.rules.lie.is_empty() || !answered.contains(&rv) {
        return rv;
    }
    // SAFETY: as above
    let attributes = unsafe { attributes(template, count) };
    for rule in &proxy.rules.lie {
        for (attribute, room) in attributes.iter_mut().zip(&room) {
            if attribute.type_ != rule.kind {
                continue;
            }
            if attribute.pValue.is_null() {
                attribute.ulValueLen = 1;
            } else if *room >= 1 {
                // SAFETY: not null, and the caller said that there is room for a byte
                unsafe {
                    attribute
                        .pValue
                        .cast::<CK_BBOOL>()
                        .write(CK_BBOOL::from(rule.value))
                };
                attribute.ulValueLen = 1;
            }
        }
    }
    // the lie may have been the answer that was missing
    if attributes
        .iter()
        .all(|attribute| attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION)
    {
        return CKR_OK;
    }
    rv
}

// ---- oaep-sha1, wrap-length --------------------------------------------------------

pub fn wrap_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    wrapping: Object,
    key: Object,
    out: Bytes,
    out_len: Len,
) -> CK_RV {
    if let Some(rv) = wraps::other(proxy, session, mechanism, wrapping, key, out, out_len) {
        return rv;
    }
    let mut other_params;
    let mut other_mechanism;
    let mut mechanism = mechanism;
    if proxy.rules.oaep_sha1 {
        // SAFETY: the caller's mechanism; the parameters are read only if they have their size
        let asked = unsafe { mechanism.as_ref() }.filter(|asked| {
            asked.mechanism == CKM_RSA_PKCS_OAEP
                && !asked.pParameter.is_null()
                && asked.ulParameterLen as usize == size_of::<CK_RSA_PKCS_OAEP_PARAMS>()
        });
        if let Some(asked) = asked {
            // SAFETY: checked above
            other_params = unsafe {
                asked
                    .pParameter
                    .cast::<CK_RSA_PKCS_OAEP_PARAMS>()
                    .read_unaligned()
            };
            if other_params.hashAlg == CKM_SHA256 {
                other_params.hashAlg = CKM_SHA_1;
                other_params.mgf = CKG_MGF1_SHA1;
                other_mechanism = *asked;
                other_mechanism.pParameter = (&raw mut other_params).cast();
                mechanism = &mut other_mechanism;
            }
        }
    }
    let more = proxy.rules.wrap_length;
    if more == 0 || out_len.is_null() {
        let rv = real!(
            proxy,
            C_WrapKey(session, mechanism, wrapping, key, out, out_len)
        );
        if rv == CKR_OK && !out.is_null() {
            let number = proxy.wrapped.fetch_add(1, SeqCst) + 1;
            if proxy.rules.wrap_flip == Some(number) {
                // SAFETY: the real module has just written at least a byte there
                unsafe { *out ^= 1 };
            }
        }
        return rv;
    }
    // A shorter answer goes through a buffer of our own: the caller's may have just the
    // size that the size query gave, and that is short already.
    // SAFETY: not null; the caller's length
    let room = unsafe { *out_len };
    let mut len = room.saturating_add(more.unsigned_abs() as Ulong);
    let mut own = vec![0u8; if out.is_null() { 0 } else { len as usize }];
    let own_out = if out.is_null() { out } else { own.as_mut_ptr() };
    let rv = real!(
        proxy,
        C_WrapKey(session, mechanism, wrapping, key, own_out, &mut len)
    );
    if rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL {
        return rv;
    }
    let mut claimed = len.saturating_add_signed(more as _);
    if rv == CKR_OK && !out.is_null() {
        claimed = claimed.min(room);
        // SAFETY: `own` has more bytes than the caller's buffer, and that has `room`
        unsafe { out.copy_from_nonoverlapping(own.as_ptr(), claimed as usize) };
    }
    // SAFETY: not null; the caller's length
    unsafe { *out_len = claimed };
    rv
}
