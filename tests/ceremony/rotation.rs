//! Several materials in one KMS key: a ceremony adds one, a reimport brings the right one back, and
//! people learn which of them must be imported.

use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::process::{Command, Output};

use kms_on_loopback::{LoopbackKms, key_material_id_of};
use serde_json::{Value, json};
use support::escrow::builds_on;
use support::pty::approval;
use support::verifiers::Records;
use support::{
    ARN, Kind, LABEL, PIN, Room, due, in_a_year, now, openssl, refused, sha256, stdout, verifiers,
    well,
};

const OLD: &str = "6c2d1a4f5e0b3c7d8e9f00112233445566778899aabbccddeeff001122334455";
const NEW: &str = "7777777777777777777777777777777777777777777777777777777777777777";
const STRANGE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const NEXT: &str = "payments-2027";
const ONE: &str = "records/one";
const TWO: &str = "records/two";
const THREE: &str = "records/three";
const ADDED: &str =
    "import_type = \"NEW_KEY_MATERIAL\"\ndescription = \"payments-2027, second material\"\n";

/// A record of a first material, and the plan of the ceremony that adds another to the same KMS key.
fn first_made() -> Option<Room> {
    Some(first_made_in(Room::new(Kind::SoftHsm)?))
}

fn first_made_in(mut room: Room) -> Room {
    room.run_well();
    room.plan.label = NEXT.into();
    room.plan.directory = TWO.into();
    room.plan.import_more = ADDED.replace(',', "");
    room
}

/// With the second material made as well.
fn both_made() -> Option<Room> {
    Some(both_made_in(Room::new(Kind::SoftHsm)?))
}

fn both_made_in(room: Room) -> Room {
    let room = first_made_in(room);
    well(&room.run());
    room
}

fn label_of(record: &str) -> &'static str {
    if record == ONE { LABEL } else { NEXT }
}

fn script(room: &Room, record: &str) -> String {
    let path = room.path(record).join(label_of(record));
    fs::read_to_string(path.join("eu-west-1/import.sh")).unwrap()
}

fn at(seconds: u64) -> String {
    jiff::Timestamp::from_second((now() + seconds) as i64)
        .unwrap()
        .to_string()
}

fn import_result(room: &Room, record: &str, id: &str) -> Value {
    let ceremony = room.transcript(record).lines[0]["ceremony"].clone();
    json!({
        "format": "byok-import-result-v1", "ceremony": ceremony, "label": label_of(record),
        "import": "eu-west-1", "key_arn": ARN, "KeyId": ARN, "KeyMaterialId": id,
        "exit": 0, "error": null, "at": at(0), "cli": "aws-cli/1.46",
    })
}

fn described(id: &str, state: &str) -> Value {
    json!({"KeyMetadata": {
        "KeyId": ARN.rsplit('/').next(), "Arn": ARN, "KeyState": state, "Origin": "EXTERNAL",
        "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "CurrentKeyMaterialId": id,
    }})
}

/// ListKeyRotations with ALL_KEY_MATERIAL, as KMS answers: id, state, import state.
fn rotations(materials: &[(&str, &str, &str)]) -> Value {
    let entry = |(id, state, import): &(&str, &str, &str)| {
        json!({
            "KeyId": ARN.rsplit('/').next(), "KeyMaterialId": id, "KeyMaterialState": state,
            "ImportState": import, "ExpirationModel": "KEY_MATERIAL_EXPIRES",
            "ValidTo": 1_826_668_800.5, "KeyMaterialDescription": "some words",
        })
    };
    let entries: Vec<Value> = materials.iter().map(entry).collect();
    json!({"Rotations": entries, "Truncated": false})
}

fn receipt(room: &Room, record: &str, answer: &Value) -> Output {
    fs::write(room.path("answer.json"), answer.to_string()).unwrap();
    let args = ["receipt", record, "answer.json", "--previous", "records"];
    room.byok(&args).output().unwrap()
}

