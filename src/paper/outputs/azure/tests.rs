use super::*;
use crate::crypto::spec::Curve;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::paper::outputs::elsewhere;
use crate::plan::kms::KmsKey;

fn hsm() -> TokenFacts {
    TokenFacts {
        token: "t".into(),
        manufacturer: "m".into(),
        model: "a \"model\"\\".into(),
        serial: "1".into(),
        firmware: "7.4".into(),
    }
}

#[test]
fn a_byok_file_says_for_which_kek_it_is_and_by_what_it_was_made() {
    let text = byok_file("https://v/keys/k/0", &[0xff, 0xfe, 0xfd, 0xfc], &hsm());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema_version"], "1.0.0");
    assert_eq!(json["header"]["kid"], "https://v/keys/k/0");
    assert_eq!(json["header"]["alg"], "dir");
    assert_eq!(json["header"]["enc"], "CKM_RSA_AES_KEY_WRAP");
    assert_eq!(json["ciphertext"], "__79_A");
    let generator = json["generator"].as_str().unwrap();
    assert!(generator.starts_with("byok "), "{generator}");
    assert!(generator.ends_with("; a \"model\"\\ 7.4"), "{generator}");
    assert_eq!(json.as_object().unwrap().len(), 4);
}

const KEY: &str = "https://a-hsm.managedhsm.azure.net/keys/payments";

/// The script of an import into a Managed HSM.
fn script(spec: Spec, challenge: Option<&[u8]>) -> String {
    let common = Common {
        kms_key: &KmsKey::parse(Some("azure"), None, Some(KEY)).unwrap(),
        ceremony: "c",
        rehearsal: false,
        title: "t",
        label: "l",
        import: "i",
        spec,
        wrapping: WrappingAlgorithm::RsaAesKeyWrapSha1,
        wrapped: b"w",
        wrapping_key_id: Some("https://a-hsm.managedhsm.azure.net/keys/kek/0"),
        valid_to: None,
        hsm: &hsm(),
        version: None,
        challenge,
    };
    let files = elsewhere(&common).unwrap();
    let [(file, _), (script, text)] = files.as_slice() else {
        panic!("{files:?}");
    };
    assert_eq!((&**file, &**script), ("payments.byok", "import.sh"));
    String::from_utf8(text.clone()).unwrap()
}

fn holds(text: &str, line: &str) -> bool {
    let plain = line.replace('\'', "");
    text.lines().any(|of| of == line || of == plain)
}

#[test]
fn a_data_key_becomes_what_azure_calls_it_and_answers_by_aes_gcm_of_its_own_length() {
    for (spec, kty, curve, decrypt) in [
        (Spec::Aes { bytes: 16 }, "oct", "", "A128GCM"),
        (Spec::Aes { bytes: 24 }, "oct", "", "A192GCM"),
        (Spec::Aes { bytes: 32 }, "oct", "", "A256GCM"),
        (Spec::DEFAULT, "oct", "", "A256GCM"),
        (Spec::Rsa { bits: 2048 }, "RSA", "", ""),
        (Spec::Ec(Curve::P256), "EC", "P-256", ""),
        (Spec::Ec(Curve::P384), "EC", "P-384", ""),
        (Spec::Ec(Curve::P521), "EC", "P-521", ""),
        (Spec::Ec(Curve::Secp256k1), "EC", "P-256K", ""),
    ] {
        let text = script(spec, None);
        for (name, value) in [("kty", kty), ("curve", curve), ("decrypt", decrypt)] {
            assert!(
                holds(&text, &format!("{name}='{value}'")),
                "{spec:?} {name}"
            );
        }
        let signs = text
            .lines()
            .any(|line| line.starts_with("ops=") && line.contains("sign verify"));
        assert_eq!(signs, spec.is_private(), "{spec:?}");
    }
}

#[test]
fn every_place_in_the_script_is_filled_and_the_challenge_falls_into_its_parts() {
    let challenge: Vec<u8> = (0..60).collect();
    let text = script(Spec::DEFAULT, Some(&challenge));
    assert!(!text.contains("{{") && !text.contains("}}"));
    let text_part = Base64::encode_string(&challenge[12..44]);
    for line in [
        "iv='000102030405060708090a0b'",
        &format!("challenge='{text_part}'"),
        "tag='2c2d2e2f303132333435363738393a3b'",
        "kty='oct'",
        "curve=''",
    ] {
        assert!(holds(&text, line), "{line}");
    }
    for nothing in [None, Some(&challenge[..20])] {
        assert!(holds(&script(Spec::DEFAULT, nothing), "challenge=''"));
    }
}
