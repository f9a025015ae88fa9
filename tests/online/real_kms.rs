//! The whole way: a KMS that really unwraps, the real AWS CLI, a ceremony in between, and the proof,
//! byte for byte, that the KMS holds the key that the HSM made.
//!
//! The KMS runs on the loopback interface (see `kms_on_loopback`). The HSM's side of the proof is a
//! bare PKCS#11 program: a PIN holder can take an extractable data key out of the token.

use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::process::{Command, Output};

use kms_on_loopback::{LoopbackKms, key_material_id_of};
use serde_json::Value;
use support::{
    Kind, LABEL, PIN, Room, SHA_1, SHA_256, Transcript, openssl_check_values, refused, sha256,
    skip, stderr,
};

const FOLDER: &str = "payments-2026/eu-west-1";

fn kms() -> Option<LoopbackKms> {
    let kms = LoopbackKms::start();
    if kms.is_none() {
        skip("BYOK_TEST_VENV is not set");
    }
    kms
}

/// Import parameters exactly as the CLI printed them, and the slip's digest of the wrapping key.
pub fn download(kms: &LoopbackKms, room: &mut Room, arn: &str, bits: u32) {
    let told = kms.parameters(arn, &room.plan.wrapping, &format!("RSA_{bits}"));
    fs::write(room.path("inputs/eu-west-1.json"), &told).unwrap();
    room.plan.wrapping_key_sha256 = Some(sha256(&binary(&told, "PublicKey")));
    room.plan.key_arn = arn.to_owned();
}

fn binary(json: &str, field: &str) -> Vec<u8> {
    let json: Value = serde_json::from_str(json).unwrap();
    let text = format!("{}\n", json[field].as_str().unwrap());
    support::openssl(&["base64", "-d", "-A"], text.as_bytes())
}

/// The data key's bytes, taken out of the token behind byok's back.
fn taken_out(room: &Room) -> Vec<u8> {
    let hex = room.token(&["take", "ceremony", PIN, LABEL]);
    let digits = hex.trim();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// The cloud operator: the folder alone, carried elsewhere, and the script in it.
fn import(kms: &LoopbackKms, room: &Room) -> Output {
    import_of(kms, room, "records/one")
}

fn import_of(kms: &LoopbackKms, room: &Room, record: &str) -> Output {
    let online = room.path("online");
    let _ = fs::remove_dir_all(&online);
    fs::create_dir(&online).unwrap();
    for file in fs::read_dir(room.path(record).join(FOLDER)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), online.join(file.file_name())).unwrap();
    }
    Command::new("bash")
        .arg("import.sh")
        .args(["--yes", "--endpoint-url", &kms.endpoint()])
        .current_dir(online)
        .env_clear()
        .envs(kms.env())
        .output()
        .unwrap()
}

/// The KMS holds exactly the key that stands in the token, and the transcript tells its check values.
#[track_caller]
fn same_key_on_both_sides(kms: &LoopbackKms, room: &Room, transcript: &Transcript, what: &str) {
    let key = taken_out(room);
    assert_eq!(key.len(), 32, "{what}");
    let (kcv, fingerprint) = openssl_check_values(&key);
    let generated = transcript.event("key-generated");
    assert_eq!(generated["kcv"], kcv.as_str(), "{what}");
    assert_eq!(generated["fingerprint"], fingerprint.as_str(), "{what}");

    assert_eq!(kms.key_material_id(&room.plan.key_arn), None, "{what}");
    let output = import(kms, room);
    assert!(output.status.success(), "{what}: {}", stderr(&output));
    let arn = &room.plan.key_arn;
    assert_eq!(
        kms.key_material_id(arn),
        Some(key_material_id_of(&key, arn)),
        "{what}"
    );
    assert_ne!(
        key_material_id_of(&key, arn),
        key_material_id_of(&[0; 32], arn)
    );
}

fn every_algorithm_and_size(kind: Kind) {
    let Some(kms) = kms() else {
        return;
    };
    for bits in [2048, 3072, 4096] {
        for wrapping in [SHA_1, SHA_256] {
            let Some(mut room) = Room::new(kind) else {
                return;
            };
            room.plan.wrapping = wrapping.into();
            let in_hsm = wrapping == SHA_1 || kind.wraps_sha_256();
            room.plan.wrap_in = if in_hsm { "hsm" } else { "host" }.into();
            let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
            download(&kms, &mut room, &arn, bits);
            let transcript = room.run_well();
            assert_eq!(
                transcript.event("key-wrapped")["wrapped_in"],
                room.plan.wrap_in.as_str()
            );
            let what = format!("{kind:?} {bits} {wrapping}");
            same_key_on_both_sides(&kms, &room, &transcript, &what);
        }
    }
}