#[track_caller]
fn received(room: &Room, record: &str, answer: &Value) -> String {
    let output = receipt(room, record, answer);
    well(&output);
    stdout(&output)
}

/// Both verifiers; what byok says as JSON.
#[track_caller]
fn verified(room: &Room, args: &[&str]) -> Value {
    let output = verifiers::both(room.dir.path(), &[&["--json"], args].concat());
    well(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_plan_adds_material_to_a_kms_key_and_everybody_reads_what_comes_next() {
    let Some(room) = first_made() else { return };
    let screen = approval(&room);
    for told in [
        "import as NEW_KEY_MATERIAL, added to what the KMS key holds; rotated online",
        "described payments-2027 second material",
    ] {
        assert!(screen.contains(told), "{screen}");
    }
    let printed = room.byok(&["script", "plan.toml"]).output().unwrap();
    let rotate = format!("bash online.sh rotate --key {ARN} --now");
    for told in [
        "NEW_KEY_MATERIAL, added to what the KMS key holds; rotated online",
        rotate.as_str(),
    ] {
        assert!(
            stdout(&printed).contains(told),
            "{told}: {}",
            stdout(&printed)
        );
    }
    well(&room.run());

    let transcript = room.transcript(TWO);
    let told = transcript.event("import-type");
    assert_eq!(
        [
            &told["import_type"],
            &told["rotates"],
            &told["description"],
            &told["key_material_id"]
        ],
        [
            &json!("NEW_KEY_MATERIAL"),
            &json!(ARN),
            &json!("payments-2027 second material"),
            &Value::Null
        ]
    );
    let sent = script(&room, TWO);
    assert!(sent.contains(
        "--import-type NEW_KEY_MATERIAL --key-material-description 'payments-2027 second material'"
    ));
    assert!(
        !sent.contains("--key-material-id "),
        "KMS refuses both together"
    );
    let readme = fs::read_to_string(room.path(TWO).join("README.txt")).unwrap();
    assert!(
        readme.contains(&rotate) && readme.contains("PENDING_ROTATION"),
        "{readme}"
    );
    let report = fs::read_to_string(room.path(TWO).join("transcript.html")).unwrap();
    assert!(
        report.contains(&format!("then rotated, online: {ARN}")),
        "{report}"
    );
    let next = room.byok(&["verify", "--next", TWO]).output().unwrap();
    assert!(
        stdout(&next).contains("4 then they rotate:   bash online.sh rotate"),
        "{}",
        stdout(&next)
    );
    // The first record says nothing of it.
    assert!(room.transcript(ONE).events("import-type").is_empty());
    assert!(!script(&room, ONE).contains("--import-type NEW"));
    verified(&room, &[TWO]);
}

#[test]
fn the_table_tells_every_material_its_record_and_what_comes_next() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.expires = in_a_year();
    let room = both_made_in(room);
    received(&room, ONE, &import_result(&room, ONE, OLD));
    assert_eq!(
        verified(&room, &[ONE])["materials"],
        json!([]),
        "one material is no table"
    );

    let said = received(&room, TWO, &import_result(&room, TWO, NEW));
    for told in [
        &format!("materials of {ARN}"),
        NEW,
        OLD,
        "this record, payments-2027",
        "records/one, payments-2026",
        "The KMS key is Enabled only while all of them are imported.",
        "KMS may have more materials: add the answer of aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL",
    ] {
        assert!(said.contains(told), "{told}:\n{said}");
    }

    // Each of them expires by itself.
    assert_eq!(
        due(&room),
        [
            "reimport payments-2026 eu-west-1",
            "reimport payments-2027 eu-west-1"
        ]
    );

    // Before the rotation the old one is current: that is no other material in the record's place.
    received(&room, TWO, &described(OLD, "Enabled"));
    let pending = [
        (OLD, "CURRENT", "IMPORTED"),
        (NEW, "PENDING_ROTATION", "IMPORTED"),
    ];
    let said = received(&room, TWO, &rotations(&pending));
    for told in [
        "CURRENT  imported  expires 2027-11-20 00:00 UTC  records/one, payments-2026",
        "PENDING_ROTATION  imported",
        "except what waits for its rotation.",
        &format!(
            "next: for KMS to encrypt with 777777777777…: bash online.sh rotate --key {ARN} --now"
        ),
    ] {
        assert!(said.contains(told), "{told}:\n{said}");
    }
    assert!(!said.contains("UNEXPLAINED"), "{said}");

    // After it one is lost and one is nobody's.
    let rotated = [
        (STRANGE, "NON_CURRENT", "IMPORTED"),
        (OLD, "NON_CURRENT", "PENDING_IMPORT"),
        (NEW, "CURRENT", "IMPORTED"),
    ];
    received(&room, TWO, &rotations(&rotated));
    let table = &verified(&room, &[TWO, "--previous", "records"])["materials"][0];
    let rows = table["materials"].as_array().unwrap();
    let row = |at: usize, name: &str| rows[at][name].as_str().unwrap_or_default();
    assert_eq!(row(0, "record"), "another record");
    assert_eq!([row(1, "record"), row(1, "label")], [ONE, LABEL]);
    assert_eq!([row(2, "record"), row(2, "label")], ["this record", NEXT]);
    assert_eq!(rows[1]["import_state"], "PENDING_IMPORT");
    assert!(rows.iter().all(|row| row["needed"] == true));
    let next = table["next"].to_string();
    assert!(
        next.contains("not Enabled: 6c2d1a4f5e0b… is not imported; reimport it from records/one"),
        "{next}"
    );
    let said = stdout(&room.byok(&["verify", TWO]).output().unwrap());
    assert!(
        said.contains("NOT IMPORTED  expires 2027-11-20 00:00 UTC  another record"),
        "{said}"
    );
    assert!(
        said.contains(&format!("UNEXPLAINED key material {STRANGE}")),
        "{said}"
    );
}

#[test]
fn another_current_material_is_a_mistake_until_kms_lists_the_records_own_beside_it() {
    let Some(room) = both_made() else { return };
    received(&room, ONE, &import_result(&room, ONE, OLD));
    let rotated = described(NEW, "Enabled");
    refused(
        &receipt(&room, ONE, &rotated),
        4,
        &["KEY-MATERIAL-ID", "list-key-rotations"],
    );
    // A list without this record's material explains nothing.
    received(&room, ONE, &rotations(&[(NEW, "CURRENT", "IMPORTED")]));
    refused(&receipt(&room, ONE, &rotated), 4, &["KEY-MATERIAL-ID"]);
    let listed = [
        (NEW, "CURRENT", "IMPORTED"),
        (OLD, "NON_CURRENT", "IMPORTED"),
    ];
    received(&room, ONE, &rotations(&listed));
    received(&room, ONE, &rotated);
    verified(&room, &[ONE]);
    // An import that answers with another id stays a mistake.
    let mut wrong = import_result(&room, ONE, NEW);
    wrong["at"] = at(1).into();
    refused(&receipt(&room, ONE, &wrong), 4, &["KEY-MATERIAL-ID"]);
}

#[test]
fn both_verifiers_see_a_current_material_that_nothing_explains() {
    let Some(room) = both_made() else { return };
    received(&room, TWO, &import_result(&room, TWO, NEW));
    received(&room, TWO, &described(OLD, "Enabled"));
    let copy = Records::of(room.dir.path(), TWO);
    well(&copy.verify(&[]));
    // Without the word of the transcript that material was added, the current one must be the record's.
    let lines = copy.lines("receipts.jsonl");
    copy.forge_with(&format!(",\"rotates\":\"{ARN}\""), "");
    copy.forge_receipts(&lines);
    refused(
        &copy.verify(&[]),
        4,
        &["receipts.jsonl: line 2", "KEY-MATERIAL-ID"],
    );

    received(&room, ONE, &import_result(&room, ONE, OLD));
    let listed = [
        (NEW, "CURRENT", "IMPORTED"),
        (OLD, "NON_CURRENT", "IMPORTED"),
    ];
    received(&room, ONE, &rotations(&listed));
    received(&room, ONE, &described(NEW, "Enabled"));
    let copy = Records::of(room.dir.path(), ONE);
    well(&copy.verify(&[]));
    let answer = copy.text("receipts/002.json");
    let forged = answer.replace(OLD, STRANGE);
    copy.write("receipts/002.json", &forged);
    let mut lines = copy.lines("receipts.jsonl");
    let digests = [answer, forged].map(|text| sha256(text.as_bytes()));
    lines[1] = lines[1]
        .replace(OLD, STRANGE)
        .replace(&digests[0], &digests[1]);
    copy.forge_receipts(&lines);
    refused(
        &copy.verify(&[]),
        4,
        &["receipts.jsonl: line 3", "KEY-MATERIAL-ID"],
    );
}

/// The plan that `byok plan --reimport` writes, with what a person fills in.
#[track_caller]
fn again(room: &Room, record: &str, name: &str) -> String {
    let output = room
        .byok(&["plan", "--reimport", record, "--out", name])
        .output()
        .unwrap();
    well(&output);
    let head = sha256(&fs::read(room.path(record).join("transcript.jsonl")).unwrap());
    let slip = format!("wrapping_key_sha256 = \"{}\"", room.kms.sha256());
    let mut plan = fs::read_to_string(room.path(name)).unwrap();
    for (from, to) in [
        ("\"forbidden\"", "\"allowed\""),
        ("\"prompt\"", "\"file:pin\""),
        (
            "# previous_head = \"\"",
            &format!("previous_head = \"{head}\""),
        ),
        ("# wrapping_key_sha256 = \"\"", &slip),
    ] {
        assert!(plan.contains(from), "{from}:\n{plan}");
        plan = plan.replacen(from, to, 1);
    }
    plan
}

#[test]
fn a_reimport_names_the_one_material_of_several_that_it_brings_back() {
    let Some(room) = both_made() else { return };
    received(&room, ONE, &import_result(&room, ONE, OLD));
    received(&room, TWO, &import_result(&room, TWO, NEW));
    let rotated = [
        (OLD, "NON_CURRENT", "PENDING_IMPORT"),
        (NEW, "CURRENT", "PENDING_IMPORT"),
    ];
    received(&room, TWO, &rotations(&rotated));
    for (record, id, other) in [(ONE, OLD, NEW), (TWO, NEW, OLD)] {
        let plan = again(&room, record, &format!("{id}.toml"));
        assert!(
            plan.contains(&format!(
                "# KMS calls this material {id}: it goes in as EXISTING"
            )),
            "{plan}"
        );
        let plan = plan.replacen("directory = \"records/", "directory = \"records/again-", 1);
        well(&room.run_text(&plan));
        let made = plan.split("directory = \"").nth(1).unwrap();
        let made = made.split('"').next().unwrap();
        let told = room.transcript(made).event("import-type").clone();
        assert_eq!(told["key_material_id"], id);
        assert_eq!(told["rotates"], Value::Null, "a reimport rotates nothing");
        let script = room
            .path(made)
            .join(label_of(record))
            .join("eu-west-1/import.sh");
        let script = fs::read_to_string(script).unwrap();
        assert!(script.contains(&format!("EXISTING_KEY_MATERIAL --key-material-id '{id}'")));
        assert!(!script.contains(other));
    }
    // The record that has KMS's list tells it in the plan too.
    let plan = again(&room, TWO, "table.toml");
    for told in [
        &format!("#   {OLD}"),
        "# The KMS key is Enabled only while all",
        "another record",
        "description = \"payments-2027 second material\"",
    ] {
        assert!(
            plan.replace("#   The", "# The").contains(told),
            "{told}:\n{plan}"
        );
    }
}

#[test]
fn whether_kms_took_new_material_is_known_or_said() {
    let Some(mut room) = both_made() else { return };
    // Nobody knows whether the import ever happened: the written plan takes it for missed.
    let plan = again(&room, TWO, "missed.toml");
    assert!(plan.contains("No receipt says that KMS took it"), "{plan}");
    assert!(
        plan.contains("\nimport_type = \"NEW_KEY_MATERIAL\"\n"),
        "{plan}"
    );
    let plan = plan.replacen("directory = \"records/", "directory = \"records/missed-", 1);
    well(&room.run_text(&plan));

    room.plan.kind = "reimport".into();
    room.plan.directory = THREE.into();
    room.plan.top_more = builds_on(&room, TWO);
    room.plan.import_more = String::new();
    let says = [
        "no receipt says whether KMS took it",
        "byok receipt",
        "list-key-rotations",
    ];
    refused(&room.run(), 2, &says);
    let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert!(
        stdout(&checked).contains("IMPORT-TYPE"),
        "{}",
        stdout(&checked)
    );
    let began = room.beside();
    assert!(
        !began.iter().any(|name| name.starts_with("three")),
        "{began:?}"
    );
    room.plan.import_more = "import_type = \"EXISTING_KEY_MATERIAL\"\n".into();
    well(&room.run());
    assert!(script(&room, THREE).contains("--import-type EXISTING_KEY_MATERIAL --output"));

    received(&room, TWO, &import_result(&room, TWO, NEW));
    room.plan.directory = "records/four".into();
    room.plan.top_more = builds_on(&room, TWO);
    room.plan.import_more = "import_type = \"NEW_KEY_MATERIAL\"\n".into();
    refused(
        &room.run(),
        2,
        &[
            "IMPORT-TYPE",
            "according to a receipt KMS has already taken this material",
            NEW,
        ],
    );
    room.plan.import_more = String::new();
    well(&room.run());
}

#[test]
fn a_plan_from_describe_key_adds_material_where_the_kms_key_holds_some() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = |answer: &Value| {
        fs::write(room.path("describe-key.json"), answer.to_string()).unwrap();
        let args = ["plan", "describe-key.json", "--label", NEXT];
        let output = room.byok(&args).output().unwrap();
        well(&output);
        stdout(&output)
    };
    let adds = plan(&described(OLD, "Enabled"));
    assert!(
        adds.contains(&format!("# It holds material already (current: {OLD})")),
        "{adds}"
    );
    assert!(
        adds.contains("\nimport_type = \"NEW_KEY_MATERIAL\"\n"),
        "{adds}"
    );
    let mut empty = described(OLD, "PendingImport");
    empty["KeyMetadata"]["CurrentKeyMaterialId"] = Value::Null;
    assert!(!plan(&empty).contains("import_type"));
}

