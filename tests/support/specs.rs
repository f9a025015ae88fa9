//! Which wrapping KMS takes for which spec, which HSM does it by itself, and plans with many imports.

use super::Kind;

pub const OAEP: [&str; 2] = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];
pub const RSA_AES: [&str; 2] = ["RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"];
pub const SIZES: [u32; 3] = [2048, 3072, 4096];

/// What a spec is wrapped with, by the Developer Guide's table.
pub fn combinations(spec: &str) -> Vec<(&'static str, u32)> {
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
    let private = spec.starts_with("RSA_") || spec.starts_with("ECC_");
    match kind {
        Kind::SoftHsm => !private && wrapping.ends_with("SHA_1"),
        // It leaves leading zero bytes of a curve's private value away, which RFC 5915 does not allow.
        Kind::Kryoptic => !spec.starts_with("ECC_"),
    }
}

/// An import as a plan tells it.
pub struct Import<'a> {
    pub name: &'a str,
    pub arn: &'a str,
    pub file: &'a str,
    pub wrapping: &'a str,
    pub in_hsm: bool,
    pub wrapping_key_sha256: &'a str,
}

impl Import<'_> {
    pub fn text(&self) -> String {
        format!(
            "[[key.import]]\nname = \"{}\"\nkey_arn = \"{}\"\nparameters = \"{}\"\nwrapping = \"{}\"\n\
             wrap_in = \"{}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
            self.name,
            self.arn,
            self.file,
            self.wrapping,
            if self.in_hsm { "hsm" } else { "host" },
            self.wrapping_key_sha256,
        )
    }
}
