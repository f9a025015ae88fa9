//! What some modules do at every call, as rows: each stands for one that was met. Each function here has the
//! arguments of the PKCS#11 function that names it in the table, after the proxy.

use std::sync::atomic::Ordering::SeqCst;

use cryptoki_sys::*;

use crate::faults::{self, attributes};
use crate::once;
use crate::real;
use crate::{
    Api, Bytes, Handle, Len, Mechanism, Object, Proxy, Session, Slot, Template, Ulong, Void,
};

// ---- cant-lock -----------------------------------------------------------------------

pub fn initialize(proxy: &Proxy, args: Void) -> CK_RV {
    if proxy.rules.cant_lock && !args.is_null() {
        // SAFETY: not null, the caller's arguments, as PKCS#11 asks
        let asked = unsafe { args.cast::<CK_C_INITIALIZE_ARGS>().read_unaligned() };
        if asked.flags & CKF_OS_LOCKING_OK != 0 {
            return CKR_CANT_LOCK;
        }
    }
    real!(proxy, C_Initialize(args))
}

// ---- silent-slot, zero-padded, odd-clock, binary-serial --------------------------------

/// Zero bytes instead of blanks, and behind them what was in that memory before.
fn zero_padded(field: &mut [u8]) {
    let text = field
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(0, |at| at + 1);
    for (at, byte) in field[text..].iter_mut().enumerate() {
        *byte = if at == 2 { b'x' } else { 0 };
    }
}

pub fn get_info(proxy: &Proxy, info: *mut CK_INFO) -> CK_RV {
    let rv = real!(proxy, C_GetInfo(info));
    if proxy.rules.zero_padded && rv == CKR_OK {
        // SAFETY: the real module has just filled it in
        let info = unsafe { &mut *info };
        info.flags = 1;
        zero_padded(&mut info.manufacturerID);
        zero_padded(&mut info.libraryDescription);
    }
    rv
}

/// The slot at that place of the module's list.
fn slot_at(proxy: &Proxy, place: usize) -> Option<Slot> {
    let mut slots = [0; 16];
    let mut count = slots.len() as Ulong;
    let rv = real!(
        proxy,
        C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &mut count)
    );
    (rv == CKR_OK && place < count as usize).then(|| slots[place])
}

pub fn get_token_info(proxy: &Proxy, slot: Slot, info: *mut CK_TOKEN_INFO) -> CK_RV {
    let mut silent = proxy.rules.silent_slot.iter();
    if let Some((_, rv)) = silent.find(|(place, _)| slot_at(proxy, *place) == Some(slot)) {
        return *rv;
    }
    let rv = faults::get_token_info(proxy, slot, info);
    if rv != CKR_OK {
        return rv;
    }
    // SAFETY: the real module has just filled it in
    let info = unsafe { &mut *info };
    if proxy.rules.zero_padded {
        for field in [
            &mut info.label[..],
            &mut info.manufacturerID,
            &mut info.model,
            &mut info.serialNumber,
        ] {
            zero_padded(field);
        }
    }
    if proxy.rules.odd_clock {
        info.flags |= CKF_CLOCK_ON_TOKEN;
        info.utcTime = *b"20:43:57\0\0\0\0\0\0\0\0"; // opencryptoki 3.8
    }
    if proxy.rules.binary_serial {
        info.serialNumber = *b"\x01\x02\xfe             ";
    }
    rv
}

// ---- odd-query -----------------------------------------------------------------------

/// A question for the length leaves the operation active for good, as wolfPKCS11 does, and the answer is 14
/// bytes too small, as NSS softokn's.
#[allow(clippy::too_many_arguments)] // PKCS#11's
pub fn wrap_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    wrapping: Object,
    key: Object,
    out: Bytes,
    out_len: Len,
) -> CK_RV {
    if is_unknown(proxy, mechanism) {
        return CKR_MECHANISM_INVALID;
    }
    if is_busy(proxy) {
        return CKR_OPERATION_ACTIVE;
    }
    let rv = once::wrap_key(proxy, session, mechanism, wrapping, key, out, out_len);
    if proxy.rules.odd_query && rv == CKR_OK && out.is_null() && !out_len.is_null() {
        proxy.busy.store(true, SeqCst);
        // SAFETY: not null; the real module has just written it
        unsafe { *out_len = (*out_len).saturating_sub(14) };
    }
    rv
}

fn is_busy(proxy: &Proxy) -> bool {
    proxy.busy.load(SeqCst)
}

pub fn encrypt_init(proxy: &Proxy, session: Session, mechanism: Mechanism, key: Object) -> CK_RV {
    if is_busy(proxy) {
        return CKR_OPERATION_ACTIVE;
    }
    real!(proxy, C_EncryptInit(session, mechanism, key))
}

// ---- without -------------------------------------------------------------------------

