//! Receipts that prove which HMAC key or private key a KMS key holds, and the public keys in a record: byok and the
//! script of stock tools judge them alike, and see what somebody changed.

use crate::support;

use std::fs;
use std::process::Output;
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::verifiers::{Records, both};
use support::{
    ARN, Kind, LABEL, Room, Transcript, base64, now, openssl, refused, sha256, stderr, stdout,
    unhex,
};

const ONE: &str = "records/one";
const DER: &str = "payments-2026/public-key.der";
const PEM: &str = "payments-2026/public-key.pem";

/// A record of a data key of this spec, wrapped for one KMS key.
fn generated(spec: &str, wrapping: &str) -> Option<(Room, Transcript)> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.spec = spec.into();
    room.plan.wrapping = wrapping.into();
    room.plan.wrap_in = "host".into();
    let transcript = room.run_well();
    Some((room, transcript))
}

fn hmac() -> Option<(Room, Transcript)> {
    generated("HMAC_384", "RSAES_OAEP_SHA_256")
}

fn pair() -> Option<(Room, Transcript)> {
    generated("ECC_NIST_P256", "RSA_AES_KEY_WRAP_SHA_256")
}

fn fingerprint(transcript: &Transcript) -> String {
    let made = transcript.event("key-generated");
    made["fingerprint"].as_str().unwrap().to_owned()
}

fn mac(transcript: &Transcript) -> Value {
    let mac = base64(&unhex(&fingerprint(transcript)));
    json!({"Mac": mac, "MacAlgorithm": "HMAC_SHA_384", "KeyId": ARN})
}

