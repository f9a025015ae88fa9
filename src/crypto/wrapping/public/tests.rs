//! Public keys that private keys prove, and those that they do not.

use ecdsa::signature::hazmat::PrehashSigner as _;
use rsa::traits::PublicKeyParts as _;

use super::*;
use crate::crypto::wrapping::key::tests::{PRIVATE, real_spki};

const CURVES: [Curve; 4] = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];

/// The SubjectPublicKeyInfo of the key pair whose private value ends with `number`, and the uncompressed point,
/// which it ends with.
fn pair(curve: Curve, number: u8) -> (Vec<u8>, Vec<u8>) {
    let spki = on_curve!(curve, c => {
        let key = c::SecretKey::from_slice(&scalar(curve, number)).unwrap().public_key();
        key.to_public_key_der().unwrap().as_bytes().to_vec()
    });
    let point = spki[spki.len() - 1 - 2 * curve.bytes()..].to_vec();
    (spki, point)
}

fn scalar(curve: Curve, number: u8) -> Vec<u8> {
    let mut scalar = vec![0; curve.bytes()];
    *scalar.last_mut().unwrap() = number;
    scalar
}

/// Digest and signature of a challenge by that key pair.
fn signed(curve: Curve, number: u8, challenge: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let digest = digest_for(curve, challenge);
    let signature = on_curve!(curve, c => {
        let key = c::SecretKey::from_slice(&scalar(curve, number)).unwrap();
        let signature: c::ecdsa::Signature =
            c::ecdsa::SigningKey::from(&key).sign_prehash(&digest).unwrap();
        signature.to_bytes().to_vec()
    });
    (digest, signature)
}

#[test]
fn a_digest_is_as_long_as_its_curve_wants() {
    let text = b"abc";
    assert_eq!(digest_for(Curve::P256, text), Sha256::digest(text)[..]);
    assert_eq!(digest_for(Curve::Secp256k1, text), Sha256::digest(text)[..]);
    assert_eq!(digest_for(Curve::P384, text), Sha384::digest(text)[..]);
    assert_eq!(digest_for(Curve::P521, text), Sha512::digest(text)[..]);
}

#[test]
fn two_signatures_tell_the_one_key_that_made_both() {
    for curve in CURVES {
        let both = [signed(curve, 9, b"one"), signed(curve, 9, b"two")];
        assert_eq!(
            from_signatures(curve, &both).unwrap(),
            pair(curve, 9).0,
            "{curve:?}"
        );
    }
}

#[test]
fn one_signature_two_keys_or_no_signature_tell_none() {
    for curve in CURVES {
        let one = signed(curve, 9, b"one");
        let other = signed(curve, 10, b"two");
        let junk = (one.0.clone(), vec![0; 2 * curve.bytes()]);
        let short = (one.0.clone(), vec![1; 5]);
        for second in [one.clone(), other, junk, short] {
            let error = from_signatures(curve, &[one.clone(), second]).unwrap_err();
            assert_eq!(error.check, Some("POSSESSION"), "{curve:?}");
        }
    }
}

#[test]
fn a_point_is_taken_only_where_it_is_on_the_curve() {
    for curve in CURVES {
        let (spki, mut point) = pair(curve, 9);
        assert_eq!(point[0], 4);
        assert_eq!(from_point(curve, &point).unwrap(), spki);
        *point.last_mut().unwrap() ^= 1;
        assert!(from_point(curve, &point).is_err(), "{curve:?}");
    }
}

#[test]
fn an_ed25519_key_is_the_one_of_those_known_that_verifies_the_signature() {
    use ed25519_dalek::Signer as _;
    let pairs = [7, 8, 9].map(|number| ed25519_dalek::SigningKey::from_bytes(&[number; 32]));
    let known = [&pairs[0], &pairs[1]].map(|pair| pair.verifying_key().to_bytes());
    let told = |signature: &[u8]| from_eddsa(known.iter(), b"challenge", signature);
    let signed = |pair: usize| pairs[pair].sign(b"challenge").to_bytes();
    assert_eq!(told(&signed(1)).unwrap(), of_ed25519(&known[1]));
    for signature in [&signed(2)[..], &signed(1)[..63], &[0; 64]] {
        let refused = told(signature).unwrap_err();
        assert_eq!(refused.check, Some("POSSESSION"));
    }
    let of_another = pairs[1].sign(b"another").to_bytes();
    assert!(told(&of_another).is_err());
}

#[test]
fn an_rsa_key_is_told_once_it_verifies_the_signature_of_the_challenge() {
    let public = PRIVATE.to_public_key();
    let (modulus, exponent) = (public.n_bytes(), public.e_bytes());
    let digest = Sha256::digest(b"challenge");
    let signature = PRIVATE
        .sign(rsa::Pkcs1v15Sign::new::<Sha256>(), &digest)
        .unwrap();
    let told = from_rsa(&modulus, &exponent, b"challenge", &signature).unwrap();
    assert_eq!(told, real_spki());
    let other = from_rsa(&modulus, &exponent, b"another", &signature).unwrap_err();
    assert_eq!(other.check, Some("POSSESSION"));
    assert!(from_rsa(&[], &exponent, b"challenge", &signature).is_err());
}

#[test]
fn pem_has_lines_of_64_characters_between_its_borders() {
    // 60 bytes are 80 characters of base64
    let told = to_pem(&[0; 60]);
    let lines: Vec<&str> = told.split('\n').collect();
    let (full, rest) = ("A".repeat(64), "A".repeat(16));
    let wanted = [
        "-----BEGIN PUBLIC KEY-----",
        &full,
        &rest,
        "-----END PUBLIC KEY-----",
        "",
    ];
    assert_eq!(lines, wanted);
}
