//! Mechanisms by number, where the wrapper has no name for them. The one line of `unsafe` of this room.
#![allow(unsafe_code)]

use cryptoki::mechanism::MechanismType;

/// The mechanism type of any PKCS#11 number. The wrapper makes them of vendors' numbers only (from
/// 0x80000000), and does not know AES-KWP (0x210B) or CKM_RSA_AES_KEY_WRAP (0x1054) by name.
pub(super) fn mechanism_type(number: u64) -> MechanismType {
    const {
        assert!(size_of::<MechanismType>() == size_of::<u64>());
        assert!(align_of::<MechanismType>() == align_of::<u64>());
    }
    // SAFETY: MechanismType is `repr(transparent)` over CK_MECHANISM_TYPE, an unsigned long of 64 bits here,
    // as the assertions above hold it to; every value of it is valid.
    unsafe { std::mem::transmute::<u64, MechanismType>(number) }
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
