//! Private keys that a module wraps in its own way: RSA_AES_KEY_WRAP in one call, in a form that is no PKCS#8, with
//! bytes after it. Some KMS would take what AWS refuses; byok refuses by itself, before a data key exists.

use crate::support;

use std::fs;

use support::{Kind, LABEL, Room, Transcript, openssl, refused, sha256, stderr, verifiers};

const OAEP: &str = "RSAES_OAEP_SHA_256";
const RSA_AES_SHA_1: &str = "RSA_AES_KEY_WRAP_SHA_1";
const RSA_AES: &str = "RSA_AES_KEY_WRAP_SHA_256";
const ONE_CALL: &str = "CKM_RSA_AES_KEY_WRAP";
const TWO_PARTS: &str = "CKM_AES_KEY_WRAP_KWP";

/// A plan for a private key on kryoptic, behind a proxy with these rules.
fn room(spec: &str, wrapping: &str, rules: &str) -> Option<Room> {
    let mut room = Room::new(Kind::Kryoptic)?;
    room.plan.spec = spec.into();
    room.plan.wrapping = wrapping.into();
    room.behind_proxy(rules)?;
    Some(room)
}

/// The mechanism that the control of the data key's spec proved.
fn proved_mechanism(transcript: &Transcript) -> String {
    let passed = transcript.event("preflight-passed");
    let checks = passed["checks"].as_array().unwrap();
    let control = checks.iter().find(|check| check["check"] == "CONTROL");
    control.unwrap()["mechanism"].as_str().unwrap().to_owned()
}

