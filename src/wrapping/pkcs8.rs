//! Private keys as bytes: PKCS#8 (RFC 5208; RFC 5915 for curves, RFC 8017 for RSA), as KMS imports them.

use der::{Decode as _, Header, Reader as _, SliceReader};
use rand::TryRng as _;
use rand::rngs::SysRng;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;

use super::on_curve;
use crate::error::{Error, Result};
use crate::locked::Locked;
use crate::spec::Spec;

/// How many bytes the one DER structure has that `bytes` begin with. Some modules append zero bytes to what
/// they wrap, which KMS refuses.
///
/// # Errors
/// Exit 3 where no whole SEQUENCE stands there.
pub fn der_len(bytes: &[u8]) -> Result<usize> {
    const SEQUENCE: u8 = 0x30;
    let whole = || -> der::Result<usize> {
        let mut reader = SliceReader::new(bytes)?;
        let header = Header::decode(&mut reader)?;
        let len = (reader.position() + header.length())?;
        usize::try_from(len)
    };
    match whole() {
        Ok(len) if bytes.first() == Some(&SEQUENCE) && len <= bytes.len() => Ok(len),
        _ => Err(Error::hsm("no PKCS#8 structure stands there")),
    }
}

/// A private key on P-256 that nothing depends on, as PKCS#8.
///
/// # Errors
/// Exit 5 where memory or randomness fails.
pub fn throw_away_p256() -> Result<Locked> {
    let failed = |e: String| Error::machine(format!("making a throw-away key: {e}"));
    let mut number = Locked::zeroed(32)?;
    loop {
        SysRng
            .try_fill_bytes(&mut number)
            .map_err(|e| failed(e.to_string()))?;
        // all but about one number of 2^32 is below the curve's order
        let Ok(key) = p256::SecretKey::from_slice(&number) else {
            continue;
        };
        let der = key.to_pkcs8_der().map_err(|e| failed(e.to_string()))?;
        let mut bytes = Locked::zeroed(der.as_bytes().len())?;
        bytes.copy_from_slice(der.as_bytes());
        return Ok(bytes);
    }
}

/// The SubjectPublicKeyInfo (DER) of a private key's public half; the structure must fill `der` and be of
/// this spec.
///
/// # Errors
/// Exit 3 where it is anything else.
pub fn public_key(spec: Spec, der: &[u8]) -> Result<Vec<u8>> {
    let refuse = |why: String| {
        Error::hsm(format!(
            "it is no PKCS#8 private key of {}: {why}",
            spec.name()
        ))
        .check("PKCS8")
    };
    match spec {
        Spec::Ec(curve) => on_curve!(curve, c => {
            let key = c::SecretKey::from_pkcs8_der(der).map_err(|e| refuse(e.to_string()))?;
            let public = key.public_key().to_public_key_der().map_err(|e| refuse(e.to_string()))?;
            Ok(public.as_bytes().to_vec())
        }),
        Spec::Rsa { bits } => {
            let key = rsa::RsaPrivateKey::from_pkcs8_der(der).map_err(|e| refuse(e.to_string()))?;
            if key.n().bits() as usize != bits {
                return Err(refuse(format!("its modulus has {} bits", key.n().bits())));
            }
            let public = key.to_public_key().to_public_key_der();
            public
                .map(|public| public.as_bytes().to_vec())
                .map_err(|e| refuse(e.to_string()))
        }
        Spec::Symmetric { .. } | Spec::Hmac { .. } => Err(refuse("that is a secret key".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_structure_is_told_and_what_follows_is_not_counted() {
        assert_eq!(der_len(&[0x30, 2, 5, 0]).unwrap(), 4);
        assert_eq!(der_len(&[0x30, 2, 5, 0, 0, 0, 0]).unwrap(), 4);
        let mut long = vec![0x30, 0x81, 0x80];
        long.resize(3 + 128 + 5, 0);
        assert_eq!(der_len(&long).unwrap(), 131);
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 4, 0, 0],
            &[0x31, 2, 0, 0],
            &[0x30, 0x80, 0, 0],
        ] {
            assert!(der_len(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_private_key_are_refused() {
        for spec in Spec::ALL {
            assert!(public_key(spec, &[0x30, 2, 5, 0]).is_err());
        }
    }
}
