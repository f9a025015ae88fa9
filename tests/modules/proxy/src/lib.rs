//! A PKCS#11 v2.40 proxy that injects faults.
//!
//! `BYOK_PROXY_MODULE` names the real module; every function of `CK_FUNCTION_LIST` is
//! forwarded to it. `BYOK_PROXY_RULES` is a `;`-separated list, parsed once:
//!
//! | rule | what happens |
//! |---|---|
//! | `oaep-sha1` | `C_WrapKey` with OAEP and SHA-256 is done with SHA-1 and MGF1-SHA-1; the answer is `CKR_OK` |
//! | `fail:C_Name:N:CKR_NAME` | call N (from 1; `*` is every call) is not forwarded and answers that value (a name or `0x` hex) |
//! | `removed-after:C_Name:N` | from call N on the token is gone: `CKR_DEVICE_REMOVED` for whatever takes a session, `CKR_TOKEN_NOT_PRESENT` for whatever asks the token |
//! | `hang:C_Name:N` | call N is not forwarded and never comes back; the log says `C_Name hangs` |
//! | `slow:C_Name:N:SECONDS` | call N takes so long before it is forwarded; the log says `C_Name takes long` |
//! | `lose-session:C_Name:N` | before call N is forwarded, every session is closed, as an HSM does after a time-out: its handle is then invalid and nobody is logged in |
//! | `refuse-create-secret` | `C_CreateObject` of a secret key answers `CKR_TEMPLATE_INCONSISTENT` |
//! | `weaken:CKA_NAME=true` | generated and unwrapped keys get that value (or `false`), whatever the caller's template says; reading back tells the truth |
//! | `weaken-unwrapped:CKA_NAME=true` | the same for keys that `C_UnwrapKey` makes only |
//! | `lie:CKA_NAME=true` | `C_GetAttributeValue` answers that value (or `false`), whatever the object has |
//! | `wrap-length:N` | `C_WrapKey` answers N bytes more (zeros, within the buffer), or fewer if N is negative; a size query says the same |
//! | `wrap-flip:N` | the N-th `C_WrapKey` that answers bytes has one bit of them changed |
//! | `length:C_Name:N:-1` | call N says so many bytes fewer, or more (`:1`) where there is room for them; of attributes, the last one is shorter |
//! | `flip:C_Name:N` | of the bytes that call N answers (`C_Encrypt`, `C_Sign`, `C_WrapKey`) one bit is changed |
//! | `twice:C_Name:N` | call N answers a handle that was there already: that of the object made before, or, of a search, its first hit once more |
//! | `unseen:C_FindObjects:N` | call N finds nothing |
//! | `blind-after:C_Name:N` | from call N on no search finds anything, as where a token's storage is out of reach |
//! | `other-key:C_UnwrapKey:N` | call N makes a key of other bytes, with the attributes that were asked for |
//! | `weaken-at:C_Name:N:CKA_NAME=true` | as `weaken`, for what call N makes |
//! | `lie-at:C_GetAttributeValue:N` | call N answers one boolean as it is not; which one goes by N |
//! | `rsa-aes-key-wrap` | `C_WrapKey` knows `CKM_RSA_AES_KEY_WRAP`, by its two parts in the real module; `:sha1` uses SHA-1 whatever is asked, and answers `CKR_OK` |
//! | `private-as:inner` | `C_WrapKey` wraps of a private key what stands inside its PKCS#8 (SEC 1 or PKCS#1); `private-as:longer:N`: the PKCS#8 and N zero bytes |
//! | `short-p256` | the private value of every key pair on P-256 that `C_GenerateKeyPair` makes, and that may be wrapped, begins with a zero byte |
//! | `cant-lock` | `C_Initialize` answers `CKR_CANT_LOCK` to `CKF_OS_LOCKING_OK` |
//! | `silent-slot:N:CKR_NAME` | `C_GetTokenInfo` of the slot at place N (from 0) of the module's list answers that value |
//! | `zero-padded` | the texts of `C_GetInfo` and `C_GetTokenInfo` end in a zero byte and what follows it; `CK_INFO` has a flag set |
//! | `odd-clock` | the token has a clock whose `utcTime` is `20:43:57` and zero bytes |
//! | `binary-serial` | the token's serial number is no text |
//! | `odd-query` | `C_WrapKey` that is asked for the length says 14 bytes too few, and the operation stays active: `CKR_OPERATION_ACTIVE` from then on |
//! | `without:0xN` | mechanism N is not there: `CKR_MECHANISM_INVALID` from `C_SignInit`, `C_GenerateKey`, `C_GenerateKeyPair`, `C_WrapKey` |
//! | `strict-token` | token objects with `CKA_DESTROYABLE` or `CKA_COPYABLE` answer `CKR_GENERAL_ERROR` |
//! | `strict-unwrap` | `C_UnwrapKey` answers `CKR_ATTRIBUTE_READ_ONLY` to `CKA_EXTRACTABLE` = TRUE, which it makes the key anyhow, and drops `CKA_SENSITIVE`; `C_CopyObject` leaves `CKA_COPYABLE` as it is |
//! | `manufacturer:TEXT`, `model:TEXT` | `C_GetTokenInfo` says so of the token |
//! | `hardware-slot` | `C_GetSlotInfo` sets CKF_HW_SLOT |
//! | `print:TEXT` | at every call TEXT and a line feed are written to descriptor 1, as a vendor's debug messages are |
//! | `dials:C_Name:CKR_NAME` | every call of it makes an internet socket first, as a network HSM's driver does; where it gets none it answers that value |
//! | `pin-flags` | wrong user PINs show in the token's flags; the third locks. `pin-flags:2`: two were wrong before this process began |
//! | `try-escape:PATH` | `C_Initialize` and `C_Login` first try sockets, io_uring and foreign calls, and write to PATH what came of it and what is seen here (see `escape.rs`) |
//! | `log:PATH` | one line a call is appended to PATH: `C_Name CKR_NAME` |
//!
//! A rule that cannot be read: one line on stderr, and `C_GetFunctionList` answers
//! `CKR_ARGUMENTS_BAD`. Calls are counted for the life of the process, refused ones too.
//! A new fault is a row in `rules.rs` and, if it changes what a call does, a function in
//! `failures/faults.rs` named behind `via` in the table below.

