//! How modules differ, as rows. No row is chosen by a module's name: they are tried in their order until a control key
//! shows that one works. Which answers of a module lead to the next row: `template_refused` and `is_general` in
//! `hsm::keys`, `mechanism_unknown` in `hsm::check`. What all modules were seen to take alike has no row.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::object::AttributeType;

use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::raw::mechanism_type;
use crate::ground::words;

/// A way to encrypt single AES blocks, for key check values and fingerprints.
pub(super) struct BlockCipher {
    pub name: &'static str,
    pub mechanism: Mechanism<'static>,
}

/// CBC with a zero IV over one block equals ECB of that block; some policies forbid ECB by name.
pub(super) const BLOCK_CIPHERS: &[BlockCipher] = &[
    BlockCipher {
        name: "CKM_AES_ECB",
        mechanism: Mechanism::AesEcb,
    },
    BlockCipher {
        name: "CKM_AES_CBC, zero IV",
        mechanism: Mechanism::AesCbc([0; 16]),
    },
];

/// A way to sign with an RSA key (RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017), so that it can prove itself.
pub(super) struct RsaSignature {
    pub mechanism: Mechanism<'static>,
    /// What C_Sign is given to sign a text.
    pub input: fn(&[u8]) -> Vec<u8>,
}

/// All make the same signature; some modules know only the mechanism that does not hash.
pub(super) const RSA_SIGNATURES: &[RsaSignature] = &[
    RsaSignature {
        mechanism: Mechanism::Sha256RsaPkcs,
        input: |text| text.to_vec(),
    },
    RsaSignature {
        mechanism: Mechanism::RsaPkcs,
        input: digest_info,
    },
];

/// DigestInfo of SHA-256 (RFC 8017, section 9.2, note 1).
fn digest_info(text: &[u8]) -> Vec<u8> {
    const SHA_256: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    [&SHA_256[..], &words::sha256(text)].concat()
}

/// A mechanism by the number that a family of modules uses for it.
pub(super) struct Numbered {
    pub name: &'static str,
    /// PKCS#11 mechanism number.
    pub number: u64,
}

impl Numbered {
    pub(crate) fn mechanism(&self) -> Mechanism<'static> {
        Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(
            mechanism_type(self.number),
            None,
        ))
    }
}

/// AES-KW (RFC 3394).
pub(super) const AES_KEY_WRAPS: &[Numbered] = &[
    // PKCS#11 v2.40 section 2.12; measured on SoftHSM, kryoptic, NSS softokn, opencryptoki
    Numbered {
        name: "CKM_AES_KEY_WRAP",
        number: 0x2109,
    },
    // Thales Luna: CKM_AES_KW in the vendor's header; not measured here, so the control key decides
    Numbered {
        name: "CKM_AES_KW (Luna, 0x80000170)",
        number: 0x8000_0170,
    },
];

/// AES-KWP (RFC 5649).
pub(super) const AES_KEY_WRAPS_PADDED: &[Numbered] = &[
    // PKCS#11 v3.0 section 2.14; measured on kryoptic, NSS softokn, opencryptoki
    Numbered {
        name: "CKM_AES_KEY_WRAP_KWP",
        number: 0x210b,
    },
    // SoftHSM means KWP by it; elsewhere it is PKCS#7 padding and KW, and the control key shows which
    Numbered {
        name: "CKM_AES_KEY_WRAP_PAD",
        number: 0x210a,
    },
    // Thales Luna: CKM_AES_KWP in the vendor's header; not measured here, so the control key decides
    Numbered {
        name: "CKM_AES_KWP (Luna, 0x80000171)",
        number: 0x8000_0171,
    },
];

/// RSA_AES_KEY_WRAP in one call (PKCS#11 v2.40 section 2.1.21): opencryptoki has it. SoftHSM 2.7 answers CKR_OK
/// for SHA-256 but uses SHA-1, which the control key shows. If it fails, the HSM does the two parts.
pub(super) const RSA_AES_KEY_WRAP: Numbered = Numbered {
    name: "CKM_RSA_AES_KEY_WRAP",
    number: 0x1054,
};

/// The algorithms with which a secret may come in under a key pair of the HSM, tried in order: SoftHSM
/// unwraps with SHA-1 only.
pub(super) const GATES: &[WrappingAlgorithm] = &[
    WrappingAlgorithm::RsaesOaepSha256,
    WrappingAlgorithm::RsaesOaepSha1,
];

/// Attributes that a module may not know. They are left out of the templates of keys that it makes, in this order, and the
/// omission is recorded with the key (for keys that come in wrapped see [`UNWRAPPINGS`]). Each row is all that is left
/// out: nothing, CKA_DESTROYABLE, or CKA_DESTROYABLE and CKA_COPYABLE. NSS softokn refuses these two for token objects only, with
/// CKR_GENERAL_ERROR.
pub(super) const OMISSIONS: &[&[AttributeType]] = &[
    &[],
    // CKA_DESTROYABLE came with PKCS#11 v2.40
    &[AttributeType::Destroyable],
    // CKA_COPYABLE came with PKCS#11 v2.30
    &[AttributeType::Destroyable, AttributeType::Copyable],
];

/// A way to have C_UnwrapKey make a key with the right attributes.
pub(super) struct Unwrapping {
    /// What the template leaves out.
    pub omitted: &'static [AttributeType],
    /// The key is made changeable, and then copied to the key that is wanted.
    pub by_copy: bool,
}

/// The templates of C_UnwrapKey, tried in this order if a module refuses one or makes a key with other attributes
/// (`super::unwrap`). After each, CKA_SENSITIVE is set if the module dropped it: no other attribute can be set later, so what
/// is left out must come out right by itself, or the key is refused.
pub(super) const UNWRAPPINGS: &[Unwrapping] = &[
    Unwrapping {
        omitted: &[],
        by_copy: false,
    },
    // opencryptoki 3.27 answers CKR_ATTRIBUTE_READ_ONLY to CKA_EXTRACTABLE = TRUE, but sets it to TRUE anyway
    Unwrapping {
        omitted: &[AttributeType::Extractable],
        by_copy: false,
    },
    // ... and drops CKA_SENSITIVE, which can be set only while CKA_MODIFIABLE is TRUE; only a copy can change that
    Unwrapping {
        omitted: &[AttributeType::Extractable],
        by_copy: true,
    },
];

/// Manufacturers whose tokens are always programs in a computer: how CK_TOKEN_INFO's manufacturer begins, ignoring
/// case.
pub(super) const SOFTWARE_MANUFACTURERS: &[&str] = &[
    "SoftHSM",
    "Kryoptic",
    "Mozilla Foundation", // NSS
    "wolfSSL",
    "wolfPKCS11",
];

/// The same by model, for manufacturers of both kinds: opencryptoki always says IBM, whatever is behind a slot.
pub(super) const SOFTWARE_MODELS: &[&str] = &[
    "Soft", // SoftHSM v2, opencryptoki's "Soft"
    "IBM Soft",
    "ICA", // opencryptoki: the processor computes, but the keys are in this computer's memory
    "IBM ICA",
    "Kryoptic",
    "NSS",
    "wolfPKCS11",
];
