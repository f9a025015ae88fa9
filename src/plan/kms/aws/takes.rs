//! What AWS KMS takes: which data key, wrapped by which algorithm under which wrapping key, and why not.
//!
//! Source: AWS KMS Developer Guide, "Importing key material" (API 2014-11-01).

use crate::crypto::spec::{Curve, Refusal, Spec, Taken};
use crate::crypto::wrapping::WrappingAlgorithm;

/// Whether KMS accepts it wrapped with this algorithm, as far as the plan alone says.
///
/// # Errors
/// Why not.
pub(crate) fn takes(spec: Spec, wrapping: WrappingAlgorithm, in_china: bool) -> Taken {
    const DOWNLOAD: &str = "write RSAES_OAEP_SHA_256, and download import parameters for it";
    let name = spec.name();
    let refuse = |why: String, hint| Err(Refusal::new(format!("wrapping {wrapping}: {why}"), hint));
    match spec {
        Spec::Aes { .. } => Err(Refusal::new(
            format!("spec {name}: AWS KMS has one kind of AES key, SYMMETRIC_DEFAULT"),
            "write SYMMETRIC_DEFAULT, which other KMSs take too: it has 256 bits",
        )),
        Spec::Ed25519 => Err(Refusal::new(
            "spec ED25519: AWS KMS makes Ed25519 keys itself and imports none",
            "the most similar key that it imports is ECC_NIST_P256",
        )),
        _ if wrapping.is_rsa_aes() && in_china => {
            refuse("it is not offered in China Regions".into(), DOWNLOAD)
        }
        Spec::Symmetric { .. } if wrapping.is_rsa_aes() => refuse(
            "KMS accepts symmetric material with RSAES_OAEP_* only".into(),
            DOWNLOAD,
        ),
        Spec::Hmac { .. } if wrapping.is_rsa_aes() => refuse(
            "KMS accepts HMAC material with RSAES_OAEP_* only".into(),
            DOWNLOAD,
        ),
        Spec::Rsa { .. } if !wrapping.is_rsa_aes() => refuse(
            format!(
                "KMS accepts the material of {name} with RSA_AES_KEY_WRAP_* only: it is too long for RSA"
            ),
            "write RSA_AES_KEY_WRAP_SHA_256, and download import parameters for it",
        ),
        _ => Ok(()),
    }
}

/// Whether KMS accepts it under a wrapping key of this many bits.
///
/// # Errors
/// Why not.
pub(crate) fn fits(spec: Spec, wrapping: WrappingAlgorithm, wrapping_key_bits: usize) -> Taken {
    if spec != Spec::Ec(Curve::P521) || wrapping.is_rsa_aes() || wrapping_key_bits > 2048 {
        return Ok(());
    }
    let name = spec.name();
    Err(Refusal::new(
        format!("wrapping {wrapping}: the material of {name} is too long for RSA_2048"),
        "download import parameters with RSA_3072 or RSA_4096, or for RSA_AES_KEY_WRAP_SHA_256",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table of the Developer Guide: spec by algorithm by size of the wrapping key.
    #[test]
    fn exactly_what_kms_takes_is_taken() {
        use WrappingAlgorithm::{
            RsaAesKeyWrapSha1, RsaAesKeyWrapSha256, RsaesOaepSha1, RsaesOaepSha256,
        };
        let mut taken = 0;
        for spec in Spec::ALL {
            for wrapping in WrappingAlgorithm::ALL {
                for bits in [2048, 3072, 4096] {
                    let takes =
                        takes(spec, wrapping, false).is_ok() && fits(spec, wrapping, bits).is_ok();
                    let oaep = matches!(wrapping, RsaesOaepSha1 | RsaesOaepSha256);
                    let rsa_aes = matches!(wrapping, RsaAesKeyWrapSha1 | RsaAesKeyWrapSha256);
                    let expected = match spec.name() {
                        "ECC_NIST_P521" => rsa_aes || bits > 2048,
                        name if name.starts_with("ECC_") => true,
                        name if name.starts_with("RSA_") => rsa_aes,
                        name if name.starts_with("AES_") => false,
                        "ED25519" => false,
                        _ => oaep,
                    };
                    assert_eq!(takes, expected, "{} {wrapping} {bits}", spec.name());
                    taken += usize::from(takes);
                }
            }
        }
        assert_eq!(taken, 5 * 6 + 3 * 12 + 10 + 3 * 6);
        assert!(
            takes(Spec::P256, RsaAesKeyWrapSha256, true).is_err(),
            "not offered in China"
        );
    }
}
