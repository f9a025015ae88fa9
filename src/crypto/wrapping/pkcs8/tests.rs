//! Private keys as modules give them, and what is none.

use base64ct::{Base64, Encoding as _};

use super::*;
use crate::crypto::wrapping::key::tests::{PRIVATE, real_spki, tlv};

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

/// A private key whose private value begins with a zero byte, and the same as a module gives it that leaves
/// that byte away.
pub(in crate::crypto::wrapping) fn whole_and_short(curve: Curve) -> (Vec<u8>, Vec<u8>) {
    let mut scalar = vec![0x2a; curve.bytes()];
    scalar[0] = 0;
    let whole = on_curve!(curve, c => {
        let key = c::SecretKey::from_slice(&scalar).unwrap();
        key.to_pkcs8_der().unwrap().as_bytes().to_vec()
    });
    let parts = EcParts::of(&whole).unwrap();
    let value = tlv(0x04, &parts.scalar[1..]);
    let inner = tlv(0x30, &[parts.version, &value, parts.rest].concat());
    let body = [parts.algorithm, &tlv(0x04, &inner)].concat();
    let short = tlv(0x30, &body);
    (whole, short)
}

#[test]
fn a_private_value_that_is_too_short_is_refused_and_made_whole() {
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1] {
        let (whole, short) = whole_and_short(curve);
        let spec = Spec::Ec(curve);
        let public = public_key(spec, &whole).unwrap();
        assert!(in_full_length(curve, &whole).unwrap().is_none());
        assert_eq!(der_len(&short).unwrap(), short.len());
        let refused = public_key(spec, &short).unwrap_err();
        let why = format!("has {} bytes", curve.bytes() - 1);
        assert!(refused.what.contains(&why), "{}", refused.what);
        let full = in_full_length(curve, &short).unwrap().unwrap();
        assert_eq!(full[..], whole);
        assert_eq!(public_key(spec, &full).unwrap(), public);
        for cut in 0..whole.len() {
            assert!(public_key(spec, &whole[..cut]).is_err(), "{cut}");
        }
    }
}

/// P-256 in its shortest form, and P-521 in its longest: the lengths on both sides of a longer header.
#[test]
fn a_header_is_as_long_as_its_length_asks() {
    assert_eq!(header(0x30, 0x7f), [0x30, 0x7f]);
    assert_eq!(header(0x30, 0x80), [0x30, 0x81, 0x80]);
    assert_eq!(header(0x04, 0xff), [0x04, 0x81, 0xff]);
    assert_eq!(header(0x04, 0x100), [0x04, 0x82, 1, 0]);
    assert_eq!(header(0x04, 0xfffe), [0x04, 0x82, 0xff, 0xfe]);
}

#[test]
fn the_public_half_is_that_of_the_private_one() {
    let throw_away = throw_away_p256().unwrap();
    let key = p256::SecretKey::from_pkcs8_der(&throw_away).unwrap();
    let wanted = key.public_key().to_public_key_der().unwrap();
    assert_eq!(
        public_key(Spec::P256, &throw_away).unwrap(),
        wanted.as_bytes()
    );
    assert!(public_key(Spec::Ec(Curve::Secp256k1), &throw_away).is_err());
    assert!(public_key(Spec::DEFAULT, &throw_away).is_err());
    assert_ne!(throw_away_p256().unwrap()[..], throw_away[..]);
}

#[test]
fn an_rsa_private_key_has_its_bits_and_its_own_remainders() {
    let der = PRIVATE.to_pkcs8_der().unwrap();
    let der = der.as_bytes();
    assert_eq!(
        public_key(Spec::Rsa { bits: 2048 }, der).unwrap(),
        real_spki()
    );
    let longer = public_key(Spec::Rsa { bits: 3072 }, der).unwrap_err();
    assert!(longer.what.contains("has 2048 bits"), "{}", longer.what);
    assert_eq!(longer.check, Some("PKCS8"));
    // the coefficient is the last number of the structure
    let mut other = der.to_vec();
    *other.last_mut().unwrap() ^= 2;
    let refused = public_key(Spec::Rsa { bits: 2048 }, &other).unwrap_err();
    assert_eq!(refused.check, Some("PKCS8"));
}

