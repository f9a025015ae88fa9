//! What modules do differently, as rows. Nothing else in the house asks which module it talks to:
//! rows are tried in their order until a control shows that one works.

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

/// A way to sign with an RSA key (RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017), by which it proves itself.
pub(super) struct RsaSignature {
    pub mechanism: Mechanism<'static>,
    /// What C_Sign is given for a text.
    pub input: fn(&[u8]) -> Vec<u8>,
}

/// The same signature; some modules know the mechanism only that hashes nothing.
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

/// A mechanism by the number that a family of modules knows it under.
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
/// recorded with the key. NSS softokn refuses the last two of token objects only, by CKR_GENERAL_ERROR.
pub(super) const OMISSIONS: &[&[AttributeType]] = &[
    &[],
    // CKA_DESTROYABLE came with PKCS#11 v2.40
    &[AttributeType::Destroyable],
    // CKA_COPYABLE came with PKCS#11 v2.30
    &[AttributeType::Destroyable, AttributeType::Copyable],
];

/// A way to have C_UnwrapKey make a key of certain attributes.
pub(super) struct Unwrapping {
    /// What the template leaves out.
    pub omitted: &'static [AttributeType],
    /// The key is made so that it can be changed; what it must be is a copy of it.
    pub by_copy: bool,
}

/// CKA_SENSITIVE is always set afterwards where a module drops it.
pub(super) const UNWRAPPINGS: &[Unwrapping] = &[
    Unwrapping {
        omitted: &[],
        by_copy: false,
    },
    // opencryptoki 3.27 answers CKR_ATTRIBUTE_READ_ONLY to CKA_EXTRACTABLE = TRUE, which it makes it anyhow
    Unwrapping {
        omitted: &[AttributeType::Extractable],
        by_copy: false,
    },
    // ... and drops CKA_SENSITIVE, which can be set only while CKA_MODIFIABLE is TRUE; that changes in a copy only
    Unwrapping {
        omitted: &[AttributeType::Extractable],
        by_copy: true,
    },
];

/// Who makes tokens that are programs in this computer, and nothing else: how CK_TOKEN_INFO's manufacturer
/// begins, in any case.
pub(super) const SOFTWARE_MANUFACTURERS: &[&str] = &[
    "SoftHSM",
    "Kryoptic",
    "Mozilla Foundation", // NSS
    "wolfSSL",
    "wolfPKCS11",
];

/// The same by model, for who makes both: opencryptoki's manufacturer is IBM, whatever stands behind a slot.
pub(super) const SOFTWARE_MODELS: &[&str] = &[
    "Soft", // SoftHSM v2, opencryptoki's "Soft"
    "IBM Soft",
    "ICA", // opencryptoki: the processor computes, the keys are in this computer's memory
    "IBM ICA",
    "Kryoptic",
    "NSS",
    "wolfPKCS11",
];