fn public_key(room: &Room) -> Value {
    let spki = fs::read(room.path(ONE).join(DER)).unwrap();
    json!({"KeyId": ARN, "PublicKey": base64(&spki), "CustomerMasterKeySpec": "ECC_NIST_P256",
        "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["ECDSA_SHA_256"]})
}

/// The public key of another private key, as SubjectPublicKeyInfo.
fn other_public_key() -> Vec<u8> {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let curve = "ec_paramgen_curve:P-256";
        let key = openssl(
            &["genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", curve],
            b"",
        );
        openssl(&["pkey", "-pubout", "-outform", "DER"], &key)
    };
    MADE.get_or_init(make).clone()
}

fn import_result(transcript: &Transcript, exit: u8) -> Value {
    let at = jiff::Timestamp::from_second(now() as i64).unwrap();
    json!({"format": "byok-import-result-v1", "ceremony": transcript.lines[0]["ceremony"], "label": LABEL,
        "import": "eu-west-1", "key_arn": ARN, "KeyId": ARN, "KeyMaterialId": null, "exit": exit, "error": null,
        "at": at.to_string(), "cli": "aws-cli/1.46"})
}

fn receipt(room: &Room, answer: &Value) -> Output {
    fs::write(room.path("answer.json"), answer.to_string()).unwrap();
    let args = ["receipt", ONE, "answer.json"];
    room.byok(&args).output().unwrap()
}

#[track_caller]
fn received(room: &Room, answer: &Value) -> String {
    let output = receipt(room, answer);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// How far the import came; both verifiers take the record.
#[track_caller]
fn standing(room: &Room) -> (String, String) {
    let output = both(room.dir.path(), &["--json", ONE]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["life"].as_array().unwrap();
    let what = rows[1]["what"].as_str().unwrap().to_owned();
    let kms = &report["imports"][0]["kms"];
    assert_eq!(rows[1]["kms"], *kms);
    (what, kms.as_str().unwrap().to_owned())
}

/// That this answer is refused, and nothing added.
#[track_caller]
fn not_added(room: &Room, exit: i32, good: &Value, member: &str, value: Value, says: &[&str]) {
    let mut bad = good.clone();
    match value {
        Value::Null => drop(bad.as_object_mut().unwrap().remove(member)),
        value => bad[member] = value,
    }
    let before = fs::read(room.path(ONE).join("receipts.jsonl")).ok();
    refused(
        &receipt(room, &bad),
        exit,
        &[says, &["nothing was added"]].concat(),
    );
    let after = fs::read(room.path(ONE).join("receipts.jsonl")).ok();
    assert_eq!(before, after);
}

fn means(what: &str, kms: &str) -> (String, String) {
    (what.into(), kms.into())
}

#[test]
fn a_mac_that_is_the_fingerprint_proves_hmac_material_and_another_is_other_material() {
    let Some((room, transcript)) = hmac() else {
        return;
    };
    let good = mac(&transcript);
    let other = base64(&[7; 48]);
    let stop = [
        "[KEY-MATERIAL]",
        "the KMS key holds other material",
        "STOP",
        "generate-mac",
    ];
    not_added(&room, 4, &good, "Mac", other.into(), &stop);
    for (exit, member, value, says) in [
        (4, "MacAlgorithm", json!("HMAC_SHA_256"), "[KMS-KEY-MATCH]"),
        (
            4,
            "KeyId",
            json!(ARN.replace("1234", "9999")),
            "[KMS-KEY-MATCH]",
        ),
        (2, "MacAlgorithm", Value::Null, "has no `MacAlgorithm`"),
        (2, "Mac", json!("*"), "`Mac` is not base64"),
        (2, "Mac", json!(""), "`Mac` is not base64"),
        (2, "Mac", json!(5), "`Mac` is not base64"),
    ] {
        not_added(&room, exit, &good, member, value, &[says]);
    }
    let said = received(&room, &import_result(&transcript, 0));
    assert!(
        said.contains("only GenerateMac over the fingerprint text proves"),
        "{said}"
    );
    assert_eq!(standing(&room), means("imported", "accepted by KMS"));
    let said = received(&room, &public_key_of_somebody());
    assert!(
        said.contains("it proves nothing about a data key of HMAC_384"),
        "{said}"
    );
    assert_eq!(standing(&room), means("imported", "accepted by KMS"));
    let said = received(&room, &good);
    assert!(
        said.contains("          proved in KMS: the KMS key computes"),
        "{said}"
    );
    assert_eq!(standing(&room), means("imported", "proved in KMS"));
}

fn public_key_of_somebody() -> Value {
    json!({"KeyId": ARN, "PublicKey": base64(&other_public_key()), "KeySpec": "ECC_NIST_P256"})
}

#[test]
fn a_public_key_that_is_the_records_proves_a_private_key_and_another_is_other_material() {
    let Some((room, transcript)) = pair() else {
        return;
    };
    let good = public_key(&room);
    let other = base64(&other_public_key());
    let stop = ["[KEY-MATERIAL]", "the KMS key holds other material", "STOP"];
    not_added(&room, 4, &good, "PublicKey", other.into(), &stop);
    for (exit, member, value, says) in [
        (4, "KeySpec", json!("ECC_SECG_P256K1"), "[KMS-KEY-MATCH]"),
        (
            4,
            "KeyId",
            json!(ARN.replace("1234", "9999")),
            "[KMS-KEY-MATCH]",
        ),
        (2, "PublicKey", json!("AAA"), "`PublicKey` is not base64"),
        (2, "PublicKey", json!([]), "`PublicKey` is not base64"),
    ] {
        not_added(&room, exit, &good, member, value, &[says]);
    }
    // A MAC says nothing of a key pair; and what KMS does counts, whether or not the import's own answer came back.
    received(
        &room,
        &json!({"Mac": "AAAA", "MacAlgorithm": "HMAC_SHA_256", "KeyId": ARN}),
    );
    received(&room, &import_result(&transcript, 254));
    assert_eq!(standing(&room), means("import failed", "import failed"));
    let said = received(&room, &good);
    assert!(
        said.contains("          proved in KMS: the KMS key has the public key"),
        "{said}"
    );
    assert_eq!(standing(&room), means("imported", "proved in KMS"));
    let next = stdout(&both(room.dir.path(), &["--next", ONE]));
    assert!(
        next.contains(" By the receipts:     1 proved in KMS\n"),
        "{next}"
    );
}

#[test]
fn the_command_that_asks_for_the_proof_names_the_kms_key() {
    let Some((room, _)) = hmac() else { return };
    let next = room.byok(&["verify", "--next", ONE]).output().unwrap();
    support::well(&next);
    let next = stdout(&next);
    let joined = support::folded(&next.replace("\\\n", ""));
    let prove = format!("bash online.sh prove --key {ARN}");
    assert!(joined.contains(&prove), "{next}");
}

#[test]
fn the_report_says_what_will_prove_each_data_key_and_never_that_it_was() {
    for (made, proof) in [
        (hmac(), "GenerateMac over the fingerprint text"),
        (pair(), "GetPublicKey"),
    ] {
        let Some((room, _)) = made else { return };
        let html = fs::read_to_string(room.path(ONE).join("transcript.html")).unwrap();
        assert!(html.contains("proved in KMS by"), "{html}");
        assert!(html.contains(proof), "{html}");
        assert!(html.contains("is not known yet"), "{html}");
        assert!(
            !html.contains("0 bytes<") && !html.contains(">KCV<"),
            "{html}"
        );
    }
}

// ---- what somebody changed ------------------------------------------------------------------------

/// Records that hold a proof each, and the copies of them that are changed.
fn proved() -> Option<&'static [Room; 2]> {
    static MADE: OnceLock<Option<[Room; 2]>> = OnceLock::new();
    let make = || {
        let (hmac, transcript) = hmac()?;
        received(&hmac, &mac(&transcript));
        let (pair, _) = pair()?;
        received(&pair, &public_key(&pair));
        Some([hmac, pair])
    };
    MADE.get_or_init(make).as_ref()
}

/// The answer written anew with this in it, and its digest in the chain.
fn forge_answer(copy: &Records, member: &str, value: Value) {
    let mut answer: Value = serde_json::from_str(&copy.text("receipts/001.json")).unwrap();
    answer[member] = value;
    let text = answer.to_string();
    let mut lines = copy.lines("receipts.jsonl");
    let was = sha256(&copy.read("receipts/001.json"));
    copy.write("receipts/001.json", &text);
    lines[0] = lines[0].replace(&was, &sha256(text.as_bytes()));
    copy.forge_receipts(&lines);
}

#[test]
fn both_see_what_was_done_to_a_proof() {
    let Some([hmac, pair]) = proved() else {
        return;
    };
    let line = "receipts.jsonl: line 1";
    for (room, member, value) in [
        (hmac, "Mac", json!(base64(&[7; 48]))),
        (hmac, "Mac", json!("")),
        (hmac, "Mac", json!(null)),
        (hmac, "MacAlgorithm", json!("HMAC_SHA_256")),
        (hmac, "MacAlgorithm", json!(null)),
        (pair, "PublicKey", json!(base64(&other_public_key()))),
        (pair, "PublicKey", json!("")),
        (pair, "KeySpec", json!("ECC_SECG_P256K1")),
    ] {
        println!("{member} {value}");
        let copy = Records::of(room.dir.path(), ONE);
        forge_answer(&copy, member, value);
        refused(&copy.verify(&[]), 4, &[line, "receipts/001.json"]);
    }
    for (room, member) in [(hmac, "Mac"), (pair, "PublicKey")] {
        let copy = Records::of(room.dir.path(), ONE);
        let answer: Value = serde_json::from_str(&copy.text("receipts/001.json")).unwrap();
        let text = answer[member].as_str().unwrap();
        for value in [
            format!("{text}\n"),
            format!(" {text}"),
            text.replace('=', ""),
        ] {
            // without padding some texts are the same: then nothing was changed
            if value != text {
                let copy = Records::of(room.dir.path(), ONE);
                forge_answer(&copy, member, json!(value));
                refused(&copy.verify(&[]), 4, &[line]);
            }
        }
        copy.replace("receipts.jsonl", "proved in KMS", "accepted by KMS");
        refused(
            &copy.verify(&[]),
            4,
            &["line 1: proves is not what receipts/001.json says"],
        );
        // KeySpec came to the API in 2021: its absence is no contradiction
        let copy = Records::of(room.dir.path(), ONE);
        forge_answer(&copy, "KeySpec", json!(null));
        assert!(copy.verify(&[]).status.success());
    }
}

/// The record of a key pair with these bytes in its files, all digests and the chain made to fit.
fn forge_public_key(der: Option<&[u8]>, pem: Option<&[u8]>, fingerprint: bool) -> Option<Records> {
    let copy = Records::of(proved()?[1].dir.path(), ONE);
    fs::remove_file(copy.path("receipts.jsonl")).unwrap();
    fs::remove_dir_all(copy.path("receipts")).unwrap();
    let was = sha256(&copy.read(DER));
    let mut lines = copy.lines("transcript.jsonl");
    for (path, bytes) in [(DER, der), (PEM, pem)] {
        let Some(bytes) = bytes else { continue };
        let old = sha256(&copy.read(path));
        copy.write(path, bytes);
        for line in lines.iter_mut().filter(|line| line.contains(path)) {
            *line = line.replace(&old, &sha256(bytes));
        }
    }
    if fingerprint {
        let is = sha256(&copy.read(DER));
        for line in &mut lines {
            *line = line.replace(&was, &is);
        }
    }
    copy.forge(&lines);
    Some(copy)
}

fn pem_of(der: &[u8]) -> Vec<u8> {
    openssl(&["pkey", "-pubin", "-inform", "DER", "-pubout"], der)
}

#[test]
fn both_hold_the_public_key_of_a_record_to_the_fingerprint() {
    let Some([_, pair]) = proved() else {
        return;
    };
    let paper = Records::of(pair.dir.path(), ONE).head();
    let other = other_public_key();
    let pem = fs::read(pair.path(ONE).join(PEM)).unwrap();
    let crlf = String::from_utf8(pem.clone())
        .unwrap()
        .replace('\n', "\r\n");
    let more = [&pem[..], b"\n"].concat();
    let (der, all) = (Some(&other[..]), pem_of(&other));
    for (name, says, copy) in [
        ("another DER", DER, forge_public_key(der, None, false)),
        (
            "another key in both",
            DER,
            forge_public_key(der, Some(&all), false),
        ),
        (
            "another PEM",
            PEM,
            forge_public_key(None, Some(&all), false),
        ),
        (
            "a PEM with CRLF",
            PEM,
            forge_public_key(None, Some(crlf.as_bytes()), false),
        ),
        (
            "a PEM with more",
            PEM,
            forge_public_key(None, Some(&more), false),
        ),
        (
            "another DER and fingerprint",
            PEM,
            forge_public_key(der, None, true),
        ),
        ("an empty DER", DER, forge_public_key(Some(b""), None, true)),
    ] {
        println!("{name}");
        refused(&copy.unwrap().verify(&[]), 4, &[says]);
    }
    // Whoever changes everything is found out by the paper.
    let copy = forge_public_key(der, Some(&all), true).unwrap();
    assert!(copy.verify(&[]).status.success());
    refused(&copy.verify(&["--head", &paper]), 4, &["not the one given"]);
}

#[test]
fn both_miss_a_public_key_that_was_not_written() {
    for path in [DER, PEM] {
        let Some(copy) = forge_public_key(None, None, false) else {
            return;
        };
        let mut lines = copy.lines("transcript.jsonl");
        lines.retain(|line| !line.contains(&format!("\"path\":\"{path}\"")));
        fs::remove_file(copy.path(path)).unwrap();
        let mut sums = copy.lines("SHA256SUMS");
        sums.retain(|line| !line.ends_with(path));
        copy.write_lines("SHA256SUMS", &sums);
        copy.forge(&lines);
        let says = ["transcript.jsonl: line ", path, "was not written"];
        refused(&copy.verify(&[]), 4, &says);
    }
}

/// A KMS key for HMAC keeps its first material for ever: what it holds now is what was imported before.
#[test]
fn a_proof_after_a_reimport_proves_the_first_import_too() {
    let Some((mut room, transcript)) = hmac() else {
        return;
    };
    received(&room, &import_result(&transcript, 0));
    let head = sha256(&transcript.bytes);
    room.plan.kind = "reimport".into();
    room.plan.top_more = format!("previous = \"{ONE}\"\nprevious_head = \"{head}\"\n");
    room.plan.directory = "records/two".into();
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(room.path("mac.json"), mac(&transcript).to_string()).unwrap();
    let args = ["receipt", "records/two", "mac.json"];
    assert!(room.byok(&args).output().unwrap().status.success());
    let output = both(room.dir.path(), &["--json", "records/two"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["life"].as_array().unwrap();
    let told = |row: &Value| {
        [&row["what"], &row["kms"]].map(|text| text.as_str().unwrap_or("").to_owned())
    };
    let told: Vec<[String; 2]> = rows.iter().map(told).collect();
    let expected = [
        ["generated", ""],
        ["imported", "proved in KMS"],
        ["found in the HSM", ""],
        ["reimported", "proved in KMS"],
    ];
    assert_eq!(told, expected.map(|row| row.map(str::to_owned)));
}

/// The record of its end tells of a key pair, and holds no public key.
#[test]
fn both_take_the_record_of_a_key_pair_that_was_destroyed() {
    let Some((mut room, transcript)) = pair() else {
        return;
    };
    let head = sha256(&transcript.bytes);
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.directory = "records/two".into();
    room.plan.top_more =
        format!("previous = \"{ONE}\"\nprevious_head = \"{head}\"\nreason = \"end of life\"\n");
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(room.objects().is_empty(), "{:?}", room.objects());
    let output = both(room.dir.path(), &["records/two"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_documents_commands_see_what_was_done_to_a_public_key() {
    let Some([_, pair]) = proved() else {
        return;
    };
    let page = include_str!("../../docs/transcript-format.md");
    let pairs = page.find("select(.spec | test(").unwrap();
    let from = page[..pairs].rfind("\njq ").unwrap() + 1;
    let commands = &page[from..from + page[from..].find("\ndone\n").unwrap() + 6];
    let said = |copy: &Records| {
        let mut bash = std::process::Command::new("bash");
        let output = bash
            .args(["-c", commands])
            .current_dir(copy.path(""))
            .output();
        let output = output.unwrap();
        stdout(&output) + &stderr(&output)
    };
    let good = Records::of(pair.dir.path(), ONE);
    assert_eq!(said(&good), format!("{DER}: OK\n"));
    let other = other_public_key();
    let copy = forge_public_key(Some(&other), Some(&pem_of(&other)), false).unwrap();
    assert!(
        said(&copy).contains(&format!("{DER}: FAILED")),
        "{}",
        said(&copy)
    );
    let copy = forge_public_key(None, Some(&pem_of(&other)), false).unwrap();
    assert!(
        said(&copy).contains(&format!("- {PEM} differ")),
        "{}",
        said(&copy)
    );
}
