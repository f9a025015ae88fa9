//! The wrapping algorithms: names, vectors, and what modules append or leave away.

use super::*;
use crate::ground::words;

#[test]
fn aes_kw_opens_the_vector_of_rfc_3394() {
    // RFC 3394, section 4.6: 256 bits of key data with a 256-bit KEK
    let kek: Vec<u8> = (0..32).collect();
    let wrapped = words::unhex(
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
    )
    .unwrap();
    let mut plain = [0; 32];
    aes_kw_unwrap(&kek, &wrapped, &mut plain).unwrap();
    assert_eq!(
        words::hex(&plain),
        "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"
    );
    let mut other = wrapped.clone();
    other[7] ^= 1;
    assert!(aes_kw_unwrap(&kek, &other, &mut plain).is_err());
    assert!(aes_kw_unwrap(&kek, &wrapped[1..], &mut plain).is_err());
}

#[test]
fn aes_kwp_opens_what_it_wrapped_and_nothing_else() {
    let key = [9; 32];
    for len in [1, 7, 8, 9, 28, 32, 138, 1218] {
        let plain: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let wrapped = aes_kwp_wrap(&key, &plain).unwrap();
        assert_eq!(wrapped.len(), kwp_len(plain.len()));
        let mut back = vec![0; wrapped.len() - 8];
        let there = aes_kwp_unwrap(&key, &wrapped, &mut back).unwrap();
        assert_eq!(back[..there], plain);
        let mut other = wrapped.clone();
        other[0] ^= 1;
        assert!(aes_kwp_unwrap(&key, &other, &mut back).is_err());
    }
}

#[test]
fn a_control_key_opens_its_own_algorithm_only() {
    let control = ControlKey::generate(2048).unwrap();
    for made in WrappingAlgorithm::ALL {
        let wrapped = wrap(made, control.public(), &[7; 32]).unwrap();
        assert_eq!(wrapped.len(), if made.is_rsa_aes() { 296 } else { 256 });
        for opened in WrappingAlgorithm::ALL {
            let plain = control.open(opened, &wrapped);
            assert_eq!(plain.is_ok(), made == opened, "{made} as {opened}");
            assert!(plain.is_err() || plain.unwrap()[..] == [7; 32]);
        }
    }
}

#[test]
fn names_are_those_of_kms_and_read_back() {
    use WrappingAlgorithm::*;
    for (algorithm, name, is_rsa_aes, oaep) in [
        (RsaesOaepSha1, "RSAES_OAEP_SHA_1", false, RsaesOaepSha1),
        (
            RsaesOaepSha256,
            "RSAES_OAEP_SHA_256",
            false,
            RsaesOaepSha256,
        ),
        (
            RsaAesKeyWrapSha1,
            "RSA_AES_KEY_WRAP_SHA_1",
            true,
            RsaesOaepSha1,
        ),
        (
            RsaAesKeyWrapSha256,
            "RSA_AES_KEY_WRAP_SHA_256",
            true,
            RsaesOaepSha256,
        ),
    ] {
        assert_eq!(
            (algorithm.name(), algorithm.to_string()),
            (name, name.to_owned())
        );
        assert_eq!(name.parse(), Ok(algorithm));
        assert_eq!(
            (algorithm.is_rsa_aes(), algorithm.oaep()),
            (is_rsa_aes, oaep)
        );
        assert_eq!(
            serde_json::to_string(&algorithm).unwrap(),
            format!("{name:?}")
        );
    }
    assert!("RSAES_PKCS1_V1_5".parse::<WrappingAlgorithm>().is_err());
}

/// AES-KW (RFC 3394), as an HSM does it.
fn kw(key: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![0; plain.len() + 8];
    let kw = aes_kw::KwAes256::new_from_slice(key).unwrap();
    kw.wrap_key(plain, &mut wrapped).unwrap();
    wrapped
}

const KEK: [u8; 32] = [9; 32];

#[test]
fn aes_kw_is_eight_bytes_longer_and_kwp_a_multiple_of_eight() {
    let wrapped = kw(&KEK, &[7; 32]);
    for len in [24, 31, 33, 40] {
        let mut plain = vec![0; len];
        let why = aes_kw_unwrap(&KEK, &wrapped, &mut plain).unwrap_err();
        assert_eq!(why, format!("40 bytes, but AES-KW gives {}", len + 8));
    }
    let mut plain = [0; 32];
    assert!(aes_kw_unwrap(&KEK[1..], &wrapped, &mut plain).is_err());
    assert!(aes_kwp_unwrap(&KEK[1..], &wrapped, &mut plain).is_err());
    assert!(aes_kwp_wrap(&KEK[1..], &plain).is_err());
    let lengths = [1, 7, 8, 9, 16, 17].map(kwp_len);
    assert_eq!(lengths, [16, 16, 16, 24, 24, 32]);
}