/// openssl opens what was wrapped to a valid PKCS#8 of the recorded public key, without a byte after it.
#[track_caller]
fn openssl_opens_the_data_key(room: &Room, transcript: &Transcript) {
    let wrapped = format!("records/one/{LABEL}/eu-west-1/WrappedKeyMaterial.bin");
    let pkcs8 = room.openssl_opens(&wrapped);
    let again = openssl(
        &[
            "pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER",
        ],
        &pkcs8,
    );
    let public = |der: &[u8]| {
        openssl(
            &["pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
            der,
        )
    };
    assert_eq!(public(&again), public(&pkcs8));
    let shown = openssl(&["asn1parse", "-inform", "DER"], &pkcs8);
    let shown = String::from_utf8(shown).unwrap();
    let top = shown.lines().filter(|line| line.contains("d=0 "));
    assert_eq!(top.count(), 1, "bytes after the PKCS#8: {shown}");
    let fingerprint = &transcript.event("key-generated")["fingerprint"];
    assert_eq!(*fingerprint, sha256(&public(&pkcs8)).as_str());
    let verified = verifiers::both(room.dir.path(), &["records/one"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn a_module_that_wraps_in_one_call_does_so_where_its_control_opens() {
    for (spec, wrapping) in [("RSA_3072", RSA_AES), ("RSA_2048", RSA_AES_SHA_1)] {
        let Some(room) = room(spec, wrapping, "rsa-aes-key-wrap") else {
            return;
        };
        let transcript = room.run_well();
        assert_eq!(proved_mechanism(&transcript), ONE_CALL, "{spec}");
        openssl_opens_the_data_key(&room, &transcript);
    }
}

/// As SoftHSM 2.7 does: SHA-256 is asked for, SHA-1 is used, and the answer is CKR_OK.
#[test]
fn a_module_that_uses_another_hash_in_one_call_is_found_out_and_does_the_two_parts() {
    for (wrapping, mechanism) in [(RSA_AES, TWO_PARTS), (RSA_AES_SHA_1, ONE_CALL)] {
        let Some(room) = room("RSA_2048", wrapping, "rsa-aes-key-wrap:sha1") else {
            return;
        };
        let transcript = room.run_well();
        assert_eq!(proved_mechanism(&transcript), mechanism, "{wrapping}");
        openssl_opens_the_data_key(&room, &transcript);
    }
}

/// kryoptic does: of every second key on P-521, of every 256th on P-256.
#[test]
fn a_module_that_drops_leading_zeros_of_private_values_is_refused_for_every_curve() {
    for (spec, wrapping) in [
        ("ECC_NIST_P256", OAEP),
        ("ECC_NIST_P256", RSA_AES),
        ("ECC_NIST_P384", RSA_AES),
    ] {
        let Some(mut room) = Room::new(Kind::Kryoptic) else {
            return;
        };
        room.plan.spec = spec.into();
        room.plan.wrapping = wrapping.into();
        before_any_data_key(
            &room,
            &[
                "[CONTROL]",
                "whether private values on curves keep their length",
                "but RFC 5915 demands 66",
                "hint: set wrap_in = \"host\"",
            ],
        );
    }
}

/// The private values of the controls on P-256 begin with zero here, which happens to one in 256 by itself: it
/// says nothing of an RSA key, and of a curve always the same.
#[test]
fn a_control_on_p256_that_happens_to_begin_with_zero_changes_nothing() {
    for wrapping in [RSA_AES, RSA_AES_SHA_1] {
        let Some(room) = room("RSA_2048", wrapping, "short-p256") else {
            return;
        };
        openssl_opens_the_data_key(&room, &room.run_well());
    }
    let Some(mut room) = room("ECC_NIST_P256", RSA_AES, "short-p256") else {
        return;
    };
    let says = "whether private values on curves keep their length";
    before_any_data_key(&room, &[says, "but RFC 5915 demands 66"]);
    fs::remove_dir_all(room.path("records")).unwrap();
    room.plan.wrap_in = "host".into();
    openssl_opens_the_data_key(&room, &room.run_well());
}

#[test]
fn a_module_that_uses_another_hash_in_both_ways_is_refused() {
    let rules = "rsa-aes-key-wrap:sha1;oaep-sha1";
    let Some(room) = room("ECC_NIST_P256", RSA_AES, rules) else {
        return;
    };
    before_any_data_key(&room, &["[CONTROL]", "does not open as", RSA_AES]);
}

/// SEC 1 of a curve, PKCS#1 of RSA: what stands inside a PKCS#8.
#[test]
fn a_private_key_that_is_no_pkcs8_is_refused_in_the_hsm_and_in_this_computer() {
    for (spec, wrapping, more) in [
        ("ECC_NIST_P256", OAEP, ""),
        ("ECC_NIST_P256", RSA_AES, ""),
        ("RSA_2048", RSA_AES, ";rsa-aes-key-wrap"),
    ] {
        let rules = format!("private-as:inner{more}");
        let Some(mut room) = room(spec, wrapping, &rules) else {
            return;
        };
        let says = [
            "C_WrapKey answered CKR_OK, but",
            "is not a PKCS#8 private key",
        ];
        before_any_data_key(&room, &says);
        fs::remove_dir_all(room.path("records")).unwrap();
        room.plan.wrap_in = "host".into();
        let says = match spec {
            "RSA_2048" => "not those that the HSM holds",
            _ => "is not a PKCS#8 private key on a curve",
        };
        before_any_data_key(&room, &["[CONTROL]", says]);
    }
}

#[test]
fn bytes_after_a_pkcs8_are_refused_in_the_hsm_and_cut_off_in_this_computer() {
    for (spec, wrapping, rules) in [
        ("ECC_NIST_P256", OAEP, "private-as:longer:1"),
        ("ECC_NIST_P384", RSA_AES, "private-as:longer:3"),
        ("RSA_2048", RSA_AES, "private-as:longer:8;rsa-aes-key-wrap"),
    ] {
        let Some(mut room) = room(spec, wrapping, rules) else {
            return;
        };
        before_any_data_key(&room, &["bytes after the", "which KMS refuses"]);
        fs::remove_dir_all(room.path("records")).unwrap();
        room.plan.wrap_in = "host".into();
        let transcript = room.run_well();
        assert_eq!(transcript.event("key-wrapped")["wrapped_in"], "host");
        openssl_opens_the_data_key(&room, &transcript);
    }
}

#[track_caller]
fn before_any_data_key(room: &Room, says: &[&str]) {
    let output = room.run();
    refused(
        &output,
        3,
        &[
            says,
            &["step 6 of 13, preflight", "state: no data key was left"],
        ]
        .concat(),
    );
    assert!(room.aborted().events("key-intended").is_empty());
    assert!(room.objects().is_empty());
}
