//! `byok inspect` of what lies in a record and of what custodians hold: it names each file, and tells
//! nothing of a share.

use crate::support;

use std::fs;

use serde_json::{Value, json};
use support::escrow::{another_word, nowhere, room, shares, slow, telling, with_word};
use support::{ARN, Kind, LABEL, Room, refused, sha256, stderr, stdout};

const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn inspect(room: &Room, path: &str) -> Value {
    let output = room.byok(&["inspect", "--json", path]).output().unwrap();
    assert!(output.status.success(), "{path}: {}", stderr(&output));
    let people = room.byok(&["inspect", path]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    // What it is comes first.
    let shown = stdout(&people);
    let first = shown.lines().next().unwrap().strip_prefix("what ").unwrap();
    assert_eq!(first.trim_start(), said["what"].as_str().unwrap());
    said
}

#[test]
fn every_file_of_a_record_with_escrow_and_receipts_is_named() {
    let Some(room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let transcript = room.run_well();
    let ceremony = transcript.lines[0]["ceremony"].clone();
    let result = json!({
        "format": "byok-import-result-v1", "ceremony": ceremony, "label": LABEL,
        "import": "eu-west-1", "key_arn": ARN, "KeyId": ARN, "KeyMaterialId": ID, "exit": 0,
        "error": null, "at": "2026-11-22T11:42:03Z", "arguments": "--profile ops", "cli": "aws-cli/2",
    });
    fs::write(room.path("import-result.json"), result.to_string()).unwrap();
    let rotations = json!({"Rotations": [{"KeyId": ARN, "KeyMaterialId": ID}]});
    fs::write(room.path("rotations.json"), rotations.to_string()).unwrap();
    let added = room
        .byok(&[
            "receipt",
            "records/one",
            "import-result.json",
            "rotations.json",
        ])
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", stderr(&added));
    let head = sha256(&transcript.bytes);
    let digest = sha256(&fs::read(room.path("records/one/receipts.jsonl")).unwrap());
    let table = [
        (
            "receipts.jsonl",
            "receipts of a record",
            "receipts_digest",
            json!(digest),
        ),
        (
            "receipts.jsonl",
            "receipts of a record",
            "transcript_head",
            json!(head),
        ),
        ("receipts.jsonl", "receipts of a record", "lines", json!(2)),
        (
            "receipts/001.json",
            "import result of import.sh",
            "key_material_id",
            json!(ID),
        ),
        (
            "receipts/001.json",
            "import result of import.sh",
            "arguments",
            json!("--profile ops"),
        ),
        (
            "receipts/002.json",
            "answer of ListKeyRotations",
            "key_material_ids",
            json!([ID]),
        ),
        (
            "package.txt",
            "escrow package as text",
            "ceremony",
            ceremony.clone(),
        ),
        (
            "package.txt",
            "escrow package as text",
            "data_keys",
            json!([LABEL]),
        ),
        ("SHA256SUMS", "checksums of a record", "files", json!(10)),
        (
            "transcript.html",
            "paper of byok: a script, forms, or the report of a record",
            "next",
            json!(
                "it is a page for a browser; a record's transcript names the digest of its report"
            ),
        ),
        (
            "signatures/hsm.sig",
            "signature (SSHSIG)",
            "namespace",
            json!("byok-ceremony"),
        ),
        (
            "signatures/hsm.sig",
            "signature (SSHSIG)",
            "key_type",
            json!("ecdsa-sha2-nistp256"),
        ),
        (
            "escrow-package.json",
            "escrow package",
            "ceremony",
            ceremony,
        ),
    ];
    for (path, what, name, value) in table {
        let said = inspect(&room, &format!("records/one/{path}"));
        assert_eq!(said["what"], what, "{path}: {said}");
        assert_eq!(said[name], value, "{path}: {said}");
    }

    // One byte changed in receipts or package: broken, and where.
    let change = |path: &str, from: &str, to: &str| {
        let path = room.path("records/one").join(path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(room.path("changed"), text.replacen(from, to, 1)).unwrap();
        room.byok(&["inspect", "changed"]).output().unwrap()
    };
    refused(
        &change("receipts.jsonl", "\"exit\":0", "\"exit\":1"),
        4,
        &["broken receipts.jsonl: line 2", "line 1"],
    );
    refused(
        &change("package.txt", "row 2   ", "row 2   0"),
        4,
        &["broken escrow package: row 2"],
    );
    refused(
        &change("package.txt", "row 5 ", "row 6 "),
        4,
        &["a row is missing"],
    );
}

#[test]
fn a_share_file_is_named_and_nothing_of_it_is_told() {
    let Some(room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.run_well();
    let dealt = shares(&room.path("shares"));
    let share = dealt[1].1.clone();
    let file = |name: &str, text: &str| {
        fs::write(room.path(name), text).unwrap();
        name.to_owned()
    };
    let own = fs::read_to_string(&dealt[1].0).unwrap();
    let wrong = with_word(&share, 20, another_word(&share, 20));
    let short = share.rsplit_once(' ').unwrap().0;
    let table = [
        (file("own.txt", &own), 33, "ok"),
        (file("from-paper.txt", &format!("{share}\n")), 33, "ok"),
        (
            file("wrong.txt", &own.replace(&share, &wrong)),
            33,
            "does not hold",
        ),
        (
            file("short.txt", &own.replace(&share, short)),
            32,
            "does not hold",
        ),
        (
            file("illegible.txt", &with_word(&share, 20, "xxxx")),
            33,
            "does not hold",
        ),
    ];
    let mut secrets = telling(&share);
    let word_four = format!(
        "{} {}",
        share.split(' ').nth(3).unwrap(),
        share.split(' ').nth(4).unwrap()
    );
    secrets.push(word_four.into_bytes());
    secrets.push(sha256(own.as_bytes()).into_bytes());
    let empty = tempfile::tempdir().unwrap();
    let slow = inspect(&room, &file("slow.txt", &slow(&share)));
    assert_eq!(slow["checksum"], "ok");
    let refused = slow["refused"].as_str().unwrap();
    assert!(refused.contains("iteration exponent is 15"), "{refused}");
    for (path, words, checksum) in table {
        for args in [&["inspect", &path][..], &["inspect", "--json", &path]] {
            let output = room.byok(args).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            nowhere(
                &secrets,
                empty.path(),
                &(stdout(&output) + &stderr(&output)),
            );
        }
        let said = inspect(&room, &path);
        assert_eq!(said["what"], "a share file of byok", "{path}");
        assert_eq!(said["words"], words, "{path}");
        assert_eq!(said["checksum"], checksum, "{path}");
        assert!(!said.to_string().contains("Audit"), "{said}");
        assert!(said.get("sha256").is_none(), "{said}");
    }
}

#[test]
fn what_is_nothing_of_a_ceremony_stays_unknown() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let table = [
        ("sums", format!("{}  a-file\n", "0".repeat(64))),
        (
            "words",
            "acid acne acquire and a few more words of prose\n".to_owned(),
        ),
        ("empty", String::new()),
        ("json", "{\"KeyId\": \"x\"}".to_owned()),
    ];
    for (name, text) in table {
        fs::write(room.path(name), text).unwrap();
        let output = room.byok(&["inspect", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stdout(&output));
    }
    refused(
        &room.byok(&["inspect", "/dev/null"]).output().unwrap(),
        2,
        &["not a regular file"],
    );
}

/// One wrapped data key is as long as the other; a zip, a DER structure or UTF-16 is so only by chance.
const BY_LENGTH: [usize; 9] = [256, 384, 512, 336, 1472, 2176, 2760, 2176 + 24, 2888];

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::{Cursor, Write as _};
    let mut writer = zip::write::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_has_a_structure_is_told_by_it_whatever_its_length() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let key = &room.kms.spki;
    let token = &room.kms.token;
    let tell = |name: &str, bytes: &[u8]| {
        fs::write(room.path(name), bytes).unwrap();
        room.byok(&["inspect", "--json", name]).output().unwrap()
    };
    let what = |name: &str, bytes: &[u8]| {
        let output = tell(name, bytes);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said["what"].as_str().unwrap().to_owned()
    };
    for len in BY_LENGTH {
        // Opaque bytes of this length are wrapped material; the name says where they are a token.
        let opaque: Vec<u8> = token.iter().copied().cycle().take(len).collect();
        assert_eq!(
            what("a.bin", &opaque),
            "wrapped key material, by its length"
        );
        assert_eq!(
            what("WrappedKeyMaterial.bin", &opaque),
            "wrapped key material, by its length"
        );
        for name in ["ImportToken.bin", "token.bin", "importToken_1_2"] {
            assert_eq!(what(name, &opaque), "import token, by its name", "{len}");
        }
        // A zip of this length.
        let pair = [
            ("WrappingPublicKey.bin", &key[..]),
            ("ImportToken.bin", &token[..]),
        ];
        let empty = zip_of(&[&pair[..], &[("README.txt", b"")]].concat()).len();
        if let Some(more) = len.checked_sub(empty) {
            let readme = vec![b'x'; more];
            let zip = zip_of(&[&pair[..], &[("README.txt", &readme)]].concat());
            assert_eq!(zip.len(), len);
            assert_eq!(
                what("a.zip", &zip),
                "import parameters, the console's zip",
                "{len}"
            );
            assert_eq!(
                what("ImportToken.bin", &zip),
                "import parameters, the console's zip"
            );
        }
        // What is broken, or nothing of a ceremony, is not wrapped material either.
        let mut broken = opaque.clone();
        broken[..4].copy_from_slice(b"PK\x03\x04");
        let mut compressed = opaque.clone();
        compressed[..3].copy_from_slice(&[0x1f, 0x8b, 8]);
        let mut der = opaque.clone();
        let inner = u16::try_from(len - 4).unwrap().to_be_bytes();
        der[..4].copy_from_slice(&[0x30, 0x82, inner[0], inner[1]]);
        der[4] = 0x31;
        let wide: Vec<u8> = std::iter::once(0xfeff_u16)
            .chain("é".repeat(len / 2 - 1).encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        for (name, bytes, why) in [
            ("b.zip", &broken, "broken zip"),
            ("b.gz", &compressed, "gunzip"),
            ("b.der", &der, "DER"),
            ("b.txt", &wide, "neither JSON nor a zip"),
        ] {
            assert_eq!(bytes.len(), len);
            refused(&tell(name, bytes), 2, &[why]);
        }
    }
    // The name does not decide where there is content to tell by.
    let json = room.kms.parameters(ARN, 4_000_000_000);
    assert_eq!(
        what("parameters.toml", json.as_bytes()),
        "import parameters, JSON"
    );
    room.write_plan();
    let plan = fs::read(room.path("plan.toml")).unwrap();
    assert_eq!(what("plan.txt", &plan), "plan");
    let base64 = support::base64(key);
    assert_eq!(
        what("pkey.b64", base64.as_bytes()),
        "public key (SubjectPublicKeyInfo)"
    );
    let base64 = support::base64(token);
    assert_eq!(
        what("token.b64", base64.as_bytes()),
        "import token, by its name"
    );
}
