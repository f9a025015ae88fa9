//! A PKCS#11 failure as an error: with PKCS#11's own names, and whether another try could help.

use cryptoki::context::Function;
use cryptoki::error::{Error as P11Error, RvError};

use crate::ground::error::{Again, Error};

/// The check id of every failure after which the session, or its login, is gone.
const SESSION: &str = "HSM-SESSION";

/// Whether the HSM has stopped answering, at all or in this session.
pub(crate) fn went_away(error: &Error) -> bool {
    session_was_lost(error) || error.again == Again::Away
}

/// Whether the HSM lost the session or its login, so that the failed step may be repeated in a new session.
pub(crate) fn session_was_lost(error: &Error) -> bool {
    error.check == Some(SESSION)
}

/// Of what different ways answered, whether this tells people more than what is known already: that the HSM does not answer,
/// then what it does wrong. Otherwise the first, which is the standard's own, tells most. An HSM that answers so to a mechanism
/// that it does not know may still know the next, so only a lost session ends a search.
pub(crate) fn tells_more(error: &Error, known: &Error) -> bool {
    let rank = |error: &Error| (went_away(error), error.check.is_some());
    rank(error) > rank(known)
}

/// With PKCS#11's own names, so that people can search for them: `C_WrapKey: CKR_ARGUMENTS_BAD`.
pub(super) fn fault(error: P11Error) -> Error {
    match error {
        P11Error::Pkcs11(rv, function) => {
            let what = format!("{}: {}", c_name(function), ckr_name(rv));
            hinted(rv, Error::hsm(what).again(again(rv)))
        }
        other => Error::hsm(other.to_string()),
    }
}

fn hinted(rv: RvError, error: Error) -> Error {
    let error = match rv {
        RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::UserNotLoggedIn => error.check(SESSION),
        // it knows the mechanism: that tells more than the answer to one that it does not know
        RvError::KeyNotWrappable => error.check("CONTROL"),
        _ => error,
    };
    match (error.again, rv) {
        (Again::Away, _) => error.hint(
            "the HSM no longer answers: check its cable, power and slot, then start byok again",
        ),
        (_, RvError::SessionHandleInvalid | RvError::SessionClosed) => {
            error.hint("the HSM closed the session: start byok again")
        }
        _ => error,
    }
}

/// The one table of codes. Codes that are not listed may be temporary: memory, a slot, a session, another
/// program, a passing fault (CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED), a vendor's own code.
fn again(rv: RvError) -> Again {
    use RvError::*;
    match rv {
        DeviceError | DeviceRemoved | TokenNotPresent => Again::Away,
        // the HSM cannot do this at all
        FunctionNotSupported
        | FunctionNotParallel
        | MechanismInvalid
        | MechanismParamInvalid
        | CurveNotSupported
        | DomainParamsInvalid
        | RandomNoRng
        | RandomSeedNotSupported
        | SessionParallelNotSupported
        | CantLock
        | NeedToCreateThreads
        | LibraryLoadFailed => Again::Never,
        // it does not do this with such a key, or with these attributes
        AttributeReadOnly
        | AttributeSensitive
        | AttributeTypeInvalid
        | AttributeValueInvalid
        | TemplateIncomplete
        | TemplateInconsistent
        | KeySizeRange
        | KeyTypeInconsistent
        | KeyNotNeeded
        | KeyNeeded
        | KeyIndigestible
        | KeyFunctionNotPermitted
        | KeyNotWrappable
        | KeyUnextractable
        | WrappingKeySizeRange
        | WrappingKeyTypeInconsistent
        | UnwrappingKeySizeRange
        | UnwrappingKeyTypeInconsistent
        | PublicKeyInvalid
        | InformationSensitive
        | StateUnsaveable
        | ActionProhibited => Again::Never,
        // it does not accept these bytes, or has more to return than fits
        ArgumentsBad
        | BufferTooSmall
        | DataInvalid
        | DataLenRange
        | EncryptedDataInvalid
        | EncryptedDataLenRange
        | WrappedKeyInvalid
        | WrappedKeyLenRange
        | SignatureInvalid
        | SignatureLenRange
        | SavedStateInvalid => Again::Never,
        // its security officer must act first
        TokenWriteProtected
        | SessionReadOnly
        | UserPinNotInitialized
        | UserTypeInvalid
        | UserTooManyTypes
        | PinExpired
        | PinLocked
        | PinTooWeak => Again::Never,
        _ => Again::Unknown,
    }
}

fn c_name(function: Function) -> String {
    format!("C_{function:?}")
}

/// `ArgumentsBad` as `CKR_ARGUMENTS_BAD`.
fn ckr_name(rv: RvError) -> String {
    if let RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) = rv {
        return format!("CKR {code:#x} (the vendor's manual explains it)");
    }
    let variant = format!("{rv:?}");
    variant.chars().fold("CKR".to_owned(), |mut name, c| {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rv: RvError) -> Error {
        fault(P11Error::Pkcs11(rv, Function::WrapKey))
    }

    #[test]
    fn failures_carry_the_names_of_the_standard() {
        let error = refused(RvError::ArgumentsBad);
        assert_eq!(error.line(), "C_WrapKey: CKR_ARGUMENTS_BAD");
        assert_eq!(ckr_name(RvError::UserNotLoggedIn), "CKR_USER_NOT_LOGGED_IN");
    }

    #[test]
    fn the_code_alone_says_whether_the_hsm_went_away() {
        for rv in [
            RvError::DeviceError,
            RvError::DeviceRemoved,
            RvError::TokenNotPresent,
        ] {
            let error = refused(rv);
            assert!(went_away(&error) && error.hints.len() == 1, "{rv:?}");
            let told = Error {
                hints: Vec::new(),
                ..error
            };
            assert!(went_away(&told), "{rv:?}: not the hint's wording");
        }
        assert!(!session_was_lost(&refused(RvError::DeviceError)));
        for rv in [
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
            RvError::UserNotLoggedIn,
        ] {
            assert!(
                session_was_lost(&refused(rv)) && went_away(&refused(rv)),
                "{rv:?}"
            );
        }
        assert!(!went_away(&refused(RvError::GeneralError)));
    }
}
