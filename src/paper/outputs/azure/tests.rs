use super::*;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm;

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

#[test]
fn every_place_in_the_script_is_filled_and_the_challenge_falls_into_its_parts() {
    let into = VaultKey::parse("https://a-hsm.managedhsm.azure.net/keys/payments").unwrap();
    let challenge: Vec<u8> = (0..60).collect();
    let script = |challenge| {
        let common = Common {
            ceremony: "c",
            rehearsal: false,
            title: "t",
            label: "l",
            import: "i",
            spec: Spec::DEFAULT,
            wrapping: WrappingAlgorithm::RsaAesKeyWrapSha1,
            wrapped: b"w",
            wrapping_key_id: Some("https://a-hsm.managedhsm.azure.net/keys/kek/0"),
            valid_to: None,
            hsm: &hsm(),
            version: None,
            challenge,
        };
        let files = files(&into, &common).unwrap();
        let [(file, _), (script, text)] = files.as_slice() else {
            panic!("{files:?}");
        };
        assert_eq!((&**file, &**script), ("payments.byok", "import.sh"));
        String::from_utf8(text.clone()).unwrap()
    };
    let text = script(Some(challenge.as_slice()));
    assert!(!text.contains("{{") && !text.contains("}}"));
    let text_part = Base64::encode_string(&challenge[12..44]);
    for line in [
        "iv='000102030405060708090a0b'",
        &format!("challenge='{text_part}'"),
        "tag='2c2d2e2f303132333435363738393a3b'",
        "kty='oct'",
        "curve=''",
    ] {
        let plain = line.replace('\'', "");
        let found = text.lines().any(|of| of == line || of == plain);
        assert!(found, "{line}");
    }
    for nothing in [None, Some(&challenge[..20])] {
        let empty = script(nothing);
        let found = empty.lines().any(|line| line == "challenge=''");
        assert!(found);
    }
}