#[test]
fn the_kms_holds_the_key_made_in_softhsm_under_every_algorithm_and_size() {
    every_algorithm_and_size(Kind::SoftHsm);
}

#[test]
fn the_kms_holds_the_key_made_in_kryoptic_under_every_algorithm_and_size() {
    every_algorithm_and_size(Kind::Kryoptic);
}

#[test]
fn the_kms_holds_the_key_where_the_parameters_were_two_files_in_a_directory() {
    let (Some(kms), Some(mut room)) = (kms(), Room::new(Kind::SoftHsm)) else {
        return;
    };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    download(&kms, &mut room, &arn, 4096);
    let json = fs::read_to_string(room.path("inputs/eu-west-1.json")).unwrap();
    let directory = room.path("inputs/eu-west-1");
    fs::create_dir(&directory).unwrap();
    for (name, field) in [
        ("WrappingPublicKey.bin", "PublicKey"),
        ("ImportToken.bin", "ImportToken"),
    ] {
        fs::write(directory.join(name), binary(&json, field)).unwrap();
    }
    room.plan.parameters = "inputs/eu-west-1".into();
    let valid_to = jiff::Timestamp::from_second(support::now() as i64 + 80_000).unwrap();
    room.plan.import_more = format!("parameters_valid_to = \"{valid_to}\"\n");
    let transcript = room.run_well();
    let read = transcript.event("import-parameters-read");
    assert_eq!(read["key_arn_in_parameters"], false);
    assert_eq!(read["files"].as_array().unwrap().len(), 2);
    same_key_on_both_sides(&kms, &room, &transcript, "a directory");
}

#[test]
fn the_kms_encrypts_with_what_was_imported_and_opens_it_again() {
    let (Some(kms), Some(mut room)) = (kms(), Room::new(Kind::SoftHsm)) else {
        return;
    };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    download(&kms, &mut room, &arn, 2048);
    room.run_well();
    assert!(
        !encrypt(&kms, &arn).status.success(),
        "nothing is imported yet"
    );
    assert!(import(&kms, &room).status.success());
    let old = ciphertext(&kms, &room, &arn);
    assert_eq!(decrypted(&kms, &old, &arn), b"to the customer");
}

/// What the KMS encrypts now, in a file; as the CLI names files.
pub fn ciphertext(kms: &LoopbackKms, room: &Room, arn: &str) -> String {
    let encrypted = encrypt(kms, arn);
    assert!(encrypted.status.success(), "{}", stderr(&encrypted));
    let told = String::from_utf8(encrypted.stdout).unwrap();
    fs::write(room.path("ciphertext"), binary(&told, "CiphertextBlob")).unwrap();
    format!("fileb://{}", room.path("ciphertext").display())
}

pub fn decrypted(kms: &LoopbackKms, blob: &str, arn: &str) -> Vec<u8> {
    let args = ["kms", "decrypt", "--key-id", arn, "--ciphertext-blob", blob];
    binary(&kms.aws_text(&args), "Plaintext")
}

fn described(kms: &LoopbackKms, arn: &str) -> Value {
    let told = kms.aws_text(&["kms", "describe-key", "--key-id", arn, "--output", "json"]);
    serde_json::from_str::<Value>(&told).unwrap()["KeyMetadata"].clone()
}

/// Imports what a record brought: the KMS holds exactly this key, and opens what it encrypted before.
#[track_caller]
fn opens_old_data(kms: &LoopbackKms, room: &Room, record: &str, key: &[u8], old: &str) {
    let arn = &room.plan.key_arn;
    let output = import_of(kms, room, record);
    assert!(output.status.success(), "{record}: {}", stderr(&output));
    assert_eq!(described(kms, arn)["KeyState"], "Enabled");
    assert_eq!(kms.key_material_id(arn), Some(key_material_id_of(key, arn)));
    assert_eq!(decrypted(kms, old, arn), b"to the customer", "{record}");
}

/// KMS forgets the material, as at its expiry.
#[track_caller]
pub fn forgotten(kms: &LoopbackKms, arn: &str) {
    kms.aws_text(&["kms", "delete-imported-key-material", "--key-id", arn]);
    assert_eq!(described(kms, arn)["KeyState"], "PendingImport");
    assert_eq!(kms.key_material_id(arn), None);
}