/// RFC 8410, section 10: the private key, its public key, and the same private key with the public key in it.
#[test]
fn an_ed25519_key_has_one_form() {
    let decoded = |base64| Base64::decode_vec(base64).unwrap();
    let der = decoded("MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC");
    let spki = decoded("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    assert_eq!(public_key(Spec::Ed25519, &der).unwrap(), spki);
    let with_public = [
        &[0x30, 0x51, 2, 1, 1][..],
        &der[5..],
        &[0x81, 0x21, 0],
        &spki[12..],
    ]
    .concat();
    let longer = [&der[..], &[0]].concat();
    for other in [&with_public[..], &longer, &der[..47]] {
        let refused = public_key(Spec::Ed25519, other).unwrap_err();
        assert_eq!(refused.check, Some("PKCS8"));
    }
    assert!(public_key(Spec::P256, &der).is_err());
}

#[test]
fn bytes_that_are_no_private_key_are_refused() {
    for spec in Spec::ALL {
        assert!(public_key(spec, &[0x30, 2, 5, 0]).is_err());
    }
}

#[test]
fn the_content_of_a_sequence_begins_behind_its_length() {
    for (head, inner) in [
        (&[0x30, 0x02, 7, 8][..], Some(&[7, 8][..])),
        (&[0x30, 0x7f, 7], Some(&[7])),
        (&[0x30, 0x81, 0x90, 7, 8], Some(&[7, 8])),
        (&[0x30, 0x82, 1, 2, 7], Some(&[7])),
        (&[0x30, 0x00], Some(&[])),
        (&[0x30, 0x82, 1], None),
        (&[0x30, 0x83, 0, 1, 2, 7], None),
        (&[0x30, 0x80, 7], None),
        (&[0x31, 0x01, 7], None),
        (&[0x30], None),
    ] {
        assert_eq!(content(head), inner, "{head:02x?}");
    }
}

#[test]
fn the_outline_of_a_private_key_tells_its_version_and_what_the_older_one_would_have() {
    let curve = tlv(6, &[0x2a, 3]);
    let algorithm = tlv(0x30, &[tlv(6, &[0x2b, 0x65]), curve.clone()].concat());
    let key = [algorithm, tlv(4, &[7; 200])].concat(); // long enough for a length of two bytes
    let whole = |version: u8, rest: &[u8]| tlv(0x30, &[&tlv(2, &[version]), &key, rest].concat());
    let first = whole(0, &[]);
    for (version, rest, is_second) in [
        (0, tlv(0xa0, &[1]), false), // attributes
        (0, tlv(0xa1, &[1]), true),  // a public key, which only version 2 has
        (0, tlv(0x81, &[1]), true),
        (1, vec![], true),
        (0, vec![], false),
    ] {
        let der = whole(version, &rest);
        let outline = Outline::of(&der).unwrap();
        assert_eq!(outline.is_version_2(), is_second, "{version} {rest:?}");
        assert_eq!((outline.key, outline.parameters), (&key[..], &curve[..]));
        assert!(der[outline.start..].starts_with(&key));
        assert_eq!([outline.head_of_version_1(), key.clone()].concat(), first);
    }
    assert!(Outline::of(&first[..first.len() - 1]).is_none());
}

#[test]
fn the_private_value_of_a_curve_is_found() {
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1] {
        let (whole, short) = whole_and_short(curve);
        let value = private_value(&whole).unwrap();
        assert_eq!((value.len(), value[0]), (curve.bytes(), 0));
        assert_eq!(private_value(&short), Some(&value[1..]));
    }
    assert_eq!(private_value(&tlv(0x30, &[])), None);
}