#[test]
fn an_import_type_or_description_that_means_nothing_is_refused_with_its_reason() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let long = format!("description = \"{}\"", "a".repeat(257));
    for (line, why) in [
        (
            "import_type = \"EXISTING_KEY_MATERIAL\"",
            "is new, so no KMS key has it yet",
        ),
        (
            "import_type = \"existing\"",
            "is neither NEW_KEY_MATERIAL nor EXISTING_KEY_MATERIAL",
        ),
        ("description = \"\"", "leave the field out"),
        (
            "description = \"a,b\"",
            "1 to 256 letters, digits, spaces and : / _ . -",
        ),
        (
            "description = \"caf\u{e9}\"",
            "is not a text that KMS accepts",
        ),
        (
            "description = \"two\\nlines\"",
            "is not a text that KMS accepts",
        ),
        (
            "description = \"file:///home/op/.aws/credentials\"",
            "have a meaning to the AWS CLI",
        ),
        (
            "description = \"https://a.example\"",
            "have a meaning to the AWS CLI",
        ),
        ("description = \"-x\"", "have a meaning to the AWS CLI"),
        (long.as_str(), "is not a text that KMS accepts"),
    ] {
        room.plan.import_more = format!("{line}\n");
        refused(&room.run(), 2, &[why]);
    }
    let witness = |more: &str| {
        format!(
            "[[key.import]]\nname = \"second\"\nkey_arn = \"{ARN}\"\nparameters = \"inputs/second.json\"\n\
             wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwitness_of = \"eu-west-1\"\n{more}"
        )
    };
    room.plan.import_more = witness("import_type = \"NEW_KEY_MATERIAL\"\n");
    refused(
        &room.run(),
        2,
        &["a witness imports material that the KMS key already has"],
    );
    assert!(room.objects().is_empty() && room.beside().is_empty());
    // The longest that KMS takes, and a witness that says what it is.
    fs::copy(
        room.path("inputs/eu-west-1.json"),
        room.path("inputs/second.json"),
    )
    .unwrap();
    let more = format!(
        "import_type = \"EXISTING_KEY_MATERIAL\"\ndescription = \"{}\"\nwrapping_key_sha256 = \"{}\"\n",
        "a b:c/d_e.f-0".repeat(20)[..256].trim_end(),
        room.kms.sha256()
    );
    room.plan.import_more = witness(&more);
    room.run_well();
}

