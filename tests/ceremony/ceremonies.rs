//! Whole ceremonies on both HSMs, their results opened and checked by openssl.

use crate::support;

use std::fs;

use support::{
    Kind, KmsKey, LABEL, PIN, Room, SHA_1, SHA_256, hex, openssl_check_values, refused, stderr,
    stdout,
};

const WRAPPED: &str = "records/one/payments-2026/eu-west-1/WrappedKeyMaterial.bin";

/// Each algorithm under each wrapping key size, in the HSM where it can, else in this computer.
fn every_algorithm_and_size(kind: Kind) {
    for bits in [2048, 3072, 4096] {
        for wrapping in [SHA_1, SHA_256] {
            let Some(mut room) = Room::new(kind) else {
                return;
            };
            room.use_kms_key(KmsKey::rsa(bits));
            room.plan.wrapping = wrapping.into();
            let in_hsm = wrapping == SHA_1 || kind.wraps_sha_256();
            room.plan.wrap_in = if in_hsm { "hsm" } else { "host" }.into();
            let transcript = room.run_well();

            assert_eq!(
                fs::metadata(room.path(WRAPPED)).unwrap().len(),
                u64::from(bits / 8)
            );
            let key = room.openssl_opens(WRAPPED);
            assert_eq!(key.len(), 32);
            let (kcv, fingerprint) = openssl_check_values(&key);
            let generated = transcript.event("key-generated");
            assert_eq!(generated["kcv"], kcv.as_str(), "{kind:?} {bits} {wrapping}");
            assert_eq!(generated["fingerprint"], fingerprint.as_str());
            let wrapped = transcript.event("key-wrapped");
            assert_eq!(wrapped["wrapped_in"], if in_hsm { "hsm" } else { "host" });
            assert_eq!(wrapped["wrapping_key_sha256"], room.kms.sha256().as_str());
            assert_eq!(transcript.event("sealed")["exposure"], "software HSM");
            assert_eq!(
                room.objects(),
                [format!(
                    "CKO_SECRET_KEY {LABEL} {}",
                    generated["cka_id"].as_str().unwrap()
                )]
            );
            assert!(
                !hex(&transcript.bytes).contains(&hex(&key)),
                "key bytes in the transcript"
            );
        }
    }
}

support::twins!(
    every_algorithm_and_size_on_softhsm,
    every_algorithm_and_size_on_kryoptic,
    every_algorithm_and_size
);

#[test]
fn a_softhsm_that_cannot_wrap_with_sha_256_is_found_out_before_any_data_key_exists() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.wrapping = SHA_256.into();
    let output = room.run();
    refused(
        &output,
        3,
        &[
            "step 6 of 13, preflight",
            "C_WrapKey: CKR_ARGUMENTS_BAD",
            "RSAES_OAEP_SHA_1",
            "wrap_in = \"host\"",
            "state: no data key was left in the HSM",
        ],
    );
    let aborted = room.aborted();
    assert!(aborted.events("key-intended").is_empty());
    assert_eq!(aborted.lines.last().unwrap()["event"], "aborted");
    assert!(room.objects().is_empty() && room.signers().is_empty());
}

#[test]
fn the_names_of_the_events_stand_in_the_order_of_the_steps() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let transcript = room.run_well();
    let mut names = transcript.names();
    names.dedup();
    assert_eq!(
        names,
        [
            "ceremony-opened",
            "output-written",
            "plan-approved",
            "roll-call",
            "machine-checked",
            "hsm-opened",
            "signer-intended",
            "transcript-signer",
            "import-parameters-read",
            "preflight-passed",
            "key-intended",
            "key-generated",
            "key-wrapped",
            "output-written",
            "sealed",
        ]
    );
    assert_eq!(transcript.event("roll-call")["operator"], "not asked");
    assert_eq!(transcript.event("plan-approved")["how"], "unattended");
}

#[test]
fn a_run_says_its_head_on_standard_output_and_never_the_pin() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let head = support::sha256(&fs::read(room.path("records/one/transcript.jsonl")).unwrap());
    assert_eq!(
        stdout(&output),
        format!("{head}  records/one/transcript.jsonl\n")
    );
    assert!(!stderr(&output).contains(PIN));
    let transcript = room.transcript("records/one");
    assert!(!String::from_utf8(transcript.bytes).unwrap().contains(PIN));
}
