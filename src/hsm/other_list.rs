//! Modules that return another list of functions each time (p11-kit-client): a second list does not know that the
//! wrapper initialised the first. For such modules byok uses the wrapper's own calls, which are stricter.

use cryptoki::context::{Info, Pkcs11};
use cryptoki::error::{Error, Result, RvError};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki_sys::{
    CK_INFO, CK_TOKEN_INFO, CK_VERSION, CKF_PROTECTED_AUTHENTICATION_PATH, CKF_TOKEN_INITIALIZED,
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED,
};

/// Whether this is the answer of a list that nobody initialised.
pub(super) fn is_another<T>(answered: &Result<T>) -> bool {
    matches!(
        answered,
        Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _))
    )
}

/// C_GetInfo by the wrapper.
pub(super) fn info(module: &Pkcs11) -> Result<CK_INFO> {
    let told: Info = module.get_library_info()?;
    let mut info = CK_INFO::default();
    fill(&mut info.manufacturerID, told.manufacturer_id());
    fill(&mut info.libraryDescription, told.library_description());
    info.libraryVersion = CK_VERSION {
        major: told.library_version().major(),
        minor: told.library_version().minor(),
    };
    Ok(info)
}

/// C_GetTokenInfo by the wrapper: the fields that byok reads.
pub(super) fn token_info(module: &Pkcs11, slot: Slot) -> Result<CK_TOKEN_INFO> {
    let told: TokenInfo = module.get_token_info(slot)?;
    let mut info = CK_TOKEN_INFO::default();
    fill(&mut info.label, told.label());
    fill(&mut info.manufacturerID, told.manufacturer_id());
    fill(&mut info.model, told.model());
    fill(&mut info.serialNumber, told.serial_number());
    info.firmwareVersion = CK_VERSION {
        major: told.firmware_version().major(),
        minor: told.firmware_version().minor(),
    };
    for (flag, set) in [
        (CKF_TOKEN_INITIALIZED, told.token_initialized()),
        (
            CKF_PROTECTED_AUTHENTICATION_PATH,
            told.protected_authentication_path(),
        ),
        (CKF_USER_PIN_COUNT_LOW, told.user_pin_count_low()),
        (CKF_USER_PIN_FINAL_TRY, told.user_pin_final_try()),
        (CKF_USER_PIN_LOCKED, told.user_pin_locked()),
    ] {
        info.flags |= if set { flag } else { 0 };
    }
    Ok(info)
}

/// A field of the standard: padded with blanks.
fn fill(field: &mut [u8], text: &str) {
    field.fill(b' ');
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
}