#[test]
fn a_secret_opens_from_what_a_module_wraps_and_nothing_else_does() {
    let wrapped = kw(&KEK, &[7; 32]);
    let opened = open_wrapped(Spec::DEFAULT, &KEK, &wrapped).unwrap();
    assert_eq!((&opened.bytes[..], opened.appended), (&[7; 32][..], 0));
    // a module that reports more than it writes
    let longer = [&wrapped[..], &[0; 8]].concat();
    let opened = open_wrapped(Spec::DEFAULT, &KEK, &longer).unwrap();
    assert_eq!(opened.bytes[..], [7; 32]);
    assert!(open_wrapped(Spec::DEFAULT, &KEK, &wrapped[..32]).is_err());
    assert!(open_wrapped(Spec::DEFAULT, &KEK, &kw(&KEK, &[7; 24])).is_err());
    assert!(open_wrapped(Spec::DEFAULT, &[8; 32], &wrapped).is_err());
}

#[test]
fn zero_bytes_behind_a_secret_are_cut_off_and_others_are_refused() {
    let hash = crate::crypto::spec::HmacHash::Sha224;
    let spec = Spec::Hmac { hash, bytes: 28 };
    let opened = |plain: &[u8]| open_wrapped(spec, &KEK, &aes_kwp_wrap(&KEK, plain).unwrap());
    let exact = opened(&[7; 28]).unwrap();
    assert_eq!((&exact.bytes[..], exact.appended), (&[7; 28][..], 0));
    let padded = opened(&[&[7; 28][..], &[0; 4]].concat()).unwrap();
    assert_eq!((&padded.bytes[..], padded.appended), (&[7; 28][..], 4));
    for other in [
        &[7; 32][..],
        &[7; 27],
        &[7; 20],
        &[&[7; 28][..], &[0, 0, 0, 1]].concat(),
    ] {
        let error = opened(other).err().unwrap();
        let why = format!("C_WrapKey: {} bytes instead of 28", other.len());
        assert_eq!(error.what, why);
    }
    assert!(open_wrapped(spec, &KEK, &[]).is_err());
    assert!(open_wrapped(spec, &KEK, &[1; 40]).is_err());
}

#[test]
fn zero_bytes_behind_a_private_key_are_cut_off_and_those_before_its_value_put_back() {
    use crate::crypto::spec::Curve;
    let whole = pkcs8::throw_away_p256().unwrap();
    let wrapped = |plain: &[u8]| aes_kwp_wrap(&KEK, plain).unwrap();
    let padded = wrapped(&[&whole[..], &[0; 6]].concat());
    let opened = open_wrapped(Spec::P256, &KEK, &padded).unwrap();
    assert_eq!((&opened.bytes[..], opened.appended), (&whole[..], 6));
    let (whole, short) = pkcs8::tests::whole_and_short(Curve::P256);
    let opened = open_wrapped(Spec::P256, &KEK, &wrapped(&short)).unwrap();
    assert_eq!((&opened.bytes[..], opened.appended), (&whole[..], 0));
    assert!(open_wrapped(Spec::P256, &KEK, &wrapped(&[0x31, 0])).is_err());
    for behind in [&[1][..], &[0, 0, 7], &[0, 0x30, 0]] {
        let error = open_wrapped(Spec::P256, &KEK, &wrapped(&[&whole[..], behind].concat()));
        let why = "C_WrapKey: the bytes after the PKCS#8 are not all zero";
        assert_eq!(error.err().unwrap().what, why);
    }
}

#[test]
fn a_message_too_long_for_oaep_is_refused_and_what_is_too_short_does_not_open() {
    let control = ControlKey::generate(2048).unwrap();
    let algorithm = WrappingAlgorithm::RsaesOaepSha256;
    assert!(wrap(algorithm, control.public(), &[7; 190]).is_ok());
    assert!(wrap(algorithm, control.public(), &[7; 191]).is_err());
    for algorithm in WrappingAlgorithm::ALL {
        let wrapped = wrap(algorithm, control.public(), &[7; 32]).unwrap();
        assert_ne!(
            wrapped,
            wrap(algorithm, control.public(), &[7; 32]).unwrap()
        );
        for len in [0, 1, 255, 256, 263, 264] {
            if len < wrapped.len() {
                assert!(control.open(algorithm, &wrapped[..len]).is_err());
            }
        }
    }
}
