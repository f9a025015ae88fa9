//! What modules do differently, as rows. Nothing else in the house asks which module it talks to:
//! rows are tried in their order until a control shows that one works.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::object::AttributeType;

use crate::raw::mechanism_type;
use crate::wrapping::WrappingAlgorithm;

/// A way to encrypt single AES blocks, for key check values and fingerprints.
pub(super) struct BlockCipher {
    pub name: &'static str,
    pub mechanism: Mechanism<'static>,
}

/// CBC with a zero IV over one block is ECB of that block; some policies forbid ECB by name.
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

/// A mechanism by the number that a family of modules knows it under.
pub(super) struct Numbered {
    pub name: &'static str,
    /// PKCS#11 mechanism number.
    pub number: u64,
}

impl Numbered {
    pub fn mechanism(&self) -> Mechanism<'static> {
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
    // Thales Luna: CKM_AES_KW in the vendor's header; not measured here, so the control decides
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
    // SoftHSM means KWP by it; elsewhere it is PKCS#7 padding and KW, which the control finds
    Numbered {
        name: "CKM_AES_KEY_WRAP_PAD",
        number: 0x210a,
    },
    // Thales Luna: CKM_AES_KWP in the vendor's header; not measured here, so the control decides
    Numbered {
        name: "CKM_AES_KWP (Luna, 0x80000171)",
        number: 0x8000_0171,
    },
];

/// RSA_AES_KEY_WRAP in one call (PKCS#11 v2.40 section 2.1.21): opencryptoki has it; SoftHSM 2.7 answers
/// CKR_OK for SHA-256 and uses SHA-1, which the control finds. Where it fails, the HSM does its two parts.
pub(super) const RSA_AES_KEY_WRAP: Numbered = Numbered {
    name: "CKM_RSA_AES_KEY_WRAP",
    number: 0x1054,
};

/// The algorithms by which a secret may come in under a key pair of the HSM, tried in order: SoftHSM
/// unwraps with SHA-1 only.
pub(super) const GATES: &[WrappingAlgorithm] = &[
    WrappingAlgorithm::RsaesOaepSha256,
    WrappingAlgorithm::RsaesOaepSha1,
];

/// Attributes that a module may not know; left out of templates in this order, and the omission is
/// recorded with the key.
pub(super) const OMISSIONS: &[&[AttributeType]] = &[
    &[],
    // CKA_DESTROYABLE came with PKCS#11 v2.40
    &[AttributeType::Destroyable],
    // CKA_COPYABLE came with PKCS#11 v2.30
    &[AttributeType::Destroyable, AttributeType::Copyable],
];

/// Tokens that are software in this very computer, by manufacturer. Their exposure grade says so.
pub(super) const SOFTWARE_MANUFACTURERS: &[&str] = &[
    "SoftHSM project",
    "Kryoptic Project",
    "Kryoptic",
    "Mozilla Foundation",
];
