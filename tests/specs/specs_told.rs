//! What `byok plan` writes for KMS keys of every spec, and what `byok inspect` says of the files of key pairs.

use crate::support;

use std::fs;

use serde_json::Value;
use support::{ARN, Kind, KmsKey, LABEL, Room, openssl, refused, sha256, stderr, stdout};

const SPECS: [(&str, &str); 12] = [
    ("SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256"),
    ("HMAC_224", "RSAES_OAEP_SHA_256"),
    ("HMAC_256", "RSAES_OAEP_SHA_256"),
    ("HMAC_384", "RSAES_OAEP_SHA_256"),
    ("HMAC_512", "RSAES_OAEP_SHA_256"),
    ("ECC_NIST_P256", "RSAES_OAEP_SHA_256"),
    ("ECC_NIST_P384", "RSAES_OAEP_SHA_256"),
    ("ECC_NIST_P521", "RSAES_OAEP_SHA_256"),
    ("ECC_SECG_P256K1", "RSAES_OAEP_SHA_256"),
    ("RSA_2048", "RSA_AES_KEY_WRAP_SHA_256"),
    ("RSA_3072", "RSA_AES_KEY_WRAP_SHA_256"),
    ("RSA_4096", "RSA_AES_KEY_WRAP_SHA_256"),
];

/// As `aws kms describe-key` and `create-key` answer, with any usage.
fn described(arn: &str, spec: &str) -> String {
    let id = arn.rsplit('/').next().unwrap();
    format!(
        "{{\"KeyMetadata\":{{\"KeyId\":\"{id}\",\"Arn\":\"{arn}\",\"KeyUsage\":\"GENERATE_VERIFY_MAC\",\
         \"KeyState\":\"PendingImport\",\"Origin\":\"EXTERNAL\",\"KeySpec\":\"{spec}\",\"MultiRegion\":false}}}}\n"
    )
}

fn plan(room: &Room, files: &[&str]) -> std::process::Output {
    let args = [&["plan"][..], files].concat();
    room.byok(&args).output().unwrap()
}

#[test]
fn a_plan_for_a_kms_key_of_every_spec_wraps_as_kms_takes_it() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for (spec, wrapping) in SPECS {
        fs::write(room.path("key.json"), described(ARN, spec)).unwrap();
        let output = plan(&room, &["key.json"]);
        assert!(output.status.success(), "{spec}: {}", stderr(&output));
        let text = stdout(&output);
        for says in [
            format!("spec  = \"{spec}\""),
            format!("wrapping   = \"{wrapping}\""),
        ] {
            assert!(text.contains(&says), "{says} is not in:\n{text}");
        }
        assert_eq!(
            text.contains("# bits  = "),
            spec.starts_with("HMAC_"),
            "{text}"
        );
        let private = spec.starts_with("RSA_") || spec.starts_with("ECC_");
        assert_eq!(text.contains("(SoftHSM) needs host"), private, "{text}");
        fs::write(room.path("plan.toml"), &text).unwrap();
        let known = room.byok(&["inspect", "plan.toml"]).output().unwrap();
        assert!(stdout(&known).contains("data_keys"), "{}", stderr(&known));
    }
}

#[test]
fn import_parameters_that_name_their_algorithm_decide_and_must_suit_the_spec() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let parameters = |algorithm: &str, bits: u32| {
        let text = KmsKey::rsa(bits).parameters(ARN, support::now() + 86_000);
        let text = text.replacen('{', &format!("{{\"WrappingAlgorithm\":\"{algorithm}\","), 1);
        fs::write(room.path("inputs/eu-west-1.json"), text).unwrap();
    };
    let of = |spec: &str| {
        fs::write(room.path("key.json"), described(ARN, spec)).unwrap();
        plan(&room, &["key.json", "inputs/eu-west-1.json"])
    };
    parameters("RSA_AES_KEY_WRAP_SHA_1", 2048);
    let text = stdout(&of("ECC_NIST_P521"));
    assert!(
        text.contains("# As the import parameters say:\nwrapping   = \"RSA_AES_KEY_WRAP_SHA_1\"\n"),
        "{text}"
    );
    refused(
        &of("HMAC_256"),
        2,
        &["KMS accepts HMAC material with RSAES_OAEP_* only"],
    );
    refused(
        &plan(&room, &["inputs/eu-west-1.json"]),
        2,
        &["do not name its key spec", "describe-key answer"],
    );
    parameters("RSAES_OAEP_SHA_256", 2048);
    refused(&of("RSA_2048"), 2, &["RSA_AES_KEY_WRAP_* only"]);
    refused(
        &of("ECC_NIST_P521"),
        2,
        &["too long for RSA_2048", "RSA_3072"],
    );
    parameters("RSAES_OAEP_SHA_256", 3072);
    assert!(of("ECC_NIST_P521").status.success());
}