/// Import parameters as the real AWS CLI prints them.
fn download(kms: &LoopbackKms, room: &mut Room) {
    let told = kms.parameters(&room.plan.key_arn, &room.plan.wrapping, "RSA_2048");
    let json: Value = serde_json::from_str(&told).unwrap();
    let spki = format!("{}\n", json["PublicKey"].as_str().unwrap());
    let spki = openssl(&["base64", "-d", "-A"], spki.as_bytes());
    room.plan.wrapping_key_sha256 = Some(sha256(&spki));
    fs::write(room.path("inputs/eu-west-1.json"), told).unwrap();
}

#[test]
fn the_real_aws_cli_sends_new_material_and_the_kms_holds_exactly_that() {
    let (Some(kms), Some(mut room)) = (LoopbackKms::start(), Room::new(Kind::SoftHsm)) else {
        return;
    };
    room.plan.key_arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    for (record, label, more) in [
        (ONE, LABEL, String::new()),
        (TWO, NEXT, ADDED.replace(',', "")),
    ] {
        room.plan.label = label.into();
        room.plan.directory = record.into();
        room.plan.import_more = more;
        download(&kms, &mut room);
        well(&room.run());
        let output = Command::new("bash")
            .arg(room.path(record).join("import.sh"))
            .args(["--yes", "--endpoint-url", &kms.endpoint()])
            .env_clear()
            .envs(kms.env())
            .output()
            .unwrap();
        well(&output);
        let hex = room.token(&["take", "ceremony", PIN, label]);
        let key = byok::ground::words::unhex(hex.trim()).unwrap();
        let arn = &room.plan.key_arn;
        assert_eq!(
            kms.key_material_id(arn),
            Some(key_material_id_of(&key, arn))
        );
        let said = stdout(&output);
        let rotates = format!("bash online.sh rotate --key {arn} --now");
        assert_eq!(
            said.contains("--import-type NEW_KEY_MATERIAL"),
            record == TWO,
            "{said}"
        );
        assert_eq!(said.contains(&rotates), record == TWO, "{said}");
        let result = room
            .path(record)
            .join(label)
            .join("eu-west-1/import-result.json");
        let args = ["receipt", record, result.to_str().unwrap()];
        well(&room.byok(&args).output().unwrap());
    }
    let report = verified(&room, &[TWO, "--previous", "records"]);
    assert_eq!(
        report["materials"][0]["materials"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