#![allow(non_camel_case_types)] // the names of the standard

mod escape;
mod faults;
mod manners;
mod names;
mod once;
mod rules;
mod wraps;

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cryptoki_sys::*;

use rules::Rules;

type Session = CK_SESSION_HANDLE;
type Object = CK_OBJECT_HANDLE;
type Slot = CK_SLOT_ID;
type Ulong = CK_ULONG;
type Len = *mut CK_ULONG;
type Bytes = *mut CK_BYTE;
type Mechanism = *mut CK_MECHANISM;
type Template = *mut CK_ATTRIBUTE;
type Handle = *mut CK_OBJECT_HANDLE;
type Void = *mut std::ffi::c_void;

/// What a function speaks to, and so what it answers once the token is gone.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// The library: works on.
    library,
    /// The token in a slot: `CKR_TOKEN_NOT_PRESENT`.
    token,
    /// A session: `CKR_DEVICE_REMOVED`.
    session,
}

/// Calls the real module's function; one that it does not have is not supported.
macro_rules! real {
    ($proxy:expr, $name:ident ( $($arg:expr),* $(,)? )) => {
        match $proxy.real.$name {
            // SAFETY: the caller's arguments, or copies of them that live until the return
            Some(function) => unsafe { function($($arg),*) },
            None => cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}
pub(crate) use real;

/// From the table: the enum of functions, their names and reaches, one shim for each, and
/// the function list.
macro_rules! functions {
    ($($reach:ident $name:ident ( $($arg:ident : $type:ty),* ) $(via $fault:path)? ;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Api { $($name),* }

        const FUNCTIONS: &[(&str, Reach)] = &[$((stringify!($name), Reach::$reach)),*];

        #[allow(non_snake_case)]
        mod shims {
            use super::*;
            $(pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
                match proxy() {
                    Ok(proxy) => proxy.call(Api::$name, || {
                        functions!(@forward proxy $name ( $($arg),* ) $($fault)?)
                    }),
                    Err(rv) => rv,
                }
            })*
        }

        static LIST: FunctionList = FunctionList(CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $($name: Some(shims::$name)),*
        });
    };
    (@forward $proxy:ident $name:ident ( $($arg:ident),* )) => { real!($proxy, $name($($arg),*)) };
    (@forward $proxy:ident $name:ident ( $($arg:ident),* ) $fault:path) => { $fault($proxy, $($arg),*) };
}

functions! {
    library C_Initialize(args: Void) via manners::initialize;
    library C_Finalize(reserved: Void);
    library C_GetInfo(info: *mut CK_INFO) via manners::get_info;
    library C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) via faults::get_function_list;
    library C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: Len);
    library C_GetSlotInfo(slot: Slot, info: *mut CK_SLOT_INFO) via faults::get_slot_info;
    token   C_GetTokenInfo(slot: Slot, info: *mut CK_TOKEN_INFO) via manners::get_token_info;
    token   C_GetMechanismList(slot: Slot, list: *mut CK_MECHANISM_TYPE, count: Len);
    token   C_GetMechanismInfo(slot: Slot, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO);
    token   C_InitToken(slot: Slot, pin: Bytes, pin_len: Ulong, label: Bytes);
    session C_InitPIN(session: Session, pin: Bytes, pin_len: Ulong);
    session C_SetPIN(session: Session, old: Bytes, old_len: Ulong, new: Bytes, new_len: Ulong);
    token   C_OpenSession(slot: Slot, flags: CK_FLAGS, app: Void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    session C_CloseSession(session: Session);
    library C_CloseAllSessions(slot: Slot);
    session C_GetSessionInfo(session: Session, info: *mut CK_SESSION_INFO);
    session C_GetOperationState(session: Session, state: Bytes, state_len: Len);
    session C_SetOperationState(session: Session, state: Bytes, state_len: Ulong, encryption: Object, authentication: Object);
    session C_Login(session: Session, user: CK_USER_TYPE, pin: Bytes, pin_len: Ulong) via faults::login;
    session C_Logout(session: Session);
    session C_CreateObject(session: Session, template: Template, count: Ulong, object: Handle) via manners::create_object;
    session C_CopyObject(session: Session, from: Object, template: Template, count: Ulong, object: Handle) via manners::copy_object;
    session C_DestroyObject(session: Session, object: Object);
    session C_GetObjectSize(session: Session, object: Object, size: Len);
    session C_GetAttributeValue(session: Session, object: Object, template: Template, count: Ulong) via once::get_attribute_value;
    session C_SetAttributeValue(session: Session, object: Object, template: Template, count: Ulong);
    session C_FindObjectsInit(session: Session, template: Template, count: Ulong);
    session C_FindObjects(session: Session, objects: Handle, most: Ulong, count: Len) via once::find_objects;
    session C_FindObjectsFinal(session: Session);
    session C_EncryptInit(session: Session, mechanism: Mechanism, key: Object) via manners::encrypt_init;
    session C_Encrypt(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len) via once::encrypt;
    session C_EncryptUpdate(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_EncryptFinal(session: Session, out: Bytes, out_len: Len);
    session C_DecryptInit(session: Session, mechanism: Mechanism, key: Object);
    session C_Decrypt(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_DecryptUpdate(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_DecryptFinal(session: Session, out: Bytes, out_len: Len);
    session C_DigestInit(session: Session, mechanism: Mechanism);
    session C_Digest(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_DigestUpdate(session: Session, data: Bytes, data_len: Ulong);
    session C_DigestKey(session: Session, key: Object);
    session C_DigestFinal(session: Session, out: Bytes, out_len: Len);
    session C_SignInit(session: Session, mechanism: Mechanism, key: Object) via manners::sign_init;
    session C_Sign(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len) via once::sign;
    session C_SignUpdate(session: Session, data: Bytes, data_len: Ulong);
    session C_SignFinal(session: Session, out: Bytes, out_len: Len);
    session C_SignRecoverInit(session: Session, mechanism: Mechanism, key: Object);
    session C_SignRecover(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_VerifyInit(session: Session, mechanism: Mechanism, key: Object);
    session C_Verify(session: Session, data: Bytes, data_len: Ulong, signature: Bytes, signature_len: Ulong);
    session C_VerifyUpdate(session: Session, data: Bytes, data_len: Ulong);
    session C_VerifyFinal(session: Session, signature: Bytes, signature_len: Ulong);
    session C_VerifyRecoverInit(session: Session, mechanism: Mechanism, key: Object);
    session C_VerifyRecover(session: Session, signature: Bytes, signature_len: Ulong, out: Bytes, out_len: Len);
    session C_DigestEncryptUpdate(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_DecryptDigestUpdate(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_SignEncryptUpdate(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_DecryptVerifyUpdate(session: Session, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len);
    session C_GenerateKey(session: Session, mechanism: Mechanism, template: Template, count: Ulong, key: Handle) via manners::generate_key;
    session C_GenerateKeyPair(session: Session, mechanism: Mechanism, public: Template, public_count: Ulong,
                              private: Template, private_count: Ulong, public_key: Handle, private_key: Handle) via manners::generate_key_pair;
    session C_WrapKey(session: Session, mechanism: Mechanism, wrapping: Object, key: Object, out: Bytes, out_len: Len) via manners::wrap_key;
    session C_UnwrapKey(session: Session, mechanism: Mechanism, unwrapping: Object, wrapped: Bytes, wrapped_len: Ulong,
                        template: Template, count: Ulong, key: Handle) via manners::unwrap_key;
    session C_DeriveKey(session: Session, mechanism: Mechanism, base: Object, template: Template, count: Ulong, key: Handle);
    session C_SeedRandom(session: Session, seed: Bytes, seed_len: Ulong);
    session C_GenerateRandom(session: Session, out: Bytes, out_len: Ulong);
    session C_GetFunctionStatus(session: Session);
    session C_CancelFunction(session: Session);
    library C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: Void);
}

impl Api {
    fn named(name: &str) -> Option<usize> {
        FUNCTIONS.iter().position(|(known, _)| *known == name)
    }
}

/// The real module, the rules, and what has happened so far.
struct Proxy {
    real: CK_FUNCTION_LIST,
    rules: Rules,
    log: Option<File>,
    calls: [AtomicU64; FUNCTIONS.len()],
    removed: AtomicBool,
    wrong_pins: faults::WrongPins,
    wrapped: AtomicU64,
    last_made: AtomicU64,
    /// An operation is under way for good.
    busy: AtomicBool,
}

impl Proxy {
    fn new(real: CK_FUNCTION_LIST, rules: Rules) -> Result<Self, String> {
        let log = match &rules.log {
            None => None,
            Some(path) => match File::options().append(true).create(true).open(path) {
                Ok(file) => Some(file),
                Err(error) => return Err(format!("log:{}: {error}", path.display())),
            },
        };
        Ok(Proxy {
            real,
            rules,
            log,
            calls: [const { AtomicU64::new(0) }; FUNCTIONS.len()],
            removed: AtomicBool::new(false),
            wrong_pins: faults::WrongPins::default(),
            wrapped: AtomicU64::new(0),
            last_made: AtomicU64::new(0),
            busy: AtomicBool::new(false),
        })
    }

    /// Counts a call, refuses it if a rule says so, forwards it if none does, logs it.
    fn call(&self, function: Api, forward: impl FnOnce() -> CK_RV) -> CK_RV {
        let index = function as usize;
        let (name, reach) = FUNCTIONS[index];
        let number = self.calls[index].fetch_add(1, SeqCst) + 1;
        if let Some(text) = &self.rules.print {
            faults::print(text);
        }
        if let Some(path) = &self.rules.try_escape {
            escape::at(name, path);
        }
        if (self.rules.removed_after.iter()).any(|at| at.function == index && number >= at.call) {
            self.removed.store(true, SeqCst);
        }
        if (self.rules.hang.iter()).any(|at| at.function == index && number == at.call) {
            self.note(&format!("{name} hangs"));
            loop {
                std::thread::park();
            }
        }
        let mut slow = self.rules.slow.iter();
        let now = slow.find(|(at, _)| at.function == index && number == at.call);
        if let Some((_, seconds)) = now {
            self.note(&format!("{name} takes long"));
            std::thread::sleep(Duration::from_secs(seconds.unsigned_abs()));
        }
        if (self.rules.lose_session.iter()).any(|at| at.function == index && number == at.call) {
            faults::close_all_sessions(self);
        }
        let refusal = match (self.removed.load(SeqCst), reach) {
            (true, Reach::session) => Some(CKR_DEVICE_REMOVED),
            (true, Reach::token) => Some(CKR_TOKEN_NOT_PRESENT),
            _ => (self.rules.fail.iter())
                .find(|fail| fail.function == index && fail.call.is_none_or(|n| n == number))
                .map(|fail| fail.rv)
                .or_else(|| faults::dialled(self, index)),
        };
        let rv = refusal.unwrap_or_else(forward);
        self.note(&format!("{name} {}", names::of_rv(rv)));
        rv
    }

    /// Which call of the function is under way, from 1. The tests' programs call from one thread.
    fn number(&self, function: Api) -> u64 {
        self.calls[function as usize].load(SeqCst)
    }

    fn note(&self, line: &str) {
        if let Some(mut log) = self.log.as_ref() {
            // one write: lines of several threads or processes do not mix
            let _ = log.write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Made on first use, for the life of the process.
fn proxy() -> Result<&'static Proxy, CK_RV> {
    static PROXY: OnceLock<Result<Proxy, CK_RV>> = OnceLock::new();
    let made = PROXY.get_or_init(|| {
        load().map_err(|(rv, message)| {
            eprintln!("byok_proxy: {message}");
            rv
        })
    });
    made.as_ref().map_err(|rv| *rv)
}

fn load() -> Result<Proxy, (CK_RV, String)> {
    let bad = |message| (CKR_ARGUMENTS_BAD, message);
    let rules = match std::env::var("BYOK_PROXY_RULES") {
        Ok(text) => {
            Rules::parse(&text).map_err(|error| bad(format!("BYOK_PROXY_RULES: {error}")))?
        }
        Err(std::env::VarError::NotPresent) => Rules::default(),
        Err(error) => return Err(bad(format!("BYOK_PROXY_RULES: {error}"))),
    };
    let Some(path) = std::env::var_os("BYOK_PROXY_MODULE") else {
        return Err(bad("BYOK_PROXY_MODULE names no module".into()));
    };
    let failed = |error: String| {
        let message = format!("BYOK_PROXY_MODULE={}: {error}", path.display());
        (CKR_LIBRARY_LOAD_FAILED, message)
    };
    // SAFETY: a PKCS#11 module that the test named; it is never unloaded
    let real = unsafe {
        let library = libloading::Library::new(&path).map_err(|error| failed(error.to_string()))?;
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        let get = library
            .get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
                b"C_GetFunctionList\0",
            )
            .map_err(|error| failed(error.to_string()))?;
        let mut list = std::ptr::null_mut();
        match get(&mut list) {
            CKR_OK if !list.is_null() => *list,
            rv => return Err(failed(format!("C_GetFunctionList: {}", names::of_rv(rv)))),
        }
    };
    Proxy::new(real, rules).map_err(bad)
}

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
    // SAFETY: the caller's
    unsafe { shims::C_GetFunctionList(list) }
}
