//! What is and what is not a wrapping key.

use std::sync::LazyLock;

use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};

use super::*;
use crate::ground::error::Exit;

/// A real RSA-2048 private key, made once.
pub(crate) static PRIVATE: LazyLock<rsa::PrivateKey> = LazyLock::new(|| {
    let mut rng = rand::rand_core::UnwrapErr(rand::rngs::SysRng);
    rsa::PrivateKey::new(&mut rng, 2048).unwrap()
});

/// The DER SubjectPublicKeyInfo of [`PRIVATE`].
pub(crate) fn real_spki() -> Vec<u8> {
    let document = PRIVATE.to_public_key().to_public_key_der().unwrap();
    document.as_bytes().to_vec()
}

/// The DER SubjectPublicKeyInfo of an odd number of `bits` bits that is no product of two primes.
pub(crate) fn crafted_spki(bits: usize) -> Vec<u8> {
    spki_of(&modulus_of(bits), &EXPONENT)
}

/// The wrapping key in [`crafted_spki`].
pub(crate) fn crafted(bits: usize) -> WrappingKey {
    WrappingKey::from_spki_der(&crafted_spki(bits)).unwrap()
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match content.len() {
        n @ 0..0x80 => vec![tag, n as u8],
        n @ 0x80..0x100 => vec![tag, 0x81, n as u8],
        _ => vec![tag, 0x82, len[0], len[1]],
    };
    [header, content.to_vec()].concat()
}

fn modulus_of(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xa5; bits.div_ceil(8)];
    modulus[0] = if bits.is_multiple_of(8) {
        0x80
    } else {
        1 << (bits % 8 - 1)
    };
    modulus
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
    tlv(2, &[sign, bytes].concat())
}

fn pkcs1_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    tlv(0x30, &[integer(modulus), integer(exponent)].concat())
}

fn spki_with(oid: &[u8], parameters: &[u8], key: &[u8]) -> Vec<u8> {
    let algorithm = tlv(0x30, &[&tlv(6, oid), parameters].concat());
    let bits = tlv(3, &[&[0], key].concat());
    tlv(0x30, &[algorithm, bits].concat())
}

fn spki_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    spki_with(
        RSA_ENCRYPTION.as_bytes(),
        &[5, 0],
        &pkcs1_of(modulus, exponent),
    )
}

fn assert_refused(der: &[u8], exit: Exit, check: &str, what: &str) -> Error {
    let error = WrappingKey::from_spki_der(der).unwrap_err();
    assert_eq!((error.exit, error.check), (exit, Some(check)), "{error}");
    assert!(error.what.starts_with(what), "{error}");
    assert!(!error.hints.is_empty());
    error
}

fn assert_malformed(der: &[u8], what: &str) -> String {
    let what = format!("the wrapping key {what}");
    let error = assert_refused(der, Exit::Usage, "WRAPPING-KEY-SPKI", &what);
    error.hints.join("\n")
}

#[test]
fn a_real_key_keeps_its_bytes_and_numbers() {
    let der = real_spki();
    let key = WrappingKey::from_spki_der(&der).unwrap();
    assert_eq!(key.spki_der(), der);
    assert_eq!(key.sha256(), words::sha256(&der));
    assert_eq!(
        (key.bits(), key.modulus_len(), key.spec()),
        (2048, 256, "RSA_2048")
    );
    assert_eq!(key.rsa(), PRIVATE.to_public_key());
    assert_eq!(key.public_exponent(), [1, 0, 1]);
    let debug = format!("{key:?}");
    assert!(debug.starts_with("WrappingKey(RSA_2048 ") && debug.len() < 100);
}

#[test]
fn the_longer_sizes_are_known() {
    for (bits, spec) in [(3072, "RSA_3072"), (4096, "RSA_4096")] {
        let key = WrappingKey::from_spki_der(&crafted_spki(bits)).unwrap();
        assert_eq!((key.bits(), key.spec()), (bits, spec));
        assert_eq!(key.modulus(), modulus_of(bits));
    }
}

#[test]
fn other_numbers_are_not_what_kms_gives() {
    let size = "WRAPPING-KEY-SIZE";
    for bits in [512, 1024, 2047, 2049, 2056, 3071, 4095, 4097, 8192] {
        let what = format!("the wrapping key has {bits} bits; KMS gives");
        assert_refused(&crafted_spki(bits), Exit::Mismatch, size, &what);
    }
    let mut even = modulus_of(2048);
    even[255] = 0xa4;
    let what = "the wrapping key has an even modulus";
    let even = spki_of(&even, &EXPONENT);
    assert_refused(&even, Exit::Mismatch, "WRAPPING-KEY-MODULUS", what);
    for (exponent, shown) in [
        (&[3][..], "3;"),
        (&[1], "1;"),
        (&[1, 1], "257;"),
        (&[1, 0, 3], "of 3 bytes;"),
        (&[1, 0, 1, 0, 1], "of 5 bytes;"),
    ] {
        let der = spki_of(&modulus_of(2048), exponent);
        let what = format!("the wrapping key has the exponent {shown} KMS gives 65537");
        assert_refused(&der, Exit::Mismatch, "WRAPPING-KEY-EXPONENT", &what);
    }
}

