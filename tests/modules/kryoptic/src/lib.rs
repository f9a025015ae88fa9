//! The three entry points of a PKCS#11 module, over `kryoptic-lib`.
//!
//! `KRYOPTIC_CONF` names the configuration, a TOML file: one `[[slots]]` with `slot = 1`,
//! `dbtype = "sqlite"` and `dbargs = "/absolute/path/token.sql"`. The token is then made
//! with C_InitToken, a login of the SO, and C_InitPIN; a PIN has at least 8 characters.
//!
//! The module says nothing on stderr: the screen belongs to the program that loads it.
//! `KRYOPTIC_TRACE` (`stdout`, or a file) turns kryoptic's own log on, and the reports of
//! panics with it.

use std::sync::Once;

use kryoptic_lib::fns::general;
use kryoptic_lib::pkcs11::{
    CK_FLAGS, CK_FUNCTION_LIST_PTR_PTR, CK_INTERFACE_PTR, CK_INTERFACE_PTR_PTR, CK_RV,
    CK_ULONG_PTR, CK_UTF8CHAR_PTR, CK_VERSION_PTR,
};

/// This library has a standard library, and so a panic hook, of its own: silencing it
/// leaves the program that loads the module alone.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("KRYOPTIC_TRACE").is_none() {
            std::panic::set_hook(Box::new(|_| {}));
        }
    });
}

/// The table of PKCS#11 v2.40 functions.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    quiet();
    general::fn_get_function_list(list)
}

/// The interfaces of PKCS#11 v3.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterfaceList(list: CK_INTERFACE_PTR, count: CK_ULONG_PTR) -> CK_RV {
    quiet();
    general::fn_get_interface_list(list, count)
}

/// One interface of PKCS#11 v3.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterface(
    name: CK_UTF8CHAR_PTR,
    version: CK_VERSION_PTR,
    interface: CK_INTERFACE_PTR_PTR,
    flags: CK_FLAGS,
) -> CK_RV {
    quiet();
    general::fn_get_interface(name, version, interface, flags)
}