fn is_unknown(proxy: &Proxy, mechanism: Mechanism) -> bool {
    // SAFETY: null or the caller's mechanism
    let asked = unsafe { mechanism.as_ref() };
    asked.is_some_and(|asked| proxy.rules.without.contains(&asked.mechanism))
}

pub fn sign_init(proxy: &Proxy, session: Session, mechanism: Mechanism, key: Object) -> CK_RV {
    if is_unknown(proxy, mechanism) {
        return CKR_MECHANISM_INVALID;
    }
    if is_busy(proxy) {
        return CKR_OPERATION_ACTIVE;
    }
    real!(proxy, C_SignInit(session, mechanism, key))
}

// ---- strict-token, strict-unwrap -------------------------------------------------------

/// Whether the template says so of one boolean attribute.
fn says(template: Template, count: Ulong, kind: CK_ATTRIBUTE_TYPE, value: CK_BBOOL) -> bool {
    // SAFETY: the caller's template, as PKCS#11 asks
    unsafe { attributes(template, count) }.iter().any(|a| {
        a.type_ == kind
            && !a.pValue.is_null()
            && a.ulValueLen == 1
            // SAFETY: not null, and a byte long
            && unsafe { *a.pValue.cast::<CK_BBOOL>() } == value
    })
}

/// NSS softokn: of a token object, attributes that it does not know.
fn token_refused(proxy: &Proxy, template: Template, count: Ulong) -> bool {
    // SAFETY: the caller's template, as PKCS#11 asks
    let named = unsafe { attributes(template, count) };
    let unknown = [CKA_DESTROYABLE, CKA_COPYABLE];
    proxy.rules.strict_token
        && says(template, count, CKA_TOKEN, CK_TRUE)
        && named.iter().any(|a| unknown.contains(&a.type_))
}

pub fn create_object(
    proxy: &Proxy,
    session: Session,
    template: Template,
    count: Ulong,
    object: Handle,
) -> CK_RV {
    if token_refused(proxy, template, count) {
        return CKR_GENERAL_ERROR;
    }
    once::create_object(proxy, session, template, count, object)
}

pub fn generate_key(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    template: Template,
    count: Ulong,
    key: Handle,
) -> CK_RV {
    if is_unknown(proxy, mechanism) {
        return CKR_MECHANISM_INVALID;
    }
    if token_refused(proxy, template, count) {
        return CKR_GENERAL_ERROR;
    }
    once::generate_key(proxy, session, mechanism, template, count, key)
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
    if is_unknown(proxy, mechanism) {
        return CKR_MECHANISM_INVALID;
    }
    if token_refused(proxy, private, private_count) {
        return CKR_GENERAL_ERROR;
    }
    once::generate_key_pair(
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
}

/// opencryptoki 3.27: CKA_EXTRACTABLE = TRUE is refused and is so anyhow, CKA_SENSITIVE is dropped.
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
    if token_refused(proxy, template, count) {
        return CKR_GENERAL_ERROR;
    }
    if !proxy.rules.strict_unwrap {
        return once::unwrap_key(
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
    }
    if says(template, count, CKA_EXTRACTABLE, CK_TRUE) {
        return CKR_ATTRIBUTE_READ_ONLY;
    }
    // SAFETY: the caller's template, as PKCS#11 asks
    let mut new = unsafe { attributes(template, count) }.to_vec();
    let (mut yes, mut no) = (CK_TRUE, CK_FALSE);
    let boolean = |type_, value: &mut CK_BBOOL| CK_ATTRIBUTE {
        type_,
        pValue: (&raw mut *value).cast(),
        ulValueLen: 1,
    };
    let is_stated = |kind| new.iter().any(|a| a.type_ == kind);
    let (extractable, sensitive) = (is_stated(CKA_EXTRACTABLE), is_stated(CKA_SENSITIVE));
    if sensitive {
        new.retain(|a| a.type_ != CKA_SENSITIVE);
        new.insert(0, boolean(CKA_SENSITIVE, &mut no));
        proxy.changed(API);
    }
    if !extractable {
        new.insert(0, boolean(CKA_EXTRACTABLE, &mut yes));
    }
    let (template, count) = (new.as_mut_ptr(), new.len() as Ulong);
    once::unwrap_key(
        proxy,
        session,
        mechanism,
        unwrapping,
        wrapped,
        wrapped_len,
        template,
        count,
        key,
    )
}

/// opencryptoki takes CKA_COPYABLE = FALSE here; the real modules do not, and the test's `lie` says what it then is.
pub fn copy_object(
    proxy: &Proxy,
    session: Session,
    from: Object,
    template: Template,
    count: Ulong,
    object: Handle,
) -> CK_RV {
    // SAFETY: the caller's template, as PKCS#11 asks
    let mut new = unsafe { attributes(template, count) }.to_vec();
    new.retain(|a| !proxy.rules.strict_unwrap || a.type_ != CKA_COPYABLE);
    let (template, count) = (new.as_mut_ptr(), new.len() as Ulong);
    real!(proxy, C_CopyObject(session, from, template, count, object))
}