#[test]
fn kms_keys_of_two_specs_are_two_data_keys_of_one_plan() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let other = ARN.replace("1234abcd", "aaaaaaaa");
    fs::write(room.path("one.json"), described(ARN, "HMAC_256")).unwrap();
    fs::write(room.path("two.json"), described(&other, "RSA_2048")).unwrap();
    let text = stdout(&plan(&room, &["one.json", "two.json", "--label", "pay"]));
    for says in [
        "label = \"pay-hmac-256\"",
        "label = \"pay-rsa-2048\"",
        "inputs/eu-west-1.json",
        "inputs/eu-west-1-2.json",
    ] {
        assert!(text.contains(says), "{says} is not in:\n{text}");
    }
    // Parameters alone could be of either.
    let third = ARN.replace("1234abcd", "bbbbbbbb");
    fs::write(
        room.path("inputs/three.json"),
        room.kms.parameters(&third, support::now() + 9_000),
    )
    .unwrap();
    refused(
        &plan(&room, &["one.json", "two.json", "inputs/three.json"]),
        2,
        &[&third, "do not name its key spec"],
    );
}

fn inspect(room: &Room, path: &str) -> Value {
    let output = room.byok(&["inspect", "--json", path]).output().unwrap();
    assert!(output.status.success(), "{path}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_files_of_key_pairs_in_a_record_are_named() {
    for (spec, what) in [
        ("ECC_NIST_P384", "an EC private key"),
        ("RSA_2048", "RSA_2048"),
    ] {
        let Some(mut room) = Room::new(Kind::Kryoptic) else {
            return;
        };
        room.plan.spec = spec.into();
        room.plan.wrapping = "RSA_AES_KEY_WRAP_SHA_256".into();
        room.plan.wrap_in = "host".into();
        let transcript = room.run_with_escrow(2, &["A", "B"]);
        let fingerprint = transcript.event("key-generated")["fingerprint"].clone();
        for file in ["public-key.der", "public-key.pem"] {
            let said = inspect(&room, &format!("records/one/{LABEL}/{file}"));
            assert_eq!(said["what"], "public key (SubjectPublicKeyInfo)");
            assert_eq!(
                (&said["spec"], &said["fingerprint"]),
                (&spec.into(), &fingerprint)
            );
        }
        let said = inspect(
            &room,
            &format!("records/one/{LABEL}/eu-west-1/WrappedKeyMaterial.bin"),
        );
        let ways = said["wrapping_key"].as_str().unwrap();
        assert!(
            ways.contains(&format!("RSA_2048, RSA_AES_KEY_WRAP of {what}")),
            "{said}"
        );
        let said = inspect(&room, "records/one/escrow-package.json");
        let key = &said["data_keys"][0];
        assert_eq!(
            (&key["spec"], &key["wrapping"]),
            (&spec.into(), &"AES-KWP".into())
        );
        assert!(key["wrapped_bytes"].as_u64().unwrap() > 80, "{key}");
    }
}

#[test]
fn what_an_ed25519_key_leaves_in_a_record_is_told() {
    let Some(mut room) = Room::new(Kind::Kryoptic) else {
        return;
    };
    room.plan_spec("ED25519", None);
    let transcript = room.run_well();
    let fingerprint = &transcript.event("key-generated")["fingerprint"];
    for form in ["der", "pem"] {
        let said = inspect(&room, &format!("records/one/{LABEL}/public-key.{form}"));
        assert_eq!(said["spec"], "ED25519");
        assert_eq!(said["fingerprint"], *fingerprint);
    }
    let wrapped = format!("records/one/{LABEL}/eu-west-1/WrappedKeyMaterial.bin");
    let said = inspect(&room, &wrapped);
    let way = "RSA_4096, RSA_AES_KEY_WRAP of a secret key or ED25519";
    assert!(
        said["wrapping_key"].as_str().unwrap().ends_with(way),
        "{said}"
    );
}

#[test]
fn of_a_private_key_nothing_is_told_but_that_it_is_one() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let pem = openssl(
        &[
            "genpkey",
            "-quiet",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ],
        &[],
    );
    let der = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem);
    let sealed = openssl(&["pkcs8", "-topk8", "-passout", "pass:abcd"], &pem);
    let old = openssl(&["ec", "-outform", "DER"], &pem);
    for (bytes, what) in [
        (&pem, "a PRIVATE KEY (PKCS#8, PEM)"),
        (&der, "a PRIVATE KEY (PKCS#8, DER)"),
        (&sealed, "an encrypted private key (PKCS#8, PEM)"),
        (&old, "a PRIVATE KEY in another form than PKCS#8 (DER)"),
    ] {
        fs::write(room.path("file"), bytes).unwrap();
        let said = inspect(&room, "file");
        assert_eq!(said["what"], what);
        assert!(!said.to_string().contains(&sha256(bytes)), "{said}");
    }
}
