//! What modules do differently, as rows. Nothing else in the house asks which module it talks to:
//! rows are tried in their order until a control shows that one works.

use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::AttributeType;

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

/// AES-KW (RFC 3394) by the number each family knows it under.
pub(super) struct KeyWrap {
    pub name: &'static str,
    /// PKCS#11 mechanism number; `None` is the standard CKM_AES_KEY_WRAP (0x2109).
    pub vendor: Option<u64>,
}

pub(super) const AES_KEY_WRAPS: &[KeyWrap] = &[
    // PKCS#11 v2.40 section 2.12; measured on SoftHSM, kryoptic, NSS softokn, opencryptoki
    KeyWrap {
        name: "CKM_AES_KEY_WRAP",
        vendor: None,
    },
    // Thales Luna: CKM_AES_KW in the vendor's header; not measured here, so the control decides
    KeyWrap {
        name: "CKM_AES_KW (Luna, 0x80000170)",
        vendor: Some(0x8000_0170),
    },
];

impl KeyWrap {
    pub fn mechanism(&self) -> Mechanism<'static> {
        let vendor = self
            .vendor
            .and_then(|number| MechanismType::new_vendor_defined(number).ok());
        vendor.map_or(Mechanism::AesKeyWrap, |number| {
            Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(number, None))
        })
    }
}

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
