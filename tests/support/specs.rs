//! Which wrapping KMS takes for which spec, which HSM does it by itself, and plans with many imports.

use super::{Kind, is_private};

pub const OAEP: [&str; 2] = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];
pub const RSA_AES: [&str; 2] = ["RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"];
pub const SIZES: [u32; 3] = [2048, 3072, 4096];

/// A key of a KMS that takes the spec, if AWS KMS does not: `kms` and `key` of a plan.
pub fn elsewhere(spec: &str) -> Option<(&'static str, &'static str)> {
    match spec {
        "AES_192" => Some((
            "azure",
            "https://of-a-test.managedhsm.azure.net/keys/payments",
        )),
        "AES_128" | "AES_256" | "ED25519" => Some((
            "openbao",
            "https://bao.example:8200/v1/transit/keys/payments",
        )),
        _ => None,
    }
}

/// What a spec is wrapped with, by the Developer Guide's table, or by what the other KMS takes.
pub fn combinations(spec: &str) -> Vec<(&'static str, u32)> {
    match elsewhere(spec) {
        Some(("azure", _)) => return SIZES.map(|bits| (RSA_AES[0], bits)).to_vec(),
        Some(_) => return RSA_AES.map(|wrapping| (wrapping, 4096)).to_vec(),
        None => {}
    }
    let mut all = Vec::new();
    for bits in SIZES {
        let too_long = spec == "ECC_NIST_P521" && bits == 2048;
        let oaep = !spec.starts_with("RSA_") && !too_long;
        let rsa_aes = spec.starts_with("RSA_") || spec.starts_with("ECC_");
        all.extend(
            OAEP.iter()
                .filter(|_| oaep)
                .map(|wrapping| (*wrapping, bits)),
        );
        all.extend(
            RSA_AES
                .iter()
                .filter(|_| rsa_aes)
                .map(|wrapping| (*wrapping, bits)),
        );
    }
    all
}

/// Whether this HSM wraps the spec by itself so that KMS takes it.
pub fn in_hsm(kind: Kind, spec: &str, wrapping: &str) -> bool {
    match kind {
        Kind::SoftHsm => !is_private(spec) && wrapping.ends_with("SHA_1"),
        // It leaves leading zero bytes of a curve's private value away, which RFC 5915 does not allow.
        Kind::Kryoptic => !spec.starts_with("ECC_"),
    }
}

/// An import as a plan tells it.
pub struct Import<'a> {
    pub name: &'a str,
    /// `kms` and `key` of another KMS than AWS KMS.
    pub elsewhere: Option<(&'a str, &'a str)>,
    pub arn: &'a str,
    pub file: &'a str,
    pub wrapping: &'a str,
    pub in_hsm: bool,
    pub wrapping_key_sha256: &'a str,
}

impl Import<'_> {
    pub fn text(&self) -> String {
        let into = match self.elsewhere {
            None => format!("key_arn = \"{}\"", self.arn),
            Some((kms, key)) => format!("kms = \"{kms}\"\nkey = \"{key}\""),
        };
        format!(
            "[[key.import]]\nname = \"{}\"\n{into}\nparameters = \"{}\"\nwrapping = \"{}\"\n\
             wrap_in = \"{}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
            self.name,
            self.file,
            self.wrapping,
            if self.in_hsm { "hsm" } else { "host" },
            self.wrapping_key_sha256,
        )
    }
}