/// The ceremony that builds on `records/one` of another room or this one.
fn builds_on(room: &mut Room, kind: &str, record: &std::path::Path, directory: &str) {
    let head = sha256(&fs::read(record.join("transcript.jsonl")).unwrap());
    room.plan.kind = kind.into();
    room.plan.directory = directory.into();
    let record = record.display();
    room.plan.top_more = format!("previous = \"{record}\"\nprevious_head = \"{head}\"\n");
}

#[test]
fn the_kms_opens_old_data_after_a_reimport_a_recovery_and_a_new_expiry() {
    for (kind, other) in [
        (Kind::SoftHsm, Kind::Kryoptic),
        (Kind::Kryoptic, Kind::SoftHsm),
    ] {
        let (Some(kms), Some(mut room), Some(mut new)) = (kms(), Room::new(kind), Room::new(other))
        else {
            continue;
        };
        let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
        download(&kms, &mut room, &arn, 2048);
        room.run_with_escrow(2, &["Security", "Audit", "Treasury"]);
        let first = room.path("records/one");
        let key = taken_out(&room);
        assert!(import(&kms, &room).status.success());
        let old = ciphertext(&kms, &room, &arn);

        // from the HSM
        forgotten(&kms, &arn);
        download(&kms, &mut room, &arn, 2048);
        builds_on(&mut room, "reimport", &first, "records/two");
        room.plan.more = String::new();
        run(&room);
        opens_old_data(&kms, &room, "records/two", &key, &old);

        // from a quorum, into another HSM
        forgotten(&kms, &arn);
        fs::rename(room.path("shares/02-Audit.txt"), room.path("absent")).unwrap();
        download(&kms, &mut new, &arn, 2048);
        builds_on(&mut new, "recover", &first, "records/three");
        new.plan.top_more += "reuse_escrow = \"a test\"\n";
        let shares = room.path("shares");
        new.plan.more = format!(
            "[recover]\nshares = \"files:{}\"\npackage = \"record\"\n",
            shares.display()
        );
        run(&new);
        opens_old_data(&kms, &new, "records/three", &key, &old);

        // over what is there, for another expiry: nothing is deleted, nothing is down
        assert_eq!(
            described(&kms, &arn)["ExpirationModel"],
            "KEY_MATERIAL_DOES_NOT_EXPIRE"
        );
        download(&kms, &mut new, &arn, 2048);
        let third = new.path("records/three");
        builds_on(&mut new, "reimport", &third, "records/four");
        new.plan.more = String::new();
        let expires = jiff::Timestamp::from_second(support::now() as i64 + 20_000_000).unwrap();
        new.plan.expires = expires.to_string();
        run(&new);
        assert_eq!(decrypted(&kms, &old, &arn), b"to the customer");
        let script = new.path("records/four").join(FOLDER).join("import.sh");
        let script = fs::read_to_string(script).unwrap();
        assert!(!script.contains("delete-imported-key-material"), "{script}");
        opens_old_data(&kms, &new, "records/four", &key, &old);
        let told = described(&kms, &arn);
        assert_eq!(told["ExpirationModel"], "KEY_MATERIAL_EXPIRES");
        assert!(
            told["ValidTo"].is_number() || told["ValidTo"].is_string(),
            "{told}"
        );
    }
}

#[track_caller]
fn run(room: &Room) {
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn encrypt(kms: &LoopbackKms, arn: &str) -> Output {
    let plaintext = support::base64(b"to the customer");
    let version = kms.aws_text(&["--version"]);
    // CLI 2 takes base64 here, CLI 1 plain text
    let plaintext = if version.contains("aws-cli/1") {
        "to the customer"
    } else {
        &plaintext
    };
    kms.aws(&["kms", "encrypt", "--key-id", arn, "--plaintext", plaintext])
}

#[test]
fn parameters_of_another_kms_key_are_refused_before_anything_is_made() {
    let (Some(kms), Some(mut room)) = (kms(), Room::new(Kind::SoftHsm)) else {
        return;
    };
    let [wanted, other] = [(); 2].map(|()| kms.create_external_key("SYMMETRIC_DEFAULT"));
    download(&kms, &mut room, &other, 2048);
    room.plan.key_arn.clone_from(&wanted);
    let output = room.run();
    refused(&output, 4, &["[KEY-ARN-MATCH]", &wanted, &other]);
    assert_eq!(room.objects(), [""; 0]);
    assert!(room.aborted().events("key-intended").is_empty());
    assert_eq!(kms.key_material_id(&other), None);
}