#[test]
fn other_files_are_named() {
    let hints = assert_malformed(b"\xef\xbb\xbf-----BEGIN PUBLIC KEY-----\n", "is PEM text");
    assert!(hints.contains("openssl pkey -pubin"));
    let pkcs1 = PRIVATE.to_public_key().to_pkcs1_der().unwrap();
    assert_malformed(pkcs1.as_bytes(), "is a PKCS#1 RSAPublicKey");
    let private = PRIVATE.to_pkcs1_der().unwrap();
    let hints = assert_malformed(private.as_bytes(), "is an RSA private key");
    assert!(hints.contains("treat it as exposed"));
    let private = PRIVATE.to_pkcs8_der().unwrap();
    assert_malformed(private.as_bytes(), "is a PKCS#8 private key");
    let sec1 = tlv(0x30, &[tlv(2, &[1]), tlv(4, &[7; 32])].concat());
    assert_malformed(&sec1, "is an EC private key");
    let encrypted = tlv(0x30, &[tlv(0x30, &[]), tlv(4, &[7; 32])].concat());
    assert_malformed(&encrypted, "is an encrypted private key");
    let certificate = [tlv(0x30, &[]), tlv(0x30, &[]), tlv(3, &[0])].concat();
    assert_malformed(&tlv(0x30, &certificate), "is a certificate");
    let ec = spki_with(EC_PUBLIC_KEY.as_bytes(), &[6, 1, 0x2a], &[4; 65]);
    let hints = assert_malformed(&ec, "is an elliptic-curve key");
    assert!(hints.contains("--wrapping-key-spec"));
    let pss = spki_with(&[0x2a, 3], &[5, 0], &[]);
    assert_malformed(&pss, "has the algorithm 1.2.3, not rsaEncryption");
}

#[test]
fn only_whole_strict_der_is_taken() {
    let der = real_spki();
    assert_malformed(b"", "is empty");
    assert_malformed(b"MIIBIjANBgkq", "is not DER");
    assert_malformed(&[0x30, 0x80, 0, 0], "is not DER");
    assert_malformed(&tlv(0x30, &[]), "is DER, but not a SubjectPublicKeyInfo");
    for cut in 1..der.len() {
        assert_malformed(&der[..cut], "is cut short");
    }
    let longer = [&der[..], b"\r\n"].concat();
    assert_malformed(&longer, "has 2 extra bytes");
}

#[test]
fn a_second_encoding_of_the_same_key_is_refused() {
    let modulus = modulus_of(2048);
    let rsa = RSA_ENCRYPTION.as_bytes();
    let pkcs1 = pkcs1_of(&modulus, &EXPONENT);
    let broken = "is not a DER SubjectPublicKeyInfo of an RSA key";
    assert_malformed(&spki_with(rsa, &[], &pkcs1), "has rsaEncryption parameters");
    assert_malformed(
        &spki_with(rsa, &[4, 0], &pkcs1),
        "has rsaEncryption parameters",
    );
    let trailing = [&pkcs1[..], &[0]].concat();
    assert_malformed(&spki_with(rsa, &[5, 0], &trailing), broken);
    let padded = [&[0, 0][..], &modulus].concat();
    let padded = tlv(0x30, &[tlv(2, &padded), integer(&EXPONENT)].concat());
    assert_malformed(&spki_with(rsa, &[5, 0], &padded), broken);
    let negative = tlv(0x30, &[tlv(2, &modulus), integer(&EXPONENT)].concat());
    assert_malformed(&spki_with(rsa, &[5, 0], &negative), broken);
    // one bit of the key is called unused
    let algorithm = tlv(0x30, &[&tlv(6, rsa), &[5, 0][..]].concat());
    let bits = tlv(3, &[&[1], &pkcs1[..]].concat());
    let unused = tlv(0x30, &[algorithm, bits].concat());
    assert_malformed(&unused, "is not ");
    let mut long_length = crafted_spki(2048);
    long_length.splice(1..2, [0x83, 0]);
    assert_malformed(&long_length, broken);
}

#[test]
fn a_key_is_made_of_two_numbers_of_which_neither_is_empty_or_longer_than_any_in_use() {
    let modulus = modulus_of(2048);
    let longer = |number: &[u8]| [&vec![0; 1025 - number.len()], number].concat();
    assert!(WrappingKey::from_parts(&modulus, &EXPONENT).is_ok());
    for (modulus, exponent) in [
        (&modulus[..], &[][..]),
        (&[], &EXPONENT),
        (&modulus, &longer(&EXPONENT)),
        (&longer(&modulus), &EXPONENT),
    ] {
        let refused = WrappingKey::from_parts(modulus, exponent).unwrap_err();
        assert!(refused.what.contains("not a usable RSA key"), "{refused:?}");
    }
}
