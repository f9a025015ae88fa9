//! Receipts and chains of records: what KMS answered, what it proves, and what removal breaks.

use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use kms_on_loopback::{LoopbackKms, key_material_id_of};
use serde_json::{Value, json};
use support::{
    ARN, Kind, LABEL, Room, base64, now, openssl, refused, sha256, stderr, stdout, verifiers,
};

const ID: &str = "6c2d1a4f5e0b3c7d8e9f00112233445566778899aabbccddeeff001122334455";
const OTHER_ID: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const ONE: &str = "records/one";
const TWO: &str = "records/two";

/// A record `records/one` of a data key that was made and wrapped.
fn generated() -> Option<Room> {
    let room = Room::new(Kind::SoftHsm)?;
    room.run_well();
    Some(room)
}

fn head(room: &Room, record: &str) -> String {
    sha256(&fs::read(room.path(record).join("transcript.jsonl")).unwrap())
}

fn ceremony(room: &Room, record: &str) -> String {
    let opened = room.transcript(record).lines[0]["ceremony"].clone();
    opened.as_str().unwrap().to_owned()
}

/// Reimports what `previous` brought, into `directory`.
fn reimport(room: &Room, previous: &str, directory: &str, more: &str) -> Output {
    let kind = format!(
        "kind = \"reimport\"\nprevious = \"{previous}\"\nprevious_head = \"{}\"",
        head(room, previous)
    );
    let mut plan = room.plan.clone();
    plan.directory = directory.into();
    plan.more += more;
    let text = plan.text().replace("kind = \"generate\"", &kind);
    fs::write(room.path("plan.toml"), &text).unwrap();
    room.byok(&["run", "plan.toml", "--approve", &sha256(text.as_bytes())])
        .output()
        .unwrap()
}

#[track_caller]
fn reimported(room: &Room, previous: &str, directory: &str) {
    let output = reimport(room, previous, directory, "");
    assert!(output.status.success(), "{}", stderr(&output));
}

/// So many seconds from now, as AWS writes times.
fn at(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second((now() + seconds) as i64);
    time.unwrap().to_string()
}

/// What `import.sh` leaves.
fn import_result(room: &Room, record: &str, id: Option<&str>, exit: u8) -> Value {
    let key_id = id.map(|_| room.plan.key_arn.clone());
    json!({
        "format": "byok-import-result-v1", "ceremony": ceremony(room, record), "label": LABEL,
        "import": "eu-west-1", "key_arn": room.plan.key_arn, "KeyId": key_id, "KeyMaterialId": id,
        "exit": exit, "error": null, "at": at(0), "cli": "aws-cli/2.9.19",
    })
}

fn described(id: Option<&str>, state: &str) -> Value {
    json!({"KeyMetadata": {
        "AWSAccountId": "111122223333", "KeyId": ARN.rsplit('/').next(), "Arn": ARN, "KeyState": state,
        "Origin": "EXTERNAL", "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT",
        "MultiRegion": false, "CurrentKeyMaterialId": id,
    }})
}

fn receipt(room: &Room, record: &str, answers: &[Value]) -> Output {
    let mut args = vec!["receipt".to_owned(), record.to_owned()];
    for (at, answer) in answers.iter().enumerate() {
        let name = format!("answer-{at}.json");
        let text = serde_json::to_string_pretty(answer).unwrap() + "\n";
        fs::write(room.path(&name), text).unwrap();
        args.push(name);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    room.byok(&args).output().unwrap()
}

#[track_caller]
fn received(room: &Room, record: &str, answers: &[Value]) -> String {
    let output = receipt(room, record, answers);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn verify(room: &Room, args: &[&str]) -> Output {
    verifiers::both(room.dir.path(), args)
}

#[track_caller]
fn verified(room: &Room, args: &[&str]) -> Value {
    let output = verify(room, &[&["--json"], args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lines(room: &Room, record: &str) -> Vec<String> {
    let text = fs::read_to_string(room.path(record).join("receipts.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn words(report: &Value) -> Vec<&str> {
    let rows = report["life"].as_array().unwrap();
    rows.iter()
        .map(|row| row["what"].as_str().unwrap())
        .collect()
}

fn script(room: &Room, record: &str) -> String {
    let path = room.path(record).join(LABEL).join("eu-west-1/import.sh");
    fs::read_to_string(path).unwrap()
}

#[test]
fn an_answer_is_kept_byte_for_byte_in_a_chain_that_begins_at_the_head() {
    let Some(room) = generated() else { return };
    let sealed = fs::read(room.path(ONE).join("transcript.jsonl")).unwrap();
    assert_eq!(verified(&room, &[ONE])["imports"][0]["kms"], "no receipt");
    let said = received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    assert!(said.contains("accepted by KMS"), "{said}");
    received(&room, ONE, &[described(Some(ID), "Enabled")]);

    let answer = fs::read(room.path(ONE).join("receipts/002.json")).unwrap();
    assert_eq!(answer, fs::read(room.path("answer-0.json")).unwrap());
    let lines = lines(&room, ONE);
    let (first, second): (Value, Value) = (
        serde_json::from_str(&lines[0]).unwrap(),
        serde_json::from_str(&lines[1]).unwrap(),
    );
    assert_eq!(first["prev"], head(&room, ONE).as_str());
    assert_eq!(second["prev"], sha256(lines[0].as_bytes()).as_str());
    assert_eq!(second["file"], "receipts/002.json");
    assert_eq!(second["sha256"], sha256(&answer).as_str());
    assert_eq!(first["key_material_id"], ID);
    assert_eq!((&first["seq"], &second["seq"]), (&json!(1), &json!(2)));
    for file in ["receipts.jsonl", "receipts/001.json"] {
        let mode = fs::metadata(room.path(ONE).join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(
        fs::read(room.path(ONE).join("transcript.jsonl")).unwrap(),
        sealed
    );

    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["kms"], "accepted by KMS");
    assert_eq!(report["imports"][0]["key_material_id"], ID);
    let whole = fs::read(room.path(ONE).join("receipts.jsonl")).unwrap();
    assert_eq!(report["receipts"]["head"], sha256(&whole).as_str());
    let said = stdout(&verify(&room, &[ONE]));
    assert!(said.contains("nothing vouches for completeness"), "{said}");
    assert!(said.contains("accepted by KMS"), "{said}");
}

#[test]
fn the_same_answer_is_added_once() {
    let Some(room) = generated() else { return };
    let answer = import_result(&room, ONE, Some(ID), 0);
    received(&room, ONE, std::slice::from_ref(&answer));
    let said = received(&room, ONE, &[answer]);
    assert!(said.contains("had already"), "{said}");
    assert_eq!(lines(&room, ONE).len(), 1);
}

#[test]
fn an_answer_of_another_ceremony_import_or_kms_key_is_refused_and_nothing_is_added() {
    let Some(room) = generated() else { return };
    let good = import_result(&room, ONE, Some(ID), 0);
    let other_arn = ARN.replace("1234abcd", "abcd1234");
    for (member, value) in [
        ("ceremony", "00112233445566778899aabbccddeeff"),
        ("label", "payments-2025"),
        ("import", "eu-west-2"),
        ("key_arn", other_arn.as_str()),
        ("KeyId", other_arn.as_str()),
    ] {
        let mut bad = good.clone();
        bad[member] = value.into();
        refused(
            &receipt(&room, ONE, &[good.clone(), bad]),
            4,
            &[value, "nothing was added"],
        );
    }
    let bare = json!({"KeyId": other_arn, "KeyMaterialId": ID});
    refused(&receipt(&room, ONE, &[bare]), 4, &[&other_arn]);
    let unknown = json!({"Keys": []});
    refused(
        &receipt(&room, ONE, &[unknown]),
        2,
        &["is not an answer that byok knows"],
    );
    assert!(!room.path(ONE).join("receipts.jsonl").exists());
    assert!(!room.path(ONE).join("receipts").exists());
}

#[test]
fn a_failed_import_is_recorded_and_proves_nothing() {
    let Some(room) = generated() else { return };
    let said = received(&room, ONE, &[import_result(&room, ONE, None, 254)]);
    assert!(said.contains("the import failed"), "{said}");
    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["kms"], "import failed");
    assert!(words(&report).contains(&"import failed"));
    reimported(&room, ONE, TWO);
    assert!(!script(&room, TWO).contains("--import-type EXISTING"));
}

#[test]
fn a_kms_key_that_holds_other_material_is_refused() {
    let Some(room) = generated() else { return };
    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    for bad in [
        described(Some(OTHER_ID), "Enabled"),
        json!({"KeyId": ARN, "KeyMaterialId": OTHER_ID}),
    ] {
        refused(
            &receipt(&room, ONE, &[bad]),
            4,
            &["KEY-MATERIAL-ID", OTHER_ID, ID, "nothing was added"],
        );
    }
    let mut generated_by_kms = described(Some(ID), "Enabled");
    generated_by_kms["KeyMetadata"]["Origin"] = "AWS_KMS".into();
    refused(&receipt(&room, ONE, &[generated_by_kms]), 4, &["AWS_KMS"]);
    received(&room, ONE, &[described(None, "PendingImport")]);
    assert_eq!(lines(&room, ONE).len(), 2);
}

#[test]
fn an_old_aws_cli_tells_no_id_and_describe_key_after_it_does() {
    let Some(room) = generated() else { return };
    received(&room, ONE, &[described(Some(OTHER_ID), "Enabled")]); // before any import is known
    received(&room, ONE, &[import_result(&room, ONE, None, 0)]);
    let import = verified(&room, &[ONE])["imports"][0].clone();
    assert_eq!(
        (&import["kms"], &import["key_material_id"]),
        (&json!("accepted by KMS"), &Value::Null)
    );
    received(&room, ONE, &[described(Some(ID), "Enabled")]);
    assert_eq!(verified(&room, &[ONE])["imports"][0]["key_material_id"], ID);
}

#[test]
fn materials_that_no_record_explains_are_listed() {
    let Some(room) = generated() else { return };
    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    let id = ARN.rsplit('/').next().unwrap();
    let rotations = json!({"Truncated": false, "Rotations": [
        {"KeyId": id, "KeyMaterialId": ID, "KeyMaterialState": "CURRENT"},
        {"KeyId": id, "KeyMaterialId": ID, "KeyMaterialState": "NON_CURRENT"},
        {"KeyId": id, "KeyMaterialId": OTHER_ID, "KeyMaterialState": "NON_CURRENT"},
        {"KeyId": id, "KeyMaterialId": OTHER_ID, "KeyMaterialState": "NON_CURRENT"},
    ]});
    let said = received(&room, ONE, &[rotations]);
    assert!(
        said.contains(&format!("UNEXPLAINED key material {OTHER_ID}")),
        "{said}"
    );
    assert!(
        !said.contains(&format!("UNEXPLAINED key material {ID}")),
        "{said}"
    );
    let report = verified(&room, &[ONE]);
    assert_eq!(report["unexplained"].as_array().unwrap().len(), 1);
    assert_eq!(report["unexplained"][0]["key_material_id"], OTHER_ID);
    // one that is listed twice is one
    let materials = report["materials"][0]["materials"].as_array().unwrap();
    let ids: Vec<&Value> = materials
        .iter()
        .map(|one| &one["key_material_id"])
        .collect();
    assert_eq!(ids, [ID, OTHER_ID]);
    assert_eq!(materials[0]["state"], "CURRENT");
    // A record that builds on this one explains what this one knows.
    reimported(&room, ONE, TWO);
    let listed = json!({"Rotations": [{"KeyId": ARN, "KeyMaterialId": ID}]});
    received(&room, TWO, &[listed]);
    assert_eq!(verified(&room, &[TWO])["unexplained"], json!([]));
}

#[test]
fn answers_about_other_specs_are_known_and_prove_nothing() {
    let Some(room) = generated() else { return };
    let mac = json!({"KeyId": ARN, "Mac": "AAAA", "MacAlgorithm": "HMAC_SHA_256"});
    let public = json!({"KeyId": ARN, "PublicKey": "AAAA", "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"});
    let said = received(&room, ONE, &[mac, public]);
    assert_eq!(said.matches("it proves nothing").count(), 2, "{said}");
    assert_eq!(verified(&room, &[ONE])["imports"][0]["kms"], "no receipt");
}

fn trail_event(name: &str, at: &str, id: &str) -> Value {
    json!({
        "eventVersion": "1.11", "eventTime": at, "eventSource": "kms.amazonaws.com", "eventName": name,
        "requestParameters": {"keyId": ARN, "importType": "NEW_KEY_MATERIAL"},
        "responseElements": {"keyId": ARN, "keyMaterialId": id},
        "resources": [{"accountId": "111122223333", "type": "AWS::KMS::Key", "ARN": ARN}],
    })
}

#[test]
fn cloudtrail_tells_of_imports_while_the_token_was_valid_and_of_deletions() {
    let Some(room) = generated() else { return };
    let stray =
        json!({"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": at(1)});
    let late = trail_event("ImportKeyMaterial", "2031-01-01T00:00:00Z", OTHER_ID);
    let nothing = received(&room, ONE, &[json!({"Records": [stray, late]})]);
    assert!(nothing.contains("it proves nothing"), "{nothing}");
    let import = trail_event("ImportKeyMaterial", &at(60), ID);
    let looked_up = json!({"Events": [{"EventName": "ImportKeyMaterial", "CloudTrailEvent": import.to_string()}]});
    let said = received(&room, ONE, &[looked_up]);
    assert!(said.contains("accepted by KMS"), "{said}");
    received(
        &room,
        ONE,
        &[trail_event("DeleteImportedKeyMaterial", &at(120), ID)],
    );
    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["key_material_id"], ID);
    assert_eq!(words(&report), ["generated", "imported", "deleted in KMS"]);
    let mut other = trail_event("ImportKeyMaterial", &at(60), ID);
    other["resources"][0]["ARN"] = ARN.replace("1234abcd", "abcd1234").into();
    refused(
        &receipt(&room, ONE, &[other]),
        4,
        &["no event in it is about"],
    );
}

#[test]
fn events_of_cloudtrail_are_taken_in_every_form_that_people_have_them_in() {
    let Some(room) = generated() else { return };
    let event = |second: u64| trail_event("ImportKeyMaterial", &at(second), ID);
    let looked_up = |second: u64| json!({"CloudTrailEvent": event(second).to_string()});
    let delivered = |second: u64| {
        json!({"version": "0", "source": "aws.kms", "detail-type": "AWS API Call via CloudTrail",
            "detail": event(second)})
    };
    let stray =
        json!({"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": at(1)});
    let lines = |values: &[Value]| {
        values
            .iter()
            .map(|value| format!("{value}\n"))
            .collect::<String>()
    };
    for (text, events) in [
        (delivered(60).to_string(), 1),
        (json!([event(61), event(62)]).to_string(), 2),
        (json!([looked_up(63), delivered(64)]).to_string(), 2),
        (lines(&[event(65), stray.clone(), event(66)]), 2),
        (
            lines(&[delivered(67), delivered(68)]).replace('\n', "\r\n"),
            2,
        ),
        (
            lines(&[
                json!({"Records": [event(69)]}),
                json!({"Events": [looked_up(70)]}),
            ]),
            2,
        ),
    ] {
        fs::write(room.path("answer.json"), &text).unwrap();
        let output = room
            .byok(&["receipt", ONE, "answer.json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{text}\n{}", stderr(&output));
        assert!(stdout(&output).contains("accepted by KMS"), "{text}");
        let line: Value = serde_json::from_str(lines_of(&room).last().unwrap()).unwrap();
        assert_eq!(line["events"].as_array().unwrap().len(), events, "{line}");
    }
    for (bytes, says) in [
        (&b"\x1f\x8b\x08\x00\x00"[..], "gunzip"),
        (b"[]", "holds no event of KMS"),
        (b"{\"a\": 1}\n{\"b\": \n", "is not JSON"),
        (b"{\"detail\": 7}", "holds no event of KMS"),
        (
            b"{\"detail\": {\"eventSource\": \"kms.amazonaws.com\"}}",
            "eventTime",
        ),
    ] {
        fs::write(room.path("answer.json"), bytes).unwrap();
        let output = room
            .byok(&["receipt", ONE, "answer.json"])
            .output()
            .unwrap();
        refused(&output, 2, &[says, "nothing was added"]);
    }
    let verified = room.byok(&["verify", ONE]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
}

fn lines_of(room: &Room) -> Vec<String> {
    lines(room, ONE)
}

#[test]
fn what_no_endpoint_of_aws_said_is_never_told_as_aws_s_word() {
    let Some(room) = generated() else { return };
    let result = |endpoint: Value, account: &str| {
        let mut result = import_result(&room, ONE, Some(ID), 0);
        for (member, value) in [
            ("endpoint", endpoint),
            ("profile", "ops".into()),
            ("account", account.into()),
        ] {
            result[member] = value;
        }
        result
    };
    let here = "http://127.0.0.1:4566";
    let account = "111122223333";
    refused(
        &receipt(&room, ONE, &[result(Value::Null, "444455556666")]),
        4,
        &[
            "was made with credentials of the account 444455556666",
            "KMS-KEY-MATCH",
        ],
    );
    let doubt = format!("accepted by KMS, says {here}, WHICH IS NOT AWS");
    let said = received(&room, ONE, &[result(here.into(), account)]);
    assert!(said.contains(&doubt), "{said}");
    assert!(
        said.contains(&format!(
            "the right material, says {here}, WHICH IS NOT AWS"
        )),
        "{said}"
    );
    let told = |room: &Room| {
        let output = room.byok(&["verify", ONE]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(told(&room).contains(&doubt), "{}", told(&room));
    let next = room.byok(&["verify", "--next", ONE]).output().unwrap();
    assert!(
        stdout(&next).contains("WHICH IS NOT AWS"),
        "{}",
        stdout(&next)
    );
    let report = room.byok(&["verify", "--json", ONE]).output().unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["imports"][0]["endpoint"], here);
    // An older script told it among its arguments.
    let mut older = import_result(&room, ONE, Some(ID), 0);
    older["arguments"] = format!("--profile ops --endpoint-url {here}").into();
    let said = received(&room, ONE, &[older]);
    assert!(said.contains(&doubt), "{said}");
    // AWS's own word counts, and then nothing is said.
    let own = "https://kms.eu-west-1.amazonaws.com";
    let said = received(&room, ONE, &[result(own.into(), account)]);
    assert!(!said.contains("WHICH IS NOT AWS"), "{said}");
    assert!(!told(&room).contains("WHICH IS NOT AWS"), "{}", told(&room));
}

#[test]
fn one_rule_of_endpoints_holds_for_answers_of_every_kind() {
    let here = "http://127.0.0.1:4566";
    let doubt = format!("says {here}, WHICH IS NOT AWS");
    let from = |endpoint: &str, mut answer: Value| {
        answer["endpoint"] = endpoint.into();
        answer
    };
    let event = |name: &str, second: u64| trail_event(name, &at(second), ID);
    let import = |second: u64| event("ImportKeyMaterial", second);
    let listed = |ids: &[&str]| -> Value {
        let entry = |id: &&str| json!({"KeyId": ARN, "KeyMaterialId": id});
        json!({"Rotations": ids.iter().map(entry).collect::<Vec<_>>()})
    };
    let mac = json!({"KeyId": ARN, "Mac": "AAAA", "MacAlgorithm": "HMAC_SHA_256"});
    let public = json!({"KeyId": ARN, "PublicKey": "AAAA", "KeySpec": "RSA_2048"});

    // CloudTrail, in whatever form; its own endpoint is another one than that of KMS.
    let Some(room) = generated() else { return };
    let kms = "https://kms.eu-west-1.amazonaws.com";
    for (second, answer) in [
        from(kms, import(1)),
        from(here, json!({"Records": [import(2)]})),
        json!([import(3), from(here, import(4))]),
    ]
    .into_iter()
    .enumerate()
    {
        let said = received(&room, ONE, &[answer]);
        assert!(said.contains("WHICH IS NOT AWS"), "{second}: {said}");
    }
    received(
        &room,
        ONE,
        &[from(here, event("DeleteImportedKeyMaterial", 120))],
    );
    let report = verified(&room, &[ONE]);
    assert_eq!(words(&report), ["generated", "imported", "deleted in KMS"]);
    assert_eq!(report["imports"][0]["endpoint"], kms);
    assert_eq!(report["life"][2]["detail"], format!("so {doubt}"));
    let own = "https://cloudtrail.eu-west-1.amazonaws.com";
    let said = received(&room, ONE, &[from(own, import(60))]);
    assert!(!said.contains("WHICH IS NOT AWS"), "{said}");
    assert_eq!(verified(&room, &[ONE])["imports"][0].get("endpoint"), None);

    // A line of a version that did not judge it stays valid, and its answer is judged.
    let Some(room) = generated() else { return };
    received(&room, ONE, &[from(here, import(1))]);
    let chain = room.path(ONE).join("receipts.jsonl");
    let line = fs::read_to_string(&chain).unwrap();
    let older = line.replace(&format!("\"endpoint\":\"{here}\","), "");
    assert_ne!(line, older);
    fs::write(&chain, older).unwrap();
    assert_eq!(verified(&room, &[ONE])["imports"][0]["endpoint"], here);

    // What describes, lists or computes.
    let Some(room) = generated() else { return };
    received(&room, ONE, &[import_result(&room, ONE, None, 0)]);
    let answers = [
        described(Some(OTHER_ID), "Enabled"),
        listed(&[OTHER_ID, ID]),
        mac,
        public,
    ];
    for answer in answers {
        let said = received(&room, ONE, &[from(here, answer.clone())]);
        assert!(said.contains(&doubt), "{answer}: {said}");
    }
    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["key_material_id"], Value::Null);
    assert_eq!(report["materials"][0]["endpoint"], here);
    let verify = room.byok(&["verify", ONE]).output().unwrap();
    let list = stdout(&verify);
    let list = list.split("materials of").nth(1).unwrap();
    assert!(list.contains(&doubt), "{list}");
    // AWS's own list counts, whatever was said before or after it.
    received(
        &room,
        ONE,
        &[listed(&[ID]), from(here, listed(&[OTHER_ID]))],
    );
    let materials = verified(&room, &[ONE])["materials"][0].clone();
    assert_eq!(materials.get("endpoint"), None);
    assert_eq!(materials["materials"][0]["key_material_id"], ID);
}

#[test]
fn an_answer_that_names_no_kms_key_is_no_import() {
    let Some(room) = generated() else { return };
    let mut result = import_result(&room, ONE, None, 0);
    result["cli"] = "aws-cli/2.99.0 Python/3.13.0".into();
    let said = received(&room, ONE, &[result.clone()]);
    assert!(
        said.contains("does not name the KMS key that took it"),
        "{said}"
    );
    assert!(
        said.contains("import failed") && !said.contains("accepted by KMS"),
        "{said}"
    );
    result["cli"] = "aws-cli/1.40.29 Python/3.13.0".into();
    let said = received(&room, ONE, &[result]);
    assert!(said.contains("accepted by KMS"), "{said}");
}

#[test]
fn a_change_to_receipts_breaks_the_record() {
    let Some(room) = generated() else { return };
    let answers = [
        import_result(&room, ONE, Some(ID), 0),
        described(Some(ID), "Enabled"),
    ];
    received(&room, ONE, &answers);
    let chain = room.path(ONE).join("receipts.jsonl");
    let answer = room.path(ONE).join("receipts/001.json");
    let (whole, first) = (
        fs::read_to_string(&chain).unwrap(),
        fs::read(&answer).unwrap(),
    );
    let broken = |says: &str| {
        refused(&verify(&room, &[ONE]), 4, &[says]);
        refused(
            &receipt(&room, ONE, &[described(None, "Enabled")]),
            4,
            &["nothing was added"],
        );
        fs::write(&chain, &whole).unwrap();
        fs::write(&answer, &first).unwrap();
    };
    fs::write(&answer, b"{}").unwrap();
    broken("receipts/001.json: its bytes are not those that were added");
    fs::remove_file(&answer).unwrap();
    broken("receipts/001.json is missing");
    fs::write(
        &chain,
        whole.replace("\"accepted by KMS\"", "\"proved in KMS\""),
    )
    .unwrap();
    broken("line 1: proves is not what receipts/001.json says");
    fs::write(&chain, whole.replacen("\"seq\":1,", "\"seq\":1, ", 1)).unwrap();
    broken("line 1: it is not compact JSON");
    fs::write(&chain, whole.lines().nth(1).unwrap().to_owned() + "\n").unwrap();
    broken("line 1: seq is not 1");
    let mut lines: Vec<&str> = whole.lines().collect();
    let changed = lines[0].replacen(&head(&room, ONE), &"0".repeat(64), 1);
    lines[0] = &changed;
    fs::write(&chain, lines.join("\n") + "\n").unwrap();
    broken("line 1: prev is not the head of the transcript");
    fs::write(&chain, whole.lines().next().unwrap().to_owned() + "\n").unwrap();
    refused(
        &verify(&room, &[ONE]),
        4,
        &["receipts/002.json: no line of receipts.jsonl names this file"],
    );
    fs::remove_file(&chain).unwrap();
    refused(&verify(&room, &[ONE]), 4, &["receipts/001.json: no line"]);
    fs::write(&chain, &whole).unwrap();
    assert!(verify(&room, &[ONE]).status.success());
}

#[test]
fn a_torn_line_is_refused_with_what_to_do_and_that_mends_it() {
    let Some(room) = generated() else { return };
    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    let chain = room.path(ONE).join("receipts.jsonl");
    let whole = fs::read(&chain).unwrap();
    received(&room, ONE, &[described(Some(ID), "Enabled")]);
    let both = fs::read(&chain).unwrap();
    fs::write(&chain, &both[..both.len() - 9]).unwrap();
    let command = format!("truncate -s {} {ONE}/receipts.jsonl", whole.len());
    refused(
        &verify(&room, &[ONE]),
        4,
        &["line 2: it is incomplete", &command],
    );
    let again = [described(Some(ID), "Enabled")];
    refused(
        &receipt(&room, ONE, &again),
        4,
        &["line 2: it is incomplete", &command, "nothing was added"],
    );
    let mend = Command::new("sh")
        .args(["-c", &command])
        .current_dir(room.dir.path())
        .status();
    assert!(mend.unwrap().success());
    // The answer lies there without its line: another one cannot take its place.
    refused(
        &receipt(&room, ONE, &[described(None, "PendingImport")]),
        4,
        &[
            "receipts/002.json: no line",
            "byok receipt records/one records/one/receipts/002.json",
        ],
    );
    received(&room, ONE, &again);
    assert!(verify(&room, &[ONE]).status.success());
    assert_eq!(lines(&room, ONE).len(), 2);
}

#[test]
fn two_receipts_at_once_are_one_too_many() {
    let Some(room) = generated() else { return };
    let turn = fs::File::open(room.path(ONE)).unwrap();
    turn.lock().unwrap();
    let answer = [import_result(&room, ONE, Some(ID), 0)];
    refused(&receipt(&room, ONE, &answer), 5, &["another byok receipt"]);
    drop(turn);
    received(&room, ONE, &answer);
}

#[test]
fn a_reimport_after_a_receipt_names_the_material_and_its_receipt_proves_it() {
    let Some(mut room) = generated() else { return };
    room.plan.expires = at(100 * 86_400);
    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    reimported(&room, ONE, TWO);
    assert!(!script(&room, ONE).contains("--import-type EXISTING"));
    let terms = format!("--import-type EXISTING_KEY_MATERIAL --key-material-id '{ID}'");
    assert!(script(&room, TWO).contains(&terms));
    let opened = room.transcript(TWO).lines[0].clone();
    let receipts = fs::read(room.path(ONE).join("receipts.jsonl")).unwrap();
    assert_eq!(opened["previous_head"], head(&room, ONE).as_str());
    assert_eq!(opened["previous_receipts_head"], sha256(&receipts).as_str());
    let report = verified(&room, &[TWO]);
    let so_far = [
        "generated",
        "imported",
        "found in the HSM",
        "to be reimported",
    ];
    assert_eq!(words(&report)[..4], so_far);

    refused(
        &receipt(&room, TWO, &[import_result(&room, TWO, Some(OTHER_ID), 0)]),
        4,
        &["KEY-MATERIAL-ID"],
    );
    let said = received(&room, TWO, &[import_result(&room, TWO, Some(ID), 0)]);
    assert!(said.contains("proved in KMS"), "{said}");
    let report = verified(&room, &[TWO]);
    assert_eq!(report["imports"][0]["kms"], "proved in KMS");
    for what in ["generated", "imported", "reimported", "expires"] {
        assert!(words(&report).contains(&what), "{what} in {report:#}");
    }
    let imported = report["life"].as_array().unwrap();
    let imported = imported
        .iter()
        .find(|row| row["what"] == "imported")
        .unwrap();
    assert_eq!(
        imported["kms"], "proved in KMS",
        "the second import proves the first"
    );
    assert_eq!(
        verified(&room, &[ONE])["imports"][0]["kms"],
        "accepted by KMS"
    );
    let said = stdout(&verify(&room, &[TWO]));
    assert!(
        said.contains("life of the data key payments-2026"),
        "{said}"
    );

    // A third record finds the material's id in the second, and further back.
    reimported(&room, TWO, "records/three");
    assert!(script(&room, "records/three").contains(&terms));
    reimported(&room, "records/three", "records/four");
    assert!(
        script(&room, "records/four").contains(&terms),
        "found along the chain"
    );
    let report = verified(&room, &["records/four"]);
    assert_eq!(report["previous"].as_array().unwrap().len(), 3);
    assert_eq!(report["following"]["end"], "first");
}

#[test]
fn removed_receipts_break_every_later_record_and_added_ones_do_not() {
    let Some(room) = generated() else { return };
    let answers = [
        import_result(&room, ONE, Some(ID), 0),
        described(Some(ID), "Enabled"),
    ];
    received(&room, ONE, &answers);
    reimported(&room, ONE, TWO);
    received(&room, ONE, &[described(None, "PendingImport")]);
    let report = verified(&room, &[TWO]);
    let counts = (
        &report["previous"][0]["receipts"],
        &report["previous"][0]["receipts_vouched"],
    );
    assert_eq!(counts, (&json!(3), &json!(2)));

    let chain = room.path(ONE).join("receipts.jsonl");
    let first = lines(&room, ONE)[0].clone() + "\n";
    fs::write(&chain, first).unwrap();
    for number in ["002", "003"] {
        fs::remove_file(room.path(ONE).join(format!("receipts/{number}.json"))).unwrap();
    }
    assert!(
        verify(&room, &[ONE]).status.success(),
        "by itself nothing tells"
    );
    refused(
        &verify(&room, &[TWO]),
        4,
        &["records/one", "are gone or changed"],
    );
    fs::remove_dir_all(room.path(ONE).join("receipts")).unwrap();
    fs::remove_file(&chain).unwrap();
    refused(&verify(&room, &[TWO]), 4, &["are gone or changed"]);
}

#[test]
fn a_previous_record_that_is_not_here_is_not_followed_and_a_broken_one_is_broken() {
    let Some(room) = generated() else { return };
    reimported(&room, ONE, TWO);
    let elsewhere = room.path("archive/2025");
    fs::create_dir(room.path("archive")).unwrap();
    fs::rename(room.path(ONE), &elsewhere).unwrap();
    let report = verified(&room, &[TWO]);
    assert_eq!(report["following"]["end"], "not-followed");
    let there = stdout(&verify(&room, &[TWO]));
    assert!(there.contains("not followed"), "{there}");
    for given in ["archive/2025", "archive"] {
        let report = verified(&room, &[TWO, "--previous", given]);
        assert_eq!(report["previous"].as_array().unwrap().len(), 1, "{given}");
        assert!(words(&report).contains(&"generated"));
    }
    refused(
        &verify(&room, &[TWO, "--previous", "nowhere"]),
        2,
        &["nowhere"],
    );

    let readme = elsewhere.join("README.txt");
    let text = fs::read(&readme).unwrap();
    fs::write(&readme, "changed").unwrap();
    refused(
        &verify(&room, &[TWO, "--previous", "archive/2025"]),
        4,
        &["archive/2025: README.txt"],
    );
    fs::write(&readme, text).unwrap();
    // A changed transcript has another head; given by name it is broken, not merely absent.
    let transcript = elsewhere.join("transcript.jsonl");
    let sealed = fs::read_to_string(&transcript).unwrap();
    fs::write(&transcript, sealed.replacen("Payments", "Poyments", 1)).unwrap();
    refused(
        &verify(&room, &[TWO, "--previous", "archive/2025"]),
        4,
        &["transcript.jsonl: line 1"],
    );
    fs::rename(&elsewhere, room.path(ONE)).unwrap();
    refused(&verify(&room, &[TWO]), 4, &["records/one"]);
    let json = verify(&room, &[TWO, "--json"]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["verdict"], "broken");
}

#[test]
fn another_record_in_the_place_of_the_previous_one_is_found_out() {
    let Some(mut room) = generated() else { return };
    reimported(&room, ONE, TWO);
    fs::remove_dir_all(room.path(ONE)).unwrap();
    room.plan.label = "payments-2027".into();
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    refused(&verify(&room, &[TWO]), 4, &["not the one given"]);
}

#[test]
fn an_expiry_that_is_past_is_told_as_expired() {
    let later = |room: &Room, days: u32, record: &str| {
        let mut command = Command::new("faketime");
        command.args(["-f", &format!("+{days}d"), support::program()]);
        command.args(["verify", "--json", record]);
        let output = command.current_dir(room.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let Ok(_) = Command::new("faketime")
        .args(["-f", "+2d", "true"])
        .output()
    else {
        return support::skip("faketime is not here");
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.expires = at(100 * 86_400);
    room.run_well();
    let rows = |report: &Value, what: &str| {
        let rows = report["life"].as_array().unwrap();
        let rows = rows.iter().filter(|row| row["what"] == what);
        rows.map(|row| row["detail"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&verified(&room, &[ONE]), "expires"), [""]);
    assert_eq!(rows(&later(&room, 99, ONE), "expires"), [""]);
    let report = later(&room, 101, ONE);
    assert_eq!(
        rows(&report, "expired"),
        ["by the plan, if it was imported: no receipt says so"]
    );
    assert_eq!(rows(&report, "expires"), [""; 0]);

    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    assert_eq!(rows(&later(&room, 99, ONE), "expires"), [""]);
    let expired = ["by the plan: KMS deletes the material then"];
    assert_eq!(rows(&later(&room, 101, ONE), "expired"), expired);

    // A reimport before that day put another one in its place.
    room.plan.expires = at(300 * 86_400);
    reimported(&room, ONE, TWO);
    let mut again = import_result(&room, TWO, Some(ID), 0);
    again["at"] = at(1).into();
    received(&room, TWO, &[again]);
    let report = later(&room, 101, TWO);
    assert_eq!(rows(&report, "expired"), [""; 0]);
    assert_eq!(rows(&report, "expires"), ["replaced by a later import", ""]);
    assert_eq!(rows(&later(&room, 301, TWO), "expired"), expired);
}

#[test]
fn rehearsals_and_real_ceremonies_never_build_on_each_other() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let output = room
        .byok(&["rehearse", "--directory", "practice"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let mut find = Command::new("find");
    find.args(["practice", "-name", "transcript.jsonl"]);
    let found = find.current_dir(room.dir.path()).output().unwrap();
    let transcript = PathBuf::from(stdout(&found).lines().next().unwrap());
    let record = transcript.parent().unwrap().to_str().unwrap().to_owned();
    refused(
        &reimport(&room, &record, TWO, ""),
        4,
        &["is from a rehearsal"],
    );
    // The KMS key of a rehearsal may have the name of a real one.
    let real = described(Some(ID), "Enabled");
    let says = ["from a rehearsal", "nothing was added"];
    refused(&receipt(&room, &record, &[real]), 4, &says);
}

/// A second import of the same material, as a plan asks for it.
fn witness(room: &Room, arn: &str, parameters: &str) -> String {
    format!(
        "[[key.import]]\nname = \"second-person\"\nkey_arn = \"{arn}\"\nparameters = \"{parameters}\"\n\
         wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwitness_of = \"eu-west-1\"\n\
         wrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    )
}

#[test]
fn a_witness_import_comes_second_carries_existing_and_proves_the_first() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::copy(
        room.path("inputs/eu-west-1.json"),
        room.path("inputs/second.json"),
    )
    .unwrap();
    room.plan.import_more = witness(&room, ARN, "inputs/second.json");
    room.run_well();
    assert!(!script(&room, ONE).contains("--import-type EXISTING"));
    let second = room.path(ONE).join(LABEL).join("second-person/import.sh");
    let second = fs::read_to_string(second).unwrap();
    assert!(
        second.contains("--import-type EXISTING_KEY_MATERIAL --output"),
        "{second}"
    );
    let all = fs::read_to_string(room.path(ONE).join("import.sh")).unwrap();
    let at = |name: &str| all.find(&format!("run_one '{LABEL}' '{name}'")).unwrap();
    assert!(at("eu-west-1") < at("second-person"));

    let mut result = import_result(&room, ONE, Some(ID), 0);
    result["import"] = "second-person".into();
    let said = received(&room, ONE, &[result]);
    assert!(
        !said.contains("proved in KMS"),
        "the first import is not known yet: {said}"
    );
    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["kms"], "proved in KMS");
    assert_eq!(report["imports"][1]["kms"], "proved in KMS");
    refused(
        &receipt(&room, ONE, &[json!({"KeyId": ARN, "KeyMaterialId": ID})]),
        2,
        &["does not say to which of the 2 imports"],
    );
}

#[test]
fn a_replica_is_a_witness_and_may_call_the_material_by_another_id() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let replicated = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    let replica = replicated.replace("eu-west-1", "us-east-1");
    room.plan.key_arn = replicated.into();
    room.write_parameters();
    let parameters = room.kms.parameters(&replica, now() + 86_000);
    fs::write(room.path("inputs/second.json"), parameters).unwrap();
    // The order of the plan does not matter: the witness stands first in it.
    let text = room.plan.text();
    let own = &text[text.find("[[key.import]]").unwrap()..text.find("[record]").unwrap()];
    let second = witness(&room, &replica, "inputs/second.json");
    let text = text.replace(own, &(second + own));
    fs::write(room.path("plan.toml"), &text).unwrap();
    let output = room
        .byok(&["run", "plan.toml", "--approve", &sha256(text.as_bytes())])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let all = fs::read_to_string(room.path(ONE).join("import.sh")).unwrap();
    let at = |name: &str| all.find(&format!("run_one '{LABEL}' '{name}'")).unwrap();
    assert!(at("eu-west-1") < at("second-person"));

    received(&room, ONE, &[import_result(&room, ONE, Some(ID), 0)]);
    let mut result = import_result(&room, ONE, Some(OTHER_ID), 0);
    for (member, value) in [
        ("import", "second-person"),
        ("key_arn", &replica),
        ("KeyId", &replica),
    ] {
        result[member] = value.into();
    }
    let said = received(&room, ONE, &[result]);
    assert!(said.contains("proved in KMS"), "{said}");
    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["kms"], "proved in KMS");
    assert_eq!(report["imports"][1]["kms"], "proved in KMS");
}

#[test]
fn the_life_of_a_data_key_tells_new_shares() {
    let Some(room) = generated() else { return };
    let escrow = "[escrow]\nthreshold = 2\ncustodians = [\"Audit\", \"Legal\", \"Treasury\"]\n\
                  deliver = \"files:shares\"\n";
    let output = reimport(&room, ONE, TWO, escrow);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = verified(&room, &[TWO]);
    let rows = report["life"].as_array().unwrap();
    let dealt = rows.iter().find(|row| row["what"] == "shares dealt anew");
    assert_eq!(dealt.unwrap()["detail"], "any 2 of 3 bring it back");
}

#[test]
fn receipts_hold_by_stock_tools_as_the_documentation_says() {
    let Some(room) = generated() else { return };
    if Command::new("jq").arg("--version").output().is_err() {
        return support::skip("jq is not installed");
    }
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/receipts.md");
    let document = fs::read_to_string(document).unwrap();
    let script = document.split("```sh\n").nth(1).unwrap();
    let script = script.split("```").next().unwrap();
    let check = || {
        let mut bash = Command::new("bash");
        let output = bash
            .args(["-c", script])
            .current_dir(room.path(ONE))
            .output();
        let output = output.unwrap();
        stdout(&output) + &stderr(&output)
    };
    let answers = [
        import_result(&room, ONE, Some(ID), 0),
        described(Some(ID), "Enabled"),
    ];
    received(&room, ONE, &answers);
    assert_eq!(check(), "receipts/001.json: OK\nreceipts/002.json: OK\n");
    let chain = room.path(ONE).join("receipts.jsonl");
    let whole = fs::read_to_string(&chain).unwrap();
    fs::write(
        &chain,
        whole.replacen("accepted by KMS", "proved in KMS", 1),
    )
    .unwrap();
    assert!(check().contains("line 2: prev"), "{}", check());
    fs::write(&chain, whole.lines().next().unwrap().to_owned() + "\n").unwrap();
    assert!(check().contains("receipts/002.json"), "{}", check());
}

#[test]
fn a_witness_that_could_prove_nothing_is_refused_in_the_plan() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let other = ARN.replace("1234abcd", "abcd1234");
    let good = witness(&room, ARN, "inputs/second.json");
    for (import, says) in [
        (
            witness(&room, &other, "inputs/second.json"),
            "is into another KMS key",
        ),
        (
            witness(&room, ARN, "inputs/eu-west-1.json"),
            "has the same import parameters",
        ),
        (
            good.replace("witness_of = \"eu-west-1\"", "witness_of = \"west\""),
            "does not name another import",
        ),
        (
            good.replace("= \"eu-west-1\"", "= \"second-person\""),
            "does not name another import",
        ),
        (
            good.replace("witness_of = \"eu-west-1\"\n", ""),
            "is in the plan twice",
        ),
    ] {
        room.plan.import_more = import;
        refused(&room.run(), 2, &[says]);
    }
}

/// The life of a data key against a KMS that really unwraps.
#[test]
fn a_real_kms_gets_the_same_material_back_and_decrypts_what_it_encrypted() {
    let Some(kms) = LoopbackKms::start() else {
        return;
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    room.plan.key_arn = arn.clone();
    let ask = |args: &[&str]| kms.aws_text(&[&["kms"], args].concat());
    let parameters = |room: &mut Room| {
        let answer = ask(&[
            "get-parameters-for-import",
            "--key-id",
            &arn,
            "--wrapping-algorithm",
            "RSAES_OAEP_SHA_1",
            "--wrapping-key-spec",
            "RSA_2048",
        ]);
        let json: Value = serde_json::from_str(&answer).unwrap();
        let spki = openssl(
            &["base64", "-d", "-A"],
            json["PublicKey"].as_str().unwrap().as_bytes(),
        );
        room.plan.wrapping_key_sha256 = Some(sha256(&spki));
        fs::write(room.path("inputs/eu-west-1.json"), answer).unwrap();
    };
    let import = |room: &Room, record: &str| {
        let folder = room.path(record).join(LABEL).join("eu-west-1");
        let output = Command::new("bash")
            .arg(folder.join("import.sh"))
            .args(["--yes", "--endpoint-url", &kms.endpoint()])
            .env_clear()
            .envs(kms.env())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stdout(&output));
        let result = format!("{record}/{LABEL}/eu-west-1/import-result.json");
        let described = ask(&["describe-key", "--key-id", &arn, "--output", "json"]);
        fs::write(room.path("describe-key.json"), described).unwrap();
        room.byok(&["receipt", record, &result, "describe-key.json"])
            .output()
            .unwrap()
    };
    let state = || {
        kms.aws_text(&[
            "kms",
            "describe-key",
            "--key-id",
            &arn,
            "--query",
            "KeyMetadata.KeyState",
        ])
    };

    parameters(&mut room);
    room.run_well();
    let output = import(&room, ONE);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = verified(&room, &[ONE]);
    assert_eq!(report["imports"][0]["kms"], "accepted by KMS");
    let id = report["imports"][0]["key_material_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(Some(&id), kms.key_material_id(&arn).as_ref());
    let plaintext = b"thirty-one bytes of old secrets";
    fs::write(room.path("plaintext"), plaintext).unwrap();
    let blob = |name: &str| format!("fileb://{}", room.path(name).display());
    let encrypted: Value = serde_json::from_str(&ask(&[
        "encrypt",
        "--key-id",
        &arn,
        "--plaintext",
        &blob("plaintext"),
        "--output",
        "json",
    ]))
    .unwrap();
    let ciphertext = encrypted["CiphertextBlob"].as_str().unwrap();
    let ciphertext = openssl(&["base64", "-d", "-A"], ciphertext.as_bytes());
    fs::write(room.path("ciphertext"), ciphertext).unwrap();
    let ciphertext = blob("ciphertext");

    ask(&["delete-imported-key-material", "--key-id", &arn]);
    assert!(state().contains("PendingImport"));
    parameters(&mut room);
    reimported(&room, ONE, TWO);
    let terms = format!("--import-type EXISTING_KEY_MATERIAL --key-material-id '{id}'");
    assert!(script(&room, TWO).contains(&terms));
    let output = import(&room, TWO);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(state().contains("Enabled"));
    let opened: Value = serde_json::from_str(&ask(&[
        "decrypt",
        "--key-id",
        &arn,
        "--ciphertext-blob",
        &ciphertext,
        "--output",
        "json",
    ]))
    .unwrap();
    assert_eq!(opened["Plaintext"], base64(plaintext).as_str());

    let report = verified(&room, &[TWO, "--head", &head(&room, TWO)]);
    assert_eq!(report["verdict"], "authentic");
    assert_eq!(report["previous"][0]["authenticated"], true);
    assert_eq!(report["imports"][0]["kms"], "proved in KMS");
    assert_eq!(
        words(&report),
        ["generated", "imported", "found in the HSM", "reimported"]
    );
    assert_ne!(
        id,
        key_material_id_of(&[0; 32], &arn),
        "the id tells the material"
    );
}

/// `byok receipt` under strace with this injection.
fn receipt_with(room: &Room, inject: &str) -> Output {
    let mut way = std::process::Command::new("strace");
    way.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    way.arg(format!("trace={}", inject.split(':').next().unwrap()));
    way.args(["-e", &format!("inject={inject}")]);
    way.args([support::program(), "receipt", "records/one"]);
    way.arg("answer-0.json").current_dir(room.dir.path());
    way.output().unwrap()
}

#[test]
fn a_receipt_that_a_full_disk_refuses_leaves_the_record_whole() {
    let Some(room) = generated() else { return };
    if !support::strace::is_here(&room) {
        return;
    }
    let answer = import_result(&room, "records/one", Some(&"a".repeat(64)), 0);
    let text = serde_json::to_string(&answer).unwrap();
    fs::write(room.path("answer-0.json"), text).unwrap();
    // the folder, the answer, its line; then each of the two again where only its sync fails
    for full in [
        "mkdir:error=ENOSPC:when=1",
        "write:error=ENOSPC:when=1",
        "write:error=ENOSPC:when=2",
        "fsync:error=EIO:when=2",
        "fsync:error=EIO:when=4",
    ] {
        let output = receipt_with(&room, full);
        assert_eq!(output.status.code(), Some(5), "{full}: {}", stderr(&output));
        let verified = verify(&room, &["records/one"]);
        assert!(verified.status.success(), "{full}: {}", stderr(&verified));
        let said = stdout(&verified);
        assert!(!said.contains("accepted by KMS"), "{full}: {said}");
    }
    received(&room, "records/one", &[answer]);
    assert_eq!(lines(&room, "records/one").len(), 1);
}

/// An answer without a time gives the time of its filing, which is told; KMS's own time is better.
#[test]
fn whose_time_an_import_is_told_at() {
    let Some(room) = generated() else { return };
    let life = || {
        let report = verified(&room, &[ONE]);
        let rows = report["life"].as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["what"] == "imported");
        row.unwrap()
    };
    let bare = json!({"KeyId": ARN, "KeyMaterialId": ID});
    received(&room, ONE, &[bare]);
    let told = life();
    assert_eq!(told["at_by"], "receipt added", "{told}");
    assert!(stdout(&verify(&room, &[ONE])).contains("receipt added then: its answer does not say"));

    let import = trail_event("ImportKeyMaterial", &at(40), ID);
    received(&room, ONE, std::slice::from_ref(&import));
    let told = life();
    assert_eq!(told["at_by"], "KMS", "{told}");
    assert_eq!(told["at"], import["eventTime"], "{told}");
    assert!(!stdout(&verify(&room, &[ONE])).contains("receipt added then"));
}
